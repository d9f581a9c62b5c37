//! What can't be taken away because its person, permission set or account is gone or closed (protocol G2).
//!
//! Sessions live in real time, for eight hours: nobody signs in after the clock has moved further.

use chrono::TimeDelta;
use curfew::sandbox::AccountState;
use serde_json::json;

use crate::support::TestApp;
use crate::support::people::Answer;

const ACCOUNT: &str = "111111111111";
const SET: &str = "production-admin";
const WHY: &str = "left the company, and the user is deleted";

/// An active grant of `engineer`.
async fn active(app: &TestApp) -> String {
    let id = app.approved(30).await;
    app.settle().await;
    assert_eq!(app.status(&id).await, "active");
    id
}

async fn close(app: &TestApp, who: &str, id: &str, comment: &str) -> Answer {
    let person = app.sign_in(who).await;
    let body = json!({"comment": comment});
    person
        .post_json(&format!("/api/v1/requests/{id}/close"), &body)
        .await
}

async fn status(app: &TestApp, id: &str) -> String {
    app.sign_in("auditor").await.grant_status(id).await
}

#[tokio::test]
async fn what_a_deleted_person_had_is_tried_rarely_and_closed_by_an_administrator_with_a_comment() {
    let app = TestApp::start().await;
    let id = active(&app).await;
    app.sandbox.delete_user("engineer").unwrap();
    app.copy_directory().await;
    app.run_for(TimeDelta::minutes(5)).await;
    let early = close(&app, "admin", &id, WHY).await.expect(409);
    assert_eq!(early.code(), "not_confirmed_gone");
    app.run_for(TimeDelta::minutes(25)).await;
    assert_eq!(status(&app, &id).await, "ending");

    // G2: every six hours now.
    let before = app.count_calls("DeleteAccountAssignment");
    app.run_for(TimeDelta::minutes(400)).await;
    let tries = app.count_calls("DeleteAccountAssignment") - before;
    assert!((1..=2).contains(&tries), "{tries} tries in 400 minutes");
    assert_eq!(status(&app, &id).await, "ending");

    let page = app
        .sign_in("admin")
        .await
        .get("/operations")
        .await
        .expect(200)
        .text();
    assert!(
        page.contains("Close, not confirmed")
            && page.contains("aws sso-admin delete-account-assignment")
    );
    assert_eq!(
        close(&app, "approver", &id, WHY).await.expect(403).code(),
        "not_an_administrator"
    );
    // Whether there is such a request is not said either.
    close(&app, "engineer2", &id, WHY).await.expect(403);
    assert_eq!(
        close(&app, "admin", &id, " ").await.expect(422).code(),
        "comment_missing"
    );
    let closed = close(&app, "admin", &id, WHY).await.expect(200).json();
    assert_eq!(closed["grant"]["status"], "closed_unconfirmed");
    assert!(closed["grant"]["ended_at"].is_null());
    assert_eq!(
        close(&app, "admin", &id, WHY).await.expect(409).code(),
        "already_over"
    );
    assert_eq!(
        app.sign_in("admin")
            .await
            .act(&id, "end")
            .await
            .expect(409)
            .code(),
        "already_over"
    );

    let auditor = app.sign_in("auditor").await;
    let page = auditor
        .get(&format!("/requests/{id}"))
        .await
        .expect(200)
        .text();
    assert!(page.contains("closed, not confirmed") && page.contains(WHY));
    let events = app.events_of(&id).await;
    assert!(events.contains(&"grant.closed_unconfirmed".to_owned()));
    assert!(!events.contains(&"grant.ended".to_owned()));
    // It stays Curfew's: looked after, and in the script.
    let before = app.count_calls("DeleteAccountAssignment");
    app.run_for(TimeDelta::hours(13)).await;
    assert!(app.count_calls("DeleteAccountAssignment") > before);
    app.app.keep_live_grants().await.unwrap();
    let script = std::fs::read_to_string(app.state.0.join("live-grants.sh")).unwrap();
    assert!(script.contains("No grant that is open"), "{script}");
    app.finish().await;
}

#[tokio::test]
async fn what_was_closed_is_deleted_if_its_account_comes_back_and_is_still_not_called_ended() {
    let app = TestApp::start().await;
    let id = active(&app).await;
    app.sandbox
        .set_account_state("payments-prod", AccountState::Closed)
        .unwrap();
    app.sign_in("engineer")
        .await
        .act(&id, "end")
        .await
        .expect(200);
    app.run_for(TimeDelta::minutes(20)).await;
    close(&app, "admin", &id, "the account is closed")
        .await
        .expect(200);
    app.sandbox
        .set_account_state("payments-prod", AccountState::Active)
        .unwrap();
    assert!(app.is_assigned(ACCOUNT, SET, "engineer"));
    app.run_for(TimeDelta::hours(7)).await;
    assert!(!app.is_assigned(ACCOUNT, SET, "engineer"));
    assert_eq!(status(&app, &id).await, "closed_unconfirmed");
    app.app.keep_live_grants().await.unwrap();
    let script = std::fs::read_to_string(app.state.0.join("live-grants.sh")).unwrap();
    assert!(script.contains("0 to delete"), "{script}");
    // The way is free for the next.
    let next = active(&app).await;
    app.sign_in("engineer")
        .await
        .act(&next, "end")
        .await
        .expect(200);
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn what_is_seen_gone_once_and_is_back_can_not_be_closed() {
    let app = TestApp::start().await;
    let id = active(&app).await;
    app.sandbox
        .set_account_state("payments-prod", AccountState::Closed)
        .unwrap();
    app.sign_in("engineer")
        .await
        .act(&id, "end")
        .await
        .expect(200);
    app.run_for(TimeDelta::minutes(3)).await;
    app.sandbox
        .set_account_state("payments-prod", AccountState::Suspended)
        .unwrap();
    app.run_for(TimeDelta::minutes(30)).await;
    assert_eq!(
        close(&app, "admin", &id, "why").await.expect(409).code(),
        "not_confirmed_gone"
    );
    app.sandbox
        .set_account_state("payments-prod", AccountState::Active)
        .unwrap();
    app.run_for(TimeDelta::minutes(10)).await;
    assert_eq!(status(&app, &id).await, "ended");
    app.finish().await;
}
