//! What the next step depends on, of all operations that were ever sent for an assignment. Pure: the
//! rows come from the database, or from a test that made them up.

use chrono::{DateTime, Utc};

use crate::access::assignment::{Operation, OperationKind, OperationStatus};

/// A digest of an assignment's operations.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The operation that is intended or in progress.
    pub open: Option<Operation>,
    /// The oldest accepted operation that never finished.
    pub stuck: Option<Operation>,
    /// The last since it is ours that may have had an effect, by when its outcome was known: a create
    /// that was found late comes after the delete that was sent meanwhile.
    pub last: Option<Operation>,
    /// The oldest create whose answer was lost: until it is settled it may still arrive.
    pub lost_create: Option<Operation>,
    /// Until when a delete whose answer was lost may still arrive.
    pub delete_may_arrive_until: Option<DateTime<Utc>>,
    /// When any operation of ours was last opened or resolved.
    pub touched_at: Option<DateTime<Utc>>,
}

fn known_at(operation: &Operation) -> DateTime<Utc> {
    operation.resolved_at.unwrap_or(operation.intended_at)
}

impl History {
    /// Of these operations, in the order in which they were intended.
    #[must_use]
    pub fn of(operations: &[Operation], owned_since: Option<DateTime<Utc>>) -> Self {
        let first = |wanted: &dyn Fn(&Operation) -> bool| {
            operations
                .iter()
                .find(|operation| wanted(operation))
                .cloned()
        };
        let is_lost = |operation: &Operation, kind| {
            operation.status == OperationStatus::Lost && operation.kind == kind
        };
        let had_effect = |operation: &Operation| {
            !matches!(
                operation.status,
                OperationStatus::Refused | OperationStatus::Expired
            )
        };
        Self {
            open: first(&|operation| {
                matches!(
                    operation.status,
                    OperationStatus::Intended | OperationStatus::InProgress
                )
            }),
            stuck: first(&|operation| operation.status == OperationStatus::Stuck),
            lost_create: first(&|operation| is_lost(operation, OperationKind::Create)),
            last: operations
                .iter()
                .filter(|operation| owned_since.is_some_and(|since| operation.intended_at >= since))
                .filter(|operation| had_effect(operation))
                .max_by_key(|operation| known_at(operation))
                .cloned(),
            delete_may_arrive_until: operations
                .iter()
                .filter(|operation| is_lost(operation, OperationKind::Delete))
                .map(|operation| operation.unresolved_until)
                .max(),
            touched_at: operations.iter().map(known_at).max(),
        }
    }
}
