//! Clocks that jump, fall back, or belong to another host after a failover (protocol T1).

use chrono::TimeDelta;

use crate::support::TestApp;

const ACCOUNT: &str = "111111111111";
const SET: &str = "production-admin";

#[tokio::test]
async fn a_clock_that_jumps_stops_new_access_and_no_ending() {
    let app = TestApp::start().await;
    let first = app.approved(5).await;
    app.settle().await;
    assert_eq!(app.status(&first).await, "active");
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
    assert_eq!(app.status(&first).await, "ended", "nobody gets more (T1)");
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

#[tokio::test]
async fn a_failover_to_a_clock_that_is_behind_gives_a_fresh_engine_no_more_time() {
    let mut app = TestApp::start().await;
    let id = app.approved(5).await;
    app.settle().await;
    assert_eq!(app.status(&id).await, "active");
    // The zone fails: the database moves to a host half an hour behind, and another engine starts.
    app.clock.step(TimeDelta::minutes(-30));
    app.crash_and_restart().await;
    let mut led_after = None;
    for second in 0..7 * 60 {
        if app.tick().await.led && led_after.is_none() {
            led_after = Some(second);
        }
        app.advance(TimeDelta::seconds(1));
    }
    assert!(
        led_after.is_some_and(|after| after < 10),
        "led after {led_after:?} (L1)"
    );
    assert!(!app.is_assigned(ACCOUNT, SET, "engineer"), "T1");
    app.app.broker.db.pool.close().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_a_little_starts_access_all_the_same() {
    let app = TestApp::start().await;
    app.tick().await;
    app.clock.step(TimeDelta::seconds(-45));
    let id = app.approved(5).await;
    let before = app.count_calls("IsMemberInGroups");
    for _ in 0..30 {
        app.tick().await;
        app.advance(TimeDelta::seconds(1));
    }
    let checks = app.count_calls("IsMemberInGroups") - before;
    assert_eq!(
        app.status(&id).await,
        "active",
        "{checks} checks in half a minute"
    );
    app.app.broker.db.pool.close().await;
}

#[tokio::test]
async fn an_engine_that_starts_after_hours_without_one_gives_access_at_once() {
    let mut app = TestApp::start().await;
    app.tick().await;
    app.advance(TimeDelta::hours(3));
    app.crash_and_restart().await;
    app.copy_directory().await;
    let id = app.approved(5).await;
    app.settle().await;
    assert_eq!(app.status(&id).await, "active");
    app.run_for(TimeDelta::minutes(6)).await;
    app.finish().await;
}
