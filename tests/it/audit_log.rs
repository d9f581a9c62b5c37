//! The audit log: only added to, exported as it is, verified by anyone.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use chrono::TimeDelta;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use crate::support::TestApp;

/// A log with one whole story in it.
async fn told() -> TestApp {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(5).await;
    approver.act(&id, "approve").await.expect(200);
    app.run_for(TimeDelta::minutes(7)).await;
    app
}

fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A verifier that has seen enough closes its end.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn curfew_verify(input: &[u8]) -> Output {
    let program = std::env::var("CARGO_BIN_EXE_curfew").unwrap();
    run(
        Command::new(program)
            .args(["audit", "verify", "-"])
            .env_remove("DATABASE_URL"),
        input,
    )
}

fn python_verify(input: &[u8]) -> Output {
    let script = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("docs/verify.py");
    run(Command::new("python3").arg(script), input)
}

#[tokio::test]
async fn an_export_is_the_stored_bytes_and_two_independent_verifiers_agree_about_it() {
    // A1: what is hashed is what is stored is what is exported.
    let app = told().await;
    let auditor = app.sign_in("auditor").await;
    let export = auditor.get("/audit/export?format=jsonl").await.expect(200);
    assert!(
        export.headers["content-disposition"]
            .to_str()
            .unwrap()
            .contains("attachment")
    );
    let mut owner = PgConnection::connect_with(&app.database.owner)
        .await
        .unwrap();
    let stored: Vec<Vec<u8>> = sqlx::raw_sql("select canonical from audit_events order by seq")
        .fetch_all(&mut owner)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let lines: Vec<&[u8]> = export
        .body
        .strip_suffix(b"\n")
        .unwrap()
        .split(|byte| *byte == b'\n')
        .collect();
    assert_eq!(lines, stored);
    assert!(
        String::from_utf8_lossy(lines.last().unwrap()).contains("audit.exported"),
        "it knows of itself"
    );
    for verify in [curfew_verify, python_verify] {
        let good = verify(&export.body);
        assert!(
            good.status.success(),
            "{}",
            String::from_utf8_lossy(&good.stderr)
        );
        let middle = lines.len() / 2;
        let mut dropped = lines.clone();
        dropped.remove(middle);
        let mut moved = lines.clone();
        moved.swap(middle, middle + 1);
        let changed = String::from_utf8(export.body.clone()).unwrap().replacen(
            "restart the payment",
            "restart THE payment",
            1,
        );
        let cut = export.body[..export.body.len() - 1].to_vec();
        for bad in [
            join(&dropped),
            join(&moved),
            changed.into_bytes(),
            cut,
            Vec::new(),
        ] {
            let refused = verify(&bad);
            assert_eq!(
                refused.status.code(),
                Some(1),
                "{}",
                String::from_utf8_lossy(&refused.stdout)
            );
            let said = format!(
                "{}{}",
                String::from_utf8_lossy(&refused.stdout),
                String::from_utf8_lossy(&refused.stderr)
            );
            assert!(
                said.contains("bad event"),
                "the first bad event is named: {said}"
            );
        }
    }
    app.finish().await;
}

/// One line of a log around a `data` given as text, with a hash that fits.
fn sealed(seq: u64, prev_hash: &str, data: &str) -> (Vec<u8>, String) {
    let kind = if seq == 1 { "log.started" } else { "x.y" };
    let (start, end) = (
        format!(r#"{{"actor":null,"data":{data},"grant_id":null,"#),
        format!(
            r#""id":"","prev_hash":"{prev_hash}","request_id":null,"seq":{seq},"target":null,"time":"","type":"{kind}"}}"#
        ),
    );
    let hash = hex::encode(Sha256::digest(format!("{start}{end}")));
    let line = format!("{start}\"hash\":\"{hash}\",{end}\n");
    (line.into_bytes(), hash)
}

#[test]
fn both_verifiers_take_and_refuse_the_same_odd_events() {
    let zeros = "0".repeat(64);
    let nested = |open: &str, close: &str, times| [open.repeat(times), close.repeat(times)];
    let cases = [
        (r#"{"n":9007199254740991}"#.to_owned(), true),
        (r#"{"n":9007199254740992}"#.to_owned(), false),
        ("{\"a\":\"\u{7f}\u{2028}\u{fffe}\"}".to_owned(), true),
        ("{\"ö\":1}".to_owned(), false),
        (r#"{"$x":1}"#.to_owned(), false),
        (
            r#"{"$serde_json::private::RawValue":"1"}"#.to_owned(),
            false,
        ),
        (r#"{"a":1,"a":1}"#.to_owned(), false),
        (r#"{"b":1,"a":1}"#.to_owned(), false),
        ("1.0".to_owned(), false),
        ("-0".to_owned(), false),
        (r#""\ud800""#.to_owned(), false),
        (nested("[", "]", 126).concat(), true),
        (nested("[", "]", 127).concat(), false),
        (nested("{\"a\":", "}", 126).join("1"), true),
        (nested("{\"a\":", "}", 127).join("1"), false),
    ];
    let (first, hash) = sealed(1, &zeros, r#"{"format":1}"#);
    let second = cases.map(|(data, good)| {
        let line = sealed(2, &hash, &data).0;
        ([first.clone(), line].concat(), good)
    });
    let beginnings = ["null", "{}", r#"{"format":2}"#, r#"{"format":true}"#]
        .map(|data| (sealed(1, &zeros, data).0, false));
    for (log, good) in second.into_iter().chain(beginnings) {
        for verify in [curfew_verify, python_verify] {
            let output = verify(&log);
            assert_eq!(
                output.status.code(),
                Some(i32::from(!good)),
                "{}: {}{}",
                String::from_utf8_lossy(&log),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

fn join(lines: &[&[u8]]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| [*line, b"\n"].concat())
        .collect()
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_or_remove_events() {
    // A3: the runtime role may add and read; not even the owner may change.
    let app = told().await;
    let mut runtime = PgConnection::connect_with(&app.database.runtime)
        .await
        .unwrap();
    let mut owner = PgConnection::connect_with(&app.database.owner)
        .await
        .unwrap();
    for sql in [
        "update audit_events set type = 'x'",
        "delete from audit_events",
        "truncate audit_events",
        "truncate audit_events_0",
        "update audit_events_0 set type = 'x'",
        "delete from audit_events_0 where seq = 3",
        "delete from audit_head",
        "truncate audit_head",
        "update audit_head set seq = 1",
    ] {
        assert!(
            sqlx::raw_sql(sql).execute(&mut runtime).await.is_err(),
            "runtime role: {sql}"
        );
        let refused = sqlx::raw_sql(sql).execute(&mut owner).await;
        assert!(refused.is_err(), "owner: {sql}");
    }
    for sql in [
        "alter table audit_events disable trigger all",
        "drop table audit_events",
        "create table x (y int)",
    ] {
        assert!(
            sqlx::raw_sql(sql).execute(&mut runtime).await.is_err(),
            "runtime role: {sql}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn verify_finds_what_somebody_with_the_whole_database_did() {
    let app = told().await;
    let verify = |url: &str| {
        Command::new(std::env::var("CARGO_BIN_EXE_curfew").unwrap())
            .args(["audit", "verify", "--database-url", url])
            .output()
            .unwrap()
    };
    let url = app.database.url.clone();
    let good = verify(&url);
    assert!(
        good.status.success(),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    let mut owner = PgConnection::connect_with(&app.database.owner)
        .await
        .unwrap();
    let mut claim = async |hash: &str, seq: &str| {
        let sql = format!(
            "alter table audit_head disable trigger user; update audit_head set hash = {hash}, seq = {seq}"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut owner)
            .await
            .unwrap();
        let refused = verify(&url);
        assert_eq!(refused.status.code(), Some(1));
        String::from_utf8_lossy(&refused.stderr).into_owned()
    };
    let another = "decode(repeat('07', 32), 'hex')";
    let said = claim(another, "seq").await;
    assert!(said.contains("its hash is not that of the head"), "{said}");
    let said = claim("hash", "seq + 1").await;
    assert!(said.contains("ends before the head"), "{said}");
    // As it was; a head before the checkpoint is no better than a log that ends before its head.
    let last = sqlx::raw_sql(
        "update audit_head set (hash, seq) = (select hash, seq from audit_events order by seq desc limit 1)
         returning hash, seq",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    let (hash, seq): (Vec<u8>, i64) = (last.get(0), last.get(1));
    let after = |seq: i64| {
        Command::new(std::env::var("CARGO_BIN_EXE_curfew").unwrap())
            .args(["audit", "verify", "--database-url", &url, "--from"])
            .arg(format!("{seq}:{}", hex::encode(&hash)))
            .output()
            .unwrap()
    };
    assert!(after(seq).status.success());
    let cut = after(seq + 1);
    assert_eq!(cut.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&cut.stderr).contains("the log was cut"));
    sqlx::raw_sql(
        "alter table audit_events disable trigger user;
         update audit_events set canonical = convert_to(replace(convert_from(canonical, 'utf8'), 'approver@', 'somebody@'), 'utf8')
         where type = 'request.approved'",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let refused = verify(&url);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("hash does not match"));
    app.app.broker.db.pool.close().await;
}

#[tokio::test]
async fn a_range_in_time_is_exported_and_said_so_in_the_log() {
    // A4: it verifies event by event, not as a chain from the start.
    let app = told().await;
    let auditor = app.sign_in("auditor").await;
    let from = app.now().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let some = auditor
        .get(&format!("/audit/export?format=jsonl&from={from}"))
        .await
        .expect(200);
    let events: Vec<serde_json::Value> = some
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        events
            .iter()
            .all(|event| event["time"].as_str().unwrap() >= from.as_str())
    );
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["data"]["from"]),
        (&"audit.exported".into(), &from.into())
    );
    app.finish().await;
}

#[tokio::test]
async fn a_reader_that_follows_seq_gets_every_event_once() {
    let app = told().await;
    let auditor = app.sign_in("auditor").await;
    let (mut after, mut seqs) = (0, Vec::new());
    loop {
        let page = auditor
            .get(&format!("/api/v1/audit?after_seq={after}&limit=7"))
            .await
            .expect(200)
            .json();
        seqs.extend(
            page["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["seq"].as_i64().unwrap()),
        );
        match page["next_after_seq"].as_i64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(
        seqs,
        (1..=i64::try_from(seqs.len()).unwrap()).collect::<Vec<_>>()
    );
    app.finish().await;
}

#[tokio::test]
async fn a_change_without_an_event_is_never_committed() {
    let app = TestApp::start().await;
    let change = curfew::postgres::change::Change::begin(
        &app.app.broker.db,
        curfew::access::person::Actor::System,
    )
    .await
    .unwrap();
    assert!(
        change
            .commit()
            .await
            .unwrap_err()
            .to_string()
            .contains("without an event")
    );
    app.finish().await;
}
