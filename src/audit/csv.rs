//! Events as CSV (RFC 4180), for spreadsheets. Pure.
//!
//! A spreadsheet takes a field that begins with a sign such as `=` for a formula, and formulas can
//! reach out. So text columns get an apostrophe before such a sign; numbers, ids, times and hashes are
//! Curfew's own and stay as they are. The proof is in the JSON Lines, not here.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The columns: every field of an event.
const COLUMNS: [&str; 21] = [
    "seq",
    "id",
    "time",
    "type",
    "actor_kind",
    "actor_id",
    "actor_email",
    "actor_channel",
    "actor_ip",
    "actor_amr",
    "actor_assurance",
    "request_id",
    "grant_id",
    "target_kind",
    "account_id",
    "account_name",
    "permission_set",
    "permission_set_arn",
    "data",
    "prev_hash",
    "hash",
];

#[derive(Deserialize)]
struct Body<'a> {
    seq: i64,
    id: String,
    time: String,
    #[serde(rename = "type")]
    kind: String,
    actor: Actor<'a>,
    request_id: Option<String>,
    grant_id: Option<String>,
    target: Option<Target>,
    #[serde(borrow)]
    data: &'a RawValue,
    prev_hash: String,
    hash: String,
}

#[derive(Deserialize)]
struct Actor<'a> {
    kind: String,
    id: Option<String>,
    email: Option<String>,
    channel: Option<String>,
    ip: Option<String>,
    #[serde(borrow)]
    amr: Option<&'a RawValue>,
    assurance: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    kind: String,
    account_id: String,
    account_name: String,
    permission_set: String,
    permission_set_arn: String,
}

/// The first row: what the columns are.
///
/// # Errors
/// Never in fact.
pub fn header() -> anyhow::Result<Vec<u8>> {
    row(COLUMNS)
}

/// One event, from its canonical bytes.
///
/// # Errors
/// If they are no event.
pub fn event(canonical: &[u8]) -> anyhow::Result<Vec<u8>> {
    let body: Body<'_> = serde_json::from_slice(canonical)?;
    let seq = body.seq.to_string();
    let some = |text: &Option<String>| inert(text.as_deref().unwrap_or_default());
    let target =
        |of: fn(&Target) -> &String| inert(body.target.as_ref().map_or("", |target| of(target)));
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    row([
        seq,
        body.id,
        body.time,
        inert(&body.kind),
        inert(&body.actor.kind),
        some(&body.actor.id),
        some(&body.actor.email),
        some(&body.actor.channel),
        some(&body.actor.ip),
        inert(body.actor.amr.map_or("", RawValue::get)),
        some(&body.actor.assurance),
        own(&body.request_id),
        own(&body.grant_id),
        target(|target| &target.kind),
        target(|target| &target.account_id),
        target(|target| &target.account_name),
        target(|target| &target.permission_set),
        target(|target| &target.permission_set_arn),
        inert(body.data.get()),
        body.prev_hash,
        body.hash,
    ])
}

fn row<T: AsRef<[u8]>>(fields: [T; COLUMNS.len()]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(fields)?;
    Ok(writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?)
}

/// The text, with an apostrophe before a sign that would make it a formula.
fn inert(text: &str) -> String {
    const SIGNS: [char; 12] = [
        '=', '+', '-', '@', '\t', '\r', '\n', '\0', '＝', '＋', '－', '＠',
    ];
    if text.starts_with(SIGNS) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(email: &str, account_name: &str) -> Vec<u8> {
        let event = serde_json::json!({
            "seq": 7, "id": "i", "time": "2026-11-24T03:00:00.000000Z", "type": "request.created",
            "actor": {"kind": "person", "id": "p", "email": email, "channel": "web", "ip": "::1", "amr": ["hwk"], "assurance": "mfa"},
            "request_id": "r", "grant_id": null,
            "target": {"kind": "permission_set", "account_id": "011111111111", "account_name": account_name,
                       "permission_set": "admin", "permission_set_arn": "arn"},
            "data": {"reason": "=1+1\n\"quoted\", twice"}, "prev_hash": "0", "hash": "f",
        });
        event.to_string().into_bytes()
    }

    fn read(bytes: &[u8]) -> Vec<String> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(bytes);
        let record = reader.records().next().unwrap().unwrap();
        record.iter().map(str::to_owned).collect()
    }

    #[test]
    fn every_field_has_its_column_and_rows_end_as_rfc_4180_says() {
        let (header, row) = (
            header().unwrap(),
            event(&canonical("a@example.com", "x, \"y\"")).unwrap(),
        );
        assert!(header.ends_with(b"\r\n") && row.ends_with(b"\r\n"));
        let of = |name: &str| {
            let at = read(&header)
                .iter()
                .position(|column| column == name)
                .unwrap();
            read(&row)[at].clone()
        };
        for (column, expected) in [
            ("seq", "7"),
            ("type", "request.created"),
            ("actor_email", "a@example.com"),
            ("actor_amr", "[\"hwk\"]"),
            ("account_id", "011111111111"),
            ("account_name", "x, \"y\""),
            ("request_id", "r"),
            ("grant_id", ""),
            ("hash", "f"),
            ("data", "{\"reason\":\"=1+1\\n\\\"quoted\\\", twice\"}"),
        ] {
            assert_eq!(of(column), expected, "{column}");
        }
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_text_and_nothing_else_is_touched() {
        for sign in [
            "=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠",
        ] {
            assert_eq!(inert(&format!("{sign}x")), format!("'{sign}x"), "{sign:?}");
        }
        for good in ["", "a=b", "'x", "1-2", "{\"a\":\"=b\"}"] {
            assert_eq!(inert(good), good);
        }
        let row = read(&event(&canonical("=cmd|' /C calc'!A0", "@prod")).unwrap());
        assert!(
            row.contains(&"'=cmd|' /C calc'!A0".to_owned()) && row.contains(&"'@prod".to_owned())
        );
    }

    #[test]
    fn an_event_about_nothing_by_nobody_has_empty_columns() {
        let event = serde_json::json!({
            "seq": 1, "id": "i", "time": "t", "type": "log.started",
            "actor": {"kind": "system", "id": null, "email": null, "channel": null, "ip": null, "amr": null, "assurance": null},
            "request_id": null, "grant_id": null, "target": null, "data": {"format": 1}, "prev_hash": "0", "hash": "f",
        });
        let row = read(&super::event(event.to_string().as_bytes()).unwrap());
        assert_eq!(row.iter().filter(|field| field.is_empty()).count(), 13);
    }
}
