//! Downloading the audit log.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::Web;
use super::error::Error;
use super::form::Search;
use super::session::SignedIn;
use crate::audit::export::json_lines;
use crate::broker::Refused;
use crate::postgres::audit::Range;

/// What to export.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    format: Option<String>,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

/// `GET /audit/export`
pub(super) async fn download(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Search(wanted): Search<Wanted>,
) -> Result<Response, Error> {
    only_auditors(&web, &by).await?;
    let format = wanted.format.as_deref().unwrap_or("jsonl");
    if format != "jsonl" {
        let text = format!("There is no export as {format:?}. The format that there is: jsonl.");
        return Err(Error::status(
            StatusCode::BAD_REQUEST,
            "unknown_format",
            text,
        ));
    }
    let (from, until) = (time("from", &wanted.from)?, time("to", &wanted.to)?);
    let last = web.broker().export(&by, format, from, until).await?;
    let lines = json_lines(web.broker().db.clone(), Range { from, until, last });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/jsonl; charset=utf-8"),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"curfew-audit.jsonl\""),
        ),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// `HEAD /audit/export`: whether one may, and no export, so no event either.
pub(super) async fn describe(State(web): State<Web>, SignedIn(by): SignedIn) -> Result<(), Error> {
    only_auditors(&web, &by).await
}

/// The audit log is for auditors.
pub(super) async fn only_auditors(
    web: &Web,
    by: &crate::access::person::SignedInPerson,
) -> Result<(), Error> {
    let broker = web.broker();
    let standings = broker
        .standings(&mut *broker.db.conn().await?, &by.person.id)
        .await?;
    if standings.is_auditor {
        return Ok(());
    }
    Err(Error::Refused(Refused::new(
        crate::broker::Kind::Forbidden,
        "not_an_auditor",
        "The audit log is for auditors.",
    )))
}

fn time(name: &str, text: &str) -> Result<Option<DateTime<Utc>>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| Some(time.to_utc()))
        .map_err(|_| {
            let text = format!("{name} must be a time such as 2026-11-24T00:00:00Z.");
            Error::status(StatusCode::BAD_REQUEST, "malformed_time", text)
        })
}
