//! Identity Center that does not answer, or never finishes: questions without an answer hold up no
//! ending, and what hangs is reported (protocol G2, L4).

use chrono::TimeDelta;
use curfew::sandbox::Fault;

use crate::support::TestApp;

const ACCOUNT: &str = "111111111111";
const SET: &str = "production-admin";

/// Keeps an operation failing while time passes.
async fn run_failing(app: &TestApp, operation: &str, fault: &Fault, patience: TimeDelta) {
    let until = app.now() + patience;
    while app.now() < until {
        while app.sandbox.waiting_faults().len() < 40 {
            app.sandbox.fail_next(operation, fault.clone()).unwrap();
        }
        app.run_for(TimeDelta::seconds(5)).await;
    }
}

#[tokio::test]
async fn a_status_that_can_t_be_asked_for_does_not_keep_access_alive() {
    let app = TestApp::start().await;
    let id = app.approved(5).await;
    let describe = "DescribeAccountAssignmentCreationStatus";
    run_failing(&app, describe, &Fault::Internal, TimeDelta::minutes(40)).await;
    assert!(
        !app.is_assigned(ACCOUNT, SET, "engineer"),
        "35 minutes after its end it is still there ({}), deletes sent: {}",
        app.status(&id).await,
        app.count_calls("DeleteAccountAssignment")
    );
    app.app.broker.db.pool.close().await;
}

#[tokio::test]
async fn a_listing_of_operations_that_fails_does_not_keep_access_alive() {
    let app = TestApp::start().await;
    app.sandbox
        .fail_next("CreateAccountAssignment", Fault::LoseAnswerAfter)
        .unwrap();
    let id = app.approved(5).await;
    app.tick().await;
    let list = "ListAccountAssignmentCreationStatus";
    run_failing(&app, list, &Fault::Internal, TimeDelta::minutes(40)).await;
    assert!(
        !app.is_assigned(ACCOUNT, SET, "engineer"),
        "still there ({}), deletes sent: {}",
        app.status(&id).await,
        app.count_calls("DeleteAccountAssignment")
    );
    app.app.broker.db.pool.close().await;
}

#[tokio::test]
async fn deletes_whose_answers_get_lost_are_tried_with_growing_delay() {
    let app = TestApp::start().await;
    let id = app.approved(5).await;
    app.settle().await;
    app.sign_in("engineer")
        .await
        .act(&id, "end")
        .await
        .expect(200);
    let delete = "DeleteAccountAssignment";
    run_failing(&app, delete, &Fault::Internal, TimeDelta::minutes(10)).await;
    let tries = app.count_calls(delete);
    assert!(
        (5..=30).contains(&tries),
        "{tries} tries in ten minutes (G2)"
    );
    app.app.broker.db.pool.close().await;
}

#[tokio::test]
async fn a_start_that_waits_for_its_account_does_not_ask_the_directory_over_and_over() {
    let app = TestApp::start().await;
    app.sandbox
        .set_settings(|settings| settings.operation_millis = 15_000..=15_000);
    let (one, two, approver) = (
        app.sign_in("engineer").await,
        app.sign_in("engineer2").await,
        app.sign_in("approver").await,
    );
    for engineer in [&one, &two] {
        let id = engineer.asks(30).await;
        approver.act(&id, "approve").await.expect(200);
    }
    let before = app.count_calls("DescribeUser");
    app.run_for(TimeDelta::seconds(12)).await;
    let asked = app.count_calls("DescribeUser") - before;
    assert!(asked <= 30, "{asked} questions in 12 seconds");
    app.run_for(TimeDelta::minutes(40)).await;
    app.finish().await;
}

#[tokio::test]
async fn operations_that_hang_together_are_reported_all_the_same() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let mut ids = Vec::new();
    for (rule, account) in [
        (SET, ACCOUNT),
        (SET, "333333333333"),
        ("staging-admin", "222222222222"),
    ] {
        let made = engineer.ask(rule, account, 30).await.expect(201).json();
        let id = made["id"].as_str().unwrap().to_owned();
        if rule == SET {
            approver.act(&id, "approve").await.expect(200);
        }
        ids.push(id);
    }
    app.settle().await;
    app.sandbox
        .set_settings(|settings| settings.operation_millis = 3_600_000..=3_600_000);
    for id in &ids {
        assert_eq!(engineer.grant_status(id).await, "active");
        engineer.act(id, "end").await.expect(200);
    }
    app.run_for(TimeDelta::minutes(16)).await;
    for id in &ids {
        let events = app.events_of(id).await;
        assert!(
            events.contains(&"grant.end_overdue".to_owned()),
            "G2: {events:?}"
        );
        assert!(
            events.contains(&"assignment.delete_stuck".to_owned()),
            "L4: {events:?}"
        );
    }
    app.app.broker.db.pool.close().await;
}
