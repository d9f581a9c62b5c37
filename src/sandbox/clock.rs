//! The sandbox's own clock.
//!
//! AWS has one clock and Curfew has another; the two must never be the same object, or a test could
//! not tell a broker that trusts its own time from one that does not. Nothing here sleeps or wakes
//! anybody: the sandbox works out what is due whenever it is asked.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// Where the sandbox takes its time from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The computer's clock.
    System,
    /// A clock that stands still until it is moved by hand.
    Manual(ManualClock),
}

impl Clock {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            #[expect(
                clippy::disallowed_methods,
                reason = "the sandbox stands for AWS, which has a clock of its own"
            )]
            Self::System => Utc::now(),
            Self::Manual(clock) => clock.now(),
        }
    }
}

/// A clock moved by hand. Clones share the same time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<DateTime<Utc>>>);

impl ManualClock {
    /// A clock that stands at `time`.
    #[must_use]
    pub fn at(time: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(time)))
    }

    /// The time at which the clock stands.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock to `time`, backwards if need be.
    pub fn set(&self, time: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// Moves the clock on by `delta`.
    pub fn advance(&self, delta: TimeDelta) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += delta;
    }
}
