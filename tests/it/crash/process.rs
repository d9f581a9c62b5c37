//! The service as a process of its own, which is told where it shall die or freeze.
//!
//! The process is this very test executable, in which failpoints are built in; the product's code knows
//! nothing of it. It signals itself at the failpoint, so that nothing happens in between.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::Region;
use aws_sdk_ssoadmin::config::{Credentials, SharedCredentialsProvider};
use chrono::TimeDelta;
use curfew::app::{App, Parts};
use curfew::aws::{self, Aws};
use curfew::clock::Clock;
use curfew::directory::Roles;
use curfew::engine::step::Timing;
use curfew::http::PublicUrl;
use curfew::postgres::installation::Kind;
use curfew::settings::Settings;
use rustix::process::{Pid, Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::world::PATIENCE;
use crate::support::app::ORIGIN;

/// What befalls a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fault {
    Kill,
    Freeze,
}

/// What a process is told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Signal yourself when you pass this failpoint for so many times.
    Fall {
        point: String,
        hit: u32,
        fault: Fault,
    },
    /// Stop in order.
    Stop,
}

/// What a process is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) database: String,
    pub(super) endpoint: String,
    pub(super) policy: String,
    /// For what comes before it can be told anything.
    pub(super) order: Option<Order>,
}

const VARIABLE: &str = "CURFEW_CRASH_CHILD";

/// How long the sandbox takes a signature, and so how long a lost create is waited for.
pub(super) const SETTLE_SECONDS: u32 = 3;

/// Short waits, in real time.
fn settings() -> Settings {
    let sandbox = Settings::sandbox(TimeDelta::seconds(1));
    let short = TimeDelta::milliseconds(300);
    Settings {
        permit: Duration::from_secs(1),
        call_timeout: Duration::from_secs(2),
        lease_ttl: TimeDelta::milliseconds(1500),
        heartbeat: Duration::from_millis(400),
        directory_every: Duration::from_secs(3),
        first_look: TimeDelta::milliseconds(200),
        calls_per_second: 1000,
        timing: Timing {
            settle: TimeDelta::seconds(SETTLE_SECONDS.into()),
            // A busy machine, too, must come from the look through the check within it.
            standing_gap: TimeDelta::seconds(5),
            confirm_gap: short,
            relist: short,
            ..sandbox.timing
        },
        ..sandbox
    }
}

/// Not a test but the process that falls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child process of another test"]
async fn child() {
    let Ok(told) = std::env::var(VARIABLE) else {
        return;
    };
    let told: Told = serde_json::from_str(&told).unwrap();
    let stop = CancellationToken::new();
    std::thread::spawn({
        let stop = stop.clone();
        move || {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                obey(serde_json::from_str(&line).unwrap(), &stop);
                eprintln!("obeyed");
            }
            // Whoever started this process is gone.
            std::process::exit(1);
        }
    });
    let config = aws::loader(settings().call_timeout)
        .endpoint_url(&told.endpoint)
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "test", "test", None, None, "test",
        )))
        .load()
        .await;
    let app = App::build(Parts {
        database: told.database.parse().unwrap(),
        clock: Clock::Postgres,
        aws: Aws::new(&config),
        settings: settings(),
        roles: Roles {
            administrator_groups: ["curfew-admins".to_owned()].into(),
            ..Roles::default()
        },
        public_url: PublicUrl::parse(ORIGIN).unwrap(),
        oidc: None,
        trusted_proxies: Vec::new(),
        connections: 5,
        has_metrics: true,
        access_portal_url: None,
        kind: Kind::Demo,
        policy: Some(told.policy),
        state_dir: None,
    })
    .await
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    if let Some(order) = told.order {
        obey(order, &stop);
    }
    let holder = app.engine.holder();
    eprintln!("ready {} {holder}", listener.local_addr().unwrap());
    app.run(listener, None, stop).await.unwrap();
}

fn obey(order: Order, stop: &CancellationToken) {
    let Order::Fall { point, hit, fault } = order else {
        stop.cancel();
        return;
    };
    let passed = AtomicU32::new(0);
    fail::cfg_callback(point, move || {
        if passed.fetch_add(1, Ordering::SeqCst) + 1 != hit {
            return;
        }
        eprintln!("falls");
        match fault {
            Fault::Kill => kill_process(getpid(), Signal::KILL).unwrap(),
            Fault::Freeze => kill_process(getpid(), Signal::STOP).unwrap(),
        }
        // A signal needs a moment to reach every thread: this one does nothing before that.
        std::thread::sleep(Duration::from_millis(50));
        eprintln!("thawed");
    })
    .unwrap();
}

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Runs,
    Frozen,
    Dead,
}

/// A process that runs the service.
pub(super) struct Process {
    child: Child,
    said: UnboundedReceiver<String>,
    heard: Vec<String>,
    pub(super) origin: String,
    /// As whom its engine holds the lease.
    pub(super) holder: String,
}

impl Process {
    /// Starts one, and waits until it listens.
    pub(super) async fn start(told: &Told) -> Self {
        let (_, module) = module_path!().split_once("::").unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                &format!("{module}::child"),
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(VARIABLE, serde_json::to_string(told).unwrap())
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, said) = unbounded_channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let mut process = Self {
            child,
            said,
            heard: Vec::new(),
            origin: String::new(),
            holder: String::new(),
        };
        let ready = process.hears(&["ready "]).await;
        let words: Vec<&str> = ready.split(' ').collect();
        process.origin = format!("http://{}", words[1]);
        words[2].clone_into(&mut process.holder);
        process
    }

    /// Tells it something, and waits until it obeyed.
    pub(super) async fn tell(&mut self, order: &Order) {
        let mut line = serde_json::to_string(order).unwrap();
        line.push('\n');
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        // It may fall before it can say that it obeyed.
        self.hears(&["obeyed", "falls"]).await;
    }

    /// Waits until it says a line that begins with one of these.
    async fn hears(&mut self, beginnings: &[&str]) -> String {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.said.recv()).await;
            let Some(line) = line.ok().flatten() else {
                panic!("it never says {beginnings:?}: {:?}", self.heard);
            };
            self.heard.push(line.clone());
            if beginnings.iter().any(|known| line.starts_with(known)) {
                return line;
            }
        }
    }

    /// It runs no more: it came to where it was told to fall. Otherwise something else went wrong with it.
    pub(super) async fn fell(&mut self) {
        if !self.heard.iter().any(|line| line == "falls") {
            self.hears(&["falls"]).await;
        }
    }

    /// Everything that it said, for whoever must explain what went wrong.
    pub(super) fn heard(&mut self) -> String {
        while let Ok(line) = self.said.try_recv() {
            self.heard.push(line);
        }
        self.heard.join("\n")
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(super) fn state(&mut self) -> State {
        if self.child.try_wait().unwrap().is_some() {
            return State::Dead;
        }
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        // After the name, which is in brackets.
        let state = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.trim().chars().next());
        match state {
            Some('T') => State::Frozen,
            Some('Z') | None => State::Dead,
            Some(_) => State::Runs,
        }
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets a frozen process go on, and waits until it does.
    pub(super) async fn thaw(&mut self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
        self.hears(&["thawed"]).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
