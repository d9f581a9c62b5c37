//! Does Identity Center answer this engine? Pure.
//!
//! An engine that can't reach AWS, or whose signatures AWS refuses (its clock is wrong, its credentials
//! ran out), would hold the lease and do nothing useful with it. So it stands aside for a moment, in
//! which an engine that AWS does answer takes the lease; if there is none, it goes on. Nothing is
//! concluded about AWS itself: when nobody is answered, nothing is lost by standing aside.

use std::time::Duration;

/// So many calls in a row without an answer are no accident.
const UNANSWERED: u32 = 3;

/// Nor if they span so long; a burst of calls fails together.
const FOR: Duration = Duration::from_secs(2);

/// How long it stands aside: longer than another engine sleeps.
const ASIDE: Duration = Duration::from_secs(4);

/// What came of the last calls. Times are the boot clock's.
#[derive(Debug, Default)]
pub(super) struct Reach {
    unanswered: u32,
    since: Duration,
    aside_until: Duration,
}

impl Reach {
    /// AWS answered, whatever it said.
    pub(super) fn answered(&mut self) {
        self.unanswered = 0;
    }

    /// There was no answer, or AWS did not take the call for ours.
    pub(super) fn unanswered(&mut self, at: Duration) {
        if self.unanswered == 0 {
            self.since = at;
        }
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// Nothing is answered.
    #[must_use]
    pub(super) fn is_lost(&self, at: Duration) -> bool {
        self.unanswered >= UNANSWERED && at.saturating_sub(self.since) >= FOR
    }

    /// From now on it lets others go first, and then tries anew.
    pub(super) fn stand_aside(&mut self, at: Duration) {
        self.unanswered = 0;
        self.aside_until = at + ASIDE;
    }

    /// It lets others go first.
    #[must_use]
    pub(super) fn is_aside(&self, at: Duration) -> bool {
        at < self.aside_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(1000 + seconds)
    }

    #[test]
    fn calls_without_an_answer_are_lost_only_in_a_row_and_over_some_time() {
        let mut reach = Reach::default();
        for _ in 0..8 {
            reach.unanswered(at(0));
        }
        assert!(!reach.is_lost(at(1)), "a burst fails together");
        assert!(reach.is_lost(at(2)));
        reach.answered();
        assert!(!reach.is_lost(at(2)), "one answer is enough");
        reach.unanswered(at(3));
        reach.unanswered(at(60));
        assert!(!reach.is_lost(at(61)), "two are an accident");
        reach.unanswered(at(61));
        assert!(reach.is_lost(at(61)));
    }

    #[test]
    fn who_stood_aside_goes_on_and_needs_new_reasons_to_do_so_again() {
        let mut reach = Reach::default();
        for second in 0..3 {
            reach.unanswered(at(second));
        }
        assert!(!reach.is_aside(at(2)));
        reach.stand_aside(at(2));
        assert!(reach.is_aside(at(5)) && !reach.is_lost(at(5)));
        assert!(!reach.is_aside(at(6)));
        assert!(!reach.is_lost(at(60)));
    }
}
