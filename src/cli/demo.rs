//! `curfew demo`: all of it on one machine. A private Postgres (or `DATABASE_URL`), the sandbox, the
//! demo's people and policy, and the service itself, against each other as they would be for real.
//!
//! It stops whatever still runs on its folder, picks up where it was, and stops everything it
//! started. Nothing here reaches a real AWS account: the endpoints and credentials are its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use aws_config::Region;
use aws_sdk_ssoadmin::config::{Credentials, SharedCredentialsProvider};
use chrono::TimeDelta;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::demo_folder::Folder;
use super::{policy, say, stop_signal};
use crate::app::{App, Parts};
use crate::aws::{self, Aws};
use crate::clock::Clock;
use crate::config;
use crate::directory::Roles;
use crate::http::PublicUrl;
use crate::postgres::installation::{self, Kind};
use crate::postgres::lease;
use crate::postgres::migrate::{is_empty, is_migrated, migrate};
use crate::private_postgres::{Cluster, Durability, Programs, SUPERUSER};
use crate::sandbox::{self, Sandbox, World};
use crate::settings::Settings;

/// The policy that a new demo starts with.
const POLICY: &str = include_str!("demo_policy.toml");

/// The database in the private cluster, its owner, and the role that the service runs as.
const DATABASE: &str = "curfew";
const OWNER: &str = "curfew_owner";
const RUNTIME: &str = "curfew";

/// How long the service may take to become ready.
const READY_WITHIN: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where people reach the demo
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where everything is kept [default: $XDG_STATE_HOME/curfew-demo, as root /var/lib/curfew-demo]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Where programs reach the pretend AWS
    #[arg(long, default_value = "127.0.0.1:4580")]
    sandbox_listen: SocketAddr,
    /// Seconds that a granted or pending minute takes, for impatient tries
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    minute: u32,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let folder = Folder::open(arguments.data_dir.clone()).await?;
    let database = Database::start(&folder.path).await?;
    let ran = tokio::select! {
        ran = serve(&arguments, &folder.path, &database, &stop) => ran,
        () = database.keep_running() => Ok(()),
    };
    let stopped = database.stop().await;
    ran.and(stopped)
}

async fn serve(
    arguments: &Arguments,
    folder: &Path,
    database: &Database,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let tasks = TaskTracker::new();
    let bind = async |address: SocketAddr, option: &str| {
        let bound = TcpListener::bind(address).await;
        bound.with_context(|| {
            format!("listen on {address}; if something else is there, choose another with {option}")
        })
    };
    let web = bind(arguments.listen, "--listen").await?;
    let aws = bind(arguments.sandbox_listen, "--sandbox-listen").await?;
    let settings = Settings::sandbox(TimeDelta::seconds(i64::from(arguments.minute)));
    let pretend = Sandbox::open(
        sandbox::Settings {
            operation_millis: 1000..=3000,
            settle_seconds: u64::try_from(settings.timing.settle.num_seconds())?,
            ..sandbox::Settings::default()
        },
        sandbox::Clock::System,
        World::demo(),
        Some(folder.join("sandbox.json")),
    )?;
    let endpoint = format!("http://{}", aws.local_addr()?);
    tracing::info!(%endpoint, "the sandbox takes the place of AWS");
    // The service is stopped first and still needs AWS and the database while it stops.
    let stop_sandbox = CancellationToken::new();
    let sandbox_stopped = stop_sandbox.clone();
    tasks.spawn(async move {
        if let Err(error) = pretend.serve(aws, sandbox_stopped).await {
            tracing::error!(error = format!("{error:#}"), "the sandbox failed");
        }
    });
    let served = service(web, &endpoint, &settings, folder, database, stop).await;
    stop_sandbox.cancel();
    tasks.close();
    tasks.wait().await;
    served
}

async fn service(
    web: TcpListener,
    endpoint: &str,
    settings: &Settings,
    folder: &Path,
    database: &Database,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let config = aws::loader(settings.call_timeout)
        .endpoint_url(endpoint)
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "demo", "demo", None, None, "demo",
        )))
        .load()
        .await;
    let address = web.local_addr()?;
    // Whoever listens everywhere is reached on this machine at least by the loopback address.
    let host = if address.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], address.port()))
    } else {
        address
    };
    let public_url = PublicUrl::parse(&format!("http://{host}")).map_err(anyhow::Error::msg)?;
    let ready_at = public_url.origin().to_owned();
    let app = App::build(Parts {
        database: database.runtime(),
        clock: Clock::Postgres,
        aws: Aws::new(&config),
        settings: *settings,
        roles: Roles {
            auditor_groups: ["auditors".to_owned()].into(),
            administrator_groups: ["curfew-admins".to_owned()].into(),
        },
        public_url,
        oidc: None,
        trusted_proxies: Vec::new(),
        connections: config::Database::default().connections,
        has_metrics: true,
        access_portal_url: None,
        kind: Kind::Demo,
        policy: Some(policy_text(folder)?),
        state_dir: Some(folder.join("state")),
    })
    .await?;
    tokio::try_join!(app.run(web, None, stop.clone()), announce(&ready_at, stop))?;
    Ok(())
}

/// The policy is copied into the folder once, so that people can change it there.
fn policy_text(folder: &Path) -> anyhow::Result<String> {
    let file = folder.join("policy.toml");
    if !file.exists() {
        std::fs::write(&file, POLICY).with_context(|| format!("write {}", file.display()))?;
    }
    policy::load(&file)
}

/// Says that it is ready once it is.
async fn announce(origin: &str, stop: &CancellationToken) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()?;
    let is_ready = async {
        loop {
            match client.get(format!("{origin}/readyz")).send().await {
                Ok(answer) if answer.status().is_success() => return,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    tokio::select! {
        () = is_ready => say(&format!("Curfew is ready at {origin}"))?,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(READY_WITHIN) => anyhow::bail!("the demo did not become ready; GET {origin}/readyz says what is missing"),
    }
    Ok(())
}

/// The demo's database: a private cluster, or the one that `DATABASE_URL` names.
enum Database {
    Private {
        programs: Programs,
        folder: PathBuf,
        cluster: tokio::sync::Mutex<Option<Cluster>>,
        runtime: PgConnectOptions,
    },
    Given {
        options: PgConnectOptions,
    },
}

impl Database {
    async fn start(folder: &Path) -> anyhow::Result<Self> {
        if let Some(url) = std::env::var("DATABASE_URL")
            .ok()
            .filter(|url| !url.is_empty())
        {
            let options: PgConnectOptions = url.parse().context("read DATABASE_URL")?;
            refuse_foreign(&options).await?;
            migrate(&options, None).await?;
            return Ok(Self::Given { options });
        }
        let folder = folder.join("postgres");
        let programs = Programs::find_for(&folder)?;
        let cluster = Cluster::start(&programs, &folder, Durability::Durable).await?;
        prepare(&cluster).await?;
        migrate(&cluster.options(DATABASE, OWNER), Some(RUNTIME)).await?;
        // The folder is locked, so whoever held the lease is gone: no need to wait until it runs out.
        let mut conn = PgConnection::connect_with(&cluster.options(DATABASE, RUNTIME)).await?;
        lease::clear(&mut conn).await?;
        conn.close().await?;
        tracing::info!(url = cluster.url(DATABASE, RUNTIME), "the demo's database");
        let runtime = cluster.options(DATABASE, RUNTIME);
        Ok(Self::Private {
            programs,
            folder,
            cluster: tokio::sync::Mutex::new(Some(cluster)),
            runtime,
        })
    }

    fn runtime(&self) -> PgConnectOptions {
        match self {
            Self::Private { runtime, .. } => runtime.clone(),
            Self::Given { options } => options.clone(),
        }
    }

    /// Starts the private server again whenever it ends by itself; never returns.
    async fn keep_running(&self) {
        let Self::Private {
            programs,
            folder,
            cluster,
            ..
        } = self
        else {
            return std::future::pending().await;
        };
        loop {
            let mut running = cluster.lock().await;
            if let Some(server) = running.as_ref() {
                server.exited().await;
                tracing::error!("the demo's Postgres ended by itself; starting it again");
            }
            *running = match Cluster::start(programs, folder, Durability::Durable).await {
                Ok(server) => Some(server),
                Err(error) => {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the demo's Postgres does not start; trying again"
                    );
                    None
                }
            };
            drop(running);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        if let Self::Private { cluster, .. } = self
            && let Some(cluster) = cluster.into_inner()
        {
            cluster.stop().await?;
        }
        Ok(())
    }
}

/// The roles and the database of a new cluster.
async fn prepare(cluster: &Cluster) -> anyhow::Result<()> {
    let mut conn = PgConnection::connect_with(&cluster.options("postgres", SUPERUSER)).await?;
    let exists = sqlx::query_scalar!(
        r#"select exists (select from pg_database where datname = $1) as "exists!""#,
        DATABASE
    )
    .fetch_one(&mut conn)
    .await?;
    if !exists {
        for statement in [
            "drop role if exists curfew",
            "drop role if exists curfew_owner",
            "create role curfew_owner login",
            "create role curfew login",
            "create database curfew owner curfew_owner",
        ] {
            sqlx::raw_sql(statement).execute(&mut conn).await?;
        }
    }
    conn.close().await?;
    Ok(())
}

/// A database that is neither empty nor a demo's is somebody else's.
async fn refuse_foreign(options: &PgConnectOptions) -> anyhow::Result<()> {
    let mut conn = PgConnection::connect_with(options)
        .await
        .context("connect to DATABASE_URL")?;
    let is_ours = if is_migrated(&mut conn).await? {
        installation::find(&mut conn)
            .await?
            .is_none_or(|found| found.kind == Kind::Demo.as_str())
    } else {
        is_empty(&mut conn).await?
    };
    anyhow::ensure!(
        is_ours,
        "DATABASE_URL names a database that is neither empty nor a demo's; nothing was changed in it"
    );
    conn.close().await?;
    Ok(())
}
