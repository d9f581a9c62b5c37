//! Two acts in one instant: one outcome, one event each.

use chrono::TimeDelta;

use crate::support::TestApp;

/// So often is each race run: which of the two comes first is not ours to say.
const TIMES: usize = 12;

#[tokio::test]
async fn two_approvers_in_one_instant_make_one_grant() {
    let app = TestApp::start().await;
    let (engineer, one, two) = (
        app.sign_in("engineer").await,
        app.sign_in("approver").await,
        app.sign_in("approver2").await,
    );
    for _ in 0..TIMES {
        let id = engineer.asks(1).await;
        let (first, second) = tokio::join!(one.act(&id, "approve"), two.act(&id, "approve"));
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        let events = app.events_of(&id).await;
        for once in ["decision.recorded", "request.approved", "grant.scheduled"] {
            assert_eq!(
                events.iter().filter(|event| *event == once).count(),
                1,
                "{events:?}"
            );
        }
        app.run_for(TimeDelta::minutes(2)).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn approve_against_deny_and_against_cancel_has_one_outcome() {
    let app = TestApp::start().await;
    let (engineer, one, two) = (
        app.sign_in("engineer").await,
        app.sign_in("approver").await,
        app.sign_in("approver2").await,
    );
    for round in 0..TIMES {
        let id = engineer.asks(1).await;
        if round % 2 == 0 {
            tokio::join!(one.act(&id, "approve"), two.act(&id, "deny"));
        } else {
            tokio::join!(one.act(&id, "approve"), engineer.act(&id, "cancel"));
        }
        let closing: Vec<_> = app
            .events_of(&id)
            .await
            .into_iter()
            .filter(|event| {
                ["request.approved", "request.denied", "request.cancelled"]
                    .contains(&event.as_str())
            })
            .collect();
        let status = engineer.see(&id).await["status"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(closing, [format!("request.{status}")]);
        app.run_for(TimeDelta::minutes(2)).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn approve_against_lapse_has_one_outcome() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(1).await;
    app.advance(TimeDelta::minutes(240));
    let (answer, lapsed, again) = tokio::join!(
        approver.act(&id, "approve"),
        app.app.broker.lapse_due(),
        app.app.broker.lapse_due()
    );
    answer.expect(409);
    lapsed.unwrap();
    again.unwrap();
    assert_eq!(
        app.events_of(&id)
            .await
            .iter()
            .filter(|event| *event == "request.lapsed")
            .count(),
        1
    );
    assert_eq!(engineer.see(&id).await["status"], "lapsed");
    app.finish().await;
}

#[tokio::test]
async fn end_against_due_ends_once() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    for _ in 0..TIMES {
        let id = engineer.asks(2).await;
        approver.act(&id, "approve").await.expect(200);
        app.run_for(TimeDelta::seconds(20)).await;
        let ends: chrono::DateTime<chrono::Utc> = engineer.see(&id).await["grant"]["ends_at"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        app.advance(ends - app.now());
        let (answer, _) = tokio::join!(engineer.act(&id, "end"), app.app.engine.tick());
        answer.expect(200);
        app.settle().await;
        let events = app.events_of(&id).await;
        for once in ["grant.end_started", "grant.ended"] {
            assert_eq!(
                events.iter().filter(|event| *event == once).count(),
                1,
                "{events:?}"
            );
        }
        assert_eq!(
            engineer.see(&id).await["grant"]["end_reason"],
            "due",
            "its time was over at that instant (T4)"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn two_identical_requests_in_one_instant_make_one() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    for _ in 0..TIMES {
        let ask = || engineer.ask("production-admin", "111111111111", 5);
        let (first, second) = tokio::join!(ask(), ask());
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        let made = if first.status == 201 { first } else { second };
        engineer
            .act(made.json()["id"].as_str().unwrap(), "cancel")
            .await
            .expect(200);
    }
    app.finish().await;
}
