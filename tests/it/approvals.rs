//! Who may decide, and when (promise P1), at the click and just before access starts.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::TestApp;
use crate::support::app::{Event, POLICY, world_with_accounts};

#[tokio::test]
async fn nobody_approves_their_own_request_by_any_route() {
    let app = TestApp::start().await;
    for name in ["engineer", "both"] {
        let person = app.sign_in(name).await;
        let id = person.asks(10).await;
        assert_eq!(
            person.act(&id, "approve").await.expect(403).code(),
            "self_approval"
        );
        assert_eq!(
            person.act(&id, "deny").await.expect(403).code(),
            "self_approval"
        );
        person
            .post_form(&format!("/requests/{id}/approve"), &[("comment", "me")])
            .await
            .expect(403);
        assert_eq!(person.see(&id).await["status"], "pending");
    }
    app.finish().await;
}

#[tokio::test]
async fn somebody_in_both_groups_may_approve_another_s_request() {
    let app = TestApp::start().await;
    let (engineer, both) = (app.sign_in("engineer").await, app.sign_in("both").await);
    let id = engineer.asks(10).await;
    both.act(&id, "approve").await.expect(200);
    assert_eq!(engineer.see(&id).await["status"], "approved");
    app.run_for(TimeDelta::minutes(12)).await;
    app.finish().await;
}

#[tokio::test]
async fn people_who_are_not_concerned_hear_that_there_is_nothing() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = engineer.asks(10).await;
    let stranger = app.sign_in("engineer2").await;
    for act in ["approve", "deny", "cancel", "end"] {
        assert_eq!(stranger.act(&id, act).await.expect(404).code(), "not_found");
    }
    stranger
        .get(&format!("/api/v1/requests/{id}"))
        .await
        .expect(404);
    let listed = stranger.get("/api/v1/requests").await.expect(200).json();
    assert_eq!(listed["requests"], json!([]));
    // An auditor and an administrator may know, and still not decide, nor use up the directory's calls.
    let asked = app.count_calls("IsMemberInGroups");
    for name in ["auditor", "admin"] {
        let reader = app.sign_in(name).await;
        assert_eq!(reader.see(&id).await["status"], "pending");
        assert_eq!(
            reader.act(&id, "approve").await.expect(403).code(),
            "not_an_approver"
        );
    }
    assert_eq!(app.count_calls("IsMemberInGroups"), asked);
    app.finish().await;
}

#[tokio::test]
async fn the_first_no_denies_and_says_why() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(10).await;
    approver
        .post_json(
            &format!("/api/v1/requests/{id}/deny"),
            &json!({"comment": "not today"}),
        )
        .await
        .expect(200);
    let denied = engineer.see(&id).await;
    assert_eq!(
        (&denied["status"], &denied["grant"]),
        (&"denied".into(), &json!(null))
    );
    assert_eq!(denied["decisions"][0]["comment"], "not today");
    assert_eq!(denied["decisions"][0]["verdict"], "no");
    let second = app.sign_in("approver2").await;
    assert_eq!(
        second.act(&id, "approve").await.expect(409).code(),
        "already_closed"
    );
    // The slot is free again.
    engineer.asks(10).await;
    app.finish().await;
}

#[tokio::test]
async fn a_quorum_counts_each_person_once() {
    let app = TestApp::with_policy(&POLICY.replacen("approvals = 1", "approvals = 2", 1)).await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(10).await;
    approver.act(&id, "approve").await.expect(200);
    assert_eq!(
        approver.act(&id, "approve").await.expect(409).code(),
        "already_decided"
    );
    assert_eq!(engineer.see(&id).await["status"], "pending");
    app.sign_in("approver2")
        .await
        .act(&id, "approve")
        .await
        .expect(200);
    assert_eq!(engineer.see(&id).await["status"], "approved");
    app.run_for(TimeDelta::minutes(12)).await;
    app.finish().await;
}

#[tokio::test]
async fn a_yes_counts_no_more_once_its_giver_left_the_group() {
    let app = TestApp::with_policy(&POLICY.replacen("approvals = 1", "approvals = 2", 1)).await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(10).await;
    approver.act(&id, "approve").await.expect(200);
    app.sandbox
        .remove_member("production-approvers", "approver")
        .unwrap();
    app.sign_in("approver2")
        .await
        .act(&id, "approve")
        .await
        .expect(200);
    assert_eq!(
        engineer.see(&id).await["status"],
        "pending",
        "one of the two no longer counts"
    );
    app.sign_in("both")
        .await
        .act(&id, "approve")
        .await
        .expect(200);
    assert_eq!(engineer.see(&id).await["status"], "approved");
    app.run_for(TimeDelta::minutes(12)).await;
    app.finish().await;
}

#[tokio::test]
async fn an_approver_who_left_the_group_a_moment_ago_is_refused_at_the_click() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(10).await;
    // The copy in Postgres still says yes; the yes is judged by what the identity store says now.
    app.sandbox
        .remove_member("production-approvers", "approver")
        .unwrap();
    assert_eq!(
        approver.act(&id, "approve").await.expect(403).code(),
        "not_an_approver"
    );
    let disabled = app.sign_in("approver2").await;
    app.sandbox.set_user_enabled("approver2", false).unwrap();
    assert_eq!(
        disabled.act(&id, "approve").await.expect(403).code(),
        "disabled"
    );
    assert_eq!(engineer.see(&id).await["status"], "pending");
    app.finish().await;
}

#[tokio::test]
async fn without_the_directory_a_yes_waits_and_a_no_a_cancel_and_an_end_work() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let (both, engineer2) = (app.sign_in("both").await, app.sign_in("engineer2").await);
    let (denied, cancelled) = (engineer.asks(10).await, engineer2.asks(10).await);
    let granted = both.asks(10).await;
    approver.act(&granted, "approve").await.expect(200);
    app.cut_off_aws();
    let answer = approver.act(&denied, "approve").await.expect(503);
    assert_eq!(answer.code(), "directory_unreachable");
    assert!(answer.headers.contains_key("retry-after"));
    approver.act(&denied, "deny").await.expect(200);
    engineer2.act(&cancelled, "cancel").await.expect(200);
    both.act(&granted, "end").await.expect(200);
    assert_eq!(
        both.grant_status(&granted).await,
        "failed",
        "nothing was sent for it yet"
    );
    app.app.broker.db.pool.close().await;
}

#[tokio::test]
async fn what_changed_after_the_yes_stops_the_start() {
    let changes: [Event; 5] = [
        ("requester left", |app| {
            app.sandbox.remove_member("engineers", "engineer").unwrap();
        }),
        ("requester disabled", |app| {
            app.sandbox.set_user_enabled("engineer", false).unwrap();
        }),
        ("requester deleted", |app| {
            app.sandbox.delete_user("engineer").unwrap();
        }),
        ("approver left", |app| {
            app.sandbox
                .remove_member("production-approvers", "approver")
                .unwrap();
        }),
        ("approver disabled", |app| {
            app.sandbox.set_user_enabled("approver", false).unwrap();
        }),
    ];
    for (what, change) in changes {
        let app = TestApp::start().await;
        let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
        let id = engineer.asks(10).await;
        approver.act(&id, "approve").await.expect(200);
        change(&app);
        app.settle().await;
        let auditor = app.sign_in("auditor").await;
        let grant = auditor.see(&id).await["grant"].clone();
        assert_eq!(
            (&grant["status"], &grant["end_reason"]),
            (&"failed".into(), &"no_longer_allowed".into()),
            "{what}"
        );
        assert_eq!(app.count_calls("CreateAccountAssignment"), 0, "{what}");
        app.finish().await;
    }
}

#[tokio::test]
async fn signing_in_too_weakly_is_refused_at_asking_and_at_deciding() {
    let app = TestApp::start().await;
    let weak = app.sign_in_with("engineer", "mfa").await;
    assert_eq!(
        weak.ask("production-admin", "111111111111", 10)
            .await
            .expect(403)
            .code(),
        "assurance_too_weak"
    );
    let id = app.sign_in("engineer").await.asks(10).await;
    let approver = app.sign_in_with("approver", "mfa").await;
    assert_eq!(
        approver.act(&id, "approve").await.expect(403).code(),
        "assurance_too_weak"
    );
    app.sign_in("approver")
        .await
        .act(&id, "approve")
        .await
        .expect(200);
    app.run_for(TimeDelta::minutes(12)).await;
    app.finish().await;
}

#[tokio::test]
async fn a_request_that_nobody_could_approve_is_refused_and_says_so() {
    let app = TestApp::start().await;
    for name in ["approver", "approver2"] {
        app.sandbox.set_user_enabled(name, false).unwrap();
    }
    app.copy_directory().await;
    // Only `both` is left, who can't approve for themselves.
    let both = app.sign_in("both").await;
    let refused = both
        .ask("production-admin", "111111111111", 10)
        .await
        .expect(409);
    assert_eq!(refused.code(), "nobody_can_approve");
    app.sign_in("engineer").await.asks(10).await;
    app.finish().await;
}

#[tokio::test]
async fn a_second_request_for_the_same_is_refused_until_the_first_is_over() {
    // W1: one at a time of the same rule and account, from asking to gone.
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(10).await;
    let refused = engineer
        .ask("production-admin", "111111111111", 5)
        .await
        .expect(409);
    assert_eq!(refused.code(), "already_open");
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("until 20"),
        "says until when: {}",
        refused.text()
    );
    engineer
        .ask("production-admin", "333333333333", 5)
        .await
        .expect(201);
    approver.act(&id, "approve").await.expect(200);
    app.settle().await;
    let refused = engineer
        .ask("production-admin", "111111111111", 5)
        .await
        .expect(409);
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("until 20"),
        "{}",
        refused.text()
    );
    app.run_for(TimeDelta::minutes(12)).await;
    engineer.asks(10).await;
    app.finish().await;
}

#[tokio::test]
async fn at_most_twenty_requests_of_one_person_are_open() {
    let app = TestApp::with(POLICY, world_with_accounts(25)).await;
    let engineer = app.sign_in("engineer").await;
    for n in 0..20 {
        engineer
            .ask("production-admin", &format!("44444444{n:04}"), 10)
            .await
            .expect(201);
    }
    assert_eq!(
        engineer
            .ask("production-admin", "444444440020", 10)
            .await
            .expect(409)
            .code(),
        "too_many_open"
    );
    app.sign_in("engineer2").await.asks(10).await;
    app.finish().await;
}

#[tokio::test]
async fn a_request_that_nobody_answers_lapses_on_time() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(10).await;
    app.advance(TimeDelta::minutes(240) - TimeDelta::seconds(1));
    app.tick().await;
    assert_eq!(engineer.see(&id).await["status"], "pending");
    app.advance(TimeDelta::seconds(1));
    // The act itself performs the lapse that is due (T4), before the loop gets to it.
    assert_eq!(
        approver.act(&id, "deny").await.expect(409).code(),
        "already_closed"
    );
    assert_eq!(engineer.see(&id).await["status"], "lapsed");
    app.tick().await;
    app.finish().await;
}

#[tokio::test]
async fn the_requester_takes_a_request_back_and_after_the_yes_it_is_an_end() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(10).await;
    assert_eq!(
        approver.act(&id, "cancel").await.expect(403).code(),
        "not_the_requester"
    );
    engineer.act(&id, "cancel").await.expect(200);
    assert_eq!(engineer.see(&id).await["status"], "cancelled");
    assert_eq!(
        engineer.act(&id, "cancel").await.expect(409).code(),
        "already_closed"
    );

    let id = engineer.asks(10).await;
    approver.act(&id, "approve").await.expect(200);
    app.settle().await;
    engineer.act(&id, "cancel").await.expect(200);
    app.settle().await;
    let grant = engineer.see(&id).await["grant"].clone();
    assert_eq!(
        (&grant["status"], &grant["end_reason"]),
        (&"ended".into(), &"requester".into())
    );
    app.finish().await;
}
