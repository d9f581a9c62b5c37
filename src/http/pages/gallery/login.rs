//! Samples of the sign-in page.

use super::{Rendered, render};
use crate::access::person::{Person, PersonId};
use crate::http::page::Layout;
use crate::http::pages::login;

fn login_page() -> login::Page<'static> {
    let people = [
        ("engineer", "engineers"),
        ("approver", "production-approvers"),
        ("both", "engineers, production-approvers"),
    ];
    let listed = people.map(|(name, groups)| login::Listed {
        person: Person {
            id: PersonId::new(name),
            user_id: name.into(),
            email: format!("{name}@example.com"),
            name: name.to_uppercase(),
            enabled: true,
        },
        groups: groups.into(),
    });
    let layout = Layout {
        person: None,
        is_demo: true,
        paused: None,
    };
    login::Page {
        layout,
        people: listed.into(),
        next: "/requests/new?rule=x&a=b",
        failed: true,
    }
}

pub(super) fn samples() -> Vec<Rendered> {
    vec![("login", render(&login_page()))]
}
