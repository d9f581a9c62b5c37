//! Samples of the recovery page.

use chrono::TimeDelta;

use super::super::samples::at;
use super::{Rendered, layout, render};
use crate::access::id::{FindingId, RecoveryId};
use crate::access::person::PersonId;
use crate::access::recovery::{Decision, Finding, Recovery};
use crate::http::pages::recovery::{Line, Loss, Page};
use crate::http::pages::words::Time;

fn line(person: &str, decision: Option<Decision>) -> Line {
    Line {
        finding: Finding {
            id: FindingId::new(at(0)),
            principal_id: PersonId::new("10000000-0000-4000-8000-000000000001"),
            user_id: "10000000-0000-4000-8000-000000000001".into(),
            account_id: "111111111111".into(),
            permission_set_arn: "arn".into(),
            first_seen_at: at(60),
            last_seen_at: at(360),
            decision,
        },
        person: person.into(),
        account_name: "payments-prod".into(),
        permission_set: "production-admin".into(),
    }
}

fn page(swept_at: Option<i64>, findings: Vec<Line>) -> Page {
    let recovery = Recovery {
        id: RecoveryId::new(at(0)),
        begun_at: at(0),
        remembered_seq: 1204,
        found_seq: 1187,
        swept_at: swept_at.map(at),
    };
    Page {
        layout: layout(0),
        as_of: Time(at(600)),
        loss: Some(Loss::of(&recovery, TimeDelta::seconds(915))),
        findings,
    }
}

pub(super) fn samples() -> Vec<Rendered> {
    let nasty = "\u{202e}<script>alert(1)</script>@example.com";
    let found = || {
        vec![
            line("engineer@example.com", None),
            line(nasty, None),
            line("engineer2@example.com", Some(Decision::Keep)),
            line("both@example.com", Some(Decision::Remove)),
        ]
    };
    let nothing = Page {
        loss: None,
        ..page(None, vec![])
    };
    vec![
        ("recovery-nothing", render(&nothing)),
        ("recovery-begun", render(&page(None, vec![]))),
        ("recovery-findings", render(&page(Some(300), found()))),
        (
            "recovery-to-confirm",
            render(&page(Some(915), found().split_off(2))),
        ),
    ]
}
