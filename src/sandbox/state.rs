//! Everything that the sandbox remembers: the world, the operations, and what was assigned a little
//! while ago.
//!
//! Changes of assignments go through `put` and `take`, so that the history that a lagging listing
//! reads is complete. Time is always a value that the caller passes in. What the operations *mean*
//! is in `operations`; keeping the state on disk is in `durable`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::faults::PlannedFailure;
use super::ids;
use super::world::{Assignment, World};

/// How long changes of assignments are kept for listings that lag.
const HISTORY: TimeDelta = TimeDelta::hours(1);
/// How long a finished operation can still be asked about. AWS does not say; nobody may depend on
/// it.
const OPERATIONS: TimeDelta = TimeDelta::hours(24);
/// And how many of them at most.
const OPERATIONS_KEPT: usize = 5_000;

/// Whether an operation gives access or takes it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// `CreateAccountAssignment`.
    Create,
    /// `DeleteAccountAssignment`.
    Delete,
}

/// How far an operation has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationStatus {
    /// Accepted, and without effect so far.
    InProgress,
    /// It had its effect.
    Succeeded,
    /// It ended with this `FailureReason`.
    Failed(String),
}

impl OperationStatus {
    /// AWS's word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed(_) => "FAILED",
        }
    }
}

/// One asynchronous create or delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The `RequestId` that the caller polls.
    pub request_id: String,
    /// Create or delete.
    pub kind: OperationKind,
    /// Of what.
    pub assignment: Assignment,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it ends, drawn as it was accepted.
    pub ends_at: DateTime<Utc>,
    /// How far it has come.
    pub status: OperationStatus,
    pub(super) planned_failure: Option<PlannedFailure>,
}

/// A request that its sender gave up, and that is still on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Late {
    pub(super) arrives_at: DateTime<Utc>,
    pub(super) signed_at: DateTime<Utc>,
    /// Of sso-admin: nothing else that changes anything can be late.
    pub(super) operation: String,
    pub(super) input: Map<String, Value>,
}

/// One change of what is assigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    at: DateTime<Utc>,
    assignment: Assignment,
    is_there: bool,
}

/// The sandbox's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// When this world began; part of every id, so that a fresh world never repeats an old one's
    /// request ids.
    pub(super) born_at: DateTime<Utc>,
    pub(super) world: World,
    /// By the order in which they were accepted.
    pub(super) operations: BTreeMap<u64, Operation>,
    pub(super) next_operation: u64,
    history: VecDeque<Change>,
    #[serde(default)]
    pub(super) late: Vec<Late>,
    /// The suffix of the role that each permission set has in each account where it is assigned.
    #[serde(default)]
    roles: BTreeMap<String, String>,
    #[serde(default)]
    next_role: u64,
    /// Counts changes in this process, so that `durable` knows what is on disk already.
    #[serde(skip)]
    version: u64,
}

impl State {
    pub(super) fn new(world: World, born_at: DateTime<Utc>) -> Self {
        let mut state = Self {
            born_at,
            world,
            operations: BTreeMap::new(),
            next_operation: 1,
            history: VecDeque::new(),
            late: Vec::new(),
            roles: BTreeMap::new(),
            next_role: 0,
            version: 0,
        };
        state.renew_roles();
        state
    }

    /// The role life cycle: the first assignment of a permission set in an account makes its role
    /// there, with a suffix of its own; the last one's end deletes it.
    pub(super) fn renew_roles(&mut self) {
        let assigned: BTreeSet<String> = self
            .world
            .assignments
            .iter()
            .map(|row| role_key(&row.account_id, &row.permission_set_arn))
            .collect();
        self.roles.retain(|key, _| assigned.contains(key));
        for key in assigned {
            if !self.roles.contains_key(&key) {
                self.next_role += 1;
                let (born_at, nth) = (self.born_at.to_rfc3339(), self.next_role.to_string());
                let suffix = ids::check(&["role", &born_at, &nth]);
                self.roles.insert(key, suffix);
            }
        }
    }

    /// The name of the role that a permission set has in an account at this moment.
    pub(super) fn role_name(&self, account_id: &str, permission_set_arn: &str) -> Option<String> {
        let suffix = self.roles.get(&role_key(account_id, permission_set_arn))?;
        let set = self.world.permission_set(permission_set_arn)?;
        Some(format!("AWSReservedSSO_{}_{suffix}", set.name))
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Says that something changed, so that no answer goes out before it is on disk.
    pub(super) fn touch(&mut self) {
        self.version += 1;
    }

    /// Makes an assignment exist; nothing happens if it does already.
    pub(super) fn put(&mut self, assignment: Assignment, at: DateTime<Utc>) {
        if self.find(&assignment).is_none() {
            self.history.push_back(Change {
                at,
                assignment: assignment.clone(),
                is_there: true,
            });
            self.world.assignments.insert(assignment);
            self.renew_roles();
            self.touch();
        }
    }

    /// Makes an assignment cease; false if there was none.
    pub(super) fn take(&mut self, assignment: &Assignment, at: DateTime<Utc>) -> bool {
        let Some(stored) = self.find(assignment).cloned() else {
            return false;
        };
        self.world.assignments.remove(&stored);
        self.history.push_back(Change {
            at,
            assignment: stored,
            is_there: false,
        });
        self.renew_roles();
        self.touch();
        true
    }

    /// The assignment as it is stored, in whichever form `assignment` writes the principal's id.
    pub(super) fn find(&self, assignment: &Assignment) -> Option<&Assignment> {
        self.world
            .assignments
            .iter()
            .find(|stored| stored.is(assignment))
    }

    /// What was assigned at `time`, which may be up to an hour ago, in one account with one
    /// permission set.
    pub(super) fn assignments_at(
        &self,
        time: DateTime<Utc>,
        account_id: &str,
        permission_set_arn: &str,
    ) -> BTreeSet<&Assignment> {
        let wanted = |assignment: &&Assignment| assignment.is_in(account_id, permission_set_arn);
        let mut assignments: BTreeSet<&Assignment> =
            self.world.assignments.iter().filter(wanted).collect();
        let later = self
            .history
            .iter()
            .rev()
            .take_while(|change| change.at > time);
        for change in later.filter(|change| wanted(&&change.assignment)) {
            if change.is_there {
                assignments.remove(&change.assignment);
            } else {
                assignments.insert(&change.assignment);
            }
        }
        assignments
    }

    /// Operations that have not ended.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = (&u64, &Operation)> {
        self.operations
            .iter()
            .filter(|(_, operation)| operation.status == OperationStatus::InProgress)
    }

    /// Forgets what is too old to be asked about.
    pub(super) fn prune(&mut self, now: DateTime<Utc>) {
        while self
            .history
            .front()
            .is_some_and(|change| now - change.at > HISTORY)
        {
            self.history.pop_front();
        }
        let mut spare = self.operations.len().saturating_sub(OPERATIONS_KEPT);
        self.operations.retain(|_, operation| {
            let finished = operation.status != OperationStatus::InProgress;
            let gone = finished && (spare > 0 || now - operation.ends_at > OPERATIONS);
            spare -= usize::from(gone && spare > 0);
            !gone
        });
    }
}

fn role_key(account_id: &str, permission_set_arn: &str) -> String {
    format!("{account_id} {permission_set_arn}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::world::PrincipalType;

    fn assignment(principal_id: &str) -> Assignment {
        let world = World::demo();
        Assignment {
            account_id: "111111111111".to_owned(),
            permission_set_arn: world.permission_sets[0].arn.clone(),
            principal_type: PrincipalType::User,
            principal_id: principal_id.to_owned(),
        }
    }

    #[test]
    fn the_past_can_be_listed() {
        let start = DateTime::UNIX_EPOCH;
        let at = |seconds| start + TimeDelta::seconds(seconds);
        let mut state = State::new(World::demo(), start);
        let one = assignment("10000000-0000-4000-8000-000000000001");
        state.put(one.clone(), at(10));
        state.take(&one, at(20));
        state.put(one.clone(), at(30));
        for (seconds, expected) in [(9, 0), (10, 1), (19, 1), (20, 0), (29, 0), (30, 1)] {
            assert_eq!(
                state
                    .assignments_at(at(seconds), &one.account_id, &one.permission_set_arn)
                    .len(),
                expected,
                "at {seconds} s"
            );
        }
    }

    #[test]
    fn the_two_forms_of_an_id_are_one_assignment() {
        let mut state = State::new(World::demo(), DateTime::UNIX_EPOCH);
        state.put(
            assignment("9067a1b2c3-10000000-0000-4000-8000-000000000004"),
            DateTime::UNIX_EPOCH,
        );
        state.put(
            assignment("10000000-0000-4000-8000-000000000004"),
            DateTime::UNIX_EPOCH,
        );
        assert_eq!(state.world.assignments.len(), 1);
        assert!(state.take(
            &assignment("10000000-0000-4000-8000-000000000004"),
            DateTime::UNIX_EPOCH
        ));
        assert!(!state.take(
            &assignment("10000000-0000-4000-8000-000000000004"),
            DateTime::UNIX_EPOCH
        ));
    }

    #[test]
    fn old_operations_are_forgotten_but_never_one_in_flight() {
        let mut state = State::new(World::demo(), DateTime::UNIX_EPOCH);
        for number in 0..6_000 {
            let status = if number == 0 {
                OperationStatus::InProgress
            } else {
                OperationStatus::Succeeded
            };
            let operation = Operation {
                request_id: number.to_string(),
                kind: OperationKind::Create,
                assignment: assignment("10000000-0000-4000-8000-000000000001"),
                created_at: DateTime::UNIX_EPOCH,
                ends_at: DateTime::UNIX_EPOCH,
                status,
                planned_failure: None,
            };
            state.operations.insert(number, operation);
        }
        state.prune(DateTime::UNIX_EPOCH);
        assert_eq!(state.operations.len(), OPERATIONS_KEPT);
        assert!(state.operations.contains_key(&0) && !state.operations.contains_key(&1));
        state.prune(DateTime::UNIX_EPOCH + TimeDelta::hours(25));
        assert_eq!(state.operations.len(), 1);
    }
}
