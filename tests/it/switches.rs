//! The two switches for the bad day: no new access, and the end of everything. Ending goes on whatever
//! the switches say (promises P2 and P6), and a pause that was committed before an intent always wins.

use chrono::TimeDelta;
use curfew::access::id::EndOrderId;
use curfew::postgres::audit;
use curfew::postgres::end_orders::{self, EndOrder};
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::database::Database;
use crate::support::people::{Answer, Person};
use crate::support::served::Operator;

const PAYMENTS: &str = "111111111111";
const STAGING: &str = "222222222222";
const DATA: &str = "333333333333";
const SET: &str = "production-admin";

/// So often is the race run: which of the two comes first is not ours to say.
const TIMES: usize = 12;

async fn work(person: &Person, switch: &str, body: &Value) -> Answer {
    let path = format!("/api/v1/operations/{switch}");
    person.post_json(&path, body).await
}

async fn pause(app: &TestApp) {
    let admin = app.sign_in("admin").await;
    let why = json!({"comment": "a laptop is gone"});
    work(&admin, "pause", &why).await.expect(200);
}

async fn resume(app: &TestApp) {
    let admin = app.sign_in("admin").await;
    let why = json!({"comment": "it was found"});
    work(&admin, "resume", &why).await.expect(200);
}

/// Asks for an account and gets the request's id.
async fn asks(person: &Person, rule: &str, account: &str) -> String {
    let made = person.ask(rule, account, 30).await.expect(201).json();
    made["id"].as_str().unwrap().to_owned()
}

/// Every event, in order.
async fn log(app: &TestApp) -> Vec<Value> {
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let events = audit::list_after(&mut conn, 0, 100_000).await.unwrap();
    events
        .iter()
        .map(|event| serde_json::from_slice(&event.canonical).unwrap())
        .collect()
}

fn of_type<'a>(log: &'a [Value], kind: &str) -> Vec<&'a Value> {
    log.iter().filter(|event| event["type"] == kind).collect()
}

async fn end_of(person: &Person, id: &str) -> (String, String) {
    let grant = person.see(id).await["grant"].clone();
    let text = |key: &str| grant[key].as_str().unwrap_or("none").to_owned();
    (text("status"), text("end_reason"))
}

fn words(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn while_paused_nobody_gets_in_and_everything_that_ends_goes_on() {
    let app = TestApp::start().await;
    let (engineer, other, both, approver, admin) = (
        app.sign_in("engineer").await,
        app.sign_in("engineer2").await,
        app.sign_in("both").await,
        app.sign_in("approver").await,
        app.sign_in("admin").await,
    );
    let active = app.approved(30).await;
    app.settle().await;
    let (to_deny, to_cancel) = (
        asks(&both, SET, DATA).await,
        asks(&both, SET, PAYMENTS).await,
    );
    let waits = other.asks(30).await;
    approver.act(&waits, "approve").await.expect(200);
    let paused_at = app.now();
    let why = json!({"comment": "a laptop is gone"});
    let told = work(&admin, "pause", &why).await.expect(200).json();
    assert_eq!(told["paused"]["by"], "admin@example.com");
    let again = work(&admin, "pause", &why).await.expect(409);
    assert_eq!(again.code(), "already_paused");

    for refused in [
        other.ask(SET, DATA, 30).await.expect(409),
        other.ask("staging-admin", STAGING, 30).await.expect(409),
        approver.act(&to_deny, "approve").await.expect(409),
    ] {
        assert_eq!(refused.code(), "paused");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        let since = paused_at.format("since %Y-%m-%d %H:%M:%S UTC, by admin@example.com");
        assert!(
            detail.contains(&since.to_string()) && detail.contains("ask your administrators"),
            "{detail}"
        );
    }
    let events = log(&app).await;
    for kind in ["request.refused", "decision.refused"] {
        let refused = of_type(&events, kind);
        assert!(
            refused
                .iter()
                .any(|event| event["data"]["code"] == "paused"),
            "{refused:?}"
        );
    }
    let creates = app.count_calls("CreateAccountAssignment");
    app.settle().await;
    assert_eq!(app.count_calls("CreateAccountAssignment"), creates);
    assert_eq!(other.grant_status(&waits).await, "scheduled");

    // Every way down works.
    approver.act(&to_deny, "deny").await.expect(200);
    both.act(&to_cancel, "cancel").await.expect(200);
    engineer.act(&active, "end").await.expect(200);
    app.settle().await;
    assert_eq!(
        end_of(&engineer, &active).await,
        words("ended", "requester")
    );
    // What waits fails when its time to start is over, as ever (T2).
    app.run_for(TimeDelta::minutes(16)).await;
    assert_eq!(
        end_of(&other, &waits).await,
        words("failed", "provisioning_failed")
    );
    assert_eq!(app.count_calls("CreateAccountAssignment"), creates);
    resume(&app).await;
    let again = work(&admin, "resume", &why).await.expect(409);
    assert_eq!(again.code(), "not_paused");
    asks(&other, SET, DATA).await;
    app.finish().await;
}

#[tokio::test]
async fn everybody_who_is_signed_in_sees_the_pause_and_why_is_for_administrators() {
    let app = TestApp::start().await;
    let (engineer, admin) = (app.sign_in("engineer").await, app.sign_in("admin").await);
    let banner = "New access is paused</strong>";
    let metric = async |expected: &str| {
        let text = engineer.get("/metrics").await.text();
        assert!(
            text.contains(&format!("curfew_paused {expected}\n")),
            "{text}"
        );
    };
    assert!(!engineer.get("/").await.expect(200).text().contains(banner));
    metric("0").await;
    let form = [("comment", "a laptop is gone")];
    admin
        .post_form("/operations/pause", &form)
        .await
        .expect(303);
    for path in [
        "/",
        "/requests/new",
        "/policy",
        "/requests",
        "/approvals",
        "/sessions",
        "/nowhere",
    ] {
        let page = engineer.get(path).await.text();
        assert!(
            page.contains(banner) && page.contains("by <bdi>admin@example.com</bdi>"),
            "{path}: {page}"
        );
        assert!(!page.contains("a laptop is gone"), "{path}: {page}");
    }
    let login = engineer.get("/login").await.text();
    assert!(!login.contains(banner), "{login}");
    let page = admin.get("/operations").await.expect(200).text();
    assert!(page.contains("a laptop is gone"), "{page}");
    metric("1").await;
    admin
        .post_form("/operations/resume", &[("comment", "found")])
        .await
        .expect(303);
    assert!(!engineer.get("/").await.text().contains(banner));
    metric("0").await;
    let log = log(&app).await;
    let resumed = of_type(&log, "access.resumed")[0];
    let paused = of_type(&log, "access.paused")[0];
    assert_eq!(resumed["data"]["paused_at"], paused["time"]);
    assert_eq!(paused["data"]["comment"], "a laptop is gone");
    assert_eq!(paused["actor"]["email"], "admin@example.com");
    app.finish().await;
}

#[tokio::test]
async fn a_grant_that_waited_starts_once_access_is_given_again() {
    let app = TestApp::start().await;
    let id = app.approved(30).await;
    pause(&app).await;
    app.settle().await;
    assert_eq!(app.status(&id).await, "scheduled");
    resume(&app).await;
    app.settle().await;
    assert_eq!(app.status(&id).await, "active");
    app.run_for(TimeDelta::minutes(31)).await;
    app.finish().await;
}

#[tokio::test]
async fn a_grant_that_would_join_waits_too() {
    let second = "\n[[rule]]\nname = \"on-call\"\npermission_set = \"production-admin\"\naccounts = [{ id = \"111111111111\" }]\n\
                  requesters = [\"engineers\"]\napprovals = 0\nmax_minutes = 120\n";
    let policy = format!("{}{second}", crate::support::app::POLICY);
    let app = TestApp::with_policy(&policy).await;
    let engineer = app.sign_in("engineer").await;
    app.approved(30).await;
    app.settle().await;
    let joins = asks(&engineer, "on-call", PAYMENTS).await;
    pause(&app).await;
    app.settle().await;
    assert_eq!(engineer.grant_status(&joins).await, "scheduled");
    resume(&app).await;
    app.settle().await;
    assert_eq!(engineer.grant_status(&joins).await, "active");
    app.run_for(TimeDelta::minutes(31)).await;
    app.finish().await;
}

#[tokio::test]
async fn a_pause_that_is_committed_before_an_intent_always_wins() {
    let app = TestApp::start().await;
    let admin = app.sign_in("admin").await;
    let why = json!({"comment": "a race"});
    let mut held_back = 0;
    for _ in 0..TIMES {
        app.approved(1).await;
        let asked = || {
            let calls = app.sandbox.calls();
            calls
                .iter()
                .filter(|call| call.operation == "DescribeUser")
                .count()
        };
        let before = asked();
        // The engine found that access may start, and asks the directory: now somebody pauses.
        let paused = async {
            while asked() == before {
                tokio::task::yield_now().await;
            }
            work(&admin, "pause", &why).await.expect(200);
        };
        let ((), _) = tokio::join!(paused, app.app.engine.tick());
        let log = log(&app).await;
        let number = |kind: &str| {
            let newest = of_type(&log, kind)
                .last()
                .map(|event| event["seq"].as_i64());
            newest.flatten().unwrap_or_default()
        };
        let (paused, approved, intended) = (
            number("access.paused"),
            number("request.approved"),
            number("assignment.create_intended"),
        );
        assert!(
            intended < paused,
            "paused at {paused}, and a create intended at {intended}"
        );
        if intended < approved {
            held_back += 1;
        }
        app.settle().await;
        resume(&app).await;
        app.run_for(TimeDelta::minutes(3)).await;
    }
    assert!(held_back > 0, "the race was never run");
    app.finish().await;
}

#[tokio::test]
async fn only_administrators_work_the_switches_and_only_with_a_reason() {
    let app = TestApp::start().await;
    let id = app.approved(30).await;
    app.settle().await;
    let why = json!({"comment": "let me in"});
    for who in ["engineer", "approver", "auditor"] {
        let person = app.sign_in(who).await;
        for switch in ["pause", "resume", "end-everything"] {
            let refused = work(&person, switch, &why).await.expect(403);
            assert_eq!(refused.code(), "not_an_administrator");
            let path = format!("/operations/{switch}");
            let form = [("comment", "let me in")];
            person.post_form(&path, &form).await.expect(403);
        }
        person.get("/operations/end-everything").await.expect(403);
    }
    let admin = app.sign_in("admin").await;
    for comment in ["", " \n ", "\u{200b}"] {
        let why = json!({"comment": comment});
        for switch in ["pause", "end-everything"] {
            let refused = work(&admin, switch, &why).await.expect(422);
            assert_eq!(refused.code(), "comment_missing", "{comment:?}");
        }
    }
    let events = log(&app).await;
    assert!(!of_type(&events, "access.switch_refused").is_empty());
    let refused = of_type(&events, "authorization.refused");
    assert_eq!(refused[0]["data"]["code"], "not_an_administrator");
    assert_eq!(refused[0]["data"]["what"], "POST /api/v1/operations/pause");
    for kind in [
        "access.paused",
        "access.resumed",
        "access.end_of_all_ordered",
    ] {
        assert_eq!(of_type(&events, kind).len(), 0, "{kind}");
    }
    assert_eq!(app.status(&id).await, "active");
    app.run_for(TimeDelta::minutes(31)).await;
    app.finish().await;
}

/// A grant in each state that is live: active, provisioning and scheduled; and a pending request.
async fn one_of_each(app: &TestApp) -> [(Person, String); 4] {
    let (engineer, other, both, approver) = (
        app.sign_in("engineer").await,
        app.sign_in("engineer2").await,
        app.sign_in("both").await,
        app.sign_in("approver").await,
    );
    let active = app.approved(30).await;
    app.settle().await;
    let provisioning = other.asks(30).await;
    approver.act(&provisioning, "approve").await.expect(200);
    app.tick().await;
    let scheduled = asks(&both, "staging-admin", STAGING).await;
    let pending = asks(&engineer, SET, DATA).await;
    assert_eq!(engineer.grant_status(&active).await, "active");
    assert_eq!(other.grant_status(&provisioning).await, "provisioning");
    assert_eq!(both.grant_status(&scheduled).await, "scheduled");
    [
        (engineer.clone(), active),
        (other, provisioning),
        (both, scheduled),
        (engineer, pending),
    ]
}

#[tokio::test]
async fn everything_that_is_live_ends_at_once_and_what_waits_for_a_decision_waits_on() {
    let app = TestApp::start().await;
    let admin = app.sign_in("admin").await;
    let [active, provisioning, scheduled, pending] = one_of_each(&app).await;
    let why = json!({"comment": "a laptop is gone"});
    let told = work(&admin, "end-everything", &why)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&told["ends_started"], &told["left"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(told["paused"]["comment"], "a laptop is gone");
    // Once more ends nothing twice.
    let told = work(&admin, "end-everything", &why)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&told["ends_started"], &told["left"]),
        (&json!(0), &json!(0))
    );
    app.run_for(TimeDelta::minutes(1)).await;
    app.tick().await;
    let end = async |(person, id): &(Person, String)| end_of(person, id).await;
    assert_eq!(end(&active).await, words("ended", "administrator"));
    assert_eq!(end(&provisioning).await, words("failed", "administrator"));
    assert_eq!(end(&scheduled).await, words("failed", "administrator"));
    assert_eq!(pending.0.see(&pending.1).await["status"], "pending");
    assert!(app.sandbox.assignments().is_empty());

    let log = log(&app).await;
    let orders = of_type(&log, "access.end_of_all_ordered");
    assert_eq!(orders.len(), 2);
    assert_eq!(orders[0]["data"]["grants"], 3);
    assert_eq!(orders[0]["actor"]["email"], "admin@example.com");
    assert_eq!(of_type(&log, "access.paused").len(), 1);
    let ended = of_type(&log, "grant.end_started");
    assert_eq!(ended.len(), 2);
    for event in ended {
        assert_eq!(event["data"]["reason"], "administrator");
        let detail = "admin@example.com ordered the end of everything: a laptop is gone";
        assert_eq!(event["data"]["detail"], detail);
    }
    let mut conn = app.app.broker.db.conn().await.unwrap();
    assert_eq!(end_orders::list_open(&mut conn).await.unwrap(), []);
    drop(conn);
    app.finish().await;
}

#[tokio::test]
async fn one_odd_row_keeps_nothing_else_alive_and_ends_as_soon_as_it_can() {
    let app = TestApp::start().await;
    let admin = app.sign_in("admin").await;
    let [active, provisioning, scheduled, _] = one_of_each(&app).await;
    app.settle().await;
    app.database
        .run(format!(
            "alter table grants drop constraint grants_status;
             update grants set ends_at = null where request_id = '{}'",
            active.1
        ))
        .await;
    let why = json!({"comment": "a laptop is gone", "pause": false});
    let told = work(&admin, "end-everything", &why)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&told["ends_started"], &told["left"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(told["paused"], Value::Null);
    for (person, id) in [provisioning, scheduled] {
        assert_ne!(person.grant_status(&id).await, "active");
    }
    let page = admin.get("/operations").await.text();
    assert!(
        page.contains("2 ends started, being carried out."),
        "{page}"
    );
    app.run_for(TimeDelta::minutes(2)).await;
    let repaired = format!(
        "update grants set ends_at = active_at + interval '30 minutes' where request_id = '{}'",
        active.1
    );
    app.database.run(repaired).await;
    // What is approved after the order is none of its business.
    let later = asks(&app.sign_in("both").await, "staging-admin", STAGING).await;
    app.settle().await;
    assert_eq!(
        end_of(&active.0, &active.1).await,
        words("ended", "administrator")
    );
    let auditor = app.sign_in("auditor").await;
    assert_eq!(auditor.grant_status(&later).await, "active");
    let page = admin.get("/operations").await.text();
    assert!(
        page.contains("3 ends started, none is left to start."),
        "{page}"
    );
    app.run_for(TimeDelta::minutes(31)).await;
    app.finish().await;
}

#[tokio::test]
async fn an_order_whose_process_died_is_carried_out_by_the_others() {
    let app = TestApp::start().await;
    let id = app.approved(30).await;
    app.settle().await;
    let order = EndOrder {
        id: EndOrderId::new(app.now()),
        ordered_at: app.now(),
        by: "admin@example.com".to_owned(),
        comment: "a laptop is gone".to_owned(),
        ends_started: 0,
        done_at: None,
    };
    let mut conn = app.app.broker.db.conn().await.unwrap();
    end_orders::insert(&mut conn, &order).await.unwrap();
    drop(conn);
    app.settle().await;
    let engineer = app.sign_in("engineer").await;
    assert_eq!(
        end_of(&engineer, &id).await,
        words("ended", "administrator")
    );
    app.finish().await;
}

#[tokio::test]
async fn the_end_of_everything_takes_a_second_page_and_a_reason_and_no_script() {
    let app = TestApp::start().await;
    let id = app.approved(30).await;
    app.settle().await;
    let (engineer, admin) = (app.sign_in("engineer").await, app.sign_in("admin").await);
    let path = "/operations/end-everything";
    let page = admin.get("/operations").await.text();
    assert!(page.contains(&format!("href=\"{path}\"")), "{page}");
    assert!(
        !page.contains(&format!("action=\"{path}\"")),
        "no slip ends it"
    );
    let asks = admin.get(path).await.expect(200).text();
    assert!(
        asks.contains("<strong>1 grant</strong> would start to end"),
        "{asks}"
    );
    assert!(
        asks.contains("name=\"pause\" value=\"on\" checked"),
        "{asks}"
    );
    let again = admin
        .post_form(path, &[("comment", "")])
        .await
        .expect(422)
        .text();
    assert!(
        again.contains("Say why") && !again.contains(" checked"),
        "{again}"
    );
    assert_eq!(engineer.grant_status(&id).await, "active");
    let form = [("comment", "a laptop is gone"), ("pause", "on")];
    let done = admin.post_form(path, &form).await.expect(303);
    assert_eq!(done.headers["location"], "/operations#switches");
    let page = admin.get("/operations").await.text();
    for part in ["1 end started", "a laptop is gone", "New access is paused"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    app.settle().await;
    assert_eq!(
        end_of(&engineer, &id).await,
        words("ended", "administrator")
    );
    app.finish().await;
}

#[tokio::test]
async fn the_switches_work_from_the_shell_with_the_database_alone() {
    let app = TestApp::start().await;
    let id = app.approved(30).await;
    app.settle().await;
    let operator = Operator::new("switches", Database::unmigrated().await).await;
    let run = async |words: &[&str]| {
        let mut command = operator.command(words);
        command
            .env("DATABASE_URL", &app.database.url)
            .env("SUDO_USER", "ada")
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.unwrap().unwrap();
        let said =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        (output.status.code().unwrap(), said.concat())
    };
    let (status, said) = run(&["end-everything", "--comment", "a laptop is gone"]).await;
    assert!(status == 2 && said.contains("--yes"), "{status} {said}");
    let (status, said) = run(&["pause"]).await;
    assert!(status == 2 && said.contains("--comment"), "{status} {said}");
    let (status, said) = run(&["pause", "--comment", " "]).await;
    assert!(status == 1 && said.contains("Say why"), "{status} {said}");
    assert_eq!(app.status(&id).await, "active");

    let (status, said) = run(&["pause", "--comment", "a laptop is gone"]).await;
    assert!(
        status == 0 && said.contains("New access is paused."),
        "{status} {said}"
    );
    let engineer = app.sign_in("engineer").await;
    let refused = engineer.ask(SET, DATA, 30).await.expect(409).json();
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("by ada as ") && detail.contains(" at the shell."),
        "{detail}"
    );
    let (status, said) = run(&["pause", "--comment", "again"]).await;
    assert!(
        status == 1 && said.contains("paused since"),
        "{status} {said}"
    );
    let words_of_end = ["end-everything", "--comment", "a laptop is gone", "--yes"];
    let (status, said) = run(&words_of_end).await;
    assert!(
        status == 0 && said.contains("Ends started: 1."),
        "{status} {said}"
    );
    app.settle().await;
    assert_eq!(
        end_of(&engineer, &id).await,
        words("ended", "administrator")
    );
    let (status, said) = run(&["resume", "--comment", "found"]).await;
    assert!(status == 0, "{status} {said}");
    asks(&engineer, SET, DATA).await;

    let log = log(&app).await;
    for kind in [
        "access.paused",
        "access.end_of_all_ordered",
        "access.resumed",
    ] {
        let actor = &of_type(&log, kind)[0]["actor"];
        assert_eq!(
            (&actor["kind"], &actor["channel"]),
            (&json!("person"), &json!("shell")),
            "{kind}"
        );
        let id = actor["id"].as_str().unwrap();
        assert!(id.starts_with("ada as ") && id.contains('@'), "{id}");
    }
    let auditor = app.sign_in("auditor").await;
    let page = auditor.get("/audit").await.text();
    assert!(
        page.contains("ada as ") && page.contains(" at the shell"),
        "{page}"
    );
    operator.finish().await;
    app.finish().await;
}
