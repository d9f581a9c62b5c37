//! One engine at a time, and correct even if two act for a moment (protocol L1, S4).

use chrono::TimeDelta;
use curfew::access::id::HolderId;
use curfew::access::person::Actor;
use curfew::postgres::change::Change;
use curfew::postgres::lease::{self, Lease};

use crate::support::TestApp;

#[tokio::test]
async fn only_the_holder_of_the_lease_acts_and_another_takes_over_when_it_dies() {
    let app = TestApp::start().await;
    let second = app.another().await;
    app.tick().await;
    let held = second.engine.tick().await.unwrap();
    assert!(!held.led, "the first holds the lease");
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(5).await;
    approver.act(&id, "approve").await.expect(200);
    second.engine.tick().await.unwrap();
    assert_eq!(engineer.grant_status(&id).await, "scheduled");
    app.settle().await;
    assert_eq!(engineer.grant_status(&id).await, "active");
    // The first one dies: no more passes of it. Within ten seconds the second leads.
    app.advance(app.settings.lease_ttl);
    assert!(second.engine.tick().await.unwrap().led);
    app.advance(TimeDelta::minutes(5));
    for _ in 0..20 {
        second.engine.tick().await.unwrap();
        app.advance(TimeDelta::seconds(1));
    }
    assert_eq!(engineer.grant_status(&id).await, "ended");
    // The first thaws: it finds the lease taken.
    assert!(!app.app.engine.tick().await.unwrap().led);
    app.advance(app.settings.lease_ttl);
    app.finish().await;
}

#[tokio::test]
async fn two_engines_that_both_act_give_one_assignment_and_one_event_each() {
    let app = TestApp::start().await;
    let second = app.another().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    for _ in 0..6 {
        app.copy_directory().await;
        let id = engineer.asks(1).await;
        approver.act(&id, "approve").await.expect(200);
        for _ in 0..90 {
            let (one, two) = tokio::join!(app.app.engine.tick(), second.engine.tick());
            assert!(!(one.unwrap().led && two.unwrap().led), "never both");
            // Each in turn lets its lease run out at an inconvenient moment.
            app.advance(TimeDelta::milliseconds(1300));
        }
        assert_eq!(engineer.grant_status(&id).await, "ended");
    }
    app.advance(app.settings.lease_ttl);
    app.finish().await;
}

#[tokio::test]
async fn a_decision_holds_up_no_heartbeat_and_a_frozen_one_no_take_over() {
    let app = TestApp::start().await;
    let db = &app.app.broker.db;
    let (one, two) = (HolderId::new(app.now()), HolderId::new(app.now()));
    let ttl = app.settings.lease_ttl;
    let mut conn = db.conn().await.unwrap();
    assert_eq!(
        lease::hold(&mut conn, one, app.now(), ttl).await.unwrap(),
        Lease::Taken
    );
    let mut deciding = Change::begin(db, Actor::System).await.unwrap();
    lease::share(deciding.conn(), one).await.unwrap().unwrap();
    assert_eq!(
        lease::hold(&mut conn, one, app.now(), ttl).await.unwrap(),
        Lease::Renewed
    );
    // A take-over waits for the decision. This one is frozen, so the database undoes it first (L2).
    let later = app.now() + ttl * 2;
    assert_eq!(
        lease::hold(&mut conn, two, later, ttl).await.unwrap(),
        Lease::Taken
    );
    assert!(
        lease::share(deciding.conn(), one).await.is_err(),
        "the frozen decision is gone"
    );
    drop((deciding, conn));
    app.advance(ttl * 2);
    app.finish().await;
}

#[tokio::test]
async fn an_engine_that_finds_another_world_sends_nothing_and_says_why() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(5).await;
    approver.act(&id, "approve").await.expect(200);
    let was = "update installation set identity_store_id = 'd-9067a1b2c3'";
    app.database
        .run("update installation set identity_store_id = 'd-somebodys'")
        .await;
    let refused = app.app.engine.tick().await.unwrap_err().to_string();
    assert!(
        refused.contains("d-somebodys") && refused.contains("nothing is sent to AWS"),
        "{refused}"
    );
    assert_eq!(
        app.count_calls("ListAccountAssignments") + app.count_calls("CreateAccountAssignment"),
        0
    );
    let ready = engineer.get("/readyz").await.expect(503);
    assert!(
        ready.text().contains("nothing is sent to AWS"),
        "{}",
        ready.text()
    );
    // Nor does a process start in it.
    let started = app.try_another().await;
    assert!(format!("{:#}", started.unwrap_err()).contains("another world"));
    app.database.run(was).await;
    app.settle().await;
    assert_eq!(
        engineer.grant_status(&id).await,
        "active",
        "in its own world it goes on"
    );
    app.run_for(TimeDelta::minutes(6)).await;
    app.finish().await;
}
