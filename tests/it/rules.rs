//! The rules of the access protocol, each with the tests that show it. A rule that no test names is a
//! rule that nobody checks; `every_rule_is_named_by_a_test` counts.
//!
//! | rule | what it says | shown by |
//! |---|---|---|
//! | T1 | time is the database's, read under the locks, and distrusted | `clocks`, `engine::watch` |
//! | T2 | no create after `activate_by` | `request_to_end`, the random world of `engine::step` |
//! | T3 | the end only moves earlier | `request_to_end::a_late_confirmation_…`, `access::grant` |
//! | T4 | every act does the lapse or end that is due | `approvals`, `races` |
//! | W1, W2 | wanted while a grant is live; joining what is there | `ending::overlapping_…`, `ending::a_grant_that_finds_…` |
//! | S1 | a fresh check before each create | `approvals::what_changed_after_the_yes_…`, `lost_and_late` |
//! | S2 | what stands already is never touched | `request_to_end::an_assignment_that_was_there_before_…` |
//! | S3 | what somebody took away is never put back | `ending::what_somebody_took_away_…` |
//! | S4 | attempts are rows before they are sent; permits; lost answers | `lost_and_late` |
//! | G1 | when "gone" may be said | `ending`, `lost_and_late`, the random world |
//! | G2 | tried for ever, with growing delay and an alarm; closed only if the target is gone | `ending`, `hanging`, `overdue`, `gone_targets` |
//! | G3 | no text stops an ending | `ending::what_somebody_writes_…`, `access::text` |
//! | G4 | without Postgres: 503 and the command, and on as soon as it is back | `security::with_the_database_away_…`, `by_hand`, `postgres_faults` |
//! | L1 | one engine at a time, and two do no harm | `replicas`, `three_replicas` |
//! | L2 | no lock over anything but SQL, and none for long | `replicas::a_decision_holds_up_…`, `layering` |
//! | L3 | notifications wake, and nothing more | here |
//! | L4 | ends by a person first | here; `hanging` for the alarm |
//! | L5 | polling pays | here; `request_to_end::one_grant_s_whole_life_…` |
//! | A1–A5 | the log | `audit_log`, `bad_input`, `audit::chain`; A2 here |
//! | C1–C4 | the policy | `policy`; C2 in `request_to_end::what_the_policy_grants_…` |

use chrono::TimeDelta;
use curfew::access::id::AssignmentId;
use curfew::postgres::{WAKE, assignments};
use sqlx::postgres::PgListener;

use crate::support::TestApp;
use crate::support::app::{POLICY, world_with_accounts};

const RULES: [&str; 28] = [
    "T1", "T2", "T3", "T4", "W1", "W2", "S1", "S2", "S3", "S4", "G1", "G2", "G3", "G4", "L1", "L2",
    "L3", "L4", "L5", "A1", "A2", "A3", "A4", "A5", "C1", "C2", "C3", "C4",
];

#[test]
fn every_rule_is_named_by_a_test() {
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let mut texts = String::new();
    for entry in std::fs::read_dir(format!("{root}/tests/it")).unwrap() {
        let path = entry.unwrap().path();
        // Not this table: it would name them all by itself.
        if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("rules.rs") {
            texts += &std::fs::read_to_string(path).unwrap();
        }
    }
    texts += &std::fs::read_to_string(format!("{root}/src/engine/step/tests.rs")).unwrap();
    let here = ["L3", "L4", "L5", "A2"];
    for rule in RULES.iter().filter(|rule| !here.contains(rule)) {
        let is_named = texts
            .split(|at: char| !at.is_ascii_alphanumeric())
            .any(|word| word == *rule);
        assert!(is_named, "no test names {rule}");
    }
}

#[tokio::test]
async fn a_yes_and_an_end_wake_the_engine() {
    // L3: what is heard is only a knock; without it the engine looks within two seconds all the same.
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(10).await;
    let pool = sqlx::PgPool::connect_with(app.database.runtime.clone())
        .await
        .unwrap();
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen(WAKE).await.unwrap();
    approver.act(&id, "approve").await.expect(200);
    assert_eq!(listener.recv().await.unwrap().payload(), "");
    app.settle().await;
    while listener.next_buffered().is_some() {}
    engineer.act(&id, "end").await.expect(200);
    listener.recv().await.unwrap();
    app.settle().await;
    drop(listener);
    pool.close().await;
    app.finish().await;
}

#[tokio::test]
async fn what_somebody_ended_now_comes_before_what_is_overdue() {
    // L4, and G2: a delete that keeps failing must not stand before an end that somebody waits for.
    let app = TestApp::start().await;
    let (engineer, engineer2, approver) = (
        app.sign_in("engineer").await,
        app.sign_in("engineer2").await,
        app.sign_in("approver").await,
    );
    let mut ids = Vec::new();
    for person in [&engineer, &engineer2] {
        let id = person.asks(5).await;
        approver.act(&id, "approve").await.expect(200);
        ids.push(id);
    }
    app.run_for(TimeDelta::seconds(40)).await;
    app.advance(TimeDelta::minutes(4));
    engineer2.act(&ids[1], "end").await.expect(200);
    app.advance(TimeDelta::minutes(1));
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let due = assignments::list_due(&mut conn, app.now(), 10)
        .await
        .unwrap();
    let first: AssignmentId = due[0];
    let row = assignments::find(&mut conn, first).await.unwrap().unwrap();
    drop(conn);
    let world = app.sandbox.world();
    assert_eq!(
        (due.len(), &row.user_id),
        (2, &world.user_named("engineer2").unwrap().id)
    );
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn one_listing_replaces_a_look_at_each_of_many_operations() {
    // L5: with many under way, one shared listing and one look for each that left it.
    let app = TestApp::with(POLICY, world_with_accounts(10)).await;
    app.sandbox
        .set_settings(|settings| settings.operation_millis = 8000..=8000);
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let mut ids = Vec::new();
    for n in 0..10 {
        let made = engineer
            .ask("production-admin", &format!("44444444{n:04}"), 5)
            .await
            .expect(201)
            .json();
        let id = made["id"].as_str().unwrap().to_owned();
        approver.act(&id, "approve").await.expect(200);
        ids.push(id);
    }
    app.run_for(TimeDelta::seconds(30)).await;
    for id in &ids {
        assert_eq!(engineer.grant_status(id).await, "active");
    }
    let looks = app.count_calls("DescribeAccountAssignmentCreationStatus");
    let listings = app.count_calls("ListAccountAssignmentCreationStatus");
    assert!(
        listings > 0 && looks <= 25,
        "{looks} looks and {listings} listings for ten operations of eight seconds"
    );
    app.run_for(TimeDelta::minutes(6)).await;
    app.finish().await;
}

#[tokio::test]
async fn while_the_directory_is_away_access_waits_and_fails_when_its_time_is_over() {
    // S1: never proceed without a check.
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(10).await;
    approver.act(&id, "approve").await.expect(200);
    let until = app.now() + TimeDelta::minutes(16);
    while app.now() < until {
        while app.sandbox.waiting_faults().len() < 20 {
            app.sandbox
                .fail_next("DescribeUser", curfew::sandbox::Fault::Internal)
                .unwrap();
        }
        app.run_for(TimeDelta::seconds(30)).await;
    }
    let grant = engineer.see(&id).await["grant"].clone();
    assert_eq!(
        (&grant["status"], &grant["end_reason"]),
        (&"failed".into(), &"provisioning_failed".into())
    );
    assert_eq!(app.count_calls("CreateAccountAssignment"), 0);
    app.app.broker.db.pool.close().await;
}

#[tokio::test]
async fn the_form_says_that_the_reason_is_recorded() {
    // A2: free text stays in the record; whoever writes it is told.
    let app = TestApp::start().await;
    let page = app
        .sign_in("engineer")
        .await
        .get("/requests/new")
        .await
        .expect(200);
    assert!(page.text().contains("recorded"), "{}", page.text());
    app.finish().await;
}
