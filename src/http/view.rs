//! A request as it is shown, to programs and to people: one reading of all its rows, and whether the
//! reader may know of it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::Web;
use super::error::Error;
use crate::access::decision::{Decision, Verdict};
use crate::access::grant::{EndReason, Grant, GrantStatus};
use crate::access::id::{GrantId, RequestId};
use crate::access::person::{Assurance, PersonId};
use crate::access::request::{Named, Request, RequestStatus};
use crate::audit::event::timestamp;
use crate::broker::relation::Relation;
use crate::postgres::{decisions, grants, requests};

/// A request with everything that belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) request: Request,
    pub(super) decisions: Vec<Decision>,
    pub(super) grant: Option<Grant>,
    pub(super) relation: Relation,
}

impl Whole {
    /// Reads it, for somebody who may know of it; for everybody else it does not exist.
    pub(super) async fn load(web: &Web, reader: &PersonId, id: RequestId) -> Result<Self, Error> {
        let mut conn = web.broker().db.conn().await?;
        let request = requests::find(&mut conn, id)
            .await?
            .ok_or_else(Error::not_found)?;
        let whole = Self::of(web, &mut conn, reader, request).await?;
        if whole.relation.may_see() {
            Ok(whole)
        } else {
            Err(Error::not_found())
        }
    }

    /// What belongs to a request that was read already.
    pub(super) async fn of(
        web: &Web,
        conn: &mut PgConnection,
        reader: &PersonId,
        request: Request,
    ) -> Result<Self, Error> {
        let decisions = decisions::list(conn, request.id).await?;
        let grant = grants::find_of_request(conn, request.id).await?;
        let relation = web
            .broker()
            .relation(conn, reader, &request, &decisions)
            .await?;
        Ok(Self {
            request,
            decisions,
            grant,
            relation,
        })
    }

    /// The contract's JSON.
    pub(super) fn json(&self) -> RequestJson<'_> {
        let request = &self.request;
        RequestJson {
            id: request.id,
            status: request.status,
            rule: &request.rule,
            account_id: request.target.account_id(),
            account_name: request.target.account_name(),
            permission_set: request.target.permission_set(),
            minutes: request.minutes,
            reason: &request.reason,
            ticket: request.ticket.as_deref(),
            requester: &request.requester,
            created_at: timestamp(request.created_at),
            lapses_at: timestamp(request.lapses_at),
            approvals_required: request.approvals_required,
            decisions: self.decisions.iter().map(DecisionJson::of).collect(),
            grant: self.grant.as_ref().map(GrantJson::of),
        }
    }
}

/// `GET /api/v1/requests/{id}`
#[derive(Debug, Serialize)]
pub(super) struct RequestJson<'a> {
    id: RequestId,
    status: RequestStatus,
    rule: &'a str,
    account_id: &'a str,
    account_name: &'a str,
    permission_set: &'a str,
    minutes: i32,
    reason: &'a str,
    ticket: Option<&'a str>,
    requester: &'a Named,
    created_at: String,
    lapses_at: String,
    approvals_required: i32,
    decisions: Vec<DecisionJson<'a>>,
    grant: Option<GrantJson>,
}

#[derive(Debug, Serialize)]
struct DecisionJson<'a> {
    verdict: Verdict,
    approver: &'a Named,
    comment: Option<&'a str>,
    channel: &'a str,
    assurance: Assurance,
    decided_at: String,
}

impl<'a> DecisionJson<'a> {
    fn of(decision: &'a Decision) -> Self {
        Self {
            verdict: decision.verdict,
            approver: &decision.approver,
            comment: decision.comment.as_deref(),
            channel: &decision.channel,
            assurance: decision.assurance,
            decided_at: timestamp(decision.decided_at),
        }
    }
}

/// Its grant. `starts_at` and `ended_at` are facts: null until Identity Center confirmed them.
#[derive(Debug, Serialize)]
struct GrantJson {
    id: GrantId,
    status: GrantStatus,
    starts_at: Option<String>,
    ends_at: Option<String>,
    ended_at: Option<String>,
    end_reason: Option<EndReason>,
    sessions_until: Option<String>,
}

impl GrantJson {
    fn of(grant: &Grant) -> Self {
        let time = |at: Option<DateTime<Utc>>| at.map(timestamp);
        Self {
            id: grant.id,
            status: grant.status(),
            starts_at: time(grant.active_at()),
            ends_at: time(grant.window().map(|window| window.ends_at)),
            ended_at: time(grant.ended_at()),
            end_reason: grant.end_reason(),
            sessions_until: time(grant.sessions_until()),
        }
    }
}
