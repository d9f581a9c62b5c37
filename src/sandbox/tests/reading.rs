//! Listings: their pages, what they hold, and one that lags.

use super::*;

/// Every item of a listing and the number of its pages.
async fn all_pages(stage: &Stage, target: &str, input: Value, member: &str) -> (Vec<Value>, usize) {
    let (mut items, mut pages, mut token) = (vec![], 0, Value::Null);
    loop {
        let mut input = input.clone();
        input["NextToken"] = token;
        let answer = stage.call(target, input).await.unwrap();
        items.extend(answer[member].as_array().unwrap().iter().cloned());
        pages += 1;
        token = answer["NextToken"].clone();
        if token.is_null() {
            return (items, pages);
        }
    }
}

#[tokio::test]
async fn every_item_is_on_exactly_one_page() {
    let stage = Stage::new();
    let input = json!({"IdentityStoreId": World::demo().identity_store_id, "MaxResults": 3});
    let (users, pages) = all_pages(&stage, "AWSIdentityStore.ListUsers", input, "Users").await;
    assert_eq!((users.len(), pages), (7, 3));
    stage
        .sandbox
        .set_settings(|settings| settings.page_items = 2);
    let (accounts, pages) = all_pages(
        &stage,
        "AWSOrganizationsV20161128.ListAccounts",
        json!({}),
        "Accounts",
    )
    .await;
    assert_eq!((accounts.len(), pages), (5, 3));
}

#[tokio::test]
async fn a_listing_survives_changes_between_its_pages() {
    let stage = Stage::new();
    for user in ["engineer", "approver", "both"] {
        stage
            .sandbox
            .add_assignment(
                "payments-prod",
                "production-admin",
                PrincipalType::User,
                user,
            )
            .unwrap();
    }
    let input = json!({"AccountId": PAYMENTS_PROD, "PermissionSetArn": set("production-admin"), "MaxResults": 1});
    let first = stage
        .sso("ListAccountAssignments", input.clone())
        .await
        .unwrap();
    stage
        .sandbox
        .remove_assignment(
            "payments-prod",
            "production-admin",
            PrincipalType::User,
            "engineer",
        )
        .unwrap();
    let mut next = input;
    next["NextToken"] = first["NextToken"].clone();
    let second = stage.sso("ListAccountAssignments", next).await.unwrap();
    assert_eq!(
        second["AccountAssignments"][0]["PrincipalId"],
        "10000000-0000-4000-8000-000000000003"
    );
}

#[tokio::test]
async fn a_token_is_good_for_its_own_listing_alone() {
    let stage = Stage::new();
    let token = stage
        .sso("ListPermissionSets", json!({"MaxResults": 1}))
        .await
        .unwrap()["NextToken"]
        .clone();
    stage
        .sso("ListPermissionSets", json!({"NextToken": token}))
        .await
        .unwrap();
    let other = stage
        .sso(
            "ListPermissionSetsProvisionedToAccount",
            json!({"AccountId": PAYMENTS_PROD, "NextToken": token}),
        )
        .await;
    assert!(other.unwrap_err().starts_with("ValidationException"));
    for token in ["x", "", "é", "0000000000000000ff"] {
        let refused = stage
            .sso("ListPermissionSets", json!({"NextToken": token}))
            .await
            .unwrap_err();
        assert!(
            refused.starts_with("ValidationException"),
            "{token}: {refused}"
        );
    }
    let refused = stage
        .organization("ListAccounts", json!({"NextToken": "x"}))
        .await
        .unwrap_err();
    assert!(refused.starts_with("InvalidInputException"), "{refused}");
    for count in [0, 101] {
        assert!(
            stage
                .sso("ListPermissionSets", json!({"MaxResults": count}))
                .await
                .unwrap_err()
                .starts_with("ValidationException")
        );
    }
}

#[tokio::test]
async fn a_listing_may_lag_behind() {
    let stage = Stage::with(World::demo(), |settings| {
        settings.list_lag_millis = 10_000..=10_000;
    });
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    assert_eq!(stage.sandbox.assignments().len(), 1);
    assert!(stage.listed(PAYMENTS_PROD).await.is_empty());
    stage.pass(10);
    assert_eq!(stage.listed(PAYMENTS_PROD).await, [ENGINEER]);
    stage
        .sandbox
        .remove_assignment(
            "payments-prod",
            "production-admin",
            PrincipalType::User,
            "engineer",
        )
        .unwrap();
    stage.pass(9);
    assert_eq!(stage.listed(PAYMENTS_PROD).await, [ENGINEER]);
    stage.pass(1);
    assert!(stage.listed(PAYMENTS_PROD).await.is_empty());
}

#[tokio::test]
async fn a_person_s_rows_include_those_of_their_groups() {
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
        .add_assignment("data-prod", "read-only", PrincipalType::Group, "engineers")
        .unwrap();
    stage
        .sandbox
        .add_assignment("data-prod", "read-only", PrincipalType::Group, "auditors")
        .unwrap();
    let rows = async |extra: Value| {
        let mut input = json!({"PrincipalId": ENGINEER, "PrincipalType": "USER"});
        input
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let answer = stage
            .sso("ListAccountAssignmentsForPrincipal", input)
            .await
            .unwrap();
        answer["AccountAssignments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| word(&row["PrincipalType"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(json!({})).await, ["USER", "GROUP"]);
    assert_eq!(
        rows(json!({"Filter": {"AccountId": DATA_PROD}})).await,
        ["GROUP"]
    );
}

#[tokio::test]
async fn a_permission_set_is_provisioned_while_it_is_assigned() {
    let stage = Stage::new();
    let accounts = async || {
        let answer = stage
            .sso(
                "ListAccountsForProvisionedPermissionSet",
                json!({"PermissionSetArn": set("production-admin")}),
            )
            .await
            .unwrap();
        answer["AccountIds"].clone()
    };
    assert_eq!(accounts().await, json!([]));
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    assert_eq!(accounts().await, json!([PAYMENTS_PROD]));
    let sets = stage
        .sso(
            "ListPermissionSetsProvisionedToAccount",
            json!({"AccountId": PAYMENTS_PROD}),
        )
        .await
        .unwrap();
    assert_eq!(sets["PermissionSets"], json!([set("production-admin")]));
    stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    assert_eq!(accounts().await, json!([]));
}

#[tokio::test]
async fn a_lagging_listing_keeps_effects_in_the_order_of_their_ends() {
    let stage = Stage::with(World::demo(), |settings| {
        settings.list_lag_millis = 3_000..=3_000;
    });
    stage
        .sandbox
        .set_settings(|settings| settings.operation_millis = 8000..=8000);
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage
        .sandbox
        .set_settings(|settings| settings.operation_millis = 5000..=5000);
    stage.create(DATA_PROD, ENGINEER).await.unwrap();
    // Nobody asks until both have ended; six seconds in, only the second one had.
    stage.pass(9);
    assert!(stage.listed(PAYMENTS_PROD).await.is_empty());
    assert_eq!(stage.listed(DATA_PROD).await, [ENGINEER]);
}
