//! Proving more: at asking and at a yes, back to the very form, as the same person, and never by itself.

use axum::http::header;
use chrono::TimeDelta;
use serde_json::json;

use crate::support::TestApp;
use crate::support::app::{POLICY, provisioned};
use crate::support::browser::Browser;
use crate::support::idp::Idp;
use crate::support::people::Person;

const REASON: &str = "restart the payment workers, \"now\" & gently";

const FORM: [(&str, &str); 5] = [
    ("rule", "production-admin"),
    ("account", "payments-prod"),
    ("minutes", "25"),
    ("reason", REASON),
    ("ticket", "INC-4711"),
];

/// Signed in with a password and a second factor.
async fn weakly(app: &TestApp, idp: &Idp, name: &str) -> Browser {
    idp.is(name);
    idp.set().claims["amr"] = json!(["pwd", "mfa"]);
    idp.set().gives_acr = false;
    let mut browser = Browser::new(&app.router);
    browser.signs_in_at(idp, "/login/start").await.expect(303);
    browser
}

/// Where the page sends whoever wants to prove more.
fn way(page: &str) -> String {
    let (_, rest) = page
        .split_once("href=\"/login/start?")
        .unwrap_or_else(|| panic!("{page}"));
    let query = rest.split_once('"').unwrap().0;
    format!("/login/start?{query}")
        .replace("&#38;", "&")
        .replace("&amp;", "&")
}

async fn count(person: &Person) -> usize {
    let listed = person.get("/api/v1/requests").await.expect(200).json();
    listed["requests"].as_array().unwrap().len()
}

#[tokio::test]
async fn whoever_asks_too_weakly_proves_more_and_finds_the_form_as_they_left_it() {
    let (app, idp) = TestApp::with_provider(POLICY, provisioned()).await;
    let mut browser = weakly(&app, &idp, "engineer").await;
    let weak = browser.person();
    let page = weak.post_form("/requests", &FORM).await.expect(403).text();
    let start = way(&page);
    assert!(start.contains("assurance=phishing_resistant"), "{start}");
    assert!(
        !start.contains("restart"),
        "no reason stands in an address: {start}"
    );

    idp.set().claims["amr"] = json!(["pop"]);
    let back = browser.signs_in_at(&idp, &start).await.expect(303);
    assert_eq!(idp.set().asked["acr_values"], "phr");
    let form = back.headers[header::LOCATION].to_str().unwrap().to_owned();
    assert!(form.starts_with("/requests/new?kept="), "{form}");
    let page = browser.get(&form).await.expect(200).text();
    for kept in [
        "Nothing has been sent yet",
        "payments-prod",
        "value=\"25\"",
        "INC-4711",
        "gently",
    ] {
        assert!(page.contains(kept), "{kept}: {page}");
    }
    let strong = browser.person();
    assert_eq!(count(&strong).await, 0);
    assert_ne!(weak.cookie, strong.cookie);
    weak.get("/").await.expect(303);
    strong.post_form("/requests", &FORM).await.expect(303);
    assert_eq!(count(&strong).await, 1);
    app.run_for(TimeDelta::hours(5)).await;
    app.finish().await;
}

#[tokio::test]
async fn whoever_proves_to_be_somebody_else_changes_nothing() {
    let (app, idp) = TestApp::with_provider(POLICY, provisioned()).await;
    let mut browser = weakly(&app, &idp, "engineer").await;
    let weak = browser.person();
    let page = weak.post_form("/requests", &FORM).await.expect(403).text();
    let start = way(&page);
    idp.is("engineer2");
    let page = browser.signs_in_at(&idp, &start).await.expect(403).text();
    assert!(
        page.contains("That was somebody else") && page.contains("You stay signed in"),
        "{page}"
    );
    let home = browser.get("/").await.expect(200).text();
    assert!(home.contains("engineer@example.com"));
    assert_eq!(browser.person().cookie, weak.cookie);
    let refused = app.events("session.refused").await.pop().unwrap();
    assert_eq!(refused["data"]["code"], "step_up_as_another");
    assert!(app.events("identity.linked").await.len() == 1);

    // The provider did not make them prove it: not enough, and nothing changes either.
    idp.is("engineer");
    idp.set().claims["amr"] = json!(["pwd"]);
    let page = browser.signs_in_at(&idp, &start).await.expect(403).text();
    assert!(page.contains("That did not prove enough"), "{page}");
    weak.get("/").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn an_approver_proves_more_for_a_yes_and_nothing_for_a_no() {
    let (app, idp) = TestApp::with_provider(POLICY, provisioned()).await;
    let engineer = Browser::new(&app.router).signs_in(&idp, "engineer").await;
    let id = engineer.asks(10).await;
    let mut browser = weakly(&app, &idp, "approver").await;
    let weak = browser.person();
    let approve = format!("/requests/{id}/approve");
    let comment = [("comment", "I watch the <dashboards>")];
    let page = weak.post_form(&approve, &comment).await.expect(403).text();
    assert!(page.contains("Prove it and come back"), "{page}");
    idp.set().claims["amr"] = json!(["pop"]);
    let back = browser.signs_in_at(&idp, &way(&page)).await.expect(303);
    let form = back.headers[header::LOCATION].to_str().unwrap().to_owned();
    assert!(form.starts_with(&format!("/requests/{id}?kept=")), "{form}");
    let page = browser.get(&form).await.expect(200).text();
    assert!(page.contains("I watch the &#60;dashboards&#62;"), "{page}");
    assert_eq!(engineer.see(&id).await["status"], "pending");
    browser
        .person()
        .post_form(&approve, &comment)
        .await
        .expect(303);
    let recorded = app.events("decision.recorded").await.pop().unwrap();
    assert_eq!(recorded["data"]["amr"], json!(["pop"]));
    assert_eq!(recorded["data"]["assurance"], "phishing_resistant");
    assert!(recorded["data"]["auth_time"].is_string());

    let other = engineer
        .ask("production-admin", "333333333333", 10)
        .await
        .expect(201);
    let other = other.json()["id"].as_str().unwrap().to_owned();
    let weak = weakly(&app, &idp, "approver2").await.person();
    weak.act(&other, "deny").await.expect(200);
    engineer.act(&id, "end").await.expect(200);
    app.run_for(TimeDelta::minutes(2)).await;
    app.finish().await;
}

#[tokio::test]
async fn a_sign_in_that_is_too_old_is_proved_once_more() {
    let policy = POLICY.replacen(
        "max_minutes = 60",
        "max_minutes = 60\nmax_auth_age_minutes = 15",
        1,
    );
    let (app, idp) = TestApp::with_provider(&policy, provisioned()).await;
    let mut browser = Browser::new(&app.router);
    let engineer = browser.signs_in(&idp, "engineer").await;
    app.advance(TimeDelta::minutes(16));
    app.copy_directory().await;
    let refused = engineer
        .ask("production-admin", "111111111111", 10)
        .await
        .expect(403);
    assert_eq!(refused.code(), "sign_in_too_old");
    let needs = &refused.json()["needs"];
    assert_eq!(
        needs,
        &json!({"assurance": "phishing_resistant", "max_age_minutes": 15})
    );

    let page = engineer
        .post_form("/requests", &FORM)
        .await
        .expect(403)
        .text();
    let start = way(&page);
    // A provider that remembers, and does not ask again, is not believed.
    let now = app.now().timestamp();
    idp.set().auth_time = Some(now - 16 * 60);
    let page = browser.signs_in_at(&idp, &start).await.expect(403).text();
    assert!(page.contains("did not ask you"), "{page}");
    idp.set().auth_time = Some(now - 60);
    browser.signs_in_at(&idp, &start).await.expect(303);
    assert_eq!(idp.set().asked["max_age"], "450");
    browser.person().asks(10).await;
    app.run_for(TimeDelta::hours(5)).await;
    app.finish().await;
}

#[tokio::test]
async fn in_a_demo_more_is_proved_on_the_demo_s_own_page() {
    let app = TestApp::start().await;
    let weak = app.sign_in_with("engineer", "mfa").await;
    let page = weak.post_form("/requests", &FORM).await.expect(403).text();
    let answer = weak.get(&way(&page)).await.expect(303);
    let there = answer.headers[header::LOCATION].to_str().unwrap();
    let page = weak.get(there).await.expect(200).text();
    assert!(
        page.contains("name=\"email\" value=\"engineer@example.com\""),
        "{page}"
    );
    assert!(
        page.contains("name=\"assurance\" value=\"phishing_resistant\""),
        "{page}"
    );
    let fields = [
        ("email", "engineer@example.com"),
        ("assurance", "phishing_resistant"),
        ("next", "/requests/new?kept=1"),
    ];
    let answer = weak.post_form("/login/demo", &fields).await.expect(303);
    let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
    let cookie = set.split(';').next().unwrap().to_owned();
    let strong = Person::with_cookie(&app.router, cookie);
    let page = strong.get("/requests/new?kept=1").await.expect(200).text();
    assert!(page.contains("gently"), "{page}");

    // Whoever else signs in there does not get to read it.
    let weak = app.sign_in_with("engineer", "mfa").await;
    weak.post_form("/requests", &FORM).await.expect(403);
    let fields = [("email", "engineer2@example.com")];
    let answer = weak.post_form("/login/demo", &fields).await.expect(303);
    let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
    let cookie = set.split(';').next().unwrap().to_owned();
    let other = Person::with_cookie(&app.router, cookie);
    let page = other.get("/requests/new?kept=1").await.expect(200).text();
    assert!(!page.contains("gently"), "{page}");
    app.finish().await;
}
