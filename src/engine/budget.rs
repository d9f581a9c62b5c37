//! How many calls and operations may go now. Pure; the engine asks before each.
//!
//! The quota of calls belongs to the whole organisation: Curfew takes its own share, and less for a
//! while whenever AWS says that it is too much.

use std::collections::BTreeMap;
use std::time::Duration;

/// A bucket of call tokens that halves its rate when AWS throttles, and recovers.
#[derive(Debug)]
pub(super) struct Calls {
    full_rate: f64,
    rate: f64,
    tokens: f64,
    at: Duration,
}

/// The rate never falls below this: endings must go on.
const SLOWEST: f64 = 0.5;

/// Seconds in which a halved rate is whole again.
const RECOVERY_SECONDS: f64 = 60.0;

impl Calls {
    /// A full bucket; `at` is the boot clock.
    #[must_use]
    pub(super) fn new(per_second: u32, at: Duration) -> Self {
        let rate = f64::from(per_second.max(1));
        Self {
            full_rate: rate,
            rate,
            tokens: rate,
            at,
        }
    }

    /// Takes one call, if there is one.
    pub(super) fn take(&mut self, at: Duration) -> bool {
        let passed = at.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(at);
        self.rate = (self.rate + self.full_rate * passed / RECOVERY_SECONDS).min(self.full_rate);
        self.tokens = (self.tokens + self.rate * passed).min(self.rate.max(1.0));
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// AWS said that it was too much.
    pub(super) fn slow_down(&mut self) {
        self.rate = (self.rate / 2.0).max(SLOWEST);
        self.tokens = 0.0;
    }
}

/// Which operations are under way: Identity Center changes one role at a time in an account, and
/// has a limit for all together.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    most: usize,
    accounts: BTreeMap<String, usize>,
}

impl Outstanding {
    /// With those that are open now, by account.
    #[must_use]
    pub(super) fn new(most: usize, open: Vec<String>) -> Self {
        let mut accounts = BTreeMap::new();
        for account in open {
            *accounts.entry(account).or_insert(0) += 1;
        }
        Self { most, accounts }
    }

    /// Takes the place for one more operation in this account, if there is one.
    pub(super) fn open(&mut self, account: &str) -> bool {
        if !self.has_room(account) {
            return false;
        }
        self.accounts.insert(account.to_owned(), 1);
        true
    }

    /// Is there a place for one more in this account?
    pub(super) fn has_room(&self, account: &str) -> bool {
        self.accounts.values().sum::<usize>() < self.most && !self.accounts.contains_key(account)
    }

    /// One operation in this account is over.
    pub(super) fn close(&mut self, account: &str) {
        if let Some(count) = self.accounts.get_mut(account) {
            *count -= 1;
            if *count == 0 {
                self.accounts.remove(account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_bounded_by_the_rate_over_time() {
        let mut calls = Calls::new(8, Duration::ZERO);
        let mut taken = 0;
        for millis in 0..10_000 {
            taken += u32::from(calls.take(Duration::from_millis(millis)));
        }
        assert!(
            (80..=88).contains(&taken),
            "{taken} calls in ten seconds at eight a second"
        );
    }

    #[test]
    fn throttling_slows_down_for_a_while_and_never_to_a_halt() {
        let mut calls = Calls::new(8, Duration::ZERO);
        for _ in 0..50 {
            calls.slow_down();
        }
        assert!(!calls.take(Duration::ZERO));
        assert!(calls.take(Duration::from_secs(2)), "endings go on");
        let mut taken = 0;
        for millis in 70_000..80_000 {
            taken += u32::from(calls.take(Duration::from_millis(millis)));
        }
        assert!(taken >= 75, "{taken}: the rate recovers");
    }

    #[test]
    fn one_operation_an_account_and_a_limit_for_all() {
        let mut outstanding = Outstanding::new(3, vec!["a".into()]);
        assert!(!outstanding.open("a"));
        assert!(outstanding.open("b") && outstanding.open("c"));
        assert!(!outstanding.open("d"), "three are under way");
        outstanding.close("a");
        assert!(outstanding.open("a"));
    }
}
