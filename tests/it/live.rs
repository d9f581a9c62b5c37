//! Pages that follow a request live: what is announced, to whom, and when a stream ends.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode, header};
use curfew::app::App;
use curfew::http::live::Notice;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::support::TestApp;
use crate::support::people::{Person, send};

/// Nothing here waits for so long; a test that does has failed.
const GUARD: Duration = Duration::from_secs(20);

/// A stream, read line by line.
struct Stream {
    body: BodyDataStream,
    heard: String,
    /// What it said when it was opened.
    first: String,
}

impl Stream {
    /// Opens the stream of a request and reads its first words, so that it surely listens.
    async fn open(router: &Router, by: &Person, id: &str, after: i64) -> Self {
        let request = Request::get(format!("/requests/{id}/live?after={after}"))
            .header(header::COOKIE, &by.cookie)
            .body(Body::empty())
            .unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        let mut stream = Self {
            body: answer.into_body().into_data_stream(),
            heard: String::new(),
            first: String::new(),
        };
        stream.first = stream.until("\n\n").await;
        stream
    }

    /// Reads on until this was said, and gives what was said meanwhile.
    async fn until(&mut self, words: &str) -> String {
        let reading = async {
            while !self.heard.contains(words) {
                let some = self.body.next().await.expect("the stream ended").unwrap();
                self.heard.push_str(std::str::from_utf8(&some).unwrap());
            }
        };
        let read = tokio::time::timeout(GUARD, reading).await;
        read.unwrap_or_else(|_| panic!("{words:?} was never said"));
        std::mem::take(&mut self.heard)
    }

    /// Reads on until it ends, and gives what was said meanwhile.
    async fn end(mut self) -> String {
        let reading = async {
            while let Some(some) = self.body.next().await {
                self.heard
                    .push_str(std::str::from_utf8(&some.unwrap()).unwrap());
            }
        };
        let read = tokio::time::timeout(GUARD, reading).await;
        read.expect("the stream does not end");
        self.heard
    }
}

/// The number of the request's newest event, as its page has it.
async fn newest(app: &TestApp, id: &str) -> i64 {
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let id = id.parse().unwrap();
    let newest = curfew::postgres::audit::list_of_request(&mut conn, id, false, i64::MAX, 1);
    newest.await.unwrap()[0].seq
}

/// Lets an app hear what the database says until it is told to stop; returns once it listens.
async fn listening(app: &App, stop: &CancellationToken) {
    let (knocks, mut knock) = watch::channel(0);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(app.listen(knocks, stop.clone()));
    knock.changed().await.unwrap();
}

#[tokio::test]
async fn a_change_made_by_one_replica_is_announced_on_the_other_s_stream() {
    let app = TestApp::start().await;
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let (id, other) = (engineer.asks(5).await, {
        let asked = engineer.ask("production-admin", "333333333333", 5).await;
        asked.expect(201).json()["id"].as_str().unwrap().to_owned()
    });
    let (second, stop) = (app.another().await, CancellationToken::new());
    listening(&second, &stop).await;
    let router = second.router();
    let mut stream = Stream::open(&router, &engineer, &id, newest(&app, &id).await).await;
    approver.act(&other, "deny").await.expect(200);
    approver.act(&id, "deny").await.expect(200);
    let said = stream.until("\n\n").await;
    let newest = newest(&app, &id).await;
    assert_eq!(
        said,
        format!("data: {newest}\nevent: changed\nid: {newest}\n\n"),
        "of this request, and without content"
    );
    stop.cancel();
    app.finish().await;
}

#[tokio::test]
async fn what_happened_before_a_stream_was_opened_is_announced_at_once() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = engineer.asks(5).await;
    let seen = newest(&app, &id).await;
    engineer.act(&id, "cancel").await.expect(200);
    let stream = Stream::open(&app.router, &engineer, &id, seen).await;
    assert!(stream.first.contains("event: changed"), "{}", stream.first);
    // A browser that opens the next stream says itself what it has heard.
    let request = Request::get(format!("/requests/{id}/live?after={seen}"))
        .header(header::COOKIE, &engineer.cookie)
        .header("last-event-id", newest(&app, &id).await)
        .body(Body::empty())
        .unwrap();
    let answer = app.router.clone().oneshot(request).await.unwrap();
    let mut body = answer.into_body().into_data_stream();
    let first = body.next().await.unwrap().unwrap();
    assert!(
        !first.windows(7).any(|part| part == b"changed"),
        "{first:?}"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_missed_notification_is_made_up_for_by_the_next_look() {
    let mut app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = engineer.asks(5).await;
    app.settings.look_every = Duration::from_millis(20);
    // Nobody listens to the database here, as while its connection is broken.
    let deaf = app.another().await;
    let mut stream = Stream::open(&deaf.router(), &engineer, &id, newest(&app, &id).await).await;
    engineer.act(&id, "cancel").await.expect(200);
    stream.until("event: changed").await;
    app.finish().await;
}

#[tokio::test]
async fn after_a_reconnect_every_stream_looks() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = engineer.asks(5).await;
    let mut stream = Stream::open(&app.router, &engineer, &id, newest(&app, &id).await).await;
    engineer.act(&id, "cancel").await.expect(200);
    app.app.live().wake(Notice::Anything);
    stream.until("event: changed").await;
    app.finish().await;
}

#[tokio::test]
async fn a_stranger_is_told_of_no_request_and_nobody_signed_out_is_led_to_the_sign_in_page() {
    let app = TestApp::start().await;
    let (engineer, stranger) = (
        app.sign_in("engineer").await,
        app.sign_in("engineer2").await,
    );
    let path = format!("/requests/{}/live", engineer.asks(5).await);
    stranger.get(&path).await.expect(404);
    let missing = "/requests/01890a5d-ac96-774b-bcce-b302099a8057/live";
    engineer.get(missing).await.expect(404);
    engineer.get(&format!("{path}?after=x")).await.expect(400);
    let mut nobody = engineer.clone();
    "sid=none".clone_into(&mut nobody.cookie);
    let answer = nobody.get(&path).await.expect(303);
    assert!(
        answer.headers["location"]
            .to_str()
            .unwrap()
            .starts_with("/login")
    );
    // A browser's script, which says what it wants, is told in its own way.
    let asked = Request::get(&path)
        .header("accept", "text/event-stream")
        .body(Body::empty())
        .unwrap();
    send(&app.router, asked).await.expect(401);
    app.finish().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_session_that_opened_it() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = engineer.asks(5).await;
    let seen = newest(&app, &id).await;
    let stream = Stream::open(&app.router, &engineer, &id, seen).await;
    engineer.post_form("/logout", &[]).await.expect(303);
    app.app.live().wake(Notice::Anything);
    assert_eq!(stream.end().await, "");
    app.finish().await;
}

#[tokio::test]
async fn a_stream_ends_when_its_reader_may_not_see_the_request_any_more() {
    let app = TestApp::start().await;
    let (engineer, auditor) = (app.sign_in("engineer").await, app.sign_in("auditor").await);
    let id = engineer.asks(5).await;
    let stream = Stream::open(&app.router, &auditor, &id, newest(&app, &id).await).await;
    app.sandbox.remove_member("auditors", "auditor").unwrap();
    app.copy_directory().await;
    engineer.act(&id, "cancel").await.expect(200);
    app.app.live().wake(Notice::Anything);
    let said = stream.end().await;
    assert!(!said.contains("changed"), "{said}");
    app.finish().await;
}

#[tokio::test]
async fn a_stop_ends_the_streams_first_and_is_not_held_up() {
    let app = TestApp::start().await;
    let engineer = app.sign_in("engineer").await;
    let id = engineer.asks(5).await;
    let (second, stop) = (app.another().await, CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    let running = tokio::spawn(second.run(listener, None, stop.clone()));
    let client = reqwest::Client::builder().no_proxy().timeout(GUARD).build();
    let mut answer = client
        .unwrap()
        .get(format!("http://{address}/requests/{id}/live"))
        .header(reqwest::header::COOKIE, &engineer.cookie)
        .send()
        .await
        .unwrap();
    assert!(answer.chunk().await.unwrap().is_some(), "it is open");
    stop.cancel();
    // Sooner than requests in hand are given up.
    let ended = tokio::time::timeout(Duration::from_secs(4), async {
        while answer.chunk().await.unwrap().is_some() {}
        running.await.unwrap().unwrap();
    });
    ended.await.expect("the stream holds the stop up");
    app.finish().await;
}

/// What opening one more says, without reading it.
async fn status(app: &TestApp, by: &Person, id: &str) -> StatusCode {
    let request = Request::get(format!("/requests/{id}/live"))
        .header(header::COOKIE, &by.cookie)
        .body(Body::empty())
        .unwrap();
    app.router.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn one_person_holds_ten_streams_and_leaves_the_others_to_the_others() {
    let app = TestApp::start().await;
    let (engineer, auditor) = (app.sign_in("engineer").await, app.sign_in("auditor").await);
    let id = engineer.asks(5).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(Stream::open(&app.router, &engineer, &id, 0).await);
    }
    // Whichever session it is.
    let again = app.sign_in("engineer").await;
    for who in [&engineer, &again] {
        assert_eq!(status(&app, who, &id).await, 503);
    }
    let refused = engineer.get(&format!("/requests/{id}/live")).await;
    assert!(refused.text().contains("Too many pages are watched live"));
    assert!(refused.headers.contains_key(header::RETRY_AFTER));
    let other = Stream::open(&app.router, &auditor, &id, 0).await;
    // One that is over leaves its place.
    streams.pop();
    streams.push(Stream::open(&app.router, &engineer, &id, 0).await);
    assert_eq!(status(&app, &engineer, &id).await, 503);
    drop((streams, other));
    app.finish().await;
}
