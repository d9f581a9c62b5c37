//! `curfew serve` as its operator meets it: the real program with a configuration of its own, on a
//! database of its own, against the sandbox over the wire.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use curfew::access::person::{Assurance, Channel, SignedInPerson};
use curfew::clock::Clock;
use curfew::http::session;
use curfew::postgres::{Db, directory};
use curfew::sandbox::{self, Sandbox, World};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::database::Database;

/// Longest that anything here is waited for; a guard, not a wait.
const PATIENCE: Duration = Duration::from_mins(1);

const POLICY: &str = include_str!("../../../src/cli/demo_policy.toml");

/// What an operator has: a folder with a configuration and a policy, a database, and an AWS.
pub(crate) struct Operator {
    pub(crate) folder: PathBuf,
    pub(crate) database: Database,
    pub(crate) sandbox: Sandbox,
    endpoint: String,
    stop_sandbox: CancellationToken,
}

impl Operator {
    pub(crate) async fn new(name: &str, database: Database) -> Self {
        let folder = std::env::temp_dir().join(format!("curfew-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let settings = sandbox::Settings {
            operation_millis: 100..=200,
            settle_seconds: 5,
            ..sandbox::Settings::default()
        };
        let clock = sandbox::Clock::System;
        let sandbox = Sandbox::open(settings, clock, World::demo(), None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let stop_sandbox = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(sandbox.clone().serve(listener, stop_sandbox.clone()));
        let operator = Self {
            folder,
            database,
            sandbox,
            endpoint,
            stop_sandbox,
        };
        operator.write("policy.toml", POLICY);
        operator.configure("");
        operator
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    /// Writes the configuration: what every test needs, and then this.
    pub(crate) fn configure(&self, more: &str) {
        let least = "public_url = 'http://localhost:8080'\nlisten = '127.0.0.1:0'\nmetrics_listen = '127.0.0.1:0'\nstate_dir = 'state'\n";
        let roles =
            "[roles]\nauditor_groups = ['auditors']\nadministrator_groups = ['curfew-admins']\n";
        let engine =
            "[engine]\nsettle_seconds = 5\nconfirm_gap_seconds = 1\nstanding_gap_seconds = 1\n";
        self.write("curfew.toml", &format!("{least}{more}\n{roles}{engine}"));
    }

    /// Its database, by the product's own functions.
    pub(crate) fn db(&self) -> Db {
        Db::new(self.database.runtime.clone(), 2, Clock::Postgres)
    }

    /// A command with this configuration, this database and this AWS.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(std::env::var("CARGO_BIN_EXE_curfew").unwrap());
        command
            .args(words)
            .arg("--config")
            .arg(self.folder.join("curfew.toml"))
            .env("DATABASE_URL", &self.database.url)
            .env("MIGRATE_DATABASE_URL", &self.database.owner_url)
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("RUST_LOG");
        command
    }

    /// Runs a command with this configuration to its end.
    pub(crate) async fn run(&self, words: &[&str]) -> (bool, String) {
        run_to_its_end(self.command(words)).await
    }

    /// Starts `curfew serve` and waits until it is ready.
    pub(crate) async fn serve(&self) -> Served {
        self.serve_as(|_| {}).await
    }

    /// The same, with something else about its command.
    pub(crate) async fn serve_as(&self, change: impl FnOnce(&mut Command)) -> Served {
        let served = self.start_as(change).await;
        let ready = async {
            while served.get("/readyz", None).await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.unwrap();
        served
    }

    /// Starts `curfew serve` and waits until it listens.
    pub(crate) async fn start(&self) -> Served {
        self.start_as(|_| {}).await
    }

    async fn start_as(&self, change: impl FnOnce(&mut Command)) -> Served {
        let mut command = self.command(&["serve"]);
        change(&mut command);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, mut said) = unbounded_channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let (mut origin, mut metrics) = (None, None);
        while origin.is_none() {
            let line = tokio::time::timeout(PATIENCE, said.recv()).await.unwrap();
            let line = line.unwrap_or_else(|| panic!("it does not start: {:?}", child.wait()));
            let logged: serde_json::Value = serde_json::from_str(&line)
                .unwrap_or_else(|_| panic!("a line of the log is not JSON: {line}"));
            let field = |name: &str| {
                let value = &logged["fields"][name];
                value.as_str().map(|address| format!("http://{address}"))
            };
            (origin, metrics) = (field("listen"), field("metrics_listen"));
        }
        Served {
            child,
            origin: origin.unwrap(),
            metrics: metrics.unwrap(),
            _said: said,
        }
    }

    pub(crate) async fn finish(self) {
        self.stop_sandbox.cancel();
        self.database.drop().await;
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// Runs a command to its end: whether it went well, and everything that it said.
pub(crate) async fn run_to_its_end(mut command: Command) -> (bool, String) {
    let ran = tokio::task::spawn_blocking(move || command.output());
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::time::timeout(PATIENCE, ran)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let said = [stdout, stderr].map(|part| String::from_utf8_lossy(&part).into_owned());
    (status.success(), said.concat())
}

/// A session in the product's own store.
pub(crate) async fn signed_in(db: &Db, email: &str) -> String {
    let mut conn = db.conn().await.unwrap();
    let person = directory::find_person_by_email(&mut conn, email)
        .await
        .unwrap();
    drop(conn);
    let by = SignedInPerson {
        person: person.unwrap(),
        assurance: Assurance::PhishingResistant,
        amr: vec!["hwk".to_owned()],
        acr: None,
        auth_time: None,
        channel: Channel::Web,
        ip: None,
    };
    session::open(db, &by).await.unwrap()
}

/// A service that runs.
pub(crate) struct Served {
    child: Child,
    pub(crate) origin: String,
    pub(crate) metrics: String,
    /// Read on, so that the service never waits to write.
    _said: UnboundedReceiver<String>,
}

impl Served {
    /// Status and body of a GET, perhaps with a session's cookie.
    pub(crate) async fn get(&self, path: &str, session: Option<&str>) -> (u16, String) {
        self.ask(reqwest::Method::GET, path, session).await
    }

    pub(crate) async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        session: Option<&str>,
    ) -> (u16, String) {
        let answer = self.request(method, path, session).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Status and JSON of an act of the API.
    pub(crate) async fn act(&self, path: &str, session: &str, body: &Value) -> (u16, Value) {
        let request = self.request(reqwest::Method::POST, path, Some(session));
        let request = request.header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        (status, serde_json::from_str(&text).expect(&text))
    }

    /// A request that is not sent yet.
    pub(crate) fn request(
        &self,
        method: reqwest::Method,
        path: &str,
        session: Option<&str>,
    ) -> reqwest::RequestBuilder {
        let base = if path == "/metrics" {
            &self.metrics
        } else {
            &self.origin
        };
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let mut request = client.request(method, format!("{base}{path}"));
        request = request.header("sec-fetch-site", "same-origin");
        if let Some(session) = session {
            request = request.header("cookie", format!("sid={session}"));
        }
        request
    }

    /// Asks it to stop, as a supervisor does.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Takes connections no more.
    pub(crate) async fn is_closed(&self) {
        let address = self.origin.trim_start_matches("http://");
        let closed = async {
            while tokio::net::TcpStream::connect(address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        self.terminate();
        let ended = tokio::task::spawn_blocking(move || self.child.wait());
        tokio::time::timeout(PATIENCE, ended)
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }
}

impl Drop for Served {
    /// A test that fails leaves no service behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
