//! `/api/v1/audit`: the log in order, for auditors.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{given, malformed};
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::Search;
use crate::http::openapi::words;
use crate::postgres::audit::list_after;

/// Longest page of events.
pub(in crate::http) const MOST_EVENTS: i64 = 1000;

/// Which events to list. What is empty counts as not given.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct After {
    /// Only those after this one; from the first if it is not given.
    #[param(required = false, schema_with = words::sequence_number)]
    after_seq: String,
    /// Most events of one page; 100 if it is not given.
    #[param(required = false, schema_with = words::events_a_page)]
    limit: String,
}

/// One page of events.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct EventPage {
    /// In order, exactly as they are stored and hashed.
    #[schema(value_type = Vec<EventJson>)]
    events: Vec<Box<RawValue>>,
    /// For `after_seq` of the next page. Null at the end of the log.
    #[schema(required)]
    next_after_seq: Option<i64>,
}

/// An audit event. `hash` is the SHA-256 of the RFC 8785 canonical JSON of the object without `hash`.
#[derive(ToSchema)]
#[schema(as = Event)]
#[expect(
    dead_code,
    reason = "events go out as the bytes that are stored; this says what those hold"
)]
struct EventJson {
    /// From 1, without gaps.
    #[schema(minimum = 1)]
    seq: i64,
    id: uuid::Uuid,
    #[schema(format = DateTime)]
    time: String,
    /// Dotted, past tense, such as `request.created`. New types may come.
    r#type: String,
    /// Who caused it.
    #[schema(value_type = Object)]
    actor: (),
    #[schema(required)]
    request_id: Option<uuid::Uuid>,
    #[schema(required)]
    grant_id: Option<uuid::Uuid>,
    /// What access it is about.
    #[schema(required, value_type = Option<Object>)]
    target: Option<()>,
    /// What else there is to say, by type.
    #[schema(value_type = Object)]
    data: (),
    /// `hash` of the event before; 64 zeros for the first.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    prev_hash: String,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    hash: String,
}

/// Audit events in order
///
/// For auditors. Whoever follows `next_after_seq` misses none.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", operation_id = "list_events",
    params(After),
    responses((status = 200, description = "One page of them", body = EventPage)),
)]
pub(in crate::http) async fn list(
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
    let next_after_seq = found.last().map(|event| event.seq).filter(|_| has_more);
    let events = found
        .into_iter()
        .map(|event| Ok(RawValue::from_string(String::from_utf8(event.canonical)?)?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(axum::Json(EventPage {
        events,
        next_after_seq,
    })
    .into_response())
}
