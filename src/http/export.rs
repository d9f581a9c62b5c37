//! Downloading the audit log, and the filters that its page and its export share.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sqlx::PgConnection;

use super::Web;
use super::error::Error;
use super::form::Search;
use super::session::SignedIn;
use crate::audit::export::{Format, write};
use crate::audit::filter::{Extent, Filter, Wrong};
use crate::audit::search::selection;
use crate::postgres::audit::Selection;

/// The query of an address, pair by pair: a filter that nobody knows must not become no filter.
pub(super) type Pairs = Search<Vec<(String, String)>>;

/// Says which part of the log an export holds, and so how it verifies.
const EXTENT: &str = "curfew-export";

/// `GET /audit/export`
pub(super) async fn download(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Search(pairs): Pairs,
) -> Result<Response, Error> {
    let (filter, format) = wanted(pairs, "format")?;
    let format = match format.as_str() {
        "" => Format::JsonLines,
        name => name
            .parse::<Format>()
            .map_err(|text| Error::status(StatusCode::BAD_REQUEST, "unknown_format", text))?,
    };
    let broker = web.broker();
    let selection = select(&mut *broker.db.conn().await?, &filter).await?;
    let last = broker.export(&by, format, &filter).await?;
    let name = file_name(&filter, last, format);
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(match format {
                Format::JsonLines => "application/jsonl; charset=utf-8",
                Format::Csv => "text/csv; charset=utf-8",
            }),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::try_from(disposition).map_err(|error| Error::Internal(error.into()))?,
        ),
        (
            header::HeaderName::from_static(EXTENT),
            HeaderValue::from_static(extent(filter.extent(), format)),
        ),
    ];
    let written = write(broker.db.clone(), selection, last, format);
    Ok((headers, Body::from_stream(written)).into_response())
}

/// Which part of the log a file holds, and how it verifies: a table holds no bytes that were sealed.
fn extent(extent: Extent, format: Format) -> &'static str {
    match (extent, format) {
        (Extent::Whole, Format::JsonLines) => "whole; verifies as a chain",
        (Extent::Range, Format::JsonLines) => "range; verifies as a chain from the event before it",
        (Extent::Selection, Format::JsonLines) => "filtered; verifies event by event only",
        (Extent::Whole, Format::Csv) => "whole; for reading, the JSON Lines verify",
        (Extent::Range, Format::Csv) => "range; for reading, the JSON Lines verify",
        (Extent::Selection, Format::Csv) => "filtered; for reading, the JSON Lines verify",
    }
}

/// `HEAD /audit/export`: whether one may, and no export, so no event either.
pub(super) async fn describe() {}

/// The filters of an address, and the one other thing that may stand there.
pub(super) fn wanted(
    pairs: Vec<(String, String)>,
    other: &'static str,
) -> Result<(Filter, String), Error> {
    let mut typed = BTreeMap::new();
    for (field, value) in pairs {
        if field != other && !Filter::FIELDS.contains(&field.as_str()) {
            let known = Filter::FIELDS.join(", ");
            return Err(malformed(format!(
                "There is no filter {field:?}. The filters that there are: {known}."
            )));
        }
        if typed.insert(field.clone(), value).is_some() {
            return Err(malformed(format!("{field} is given twice.")));
        }
    }
    let other = typed.remove(other).unwrap_or_default();
    Ok((Filter::read(&typed).map_err(wrong)?, other))
}

/// What to ask the log for.
pub(super) async fn select(conn: &mut PgConnection, filter: &Filter) -> Result<Selection, Error> {
    selection(conn, filter).await?.map_err(wrong)
}

#[expect(clippy::needless_pass_by_value, reason = "it maps an error")]
fn wrong(wrong: Wrong) -> Error {
    malformed(wrong.to_string())
}

pub(super) fn malformed(text: String) -> Error {
    Error::status(StatusCode::BAD_REQUEST, "malformed_query", text)
}

/// A name that says what is in the file: which events, and whether some are left out in between.
fn file_name(filter: &Filter, last: i64, format: Format) -> String {
    let filtered = match filter.extent() {
        Extent::Selection => "filtered-",
        Extent::Range | Extent::Whole => "",
    };
    let time = |at: chrono::DateTime<chrono::Utc>| at.format("%Y%m%dT%H%M%SZ").to_string();
    let from = filter.from.map_or_else(|| "1".to_owned(), time);
    let to = filter.until.map_or_else(|| last.to_string(), time);
    format!("curfew-audit-{filtered}{from}-to-{to}.{}", format.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pairs: &[(&str, &str)]) -> String {
        let pairs = pairs
            .iter()
            .map(|(field, value)| ((*field).to_owned(), (*value).to_owned()))
            .collect();
        let (filter, _) = wanted(pairs, "format").unwrap();
        file_name(&filter, 4711, Format::Csv)
    }

    #[test]
    fn a_file_s_name_says_its_range_and_whether_it_is_filtered() {
        assert_eq!(named(&[]), "curfew-audit-1-to-4711.csv");
        let november = [("from", "2026-11-01T00:00"), ("to", "2026-12-01T00:00")];
        assert_eq!(
            named(&november),
            "curfew-audit-20261101T000000Z-to-20261201T000000Z.csv"
        );
        assert_eq!(
            named(&[november[0], ("person", "../\"x")]),
            "curfew-audit-filtered-20261101T000000Z-to-4711.csv"
        );
    }

    #[test]
    fn a_filter_that_nobody_knows_or_that_stands_there_twice_is_refused() {
        for bad in [
            vec![("persn", "ada")],
            vec![("before", "7")],
            vec![("rule", "a"), ("rule", "b")],
        ] {
            let pairs = bad
                .iter()
                .map(|(field, value)| ((*field).to_owned(), (*value).to_owned()));
            let problem = wanted(pairs.collect(), "format").unwrap_err().problem();
            assert!(problem.text.contains(bad[0].0), "{}", problem.text);
            assert_eq!(problem.status, StatusCode::BAD_REQUEST);
        }
    }
}
