//! Samples of what waits for a decision.

use super::super::samples::{asked, at, in_force, signed_in, summary};
use super::{Rendered, layout, nameless, render};
use crate::access::person::Assurance;
use crate::access::request::Request;
use crate::http::pages::approvals::{Page, Waiting};
use crate::http::pages::words::Time;

fn page(waiting: Vec<Request>, is_approver: bool, by: Assurance) -> Page {
    let in_force = in_force();
    let waiting: Vec<_> = waiting
        .into_iter()
        .map(|request| {
            let line = summary(request, None, 60);
            Waiting::of(line, Some(&in_force.policy), &signed_in(by))
        })
        .collect();
    Page {
        layout: layout(waiting.len()),
        now: Time(at(60)),
        has_more: waiting.len() > 1,
        waiting,
        is_approver,
    }
}

pub(super) fn samples() -> Vec<Rendered> {
    let strong = Assurance::PhishingResistant;
    vec![
        (
            "approvals",
            render(&page(vec![asked(), nameless()], true, strong)),
        ),
        (
            "approvals-weak",
            render(&page(vec![asked()], true, Assurance::Mfa)),
        ),
        ("approvals-empty", render(&page(vec![], true, strong))),
        ("approvals-none", render(&page(vec![], false, strong))),
    ]
}

#[test]
fn a_decision_is_one_tap_and_says_beforehand_what_it_needs() {
    let pages = samples();
    let page = |name| &pages.iter().find(|(of, _)| *of == name).unwrap().1;
    let html = page("approvals");
    assert_eq!(html.matches("/approve\" class=\"decide\"").count(), 2);
    assert_eq!(html.matches("/deny\">Deny").count(), 2);
    assert!(page("approvals-weak").contains("A yes needs"));
    assert!(!html.contains("A yes needs"));
}
