//! Samples of the form that asks for access.

use std::collections::BTreeSet;

use axum::http::StatusCode;

use super::super::samples::{accounts, engineers, in_force};
use super::errors::problem;
use super::{Rendered, layout, render};
use crate::access::person::Assurance;
use crate::http::error::Problem;
use crate::http::pages::new_request;
use crate::policy::ask::Ask;

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

pub(super) fn samples() -> Vec<Rendered> {
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
    vec![
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
    ]
}
