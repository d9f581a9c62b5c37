//! How long to wait before the next try: growing, capped, spread.
//!
//! There is no "give up" here on purpose: on the way down nothing ever does.

use chrono::TimeDelta;

/// Longest delay between two tries to take access away (protocol G2).
pub const ENDING_CAP: TimeDelta = TimeDelta::minutes(5);

/// Between two tries to take away what can't be there any more: its person, permission set or account is
/// confirmed gone (protocol G2).
pub const GONE_CAP: TimeDelta = TimeDelta::hours(6);

/// Longest delay between two tries to give access: there is a deadline to meet.
pub const STARTING_CAP: TimeDelta = TimeDelta::seconds(20);

/// The delay before try number `failures + 1`: one second, doubling up to the cap, and up to a
/// quarter more or less by `seed`, so that many that failed together do not come back together.
#[must_use]
pub fn delay(failures: i32, cap: TimeDelta, seed: u64) -> TimeDelta {
    let doublings = u32::try_from(failures.max(1) - 1).unwrap_or(0).min(16);
    let base = (1000_i64 << doublings).min(cap.num_milliseconds());
    let spread = i64::try_from(seed % 501).unwrap_or(0) - 250;
    TimeDelta::milliseconds((base + base * spread / 1000).min(cap.num_milliseconds()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_never_beyond_however_often_it_failed() {
        let mut last = TimeDelta::zero();
        for failures in 1..=i32::from(u8::MAX) {
            let delay = delay(failures, ENDING_CAP, 250);
            assert!(delay >= last && delay <= ENDING_CAP);
            last = delay;
        }
        assert_eq!(last, ENDING_CAP);
        assert_eq!(
            delay(i32::MAX, ENDING_CAP, u64::MAX).max(ENDING_CAP),
            ENDING_CAP
        );
    }

    #[test]
    fn seeds_spread_the_tries() {
        assert_ne!(delay(3, ENDING_CAP, 0), delay(3, ENDING_CAP, 500));
        assert!(delay(1, ENDING_CAP, 0) >= TimeDelta::milliseconds(750));
    }
}
