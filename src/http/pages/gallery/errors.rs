//! Samples of error pages.

use askama::Template as _;
use axum::http::StatusCode;

use super::super::samples::pending;
use super::{Rendered, layout};
use crate::access::person::{Assurance, Demand, Unproved};
use crate::broker::Refused;
use crate::http::error::{Error, Problem};
use crate::http::error_context::Typed;
use crate::http::page::{ErrorPage, Layout};

pub(super) fn problem(status: StatusCode, text: &str, fields: &[(&str, &str)]) -> Problem {
    let fields = fields
        .iter()
        .map(|(field, text)| ((*field).to_owned(), "code".to_owned(), (*text).to_owned()));
    Problem {
        status,
        code: "code",
        text: text.to_owned(),
        fields: fields.collect(),
        by_hand: None,
        demand: None,
        step_up: None,
    }
}

/// A refusal that somebody can mend by proving more.
pub(super) fn unproved() -> Problem {
    let demand = Demand {
        assurance: Assurance::PhishingResistant,
        max_age_minutes: Some(15),
    };
    Error::Unproved {
        refused: Refused::unproved(Unproved::TooOld(demand)),
        next: "/requests/new?kept=1".into(),
    }
    .problem()
}

pub(super) fn samples() -> Vec<Rendered> {
    let page = |layout: Layout, problem: &Problem, path: &str, typed: Option<&Typed>| {
        ErrorPage::of(layout, problem, path, typed)
            .render()
            .unwrap()
    };
    let nobody = || Layout {
        person: None,
        is_demo: true,
        paused: None,
    };
    let conflict = problem(
        StatusCode::CONFLICT,
        "You have decided on this request already.",
        &[],
    );
    let missing = problem(
        StatusCode::NOT_FOUND,
        "There is no such request, or you may not see it.",
        &[],
    );
    let expired = problem(StatusCode::UNAUTHORIZED, "Sign in first.", &[]);
    let away = Problem {
        by_hand: Some(crate::live_grants::command(
            "arn:aws:sso:::instance/ssoins-0123456789abcdef",
            &super::operations::tuple(),
        )),
        ..problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "Curfew's database can't be reached just now. Try again in a few seconds; if you were changing something, look first whether it was done.",
            &[],
        )
    };
    let typed = Typed {
        texts: vec![("Reason", "</textarea><b>restart</b>\nthe workers".into())],
        next: "/requests/new?rule=production-admin&account=111111111111".into(),
    };
    let id = pending().id;
    vec![
        (
            "error",
            page(
                layout(2),
                &conflict,
                &format!("/requests/{id}/approve"),
                None,
            ),
        ),
        (
            "error-404",
            page(layout(0), &missing, &format!("/requests/{id}"), None),
        ),
        (
            "error-by-hand",
            page(nobody(), &away, &format!("/requests/{id}/end"), None),
        ),
        (
            "error-unproved",
            page(
                layout(2),
                &unproved(),
                &format!("/requests/{id}/approve"),
                None,
            ),
        ),
        ("error-nobody", page(nobody(), &missing, "/x", None)),
        (
            "error-signed-out",
            page(nobody(), &expired, "/requests", Some(&typed)),
        ),
    ]
}
