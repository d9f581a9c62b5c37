//! The audit log, newest first, for auditors: words for reading, the stored JSON for proof.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use super::events::EventLine;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::export::only_auditors;
use crate::http::form::Search;
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::postgres::audit;

/// Events on one page.
const MOST: i64 = 100;

/// Which part of the log.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct Wanted {
    before: String,
    request: String,
}

#[derive(Template)]
#[template(path = "audit/index.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) events: Vec<EventLine>,
    pub(super) request: Option<Uuid>,
    /// Address of the older page.
    pub(super) older: Option<String>,
    /// Not the newest page.
    pub(super) is_older: bool,
}

/// `GET /audit`
pub(in crate::http) async fn list(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Search(wanted): Search<Wanted>,
) -> Result<Response, Error> {
    only_auditors(&web, &by).await?;
    let bad = |text: &str| Error::status(StatusCode::BAD_REQUEST, "malformed_query", text);
    let before = match wanted.before.trim() {
        "" => None,
        text => Some(
            text.parse::<i64>()
                .map_err(|_| bad("before must be the number of an event."))?,
        ),
    };
    let request = match wanted.request.trim() {
        "" => None,
        text => Some(
            text.parse::<Uuid>()
                .map_err(|_| bad("request must be the id of a request."))?,
        ),
    };
    let layout = Layout::of(&web, &by).await?;
    let mut conn = web.broker().db.conn().await?;
    let from = before.unwrap_or(i64::MAX);
    let mut found = match request {
        Some(request) => audit::list_of_request(&mut conn, request, true, from, MOST + 1).await?,
        None => audit::list_before(&mut conn, from, MOST + 1).await?,
    };
    let has_more = i64::try_from(found.len()).is_ok_and(|count| count > MOST);
    found.truncate(usize::try_from(MOST).unwrap_or(0));
    let older = found
        .last()
        .filter(|_| has_more)
        .map(|event| older(event.seq, request));
    let events = found
        .into_iter()
        .map(EventLine::parse)
        .collect::<anyhow::Result<_>>()?;
    render(
        StatusCode::OK,
        &Page {
            layout,
            events,
            request,
            older,
            is_older: before.is_some(),
        },
    )
}

fn older(seq: i64, request: Option<Uuid>) -> String {
    let of = request
        .map(|request| format!("&request={request}"))
        .unwrap_or_default();
    format!("/audit?before={seq}{of}")
}
