//! Many grants that end in the same minute: each ends, none waits for ever, and the limits hold.

use chrono::TimeDelta;
use curfew::sandbox::World;

use crate::support::TestApp;
use crate::support::people::Person;

const CROWD: usize = 45;

/// Granted by policy, so that a crowd needs no approver.
const POLICY: &str = r#"
[[rule]]
name = "staging-admin"
permission_set = "staging-admin"
accounts = [{ name = "crowd-*" }]
requesters = ["engineers"]
approvals = 0
max_minutes = 60
assurance = "mfa"
"#;

#[tokio::test]
async fn a_crowd_of_grants_that_end_together_is_gone_about_as_fast_as_identity_center_allows() {
    let mut world = World::demo();
    let parent = world
        .account_named("payments-staging")
        .unwrap()
        .parent_id
        .clone();
    for n in 0..CROWD {
        world.add_account(
            &format!("55555555{n:04}"),
            &format!("crowd-{n}"),
            &parent,
            &[],
        );
        world.add_user(&format!("crowd{n}"), &format!("Crowd {n}"), &["engineers"]);
    }
    let app = TestApp::with(POLICY, world).await;
    let mut requests = Vec::new();
    for n in 0..CROWD {
        let person = Person::sign_in(&app.router, &format!("crowd{n}"), None).await;
        let made = person
            .ask("staging-admin", &format!("55555555{n:04}"), 20)
            .await
            .expect(201)
            .json();
        requests.push((person, made["id"].as_str().unwrap().to_owned()));
    }
    app.run_for(TimeDelta::minutes(2)).await;
    for (person, id) in &requests {
        assert_eq!(person.grant_status(id).await, "active");
    }
    // All at once, as after an incident: fifteen may be under way, and each takes two seconds.
    for (person, id) in &requests {
        person.act(id, "end").await.expect(200);
    }
    let began = app.now();
    let bound = TimeDelta::seconds(2 * i64::try_from(CROWD).unwrap() / 15);
    let mut most = 0;
    while !app.sandbox.assignments().is_empty() {
        let pass = app.tick().await;
        let under_way =
            app.sandbox.operations().into_iter().filter(|operation| {
                operation.status == curfew::sandbox::OperationStatus::InProgress
            });
        most = most.max(under_way.count());
        let pause = pass
            .next_at
            .map_or(TimeDelta::seconds(1), |next| next - app.now());
        app.advance(pause.clamp(TimeDelta::milliseconds(100), TimeDelta::seconds(1)));
        assert!(
            app.now() - began < bound * 3,
            "{} are left",
            app.sandbox.assignments().len()
        );
    }
    let took = app.now() - began;
    assert!(took <= bound * 2, "{took} for what {bound} would do");
    assert!((12..=15).contains(&most), "at most {most} were under way");
    app.settle().await;
    for (person, id) in &requests {
        assert_eq!(person.grant_status(id).await, "ended");
    }
    app.finish().await;
}
