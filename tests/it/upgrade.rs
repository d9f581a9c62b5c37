//! Upgrades with live grants: a database of an earlier schema, with something in every state, is
//! migrated under way, and everything still ends on time.
//!
//! `upgrade/<version>.jsonl` is a sample of the schema `<version>`: its rows, and what Identity Center
//! had at that moment. Every sample is played: loaded into its own schema, migrated as an operator
//! does it, and lived on to the end. A sample is never edited: it is what an older Curfew left behind.
//!
//! **Who adds a migration** first records the sample of the schema before it, from a checkout without
//! the new migration:
//!
//! ```text
//! CURFEW_RECORD_SAMPLE=1 cargo test --test it a_sample_of_this_schema
//! ```
//!
//! and commits the new file with the migration. Where the state that a new column or table holds is
//! new itself, `past.rs` is where a story gets into it.

mod past;
mod sample;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use curfew::postgres::MIGRATOR;
use sqlx::Row as _;

use crate::support::TestApp;
use crate::support::people::Person;
use crate::upgrade::sample::{Sample, folder};

/// The first schema of which there is a sample: no live grant is older.
const FIRST: i64 = 20_261_124_000_400;

/// Schemas at which no database ever stopped: their migration was merged together with the next one.
const NEVER_ALONE: &[i64] = &[20_261_124_010_000, 20_261_124_020_000];

/// How late an end may be confirmed: an operation of two seconds and what confirms it, twice.
const LATE: TimeDelta = TimeDelta::seconds(30);

/// How late at most if the end had met failures before the upgrade: the longest pause between tries.
const LATE_AFTER_FAILURES: TimeDelta = TimeDelta::minutes(6);

fn newest() -> i64 {
    MIGRATOR.iter().map(|one| one.version).max().unwrap()
}

#[test]
fn every_schema_but_the_newest_has_its_sample() {
    let sampled: BTreeSet<i64> = Sample::all().iter().map(|one| one.version).collect();
    let missing: Vec<i64> = MIGRATOR
        .iter()
        .map(|one| one.version)
        .filter(|version| (FIRST..newest()).contains(version))
        .filter(|version| !sampled.contains(version) && !NEVER_ALONE.contains(version))
        .collect();
    assert!(
        missing.is_empty() && sampled.contains(&FIRST),
        "schemas without a sample: {missing:?}; the head of tests/it/upgrade.rs says how to record one"
    );
}

#[tokio::test]
async fn live_grants_of_every_earlier_schema_end_on_time_after_the_upgrade() {
    let samples = Sample::all();
    assert!(!samples.is_empty());
    for sample in &samples {
        Box::pin(play(sample, Crossing::Lost)).await;
    }
}

#[tokio::test]
async fn creates_that_were_on_their_way_during_the_upgrade_leave_nothing_behind() {
    for sample in &Sample::all() {
        Box::pin(play(sample, Crossing::Arrived)).await;
    }
}

#[tokio::test]
async fn a_sample_of_this_schema_can_be_recorded_and_lives_on() {
    let (app, cookie) = Box::pin(past::lived()).await;
    let sample = Sample::of(&app, newest(), cookie).await;
    sample.has_every_state();
    if std::env::var_os("CURFEW_RECORD_SAMPLE").is_some() {
        std::fs::write(
            folder().join(format!("{}.jsonl", newest())),
            sample.to_text(),
        )
        .unwrap();
    }
    past::forget(app).await;
    let read_back = Sample::from_text(newest(), &sample.to_text());
    Box::pin(play(&read_back, Crossing::Lost)).await;
}

/// What became of the creates whose answer was not recorded when the old version stopped.
#[derive(Clone, Copy, PartialEq)]
enum Crossing {
    /// They never reached Identity Center.
    Lost,
    /// They did, and Identity Center works on them.
    Arrived,
}

/// Loads a sample, upgrades, and lives on until everything is over.
async fn play(sample: &Sample, crossing: Crossing) {
    let database = sample.database().await;
    database.migrate().await;
    let app = sample.resume(database, crossing == Crossing::Arrived).await;
    let began = app.now();
    let before = grants(&app).await;
    let live = before.values().filter(|grant| !grant.is_over()).count();
    assert!(live >= 10, "{live} live grants are too few to prove much");

    // Whoever was signed in still is, and everything that was asked for can be read.
    pages_render(&app, &sample.cookie).await;
    let waiting = sample.request_that("pending");
    app.sign_in("approver")
        .await
        .act(&waiting, "approve")
        .await
        .expect(200);

    // Nobody loses access early by an upgrade.
    let active = || before.values().filter(|grant| grant.status == "active");
    let first_end = active().filter_map(|grant| grant.ends_at).min().unwrap();
    app.run_for(first_end - app.now() - TimeDelta::seconds(1))
        .await;
    let there = sample::present(&app);
    for grant in active() {
        assert!(there.contains(&grant.tuple), "lost early: {grant:?}");
    }

    let last_end = before.values().filter_map(|grant| grant.ends_at).max();
    app.run_for(last_end.unwrap().max(began + TimeDelta::hours(1)) - app.now() + LATE)
        .await;
    let after = grants(&app).await;
    assert!(after.len() == before.len() + 1, "a grant is missing");
    for (id, grant) in &after {
        assert!(grant.is_over(), "not over: {grant:?}");
        match before.get(id) {
            Some(was) if was.is_over() => assert_eq!(was.ended_at, grant.ended_at),
            was => {
                // No later than was said before the upgrade.
                let due_at = was.and_then(|was| was.ends_at).or(grant.ends_at);
                grant.ended_in_time(due_at, &after, began);
            }
        }
    }
    assert_eq!(sample::present(&app), app.by_hand, "something is left");
    pages_render(&app, &sample.cookie).await;
    app.finish().await;
}

/// A grant, by SQL of its own and not through the product's functions.
#[derive(Debug)]
struct Grant {
    status: String,
    tuple: sample::Tuple,
    ends_at: Option<DateTime<Utc>>,
    ending_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

impl Grant {
    fn is_over(&self) -> bool {
        ["ended", "failed"].contains(&self.status.as_str())
    }

    /// Its end began when it was due, and was confirmed soon after the last grant of its tuple began
    /// to end: what two grants share stays until the second one's end.
    fn ended_in_time(
        &self,
        due_at: Option<DateTime<Utc>>,
        all: &BTreeMap<String, Grant>,
        upgraded_at: DateTime<Utc>,
    ) {
        let Some(ending_at) = self.ending_at else {
            assert_eq!(self.status, "failed", "{self:?}");
            return;
        };
        assert!(ending_at <= due_at.unwrap() + LATE, "late: {self:?}");
        let of_tuple = all.values().filter(|other| other.tuple == self.tuple);
        let last = of_tuple.filter_map(|other| other.ending_at).max().unwrap();
        let confirmed_by = if last < upgraded_at {
            upgraded_at + LATE_AFTER_FAILURES
        } else {
            last + LATE
        };
        assert!(
            self.ended_at.unwrap() <= confirmed_by,
            "confirmed after {confirmed_by}: {self:?}"
        );
    }
}

async fn grants(app: &TestApp) -> BTreeMap<String, Grant> {
    let mut conn = app.app.broker.db.conn().await.unwrap();
    sqlx::raw_sql(
        "select g.id::text, g.status, a.account_id, a.permission_set_arn, a.user_id,
                g.ends_at, g.ending_at, g.ended_at
         from grants g join assignments a on a.id = g.assignment_id",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap()
    .into_iter()
    .map(|row| {
        let grant = Grant {
            status: row.get(1),
            tuple: (row.get(2), row.get(3), row.get(4)),
            ends_at: row.get(5),
            ending_at: row.get(6),
            ended_at: row.get(7),
        };
        (row.get(0), grant)
    })
    .collect()
}

/// Every page that shows what is stored, to somebody who may see it.
async fn pages_render(app: &TestApp, cookie: &str) {
    let mut engineer = app.sign_in("engineer").await;
    cookie.clone_into(&mut engineer.cookie);
    let (auditor, admin) = (app.sign_in("auditor").await, app.sign_in("admin").await);
    for (person, pages) in [
        (&engineer, &["/", "/requests", "/requests/new"][..]),
        (&auditor, &["/requests", "/audit", "/policy"]),
        (&admin, &["/operations"]),
    ] {
        for page in pages {
            person.get(page).await.expect(200);
        }
    }
    let export = auditor.get("/audit/export?format=csv").await.expect(200);
    assert!(export.text().contains("grant.activated"));
    for request in requests(&auditor).await {
        let page = auditor.get(&format!("/requests/{request}")).await;
        assert!(page.expect(200).text().contains(&request));
    }
}

/// The ids of all requests.
async fn requests(auditor: &Person) -> Vec<String> {
    let answer = auditor.get("/api/v1/requests?limit=200").await.expect(200);
    let answer = answer.json();
    let requests = answer["requests"].as_array().unwrap();
    requests
        .iter()
        .map(|request| request["id"].as_str().unwrap().to_owned())
        .collect()
}
