//! The engine's one decision: given what is wanted, what was last known, what is under way and the
//! time, what is the next step for this assignment? Pure, total, and the only authority.
//!
//! Level-triggered: a crash, a lost answer and a hand-made change are all just another picture.
//! Rules are cited by their numbers in the access protocol (S1–S4, G1–G2, W1–W2, T2–T4).

use chrono::{DateTime, TimeDelta, Utc};

use super::history::History;
use crate::access::assignment::{Assignment, Operation, OperationKind, OperationStatus, Sight};
use crate::access::grant::{EndReason, Grant, GrantState, GrantStatus, OVERDUE_AFTER};
use crate::access::id::{GrantId, OperationId};

/// The waits that make conclusions sound. See `settings` for where the values come from.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long an attempt may still arrive after its permit: AWS refuses older signatures.
    pub settle: TimeDelta,
    /// Between two listings that call an assignment standing although ours was there lately (S2).
    pub standing_gap: TimeDelta,
    /// Between two listings that confirm an absence after a failed or lost delete (G1, S3).
    pub confirm_gap: TimeDelta,
    /// Between two listings while Identity Center's own listing lags behind.
    pub relist: TimeDelta,
    /// An operation that is in progress for so long is stuck.
    pub stuck: TimeDelta,
}

/// Everything the decision depends on, for one assignment.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The ledger's row.
    pub assignment: Assignment,
    /// Its grants that are not over, oldest first.
    pub grants: Vec<Grant>,
    /// Its operations.
    pub history: History,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until something changes.
    Idle,
    /// Nothing before then.
    Wait(DateTime<Utc>),
    /// Start the end of a grant, or fail it if nothing was ever sent for it.
    EndGrant(GrantId, EndReason),
    /// An ending takes too long: say so, once (G2).
    ReportOverdue(GrantId),
    /// Check the grant (P1), then send a create for it.
    Create(GrantId),
    /// Check the grant (P1), then let it share what is there or coming.
    Join(GrantId),
    /// Identity Center confirmed: the grant is active.
    Activate(GrantId),
    /// Send a delete.
    Delete,
    /// Ask for the status of an operation.
    Describe(OperationId),
    /// An answer never came, or AWS refuses the attempt by now: look for the operation that a create
    /// may have started.
    FindLost(OperationId),
    /// An answer never came: count the attempt as lost.
    GiveUp(OperationId),
    /// In progress for too long: alarm, and stop waiting for it.
    SetStuck(OperationId),
    /// One complete listing.
    Look,
    /// Confirmed gone: finish every ending grant, and let go of the assignment.
    Gone,
}

impl Step {
    /// Does it call AWS?
    #[must_use]
    pub fn calls_aws(self) -> bool {
        matches!(
            self,
            Self::Create(_)
                | Self::Join(_)
                | Self::Delete
                | Self::Describe(_)
                | Self::FindLost(_)
                | Self::Look
        )
    }
}

/// The next step at this time.
#[must_use]
pub fn next(picture: &Picture, timing: &Timing, now: DateTime<Utc>) -> Step {
    let step = unpaced(picture, timing, now);
    let step = match picture.assignment.retry_at {
        Some(retry_at) if step.calls_aws() && retry_at > now => Step::Wait(retry_at),
        _ => step,
    };
    // Whatever we wait for, the deadline of a grant comes first.
    let deadline = picture
        .grants
        .iter()
        .filter_map(|grant| grant.deadline(now).or(overdue_from(picture, grant)))
        .min();
    match (step, deadline) {
        (Step::Wait(until), Some(deadline)) => Step::Wait(until.min(deadline)),
        (Step::Idle, Some(deadline)) => Step::Wait(deadline),
        (step, _) => step,
    }
}

fn unpaced(picture: &Picture, timing: &Timing, now: DateTime<Utc>) -> Step {
    if let Some((grant, reason)) = picture
        .grants
        .iter()
        .find_map(|grant| Some((grant.id, grant.due(now)?)))
    {
        return Step::EndGrant(grant, reason);
    }
    if let Some(overdue) = picture
        .grants
        .iter()
        .find(|grant| overdue_from(picture, grant).is_some_and(|from| now >= from))
    {
        return Step::ReportOverdue(overdue.id);
    }
    if let Some(open) = &picture.history.open {
        return follow(open, picture, timing, now);
    }
    let ours = picture.assignment.owned_since.is_some();
    let leaving = picture
        .history
        .last
        .as_ref()
        .is_some_and(|last| last.kind == OperationKind::Delete);
    if ours && (leaving || !is_wanted(picture)) {
        take_away(picture, timing, now)
    } else if ours {
        keep(picture, timing, now)
    } else {
        give(picture, timing, now)
    }
}

/// Does any grant want the assignment to exist (W1)?
fn is_wanted(picture: &Picture) -> bool {
    picture.grants.iter().any(Grant::is_wanted)
}

/// When an ending that was not reported yet becomes overdue, counted from when access was to end: what
/// began late is late. One that waits because another grant still needs the assignment is not: it
/// counts from the last of them to end.
fn overdue_from(picture: &Picture, grant: &Grant) -> Option<DateTime<Utc>> {
    if is_wanted(picture) || grant.overdue_at.is_some() || grant.end_due_at().is_none() {
        return None;
    }
    let last = picture.grants.iter().filter_map(Grant::end_due_at).max()?;
    Some(last + OVERDUE_AFTER)
}

/// An operation is open: wait for its answer, or its outcome (S4).
fn follow(open: &Operation, picture: &Picture, timing: &Timing, now: DateTime<Utc>) -> Step {
    // Questions that find no answer must not hold up the way out.
    let unanswered = picture.assignment.failures > 0;
    if open.status == OperationStatus::InProgress {
        let asked = open.looks > 0 || unanswered;
        return match open.next_look_at {
            _ if now >= open.intended_at + timing.stuck && asked => Step::SetStuck(open.id),
            Some(look) if now < look => Step::Wait(look),
            _ => Step::Describe(open.id),
        };
    }
    if now < open.answer_by {
        Step::Wait(open.answer_by)
    } else if open.kind == OperationKind::Create && (is_wanted(picture) || !unanswered) {
        Step::FindLost(open.id)
    } else {
        Step::GiveUp(open.id)
    }
}

/// Ours, and nobody wants it (any more): delete, then make sure (G1).
fn take_away(picture: &Picture, timing: &Timing, now: DateTime<Utc>) -> Step {
    let sight = picture.assignment.sight;
    let Some(last) = &picture.history.last else {
        // Every create was definitely refused, so nothing of ours is there. One look proves it; what
        // it shows instead came while ours was wanted and can't be told apart (S2).
        return match sight {
            None => Step::Look,
            Some(Sight { present: true, .. }) => Step::Delete,
            Some(Sight { present: false, .. }) => Step::Gone,
        };
    };
    if last.kind == OperationKind::Create || last.status == OperationStatus::Lost {
        return Step::Delete;
    }
    let succeeded = last.status == OperationStatus::Succeeded;
    match sight {
        None => Step::Look,
        Some(seen) if seen.present => {
            // After a success the listing may only lag behind; after anything else it is believed.
            if succeeded && seen.lasted() < timing.confirm_gap {
                look_again(seen.last_at + timing.relist, now)
            } else {
                Step::Delete
            }
        }
        Some(seen) if !succeeded && seen.lasted() < timing.confirm_gap => {
            look_again(seen.first_at + timing.confirm_gap, now)
        }
        Some(seen) => confirm(picture, seen, timing, now),
    }
}

/// Absent as far as listings go. Gone only if no create of ours can arrive or finish any more.
fn confirm(picture: &Picture, seen: Sight, timing: &Timing, now: DateTime<Utc>) -> Step {
    if let Some(stuck) = &picture.history.stuck {
        return ask_again(stuck, now);
    }
    match &picture.history.lost_create {
        None => Step::Gone,
        // What is seen meanwhile is deleted. Only when it can't arrive any more does Identity Center's
        // list of operations say for good whether it did.
        Some(lost) if now < lost.unresolved_until => look_again(
            (seen.last_at + timing.confirm_gap).min(lost.unresolved_until),
            now,
        ),
        Some(lost) => Step::FindLost(lost.id),
    }
}

/// Ours, and somebody wants it.
fn keep(picture: &Picture, timing: &Timing, now: DateTime<Utc>) -> Step {
    let sight = picture.assignment.sight;
    let arrived = picture
        .history
        .last
        .as_ref()
        .filter(|last| last.status == OperationStatus::Succeeded);

    // Somebody took away what was active (S3). Never put back; two looks, so that a stale listing
    // ends nothing.
    if let Some(active) = picture
        .grants
        .iter()
        .find(|grant| grant.status() == GrantStatus::Active)
        && let Some(seen) = sight.filter(|seen| !seen.present)
    {
        if seen.lasted() >= timing.confirm_gap {
            return Step::EndGrant(active.id, EndReason::RemovedOutside);
        }
        return look_again(seen.first_at + timing.confirm_gap, now);
    }

    for grant in &picture.grants {
        match grant.state {
            GrantState::Provisioning(window) => {
                let Some(create) = arrived else {
                    // A stuck create is still followed; any other is tried again, unless it failed.
                    return match &picture.history.last {
                        Some(last) if last.status == OperationStatus::Failed => {
                            Step::EndGrant(grant.id, EndReason::ProvisioningFailed)
                        }
                        Some(last) if last.status == OperationStatus::Stuck => ask_again(last, now),
                        _ => Step::Create(grant.id),
                    };
                };
                let since = create
                    .resolved_at
                    .unwrap_or(create.intended_at)
                    .max(window.provisioning_at);
                // It only joined, whoever sent the create wants it no more, and it is not there: that
                // was taken away too.
                let sender_waits = picture.grants.iter().any(|other| {
                    matches!(other.state, GrantState::Provisioning(window) if window.sent_at.is_some())
                });
                return match sight {
                    Some(seen)
                        if !seen.present
                            && !sender_waits
                            && seen.lasted() >= timing.confirm_gap =>
                    {
                        Step::EndGrant(grant.id, EndReason::RemovedOutside)
                    }
                    Some(seen) if seen.present && seen.last_at >= since => Step::Activate(grant.id),
                    Some(seen) => look_again((seen.last_at + timing.relist).max(since), now),
                    None => Step::Look,
                };
            }
            GrantState::Scheduled if now >= grant.start_at => return Step::Join(grant.id),
            _ => {}
        }
    }
    // Settled as soon as it can be, a lost create holds up no end later.
    match &picture.history.lost_create {
        None => Step::Idle,
        Some(lost) if now < lost.unresolved_until => Step::Wait(lost.unresolved_until),
        Some(lost) => Step::FindLost(lost.id),
    }
}

/// Not ours: may a create be sent? Never over an assignment that stands (S2).
fn give(picture: &Picture, timing: &Timing, now: DateTime<Utc>) -> Step {
    let waiting = picture.grants.iter().find(|grant| match grant.state {
        GrantState::Scheduled => now >= grant.start_at,
        GrantState::Provisioning(_) => true,
        _ => false,
    });
    let Some(grant) = waiting else {
        // An ending grant of an assignment that is not ours can't be; if a row says so all the
        // same, the listing decides, as ever.
        let ending = picture
            .grants
            .iter()
            .any(|grant| grant.status() == GrantStatus::Ending);
        return match picture.assignment.sight {
            _ if !ending => Step::Idle,
            Some(Sight { present: false, .. }) => Step::Gone,
            Some(Sight { present: true, .. }) => Step::Delete,
            None => Step::Look,
        };
    };
    match picture.assignment.sight {
        Some(seen)
            if seen.last_at >= grant.start_at && seen.last_at + timing.standing_gap >= now =>
        {
            let lately_ours = picture
                .history
                .touched_at
                .is_some_and(|touched| touched + timing.settle > seen.first_at);
            match (seen.present, picture.history.delete_may_arrive_until) {
                (true, _) if lately_ours && seen.lasted() < timing.standing_gap => {
                    look_again(seen.first_at + timing.standing_gap, now)
                }
                (true, _) => Step::EndGrant(grant.id, EndReason::AlreadyAssigned),
                // A late delete of ours would take the new access away again.
                (false, Some(until)) if until > now => Step::Wait(until),
                (false, _) => Step::Create(grant.id),
            }
        }
        _ => Step::Look,
    }
}

/// How does what is stuck go by now?
fn ask_again(stuck: &Operation, now: DateTime<Utc>) -> Step {
    match stuck.next_look_at {
        Some(look) if now < look => Step::Wait(look),
        _ => Step::Describe(stuck.id),
    }
}

fn look_again(at: DateTime<Utc>, now: DateTime<Utc>) -> Step {
    if now >= at {
        Step::Look
    } else {
        Step::Wait(at)
    }
}

#[cfg(test)]
mod tests;
