//! What takes too long to end: said in the log as long as it lasts, and asked about, live, whether it
//! can still be there at all (protocol G2).
//!
//! Nothing here ends, closes or gives up anything.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Utc;
use chrono::{DateTime, TimeDelta};
use fail::fail_point;

use super::{Engine, locked};
use crate::access::assignment::{GONE_CONFIRMED_AFTER, TargetGone};
use crate::access::id::{AssignmentId, GrantId};
use crate::access::person::Actor;
use crate::audit::event::timestamp;
use crate::aws::target;
use crate::postgres::change::Change;
use crate::postgres::{assignments, overview};

/// How often somebody looks for what is overdue, however often passes follow one another.
const LOOKED_EVERY: Duration = Duration::from_secs(10);

/// How often an overdue end is said in the log while it lasts.
const SAID_EVERY: Duration = Duration::from_mins(5);

/// Most overdue ends that are said one by one.
const MOST_SAID: i64 = 50;

/// Calls in a row that did not do what they should, before somebody asks whether the target exists.
const DOUBTFUL_AFTER: i32 = 3;

/// Most targets that one pass asks about; each costs a few calls.
const MOST_LOOKS: i64 = 3;

/// What was looked for and said, and when, by the boot clock.
#[derive(Debug, Default)]
pub(super) struct Oversight {
    looked_at: Option<Duration>,
    said: BTreeMap<GrantId, Duration>,
}

impl Engine {
    /// Looks after what takes too long, now and then. What goes wrong here stops no ending.
    pub(super) async fn oversee(&self, now: DateTime<Utc>) {
        let boot = self.db.clock.boot();
        let looked_at = locked(&self.oversight).looked_at;
        if looked_at.is_some_and(|at| boot.saturating_sub(at) < LOOKED_EVERY) {
            return;
        }
        locked(&self.oversight).looked_at = Some(boot);
        if let Err(error) = self.look_for_targets(now).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "nobody could ask whether targets are still there; trying again"
            );
        }
        if let Err(error) = self.say_overdue(now).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "overdue ends could not be listed; trying again"
            );
        }
    }

    /// Says every overdue end that was not said lately. Alerts match these lines: their fields are in
    /// `docs/install.md`.
    async fn say_overdue(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let overdue = overview::list_overdue(&mut *self.db.conn().await?, MOST_SAID).await?;
        let boot = self.db.clock.boot();
        let said = &mut locked(&self.oversight).said;
        said.retain(|id, _| overdue.iter().any(|end| end.grant_id == *id));
        for end in overdue {
            let last = said.get(&end.grant_id);
            if last.is_some_and(|at| boot.saturating_sub(*at) < SAID_EVERY) {
                continue;
            }
            said.insert(end.grant_id, boot);
            tracing::error!(
                event = "end_overdue",
                request.id = %end.request_id,
                grant.id = %end.grant_id,
                person.id = end.person_id,
                account.id = end.account_id,
                permission_set = end.permission_set,
                due_since = timestamp(end.due_at),
                overdue_seconds = (now - end.due_at).num_seconds(),
                attempts = end.attempts,
                last_error = end.last_error.as_deref().unwrap_or_default(),
                next_try = end.next_try_at.map(timestamp).unwrap_or_default(),
                "the end of a grant is overdue: access may still be there; the engine keeps trying"
            );
        }
        Ok(())
    }

    /// Asks about the targets of what keeps failing, a few in each pass.
    async fn look_for_targets(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        // Also where it is confirmed: what is back must not wait hours for the next try.
        let before = now - GONE_CONFIRMED_AFTER;
        let doubtful = assignments::list_doubtful(
            &mut *self.db.conn().await?,
            DOUBTFUL_AFTER,
            before,
            before,
            MOST_LOOKS,
        )
        .await?;
        for id in doubtful {
            if !self.take_call() {
                break;
            }
            self.look_for_target(id, now).await?;
        }
        Ok(())
    }

    async fn look_for_target(&self, id: AssignmentId, now: DateTime<Utc>) -> anyhow::Result<()> {
        let Some(of) = assignments::find(&mut *self.db.conn().await?, id).await? else {
            return Ok(());
        };
        let (aws, instance) = (&self.directory.aws, &self.directory.instance);
        fail_point!("engine.target.before");
        let found = target::gone(aws, instance, &of).await;
        fail_point!("engine.target.answered");
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let current = assignments::lock(change.conn(), id).await?;
        let before = current.target_gone;
        match found {
            Ok(part) => {
                let gone = TargetGone::after(before, part, now);
                let is_back = before.is_some() && gone.is_none();
                assignments::look_at_target(change.conn(), id, now, gone, is_back).await?;
                if is_back {
                    change.wake();
                }
            }
            // Not asked again at once, and nothing concluded.
            Err(error) => {
                self.note_failure(&error);
                let asked_again = TimeDelta::minutes(1) - GONE_CONFIRMED_AFTER;
                assignments::look_at_target(change.conn(), id, now + asked_again, before, false)
                    .await?;
            }
        }
        fail_point!("engine.target.uncommitted");
        change.commit_bookkeeping().await?;
        fail_point!("engine.target.committed");
        Ok(())
    }
}
