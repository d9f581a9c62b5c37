//! Deciding about what a loss of commits left behind, and confirming that it is mended.
//!
//! Who: administrators. Changes: a finding is kept as standing, or becomes the ledger's and is deleted
//! like everything that is ours; and at the end access may be given again. Events: `assignment.kept`,
//! `assignment.adopted`, `recovery.confirmed`; or `recovery.refused`.

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
        self.only_recovering_administrators(by).await?;
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
        self.only_recovering_administrators(by).await?;
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

    async fn only_recovering_administrators(&self, by: &SignedInPerson) -> Result<(), ActError> {
        let standings = self
            .standings(&mut *self.db.conn().await?, &by.person.id)
            .await?;
        if standings.is_administrator {
            return Ok(());
        }
        let refused = Refused::new(
            Kind::Forbidden,
            "not_an_administrator",
            "Only an administrator decides about a recovery.",
        );
        Err(self
            .refuse(by, EventType::RecoveryRefused, None, refused)
            .await?
            .into())
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
