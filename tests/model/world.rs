//! The world of the model: the ledger's rows, Identity Center, and two replicas of the engine.
//!
//! Everything here is a value that can be compared and hashed, as small as it can be without leaving
//! out something that a step depends on. One tick is a minute; it stands for every wait.

use chrono::{DateTime, TimeDelta, Utc};
use curfew::access::assignment::{Assignment, Operation, OperationKind, OperationStatus, Sight};
use curfew::access::grant::{EndReason, Grant, GrantState, GrantStatus};
use curfew::access::id::{AssignmentId, GrantId, OperationId, RequestId};
use curfew::access::person::PersonId;
use curfew::engine::history::History;
use curfew::engine::step::{Picture, Timing};
use uuid::Uuid;

use crate::kinds::{Broken, FOREIGN, Intention, Maker, Message, Misfortune, Replica, Work};

/// Minutes since the world began.
pub(crate) type Tick = u8;

/// The engine's waits, as short as their order allows.
pub(crate) const TIMING: Timing = Timing {
    settle: TimeDelta::minutes(SETTLE as i64),
    standing_gap: TimeDelta::minutes(2),
    confirm_gap: TimeDelta::minutes(2),
    relist: TimeDelta::minutes(1),
    stuck: TimeDelta::minutes(4),
};

/// So long may a signed request be on its way.
pub(crate) const SETTLE: Tick = 3;

/// A listing may show what was so long ago: less than the gaps above.
pub(crate) const LAG: Tick = 1;

/// An attempt may leave its process so long after its intent, and a call takes at most as long.
pub(crate) const PERMIT: Tick = 1;

/// An operation takes one tick or two; one that is slow takes at most so many.
pub(crate) const USUAL: Tick = 2;
pub(crate) const SLOW: Tick = 6;

/// A frozen process thaws after at most so many ticks, or never matters again.
pub(crate) const FREEZE: Tick = 5;

/// A grant must be confirmed so soon after its start, and lasts so long.
const ACTIVATE_WITHIN: Tick = 8;
const GRANTED: Tick = 4;

/// Everything must have come to rest by then.
pub(crate) const HORIZON: Tick = 60;

pub(crate) fn at(tick: Tick) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + ticks(tick)
}

pub(crate) fn ticks(ticks: Tick) -> TimeDelta {
    TimeDelta::minutes(i64::from(ticks))
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) now: Tick,
    pub(crate) grants: Vec<Grant>,
    pub(crate) assignment: Assignment,
    pub(crate) operations: Vec<Operation>,
    pub(crate) there: Option<Maker>,
    pub(crate) changed_at: Option<Tick>,
    pub(crate) works: Vec<Work>,
    pub(crate) wire: Vec<Message>,
    pub(crate) replicas: [Replica; 2],
    /// How many misfortunes may still happen, and which have.
    pub(crate) left: u8,
    pub(crate) met: u32,
    pub(crate) broken: Option<Broken>,
}

fn id(number: u8) -> Uuid {
    Uuid::from_u128(number.into())
}

pub(crate) fn number(id: OperationId) -> u8 {
    u8::try_from(id.0.as_u128()).expect("the model's own number")
}

impl World {
    /// Grants that start at these ticks, and nothing else but perhaps what stands.
    pub(crate) fn new(starts: &[Tick], is_standing: bool, left: u8) -> Self {
        let grant = |number: u8, start: Tick| Grant {
            id: GrantId(id(number)),
            request_id: RequestId(id(number)),
            assignment_id: AssignmentId(id(0)),
            granted: ticks(GRANTED),
            session: TimeDelta::zero(),
            start_at: at(start),
            activate_by: at(start + ACTIVATE_WITHIN),
            overdue_at: None,
            state: GrantState::Scheduled,
        };
        Self {
            now: 0,
            grants: (0..)
                .zip(starts)
                .map(|(number, start)| grant(number, *start))
                .collect(),
            assignment: Assignment {
                id: AssignmentId(id(0)),
                principal_id: PersonId::new(""),
                user_id: String::new(),
                account_id: String::new(),
                permission_set_arn: String::new(),
                owned_since: None,
                revision: 0,
                sight: None,
                failures: 0,
                retry_at: None,
                target_gone: None,
            },
            operations: Vec::new(),
            there: is_standing.then_some(Maker::Standing),
            changed_at: None,
            works: Vec::new(),
            wire: Vec::new(),
            replicas: [Replica::Up; 2],
            left,
            met: 0,
            broken: None,
        }
    }

    pub(crate) fn picture(&self) -> Picture {
        Picture {
            assignment: self.assignment.clone(),
            grants: self.grants.clone(),
            history: History::of(&self.operations, self.assignment.owned_since),
        }
    }

    pub(crate) fn break_promise(&mut self, broken: Broken) {
        self.broken = self.broken.or(Some(broken));
    }

    pub(crate) fn spend(&mut self, misfortune: Misfortune) {
        self.left -= 1;
        self.met |= misfortune.bit();
    }

    /// Something of ours is on its way, in progress, or about to be sent.
    pub(crate) fn is_coming(&self, kind: OperationKind) -> bool {
        self.wire.iter().any(|message| message.kind == kind)
            || self.works.iter().any(|work| work.kind == kind && work.ended.is_none() && !work.is_foreign())
            || self.replicas.iter().any(|replica| {
                matches!(replica, Replica::Frozen { intention: Intention::Send { kind: of, until, .. }, .. }
                         if *of == kind && *until >= self.now)
            })
    }

    /// Nothing is wanted, and nothing of ours is anywhere.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.grants.is_empty()
            && self.wire.is_empty()
            && self.works.iter().all(|work| work.ended.is_some())
            && self.assignment.owned_since.is_none()
            && !self
                .replicas
                .iter()
                .any(|replica| matches!(replica, Replica::Frozen { .. }))
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.works.iter().any(|work| work.ended.is_none())
    }

    /// A number that nothing bears.
    pub(crate) fn fresh(&self) -> u8 {
        let is_used = |number: u8| {
            self.operations
                .iter()
                .any(|operation| operation.id.0 == id(number))
                || self.works.iter().any(|work| work.number == number)
                || self.wire.iter().any(|message| message.number == number)
                || self.replicas.iter().any(|replica| match replica {
                    Replica::Frozen { intention, .. } => match intention {
                        Intention::Send { number: of, .. }
                        | Intention::Record { number: of, .. }
                        | Intention::Hear { number: of, .. } => *of == number,
                        Intention::Learn {
                            number: of, found, ..
                        } => *of == number || *found == Some(number),
                        Intention::See { .. } => false,
                    },
                    _ => false,
                })
        };
        (0..FOREIGN)
            .find(|number| !is_used(*number))
            .expect("a free number")
    }

    /// It is made; what is there already stays whoever's it was.
    pub(crate) fn make(&mut self, maker: Maker) {
        if self.there.is_none() {
            self.there = Some(maker);
            self.changed_at = Some(self.now);
        }
    }

    pub(crate) fn remove(&mut self) {
        if self.there.take().is_some() {
            self.changed_at = Some(self.now);
        }
    }

    /// Forgets what no step can depend on any more, so that worlds which differ in nothing else are
    /// one. The operations that stay are those which the shell reads.
    pub(crate) fn forget(&mut self) {
        let now = at(self.now);
        self.grants.retain(|grant| !grant.is_over());
        // The replicas are alike: whichever is up comes first.
        if self.replicas[0] != Replica::Up {
            self.replicas.swap(0, 1);
        }
        self.assignment.failures = self.assignment.failures.min(1);
        self.assignment.retry_at = self.assignment.retry_at.filter(|retry| *retry > now);
        if let Some(Sight {
            first_at, last_at, ..
        }) = &mut self.assignment.sight
        {
            *first_at = (*first_at).max(*last_at - TIMING.standing_gap.max(TIMING.confirm_gap));
        }
        self.forget_operations(now);
        let may_be_found = self.operations.iter().any(|operation| {
            operation.kind == OperationKind::Create
                && (operation.status == OperationStatus::Intended
                    || operation.status == OperationStatus::Lost)
        });
        let operations = &self.operations;
        self.works.retain(|work| {
            work.ended.is_none()
                || (may_be_found && !work.is_known && work.kind == OperationKind::Create)
                || operations.iter().any(|operation| {
                    operation.aws_id.as_deref() == Some(&work.number.to_string())
                        && operation.resolved_at.is_none()
                })
        });
    }

    fn forget_operations(&mut self, now: DateTime<Utc>) {
        let known_at =
            |operation: &Operation| operation.resolved_at.unwrap_or(operation.intended_at);
        let history = History::of(&self.operations, self.assignment.owned_since);
        let last = history.last.map(|last| last.id);
        // A run of listings is judged by when it began.
        let since = self
            .assignment
            .sight
            .map_or(now, |seen| now.min(seen.first_at));
        let latest = self
            .operations
            .iter()
            .max_by_key(|operation| known_at(operation))
            .cloned();
        let latest = latest
            .filter(|latest| known_at(latest) + TIMING.settle > since)
            .map(|latest| latest.id);
        let last_delete = self
            .operations
            .iter()
            .filter(|operation| {
                operation.kind == OperationKind::Delete
                    && operation.status == OperationStatus::Lost
                    && operation.unresolved_until > now
            })
            .max_by_key(|operation| operation.unresolved_until)
            .map(|operation| operation.id);
        self.operations.retain(|operation| match operation.status {
            OperationStatus::Intended | OperationStatus::InProgress | OperationStatus::Stuck => {
                true
            }
            OperationStatus::Lost if operation.kind == OperationKind::Create => true,
            _ => [last, latest, last_delete].contains(&Some(operation.id)),
        });
        for operation in &mut self.operations {
            operation.looks = operation.looks.min(1);
            operation.grant_id = None;
            if operation.resolved_at.is_some() {
                operation.answer_by = DateTime::UNIX_EPOCH;
                operation.next_look_at = None;
                operation.looks = 0;
                if operation.status != OperationStatus::Lost {
                    operation.unresolved_until = DateTime::UNIX_EPOCH;
                    operation.aws_id = None;
                }
            }
        }
    }

    /// A person, time or a fact ends a grant (`ledger::end`).
    pub(crate) fn end(&mut self, which: GrantId, reason: EndReason) {
        let now = at(self.now);
        let Some(grant) = self.grants.iter_mut().find(|grant| grant.id == which) else {
            return;
        };
        grant.end(now, reason).expect("it is live");
        self.assignment.retry_at = None;
        self.assignment.failures = 0;
    }

    pub(crate) fn has(&self, status: GrantStatus) -> bool {
        self.grants.iter().any(|grant| grant.status() == status)
    }
}
