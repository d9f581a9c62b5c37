//! `/api/v1`: the same acts as the pages, as JSON. Errors are problem details (RFC 9457).

use std::str::FromStr;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::Web;
use super::error::Error;
use super::form::{Json, OptionalJson, RequestPath, Search};
use super::session::SignedIn;
use super::view::Whole;
use crate::access::decision::Verdict;
use crate::access::id::RequestId;
use crate::access::person::SignedInPerson;
use crate::access::request::RequestStatus;
use crate::audit::event::timestamp;
use crate::policy::ask::Ask;
use crate::postgres::audit::list_after;
use crate::postgres::pause;
use crate::postgres::requests::{self, Filter};

/// Longest page of a listing.
const MOST_REQUESTS: i64 = 200;

/// Longest page of events.
const MOST_EVENTS: i64 = 1000;

/// `POST /api/v1/requests`: the fields of the form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRequest {
    rule: String,
    account: String,
    minutes: Value,
    reason: String,
    #[serde(default)]
    ticket: Option<String>,
}

/// Asks for access.
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

/// One request.
pub(super) async fn show(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
) -> Result<Response, Error> {
    one(&web, &by, id).await
}

async fn one(web: &Web, by: &SignedInPerson, id: RequestId) -> Result<Response, Error> {
    let whole = Whole::load(web, &by.person.id, id).await?;
    Ok(axum::Json(whole.json()).into_response())
}

/// What goes with an act.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Comment {
    #[serde(default)]
    comment: Option<String>,
}

impl OptionalJson<Comment> {
    /// What was written; nothing is empty.
    fn text(self) -> String {
        self.0.unwrap_or_default().comment.unwrap_or_default()
    }
}

/// `POST /api/v1/requests/{id}/approve`
pub(super) async fn approve(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    with: OptionalJson<Comment>,
) -> Result<Response, Error> {
    let comment = with.text();
    web.broker().decide(&by, id, Verdict::Yes, &comment).await?;
    one(&web, &by, id).await
}

/// `POST /api/v1/requests/{id}/deny`
pub(super) async fn deny(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    with: OptionalJson<Comment>,
) -> Result<Response, Error> {
    let comment = with.text();
    web.broker().decide(&by, id, Verdict::No, &comment).await?;
    one(&web, &by, id).await
}

/// `POST /api/v1/requests/{id}/cancel`
pub(super) async fn cancel(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    with: OptionalJson<Comment>,
) -> Result<Response, Error> {
    let comment = with.text();
    web.broker().cancel(&by, id, &comment).await?;
    one(&web, &by, id).await
}

/// `POST /api/v1/requests/{id}/end`
pub(super) async fn end(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    with: OptionalJson<Comment>,
) -> Result<Response, Error> {
    let comment = with.text();
    web.broker().end(&by, id, &comment).await?;
    one(&web, &by, id).await
}

/// `POST /api/v1/requests/{id}/close`
pub(super) async fn close(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    with: OptionalJson<Comment>,
) -> Result<Response, Error> {
    let comment = with.text();
    web.broker().close(&by, id, &comment).await?;
    one(&web, &by, id).await
}

/// `POST /api/v1/operations/pause`
pub(super) async fn pause(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    with: OptionalJson<Comment>,
) -> Result<Response, Error> {
    web.broker().pause(&by, &with.text()).await?;
    Ok(axum::Json(json!({"paused": paused(&web).await?})).into_response())
}

/// `POST /api/v1/operations/resume`
pub(super) async fn resume(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    with: OptionalJson<Comment>,
) -> Result<Response, Error> {
    web.broker().resume(&by, &with.text()).await?;
    Ok(axum::Json(json!({"paused": paused(&web).await?})).into_response())
}

/// What goes with the end of everything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndEverything {
    comment: String,
    /// New access is paused as well, unless this says no.
    #[serde(default = "yes")]
    pause: bool,
}

fn yes() -> bool {
    true
}

/// `POST /api/v1/operations/end-everything`
pub(super) async fn end_everything(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Json(with): Json<EndEverything>,
) -> Result<Response, Error> {
    let carried = web
        .broker()
        .end_everything(&by, &with.comment, with.pause)
        .await?;
    let body = json!({
        "ends_started": carried.ends_started,
        "left": carried.left,
        "paused": paused(&web).await?,
    });
    Ok(axum::Json(body).into_response())
}

/// The pause as programs read it; null if there is none.
async fn paused(web: &Web) -> Result<Value, Error> {
    let standing = pause::find(&mut *web.broker().db.conn().await?).await?;
    Ok(standing.map_or(Value::Null, |pause| {
        json!({
            "since": timestamp(pause.since),
            "by": pause.by,
            "comment": pause.comment,
        })
    }))
}

/// Which requests to list. What is empty counts as not given.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    status: String,
    mine: String,
    limit: String,
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

/// Requests that concern the reader, newest first; every one for an auditor or administrator.
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
    let next = found
        .last()
        .map(|request| request.id.to_string())
        .filter(|_| has_more);
    let mut wholes = Vec::with_capacity(found.len());
    for request in found {
        wholes.push(Whole::of(&web, &mut conn, person, request).await?);
    }
    let requests: Vec<_> = wholes.iter().map(Whole::json).collect();
    Ok(axum::Json(json!({"requests": requests, "next_cursor": next})).into_response())
}

/// Which events to list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct After {
    after_seq: String,
    limit: String,
}

/// Audit events in order, exactly as they are stored.
pub(super) async fn audit(
    State(web): State<Web>,
    Search(after): Search<After>,
) -> Result<Response, Error> {
    let from = given("after_seq", &after.after_seq)?.unwrap_or(0_i64);
    let limit = given("limit", &after.limit)?.unwrap_or(100_i64);
    if from < 0 || !(1..=MOST_EVENTS).contains(&limit) {
        return Err(malformed(format!(
            "after_seq must be at least 0, and limit from 1 to {MOST_EVENTS}."
        )));
    }
    let mut conn = web.broker().db.conn().await?;
    let mut found = list_after(&mut conn, from, limit + 1).await?;
    let has_more = i64::try_from(found.len()).is_ok_and(|count| count > limit);
    found.truncate(usize::try_from(limit).unwrap_or(0));
    let next = found.last().map(|event| event.seq).filter(|_| has_more);
    let events = found
        .into_iter()
        .map(|event| Ok(RawValue::from_string(String::from_utf8(event.canonical)?)?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(axum::Json(Events {
        events,
        next_after_seq: next,
    })
    .into_response())
}

#[derive(serde::Serialize)]
struct Events {
    events: Vec<Box<RawValue>>,
    next_after_seq: Option<i64>,
}
