//! Samples of the history of requests.

use super::super::samples::{active, asked, at, ended, ending, summary};
use super::{Rendered, approved, layout, render};
use crate::access::id::RequestId;
use crate::access::person::PersonId;
use crate::access::request::{Named, Request, RequestStatus};
use crate::access::target::Target;
use crate::http::pages::requests::{self, Narrowed, Whose};

/// A denied request with names of the longest kind, written from right to left, for an account that
/// has no name.
fn long() -> Request {
    Request {
        id: RequestId::new(at(1)),
        status: RequestStatus::Denied,
        closed_at: Some(at(9)),
        requester: Named {
            email: format!("{}@example.com", "x".repeat(243)),
            ..asked().requester
        },
        rule: "שם ארוך ".repeat(31),
        target: Target::PermissionSet {
            account_id: "444444444444".into(),
            account_name: String::new(),
            permission_set_arn: "arn:aws:sso:::permissionSet/ssoins-1/ps-2".into(),
            permission_set: "read-only".into(),
        },
        ..asked()
    }
}

pub(super) fn samples() -> Vec<Rendered> {
    let list = requests::Page {
        layout: layout(0),
        requests: vec![
            summary(asked(), None, 60),
            summary(approved(), Some(active()), 60),
            summary(approved(), Some(ending()), 610),
            summary(approved(), Some(ended()), 700),
            summary(long(), None, 700),
        ],
        narrowed: Narrowed {
            status: Some(RequestStatus::Denied),
            account: Some("דוחות & \"prod\"".into()),
            ..Narrowed::default()
        },
        whose: Whose::of(true),
        me: PersonId::new("engineer"),
        is_older: true,
        older: Some(asked().id),
    };
    let empty = |narrowed: Narrowed| requests::Page {
        layout: layout(0),
        requests: vec![],
        narrowed,
        whose: Whose::of(false),
        me: PersonId::new("engineer"),
        is_older: false,
        older: None,
    };
    let mine = Narrowed {
        mine: true,
        ..Narrowed::default()
    };
    let narrow = Narrowed {
        rule: Some("x".repeat(255)),
        ..mine.clone()
    };
    vec![
        ("requests", render(&list)),
        ("requests-empty", render(&empty(mine))),
        ("requests-no-match", render(&empty(narrow))),
    ]
}
