//! The form that asks for access, as somebody without JavaScript uses it: the account is typed, and
//! the server finds out which one is meant.

use axum::http::header;

use crate::support::TestApp;
use crate::support::app::{POLICY, world_with_accounts};
use crate::support::people::{Answer, Person};

async fn ask_for(person: &Person, rule: &str, account: &str, choice: &str) -> Answer {
    let fields = [
        ("rule", rule),
        ("account", account),
        ("choice", choice),
        ("minutes", "10"),
        ("reason", "restart the payment workers"),
        ("ticket", ""),
    ];
    person.post_form("/requests", &fields).await
}

/// The account of the request that a form led to.
async fn asked_for(person: &Person, answer: Answer) -> String {
    let answer = answer.expect(303);
    let path = answer.headers[header::LOCATION].to_str().unwrap();
    let id = path.strip_prefix("/requests/").unwrap();
    let request = person.see(id).await;
    person.act(id, "cancel").await.expect(200);
    request["account_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_account_is_asked_for_by_its_id_its_name_its_label_or_a_part() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    for typed in [
        "111111111111",
        "payments-prod",
        "payments-prod (111111111111)",
        " Payments ",
        "1111",
    ] {
        let answer = ask_for(&engineer, "production-admin", typed, "").await;
        assert_eq!(asked_for(&engineer, answer).await, "111111111111");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_text_that_could_mean_several_accounts_asks_for_none_until_one_is_chosen() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let page = ask_for(&engineer, "production-admin", "prod", "")
        .await
        .expect(422)
        .text();
    assert!(page.contains("2 accounts match"), "{page}");
    for (name, id) in [
        ("payments-prod", "111111111111"),
        ("data-prod", "333333333333"),
    ] {
        assert!(page.contains(&format!("name=\"choice\" value=\"{id}\"")));
        assert!(page.contains(name));
    }
    assert!(
        page.contains("restart the payment workers") && page.contains("value=\"prod\""),
        "the input is kept"
    );
    // The management account matches no rule, and is not offered.
    assert!(!page.contains("999999999999"));
    let nothing = engineer.get("/api/v1/requests").await.json();
    assert_eq!(nothing["requests"].as_array().unwrap().len(), 0);

    let chosen = ask_for(&engineer, "production-admin", "prod", "333333333333").await;
    assert_eq!(asked_for(&engineer, chosen).await, "333333333333");
    // The text was changed after the choice: then the text says which.
    let changed = ask_for(&engineer, "production-admin", "payments", "333333333333").await;
    assert_eq!(asked_for(&engineer, changed).await, "111111111111");
    // What was never offered can't be chosen.
    ask_for(&engineer, "production-admin", "prod", "999999999999")
        .await
        .expect(422);
    app.finish().await;
}

#[tokio::test]
async fn an_account_that_the_rule_does_not_reach_is_refused_and_the_page_says_which_rule_does() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    for typed in ["payments-prod", "111111111111"] {
        let page = ask_for(&engineer, "staging-admin", typed, "")
            .await
            .expect(422)
            .text();
        assert!(
            page.contains(
                "The rule staging-admin does not reach payments-prod (111111111111); production-admin does."
            ),
            "{page}"
        );
    }
    for typed in ["no such account", "%", "", "\0", "management"] {
        ask_for(&engineer, "production-admin", typed, "")
            .await
            .expect(422);
    }
    // The API takes ids and nothing else.
    engineer
        .ask("production-admin", "payments-prod", 10)
        .await
        .expect(422);
    app.finish().await;
}

#[tokio::test]
async fn a_second_ask_for_the_same_is_a_conflict_however_the_account_is_written() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    ask_for(&engineer, "production-admin", "111111111111", "")
        .await
        .expect(303);
    for typed in ["111111111111", "payments-prod"] {
        let page = ask_for(&engineer, "production-admin", typed, "")
            .await
            .expect(409)
            .text();
        assert!(page.contains("waits for an answer until"), "{page}");
        assert!(page.contains(&format!("value=\"{typed}\"")));
    }
    app.finish().await;
}

#[tokio::test]
async fn with_a_thousand_accounts_the_page_is_light_and_a_part_of_a_name_is_enough() {
    let app = TestApp::with(POLICY, world_with_accounts(1000)).await;
    let engineer = app.sign_in("engineer").await;
    let page = engineer.get("/requests/new").await.expect(200);
    assert!(page.body.len() < 80_000, "{} bytes", page.body.len());
    let answer = ask_for(&engineer, "production-admin", "prod-777", "").await;
    assert_eq!(asked_for(&engineer, answer).await, "444444440777");
    let many = ask_for(&engineer, "production-admin", "prod-77", "")
        .await
        .expect(303);
    drop(many);
    let many = ask_for(&engineer, "production-admin", "d-77", "")
        .await
        .expect(422)
        .text();
    assert!(many.contains("11 accounts match"), "{many}");
    app.finish().await;
}

#[tokio::test]
async fn what_was_asked_for_lately_fills_the_form_in_unless_it_is_still_open() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let again = "/requests/new?rule=production-admin&#38;account=111111111111";
    let id = engineer.asks(10).await;
    let page = async || engineer.get("/requests/new").await.expect(200).text();
    assert!(!page().await.contains(again), "it waits for an answer");
    engineer.act(&id, "cancel").await.expect(200);
    let offered = page().await;
    assert!(offered.contains(again), "{offered}");
    let filled = engineer
        .get(&again.replace("&#38;", "&"))
        .await
        .expect(200)
        .text();
    assert!(filled.contains("value=\"payments-prod (111111111111)\""));
    assert!(filled.contains("value=\"production-admin\" data-max=\"60\" selected"));
    // Nobody else is offered it.
    let other = app.sign_in("engineer2").await.get("/requests/new").await;
    assert!(!other.text().contains(again));
    app.finish().await;
}

#[tokio::test]
async fn the_form_says_who_could_agree_and_leaves_out_whoever_asks() {
    let app = TestApp::start().await;
    let page = async |name: &str| {
        let person = app.sign_in(name).await;
        person.get("/requests/new").await.expect(200).text()
    };
    let engineer = page("engineer").await;
    assert!(engineer.contains("3 people could agree"), "{engineer}");
    assert!(engineer.contains("Ada Approver") && engineer.contains("All have an e-mail address."));
    let both = page("both").await;
    assert!(both.contains("2 people could agree") && !both.contains("<bdi>Bo Both</bdi>,"));

    app.sandbox
        .edit(|world| {
            for user in &mut world.users {
                match user.user_name.as_str() {
                    "approver@example.com" => user.email = String::new(),
                    "approver2@example.com" => user.enabled = false,
                    _ => {}
                }
            }
            Ok(())
        })
        .unwrap();
    app.copy_directory().await;
    let fewer = page("engineer").await;
    assert!(fewer.contains("2 people could agree"), "{fewer}");
    assert!(fewer.contains("1 of them has an e-mail address."));
    app.sandbox
        .edit(|world| {
            for user in &mut world.users {
                user.enabled &= !["approver@example.com", "both@example.com"]
                    .contains(&user.user_name.as_str());
            }
            Ok(())
        })
        .unwrap();
    app.copy_directory().await;
    let none = page("engineer").await;
    assert!(
        none.contains("Would be refused: it needs 1 approval, and 0 enabled approvers"),
        "{none}"
    );
    app.finish().await;
}
