//! Samples of the audit log's page.

use super::super::samples::{at, events};
use super::super::words::Time;
use super::{Rendered, layout, render};
use crate::audit::filter::Filter;
use crate::http::pages::audit;
use crate::http::pages::events::EventLine;

fn page(events: Vec<EventLine>, filter: Filter, before: Option<i64>) -> audit::Page {
    audit::Page {
        layout: layout(0),
        older: (!events.is_empty()).then(|| "/audit?before=1".into()),
        events,
        filter,
        rules: vec!["production-admin".into(), "staging-admin".into()],
        before,
        origin: "https://curfew.example.com".into(),
        now: Time(at(0)),
    }
}

pub(super) fn samples() -> Vec<Rendered> {
    let filter = Filter {
        // As right-to-left and as long as a name can be.
        person: Some(format!("\u{5d0}\u{5d3}\u{5d4} {}", "long".repeat(60))),
        account: Some("payments-".into()),
        kind: Some("grant.".into()),
        from: Some(at(0)),
        until: Some(at(3600)),
        ..Filter::default()
    };
    vec![
        ("audit", render(&page(events(), Filter::default(), None))),
        (
            "audit-filtered",
            render(&page(events(), filter.clone(), Some(10))),
        ),
        ("audit-nothing", render(&page(Vec::new(), filter, None))),
    ]
}
