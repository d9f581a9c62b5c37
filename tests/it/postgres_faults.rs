//! What can happen to Postgres, and that no ending is lost by it: restarts, absence, frozen clients,
//! connections that run out, a failover (protocol L2, G4, D1).
//!
//! `docs/operate.md` tells an operator what each of these looks like; what it says is shown here.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use chrono::{DateTime, TimeDelta, Utc};
use curfew::clock::Clock;
use curfew::postgres::{Db, audit, bounded};
use curfew::sandbox::World;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use crate::support::TestApp;
use crate::support::app::POLICY;
use crate::support::own_postgres::OwnPostgres;
use crate::support::people::send;
use crate::support::served::{Operator, Served, signed_in};

/// Longest that a story waits for a service that runs by itself; a guard, not a wait.
const PATIENCE: Duration = Duration::from_mins(1);

async fn status_of(app: &TestApp, path: &str) -> u16 {
    let request = Request::get(path).body(Body::empty()).unwrap();
    send(&app.router, request).await.status.as_u16()
}

async fn head(app: &TestApp) -> (i64, [u8; 32]) {
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let head = audit::load_head(&mut conn).await.unwrap();
    (head.seq, head.hash)
}

#[tokio::test]
async fn what_comes_due_while_postgres_is_away_ends_when_it_is_back() {
    let mut postgres = OwnPostgres::start().await;
    let app = TestApp::on(postgres.database(), POLICY, World::demo()).await;
    let id = app.approved(10).await;
    app.settle().await;
    assert_eq!(app.status(&id).await, "active");
    let before = head(&app).await;
    let engineer = app.sign_in("engineer").await;
    app.advance(TimeDelta::minutes(10) - TimeDelta::seconds(25));
    postgres.stop().await;
    for _ in 0..3 {
        app.advance(TimeDelta::seconds(10));
        assert!(app.app.engine.tick().await.is_err(), "there is no database");
        assert_eq!(status_of(&app, "/healthz").await, 200);
        assert_eq!(status_of(&app, "/readyz").await, 503);
        let page = engineer.get(&format!("/requests/{id}")).await.expect(503);
        assert!(
            page.text().contains("database"),
            "it says what is wrong: {}",
            page.text()
        );
    }
    assert!(
        app.is_assigned("111111111111", "production-admin", "engineer"),
        "nobody could end it"
    );
    postgres.start_again().await;
    app.settle().await;
    assert_eq!(app.status(&id).await, "ended");
    assert!(head(&app).await.0 > before.0);
    app.finish().await;
    postgres.finish().await;
}

async fn poll<T>(what: impl AsyncFn() -> Option<T>) -> T {
    let polled = async {
        loop {
            if let Some(found) = what().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, polled).await.unwrap()
}

async fn ask(served: &Served, session: &str) -> String {
    let ask = json!({"rule": "staging-admin", "account": "222222222222", "minutes": 60, "reason": "restart the workers"});
    let (_, said) = served.act("/api/v1/requests", session, &ask).await;
    said["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{said}"))
        .to_owned()
}

async fn is(served: &Served, session: &str, id: &str, status: &str) -> Option<()> {
    let (answered, said) = served
        .get(&format!("/api/v1/requests/{id}"), Some(session))
        .await;
    let said: Value = serde_json::from_str(&said).unwrap_or_default();
    (answered == 200 && said["grant"]["status"] == status).then_some(())
}

#[tokio::test]
async fn a_restart_of_postgres_delays_the_ends_of_a_running_service_by_seconds() {
    let mut postgres = OwnPostgres::start().await;
    let operator = Operator::new("restart", postgres.database()).await;
    let served = operator.serve().await;
    let db = Db::new(operator.database.runtime.clone(), 2, Clock::Postgres);
    let engineer = signed_in(&db, "engineer@example.com").await;
    let id = ask(&served, &engineer).await;
    poll(async || is(&served, &engineer, &id, "active").await).await;
    // The hour is nearly over.
    let soon = "update grants set ends_at = clock_timestamp() + interval '1 second'";
    operator.database.run(soon).await;
    postgres.stop().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    postgres.start_again().await;
    poll(async || is(&served, &engineer, &id, "ended").await).await;

    let mut conn = PgConnection::connect_with(&operator.database.owner)
        .await
        .unwrap();
    let row = sqlx::raw_sql(
        "select pg_postmaster_start_time(),
                (select min(intended_at) from operations where kind = 'delete')",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    let (back_at, sent_at): (DateTime<Utc>, DateTime<Utc>) = (row.get(0), row.get(1));
    assert!(
        sent_at > back_at && sent_at - back_at <= TimeDelta::seconds(10),
        "back at {back_at}, and the delete was sent at {sent_at} (G4)"
    );
    conn.close().await.unwrap();
    db.pool.close().await;
    assert!(served.stop().await.success());
    operator.finish().await;
    postgres.finish().await;
}

#[tokio::test]
async fn a_client_that_freezes_in_a_transaction_holds_nobody_up_for_long() {
    // L2: one for each row that the product locks.
    let locks = [
        "select 1 from lease for update",
        "select 1 from requests for update",
        "select 1 from grants for update",
        "select 1 from assignments for update",
        "select 1 from audit_head for update",
    ];
    join_all(locks.map(async |lock| {
        let app = TestApp::start().await;
        let id = app.approved(10).await;
        app.settle().await;
        let engineer = app.sign_in("engineer").await;
        let options = bounded(app.database.runtime.clone());
        let mut frozen = PgConnection::connect_with(&options).await.unwrap();
        for sql in ["begin", lock] {
            sqlx::raw_sql(sql).execute(&mut frozen).await.unwrap();
        }
        engineer.act(&id, "end").await.expect(200);
        let pass = app.app.engine.tick().await.unwrap();
        assert!(pass.led, "the lease is renewed in spite of {lock}");
        let thawed = sqlx::raw_sql("select 1").execute(&mut frozen).await;
        assert!(thawed.is_err(), "its session is over: {lock}");
        app.settle().await;
        assert_eq!(app.status(&id).await, "ended");
        app.finish().await;
    }))
    .await;
}

#[tokio::test]
async fn readers_that_take_every_connection_keep_no_ending_waiting() {
    let app = TestApp::start().await;
    let id = app.approved(10).await;
    app.settle().await;
    app.advance(TimeDelta::minutes(10));
    let pool = &app.app.broker.db.pool;
    let all = pool.options().get_max_connections();
    let taken = join_all((0..all).map(|_| pool.acquire())).await;
    assert!(taken.iter().all(Result::is_ok) && pool.try_acquire().is_none());
    for _ in 0..20 {
        app.app.engine.tick().await.unwrap();
        app.advance(TimeDelta::seconds(1));
    }
    assert!(!app.is_assigned("111111111111", "production-admin", "engineer"));
    drop(taken);
    assert_eq!(app.status(&id).await, "ended");
    app.finish().await;
}

#[tokio::test]
async fn a_failover_to_a_synchronous_standby_loses_nothing() {
    let mut postgres = OwnPostgres::start().await;
    let app = TestApp::on(postgres.database(), POLICY, World::demo()).await;
    postgres.add_standby(true).await;
    let id = app.approved(10).await;
    app.settle().await;
    assert_eq!(app.status(&id).await, "active");
    let before = head(&app).await;
    postgres.fail_over().await;
    assert_eq!(head(&app).await, before, "the last commit is there");
    app.run_for(TimeDelta::minutes(11)).await;
    assert_eq!(app.status(&id).await, "ended");
    app.finish().await;
    postgres.finish().await;
}
