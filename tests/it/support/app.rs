//! The service in a test: everything real but the clock, which stands still until it is moved, and
//! AWS, which is the sandbox behind a real socket.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_sdk_ssoadmin::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::time::TimeSource;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use curfew::app::{App, Parts};
use curfew::aws::{self, Aws};
use curfew::clock::{Clock, FixedClock};
use curfew::directory::Roles;
use curfew::engine::Pass;
use curfew::http::PublicUrl;
use curfew::oidc::{
    Algorithm, AssuranceMap, Client, ClientAuthentication, ClientSettings, Issuer, IssuerUrl,
};
use curfew::postgres::installation::Kind;
use curfew::sandbox::{self, ExternalId, ManualClock, Sandbox, World};
use curfew::settings::Settings;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::idp::{CLIENT_ID, CLIENT_SECRET, Idp};
use super::people::Person;

/// The origin that the pages are served from.
pub(crate) const ORIGIN: &str = "http://127.0.0.1:8080";

/// Under which issuer the identity store holds the provider's ids.
pub(crate) const SCIM: &str = "https://scim.aws.example/11112222";

/// How long an operation takes in the sandbox.
const OPERATION: u64 = 2000;

/// The demo's policy, which most stories go by.
pub(crate) const POLICY: &str = include_str!("../../../src/cli/demo_policy.toml");

/// The SDK signs by this machine's clock, which AWS agrees with whatever the database's says.
#[derive(Clone, Debug)]
struct SigningTime(ManualClock);

impl TimeSource for SigningTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

/// The demo's world with so many more production accounts: 444444440000 and on.
pub(crate) fn world_with_accounts(count: u32) -> World {
    let mut world = World::demo();
    let parent = world
        .account_named("payments-prod")
        .unwrap()
        .parent_id
        .clone();
    for n in 0..count {
        world.add_account(
            &format!("44444444{n:04}"),
            &format!("prod-{n}"),
            &parent,
            &[("env", "prod")],
        );
    }
    world
}

/// The demo's world, where the identity store has the ids by which the test's provider knows everybody.
pub(crate) fn provisioned() -> World {
    let mut world = World::demo();
    for user in &mut world.users {
        let name = user.email.split('@').next().unwrap();
        user.external_id = Some(external_id(name));
    }
    world
}

/// The same with nothing but names.
pub(crate) fn unprovisioned() -> World {
    let mut world = World::demo();
    for user in &mut world.users {
        user.external_id = None;
    }
    world
}

/// How the test's provider knows somebody.
pub(crate) fn external_id(name: &str) -> ExternalId {
    ExternalId {
        issuer: SCIM.to_owned(),
        id: format!("00u-{name}"),
    }
}

/// The state folder of a service, gone with it.
pub(crate) struct StateFolder(pub(crate) PathBuf);

impl StateFolder {
    fn of(database: &Database) -> Self {
        let name = format!("curfew-state-{}-{}", std::process::id(), database.name);
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        // Nothing may have been written to it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Something that happens to the world meanwhile, and what to call it.
pub(crate) type Event = (&'static str, fn(&TestApp));

/// A service with its world.
pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) router: axum::Router,
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: FixedClock,
    pub(crate) database: Database,
    pub(crate) settings: Settings,
    sandbox_clock: ManualClock,
    endpoint: String,
    stop_sandbox: CancellationToken,
    pub(crate) state: StateFolder,
    oidc: Option<Client>,
    /// Assignments that the story made by hand: account, permission set ARN, person.
    pub(crate) by_hand: BTreeSet<(String, String, String)>,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with_policy(POLICY).await
    }

    pub(crate) async fn with_policy(policy: &str) -> Self {
        Self::with(policy, World::demo()).await
    }

    pub(crate) async fn with(policy: &str, world: World) -> Self {
        Box::pin(Self::with_settings(policy, world, |_| {})).await
    }

    /// On a database of its own.
    pub(crate) async fn on(database: Database, policy: &str, world: World) -> Self {
        Box::pin(Self::build(
            database,
            Some(policy),
            world,
            (FixedClock::at(real_now()), None),
            |_| {},
        ))
        .await
    }

    /// On a database that has a past, and a policy in force: the clock must be later than all of it.
    pub(crate) async fn resume(database: Database, world: World, start: DateTime<Utc>) -> Self {
        Box::pin(Self::build(
            database,
            None,
            world,
            (FixedClock::at(start), None),
            |_| {},
        ))
        .await
    }

    pub(crate) async fn with_settings(
        policy: &str,
        world: World,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let database = Database::create().await;
        Box::pin(Self::build(
            database,
            Some(policy),
            world,
            (FixedClock::at(real_now()), None),
            change,
        ))
        .await
    }

    /// With a company's sign-in beside the demo's.
    pub(crate) async fn with_provider(policy: &str, world: World) -> (Self, Idp) {
        let clock = FixedClock::at(real_now());
        let idp = Idp::start(&clock).await;
        let client = client_of(&idp, &clock);
        let database = Database::create().await;
        let app = Self::build(database, Some(policy), world, (clock, Some(client)), |_| {});
        (Box::pin(app).await, idp)
    }

    async fn build(
        database: Database,
        policy: Option<&str>,
        world: World,
        (clock, oidc): (FixedClock, Option<Client>),
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let sandbox_clock = ManualClock::at(clock.now());
        let mut settings = Settings::sandbox(TimeDelta::minutes(1));
        // A clock that stands still refills no bucket.
        settings.calls_per_second = 1_000_000;
        // Nor does a page look by itself: what a story hears, it was told.
        settings.look_every = Duration::from_hours(1);
        change(&mut settings);
        let sandbox = Sandbox::open(
            sandbox::Settings {
                operation_millis: OPERATION..=OPERATION,
                settle_seconds: u64::try_from(settings.timing.settle.num_seconds()).unwrap(),
                calls_per_second: 0,
                ..sandbox::Settings::default()
            },
            sandbox::Clock::Manual(sandbox_clock.clone()),
            world,
            None,
        )
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let stop_sandbox = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(sandbox.clone().serve(listener, stop_sandbox.clone()));
        let state = StateFolder::of(&database);
        let app = build(
            (&database, &state),
            (&clock, &sandbox_clock),
            &endpoint,
            &settings,
            (policy, oidc.clone()),
        )
        .await
        .unwrap();
        Self {
            oidc,
            router: app.router(),
            app,
            sandbox,
            clock,
            database,
            settings,
            sandbox_clock,
            endpoint,
            stop_sandbox,
            state,
            by_hand: BTreeSet::new(),
        }
    }

    /// Another process of the same service: its own connections, its own engine.
    pub(crate) async fn another(&self) -> App {
        self.try_another().await.unwrap()
    }

    pub(crate) async fn try_another(&self) -> anyhow::Result<App> {
        build(
            (&self.database, &self.state),
            (&self.clock, &self.sandbox_clock),
            &self.endpoint,
            &self.settings,
            (None, self.oidc.clone()),
        )
        .await
    }

    /// The process dies and is started again. Whatever it had in memory is gone.
    pub(crate) async fn crash_and_restart(&mut self) {
        let fresh = self.another().await;
        self.dies_and_leaves_it_to(fresh).await;
    }

    /// The process dies, and another one that runs already is left.
    pub(crate) async fn dies_and_leaves_it_to(&mut self, other: App) {
        let dead = std::mem::replace(&mut self.app, other);
        dead.broker.db.pool.close().await;
        self.router = self.app.router();
        // The dead one's lease runs out.
        self.advance(self.settings.lease_ttl + TimeDelta::seconds(1));
    }

    /// AWS can't be reached any more.
    pub(crate) fn cut_off_aws(&self) {
        self.stop_sandbox.cancel();
    }

    pub(crate) fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
        self.sandbox_clock.advance(by);
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// One pass of everything that time does.
    pub(crate) async fn tick(&self) -> Pass {
        self.app.broker.lapse_due().await.unwrap();
        self.app.broker.carry_out_end_orders().await.unwrap();
        self.app.engine.tick().await.unwrap()
    }

    /// Passes, moving the clock to whatever is due within `patience`, until nothing is.
    pub(crate) async fn run_for(&self, patience: TimeDelta) {
        let until = self.now() + patience;
        for _ in 0..5000 {
            let pass = self.tick().await;
            super::check::words_match_the_world(self).await;
            let pause = pass
                .next_at
                .map_or(TimeDelta::MAX, |next| next - self.now());
            if pause > until - self.now() {
                let rest = until - self.now();
                if rest > TimeDelta::zero() {
                    self.advance(rest);
                }
                self.keep_the_copy_fresh().await;
                return;
            }
            self.advance(pause.max(TimeDelta::milliseconds(50)));
        }
        panic!("the engine does not come to rest");
    }

    /// What the loop does every few minutes, if it is time.
    async fn keep_the_copy_fresh(&self) {
        let mut conn = self.app.broker.db.conn().await.unwrap();
        let copied_at = curfew::postgres::directory::copied_at(&mut conn)
            .await
            .unwrap();
        drop(conn);
        if copied_at.is_none_or(|at| at + TimeDelta::minutes(4) < self.now()) {
            self.copy_directory().await;
        }
    }

    /// Long enough for an operation and what confirms it.
    pub(crate) async fn settle(&self) {
        self.run_for(TimeDelta::seconds(20)).await;
    }

    pub(crate) async fn sign_in(&self, name: &str) -> Person {
        Person::sign_in(&self.router, name, None).await
    }

    pub(crate) async fn sign_in_with(&self, name: &str, assurance: &str) -> Person {
        Person::sign_in(&self.router, name, Some(assurance)).await
    }

    /// `engineer` asks for `production-admin` in `payments-prod` and `approver` agrees; the engine has
    /// not seen it yet.
    pub(crate) async fn approved(&self, minutes: u32) -> String {
        let (engineer, approver) = (
            self.sign_in("engineer").await,
            self.sign_in("approver").await,
        );
        let id = engineer.asks(minutes).await;
        approver.act(&id, "approve").await.expect(200);
        id
    }

    /// The status of a grant of `engineer`.
    pub(crate) async fn status(&self, id: &str) -> String {
        self.sign_in("engineer").await.grant_status(id).await
    }

    /// Reads the directory anew, as the loop does every few minutes.
    pub(crate) async fn copy_directory(&self) {
        let broker = &self.app.broker;
        broker
            .directory
            .copy(&broker.db, &broker.roles, &BTreeSet::new())
            .await
            .unwrap();
        broker.end_of_disabled().await.unwrap();
    }

    /// Is the person assigned, as AWS has it at this very moment?
    pub(crate) fn is_assigned(&self, account: &str, permission_set: &str, user: &str) -> bool {
        let world = self.sandbox.world();
        let (set, user) = (
            world.permission_set_named(permission_set).unwrap(),
            world.user_named(user).unwrap(),
        );
        self.sandbox.assignments().iter().any(|row| {
            row.account_id == account
                && row.permission_set_arn == set.arn
                && row.principal_id == user.id
        })
    }

    /// How often Curfew called this operation.
    pub(crate) fn count_calls(&self, operation: &str) -> usize {
        self.sandbox
            .calls()
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }

    /// Every event of this type, oldest first.
    pub(crate) async fn events(&self, kind: &str) -> Vec<serde_json::Value> {
        let mut conn = self.app.broker.db.conn().await.unwrap();
        let all = curfew::postgres::audit::list_after(&mut conn, 0, i64::MAX);
        let all =
            all.await.unwrap().into_iter().map(|event| {
                serde_json::from_slice::<serde_json::Value>(&event.canonical).unwrap()
            });
        all.filter(|event| event["type"] == kind).collect()
    }

    /// The types of the events about a request, in order.
    pub(crate) async fn events_of(&self, request: &str) -> Vec<String> {
        let id = request.parse().unwrap();
        let mut conn = self.app.broker.db.conn().await.unwrap();
        let mut stored =
            curfew::postgres::audit::list_of_request(&mut conn, id, true, i64::MAX, 10_000)
                .await
                .unwrap();
        stored.reverse();
        stored
            .iter()
            .map(|event| {
                let event: serde_json::Value = serde_json::from_slice(&event.canonical).unwrap();
                event["type"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    /// Ends the story: nothing is left undone, and everything that must always hold does.
    pub(crate) async fn finish(self) {
        super::check::everything(&self).await;
        self.app.broker.db.pool.close().await;
        self.stop_sandbox.cancel();
        self.database.drop().await;
    }
}

async fn build(
    (database, state): (&Database, &StateFolder),
    (clock, signing): (&FixedClock, &ManualClock),
    endpoint: &str,
    settings: &Settings,
    (policy, oidc): (Option<&str>, Option<Client>),
) -> anyhow::Result<App> {
    let config = aws::loader(settings.call_timeout)
        .endpoint_url(endpoint)
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "test", "test", None, None, "test",
        )))
        .time_source(SigningTime(signing.clone()))
        .load()
        .await;
    App::build(Parts {
        database: database.runtime.clone(),
        clock: Clock::Fixed(clock.clone()),
        aws: Aws::new(&config),
        settings: *settings,
        roles: Roles {
            auditor_groups: ["auditors".to_owned()].into(),
            administrator_groups: ["curfew-admins".to_owned()].into(),
        },
        public_url: PublicUrl::parse(ORIGIN).unwrap(),
        oidc,
        trusted_proxies: Vec::new(),
        connections: 20,
        has_metrics: true,
        access_portal_url: None,
        kind: Kind::Demo,
        policy: policy.map(str::to_owned),
        state_dir: Some(state.0.clone()),
    })
    .await
}

/// Curfew as a client of that provider, whose ids the identity store holds under [`SCIM`].
fn client_of(idp: &Idp, clock: &FixedClock) -> Client {
    let issuer = Issuer::with_patience(
        IssuerUrl::new(idp.issuer.clone()).unwrap(),
        vec![Algorithm::RS256],
        Clock::Fixed(clock.clone()),
        Duration::from_secs(2),
    );
    let settings = ClientSettings {
        issuer: issuer.unwrap(),
        client_id: CLIENT_ID.to_owned(),
        authentication: ClientAuthentication::Secret(CLIENT_SECRET.into()),
        redirect_uri: format!("{ORIGIN}/auth/callback"),
        scopes: vec!["profile".to_owned()],
        user_name_claim: "preferred_username".to_owned(),
        external_id_claim: "sub".to_owned(),
        external_id_issuer: Some(SCIM.to_owned()),
        assurance: AssuranceMap::default(),
        logout_token_without_typ: false,
    };
    Client::new(settings).unwrap()
}

/// Browsers and the session layer live in real time; so a story begins now.
#[expect(
    clippy::disallowed_methods,
    reason = "a story begins at the real time, once"
)]
fn real_now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}
