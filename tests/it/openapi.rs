//! The document of the API says what the API does: every route, every answer, and nothing else. That every
//! answer of every other story is one that the document describes is checked where they are sent
//! (`support/contract.rs`).

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, header};
use curfew::http::routes::entries;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::contract::{fits, template};
use crate::support::people::{Answer, send};

async fn document(app: &TestApp) -> Value {
    let request = Request::get("/api/v1/openapi.json")
        .body(Body::empty())
        .unwrap();
    send(&app.router, request).await.expect(200).json()
}

/// Every operation: method, path, and what the document says of it.
fn operations(document: &Value) -> Vec<(Method, &String, &Value)> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            all.push((method, path, operation));
        }
    }
    all
}

fn an_address(path: &str) -> String {
    path.replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057")
}

async fn ask(app: &TestApp, method: &Method, path: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(an_address(path))
        .body(Body::empty())
        .unwrap();
    send(&app.router, request).await
}

#[tokio::test]
async fn the_document_holds_every_route_of_the_api_and_nothing_else() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let documented: BTreeSet<String> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let routed: BTreeSet<String> = entries()
        .into_iter()
        .filter(|entry| entry.path.starts_with("/api/"))
        .map(|entry| format!("{} {}", entry.method, entry.path))
        .collect();
    assert_eq!(documented, routed);
    for path in document["paths"].as_object().unwrap().keys() {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ] {
            let answer = ask(&app, &method, path).await;
            let is_there = ![404, 405].contains(&answer.status.as_u16());
            let about = format!("{method} {path}");
            assert_eq!(
                is_there,
                documented.contains(&about),
                "{about}: {}",
                answer.text()
            );
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn what_the_document_calls_secured_nobody_gets_who_is_signed_out() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let mut open = Vec::new();
    for (method, path, operation) in operations(&document) {
        let answer = ask(&app, &method, path).await;
        if operation["security"] == json!([]) {
            answer.expect(200);
            open.push(path.as_str());
        } else {
            let answer = answer.expect(401);
            assert_eq!(answer.code(), "signed_out");
            assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
        }
    }
    assert_eq!(open, ["/api/v1/openapi.json"]);
    app.finish().await;
}

#[tokio::test]
async fn the_document_is_whole_and_its_examples_are_taken() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let about = format!("{method} {path}");
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{about} has the id of another"
        );
        assert!(operation["summary"].is_string(), "{about} says nothing");
        assert!(operation["responses"]["500"].is_object(), "{about}");
        let schemes = document["components"]["securitySchemes"]
            .as_object()
            .unwrap();
        for wanted in operation["security"].as_array().unwrap() {
            assert!(
                wanted
                    .as_object()
                    .unwrap()
                    .keys()
                    .all(|name| schemes.contains_key(name))
            );
        }
    }
    let examples = document["components"]["schemas"].as_object().unwrap();
    let mut seen = 0;
    for (name, schema) in examples
        .iter()
        .filter(|(_, schema)| schema.get("example").is_some())
    {
        seen += 1;
        fits(&schema["example"], schema).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    assert!(seen >= 3, "only {seen} examples");
    let example = &document["components"]["schemas"]["NewRequest"]["example"];
    let engineer = app.sign_in("engineer").await;
    let made = engineer
        .post_json("/api/v1/requests", example)
        .await
        .expect(201);
    let location = made.headers[header::LOCATION].to_str().unwrap().to_owned();
    assert_eq!(template(&location).unwrap(), "/api/v1/requests/{id}");
    engineer.get(&location).await.expect(200);
    app.finish().await;
}

#[test]
fn a_wrong_answer_does_not_fit() {
    let problem = json!({"$ref": "#/components/schemas/ProblemDetails"});
    let good =
        json!({"type": "about:blank", "title": "t", "status": 400, "detail": "d", "code": "c"});
    fits(&good, &problem).unwrap();
    for (key, value) in [
        ("status", json!("400")),
        ("code", Value::Null),
        ("errors", json!([{"field": "x"}])),
        ("more", json!(1)),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(fits(&bad, &problem).is_err(), "{bad}");
    }
    assert!(fits(&json!({}), &problem).is_err());
}
