//! How many calls a second a service takes: a token bucket on the sandbox's clock.
//!
//! The number of operations outstanding is another limit and lives in `operations`, because it
//! depends on the world's state.

use chrono::{DateTime, Utc};

/// A token bucket whose burst is one second's worth of calls.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Tokens left and when they were counted; nothing before the first call.
    left: Option<(f64, DateTime<Utc>)>,
}

impl Bucket {
    /// Takes one token; false if there is none. A rate of 0 means no limit.
    pub(super) fn take(&mut self, now: DateTime<Utc>, calls_per_second: u32) -> bool {
        if calls_per_second == 0 {
            return true;
        }
        let full = f64::from(calls_per_second);
        let (tokens, counted_at) = self.left.unwrap_or((full, now));
        let elapsed = (now - counted_at)
            .to_std()
            .unwrap_or_default()
            .as_secs_f64();
        let tokens = (tokens + elapsed * full).min(full);
        let taken = tokens >= 1.0;
        self.left = Some((if taken { tokens - 1.0 } else { tokens }, now));
        taken
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_burst_is_one_second_of_calls_and_refills_with_time() {
        let start = DateTime::UNIX_EPOCH;
        let mut bucket = Bucket::default();
        assert!((0..20).all(|_| bucket.take(start, 20)));
        assert!(!bucket.take(start, 20));
        assert!(bucket.take(start + TimeDelta::milliseconds(50), 20));
        assert!(!bucket.take(start + TimeDelta::milliseconds(50), 20));
        assert!((0..20).all(|_| bucket.take(start + TimeDelta::seconds(90), 20)));
        assert!(!bucket.take(start + TimeDelta::seconds(90), 20));
    }

    #[test]
    fn zero_means_no_limit() {
        let mut bucket = Bucket::default();
        assert!((0..1000).all(|_| bucket.take(DateTime::UNIX_EPOCH, 0)));
    }
}
