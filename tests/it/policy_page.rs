//! The policy page: the rules in words, and "could X get Y?", about whom one may.

use chrono::TimeDelta;
use curfew::access::grant::{GrantStatus, OVERDUE_AFTER};
use curfew::postgres::{figures, overview};

use crate::support::TestApp;

/// How many ends the metrics call overdue, and for how many seconds the oldest has been.
pub(crate) async fn overdue(app: &TestApp) -> (i64, u64) {
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let figures = figures::load(&mut conn, app.now()).await.unwrap();
    (figures.overdue, figures.overdue_oldest.as_secs())
}

/// The question, and what the page says to it.
async fn could(
    app: &TestApp,
    who: &str,
    person: &str,
    what: &str,
    account: &str,
    status: u16,
) -> String {
    let query =
        serde_urlencoded::to_string([("person", person), ("what", what), ("account", account)])
            .unwrap();
    let asker = app.sign_in(who).await;
    let page = asker
        .get(&format!("/policy?{query}"))
        .await
        .expect(status)
        .text();
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn everybody_reads_the_rules_and_what_they_may_do_themselves() {
    let app = TestApp::start().await;
    let engineer = app
        .sign_in("engineer")
        .await
        .get("/policy")
        .await
        .expect(200)
        .text();
    assert!(
        engineer.contains("You may ask under this rule") && !engineer.contains("You may approve")
    );
    assert!(engineer.contains("payments-prod") && engineer.contains("111111111111"));
    assert!(
        !engineer.contains("approver@example.com"),
        "who is behind a group is not for everybody"
    );
    let approver = app
        .sign_in("approver")
        .await
        .get("/policy")
        .await
        .expect(200)
        .text();
    assert!(
        approver.contains("You may approve") && !approver.contains("You may ask under this rule")
    );
    for reader in ["auditor", "admin"] {
        let page = app
            .sign_in(reader)
            .await
            .get("/policy")
            .await
            .expect(200)
            .text();
        assert!(page.contains("approver@example.com"), "{reader}");
        // approver, approver2 and both; engineer, engineer2 and both.
        assert_eq!(page.matches("3 people now").count(), 3, "{reader}");
    }
    app.finish().await;
}

#[tokio::test]
async fn could_somebody_get_it_is_answered_as_a_request_would_be() {
    let app = TestApp::start().await;
    let rule = "rule/production-admin";
    let yes = could(&app, "engineer", "", rule, "payments-prod", 200).await;
    assert!(yes.contains("<strong>Yes.</strong> You could get"), "{yes}");
    assert!(yes.contains("3 people can give it"));
    let no = could(&app, "engineer", "", rule, "222222222222", 200).await;
    assert!(no.contains("<strong>No.</strong>") && no.contains("does not reach this account"));
    // Each reason, and not only the first.
    let no = could(
        &app,
        "auditor",
        "approver@example.com",
        rule,
        "payments-staging",
        200,
    )
    .await;
    assert!(
        no.contains("Not in a group that may ask under this rule (engineers)"),
        "{no}"
    );
    assert!(no.contains("does not reach this account") && no.contains("Ada Approver"));
    let by_set = could(
        &app,
        "admin",
        "engineer2",
        "permission-set/staging-admin",
        "payments-staging",
        200,
    )
    .await;
    assert!(by_set.contains("<strong>Yes.</strong>") && by_set.contains("Emil Engineer"));
    let weak = app.sign_in_with("engineer", "mfa").await;
    let page = weak
        .get("/policy?what=rule/production-admin&account=111111111111")
        .await
        .expect(200)
        .text();
    assert!(page.contains("phishing-resistant sign-in") && page.contains("<strong>No.</strong>"));

    // It is a question: nothing was asked for and nothing recorded.
    let auditor = app.sign_in("auditor").await;
    let log = auditor.get("/audit/export?type=request.").await.expect(200);
    assert!(log.body.is_empty());
    app.finish().await;
}

#[tokio::test]
async fn only_auditors_and_administrators_ask_about_others() {
    let app = TestApp::start().await;
    let rule = "rule/production-admin";
    for who in ["engineer", "approver"] {
        let refused = could(
            &app,
            who,
            "engineer2@example.com",
            rule,
            "payments-prod",
            403,
        )
        .await;
        assert!(refused.contains("about yourself"), "{refused}");
        // Nor do they learn who exists.
        let refused = could(&app, who, "nobody@example.com", rule, "payments-prod", 403).await;
        assert!(refused.contains("about yourself"), "{refused}");
    }
    let own = could(
        &app,
        "engineer",
        "engineer@example.com",
        rule,
        "payments-prod",
        200,
    )
    .await;
    assert!(own.contains("<strong>Yes.</strong> You could get"));
    for (person, what, account, said) in [
        (
            "nobody@example.com",
            rule,
            "payments-prod",
            "Nobody in the directory",
        ),
        ("engineer@", "rule/nope", "payments-prod", "Choose a rule"),
        ("e", rule, "payments-prod", "means several"),
        ("both", rule, "payments", "2 accounts have this"),
        ("both", rule, "", "Name an account"),
        ("both", rule, "123456789012", "no account with this id"),
        ("a\0b", rule, "payments-prod", "odd ones"),
    ] {
        let page = could(&app, "admin", person, what, account, 422).await;
        assert!(page.contains(said), "{person} {what} {account}: {page}");
    }
    app.sign_in("engineer")
        .await
        .get("/policy?persn=x")
        .await
        .expect(400);
    app.finish().await;
}

#[tokio::test]
async fn a_suspended_rule_is_said_loudly_on_both_pages() {
    let app = TestApp::start().await;
    app.sandbox
        .edit(|world| {
            let group = world
                .groups
                .iter_mut()
                .find(|group| group.name == "production-approvers")
                .unwrap();
            group.id = "20000000-0000-4000-8000-0000000000ff".to_owned();
            Ok(())
        })
        .unwrap();
    app.copy_directory().await;
    let admin = app.sign_in("admin").await;
    let policy = admin.get("/policy").await.expect(200).text();
    assert!(
        policy.contains("Suspended: the group production-approvers is another one"),
        "{policy}"
    );
    let operations = admin.get("/operations").await.expect(200).text();
    assert!(operations.contains("The rule production-admin is suspended"));
    app.finish().await;
}

#[tokio::test]
async fn the_operations_page_is_for_administrators_and_shows_what_is_under_way() {
    let app = TestApp::start().await;
    for who in ["engineer", "approver"] {
        let refused = app
            .sign_in(who)
            .await
            .get("/operations")
            .await
            .expect(403)
            .text();
        assert!(refused.contains("administrator"), "{refused}");
        assert!(
            !app.sign_in(who)
                .await
                .get("/")
                .await
                .text()
                .contains("/operations")
        );
    }
    let admin = app.sign_in("admin").await;
    app.tick().await;
    let quiet = admin.get("/operations").await.expect(200).text();
    assert!(
        quiet.contains("Nothing is overdue.") && quiet.contains("Nobody has access"),
        "{quiet}"
    );
    assert!(
        quiet.contains("this process leads") && !quiet.contains("Needs attention"),
        "{quiet}"
    );

    let id = app.approved(5).await;
    app.tick().await;
    let busy = admin.get("/operations").await.expect(200).text();
    assert!(
        busy.contains("Create: ") && busy.contains("engineer@example.com"),
        "{busy}"
    );
    app.settle().await;
    let live = admin.get("/operations").await.expect(200).text();
    assert!(
        live.contains("active") && live.contains(&format!("/requests/{id}")),
        "{live}"
    );

    // No engine runs: the lease runs out, the end becomes overdue, and the page says both by itself.
    app.advance(TimeDelta::minutes(8));
    let late = admin.get("/operations").await.expect(200).text();
    assert!(
        late.contains("No engine leads") && late.contains("Access may still be there"),
        "{late}"
    );
    app.copy_directory().await;
    app.settle().await;
    let over = admin.get("/operations").await.expect(200).text();
    assert!(over.contains("Nothing is overdue."), "{over}");
    let head = curfew::postgres::audit::load_head(&mut app.app.broker.db.conn().await.unwrap())
        .await
        .unwrap();
    assert!(over.contains(&head.to_string()), "the head can be copied");
    app.finish().await;
}

#[tokio::test]
async fn accounts_that_no_rule_reaches_are_named_only_to_those_who_may_ask_about_anybody() {
    let app = TestApp::start().await;
    let rule = "rule/production-admin";
    for (who, sees) in [("engineer", false), ("auditor", true), ("admin", true)] {
        let page = app
            .sign_in(who)
            .await
            .get("/policy")
            .await
            .expect(200)
            .text();
        assert_eq!(page.contains("999999999999"), sees, "{who}");
        assert!(page.contains("111111111111"), "{who}");
        for typed in ["999999999999", "management", "anagem"] {
            let status = if sees { 200 } else { 422 };
            let said = could(&app, who, "", rule, typed, status).await;
            assert_eq!(said.contains("<strong>No.</strong>"), sees, "{who} {typed}");
            assert_eq!(said.contains("There is no account"), !sees, "{who} {typed}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn the_time_to_answer_is_named_as_long_as_it_really_lasts() {
    let mut app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let page = engineer.get("/policy").await.expect(200).text();
    assert!(page.contains("<dd>4 h, then the request lapses"), "{page}");
    app.settings.minute = TimeDelta::seconds(2);
    let short = engineer.on(app.another().await.router());
    let page = short.get("/policy").await.expect(200).text();
    assert!(
        page.contains("<dd>8 min, then the request lapses"),
        "{page}"
    );
    app.finish().await;
}

#[tokio::test]
async fn an_end_that_no_engine_began_in_time_is_overdue_since_it_was_due() {
    let app = TestApp::start().await;
    let admin = app.sign_in("admin").await;
    app.approved(5).await;
    app.settle().await;
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let live = overview::list_live(&mut conn, 1).await.unwrap();
    drop(conn);
    let due = live[0].ends_at.unwrap();
    let late = due + OVERDUE_AFTER;
    app.advance(late - app.now() - TimeDelta::milliseconds(1));
    assert_eq!(overdue(&app).await, (0, 0));
    app.advance(TimeDelta::milliseconds(1));
    assert_eq!(overdue(&app).await, (1, 120), "though no engine says so");

    // An hour later one begins to take it away: it is as late as it is.
    app.advance(TimeDelta::minutes(58));
    app.tick().await;
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let live = overview::list_live(&mut conn, 1).await.unwrap();
    drop(conn);
    assert_eq!(live[0].status, GrantStatus::Ending);
    assert_eq!(overdue(&app).await, (1, 3600));
    let page = admin.get("/operations").await.expect(200).text();
    let since = format!(
        "<dt>Due since</dt><dd>1 h, at {}",
        due.format("%Y-%m-%d %H:%M")
    );
    assert!(page.contains(&since), "{since}: {page}");
    app.copy_directory().await;
    app.settle().await;
    assert_eq!(overdue(&app).await, (0, 0));
    app.finish().await;
}

#[tokio::test]
async fn an_end_by_a_person_that_no_engine_takes_up_is_overdue_since_then() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = app.approved(5).await;
    app.settle().await;
    engineer.act(&id, "end").await.expect(200);
    app.advance(OVERDUE_AFTER - TimeDelta::seconds(1));
    assert_eq!(overdue(&app).await, (0, 0));
    app.advance(TimeDelta::seconds(1));
    assert_eq!(overdue(&app).await, (1, 120));
    app.settle().await;
    app.finish().await;
}
