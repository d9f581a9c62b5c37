//! Ending a grant early (promise P6: ending never waits for permission).
//!
//! Who: the requester, whoever decided on it, whoever may approve it now, administrators, and an operator at
//! the shell, with no
//! regard to policy, eligibility or whether the requester still exists; nothing is read live. Changes:
//! the grant starts to end, or fails at once if nothing was sent. Events: `grant.end_started` or
//! `grant.failed`; or `end.refused`. Repeating it hurries the engine.

use fail::fail_point;

use super::{ActError, Broker, Kind, Refused};
use crate::access::grant::{EndReason, GrantState};
use crate::access::id::RequestId;
use crate::access::person::{Actor, SignedInPerson};
use crate::access::text::{from_outside, time_in_words};
use crate::audit::event::EventType;
use crate::ledger;
use crate::postgres::change::Change;
use crate::postgres::{Db, assignments, grants, requests};

impl Broker {
    /// Ends what a request gave.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn end(
        &self,
        by: &SignedInPerson,
        id: RequestId,
        comment: &str,
    ) -> Result<(), ActError> {
        let (request, relation) = self.concerned(&by.person.id, id).await?;
        let refused = match relation.may_end_as() {
            Some(reason) => match end(&self.db, person(by), id, reason, comment).await {
                Ok(()) => return Ok(()),
                Err(ActError::Refused(refused)) => refused,
                Err(failed) => return Err(failed),
            },
            None if relation.may_see() => Refused::new(
                Kind::Forbidden,
                "not_concerned",
                "Only the requester, an approver or an administrator can end this.",
            ),
            None => Refused::not_found(),
        };
        Err(self
            .refuse(by, EventType::EndRefused, Some(&request), refused)
            .await?
            .into())
    }

    /// For a cancel that came after the approval.
    pub(super) async fn end_as_requester(
        &self,
        by: &SignedInPerson,
        id: RequestId,
        comment: &str,
    ) -> Result<(), ActError> {
        end(&self.db, person(by), id, EndReason::Requester, comment).await
    }
}

fn person(by: &SignedInPerson) -> Actor {
    Actor::Person(Box::new(by.clone()))
}

/// Ends what a request gave, for whoever may. Needs nothing but the database.
///
/// # Errors
/// The refusal, or what broke.
pub async fn end(
    db: &Db,
    actor: Actor,
    id: RequestId,
    reason: EndReason,
    comment: &str,
) -> Result<(), ActError> {
    let mut change = Change::begin(db, actor).await?;
    let request = requests::lock(change.conn(), id)
        .await?
        .ok_or_else(Refused::not_found)?;
    let Some(mut grant) = grants::lock_of_request(change.conn(), id).await? else {
        let text = "There is nothing to end: this request gave no access. (A pending request can be cancelled.)";
        return Err(Refused::new(Kind::Conflict, "no_grant", text).into());
    };
    let now = change.now().await?;
    match grant.state {
        GrantState::Ended { ended_at, .. } | GrantState::Failed { ended_at, .. } => {
            let text = format!("This access is over since {}.", time_in_words(ended_at));
            Err(Refused::new(Kind::Conflict, "already_over", text).into())
        }
        GrantState::ClosedUnconfirmed { closed_at, .. } => {
            let text = format!(
                "An administrator closed this at {}. Whether the access is gone was not confirmed.",
                time_in_words(closed_at)
            );
            Err(Refused::new(Kind::Conflict, "already_over", text).into())
        }
        GrantState::Ending { .. } => {
            assignments::hurry(change.conn(), grant.assignment_id, now).await?;
            change.wake();
            fail_point!("broker.hurry.uncommitted");
            change.commit_bookkeeping().await?;
            fail_point!("broker.hurry.committed");
            Ok(())
        }
        _ => {
            // No text stops an ending (protocol G3): what may not stand in the record is cleaned.
            let comment = Some(from_outside(comment.trim())).filter(|comment| !comment.is_empty());
            // If its time is over at this very moment, that is why it ends.
            let reason = grant.due(now).unwrap_or(reason);
            ledger::end(
                &mut change,
                &request,
                &mut grant,
                reason,
                comment.as_deref(),
            )
            .await?;
            fail_point!("broker.end.uncommitted");
            change.commit().await?;
            fail_point!("broker.end.committed");
            Ok(())
        }
    }
}
