//! Signing in at the company's provider: there and back, and everything that can go wrong in between.

use axum::body::Body;
use axum::http::{Request, header};
use chrono::TimeDelta;
use serde_json::json;

use crate::support::TestApp;
use crate::support::app::{POLICY, provisioned};
use crate::support::browser::Browser;
use crate::support::idp::Idp;
use crate::support::people::{Answer, send};

async fn start() -> (TestApp, Idp) {
    TestApp::with_provider(POLICY, provisioned()).await
}

fn location(answer: &Answer) -> &str {
    answer.headers[header::LOCATION].to_str().unwrap()
}

#[tokio::test]
async fn somebody_signs_in_at_the_provider_and_the_record_says_how() {
    let (app, idp) = start().await;
    idp.is("engineer");
    let mut browser = Browser::new(&app.router);
    let page = browser
        .get("/login?next=%2Fpolicy")
        .await
        .expect(200)
        .text();
    assert!(
        page.contains("href=\"/login/start?next=%2Fpolicy\""),
        "{page}"
    );
    let back = browser.sent(&idp, "/login/start?next=%2Fpolicy").await;
    let before = browser.cookie.clone().unwrap();
    let answer = browser.get(&back).await.expect(303);
    assert_eq!(location(&answer), "/policy");
    assert_ne!(browser.cookie.as_ref(), Some(&before));
    browser.get("/policy").await.expect(200);
    // Whoever planted the id of before has nothing.
    let mut planted = Browser::new(&app.router);
    planted.cookie = Some(before);
    planted.get("/policy").await.expect(303);

    let started = app.events("session.started").await.pop().unwrap();
    let actor = &started["actor"];
    assert_eq!(actor["email"], "engineer@example.com");
    assert_eq!(actor["assurance"], "phishing_resistant");
    assert_eq!(actor["amr"], json!(["mfa", "hwk", "pop"]));
    assert!(actor["auth_time"].is_string());
    let linked = app.events("identity.linked").await.pop().unwrap();
    assert_eq!(linked["data"]["subject"], "00u-engineer");
    assert_eq!(linked["data"]["by"], "external_id");

    // A second time nothing is linked anew.
    Browser::new(&app.router).signs_in(&idp, "engineer").await;
    assert_eq!(app.events("identity.linked").await.len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn what_comes_back_is_good_once_and_only_in_the_browser_that_left() {
    let (app, idp) = start().await;
    idp.is("engineer");
    let (mut browser, mut other) = (Browser::new(&app.router), Browser::new(&app.router));
    other.get("/login/start").await.expect(303);
    let back = browser.sent(&idp, "/login/start").await;
    for stranger in [&mut other, &mut Browser::new(&app.router)] {
        let page = stranger.get(&back).await.expect(400).text();
        assert!(page.contains("Start the sign-in again"));
        stranger.get("/").await.expect(303);
    }
    // The stranger could not even use it up.
    browser.get(&back).await.expect(303);
    browser.get("/").await.expect(200);
    browser.get(&back).await.expect(400);
    browser.get("/").await.expect(200);
    let refused = app.events("session.refused").await;
    assert!(
        refused
            .iter()
            .all(|event| event["data"]["code"] == "state_unknown")
    );
    assert_eq!(refused.len(), 3);

    let mut slow = Browser::new(&app.router);
    let back = slow.sent(&idp, "/login/start").await;
    app.advance(TimeDelta::minutes(10));
    slow.get(&back).await.expect(400);
    for nothing in [
        "/auth/callback",
        "/auth/callback?code=x&state=",
        "/auth/callback?code=x&state=x",
    ] {
        slow.get(nothing).await.expect(400);
    }
    app.finish().await;
}

#[tokio::test]
async fn two_tabs_of_one_browser_can_both_be_on_their_way() {
    let (app, idp) = start().await;
    idp.is("engineer");
    let mut browser = Browser::new(&app.router);
    let first = browser.sent(&idp, "/login/start?next=%2Fpolicy").await;
    let second = browser.sent(&idp, "/login/start?next=%2Frequests").await;
    assert_eq!(
        location(&browser.get(&second).await.expect(303)),
        "/requests"
    );
    assert_eq!(location(&browser.get(&first).await.expect(303)), "/policy");
    browser.get("/policy").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn while_the_provider_is_down_sign_in_says_so_and_sessions_go_on() {
    let (app, idp) = start().await;
    idp.is_down();
    let mut late = Browser::new(&app.router);
    let page = late.get("/login/start").await.expect(503).text();
    assert!(page.contains("can't be reached just now"), "{page}");
    idp.recovers();
    app.advance(TimeDelta::minutes(1));
    let engineer = Browser::new(&app.router).signs_in(&idp, "engineer").await;

    let back = late.sent(&idp, "/login/start").await;
    idp.is_down();
    let page = late.get(&back).await.expect(503).text();
    assert!(page.contains("can't be reached just now"), "{page}");
    engineer.get("/").await.expect(200);
    engineer.asks(10).await;
    idp.recovers();
    late.signs_in(&idp, "engineer").await;
    app.run_for(TimeDelta::hours(5)).await;
    app.finish().await;
}

#[tokio::test]
async fn a_provider_that_rolls_its_keys_over_goes_on_signing_people_in() {
    let (app, idp) = start().await;
    Browser::new(&app.router).signs_in(&idp, "engineer").await;
    idp.rolls_over();
    app.advance(TimeDelta::minutes(1));
    Browser::new(&app.router).signs_in(&idp, "engineer").await;
    app.finish().await;
}

#[tokio::test]
async fn an_error_of_the_provider_is_explained_and_what_it_wrote_is_not_shown() {
    let (app, idp) = start().await;
    for (error, status, says) in [
        ("access_denied", 403, "The sign-in was refused"),
        (
            "unmet_authentication_requirements",
            403,
            "That did not prove enough",
        ),
        ("server_error", 502, "The sign-in did not work"),
    ] {
        let mut browser = Browser::new(&app.router);
        let back = browser.sent(&idp, "/login/start").await;
        let state = back
            .split('&')
            .find(|part| part.starts_with("state="))
            .unwrap();
        let brought =
            format!("/auth/callback?error={error}&error_description=call+555-0199&{state}");
        let page = browser.get(&brought).await.expect(status).text();
        assert!(
            page.contains(says) && page.contains("Start again"),
            "{page}"
        );
        assert!(!page.contains("555-0199"));
        // It is used up by that.
        browser.get(&back).await.expect(400);
    }
    app.finish().await;
}

#[tokio::test]
async fn what_the_provider_signs_wrongly_signs_nobody_in() {
    let (app, idp) = start().await;
    idp.is("engineer");
    idp.set().spoil = Some(Box::new(|draft| draft.claims["aud"] = "another".into()));
    let mut browser = Browser::new(&app.router);
    let page = browser
        .signs_in_at(&idp, "/login/start")
        .await
        .expect(403)
        .text();
    assert!(
        page.contains("could not be verified") && page.contains("wrong_audience"),
        "{page}"
    );
    browser.get("/").await.expect(303);
    let refused = app.events("session.refused").await.pop().unwrap();
    assert_eq!(refused["data"]["code"], "wrong_audience");
    app.finish().await;
}

async fn logs_out(app: &TestApp, token: &str) -> Answer {
    let body = serde_urlencoded::to_string([("logout_token", token)]).unwrap();
    let request = Request::post("/auth/backchannel-logout")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap();
    send(&app.router, request).await
}

#[tokio::test]
async fn the_provider_ends_one_session_or_all_of_somebody_and_each_token_counts_once() {
    let (app, idp) = start().await;
    let mut browsers = Vec::new();
    for session in ["one", "two", "three"] {
        idp.is("engineer");
        idp.set().claims["sid"] = session.into();
        let mut browser = Browser::new(&app.router);
        browser.signs_in_at(&idp, "/login/start").await.expect(303);
        browsers.push(browser.person());
    }
    let another = Browser::new(&app.router).signs_in(&idp, "approver").await;
    let token = idp.logout_token(&json!({"sub": "00u-engineer", "sid": "one"}));
    let answer = logs_out(&app, &token).await.expect(200);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    browsers[0].get("/").await.expect(303);
    browsers[1].get("/").await.expect(200);
    let again = logs_out(&app, &token).await.expect(400).json();
    assert_eq!(again["error"], "invalid_request");
    assert_eq!(again["error_description"], "token_replayed");
    let ended = app.events("session.ended").await;
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0]["data"]["why"], "the identity provider ended it");

    let token = idp.logout_token(&json!({"sub": "00u-engineer"}));
    logs_out(&app, &token).await.expect(200);
    browsers[1].get("/").await.expect(303);
    browsers[2].get("/").await.expect(303);
    another.get("/").await.expect(200);
    assert_eq!(app.events("session.ended").await.len(), 3);

    // Somebody of whom nothing is known: said thank you, and nothing recorded.
    let token = idp.logout_token(&json!({"sub": "00u-nobody"}));
    logs_out(&app, &token).await.expect(200);
    for bad in [
        "",
        "x.y.z",
        &idp.token(None, &json!({"aud": "0oacurfew", "sub": "00u-approver"})),
    ] {
        let answer = logs_out(&app, bad).await.expect(400);
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(answer.json()["error"], "invalid_request");
    }
    another.get("/").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn signing_out_ends_the_session_here_first_and_then_leads_to_the_provider() {
    let (app, idp) = start().await;
    let engineer = Browser::new(&app.router).signs_in(&idp, "engineer").await;
    let page = engineer.post_form("/logout", &[]).await.expect(200).text();
    assert!(
        page.contains(&format!("{}/logout?id_token_hint=", idp.issuer)),
        "{page}"
    );
    engineer.get("/").await.expect(303);
    assert_eq!(app.events("session.ended").await.len(), 1);

    // The provider away: signed out here all the same.
    let engineer = Browser::new(&app.router).signs_in(&idp, "engineer").await;
    idp.stops();
    app.advance(TimeDelta::hours(1));
    let status = engineer.post_form("/logout", &[]).await.status.as_u16();
    assert!([200, 303].contains(&status));
    engineer.get("/").await.expect(303);
    app.finish().await;
}

#[tokio::test]
async fn nobody_is_sent_to_another_site_after_signing_in() {
    let (app, idp) = start().await;
    idp.is("engineer");
    let mut browser = Browser::new(&app.router);
    let start = "/login/start?next=https%3A%2F%2Fevil.example";
    assert_eq!(
        location(&browser.signs_in_at(&idp, start).await.expect(303)),
        "/"
    );
    app.finish().await;
}
