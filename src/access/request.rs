//! A request: somebody asks. `pending → approved · denied · cancelled · lapsed`.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::id::RequestId;
use super::person::{Assurance, PersonId};
use super::target::Target;

/// Most requests that one person may have pending or live at the same time.
pub const OPEN_PER_PERSON: i64 = 20;

/// Somebody, with the labels they had when the record was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Who.
    pub id: PersonId,
    /// A label.
    pub email: String,
    /// A label.
    pub name: String,
}

/// A request as it stands.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// Who asked; always the one who gets the access.
    pub requester: Named,
    /// The rule that it was made under.
    pub rule: String,
    /// The policy version that it was judged by.
    pub policy_version: String,
    /// What it is for.
    pub target: Target,
    /// Minutes as asked.
    pub minutes: i32,
    /// What those minutes are worth.
    pub granted: TimeDelta,
    /// Why.
    pub reason: String,
    /// Reference in a tracker.
    pub ticket: Option<String>,
    /// How many must agree (as the rule said then).
    pub approvals_required: i32,
    /// How the requester had signed in.
    pub assurance: Assurance,
    /// Where it came in.
    pub channel: String,
    /// Where it stands.
    pub status: RequestStatus,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it lapses if nobody answers.
    pub lapses_at: DateTime<Utc>,
    /// When its status left pending.
    pub closed_at: Option<DateTime<Utc>>,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestStatus {
    /// Waits for decisions.
    Pending,
    /// Enough agreed; there is a grant.
    Approved,
    /// Somebody said no.
    Denied,
    /// The requester took it back.
    Cancelled,
    /// Nobody answered in time, or its rule is gone.
    Lapsed,
}

impl RequestStatus {
    /// Every status, in the order in which people think of them.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Cancelled,
        Self::Lapsed,
    ];

    /// The word used in tables, JSON and pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Lapsed => "lapsed",
        }
    }
}

impl std::str::FromStr for RequestStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| {
                format!(
                    "{text:?} is not one of {}",
                    Self::ALL.map(Self::as_str).join(", ")
                )
            })
    }
}

/// What an act that needs a pending request finds (protocol T4: every act compares the time with
/// the deadline, and performs the lapse that is due itself).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Openness {
    /// It may be decided or taken back.
    Open,
    /// It still says pending, but its time is over: lapse it now.
    LapseDue,
    /// Something else came first.
    Closed(RequestStatus),
}

impl Request {
    /// May anything still be decided about it at this time?
    #[must_use]
    pub fn openness(&self, now: DateTime<Utc>) -> Openness {
        match self.status {
            RequestStatus::Pending if now >= self.lapses_at => Openness::LapseDue,
            RequestStatus::Pending => Openness::Open,
            closed => Openness::Closed(closed),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    pub(crate) fn pending() -> Request {
        Request {
            id: RequestId::new(at(0)),
            requester: Named {
                id: PersonId::new("engineer"),
                email: "e@example.com".into(),
                name: "E".into(),
            },
            rule: "production-admin".into(),
            policy_version: "v".into(),
            target: Target::PermissionSet {
                account_id: "111111111111".into(),
                account_name: "payments-prod".into(),
                permission_set_arn: "arn:aws:sso:::permissionSet/ssoins-1/ps-1".into(),
                permission_set: "production-admin".into(),
            },
            minutes: 10,
            granted: TimeDelta::minutes(10),
            reason: "restart the payment workers".into(),
            ticket: None,
            approvals_required: 1,
            assurance: Assurance::PhishingResistant,
            channel: "web".into(),
            status: RequestStatus::Pending,
            created_at: at(0),
            lapses_at: at(600),
            closed_at: None,
        }
    }

    #[test]
    fn a_pending_request_is_open_until_the_very_instant_it_lapses() {
        let request = pending();
        assert_eq!(request.openness(at(599)), Openness::Open);
        assert_eq!(request.openness(at(600)), Openness::LapseDue);
    }

    #[test]
    fn a_closed_request_says_what_closed_it_whatever_the_time() {
        for status in [
            RequestStatus::Approved,
            RequestStatus::Denied,
            RequestStatus::Cancelled,
            RequestStatus::Lapsed,
        ] {
            let request = Request {
                status,
                ..pending()
            };
            assert_eq!(request.openness(at(0)), Openness::Closed(status));
            assert_eq!(request.openness(at(9999)), Openness::Closed(status));
        }
    }
}
