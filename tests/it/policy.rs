//! The policy in force: what is taken, what is refused, and what an edit does to what is under way.

use chrono::TimeDelta;
use curfew::broker::policy::Offered;

use crate::support::TestApp;
use crate::support::app::POLICY;

async fn offer(app: &TestApp, source: &str) -> Offered {
    app.app.broker.offer_policy(source).await.unwrap()
}

#[tokio::test]
async fn a_policy_that_is_not_good_leaves_the_one_before_in_force() {
    // C4: no error in a policy stops anything.
    let app = TestApp::start().await;
    for (bad, expected) in [
        (
            POLICY.replacen("max_minutes = 60", "max_minuts = 60", 1),
            "max_minuts",
        ),
        (
            POLICY.replacen("[\"production-approvers\"]", "[\"no-such-group\"]", 1),
            "no-such-group",
        ),
        (
            POLICY.replacen("[\"production-approvers\"]", "[\"engineers\"]", 1),
            "in requesters and in approvers",
        ),
        (
            POLICY.replacen(
                "permission_set = \"staging-admin\"",
                "permission_set = \"nope\"",
                1,
            ),
            "no permission set",
        ),
        ("not toml at all [".to_owned(), "1"),
    ] {
        let Offered::Refused(findings) = offer(&app, &bad).await else {
            panic!("taken: {bad}")
        };
        assert!(findings.join("\n").contains(expected), "{findings:?}");
    }
    assert_eq!(offer(&app, POLICY).await, Offered::InForce);
    app.sign_in("engineer").await.asks(10).await;
    app.finish().await;
}

#[tokio::test]
async fn a_rule_that_goes_lapses_what_waits_under_it() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = engineer.asks(10).await;
    let renamed = POLICY.replacen("name = \"production-admin\"", "name = \"other\"", 1);
    assert_eq!(offer(&app, &renamed).await, Offered::Activated);
    app.tick().await;
    assert_eq!(engineer.see(&id).await["status"], "lapsed");
    app.finish().await;
}

#[tokio::test]
async fn a_pending_request_needs_the_more_of_then_and_now() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(30).await;
    assert_eq!(
        offer(&app, &POLICY.replacen("approvals = 1", "approvals = 2", 1)).await,
        Offered::Activated
    );
    approver.act(&id, "approve").await.expect(200);
    assert_eq!(engineer.see(&id).await["status"], "pending", "C3");
    assert_eq!(
        offer(
            &app,
            &POLICY.replacen("max_minutes = 60", "max_minutes = 20", 1)
        )
        .await,
        Offered::Activated
    );
    let second = app.sign_in("approver2").await;
    assert_eq!(
        second.act(&id, "approve").await.expect(409).code(),
        "over_max_minutes"
    );
    second.act(&id, "deny").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_maximum_that_was_lowered_after_the_yes_stops_the_start_and_clamps_nothing() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(30).await;
    approver.act(&id, "approve").await.expect(200);
    assert_eq!(
        offer(
            &app,
            &POLICY.replacen("max_minutes = 60", "max_minutes = 20", 1)
        )
        .await,
        Offered::Activated
    );
    app.settle().await;
    let grant = engineer.see(&id).await["grant"].clone();
    assert_eq!(
        (&grant["status"], &grant["end_reason"]),
        (&"failed".into(), &"no_longer_allowed".into())
    );
    app.finish().await;
}

#[tokio::test]
async fn a_group_that_was_made_anew_under_the_old_name_has_no_power() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = engineer.asks(10).await;
    app.sandbox
        .edit(|world| {
            let group = world
                .groups
                .iter_mut()
                .find(|group| group.name == "production-approvers")
                .unwrap();
            group.id = "20000000-0000-4000-8000-0000000000ff".to_owned();
            Ok(())
        })
        .unwrap();
    app.copy_directory().await;
    assert_eq!(
        engineer
            .ask("production-admin", "333333333333", 10)
            .await
            .expect(409)
            .code(),
        "rule_suspended"
    );
    // C1: nobody qualifies through a group that only bears the name.
    let approver = app.sign_in("approver").await;
    approver.act(&id, "approve").await.expect(404);
    app.run_for(TimeDelta::minutes(241)).await;
    app.finish().await;
}

#[tokio::test]
async fn a_yes_that_today_s_rule_would_not_take_does_not_count() {
    let two = POLICY
        .replacen("approvals = 1", "approvals = 2", 1)
        .replacen(
            "assurance = \"phishing_resistant\"",
            "assurance = \"mfa\"",
            1,
        );
    let app = TestApp::with_policy(&two).await;
    let engineer = app.sign_in("engineer").await;
    let id = engineer.asks(30).await;
    let weak = app.sign_in_with("approver", "mfa").await;
    weak.act(&id, "approve").await.expect(200);
    let stronger = two.replacen(
        "assurance = \"mfa\"",
        "assurance = \"phishing_resistant\"",
        1,
    );
    app.app.broker.offer_policy(&stronger).await.unwrap();
    app.sign_in("approver2")
        .await
        .act(&id, "approve")
        .await
        .expect(200);
    app.settle().await;
    assert_eq!(engineer.see(&id).await["status"], "pending", "C3, S1");
    assert!(!app.is_assigned("111111111111", "production-admin", "engineer"));
    app.finish().await;
}

#[tokio::test]
async fn a_policy_that_can_t_be_read_any_more_keeps_nobody_from_ending() {
    use sqlx::Connection as _;
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(30).await;
    approver.act(&id, "approve").await.expect(200);
    app.settle().await;
    // As an older or newer version of Curfew may have written it.
    let mut owner = sqlx::postgres::PgConnection::connect_with(&app.database.owner)
        .await
        .unwrap();
    sqlx::raw_sql("insert into policies (version, source, first_seen_at) values ('other', 'from = \"another version\"', now());
                   update policy_in_force set version = 'other'")
        .execute(&mut owner)
        .await
        .unwrap();
    owner.close().await.unwrap();
    engineer.act(&id, "end").await.expect(200);
    app.app.broker.db.pool.close().await;
}
