//! Samples of the sign-in page.

use super::{Rendered, layout, render};
use crate::access::person::{Assurance, Demand, Person, PersonId};
use crate::http::page::Layout;
use crate::http::pages::auth::{Trouble, TroublePage};
use crate::http::pages::login;

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
        paused: None,
    };
    login::Page {
        layout,
        people: listed.into(),
        next: "/requests/new?rule=x&a=b",
        failed: true,
        start: None,
        is_away: false,
    }
}

/// Where there is a provider.
fn company(is_away: bool) -> login::Page<'static> {
    login::Page {
        layout: Layout::default(),
        people: Vec::new(),
        next: "/",
        failed: false,
        start: Some("/login/start?next=%2Fapprovals".into()),
        is_away,
    }
}

fn trouble(what: Trouble, is_in: bool) -> String {
    render(&TroublePage::of(
        Layout::default(),
        what,
        "/approvals",
        is_in,
    ))
}

pub(super) fn samples() -> Vec<Rendered> {
    let step_up = login::StepUpPage {
        layout: layout(0),
        email: "engineer@example.com",
        demand: Demand {
            assurance: Assurance::PhishingResistant,
            max_age_minutes: Some(15),
        },
        next: "/requests/new?kept=1",
    };
    let signed_out = login::SignedOutPage {
        layout: Layout::default(),
        on: "https://example.okta.com/oauth2/v1/logout?id_token_hint=x&client_id=y",
    };
    vec![
        ("login", render(&login_page())),
        ("login-company", render(&company(false))),
        ("login-away", render(&company(true))),
        ("login-step-up", render(&step_up)),
        ("login-signed-out", render(&signed_out)),
        ("login-again", trouble(Trouble::StartAgain, false)),
        (
            "login-unknown",
            trouble(Trouble::Nobody("unknown_person"), false),
        ),
        (
            "login-disabled",
            trouble(Trouble::Nobody("disabled"), false),
        ),
        (
            "login-changed",
            trouble(Trouble::Nobody("second_account"), false),
        ),
        (
            "login-another",
            trouble(Trouble::Nobody("step_up_as_another"), true),
        ),
        ("login-not-enough", trouble(Trouble::NotEnough, true)),
        ("login-denied", trouble(Trouble::Denied, false)),
        (
            "login-not-believed",
            trouble(Trouble::NotBelieved("wrong_audience"), false),
        ),
    ]
}

#[test]
fn a_page_of_trouble_leads_on_and_names_the_code_for_administrators() {
    let pages = samples();
    let page = |name| &pages.iter().find(|(of, _)| *of == name).unwrap().1;
    assert!(page("login-again").contains("href=\"/login/start?next=%2Fapprovals\""));
    assert!(page("login-changed").contains("<code>second_account</code>"));
    let another = page("login-another");
    assert!(another.contains("You stay signed in as before."));
    assert!(!another.contains("/login/start"));
    // A disabled account gets no further by trying.
    assert!(!page("login-disabled").contains("/login/start"));
    assert!(page("login-away").contains("can't be reached just now"));
    assert!(page("login-signed-out").contains("http-equiv=\"refresh\" content=\"0; url=https://"));
}
