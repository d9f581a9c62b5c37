//! The history of requests when there are many, with names of every kind. They are seeded by SQL: a
//! past that no test has the time to live through.

use std::collections::BTreeSet;

use crate::support::TestApp;
use crate::support::people::Person;

/// Every tenth is the engineer's. Names are long, written from right to left, or missing; two hundred
/// are made in the same instant.
const TEN_THOUSAND: &str = "
    insert into requests
        (id, requester_id, requester_email, requester_name, rule, policy_version, account_id, account_name,
         permission_set_arn, permission_set, minutes, granted_seconds, reason, approvals_required,
         channel, assurance, status, is_open, created_at, lapses_at, closed_at)
    select ('01890a5d-ac96-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
           case when n % 10 = 0 then '10000000-0000-4000-8000-000000000001' else 'somebody-' || n % 7 end,
           case when n % 10 = 0 then 'engineer@example.com' else repeat('x', 243) || '@example.com' end,
           case n % 3 when 0 then repeat('W', 255) when 1 then 'ארנון מהנדס' else 'Erin' end,
           case n % 4 when 0 then repeat('r', 255) else 'rule-' || n % 4 end,
           (select version from policy_in_force),
           lpad((n % 5)::text, 12, '9'),
           case n % 5 when 0 then '' when 1 then 'דוחות ייצור' when 2 then repeat('a', 255)
                      when 3 then '100% \\ _x_' else 'payments-prod' end,
           'arn:aws:sso:::permissionSet/ssoins-1/ps-1', 'production-admin', 30, 1800, 'as it was', 1,
           'web', 'mfa', case n % 2 when 0 then 'denied' else 'lapsed' end, false,
           timestamptz '2026-01-01' + interval '1 minute' * (n / 200),
           timestamptz '2026-01-02' + interval '1 minute' * (n / 200),
           timestamptz '2026-01-02' + interval '1 minute' * (n / 200)
    from generate_series(1, 10000) n";

async fn seeded() -> TestApp {
    let app = TestApp::start().await;
    let mut conn = app.app.broker.db.conn().await.unwrap();
    sqlx::raw_sql(TEN_THOUSAND)
        .execute(&mut *conn)
        .await
        .unwrap();
    drop(conn);
    app
}

/// The ids that a page links to, and the address of the older page.
fn read(page: &str) -> (Vec<String>, Option<String>) {
    let ids = page
        .split("<th role=\"rowheader\" scope=\"row\"><a href=\"/requests/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    let older = page
        .split_once("\" rel=\"next\">")
        .map(|(before, _)| before.rsplit("href=\"").next().unwrap())
        .map(|href| href.replace("&#38;", "&"));
    (ids, older)
}

/// Walks through every page from this one on.
async fn walk(person: &Person, from: &str) -> Vec<String> {
    let (mut ids, mut next) = (Vec::new(), Some(from.to_owned()));
    while let Some(path) = next {
        let page = person.get(&path).await.expect(200).text();
        let (found, older) = read(&page);
        assert!(found.len() <= 50 && (older.is_none() || found.len() == 50));
        ids.extend(found);
        next = older;
    }
    ids
}

#[tokio::test]
async fn ten_thousand_requests_are_walked_through_without_gaps_or_repeats() {
    let app = seeded().await;
    let auditor = app.sign_in("auditor").await;
    let all = walk(&auditor, "/requests").await;
    assert_eq!(all.len(), 10_000);
    assert!(all.is_sorted_by(|newer, older| newer > older));
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 10_000);
    // The same through the API, whose parameters are as they were.
    let api = auditor.get("/api/v1/requests?limit=200").await.expect(200);
    let api = api.json();
    assert_eq!(api["requests"][199]["id"], all[199]);
    assert_eq!(api["next_cursor"], all[199]);
    app.finish().await;
}

#[tokio::test]
async fn filters_narrow_the_history_together_and_are_kept_from_page_to_page() {
    let app = seeded().await;
    let auditor = app.sign_in("auditor").await;
    for (query, expected) in [
        ("status=denied", 5000),
        ("rule=RULE-3", 2500),
        ("account=Payments", 2000),
        ("account=999999999990", 2000),
        ("account=payments-prod+(999999999994)", 2000),
        ("account=%D7%99%D7%99%D7%A6%D7%95%D7%A8", 2000),
        // Plain text, never a pattern.
        ("account=%25", 2000),
        ("account=100%25+%5C+_x_", 2000),
        ("account=.*", 0),
        ("account=a%00b", 0),
        ("status=lapsed&rule=rule-1&account=payments", 500),
        // What is empty is no filter, as the form sends it.
        ("mine=false&status=&rule=&account=", 10_000),
        ("rule=no+such+rule", 0),
    ] {
        let found = walk(&auditor, &format!("/requests?{query}")).await;
        assert_eq!(found.len(), expected, "{query}");
    }
    let page = auditor
        .get("/requests?rule=no+such+rule&status=denied")
        .await
        .expect(200)
        .text();
    assert!(page.contains("No request matches"), "{page}");
    assert!(page.contains("href=\"/requests?mine=false&#38;rule=no+such+rule\""));
    for bad in ["status=nope", "mine=perhaps", "cursor=x"] {
        auditor.get(&format!("/requests?{bad}")).await.expect(400);
    }
    app.finish().await;
}

#[tokio::test]
async fn everybody_sees_their_own_and_can_ask_for_the_same_again() {
    let app = seeded().await;
    let engineer = app.sign_in("engineer").await;
    assert_eq!(walk(&engineer, "/requests").await.len(), 1000);
    // Nothing of others, whatever the filter.
    assert_eq!(walk(&engineer, "/requests?mine=false").await.len(), 1000);
    let page = engineer.get("/requests").await.expect(200).text();
    assert_eq!(page.matches("Request again").count(), 50);
    let auditor = app.sign_in("auditor").await;
    let others = auditor.get("/requests").await.expect(200).text();
    assert!(!others.contains("Request again"), "not theirs to repeat");
    // An account without a name is its id, and leaves no gap.
    assert!(others.contains("999999999990") && !others.contains("<bdi></bdi>"));
    // What is open is not asked for again, but ended or taken back.
    let id = engineer.asks(10).await;
    let page = engineer.get("/requests?status=pending").await.text();
    assert!(page.contains(&id) && !page.contains("Request again"));
    // Home and the form hold too.
    engineer.get("/").await.expect(200);
    engineer.get("/requests/new").await.expect(200);
    app.sign_in("both").await.get("/").await.expect(200);
    app.finish().await;
}
