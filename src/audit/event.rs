//! One audit event: its type, who caused it, what it is about.
//!
//! Values are strings, booleans, null, whole numbers within ±(2⁵³−1), arrays and objects; nothing
//! else (RFC 8785 would round the rest). Times have six fraction digits and `Z`.

use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::{Map, Value, json};

use crate::access::id::{EventId, GrantId, RequestId};
use crate::access::person::Actor;
use crate::access::target::Target;

macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// What happened: dotted, past tense.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventType {$($(#[$doc])* $variant,)*}

        impl EventType {
            /// Every type, for filters and for the export's tables.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in the log.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {$(Self::$variant => $name,)*}
            }
        }
    };
}

event_types! {
    /// The first event of every log.
    LogStarted = "log.started";
    /// A database became part of a world.
    InstallationRegistered = "installation.registered";
    /// Somebody exported events.
    AuditExported = "audit.exported";
    /// Somebody signed in.
    SessionStarted = "session.started";
    /// Somebody signed out.
    SessionEnded = "session.ended";
    /// A sign-in failed.
    SessionRefused = "session.refused";
    /// Somebody wanted what takes a role that they don't have.
    AuthorizationRefused = "authorization.refused";
    /// An account of the identity provider became a person's, at its first sign-in.
    IdentityLinked = "identity.linked";
    /// An administrator unlinked an account.
    IdentityForgotten = "identity.forgotten";
    /// Somebody tried to unlink an account and was refused.
    IdentityRefused = "identity.refused";
    /// A policy came into force.
    PolicyActivated = "policy.activated";
    /// A policy was offered and not taken.
    PolicyRefused = "policy.refused";
    /// Somebody asked.
    RequestCreated = "request.created";
    /// Somebody asked and was refused.
    RequestRefused = "request.refused";
    /// Enough agreed, or the rule needs nobody.
    RequestApproved = "request.approved";
    /// Somebody said no.
    RequestDenied = "request.denied";
    /// The requester took it back.
    RequestCancelled = "request.cancelled";
    /// Nobody answered in time, or its rule is gone.
    RequestLapsed = "request.lapsed";
    /// One approver said yes or no.
    DecisionRecorded = "decision.recorded";
    /// Somebody tried to decide and was refused.
    DecisionRefused = "decision.refused";
    /// Somebody tried to take back a request and was refused.
    CancelRefused = "cancel.refused";
    /// Somebody tried to end a grant and was refused.
    EndRefused = "end.refused";
    /// Somebody tried to close a grant and was refused.
    CloseRefused = "close.refused";
    /// An approved request became a grant: the obligation to end it exists.
    GrantScheduled = "grant.scheduled";
    /// The check before the start passed.
    GrantProvisioned = "grant.provisioning_started";
    /// Identity Center confirmed the access.
    GrantActivated = "grant.activated";
    /// The end began.
    GrantEndStarted = "grant.end_started";
    /// The end takes longer than it may.
    GrantOverdue = "grant.end_overdue";
    /// Identity Center confirmed that the access is gone.
    GrantEnded = "grant.ended";
    /// Never became active, and certainly gives no access.
    GrantFailed = "grant.failed";
    /// Closed by an administrator: what it was for is gone, and nobody can confirm the rest.
    GrantClosedUnconfirmed = "grant.closed_unconfirmed";
    /// A create is about to be sent.
    CreateIntended = "assignment.create_intended";
    /// Identity Center took it.
    CreateAccepted = "assignment.create_accepted";
    /// Definitely not taken.
    CreateRefused = "assignment.create_refused";
    /// Identity Center says it is done.
    CreateSucceeded = "assignment.create_succeeded";
    /// Identity Center says it failed.
    CreateFailed = "assignment.create_failed";
    /// No answer will come.
    CreateLost = "assignment.create_lost";
    /// It never arrived, and can't any more.
    CreateExpired = "assignment.create_expired";
    /// In progress for too long.
    CreateStuck = "assignment.create_stuck";
    /// A complete listing shows it.
    CreateConfirmed = "assignment.create_confirmed";
    /// A delete is about to be sent.
    DeleteIntended = "assignment.delete_intended";
    /// Identity Center took it.
    DeleteAccepted = "assignment.delete_accepted";
    /// Definitely not taken.
    DeleteRefused = "assignment.delete_refused";
    /// Identity Center says it is done.
    DeleteSucceeded = "assignment.delete_succeeded";
    /// Identity Center says it failed.
    DeleteFailed = "assignment.delete_failed";
    /// No answer will come.
    DeleteLost = "assignment.delete_lost";
    /// In progress for too long.
    DeleteStuck = "assignment.delete_stuck";
    /// Confirmed gone.
    DeleteConfirmed = "assignment.delete_confirmed";
    /// The database lost commits that a process had seen; no access is given until somebody confirms
    /// that it is mended.
    LogRecovered = "log.recovered";
    /// An administrator confirmed that what was lost is mended.
    RecoveryConfirmed = "recovery.confirmed";
    /// Somebody tried to decide about a recovery and was refused.
    RecoveryRefused = "recovery.refused";
    /// An assignment that the ledger can't explain was seen twice.
    AssignmentFound = "assignment.found";
    /// An administrator decided that it stands.
    AssignmentKept = "assignment.kept";
    /// It is Curfew's from here on, and will be deleted.
    AssignmentAdopted = "assignment.adopted";
    /// Somebody paused: no new access from here on.
    AccessPaused = "access.paused";
    /// Somebody let access be given again.
    AccessResumed = "access.resumed";
    /// Somebody ordered the end of everything that is live.
    EndOfAllOrdered = "access.end_of_all_ordered";
    /// Somebody tried to pause, to resume or to end everything, and was refused.
    SwitchRefused = "access.switch_refused";
    /// An engine took the lease.
    LeaseTaken = "engine.lease_taken";
    /// The clock jumped; no access is given until a restart.
    ClockJumped = "engine.clock_jumped";
}

/// An event before it has its place in the log.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventType,
    /// The request that it is about.
    pub request_id: Option<RequestId>,
    /// The grant that it is about.
    pub grant_id: Option<GrantId>,
    /// What access it is about.
    pub target: Option<Target>,
    /// What else there is to say.
    pub data: Map<String, Value>,
}

impl Event {
    /// An event about nothing yet.
    #[must_use]
    pub fn new(kind: EventType) -> Self {
        Self {
            kind,
            request_id: None,
            grant_id: None,
            target: None,
            data: Map::new(),
        }
    }

    /// About this request.
    #[must_use]
    pub fn request(mut self, id: RequestId, target: &Target) -> Self {
        self.request_id = Some(id);
        self.target = Some(target.clone());
        self
    }

    /// About this grant.
    #[must_use]
    pub fn grant(mut self, id: GrantId) -> Self {
        self.grant_id = Some(id);
        self
    }

    /// With one more thing to say.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.data.insert(key.to_owned(), value.into());
        self
    }

    /// With an instant.
    #[must_use]
    pub fn at(self, key: &str, time: Option<DateTime<Utc>>) -> Self {
        self.with(key, time.map(timestamp))
    }
}

/// Where in the log an event goes.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its number, from 1.
    pub seq: i64,
    /// Its id.
    pub id: EventId,
    /// When.
    pub time: DateTime<Utc>,
    /// Hash of the event before it.
    pub prev_hash: [u8; 32],
}

/// The event as the object that is hashed, without `hash`.
#[must_use]
pub fn body(event: &Event, actor: &Actor, place: &Place) -> Map<String, Value> {
    let value = json!({
        "seq": place.seq,
        "id": place.id,
        "time": timestamp(place.time),
        "type": event.kind.as_str(),
        "actor": actor_value(actor),
        "request_id": event.request_id,
        "grant_id": event.grant_id,
        "target": event.target,
        "data": event.data,
        "prev_hash": hex::encode(place.prev_hash),
    });
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn actor_value(actor: &Actor) -> Value {
    match actor {
        Actor::Person(by) => json!({
            "kind": "person",
            "id": by.person.id,
            "email": by.person.email,
            "channel": by.channel,
            "ip": by.ip,
            "amr": by.amr,
            "acr": by.acr,
            "auth_time": by.auth_time.map(timestamp),
            "assurance": by.assurance,
        }),
        Actor::Stranger { ip } => json!({
            "kind": "person", "id": null, "email": null, "channel": "web", "ip": ip, "amr": null, "acr": null, "auth_time": null, "assurance": null,
        }),
        // Curfew did not see this person sign in: the machine and its account are all that is known.
        Actor::Operator { name } => json!({
            "kind": "person", "id": name, "email": null, "channel": "shell", "ip": null, "amr": null, "acr": null, "auth_time": null, "assurance": null,
        }),
        Actor::System => json!({
            "kind": "system", "id": null, "email": null, "channel": null, "ip": null, "amr": null, "acr": null, "auth_time": null, "assurance": null,
        }),
    }
}

/// RFC 3339 in UTC, six fraction digits, `Z`; truncated, never rounded up.
#[must_use]
pub fn timestamp(time: DateTime<Utc>) -> String {
    time.trunc_subsecs(6)
        .format("%Y-%m-%dT%H:%M:%S%.6fZ")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_truncated_digits() {
        let time = DateTime::from_timestamp(1_800_000_000, 123_456_999).unwrap();
        assert_eq!(timestamp(time), "2027-01-15T08:00:00.123456Z");
        assert_eq!(
            timestamp(DateTime::from_timestamp(0, 0).unwrap()),
            "1970-01-01T00:00:00.000000Z"
        );
    }

    #[test]
    fn type_names_are_dotted_and_unique() {
        let names: std::collections::BTreeSet<_> =
            EventType::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), EventType::ALL.len());
        assert!(names.iter().all(|name| name.split('.').count() == 2));
    }
}
