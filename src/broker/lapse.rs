//! Requests that nobody answered in time, or whose rule is gone, lapse. Time does it, on any replica:
//! the row's lock makes it once.
//!
//! Events: `request.lapsed`.

use chrono::{DateTime, Utc};
use fail::fail_point;

use super::Broker;
use crate::access::id::RequestId;
use crate::access::person::Actor;
use crate::access::request::{Openness, RequestStatus};
use crate::ledger;
use crate::postgres::change::Change;
use crate::postgres::{policies, requests};

/// Most that lapse in one pass.
const PER_PASS: i64 = 500;

impl Broker {
    /// Lapses what is due; says when the next will be.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn lapse_due(&self) -> anyhow::Result<Option<DateTime<Utc>>> {
        let mut conn = self.db.conn().await?;
        let now = self.db.clock.now(&mut conn).await?;
        let due = requests::due_to_lapse(&mut conn, now, PER_PASS).await?;
        let orphaned = match policies::find_in_force(&mut conn).await? {
            Some(in_force) => {
                let rules: Vec<String> = in_force
                    .policy
                    .rules
                    .iter()
                    .map(|rule| rule.name.clone())
                    .collect();
                requests::pending_without_rule(&mut conn, &rules).await?
            }
            None => Vec::new(),
        };
        drop(conn);
        for id in due {
            self.lapse_one(id, "nobody answered in time", true).await?;
        }
        for id in orphaned {
            self.lapse_one(id, "its rule is gone", false).await?;
        }
        Ok(requests::next_lapse(&mut *self.db.conn().await?).await?)
    }

    async fn lapse_one(&self, id: RequestId, why: &str, only_if_due: bool) -> anyhow::Result<()> {
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let Some(request) = requests::lock(change.conn(), id).await? else {
            return Ok(());
        };
        let now = change.now().await?;
        let lapses = request.openness(now) == Openness::LapseDue
            || (!only_if_due && request.status == RequestStatus::Pending);
        if lapses {
            ledger::lapse(&mut change, &request, why).await?;
            fail_point!("broker.lapse.uncommitted");
            change.commit().await?;
            fail_point!("broker.lapse.committed");
        }
        Ok(())
    }
}
