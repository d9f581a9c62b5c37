//! Samples of the switches: the operations page while they are worked, and the page before the end of
//! everything.

use axum::http::StatusCode;

use super::super::samples::at;
use super::errors::problem;
use super::operations::{page, well};
use super::{Rendered, layout, paused, render};
use crate::access::id::EndOrderId;
use crate::http::page::Layout;
use crate::http::pages::operations;
use crate::http::pages::operations::Reading;
use crate::http::pages::switches::{Fields, Page};
use crate::postgres::end_orders::EndOrder;

fn asks(layout: Layout, live: usize) -> Page {
    Page {
        layout,
        live,
        fields: Fields {
            pause: Some("on".into()),
            ..Fields::default()
        },
        problem: None,
    }
}

pub(super) fn samples() -> Vec<Rendered> {
    let order = EndOrder {
        id: EndOrderId::new(at(550)),
        ordered_at: at(550),
        by: "root at the shell".into(),
        comment: "<b>The laptop</b> of an administrator is gone".into(),
        ends_started: 12,
        done_at: None,
    };
    let troubled = operations::Page {
        layout: paused(),
        ..page(Reading {
            orders: vec![order],
            ..well()
        })
    };
    let text = "Say why: it stays in the record.";
    let came_back = Page {
        fields: Fields::default(),
        problem: Some(problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            text,
            &[("comment", text)],
        )),
        ..asks(layout(0), 12)
    };
    vec![
        ("operations-paused", render(&troubled)),
        ("end-everything", render(&asks(layout(0), 12))),
        ("end-everything-again", render(&came_back)),
        ("end-everything-nothing", render(&asks(paused(), 0))),
    ]
}
