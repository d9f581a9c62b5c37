//! Samples of the lists of requests: the history and what waits for a decision.

use super::super::samples::{active, asked, at, ending, summary};
use super::{Rendered, approved, layout, render};
use crate::http::pages::approvals;
use crate::http::pages::requests::{self, scopes, statuses};
use crate::http::pages::words::Time;

pub(super) fn samples() -> Vec<Rendered> {
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
    vec![
        ("requests", render(&list)),
        ("approvals", render(&approvals)),
        ("approvals-empty", render(&none)),
    ]
}
