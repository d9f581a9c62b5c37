//! Access always ends (promise P2), and ending never waits for permission (P6).

use chrono::TimeDelta;
use curfew::postgres::overview;
use curfew::sandbox::{AccountState, Fault, PrincipalType};

use crate::policy_page::overdue;
use crate::support::TestApp;
use crate::support::app::{Event, POLICY};
use crate::support::people::Person;

const ACCOUNT: &str = "111111111111";
const SET: &str = "production-admin";

/// An active grant of `engineer` for half an hour.
async fn active(app: &TestApp) -> (Person, String) {
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(30).await;
    approver.act(&id, "approve").await.expect(200);
    app.settle().await;
    assert_eq!(engineer.grant_status(&id).await, "active");
    (engineer, id)
}

async fn is_over(app: &TestApp, id: &str, reason: &str) {
    let auditor = app.sign_in("auditor").await;
    let grant = auditor.see(id).await["grant"].clone();
    assert_eq!(
        (&grant["status"], &grant["end_reason"]),
        (&"ended".into(), &reason.into())
    );
}

#[tokio::test]
async fn the_requester_an_approver_and_an_administrator_end_early_and_nobody_else() {
    for (who, reason) in [
        ("engineer", "requester"),
        ("approver", "approver"),
        ("both", "approver"),
        ("admin", "administrator"),
    ] {
        let app = TestApp::start().await;
        let (_, id) = active(&app).await;
        assert_eq!(
            app.sign_in("auditor")
                .await
                .act(&id, "end")
                .await
                .expect(403)
                .code(),
            "not_concerned"
        );
        app.sign_in("engineer2")
            .await
            .act(&id, "end")
            .await
            .expect(404);
        let person = app.sign_in(who).await;
        person.act(&id, "end").await.expect(200);
        // Repeating it is fine, and no second event.
        person.act(&id, "end").await.expect(200);
        app.settle().await;
        is_over(&app, &id, reason).await;
        assert_eq!(
            person.act(&id, "end").await.expect(409).code(),
            "already_over"
        );
        app.finish().await;
    }
}

#[tokio::test]
async fn whatever_changes_meanwhile_it_ends_on_time() {
    let changes: [Event; 3] = [
        ("requester left the group", |app| {
            app.sandbox.remove_member("engineers", "engineer").unwrap();
        }),
        ("approver deleted", |app| {
            app.sandbox.delete_user("approver").unwrap();
        }),
        ("account moved", |app| {
            let root = app
                .sandbox
                .world()
                .account_named("management")
                .unwrap()
                .parent_id
                .clone();
            app.sandbox.move_account("payments-prod", &root).unwrap();
        }),
    ];
    for (what, change) in changes {
        let app = TestApp::start().await;
        let (_, id) = active(&app).await;
        change(&app);
        app.copy_directory().await;
        let staging_only = POLICY.replacen("name = \"production-admin\"", "name = \"renamed\"", 1);
        app.app.broker.offer_policy(&staging_only).await.unwrap();
        app.run_for(TimeDelta::minutes(29)).await;
        assert!(
            app.is_assigned(ACCOUNT, SET, "engineer"),
            "{what}: neither earlier"
        );
        app.run_for(TimeDelta::minutes(2)).await;
        is_over(&app, &id, "due").await;
        app.finish().await;
    }
}

#[tokio::test]
async fn a_disabled_person_loses_what_they_have() {
    let app = TestApp::start().await;
    let (engineer, id) = active(&app).await;
    app.sandbox.set_user_enabled("engineer", false).unwrap();
    app.copy_directory().await;
    app.settle().await;
    is_over(&app, &id, "no_longer_allowed").await;
    engineer.get("/api/v1/requests").await.expect(401);
    app.finish().await;
}

#[tokio::test]
async fn conflicts_and_throttling_for_ten_minutes_only_delay_the_end_and_raise_the_alarm() {
    let app = TestApp::start().await;
    let (engineer, id) = active(&app).await;
    engineer.act(&id, "end").await.expect(200);
    let until = app.now() + TimeDelta::minutes(10);
    let mut refused = 0;
    while app.now() < until {
        while app.sandbox.waiting_faults().len() < 3 {
            let fault = if refused % 2 == 0 {
                Fault::Conflict
            } else {
                Fault::Throttle
            };
            app.sandbox
                .fail_next("DeleteAccountAssignment", fault)
                .unwrap();
            refused += 1;
        }
        app.run_for(TimeDelta::seconds(5)).await;
        assert_eq!(engineer.grant_status(&id).await, "ending");
    }
    assert!(refused >= 5, "{refused} tries in ten minutes");
    app.run_for(TimeDelta::minutes(30)).await;
    is_over(&app, &id, "requester").await;
    let events = app.events_of(&id).await;
    assert_eq!(
        events
            .iter()
            .filter(|event| *event == "grant.end_overdue")
            .count(),
        1,
        "{events:?}"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_delete_that_fails_afterwards_is_tried_again_until_it_is_gone() {
    let app = TestApp::start().await;
    let (engineer, id) = active(&app).await;
    for _ in 0..3 {
        let reason = "An unexpected internal service exception was encountered".to_owned();
        app.sandbox
            .fail_next(
                "DeleteAccountAssignment",
                Fault::AsyncFailed {
                    reason,
                    takes_effect: false,
                },
            )
            .unwrap();
    }
    engineer.act(&id, "end").await.expect(200);
    app.run_for(TimeDelta::minutes(2)).await;
    is_over(&app, &id, "requester").await;
    app.finish().await;
}

#[tokio::test]
async fn a_delete_that_says_failed_although_it_worked_is_found_out_by_looking_twice() {
    let app = TestApp::start().await;
    let (engineer, id) = active(&app).await;
    let reason = "An unexpected internal service exception was encountered".to_owned();
    app.sandbox
        .fail_next(
            "DeleteAccountAssignment",
            Fault::AsyncFailed {
                reason,
                takes_effect: true,
            },
        )
        .unwrap();
    let before = (
        app.count_calls("ListAccountAssignments"),
        app.count_calls("DeleteAccountAssignment"),
    );
    engineer.act(&id, "end").await.expect(200);
    app.settle().await;
    is_over(&app, &id, "requester").await;
    let after = (
        app.count_calls("ListAccountAssignments"),
        app.count_calls("DeleteAccountAssignment"),
    );
    assert_eq!(
        (after.0 - before.0, after.1 - before.1),
        (2, 1),
        "two looks, no second delete (G1)"
    );
    app.finish().await;
}

#[tokio::test]
async fn somebody_who_removed_it_by_hand_does_not_confuse_the_end() {
    let app = TestApp::start().await;
    let (_, id) = active(&app).await;
    app.sandbox
        .remove_assignment(ACCOUNT, SET, PrincipalType::User, "engineer")
        .unwrap();
    app.run_for(TimeDelta::minutes(31)).await;
    is_over(&app, &id, "due").await;
    app.finish().await;
}

#[tokio::test]
async fn a_listing_that_lags_behind_is_waited_for_and_never_believed_too_soon() {
    let app = TestApp::start().await;
    app.sandbox
        .set_settings(|settings| settings.list_lag_millis = 4000..=4000);
    let (engineer, id) = active(&app).await;
    let deletes = app.count_calls("DeleteAccountAssignment");
    engineer.act(&id, "end").await.expect(200);
    app.run_for(TimeDelta::minutes(1)).await;
    is_over(&app, &id, "requester").await;
    assert!(app.count_calls("DeleteAccountAssignment") > deletes);
    app.finish().await;
}

#[tokio::test]
async fn an_account_that_is_suspended_meanwhile_is_tried_until_it_works_again() {
    let app = TestApp::start().await;
    let (engineer, id) = active(&app).await;
    app.sandbox
        .set_account_state("payments-prod", AccountState::Suspended)
        .unwrap();
    engineer.act(&id, "end").await.expect(200);
    let before = app.count_calls("DeleteAccountAssignment");
    app.run_for(TimeDelta::minutes(30)).await;
    let tries = app.count_calls("DeleteAccountAssignment") - before;
    assert!(
        (8..=20).contains(&tries),
        "{tries} tries in half an hour: growing delay, and never none (G2)"
    );
    assert_eq!(
        engineer.grant_status(&id).await,
        "ending",
        "never said ended while it is there (P3)"
    );
    app.sandbox
        .set_account_state("payments-prod", AccountState::Active)
        .unwrap();
    app.run_for(TimeDelta::minutes(10)).await;
    is_over(&app, &id, "requester").await;
    app.finish().await;
}

#[tokio::test]
async fn a_create_that_fails_afterwards_is_told_and_leaves_nothing_even_if_it_worked() {
    for takes_effect in [false, true] {
        let app = TestApp::start().await;
        let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
        let reason =
            "Received a 404 status error: Not supported policy arn:aws:iam::1:policy/x".to_owned();
        app.sandbox
            .fail_next(
                "CreateAccountAssignment",
                Fault::AsyncFailed {
                    reason,
                    takes_effect,
                },
            )
            .unwrap();
        let id = engineer.asks(30).await;
        approver.act(&id, "approve").await.expect(200);
        app.run_for(TimeDelta::minutes(1)).await;
        let grant = engineer.see(&id).await["grant"].clone();
        assert_eq!(
            (&grant["status"], &grant["end_reason"]),
            (&"failed".into(), &"provisioning_failed".into())
        );
        assert!(grant["starts_at"].is_null());
        assert!(!app.is_assigned(ACCOUNT, SET, "engineer"));
        engineer.asks(30).await;
        app.finish().await;
    }
}

/// A second rule that reaches the same permission set and account.
fn with_second_rule() -> String {
    format!(
        "{POLICY}\n[[rule]]\nname = \"on-call\"\npermission_set = \"production-admin\"\naccounts = [{{ id = \"111111111111\" }}]\n\
         requesters = [\"engineers\"]\napprovals = 0\nmax_minutes = 120\n"
    )
}

#[tokio::test]
async fn overlapping_grants_share_one_assignment_and_the_first_to_end_takes_nothing_away() {
    let app = TestApp::with_policy(&with_second_rule()).await;
    let (engineer, first) = active(&app).await;
    let made = engineer
        .ask("on-call", ACCOUNT, 60)
        .await
        .expect(201)
        .json();
    let second = made["id"].as_str().unwrap().to_owned();
    app.settle().await;
    assert_eq!(engineer.grant_status(&second).await, "active");
    assert_eq!(
        app.count_calls("CreateAccountAssignment"),
        1,
        "W2: it joined after its own check and a look"
    );

    engineer.act(&first, "end").await.expect(200);
    app.run_for(TimeDelta::minutes(40)).await;
    assert!(app.is_assigned(ACCOUNT, SET, "engineer"), "continuous");
    assert_eq!(app.count_calls("DeleteAccountAssignment"), 0);
    // "Ended" is never said of something that is there (P3): the first waits for the second.
    assert_eq!(engineer.grant_status(&first).await, "ending");
    assert_eq!(overdue(&app).await, (0, 0), "waiting is not being late");
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let live = overview::list_live(&mut conn, 2).await.unwrap();
    drop(conn);
    app.advance(live[1].ends_at.unwrap() - app.now());
    app.tick().await;
    assert_eq!(engineer.grant_status(&second).await, "ending");
    assert_eq!(overdue(&app).await, (0, 0), "nor is having waited");
    app.run_for(TimeDelta::minutes(25)).await;
    assert_eq!(engineer.grant_status(&first).await, "ended");
    assert_eq!(engineer.grant_status(&second).await, "ended");
    assert_eq!(app.count_calls("DeleteAccountAssignment"), 1);
    let events = app.events_of(&first).await;
    assert!(
        !events.contains(&"grant.end_overdue".to_owned()),
        "it is not late: {events:?}"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_grant_that_finds_the_assignment_leaving_waits_until_it_is_gone() {
    let app = TestApp::with_policy(&with_second_rule()).await;
    let (engineer, first) = active(&app).await;
    engineer.act(&first, "end").await.expect(200);
    app.tick().await;
    assert_eq!(app.count_calls("DeleteAccountAssignment"), 1);
    let made = engineer
        .ask("on-call", ACCOUNT, 60)
        .await
        .expect(201)
        .json();
    let second = made["id"].as_str().unwrap().to_owned();
    app.tick().await;
    assert_eq!(
        engineer.grant_status(&second).await,
        "scheduled",
        "W2: it waits"
    );
    app.settle().await;
    assert_eq!(engineer.grant_status(&first).await, "ended");
    assert_eq!(engineer.grant_status(&second).await, "active");
    assert_eq!(app.count_calls("CreateAccountAssignment"), 2);
    app.run_for(TimeDelta::minutes(62)).await;
    app.finish().await;
}

#[tokio::test]
async fn what_somebody_took_away_is_never_put_back() {
    let app = TestApp::with_policy(&with_second_rule()).await;
    let (engineer, first) = active(&app).await;
    app.sandbox
        .remove_assignment(ACCOUNT, SET, PrincipalType::User, "engineer")
        .unwrap();
    // Nothing looks at an active assignment until somebody has a reason to: a second grant does.
    let made = engineer
        .ask("on-call", ACCOUNT, 60)
        .await
        .expect(201)
        .json();
    let second = made["id"].as_str().unwrap().to_owned();
    app.run_for(TimeDelta::minutes(1)).await;
    is_over(&app, &first, "removed_outside").await;
    let grant = engineer.see(&second).await["grant"].clone();
    assert_eq!(
        (&grant["status"], &grant["end_reason"]),
        (&"failed".into(), &"removed_outside".into())
    );
    assert_eq!(app.count_calls("CreateAccountAssignment"), 1, "S3");
    app.finish().await;
}

#[tokio::test]
async fn what_somebody_writes_with_it_stops_no_ending() {
    let app = TestApp::start().await;
    let (engineer, id) = active(&app).await;
    let body = serde_json::json!({"comment": "done\u{200B} here"});
    engineer
        .post_json(&format!("/api/v1/requests/{id}/end"), &body)
        .await
        .expect(200);
    app.settle().await;
    assert!(!app.is_assigned(ACCOUNT, SET, "engineer"), "P6, G3");
    app.finish().await;
}
