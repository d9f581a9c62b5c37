//! One's own sessions: seen, and ended from another of them.

use axum::body::Body;
use axum::http::{Request, header};
use chrono::TimeDelta;
use serde_json::Value;

use crate::support::TestApp;
use crate::support::people::{Person, send};

const FORM: &str = "application/x-www-form-urlencoded";

/// The ids of the sessions that somebody's page lists, this one first.
async fn listed(person: &Person) -> Vec<String> {
    let page = person.get("/sessions").await.expect(200).text();
    page.split("action=\"/sessions/")
        .skip(1)
        .filter_map(|rest| rest.split_once("/end\""))
        .map(|(id, _)| id.to_owned())
        .collect()
}

async fn sign_out(person: &Person, id: &str) -> u16 {
    let answer = person.post(&format!("/sessions/{id}/end"), FORM, "").await;
    answer.status.as_u16()
}

async fn events(app: &TestApp, kind: &str) -> Vec<Value> {
    let auditor = app.sign_in("auditor").await;
    let log = auditor.get("/api/v1/audit?limit=1000").await.expect(200);
    let events = log.json()["events"].as_array().unwrap().clone();
    events
        .into_iter()
        .filter(|event| event["type"] == kind)
        .collect()
}

#[tokio::test]
async fn ending_another_session_of_one_s_own_signs_it_out_at_once() {
    let app = TestApp::start().await;
    let phone = app.sign_in("engineer").await;
    app.advance(TimeDelta::seconds(5));
    let laptop = app.sign_in("engineer").await;
    let ids = listed(&laptop).await;
    assert_eq!(ids.len(), 2);
    assert_eq!(listed(&phone).await, [ids[1].clone(), ids[0].clone()]);
    assert_eq!(sign_out(&laptop, &ids[1]).await, 303);
    phone.get("/api/v1/requests").await.expect(401);
    assert_eq!(listed(&laptop).await, ids[..1]);
    // It is over: once more there is nothing to end.
    assert_eq!(sign_out(&laptop, &ids[1]).await, 404);

    let started = events(&app, "session.started").await;
    let ended = events(&app, "session.ended").await;
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0]["actor"]["email"], "engineer@example.com");
    assert_eq!(ended[0]["data"]["session"], started[0]["data"]["session"]);
    assert_eq!(ended[0]["data"]["from_session"], ids[0]);
    app.finish().await;
}

#[tokio::test]
async fn somebody_else_s_session_does_not_exist_and_stays() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let admin = app.sign_in("admin").await;
    let id = listed(&engineer).await[0].clone();
    assert_eq!(sign_out(&admin, &id).await, 404);
    for nothing in ["x", "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(sign_out(&admin, nothing).await, 404);
    }
    admin
        .post("/sessions/end-others", FORM, "")
        .await
        .expect(303);
    engineer.get("/api/v1/requests").await.expect(200);
    admin.get("/api/v1/requests").await.expect(200);
    assert!(events(&app, "session.ended").await.is_empty());
    app.finish().await;
}

#[tokio::test]
async fn all_others_are_ended_at_once_each_with_its_event_and_this_one_stays() {
    let app = TestApp::start().await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(app.sign_in("engineer").await);
    }
    let this = app.sign_in("engineer").await;
    this.post("/sessions/end-others", FORM, "")
        .await
        .expect(303);
    for other in others {
        other.get("/api/v1/requests").await.expect(401);
    }
    assert_eq!(listed(&this).await.len(), 1);
    assert_eq!(events(&app, "session.ended").await.len(), 3);
    app.finish().await;
}

#[tokio::test]
async fn ending_this_very_session_is_signing_out() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = listed(&engineer).await[0].clone();
    let answer = engineer
        .post(&format!("/sessions/{id}/end"), FORM, "")
        .await
        .expect(303);
    assert_eq!(answer.headers[header::LOCATION], "/login");
    assert!(
        answer.headers[header::SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0"),
        "the cookie goes too"
    );
    engineer.get("/api/v1/requests").await.expect(401);
    app.finish().await;
}

#[tokio::test]
async fn a_session_shows_where_it_began_however_its_browser_calls_itself() {
    let app = TestApp::start().await;
    let sign_in = async |user_agent: &[u8]| {
        let request = Request::post("/login/demo")
            .header(header::CONTENT_TYPE, FORM)
            .header(header::USER_AGENT, user_agent)
            .body(Body::from("email=engineer%40example.com&assurance=mfa"))
            .unwrap();
        send(&app.router, request).await.expect(303);
    };
    sign_in(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0").await;
    sign_in(b"<script>alert(1)</script>").await;
    sign_in(b"\xff\xfe\t\x80").await;
    sign_in(&[b'x'; 4000]).await;
    let page = app.sign_in("engineer").await.get("/sessions").await;
    let page = page.expect(200).text();
    assert!(page.contains("Firefox on Linux"), "{page}");
    assert!(page.contains("signed in with a second factor"));
    assert!(!page.contains("<script>alert") && !page.contains(&"x".repeat(41)));
    app.finish().await;
}

#[tokio::test]
async fn a_session_from_before_ids_were_kept_is_listed_and_can_be_ended() {
    let app = TestApp::start().await;
    let old = app.sign_in("engineer").await;
    let mut conn = app.app.broker.db.conn().await.unwrap();
    // As the version before wrote it, and as the migration left it.
    sqlx::raw_sql(
        "update sessions set began_at = null, ip = null, user_agent = null, id = gen_random_uuid(),
             data = data #- '{person,began}'",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    drop(conn);
    old.get("/api/v1/requests").await.expect(200);
    let new = app.sign_in("engineer").await;
    let page = new.get("/sessions").await.expect(200).text();
    assert!(page.contains("not known: before this was kept"), "{page}");
    let ids = listed(&new).await;
    assert_eq!(sign_out(&new, &ids[1]).await, 303);
    old.get("/api/v1/requests").await.expect(401);
    app.finish().await;
}
