//! What people see when something is not there, not allowed, or comes too late.

use crate::support::TestApp;

const NAVIGATION: &str = "<nav aria-label=\"Main\">";

#[tokio::test]
async fn an_error_keeps_the_navigation_of_whoever_is_signed_in() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = engineer.asks(5).await;
    let stranger = app.sign_in("engineer2").await;
    let missing = stranger.get(&format!("/requests/{id}")).await.expect(404);
    assert!(
        missing.text().contains(NAVIGATION) && missing.text().contains("engineer2@example.com")
    );
    for (status, answer) in [
        (404, stranger.get("/nothing-here").await),
        (403, stranger.get("/audit/export").await),
        (
            404,
            stranger
                .post_form(&format!("/requests/{id}/end"), &[])
                .await,
        ),
        (405, stranger.get(&format!("/requests/{id}/end")).await),
    ] {
        assert!(
            answer.expect(status).text().contains(NAVIGATION),
            "{status}"
        );
    }
    let mut nobody = stranger;
    "sid=none".clone_into(&mut nobody.cookie);
    let answer = nobody.get("/nothing-here").await.expect(404);
    assert!(!answer.text().contains(NAVIGATION));
    app.finish().await;
}

#[tokio::test]
async fn a_reason_typed_in_a_session_that_ended_comes_back_and_nothing_is_done() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    engineer.post_form("/logout", &[]).await.expect(303);
    let fields = [
        ("rule", "production-admin"),
        ("account", "111111111111"),
        ("minutes", "30"),
        ("reason", "the payment workers hang </textarea>"),
        ("ticket", ""),
    ];
    let answer = engineer.post_form("/requests", &fields).await.expect(401);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let text = answer.text();
    assert!(
        text.contains("the payment workers hang &#60;/textarea&#62;</textarea>"),
        "{text}"
    );
    let link = "/login?next=%2Frequests%2Fnew%3Frule%3Dproduction-admin%26account%3D111111111111%26minutes%3D30\"";
    assert!(text.contains(link), "{text}");
    // Without any text there is nothing to lose.
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let path = format!("/requests/{id}/approve");
    let answer = engineer
        .post_form(&path, &[("comment", "")])
        .await
        .expect(303);
    assert_eq!(
        answer.headers["location"],
        format!("/login?next=%2Frequests%2F{id}")
    );
    let answer = engineer
        .post_form(&path, &[("comment", "fine")])
        .await
        .expect(401);
    assert!(answer.text().contains("fine</textarea>"));
    assert_eq!(
        app.sign_in("auditor")
            .await
            .get("/api/v1/requests")
            .await
            .json()["requests"],
        serde_json::json!([])
    );
    app.finish().await;
}
