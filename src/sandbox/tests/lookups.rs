//! People, groups, accounts and units, one by one.

use super::*;

#[tokio::test]
async fn people_are_found_by_user_name_address_and_external_id() {
    let stage = Stage::new();
    let find = async |alternate: Value| {
        let answer = stage
            .identity("GetUserId", json!({"AlternateIdentifier": alternate}))
            .await;
        answer.map(|answer| word(&answer["UserId"]))
    };
    let by = |path: &str, value: &str| json!({"UniqueAttribute": {"AttributePath": path, "AttributeValue": value}});
    assert_eq!(
        find(by("userName", "engineer@example.com")).await.unwrap(),
        ENGINEER
    );
    assert_eq!(
        find(by("emails.value", "approver2@example.com"))
            .await
            .unwrap(),
        APPROVER2_STORED
    );
    let shown = stage
        .identity("DescribeUser", json!({"UserId": APPROVER2}))
        .await
        .unwrap();
    assert_eq!(
        (word(&shown["UserId"]), word(&shown["UserStatus"])),
        (APPROVER2_STORED.to_owned(), "ENABLED".to_owned())
    );
    assert_eq!(
        find(json!({"ExternalId": shown["ExternalIds"][0]}))
            .await
            .unwrap(),
        APPROVER2_STORED
    );
    assert!(
        find(by("userName", "Engineer@example.com"))
            .await
            .unwrap_err()
            .starts_with("ResourceNotFoundException")
    );
    assert!(
        find(by("displayName", "x"))
            .await
            .unwrap_err()
            .starts_with("ValidationException")
    );
    assert!(find(json!({})).await.is_err());
    stage.sandbox.set_user_enabled("approver2", false).unwrap();
    let shown = stage
        .identity("DescribeUser", json!({"UserId": APPROVER2}))
        .await
        .unwrap();
    assert_eq!(
        (word(&shown["UserStatus"]), word(&shown["Revision"])),
        ("DISABLED".to_owned(), "2".to_owned())
    );
}

#[tokio::test]
async fn memberships_agree_whichever_way_they_are_asked_for() {
    let stage = Stage::new();
    let group = async |name: &str| {
        let input = json!({"AlternateIdentifier": {"UniqueAttribute": {"AttributePath": "displayName", "AttributeValue": name}}});
        word(&stage.identity("GetGroupId", input).await.unwrap()["GroupId"])
    };
    let (engineers, approvers) = (
        group("engineers").await,
        group("production-approvers").await,
    );
    let both = stage.sandbox.world().user_named("both").unwrap().id.clone();
    let is_member = async |user: &str| {
        let input = json!({"MemberId": {"UserId": user}, "GroupIds": [engineers, approvers, "20000000-0000-4000-8000-00000000ffff"]});
        let answer = stage.identity("IsMemberInGroups", input).await.unwrap();
        answer["Results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["MembershipExists"].as_bool().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(is_member(&both).await, [true, true, false]);
    assert_eq!(is_member(APPROVER2).await, [false, true, false]);
    let members = stage
        .identity("ListGroupMemberships", json!({"GroupId": approvers}))
        .await
        .unwrap();
    assert_eq!(members["GroupMemberships"].as_array().unwrap().len(), 3);
    let groups = stage
        .identity(
            "ListGroupMembershipsForMember",
            json!({"MemberId": {"UserId": both}}),
        )
        .await
        .unwrap();
    let groups = groups["GroupMemberships"].as_array().unwrap();
    let groups: Vec<String> = groups.iter().map(|row| word(&row["GroupId"])).collect();
    assert_eq!(groups, [engineers.clone(), approvers.clone()]);
    stage.sandbox.remove_member("engineers", "both").unwrap();
    stage.sandbox.add_member("engineers", "approver2").unwrap();
    assert_eq!(is_member(&both).await, [false, true, false]);
    assert_eq!(is_member(APPROVER2).await, [true, true, false]);
}

#[tokio::test]
async fn accounts_have_tags_states_and_paths() {
    let stage = Stage::new();
    let shown = async || {
        stage
            .organization("DescribeAccount", json!({"AccountId": PAYMENTS_PROD}))
            .await
            .unwrap()["Account"]
            .clone()
    };
    assert_eq!(
        shown().await["Paths"][0],
        "o-sandboxorg1/r-demo/ou-demo-workloads/ou-demo-production/111111111111/"
    );
    let tags = stage
        .organization("ListTagsForResource", json!({"ResourceId": PAYMENTS_PROD}))
        .await
        .unwrap();
    assert_eq!(tags["Tags"], json!([{"Key": "env", "Value": "prod"}]));
    stage
        .sandbox
        .set_account_state("payments-prod", AccountState::PendingClosure)
        .unwrap();
    stage
        .sandbox
        .move_account("payments-prod", "r-demo")
        .unwrap();
    let account = shown().await;
    assert_eq!(
        (word(&account["State"]), word(&account["Paths"][0])),
        (
            "PENDING_CLOSURE".to_owned(),
            "o-sandboxorg1/r-demo/111111111111/".to_owned()
        )
    );
    let parents = stage
        .organization("ListParents", json!({"ChildId": DATA_PROD}))
        .await
        .unwrap();
    assert_eq!(
        parents["Parents"],
        json!([{"Id": "ou-demo-production", "Type": "ORGANIZATIONAL_UNIT"}])
    );
    let units = stage
        .organization(
            "ListOrganizationalUnitsForParent",
            json!({"ParentId": "ou-demo-workloads"}),
        )
        .await
        .unwrap();
    assert_eq!(units["OrganizationalUnits"].as_array().unwrap().len(), 2);
    let unit = stage
        .organization(
            "DescribeOrganizationalUnit",
            json!({"OrganizationalUnitId": "ou-demo-staging01"}),
        )
        .await
        .unwrap();
    assert_eq!(unit["OrganizationalUnit"]["Name"], "staging");
    for (operation, input, code) in [
        (
            "DescribeAccount",
            json!({"AccountId": "424242424242"}),
            "AccountNotFoundException",
        ),
        (
            "DescribeAccount",
            json!({"AccountId": "x"}),
            "InvalidInputException",
        ),
        (
            "ListParents",
            json!({"ChildId": "424242424242"}),
            "ChildNotFoundException",
        ),
        (
            "ListTagsForResource",
            json!({"ResourceId": "424242424242"}),
            "TargetNotFoundException",
        ),
        (
            "ListOrganizationalUnitsForParent",
            json!({"ParentId": "r-else"}),
            "ParentNotFoundException",
        ),
    ] {
        assert!(
            stage
                .organization(operation, input)
                .await
                .unwrap_err()
                .starts_with(code),
            "{operation}"
        );
    }
}

#[tokio::test]
async fn the_demo_s_world_is_what_the_design_says() {
    let world = World::demo();
    let people: Vec<&str> = world
        .users
        .iter()
        .map(|user| user.user_name.trim_end_matches("@example.com"))
        .collect();
    assert_eq!(
        people,
        [
            "engineer",
            "engineer2",
            "approver",
            "approver2",
            "both",
            "auditor",
            "admin"
        ]
    );
    let sets: Vec<(&str, &str)> = world
        .permission_sets
        .iter()
        .map(|set| (set.name.as_str(), set.session_duration.as_str()))
        .collect();
    assert_eq!(
        sets,
        [
            ("production-admin", "PT1H"),
            ("read-only", "PT8H"),
            ("staging-admin", "PT4H")
        ]
    );
    let mut accounts: Vec<(&str, &str)> = world
        .accounts
        .iter()
        .map(|account| (account.id.as_str(), account.name.as_str()))
        .collect();
    accounts.sort_unstable();
    assert_eq!(
        accounts,
        [
            ("111111111111", "payments-prod"),
            ("222222222222", "payments-staging"),
            ("333333333333", "data-prod"),
            ("999999999998", "security-tooling"),
            ("999999999999", "management"),
        ]
    );
    assert!(world.assignments.is_empty());
}
