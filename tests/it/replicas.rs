//! One engine at a time, and correct even if two act for a moment (protocol L1, S4); and one that AWS does
//! not answer lets another lead.

use chrono::TimeDelta;
use curfew::access::id::HolderId;
use curfew::access::person::Actor;
use curfew::postgres::audit;
use curfew::postgres::change::Change;
use curfew::postgres::lease::{self, Lease};
use curfew::sandbox::Fault;

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

/// Identity Center answers nothing for so many looks.
fn unanswered(app: &TestApp, looks: usize) {
    for _ in 0..looks {
        app.sandbox
            .fail_next("ListAccountAssignments", Fault::LoseAnswerBefore)
            .unwrap();
    }
}

/// Passes of the first engine until it follows.
async fn stands_aside(app: &TestApp) {
    for _ in 0..60 {
        if !app.app.engine.tick().await.unwrap().led {
            return;
        }
        app.advance(TimeDelta::milliseconds(250));
    }
    panic!("it holds on to the lease");
}

/// How often the lease changed hands.
async fn times_taken(app: &TestApp) -> usize {
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let events = audit::list_after(&mut conn, 0, i64::MAX).await.unwrap();
    let taken = events
        .iter()
        .filter(|event| String::from_utf8_lossy(&event.canonical).contains("engine.lease_taken"));
    taken.count()
}

#[tokio::test]
async fn an_engine_that_aws_does_not_answer_lets_another_lead() {
    let app = TestApp::start().await;
    let second = app.another().await;
    app.tick().await;
    unanswered(&app, 3);
    let id = app.approved(5).await;
    stands_aside(&app).await;
    assert!(second.engine.tick().await.unwrap().led);
    app.advance(TimeDelta::seconds(4));
    assert!(!app.app.engine.tick().await.unwrap().led, "it follows");
    for _ in 0..10 {
        app.advance(TimeDelta::seconds(1));
        second.engine.tick().await.unwrap();
    }
    assert_eq!(app.status(&id).await, "active");
    app.advance(app.settings.lease_ttl);
    app.run_for(TimeDelta::minutes(6)).await;
    app.finish().await;
}

#[tokio::test]
async fn an_engine_that_nobody_relieves_goes_on_and_the_log_is_not_filled() {
    let app = TestApp::start().await;
    let id = app.approved(5).await;
    // Alone there is nobody to stand aside for.
    unanswered(&app, 3);
    for _ in 0..80 {
        assert!(app.tick().await.led);
        app.advance(TimeDelta::milliseconds(250));
    }
    assert_eq!(app.status(&id).await, "active");
    // Another one runs, and can't do it either.
    let second = app.another().await;
    let engineer2 = app.sign_in("engineer2").await;
    let other = engineer2.asks(5).await;
    app.sign_in("approver").await.act(&other, "approve").await;
    unanswered(&app, 3);
    stands_aside(&app).await;
    app.sandbox
        .fail_next("ListInstances", Fault::LoseAnswerBefore)
        .unwrap();
    assert!(second.engine.tick().await.is_err());
    app.advance(TimeDelta::seconds(4));
    assert!(app.tick().await.led, "it goes on where it was");
    app.settle().await;
    assert_eq!(engineer2.grant_status(&other).await, "active");
    assert_eq!(times_taken(&app).await, 1);
    app.run_for(TimeDelta::minutes(6)).await;
    app.finish().await;
}
