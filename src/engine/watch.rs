//! The engine's time: the database's, but never behind what this process knows to have passed.
//!
//! A failover to a host whose clock is behind would otherwise grant everybody more. A jump within
//! one process's life is an alarm, and stops new access until a restart: in doubt end early, start
//! late (protocol T1).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A difference between the two clocks that is no drift.
const JUMP: TimeDelta = TimeDelta::seconds(60);

/// Follows both clocks.
#[derive(Debug, Default)]
pub(super) struct Watch {
    last: Option<(DateTime<Utc>, Duration)>,
    jumped: bool,
}

/// What the watch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The time to go by.
    pub(super) now: DateTime<Utc>,
    /// The clock jumped just now: raise the alarm.
    pub(super) just_jumped: Option<TimeDelta>,
}

impl Watch {
    /// Takes what the database says and the boot clock at that moment.
    pub(super) fn read(&mut self, database: DateTime<Utc>, boot: Duration) -> Reading {
        let expected = self.last.map(|(then, at)| {
            then + TimeDelta::from_std(boot.saturating_sub(at)).unwrap_or_default()
        });
        let now = expected.map_or(database, |expected| expected.max(database));
        let off = expected.map_or(TimeDelta::zero(), |expected| database - expected);
        let just_jumped = (!self.jumped && off.abs() > JUMP).then_some(off);
        self.jumped |= just_jumped.is_some();
        self.last = Some((now, boot));
        Reading { now, just_jumped }
    }

    /// Did it ever jump?
    #[must_use]
    pub(super) fn has_jumped(&self) -> bool {
        self.jumped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::request::tests::at;

    #[test]
    fn time_never_runs_behind_what_has_passed() {
        let mut watch = Watch::default();
        watch.read(at(0), Duration::from_secs(100));
        let behind = watch.read(at(5), Duration::from_secs(110));
        assert_eq!(
            behind,
            Reading {
                now: at(10),
                just_jumped: None
            }
        );
        assert_eq!(watch.read(at(30), Duration::from_secs(111)).now, at(30));
    }

    #[test]
    fn a_jump_either_way_is_said_once_and_remembered() {
        for (database, expected) in [(at(200), at(200)), (at(-200), at(10))] {
            let mut watch = Watch::default();
            watch.read(at(0), Duration::from_secs(100));
            let jump = watch.read(database, Duration::from_secs(110));
            assert!(jump.just_jumped.is_some() && watch.has_jumped());
            assert_eq!(jump.now, expected);
            assert_eq!(
                watch.read(database, Duration::from_secs(111)).just_jumped,
                None
            );
        }
    }

    #[test]
    fn ordinary_drift_is_no_jump() {
        let mut watch = Watch::default();
        watch.read(at(0), Duration::from_secs(100));
        assert_eq!(
            watch.read(at(69), Duration::from_secs(110)).just_jumped,
            None
        );
    }
}
