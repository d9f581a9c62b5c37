//! Samples of the form that asks for access.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use chrono::TimeDelta;

use super::super::offers::{Basis, Offers};
use super::super::samples::{basis, signed_in};
use super::errors::{problem, unproved};
use super::{Rendered, layout, render};
use crate::access::person::Assurance;
use crate::http::error::Problem;
use crate::http::pages::new_request::Page;
use crate::policy::ask::Ask;
use crate::policy::facts::Account;
use crate::postgres::directory::Approvers;

fn page(basis: &Basis, ask: Ask, problem: Option<Problem>) -> String {
    let offers = Offers::of(basis, &ask);
    render(&Page::of(layout(0), offers, ask, problem))
}

/// A thousand accounts more, one of them with a long name, one without, one from right to left.
fn many() -> Vec<Account> {
    let first = basis().accounts[0].clone();
    let more = (0..1000).map(|n| Account {
        id: format!("55555555{n:04}"),
        name: match n {
            0 => "x".repeat(255),
            1 => String::new(),
            2 => "דוחות ייצור".into(),
            _ => format!("prod-{n}"),
        },
        ..first.clone()
    });
    basis().accounts.into_iter().chain(more).collect()
}

pub(super) fn samples() -> Vec<Rendered> {
    let empty = || Ask {
        minutes: "30".into(),
        ..Ask::default()
    };
    let lately = Basis {
        lately: vec![
            ("production-admin".into(), "111111111111".into()),
            ("staging-admin".into(), "222222222222".into()),
        ],
        by: signed_in(Assurance::Mfa),
        ..basis()
    };
    let thousand = Basis {
        accounts: many(),
        approvers: [("production-admin".to_owned(), Approvers::default())].into(),
        minute: TimeDelta::seconds(2),
        ..basis()
    };
    let stranger = Basis {
        groups: BTreeSet::new(),
        ..basis()
    };
    let typed = || Ask {
        rule: "production-admin".into(),
        account: "111111111111".into(),
        reason: "restart the payment workers, they hang since 02:51".into(),
        ..empty()
    };
    let bad = Ask {
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
    let vague = Ask {
        rule: "production-admin".into(),
        account: "prod".into(),
        reason: "restart the payment workers".into(),
        ..empty()
    };
    let which = problem(
        StatusCode::UNPROCESSABLE_ENTITY,
        "There is no such account.",
        &[("account", "There is no such account.")],
    );
    vec![
        ("new", page(&basis(), empty(), None)),
        ("new-again", page(&lately, empty(), None)),
        ("new-thousand", page(&thousand, empty(), None)),
        (
            "new-which",
            page(&basis(), vague.clone(), Some(which.clone())),
        ),
        ("new-which-of-many", page(&thousand, vague, Some(which))),
        ("new-invalid", page(&basis(), bad, Some(invalid))),
        ("new-unproved", page(&lately, typed(), Some(unproved()))),
        ("new-come-back", {
            let offers = Offers::of(&basis(), &typed());
            render(&Page {
                has_come_back: true,
                ..Page::of(layout(0), offers, typed(), None)
            })
        }),
        ("new-nothing", page(&stranger, Ask::default(), None)),
    ]
}

#[test]
fn a_thousand_accounts_stand_in_the_page_once_and_leave_it_light() {
    let pages = samples();
    let (_, html) = pages
        .iter()
        .find(|(name, _)| *name == "new-thousand")
        .unwrap();
    assert_eq!(html.matches("5555555509").count(), 100);
    assert!(html.len() < 80_000, "{} bytes", html.len());
}

#[test]
fn of_many_matching_accounts_twenty_are_offered_and_the_others_counted() {
    let pages = samples();
    let (_, html) = pages
        .iter()
        .find(|(name, _)| *name == "new-which-of-many")
        .unwrap();
    assert_eq!(html.matches("type=\"radio\"").count(), 20);
    assert!(html.contains("more match"));
}
