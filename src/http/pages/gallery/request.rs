//! Samples of a request's page.

use super::super::samples::{
    active, asked, at, closed, ended, ending, events, portal, provisioning, summary,
};
use super::{Rendered, approved, endless, layout, nameless, render};
use crate::access::decision::{Decision, Verdict};
use crate::access::grant::Grant;
use crate::access::person::{Assurance, Demand, PersonId};
use crate::access::request::{Named, Request, RequestStatus};
use crate::broker::relation::Relation;
use crate::http::pages::request::{self, Actions, DecisionLine, RuleNow, Step, WayIn, refresh};
use crate::http::pages::summary::Summary;

fn decision() -> Decision {
    Decision {
        approver: Named {
            id: PersonId::new("approver"),
            email: "approver@example.com".into(),
            name: "Bea".into(),
        },
        verdict: Verdict::Yes,
        comment: Some("ok, I watch the\n<b>dashboards</b>".into()),
        channel: "web".into(),
        assurance: Assurance::PhishingResistant,
        auth_time: Some(at(0)),
        group_id: "g".into(),
        decided_at: at(0),
    }
}

fn request_page(
    request: Request,
    grant: Option<Grant>,
    relation: Relation,
    seconds: i64,
) -> request::Page {
    let yes = usize::from(grant.is_some());
    let summary = Summary {
        yes,
        ..summary(request, grant, seconds)
    };
    let actions = Actions::of(relation, &summary);
    let is_decided = summary.request.status != RequestStatus::Pending;
    request::Page {
        layout: layout(2),
        decisions: is_decided
            .then(|| DecisionLine::of(decision()))
            .into_iter()
            .collect(),
        timeline: Step::fold(
            events()
                .into_iter()
                .take(if is_decided { 9 } else { 1 })
                .collect(),
        ),
        most_events: None,
        more_waiting: if relation.has_decided { 2 } else { 0 },
        newest: 9,
        way_in: WayIn::of(&portal(), &summary, relation.is_requester),
        origin: "https://curfew.example.com".into(),
        is_requester: relation.is_requester,
        rule: (!is_decided).then(|| RuleNow {
            approvers: vec!["production-approvers".into()],
            demand: Demand {
                assurance: Assurance::PhishingResistant,
                max_age_minutes: None,
            },
        }),
        step_up: None,
        typed: String::new(),
        refresh: refresh(&summary, actions),
        is_held: false,
        actions,
        summary,
    }
}

pub(super) fn samples() -> Vec<Rendered> {
    let requester = Relation {
        is_requester: true,
        ..Relation::default()
    };
    let approver = Relation {
        may_approve: true,
        ..Relation::default()
    };
    vec![
        (
            "request-approver",
            render(&request_page(asked(), None, approver, 60)),
        ),
        (
            "request-waiting",
            render(&request_page(asked(), None, requester, 60)),
        ),
        (
            "request-active",
            render(&request_page(approved(), Some(active()), requester, 60)),
        ),
        (
            "request-provisioning",
            render(&request_page(
                approved(),
                Some(provisioning()),
                requester,
                5,
            )),
        ),
        (
            "request-nameless",
            render(&request_page(nameless(), None, approver, 60)),
        ),
        (
            "request-endless",
            render(&request_page(
                Request {
                    status: RequestStatus::Approved,
                    ..endless()
                },
                Some(active()),
                requester,
                60,
            )),
        ),
        (
            "request-again",
            render(&request_page(approved(), Some(ended()), requester, 700)),
        ),
        (
            "request-closed",
            render(&request_page(approved(), Some(closed()), requester, 2700)),
        ),
        (
            "request-ending",
            render(&request_page(approved(), Some(ending()), requester, 610)),
        ),
        (
            "request-ended",
            render(&request_page(
                approved(),
                Some(ended()),
                Relation {
                    has_decided: true,
                    ..approver
                },
                700,
            )),
        ),
    ]
}

#[test]
fn the_way_in_is_on_the_page_of_active_access_and_on_no_other() {
    for (name, html) in samples() {
        let expected = ["request-active", "request-endless"].contains(&name);
        assert_eq!(html.contains("/#/console?"), expected, "{name}");
        assert_eq!(html.contains("[profile "), expected, "{name}");
    }
}

#[test]
fn a_page_refreshes_itself_by_a_tag_only_where_there_are_no_scripts() {
    for (name, html) in samples() {
        assert_eq!(
            html.matches("http-equiv=\"refresh\"").count(),
            html.matches("<noscript><meta http-equiv=\"refresh\"")
                .count(),
            "{name}"
        );
    }
}
