//! Samples of a request's page.

use super::super::samples::{active, asked, at, ended, ending, events, summary};
use super::{Rendered, approved, layout, render};
use crate::access::decision::{Decision, Verdict};
use crate::access::grant::Grant;
use crate::access::person::{Assurance, PersonId};
use crate::access::request::{Named, Request, RequestStatus};
use crate::broker::relation::Relation;
use crate::http::pages::request::{self, Actions, DecisionLine, RuleNow, refresh};
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
        events: events()
            .into_iter()
            .take(if is_decided { 9 } else { 1 })
            .collect(),
        has_more_events: false,
        is_requester: relation.is_requester,
        rule: (!is_decided).then(|| RuleNow {
            approvers: vec!["production-approvers".into()],
            assurance: Assurance::PhishingResistant,
        }),
        assurance: Assurance::PhishingResistant,
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
            "request-ending",
            render(&request_page(approved(), Some(ending()), requester, 610)),
        ),
        (
            "request-ended",
            render(&request_page(approved(), Some(ended()), approver, 700)),
        ),
    ]
}
