//! The audit log: only added to, exported as it is, verified by anyone.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use chrono::TimeDelta;
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

fn join(lines: &[&[u8]]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| [*line, b"\n"].concat())
        .collect()
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_or_remove_events() {
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
