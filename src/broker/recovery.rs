//! Deciding about what a loss of commits left behind, and confirming that it is mended.
//!
//! Who: administrators. Changes: a finding is kept as standing, or becomes the ledger's and is deleted
//! like everything that is ours; and at the end access may be given again. Events: `assignment.kept`,
//! `assignment.adopted`, `recovery.confirmed`; or `recovery.refused`.

use super::role::Role;
use super::{ActError, Broker, Kind, Refused};
use crate::access::id::FindingId;
use crate::access::person::{Actor, SignedInPerson};
use crate::access::recovery::{Decision, Finding};
use crate::audit::event::{Event, EventType};
use crate::postgres::change::Change;
use crate::postgres::{assignments, recoveries};

impl Broker {
    /// Keeps a finding as standing, or has it removed.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn decide_finding(
        &self,
        by: &SignedInPerson,
        id: FindingId,
        decision: Decision,
    ) -> Result<(), ActError> {
        self.require(by, &[Role::Administrator], "decide about a recovery")
            .await?;
        let decided = self.decide_one(by, id, decision).await;
        self.recorded(by, decided).await
    }

    async fn decide_one(
        &self,
        by: &SignedInPerson,
        id: FindingId,
        decision: Decision,
    ) -> Result<(), ActError> {
        let mut change = Change::begin(&self.db, Actor::Person(Box::new(by.clone()))).await?;
        let found = recoveries::lock_finding(change.conn(), id).await?;
        let now = change.now().await?;
        let Some(finding) = found.filter(|finding| finding.decision.is_none()) else {
            let text = "This is decided already, or it is not there any more. Look at the recovery page again.";
            return Err(Refused::new(Kind::Conflict, "no_open_finding", text).into());
        };
        if decision == Decision::Remove {
            assignments::adopt(change.conn(), &finding.tuple(), now).await?;
            change.wake();
        }
        recoveries::decide(change.conn(), id, decision, now).await?;
        change.record(decided(&finding, decision));
        change.commit().await?;
        Ok(())
    }

    /// Confirms that what was lost is mended: access may be given again.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn confirm_recovery(&self, by: &SignedInPerson) -> Result<(), ActError> {
        self.require(by, &[Role::Administrator], "confirm a recovery")
            .await?;
        let confirmed = self.confirm_open(by).await;
        self.recorded(by, confirmed).await
    }

    async fn confirm_open(&self, by: &SignedInPerson) -> Result<(), ActError> {
        let mut change = Change::begin(&self.db, Actor::Person(Box::new(by.clone()))).await?;
        let Some(recovery) = recoveries::find_open(change.conn()).await? else {
            let text = "There is nothing to confirm: no recovery is open.";
            return Err(Refused::new(Kind::Conflict, "no_recovery", text).into());
        };
        if !recovery.is_swept(self.settings.arrives_within()) {
            let text = "Identity Center has not been looked through yet since everything settled. The recovery page says when it will be.";
            return Err(Refused::new(Kind::Conflict, "not_swept", text).into());
        }
        if recoveries::count_undecided(change.conn(), recovery.id).await? > 0 {
            let text = "Decide first about every assignment that was found.";
            return Err(Refused::new(Kind::Conflict, "undecided_findings", text).into());
        }
        let now = change.now().await?;
        recoveries::confirm(change.conn(), recovery.id, now).await?;
        change.record(
            Event::new(EventType::RecoveryConfirmed)
                .with("remembered_seq", recovery.remembered_seq)
                .with("found_seq", recovery.found_seq),
        );
        change.wake();
        change.commit().await?;
        Ok(())
    }

    /// The same outcome, a refusal with its event.
    async fn recorded(
        &self,
        by: &SignedInPerson,
        done: Result<(), ActError>,
    ) -> Result<(), ActError> {
        match done {
            Err(ActError::Refused(refused)) => Err(self
                .refuse(by, EventType::RecoveryRefused, None, refused)
                .await?
                .into()),
            done => done,
        }
    }
}

fn decided(finding: &Finding, decision: Decision) -> Event {
    let event = match decision {
        Decision::Keep => Event::new(EventType::AssignmentKept),
        Decision::Remove => {
            Event::new(EventType::AssignmentAdopted).with("why", "decided by an administrator")
        }
    };
    event
        .with("user_id", finding.user_id.as_str())
        .with("account_id", finding.account_id.as_str())
        .with("permission_set_arn", finding.permission_set_arn.as_str())
}
