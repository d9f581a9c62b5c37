//! A world that lives are lived in: a database, an AWS, people, and the process that serves them, with
//! whatever befell the one before.
//!
//! People repeat what went wrong, as people do, but look first whether it was done. Every wait is for
//! something that can be seen from outside.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use curfew::clock::Clock;
use curfew::postgres::Db;
use curfew::sandbox::{self, Sandbox};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::points::Case;
use super::process::{Order, Process, SETTLE_SECONDS, State, Told};
use super::{judge, lives};
use crate::support::app::{ORIGIN, world_with_accounts};
use crate::support::database::Database;

/// Longest that anything here is waited for; a guard, not a wait.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks at what can be seen from outside.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Accounts beside the demo's.
pub(super) const ACCOUNTS: u32 = 8;

const POLICY: &str = r#"
[[rule]]
name = "asked"
description = "Administrator, if an approver agrees"
permission_set = "production-admin"
accounts = [{ tag = "env=prod" }]
requesters = ["engineers"]
approvers = ["production-approvers"]
approvals = 1
max_minutes = 900
pending_minutes = 900
reason_min_chars = 1
assurance = "any"

[[rule]]
name = "unasked"
description = "Administrator, at once"
permission_set = "production-admin"
accounts = [{ tag = "env=prod" }]
requesters = ["engineers"]
approvals = 0
max_minutes = 900
reason_min_chars = 1
assurance = "any"

[[rule]]
name = "unanswered"
description = "Administrator, if somebody agrees at once"
permission_set = "production-admin"
accounts = [{ tag = "env=prod" }]
requesters = ["engineers"]
approvers = ["production-approvers"]
approvals = 1
max_minutes = 900
pending_minutes = 2
reason_min_chars = 1
assurance = "any"
"#;

/// A clock for the database that a life can set forward. It hides Postgres' own.
const CLOCK: &str = "
    create schema clock;
    create table clock.ahead (by interval not null);
    insert into clock.ahead values ('0 seconds');
    create function clock.clock_timestamp() returns timestamptz language sql volatile
        as 'select pg_catalog.clock_timestamp() + by from clock.ahead';
    grant usage on schema clock to curfew;
    grant select on clock.ahead to curfew;
";

/// See the module.
pub(super) struct World {
    pub(super) sandbox: Sandbox,
    stop_sandbox: CancellationToken,
    pub(super) database: Database,
    pub(super) db: Db,
    sql: PgConnection,
    told: Told,
    client: reqwest::Client,
    cookies: BTreeMap<&'static str, String>,
    /// Who serves.
    serving: Process,
    /// Who served before, and is frozen, or was and runs again.
    before: Option<Process>,
    is_frozen: bool,
    /// Another replica, where a life needs one.
    another: Option<Process>,
    case: Option<Case>,
}

impl World {
    pub(super) async fn start() -> Self {
        let database = Database::create().await;
        database.run(CLOCK).await;
        let name = database.name();
        database
            .run(format!(
                "alter database {name} set search_path = clock, pg_catalog, public"
            ))
            .await;
        let settings = sandbox::Settings {
            operation_millis: 100..=200,
            settle_seconds: SETTLE_SECONDS.into(),
            calls_per_second: 0,
            ..sandbox::Settings::default()
        };
        let world = world_with_accounts(ACCOUNTS);
        let sandbox = Sandbox::open(settings, sandbox::Clock::System, world, None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let told = Told {
            database: database.url.clone(),
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            policy: POLICY.to_owned(),
            order: None,
        };
        let stop_sandbox = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(sandbox.clone().serve(listener, stop_sandbox.clone()));
        let serving = Process::start(&told).await;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let mut world = Self {
            sandbox,
            stop_sandbox,
            db: Db::new(database.owner.clone(), 1, Clock::Postgres),
            sql: PgConnection::connect_with(&database.owner).await.unwrap(),
            database,
            told,
            client,
            cookies: BTreeMap::new(),
            serving,
            before: None,
            is_frozen: false,
            another: None,
            case: None,
        };
        for name in ["engineer", "approver", "admin"] {
            assert!(world.sign_in(name).await);
        }
        world
    }

    pub(super) async fn finish(self) {
        drop((self.serving, self.before));
        self.sql.close().await.unwrap();
        self.db.pool.close().await;
        self.stop_sandbox.cancel();
        self.database.drop().await;
    }

    /// False if the directory does not let them in.
    async fn sign_in(&mut self, name: &'static str) -> bool {
        let answer = self
            .client
            .post(format!("{}/login/demo", self.serving.origin))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("email={name}%40example.com"))
            .send()
            .await
            .unwrap();
        if answer.status() != 303 {
            return false;
        }
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        self.cookies.insert(name, cookie);
        true
    }

    /// Somebody whose sessions were ended signs in again, once the directory lets them.
    pub(super) async fn comes_back(&mut self, name: &'static str) {
        self.until("they sign in again", async |world| {
            Ok(world.sign_in(name).await.then_some(()))
        })
        .await;
    }

    /// A life with a fault in it, and what is left of it.
    pub(super) async fn live_through(&mut self, case: Case) {
        self.case = Some(case);
        let order = Order::Fall {
            point: case.point.to_owned(),
            hit: case.hit,
            fault: case.fault,
        };
        if case.life == lives::Life::TakeOver {
            // It falls as it takes over from one that died.
            let told = Told {
                order: Some(order),
                ..self.told.clone()
            };
            self.serving.kill();
            self.serving = Process::start(&told).await;
        } else {
            self.serving.tell(&order).await;
        }
        lives::live(self, case.life).await;
        self.until_fallen().await;
        judge::everything(self).await;
        if let Some(mut before) = self.before.take() {
            if self.is_frozen {
                self.is_frozen = false;
                before.thaw().await;
            }
            self.until_idle(&mut before).await;
            judge::everything(self).await;
        }
        self.case = None;
    }

    pub(super) fn has_fallen(&self) -> bool {
        self.case.is_none() || self.before.is_some()
    }

    /// Tells whoever serves to stop in order.
    pub(super) async fn stop(&mut self) {
        self.serving.tell(&Order::Stop).await;
    }

    /// The fault strikes in this life, or the test tests nothing.
    pub(super) async fn until_fallen(&mut self) {
        self.until("the fault strikes", async |world| {
            Ok(world.has_fallen().then_some(()))
        })
        .await;
    }

    /// Waits until something can be seen, whatever happens meanwhile; it says what it sees instead.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        mut look: impl AsyncFnMut(&mut Self) -> Result<Option<T>, String>,
    ) -> T {
        let began = Instant::now();
        let mut seen = String::new();
        while began.elapsed() < PATIENCE {
            self.look_after().await;
            match look(self).await {
                Ok(Some(found)) => {
                    self.look_after().await;
                    if self.is_frozen && self.case.is_some_and(|case| !case.thaws_late) {
                        self.thaw().await;
                    }
                    return found;
                }
                Ok(None) => {}
                Err(why) => seen = why,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let case = self.case.map(|case| case.to_string());
        let heard = self.serving.heard();
        let rows = judge::ledger(self).await;
        panic!("{case:?}: never seen that {what}; {seen}\n{rows}\n{heard}");
    }

    /// Whoever fell is replaced.
    async fn look_after(&mut self) {
        let state = self.serving.state();
        if state == State::Runs {
            return;
        }
        assert!(self.before.is_none(), "{:?}: it falls twice", self.case);
        self.serving.fell().await;
        self.is_frozen = state == State::Frozen;
        let fresh = Process::start(&self.told).await;
        self.before = Some(std::mem::replace(&mut self.serving, fresh));
    }

    /// The frozen one goes on, when another leads and has done something.
    async fn thaw(&mut self) {
        let Some(mut before) = self.before.take() else {
            return;
        };
        let began = Instant::now();
        let led_by_another = format!(
            "select 'led' from lease where holder is not null and holder <> '{}'",
            before.holder
        );
        while self.look(&led_by_another).await.is_empty() {
            assert!(began.elapsed() < PATIENCE, "nobody takes over");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        before.thaw().await;
        self.is_frozen = false;
        self.before = Some(before);
    }

    /// Another replica runs beside whoever serves, until it is taken away.
    pub(super) async fn add_another(&mut self) {
        self.another = Some(Process::start(&self.told).await);
    }

    pub(super) fn take_another_away(&mut self) {
        self.another = None;
    }

    /// Whatever a process was about to do is done: its engine has come through a pass since it went on.
    async fn until_idle(&mut self, process: &mut Process) {
        let began = Instant::now();
        let url = format!("{}/metrics", process.origin);
        while process.state() == State::Runs {
            assert!(began.elapsed() < PATIENCE, "a thawed process makes no pass");
            let request = self.client.get(&url).timeout(Duration::from_secs(1));
            let told = async { request.send().await?.text().await }.await;
            let age = told.unwrap_or_default().lines().find_map(|line| {
                let age = line.strip_prefix("curfew_engine_pass_age_seconds ")?;
                age.parse::<f64>().ok()
            });
            if age.is_some_and(|age| age < began.elapsed().as_secs_f64()) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The first column of what SQL answers.
    pub(super) async fn look(&mut self, sql: &str) -> Vec<String> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        let rows = sqlx::raw_sql(sql).fetch_all(&mut self.sql).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Somebody sends something. `None` if whoever served fell meanwhile: was it done?
    pub(super) async fn post(
        &mut self,
        who: &str,
        path: &str,
        body: &Value,
    ) -> Option<(u16, String)> {
        let request = self
            .client
            .post(format!("{}/api/v1{path}", self.serving.origin))
            .header("cookie", &self.cookies[who])
            .header("origin", ORIGIN)
            .header("content-type", "application/json")
            .body(body.to_string());
        let answered = async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.text().await?))
        };
        let serving = &mut self.serving;
        let fallen = async {
            while serving.state() == State::Runs {
                tokio::time::sleep(LOOK_EVERY / 2).await;
            }
        };
        tokio::select! {
            answer = answered => answer.ok(),
            () = fallen => None,
        }
    }

    /// `engineer` asks, once: gives the request's id.
    pub(super) async fn asks(&mut self, rule: &str, account: &str, minutes: u32) -> String {
        let ask =
            json!({"rule": rule, "account": account, "minutes": minutes, "reason": "a crash"});
        self.until("a request is made", async |world| {
            let made = world
                .look(&format!("select id::text from requests where rule = '{rule}' and account_id = '{account}' and is_open"))
                .await;
            if let Some(id) = made.into_iter().next() {
                return Ok(Some(id));
            }
            said(world.post("engineer", "/requests", &ask).await)
        })
        .await
    }

    /// Somebody acts on a request until it is in none of these states any more.
    pub(super) async fn acts(&mut self, who: &str, act: &str, id: &str, from: &[&str]) {
        self.until(act, async |world| {
            let stands = world.stands(id).await;
            if !from.contains(&stands.as_str()) {
                return Ok(Some(()));
            }
            said(
                world
                    .post(who, &format!("/requests/{id}/{act}"), &json!({}))
                    .await,
            )
        })
        .await;
    }

    /// `admin` ends everything, so that this ends too.
    pub(super) async fn ends_everything(&mut self, id: &str, from: &[&str]) {
        let order = json!({"comment": "a crash", "pause": false});
        self.until("everything ends", async |world| {
            if !from.contains(&world.stands(id).await.as_str()) {
                return Ok(Some(()));
            }
            said(
                world
                    .post("admin", "/operations/end-everything", &order)
                    .await,
            )
        })
        .await;
    }

    /// `admin` works a switch until SQL says that it stands so.
    pub(super) async fn switches(&mut self, act: &str, stands: &str) {
        let why = json!({"comment": "a crash"});
        self.until(act, async |world| {
            if !world.look(stands).await.is_empty() {
                return Ok(Some(()));
            }
            said(
                world
                    .post("admin", &format!("/operations/{act}"), &why)
                    .await,
            )
        })
        .await;
    }

    /// How a request, or what it gave, stands.
    pub(super) async fn stands(&mut self, id: &str) -> String {
        let found = self
            .look(&format!(
                "select coalesce(g.status, r.status) from requests r left join grants g on g.request_id = r.id where r.id = '{id}'"
            ))
            .await;
        found.into_iter().next().unwrap()
    }

    /// Waits until it stands so. If it can't any more, something is lost.
    pub(super) async fn until_stands(&mut self, id: &str, wanted: &[&str]) {
        let over = ["ended", "failed", "denied", "cancelled", "lapsed"];
        self.until(&format!("{id} is {wanted:?}"), async |world| {
            judge::words(world).await;
            let stands = world.stands(id).await;
            if wanted.contains(&stands.as_str()) {
                return Ok(Some(()));
            }
            assert!(
                !over.contains(&stands.as_str()),
                "{id} is {stands} and not {wanted:?}"
            );
            Err(stands)
        })
        .await;
    }
}

/// What was said instead of what was wanted.
fn said<T>(answer: Option<(u16, String)>) -> Result<Option<T>, String> {
    match answer {
        Some((status, text)) if status >= 400 => Err(text),
        _ => Ok(None),
    }
}
