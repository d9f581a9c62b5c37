//! One request: what it is about, where it and its grant stand, who decided what, what happened, and
//! what this reader may do about it. The buttons only offer; the acts of the broker decide.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use tower_sessions::Session;

use super::events::EventLine;
use super::summary::Summary;
use super::words::{self, Time};
use crate::access::decision::{Decision, Verdict};
use crate::access::grant::{Grant, GrantState};
use crate::access::person::Demand;
use crate::access::portal::{AccessPortal, CliProfile};
use crate::broker::relation::Relation;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::{RequestPath, Search};
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::http::step_up::{self, StepUp};
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
    /// Number under which a comment waits that was typed before.
    kept: String,
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
    /// What they must have proved.
    pub(super) demand: Demand,
}

impl RuleNow {
    fn of(rule: &Rule) -> Self {
        Self {
            approvers: rule.approvers.clone(),
            demand: rule.demand(),
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

/// One entry of the timeline.
#[derive(Debug)]
pub(super) enum Step {
    /// What people and grants do.
    Event(EventLine),
    /// What went on between Curfew and Identity Center meanwhile, folded.
    Technical(Vec<EventLine>),
}

impl Step {
    /// Folds technical events that follow one another.
    pub(super) fn fold(events: Vec<EventLine>) -> Vec<Self> {
        let mut steps = Vec::new();
        for event in events {
            match (event.is_technical, steps.last_mut()) {
                (true, Some(Self::Technical(folded))) => folded.push(event),
                (true, _) => steps.push(Self::Technical(vec![event])),
                (false, _) => steps.push(Self::Event(event)),
            }
        }
        steps
    }
}

/// How to get to the access.
#[derive(Debug)]
pub(super) struct WayIn {
    /// Address of the console.
    pub(super) console: String,
    /// For the CLI.
    pub(super) profile: Option<CliProfile>,
}

impl WayIn {
    /// Only for whoever has the access, and only while it is active.
    pub(super) fn of(portal: &AccessPortal, summary: &Summary, is_requester: bool) -> Option<Self> {
        (is_requester && summary.left().is_some()).then(|| Self {
            console: portal.console(&summary.request.target),
            profile: portal.cli_profile(&summary.request.target),
        })
    }
}

#[derive(Template)]
#[template(path = "requests/show.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) summary: Summary,
    pub(super) decisions: Vec<DecisionLine>,
    pub(super) timeline: Vec<Step>,
    /// How many events are shown, if there are older ones.
    pub(super) most_events: Option<usize>,
    /// Number of the newest one.
    pub(super) newest: i64,
    pub(super) way_in: Option<WayIn>,
    /// Scheme and host of this service, for paper.
    pub(super) origin: String,
    pub(super) actions: Actions,
    pub(super) is_requester: bool,
    /// Others that wait for the decision of somebody who has decided this one.
    pub(super) more_waiting: usize,
    /// The rule as it is now, if it is pending.
    pub(super) rule: Option<RuleNow>,
    /// What the rule needs of whoever agrees, if the reader's sign-in is less.
    pub(super) step_up: Option<StepUp>,
    /// A comment that was typed before its writer went to prove more.
    pub(super) typed: String,
    /// Seconds after which a browser without scripts reads the page anew.
    pub(super) refresh: Option<u32>,
    /// The reader wants it to hold still.
    pub(super) is_held: bool,
}

impl Page {
    fn sessions(&self) -> Option<String> {
        self.summary
            .grant
            .as_ref()
            .and_then(|grant| words::sessions_sentence(grant, self.summary.now))
    }

    /// Where changes are announced, as long as there can be any.
    fn live(&self) -> Option<String> {
        (self.summary.may_change() && !self.is_held)
            .then(|| format!("{}/live?after={}", self.summary.href(), self.newest))
    }

    fn signed_in(&self) -> &'static str {
        words::signed_in(self.summary.request.assurance)
    }

    fn now(&self) -> Time {
        Time(self.summary.now)
    }
}

/// How soon a browser without scripts should read the page anew: only while something moves, and never under somebody who
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
        self.refresh.is_none()
    }
}

/// `GET /requests/{id}`
pub(in crate::http) async fn show(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    session: Session,
    RequestPath(id): RequestPath,
    Search(wanted): Search<Wanted>,
) -> Result<Response, Error> {
    let broker = web.broker();
    // The events first: whatever happens after them is announced to whoever watches.
    let mut events = {
        let mut conn = broker.db.conn().await?;
        audit::list_of_request(&mut conn, id.0, false, i64::MAX, MOST_EVENTS + 1).await?
    };
    let newest = events.first().map_or(0, |event| event.seq);
    let whole = Whole::load(&web, &by.person.id, id).await?;
    let layout = Layout::of(&web, &by).await?;
    let mut conn = broker.db.conn().await?;
    let now = broker.db.clock.now(&mut conn).await?;
    let most = usize::try_from(MOST_EVENTS).unwrap_or(0);
    let most_events = (events.len() > most).then_some(most);
    events.truncate(most);
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
    let href = summary.href();
    let step_up = rule
        .as_ref()
        .and_then(|rule: &RuleNow| StepUp::of(rule.demand, &by, now, href.as_str()));
    let mut typed = step_up::typed(&session, &href, &wanted.kept).await?;
    let typed = typed.as_mut().and_then(|typed| typed.remove("comment"));
    let is_held = summary.may_change() && wanted.live == "off";
    let waiting = layout.person.as_ref().map_or(0, |person| person.waiting);
    let page = Page {
        layout,
        more_waiting: if relation.has_decided { waiting } else { 0 },
        decisions: decisions.into_iter().map(DecisionLine::of).collect(),
        timeline: Step::fold(
            events
                .into_iter()
                .map(EventLine::parse)
                .collect::<anyhow::Result<_>>()?,
        ),
        most_events,
        newest,
        way_in: WayIn::of(&web.0.setup.portal, &summary, relation.is_requester),
        origin: web.0.setup.public_url.origin().to_owned(),
        refresh: refresh(&summary, actions).filter(|_| !is_held),
        actions,
        is_requester: relation.is_requester,
        rule,
        step_up,
        typed: typed.unwrap_or_default(),
        is_held,
        summary,
    };
    render(StatusCode::OK, &page)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{
        active, at, ended, ending, events, failed, pending, portal, provisioning, scheduled,
        summary,
    };
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
    fn the_way_in_is_shown_to_whoever_has_the_access_and_only_while_it_is_active() {
        let portal = portal();
        let way_in = |grant, seconds, is_requester| {
            WayIn::of(&portal, &summary(pending(), grant, seconds), is_requester)
        };
        let shown = way_in(Some(active()), 60, true).unwrap();
        assert!(shown.console.contains("111111111111") && shown.profile.is_some());
        assert!(way_in(Some(active()), 60, false).is_none());
        assert!(
            way_in(Some(active()), 600, true).is_none(),
            "its time is over"
        );
        for grant in [scheduled(), provisioning(), ending(), ended(), failed()] {
            assert!(way_in(Some(grant), 60, true).is_none());
        }
        assert!(way_in(None, 60, true).is_none());
    }

    #[test]
    fn technical_events_that_follow_one_another_are_folded() {
        let lengths: Vec<_> = Step::fold(events())
            .iter()
            .map(|step| match step {
                Step::Event(_) => 0,
                Step::Technical(folded) => folded.len(),
            })
            .collect();
        assert_eq!(lengths, [0, 0, 0, 0, 0, 2, 0, 0]);
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
