//! Three `curfew serve` on one database and one AWS: whatever befalls the one that leads, another goes on
//! within ten seconds, nothing that anybody can see happens twice, and every replica that can be reached
//! serves pages and announces changes on its streams (protocol L1, L2, L3).
//!
//! Real processes in real time: what is waited for is always a state. How long a take-over took is read
//! from the rows, on the database's clock. A clock is set wrong for one process by a library that is
//! loaded into it; the sandbox refuses a signature that is more than five seconds old or five minutes
//! ahead, as AWS does after fifteen minutes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use curfew::access::id::HolderId;
use curfew::clock::Clock;
use curfew::postgres::{Db, audit, lease, replicas};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::check;
use crate::support::database::Database;
#[cfg(target_os = "linux")]
use crate::support::served::run_to_its_end;
use crate::support::served::{Operator, Served, signed_in};
use crate::support::wire::Wire;
#[cfg(target_os = "linux")]
use crate::support::wrong_clock::WrongClock;

/// Longest that anything here is waited for; a guard, not a wait.
const PATIENCE: Duration = Duration::from_mins(2);

/// How soon another replica leads.
const WITHIN: TimeDelta = TimeDelta::seconds(10);

/// A grant's whole life, each step once.
const ONCE: [&str; 16] = [
    "request.created",
    "decision.recorded",
    "request.approved",
    "grant.scheduled",
    "grant.provisioning_started",
    "assignment.create_intended",
    "assignment.create_accepted",
    "assignment.create_succeeded",
    "assignment.create_confirmed",
    "grant.activated",
    "grant.end_started",
    "assignment.delete_intended",
    "assignment.delete_accepted",
    "assignment.delete_succeeded",
    "assignment.delete_confirmed",
    "grant.ended",
];

/// Three replicas, of which the first leads at the start, and two people.
struct Three {
    served: Vec<Served>,
    ids: Vec<HolderId>,
    db: Db,
    engineer: String,
    approver: String,
    operator: Operator,
}

/// A page that is watched live: the numbers that were announced to it.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Vec<i64>>>);

impl Watched {
    fn heard(&self) -> Vec<i64> {
        self.0.lock().unwrap().clone()
    }
}

/// Asks until the answer is yes.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    asked.unwrap_or_else(|_| panic!("never: {what}"));
}

impl Three {
    /// Starts them; the first by a command that is changed like this.
    async fn start(operator: Operator, first: impl FnOnce(&mut std::process::Command)) -> Self {
        operator.sandbox.set_settings(|settings| {
            settings.calls_per_second = 0;
            // So long that what befalls the leader befalls it while an operation is under way.
            settings.operation_millis = 2500..=2500;
        });
        let mut served = vec![operator.serve_as(first).await];
        for _ in 0..2 {
            served.push(operator.serve().await);
        }
        let db = operator.db();
        let mut conn = db.conn().await.unwrap();
        let now = db.clock.now(&mut conn).await.unwrap();
        let ids: Vec<_> = replicas::list(&mut conn, now)
            .await
            .unwrap()
            .into_iter()
            .map(|replica| HolderId(replica.id))
            .collect();
        drop(conn);
        assert_eq!(ids.len(), 3);
        let three = Self {
            engineer: signed_in(&db, "engineer@example.com").await,
            approver: signed_in(&db, "approver@example.com").await,
            served,
            ids,
            db,
            operator,
        };
        assert_eq!(three.leader().await, Some(0), "the first leads");
        three
    }

    async fn lease(&self) -> lease::Held {
        let mut conn = self.db.conn().await.unwrap();
        lease::load(&mut conn).await.unwrap()
    }

    /// Who holds the lease, whether or not it has run out.
    async fn leader(&self) -> Option<usize> {
        let holder = self.lease().await.holder;
        self.ids.iter().position(|id| Some(*id) == holder)
    }

    async fn events(&self) -> Vec<Value> {
        let mut conn = self.db.conn().await.unwrap();
        let stored = audit::list_after(&mut conn, 0, i64::MAX).await.unwrap();
        stored
            .iter()
            .map(|event| serde_json::from_slice(&event.canonical).unwrap())
            .collect()
    }

    async fn events_of(&self, id: &str) -> Vec<Value> {
        let mut events = self.events().await;
        events.retain(|event| event["request_id"] == id);
        events
    }

    /// Waits until this event of the request is there.
    async fn until_event(&self, id: &str, kind: &str) {
        until(kind, async || {
            let events = self.events_of(id).await;
            events.iter().any(|event| event["type"] == kind)
        })
        .await;
    }

    /// Waits until another replica than the first leads, and gives which, and when it took the lease.
    async fn is_taken_over(&self) -> (usize, DateTime<Utc>) {
        let mut heartbeat = self.lease().await.renewed_at.unwrap();
        until("another replica leads", async || {
            let held = self.lease().await;
            let is_taken = held.expires_at.is_some() && held.holder != Some(self.ids[0]);
            if held.holder == Some(self.ids[0]) {
                heartbeat = held.renewed_at.unwrap();
            }
            is_taken
        })
        .await;
        let leader = self.leader().await.unwrap();
        let holder = self.ids[leader].to_string();
        let events = self.events().await;
        let taken = events.iter().find(|event| {
            event["type"] == "engine.lease_taken" && event["data"]["holder"] == holder
        });
        let taken: DateTime<Utc> = taken.unwrap()["time"].as_str().unwrap().parse().unwrap();
        let took = taken - heartbeat;
        assert!(took <= WITHIN, "another replica led after {took}");
        (leader, taken)
    }

    /// The engineer asks on one replica, the approver agrees on another.
    async fn approved(&self, on: [usize; 2]) -> String {
        let ask = json!({"rule": "production-admin", "account": "111111111111", "minutes": 30, "reason": "restart the payment workers"});
        let (status, made) = self.served[on[0]]
            .act("/api/v1/requests", &self.engineer, &ask)
            .await;
        assert_eq!(status, 201, "{made}");
        let id = made["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/requests/{id}/approve");
        let (status, said) = self.served[on[1]]
            .act(&path, &self.approver, &json!({}))
            .await;
        assert_eq!(status, 200, "{said}");
        id
    }

    async fn end(&self, on: usize, id: &str) {
        let path = format!("/api/v1/requests/{id}/end");
        let (status, said) = self.served[on].act(&path, &self.engineer, &json!({})).await;
        assert_eq!(status, 200, "{said}");
    }

    /// Watches the request on one replica, as its page does: where a stream ends, it opens the next.
    fn watch(&self, on: usize, id: &str) -> Watched {
        let watched = Watched::default();
        let heard = watched.clone();
        let path = format!("/requests/{id}/live");
        let request = self.served[on].request(Method::GET, &path, Some(&self.engineer));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let after = heard.heard().last().copied().unwrap_or(0);
                let request = request.try_clone().unwrap().header("last-event-id", after);
                if let Ok(mut answer) = request.send().await {
                    let mut text = String::new();
                    while let Ok(Some(some)) = answer.chunk().await {
                        text += std::str::from_utf8(&some).unwrap();
                        while let Some((event, rest)) = text.split_once("\n\n") {
                            let of_change = event.lines().any(|line| line == "event: changed");
                            let seq = event.lines().find_map(|line| line.strip_prefix("id: "));
                            if of_change {
                                heard.0.lock().unwrap().push(seq.unwrap().parse().unwrap());
                            }
                            text = rest.to_owned();
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        watched
    }

    /// Every replica shows the grant like this, on its page and to programs.
    async fn all_say(&self, on: &[usize], id: &str, status: &str) {
        for on in on {
            until(&format!("replica {on} says {status}"), async || {
                let path = format!("/api/v1/requests/{id}");
                let (code, said) = self.served[*on].get(&path, Some(&self.engineer)).await;
                let said: Value = serde_json::from_str(&said).unwrap_or_default();
                code == 200 && said["grant"]["status"] == status
            })
            .await;
            let page = format!("/requests/{id}");
            let (code, page) = self.served[*on].get(&page, Some(&self.engineer)).await;
            assert!(code == 200 && page.contains("production-admin"), "{page}");
        }
    }

    /// The newest change of the request was announced there, and no change twice.
    async fn hears_everything(&self, watched: &Watched, id: &str) {
        let newest = self.events_of(id).await.last().unwrap()["seq"].as_i64();
        until("the newest change is announced", async || {
            watched.heard().last().copied() == newest
        })
        .await;
        let heard = watched.heard();
        assert!(heard.is_sorted_by(|one, next| one < next), "{heard:?}");
    }

    /// Everything about this request happened once, here and in AWS, and nothing is left.
    async fn happened_once(&self, id: &str) {
        let events = self.events_of(id).await;
        let kinds: Vec<_> = events
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect();
        assert_eq!(without_refused(kinds), ONCE);
        for operation in ["CreateAccountAssignment", "DeleteAccountAssignment"] {
            let calls = self.operator.sandbox.calls();
            let done = calls
                .iter()
                .filter(|call| call.operation == operation && call.outcome == "ok");
            assert_eq!(done.count(), 1, "{operation}");
        }
        let world = self.operator.sandbox.world();
        let engineer = &world.user_named("engineer").unwrap().id;
        let left = self.operator.sandbox.assignments();
        let is_left = left.iter().any(|row| row.principal_id == *engineer);
        assert!(!is_left, "{left:?}");
        check::the_log_is_whole(&self.db).await;
    }

    async fn finish(self) {
        drop(self.served);
        self.db.pool.close().await;
        self.operator.finish().await;
    }
}

/// Without the attempts that AWS refused: each is an intent and its refusal, and nothing came of it.
fn without_refused(kinds: Vec<&str>) -> Vec<&str> {
    let mut left = Vec::new();
    for kind in kinds {
        if kind == "assignment.delete_refused" {
            assert_eq!(left.pop(), Some("assignment.delete_intended"));
        } else {
            left.push(kind);
        }
    }
    left
}

async fn operator(name: &str) -> Operator {
    Operator::new(name, Database::create().await).await
}

// The stories are told side by side: they wait most of the time.

#[tokio::test]
async fn a_leader_that_dies_or_falls_silent_is_followed_within_ten_seconds() {
    tokio::join!(is_killed(), freezes_and_thaws(), is_cut_off_from_postgres());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_leader_whose_signatures_aws_refuses_hands_the_lease_on_within_ten_seconds() {
    tokio::join!(has_a_clock_that_is_behind(), has_a_clock_that_is_ahead());
}

#[tokio::test]
async fn a_connection_that_fell_silent_is_replaced_idle_or_in_use() {
    let operator = operator("silent").await;
    let wire = Wire::lay(&operator.database, &operator.folder);
    let db = Db::new(wire.url.parse().unwrap(), 1, Clock::Postgres);
    drop(db.conn().await.unwrap());
    until("it is idle", async || db.pool.num_idle() == 1).await;
    wire.cut();
    wire.mend();
    let mut conn = db.conn().await.expect("the idle one is replaced");
    wire.cut();
    let asked = db.clock.now(&mut conn);
    let asked = tokio::time::timeout(Duration::from_millis(200), asked);
    assert!(asked.await.is_err(), "it is silent");
    drop(conn);
    wire.mend();
    db.conn().await.expect("the one in use is given up");
    operator.finish().await;
}

/// It ends without a word.
async fn is_killed() {
    let three = Three::start(operator("killed").await, |_| {}).await;
    let id = three.approved([1, 2]).await;
    let watched = [three.watch(1, &id), three.watch(2, &id)];
    three.until_event(&id, "assignment.create_accepted").await;
    three.served[0].signal(Signal::KILL);
    let (leader, _) = three.is_taken_over().await;
    three.all_say(&[1, 2], &id, "active").await;
    // On the one that does not lead.
    three.end(3 - leader, &id).await;
    three.all_say(&[1, 2], &id, "ended").await;
    for watched in &watched {
        three.hears_everything(watched, &id).await;
    }
    three.happened_once(&id).await;
    three.finish().await;
}

/// It stands still, comes back when another leads, and does no harm.
async fn freezes_and_thaws() {
    let three = Three::start(operator("frozen").await, |_| {}).await;
    let id = three.approved([1, 2]).await;
    let watched = [0, 1, 2].map(|on| three.watch(on, &id));
    three.until_event(&id, "assignment.create_accepted").await;
    three.served[0].signal(Signal::STOP);
    let (leader, _) = three.is_taken_over().await;
    three.all_say(&[1, 2], &id, "active").await;
    three.served[0].signal(Signal::CONT);
    three.all_say(&[0], &id, "active").await;
    three.end(0, &id).await;
    three.all_say(&[0, 1, 2], &id, "ended").await;
    assert_eq!(three.leader().await, Some(leader), "it has not come back");
    for watched in &watched {
        three.hears_everything(watched, &id).await;
    }
    three.happened_once(&id).await;
    three.finish().await;
}

/// It hears nothing from Postgres and is not told why; later it follows.
async fn is_cut_off_from_postgres() {
    let operator = operator("cut").await;
    let wire = Wire::lay(&operator.database, &operator.folder);
    let three = Three::start(operator, |command| {
        command.env("DATABASE_URL", &wire.url);
    })
    .await;
    let id = three.approved([0, 1]).await;
    let watched = [0, 1, 2].map(|on| three.watch(on, &id));
    three.until_event(&id, "assignment.create_accepted").await;
    wire.cut();
    let (leader, _) = three.is_taken_over().await;
    three.all_say(&[1, 2], &id, "active").await;
    // Nobody told it; it says so itself.
    assert_eq!(three.served[0].get("/healthz", None).await.0, 200);
    assert_eq!(three.served[0].get("/readyz", None).await.0, 503);
    wire.mend();
    three.all_say(&[0], &id, "active").await;
    three.end(0, &id).await;
    three.all_say(&[0, 1, 2], &id, "ended").await;
    for watched in &watched {
        three.hears_everything(watched, &id).await;
    }
    wire.close_cut();
    until("it is ready again", async || {
        three.served[0].get("/readyz", None).await.0 == 200
    })
    .await;
    assert_eq!(three.leader().await, Some(leader), "it follows");
    three.happened_once(&id).await;
    three.finish().await;
}

/// When AWS first refused a signature.
#[cfg(target_os = "linux")]
fn refused_at(three: &Three) -> DateTime<Utc> {
    let calls = three.operator.sandbox.calls();
    let refused = calls
        .iter()
        .find(|call| call.outcome == "InvalidSignatureException");
    refused.unwrap().at
}

/// The first replica's clock is right again: it serves, and follows.
#[cfg(target_os = "linux")]
async fn follows_in_time(three: &Three, clock: &WrongClock, leader: usize) {
    clock.set(0);
    until("it is ready again", async || {
        three.served[0].get("/readyz", None).await.0 == 200
    })
    .await;
    assert_eq!(three.leader().await, Some(leader));
}

/// AWS refuses its signatures while an operation is under way.
#[cfg(target_os = "linux")]
async fn has_a_clock_that_is_behind() {
    let operator = operator("behind").await;
    let clock = WrongClock::new(&operator.folder);
    let three = Three::start(operator, |command| clock.give_to(command)).await;
    let id = three.approved([0, 1]).await;
    let watched = [0, 1, 2].map(|on| three.watch(on, &id));
    three.until_event(&id, "assignment.create_accepted").await;
    clock.set(-20 * 60);
    let (leader, taken_at) = three.is_taken_over().await;
    let took = taken_at - refused_at(&three);
    assert!(took <= WITHIN, "another replica led {took} after a refusal");
    // Nor does a replica start with such a clock, and it says why.
    let mut command = three.operator.command(&["serve"]);
    clock.give_to(&mut command);
    let (is_ok, said) = run_to_its_end(command).await;
    assert!(!is_ok && said.contains("Signature expired"), "{said}");
    three.all_say(&[0, 1, 2], &id, "active").await;
    three.end(0, &id).await;
    three.all_say(&[0, 1, 2], &id, "ended").await;
    assert_eq!(three.leader().await, Some(leader), "it has not come back");
    for watched in &watched {
        three.hears_everything(watched, &id).await;
    }
    follows_in_time(&three, &clock, leader).await;
    three.happened_once(&id).await;
    three.finish().await;
}

/// It leads as long as AWS takes its signatures; when not, another ends the access.
#[cfg(target_os = "linux")]
async fn has_a_clock_that_is_ahead() {
    let operator = operator("ahead").await;
    let clock = WrongClock::new(&operator.folder);
    let three = Three::start(operator, |command| clock.give_to(command)).await;
    clock.set(2 * 60);
    let id = three.approved([0, 1]).await;
    let watched = [0, 1, 2].map(|on| three.watch(on, &id));
    three.all_say(&[0, 1, 2], &id, "active").await;
    assert_eq!(three.leader().await, Some(0));
    clock.set(10 * 60);
    three.end(1, &id).await;
    let (leader, taken_at) = three.is_taken_over().await;
    let took = taken_at - refused_at(&three);
    assert!(took <= WITHIN, "another replica led {took} after a refusal");
    three.all_say(&[0, 1, 2], &id, "ended").await;
    for watched in &watched {
        three.hears_everything(watched, &id).await;
    }
    follows_in_time(&three, &clock, leader).await;
    three.happened_once(&id).await;
    three.finish().await;
}
