//! The main job: asked, approved, active, ended on time; and granted by policy.

use chrono::{DateTime, TimeDelta, Utc};

use crate::support::TestApp;

const ACCOUNT: &str = "111111111111";
const SET: &str = "production-admin";

fn time(value: &serde_json::Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn access_is_asked_for_approved_used_and_gone_on_time() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(30).await;
    app.settle().await;
    assert_eq!(engineer.see(&id).await["status"], "pending");
    assert!(
        !app.is_assigned(ACCOUNT, SET, "engineer"),
        "nothing happens before a yes (P1)"
    );

    approver.act(&id, "approve").await.expect(200);
    assert_eq!(engineer.grant_status(&id).await, "scheduled");
    app.tick().await;
    let provisioning = engineer.see(&id).await;
    assert_eq!(provisioning["grant"]["status"], "provisioning");
    assert!(
        provisioning["grant"]["starts_at"].is_null(),
        "starts_at is a fact"
    );

    app.settle().await;
    let active = engineer.see(&id).await;
    assert_eq!(active["grant"]["status"], "active");
    assert!(app.is_assigned(ACCOUNT, SET, "engineer"));
    let (starts, ends) = (
        time(&active["grant"]["starts_at"]),
        time(&active["grant"]["ends_at"]),
    );
    assert_eq!(
        ends - starts,
        TimeDelta::minutes(30),
        "counted from the confirmation (T3)"
    );
    assert_eq!(
        time(&active["grant"]["sessions_until"]) - ends,
        TimeDelta::hours(1)
    );

    app.run_for(ends - app.now() - TimeDelta::seconds(1)).await;
    assert!(
        app.is_assigned(ACCOUNT, SET, "engineer"),
        "it lasts to the end"
    );
    app.run_for(TimeDelta::seconds(20)).await;
    let ended = engineer.see(&id).await;
    assert_eq!(ended["grant"]["status"], "ended");
    assert_eq!(ended["grant"]["end_reason"], "due");
    assert!(!app.is_assigned(ACCOUNT, SET, "engineer"));
    assert_eq!(
        app.events_of(&id).await,
        [
            "request.created",
            "decision.recorded",
            "request.approved",
            "grant.scheduled",
            "grant.provisioning_started",
            "assignment.create_intended",
            "assignment.create_accepted",
            "assignment.create_succeeded",
            "assignment.create_confirmed",
            "grant.activated",
            "grant.end_started",
            "assignment.delete_intended",
            "assignment.delete_accepted",
            "assignment.delete_succeeded",
            "assignment.delete_confirmed",
            "grant.ended",
        ]
    );
    engineer.asks(5).await;
    app.finish().await;
}

#[tokio::test]
async fn one_grant_s_whole_life_costs_at_most_eight_calls() {
    let app = TestApp::start().await;
    app.sandbox
        .set_settings(|settings| settings.operation_millis = 5000..=5000);
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    // Reading the directory calls sso-admin too, at its own pace.
    let count = || {
        let calls = app.sandbox.calls();
        calls
            .iter()
            .filter(|call| call.operation.contains("AccountAssignment"))
            .count()
    };
    // The first few lives teach the engine how long operations take here.
    let mut calls = 0;
    for _ in 0..7 {
        let before = count();
        let id = engineer.asks(1).await;
        approver.act(&id, "approve").await.expect(200);
        app.run_for(TimeDelta::minutes(2)).await;
        assert_eq!(engineer.grant_status(&id).await, "ended");
        calls = count() - before;
    }
    assert!(calls <= 8, "{calls} calls");
    app.finish().await;
}

#[tokio::test]
async fn what_the_policy_grants_without_approval_is_said_so() {
    // C2: the record says that nobody agreed.
    let app = TestApp::start().await;
    let engineer = app.sign_in_with("engineer", "mfa").await;
    let made = engineer
        .ask("staging-admin", "222222222222", 60)
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&made["status"], &made["approvals_required"]),
        (&"approved".into(), &0.into())
    );
    let id = made["id"].as_str().unwrap();
    app.settle().await;
    assert_eq!(engineer.grant_status(id).await, "active");
    assert!(app.is_assigned("222222222222", "staging-admin", "engineer"));
    let auditor = app.sign_in("auditor").await;
    let log = auditor
        .get("/api/v1/audit?limit=1000")
        .await
        .expect(200)
        .json();
    let approved = log["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["type"] == "request.approved")
        .unwrap();
    assert_eq!(
        (&approved["data"]["by"], &approved["data"]["approvals"]),
        (&"policy".into(), &0.into())
    );
    app.run_for(TimeDelta::minutes(61)).await;
    assert_eq!(engineer.grant_status(id).await, "ended");
    app.finish().await;
}

#[tokio::test]
async fn a_grant_that_is_not_confirmed_in_time_fails_and_leaves_nothing() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    app.sandbox
        .set_settings(|settings| settings.operation_millis = 20 * 60_000..=20 * 60_000);
    let id = engineer.asks(30).await;
    approver.act(&id, "approve").await.expect(200);
    app.run_for(TimeDelta::minutes(14)).await;
    assert_eq!(engineer.grant_status(&id).await, "provisioning");
    // T2: fifteen minutes after the approval it is over, whatever comes later.
    app.run_for(TimeDelta::minutes(2)).await;
    assert_eq!(engineer.grant_status(&id).await, "ending");
    app.sandbox
        .set_settings(|settings| settings.operation_millis = 2000..=2000);
    app.run_for(TimeDelta::minutes(30)).await;
    let failed = engineer.see(&id).await;
    assert_eq!(
        (&failed["grant"]["status"], &failed["grant"]["end_reason"]),
        (&"failed".into(), &"provisioning_failed".into())
    );
    assert!(!app.is_assigned(ACCOUNT, SET, "engineer"));
    app.finish().await;
}

#[tokio::test]
async fn a_late_confirmation_never_moves_the_end_later() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    app.sandbox
        .set_settings(|settings| settings.operation_millis = 8 * 60_000..=8 * 60_000);
    let id = engineer.asks(10).await;
    approver.act(&id, "approve").await.expect(200);
    let intended = app.now();
    app.sandbox
        .set_settings(|settings| settings.operation_millis = 8 * 60_000..=8 * 60_000);
    app.run_for(TimeDelta::minutes(9)).await;
    let active = engineer.see(&id).await;
    assert_eq!(active["grant"]["status"], "active");
    assert!(
        time(&active["grant"]["ends_at"]) <= intended + TimeDelta::minutes(15),
        "T3: intent + minutes + 5"
    );
    app.sandbox
        .set_settings(|settings| settings.operation_millis = 2000..=2000);
    app.run_for(TimeDelta::minutes(10)).await;
    assert_eq!(engineer.grant_status(&id).await, "ended");
    app.finish().await;
}

#[tokio::test]
async fn an_assignment_that_was_there_before_is_never_touched() {
    let mut app = TestApp::start().await;
    app.sandbox
        .add_assignment(
            ACCOUNT,
            SET,
            curfew::sandbox::PrincipalType::User,
            "engineer",
        )
        .unwrap();
    let world = app.sandbox.world();
    app.by_hand.insert((
        ACCOUNT.to_owned(),
        world.permission_set_named(SET).unwrap().arn.clone(),
        world.user_named("engineer").unwrap().id.clone(),
    ));
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(30).await;
    approver.act(&id, "approve").await.expect(200);
    app.settle().await;
    let grant = engineer.see(&id).await["grant"].clone();
    assert_eq!(
        (&grant["status"], &grant["end_reason"]),
        (&"failed".into(), &"already_assigned".into())
    );
    assert!(grant["sessions_until"].is_null(), "nothing was sent for it");
    assert_eq!(
        (
            app.count_calls("CreateAccountAssignment"),
            app.count_calls("DeleteAccountAssignment")
        ),
        (0, 0)
    );
    assert!(app.is_assigned(ACCOUNT, SET, "engineer"));
    app.finish().await;
}
