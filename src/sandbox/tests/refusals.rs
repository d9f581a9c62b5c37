//! What is refused on the spot: by the wire, the model, the limits, the rules, and a test's script.

use super::*;

const CONFLICT: &str = "ConflictException: There is a conflicting operation in process.";

#[tokio::test]
async fn one_operation_at_a_time_per_account_and_permission_set() {
    let stage = Stage::new();
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    assert_eq!(
        stage.create(PAYMENTS_PROD, APPROVER2).await.unwrap_err(),
        CONFLICT
    );
    assert_eq!(
        stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap_err(),
        CONFLICT
    );
    stage.create(DATA_PROD, ENGINEER).await.unwrap();
    stage
        .sso(
            "CreateAccountAssignment",
            target(PAYMENTS_PROD, "read-only", ENGINEER),
        )
        .await
        .unwrap();
    stage.pass(5);
    stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap();
}

#[tokio::test]
async fn only_so_many_operations_may_be_outstanding() {
    let stage = Stage::with(World::demo(), |settings| settings.outstanding = 2);
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.delete(DATA_PROD, ENGINEER).await.unwrap();
    let refused = stage.create("222222222222", ENGINEER).await.unwrap_err();
    assert_eq!(
        refused,
        "ThrottlingException: There are too many requests processing. Please try again later."
    );
    stage.pass(5);
    stage.create("222222222222", ENGINEER).await.unwrap();
}

#[tokio::test]
async fn each_service_takes_twenty_calls_a_second() {
    let stage = Stage::with(World::demo(), |settings| settings.calls_per_second = 20);
    for _ in 0..20 {
        stage.sso("ListPermissionSets", json!({})).await.unwrap();
    }
    assert_eq!(
        stage
            .sso("ListPermissionSets", json!({}))
            .await
            .unwrap_err(),
        "ThrottlingException: Rate exceeded"
    );
    stage.identity("ListUsers", json!({})).await.unwrap();
    stage.organization("ListRoots", json!({})).await.unwrap();
    stage.pass(1);
    stage.sso("ListPermissionSets", json!({})).await.unwrap();
    assert_eq!(
        stage
            .sandbox
            .calls()
            .iter()
            .filter(|call| call.outcome == "ThrottlingException")
            .count(),
        1
    );
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_at_once() {
    let stage = Stage::new();
    let not_found = |result: Result<Value, String>| {
        assert!(result.unwrap_err().starts_with("ResourceNotFoundException"));
    };
    not_found(
        stage
            .sso(
                "CreateAccountAssignment",
                target("424242424242", "production-admin", ENGINEER),
            )
            .await,
    );
    let mut other_set = target(PAYMENTS_PROD, "production-admin", ENGINEER);
    other_set["PermissionSetArn"] =
        json!("arn:aws:sso:::permissionSet/ssoins-5a4db0c1d2e3f405/ps-ffffffffffffffff");
    not_found(stage.sso("DeleteAccountAssignment", other_set).await);
    let mut other_instance = target(PAYMENTS_PROD, "production-admin", ENGINEER);
    other_instance["InstanceArn"] = json!("arn:aws:sso:::instance/ssoins-ffffffffffffffff");
    not_found(
        stage
            .call("SWBExternalService.CreateAccountAssignment", other_instance)
            .await,
    );
    let id = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    // A create's id is not a delete's.
    not_found(
        stage
            .sso(
                "DescribeAccountAssignmentDeletionStatus",
                json!({"AccountAssignmentDeletionRequestId": id}),
            )
            .await,
    );
}

#[tokio::test]
async fn malformed_and_incomplete_input_is_refused_by_the_model() {
    let stage = Stage::new();
    for (field, value) in [
        ("TargetId", json!("abc")),
        ("TargetId", json!(null)),
        ("TargetType", json!("OU")),
        (
            "PermissionSetArn",
            json!("arn:aws:sso:::instance/ssoins-5a4db0c1d2e3f405/ps-3000000000000001"),
        ),
        ("PrincipalType", json!("ROLE")),
        ("PrincipalId", json!("engineer@example.com")),
        ("PrincipalId", json!(null)),
    ] {
        let mut input = target(PAYMENTS_PROD, "production-admin", ENGINEER);
        input[field] = value.clone();
        let refused = stage
            .sso("CreateAccountAssignment", input)
            .await
            .unwrap_err();
        assert!(
            refused.starts_with("ValidationException: 1 validation error detected: Value "),
            "{field} {value}: {refused}"
        );
    }
    let mut input = target(PAYMENTS_PROD, "production-admin", ENGINEER);
    input["TargetId"] = json!(111);
    assert!(
        stage
            .sso("CreateAccountAssignment", input)
            .await
            .unwrap_err()
            .starts_with("SerializationException")
    );
    assert!(stage.sandbox.operations().is_empty());
}

#[tokio::test]
async fn the_management_account_and_what_is_provisioned_there_are_out_of_reach() {
    let stage = Stage::new();
    assert!(
        stage
            .create("999999999999", ENGINEER)
            .await
            .unwrap_err()
            .starts_with("AccessDeniedException")
    );
    assert!(
        stage
            .delete("999999999999", ENGINEER)
            .await
            .unwrap_err()
            .starts_with("AccessDeniedException")
    );
    stage
        .sandbox
        .add_assignment(
            "management",
            "production-admin",
            PrincipalType::User,
            "admin",
        )
        .unwrap();
    assert!(
        stage
            .create(PAYMENTS_PROD, ENGINEER)
            .await
            .unwrap_err()
            .starts_with("AccessDeniedException")
    );
    stage
        .sso(
            "CreateAccountAssignment",
            target(PAYMENTS_PROD, "read-only", ENGINEER),
        )
        .await
        .unwrap();
    // For the management account itself there is no such rule.
    stage
        .sandbox
        .edit(|world| {
            world
                .caller_account_id
                .clone_from(&world.management_account_id);
            Ok(())
        })
        .unwrap();
    stage.create("999999999999", ENGINEER).await.unwrap();
}

#[tokio::test]
async fn scripted_faults_fire_once_and_in_order() {
    let stage = Stage::new();
    for fault in [Fault::Throttle, Fault::Conflict, Fault::Internal] {
        stage
            .sandbox
            .fail_next("CreateAccountAssignment", fault)
            .unwrap();
    }
    assert_eq!(
        stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap_err(),
        "ThrottlingException: Rate exceeded"
    );
    assert_eq!(
        stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap_err(),
        CONFLICT
    );
    assert!(
        stage
            .create(PAYMENTS_PROD, ENGINEER)
            .await
            .unwrap_err()
            .starts_with("InternalServerException")
    );
    assert!(stage.sandbox.operations().is_empty() && stage.sandbox.waiting_faults().is_empty());
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
}

#[test]
fn a_fault_that_could_never_fire_is_refused() {
    let stage = Stage::new();
    assert!(
        stage
            .sandbox
            .fail_next("CreateAssignment", Fault::Throttle)
            .is_err()
    );
    let failed = Fault::AsyncFailed {
        reason: String::new(),
        takes_effect: false,
    };
    assert!(stage.sandbox.fail_next("ListUsers", failed).is_err());
}

#[tokio::test]
async fn what_is_no_proper_call_is_refused() {
    let stage = Stage::new();
    let create = "SWBExternalService.CreateAccountAssignment";
    for body in ["", "{", "[]", "\"text\"", "null"] {
        let (status, answer) = stage.send(create, Body::from(body)).await;
        assert_eq!(
            (status, word(&answer["__type"]).as_str()),
            (400, "SerializationException"),
            "{body}"
        );
    }
    let (status, _) = stage
        .send(create, Body::from(vec![b' '; 1024 * 1024 + 1]))
        .await;
    assert_eq!(status, 413);
    for target in [
        "SWBExternalService.Nonsense",
        "Nonsense.ListUsers",
        "nonsense",
        "AWSIdentityStore.ListInstances",
    ] {
        let (status, answer) = stage.send(target, Body::from("{}")).await;
        assert_eq!(
            (status, word(&answer["__type"]).as_str()),
            (400, "UnknownOperationException"),
            "{target}"
        );
    }
    let unsigned = Request::post("/")
        .header("x-amz-target", create)
        .body(Body::from("{}"))
        .unwrap();
    let response = stage.sandbox.router().oneshot(unsigned).await.unwrap();
    assert_eq!(response.status(), 403);
    assert!(response.headers().contains_key("x-amzn-requestid"));
    assert_eq!(response.headers()["date"], "Tue, 24 Nov 2026 12:00:00 GMT");
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&bytes).unwrap()["__type"],
        "MissingAuthenticationTokenException"
    );
}
