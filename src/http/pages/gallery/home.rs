//! Samples of the home page.

use super::super::samples::{
    active, asked, at, closed, ended, ending, failed, provisioning, summary,
};
use super::{Rendered, approved, endless, layout, nameless, render};
use crate::access::request::{Request, RequestStatus};
use crate::http::pages::home;
use crate::http::pages::words::Time;

pub(super) fn samples() -> Vec<Rendered> {
    let history = vec![
        summary(asked(), None, 60),
        summary(approved(), Some(active()), 60),
        summary(approved(), Some(ending()), 610),
        summary(approved(), Some(ended()), 700),
        summary(approved(), Some(closed()), 2700),
        summary(
            Request {
                status: RequestStatus::Denied,
                closed_at: Some(at(9)),
                ..asked()
            },
            None,
            700,
        ),
        summary(approved(), Some(failed()), 700),
    ];
    let home = home::Page {
        layout: layout(7),
        now: Time(at(60)),
        live: vec![
            summary(approved(), Some(active()), 60),
            summary(approved(), Some(provisioning()), 60),
            summary(approved(), Some(ending()), 660),
        ],
        waiting: vec![summary(asked(), None, 60), summary(nameless(), None, 60)],
        is_approver: true,
        recent: history,
    };
    let empty = home::Page {
        layout: layout(0),
        now: Time(at(0)),
        live: vec![],
        waiting: vec![],
        is_approver: false,
        recent: vec![],
    };
    let long = || Request {
        status: RequestStatus::Approved,
        ..endless()
    };
    let endless = home::Page {
        layout: layout(100),
        now: Time(at(60)),
        live: vec![summary(long(), Some(active()), 60)],
        waiting: vec![summary(endless(), None, 60)],
        is_approver: true,
        recent: vec![summary(long(), Some(ended()), 700)],
    };
    vec![
        ("home", render(&home)),
        ("home-empty", render(&empty)),
        ("home-endless", render(&endless)),
    ]
}
