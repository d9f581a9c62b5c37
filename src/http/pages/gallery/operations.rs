//! Samples of the operations page.

use uuid::Uuid;

use super::super::samples::{at, in_force};
use super::{Rendered, layout, render};
use crate::access::assignment::{Part, TargetGone};
use crate::access::grant::GrantStatus;
use crate::access::id::HolderId;
use crate::audit::chain::Head;
use crate::http::pages::operations::{Page, Reading, warnings};
use crate::live_grants::Tuple;
use crate::postgres::lease::Held;
use crate::postgres::overview::{Attempt, Live};
use crate::postgres::replicas::Replica;
use crate::preflight::Warning;

pub(super) fn page(reading: Reading) -> Page {
    Page {
        layout: layout(0),
        warnings: warnings(&reading),
        reading,
        origin: "https://curfew.example.com".into(),
    }
}

fn live(status: GrantStatus, email: &str) -> Live {
    Live {
        request_id: Uuid::nil(),
        email: email.into(),
        name: "Ada Engineer".into(),
        account_id: "111111111111".into(),
        account_name: "payments-prod".into(),
        permission_set: "production-admin".into(),
        status,
        ends_at: (status != GrantStatus::Scheduled).then(|| at(3600)),
        ending_at: (status == GrantStatus::Ending).then(|| at(300)),
        overdue_at: None,
        is_shared: false,
        failures: 0,
        last_error: None,
        next_try_at: None,
        attempts: 0,
        tuple: tuple(),
        target_gone: None,
    }
}

pub(super) fn tuple() -> Tuple {
    Tuple {
        account_id: "111111111111".into(),
        permission_set_arn:
            "arn:aws:sso:::permissionSet/ssoins-0123456789abcdef/ps-0123456789abcdef".into(),
        user_id: "9067a1b2c3-10000000-0000-4000-8000-000000000004".into(),
    }
}

fn attempt(kind: &str, status: &str) -> Attempt {
    Attempt {
        kind: kind.into(),
        status: status.into(),
        person: "engineer@example.com".into(),
        account_id: "111111111111".into(),
        account_name: Some("payments-prod".into()),
        permission_set: Some("production-admin".into()),
        request_id: Some(Uuid::nil()),
        intended_at: at(590),
        resolved_at: None,
        looks: 2,
        detail: None,
    }
}

fn replica(id: Uuid, version: &str) -> Replica {
    Replica {
        id,
        version: version.into(),
        started_at: at(0),
        seen_at: at(599),
    }
}

pub(super) fn well() -> Reading {
    Reading {
        now: at(600),
        lease: Held {
            holder: Some(HolderId(Uuid::nil())),
            renewed_at: Some(at(599)),
            expires_at: Some(at(605)),
        },
        holder: Some(HolderId(Uuid::nil())),
        replicas: vec![replica(Uuid::nil(), "0.1.0"), replica(Uuid::max(), "0.0.9")],
        copied_at: Some(at(560)),
        policy: Some((in_force(), Some(at(0)))),
        head: Some(Head {
            seq: 48_213,
            hash: [0x5f; 32],
        }),
        instance_arn: "arn:aws:sso:::instance/ssoins-0123456789abcdef".into(),
        ..Reading::default()
    }
}

pub(super) fn samples() -> Vec<Rendered> {
    let mut suspended = in_force();
    suspended.current.remove("engineers");
    let overdue = Live {
        overdue_at: Some(at(420)),
        name: "\u{5d0}\u{5d3}\u{5d4} \u{5dc}\u{5d1}".into(),
        failures: 7,
        attempts: 7,
        last_error: Some("ConflictException: <b>There is a conflicting operation</b> in progress on this account.".into()),
        next_try_at: Some(at(690)),
        ..live(GrantStatus::Ending, "engineer@example.com")
    };
    let closable = Live {
        request_id: Uuid::max(),
        overdue_at: Some(at(-20_000)),
        ending_at: Some(at(-20_200)),
        failures: 31,
        attempts: 30,
        last_error: Some("Received a 404 status error: the USER assignee was not found in directory d-1234567890".into()),
        next_try_at: Some(at(20_000)),
        target_gone: Some(TargetGone {
            part: Part::Person,
            first_at: at(-19_000),
            last_at: at(-400),
        }),
        ..live(GrantStatus::Ending, "engineer2@example.com")
    };
    let nameless = Live {
        account_name: String::new(),
        account_id: "222222222222".into(),
        ..live(
            GrantStatus::Active,
            &format!("{}@example.com", "long".repeat(60)),
        )
    };
    let troubled = Reading {
        copied_at: Some(at(-600)),
        policy: Some((suspended, Some(at(0)))),
        live: vec![
            overdue,
            closable,
            live(GrantStatus::Ending, "engineer2@example.com"),
            live(GrantStatus::Provisioning, "both@example.com"),
            nameless,
            live(GrantStatus::Scheduled, "engineer@example.com"),
        ],
        to_put_right: vec![Warning {
            what: "The permission set staging-admin has role sessions of 240 minutes.".into(),
            remedy: "Set its session duration in Identity Center to 120 minutes.".into(),
        }],
        live_count: 1005,
        pending_count: 1,
        unfinished: vec![
            attempt("delete", "in_progress"),
            Attempt {
                account_name: None,
                permission_set: None,
                person: "9067a1b2c3-10000000-0000-4000-8000-000000000004".into(),
                request_id: None,
                ..attempt("create", "stuck")
            },
        ],
        gone_wrong: vec![Attempt {
            resolved_at: Some(at(595)),
            detail: Some("ThrottlingException: Rate exceeded".into()),
            ..attempt("delete", "refused")
        }],
        ..well()
    };
    vec![
        ("operations", render(&page(troubled))),
        ("operations-well", render(&page(well()))),
    ]
}
