//! A database that lost commits: an asynchronous standby that was promoted, an old backup (protocol D1
//! to D3, R1, R2). Nothing is given until it is mended, and nothing that was given stays.

use chrono::TimeDelta;
use curfew::sandbox::{PrincipalType, World};

use crate::support::TestApp;
use crate::support::app::POLICY;
use crate::support::own_postgres::OwnPostgres;
use crate::support::people::Person;

const ACCOUNT: &str = "111111111111";
const SET: &str = "production-admin";

async fn with_lagging_standby() -> (OwnPostgres, TestApp) {
    with_lagging_standby_and(POLICY).await
}

async fn with_lagging_standby_and(policy: &str) -> (OwnPostgres, TestApp) {
    let mut postgres = OwnPostgres::start().await;
    let app = TestApp::on(postgres.database(), policy, World::demo()).await;
    app.tick().await;
    postgres.add_standby(false).await;
    (postgres, app)
}

/// `engineer2` asks, and somebody agrees.
async fn approved_for_another(app: &TestApp, minutes: u32) -> String {
    let id = app.sign_in("engineer2").await.asks(minutes).await;
    let approver = app.sign_in("approver").await;
    approver.act(&id, "approve").await.expect(200);
    id
}

async fn decide(admin: &Person, what: &str, expected: u16) {
    admin
        .post_form(&format!("/operations/recovery/{what}"), &[])
        .await
        .expect(expected);
}

/// Nobody can ask, and what was approved before waits.
async fn nothing_starts(app: &TestApp, waiting: &str) {
    let creates = app.count_calls("CreateAccountAssignment");
    let asked = app
        .sign_in("both")
        .await
        .ask("production-admin", ACCOUNT, 5)
        .await
        .expect(409);
    assert_eq!(asked.code(), "recovering");
    app.run_for(TimeDelta::seconds(5)).await;
    let seen = app.sign_in("engineer2").await.see(waiting).await;
    assert_eq!(seen["grant"]["status"], "scheduled", "{seen}");
    assert_eq!(app.count_calls("CreateAccountAssignment"), creates);
}

/// The ids of the findings that wait for a decision, in the order of the page.
async fn findings(admin: &Person) -> Vec<String> {
    let page = admin.get("/operations/recovery").await.expect(200).text();
    let parts = page.split("/operations/recovery/findings/").skip(1);
    let ids = parts.filter_map(|part| part.split_once("/remove"));
    ids.map(|(id, _)| id.to_owned())
        .filter(|id| id.len() == 36)
        .collect()
}

#[tokio::test]
async fn what_lost_commits_had_given_is_taken_away_and_nothing_starts_until_somebody_confirms() {
    // D2: the process that runs on remembers what the database forgot.
    let (mut postgres, app) = with_lagging_standby().await;
    let waiting = approved_for_another(&app, 5).await;
    postgres.cut_off_standby().await;
    let lost = app.approved(60).await;
    app.settle().await;
    assert_eq!(app.status(&lost).await, "active");
    postgres.fail_over().await;
    let admin = app.sign_in("admin").await;
    app.run_for(TimeDelta::seconds(3)).await;
    nothing_starts(&app, &waiting).await;
    app.settle().await;
    assert!(
        !app.is_assigned(ACCOUNT, SET, "engineer"),
        "nobody would ever have ended it"
    );
    let home = app.sign_in("admin").await.get("/operations").await;
    assert!(home.text().contains("lost commits"));
    app.run_for(TimeDelta::minutes(1)).await;
    decide(&app.sign_in("engineer").await, "confirm", 403).await;
    decide(&admin, "confirm", 303).await;
    decide(&admin, "confirm", 409).await;
    app.settle().await;
    assert!(
        app.is_assigned(ACCOUNT, SET, "engineer2"),
        "what was approved before starts now"
    );
    app.run_for(TimeDelta::minutes(6)).await;
    app.finish().await;
    postgres.finish().await;
}

#[tokio::test]
async fn what_nobody_remembers_is_found_by_the_sweep_and_an_administrator_decides() {
    let (mut postgres, mut app) = with_lagging_standby().await;
    app.sandbox
        .add_assignment(ACCOUNT, SET, PrincipalType::User, "engineer2")
        .unwrap();
    let world = app.sandbox.world();
    let (set, user) = (
        world.permission_set_named(SET).unwrap().arn.clone(),
        world.user_named("engineer2").unwrap().id.clone(),
    );
    app.by_hand.insert((ACCOUNT.to_owned(), set, user));
    postgres.cut_off_standby().await;
    // The other replica sees a sign-in, and nothing of what comes then.
    let other = app.another().await;
    app.sign_in("auditor").await;
    other.engine.tick().await.unwrap();
    let lost = app.approved(60).await;
    app.settle().await;
    let seen = app.sign_in("engineer").await.see(&lost).await;
    assert_eq!(seen["grant"]["status"], "active", "{seen}");
    postgres.fail_over().await;
    app.dies_and_leaves_it_to(other).await;
    app.run_for(TimeDelta::seconds(10)).await;
    let admin = app.sign_in("admin").await;
    decide(&admin, "confirm", 409).await;
    app.run_for(TimeDelta::minutes(6)).await;
    let found = findings(&admin).await;
    assert_eq!(found.len(), 2, "one that stands, and one that was lost");
    decide(&admin, "confirm", 409).await;
    let page = admin.get("/operations/recovery").await.expect(200).text();
    let engineers_first =
        page.find("engineer@example.com").unwrap() < page.find("engineer2@example.com").unwrap();
    let (lost, stands) = if engineers_first { (0, 1) } else { (1, 0) };
    decide(&admin, &format!("findings/{}/remove", found[lost]), 303).await;
    decide(&admin, &format!("findings/{}/keep", found[stands]), 303).await;
    decide(&admin, &format!("findings/{}/keep", found[lost]), 409).await;
    app.settle().await;
    assert!(!app.is_assigned(ACCOUNT, SET, "engineer"));
    assert!(app.is_assigned(ACCOUNT, SET, "engineer2"), "it stood (P4)");
    decide(&admin, "confirm", 303).await;
    app.settle().await;
    app.finish().await;
    postgres.finish().await;
}

#[tokio::test]
async fn of_an_exclusive_permission_set_what_the_sweep_finds_is_deleted_without_asking() {
    // D3
    let policy = POLICY.replace("exclusive = false", "exclusive = true");
    assert_ne!(policy, POLICY);
    let (mut postgres, app) = with_lagging_standby_and(&policy).await;
    app.sandbox
        .add_assignment(ACCOUNT, SET, PrincipalType::User, "engineer2")
        .unwrap();
    postgres.cut_off_standby().await;
    app.sign_in("auditor").await;
    app.tick().await;
    postgres.fail_over().await;
    app.run_for(TimeDelta::minutes(7)).await;
    assert!(!app.is_assigned(ACCOUNT, SET, "engineer2"));
    decide(&app.sign_in("admin").await, "confirm", 303).await;
    app.finish().await;
    postgres.finish().await;
}

#[tokio::test]
async fn an_old_backup_takes_nothing_back_and_leaves_nothing_behind() {
    let mut postgres = OwnPostgres::start().await;
    let mut app = TestApp::on(postgres.database(), POLICY, World::demo()).await;
    let early = app.approved(60).await;
    app.settle().await;
    postgres.back_up().await;
    // After the backup: what it knows as active is ended, and somebody else gets access.
    let engineer = app.sign_in("engineer").await;
    engineer.act(&early, "end").await.expect(200);
    app.settle().await;
    let late = approved_for_another(&app, 60).await;
    app.settle().await;
    let seen = app.sign_in("engineer2").await.see(&late).await;
    assert_eq!(seen["grant"]["status"], "active", "{seen}");
    assert!(app.is_assigned(ACCOUNT, SET, "engineer2"));
    postgres.restore().await;
    // The process that remembers is a new one: what it knows stands in its folder.
    app.crash_and_restart().await;
    app.run_for(TimeDelta::minutes(1)).await;
    assert!(!app.is_assigned(ACCOUNT, SET, "engineer2"));
    let seen = app.sign_in("engineer").await.see(&early).await;
    assert_eq!(seen["grant"]["end_reason"], "removed_outside", "{seen}");
    app.run_for(TimeDelta::minutes(6)).await;
    decide(&app.sign_in("admin").await, "confirm", 303).await;
    app.settle().await;
    app.finish().await;
    postgres.finish().await;
}
