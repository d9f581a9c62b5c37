//! What must hold whatever happened: at the end of every story, and, of words, at every pass.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use curfew::audit::chain::{Head, Verifier};
use curfew::postgres::{Db, audit};
use sqlx::Row as _;

use super::TestApp;

/// A row of the ledger's view, as SQL tells it.
struct Line {
    status: String,
    reason: Option<String>,
    tuple: (String, String, String),
}

async fn lines(app: &TestApp) -> Vec<Line> {
    let mut conn = app.app.broker.db.conn().await.unwrap();
    // A witness of its own: not through the product's functions.
    sqlx::raw_sql(
        "select g.status, g.end_reason, a.account_id, a.permission_set_arn, a.user_id
         from grants g join assignments a on a.id = g.assignment_id",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap()
    .into_iter()
    .map(|row| Line {
        status: row.get(0),
        reason: row.get(1),
        tuple: (row.get(2), row.get(3), row.get(4)),
    })
    .collect()
}

fn present(app: &TestApp) -> BTreeSet<(String, String, String)> {
    app.sandbox
        .assignments()
        .into_iter()
        .map(|row| (row.account_id, row.permission_set_arn, row.principal_id))
        .collect()
}

/// Promise P3 at this moment: "ended" and "failed" are said only of what is not there (but for a
/// failure that says that the access stands and is not ours).
pub(crate) async fn words_match_the_world(app: &TestApp) {
    let there = present(app);
    let lines = lines(app).await;
    for line in &lines {
        let is_over = ["ended", "failed"].contains(&line.status.as_str());
        let wanted_by_another = lines.iter().any(|other| {
            other.tuple == line.tuple
                && ["scheduled", "provisioning", "active", "ending"]
                    .contains(&other.status.as_str())
        });
        let is_explained = wanted_by_another || app.by_hand.contains(&line.tuple);
        assert!(
            !(is_over && there.contains(&line.tuple) && !is_explained),
            "a grant is said to be {} ({:?}) while {:?} is there",
            line.status,
            line.reason,
            line.tuple
        );
    }
}

/// Promises P1 to P5 as assertions.
pub(crate) async fn everything(app: &TestApp) {
    let pass = app.tick().await;
    let next = pass.next_at.map(|next| next - app.now());
    assert!(
        next.is_none_or(|next| next > TimeDelta::zero()),
        "due work is left: {next:?}"
    );
    words_match_the_world(app).await;

    let there = present(app);
    let lines = lines(app).await;
    for tuple in &there {
        let explained = app.by_hand.contains(tuple)
            || lines.iter().any(|line| {
                line.tuple == *tuple
                    && ["provisioning", "active", "ending", "closed_unconfirmed"]
                        .contains(&line.status.as_str())
            });
        assert!(
            explained,
            "the sandbox holds {tuple:?}, which the ledger does not explain"
        );
    }
    for line in lines.iter().filter(|line| line.status == "active") {
        assert!(
            there.contains(&line.tuple),
            "active, and not there: {:?}",
            line.tuple
        );
    }
    assert!(
        app.sandbox.waiting_faults().is_empty(),
        "scripted faults never fired: {:?}",
        app.sandbox.waiting_faults()
    );
    the_log_is_whole(&app.app.broker.db).await;
}

/// The chain holds, and nothing happened twice.
pub(crate) async fn the_log_is_whole(db: &Db) {
    let mut conn = db.conn().await.unwrap();
    let head = audit::load_head(&mut conn).await.unwrap();
    let mut verifier = Verifier::from(Head::START);
    let mut seen: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut last_time = String::new();
    for event in audit::list_after(&mut conn, 0, i64::MAX).await.unwrap() {
        verifier
            .next(&event.canonical)
            .unwrap_or_else(|why| panic!("event {}: {why}", event.seq));
        let event: serde_json::Value = serde_json::from_slice(&event.canonical).unwrap();
        let time = event["time"].as_str().unwrap().to_owned();
        assert!(time >= last_time, "time ran backwards at {}", event["seq"]);
        last_time = time;
        let kind = event["type"].as_str().unwrap().to_owned();
        if let Some(grant) = event["grant_id"]
            .as_str()
            .filter(|_| kind.starts_with("grant."))
        {
            *seen.entry((kind.clone(), grant.to_owned())).or_default() += 1;
        }
        if let Some(request) = event["request_id"].as_str()
            && [
                "request.approved",
                "request.denied",
                "request.cancelled",
                "request.lapsed",
            ]
            .contains(&kind.as_str())
        {
            *seen
                .entry(("request closed".to_owned(), request.to_owned()))
                .or_default() += 1;
        }
    }
    assert_eq!(verifier.head(), head, "the head is not the last event");
    for ((kind, id), count) in seen {
        assert_eq!(count, 1, "{kind} {id} happened {count} times");
    }
}
