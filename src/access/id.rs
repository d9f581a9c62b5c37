//! Identifiers of Curfew's own things: `UUIDv7`, one type each, so that they can't be mixed up.
//!
//! They sort by time of making. They are names, not secrets: nobody gets in by knowing one.

use chrono::{DateTime, Utc};
use uuid::{NoContext, Timestamp, Uuid};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id; the time is that of the act which makes the thing.
            #[must_use]
            pub fn new(now: DateTime<Utc>) -> Self {
                Self(uuid_v7(now))
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// A request.
    RequestId;
    /// A grant.
    GrantId;
    /// A row of the ledger: one person, one account, one permission set.
    AssignmentId;
    /// One attempt to create or delete in Identity Center.
    OperationId;
    /// One order to end everything.
    EndOrderId;
    /// A browser session.
    SessionId;
    /// An audit event.
    EventId;
    /// A loss of commits that was noticed.
    RecoveryId;
    /// An assignment that the ledger can't explain.
    FindingId;
    /// One engine that may hold the lease; fresh at every start.
    HolderId;
}

fn uuid_v7(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(
        NoContext,
        seconds,
        now.timestamp_subsec_nanos(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let early = RequestId::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let late = RequestId::new(DateTime::from_timestamp(1_800_000_001, 0).unwrap());
        assert!(early < late);
    }
}
