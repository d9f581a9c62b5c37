//! Looking at everything: which people hold a guarded permission set, and does the ledger know why?
//!
//! Only while a recovery is open, and only by the leader. Ends come first: the sweep has what they leave of
//! the budget, and one call every two seconds in any case (protocol L4, R1). What it sees of the
//! ledger's own tuples counts as any other listing; what nobody can explain is a finding after two
//! sightings with a gap (R2).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::recovery::{about, adopted};
use super::{Engine, locked};
use crate::access::assignment::{Assignment, Sight};
use crate::access::id::RecoveryId;
use crate::access::person::{Actor, PersonId};
use crate::access::recovery::{Decision, Finding, Owned, Recovery};
use crate::audit::event::EventType;
use crate::aws::answer::CallFailed;
use crate::postgres::change::Change;
use crate::postgres::{assignments, directory, policies, recoveries};

/// The sweep gets a call after so long, whatever the budget says.
const KEPT: Duration = Duration::from_secs(2);

/// After a call that failed.
const AFTER_FAILURE: TimeDelta = TimeDelta::seconds(5);

/// One round: what is still to be looked at.
#[derive(Debug)]
pub(super) struct Round {
    of: RecoveryId,
    began_at: DateTime<Utc>,
    sets: VecDeque<String>,
    pairs: VecDeque<(String, String)>,
    exclusive: BTreeSet<String>,
}

impl Engine {
    /// Goes on with the round that is due. Says when to come back.
    pub(super) async fn sweep(&self) -> anyhow::Result<Option<DateTime<Utc>>> {
        let mut conn = self.db.conn().await?;
        let Some(recovery) = recoveries::find_open(&mut conn).await? else {
            *locked(&self.round) = None;
            return Ok(None);
        };
        let now = self.read_time(&mut conn).await?;
        let settle = self.settings.arrives_within();
        let begun = locked(&self.round)
            .take()
            .filter(|round| round.of == recovery.id);
        let mut round = match begun {
            Some(round) => round,
            None if now < recovery.next_round_at(settle) => {
                return Ok(Some(recovery.next_round_at(settle)));
            }
            None => begin(&mut conn, recovery.id, now).await?,
        };
        drop(conn);
        loop {
            let Some(next) = round.next() else {
                recoveries::set_swept(&mut *self.db.conn().await?, recovery.id, round.began_at)
                    .await?;
                let swept = Recovery {
                    swept_at: Some(round.began_at),
                    ..recovery
                };
                return Ok(Some(swept.next_round_at(settle)));
            };
            if !self.take_sweep_call() {
                round.put_back(next);
                *locked(&self.round) = Some(round);
                return Ok(Some(now));
            }
            let looked = match &next {
                Place::Set(arn) => self.find_accounts(&mut round, arn).await,
                Place::Pair(account, arn) => self.look_at_pair(&round, account, arn).await?,
            };
            if let Err(error) = looked {
                self.note_failure(&error);
                round.put_back(next);
                *locked(&self.round) = Some(round);
                return Ok(Some(now + AFTER_FAILURE));
            }
        }
    }

    fn take_sweep_call(&self) -> bool {
        let boot = self.db.clock.boot();
        let mut last = locked(&self.swept_boot);
        let may = self.take_call() || boot.saturating_sub(*last) >= KEPT;
        if may {
            *last = boot;
        }
        may
    }

    async fn find_accounts(&self, round: &mut Round, arn: &str) -> Result<(), CallFailed> {
        let accounts = self.identity_center.accounts_with(arn).await?;
        let new: Vec<_> = accounts
            .into_iter()
            .map(|account| (account, arn.to_owned()))
            .filter(|pair| !round.pairs.contains(pair))
            .collect();
        round.pairs.extend(new);
        Ok(())
    }

    async fn look_at_pair(
        &self,
        round: &Round,
        account: &str,
        arn: &str,
    ) -> anyhow::Result<Result<(), CallFailed>> {
        let mut conn = self.db.conn().await?;
        let before = assignments::list_of_pair(&mut conn, account, arn).await?;
        let began_at = self.read_time(&mut conn).await?;
        drop(conn);
        let people = match self.identity_center.people(account, arn).await {
            Ok(people) => people,
            Err(error) => return Ok(Err(error)),
        };
        let mut change = Change::begin(&self.db, Actor::System).await?;
        for row in &before {
            let is_there = people
                .iter()
                .any(|id| PersonId::new(id) == row.principal_id);
            self.see(&mut change, row, is_there, began_at).await?;
        }
        for user_id in &people {
            let person = PersonId::new(user_id);
            let row = before.iter().find(|row| row.principal_id == person);
            if row.is_some_and(|row| row.owned_since.is_some()) {
                continue;
            }
            let finding =
                recoveries::see(change.conn(), round.of, (user_id, account, arn), began_at).await?;
            self.take_finding(
                &mut change,
                &finding,
                round.exclusive.contains(arn),
                began_at,
            )
            .await?;
        }
        recoveries::forget_vanished(change.conn(), round.of, account, arn, began_at).await?;
        if change.has_events() {
            change.commit().await?;
        } else {
            change.commit_bookkeeping().await?;
        }
        Ok(Ok(()))
    }

    /// What a listing says of a tuple of the ledger. The engine looks at what is not as it should be.
    async fn see(
        &self,
        change: &mut Change,
        row: &Assignment,
        is_there: bool,
        began_at: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        if row.owned_since.is_none() {
            return Ok(());
        }
        let current = assignments::lock(change.conn(), row.id).await?;
        let sight = Sight::after(current.sight, is_there, began_at);
        assignments::see(change.conn(), row.id, row.revision, sight).await?;
        if !is_there {
            assignments::set_next(change.conn(), row.id, Some(began_at)).await?;
        }
        Ok(())
    }

    /// Said once, when it is certain; deleted without asking where only Curfew may assign (D3).
    async fn take_finding(
        &self,
        change: &mut Change,
        finding: &Finding,
        is_exclusive: bool,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        if !finding.is_certain(self.settings.timing.standing_gap) || finding.decision.is_some() {
            return Ok(());
        }
        if recoveries::report(change.conn(), finding.id, now).await? {
            change.record(about(EventType::AssignmentFound, &finding.tuple()));
        }
        if is_exclusive {
            recoveries::decide(change.conn(), finding.id, Decision::Remove, now).await?;
            if assignments::adopt(change.conn(), &finding.tuple(), now)
                .await?
                .is_some()
            {
                change.record(adopted(&finding.tuple(), "exclusive"));
            }
            change.wake();
        }
        Ok(())
    }
}

enum Place {
    Set(String),
    Pair(String, String),
}

impl Round {
    fn next(&mut self) -> Option<Place> {
        if let Some(arn) = self.sets.pop_front() {
            return Some(Place::Set(arn));
        }
        let (account, arn) = self.pairs.pop_front()?;
        Some(Place::Pair(account, arn))
    }

    fn put_back(&mut self, place: Place) {
        match place {
            Place::Set(arn) => self.sets.push_front(arn),
            Place::Pair(account, arn) => self.pairs.push_front((account, arn)),
        }
    }
}

/// The permission sets that a rule names or that the ledger ever touched, and every tuple that is ours.
async fn begin(
    conn: &mut sqlx::PgConnection,
    of: RecoveryId,
    now: DateTime<Utc>,
) -> anyhow::Result<Round> {
    let policy = policies::find_in_force(conn).await?;
    let names: BTreeSet<&str> = policy
        .iter()
        .flat_map(|found| found.policy.permission_set_names())
        .collect();
    let is_exclusive = |name: &str| {
        policy
            .as_ref()
            .is_some_and(|found| found.policy.is_exclusive(name))
    };
    let sets = directory::list_permission_sets(conn).await?;
    let exclusive = sets
        .iter()
        .filter(|set| is_exclusive(&set.name))
        .map(|set| set.arn.clone())
        .collect();
    let mut guarded: BTreeSet<String> = sets
        .into_iter()
        .filter(|set| names.contains(set.name.as_str()))
        .map(|set| set.arn)
        .collect();
    guarded.extend(assignments::permission_sets(conn).await?);
    let owned: BTreeSet<(String, String)> = assignments::list_owned(conn)
        .await?
        .into_iter()
        .map(
            |Owned {
                 account_id,
                 permission_set_arn,
                 ..
             }| (account_id, permission_set_arn),
        )
        .collect();
    Ok(Round {
        of,
        began_at: now,
        sets: guarded.into_iter().collect(),
        pairs: owned.into_iter().collect(),
        exclusive,
    })
}
