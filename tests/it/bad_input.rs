//! Bad input meets a clear refusal and costs nothing (promise P8).

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::ORIGIN;
use crate::support::people::{Answer, send};

fn ask() -> Value {
    json!({"rule": "production-admin", "account": "111111111111", "minutes": 30, "reason": "restart the payment workers"})
}

fn with(key: &str, value: impl Into<Value>) -> Value {
    let mut ask = ask();
    ask[key] = value.into();
    ask
}

fn codes(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    errors
        .iter()
        .map(|error| error["code"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn each_bad_field_is_refused_with_its_code_and_nothing_is_made() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    for (bad, expected) in [
        (with("minutes", 0), "minutes_out_of_range"),
        (with("minutes", -1), "minutes_out_of_range"),
        (with("minutes", 61), "minutes_out_of_range"),
        (with("minutes", 1e9), "minutes_out_of_range"),
        (with("minutes", 30.5), "minutes_out_of_range"),
        (with("minutes", "ten"), "minutes_invalid"),
        (with("minutes", ""), "minutes_invalid"),
        (with("minutes", Value::Null), "minutes_invalid"),
        (with("minutes", json!([1])), "minutes_invalid"),
        (with("reason", ""), "reason_too_short"),
        (with("reason", "short"), "reason_too_short"),
        (with("reason", "          x          "), "reason_too_short"),
        (with("reason", "x".repeat(100_000)), "reason_too_long"),
        (
            with("reason", "with a \0 in the middle"),
            "forbidden_character",
        ),
        (
            with("reason", "with a \u{202E} in the middle"),
            "forbidden_character",
        ),
        (with("ticket", "not a ticket"), "ticket_malformed"),
        (with("rule", "no-such-rule"), "unknown_rule"),
        (with("account", "000000000000"), "unknown_account"),
        (
            with("account", "'; drop table requests; --"),
            "unknown_account",
        ),
        (with("account", "\0"), "unknown_account"),
        (with("account", "111111111111\0"), "unknown_account"),
        (with("account", "222222222222"), "account_outside_rule"),
        (with("account", "999999999999"), "account_outside_rule"),
    ] {
        let answer = engineer
            .post_json("/api/v1/requests", &bad)
            .await
            .expect(422);
        assert_eq!(codes(&answer), [expected], "{bad}");
        assert_eq!(
            answer.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
    }
    let named = engineer
        .post_json("/api/v1/requests", &with("reason", "with a \u{202E} in it"))
        .await;
    assert!(
        named.text().contains("U+202E"),
        "the code point is named: {}",
        named.text()
    );
    let all = engineer
        .post_json(
            "/api/v1/requests",
            &json!({"rule": "production-admin", "account": "", "minutes": 0, "reason": ""}),
        )
        .await;
    assert_eq!(codes(&all.expect(422)).len(), 3, "everything at once");
    let listed = engineer.get("/api/v1/requests").await.expect(200).json();
    assert_eq!(listed["requests"], json!([]));
    engineer.asks(30).await;
    app.finish().await;
}

#[tokio::test]
async fn refused_text_never_reaches_the_log_and_many_refusals_are_only_counted() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    for _ in 0..50 {
        engineer
            .post_json("/api/v1/requests", &with("reason", "s3cr3t\u{202E}"))
            .await
            .expect(422);
    }
    let auditor = app.sign_in("auditor").await;
    let refusals = async || {
        let log = auditor.get("/api/v1/audit?limit=1000").await.expect(200);
        assert!(!log.text().contains("s3cr3t"));
        let events = log.json()["events"].as_array().unwrap().clone();
        events
            .into_iter()
            .filter(|event| event["type"] == "request.refused")
            .collect::<Vec<_>>()
    };
    assert_eq!(refusals().await.len(), 20, "A5: a bounded rate");
    app.advance(chrono::TimeDelta::minutes(2));
    engineer
        .post_json("/api/v1/requests", &with("minutes", 0))
        .await
        .expect(422);
    assert_eq!(
        refusals().await.last().unwrap()["data"]["only_counted_before"],
        30
    );
    app.finish().await;
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be_are_refused() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let path = "/api/v1/requests";
    for (kind, body, status) in [
        ("application/json", b"{".to_vec(), 400),
        ("application/json", b"[]".to_vec(), 422),
        (
            "application/json",
            br#" ["production-admin", "111111111111", 5, "restart the workers", null]"#.to_vec(),
            422,
        ),
        ("application/json", b"{}".to_vec(), 422),
        ("application/json", br#"{"rule": 1}"#.to_vec(), 422),
        (
            "application/json",
            with("approved", true).to_string().into_bytes(),
            422,
        ),
        (
            "application/json",
            b"{\"rule\": \"\xff\xfe\"}".to_vec(),
            400,
        ),
        ("application/json", vec![b' '; 5_000_000], 413),
        ("text/plain", ask().to_string().into_bytes(), 415),
        (
            "application/x-www-form-urlencoded",
            b"rule=production-admin".to_vec(),
            415,
        ),
        ("", ask().to_string().into_bytes(), 415),
    ] {
        let answer = engineer.post(path, kind, body).await.expect(status);
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
    }
    for (path, status) in [
        ("/api/v1/requests/not-a-uuid", 404),
        ("/api/v1/requests/00000000-0000-0000-0000-000000000000", 404),
        ("/api/v1/requests?limit=0", 400),
        ("/api/v1/requests?limit=ten", 400),
        ("/api/v1/requests?status=expired", 400),
        ("/api/v1/requests?cursor=x", 400),
        ("/api/v1/requests?page=2", 400),
        ("/api/v1/nothing", 404),
        ("/requests/not-a-uuid", 404),
        ("/nothing", 404),
    ] {
        engineer.get(path).await.expect(status);
    }
    engineer
        .get("/api/v1/requests?status=&mine=&limit=&cursor=")
        .await
        .expect(200);
    let id = engineer.asks(30).await;
    engineer
        .post(
            &format!("{path}/{id}/approve/twice"),
            "application/json",
            "{}",
        )
        .await
        .expect(404);
    engineer
        .post(&format!("{path}/{id}/explode"), "application/json", "{}")
        .await
        .expect(404);
    engineer
        .post(&format!("{path}/{id}/cancel"), "text/plain", "x")
        .await
        .expect(415);
    engineer
        .post_json(
            &format!("{path}/{id}/cancel"),
            &json!({"comment": "a\u{0}b"}),
        )
        .await
        .expect(422);
    engineer
        .post_json(
            &format!("{path}/{id}/cancel"),
            &json!({"comment": "x".repeat(501)}),
        )
        .await
        .expect(422);
    assert_eq!(engineer.see(&id).await["status"], "pending");
    let auditor = app.sign_in("auditor").await;
    for query in [
        "format=pdf",
        "format=jsonl&from=yesterday",
        "format=jsonl&to=2026-13-01T00:00:00Z",
        "formt=jsonl",
    ] {
        auditor
            .get(&format!("/audit/export?{query}"))
            .await
            .expect(400);
    }
    for query in ["after_seq=-1", "limit=0", "limit=1001", "after_seq=x"] {
        auditor
            .get(&format!("/api/v1/audit?{query}"))
            .await
            .expect(400);
    }
    app.finish().await;
}

#[tokio::test]
async fn a_form_that_is_not_utf8_is_refused() {
    let app = TestApp::start().await;
    let form = |body: &'static [u8]| {
        Request::post("/login/demo")
            .header(header::ORIGIN, ORIGIN)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap()
    };
    send(&app.router, form(b"email=\xff\xfe")).await.expect(400);
    send(&app.router, form(b"email=%FF%FE")).await.expect(422);
    send(&app.router, form(b"email=nobody%40example.com"))
        .await
        .expect(422);
    send(
        &app.router,
        form(b"email=engineer%40example.com&assurance=none"),
    )
    .await
    .expect(422);
    send(&app.router, form(b"email=engineer%40example.com%00"))
        .await
        .expect(422);
    send(&app.router, form(b"nothing=1")).await.expect(422);
    app.finish().await;
}
