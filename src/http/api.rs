//! `/api/v1`: the same acts as the pages, as JSON. Errors are problem details (RFC 9457).
//!
//! Here are requests; the rest is in the files beside. What a handler's `utoipa::path` says becomes the
//! document of [`openapi`](super::openapi), which adds the errors.

pub(super) mod audit;
pub(super) mod operations;
pub(super) mod recovery;

use std::str::FromStr;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Web;
use super::error::Error;
use super::form::{Json, OptionalJson, RequestPath, Search};
use super::openapi::words;
use super::session::SignedIn;
use super::view::{RequestJson, Whole};
use crate::access::decision::Verdict;
use crate::access::id::RequestId;
use crate::access::request::RequestStatus;
use crate::policy::ask::Ask;
use crate::postgres::requests::{self, Filter};

/// Longest page of a listing.
pub(in crate::http) const MOST_REQUESTS: i64 = 200;

/// What to ask for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "rule": "production-admin",
    "account": "111111111111",
    "minutes": 30,
    "reason": "restart the payment workers",
    "ticket": "INC-1234",
}))]
pub(super) struct NewRequest {
    /// A rule of the policy.
    rule: String,
    /// The account's id or its name.
    account: String,
    #[schema(schema_with = words::minutes)]
    minutes: Value,
    /// Why. It stays in the record.
    reason: String,
    #[serde(default)]
    ticket: Option<String>,
}

/// Ask for access
///
/// Under a rule that needs nobody's yes the request is approved at once. A person has one open request
/// per rule and account.
#[utoipa::path(
    post, path = "/api/v1/requests", tag = "requests", operation_id = "submit_request",
    request_body = NewRequest,
    responses((
        status = 201, description = "The request", body = RequestJson,
        headers(("location" = String, description = "Its address")),
    )),
)]
pub(super) async fn submit(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Json(new): Json<NewRequest>,
) -> Result<Response, Error> {
    let minutes = match new.minutes {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let ask = Ask {
        rule: new.rule,
        account: new.account,
        minutes,
        reason: new.reason,
        ticket: new.ticket.unwrap_or_default(),
    };
    let id = web.broker().submit(&by, &ask).await?;
    let whole = Whole::load(&web, &by.person.id, id).await?;
    let location = format!("/api/v1/requests/{id}");
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        axum::Json(whole.json()),
    )
        .into_response())
}

/// One request
///
/// A request that does not concern the reader does not exist for them.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}", tag = "requests", operation_id = "get_request",
    params(("id" = Uuid, Path, description = "The request")),
    responses((status = 200, description = "The request", body = RequestJson)),
)]
pub(super) async fn show(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
) -> Result<Response, Error> {
    let whole = Whole::load(&web, &by.person.id, id).await?;
    Ok(axum::Json(whole.json()).into_response())
}

/// What goes with an act.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"comment": "as agreed in the incident call"}))]
pub(super) struct Comment {
    /// It stays in the record.
    #[serde(default)]
    comment: Option<String>,
}

impl Comment {
    fn text(with: Option<Self>) -> String {
        with.unwrap_or_default().comment.unwrap_or_default()
    }
}

/// Agree to a request
///
/// For members of the rule's approving groups, never for the requester. Membership is read live.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/approve", tag = "requests", operation_id = "approve_request",
    params(("id" = Uuid, Path, description = "The request")),
    request_body = Option<Comment>,
    responses((status = 200, description = "The request as it stands now", body = RequestJson)),
)]
pub(super) async fn approve(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    OptionalJson(with): OptionalJson<Comment>,
) -> Result<Response, Error> {
    let comment = Comment::text(with);
    web.broker().decide(&by, id, Verdict::Yes, &comment).await?;
    show(State(web), SignedIn(by), RequestPath(id)).await
}

/// Refuse a request
///
/// For whoever may agree to it. The first no denies.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/deny", tag = "requests", operation_id = "deny_request",
    params(("id" = Uuid, Path, description = "The request")),
    request_body = Option<Comment>,
    responses((status = 200, description = "The request as it stands now", body = RequestJson)),
)]
pub(super) async fn deny(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    OptionalJson(with): OptionalJson<Comment>,
) -> Result<Response, Error> {
    let comment = Comment::text(with);
    web.broker().decide(&by, id, Verdict::No, &comment).await?;
    show(State(web), SignedIn(by), RequestPath(id)).await
}

/// Take one's own request back
///
/// Once it is approved this ends the access that it gave.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/cancel", tag = "requests", operation_id = "cancel_request",
    params(("id" = Uuid, Path, description = "The request")),
    request_body = Option<Comment>,
    responses((status = 200, description = "The request as it stands now", body = RequestJson)),
)]
pub(super) async fn cancel(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    OptionalJson(with): OptionalJson<Comment>,
) -> Result<Response, Error> {
    let comment = Comment::text(with);
    web.broker().cancel(&by, id, &comment).await?;
    show(State(web), SignedIn(by), RequestPath(id)).await
}

/// End the access that a request gave
///
/// For the requester, whoever decided on it, whoever may approve it now, and administrators. It is *ending* until
/// Identity Center confirmed that the access is gone; to ask again hurries it.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/end", tag = "requests", operation_id = "end_grant",
    params(("id" = Uuid, Path, description = "The request")),
    request_body = Option<Comment>,
    responses((status = 200, description = "The request as it stands now", body = RequestJson)),
)]
pub(super) async fn end(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    OptionalJson(with): OptionalJson<Comment>,
) -> Result<Response, Error> {
    let comment = Comment::text(with);
    web.broker().end(&by, id, &comment).await?;
    show(State(web), SignedIn(by), RequestPath(id)).await
}

/// Close access whose end nobody can confirm
///
/// For administrators, with a comment, once the person, the permission set or the account is confirmed gone.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/close", tag = "operations", operation_id = "close_grant",
    params(("id" = Uuid, Path, description = "The request")),
    request_body = Option<Comment>,
    responses((status = 200, description = "The request as it stands now", body = RequestJson)),
)]
pub(super) async fn close(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    OptionalJson(with): OptionalJson<Comment>,
) -> Result<Response, Error> {
    let comment = Comment::text(with);
    web.broker().close(&by, id, &comment).await?;
    show(State(web), SignedIn(by), RequestPath(id)).await
}

/// Which requests to list. What is empty counts as not given.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only those that stand so.
    #[param(required = false, schema_with = words::request_status)]
    status: String,
    /// Only one's own.
    #[param(required = false, schema_with = words::flag)]
    mine: String,
    /// Most requests of one page; 50 if it is not given.
    #[param(required = false, schema_with = words::requests_a_page)]
    limit: String,
    /// `next_cursor` of the page before.
    #[param(required = false, value_type = Uuid)]
    cursor: String,
}

/// A value of the query; none if it is empty.
fn given<T: FromStr>(name: &str, text: &str) -> Result<Option<T>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| malformed(format!("{name} can't be {text:?}.")))
}

fn malformed(text: String) -> Error {
    Error::status(StatusCode::BAD_REQUEST, "malformed_query", text)
}

/// One page of requests.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RequestPage<'a> {
    /// The newest first.
    requests: Vec<RequestJson<'a>>,
    /// Null on the last page.
    #[schema(required, value_type = Option<Uuid>)]
    next_cursor: Option<RequestId>,
}

/// The requests that concern the reader
///
/// The newest first; every one for auditors and administrators.
#[utoipa::path(
    get, path = "/api/v1/requests", tag = "requests", operation_id = "list_requests",
    params(Wanted),
    responses((status = 200, description = "One page of them", body = RequestPage)),
)]
pub(super) async fn list(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Search(wanted): Search<Wanted>,
) -> Result<Response, Error> {
    let status = given::<RequestStatus>("status", &wanted.status)?;
    let limit = given("limit", &wanted.limit)?.unwrap_or(50_i64);
    if !(1..=MOST_REQUESTS).contains(&limit) {
        return Err(malformed(format!(
            "limit must be from 1 to {MOST_REQUESTS}."
        )));
    }
    let before = given("cursor", &wanted.cursor)?.map(RequestId);
    let mine = given("mine", &wanted.mine)?.unwrap_or(false);
    let person = &by.person.id;
    let broker = web.broker();
    let mut conn = broker.db.conn().await?;
    let standings = broker.standings(&mut conn, person).await?;
    let reads_all = standings.is_auditor || standings.is_administrator;
    let filter = Filter {
        status,
        requester: mine.then(|| person.clone()),
        concerns: if reads_all {
            None
        } else {
            Some((
                person.clone(),
                broker.approvable_rules(&mut conn, person).await?,
            ))
        },
        before,
        ..Filter::default()
    };
    // One more than asked for tells whether there is a next page.
    let mut found = requests::list(&mut conn, &filter, limit + 1).await?;
    let has_more = i64::try_from(found.len()).is_ok_and(|count| count > limit);
    found.truncate(usize::try_from(limit).unwrap_or(0));
    let next_cursor = found.last().map(|request| request.id).filter(|_| has_more);
    let mut wholes = Vec::with_capacity(found.len());
    for request in found {
        wholes.push(Whole::of(&web, &mut conn, person, request).await?);
    }
    let page = RequestPage {
        requests: wholes.iter().map(Whole::json).collect(),
        next_cursor,
    };
    Ok(axum::Json(page).into_response())
}
