//! Every page, rendered with samples: free text stays text, labels and complaints stand where they
//! belong. `CURFEW_PAGES_DIR=DIR cargo test every_page_renders` leaves the pages in DIR,
//! to be looked at in a browser beside `static/app.css`.

use std::collections::BTreeSet;
use std::path::Path;

use askama::Template;
use axum::http::StatusCode;

use super::request::{Actions, DecisionLine, RuleNow, refresh};
use super::requests::{scopes, statuses};
use super::samples::{
    accounts, active, asked, at, ended, ending, engineers, events, failed, in_force, pending,
    provisioning, summary,
};
use super::summary::Summary;
use super::words::Time;
use super::{approvals, audit, home, login, new_request, request, requests};
use crate::access::decision::{Decision, Verdict};
use crate::access::grant::Grant;
use crate::access::person::{Assurance, Person, PersonId};
use crate::access::request::{Named, Request, RequestStatus};
use crate::broker::relation::Relation;
use crate::http::error::Problem;
use crate::http::page::{ErrorPage, Layout, PersonInFrame};
use crate::policy::ask::Ask;

fn layout(waiting: usize) -> Layout {
    let (name, email) = ("Ada Engineer".to_owned(), "engineer@example.com".to_owned());
    Layout {
        person: Some(PersonInFrame {
            name,
            email,
            is_auditor: true,
            waiting,
        }),
        is_demo: true,
    }
}

fn approved() -> Request {
    Request {
        status: RequestStatus::Approved,
        closed_at: Some(at(0)),
        ..asked()
    }
}

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

fn new_request_page(
    groups: &BTreeSet<String>,
    ask: Ask,
    problem: Option<Problem>,
) -> new_request::Page {
    let offers = new_request::Offers::of(&in_force(), groups, &accounts(), Assurance::Mfa, &ask);
    new_request::Page {
        layout: layout(0),
        offers,
        ask,
        problem,
    }
}

fn problem(status: StatusCode, text: &str, fields: &[(&str, &str)]) -> Problem {
    let fields = fields
        .iter()
        .map(|(field, text)| ((*field).to_owned(), "code".to_owned(), (*text).to_owned()));
    Problem {
        status,
        code: "code",
        text: text.to_owned(),
        fields: fields.collect(),
    }
}

fn login_page() -> login::Page<'static> {
    let people = [
        ("engineer", "engineers"),
        ("approver", "production-approvers"),
        ("both", "engineers, production-approvers"),
    ];
    let listed = people.map(|(name, groups)| login::Listed {
        person: Person {
            id: PersonId::new(name),
            user_id: name.into(),
            email: format!("{name}@example.com"),
            name: name.to_uppercase(),
            enabled: true,
        },
        groups: groups.into(),
    });
    let layout = Layout {
        person: None,
        is_demo: true,
    };
    login::Page {
        layout,
        people: listed.into(),
        next: "/requests/new?rule=x&a=b",
        failed: true,
    }
}

/// The name and text of every page.
fn pages() -> Vec<(&'static str, String)> {
    let requester = Relation {
        is_requester: true,
        ..Relation::default()
    };
    let approver = Relation {
        may_approve: true,
        ..Relation::default()
    };
    let ask = Ask {
        rule: "production-admin".into(),
        account: "111111111111".into(),
        minutes: "600".into(),
        reason: "x\"><img src=x>".into(),
        ticket: "nope".into(),
    };
    let invalid = problem(
        StatusCode::UNPROCESSABLE_ENTITY,
        "Minutes must be a whole number from 1 to 60. The ticket does not look like ^(INC|CHG)-\\d+$.",
        &[
            ("minutes", "Minutes must be a whole number from 1 to 60."),
            (
                "reason",
                "Say why in at least 10 characters; the approver and the auditor read it.",
            ),
            ("ticket", "The ticket does not look like ^(INC|CHG)-\\d+$."),
        ],
    );
    let conflict = problem(
        StatusCode::CONFLICT,
        "You have decided on this request already.",
        &[],
    );
    let history = vec![
        summary(asked(), None, 60),
        summary(approved(), Some(active()), 60),
        summary(approved(), Some(ending()), 610),
        summary(approved(), Some(ended()), 700),
        summary(
            Request {
                status: RequestStatus::Denied,
                closed_at: Some(at(9)),
                ..asked()
            },
            None,
            700,
        ),
        summary(approved(), Some(failed()), 700),
    ];
    let home = home::Page {
        layout: layout(7),
        now: Time(at(60)),
        live: vec![
            summary(approved(), Some(active()), 60),
            summary(approved(), Some(provisioning()), 60),
            summary(approved(), Some(ending()), 660),
        ],
        waiting: vec![summary(asked(), None, 60)],
        recent: history,
    };
    let empty = home::Page {
        layout: layout(0),
        now: Time(at(0)),
        live: vec![],
        waiting: vec![],
        recent: vec![],
    };
    let list = requests::Page {
        layout: layout(0),
        requests: vec![
            summary(asked(), None, 60),
            summary(approved(), Some(active()), 60),
            summary(approved(), Some(ending()), 610),
        ],
        scopes: scopes(false, None, true),
        statuses: statuses(false, None),
        mine: false,
        is_narrowed: false,
        older: Some("/requests?cursor=x".into()),
    };
    let approvals = approvals::Page {
        layout: layout(1),
        now: Time(at(60)),
        waiting: vec![summary(asked(), None, 60)],
        is_approver: true,
        has_more: true,
    };
    let none = approvals::Page {
        layout: layout(0),
        now: Time(at(0)),
        waiting: vec![],
        is_approver: false,
        has_more: false,
    };
    let audit = audit::Page {
        layout: layout(0),
        events: events(),
        request: None,
        older: Some("/audit?before=1".into()),
        is_older: false,
    };
    let act = format!("/requests/{}/approve", pending().id);
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().unwrap();
    vec![
        ("login", render(&login_page())),
        ("home", render(&home)),
        ("home-empty", render(&empty)),
        (
            "new",
            render(&new_request_page(
                &engineers(),
                Ask {
                    minutes: "30".into(),
                    ..Ask::default()
                },
                None,
            )),
        ),
        (
            "new-invalid",
            render(&new_request_page(&engineers(), ask, Some(invalid))),
        ),
        (
            "new-nothing",
            render(&new_request_page(&BTreeSet::new(), Ask::default(), None)),
        ),
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
        ("requests", render(&list)),
        ("approvals", render(&approvals)),
        ("approvals-empty", render(&none)),
        ("audit", render(&audit)),
        (
            "error",
            ErrorPage::of(
                Layout {
                    person: None,
                    is_demo: true,
                },
                &conflict,
                &act,
            )
            .render()
            .unwrap(),
        ),
    ]
}

#[test]
fn every_page_renders_and_shows_free_text_as_text() {
    for (name, html) in pages() {
        if let Some(dir) = std::env::var_os("CURFEW_PAGES_DIR") {
            std::fs::write(
                Path::new(&dir).join(format!("{name}.html")),
                html.replace("/static/app.css", "app.css"),
            )
            .unwrap();
        }
        assert!(
            !html.contains("<script") && !html.contains("<img") && !html.contains("<b>"),
            "{name} does not escape"
        );
        assert!(
            !html.contains(" style=") && !html.contains(" onclick="),
            "{name} has something that the CSP forbids"
        );
        assert_eq!(
            html.matches("<h1").count(),
            1,
            "{name} has one heading of the first level"
        );
        assert!(
            html.contains("<main id=\"main\"") && html.contains("href=\"#main\""),
            "{name} has no way past the header"
        );
    }
}

#[test]
fn every_field_has_a_label_and_every_complaint_stands_beside_its_field() {
    let pages = pages();
    let html = &pages
        .iter()
        .find(|(name, _)| *name == "new-invalid")
        .unwrap()
        .1;
    for field in ["rule", "account", "minutes", "reason", "ticket"] {
        assert!(
            html.contains(&format!("for=\"{field}\"")) && html.contains(&format!("id=\"{field}\"")),
            "{field}"
        );
    }
    for field in ["minutes", "reason", "ticket"] {
        assert!(
            html.contains(&format!("id=\"{field}-wrong\""))
                && html.contains(&format!("{field}-wrong\"")),
            "{field}"
        );
    }
    assert!(
        html.contains("role=\"alert\"")
            && html.contains("value=\"600\"")
            && html.contains("value=\"nope\"")
    );
}

#[test]
fn the_account_is_shown_with_its_id_wherever_it_is_named() {
    for (name, html) in pages() {
        if html.contains("payments-prod") {
            assert!(html.contains("111111111111"), "{name}");
        }
    }
}
