//! Each row of the truth table of creates and deletes that are accepted.

use super::*;

#[tokio::test]
async fn a_create_takes_effect_when_it_ends_and_not_before() {
    let stage = Stage::new();
    let id = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.clock.advance(TimeDelta::milliseconds(4999));
    assert_eq!(stage.creation(&id).await.0, "IN_PROGRESS");
    assert!(stage.sandbox.assignments().is_empty() && stage.listed(PAYMENTS_PROD).await.is_empty());
    stage.clock.advance(TimeDelta::milliseconds(1));
    assert_eq!(stage.listed(PAYMENTS_PROD).await, [ENGINEER]);
    assert_eq!(
        stage.creation(&id).await,
        ("SUCCEEDED".to_owned(), String::new())
    );
}

#[tokio::test]
async fn creating_what_is_there_succeeds_and_leaves_one_row() {
    let stage = Stage::new();
    let first = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    let second = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    assert_ne!(first, second);
    stage.pass(5);
    assert_eq!(stage.creation(&second).await.0, "SUCCEEDED");
    assert_eq!(stage.sandbox.assignments().len(), 1);
}

#[tokio::test]
async fn a_delete_takes_effect_when_it_ends() {
    let stage = Stage::new();
    stage
        .sandbox
        .add_assignment(
            "payments-prod",
            "production-admin",
            PrincipalType::User,
            "engineer",
        )
        .unwrap();
    let id = stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap();
    assert_eq!(stage.listed(PAYMENTS_PROD).await, [ENGINEER]);
    stage.pass(5);
    assert!(stage.sandbox.assignments().is_empty());
    assert_eq!(stage.deletion(&id).await.0, "SUCCEEDED");
}

#[tokio::test]
async fn deleting_what_is_not_there_is_accepted_and_fails_afterwards() {
    let stage = Stage::new();
    let id = stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap();
    assert_eq!(stage.deletion(&id).await.0, "IN_PROGRESS");
    stage.pass(5);
    let (status, reason) = stage.deletion(&id).await;
    assert_eq!(status, "FAILED");
    assert!(reason.starts_with("Received a 404 status error: EntitlementItem doesn't exist with the given entitlement key "), "{reason}");
}

#[tokio::test]
async fn an_unknown_principal_fails_afterwards() {
    let stage = Stage::new();
    let stranger = "10000000-0000-4000-8000-00000000ffff";
    let id = stage.create(PAYMENTS_PROD, stranger).await.unwrap();
    stage.pass(5);
    let expected = format!(
        "Received a 404 status error: the USER assignee {stranger} was not found in directory d-9067a1b2c3"
    );
    assert_eq!(stage.creation(&id).await, ("FAILED".to_owned(), expected));
    assert!(stage.sandbox.assignments().is_empty());
}

#[tokio::test]
async fn a_deleted_person_s_assignment_stays_listed_and_can_t_be_deleted() {
    let stage = Stage::new();
    stage
        .sandbox
        .add_assignment(
            "payments-prod",
            "production-admin",
            PrincipalType::User,
            "engineer",
        )
        .unwrap();
    stage.sandbox.delete_user("engineer").unwrap();
    let id = stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    let (status, reason) = stage.deletion(&id).await;
    assert_eq!(status, "FAILED");
    assert!(
        reason.contains(&format!(
            "the USER assignee {ENGINEER} was not found in directory d-9067a1b2c3"
        )),
        "{reason}"
    );
    assert_eq!(stage.listed(PAYMENTS_PROD).await, [ENGINEER]);
    stage
        .sandbox
        .remove_assignment(
            PAYMENTS_PROD,
            "production-admin",
            PrincipalType::User,
            ENGINEER,
        )
        .unwrap();
    assert!(stage.listed(PAYMENTS_PROD).await.is_empty());
}

#[tokio::test]
async fn a_disabled_person_can_still_be_assigned() {
    let stage = Stage::new();
    stage.sandbox.set_user_enabled("engineer", false).unwrap();
    let id = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    assert_eq!(stage.creation(&id).await.0, "SUCCEEDED");
}

#[tokio::test]
async fn a_suspended_account_refuses_a_create_and_fails_a_delete() {
    let stage = Stage::new();
    stage
        .sandbox
        .add_assignment(
            "payments-prod",
            "production-admin",
            PrincipalType::User,
            "engineer",
        )
        .unwrap();
    stage
        .sandbox
        .set_account_state("payments-prod", AccountState::Suspended)
        .unwrap();
    assert!(
        stage
            .create(PAYMENTS_PROD, ENGINEER)
            .await
            .unwrap_err()
            .starts_with("ConflictException")
    );
    let id = stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    let (status, reason) = stage.deletion(&id).await;
    assert!(
        status == "FAILED"
            && reason.starts_with("Obtaining permissions to manage your AWS account"),
        "{status} {reason}"
    );
    assert_eq!(stage.sandbox.assignments().len(), 1);
}

#[tokio::test]
async fn both_forms_of_a_person_s_id_are_one_person() {
    let stage = Stage::new();
    stage.create(PAYMENTS_PROD, APPROVER2).await.unwrap();
    stage.pass(5);
    assert_eq!(stage.listed(PAYMENTS_PROD).await, [APPROVER2_STORED]);
    stage.create(PAYMENTS_PROD, APPROVER2_STORED).await.unwrap();
    stage.pass(5);
    assert_eq!(stage.sandbox.assignments().len(), 1);
    stage.delete(PAYMENTS_PROD, APPROVER2).await.unwrap();
    stage.pass(5);
    assert!(stage.sandbox.assignments().is_empty());
}

#[tokio::test]
async fn effects_come_in_the_order_of_their_ends_though_nobody_asked_in_between() {
    let stage = Stage::new();
    let created = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(3);
    let other = stage.create(DATA_PROD, ENGINEER).await.unwrap();
    stage.pass(4);
    // The hand acts after the first create has ended and before the second one does.
    stage.sandbox.delete_user("engineer").unwrap();
    stage.pass(60);
    assert_eq!(stage.creation(&created).await.0, "SUCCEEDED");
    assert_eq!(stage.creation(&other).await.0, "FAILED");
}

#[tokio::test]
async fn durations_are_drawn_from_the_seed() {
    let ends = async |seed| {
        let stage = Stage::with(World::demo(), |settings| {
            (settings.operation_millis, settings.seed) = (2000..=8000, seed);
        });
        for account in [PAYMENTS_PROD, DATA_PROD, "222222222222"] {
            stage.create(account, ENGINEER).await.unwrap();
        }
        let millis =
            |operation: &Operation| (operation.ends_at - operation.created_at).num_milliseconds();
        stage
            .sandbox
            .operations()
            .iter()
            .map(millis)
            .collect::<Vec<_>>()
    };
    let first = ends(1).await;
    assert!(first.iter().all(|millis| (2000..=8000).contains(millis)));
    assert_eq!(first, ends(1).await);
    assert_ne!(first, ends(2).await);
}

#[tokio::test]
async fn operations_are_listed_newest_first_and_by_status() {
    let stage = Stage::new();
    let failed = stage
        .create(PAYMENTS_PROD, "10000000-0000-4000-8000-00000000ffff")
        .await
        .unwrap();
    stage.pass(5);
    let done = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    let open = stage.create(DATA_PROD, ENGINEER).await.unwrap();
    let ids = async |input| {
        let answer = stage
            .sso("ListAccountAssignmentCreationStatus", input)
            .await
            .unwrap();
        answer["AccountAssignmentsCreationStatus"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| word(&row["RequestId"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(json!({})).await,
        [open.clone(), done.clone(), failed.clone()]
    );
    assert_eq!(
        ids(json!({"Filter": {"Status": "IN_PROGRESS"}})).await,
        [open]
    );
    assert_eq!(
        ids(json!({"Filter": {"Status": "SUCCEEDED"}})).await,
        [done]
    );
    assert_eq!(ids(json!({"Filter": {"Status": "FAILED"}})).await, [failed]);
    let deletions = stage
        .sso("ListAccountAssignmentDeletionStatus", json!({}))
        .await
        .unwrap();
    assert_eq!(deletions["AccountAssignmentsDeletionStatus"], json!([]));
}

#[tokio::test]
async fn a_scripted_failure_may_or_may_not_have_its_effect() {
    for takes_effect in [true, false] {
        let stage = Stage::new();
        let reason = "An unexpected internal service exception was encountered".to_owned();
        stage
            .sandbox
            .fail_next(
                "CreateAccountAssignment",
                Fault::AsyncFailed {
                    reason: reason.clone(),
                    takes_effect,
                },
            )
            .unwrap();
        let id = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
        stage.pass(5);
        assert_eq!(stage.creation(&id).await, ("FAILED".to_owned(), reason));
        assert_eq!(stage.sandbox.assignments().len(), usize::from(takes_effect));
    }
}

#[tokio::test]
async fn a_scripted_failure_waits_for_an_operation_that_is_accepted() {
    let stage = Stage::new();
    let failure = Fault::AsyncFailed {
        reason: "no".to_owned(),
        takes_effect: false,
    };
    stage
        .sandbox
        .fail_next("CreateAccountAssignment", failure)
        .unwrap();
    stage.create("424242424242", ENGINEER).await.unwrap_err();
    let id = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    assert_eq!(
        stage.creation(&id).await,
        ("FAILED".to_owned(), "no".to_owned())
    );
}

#[tokio::test]
async fn a_fresh_world_never_repeats_an_older_one_s_request_ids() {
    let first = Stage::new();
    let second = Stage::open(
        World::demo(),
        None,
        ManualClock::at(at("2026-11-25T12:00:00Z")),
        |_| {},
    );
    let first = first.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    let second = second.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    assert_ne!(first, second);
}
