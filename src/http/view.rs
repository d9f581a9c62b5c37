//! A request as it is shown, to programs and to people: one reading of all its rows, and whether the
//! reader may know of it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::Web;
use super::error::Error;
use super::openapi::words;
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
            requester: NamedJson::of(&request.requester),
            created_at: timestamp(request.created_at),
            lapses_at: timestamp(request.lapses_at),
            approvals_required: request.approvals_required,
            decisions: self.decisions.iter().map(DecisionJson::of).collect(),
            grant: self.grant.as_ref().map(GrantJson::of),
        }
    }
}

/// A request with its decisions and its grant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Request)]
pub(super) struct RequestJson<'a> {
    #[schema(value_type = Uuid)]
    id: RequestId,
    #[schema(schema_with = words::request_status)]
    status: RequestStatus,
    /// The rule of the policy that it was asked under.
    rule: &'a str,
    account_id: &'a str,
    account_name: &'a str,
    permission_set: &'a str,
    /// As asked for.
    minutes: i32,
    reason: &'a str,
    #[schema(required)]
    ticket: Option<&'a str>,
    requester: NamedJson<'a>,
    #[schema(format = DateTime)]
    created_at: String,
    /// A pending request lapses then.
    #[schema(format = DateTime)]
    lapses_at: String,
    /// How many must agree. 0: the policy alone grants it.
    approvals_required: i32,
    decisions: Vec<DecisionJson<'a>>,
    #[schema(required)]
    grant: Option<GrantJson>,
}

/// Somebody, with the labels they had when the record was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Person)]
struct NamedJson<'a> {
    /// The `UserId` of the identity store. The other two are labels.
    id: &'a str,
    email: &'a str,
    name: &'a str,
}

impl<'a> NamedJson<'a> {
    fn of(named: &'a Named) -> Self {
        Self {
            id: named.id.as_str(),
            email: &named.email,
            name: &named.name,
        }
    }
}

/// One approver's yes or no.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decision)]
struct DecisionJson<'a> {
    #[schema(schema_with = words::verdict)]
    verdict: Verdict,
    approver: NamedJson<'a>,
    #[schema(required)]
    comment: Option<&'a str>,
    /// Where the decision came in, such as `web` or `api`.
    channel: &'a str,
    /// How the approver had proved who they are.
    #[schema(schema_with = words::assurance)]
    assurance: Assurance,
    #[schema(format = DateTime)]
    decided_at: String,
}

impl<'a> DecisionJson<'a> {
    fn of(decision: &'a Decision) -> Self {
        Self {
            verdict: decision.verdict,
            approver: NamedJson::of(&decision.approver),
            comment: decision.comment.as_deref(),
            channel: &decision.channel,
            assurance: decision.assurance,
            decided_at: timestamp(decision.decided_at),
        }
    }
}

/// What an approved request gives. `active` and `ended` are said only once Identity Center confirmed it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Grant)]
struct GrantJson {
    #[schema(value_type = Uuid)]
    id: GrantId,
    #[schema(schema_with = words::grant_status)]
    status: GrantStatus,
    /// Null until Identity Center confirmed the access.
    #[schema(required, format = DateTime)]
    starts_at: Option<String>,
    #[schema(required, format = DateTime)]
    ends_at: Option<String>,
    /// Null until Identity Center confirmed that the access is gone.
    #[schema(required, format = DateTime)]
    ended_at: Option<String>,
    #[schema(required, schema_with = words::end_reason_or_null)]
    end_reason: Option<EndReason>,
    /// Latest end of a role session that may outlive the grant.
    #[schema(required, format = DateTime)]
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
