//! The sandbox's own tests: `wire` drives it with the real SDK, the others call its router without
//! a network.
//!
//! All of them move a manual clock; none sleeps.

mod control;
mod faults;
mod keeping;
mod late;
mod lookups;
mod operations;
mod reading;
mod refusals;
mod roles;
mod scenario;
mod wire;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

/// `engineer` of the demo's world.
const ENGINEER: &str = "10000000-0000-4000-8000-000000000001";
/// `approver2`, whose id comes in two forms.
const APPROVER2: &str = "10000000-0000-4000-8000-000000000004";
const APPROVER2_STORED: &str = "9067a1b2c3-10000000-0000-4000-8000-000000000004";
const PAYMENTS_PROD: &str = "111111111111";
const DATA_PROD: &str = "333333333333";

/// A sandbox and the clock that moves it.
struct Stage {
    sandbox: Sandbox,
    clock: ManualClock,
}

impl Stage {
    /// The demo's world, with operations that take five seconds and no limit on calls.
    fn new() -> Self {
        Self::with(World::demo(), |_| {})
    }

    fn with(world: World, change: impl FnOnce(&mut Settings)) -> Self {
        Self::open(
            world,
            None,
            ManualClock::at("2026-11-24T12:00:00Z".parse().unwrap()),
            change,
        )
    }

    fn open(
        world: World,
        file: Option<PathBuf>,
        clock: ManualClock,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = Settings {
            operation_millis: 5000..=5000,
            calls_per_second: 0,
            ..Settings::default()
        };
        change(&mut settings);
        let sandbox = Sandbox::open(settings, Clock::Manual(clock.clone()), world, file).unwrap();
        Self { sandbox, clock }
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    async fn send(&self, target: &str, body: Body) -> (u16, Value) {
        let request = Request::post("/")
            .header("x-amz-target", target)
            .header("authorization", "AWS4-HMAC-SHA256 Credential=AKIASANDBOX")
            .header(
                "x-amz-date",
                self.clock.now().format("%Y%m%dT%H%M%SZ").to_string(),
            )
            .body(body)
            .unwrap();
        let response = self.sandbox.router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap_or_default();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Calls sso-admin; the answer, or the error's code.
    async fn sso(&self, operation: &str, mut input: Value) -> Result<Value, String> {
        input["InstanceArn"] = json!(World::demo().instance_arn);
        self.call(&format!("SWBExternalService.{operation}"), input)
            .await
    }

    async fn identity(&self, operation: &str, mut input: Value) -> Result<Value, String> {
        input["IdentityStoreId"] = json!(World::demo().identity_store_id);
        self.call(&format!("AWSIdentityStore.{operation}"), input)
            .await
    }

    async fn organization(&self, operation: &str, input: Value) -> Result<Value, String> {
        self.call(&format!("AWSOrganizationsV20161128.{operation}"), input)
            .await
    }

    async fn call(&self, target: &str, input: Value) -> Result<Value, String> {
        let (status, answer) = self.send(target, Body::from(input.to_string())).await;
        if status == 200 && answer.is_null() {
            Err("no answer".to_owned())
        } else if status == 200 {
            Ok(answer)
        } else {
            Err(format!(
                "{}: {}",
                word(&answer["__type"]),
                word(&answer["Message"])
            ))
        }
    }

    /// Starts a create of production-admin; its request id, or the error.
    async fn create(&self, account: &str, user: &str) -> Result<String, String> {
        let answer = self
            .sso(
                "CreateAccountAssignment",
                target(account, "production-admin", user),
            )
            .await?;
        Ok(word(
            &answer["AccountAssignmentCreationStatus"]["RequestId"],
        ))
    }

    async fn delete(&self, account: &str, user: &str) -> Result<String, String> {
        let answer = self
            .sso(
                "DeleteAccountAssignment",
                target(account, "production-admin", user),
            )
            .await?;
        Ok(word(
            &answer["AccountAssignmentDeletionStatus"]["RequestId"],
        ))
    }

    /// How a create stands: its status, and the reason if it failed.
    async fn creation(&self, request_id: &str) -> (String, String) {
        let input = json!({"AccountAssignmentCreationRequestId": request_id});
        let answer = self
            .sso("DescribeAccountAssignmentCreationStatus", input)
            .await
            .unwrap();
        let status = &answer["AccountAssignmentCreationStatus"];
        (word(&status["Status"]), word(&status["FailureReason"]))
    }

    async fn deletion(&self, request_id: &str) -> (String, String) {
        let input = json!({"AccountAssignmentDeletionRequestId": request_id});
        let answer = self
            .sso("DescribeAccountAssignmentDeletionStatus", input)
            .await
            .unwrap();
        let status = &answer["AccountAssignmentDeletionStatus"];
        (word(&status["Status"]), word(&status["FailureReason"]))
    }

    /// The principals that `ListAccountAssignments` shows for production-admin in an account.
    async fn listed(&self, account: &str) -> Vec<String> {
        let input = json!({"AccountId": account, "PermissionSetArn": set("production-admin")});
        let answer = self.sso("ListAccountAssignments", input).await.unwrap();
        answer["AccountAssignments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| word(&row["PrincipalId"]))
            .collect()
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn set(name: &str) -> String {
    World::demo()
        .permission_set_named(name)
        .unwrap()
        .arn
        .clone()
}

fn target(account: &str, permission_set: &str, user: &str) -> Value {
    json!({
        "TargetId": account,
        "TargetType": "AWS_ACCOUNT",
        "PermissionSetArn": set(permission_set),
        "PrincipalType": "USER",
        "PrincipalId": user,
    })
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
