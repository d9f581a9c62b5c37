//! The waits and limits that the engine and the acts work by, with their defaults and reasons.
//!
//! Values only. They are the product's defaults; `demo` and the tests use shorter waits, and the
//! sandbox then refuses old signatures sooner, so that the shorter wait is as sound there.

use std::time::Duration;

use chrono::TimeDelta;

use crate::engine::step::Timing;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What one granted or pending minute is worth. Only a demo changes it (`--minute`).
    pub minute: TimeDelta,
    /// An approved request that is not confirmed after so long has failed.
    pub activate_within: TimeDelta,
    /// How long a create may leave this process after its intent (measured on the boot clock).
    pub permit: Duration,
    /// Longest time that one call to AWS may take.
    pub call_timeout: Duration,
    /// Oldest check that a create may rest on (measured on the boot clock).
    pub check_max_age: Duration,
    /// Curfew's own share of Identity Center's 20 calls a second, which the whole organisation uses.
    pub calls_per_second: u32,
    /// Most operations that Curfew has under way at once; Identity Center allows 15.
    pub outstanding: usize,
    /// Before the first look at an operation, until there are observations to go by.
    pub first_look: TimeDelta,
    /// How long a lease lasts without a heartbeat.
    pub lease_ttl: TimeDelta,
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// How often the directory is copied. Requests are judged by a copy of at most five minutes.
    pub directory_every: Duration,
    /// Longest time that a page which is watched live shows what is no longer so.
    pub look_every: Duration,
    /// How long a browser's session lasts.
    pub sessions: SessionLimits,
    /// The engine's waits.
    pub timing: Timing,
}

/// How long a browser's session lasts (NIST SP 800-63B-4 §2.2.3: reauthentication at AAL2).
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Without use.
    pub idle: TimeDelta,
    /// However busy, from the last sign-in.
    pub absolute: TimeDelta,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle: TimeDelta::minutes(30),
            absolute: TimeDelta::hours(8),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            minute: TimeDelta::minutes(1),
            activate_within: TimeDelta::minutes(15),
            permit: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
            check_max_age: Duration::from_secs(30),
            calls_per_second: 8,
            outstanding: 15,
            first_look: TimeDelta::seconds(2),
            lease_ttl: TimeDelta::seconds(6),
            heartbeat: Duration::from_secs(2),
            directory_every: Duration::from_mins(2),
            look_every: Duration::from_secs(15),
            sessions: SessionLimits::default(),
            timing: Timing {
                settle: TimeDelta::minutes(15),
                standing_gap: TimeDelta::seconds(60),
                confirm_gap: TimeDelta::seconds(30),
                relist: TimeDelta::seconds(2),
                stuck: TimeDelta::minutes(15),
            },
        }
    }
}

impl Settings {
    /// How long after its intent an attempt may still arrive at AWS.
    #[must_use]
    pub fn arrives_within(&self) -> TimeDelta {
        let before = TimeDelta::from_std(self.permit + self.call_timeout);
        before.unwrap_or(TimeDelta::MAX / 2) + self.timing.settle
    }

    /// Against the sandbox: shorter waits, a larger share of its calls.
    #[must_use]
    pub fn sandbox(minute: TimeDelta) -> Self {
        let standard = Self::default();
        Self {
            minute,
            permit: Duration::from_secs(3),
            call_timeout: Duration::from_secs(5),
            calls_per_second: 18,
            first_look: TimeDelta::seconds(1),
            directory_every: Duration::from_secs(20),
            timing: Timing {
                settle: TimeDelta::seconds(5),
                standing_gap: TimeDelta::seconds(1),
                confirm_gap: TimeDelta::seconds(1),
                relist: TimeDelta::seconds(1),
                ..standard.timing
            },
            ..standard
        }
    }
}
