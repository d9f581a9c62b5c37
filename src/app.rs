//! The service: put together, started and stopped in order.
//!
//! What the loops do is elsewhere; here is only who runs beside whom. No loop's error stops another:
//! the engine goes on whatever the directory, the policy or the web have to say (protocol C4).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::person::Actor;
use crate::audit::event::{Event, EventType};
use crate::aws::Aws;
use crate::broker::Broker;
use crate::broker::policy::Offered;
use crate::clock::Clock;
use crate::directory::{Directory, Roles};
use crate::engine::Engine;
use crate::http::{PublicUrl, Web, router};
use crate::policy::Policy;
use crate::postgres::change::Change;
use crate::postgres::installation::{self, Installation, Kind};
use crate::postgres::{Db, WAKE, bounded, sessions};
use crate::settings::Settings;

/// Connections of the acts and pages of one process.
const CONNECTIONS: u32 = 20;

/// Connections of its engine: one for each assignment that it works on at a time, and a few.
const ENGINE_CONNECTIONS: u32 = 12;

/// Longest sleep of the loop that lapses requests.
const LAPSE_EVERY: Duration = Duration::from_secs(5);

/// How often sessions that ran out are swept away.
const SESSIONS_EVERY: Duration = Duration::from_mins(10);

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
    /// Demo or production.
    pub kind: Kind,
    /// The text of the policy file; none keeps the one in force.
    pub policy: Option<String>,
}

/// A service that is put together but does not run.
#[derive(Debug)]
pub struct App {
    /// Acts.
    pub broker: Broker,
    /// The engine.
    pub engine: Arc<Engine>,
    web: Web,
    database: PgConnectOptions,
}

impl App {
    /// Puts a service together: checks that database and AWS belong to the same world, copies the
    /// directory, and offers the policy.
    ///
    /// # Errors
    /// If the worlds differ, or the database or AWS can't be asked. A policy that is not good, or a
    /// directory that can't be copied, is logged and does not stop the start.
    pub async fn build(parts: Parts) -> anyhow::Result<Self> {
        let db = Db::new(parts.database.clone(), CONNECTIONS, parts.clock);
        let instance = parts.aws.instance().await?;
        let world = Installation {
            kind: parts.kind.as_str().to_owned(),
            instance_arn: instance.arn.clone(),
            identity_store_id: instance.identity_store_id.clone(),
        };
        enter(&db, &world).await?;
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
        // Its own connections: no crowd of readers may keep endings waiting.
        let for_engine = Db::new(parts.database.clone(), ENGINE_CONNECTIONS, db.clock.clone());
        let engine = Arc::new(Engine::new(for_engine, directory, parts.settings).await?);
        let web = Web::new(
            broker.clone(),
            engine.clone(),
            parts.public_url,
            parts.kind == Kind::Demo,
        );
        Ok(Self {
            broker,
            engine,
            web,
            database: parts.database,
        })
    }

    /// The routes, for tests that need no socket.
    pub fn router(&self) -> axum::Router {
        router(self.web.clone())
    }

    /// Runs until it is told to stop; requests in hand are finished, the lease is given up.
    ///
    /// # Errors
    /// If the socket fails.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        let tasks = TaskTracker::new();
        let (knocks, knock) = watch::channel(0_u64);
        let (engine, broker) = (self.engine.clone(), self.broker.clone());
        tasks.spawn(listen(self.database.clone(), knocks, stop.clone()));
        tasks.spawn({
            let (knock, stop) = (knock.clone(), stop.clone());
            async move { engine.run(knock, stop).await }
        });
        tasks.spawn(until_stopped(stop.clone(), lapse(broker.clone(), knock)));
        tasks.spawn(until_stopped(stop.clone(), copy_directory(broker.clone())));
        tasks.spawn(until_stopped(
            stop.clone(),
            sweep_sessions(broker.db.clone()),
        ));
        let service = self
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
        self.broker.db.pool.close().await;
        served
    }
}

/// Writes which world the database belongs to, or compares.
async fn enter(db: &Db, world: &Installation) -> anyhow::Result<()> {
    let mut change = Change::begin(db, Actor::System).await?;
    if let Some(found) = installation::find(change.conn()).await? {
        anyhow::ensure!(
            found == *world,
            "this database belongs to another world and nothing was sent to AWS.\n  database: {} {} ({})\n  here:     {} {} ({})",
            found.kind,
            found.instance_arn,
            found.identity_store_id,
            world.kind,
            world.instance_arn,
            world.identity_store_id
        );
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

async fn until_stopped(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

/// Turns notifications into knocks. A knock is also given after each reconnect, because whatever was
/// said meanwhile is lost.
async fn listen(database: PgConnectOptions, knocks: watch::Sender<u64>, stop: CancellationToken) {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(bounded(database));
    let listening = async {
        loop {
            let heard = async {
                let mut listener = PgListener::connect_with(&pool).await?;
                listener.listen(WAKE).await?;
                knocks.send_modify(|count| *count += 1);
                // An interrupted connection answers `None`.
                while listener.try_recv().await?.is_some() {
                    knocks.send_modify(|count| *count += 1);
                }
                anyhow::Ok(())
            };
            if let Err(error) = heard.await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "can't listen for wake-ups; looking every two seconds instead"
                );
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    until_stopped(stop, listening).await;
}

async fn lapse(broker: Broker, mut knock: watch::Receiver<u64>) {
    loop {
        knock.mark_unchanged();
        let sleep = match broker.lapse_due().await {
            Ok(Some(next)) => match async {
                anyhow::Ok(broker.db.clock.now(&mut *broker.db.conn().await?).await?)
            }
            .await
            {
                Ok(now) => (next - now)
                    .to_std()
                    .unwrap_or_default()
                    .clamp(Duration::from_millis(50), LAPSE_EVERY),
                Err(_) => LAPSE_EVERY,
            },
            Ok(None) => LAPSE_EVERY,
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "requests could not be lapsed; trying again"
                );
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            changed = knock.changed() => if changed.is_err() { tokio::time::sleep(sleep).await; },
        }
    }
}

async fn copy_directory(broker: Broker) {
    loop {
        tokio::time::sleep(broker.settings.directory_every).await;
        let copied = async {
            broker
                .directory
                .copy(&broker.db, &broker.roles, &BTreeSet::new())
                .await?;
            broker.end_of_disabled().await
        };
        if let Err(error) = copied.await {
            tracing::warn!(
                error = format!("{error:#}"),
                "the directory could not be copied; trying again"
            );
        }
    }
}

async fn sweep_sessions(db: Db) {
    loop {
        tokio::time::sleep(SESSIONS_EVERY).await;
        let swept = async {
            let mut conn = db.conn().await?;
            let now = db.clock.now(&mut conn).await?;
            sessions::delete_expired(&mut conn, now).await
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "old sessions could not be swept; trying again");
        }
    }
}
