//! Audit events as people read them: the stored canonical JSON, taken apart, and a sentence for every
//! type. Pure.
//!
//! The match over the types has no catch-all: whoever adds a type is led here to find words for it.
//! The raw JSON stays beside the words, because the record is the JSON and not our reading of it.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::words::Time;
use crate::access::grant::EndReason;
use crate::access::target::account_in_words;
use crate::audit::event::EventType;
use crate::postgres::audit::Stored;

#[derive(Deserialize)]
struct Body {
    seq: i64,
    time: DateTime<Utc>,
    #[serde(rename = "type")]
    kind: String,
    actor: ActorBody,
    request_id: Option<Uuid>,
    target: Option<TargetBody>,
    data: Map<String, Value>,
}

#[derive(Deserialize)]
struct ActorBody {
    kind: String,
    #[serde(default)]
    id: Option<String>,
    email: Option<String>,
    #[serde(default)]
    channel: Option<String>,
}

#[derive(Deserialize)]
struct TargetBody {
    account_id: String,
    account_name: String,
    permission_set: String,
}

/// One event, for a timeline or the log's page.
#[derive(Debug)]
pub(super) struct EventLine {
    /// Its number.
    pub(super) seq: i64,
    /// When.
    pub(super) time: Time,
    /// Its type, as the log names it.
    pub(super) kind: String,
    /// What happened, in plain words.
    pub(super) words: String,
    /// Who caused it.
    pub(super) who: String,
    /// What somebody wrote with it, or what AWS answered.
    pub(super) note: Option<String>,
    /// A step between Curfew and Identity Center, quieter than what people do.
    pub(super) is_technical: bool,
    /// The request that it is about.
    pub(super) request_id: Option<Uuid>,
    /// What access it is about.
    pub(super) about: Option<String>,
    /// The stored bytes.
    pub(super) raw: String,
}

impl EventLine {
    /// Takes a stored event apart.
    pub(super) fn parse(stored: Stored) -> anyhow::Result<Self> {
        let raw = String::from_utf8(stored.canonical)?;
        let body: Body = serde_json::from_str(&raw)?;
        let kind = EventType::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == body.kind);
        let at_the_shell = body.actor.channel.as_deref() == Some("shell");
        let who = match (body.actor.kind.as_str(), body.actor.email) {
            ("person", None) if at_the_shell => {
                format!("{} at the shell", body.actor.id.unwrap_or_default())
            }
            ("person", Some(email)) => email,
            ("person", None) => "somebody not signed in".to_owned(),
            ("system", _) => "Curfew".to_owned(),
            (other, _) => other.to_owned(),
        };
        Ok(Self {
            seq: body.seq,
            time: Time(body.time),
            // A log may hold types of a later version; they still show, by their own name.
            words: kind.map_or_else(|| body.kind.clone(), |kind| words(kind, &body.data)),
            note: note(&body.data),
            is_technical: body.kind.starts_with("assignment."),
            kind: body.kind,
            who,
            request_id: body.request_id,
            about: body.target.map(|target| {
                format!(
                    "{} in {}",
                    target.permission_set,
                    account_in_words(&target.account_name, &target.account_id)
                )
            }),
            raw,
        })
    }
}

fn text<'a>(data: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    data.get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn note(data: &Map<String, Value>) -> Option<String> {
    text(data, "comment")
        .or_else(|| text(data, "detail"))
        .map(str::to_owned)
}

/// The words of the end reason in the data, after a colon.
fn why(data: &Map<String, Value>) -> String {
    let reason = text(data, "reason").and_then(|reason| reason.parse::<EndReason>().ok());
    reason
        .map(|reason| format!(": {}", reason.in_words()))
        .unwrap_or_default()
}

fn until(data: &Map<String, Value>, key: &str, before: &str) -> String {
    let time = text(data, key).and_then(|time| time.parse::<DateTime<Utc>>().ok());
    time.map(|time| format!("{before}{}", Time(time)))
        .unwrap_or_default()
}

fn code(data: &Map<String, Value>) -> String {
    text(data, "code")
        .map(|code| format!(" ({code})"))
        .unwrap_or_default()
}

/// Every type with its words, as far as they can be said of no event in particular.
pub(super) fn types() -> impl Iterator<Item = (&'static str, String)> {
    let none = Map::new();
    EventType::ALL
        .iter()
        .map(move |kind| (kind.as_str(), words(*kind, &none)))
}

/// What the types with this beginning are about.
pub(super) fn group_words(prefix: &str) -> &'static str {
    match prefix.trim_end_matches('.') {
        "log" | "audit" => "The log itself",
        "installation" => "Installation",
        "session" => "Signing in",
        "authorization" => "Refused for want of a role",
        "identity" => "Who is whom",
        "policy" => "Policy",
        "request" => "Requests",
        "decision" => "Decisions",
        "cancel" => "Refused cancellations",
        "end" => "Refused ends",
        "close" => "Refused closings",
        "grant" => "Access",
        "access" => "Pause and end of everything",
        "recovery" => "Recovery of lost commits",
        "assignment" => "Steps with Identity Center",
        "engine" => "Engine",
        _ => "Others",
    }
}

/// What happened, in plain words.
fn words(kind: EventType, data: &Map<String, Value>) -> String {
    let plain = |text: &str| text.to_owned();
    match kind {
        EventType::LogStarted => plain("The audit log started"),
        EventType::InstallationRegistered => plain("The database was bound to its Identity Center"),
        EventType::AuditExported if data.get("filters").is_some_and(Value::is_object) => {
            plain("Exported the events of the audit log that match filters")
        }
        EventType::AuditExported => plain("Exported the audit log"),
        EventType::SessionStarted => plain("Signed in"),
        EventType::SessionEnded if text(data, "why").is_some() => {
            format!(
                "Signed somebody out: {}",
                text(data, "why").unwrap_or_default()
            )
        }
        EventType::SessionEnded if text(data, "session") != text(data, "from_session") => {
            plain("Signed out another session of their own")
        }
        EventType::SessionEnded => plain("Signed out"),
        EventType::AuthorizationRefused => format!(
            "Wanted what takes a role that they don't have{}",
            code(data)
        ),
        EventType::SessionRefused => format!("A sign-in failed{}", code(data)),
        EventType::IdentityLinked => {
            plain("An account signed in for the first time and was linked to its person")
        }
        EventType::IdentityForgotten => plain("Unlinked an account from its person"),
        EventType::IdentityRefused => {
            format!("Tried to unlink an account and was refused{}", code(data))
        }
        EventType::PolicyActivated => plain("A policy came into force"),
        EventType::PolicyRefused => plain("A policy was offered and not taken"),
        EventType::RequestCreated => plain("Asked for access"),
        EventType::RequestRefused => format!("Asked for access and was refused{}", code(data)),
        EventType::RequestApproved if text(data, "by") == Some("policy") => {
            plain("Approved by the policy: the rule needs nobody's yes")
        }
        EventType::RequestApproved => plain("Approved: enough approvers agreed"),
        EventType::RequestDenied => plain("Denied"),
        EventType::RequestCancelled if text(data, "why").is_some() => {
            format!("Cancelled: {}", text(data, "why").unwrap_or_default())
        }
        EventType::RequestCancelled => plain("Took the request back"),
        EventType::RequestLapsed => format!(
            "The request lapsed: {}",
            text(data, "why").unwrap_or("no decision in time")
        ),
        EventType::DecisionRecorded if text(data, "verdict") == Some("yes") => plain("Said yes"),
        EventType::DecisionRecorded if text(data, "verdict") == Some("no") => plain("Said no"),
        EventType::DecisionRecorded => plain("Said yes or no"),
        EventType::DecisionRefused => format!("Tried to decide and was refused{}", code(data)),
        EventType::CancelRefused => format!("Tried to take it back and was refused{}", code(data)),
        EventType::EndRefused => format!("Tried to end it and was refused{}", code(data)),
        EventType::CloseRefused => format!("Tried to close it and was refused{}", code(data)),
        EventType::GrantScheduled => {
            plain("The access is scheduled; its end is an obligation from here on")
        }
        EventType::GrantProvisioned => {
            format!(
                "The check before the start passed{}",
                until(data, "ends_at_latest", "; it ends at the latest at ")
            )
        }
        EventType::GrantActivated => {
            format!(
                "Active: Identity Center confirmed the access{}",
                until(data, "ends_at", "; it ends at ")
            )
        }
        EventType::GrantEndStarted => format!("Taking the access away{}", why(data)),
        EventType::GrantOverdue => {
            plain("The end is overdue: access may still be there, Curfew keeps trying")
        }
        EventType::GrantEnded => format!(
            "Ended: Identity Center confirmed that the access is gone{}",
            why(data)
        ),
        EventType::GrantFailed => format!("Failed, and gives no access{}", why(data)),
        EventType::GrantClosedUnconfirmed => plain(match text(data, "gone") {
            Some("person") => "Closed, not confirmed: the person is gone from the identity store",
            Some("permission_set") => "Closed, not confirmed: the permission set is gone",
            Some("account") => "Closed, not confirmed: the account is closed or gone",
            _ => "Closed, not confirmed: what the access was for is gone",
        }),
        EventType::CreateIntended => plain("About to ask Identity Center to create the assignment"),
        EventType::CreateAccepted => plain("Identity Center took the creation"),
        EventType::CreateRefused => plain("Identity Center did not take the creation"),
        EventType::CreateSucceeded => plain("Identity Center says that the creation is done"),
        EventType::CreateFailed => plain("Identity Center says that the creation failed"),
        EventType::CreateLost => {
            plain("The answer to the creation is lost; Curfew looks at what is there")
        }
        EventType::CreateExpired => {
            plain("The creation whose answer was lost can't arrive any more")
        }
        EventType::CreateStuck => plain("The creation is in progress for too long"),
        EventType::CreateConfirmed => plain("A complete listing shows the assignment"),
        EventType::DeleteIntended => plain("About to ask Identity Center to delete the assignment"),
        EventType::DeleteAccepted => plain("Identity Center took the deletion"),
        EventType::DeleteRefused => {
            plain("Identity Center did not take the deletion; Curfew tries again")
        }
        EventType::DeleteSucceeded => plain("Identity Center says that the deletion is done"),
        EventType::DeleteFailed => {
            plain("Identity Center says that the deletion failed; Curfew looks again")
        }
        EventType::DeleteLost => {
            plain("The answer to the deletion is lost; Curfew looks at what is there")
        }
        EventType::DeleteStuck => plain("The deletion is in progress for too long"),
        EventType::DeleteConfirmed => plain("The assignment is confirmed gone"),
        EventType::LogRecovered => plain(
            "The database lost commits; no access is given until an administrator confirms that it is mended",
        ),
        EventType::RecoveryConfirmed => plain("Confirmed that what was lost is mended"),
        EventType::RecoveryRefused => {
            format!(
                "Tried to decide about the recovery and was refused{}",
                code(data)
            )
        }
        EventType::AssignmentFound => plain("Found an assignment that Curfew can't explain"),
        EventType::AssignmentKept => plain("Kept an assignment as standing"),
        EventType::AssignmentAdopted => {
            plain("Took over an assignment that Curfew can't explain, to delete it")
        }
        EventType::AccessPaused => plain("Paused: no new access from here on"),
        EventType::AccessResumed => plain("Resumed: access can be given again"),
        EventType::EndOfAllOrdered => plain("Ordered the end of everything that is live"),
        EventType::SwitchRefused => format!(
            "Tried to pause, to resume or to end everything and was refused{}",
            code(data)
        ),
        EventType::LeaseTaken => plain("An engine took the lease"),
        EventType::ClockJumped => plain("The clock jumped; no access is given until a restart"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(kind: &str, email: Option<&str>, data: &Value) -> Stored {
        let person = if email.is_some() { "person" } else { "system" };
        let event = json!({
            "seq": 7, "id": "x", "time": "2026-11-24T03:00:00.000000Z", "type": kind,
            "actor": {"kind": person, "email": email}, "request_id": null, "grant_id": null, "target": null,
            "data": data, "prev_hash": "", "hash": "",
        });
        Stored {
            seq: 7,
            canonical: event.to_string().into_bytes(),
        }
    }

    #[test]
    fn every_type_of_event_has_words_of_its_own() {
        let all: std::collections::BTreeSet<_> = EventType::ALL
            .iter()
            .map(|kind| words(*kind, &Map::new()))
            .filter(|words| !words.contains('.'))
            .collect();
        assert_eq!(all.len(), EventType::ALL.len());
    }

    #[test]
    fn every_group_of_types_has_words() {
        for kind in EventType::ALL {
            let prefix = kind.as_str().split_inclusive('.').next().unwrap();
            assert_ne!(group_words(prefix), "Others", "{prefix}");
        }
    }

    #[test]
    fn a_decision_shows_its_verdict_who_gave_it_and_the_comment() {
        let data = json!({"verdict": "no", "comment": "use read-only"});
        let line = EventLine::parse(stored(
            "decision.recorded",
            Some("approver@example.com"),
            &data,
        ))
        .unwrap();
        assert_eq!(
            (line.words.as_str(), line.who.as_str()),
            ("Said no", "approver@example.com")
        );
        assert_eq!(line.note.as_deref(), Some("use read-only"));
        assert_eq!(line.time.to_string(), "2026-11-24 03:00:00 UTC");
    }

    #[test]
    fn what_curfew_does_itself_is_said_to_be_curfews_and_says_why() {
        let line =
            EventLine::parse(stored("grant.end_started", None, &json!({"reason": "due"}))).unwrap();
        assert_eq!(line.who, "Curfew");
        assert_eq!(line.words, "Taking the access away: its time was over");
    }

    #[test]
    fn an_operator_at_the_shell_is_named_by_account_and_machine() {
        let event = json!({
            "seq": 7, "time": "2026-11-24T03:00:00.000000Z", "type": "access.paused",
            "actor": {"kind": "person", "id": "ada@bastion", "email": null, "channel": "shell"},
            "request_id": null, "target": null, "data": {"comment": "a laptop is gone"},
        });
        let canonical = event.to_string().into_bytes();
        let line = EventLine::parse(Stored { seq: 7, canonical }).unwrap();
        assert_eq!(line.who, "ada@bastion at the shell");
        assert_eq!(line.note.as_deref(), Some("a laptop is gone"));
    }

    #[test]
    fn a_type_of_a_later_version_shows_by_its_own_name() {
        let line = EventLine::parse(stored("break_glass.opened", None, &json!({}))).unwrap();
        assert_eq!(line.words, "break_glass.opened");
    }
}
