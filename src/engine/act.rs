//! Taking a step: decide under the locks, commit the intent, call Identity Center, and hand what it
//! said to `record`. Short transactions, and no call inside any of them.
//!
//! Whatever happens in between (a crash, a lost answer, another engine), the rows say enough for the
//! next pass to take the next step.

use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;

use super::grasp::{Grasp, find};
use super::step::{self, Picture, Step};
use super::{Engine, locked, recovery};
use crate::access::assignment::{Assignment, Operation, OperationKind, OperationStatus};
use crate::access::grant::{EndReason, GrantStatus};
use crate::access::id::{AssignmentId, GrantId, OperationId};
use crate::audit::event::{Event, EventType};
use crate::aws::permit::Permit;
use crate::ledger;
use crate::postgres::change::Change;
use crate::postgres::{assignments, grants, operations, policies};
use crate::retry;

/// Most steps of one assignment in one pass; the rest is for the next.
const STEPS: usize = 16;

/// Between two looks at whether access may start again.
const HELD_BACK: TimeDelta = TimeDelta::seconds(5);

/// Whether the pass goes on with this assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Look at it again at once.
    Again,
    /// Nothing more in this pass.
    Stop,
}

impl Engine {
    /// Takes the steps of one assignment that are due.
    ///
    /// # Errors
    /// If the database refuses or a row makes no sense.
    pub(super) async fn advance(&self, id: AssignmentId) -> anyhow::Result<()> {
        for _ in 0..STEPS {
            if self.take_step(id).await? == Then::Stop {
                break;
            }
        }
        Ok(())
    }

    async fn take_step(&self, id: AssignmentId) -> anyhow::Result<Then> {
        let Some(Grasp {
            mut change,
            picture,
            now,
        }) = self.grasp_to_decide(id).await?
        else {
            return Ok(Then::Stop);
        };
        let step = step::next(&picture, &self.settings.timing, now);
        tracing::debug!(assignment.id = %id, ?step, "step");
        fail_point!("engine.step.locked");
        if matches!(step, Step::Create(_) | Step::Join(_)) && !self.may_start(&mut change).await? {
            let deadlines = picture
                .grants
                .iter()
                .filter_map(|grant| grant.deadline(now));
            let until = deadlines.fold(now + HELD_BACK, Ord::min);
            return self.rest(change, id, Some(until)).await;
        }
        match step {
            Step::Idle => self.rest(change, id, None).await,
            Step::Wait(until) => self.rest(change, id, Some(until)).await,
            Step::EndGrant(grant, reason) => {
                let (request, mut grant) = find(&mut change, &picture, grant).await?;
                ledger::end(&mut change, &request, &mut grant, reason, None).await?;
                fail_point!("engine.end.uncommitted");
                change.commit().await?;
                fail_point!("engine.end.committed");
                Ok(Then::Again)
            }
            Step::ReportOverdue(grant) => {
                let (request, mut grant) = find(&mut change, &picture, grant).await?;
                ledger::report_overdue(&mut change, &request, &mut grant).await?;
                fail_point!("engine.overdue.uncommitted");
                change.commit().await?;
                fail_point!("engine.overdue.committed");
                Ok(Then::Again)
            }
            Step::Activate(grant) => {
                let (request, mut grant) = find(&mut change, &picture, grant).await?;
                change.record(
                    Event::new(EventType::CreateConfirmed)
                        .request(request.id, &request.target)
                        .grant(grant.id),
                );
                ledger::activate(&mut change, &request, &mut grant).await?;
                fail_point!("engine.activate.uncommitted");
                change.commit().await?;
                fail_point!("engine.activate.committed");
                self.metrics
                    .activated((now - grant.start_at).to_std().unwrap_or_default());
                Ok(Then::Again)
            }
            Step::Gone => self.finish(change, &picture, now).await,
            Step::SetStuck(_) | Step::GiveUp(_) => self.abandon(change, &picture, step, now).await,
            Step::Delete => self.delete(change, picture, now).await,
            Step::Create(grant) | Step::Join(grant) => {
                drop(change);
                self.start(id, &picture, step, grant).await
            }
            Step::Look | Step::Describe(_) | Step::FindLost(_) => {
                drop(change);
                if !self.take_call() {
                    return Ok(Then::Stop);
                }
                match step {
                    Step::Look => self.look(&picture, now).await,
                    Step::Describe(operation) => self.ask(&picture, operation).await,
                    Step::FindLost(operation) => self.find_lost(&picture, operation).await,
                    _ => Ok(Then::Stop),
                }
            }
        }
    }

    async fn rest(
        &self,
        mut change: Change,
        id: AssignmentId,
        until: Option<DateTime<Utc>>,
    ) -> anyhow::Result<Then> {
        assignments::set_next(change.conn(), id, until).await?;
        fail_point!("engine.rest.uncommitted");
        change.commit_bookkeeping().await?;
        fail_point!("engine.rest.committed");
        Ok(Then::Stop)
    }

    /// Confirmed gone: every ending grant is over, and the assignment is not ours any more.
    async fn finish(
        &self,
        mut change: Change,
        picture: &Picture,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Then> {
        let mut lags = Vec::new();
        for grant in picture
            .grants
            .iter()
            .filter(|grant| grant.status() == GrantStatus::Ending)
        {
            let (request, mut grant) = find(&mut change, picture, grant.id).await?;
            change.record(
                Event::new(EventType::DeleteConfirmed)
                    .request(request.id, &request.target)
                    .grant(grant.id),
            );
            lags.extend(grant.end_due_at().map(|due_at| now - due_at));
            ledger::confirm_gone(&mut change, &request, &mut grant).await?;
        }
        assignments::let_go(
            change.conn(),
            picture.assignment.id,
            picture.assignment.revision,
        )
        .await?;
        change.wake();
        fail_point!("engine.finish.uncommitted");
        let of = &picture.assignment;
        if lags.is_empty() && of.owned_since.is_some() {
            // What was closed before anybody could confirm it.
            change.record(
                Event::new(EventType::DeleteConfirmed)
                    .with("account_id", of.account_id.as_str())
                    .with("permission_set_arn", of.permission_set_arn.as_str())
                    .with("principal_id", of.principal_id.as_str()),
            );
            change.commit().await?;
        } else if lags.is_empty() {
            change.commit_bookkeeping().await?;
        } else {
            change.commit().await?;
        }
        fail_point!("engine.finish.committed");
        for lag in lags {
            self.metrics.ended(lag.to_std().unwrap_or_default());
        }
        Ok(Then::Again)
    }

    /// An operation that never ends, or an answer that never comes: stop waiting for it.
    async fn abandon(
        &self,
        mut change: Change,
        picture: &Picture,
        step: Step,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Then> {
        let Some(mut operation) = picture.history.open.clone() else {
            return Ok(Then::Again);
        };
        let from = operation.status;
        if let Step::SetStuck(_) = step {
            operation.status = OperationStatus::Stuck;
            operation.next_look_at = Some(now + TimeDelta::minutes(1));
            tracing::error!(operation.id = %operation.id, kind = operation.kind.as_str(), "an operation does not finish in Identity Center");
        } else {
            operation.status = OperationStatus::Lost;
            operation.resolved_at = Some(now);
            self.back_off(&mut change, picture, operation.kind, "no answer", now)
                .await?;
        }
        operations::save(change.conn(), &operation, from, now, None).await?;
        self.close(&mut change, picture, &operation, None).await?;
        fail_point!("engine.abandon.uncommitted");
        change.commit().await?;
        fail_point!("engine.abandon.committed");
        Ok(Then::Again)
    }

    /// Commits the intent of a delete, and sends it.
    async fn delete(
        &self,
        mut change: Change,
        picture: Picture,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Then> {
        if !self.take_place(&picture.assignment.account_id) {
            return Ok(Then::Stop);
        }
        // A delete that a thawed process sent hours later would take away what came since.
        let permit = Permit::start(&self.db.clock, self.settings.permit);
        let operation = self
            .intend(
                &mut change,
                &picture.assignment,
                OperationKind::Delete,
                None,
                now,
            )
            .await?;
        self.record(
            &mut change,
            &picture,
            &operation,
            EventType::DeleteIntended,
            None,
        )
        .await?;
        fail_point!("engine.delete.uncommitted");
        change.commit().await?;
        fail_point!("engine.delete.committed");
        let answer = self
            .identity_center
            .delete(&picture.assignment, permit)
            .await;
        fail_point!("engine.delete.answered");
        self.take_answer(&picture.assignment, operation.id, answer)
            .await
    }

    /// Checks that access may start (P1), then shares what is there or sends a create.
    async fn start(
        &self,
        id: AssignmentId,
        picture: &Picture,
        step: Step,
        grant: GrantId,
    ) -> anyhow::Result<Then> {
        let Some(grant) = picture
            .grants
            .iter()
            .find(|candidate| candidate.id == grant)
        else {
            return Ok(Then::Again);
        };
        let is_create = matches!(step, Step::Create(_));
        if is_create && !locked(&self.outstanding).has_room(&picture.assignment.account_id) {
            return Ok(Then::Stop);
        }
        let asked_at = self.db.clock.boot();
        fail_point!("engine.check.before");
        let live = match self.evidence(grant).await {
            Ok(live) => live,
            Err(error) => {
                tracing::warn!(grant.id = %grant.id, error = format!("{error:#}"), "the directory can't be read; access waits");
                return self
                    .retry_later(id, retry::STARTING_CAP, &format!("{error:#}"))
                    .await;
            }
        };
        fail_point!("engine.check.answered");
        let permit = Permit::start(&self.db.clock, self.settings.permit);
        let Some(Grasp {
            mut change,
            picture,
            now,
        }) = self.grasp_to_decide(id).await?
        else {
            return Ok(Then::Stop);
        };
        // Much may have happened while the directory was asked.
        let took = self.db.clock.boot().saturating_sub(asked_at);
        if took > self.settings.check_max_age || !self.may_start(&mut change).await? {
            return Ok(Then::Stop);
        }
        let policy_version = policies::version_in_force(change.conn()).await?;
        if step::next(&picture, &self.settings.timing, now) != step
            || live.policy_version != policy_version
        {
            return Ok(Then::Again);
        }
        let (request, mut grant) = find(&mut change, &picture, grant.id).await?;
        if let Err(why) = self.judge(&mut change, &request, &live.evidence).await? {
            ledger::end(
                &mut change,
                &request,
                &mut grant,
                EndReason::NoLongerAllowed,
                Some(&why.to_string()),
            )
            .await?;
            fail_point!("engine.check.failing");
            change.commit().await?;
            fail_point!("engine.check.failed");
            return Ok(Then::Again);
        }
        if is_create && !self.take_place(&picture.assignment.account_id) {
            return Ok(Then::Stop);
        }
        if grant.status() == GrantStatus::Scheduled {
            ledger::provision(&mut change, &request, &mut grant).await?;
        }
        if !is_create {
            fail_point!("engine.join.uncommitted");
            change.commit().await?;
            fail_point!("engine.join.committed");
            return Ok(Then::Again);
        }
        let from = grant.status();
        grant.mark_sent(now)?;
        grants::save(change.conn(), &grant, from).await?;
        let operation = self
            .intend(
                &mut change,
                &picture.assignment,
                OperationKind::Create,
                Some(grant.id),
                now,
            )
            .await?;
        self.record(
            &mut change,
            &picture,
            &operation,
            EventType::CreateIntended,
            None,
        )
        .await?;
        fail_point!("engine.create.uncommitted");
        change.commit().await?;
        fail_point!("engine.create.committed");
        locked(&self.memory).note(recovery::owned(&picture.assignment, now));
        let answer = self
            .identity_center
            .create(&picture.assignment, permit)
            .await;
        fail_point!("engine.create.answered");
        self.take_answer(&picture.assignment, operation.id, answer)
            .await
    }

    /// A place among the outstanding operations, and the call that fills it.
    fn take_place(&self, account_id: &str) -> bool {
        if !locked(&self.outstanding).open(account_id) {
            return false;
        }
        let may_call = self.take_call();
        if !may_call {
            locked(&self.outstanding).close(account_id);
        }
        may_call
    }

    /// The row of an attempt, before it is sent. From a create's on the assignment is ours.
    async fn intend(
        &self,
        change: &mut Change,
        assignment: &Assignment,
        kind: OperationKind,
        grant_id: Option<GrantId>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Operation> {
        let permit = TimeDelta::from_std(self.settings.permit)?;
        let answer_by = now + permit + TimeDelta::from_std(self.settings.call_timeout)?;
        let operation = Operation {
            id: OperationId::new(now),
            kind,
            grant_id,
            status: OperationStatus::Intended,
            intended_at: now,
            answer_by,
            unresolved_until: answer_by + self.settings.timing.settle,
            aws_id: None,
            looks: 0,
            next_look_at: None,
            resolved_at: None,
        };
        operations::insert(
            change.conn(),
            assignment.id,
            &assignment.account_id,
            &operation,
        )
        .await?;
        let owned_since = (kind == OperationKind::Create).then_some(now);
        assignments::touch(change.conn(), assignment.id, owned_since).await?;
        assignments::set_next(change.conn(), assignment.id, Some(answer_by)).await?;
        Ok(operation)
    }
}
