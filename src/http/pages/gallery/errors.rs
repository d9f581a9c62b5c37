//! Samples of error pages.

use askama::Template as _;
use axum::http::StatusCode;

use super::super::samples::pending;
use super::Rendered;
use crate::http::error::Problem;
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
    }
}

pub(super) fn samples() -> Vec<Rendered> {
    let conflict = problem(
        StatusCode::CONFLICT,
        "You have decided on this request already.",
        &[],
    );
    let act = format!("/requests/{}/approve", pending().id);
    vec![(
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
    )]
}
