//! One request: what it is about, where it and its grant stand, who decided what, what happened, and
//! what this reader may do about it. The buttons only offer; the acts of the broker decide.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::events::EventLine;
use super::summary::Summary;
use super::words::{self, Time};
use crate::access::decision::{Decision, Verdict};
use crate::access::grant::{Grant, GrantState};
use crate::access::person::Assurance;
use crate::broker::relation::Relation;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::{RequestPath, Search};
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::http::view::Whole;
use crate::policy::Rule;
use crate::postgres::{audit, policies};

/// Most events of a timeline; the newest ones.
const MOST_EVENTS: i64 = 200;

/// How to show the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct Wanted {
    /// `off`: it does not refresh itself.
    live: String,
}

/// One decision, in words.
#[derive(Debug)]
pub(super) struct DecisionLine {
    pub(super) who: String,
    pub(super) is_yes: bool,
    pub(super) at: Time,
    pub(super) how: &'static str,
    pub(super) channel: String,
    pub(super) comment: Option<String>,
}

impl DecisionLine {
    pub(super) fn of(decision: Decision) -> Self {
        Self {
            who: decision.approver.email,
            is_yes: decision.verdict == Verdict::Yes,
            at: Time(decision.decided_at),
            how: words::signed_in(decision.assurance),
            channel: words::channel(&decision.channel),
            comment: decision.comment,
        }
    }
}

/// What the rule says now, as far as it matters to a pending request.
#[derive(Clone, Debug)]
pub(super) struct RuleNow {
    /// Names of the groups that may agree.
    pub(super) approvers: Vec<String>,
    /// How strongly they must have signed in.
    pub(super) assurance: Assurance,
}

impl RuleNow {
    fn of(rule: &Rule) -> Self {
        Self {
            approvers: rule.approvers.clone(),
            assurance: rule.assurance,
        }
    }
}

/// What this reader may do about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent offers")]
pub(super) struct Actions {
    pub(super) may_decide: bool,
    pub(super) may_cancel: bool,
    pub(super) may_end: bool,
    /// It ends already, too slowly: ending it again makes Curfew try at once.
    pub(super) may_hurry: bool,
}

impl Actions {
    pub(super) fn of(relation: Relation, summary: &Summary) -> Self {
        let may_end = summary.is_live() && relation.may_end_as().is_some();
        let is_ending = summary
            .grant
            .as_ref()
            .is_some_and(|grant| matches!(grant.state, GrantState::Ending { .. }));
        let is_overdue = summary
            .grant
            .as_ref()
            .is_some_and(|grant| grant.overdue_at.is_some());
        let (is_requester, open) = (relation.is_requester, summary.is_open());
        Self {
            may_decide: open && relation.may_approve && !relation.has_decided && !is_requester,
            may_cancel: open && is_requester,
            may_end: may_end && !is_ending,
            may_hurry: may_end && is_ending && is_overdue,
        }
    }

    fn any(self) -> bool {
        self.may_decide || self.may_cancel || self.may_end || self.may_hurry
    }
}

#[derive(Template)]
#[template(path = "requests/show.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) summary: Summary,
    pub(super) decisions: Vec<DecisionLine>,
    pub(super) events: Vec<EventLine>,
    pub(super) has_more_events: bool,
    pub(super) actions: Actions,
    pub(super) is_requester: bool,
    /// The rule as it is now, if it is pending.
    pub(super) rule: Option<RuleNow>,
    pub(super) assurance: Assurance,
    /// Seconds after which the page is read anew.
    pub(super) refresh: Option<u32>,
    /// It would refresh itself if the reader had not said no.
    pub(super) is_held: bool,
}

impl Page {
    fn sessions(&self) -> Option<String> {
        self.summary
            .grant
            .as_ref()
            .and_then(|grant| words::sessions_sentence(grant, self.summary.now))
    }

    /// What the rule needs of whoever decides, if the reader's sign-in is too weak for it.
    fn needs(&self) -> Option<&'static str> {
        let needed = self.rule.as_ref()?.assurance;
        (self.assurance < needed).then(|| needed.in_words())
    }

    /// In a demo minutes may be short: then what the asked ones come to.
    fn worth(&self) -> Option<String> {
        let request = &self.summary.request;
        let is_short = request.granted != TimeDelta::minutes(i64::from(request.minutes));
        is_short.then(|| words::duration(request.granted))
    }

    fn signed_in(&self) -> &'static str {
        words::signed_in(self.summary.request.assurance)
    }

    fn now(&self) -> Time {
        Time(self.summary.now)
    }
}

/// How soon the page should be read anew: only while something moves, and never under somebody who
/// could be typing.
pub(super) fn refresh(summary: &Summary, actions: Actions) -> Option<u32> {
    const SOON: u32 = 5;
    const LATER: u32 = 15;
    match summary.grant.as_ref() {
        _ if actions.may_decide => None,
        Some(Grant {
            overdue_at: Some(_),
            state: GrantState::Ending { .. },
            ..
        }) => Some(LATER),
        Some(Grant {
            state: GrantState::Scheduled | GrantState::Provisioning(_) | GrantState::Ending { .. },
            ..
        }) => Some(SOON),
        Some(Grant {
            state: GrantState::Active { window, .. },
            ..
        }) => is_last_minute(window.ends_at, summary.now).then_some(SOON),
        Some(_) => None,
        // Whoever asked waits for an answer, and has nothing to type here.
        None => (summary.is_open() && actions.may_cancel).then_some(LATER),
    }
}

fn is_last_minute(ends_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    ends_at - now <= TimeDelta::minutes(1)
}

impl Page {
    /// A comment goes with an end only where the page holds still.
    fn may_comment(&self) -> bool {
        self.refresh.is_none() && !self.is_held
    }
}

/// `GET /requests/{id}`
pub(in crate::http) async fn show(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    Search(wanted): Search<Wanted>,
) -> Result<Response, Error> {
    let whole = Whole::load(&web, &by.person.id, id).await?;
    let layout = Layout::of(&web, &by).await?;
    let broker = web.broker();
    let mut conn = broker.db.conn().await?;
    let now = broker.db.clock.now(&mut conn).await?;
    let mut events =
        audit::list_of_request(&mut conn, id.0, false, i64::MAX, MOST_EVENTS + 1).await?;
    let has_more_events = i64::try_from(events.len()).is_ok_and(|count| count > MOST_EVENTS);
    events.truncate(usize::try_from(MOST_EVENTS).unwrap_or(0));
    events.reverse();
    let Whole {
        request,
        decisions,
        grant,
        relation,
    } = whole;
    let yes = decisions
        .iter()
        .filter(|decision| decision.verdict == Verdict::Yes)
        .count();
    let summary = Summary {
        request,
        grant,
        yes,
        now,
    };
    let rule = if summary.is_open() {
        let in_force = policies::find_in_force(&mut conn).await?;
        in_force.and_then(|in_force| in_force.policy.rule(&summary.request.rule).map(RuleNow::of))
    } else {
        None
    };
    let actions = Actions::of(relation, &summary);
    let wish = refresh(&summary, actions);
    let is_held = wish.is_some() && wanted.live == "off";
    let page = Page {
        layout,
        decisions: decisions.into_iter().map(DecisionLine::of).collect(),
        events: events
            .into_iter()
            .map(EventLine::parse)
            .collect::<anyhow::Result<_>>()?,
        has_more_events,
        actions,
        is_requester: relation.is_requester,
        rule,
        assurance: by.assurance,
        refresh: wish.filter(|_| !is_held),
        is_held,
        summary,
    };
    render(StatusCode::OK, &page)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{active, at, ended, ending, pending, summary};
    use super::*;

    const REQUESTER: Relation = Relation {
        is_requester: true,
        has_decided: false,
        may_approve: false,
        is_auditor: false,
        is_administrator: false,
    };
    const APPROVER: Relation = Relation {
        is_requester: false,
        may_approve: true,
        ..REQUESTER
    };

    #[test]
    fn a_pending_request_is_decided_by_an_approver_once_and_taken_back_by_whoever_asked() {
        let open = summary(pending(), None, 10);
        assert_eq!(
            Actions::of(APPROVER, &open),
            Actions {
                may_decide: true,
                ..Actions::default()
            }
        );
        assert_eq!(
            Actions::of(
                Relation {
                    has_decided: true,
                    ..APPROVER
                },
                &open
            ),
            Actions::default()
        );
        assert_eq!(
            Actions::of(REQUESTER, &open),
            Actions {
                may_cancel: true,
                ..Actions::default()
            }
        );
        assert!(
            !Actions::of(
                Relation {
                    may_approve: true,
                    ..REQUESTER
                },
                &open
            )
            .may_decide
        );
        // Its time to be answered is over, though nobody has recorded the lapse yet.
        assert!(!Actions::of(APPROVER, &summary(pending(), None, 600)).any());
    }

    #[test]
    fn what_is_live_can_be_ended_and_what_ends_too_slowly_can_be_hurried() {
        assert!(Actions::of(REQUESTER, &summary(pending(), Some(active()), 60)).may_end);
        assert!(Actions::of(APPROVER, &summary(pending(), Some(active()), 60)).may_end);
        let auditor = Relation {
            is_requester: false,
            is_auditor: true,
            ..REQUESTER
        };
        assert!(!Actions::of(auditor, &summary(pending(), Some(active()), 60)).may_end);
        assert!(!Actions::of(REQUESTER, &summary(pending(), Some(ending()), 60)).may_end);
        let overdue = Grant {
            overdue_at: Some(at(900)),
            ..ending()
        };
        assert!(Actions::of(REQUESTER, &summary(pending(), Some(overdue), 901)).may_hurry);
        assert!(!Actions::of(REQUESTER, &summary(pending(), Some(ended()), 999)).may_end);
    }

    #[test]
    fn the_page_refreshes_only_while_something_moves_and_nobody_could_be_typing() {
        let none = Actions::default();
        assert_eq!(refresh(&summary(pending(), Some(active()), 60), none), None);
        assert_eq!(
            refresh(&summary(pending(), Some(active()), 599), none),
            Some(5)
        );
        assert_eq!(
            refresh(&summary(pending(), Some(ending()), 700), none),
            Some(5)
        );
        assert_eq!(refresh(&summary(pending(), Some(ended()), 700), none), None);
        let waits = Actions {
            may_cancel: true,
            ..none
        };
        assert_eq!(refresh(&summary(pending(), None, 10), waits), Some(15));
        assert_eq!(
            refresh(
                &summary(pending(), None, 10),
                Actions {
                    may_decide: true,
                    ..none
                }
            ),
            None
        );
    }
}
