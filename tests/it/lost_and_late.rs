//! Lost answers, crashes between two steps, and messages that arrive late (protocol S4, G1).

use chrono::TimeDelta;
use curfew::sandbox::Fault;

use crate::support::TestApp;

const ACCOUNT: &str = "111111111111";
const SET: &str = "production-admin";

/// Asks and approves; the engine has not seen it yet.
async fn approved(app: &TestApp, minutes: u32) -> String {
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(minutes).await;
    approver.act(&id, "approve").await.expect(200);
    id
}

async fn status(app: &TestApp, id: &str) -> String {
    app.sign_in("engineer").await.grant_status(id).await
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_found_by_its_listing() {
    let app = TestApp::start().await;
    app.sandbox
        .fail_next("CreateAccountAssignment", Fault::LoseAnswerAfter)
        .unwrap();
    let id = approved(&app, 5).await;
    app.settle().await;
    assert_eq!(status(&app, &id).await, "active");
    assert_eq!(
        app.count_calls("CreateAccountAssignment"),
        1,
        "not sent again"
    );
    app.run_for(TimeDelta::minutes(6)).await;
    assert_eq!(status(&app, &id).await, "ended");
    app.finish().await;
}

#[tokio::test]
async fn a_create_that_never_arrived_is_sent_again_after_a_fresh_check() {
    let app = TestApp::start().await;
    app.sandbox
        .fail_next("CreateAccountAssignment", Fault::LoseAnswerBefore)
        .unwrap();
    let id = approved(&app, 5).await;
    let checks = app.count_calls("IsMemberInGroups");
    app.settle().await;
    assert_eq!(status(&app, &id).await, "active");
    assert_eq!(app.count_calls("CreateAccountAssignment"), 2);
    assert_eq!(
        app.count_calls("IsMemberInGroups") - checks,
        4,
        "S1: two people, each attempt"
    );
    app.run_for(TimeDelta::minutes(6)).await;
    assert_eq!(status(&app, &id).await, "ended");
    app.finish().await;
}

#[tokio::test]
async fn while_a_lost_create_may_arrive_the_end_is_not_said() {
    let app = TestApp::start().await;
    // Lost for good: neither the listing of operations nor a look shows anything.
    app.sandbox
        .fail_next("CreateAccountAssignment", Fault::LoseAnswerBefore)
        .unwrap();
    let id = approved(&app, 5).await;
    app.tick().await;
    app.sign_in("engineer")
        .await
        .act(&id, "end")
        .await
        .expect(200);
    app.run_for(TimeDelta::seconds(5)).await;
    assert_eq!(
        status(&app, &id).await,
        "ending",
        "S4: unresolved until AWS would refuse it"
    );
    app.run_for(TimeDelta::minutes(1)).await;
    assert_eq!(status(&app, &id).await, "failed");
    app.finish().await;
}

#[tokio::test]
async fn a_delete_whose_answer_is_lost_is_sent_again_whether_it_arrived_or_not() {
    for fault in [Fault::LoseAnswerBefore, Fault::LoseAnswerAfter] {
        let app = TestApp::start().await;
        let id = approved(&app, 5).await;
        app.settle().await;
        app.sandbox
            .fail_next("DeleteAccountAssignment", fault)
            .unwrap();
        app.run_for(TimeDelta::minutes(6)).await;
        assert_eq!(status(&app, &id).await, "ended");
        assert!(app.count_calls("DeleteAccountAssignment") >= 2);
        app.finish().await;
    }
}

#[tokio::test]
async fn answers_to_questions_may_get_lost_too() {
    let app = TestApp::start().await;
    for operation in [
        "ListAccountAssignments",
        "DescribeAccountAssignmentCreationStatus",
        "DescribeAccountAssignmentDeletionStatus",
        "DescribeUser",
        "IsMemberInGroups",
    ] {
        app.sandbox
            .fail_next(operation, Fault::LoseAnswerBefore)
            .unwrap();
        app.sandbox.fail_next(operation, Fault::Internal).unwrap();
    }
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(5).await;
    // The directory's lost answers meet the approver first; then the check before the start.
    while approver.act(&id, "approve").await.status == 503 {}
    app.run_for(TimeDelta::minutes(1)).await;
    assert_eq!(status(&app, &id).await, "active");
    app.run_for(TimeDelta::minutes(6)).await;
    assert_eq!(status(&app, &id).await, "ended");
    app.finish().await;
}

#[tokio::test]
async fn the_process_may_die_after_every_single_pass() {
    let mut app = TestApp::start().await;
    let id = approved(&app, 5).await;
    for _ in 0..40 {
        let pass = app.tick().await;
        app.crash_and_restart().await;
        let pause = pass
            .next_at
            .map_or(TimeDelta::seconds(1), |next| next - app.now());
        app.advance(pause.clamp(TimeDelta::zero(), TimeDelta::seconds(20)));
    }
    app.run_for(TimeDelta::minutes(6)).await;
    assert_eq!(status(&app, &id).await, "ended");
    app.finish().await;
}

#[tokio::test]
async fn a_crash_with_an_answer_in_flight_leaves_nothing_behind() {
    for operation in ["CreateAccountAssignment", "DeleteAccountAssignment"] {
        for fault in [Fault::LoseAnswerBefore, Fault::LoseAnswerAfter] {
            let mut app = TestApp::start().await;
            let id = approved(&app, 5).await;
            app.sandbox.fail_next(operation, fault).unwrap();
            // The pass in which the call is made is the last of this process.
            while !app.sandbox.waiting_faults().is_empty() {
                let pass = app.tick().await;
                if let Some(next) = pass.next_at {
                    app.advance((next - app.now()).max(TimeDelta::milliseconds(50)));
                }
            }
            app.crash_and_restart().await;
            app.run_for(TimeDelta::minutes(8)).await;
            assert_eq!(status(&app, &id).await, "ended");
            app.finish().await;
        }
    }
}

#[tokio::test]
async fn a_clock_that_jumps_stops_new_access_and_no_ending() {
    let app = TestApp::start().await;
    let first = approved(&app, 5).await;
    app.settle().await;
    assert_eq!(status(&app, &first).await, "active");
    // A failover to a host whose clock is half an hour behind.
    app.clock.step(TimeDelta::minutes(-30));
    app.tick().await;
    let (engineer2, approver) = (
        app.sign_in("engineer2").await,
        app.sign_in("approver").await,
    );
    // What is due is due by the time that passed, not by the clock that fell back.
    for _ in 0..6 * 60 {
        app.advance(TimeDelta::seconds(1));
        app.tick().await;
    }
    assert_eq!(status(&app, &first).await, "ended", "nobody gets more (T1)");
    let second = engineer2.asks(5).await;
    approver.act(&second, "approve").await.expect(200);
    app.settle().await;
    assert_ne!(
        engineer2.grant_status(&second).await,
        "active",
        "no access until a restart"
    );
    assert_eq!(app.count_calls("CreateAccountAssignment"), 1);
    assert!(!app.is_assigned(ACCOUNT, SET, "engineer2"));
    app.app.broker.db.pool.close().await;
}
