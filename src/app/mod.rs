//! The service: put together, started and stopped in order.
//!
//! What the loops do is in `loops`; here is only who runs beside whom. No loop's error stops another:
//! the engine goes on whatever the directory, the policy or the web have to say (protocol C4).

mod loops;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use ipnet::IpNet;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::person::Actor;
use crate::access::portal::AccessPortal;
use crate::audit::event::{Event, EventType};
use crate::aws::{Aws, management};
use crate::broker::Broker;
use crate::broker::policy::Offered;
use crate::clock::Clock;
use crate::directory::{Directory, Roles};
use crate::engine::Engine;
use crate::http::live::Live;
use crate::http::{self, PublicUrl, Setup, Web, router};
use crate::live_grants::{self, LastSeen, Picture};
use crate::oidc::Client;
use crate::policy::Policy;
use crate::postgres::change::Change;
use crate::postgres::installation::{self, Installation, Kind};
use crate::postgres::{Db, overview, replicas, schema};
use crate::preflight::{self, OfAws, Warning, Warnings};
use crate::settings::Settings;
use crate::state_dir::StateDir;

/// Connections of its engine: one for each assignment that it works on at a time, and a few.
const ENGINE_CONNECTIONS: u32 = 12;

/// How long requests in hand may take at a stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// What a service is made of.
#[derive(Debug)]
pub struct Parts {
    /// The database, as the runtime role.
    pub database: PgConnectOptions,
    /// What time it is.
    pub clock: Clock,
    /// AWS.
    pub aws: Aws,
    /// Waits and limits.
    pub settings: Settings,
    /// Who may read and operate Curfew.
    pub roles: Roles,
    /// Where people reach it.
    pub public_url: PublicUrl,
    /// Where they sign in; none lets nobody in but a demo's people.
    pub oidc: Option<Client>,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections of its pages and acts.
    pub connections: u32,
    /// `/metrics` stands beside the pages, and not on an address of its own.
    pub has_metrics: bool,
    /// Where people reach AWS; none is the address that follows from the identity store.
    pub access_portal_url: Option<String>,
    /// Demo or production.
    pub kind: Kind,
    /// The text of the policy file; none keeps the one in force.
    pub policy: Option<String>,
    /// Where this replica keeps what must be at hand without the database; none keeps nothing.
    pub state_dir: Option<PathBuf>,
}

/// A service that is put together but does not run.
#[derive(Debug)]
pub struct App {
    /// Acts.
    pub broker: Broker,
    /// The engine.
    pub engine: Arc<Engine>,
    web: Web,
    warnings: Warnings,
    live_grants: LastSeen,
    database: PgConnectOptions,
    state_dir: Option<StateDir>,
}

impl App {
    /// Puts a service together: checks that database and AWS belong to the same world, copies the
    /// directory, and offers the policy.
    ///
    /// # Errors
    /// If the worlds differ, or the database or AWS can't be asked. A policy that is not good, or a
    /// directory that can't be copied, is logged and does not stop the start.
    pub async fn build(parts: Parts) -> anyhow::Result<Self> {
        let db = Db::new(parts.database.clone(), parts.connections, parts.clock);
        let instance = parts.aws.patient().instance().await?;
        let world = Installation {
            kind: parts.kind.as_str().to_owned(),
            instance_arn: instance.arn.clone(),
            identity_store_id: instance.identity_store_id.clone(),
        };
        let mut conn = db.conn().await.context("connect to the database")?;
        if let Some(problem) = schema::find(&mut conn).await?.problem() {
            anyhow::bail!(problem);
        }
        drop(conn);
        enter(&db, &world).await?;
        let metrics = parts.aws.observer.metrics().clone();
        let portal = AccessPortal::new(
            parts.access_portal_url.as_deref(),
            &instance.identity_store_id,
            parts.aws.region.as_deref(),
        )
        .map_err(anyhow::Error::msg)?;
        let directory = Directory {
            aws: parts.aws,
            instance,
        };
        let broker = Broker {
            db: db.clone(),
            directory: directory.clone(),
            settings: parts.settings,
            roles: parts.roles,
        };
        let named: BTreeSet<String> = parts
            .policy
            .as_deref()
            .map(Policy::parse)
            .and_then(Result::ok)
            .map_or_else(BTreeSet::new, |policy| {
                policy
                    .group_names()
                    .into_iter()
                    .map(str::to_owned)
                    .collect()
            });
        if let Err(error) = directory.copy(&db, &broker.roles, &named).await {
            tracing::error!(
                error = format!("{error:#}"),
                "the directory could not be copied; requests wait until it can"
            );
        }
        if let Some(source) = parts.policy {
            match broker.offer_policy(&source).await? {
                Offered::Activated => tracing::info!("the policy is in force"),
                Offered::InForce => {}
                Offered::Refused(findings) => {
                    tracing::error!(
                        findings = findings.join("; "),
                        "the policy is not good; the one before stays in force"
                    );
                }
            }
        }
        let state_dir = parts.state_dir.map(StateDir::new);
        // Its own connections: no crowd of readers may keep endings waiting.
        let for_engine = Db::new(parts.database.clone(), ENGINE_CONNECTIONS, db.clock.clone());
        let engine = Engine::new(
            for_engine,
            directory,
            parts.settings,
            metrics.clone(),
            state_dir.clone(),
        )
        .await?;
        let (engine, warnings) = (Arc::new(engine), Warnings::default());
        let setup = Setup {
            public_url: parts.public_url,
            oidc: parts.oidc,
            portal,
            is_demo: parts.kind == Kind::Demo,
            trusted_proxies: parts.trusted_proxies,
            has_metrics: parts.has_metrics,
        };
        let live_grants = LastSeen::default();
        let web = Web::new(
            broker.clone(),
            engine.clone(),
            metrics,
            (warnings.clone(), live_grants.clone()),
            setup,
        );
        let app = Self {
            broker,
            engine,
            web,
            warnings,
            live_grants,
            database: parts.database,
            state_dir,
        };
        app.write_in().await?;
        app.keep_live_grants().await?;
        app.look_for_warnings().await?;
        Ok(app)
    }

    /// Writes that this process runs.
    async fn write_in(&self) -> anyhow::Result<()> {
        let db = &self.broker.db;
        let mut conn = db.conn().await?;
        let now = db.clock.now(&mut conn).await?;
        replicas::write_in(&mut conn, self.engine.holder(), preflight::VERSION, now).await?;
        Ok(())
    }

    /// Looks at what is Curfew's to take away, and keeps it: in memory, and, if it shows something new
    /// or was written a while ago, as a script in the state folder (protocol G4). One that can't be
    /// written is warned of, and tried again.
    ///
    /// # Errors
    /// If the database can't be asked. What was kept before stays.
    pub async fn keep_live_grants(&self) -> anyhow::Result<()> {
        let Broker { db, directory, .. } = &self.broker;
        let mut conn = db.conn().await?;
        let as_of = db.clock.now(&mut conn).await?;
        let entries = overview::list_to_take_away(&mut conn).await?;
        drop(conn);
        let picture = Picture {
            as_of,
            instance_arn: directory.instance.arn.clone(),
            region: directory.aws.region.clone(),
            entries,
        };
        let script = picture.script();
        if !self
            .live_grants
            .replace(picture, as_of - loops::REWRITTEN_EVERY)
        {
            return Ok(());
        }
        if let Some(folder) = self.state_dir.clone() {
            let write = move || folder.write(live_grants::FILE, script.as_bytes());
            let written = tokio::task::spawn_blocking(write).await?;
            if let Err(error) = &written {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the commands that end access by hand could not be written; trying again"
                );
            }
            let problem = written.err().map(|error| format!("{error:#}"));
            self.live_grants.set_problem(problem);
        }
        Ok(())
    }

    /// What should be put right, as last looked at.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.warnings.list()
    }

    /// Looks for what should be put right, and logs what was not known before.
    ///
    /// # Errors
    /// If the database can't be asked.
    pub async fn look_for_warnings(&self) -> anyhow::Result<()> {
        let Broker { db, directory, .. } = &self.broker;
        let (aws, instance) = (&directory.aws, &directory.instance);
        let of_aws = OfAws {
            in_management: management::provisioned(&aws.patient(), instance).await,
            foreign_endpoints: aws.observer.foreign_endpoints(),
        };
        let mut conn = db.conn().await?;
        let now = db.clock.now(&mut conn).await?;
        let mut found = preflight::warnings(&mut conn, &of_aws, now).await?;
        let problem = self.state_dir.as_ref().and_then(StateDir::problem);
        found.extend(problem.map(|why| preflight::of_state_dir(&why)));
        for Warning { what, remedy } in self.warnings.replace(found) {
            tracing::warn!(what, remedy, "something should be put right");
        }
        Ok(())
    }

    /// The routes, for tests that need no socket.
    pub fn router(&self) -> axum::Router {
        router(self.web.clone())
    }

    /// The pages that are watched live.
    #[must_use]
    pub fn live(&self) -> &Live {
        self.web.live()
    }

    /// Turns notifications into knocks for the loops, and wakes the pages that are watched live, until
    /// it is told to stop.
    #[must_use = "it listens only while it is awaited"]
    pub fn listen(
        &self,
        knocks: watch::Sender<u64>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let listening = loops::listen(self.database.clone(), knocks, self.live().clone()).boxed();
        loops::until_stopped(stop, listening)
    }

    /// Runs until it is told to stop; requests in hand are finished, the lease is given up.
    ///
    /// # Errors
    /// If the socket fails.
    pub async fn run(
        self,
        listener: TcpListener,
        metrics: Option<TcpListener>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let app = Arc::new(self);
        let (engine, broker) = (app.engine.clone(), app.broker.clone());
        let notices = app.live().notices();
        let tasks = TaskTracker::new();
        let (knocks, knock) = watch::channel(0_u64);
        tasks.spawn({
            let (app, stop) = (app.clone(), stop.clone());
            async move { app.listen(knocks, stop).await }
        });
        tasks.spawn({
            let (live, stop) = (app.live().clone(), stop.clone());
            async move {
                stop.cancelled().await;
                live.end();
            }
        });
        tasks.spawn({
            let (engine, knock, stop) = (engine.clone(), knock.clone(), stop.clone());
            async move { engine.run(knock, stop).await }
        });
        let stopping = |work| loops::until_stopped(stop.clone(), work);
        tasks.spawn(stopping(
            loops::end_ordered(broker.clone(), knock.clone()).boxed(),
        ));
        tasks.spawn(stopping(loops::lapse(broker.clone(), knock).boxed()));
        tasks.spawn(stopping(loops::copy_directory(broker.clone()).boxed()));
        tasks.spawn(stopping(loops::sweep_sessions(broker.db.clone()).boxed()));
        tasks.spawn(stopping(loops::keep_written_in(app.clone()).boxed()));
        tasks.spawn(stopping(loops::look_for_warnings(app.clone()).boxed()));
        tasks.spawn(stopping(
            loops::keep_live_grants(app.clone(), notices).boxed(),
        ));
        if let Some(listener) = metrics {
            // Whoever reads metrics reads them again: at a stop nobody waits for them.
            let serving = axum::serve(listener, http::metrics::router(app.web.clone()));
            tasks.spawn(stopping(async { drop(serving.await) }.boxed()));
        }
        let service = app
            .router()
            .into_make_service_with_connect_info::<SocketAddr>();
        let serving =
            axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_WITHIN).await;
        };
        let served = tokio::select! {
            served = serving => served.context("serve the web"),
            () = late => Ok(()),
        };
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        let written_out =
            async { replicas::write_out(&mut *broker.db.conn().await?, engine.holder()).await };
        if let Err(error) = written_out.await {
            tracing::warn!(%error, "this replica could not be taken out of the list; it drops out by itself");
        }
        // A connection that is still in use is not worth being killed for.
        let _ = tokio::time::timeout(STOP_WITHIN, broker.db.pool.close()).await;
        served
    }
}

/// Writes which world the database belongs to, or compares.
async fn enter(db: &Db, world: &Installation) -> anyhow::Result<()> {
    let mut change = Change::begin(db, Actor::System).await?;
    if let Some(found) = installation::find(change.conn()).await? {
        if let Some(why) = found.differs_from(world) {
            anyhow::bail!(why);
        }
        return Ok(());
    }
    let now = change.now().await?;
    installation::insert(change.conn(), world, now).await?;
    change.record(
        Event::new(EventType::InstallationRegistered)
            .with("kind", world.kind.as_str())
            .with("instance_arn", world.instance_arn.as_str())
            .with("identity_store_id", world.identity_store_id.as_str()),
    );
    change.commit().await
}
