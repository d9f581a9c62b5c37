//! Recording facts: what Identity Center answered, and how an operation ended.
//!
//! Facts need no lease: whoever learns one records it, if the rows still fit it. What follows from
//! them is `step`'s to say, but for one thing: a create that failed takes its grants along in the
//! same transaction.

use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;

use super::act::Then;
use super::grasp::{Grasp, find};
use super::step::Picture;
use super::{Engine, locked};
use crate::access::assignment::{Assignment, Operation, OperationKind, OperationStatus};
use crate::access::grant::{EndReason, GrantStatus};
use crate::access::id::{AssignmentId, OperationId};
use crate::access::person::Actor;
use crate::audit::event::{Event, EventType};
use crate::aws::answer::{Answer, CallFailed, Outcome, Refusal};
use crate::ledger;
use crate::postgres::change::Change;
use crate::postgres::{assignments, operations};
use crate::retry;

/// Soonest and latest first look at an operation, whatever was observed.
const FIRST_LOOK: (f64, f64) = (0.5, 30.0);

impl Engine {
    /// Records what Identity Center answered to a create or delete.
    pub(super) async fn take_answer(
        &self,
        assignment: &Assignment,
        id: OperationId,
        answer: Answer,
    ) -> anyhow::Result<Then> {
        match &answer {
            Answer::Unknown { .. }
            | Answer::Refused {
                refusal: Refusal::NotSent,
                ..
            } => locked(&self.reach).unanswered(self.db.clock.boot()),
            _ => locked(&self.reach).answered(),
        }
        let Grasp {
            mut change,
            picture,
            now,
        } = self.grasp_to_record(assignment.id).await?;
        let mine = picture
            .history
            .open
            .clone()
            .filter(|open| open.id == id && open.status == OperationStatus::Intended);
        // Otherwise somebody gave the attempt up meanwhile; what it did shows in the listing.
        let Some(mut operation) = mine else {
            return Ok(Then::Again);
        };
        match answer {
            Answer::Accepted { aws_id, outcome } => {
                operation.status = OperationStatus::InProgress;
                operation.next_look_at =
                    Some(now + self.first_look(&mut change, operation.kind).await?);
                operation.aws_id = Some(aws_id);
                operations::save(
                    change.conn(),
                    &operation,
                    OperationStatus::Intended,
                    now,
                    None,
                )
                .await?;
                assignments::set_next(change.conn(), assignment.id, operation.next_look_at).await?;
                let accepted = by_kind(
                    operation.kind,
                    EventType::CreateAccepted,
                    EventType::DeleteAccepted,
                );
                self.record(&mut change, &picture, &operation, accepted, None)
                    .await?;
                if let Some(outcome) = outcome {
                    self.resolve(&mut change, &picture, operation, outcome, now)
                        .await?;
                }
            }
            Answer::Refused {
                refusal: Refusal::Missing,
                detail,
            } if operation.kind == OperationKind::Delete => {
                self.resolve(
                    &mut change,
                    &picture,
                    operation,
                    Outcome::Failed(detail),
                    now,
                )
                .await?;
            }
            Answer::Refused { refusal, detail } => {
                self.take_refusal(&mut change, &picture, operation, refusal, &detail, now)
                    .await?;
            }
            Answer::Unknown { detail } => {
                tracing::warn!(operation.id = %id, detail, "no answer to an attempt; looking for what it did");
                let look_at = now + TimeDelta::seconds(1);
                operations::expect_no_answer(change.conn(), id, look_at).await?;
                assignments::set_next(change.conn(), assignment.id, Some(look_at)).await?;
                fail_point!("engine.no_answer.uncommitted");
                change.commit_bookkeeping().await?;
                fail_point!("engine.no_answer.committed");
                return Ok(Then::Again);
            }
        }
        fail_point!("engine.answer.uncommitted");
        change.commit().await?;
        fail_point!("engine.answer.committed");
        Ok(Then::Again)
    }

    /// Definitely not accepted: try again, or, where that can't help, end what waited for it.
    async fn take_refusal(
        &self,
        change: &mut Change,
        picture: &Picture,
        mut operation: Operation,
        refusal: Refusal,
        detail: &str,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        if refusal == Refusal::Throttled {
            locked(&self.calls).slow_down();
        }
        tracing::warn!(operation.id = %operation.id, kind = operation.kind.as_str(), detail, "Identity Center refused an attempt");
        let from = operation.status;
        operation.status = OperationStatus::Refused;
        operation.resolved_at = Some(now);
        operations::save(change.conn(), &operation, from, now, Some(detail)).await?;
        self.back_off(change, picture, operation.kind, detail, now)
            .await?;
        self.close(change, picture, &operation, Some(detail))
            .await?;
        if operation.kind == OperationKind::Create
            && matches!(refusal, Refusal::Permanent | Refusal::Missing)
        {
            self.fail_provisioning(change, picture, detail).await?;
        }
        Ok(())
    }

    /// An operation ended, by Identity Center's word.
    pub(super) async fn resolve(
        &self,
        change: &mut Change,
        picture: &Picture,
        mut operation: Operation,
        outcome: Outcome,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let from = operation.status;
        let detail = match outcome {
            Outcome::Succeeded => {
                operation.status = OperationStatus::Succeeded;
                None
            }
            Outcome::Failed(reason) => {
                operation.status = OperationStatus::Failed;
                Some(reason)
            }
        };
        operation.resolved_at = Some(now);
        operations::save(change.conn(), &operation, from, now, detail.as_deref()).await?;
        match &detail {
            None => assignments::succeed(change.conn(), picture.assignment.id).await?,
            Some(reason) => {
                self.back_off(change, picture, operation.kind, reason, now)
                    .await?;
            }
        }
        self.close(change, picture, &operation, detail.as_deref())
            .await?;
        if let (OperationKind::Create, Some(reason)) = (operation.kind, &detail) {
            self.fail_provisioning(change, picture, reason).await?;
        }
        Ok(())
    }

    /// A create failed for good: what waited for it ends. Never trusted alone: a delete follows.
    async fn fail_provisioning(
        &self,
        change: &mut Change,
        picture: &Picture,
        detail: &str,
    ) -> anyhow::Result<()> {
        for grant in picture
            .grants
            .iter()
            .filter(|grant| grant.status() == GrantStatus::Provisioning)
        {
            let (request, mut grant) = find(change, picture, grant.id).await?;
            ledger::end(
                change,
                &request,
                &mut grant,
                EndReason::ProvisioningFailed,
                Some(detail),
            )
            .await?;
        }
        Ok(())
    }

    /// An operation is not open any more: listings from before count no more, its place is free, and
    /// the event says what became of it.
    pub(super) async fn close(
        &self,
        change: &mut Change,
        picture: &Picture,
        operation: &Operation,
        detail: Option<&str>,
    ) -> anyhow::Result<()> {
        let kind = match operation.status {
            OperationStatus::Succeeded => by_kind(
                operation.kind,
                EventType::CreateSucceeded,
                EventType::DeleteSucceeded,
            ),
            OperationStatus::Failed => by_kind(
                operation.kind,
                EventType::CreateFailed,
                EventType::DeleteFailed,
            ),
            OperationStatus::Refused => by_kind(
                operation.kind,
                EventType::CreateRefused,
                EventType::DeleteRefused,
            ),
            OperationStatus::Stuck => by_kind(
                operation.kind,
                EventType::CreateStuck,
                EventType::DeleteStuck,
            ),
            OperationStatus::Expired => EventType::CreateExpired,
            _ => by_kind(operation.kind, EventType::CreateLost, EventType::DeleteLost),
        };
        assignments::touch(change.conn(), picture.assignment.id, None).await?;
        locked(&self.outstanding).close(&picture.assignment.account_id);
        self.record(change, picture, operation, kind, detail).await
    }

    /// An event about an operation: of the grant that a create is for, of the oldest ending grant for
    /// a delete.
    pub(super) async fn record(
        &self,
        change: &mut Change,
        picture: &Picture,
        operation: &Operation,
        kind: EventType,
        detail: Option<&str>,
    ) -> anyhow::Result<()> {
        let about = picture
            .grants
            .iter()
            .find(|grant| match operation.grant_id {
                Some(id) => grant.id == id,
                None => grant.status() == GrantStatus::Ending,
            });
        let mut event = Event::new(kind)
            .with("operation", operation.id.to_string())
            .with("aws_request_id", operation.aws_id.clone())
            .with("detail", detail);
        if let Some(grant) = about {
            let (request, grant) = find(change, picture, grant.id).await?;
            event = event.request(request.id, &request.target).grant(grant.id);
        }
        change.record(event);
        Ok(())
    }

    pub(super) async fn call_failed(
        &self,
        picture: &Picture,
        error: &CallFailed,
    ) -> anyhow::Result<Then> {
        self.note_failure(error);
        self.retry_later(picture.assignment.id, retry::ENDING_CAP, &error.detail)
            .await
    }

    /// Nothing changed but the time of the next try.
    pub(super) async fn retry_later(
        &self,
        id: AssignmentId,
        cap: TimeDelta,
        why: &str,
    ) -> anyhow::Result<Then> {
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let assignment = assignments::lock(change.conn(), id).await?;
        let retry_at = self.time_of(&mut change).await? + delay(&assignment, cap);
        assignments::fail(change.conn(), id, retry_at, why).await?;
        fail_point!("engine.retry.uncommitted");
        change.commit_bookkeeping().await?;
        fail_point!("engine.retry.committed");
        Ok(Then::Again)
    }

    pub(super) async fn back_off(
        &self,
        change: &mut Change,
        picture: &Picture,
        kind: OperationKind,
        why: &str,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let cap = if kind == OperationKind::Create {
            retry::STARTING_CAP
        } else {
            retry::ENDING_CAP
        };
        let retry_at = now + delay(&picture.assignment, cap);
        assignments::fail(change.conn(), picture.assignment.id, retry_at, why).await?;
        Ok(())
    }

    /// When to look at a new operation for the first time: most are done by then.
    async fn first_look(
        &self,
        change: &mut Change,
        kind: OperationKind,
    ) -> anyhow::Result<TimeDelta> {
        let usual = operations::usual_seconds(change.conn(), kind).await?;
        Ok(usual.map_or(self.settings.first_look, |seconds| {
            // A little early, so that the figure can also fall: it is made of our own looks.
            let seconds = (seconds * 0.9).clamp(FIRST_LOOK.0, FIRST_LOOK.1);
            std::time::Duration::try_from_secs_f64(seconds)
                .ok()
                .and_then(|time| TimeDelta::from_std(time).ok())
                .unwrap_or(self.settings.first_look)
        }))
    }
}

fn by_kind(kind: OperationKind, create: EventType, delete: EventType) -> EventType {
    match kind {
        OperationKind::Create => create,
        OperationKind::Delete => delete,
    }
}

/// Until the next try. What is confirmed gone is hardly worth one, and gets one all the same.
fn delay(assignment: &Assignment, cap: TimeDelta) -> TimeDelta {
    let is_gone = assignment
        .target_gone
        .is_some_and(|gone| gone.is_confirmed());
    if is_gone && cap == retry::ENDING_CAP {
        retry::delay(i32::MAX, retry::GONE_CAP, seed(assignment))
    } else {
        retry::delay(assignment.failures + 1, cap, seed(assignment))
    }
}

fn seed(assignment: &Assignment) -> u64 {
    assignment
        .id
        .0
        .as_u64_pair()
        .1
        .wrapping_add(u64::try_from(assignment.failures).unwrap_or(0))
}
