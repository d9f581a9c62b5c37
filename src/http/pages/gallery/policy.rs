//! Samples of the policy page.

use std::collections::BTreeSet;

use super::super::samples::{accounts, at, engineers, in_force};
use super::super::words::Time;
use super::{Rendered, layout, render};
use crate::access::person::{Person, PersonId};
use crate::http::pages::explain::{self, Answer, Complaint, Form, Question};
use crate::http::pages::policy::{InWords, Page, sample};
use crate::policy::facts::{Account, InForce};
use crate::postgres::directory::PermissionSet;

fn page(in_force: &InForce, question: Question, answer: Option<Answer>, sees_people: bool) -> Page {
    let sets = [("production-admin", 3600), ("staging-admin", 4 * 3600)].map(|(name, seconds)| {
        PermissionSet {
            arn: name.to_owned(),
            name: name.to_owned(),
            session_seconds: seconds,
        }
    });
    let long = "Wolfeschlegelsteinhausenbergerdorff".repeat(7);
    let names: &[(&str, &str)] = if sees_people {
        &[
            ("\u{5d0}\u{5d3}\u{5d4} \u{5dc}\u{5d1}", "ada@example.com"),
            (&long, "wolfe@example.com"),
        ]
    } else {
        &[]
    };
    let mut accounts = accounts();
    for n in 0..40 {
        accounts.push(Account {
            id: format!("5{n:011}"),
            name: if n == 0 {
                String::new()
            } else {
                format!("prod-{n}")
            },
            ..accounts[1].clone()
        });
    }
    let groups: BTreeSet<String> = engineers();
    Page {
        layout: layout(0),
        policy: Some(InWords {
            version: "5f".repeat(32),
            since: Some(Time(at(0))),
            rules: sample(in_force, &accounts, &sets, &groups, names),
        }),
        form: Form::of(in_force, &accounts, question, sees_people),
        answer,
        sees_people,
        origin: "https://curfew.example.com".into(),
        now: Time(at(60)),
    }
}

fn asked() -> Question {
    Question {
        person: "both@example.com".into(),
        what: "permission-set/production-admin".into(),
        account: "payments-prod".into(),
    }
}

pub(super) fn samples() -> Vec<Rendered> {
    let payments = accounts().swap_remove(1);
    let both = Person {
        id: PersonId::new("both"),
        user_id: "both".into(),
        email: "both@example.com".into(),
        name: "Bo Both".into(),
        enabled: true,
    };
    let yes = explain::sample(payments.clone(), None, &[]);
    let no = explain::sample(
        payments,
        Some(both),
        &[
            "Disabled in the directory, or not there any more.",
            "Not in a group that may ask under this rule (engineers).",
        ],
    );
    let mut suspended = in_force();
    suspended.current.remove("production-approvers");
    let complained = {
        let mut page = page(&suspended, asked(), None, true);
        page.form.complaint = Some(Complaint {
            field: "person",
            text: "Nobody in the directory is called both@example.com.".into(),
        });
        page
    };
    let nothing = Page {
        policy: None,
        ..page(&in_force(), Question::default(), None, false)
    };
    vec![
        (
            "policy",
            render(&page(&in_force(), asked(), Some(yes), false)),
        ),
        (
            "policy-auditor",
            render(&page(&in_force(), asked(), Some(no), true)),
        ),
        ("policy-suspended", render(&complained)),
        ("policy-nothing", render(&nothing)),
    ]
}
