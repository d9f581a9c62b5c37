//! Faults that a test asks for, one call at a time: `fail_next("CreateAccountAssignment",
//! Fault::Throttle)`.
//!
//! Each operation has its own queue and each fault fires once. They are a test's script, not part
//! of the world, and so are not in the state file. What a fault does to a call is decided in
//! `server`; this file only keeps the queues and says how each service words it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use super::server::Service;

/// Something that goes wrong with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// "Rate exceeded".
    Throttle,
    /// A conflicting operation, though there is none.
    Conflict,
    /// HTTP 500.
    Internal,
    /// The connection closes with no answer, and nothing was done.
    LoseAnswerBefore,
    /// The connection closes with no answer, and everything was done.
    LoseAnswerAfter,
    /// The next create or delete that is accepted ends FAILED with this reason, whether or not it
    /// had its effect.
    AsyncFailed {
        /// The `FailureReason`.
        reason: String,
        /// Whether the assignment is made, or removed, all the same.
        takes_effect: bool,
    },
}

/// How an operation in flight will fail, whatever the world says when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlannedFailure {
    pub(super) reason: String,
    pub(super) takes_effect: bool,
}

/// What a fault does to the call that it hits.
pub(super) enum Effect {
    Refuse(Refusal),
    LoseBefore,
    LoseAfter,
    FailLater(PlannedFailure),
}

impl Fault {
    /// True if it can only befall an asynchronous operation.
    pub(super) fn needs_operation(&self) -> bool {
        matches!(self, Self::AsyncFailed { .. })
    }

    pub(super) fn effect(self, service: Service) -> Effect {
        match self {
            Self::Throttle => Effect::Refuse(service.throttled("Rate exceeded")),
            Self::Conflict if service == Service::Organizations => Effect::Refuse(Refusal::new(
                "ConcurrentModificationException",
                "The request conflicts with another one in progress.",
            )),
            Self::Conflict => Effect::Refuse(Refusal::conflict()),
            Self::Internal => Effect::Refuse(
                service.internal("An unexpected internal service exception was encountered"),
            ),
            Self::LoseAnswerBefore => Effect::LoseBefore,
            Self::LoseAnswerAfter => Effect::LoseAfter,
            Self::AsyncFailed {
                reason,
                takes_effect,
            } => Effect::FailLater(PlannedFailure {
                reason,
                takes_effect,
            }),
        }
    }
}

/// The faults that have not fired yet.
#[derive(Debug, Default)]
pub(super) struct Faults {
    queues: BTreeMap<String, VecDeque<Fault>>,
}

impl Faults {
    pub(super) fn push(&mut self, operation: &str, fault: Fault) {
        self.queues
            .entry(operation.to_owned())
            .or_default()
            .push_back(fault);
    }

    /// Puts a scripted failure back because the call was refused and no operation was started that
    /// could fail.
    pub(super) fn put_back(&mut self, operation: &str, failure: PlannedFailure) {
        let PlannedFailure {
            reason,
            takes_effect,
        } = failure;
        self.queues
            .entry(operation.to_owned())
            .or_default()
            .push_front(Fault::AsyncFailed {
                reason,
                takes_effect,
            });
    }

    pub(super) fn next(&mut self, operation: &str) -> Option<Fault> {
        self.queues.get_mut(operation)?.pop_front()
    }

    pub(super) fn waiting(&self) -> Vec<(String, Fault)> {
        self.queues
            .iter()
            .flat_map(|(operation, queue)| {
                queue.iter().map(|fault| (operation.clone(), fault.clone()))
            })
            .collect()
    }
}
