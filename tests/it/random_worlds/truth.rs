//! What must hold in a random world after every step, asked of the ledger's tables and of the sandbox
//! and of nothing in between.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use curfew::sandbox::OperationStatus;
use sqlx::Row as _;

use super::world::{Tuple, World};
use crate::support::check;

/// What was assigned by hand for so long before anybody asked is protected (protocol S2): no listing
/// here is older.
const HAND_IS_OLD: TimeDelta = TimeDelta::seconds(10);

/// A grant: what it is for, its status, when it ends.
type Line = (Tuple, String, Option<DateTime<Utc>>);

impl World {
    pub(super) fn present(&self) -> BTreeSet<Tuple> {
        let rows = self.app.sandbox.assignments().into_iter();
        rows.map(|row| (row.account_id, row.permission_set_arn, row.principal_id))
            .collect()
    }

    /// Statuses of the grants of each tuple, and when they end.
    pub(super) async fn grants(&self) -> Vec<Line> {
        let mut conn = self.app.app.broker.db.conn().await.unwrap();
        let rows = sqlx::raw_sql(
            "select a.account_id, a.permission_set_arn, a.user_id, g.status, g.ends_at
             from grants g join assignments a on a.id = g.assignment_id",
        )
        .fetch_all(&mut *conn)
        .await
        .unwrap();
        rows.into_iter()
            .map(|row| ((row.get(0), row.get(1), row.get(2)), row.get(3), row.get(4)))
            .collect()
    }

    /// Grants that are not over.
    pub(super) async fn live(&self) -> Vec<Line> {
        let mut grants = self.grants().await;
        grants.retain(|(_, status, _)| !["ended", "failed"].contains(&status.as_str()));
        grants
    }

    /// Does anything of ours concern this tuple, or may it still arrive?
    pub(super) async fn is_ours(&self, tuple: &Tuple) -> bool {
        let under_way = self.app.sandbox.late() > 0
            || self.app.sandbox.operations().iter().any(|operation| {
                operation.status == OperationStatus::InProgress
                    && operation.assignment.account_id == tuple.0
            });
        let mut conn = self.app.app.broker.db.conn().await.unwrap();
        let rows = sqlx::raw_sql(
            "select a.account_id, a.permission_set_arn, a.user_id, a.owned_since is not null
                 or exists (select from grants g where g.assignment_id = a.id
                    and g.status in ('scheduled', 'provisioning', 'active', 'ending')),
                 (select max(unresolved_until) from operations o where o.assignment_id = a.id)
             from assignments a",
        )
        .fetch_all(&mut *conn)
        .await
        .unwrap();
        under_way
            || rows.into_iter().any(|row| {
                let of: Tuple = (row.get(0), row.get(1), row.get(2));
                let unresolved: Option<DateTime<Utc>> = row.get(4);
                of == *tuple
                    && (row.get(3) || unresolved.is_some_and(|until| until > self.app.now()))
            })
    }

    /// `passed`: when a pass of the engine that leads began, if one has just ended.
    pub(super) async fn check(&mut self, passed: Option<DateTime<Utc>>) {
        let there = self.present();
        self.app.by_hand.retain(|tuple| there.contains(tuple));
        let now = self.app.now();
        for (tuple, since) in self.candidates.clone() {
            if self.is_ours(&tuple).await {
                self.candidates.remove(&tuple);
            } else if now - since > HAND_IS_OLD {
                self.candidates.remove(&tuple);
                self.standing.insert(tuple);
            }
        }
        for tuple in &self.standing {
            assert!(
                there.contains(tuple),
                "{tuple:?} stood there, and was deleted"
            );
        }
        check::words_match_the_world(&self.app).await;
        let grants = self.grants().await;
        for tuple in &there {
            let is_live = |(of, status, _): &Line| {
                of == tuple && ["provisioning", "active", "ending"].contains(&status.as_str())
            };
            assert!(
                self.app.by_hand.contains(tuple) || grants.iter().any(is_live),
                "{tuple:?} is there, and no grant explains it"
            );
        }
        let late = grants.iter().find(|(_, status, ends_at)| {
            let ends_at = ends_at.filter(|_| status == "active");
            passed.is_some_and(|passed| ends_at.is_some_and(|ends_at| ends_at <= passed))
        });
        assert!(late.is_none(), "still active after its end: {late:?}");
    }

    /// So that a run shows that something happened in it.
    pub(super) async fn tally(&self) -> [(&'static str, u64); 6] {
        let mut conn = self.app.app.broker.db.conn().await.unwrap();
        let row = sqlx::raw_sql(
            "select count(*), count(active_at), (select count(*) from operations),
                 (select count(*) from operations where status in ('refused', 'lost', 'failed', 'expired'))
             from grants",
        )
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        let count = |index: usize| u64::try_from(row.get::<i64, _>(index)).unwrap();
        let wrong = self.app.sandbox.calls();
        let wrong = wrong.iter().filter(|call| call.outcome != "ok").count();
        [
            ("passes", self.passes),
            ("grants", count(0)),
            ("grants that became active", count(1)),
            ("creates and deletes sent", count(2)),
            ("of these refused, lost or failed", count(3)),
            ("calls that went wrong", u64::try_from(wrong).unwrap()),
        ]
    }
}
