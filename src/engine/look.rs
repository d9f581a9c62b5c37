//! Asking Identity Center: how an operation goes, what a complete listing shows, and what became of a
//! create whose answer never came.
//!
//! The questions are asked outside any transaction; what they bring is recorded only if the rows are
//! still those that the question was about.

use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;

use super::act::Then;
use super::grasp::Grasp;
use super::step::Picture;
use super::{Engine, locked};
use crate::access::assignment::{Operation, OperationKind, OperationStatus, Sight};
use crate::access::id::OperationId;
use crate::access::person::Actor;
use crate::audit::event::EventType;
use crate::aws::answer::{CallFailed, Progress};
use crate::postgres::change::Change;
use crate::postgres::{assignments, operations};

impl Engine {
    /// Asks how an operation goes.
    pub(super) async fn ask(&self, picture: &Picture, id: OperationId) -> anyhow::Result<Then> {
        let asked = [&picture.history.open, &picture.history.stuck]
            .into_iter()
            .flatten()
            .find(|operation| operation.id == id);
        let Some((kind, Some(aws_id))) =
            asked.map(|operation| (operation.kind, operation.aws_id.clone()))
        else {
            return Ok(Then::Stop);
        };
        fail_point!("engine.ask.before");
        let progress = match self.identity_center.progress(kind, &aws_id).await {
            Ok(progress) => progress,
            Err(error) => return self.call_failed(picture, &error).await,
        };
        locked(&self.reach).answered();
        fail_point!("engine.ask.answered");
        let Grasp {
            mut change,
            picture,
            now,
        } = self.grasp_to_record(picture.assignment.id).await?;
        let still = [&picture.history.open, &picture.history.stuck]
            .into_iter()
            .flatten()
            .find(|operation| operation.id == id)
            .cloned();
        let Some(mut operation) = still else {
            return Ok(Then::Again);
        };
        fail_point!("engine.ask.locked");
        match progress {
            Progress::Pending => {
                let from = operation.status;
                operation.looks += 1;
                operation.next_look_at = Some(now + next_look(operation.looks));
                operations::save(change.conn(), &operation, from, now, None).await?;
                change.commit_bookkeeping().await?;
            }
            Progress::Done(outcome) => {
                self.resolve(&mut change, &picture, operation, outcome, now)
                    .await?;
                change.commit().await?;
            }
            Progress::Forgotten => {
                let from = operation.status;
                operation.status = OperationStatus::Lost;
                operation.resolved_at = Some(now);
                operations::save(
                    change.conn(),
                    &operation,
                    from,
                    now,
                    Some("Identity Center does not know it"),
                )
                .await?;
                self.close(
                    &mut change,
                    &picture,
                    &operation,
                    Some("Identity Center does not know it"),
                )
                .await?;
                change.commit().await?;
            }
        }
        fail_point!("engine.ask.committed");
        Ok(Then::Again)
    }

    /// One complete listing. It counts only if no operation was opened or resolved meanwhile.
    pub(super) async fn look(
        &self,
        picture: &Picture,
        began_at: DateTime<Utc>,
    ) -> anyhow::Result<Then> {
        let of = &picture.assignment;
        fail_point!("engine.look.before");
        let present = match self.identity_center.is_assigned(of).await {
            Ok(present) => present,
            Err(error) => return self.call_failed(picture, &error).await,
        };
        locked(&self.reach).answered();
        fail_point!("engine.look.answered");
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let current = assignments::lock(change.conn(), of.id).await?;
        let sight = Sight::after(current.sight, present, began_at);
        assignments::see(change.conn(), of.id, of.revision, sight).await?;
        fail_point!("engine.look.uncommitted");
        change.commit_bookkeeping().await?;
        fail_point!("engine.look.committed");
        Ok(Then::Again)
    }

    /// The answer to a create never came. If Identity Center knows an operation of this tuple that we
    /// don't, that one is followed. The attempt itself is lost, and, once it can't arrive any more and
    /// there is nothing left to find, expired.
    pub(super) async fn find_lost(
        &self,
        picture: &Picture,
        id: OperationId,
    ) -> anyhow::Result<Then> {
        let in_question = |picture: &Picture| {
            let found = [&picture.history.open, &picture.history.lost_create]
                .into_iter()
                .flatten();
            found
                .filter(|operation| {
                    operation.aws_id.is_none() || operation.status == OperationStatus::Lost
                })
                .find(|operation| operation.id == id)
                .cloned()
        };
        let Some(lost) = in_question(picture) else {
            return Ok(Then::Again);
        };
        fail_point!("engine.find_lost.before");
        let found = match self.find_unknown_create(picture, lost.intended_at).await {
            Ok(Found::NotYet) => return Ok(Then::Stop),
            Ok(Found::Ours(aws_id)) => Some(aws_id),
            Ok(Found::Nothing) => None,
            Err(error) => return self.call_failed(picture, &error).await,
        };
        fail_point!("engine.find_lost.answered");
        let Grasp {
            mut change,
            picture,
            now,
        } = self.grasp_to_record(picture.assignment.id).await?;
        // What a search from before says of an attempt that was not given up then settles nothing now.
        let Some(mut operation) = in_question(&picture).filter(|operation| *operation == lost)
        else {
            return Ok(Then::Again);
        };
        let from = operation.status;
        if let Some(aws_id) = found {
            // A process that was frozen since it asked finds what another one has found.
            let asked = std::slice::from_ref(&aws_id);
            if !operations::known(change.conn(), asked).await?.is_empty() {
                return Ok(Then::Again);
            }
            if from != OperationStatus::Lost {
                operation.status = OperationStatus::Lost;
                operation.resolved_at = Some(now);
                operations::save(change.conn(), &operation, from, now, None).await?;
            }
            let of = &picture.assignment;
            let found = operation.found(OperationId::new(now), aws_id, now);
            let unsent = Operation {
                status: OperationStatus::Intended,
                ..found.clone()
            };
            operations::insert(change.conn(), of.id, &of.account_id, &unsent).await?;
            operations::save(
                change.conn(),
                &found,
                unsent.status,
                now,
                Some("found by listing"),
            )
            .await?;
            assignments::touch(change.conn(), of.id, None).await?;
            self.record(
                &mut change,
                &picture,
                &found,
                EventType::CreateAccepted,
                Some("found by listing"),
            )
            .await?;
        } else {
            operation.status = if from == OperationStatus::Lost {
                OperationStatus::Expired
            } else {
                OperationStatus::Lost
            };
            operation.resolved_at = Some(now);
            operations::save(change.conn(), &operation, from, now, None).await?;
            if from == OperationStatus::Intended {
                self.back_off(
                    &mut change,
                    &picture,
                    OperationKind::Create,
                    "no answer",
                    now,
                )
                .await?;
            }
            self.close(&mut change, &picture, &operation, None).await?;
        }
        fail_point!("engine.find_lost.uncommitted");
        change.commit().await?;
        fail_point!("engine.find_lost.committed");
        Ok(Then::Again)
    }

    /// The whole organisation's operations are in that list, and each that we don't know costs a call:
    /// so each is asked for once, and only while there are calls to be had. The first is always asked
    /// for: on a small budget the listing itself would use up what there is, and the search never end.
    async fn find_unknown_create(
        &self,
        picture: &Picture,
        since: DateTime<Utc>,
    ) -> Result<Found, CallFailed> {
        let of = &picture.assignment;
        let recent = self.identity_center.recent_creates(since).await?;
        locked(&self.reach).answered();
        fail_point!("engine.find_lost.listed");
        let known = async { operations::known(&mut *self.db.conn().await?, &recent).await }.await;
        let known = known.map_err(|error| CallFailed {
            is_throttled: false,
            detail: error.to_string(),
        })?;
        let mut has_asked = false;
        for aws_id in recent.into_iter().filter(|id| !known.contains(id)) {
            let asked = (of.id, aws_id);
            if locked(&self.foreign).contains(&asked) {
                continue;
            }
            if has_asked && !self.take_call() {
                return Ok(Found::NotYet);
            }
            has_asked = true;
            if self.identity_center.is_create_of(&asked.1, of).await? {
                return Ok(Found::Ours(asked.1));
            }
            let mut foreign = locked(&self.foreign);
            if foreign.len() >= MOST_FOREIGN {
                foreign.clear();
            }
            foreign.insert(asked);
        }
        Ok(Found::Nothing)
    }
}

/// Operations that are remembered as not ours.
const MOST_FOREIGN: usize = 10_000;

/// What became of the search for a lost create.
enum Found {
    /// Its `RequestId`.
    Ours(String),
    /// Identity Center knows none.
    Nothing,
    /// There were no calls left; the search goes on where it was.
    NotYet,
}

/// Between looks at an operation: one second at first, ten in the end.
fn next_look(looks: i32) -> TimeDelta {
    TimeDelta::seconds(i64::from(looks).clamp(1, 10))
}
