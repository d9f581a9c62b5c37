//! The control API, and who may not use it.

use axum::http::Method;

use super::*;

impl Stage {
    async fn control(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.control_with(method, path, body, &[("host", "127.0.0.1:4580")])
            .await
    }

    async fn control_with(
        &self,
        method: Method,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = request.body(Body::from(body)).unwrap();
        let response = self.sandbox.router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let answer = serde_json::from_slice(&bytes);
        (
            status,
            answer.unwrap_or_else(|_| panic!("no JSON: {bytes:?}")),
        )
    }

    async fn see(&self, path: &str) -> Value {
        let (status, answer) = self.control(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn tell(&self, method: Method, path: &str, body: Value) {
        let (status, answer) = self.control(method, path, body).await;
        assert_eq!(status, 200, "{answer}");
    }
}

#[tokio::test]
async fn assignments_are_told_with_their_names_and_roles_and_made_by_hand() {
    let stage = Stage::new();
    let named = json!({"account": "payments-prod", "permission_set": "production-admin", "principal": "engineer"});
    stage
        .tell(Method::POST, "/_sandbox/assignments", named.clone())
        .await;
    let seen = stage.see("/_sandbox/assignments").await;
    let row = &seen["assignments"][0];
    assert_eq!(row["account_id"], PAYMENTS_PROD);
    assert_eq!(row["principal"], "engineer@example.com");
    let role = word(&row["role"]);
    assert!(
        role.starts_with("AWSReservedSSO_production-admin_"),
        "{role}"
    );
    stage
        .tell(Method::DELETE, "/_sandbox/assignments", named)
        .await;
    assert_eq!(
        stage.see("/_sandbox/assignments").await,
        json!({"assignments": []})
    );
}

#[tokio::test]
async fn calls_are_told_by_number_and_by_time() {
    let stage = Stage::new();
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    stage.listed(PAYMENTS_PROD).await;
    let all = stage.see("/_sandbox/calls").await;
    let all = all["calls"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["operation"], "CreateAccountAssignment");
    assert_eq!(all[0]["at"], "2026-11-24T12:00:00Z");
    for range in ["after=1", "since=2026-11-24T12:00:01Z"] {
        let later = stage.see(&format!("/_sandbox/calls?{range}")).await;
        assert_eq!(later["calls"], json!([all[1]]), "{range}");
    }
    let operations = stage.see("/_sandbox/operations").await;
    let row = &operations["operations"][0];
    assert_eq!(
        (&row["status"], &row["kind"]),
        (&json!("SUCCEEDED"), &json!("create"))
    );
}

#[tokio::test]
async fn faults_are_set_told_and_cleared() {
    let stage = Stage::new();
    let late = json!({"deliver_late": {"millis": {"start": 1000, "end": 1000}}});
    let scripted = json!({"operation": "CreateAccountAssignment", "fault": late});
    stage.tell(Method::POST, "/_sandbox/faults", scripted).await;
    let rates = json!([{"fault": "conflict", "per_mille": 1000, "operations": ["DeleteAccountAssignment"]}]);
    stage.tell(Method::POST, "/_sandbox/rates", rates).await;
    let window = json!({"fault": "unavailable", "seconds": 5, "operations": ["ListUsers"]});
    stage.tell(Method::POST, "/_sandbox/windows", window).await;
    assert!(stage.create(PAYMENTS_PROD, ENGINEER).await.is_err());
    assert!(stage.delete(PAYMENTS_PROD, ENGINEER).await.is_err());
    assert!(stage.identity("ListUsers", json!({})).await.is_err());
    let told = stage.see("/_sandbox/faults").await;
    let count = |name: &str| told[name].as_array().unwrap().len();
    assert_eq!(
        (
            count("waiting"),
            count("rates"),
            count("windows"),
            count("late")
        ),
        (0, 1, 1, 1)
    );
    stage
        .tell(Method::DELETE, "/_sandbox/faults", Value::Null)
        .await;
    stage.pass(60);
    assert_eq!(stage.sandbox.assignments().len(), 1, "it still arrived");
    stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap();
}

#[tokio::test]
async fn hands_and_settings_take_effect() {
    let stage = Stage::new();
    let edit = json!({"set_user_enabled": {"user": "engineer", "enabled": false}});
    stage.tell(Method::POST, "/_sandbox/hands", edit).await;
    assert!(
        !stage
            .sandbox
            .world()
            .user_named("engineer")
            .unwrap()
            .enabled
    );
    stage
        .tell(
            Method::PUT,
            "/_sandbox/settings",
            json!({"seed": 9, "outstanding": 3}),
        )
        .await;
    let settings = stage.see("/_sandbox/settings").await;
    assert_eq!(
        (&settings["seed"], &settings["outstanding"]),
        (&json!(9), &json!(3))
    );
    assert_eq!(
        settings["operation_millis"],
        json!({"start": 5000, "end": 5000}),
        "left as it was"
    );
}

#[tokio::test]
async fn what_can_t_be_done_is_refused_and_changes_nothing() {
    let stage = Stage::new();
    for (method, path, body, status, named) in [
        (
            Method::POST,
            "hands",
            json!({"delete_user": {"user": "nobody"}}),
            422,
            "nobody",
        ),
        (
            Method::POST,
            "hands",
            json!({"explode": {}}),
            400,
            "explode",
        ),
        (Method::POST, "hands", json!("x".repeat(70_000)), 413, ""),
        (
            Method::POST,
            "faults",
            json!({"operation": "Nonsense", "fault": "throttle"}),
            422,
            "Nonsense",
        ),
        (Method::POST, "faults", Value::Null, 400, ""),
        (Method::PUT, "settings", json!({"speed": 3}), 400, "speed"),
        (
            Method::PUT,
            "settings",
            json!({"page_items": 0}),
            422,
            "page_items",
        ),
        (
            Method::PUT,
            "settings",
            json!({"operation_millis": {"start": 3, "end": 1}}),
            422,
            "operation_millis",
        ),
        (Method::GET, "calls?since=yesterday", Value::Null, 400, ""),
        (Method::GET, "nothing", Value::Null, 404, ""),
        (Method::PUT, "faults", Value::Null, 405, ""),
    ] {
        let what = format!("{method} {path}");
        let (found, answer) = stage
            .control(method, &format!("/_sandbox/{path}"), body)
            .await;
        assert_eq!(found, status, "{what}: {answer}");
        assert!(word(&answer["error"]).contains(named), "{what}: {answer}");
    }
    assert_eq!(stage.sandbox.world(), World::demo());
}

#[tokio::test]
async fn no_web_page_drives_it_and_nobody_from_elsewhere() {
    let stage = Stage::new();
    for (headers, status) in [
        (&[("host", "localhost:4580")][..], 200),
        (&[("host", "[::1]:4580")], 200),
        (&[("host", "127.0.0.1")], 200),
        (&[], 403),
        (&[("host", "sandbox.example.com")], 403),
        (&[("host", "127.0.0.1.example.com:4580")], 403),
        (
            &[
                ("host", "127.0.0.1:4580"),
                ("origin", "http://127.0.0.1:4580"),
            ],
            403,
        ),
        (
            &[("host", "127.0.0.1:4580"), ("sec-fetch-site", "none")],
            403,
        ),
    ] {
        let (found, _) = stage
            .control_with(Method::GET, "/_sandbox/assignments", Value::Null, headers)
            .await;
        assert_eq!(found, status, "{headers:?}");
    }
}
