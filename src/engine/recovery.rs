//! Noticing that the database lost commits, and taking back what the loss would leave behind.
//!
//! From then on no access is given, on any replica, until an administrator confirms; ends go on
//! (protocol D2). What this process remembers to be Curfew's and the database does not is adopted:
//! it is deleted as everything that is ours and wanted by nobody.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::memory::Seen;
use super::{Engine, locked};
use crate::access::assignment::Assignment;
use crate::access::id::RecoveryId;
use crate::access::person::Actor;
use crate::access::recovery::{Owned, Recovery};
use crate::audit::event::{Event, EventType};
use crate::postgres::change::Change;
use crate::postgres::{assignments, audit, operations, recoveries};

impl Engine {
    /// Compares the database with what this process remembers, and remembers anew.
    pub(super) async fn compare_with_memory(&self) -> anyhow::Result<()> {
        let mut conn = self.db.conn().await?;
        let seen = locked(&self.memory).seen().cloned();
        if let Some(seen) = &seen
            && !audit::contains(&mut conn, &seen.head).await?
        {
            drop(conn);
            self.recover(seen).await?;
            conn = self.db.conn().await?;
        }
        locked(&self.status).recovering = recoveries::find_open(&mut conn).await?.is_some();
        let head = audit::load_head(&mut conn).await?;
        if seen.is_some_and(|seen| seen.head == head) {
            return Ok(());
        }
        let owned = assignments::list_owned(&mut conn).await?;
        drop(conn);
        let note = locked(&self.memory).replace(Seen {
            head,
            owned: owned.into_iter().collect(),
        });
        if let Err(error) = tokio::task::spawn_blocking(move || note.keep()).await? {
            tracing::warn!(
                error = format!("{error:#}"),
                "what was last seen of the log can't be kept for the next start"
            );
        }
        Ok(())
    }

    /// May a create go, as far as losses are concerned? Asked inside the transaction of its intent.
    pub(super) async fn trusts_database(&self, conn: &mut PgConnection) -> anyhow::Result<bool> {
        let head = locked(&self.memory).seen().map(|seen| seen.head);
        if let Some(head) = head
            && !audit::contains(conn, &head).await?
        {
            return Ok(false);
        }
        Ok(recoveries::find_open(conn).await?.is_none())
    }

    /// The database does not contain what this process saw.
    async fn recover(&self, seen: &Seen) -> anyhow::Result<()> {
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let now = self.time_of(&mut change).await?;
        let found = audit::load_head(change.conn()).await?;
        tracing::error!(
            remembered = %seen.head,
            found = %found,
            "the database lost commits; no access is given until an administrator confirms on /operations that it is mended, ends go on"
        );
        let is_first = recoveries::find_open(change.conn()).await?.is_none();
        if is_first {
            let recovery = Recovery {
                id: RecoveryId::new(now),
                begun_at: now,
                remembered_seq: seen.head.seq,
                found_seq: found.seq,
                swept_at: None,
            };
            recoveries::insert(change.conn(), &recovery, &seen.head).await?;
            change.record(
                Event::new(EventType::LogRecovered)
                    .with("remembered", seen.head.to_string())
                    .with("found", found.to_string()),
            );
        }
        for owned in &seen.owned {
            if assignments::adopt(change.conn(), owned, now)
                .await?
                .is_some()
            {
                change.record(adopted(owned, "remembered"));
            }
        }
        let until = now + self.settings.arrives_within();
        operations::suppose_lost_creates(change.conn(), until, now).await?;
        change.wake();
        if change.has_events() {
            change.commit().await
        } else {
            change.commit_bookkeeping().await
        }
    }
}

/// The event of a tuple that becomes ours.
pub(super) fn adopted(owned: &Owned, why: &str) -> Event {
    about(EventType::AssignmentAdopted, owned).with("why", why)
}

/// An event about a tuple that no request leads to.
pub(super) fn about(kind: EventType, owned: &Owned) -> Event {
    Event::new(kind)
        .with("user_id", owned.user_id.as_str())
        .with("account_id", owned.account_id.as_str())
        .with("permission_set_arn", owned.permission_set_arn.as_str())
}

/// What an assignment is to the memory, from the intent of a create on.
pub(super) fn owned(of: &Assignment, now: DateTime<Utc>) -> Owned {
    Owned {
        user_id: of.user_id.clone(),
        account_id: of.account_id.clone(),
        permission_set_arn: of.permission_set_arn.clone(),
        since: of.owned_since.unwrap_or(now),
    }
}
