//! Through the real Rust SDK over a loopback socket: what it sends is understood, and what is
//! answered it decodes.
//!
//! The SDK signs with the computer's time, so here the manual clock starts there. Retries are off,
//! so that one call is one call.

use aws_sdk_identitystore::operation::describe_group::DescribeGroupError;
use aws_sdk_ssoadmin::config::retry::RetryConfig;
use aws_sdk_ssoadmin::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ssoadmin::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssoadmin::operation::create_account_assignment::builders::CreateAccountAssignmentFluentBuilder;
use aws_sdk_ssoadmin::types::{PrincipalType as SdkPrincipalType, StatusValues, TargetType};
use tokio_util::sync::DropGuard;

use super::*;

pub(super) struct Wire {
    pub(super) stage: Stage,
    sso: aws_sdk_ssoadmin::Client,
    config: aws_config::SdkConfig,
    _stop: DropGuard,
}

impl Wire {
    pub(super) async fn new() -> Self {
        let clock = ManualClock::at(Clock::System.now());
        let stage = Stage::open(World::demo(), None, clock, |_| {});
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "the test's end stops it")]
        tokio::spawn(stage.sandbox.clone().serve(listener, stop.clone()));
        let config = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .endpoint_url(endpoint)
            .retry_config(RetryConfig::disabled())
            .credentials_provider(aws_sdk_ssoadmin::config::SharedCredentialsProvider::new(
                Credentials::new("AKIASANDBOX", "none", None, None, "test"),
            ))
            .build();
        Self {
            stage,
            sso: aws_sdk_ssoadmin::Client::new(&config),
            config,
            _stop: stop.drop_guard(),
        }
    }

    pub(super) fn create(&self, account: &str) -> CreateAccountAssignmentFluentBuilder {
        self.sso
            .create_account_assignment()
            .instance_arn(World::demo().instance_arn)
            .target_id(account)
            .target_type(TargetType::AwsAccount)
            .permission_set_arn(set("production-admin"))
            .principal_type(SdkPrincipalType::User)
            .principal_id(ENGINEER)
    }

    pub(super) async fn refusal(&self, account: &str) -> (u16, String, String) {
        let error = self.create(account).send().await.unwrap_err();
        let status = error.raw_response().unwrap().status().as_u16();
        (
            status,
            error.code().unwrap().to_owned(),
            error.message().unwrap_or_default().to_owned(),
        )
    }
}

#[tokio::test]
async fn the_sdk_creates_lists_and_deletes() {
    let wire = Wire::new().await;
    let instance = wire.sso.list_instances().send().await.unwrap().instances()[0].clone();
    let arn = instance.instance_arn().unwrap();
    assert_eq!(instance.identity_store_id(), Some("d-9067a1b2c3"));
    let described = wire
        .sso
        .describe_instance()
        .instance_arn(arn)
        .send()
        .await
        .unwrap();
    assert_eq!(described.permission_sets_enabled(), Some(true));
    let sets = wire
        .sso
        .list_permission_sets()
        .instance_arn(arn)
        .max_results(2)
        .into_paginator()
        .items()
        .send();
    assert_eq!(
        sets.collect::<Result<Vec<String>, _>>()
            .await
            .unwrap()
            .len(),
        3
    );
    let described = wire
        .sso
        .describe_permission_set()
        .instance_arn(arn)
        .permission_set_arn(set("read-only"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        described.permission_set().unwrap().session_duration(),
        Some("PT8H")
    );

    let created = wire.create(PAYMENTS_PROD).send().await.unwrap();
    let status = created.account_assignment_creation_status().unwrap();
    assert_eq!(status.status(), Some(&StatusValues::InProgress));
    // The wire has epoch seconds as a float, so the last millisecond may be rounded away.
    let told = status.created_date().unwrap().as_nanos();
    let accepted = i128::from(wire.stage.clock.now().timestamp_nanos_opt().unwrap());
    assert!(
        (accepted - told).abs() < 2_000_000,
        "{told} is not {accepted}"
    );
    wire.stage.pass(5);
    let polled = wire
        .sso
        .describe_account_assignment_creation_status()
        .instance_arn(arn);
    let polled = polled
        .account_assignment_creation_request_id(status.request_id().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(
        polled
            .account_assignment_creation_status()
            .unwrap()
            .status(),
        Some(&StatusValues::Succeeded)
    );
    let listed = wire
        .sso
        .list_account_assignments()
        .instance_arn(arn)
        .account_id(PAYMENTS_PROD)
        .permission_set_arn(set("production-admin"));
    assert_eq!(
        listed.send().await.unwrap().account_assignments()[0].principal_id(),
        Some(ENGINEER)
    );

    let delete = wire
        .sso
        .delete_account_assignment()
        .instance_arn(arn)
        .target_id(PAYMENTS_PROD)
        .target_type(TargetType::AwsAccount);
    let delete = delete
        .permission_set_arn(set("production-admin"))
        .principal_type(SdkPrincipalType::User)
        .principal_id(ENGINEER);
    let deleted = delete.send().await.unwrap();
    wire.stage.pass(5);
    let polled = wire
        .sso
        .describe_account_assignment_deletion_status()
        .instance_arn(arn);
    let request_id = deleted
        .account_assignment_deletion_status()
        .unwrap()
        .request_id()
        .unwrap();
    let polled = polled
        .account_assignment_deletion_request_id(request_id)
        .send()
        .await
        .unwrap();
    assert_eq!(
        polled
            .account_assignment_deletion_status()
            .unwrap()
            .status(),
        Some(&StatusValues::Succeeded)
    );
    assert!(wire.stage.sandbox.assignments().is_empty());
    let calls = wire.stage.sandbox.calls();
    assert!(
        calls
            .iter()
            .all(|call| call.outcome == "ok" && call.service == "sso-admin")
    );
    assert!(
        calls
            .iter()
            .any(|call| call.operation == "CreateAccountAssignment"
                && call.ids.contains("TargetId=111111111111"))
    );
}

#[tokio::test]
async fn the_sdk_decodes_every_refusal() {
    let wire = Wire::new().await;
    let sandbox = &wire.stage.sandbox;
    assert_eq!(
        wire.refusal("424242424242").await.1,
        "ResourceNotFoundException"
    );
    assert_eq!(wire.refusal("abc").await.1, "ValidationException");
    assert_eq!(
        wire.refusal("999999999999").await.1,
        "AccessDeniedException"
    );
    sandbox
        .fail_next("CreateAccountAssignment", Fault::Throttle)
        .unwrap();
    assert_eq!(
        wire.refusal(PAYMENTS_PROD).await,
        (
            400,
            "ThrottlingException".to_owned(),
            "Rate exceeded".to_owned()
        )
    );
    sandbox
        .fail_next("CreateAccountAssignment", Fault::Internal)
        .unwrap();
    let (status, code, _) = wire.refusal(PAYMENTS_PROD).await;
    assert_eq!((status, code.as_str()), (500, "InternalServerException"));
    sandbox
        .fail_next("CreateAccountAssignment", Fault::Conflict)
        .unwrap();
    let error = wire
        .create(PAYMENTS_PROD)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_conflict_exception());
    let error = wire
        .sso
        .provision_permission_set()
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("UnknownOperationException"));
}

#[tokio::test]
async fn a_late_request_is_refused_and_the_sdk_sets_its_clock_by_the_answer() {
    let wire = Wire::new().await;
    wire.create(PAYMENTS_PROD).send().await.unwrap();
    wire.stage.clock.advance(TimeDelta::minutes(16));
    let (status, code, message) = wire.refusal(DATA_PROD).await;
    assert_eq!((status, code.as_str()), (400, "InvalidSignatureException"));
    assert!(
        message.starts_with("Signature expired: ")
            && message.contains(" is now earlier than ")
            && message.ends_with(" - 15 min.)"),
        "{message}"
    );
    assert_eq!(wire.stage.sandbox.operations().len(), 1);
    wire.create(DATA_PROD).send().await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_looks_like_a_broken_connection() {
    let wire = Wire::new().await;
    for (fault, operations) in [(Fault::LoseAnswerBefore, 0), (Fault::LoseAnswerAfter, 1)] {
        wire.stage
            .sandbox
            .fail_next("CreateAccountAssignment", fault)
            .unwrap();
        let error = wire.create(PAYMENTS_PROD).send().await.unwrap_err();
        assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
        assert_eq!(wire.stage.sandbox.operations().len(), operations);
    }
    let outcomes: Vec<&str> = wire
        .stage
        .sandbox
        .calls()
        .iter()
        .map(|call| call.outcome)
        .collect();
    assert_eq!(outcomes, ["lost before", "lost after"]);
}

#[tokio::test]
async fn the_other_services_answer_the_sdk_too() {
    let wire = Wire::new().await;
    let store = "d-9067a1b2c3";
    let identity = aws_sdk_identitystore::Client::new(&wire.config);
    let unique = aws_sdk_identitystore::types::UniqueAttribute::builder()
        .attribute_path("userName")
        .attribute_value("engineer@example.com".into())
        .build()
        .unwrap();
    let alternate = aws_sdk_identitystore::types::AlternateIdentifier::UniqueAttribute(unique);
    let found = identity
        .get_user_id()
        .identity_store_id(store)
        .alternate_identifier(alternate)
        .send()
        .await
        .unwrap();
    assert_eq!(found.user_id(), ENGINEER);
    let user = identity
        .describe_user()
        .identity_store_id(store)
        .user_id(ENGINEER)
        .send()
        .await
        .unwrap();
    assert_eq!(user.user_status().unwrap().as_str(), "ENABLED");
    assert_eq!(
        user.external_ids()[0].issuer(),
        "https://scim.aws.com/906712345678"
    );
    let users = identity
        .list_users()
        .identity_store_id(store)
        .max_results(3)
        .into_paginator()
        .items()
        .send();
    assert_eq!(users.collect::<Result<Vec<_>, _>>().await.unwrap().len(), 7);
    let error = identity
        .describe_group()
        .identity_store_id(store)
        .group_id(ENGINEER)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let DescribeGroupError::ResourceNotFoundException(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.resource_type().unwrap().as_str(), "GROUP");
    assert!(error.request_id().is_some());

    let organizations = aws_sdk_organizations::Client::new(&wire.config);
    let organization = organizations
        .describe_organization()
        .send()
        .await
        .unwrap()
        .organization()
        .unwrap()
        .clone();
    assert_eq!(organization.master_account_id(), Some("999999999999"));
    let account = organizations
        .describe_account()
        .account_id(DATA_PROD)
        .send()
        .await
        .unwrap()
        .account()
        .unwrap()
        .clone();
    assert_eq!(
        (account.state().unwrap().as_str(), account.paths().len()),
        ("ACTIVE", 1)
    );
    let error = organizations
        .describe_account()
        .account_id("424242424242")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_account_not_found_exception());

    let sts = aws_sdk_sts::Client::new(&wire.config);
    assert_eq!(
        sts.get_caller_identity().send().await.unwrap().account(),
        Some("999999999998")
    );
    wire.stage.clock.advance(TimeDelta::minutes(20));
    let error = sts.get_caller_identity().send().await.unwrap_err();
    assert_eq!(error.code(), Some("SignatureDoesNotMatch"));
}
