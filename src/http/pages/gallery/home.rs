//! Samples of the home page.

use super::super::samples::{active, asked, at, ended, ending, failed, provisioning, summary};
use super::{Rendered, approved, layout, render};
use crate::access::request::{Request, RequestStatus};
use crate::http::pages::home;
use crate::http::pages::words::Time;

pub(super) fn samples() -> Vec<Rendered> {
    let history = vec![
        summary(asked(), None, 60),
        summary(approved(), Some(active()), 60),
        summary(approved(), Some(ending()), 610),
        summary(approved(), Some(ended()), 700),
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
        waiting: vec![summary(asked(), None, 60)],
        recent: history,
    };
    let empty = home::Page {
        layout: layout(0),
        now: Time(at(0)),
        live: vec![],
        waiting: vec![],
        recent: vec![],
    };
    vec![("home", render(&home)), ("home-empty", render(&empty))]
}
