//! Searching and exporting the audit log: each filter alone and together, in words and as files.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use chrono::{SecondsFormat, TimeDelta};
use serde_json::Value;

use crate::support::TestApp;
use crate::support::people::{Answer, Person};

/// The events that an export with these filters holds.
async fn found(auditor: &Person, filters: &[(&str, &str)]) -> Vec<Value> {
    export(auditor, "jsonl", filters)
        .await
        .expect(200)
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn export(auditor: &Person, format: &str, filters: &[(&str, &str)]) -> Answer {
    let query = serde_urlencoded::to_string(filters).unwrap();
    auditor
        .get(&format!("/audit/export?format={format}&{query}"))
        .await
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

/// A production request by `engineer` that `approver` agreed to, and a staging one by `engineer2`.
async fn two_stories() -> (TestApp, String, String) {
    let app = TestApp::start().await;
    let (engineer, approver, other) = (
        app.sign_in("engineer").await,
        app.sign_in("approver").await,
        app.sign_in("engineer2").await,
    );
    let production = engineer.asks(5).await;
    approver.act(&production, "approve").await.expect(200);
    let staging = other
        .ask("staging-admin", "222222222222", 5)
        .await
        .expect(201);
    let staging = staging.json()["id"].as_str().unwrap().to_owned();
    app.run_for(TimeDelta::minutes(7)).await;
    (app, production, staging)
}

#[tokio::test]
async fn each_filter_finds_what_it_says_and_nothing_else() {
    let (app, production, staging) = two_stories().await;
    let auditor = app.sign_in("auditor").await;
    let of = |events: &[Value]| {
        let mut ids: Vec<String> = events
            .iter()
            .filter_map(|event| event["request_id"].as_str().map(str::to_owned))
            .collect();
        ids.dedup();
        ids.sort();
        ids.dedup();
        ids
    };

    // Who acted, and whose request it is about: what Curfew did for the engineer is found too.
    let events = found(&auditor, &[("person", "ENGINEER@example.com")]).await;
    assert_eq!(of(&events), [production.as_str()]);
    assert!(types(&events).contains(&"session.started") && types(&events).contains(&"grant.ended"));
    let events = found(&auditor, &[("person", "approver@example.com")]).await;
    assert!(types(&events).starts_with(&[
        "session.started",
        "decision.recorded",
        "request.approved"
    ]));
    assert!(
        !types(&events).contains(&"grant.activated"),
        "not what followed from it"
    );
    // Part of a name means everybody with it.
    let both = found(&auditor, &[("person", "engineer")]).await;
    assert_eq!(of(&both).len(), 2);
    assert!(
        found(&auditor, &[("person", "nobody@example.com")])
            .await
            .is_empty()
    );

    let events = found(&auditor, &[("account", "222222222222")]).await;
    assert_eq!(of(&events), [staging.as_str()]);
    let events = found(&auditor, &[("account", "Payments-Prod")]).await;
    assert_eq!(of(&events), [production.as_str()]);
    assert_eq!(
        of(&found(&auditor, &[("account", "payments")]).await).len(),
        2
    );

    let events = found(&auditor, &[("rule", "staging-admin")]).await;
    assert_eq!(of(&events), [staging.as_str()]);
    assert!(
        found(&auditor, &[("rule", "staging")]).await.is_empty(),
        "a rule is named whole"
    );
    // A rule with very many requests is asked for otherwise, and finds the same.
    let by_name = curfew::postgres::audit::Selection {
        rule: Some("staging-admin".to_owned()),
        ..Default::default()
    };
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let same = curfew::postgres::audit::search(&mut conn, &by_name, i64::MAX, 1000)
        .await
        .unwrap();
    let same_way = curfew::postgres::audit::follow(&mut conn, &by_name, 0, i64::MAX, 1000)
        .await
        .unwrap();
    drop(conn);
    let mut seqs: Vec<i64> = same.iter().map(|event| event.seq).collect();
    seqs.reverse();
    let expected: Vec<i64> = events
        .iter()
        .map(|event| event["seq"].as_i64().unwrap())
        .collect();
    assert_eq!(seqs, expected);
    assert_eq!(same_way.len(), expected.len());

    assert_eq!(
        types(&found(&auditor, &[("type", "grant.ended")]).await),
        ["grant.ended"; 2]
    );
    let events = found(&auditor, &[("type", "grant.")]).await;
    assert!(events.len() > 8 && types(&events).iter().all(|name| name.starts_with("grant.")));
    // An underscore stands for itself.
    let started = found(&auditor, &[("type", "grant.end_started")]).await;
    assert_eq!(started.len(), 2);

    let events = found(&auditor, &[("request", &production)]).await;
    assert_eq!(of(&events), [production.as_str()]);

    let ended = found(&auditor, &[("type", "grant.ended")]).await;
    let time = ended[0]["time"].as_str().unwrap();
    let before = found(&auditor, &[("to", time), ("request", &production)]).await;
    let after = found(&auditor, &[("from", time), ("request", &production)]).await;
    assert!(
        before
            .iter()
            .all(|event| event["time"].as_str().unwrap() < time)
    );
    assert!(
        after
            .iter()
            .all(|event| event["time"].as_str().unwrap() >= time)
    );
    assert_eq!(
        before.len() + after.len(),
        found(&auditor, &[("request", &production)]).await.len()
    );

    // Together they narrow.
    let together = [
        ("person", "engineer"),
        ("account", "payments-staging"),
        ("rule", "staging-admin"),
        ("type", "request."),
        ("request", staging.as_str()),
        ("from", "2026-01-01T00:00"),
        ("to", "2999-01-01T00:00"),
    ];
    assert_eq!(
        types(&found(&auditor, &together).await),
        ["request.created", "request.approved"]
    );
    for (at, other) in [
        (0, "approver@example.com"),
        (1, "payments-prod"),
        (2, "production-admin"),
        (3, "session."),
        (4, production.as_str()),
        (5, "2998-01-01T00:00"),
        (6, "2026-01-01T00:01"),
    ] {
        let mut narrowed = together;
        narrowed[at].1 = other;
        assert!(
            found(&auditor, &narrowed).await.is_empty(),
            "{}",
            narrowed[at].0
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn somebody_who_left_or_changed_their_e_mail_is_still_found() {
    let (app, production, _) = two_stories().await;
    let id = app
        .sandbox
        .world()
        .user_named("approver")
        .unwrap()
        .id
        .clone();
    app.sandbox
        .edit(|world| {
            world.users.retain(|user| user.id != id);
            for group in &mut world.groups {
                group.members.remove(&id);
            }
            Ok(())
        })
        .unwrap();
    app.copy_directory().await;
    let auditor = app.sign_in("auditor").await;
    for typed in ["approver@example.com", id.as_str()] {
        let events = found(&auditor, &[("person", typed)]).await;
        assert!(types(&events).contains(&"decision.recorded"), "{typed}");
        assert!(
            events
                .iter()
                .any(|event| event["request_id"] == production.as_str())
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn the_page_shows_its_filters_and_keeps_them_from_page_to_page() {
    let (app, ..) = two_stories().await;
    let auditor = app.sign_in("auditor").await;
    for _ in 0..110 {
        auditor
            .get("/audit/export?format=jsonl&rule=none")
            .await
            .expect(200);
    }
    let page = auditor
        .get("/audit?person=auditor%40example.com&account=&rule=&type=audit.&from=&to=&request=")
        .await
        .expect(200)
        .text();
    assert_eq!(page.matches("<code>audit.exported</code>").count(), 100);
    assert!(!page.contains("<code>session.started</code>"));
    let older = page
        .split("href=\"")
        .filter_map(|part| part.split('"').next())
        .find(|href| href.contains("before="))
        .unwrap()
        .replace("&#38;", "&")
        .replace("&amp;", "&");
    assert!(
        older.contains("person=auditor%40example.com&type=audit.&before="),
        "{older}"
    );
    let rest = auditor.get(&older).await.expect(200).text();
    assert_eq!(rest.matches("<code>audit.exported</code>").count(), 10);
    assert!(
        page.contains("--events-only"),
        "it says what the files can prove"
    );
    let nothing = auditor.get("/audit?rule=none").await.expect(200).text();
    assert!(nothing.contains("No event matches"));
    app.finish().await;
}

#[tokio::test]
async fn a_filter_that_can_t_be_read_is_refused_with_its_name_and_exports_nothing() {
    let app = TestApp::start().await;
    let auditor = app.sign_in("auditor").await;
    let long = "x".repeat(301);
    for (query, named) in [
        ("from=yesterday", "from"),
        ("to=2026-11-24", "to"),
        ("from=2026-11-24T03:00&to=2026-11-24T03:00", "to"),
        ("type=grant", "type"),
        ("request=7", "request"),
        ("persn=ada", "persn"),
        ("rule=a&rule=b", "rule"),
        (&format!("person={long}"), "person"),
        ("account=a%00b", "account"),
        ("person=%ff", "person"),
    ] {
        for path in ["/audit", "/audit/export"] {
            let refused = auditor.get(&format!("{path}?{query}")).await.expect(400);
            assert!(
                refused.text().contains(named),
                "{path}?{query}: {}",
                refused.text()
            );
        }
    }
    auditor.get("/audit?before=x").await.expect(400);
    auditor.get("/audit/export?before=7").await.expect(400);
    for format in ["xlsx", "ocsf", "exe", "CSV"] {
        let refused = export(&auditor, format, &[]).await.expect(400).text();
        assert!(refused.contains("jsonl, csv"), "{refused}");
    }
    assert!(
        found(&auditor, &[("type", "audit.exported"), ("rule", "x")])
            .await
            .is_empty()
    );
    let exports = found(&auditor, &[("type", "audit.")]).await;
    assert_eq!(exports.len(), 2, "only what was exported is in the log");
    let engineer = app.sign_in("engineer").await;
    export(&engineer, "csv", &[]).await.expect(403);
    engineer.get("/audit?person=x").await.expect(403);
    app.finish().await;
}

#[tokio::test]
async fn an_export_says_what_it_holds_in_its_name_a_header_and_the_log() {
    let (app, production, _) = two_stories().await;
    let auditor = app.sign_in("auditor").await;
    let header = |answer: &Answer, name: &str| answer.headers[name].to_str().unwrap().to_owned();

    let whole = export(&auditor, "jsonl", &[]).await.expect(200);
    let last = whole.text().lines().count();
    assert!(
        header(&whole, "content-disposition")
            .contains(&format!("\"curfew-audit-1-to-{last}.jsonl\""))
    );
    assert_eq!(
        header(&whole, "curfew-export"),
        "whole; verifies as a chain"
    );

    let range = export(&auditor, "csv", &[("from", "2026-11-01T00:00")])
        .await
        .expect(200);
    assert!(header(&range, "content-disposition").contains("curfew-audit-20261101T000000Z-to-"));
    assert_eq!(
        header(&range, "curfew-export"),
        "range; for reading, the JSON Lines verify"
    );
    assert_eq!(header(&range, "content-type"), "text/csv; charset=utf-8");

    let some = export(&auditor, "jsonl", &[("request", &production)])
        .await
        .expect(200);
    assert!(header(&some, "content-disposition").contains("curfew-audit-filtered-1-to-"));
    assert!(header(&some, "curfew-export").contains("event by event only"));
    let exported = found(&auditor, &[("type", "audit.exported")]).await;
    assert_eq!(
        exported[2]["data"]["filters"]["request"],
        production.as_str()
    );
    assert_eq!(
        (
            &exported[0]["data"]["filters"],
            &exported[1]["data"]["format"]
        ),
        (&Value::Null, &"csv".into())
    );

    // Both verifiers: no chain, and yet each event sound.
    let program = std::env::var("CARGO_BIN_EXE_curfew").unwrap();
    let script = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("docs/verify.py");
    let changed = some
        .text()
        .replacen("restart the payment", "restart THE payment", 1);
    for command in [
        vec![program.as_str(), "audit", "verify", "-"],
        vec!["python3", script.to_str().unwrap()],
    ] {
        for (content, option, status) in [
            (some.body.clone(), None, 1),
            (some.body.clone(), Some("--events-only"), 0),
            (changed.clone().into_bytes(), Some("--events-only"), 1),
            (whole.body.clone(), Some("--events-only"), 0),
            (
                some.body[..some.body.len() - 1].to_vec(),
                Some("--events-only"),
                1,
            ),
        ] {
            let mut child = Command::new(command[0])
                .args(&command[1..])
                .args(option)
                .env_remove("DATABASE_URL")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let _ = child.stdin.take().unwrap().write_all(&content);
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert_eq!(
                output.status.code(),
                Some(status),
                "{command:?} {option:?}: {said}"
            );
            assert!(
                status == 1 || said.contains("each sound by itself"),
                "{said}"
            );
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn nothing_that_people_write_is_a_formula_in_a_spreadsheet() {
    let evil = "=cmd|' /C calc'!A0";
    let mut world = curfew::sandbox::World::demo();
    let user = world
        .users
        .iter_mut()
        .find(|user| user.email == "engineer@example.com")
        .unwrap();
    user.email = format!("{evil}@example.com");
    let account = world
        .accounts
        .iter_mut()
        .find(|account| account.name == "payments-prod")
        .unwrap();
    "@payments-prod".clone_into(&mut account.name);
    let app = TestApp::with(crate::support::app::POLICY, world).await;
    let engineer = Person::sign_in(
        &app.router,
        &serde_urlencoded::to_string([("", evil)]).unwrap()[1..],
        None,
    )
    .await;
    let ask = serde_json::json!({"rule": "production-admin", "account": "111111111111", "minutes": 5, "reason": "=HYPERLINK(\"http://x\"), restart"});
    engineer
        .post_json("/api/v1/requests", &ask)
        .await
        .expect(201);
    let auditor = app.sign_in("auditor").await;
    let csv = export(&auditor, "csv", &[]).await.expect(200);
    let text = csv.text();
    assert!(text.starts_with("seq,id,time,type,") && text.ends_with("\r\n"));
    let rows: Vec<csv::StringRecord> = csv::ReaderBuilder::new()
        .from_reader(csv.body.as_slice())
        .records()
        .collect::<Result<_, _>>()
        .unwrap();
    let lines = found(&auditor, &[]).await;
    assert_eq!(
        rows.len() + 1,
        lines.len(),
        "as many rows as events, but for the second export's own"
    );
    for field in rows.iter().flat_map(csv::StringRecord::iter) {
        assert!(
            !field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']),
            "{field}"
        );
    }
    let has = |text: &str| rows.iter().any(|row| row.iter().any(|field| field == text));
    assert!(has(&format!("'{evil}@example.com")) && has("'@payments-prod"));
    assert!(
        text.contains("HYPERLINK"),
        "the reason is there, inside its JSON"
    );
    app.run_for(TimeDelta::minutes(241)).await;
    app.finish().await;
}

#[tokio::test]
async fn a_range_verifies_as_a_chain_from_the_event_before_it() {
    let (app, ..) = two_stories().await;
    let auditor = app.sign_in("auditor").await;
    let whole = found(&auditor, &[]).await;
    let at = whole
        .iter()
        .position(|event| event["type"] == "grant.activated")
        .unwrap();
    let before = whole[..at]
        .iter()
        .rfind(|event| event["time"] != whole[at]["time"])
        .unwrap();
    let from = whole[at]["time"].as_str().unwrap();
    let range = export(&auditor, "jsonl", &[("from", from)])
        .await
        .expect(200);
    let mut verifier = curfew::audit::chain::Verifier::from(
        format!("{}:{}", before["seq"], before["hash"].as_str().unwrap())
            .parse()
            .unwrap(),
    );
    for line in range.text().lines() {
        verifier.next(line.as_bytes()).unwrap();
    }
    let now = app.now().to_rfc3339_opts(SecondsFormat::Micros, true);
    assert!(
        found(&auditor, &[("to", &now), ("type", "audit.")])
            .await
            .is_empty()
    );
    app.finish().await;
}

#[tokio::test]
async fn somebody_of_whom_no_name_was_kept_is_found_by_that_of_the_directory_or_of_a_request() {
    let (app, production, _) = two_stories().await;
    let auditor = app.sign_in("auditor").await;
    // A replica of the version before keeps no names.
    app.database.run("delete from audit_names").await;
    let engineer = [("person", "Engineer@example.com"), ("type", "request.")];
    for gone in [false, true] {
        if gone {
            let leave = "delete from people where email = 'engineer@example.com'";
            app.database.run(leave).await;
        }
        let found = found(&auditor, &engineer).await;
        assert!(!found.is_empty(), "{gone}");
        assert!(
            found
                .iter()
                .all(|event| event["request"]["id"] == production.as_str()
                    || event["request_id"] == production.as_str()),
            "{found:?}"
        );
    }
    assert!(
        !found(&auditor, &[("person", "Emil Engineer")])
            .await
            .is_empty()
    );
    app.copy_directory().await;
    app.finish().await;
}
