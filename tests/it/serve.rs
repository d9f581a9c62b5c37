//! `curfew serve`, `serve --check` and `migrate`: what they do, and what they say when they can't.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use chrono::TimeDelta;
use curfew::access::id::HolderId;
use curfew::config::Config;
use curfew::postgres::lease::{self, Lease};
use curfew::postgres::replicas;
use reqwest::Method;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::TestApp;
use crate::support::database::Database;
use crate::support::served::{Operator, signed_in};

#[tokio::test]
async fn a_service_runs_on_its_own_database_and_has_nothing_of_the_demo() {
    let operator = Operator::new("serve", Database::create().await).await;
    let served = operator.serve().await;
    for (method, path) in [
        (Method::GET, "/login/demo"),
        (Method::POST, "/login/demo"),
        (Method::GET, "/_sandbox/"),
        (Method::GET, "/_sandbox/assignments"),
        (Method::GET, "/metrics/"),
    ] {
        let (status, said) = served.ask(method, path, None).await;
        assert_eq!(status, 404, "{path}: {said}");
    }
    let (status, login) = served.get("/login", None).await;
    assert!(status == 200 && !login.contains("login/demo"), "{login}");
    let db = operator.db();
    let engineer = signed_in(&db, "engineer@example.com").await;
    let (status, home) = served.get("/", Some(&engineer)).await;
    assert!(
        status == 200 && home.contains("engineer@example.com"),
        "{home}"
    );
    assert!(!home.contains("Demo:"), "{home}");
    let (status, metrics) = served.get("/metrics", None).await;
    assert!(
        status == 200 && metrics.contains("curfew_engine_leads 1"),
        "{metrics}"
    );
    assert!(metrics.contains("curfew_aws_calls_total{operation=\"ListInstances\",outcome=\"ok\"}"));
    assert!(!metrics.contains('@'), "metrics name nobody");
    let mut conn = db.conn().await.unwrap();
    let now = db.clock.now(&mut conn).await.unwrap();
    assert_eq!(replicas::list(&mut conn, now).await.unwrap().len(), 1);
    assert!(served.stop().await.success());
    // A stop leaves nothing to wait for: no lease, no replica.
    assert_eq!(replicas::list(&mut conn, now).await.unwrap(), []);
    let (other, ttl) = (HolderId::new(now), TimeDelta::seconds(6));
    let taken = lease::hold(&mut conn, other, now, ttl).await.unwrap();
    assert_eq!(taken, Lease::Taken);
    drop(conn);
    db.pool.close().await;
    operator.finish().await;
}

#[tokio::test]
async fn a_stop_finishes_the_request_in_hand() {
    let operator = Operator::new("stop", Database::create().await).await;
    let served = operator.serve().await;
    let address = served.origin.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /requests HTTP/1.1\r\nhost: {address}\r\nsec-fetch-site: same-origin\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 10\r\n\
         expect: 100-continue\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    // It says so once it reads the body: now the request is in its hand.
    let mut goes_on = [0; 25];
    connection.read_exact(&mut goes_on).await.unwrap();
    assert_eq!(&goes_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(b"rule=").await.unwrap();
    served.terminate();
    served.is_closed().await;
    connection.write_all(b"later").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    assert!(served.stop().await.success());
    operator.finish().await;
}

#[tokio::test]
async fn check_says_what_is_well_and_what_is_not_and_changes_nothing() {
    let operator = Operator::new("check", Database::unmigrated().await).await;
    let (is_ok, said) = operator.run(&["serve", "--check"]).await;
    assert!(
        !is_ok && said.contains("FAIL  database") && said.contains("curfew migrate"),
        "{said}"
    );
    let (is_ok, said) = operator.run(&["migrate"]).await;
    assert!(is_ok, "{said}");
    let (is_ok, said) = operator.run(&["serve", "--check"]).await;
    // The tests' Postgres is quick and forgetful, and the check says so.
    assert!(!is_ok && said.matches("FAIL ").count() == 1, "{said}");
    for line in [
        "FAIL  database       fsync or synchronous_commit is off",
        "ok    aws            Identity Center arn:aws:sso:::instance/",
        "ok    directory      7 people, 4 groups, 5 accounts, 3 permission sets",
        "ok    aws            everything that the engine reads can be read",
        "ok    policy         2 rules",
        "warn  policy         The permission set staging-admin has role sessions of 240 minutes",
        "warn  aws            Calls go to http://127.0.0.1:",
        "ok    database       the schema is the one that this version needs",
    ] {
        assert!(
            said.lines().any(|found| found.starts_with(line)),
            "{line}\nin\n{said}"
        );
    }
    operator
        .database
        .run("revoke update on grants from curfew")
        .await;
    let (_, said) = operator.run(&["serve", "--check"]).await;
    assert!(
        said.contains("FAIL  database       curfew lacks the right to update on grants"),
        "{said}"
    );
    operator.write("policy.toml", "[[rule]]\nname = 1");
    operator.configure("[aws]\noutstanding = 15");
    let (is_ok, said) = operator.run(&["serve", "--check"]).await;
    assert!(!is_ok && said.contains("FAIL  policy"), "{said}");
    operator.finish().await;
}

#[tokio::test]
async fn a_database_that_is_not_as_it_must_be_is_named_and_left_alone() {
    let operator = Operator::new("databases", Database::create().await).await;
    let undo = "delete from _sqlx_migrations where version = 99990101000000;
                update _sqlx_migrations set success = true";
    for (what, wrong, said_to_do) in [
        (
            "a newer schema",
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (99990101000000, 'later', true, '', 0)",
            "start the newer version here",
        ),
        (
            "a migration half done",
            "update _sqlx_migrations set success = false where version = 20261124000000",
            "restore the backup from before it",
        ),
    ] {
        operator.database.run(wrong).await;
        for words in [&["serve"][..], &["serve", "--check"], &["migrate"]] {
            let (is_ok, said) = operator.run(words).await;
            assert!(
                !is_ok && said.contains(said_to_do),
                "{what}, {words:?}: {said}"
            );
        }
        operator.database.run(undo).await;
    }
    for (what, world) in [
        (
            "a demo's",
            "(true, 'demo', 'arn:aws:sso:::instance/ssoins-1', 'd-1', now())",
        ),
        (
            "another organization's",
            "(true, 'production', 'arn:aws:sso:::instance/ssoins-1', 'd-1', now())",
        ),
    ] {
        operator.database.run("delete from installation").await;
        let wrong = format!("insert into installation values {world}");
        operator.database.run(wrong).await;
        for words in [&["serve"][..], &["serve", "--check"]] {
            let (is_ok, said) = operator.run(words).await;
            assert!(
                !is_ok && said.contains("another world"),
                "{what}, {words:?}: {said}"
            );
        }
    }
    operator.finish().await;
}

#[tokio::test]
async fn what_is_configured_wrongly_is_named_before_anything_runs() {
    let operator = Operator::new("configured", Database::create().await).await;
    for (wrong, named) in [
        ("nonsense = 1", "nonsense"),
        ("trusted_proxies = 'everybody'", "trusted_proxies"),
        ("[database]\nconnections = 'many'", "database.connections"),
    ] {
        operator.configure(wrong);
        for words in [&["serve"][..], &["serve", "--check"], &["migrate"]] {
            let (is_ok, said) = operator.run(words).await;
            assert!(
                !is_ok && said.contains(named) && said.contains("curfew.toml"),
                "{words:?}: {said}"
            );
        }
    }
    operator.configure("");
    let mut elsewhere = operator.command(&["serve"]);
    elsewhere.env("DATABASE_URL", "postgres://curfew@db.example.com/curfew");
    let output = elsewhere.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("sslmode=verify-full"),
        "{said}"
    );
    operator.finish().await;
}

#[tokio::test]
async fn a_policy_that_is_not_good_stops_no_service() {
    let operator = Operator::new("bad-policy", Database::create().await).await;
    operator.write("policy.toml", "[[rule]]\nname = 1");
    // Never ready, because nothing can be asked for; alive, because endings go on.
    let served = operator.start().await;
    let (status, missing) = served.get("/readyz", None).await;
    assert!(
        status == 503 && missing.contains("no policy is in force"),
        "{missing}"
    );
    assert_eq!(served.get("/healthz", None).await.0, 200);
    assert!(served.stop().await.success());
    operator.finish().await;
}

#[tokio::test]
async fn migrate_gives_the_runtime_role_what_the_service_does_and_no_more() {
    let operator = Operator::new("migrate", Database::unmigrated().await).await;
    let (is_ok, said) = operator.run(&["migrate"]).await;
    assert!(is_ok && said.contains("The schema is up to date"), "{said}");
    let (is_ok, said) = operator.run(&["migrate"]).await;
    assert!(is_ok, "a second time is no harm: {said}");
    assert_eq!(
        operator.database.privileges_of_the_service().await,
        [
            ("_sqlx_migrations", "SELECT"),
            ("accounts", "DELETE, INSERT, SELECT, UPDATE"),
            ("assignments", "INSERT, SELECT, UPDATE"),
            ("audit_events", "INSERT, SELECT"),
            ("audit_head", "SELECT, UPDATE"),
            ("audit_names", "INSERT, SELECT"),
            ("decisions", "INSERT, SELECT"),
            ("directory_copy", "DELETE, INSERT, SELECT, UPDATE"),
            ("end_orders", "INSERT, SELECT, UPDATE"),
            ("external_ids", "DELETE, INSERT, SELECT, UPDATE"),
            ("findings", "DELETE, INSERT, SELECT, UPDATE"),
            ("grants", "INSERT, SELECT, UPDATE"),
            ("groups", "DELETE, INSERT, SELECT, UPDATE"),
            ("identities", "DELETE, INSERT, SELECT, UPDATE"),
            ("installation", "INSERT, SELECT"),
            ("lease", "SELECT, UPDATE"),
            ("logout_tokens", "DELETE, INSERT, SELECT"),
            ("memberships", "DELETE, INSERT, SELECT, UPDATE"),
            ("operations", "INSERT, SELECT, UPDATE"),
            ("pause", "SELECT, UPDATE"),
            ("people", "DELETE, INSERT, SELECT, UPDATE"),
            ("permission_sets", "DELETE, INSERT, SELECT, UPDATE"),
            ("policies", "INSERT, SELECT"),
            ("policy_in_force", "INSERT, SELECT, UPDATE"),
            ("recoveries", "INSERT, SELECT, UPDATE"),
            ("refusals", "DELETE, INSERT, SELECT, UPDATE"),
            ("replicas", "DELETE, INSERT, SELECT, UPDATE"),
            ("requests", "INSERT, SELECT, UPDATE"),
            ("sessions", "DELETE, INSERT, SELECT, UPDATE"),
            ("sign_ins", "DELETE, INSERT, SELECT, UPDATE"),
        ]
        .map(|(table, may)| (table.to_owned(), may.to_owned()))
    );
    operator.serve().await.stop().await;
    let (_, said) = operator.run(&["serve", "--check"]).await;
    assert!(!said.contains("owner of its tables"), "{said}");
    // Without a role of its own the service works too, and is warned of.
    let mut alone = operator.command(&["migrate"]);
    alone.env("DATABASE_URL", &operator.database.owner_url);
    assert!(alone.output().unwrap().status.success());
    let mut alone = operator.command(&["serve", "--check"]);
    alone.env("DATABASE_URL", &operator.database.owner_url);
    let checked = tokio::task::spawn_blocking(move || alone.output());
    let said = checked.await.unwrap().unwrap().stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("owner of its tables"), "{said}");
    operator.finish().await;
}

#[tokio::test]
async fn two_versions_on_one_database_are_said_and_a_newer_schema_too() {
    let app = TestApp::start().await;
    app.tick().await;
    let warned = |app: &TestApp| app.app.warnings();
    assert!(
        warned(&app)
            .iter()
            .all(|warning| !warning.what.contains("different versions"))
    );
    let mut conn = app.app.broker.db.conn().await.unwrap();
    replicas::write_in(&mut conn, HolderId::new(app.now()), "9.9.9", app.now())
        .await
        .unwrap();
    drop(conn);
    app.app.look_for_warnings().await.unwrap();
    assert!(
        warned(&app)
            .iter()
            .any(|warning| warning.what.contains("9.9.9"))
    );
    // It stops being seen, and being warned of.
    app.advance(TimeDelta::seconds(31));
    app.app.look_for_warnings().await.unwrap();
    assert!(
        warned(&app)
            .iter()
            .all(|warning| !warning.what.contains("9.9.9"))
    );
    let engineer = app.sign_in("engineer").await;
    app.tick().await;
    engineer.get("/readyz").await.expect(200);
    let later =
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (99990101000000, 'later', true, '', 0)";
    app.database.run(later).await;
    app.app.look_for_warnings().await.unwrap();
    assert!(
        warned(&app)
            .iter()
            .any(|warning| warning.remedy.contains("Replace this replica"))
    );
    let ready = engineer.get("/readyz").await.expect(503);
    assert!(ready.text().contains("newer Curfew"), "{}", ready.text());
    app.finish().await;
}

#[test]
fn the_samples_in_deploy_are_good() {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let file = root.join("deploy/curfew.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let config = Config::read(Some(&file), &text, HashMap::new()).unwrap();
    let policy = std::fs::read_to_string(&config.policy_file).unwrap();
    assert_eq!(curfew::broker::policy::read(&policy).err(), None);
}

#[tokio::test]
async fn a_slow_reader_of_metrics_holds_no_stop_up() {
    let operator = Operator::new("slow-metrics", Database::create().await).await;
    let served = operator.serve().await;
    let address = served.metrics.trim_start_matches("http://");
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost: ")
        .await
        .unwrap();
    assert_eq!(served.get("/metrics", None).await.0, 200);
    assert!(served.stop().await.success());
    drop(slow);
    operator.finish().await;
}

#[tokio::test]
async fn a_migration_waits_behind_nobody_for_long_and_tries_again() {
    let database = Database::create().await;
    let undo = "delete from _sqlx_migrations where version = 20261124000100;
                alter table sessions drop column id, drop column began_at, drop column ip, drop column user_agent";
    database.run(undo).await;
    let operator = Operator::new("locked", database).await;
    // A backup reads the table that the migration changes.
    let mut backup = PgConnection::connect_with(&operator.database.owner)
        .await
        .unwrap();
    sqlx::raw_sql("begin; lock table sessions in access share mode")
        .execute(&mut backup)
        .await
        .unwrap();
    let mut command = operator.command(&["migrate"]);
    let mut migrating = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(migrating.stderr.take().unwrap()).lines();
    let said = tokio::task::spawn_blocking(move || {
        let is_said = said.any(|line| line.unwrap().contains("trying again"));
        assert!(is_said, "it waits for the backup to its end");
        said
    });
    let said = said.await.unwrap();
    // It let everybody else pass: the table can be read and changed.
    operator
        .database
        .run("set lock_timeout = '1s'; delete from sessions")
        .await;
    sqlx::raw_sql("rollback")
        .execute(&mut backup)
        .await
        .unwrap();
    let ended = tokio::task::spawn_blocking(move || (migrating.wait(), drop(said)));
    assert!(ended.await.unwrap().0.unwrap().success());
    backup.close().await.unwrap();
    operator.finish().await;
}
