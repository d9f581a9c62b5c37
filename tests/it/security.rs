//! Sign-in, sessions, the same-origin rule and headers.

use axum::body::Body;
use axum::http::{HeaderName, Request, header};
use sha2::Digest as _;
use sqlx::Row as _;

use crate::support::TestApp;
use crate::support::app::ORIGIN;
use crate::support::people::{Answer, send};

async fn post_with(app: &TestApp, cookie: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::post("/logout").header(header::COOKIE, cookie);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(&app.router, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn an_unsafe_request_with_a_session_comes_from_our_own_pages_or_is_refused() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    for headers in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("sec-fetch-site", "cross-site"), ("origin", ORIGIN)],
        &[("sec-fetch-site", "same-site"), ("origin", ORIGIN)],
        &[("sec-fetch-site", "none")],
    ] {
        post_with(&app, &engineer.cookie, headers).await.expect(403);
    }
    // The API is no exception.
    let request = Request::post("/api/v1/requests")
        .header(header::COOKIE, &engineer.cookie)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from("{}"))
        .unwrap();
    let refused = send(&app.router, request).await.expect(403);
    assert_eq!(refused.code(), "cross_site");
    engineer.get("/api/v1/requests").await.expect(200);
    post_with(&app, &engineer.cookie, &[("sec-fetch-site", "same-origin")])
        .await
        .expect(303);
    engineer.get("/api/v1/requests").await.expect(401);
    app.finish().await;
}

#[tokio::test]
async fn no_spelling_of_the_cookie_s_name_gets_past_the_rule() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let value = engineer.cookie.strip_prefix("sid=").unwrap().to_owned();
    for cookie in [
        format!("%73id={value}"),
        format!("s%69d={value}"),
        format!("sid ={value}"),
        format!("sid=x; %73id={value}"),
    ] {
        // Such a cookie is none: neither does it act nor does it read.
        let answer = post_with(&app, &cookie, &[]).await;
        assert!([303, 403].contains(&answer.status.as_u16()), "{cookie}");
        let get = Request::get("/api/v1/requests")
            .header(header::COOKIE, &cookie)
            .body(Body::empty())
            .unwrap();
        send(&app.router, get).await.expect(401);
    }
    let both = Request::get("/api/v1/requests")
        .header(header::COOKIE, format!("sid=planted; sid={value}"))
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        send(&app.router, both).await.expect(400).code(),
        "two_sessions"
    );
    engineer.get("/api/v1/requests").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn another_site_can_t_sign_somebody_in_as_somebody_else() {
    let app = TestApp::start().await;
    let sign_in = |site: &str| {
        Request::post("/login/demo")
            .header("sec-fetch-site", site)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from("email=approver%40example.com"))
            .unwrap()
    };
    for site in ["cross-site", "same-site"] {
        send(&app.router, sign_in(site)).await.expect(403);
    }
    send(&app.router, sign_in("same-origin")).await.expect(303);
    // A bearer token uses no cookie, so that it can't end a cookie's session either.
    let engineer = app.sign_in("engineer").await;
    post_with(&app, &engineer.cookie, &[("authorization", "Bearer x")])
        .await
        .expect(303);
    post_with(&app, &engineer.cookie, &[("authorization", "Basic x")])
        .await
        .expect(403);
    engineer.get("/api/v1/requests").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn nobody_gets_in_without_signing_in() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = engineer.asks(10).await;
    let get =
        async |path: &str| send(&app.router, Request::get(path).body(Body::empty()).unwrap()).await;
    for path in [
        "/api/v1/requests".to_owned(),
        format!("/api/v1/requests/{id}"),
        "/api/v1/audit".to_owned(),
    ] {
        assert_eq!(get(&path).await.expect(401).code(), "signed_out");
    }
    for path in ["/audit/export".to_owned(), format!("/requests/{id}")] {
        let answer = get(&path).await.expect(303);
        assert!(
            answer.headers[header::LOCATION]
                .to_str()
                .unwrap()
                .starts_with("/login?next=")
        );
    }
    // A bearer token ignores the cookie, and none is good yet.
    let request = Request::get("/api/v1/requests")
        .header(header::COOKIE, &engineer.cookie)
        .header(header::AUTHORIZATION, "Bearer x")
        .body(Body::empty())
        .unwrap();
    send(&app.router, request).await.expect(401);
    app.finish().await;
}

#[tokio::test]
async fn the_cookie_is_locked_down_and_only_its_hash_is_stored() {
    let app = TestApp::start().await;
    let form = Request::post("/login/demo")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("email=engineer%40example.com"))
        .unwrap();
    let answer = send(&app.router, form).await.expect(303);
    let cookie = answer.headers[header::SET_COOKIE]
        .to_str()
        .unwrap()
        .to_owned();
    for part in ["sid=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(
        !cookie.contains("Secure") && !cookie.contains("Domain"),
        "http on a loopback host: {cookie}"
    );
    let secret = cookie
        .strip_prefix("sid=")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert!(secret.len() >= 22, "at least 128 bits");
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let rows = sqlx::raw_sql("select encode(id_hash, 'hex'), encode(id_hash, 'base64'), data::text, person_id from sessions")
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    for column in 0..3 {
        assert!(!rows[0].get::<String, _>(column).contains(&secret));
    }
    let id: tower_sessions::session::Id = secret.parse().unwrap();
    let hash = hex::encode(sha2::Sha256::digest(id.0.to_be_bytes()));
    assert_eq!(rows[0].get::<String, _>(0), hash);
    assert_eq!(
        rows[0].get::<String, _>(3),
        "10000000-0000-4000-8000-000000000001"
    );
    drop(conn);
    app.finish().await;
}

#[tokio::test]
async fn signing_in_gives_a_new_session_and_signing_out_ends_it() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    // Somebody else signs in in the same browser: the old session is gone, not renamed.
    let form = Request::post("/login/demo")
        .header(header::COOKIE, &engineer.cookie)
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("email=approver%40example.com"))
        .unwrap();
    let answer = send(&app.router, form).await.expect(303);
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(!cookie.starts_with(&engineer.cookie), "a new id");
    engineer.get("/api/v1/requests").await.expect(401);

    let approver = app.sign_in("approver").await;
    approver
        .post("/logout", "application/x-www-form-urlencoded", "")
        .await
        .expect(303);
    approver.get("/api/v1/requests").await.expect(401);
    let auditor = app.sign_in("auditor").await;
    let log = auditor
        .get("/api/v1/audit?limit=1000")
        .await
        .expect(200)
        .json();
    let kinds: Vec<_> = log["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind == "session.started")
            .count(),
        4
    );
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind == "session.ended")
            .count(),
        1
    );
    app.finish().await;
}

#[tokio::test]
async fn a_failed_sign_in_is_an_event_without_the_name() {
    let app = TestApp::start().await;
    let form = Request::post("/login/demo")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("email=mallory%40example.com"))
        .unwrap();
    send(&app.router, form).await.expect(422);
    let auditor = app.sign_in("auditor").await;
    let log = auditor.get("/api/v1/audit?limit=1000").await.expect(200);
    assert!(log.text().contains("session.refused") && !log.text().contains("mallory"));
    app.finish().await;
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    for path in [
        "/login",
        "/api/v1/requests",
        "/nothing",
        "/readyz",
        "/static/app.css",
    ] {
        let answer = engineer.get(path).await;
        for (name, part) in [
            ("content-security-policy", "default-src 'none'"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("permissions-policy", "camera=()"),
        ] {
            let name = HeaderName::from_static(name);
            assert!(
                answer.headers[&name].to_str().unwrap().contains(part),
                "{path}: {name}"
            );
        }
        let csp = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(!csp.contains("unsafe"), "{csp}");
        if path != "/static/app.css" {
            assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{path}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn only_auditors_read_the_log() {
    let app = TestApp::start().await;
    for name in ["engineer", "approver", "both", "admin"] {
        let person = app.sign_in(name).await;
        person.get("/api/v1/audit").await.expect(403);
        person.get("/audit/export?format=jsonl").await.expect(403);
    }
    app.sign_in("auditor")
        .await
        .get("/audit/export?format=jsonl")
        .await
        .expect(200);
    app.finish().await;
}

#[tokio::test]
async fn with_the_database_away_answers_are_503_and_everything_comes_back_with_it() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(10).await;
    approver.act(&id, "approve").await.expect(200);
    app.settle().await;
    // G4: every connection is cut and no new one allowed.
    let owner = app.database.owner.clone();
    let mut admin = <sqlx::PgConnection as sqlx::Connection>::connect_with(
        &owner.database("postgres").username("postgres"),
    )
    .await
    .unwrap();
    let name = app.database.name().to_owned();
    let run = async |admin: &mut sqlx::PgConnection, sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(admin)
            .await
            .unwrap();
    };
    run(
        &mut admin,
        format!("alter database {name} allow_connections false"),
    )
    .await;
    run(
        &mut admin,
        format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"),
    )
    .await;
    let away = engineer
        .get(&format!("/api/v1/requests/{id}"))
        .await
        .expect(503);
    assert_eq!(away.code(), "database_away");
    engineer.act(&id, "end").await.expect(503);
    send(
        &app.router,
        Request::get("/readyz").body(Body::empty()).unwrap(),
    )
    .await
    .expect(503);
    send(
        &app.router,
        Request::get("/healthz").body(Body::empty()).unwrap(),
    )
    .await
    .expect(200);
    assert!(app.app.engine.tick().await.is_err());
    run(
        &mut admin,
        format!("alter database {name} allow_connections true"),
    )
    .await;
    app.advance(chrono::TimeDelta::minutes(11));
    app.settle().await;
    assert_eq!(engineer.grant_status(&id).await, "ended");
    app.finish().await;
}
