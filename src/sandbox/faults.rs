//! What goes wrong, and with which calls: the next one, the seventh from now, one in fifty, or all of
//! a bad minute.
//!
//! Three sources, asked in this order. *Windows* hit every call of a time; *scripted* faults wait in
//! a queue for each operation and fire once; *rates* are drawn from the seed, the name of the
//! operation, what it is about and how often that was asked before, so that a run can be repeated
//! although other calls came in between. They are a test's script, not part of the world, and so are
//! not in the state file. What a fault does to a call is decided in `calls`.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use anyhow::{bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::ids;
use super::refusal::Refusal;
use super::server::{Service, is_known};

/// Something that goes wrong with one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// "Rate exceeded".
    Throttle,
    /// A conflicting operation, though there is none.
    Conflict,
    /// HTTP 500.
    Internal,
    /// HTTP 503.
    Unavailable,
    /// The caller is not allowed to.
    AccessDenied,
    /// The connection closes with no answer, and nothing was done.
    LoseAnswerBefore,
    /// The connection closes with no answer, and everything was done.
    LoseAnswerAfter,
    /// The connection is reset (TCP RST), and nothing was done.
    ResetBefore,
    /// The connection is reset (TCP RST), and everything was done.
    ResetAfter,
    /// The connection closes with no answer; the request itself is on its way for so long, and is
    /// carried out when it arrives, if its signature is still young enough then.
    DeliverLate {
        /// How long it is on its way; drawn from the seed.
        millis: RangeInclusive<u64>,
    },
    /// The next create or delete that is accepted ends FAILED with this reason, whether or not it
    /// had its effect.
    AsyncFailed {
        /// The `FailureReason`: a name of [`super::failures::TEXTS`], or a text.
        reason: String,
        /// Whether the assignment is made, or removed, all the same.
        takes_effect: bool,
    },
    /// The next create or delete that is accepted takes so long.
    Slow {
        /// From being accepted to its end.
        millis: u64,
    },
}

/// How an operation in flight will fail, whatever the world says when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlannedFailure {
    pub(super) reason: String,
    pub(super) takes_effect: bool,
}

impl Fault {
    /// True if it can only befall an asynchronous operation.
    fn needs_operation(&self) -> bool {
        matches!(
            self,
            Self::AsyncFailed { .. } | Self::DeliverLate { .. } | Self::Slow { .. }
        )
    }

    /// True if it says what becomes of an operation, and so waits for one that is accepted.
    pub(super) fn is_plan(&self) -> bool {
        matches!(self, Self::AsyncFailed { .. } | Self::Slow { .. })
    }

    fn can_befall(&self, operation: &str) -> bool {
        !self.needs_operation()
            || ["CreateAccountAssignment", "DeleteAccountAssignment"].contains(&operation)
    }

    /// The error that it is for a caller; nothing if it is no error.
    pub(super) fn refusal(&self, service: Service, operation: &str) -> Option<Refusal> {
        Some(match self {
            Self::Throttle => service.throttled("Rate exceeded"),
            Self::Conflict if service == Service::Organizations => Refusal::new(
                "ConcurrentModificationException",
                "The request conflicts with another one in progress.",
            ),
            Self::Conflict => Refusal::conflict(),
            Self::Internal => {
                service.internal("An unexpected internal service exception was encountered")
            }
            Self::Unavailable => Refusal::new(
                "ServiceUnavailableException",
                "Service is unable to handle request.",
            )
            .status(503),
            Self::AccessDenied => Refusal::new(
                "AccessDeniedException",
                format!("User is not authorized to perform: {operation}"),
            ),
            _ => return None,
        })
    }
}

/// A share of the calls that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// What goes wrong.
    pub fault: Fault,
    /// Of so many calls in a thousand.
    pub per_mille: u16,
    /// Of these operations; all that it can befall if there are none.
    #[serde(default)]
    pub operations: Vec<String>,
}

/// A time in which every call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// What goes wrong.
    pub fault: Fault,
    /// It begins so long from when it is set, or from the sandbox's start in a scenario.
    #[serde(default)]
    pub from_seconds: u32,
    /// And lasts so long.
    pub seconds: u32,
    /// Of these operations; all that it can befall if there are none.
    #[serde(default)]
    pub operations: Vec<String>,
}

/// A fault that waits for one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scripted {
    /// The call's operation.
    pub operation: String,
    /// Its nth call from now on; the next free one if it is taken.
    #[serde(default = "first")]
    pub nth: usize,
    /// What goes wrong.
    pub fault: Fault,
}

fn first() -> usize {
    1
}

/// Farthest call that a fault may wait for.
const FARTHEST: usize = 100_000;

fn check_fault(fault: &Fault, operations: &[String]) -> anyhow::Result<()> {
    if let Fault::DeliverLate { millis } = fault {
        ensure!(!millis.is_empty(), "a range that ends before it begins");
    }
    for operation in operations {
        if !is_known(operation) {
            bail!("the sandbox has no operation {operation}");
        }
        if !fault.can_befall(operation) {
            bail!("{operation} is not asynchronous");
        }
    }
    Ok(())
}

/// A call, as far as the choice of its fault depends on it.
pub(super) struct Occasion<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) operation: &'a str,
    pub(super) draw: &'a Draw,
}

/// Where the draws for one call come from: the seed, what the call is about, and how often that was
/// called before.
#[derive(Debug, Clone, Default)]
pub(super) struct Draw {
    pub(super) seed: u64,
    pub(super) about: String,
    pub(super) nth: u64,
}

impl Draw {
    /// A number in the range, for this purpose.
    pub(super) fn within(&self, purpose: &str, range: &RangeInclusive<u64>) -> u64 {
        let (seed, nth) = (self.seed.to_string(), self.nth.to_string());
        let parts = [purpose, &seed, &self.about, &nth];
        ids::draw(&parts, *range.start(), *range.end())
    }
}

/// The faults that may still come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    queues: BTreeMap<String, VecDeque<Option<Fault>>>,
    rates: Vec<Rate>,
    windows: Vec<(DateTime<Utc>, DateTime<Utc>, Window)>,
}

impl Faults {
    pub(super) fn push(&mut self, scripted: Scripted) -> anyhow::Result<()> {
        let Scripted {
            operation,
            nth,
            fault,
        } = scripted;
        check_fault(&fault, std::slice::from_ref(&operation))?;
        ensure!(
            (1..=FARTHEST).contains(&nth),
            "nth must be between 1 and {FARTHEST}"
        );
        let queue = self.queues.entry(operation).or_default();
        if queue.len() < nth {
            queue.resize(nth, None);
        }
        match queue.iter_mut().skip(nth - 1).find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(fault),
            None => queue.push_back(Some(fault)),
        }
        Ok(())
    }

    pub(super) fn set_rates(&mut self, rates: Vec<Rate>) -> anyhow::Result<()> {
        for rate in &rates {
            check_fault(&rate.fault, &rate.operations)?;
            ensure!(rate.per_mille <= 1000, "per_mille is 1000 at most");
        }
        self.rates = rates;
        Ok(())
    }

    pub(super) fn open_window(&mut self, window: Window, now: DateTime<Utc>) -> anyhow::Result<()> {
        check_fault(&window.fault, &window.operations)?;
        let from = now + TimeDelta::seconds(window.from_seconds.into());
        let until = from + TimeDelta::seconds(window.seconds.into());
        self.windows.push((from, until, window));
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What goes wrong with this call; true if it was scripted. Uses up a scripted fault.
    pub(super) fn next(&mut self, call: &Occasion<'_>) -> Option<(Fault, bool)> {
        let scripted = self
            .queues
            .get_mut(call.operation)
            .and_then(VecDeque::pop_front)
            .flatten();
        self.windows.retain(|(_, until, _)| *until > call.now);
        let hits = |fault: &Fault, operations: &[String]| {
            fault.can_befall(call.operation)
                && (operations.is_empty() || operations.iter().any(|hit| hit == call.operation))
        };
        let open = self
            .windows
            .iter()
            .find(|(from, _, window)| *from <= call.now && hits(&window.fault, &window.operations))
            .map(|(_, _, window)| window.fault.clone());
        if let Some(fault) = open {
            if let Some(scripted) = scripted {
                self.put_back(call.operation, scripted);
            }
            return Some((fault, false));
        }
        if let Some(fault) = scripted {
            return Some((fault, true));
        }
        let mut drawn = self.rates.iter().enumerate().filter(|(index, rate)| {
            hits(&rate.fault, &rate.operations)
                && call.draw.within(&format!("rate {index}"), &(0..=999))
                    < u64::from(rate.per_mille)
        });
        drawn.next().map(|(_, rate)| (rate.fault.clone(), false))
    }

    /// Puts a scripted fault back: it waits for a call that was not this one.
    pub(super) fn put_back(&mut self, operation: &str, fault: Fault) {
        let queue = self.queues.entry(operation.to_owned()).or_default();
        queue.push_front(Some(fault));
    }

    /// Scripted faults that have not fired.
    pub(super) fn waiting(&self) -> Vec<(String, Fault)> {
        let faults = |(operation, queue): (&String, &VecDeque<Option<Fault>>)| {
            let named = |fault: &Fault| (operation.clone(), fault.clone());
            queue.iter().flatten().map(named).collect::<Vec<_>>()
        };
        self.queues.iter().flat_map(faults).collect()
    }

    pub(super) fn rates(&self) -> &[Rate] {
        &self.rates
    }

    /// Windows that are not over, with when they begin and end.
    pub(super) fn windows(
        &self,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = &(DateTime<Utc>, DateTime<Utc>, Window)> {
        self.windows
            .iter()
            .filter(move |(_, until, _)| *until > now)
    }
}
