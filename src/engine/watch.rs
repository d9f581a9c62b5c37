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
    has_read: bool,
    jumped: bool,
    unreported: Option<TimeDelta>,
}

/// The boot clock before and after the database was asked: it read its own somewhere in between.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) before: Duration,
    pub(super) after: Duration,
}

impl Watch {
    /// The time to go by, when the database says this.
    pub(super) fn read(&mut self, database: DateTime<Utc>, asked: Asked) -> DateTime<Utc> {
        // What others saw before this process read anything is a floor and no more: nobody may have
        // been there for hours.
        let had_read = std::mem::replace(&mut self.has_read, true);
        let Some(expected) = self.expected(asked.before) else {
            self.last = Some((database, asked.before));
            return database;
        };
        let latest = self.expected(asked.after).unwrap_or(expected);
        let off = if database > latest {
            if had_read {
                database - latest
            } else {
                TimeDelta::zero()
            }
        } else {
            (database - expected).min(TimeDelta::zero())
        };
        if off.abs() > JUMP && !self.jumped {
            self.jumped = true;
            self.unreported = Some(off);
        }
        let now = expected.max(database);
        self.last = Some((now, asked.before));
        now
    }

    /// Somebody saw this time already, another engine perhaps: from here on it is not earlier.
    pub(super) fn not_behind(&mut self, seen: DateTime<Utc>, boot: Duration) {
        if self.expected(boot).is_none_or(|expected| expected < seen) {
            self.last = Some((seen, boot));
        }
    }

    fn expected(&self, boot: Duration) -> Option<DateTime<Utc>> {
        let (then, at) = self.last?;
        Some(then + TimeDelta::from_std(boot.saturating_sub(at)).unwrap_or_default())
    }

    /// A jump that nobody has reported yet. Say [`Self::reported`] once that is done.
    pub(super) fn unreported(&self) -> Option<TimeDelta> {
        self.unreported
    }

    /// The alarm was raised.
    pub(super) fn reported(&mut self) {
        self.unreported = None;
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

    fn asked(seconds: u64) -> Asked {
        Asked {
            before: Duration::from_secs(seconds),
            after: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn time_never_runs_behind_what_has_passed() {
        let mut watch = Watch::default();
        watch.read(at(0), asked(100));
        assert_eq!(watch.read(at(5), asked(110)), at(10));
        assert_eq!(watch.read(at(30), asked(111)), at(30));
        assert!(!watch.has_jumped());
    }

    #[test]
    fn a_jump_either_way_is_remembered_and_reported_until_somebody_did() {
        for (database, expected) in [(at(200), at(200)), (at(-200), at(10))] {
            let mut watch = Watch::default();
            watch.read(at(0), asked(100));
            assert_eq!(watch.read(database, asked(110)), expected);
            assert!(watch.has_jumped() && watch.unreported().is_some());
            watch.read(database, asked(111));
            assert!(watch.unreported().is_some());
            watch.reported();
            watch.read(database, asked(112));
            assert!(watch.has_jumped() && watch.unreported().is_none());
        }
    }

    #[test]
    fn what_another_engine_saw_counts_and_goes_on_from_there() {
        let mut watch = Watch::default();
        watch.not_behind(at(0), Duration::from_secs(100));
        assert_eq!(watch.read(at(-1800), asked(100)), at(0));
        assert_eq!(watch.read(at(-1795), asked(105)), at(5));
        assert!(watch.has_jumped());
    }

    #[test]
    fn hours_in_which_no_engine_ran_are_no_jump_and_a_jump_after_them_is_one() {
        let mut watch = Watch::default();
        watch.not_behind(at(0), Duration::from_secs(100));
        assert_eq!(watch.read(at(7200), asked(100)), at(7200));
        assert!(!watch.has_jumped());
        watch.read(at(7300), asked(110));
        assert!(watch.has_jumped());
    }

    #[test]
    fn neither_ordinary_drift_nor_a_slow_answer_is_a_jump() {
        let mut watch = Watch::default();
        watch.read(at(0), asked(100));
        watch.read(at(69), asked(110));
        let slow = Asked {
            before: Duration::from_secs(110),
            after: Duration::from_secs(310),
        };
        watch.read(at(269), slow);
        assert!(!watch.has_jumped());
    }
}
