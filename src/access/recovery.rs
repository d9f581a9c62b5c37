//! A database that lost commits: when it may be trusted again, and what was found meanwhile.
//!
//! Pure. While a recovery is open no access is given; ends go on (protocol D2).

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::id::{FindingId, RecoveryId};
use super::person::PersonId;

/// Between two rounds of the sweep while a recovery is open.
const EVERY: TimeDelta = TimeDelta::minutes(5);

/// One tuple as a process remembers it, apart from the database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owned {
    /// Whose, as the identity store writes it.
    pub user_id: String,
    /// Where.
    pub account_id: String,
    /// What.
    pub permission_set_arn: String,
    /// Since when it is Curfew's.
    pub since: DateTime<Utc>,
}

/// A loss that was noticed and not confirmed as mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Its id.
    pub id: RecoveryId,
    /// When the loss was noticed.
    pub begun_at: DateTime<Utc>,
    /// The last event that somebody had seen and that is gone.
    pub remembered_seq: i64,
    /// The last event that the database had then.
    pub found_seq: i64,
    /// When the last complete round of the sweep began.
    pub swept_at: Option<DateTime<Utc>>,
}

impl Recovery {
    /// From then on nothing that was sent before the loss can take effect: a round that begins later
    /// shows all that there is. `settle` is how long AWS takes an old signature.
    #[must_use]
    pub fn settled_at(&self, settle: TimeDelta) -> DateTime<Utc> {
        self.begun_at + settle
    }

    /// When the next round is due: at once, when everything has settled, and every few minutes.
    #[must_use]
    pub fn next_round_at(&self, settle: TimeDelta) -> DateTime<Utc> {
        let settled_at = self.settled_at(settle);
        match self.swept_at {
            None => self.begun_at,
            Some(swept) if swept < settled_at => (swept + EVERY).min(settled_at),
            Some(swept) => swept + EVERY,
        }
    }

    /// A complete round began after everything had settled.
    #[must_use]
    pub fn is_swept(&self, settle: TimeDelta) -> bool {
        self.swept_at
            .is_some_and(|swept| swept >= self.settled_at(settle))
    }
}

/// What an administrator decided about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It stands, and is not Curfew's.
    Keep,
    /// It is to be deleted.
    Remove,
}

impl Decision {
    /// The word used in tables and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Remove => "remove",
        }
    }
}

/// An assignment of a guarded permission set that the ledger can't explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its id.
    pub id: FindingId,
    /// Whose.
    pub principal_id: PersonId,
    /// The same person as the identity store writes it.
    pub user_id: String,
    /// Where.
    pub account_id: String,
    /// What.
    pub permission_set_arn: String,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
    /// What somebody decided.
    pub decision: Option<Decision>,
}

impl Finding {
    /// As the ledger will own it, if somebody decides so.
    #[must_use]
    pub fn tuple(&self) -> Owned {
        Owned {
            user_id: self.user_id.clone(),
            account_id: self.account_id.clone(),
            permission_set_arn: self.permission_set_arn.clone(),
            since: self.first_seen_at,
        }
    }

    /// Two sightings with a gap between them: no listing that lags (protocol R2).
    #[must_use]
    pub fn is_certain(&self, gap: TimeDelta) -> bool {
        self.last_seen_at - self.first_seen_at >= gap
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::at;
    use super::*;

    const SETTLE: TimeDelta = TimeDelta::minutes(15);

    fn swept(at_seconds: Option<i64>) -> Recovery {
        Recovery {
            id: RecoveryId::new(at(0)),
            begun_at: at(0),
            remembered_seq: 10,
            found_seq: 7,
            swept_at: at_seconds.map(at),
        }
    }

    #[test]
    fn rounds_come_at_once_every_few_minutes_and_when_all_has_settled() {
        for (last, next) in [
            (None, 0),
            (Some(0), 300),
            (Some(650), 900),
            (Some(900), 1200),
            (Some(1200), 1500),
        ] {
            assert_eq!(swept(last).next_round_at(SETTLE), at(next), "{last:?}");
        }
    }

    #[test]
    fn only_a_round_that_began_after_all_had_settled_counts() {
        for (last, counts) in [(None, false), (Some(899), false), (Some(900), true)] {
            assert_eq!(swept(last).is_swept(SETTLE), counts, "{last:?}");
        }
    }
}
