//! A past with something in every state: what a database holds at the moment of an upgrade.
//!
//! Told through the real product, so that every row is one that it writes, and the log verifies. Each
//! request has an account of its own, so that nothing here disturbs anything else.

use chrono::TimeDelta;
use curfew::sandbox::{AccountState, Fault, PrincipalType};
use serde_json::json;

use crate::support::TestApp;
use crate::support::app::{POLICY, world_with_accounts};
use crate::support::people::Person;

/// Accounts beside the demo's.
pub(super) const ACCOUNTS: u32 = 24;

const SET: &str = "production-admin";
const CREATE: &str = "CreateAccountAssignment";
const DELETE: &str = "DeleteAccountAssignment";

/// Two rules that give the same, so that two grants can share an assignment.
fn policy() -> String {
    let (rule, rest) = POLICY.split_at(POLICY.find("[[rule]]\nname = \"staging").unwrap());
    let second = &rule[rule.find("[[rule]]").unwrap()..];
    let second = second.replacen("name = \"production-admin\"", "name = \"on-call\"", 1);
    format!("{rule}{second}{rest}")
}

fn account(number: u32) -> String {
    format!("44444444{number:04}")
}

/// People who do things, and the next account that nobody used yet.
struct Story {
    app: TestApp,
    engineer: Person,
    approver: Person,
    used: u32,
}

impl Story {
    fn account(&mut self) -> String {
        self.used += 1;
        assert!(self.used <= ACCOUNTS, "more accounts are needed");
        account(self.used - 1)
    }

    async fn asked(&mut self, minutes: u32) -> (String, String) {
        let account = self.account();
        let made = self.engineer.ask(SET, &account, minutes).await.expect(201);
        (made.json()["id"].as_str().unwrap().to_owned(), account)
    }

    async fn approved(&mut self, minutes: u32) -> (String, String) {
        let (id, account) = self.asked(minutes).await;
        self.approver.act(&id, "approve").await.expect(200);
        (id, account)
    }

    async fn active(&mut self, minutes: u32) -> (String, String) {
        let (id, account) = self.approved(minutes).await;
        self.app.settle().await;
        assert_eq!(self.engineer.grant_status(&id).await, "active");
        (id, account)
    }

    fn fail_next(&self, operation: &str, fault: Fault) {
        self.app.sandbox.fail_next(operation, fault).unwrap();
    }
}

/// The service at the moment of the upgrade, and the cookie of somebody who is signed in.
pub(super) async fn lived() -> (TestApp, String) {
    let app = TestApp::with(&policy(), world_with_accounts(ACCOUNTS)).await;
    let mut story = Story {
        engineer: app.sign_in("engineer").await,
        approver: app.sign_in("approver").await,
        app,
        used: 0,
    };
    came_to_nothing(&mut story).await;
    over(&mut story).await;
    bad_day(&mut story).await;
    in_trouble(&mut story).await;
    live(&mut story).await;
    (story.app, story.engineer.cookie)
}

async fn came_to_nothing(story: &mut Story) {
    let (denied, _) = story.asked(10).await;
    story.approver.act(&denied, "deny").await.expect(200);
    let (cancelled, _) = story.asked(10).await;
    story.engineer.act(&cancelled, "cancel").await.expect(200);
    story.asked(10).await;
    // It lapses.
    story.app.run_for(TimeDelta::minutes(241)).await;
}

async fn over(story: &mut Story) {
    let (early, _) = story.active(60).await;
    story.engineer.act(&early, "end").await.expect(200);

    story.fail_next(CREATE, Fault::LoseAnswerBefore);
    story.active(5).await;

    let reason = "Received a 404 status error: Not supported policy";
    let fault = Fault::AsyncFailed {
        reason: reason.to_owned(),
        takes_effect: false,
    };
    story.fail_next(CREATE, fault);
    story.approved(5).await;
    story.app.settle().await;

    let (_, removed) = story.active(5).await;
    let by_hand = |app: &TestApp| {
        app.sandbox
            .remove_assignment(&removed, SET, PrincipalType::User, "engineer")
            .unwrap();
    };
    by_hand(&story.app);

    let standing = account(story.used);
    let sandbox = &story.app.sandbox;
    sandbox
        .add_assignment(&standing, SET, PrincipalType::User, "engineer")
        .unwrap();
    let user = sandbox.world().user_named("engineer").unwrap().id.clone();
    let arn = sandbox
        .world()
        .permission_set_named(SET)
        .unwrap()
        .arn
        .clone();
    story.app.by_hand.insert((standing, arn, user));
    story.approved(5).await;
    story.app.settle().await;

    story.approved(5).await;
    let sandbox = &story.app.sandbox;
    sandbox.remove_member("engineers", "engineer").unwrap();
    story.app.settle().await;
    let sandbox = &story.app.sandbox;
    sandbox.add_member("engineers", "engineer").unwrap();
    story.app.copy_directory().await;

    story.app.run_for(TimeDelta::minutes(10)).await;
}

/// A pause that is over, and an order to end everything that is carried out.
async fn bad_day(story: &mut Story) {
    story.active(30).await;
    let admin = story.app.sign_in("admin").await;
    for (switch, with) in [
        (
            "end-everything",
            json!({"comment": "a laptop is gone", "pause": true}),
        ),
        ("resume", json!({"comment": "it was found"})),
    ] {
        let path = format!("/api/v1/operations/{switch}");
        admin.post_json(&path, &with).await.expect(200);
    }
    story.app.run_for(TimeDelta::minutes(2)).await;
}

async fn in_trouble(story: &mut Story) {
    // A create that does not finish: stuck, and its end overdue.
    let sandbox = story.app.sandbox.clone();
    let usual = |millis: u64| {
        sandbox.set_settings(|settings| settings.operation_millis = millis..=millis);
    };
    usual(3_600_000);
    story.approved(5).await;
    story.app.tick().await;
    usual(2000);
    story.app.run_for(TimeDelta::minutes(18)).await;

    // A delete that fails again and again.
    let (overdue, suspended) = story.active(60).await;
    sandbox
        .set_account_state(&suspended, AccountState::Suspended)
        .unwrap();
    story.engineer.act(&overdue, "end").await.expect(200);
    story.app.run_for(TimeDelta::minutes(3)).await;
}

async fn live(story: &mut Story) {
    let (_, shared) = story.active(60).await;
    let ask = story.engineer.ask("on-call", &shared, 5).await.expect(201);
    let second = ask.json()["id"].as_str().unwrap().to_owned();
    story.approver.act(&second, "approve").await.expect(200);
    story.active(30).await;
    let staging = story.engineer.ask("staging-admin", "222222222222", 90);
    staging.await.expect(201);
    let (lost, _) = story.active(60).await;
    let (leaving, _) = story.active(60).await;
    // The shared one's second grant ends, and waits for the first.
    story.app.run_for(TimeDelta::minutes(6)).await;
    assert_eq!(story.engineer.grant_status(&second).await, "ending");

    // From here on the clock hardly moves: everything is caught on its way.
    story.app.tick().await;
    story.engineer.act(&lost, "end").await.expect(200);
    story.fail_next(DELETE, Fault::LoseAnswerBefore);
    story.app.tick().await;
    story.app.advance(TimeDelta::seconds(1));
    story.app.tick().await;
    story.engineer.act(&leaving, "end").await.expect(200);
    story.app.tick().await;
    story.fail_next(CREATE, Fault::LoseAnswerBefore);
    story.approved(30).await;
    story.app.tick().await;
    story.approved(45).await;
    story.app.tick().await;
    story.asked(30).await;
    story.approved(20).await;
}

/// Stops the service as an upgrade does, with everything left as it is.
pub(super) async fn forget(app: TestApp) {
    app.app.broker.db.pool.close().await;
    app.cut_off_aws();
    app.database.drop().await;
}
