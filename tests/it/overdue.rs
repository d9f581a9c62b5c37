//! An end that takes too long is loud: in the log, on the page and in the metrics (protocol G2).

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use chrono::TimeDelta;
use curfew::postgres::figures;
use curfew::sandbox::Fault;
use serde_json::Value;

use crate::support::TestApp;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The log of this whole process: one for all threads, because a subscriber of one thread misses what
/// others were first to log.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::ERROR)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

/// The fields of the lines about this request that an alert matches.
fn alerts(id: &str) -> Vec<Value> {
    let bytes = LOG.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["fields"].take())
        .filter(|fields| fields["event"] == "end_overdue" && fields["request.id"] == id)
        .collect()
}

#[tokio::test]
async fn an_overdue_end_is_said_in_the_log_every_five_minutes_and_on_the_page_with_all_that_helps()
{
    LazyLock::force(&LOG);
    let app = TestApp::start().await;
    let id = app.approved(30).await;
    app.settle().await;
    let engineer = app.sign_in("engineer").await;
    engineer.act(&id, "end").await.expect(200);
    let until = app.now() + TimeDelta::minutes(13);
    while app.now() < until {
        while app.sandbox.waiting_faults().len() < 3 {
            app.sandbox
                .fail_next("DeleteAccountAssignment", Fault::Conflict)
                .unwrap();
        }
        app.run_for(TimeDelta::seconds(5)).await;
    }
    let alerts = alerts(&id);
    assert!((2..=3).contains(&alerts.len()), "{alerts:?}");
    let last = alerts.last().unwrap();
    assert_eq!(
        (&last["request.id"], &last["account.id"]),
        (&id.as_str().into(), &"111111111111".into())
    );
    assert!(last["overdue_seconds"].as_i64().unwrap() > 420, "{last}");
    assert!(last["attempts"].as_i64().unwrap() > 3, "{last}");
    assert!(
        last["last_error"]
            .as_str()
            .unwrap()
            .contains("ConflictException"),
        "{last}"
    );

    let page = app
        .sign_in("admin")
        .await
        .get("/operations")
        .await
        .expect(200)
        .text();
    for said in [
        "One end is overdue, for ",
        "deletes sent",
        "ConflictException",
        "Next try",
        "--target-id 111111111111",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("Close, not confirmed"));
    let mut conn = app.app.broker.db.conn().await.unwrap();
    let figures = figures::load(&mut conn, app.now()).await.unwrap();
    drop(conn);
    assert_eq!(figures.overdue, 1);
    assert!(figures.overdue_attempts > 3 && figures.overdue_oldest.as_secs() > 600);

    app.run_for(TimeDelta::minutes(20)).await;
    assert_eq!(app.status(&id).await, "ended");
    let said = self::alerts(&id).len();
    app.run_for(TimeDelta::minutes(10)).await;
    assert_eq!(
        self::alerts(&id).len(),
        said,
        "it is over, and said no more"
    );
    app.finish().await;
}
