//! The role of a permission set in an account, and what hands do to people, accounts and sets.

use super::keeping::Folder;
use super::*;

fn role(stage: &Stage) -> Option<String> {
    stage
        .sandbox
        .role_name(PAYMENTS_PROD, &set("production-admin"))
}

#[tokio::test]
async fn the_first_assignment_makes_the_role_and_the_last_one_s_end_deletes_it() {
    let stage = Stage::new();
    assert_eq!(role(&stage), None);
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    assert_eq!(role(&stage), None, "not before it is in effect");
    stage.pass(5);
    let first = role(&stage).unwrap();
    let suffix = first
        .strip_prefix("AWSReservedSSO_production-admin_")
        .unwrap();
    assert!(suffix.len() == 16 && suffix.bytes().all(|byte| byte.is_ascii_hexdigit()));
    stage.create(PAYMENTS_PROD, APPROVER2).await.unwrap();
    stage.pass(5);
    stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    assert_eq!(role(&stage), Some(first.clone()), "one is left");
    stage.delete(PAYMENTS_PROD, APPROVER2).await.unwrap();
    stage.pass(5);
    assert_eq!(role(&stage), None);
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    assert_ne!(role(&stage).unwrap(), first, "a new role with a new suffix");
}

#[tokio::test]
async fn a_role_keeps_its_suffix_over_a_restart() {
    let folder = Folder::new("roles");
    let clock = ManualClock::at(at("2026-11-24T12:00:00Z"));
    let stage = folder.open(&clock);
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    stage.listed(PAYMENTS_PROD).await;
    let before = role(&stage);
    assert!(before.is_some());
    drop(stage);
    assert_eq!(role(&folder.open(&clock)), before);
}

#[tokio::test]
async fn a_renamed_person_is_still_the_same_person() {
    let stage = Stage::new();
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    let edit = |user_name: &str| Edit::RenameUser {
        user: "engineer".to_owned(),
        user_name: user_name.to_owned(),
    };
    assert!(stage.sandbox.apply(&edit("approver@example.com")).is_err());
    stage.sandbox.apply(&edit("erin@example.com")).unwrap();
    let found = stage
        .identity("DescribeUser", json!({"UserId": ENGINEER}))
        .await
        .unwrap();
    assert_eq!(found["UserName"], "erin@example.com");
    assert_eq!(found["Emails"][0]["Value"], "erin@example.com");
    stage.pass(5);
    assert_eq!(stage.listed(PAYMENTS_PROD).await, [ENGINEER]);
}

#[tokio::test]
async fn a_deleted_permission_set_takes_its_assignments_and_its_roles_along() {
    let stage = Stage::new();
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    let edit = Edit::DeletePermissionSet {
        permission_set: "production-admin".to_owned(),
    };
    stage.sandbox.apply(&edit).unwrap();
    assert!(stage.sandbox.assignments().is_empty() && role(&stage).is_none());
    let refused = stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap_err();
    assert!(
        refused.starts_with("ResourceNotFoundException"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_create_in_flight_fails_when_its_permission_set_is_deleted() {
    let stage = Stage::new();
    let id = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    let edit = Edit::DeletePermissionSet {
        permission_set: "production-admin".to_owned(),
    };
    stage.sandbox.apply(&edit).unwrap();
    stage.pass(5);
    assert_eq!(stage.creation(&id).await.0, "FAILED");
    assert!(stage.sandbox.assignments().is_empty());
}

#[tokio::test]
async fn an_account_that_is_closed_for_good_is_not_found_any_more() {
    let stage = Stage::new();
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    let remove = |account: &str| Edit::RemoveAccount {
        account: account.to_owned(),
    };
    assert!(stage.sandbox.apply(&remove("management")).is_err());
    stage.sandbox.apply(&remove("payments-prod")).unwrap();
    assert!(stage.sandbox.assignments().is_empty());
    let refused = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap_err();
    assert!(
        refused.starts_with("ResourceNotFoundException"),
        "{refused}"
    );
    let gone = stage
        .organization("DescribeAccount", json!({"AccountId": PAYMENTS_PROD}))
        .await;
    assert!(gone.unwrap_err().starts_with("AccountNotFoundException"));
}
