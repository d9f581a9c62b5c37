//! How AWS behaves today: durations, delays, limits. Plain values; what they do is said beside each
//! and done where it happens.
//!
//! What goes *wrong* is in `faults`. Both can be changed while the sandbox runs.

use std::ops::RangeInclusive;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// See the module. The defaults are AWS's own numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long an operation stays `IN_PROGRESS`; drawn for each from the seed.
    pub operation_millis: RangeInclusive<u64>,
    /// How long each answer is held back, by the computer's clock whichever the sandbox has: drawn
    /// with a long tail. Half of the answers come within the first hundredth of the range, one in a
    /// hundred in its last tenth.
    pub latency_millis: RangeInclusive<u64>,
    /// A request that was signed longer ago than this is refused.
    pub settle_seconds: u64,
    /// `ListAccountAssignments` answers as of so long ago (an hour at most): drawn for each listing, so
    /// that two in a row may contradict each other, in both directions.
    pub list_lag_millis: RangeInclusive<u64>,
    /// How long after its acceptance an operation can be asked about (a day at most), whether or not
    /// it has ended.
    pub request_id_seconds: u64,
    /// A delete is accepted although a create of the same assignment is `IN_PROGRESS`. Each then takes
    /// effect at its own end, whichever comes first. What AWS does is not known; a conflict is what
    /// was seen.
    pub accepts_delete_during_create: bool,
    /// Calls a second, and the burst, of sso-admin and, apart, of identitystore; 0 for no limit.
    /// Counted on the sandbox's clock, so a manual clock that stands still refills nothing.
    pub calls_per_second: u32,
    /// Operations in flight at most.
    pub outstanding: usize,
    /// Items on a page at most, whatever `MaxResults` says: AWS may always answer fewer than asked.
    pub page_items: usize,
    /// Where the draws start.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            operation_millis: 2000..=8000,
            latency_millis: 0..=0,
            settle_seconds: 900,
            list_lag_millis: 0..=0,
            request_id_seconds: 24 * 3600,
            accepts_delete_during_create: false,
            calls_per_second: 20,
            outstanding: 15,
            page_items: 100,
            seed: 0,
        }
    }
}

impl Settings {
    /// Refuses what makes no sense, by name.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let ranges = [
            ("operation_millis", &self.operation_millis),
            ("latency_millis", &self.latency_millis),
            ("list_lag_millis", &self.list_lag_millis),
        ];
        for (name, range) in ranges {
            ensure!(!range.is_empty(), "{name} ends before it begins");
        }
        ensure!(self.page_items > 0, "page_items must be 1 at least");
        ensure!(self.outstanding > 0, "outstanding must be 1 at least");
        Ok(())
    }
}
