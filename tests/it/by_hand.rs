//! Ending by hand when Curfew or its database is away (protocol G4): the script that every replica keeps,
//! the command in the answer, and the shell.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use axum::body::Body;
use axum::http::{Request, header};
use chrono::TimeDelta;
use curfew::sandbox::PrincipalType;

use crate::support::TestApp;
use crate::support::app::ORIGIN;
use crate::support::people::send;

const ACCOUNT: &str = "111111111111";
const SET: &str = "production-admin";

/// Account, permission set, person.
type Tuple = (String, String, String);

fn present(app: &TestApp) -> BTreeSet<Tuple> {
    let rows = app.sandbox.assignments().into_iter();
    rows.map(|row| (row.account_id, row.permission_set_arn, row.principal_id))
        .collect()
}

/// What the script deletes, run by a shell whose `aws` writes down what it is told.
fn run_script(app: &TestApp) -> BTreeSet<Tuple> {
    let folder = &app.state.0;
    let script = folder.join("live-grants.sh");
    let (tools, said) = (folder.join("tools"), folder.join("said"));
    std::fs::create_dir_all(&tools).unwrap();
    let stub = tools.join("aws");
    std::fs::write(&stub, "#!/bin/sh\nprintf '%s\\n' \"$*\" >>\"$SAID\"\n").unwrap();
    std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let status = Command::new("sh")
        .arg(&script)
        .env("PATH", path)
        .env("SAID", &said)
        .status();
    assert!(status.unwrap().success());
    let said = std::fs::read_to_string(&said).unwrap_or_default();
    said.lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words[..2], ["sso-admin", "delete-account-assignment"]);
            let after = |option: &str| {
                let at = words.iter().position(|word| *word == option).unwrap();
                words[at + 1].to_owned()
            };
            assert_eq!(after("--target-type"), "AWS_ACCOUNT");
            assert_eq!(after("--principal-type"), "USER");
            (
                after("--target-id"),
                after("--permission-set-arn"),
                after("--principal-id"),
            )
        })
        .collect()
}

#[tokio::test]
async fn the_script_takes_away_exactly_what_curfew_has_given_and_nothing_by_hand() {
    // G4
    let mut app = TestApp::start().await;
    app.sandbox
        .add_assignment(ACCOUNT, "read-only", PrincipalType::User, "both")
        .unwrap();
    app.by_hand = present(&app);
    assert_eq!(run_script(&app), BTreeSet::new());
    let id = app.approved(30).await;
    let engineer2 = app.sign_in("engineer2").await;
    engineer2
        .ask("staging-admin", "222222222222", 30)
        .await
        .expect(201);
    app.settle().await;
    assert_eq!(app.status(&id).await, "active");
    app.app.keep_live_grants().await.unwrap();
    let curfews: BTreeSet<Tuple> = present(&app).difference(&app.by_hand).cloned().collect();
    assert_eq!(curfews.len(), 2);
    assert_eq!(run_script(&app), curfews);
    let script = app.state.0.join("live-grants.sh");
    let mode = std::fs::metadata(&script).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&script).unwrap();
    for said in [
        &id,
        "engineer@example.com",
        "payments-prod (111111111111)",
        "active, ends ",
    ] {
        assert!(text.contains(said), "{said} in\n{text}");
    }
    app.sign_in("engineer")
        .await
        .act(&id, "end")
        .await
        .expect(200);
    app.settle().await;
    app.app.keep_live_grants().await.unwrap();
    let text = std::fs::read_to_string(&script).unwrap();
    assert!(
        !text.contains(&id) && text.contains("1 to delete"),
        "{text}"
    );
    app.finish().await;
}

#[tokio::test]
async fn without_the_database_the_last_script_stays_and_an_end_is_answered_with_the_command() {
    // G4: who asks can't be checked then, so a cookie of ours and the id of a request have to do.
    let app = TestApp::start().await;
    let id = app.approved(30).await;
    app.settle().await;
    let engineer = app.sign_in("engineer").await;
    let other = app.another().await;
    let script = app.state.0.join("live-grants.sh");
    let before = std::fs::read_to_string(&script).unwrap();
    other.broker.db.pool.close().await;
    app.advance(TimeDelta::minutes(6));
    assert!(other.keep_live_grants().await.is_err());
    assert_eq!(std::fs::read_to_string(&script).unwrap(), before);

    let command = before
        .lines()
        .find(|line| line.starts_with("aws "))
        .unwrap();
    let router = other.router();
    let engineer = engineer.on(router.clone());
    let answer = engineer.act(&id, "end").await.expect(503);
    assert_eq!(answer.code(), "database_away");
    assert_eq!(answer.json()["by_hand"], command);
    let page = engineer
        .post_form(&format!("/requests/{id}/end"), &[])
        .await;
    let page = page.expect(503).text();
    assert!(page.contains(command), "{page}");
    // Nothing of it for other acts, unknown ids, or whoever brings no session.
    for (id, act) in [
        (id.as_str(), "approve"),
        ("01890a5d-ac96-774b-bcce-b302099a8057", "end"),
    ] {
        let answer = engineer.act(id, act).await.expect(503).json();
        assert!(answer["by_hand"].is_null(), "{answer}");
    }
    let nobody = Request::post(format!("/api/v1/requests/{id}/end"))
        .header(header::ORIGIN, ORIGIN)
        .body(Body::empty())
        .unwrap();
    assert!(!send(&router, nobody).await.text().contains("aws sso-admin"));
    app.run_for(TimeDelta::minutes(30)).await;
    app.finish().await;
}

#[tokio::test]
async fn a_folder_that_can_not_be_written_to_is_said_to_administrators_until_it_can() {
    let app = TestApp::start().await;
    let admin = app.sign_in("admin").await;
    let warned = async || {
        let page = admin.get("/operations").await.expect(200).text();
        page.contains("can&#39;t keep the commands that end access by hand")
    };
    assert!(!warned().await);
    std::fs::remove_dir_all(&app.state.0).unwrap();
    std::fs::write(&app.state.0, "in the way").unwrap();
    app.advance(TimeDelta::minutes(5));
    app.app.keep_live_grants().await.unwrap();
    assert!(warned().await);
    std::fs::remove_file(&app.state.0).unwrap();
    app.app.keep_live_grants().await.unwrap();
    assert!(!warned().await);
    app.finish().await;
}

/// `curfew grants …` as an operator runs it, with this database.
async fn grants(app: &TestApp, database: &str, words: &[&str]) -> (Option<i32>, String, String) {
    let config = app.state.0.join("curfew.toml");
    let text = format!(
        "public_url = 'http://localhost:8080'\nstate_dir = '{}'\n",
        app.state.0.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(std::env::var("CARGO_BIN_EXE_curfew").unwrap());
    command.arg("grants").args(words);
    command.arg("--config").arg(Path::new(&config));
    // No AWS, no policy.
    command.env_clear().env("DATABASE_URL", database);
    let ran = tokio::task::spawn_blocking(move || command.output());
    let Output {
        status,
        stdout,
        stderr,
    } = ran.await.unwrap().unwrap();
    let [out, err] = [stdout, stderr].map(|part| String::from_utf8(part).unwrap());
    (status.code(), out, err)
}

#[tokio::test]
async fn an_operator_lists_and_ends_at_the_shell_with_the_database_alone_and_is_named_in_the_record()
 {
    let app = TestApp::start().await;
    let id = app.approved(30).await;
    app.settle().await;
    let url = app.database.url.clone();
    let (status, out, _) = grants(&app, &url, &["list", "--live", "--json"]).await;
    assert_eq!(status, Some(0));
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&listed[0]["request_id"], &listed[0]["status"]),
        (&id.as_str().into(), &"active".into())
    );
    let (_, out, _) = grants(&app, &url, &["list"]).await;
    assert!(
        out.starts_with("REQUEST") && out.contains("payments-prod (111111111111)"),
        "{out}"
    );
    let (status, out, _) = grants(&app, &url, &["end", "--print-aws-cli", &id]).await;
    assert_eq!(status, Some(0));
    assert!(
        out.starts_with("aws sso-admin delete-account-assignment") && out.lines().count() == 1,
        "{out}"
    );
    assert_eq!(app.status(&id).await, "active", "printing ends nothing");

    let (status, out, err) = grants(&app, &url, &["end", &id, "--comment", "a thief"]).await;
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("ending; run `curfew grants list`"), "{out}");
    assert_eq!(app.status(&id).await, "ending");
    app.settle().await;
    assert_eq!(app.status(&id).await, "ended");
    let (status, _, err) = grants(&app, &url, &["end", &id]).await;
    assert!(status == Some(1) && err.contains("over since"), "{err}");
    assert_eq!(grants(&app, &url, &["end"]).await.0, Some(2));
    assert_eq!(
        grants(&app, &url, &["list", "--live"])
            .await
            .1
            .lines()
            .count(),
        1
    );

    let auditor = app.sign_in("auditor").await;
    let events = auditor
        .get("/api/v1/audit?limit=1000")
        .await
        .expect(200)
        .json();
    let events = events["events"].as_array().unwrap();
    let end = events
        .iter()
        .find(|event| event["type"] == "grant.end_started");
    let end = end.unwrap();
    assert_eq!(
        (
            &end["actor"]["kind"],
            &end["actor"]["channel"],
            &end["data"]["detail"]
        ),
        (&"person".into(), &"shell".into(), &"a thief".into())
    );
    assert!(end["actor"]["id"].as_str().unwrap().contains('@'), "{end}");
    let page = auditor
        .get(&format!("/requests/{id}"))
        .await
        .expect(200)
        .text();
    assert!(page.contains("at the shell"));
    app.finish().await;
}

#[tokio::test]
async fn without_the_database_the_shell_prints_what_the_replica_kept_and_says_how_old_it_is() {
    let app = TestApp::start().await;
    let id = app.approved(30).await;
    app.settle().await;
    app.app.keep_live_grants().await.unwrap();
    let away = "postgres://nobody@127.0.0.1:1/nothing";
    let (status, out, err) = grants(&app, away, &["end", "--print-aws-cli", &id]).await;
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("--target-id 111111111111"), "{out}");
    assert!(
        err.contains("the database can't be reached") && err.contains("as of 20"),
        "{err}"
    );
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let (status, out, _) = grants(&app, away, &["end", "--print-aws-cli", unknown]).await;
    assert_eq!((status, out.as_str()), (Some(1), ""));
    std::fs::remove_file(app.state.0.join("live-grants.sh")).unwrap();
    let (status, _, err) = grants(&app, away, &["end", "--print-aws-cli"]).await;
    assert!(status == Some(1) && err.contains("there is no"), "{err}");
    app.sign_in("engineer")
        .await
        .act(&id, "end")
        .await
        .expect(200);
    app.settle().await;
    assert!(!app.is_assigned(ACCOUNT, SET, "engineer"));
    app.finish().await;
}
