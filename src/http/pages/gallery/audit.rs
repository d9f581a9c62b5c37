//! Samples of the audit log's page.

use super::super::samples::events;
use super::{Rendered, layout, render};
use crate::http::pages::audit;

pub(super) fn samples() -> Vec<Rendered> {
    let audit = audit::Page {
        layout: layout(0),
        events: events(),
        request: None,
        older: Some("/audit?before=1".into()),
        is_older: false,
    };
    vec![("audit", render(&audit))]
}
