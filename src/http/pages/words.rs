//! Words for people: statuses, times and durations as the pages say them. Pure.
//!
//! Promise P3 is kept or broken here: "active" and "ended" are said only of what Identity Center
//! confirmed, a request's status and its grant's are two things, and every rounding of a time that is
//! left goes down. Nothing here looks anything up or decides anything.

use chrono::{DateTime, TimeDelta, Utc};

use crate::access::grant::{EndReason, Grant, GrantState, GrantStatus};
use crate::access::person::Assurance;
use crate::access::request::{Openness, Request, RequestStatus};
use crate::access::text::time_in_words;
use crate::audit::event::timestamp;

/// An instant: UTC and said so, with the machine's spelling for `<time datetime>`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) DateTime<Utc>);

impl Time {
    /// For `datetime`.
    pub(super) fn machine(self) -> String {
        timestamp(self.0)
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&time_in_words(self.0))
    }
}

/// A status as a badge: a word, a sign and a colour. The word alone says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Badge {
    /// The word of the glossary.
    pub(super) word: &'static str,
    /// A sign for eyes that skim; hidden from screen readers.
    pub(super) sign: &'static str,
    /// Class of the colour.
    pub(super) tone: &'static str,
}

/// Where a request stands.
pub(super) fn request_badge(status: RequestStatus) -> Badge {
    let (sign, tone) = match status {
        RequestStatus::Pending => ("○", "waiting"),
        RequestStatus::Approved => ("✓", "good"),
        RequestStatus::Denied => ("✕", "bad"),
        RequestStatus::Cancelled | RequestStatus::Lapsed => ("–", "over"),
    };
    Badge {
        word: status.as_str(),
        sign,
        tone,
    }
}

/// Where a grant stands.
pub(super) fn grant_badge(status: GrantStatus) -> Badge {
    let (sign, tone) = match status {
        GrantStatus::Scheduled => ("○", "moving"),
        GrantStatus::Provisioning | GrantStatus::Ending => ("◐", "moving"),
        GrantStatus::Active => ("●", "good"),
        GrantStatus::Ended => ("–", "over"),
        GrantStatus::Failed => ("✕", "bad"),
        GrantStatus::ClosedUnconfirmed => ("▲", "waiting"),
    };
    Badge {
        word: match status {
            GrantStatus::ClosedUnconfirmed => "closed, not confirmed",
            _ => status.as_str(),
        },
        sign,
        tone,
    }
}

/// How a request stands, as a sentence.
pub(super) fn request_sentence(request: &Request, now: DateTime<Utc>) -> String {
    let closed = Time(request.closed_at.unwrap_or(request.created_at));
    match request.openness(now) {
        Openness::Open => {
            let left = duration(request.lapses_at - now);
            format!(
                "Waits for a decision. It lapses at {} ({left} left).",
                Time(request.lapses_at)
            )
        }
        Openness::LapseDue => "Nobody decided in time, so it is about to lapse.".to_owned(),
        Openness::Closed(RequestStatus::Approved) if request.approvals_required == 0 => {
            format!("Approved by the policy at {closed}: this rule needs nobody's yes.")
        }
        Openness::Closed(RequestStatus::Approved) => format!("Approved at {closed}."),
        Openness::Closed(RequestStatus::Denied) => {
            format!("Denied at {closed}. It gave no access.")
        }
        Openness::Closed(RequestStatus::Cancelled) => {
            format!("Taken back by the requester at {closed}. It gave no access.")
        }
        Openness::Closed(RequestStatus::Lapsed | RequestStatus::Pending) => {
            format!("Lapsed at {closed}, without the approvals that it needed. It gave no access.")
        }
    }
}

/// How a grant stands, as a sentence. Intent and fact are told apart.
pub(super) fn grant_sentence(grant: &Grant, now: DateTime<Utc>) -> String {
    match grant.state {
        GrantState::Scheduled => {
            "No access yet. Curfew checks once more, then asks Identity Center for it.".to_owned()
        }
        GrantState::Provisioning(window) => {
            let asked = match window.sent_at {
                Some(sent_at) => format!(
                    "Identity Center was asked at {} and has not confirmed it yet.",
                    Time(sent_at)
                ),
                None => "Identity Center is about to be asked for it.".to_owned(),
            };
            format!(
                "Being given. {asked} It ends at {} at the latest.",
                Time(window.ends_at)
            )
        }
        GrantState::Active { window, .. } if now >= window.ends_at => {
            "Its time is over, and it is about to be taken away. Access is still there.".to_owned()
        }
        GrantState::Active { window, active_at } => format!(
            "Identity Center confirmed the access at {}. It ends at {}.",
            Time(active_at),
            Time(window.ends_at)
        ),
        GrantState::Ending {
            ending_at, reason, ..
        } if grant.overdue_at.is_some() => format!(
            "Being taken away since {}, and not confirmed yet: this takes longer than it should. \
             Access may still be there; Curfew keeps trying. Why: {}.",
            Time(ending_at),
            reason.in_words()
        ),
        GrantState::Ending {
            ending_at, reason, ..
        } => format!(
            "Being taken away since {}, not confirmed yet. Why: {}.",
            Time(ending_at),
            reason.in_words()
        ),
        GrantState::Ended {
            ended_at, reason, ..
        } => format!(
            "Identity Center confirmed at {} that the access is gone. Why: {}.",
            Time(ended_at),
            reason.in_words()
        ),
        GrantState::ClosedUnconfirmed {
            closed_at, reason, ..
        } => format!(
            "Closed by an administrator at {}, and never confirmed gone: the person, the permission set or the \
             account is not there any more. Curfew keeps looking, and takes the access away if it is seen again. \
             Why it was to end: {}.",
            Time(closed_at),
            reason.in_words()
        ),
        GrantState::Failed {
            ended_at,
            reason: EndReason::AlreadyAssigned,
            ..
        } => format!(
            "Never became active: {} (found at {}). Curfew gave nothing and takes nothing away.",
            EndReason::AlreadyAssigned.in_words(),
            Time(ended_at)
        ),
        GrantState::Failed {
            ended_at, reason, ..
        } => format!(
            "Never became active, and certainly gives no access since {}. Why: {}.",
            Time(ended_at),
            reason.in_words()
        ),
    }
}

/// What may outlive the grant: role sessions that were opened while it lasted.
pub(super) fn sessions_sentence(grant: &Grant, now: DateTime<Utc>) -> Option<String> {
    // Until the removal is confirmed another session can still be opened, so no end is certain.
    if let GrantState::Ending { window, .. } = grant.state {
        return window.sent_at.map(|_| {
            format!(
                "A role session opened before the removal is confirmed can last {} from then. \
                 Their latest end is known once it is confirmed.",
                duration(grant.session)
            )
        });
    }
    if let GrantState::ClosedUnconfirmed { window, .. } = grant.state {
        return window
            .sent_at
            .map(|_| "Until when role sessions go on is not known.".to_owned());
    }
    let until = grant.sessions_until()?;
    let until_when = Time(until);
    Some(match (grant.is_over(), now >= until) {
        (true, true) => {
            format!("Role sessions opened meanwhile have run out, at {until_when} at the latest.")
        }
        (true, false) => format!("Role sessions already opened may last until {until_when}."),
        (false, _) => {
            format!(
                "Role sessions opened before it ends may go on after it, until {until_when} if it ends on time."
            )
        }
    })
}

/// What is left of an active grant; none for every other one.
pub(super) fn left(grant: &Grant, now: DateTime<Utc>) -> Option<String> {
    match grant.state {
        GrantState::Active { window, .. } if now < window.ends_at => {
            Some(duration(window.ends_at - now))
        }
        _ => None,
    }
}

/// A length of time, always rounded down: nobody is promised a second that they don't have.
pub(super) fn duration(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..3600 => format!("{} min", seconds / 60),
        _ if seconds % 3600 < 60 => format!("{} h", seconds / 3600),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `1 minute`, `2 minutes`.
pub(super) fn counted(count: i64, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

/// How far a request's approvals are.
pub(super) fn approvals(given: usize, required: i32) -> String {
    match required {
        0 => "none needed".to_owned(),
        _ => format!("{given} of {required}"),
    }
}

/// Where an act came in.
pub(super) fn channel(channel: &str) -> String {
    match channel {
        "web" => "on the web".to_owned(),
        "api" => "through the API".to_owned(),
        "shell" => "at the shell".to_owned(),
        other => format!("by {other}"),
    }
}

/// How somebody had signed in.
pub(super) fn signed_in(how: Assurance) -> &'static str {
    match how {
        Assurance::Any => "signed in without a second factor",
        Assurance::Mfa => "signed in with a second factor",
        Assurance::PhishingResistant => "signed in with a passkey or security key",
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{
        active, at, closed, ended, ending, failed, pending, provisioning, scheduled,
    };
    use super::*;

    #[test]
    fn durations_are_rounded_down() {
        for (seconds, expected) in [
            (-5, "0 s"),
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (179, "2 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (3659, "1 h"),
            (3660, "1 h 1 min"),
            (8 * 3600, "8 h"),
        ] {
            assert_eq!(duration(TimeDelta::seconds(seconds)), expected, "{seconds}");
        }
        assert_eq!(duration(TimeDelta::milliseconds(1999)), "1 s");
    }

    #[test]
    fn active_is_said_only_of_what_identity_center_confirmed() {
        let now = at(60);
        for grant in [scheduled(), provisioning(), ending(), ended(), failed()] {
            assert_ne!(grant_badge(grant.status()).word, "active");
            assert_eq!(left(&grant, now), None);
        }
        assert!(grant_sentence(&active(), now).starts_with("Identity Center confirmed the access"));
        assert!(grant_sentence(&provisioning(), now).contains("not confirmed it yet"));
        assert!(grant_sentence(&scheduled(), now).contains("No access yet"));
        assert_eq!(left(&active(), now).as_deref(), Some("9 min"));
    }

    #[test]
    fn gone_is_said_only_of_what_identity_center_confirmed() {
        let now = at(700);
        assert!(grant_sentence(&ending(), now).contains("not confirmed yet"));
        assert!(grant_sentence(&ended(), now).contains("confirmed"));
        let overdue = Grant {
            overdue_at: Some(now),
            ..ending()
        };
        assert!(grant_sentence(&overdue, now).contains("Access may still be there"));
    }

    #[test]
    fn what_was_closed_is_never_called_ended_or_gone() {
        let (badge, sentence) = (
            grant_badge(closed().status()),
            grant_sentence(&closed(), at(9)),
        );
        assert_eq!(badge.word, "closed, not confirmed");
        assert!(sentence.contains("never confirmed gone"), "{sentence}");
        assert!(!sentence.to_lowercase().contains("ended"), "{sentence}");
        let sessions = sessions_sentence(&closed(), at(99_999)).unwrap();
        assert!(sessions.contains("not known"), "{sessions}");
    }

    #[test]
    fn an_active_grant_whose_time_is_over_is_still_there_and_has_nothing_left() {
        let now = at(700);
        assert_eq!(left(&active(), now), None);
        assert!(grant_sentence(&active(), now).contains("still there"));
    }

    #[test]
    fn what_outlives_a_grant_has_no_certain_end_before_the_removal_is_confirmed() {
        assert!(
            sessions_sentence(&ending(), at(700))
                .unwrap()
                .contains("known once it is confirmed")
        );
        assert!(
            sessions_sentence(&ended(), at(700))
                .unwrap()
                .contains("may last until")
        );
        assert!(
            sessions_sentence(&ended(), at(99_999))
                .unwrap()
                .contains("have run out")
        );
        assert_eq!(sessions_sentence(&scheduled(), at(0)), None);
    }

    #[test]
    fn a_pending_request_says_until_when_and_then_that_it_is_about_to_lapse() {
        assert!(request_sentence(&pending(), at(0)).contains("10 min left"));
        assert!(request_sentence(&pending(), at(600)).contains("about to lapse"));
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(counted(1, "minute"), "1 minute");
        assert_eq!(counted(30, "minute"), "30 minutes");
        assert_eq!(approvals(0, 2), "0 of 2");
        assert_eq!(approvals(0, 0), "none needed");
    }
}
