//! Every page, rendered with samples: free text stays text, labels and complaints stand where they
//! belong. `CURFEW_PAGES_DIR=DIR cargo test every_page_renders` leaves the pages in DIR,
//! to be looked at in a browser beside `static/app.css`.

mod approvals;
mod audit;
mod errors;
mod home;
mod login;
mod new_request;
mod operations;
mod policy;
mod recovery;
mod request;
mod requests;
mod sessions;
mod switches;

use std::path::Path;

use askama::DynTemplate;

use super::samples::{asked, at};
use crate::access::id::RequestId;
use crate::access::request::{Named, Request, RequestStatus};
use crate::access::target::Target;
use crate::http::page::{Layout, PauseInFrame, PersonInFrame};
use crate::postgres::pause::Pause;

/// The name of a page and its text.
type Rendered = (&'static str, String);

fn render(page: &dyn DynTemplate) -> String {
    page.dyn_render().unwrap()
}

fn layout(waiting: usize) -> Layout {
    let (name, email) = ("Ada Engineer".to_owned(), "engineer@example.com".to_owned());
    Layout {
        person: Some(PersonInFrame {
            name,
            email,
            is_auditor: true,
            is_administrator: true,
            waiting,
        }),
        is_demo: true,
        paused: None,
    }
}

/// The frame while new access is paused.
fn paused() -> Layout {
    let pause = Pause {
        since: at(540),
        by: format!("{}@example.com", "admin".repeat(30)),
        comment: "<b>Somebody</b> signs in as the payment workers; until we know who".into(),
    };
    Layout {
        paused: Some(PauseInFrame(pause)),
        ..layout(1)
    }
}

fn approved() -> Request {
    Request {
        status: RequestStatus::Approved,
        closed_at: Some(at(0)),
        ..asked()
    }
}

/// For an account that has no name, from somebody whose name is written from right to left.
fn nameless() -> Request {
    let asked = asked();
    Request {
        id: RequestId::new(at(1)),
        target: Target::PermissionSet {
            account_id: "555555555555".into(),
            account_name: String::new(),
            permission_set_arn: String::new(),
            permission_set: "production-admin".into(),
        },
        requester: Named {
            name: "عائشة المهندسة".into(),
            ..asked.requester.clone()
        },
        reason: "إعادة تشغيل الخادم (payments)!".into(),
        ticket: None,
        ..asked
    }
}

/// Names as long as AWS lets them be, without a place to break.
fn endless() -> Request {
    let asked = asked();
    Request {
        target: Target::PermissionSet {
            account_id: "666666666666".into(),
            account_name: "account".repeat(36) + "acc",
            permission_set_arn: String::new(),
            permission_set: "permission-set-".repeat(17),
        },
        requester: Named {
            name: "Name".repeat(63),
            email: format!("{}@example.com", "e".repeat(242)),
            ..asked.requester.clone()
        },
        rule: "rule".repeat(63),
        reason: "x".repeat(600),
        ticket: Some("INC-".to_owned() + &"1".repeat(251)),
        ..asked
    }
}

/// Every page. Each noun's samples are in its own file.
fn pages() -> Vec<Rendered> {
    [
        login::samples(),
        home::samples(),
        new_request::samples(),
        request::samples(),
        requests::samples(),
        sessions::samples(),
        approvals::samples(),
        audit::samples(),
        policy::samples(),
        operations::samples(),
        recovery::samples(),
        switches::samples(),
        errors::samples(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn every_page_renders_and_shows_free_text_as_text() {
    for (name, html) in pages() {
        if let Some(dir) = std::env::var_os("CURFEW_PAGES_DIR") {
            std::fs::write(
                Path::new(&dir).join(format!("{name}.html")),
                html.replace("/static/", ""),
            )
            .unwrap();
        }
        let script = "<script src=\"/static/app.js\" defer></script>";
        assert!(html.contains(script), "{name} has not the one script");
        let html = html.replace(script, "");
        assert!(
            !html.contains("<script") && !html.contains("<img") && !html.contains("<b>"),
            "{name} does not escape"
        );
        assert!(
            !html.contains(" style=") && !html.contains(" onclick="),
            "{name} has something that the CSP forbids"
        );
        assert_eq!(
            html.matches("<h1").count(),
            1,
            "{name} has one heading of the first level"
        );
        assert!(
            html.contains("<main id=\"main\"") && html.contains("href=\"#main\""),
            "{name} has no way past the header"
        );
    }
}

#[test]
fn every_field_has_a_label_and_every_complaint_stands_beside_its_field() {
    let pages = pages();
    let html = &pages
        .iter()
        .find(|(name, _)| *name == "new-invalid")
        .unwrap()
        .1;
    for field in ["rule", "account", "minutes", "reason", "ticket"] {
        assert!(
            html.contains(&format!("for=\"{field}\"")) && html.contains(&format!("id=\"{field}\"")),
            "{field}"
        );
    }
    for field in ["minutes", "reason", "ticket"] {
        assert!(
            html.contains(&format!("id=\"{field}-wrong\""))
                && html.contains(&format!("{field}-wrong\"")),
            "{field}"
        );
    }
    assert!(
        html.contains("role=\"alert\"")
            && html.contains("value=\"600\"")
            && html.contains("value=\"nope\"")
    );
}

#[test]
fn the_account_is_shown_with_its_id_wherever_it_is_named() {
    for (name, html) in pages() {
        if html.contains("payments-prod") {
            assert!(html.contains("111111111111"), "{name}");
        }
    }
}

#[test]
fn an_account_without_a_name_is_its_id_alone() {
    let named = pages();
    let nameless = named
        .iter()
        .filter(|(_, html)| html.contains("555555555555"));
    for (name, html) in nameless.clone() {
        assert!(
            !html.contains("<bdi></bdi>") && !html.contains("()"),
            "{name}"
        );
    }
    assert!(nameless.count() >= 3);
}
