//! From an account of the provider to a person of the directory: the same person or nobody, and verified
//! again before access starts.

use chrono::TimeDelta;
use curfew::access::person::PersonId;
use curfew::broker::ActError;
use curfew::sandbox::User;

use crate::support::TestApp;
use crate::support::app::{POLICY, external_id, provisioned, unprovisioned};
use crate::support::browser::Browser;
use crate::support::idp::Idp;

fn edit(app: &TestApp, name: &str, change: impl FnOnce(&mut User)) {
    let is = |user: &&mut User| user.email.starts_with(&format!("{name}@"));
    let edited = app.sandbox.edit(|world| {
        change(world.users.iter_mut().find(is).unwrap());
        Ok(())
    });
    edited.unwrap();
}

/// The code on the page of a sign-in that is refused.
async fn refused(app: &TestApp, idp: &Idp) -> String {
    let mut browser = Browser::new(&app.router);
    let page = browser
        .signs_in_at(idp, "/login/start")
        .await
        .expect(403)
        .text();
    browser.get("/").await.expect(303);
    let (_, rest) = page.split_once("<code>").unwrap();
    rest.split_once("</code>").unwrap().0.to_owned()
}

#[tokio::test]
async fn a_name_or_an_address_may_change_and_the_person_stays_the_same() {
    let (app, idp) = TestApp::with_provider(POLICY, provisioned()).await;
    let id = Browser::new(&app.router)
        .signs_in(&idp, "engineer")
        .await
        .asks(10)
        .await;
    edit(&app, "engineer", |user| {
        user.user_name = "Ada.Lovelace@Example.COM".to_owned();
    });
    edit(&app, "engineer", |user| {
        user.email = "ADA@example.com".to_owned();
    });
    app.copy_directory().await;
    idp.set().claims["preferred_username"] = "approver@example.com".into();
    let mut browser = Browser::new(&app.router);
    browser.signs_in_at(&idp, "/login/start").await.expect(303);
    assert_eq!(browser.person().see(&id).await["id"], id.as_str());
    assert_eq!(app.events("identity.linked").await.len(), 1);
    app.run_for(TimeDelta::hours(5)).await;
    app.finish().await;
}

#[tokio::test]
async fn whom_the_directory_does_not_know_hears_what_to_do_and_is_nobody() {
    let (app, idp) = TestApp::with_provider(POLICY, provisioned()).await;
    idp.is("stranger");
    assert_eq!(refused(&app, &idp).await, "unknown_person");
    // By another id, a name is worth nothing.
    idp.set().claims["preferred_username"] = "engineer@example.com".into();
    assert_eq!(refused(&app, &idp).await, "external_id_differs");
    let events = app.events("session.refused").await;
    assert_eq!(events[1]["data"]["subject"], "00u-stranger");
    assert!(app.events("identity.linked").await.is_empty());
    app.finish().await;
}

#[tokio::test]
async fn a_user_name_that_was_given_out_anew_does_not_inherit_the_person() {
    let (app, idp) = TestApp::with_provider(POLICY, unprovisioned()).await;
    Browser::new(&app.router).signs_in(&idp, "engineer").await;
    idp.set().claims["sub"] = "00u-new".into();
    assert_eq!(refused(&app, &idp).await, "second_account");
    // Nor does the old account become whoever has its name now.
    idp.is("engineer");
    idp.set().claims["preferred_username"] = "approver@example.com".into();
    assert_eq!(refused(&app, &idp).await, "linked_to_another");
    app.finish().await;
}

#[tokio::test]
async fn an_administrator_can_forget_a_link_and_nobody_else() {
    let (app, idp) = TestApp::with_provider(POLICY, unprovisioned()).await;
    let engineer = Browser::new(&app.router).signs_in(&idp, "engineer").await;
    let id = PersonId::new(
        &app.sandbox
            .world()
            .user_named("engineer@example.com")
            .unwrap()
            .id,
    );
    let by = |name: &'static str| {
        let app = &app;
        async move {
            let mut conn = app.app.broker.db.conn().await.unwrap();
            let email = format!("{name}@example.com");
            let found = curfew::postgres::directory::find_person_by_email(&mut conn, &email).await;
            curfew::access::person::SignedInPerson {
                person: found.unwrap().unwrap(),
                assurance: curfew::access::person::Assurance::Any,
                amr: Vec::new(),
                acr: None,
                auth_time: None,
                channel: curfew::access::person::Channel::Web,
                ip: None,
            }
        }
    };
    let broker = &app.app.broker;
    for (name, comment, code) in [
        ("auditor", "met them", "not_an_administrator"),
        ("admin", " ", "comment_missing"),
    ] {
        match broker.forget_accounts(&by(name).await, &id, comment).await {
            Err(ActError::Refused(refused)) => assert_eq!(refused.code, code),
            other => panic!("{other:?}"),
        }
    }
    engineer.get("/").await.expect(200);
    let admin = by("admin").await;
    broker
        .forget_accounts(&admin, &id, "met them")
        .await
        .unwrap();
    engineer.get("/").await.expect(303);
    assert_eq!(app.events("identity.forgotten").await.len(), 1);
    assert_eq!(app.events("identity.refused").await.len(), 2);

    // Their new account is linked like a first one.
    idp.set().claims["sub"] = "00u-new".into();
    let mut browser = Browser::new(&app.router);
    browser.signs_in_at(&idp, "/login/start").await.expect(303);
    assert_eq!(app.events("identity.linked").await.len(), 2);
    app.finish().await;
}

#[tokio::test]
async fn access_does_not_start_for_an_entry_that_became_somebody_else_s() {
    let (app, idp) = TestApp::with_provider(POLICY, provisioned()).await;
    let engineer = Browser::new(&app.router).signs_in(&idp, "engineer").await;
    let approver = Browser::new(&app.router).signs_in(&idp, "approver").await;
    let id = engineer.asks(10).await;
    approver.act(&id, "approve").await.expect(200);
    edit(&app, "engineer", |user| {
        user.external_id = Some(external_id("eve"));
    });
    app.settle().await;
    let seen = engineer.see(&id).await;
    assert_eq!(seen["grant"]["status"], "failed");
    assert_eq!(seen["grant"]["end_reason"], "no_longer_allowed");
    assert!(!app.is_assigned("111111111111", "production-admin", "engineer"));
    assert_eq!(app.count_calls("CreateAccountAssignment"), 0);
    app.finish().await;
}

#[tokio::test]
async fn a_yes_of_an_entry_that_became_somebody_else_s_counts_neither_now_nor_later() {
    let (app, idp) = TestApp::with_provider(POLICY, provisioned()).await;
    let engineer = Browser::new(&app.router).signs_in(&idp, "engineer").await;
    let approver = Browser::new(&app.router).signs_in(&idp, "approver").await;
    let id = engineer.asks(10).await;
    edit(&app, "approver", |user| {
        user.external_id = Some(external_id("eve"));
    });
    let refused = approver.act(&id, "approve").await.expect(403);
    assert_eq!(refused.code(), "identity_changed");
    edit(&app, "approver", |user| {
        user.external_id = Some(external_id("approver"));
    });
    approver.act(&id, "approve").await.expect(200);
    edit(&app, "approver", |user| user.external_id = None);
    app.settle().await;
    assert_eq!(engineer.grant_status(&id).await, "failed");
    assert_eq!(app.count_calls("CreateAccountAssignment"), 0);
    app.finish().await;
}

#[tokio::test]
async fn whoever_is_disabled_is_signed_out_and_what_they_asked_for_and_have_ends() {
    let (app, idp) = TestApp::with_provider(POLICY, provisioned()).await;
    let engineer = Browser::new(&app.router).signs_in(&idp, "engineer").await;
    let approver = Browser::new(&app.router).signs_in(&idp, "approver").await;
    let live = engineer.asks(30).await;
    approver.act(&live, "approve").await.expect(200);
    app.settle().await;
    assert!(app.is_assigned("111111111111", "production-admin", "engineer"));
    let asked = engineer
        .ask("production-admin", "333333333333", 10)
        .await
        .expect(201);
    let pending = asked.json()["id"].as_str().unwrap().to_owned();

    app.sandbox.set_user_enabled("engineer", false).unwrap();
    assert!(app.settings.directory_every < std::time::Duration::from_mins(5));
    app.copy_directory().await;
    engineer.get("/").await.expect(303);
    let ended = app.events("session.ended").await;
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0]["actor"]["kind"], "system");
    let cancelled = app.events("request.cancelled").await.pop().unwrap();
    assert_eq!(cancelled["request_id"], pending.as_str());
    assert_eq!(cancelled["actor"]["kind"], "system");
    app.settle().await;
    assert!(!app.is_assigned("111111111111", "production-admin", "engineer"));
    idp.is("engineer");
    assert_eq!(refused(&app, &idp).await, "disabled");
    // Once is enough.
    app.copy_directory().await;
    assert_eq!(app.events("session.ended").await.len(), 1);
    assert_eq!(app.events("request.cancelled").await.len(), 1);
    app.finish().await;
}
