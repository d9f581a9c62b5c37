//! Sample requests, grants and policies for the tests of the pages.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::json;

use super::events::EventLine;
use super::offers::Basis;
use super::summary::Summary;
use crate::access::grant::{EndReason, Grant, GrantState, Window};
use crate::access::id::{AssignmentId, GrantId};
use crate::access::person::{Assurance, Channel, Person, PersonId, SignedInPerson};
use crate::access::portal::AccessPortal;
pub(super) use crate::access::request::tests::{at, pending};
use crate::access::request::{Named, Request};
use crate::policy::evaluate::tests::{account, in_force as in_force_of};
use crate::policy::facts::{Account, InForce};
use crate::policy::tests::DEMO;
use crate::postgres::audit::Stored;
use crate::postgres::directory::Approvers;

/// Text that tries to be more than text.
const NASTY: &str = "<script>alert(1)</script> restart the payment workers, they hang since 02:51\n\"INC-4711\" & co";

fn window() -> Window {
    Window {
        provisioning_at: at(0),
        sent_at: Some(at(0)),
        ends_at: at(600),
    }
}

/// A pending request with a reason that tries to be more.
pub(super) fn asked() -> Request {
    Request {
        requester: Named {
            id: PersonId::new("engineer"),
            email: "engineer@example.com".into(),
            name: "Ada Engineer".into(),
        },
        reason: NASTY.into(),
        ticket: Some("INC-4711".into()),
        lapses_at: at(4 * 3600),
        ..pending()
    }
}

pub(super) fn scheduled() -> Grant {
    Grant {
        id: GrantId::new(at(0)),
        request_id: pending().id,
        assignment_id: AssignmentId::new(at(0)),
        granted: TimeDelta::minutes(10),
        session: TimeDelta::hours(1),
        start_at: at(0),
        activate_by: at(900),
        overdue_at: None,
        state: GrantState::Scheduled,
    }
}

pub(super) fn provisioning() -> Grant {
    Grant {
        state: GrantState::Provisioning(window()),
        ..scheduled()
    }
}

pub(super) fn active() -> Grant {
    Grant {
        state: GrantState::Active {
            window: window(),
            active_at: at(0),
        },
        ..scheduled()
    }
}

pub(super) fn ending() -> Grant {
    let (ending_at, reason) = (at(600), EndReason::Due);
    Grant {
        state: GrantState::Ending {
            window: window(),
            active_at: Some(at(0)),
            ending_at,
            reason,
        },
        ..scheduled()
    }
}

pub(super) fn ended() -> Grant {
    let (active_at, ending_at, ended_at) = (at(0), at(600), at(604));
    let state = GrantState::Ended {
        window: window(),
        active_at,
        ending_at,
        ended_at,
        reason: EndReason::Due,
    };
    Grant {
        state,
        ..scheduled()
    }
}

pub(super) fn closed() -> Grant {
    let state = GrantState::ClosedUnconfirmed {
        window: window(),
        active_at: Some(at(3)),
        ending_at: at(603),
        closed_at: at(2000),
        reason: EndReason::Due,
    };
    Grant {
        state,
        ..scheduled()
    }
}

pub(super) fn failed() -> Grant {
    let reason = EndReason::ProvisioningFailed;
    Grant {
        state: GrantState::Failed {
            window: None,
            ending_at: None,
            ended_at: at(5),
            reason,
        },
        ..scheduled()
    }
}

pub(super) fn summary(request: Request, grant: Option<Grant>, seconds: i64) -> Summary {
    Summary {
        request,
        grant,
        yes: 0,
        now: at(seconds),
    }
}

pub(super) fn portal() -> AccessPortal {
    AccessPortal::new(None, "d-1234567890", Some("eu-central-1")).unwrap()
}

/// The demo's accounts, and one that is closed.
pub(super) fn accounts() -> Vec<Account> {
    let of = |id: &str, name: &str, env: &str| Account {
        id: id.into(),
        name: name.into(),
        tags: [("env".to_owned(), env.to_owned())].into(),
        ..account()
    };
    vec![
        of("333333333333", "data-prod", "prod"),
        of("111111111111", "payments-prod", "prod"),
        of("222222222222", "payments-staging", "staging"),
        Account {
            is_sensitive: true,
            ..of("999999999999", "management", "prod")
        },
        Account {
            is_active: false,
            ..of("444444444444", "closed-prod", "prod")
        },
    ]
}

/// What an engineer who signed in well is offered in the demo.
pub(super) fn engineers() -> BTreeSet<String> {
    ["g-engineers".to_owned()].into()
}

pub(super) fn in_force() -> InForce {
    in_force_of(DEMO)
}

/// Somebody who signed in a minute ago.
pub(super) fn signed_in(assurance: Assurance) -> SignedInPerson {
    SignedInPerson {
        person: Person {
            id: PersonId::new("engineer"),
            user_id: "engineer".into(),
            email: "engineer@example.com".into(),
            name: "Ada Engineer".into(),
            enabled: true,
        },
        assurance,
        amr: Vec::new(),
        acr: None,
        auth_time: Some(at(0)),
        channel: Channel::Web,
        ip: None,
    }
}

pub(super) fn basis() -> Basis {
    let approvers = Approvers {
        count: 3,
        with_email: 2,
        names: vec!["Ada Approver".into(), "Alan Approver".into(), "בועז".into()],
    };
    Basis {
        in_force: in_force(),
        groups: engineers(),
        accounts: accounts(),
        approvers: [("production-admin".to_owned(), approvers)].into(),
        lately: Vec::new(),
        by: signed_in(Assurance::PhishingResistant),
        now: at(60),
        minute: TimeDelta::minutes(1),
    }
}

/// What happened to a request, up to the start of its end.
pub(super) fn events() -> Vec<EventLine> {
    let approver = json!({"kind": "person", "email": "approver@example.com"});
    let engineer = json!({"kind": "person", "email": "engineer@example.com"});
    let curfew = json!({"kind": "system", "email": null});
    let target = json!({
        "account_id": "111111111111", "account_name": "payments-prod", "permission_set": "production-admin",
    });
    let happened = [
        ("request.created", &engineer, json!({"reason": NASTY})),
        (
            "decision.recorded",
            &approver,
            json!({"verdict": "yes", "comment": "ok, I watch the\n<b>dashboards</b>"}),
        ),
        ("request.approved", &approver, json!({"by": "approvers"})),
        ("grant.scheduled", &curfew, json!({})),
        (
            "grant.provisioning_started",
            &curfew,
            json!({"ends_at_latest": "2027-01-15T08:15:00.000000Z"}),
        ),
        ("assignment.create_intended", &curfew, json!({})),
        (
            "assignment.create_accepted",
            &curfew,
            json!({"aws_request_id": "abc"}),
        ),
        (
            "grant.activated",
            &curfew,
            json!({"ends_at": "2027-01-15T08:10:00.000000Z"}),
        ),
        ("grant.end_started", &curfew, json!({"reason": "due"})),
    ];
    (1_i64..)
        .zip(happened)
        .map(|(seq, (kind, actor, data))| {
            let event = json!({
                "seq": seq, "id": pending().id, "time": format!("2027-01-15T08:00:0{seq}.000000Z"), "type": kind,
                "actor": actor, "request_id": pending().id, "grant_id": null, "target": target, "data": data,
                "prev_hash": "0".repeat(64), "hash": "f".repeat(64),
            });
            EventLine::parse(Stored { seq, canonical: event.to_string().into_bytes() }).unwrap()
        })
        .collect()
}
