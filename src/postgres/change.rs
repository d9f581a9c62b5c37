//! A change of state: one transaction that can't commit without an audit event (promise P5).
//!
//! Lock order, everywhere: lease, request, grant, assignment, pause or end order, and last, inside
//! `commit`, the head of the audit log. Lock first, then read the time, then decide. No call to the outside in between.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use fail::fail_point;
use sqlx::{PgConnection, Postgres, Transaction};

use super::{CHANGED, Db, WAKE, audit};
use crate::access::person::Actor;
use crate::audit::event::{Event, EventType};
use crate::clock::Clock;

/// An open transaction with the events that will be committed with it. Dropping it undoes all.
#[must_use = "a change that is not committed is undone"]
pub struct Change {
    tx: Transaction<'static, Postgres>,
    clock: Clock,
    actor: Actor,
    now: Option<DateTime<Utc>>,
    events: Vec<Event>,
    wakes: bool,
}

impl Change {
    /// Begins one, caused by `actor`.
    ///
    /// # Errors
    /// If the database can't be reached.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place where changes begin"
    )]
    pub async fn begin(db: &Db, actor: Actor) -> sqlx::Result<Self> {
        let tx = db.pool.begin().await?;
        Ok(Self {
            tx,
            clock: db.clock.clone(),
            actor,
            now: None,
            events: Vec::new(),
            wakes: false,
        })
    }

    /// The connection, inside the transaction.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// The time: read once, at the first call. Call it when the locks are held (protocol T1).
    ///
    /// # Errors
    /// If the database can't be asked.
    pub async fn now(&mut self) -> sqlx::Result<DateTime<Utc>> {
        if let Some(now) = self.now {
            return Ok(now);
        }
        let now = self.clock.now(&mut self.tx).await?;
        self.now = Some(now);
        Ok(now)
    }

    /// Makes the time at least this: the engine's time never runs behind what it saw before.
    pub fn not_before(&mut self, earliest: DateTime<Utc>) {
        self.now = self.now.max(Some(earliest));
    }

    /// Says who causes it, where that is only found under its locks.
    pub fn caused_by(&mut self, actor: Actor) {
        self.actor = actor;
    }

    /// Who causes it.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Records an event.
    pub fn record(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Was anything recorded?
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Wakes the engine once this is committed.
    pub fn wake(&mut self) {
        self.wakes = true;
    }

    /// Commits the change with its events.
    ///
    /// # Errors
    /// If there is no event to go with it, or the database refuses.
    pub async fn commit(mut self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.events.is_empty(),
            "a change of state without an event is never committed"
        );
        let now = self.now().await?;
        let changed: BTreeSet<_> = self
            .events
            .iter()
            .filter_map(|event| event.request_id)
            .collect();
        for request in changed {
            sqlx::query!("select pg_notify($1, $2)", CHANGED, request.to_string())
                .execute(&mut *self.tx)
                .await?;
        }
        let head = audit::lock_head(&mut self.tx).await?;
        if head.seq == 0 {
            let started = Event::new(EventType::LogStarted).with("format", 1);
            audit::append(&mut self.tx, &[started], &Actor::System, now).await?;
        }
        audit::append(&mut self.tx, &self.events, &self.actor, now).await?;
        self.finish().await
    }

    /// Commits what is no change of state: when to look next, what a listing showed, a counter.
    ///
    /// # Errors
    /// If there is an event after all, or the database refuses.
    pub async fn commit_bookkeeping(self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.events.is_empty(),
            "a change of state is never committed as bookkeeping"
        );
        self.finish().await
    }

    async fn finish(mut self) -> anyhow::Result<()> {
        if self.wakes {
            sqlx::query!("select pg_notify($1, '')", WAKE)
                .execute(&mut *self.tx)
                .await?;
        }
        fail_point!("change.commit.before");
        self.tx.commit().await?;
        fail_point!("change.commit.after");
        Ok(())
    }
}
