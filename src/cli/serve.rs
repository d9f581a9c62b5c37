//! `curfew serve`: the service on a database and an organization of its own.
//!
//! It is configured by `curfew.toml` and the environment, never migrates, and stops in order when it
//! is told to. A policy that is not good does not stop it: the one before stays in force, or none,
//! and endings go on (protocol C4).

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use chrono::TimeDelta;
use tokio::net::TcpListener;

use super::{check, policy, stop_signal};
use crate::app::{App, Parts};
use crate::aws::{self, Aws};
use crate::clock::Clock;
use crate::config::{Config, SIGNATURE_SECONDS};
use crate::postgres::installation::Kind;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration [default: curfew.toml, if it is there]
    #[arg(long)]
    config: Option<PathBuf>,
    /// Try everything that the service needs once, say what is wrong, and change nothing
    #[arg(long)]
    check: bool,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = Config::load(arguments.config.as_deref())?;
    let settings = config.settings();
    let aws = Aws::new(&aws::loader(settings.call_timeout).load().await);
    if arguments.check {
        return check::run(&config, &aws).await;
    }
    let stop = stop_signal()?;
    let database = config.database.runtime()?;
    let web = bind(config.listen, "listen").await?;
    let metrics = match config.metrics_listen {
        Some(address) => Some(bind(address, "metrics_listen").await?),
        None => None,
    };
    let policy = policy::load(&config.policy_file)
        .inspect_err(|error| {
            tracing::error!(
                error = format!("{error:#}"),
                "the policy can't be read; the one before stays in force, if there is one"
            );
        })
        .ok();
    settle_is_sound(&config, &aws).await?;
    let app = App::build(Parts {
        database,
        clock: Clock::Postgres,
        aws,
        settings,
        roles: config.roles(),
        public_url: config.public_url.clone(),
        oidc: config.oidc(&Clock::Postgres)?,
        access_portal_url: config.aws.access_portal_url.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        connections: config.database.connections,
        has_metrics: metrics.is_none(),
        kind: Kind::Production,
        policy,
        state_dir: Some(config.state_dir.clone()),
    })
    .await?;
    let metrics_listen = metrics.as_ref().map(TcpListener::local_addr).transpose()?;
    tracing::info!(
        listen = %web.local_addr()?,
        metrics_listen = metrics_listen.map(tracing::field::display),
        public_url = config.public_url.origin(),
        "the service runs"
    );
    app.run(web, metrics, stop).await
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| {
        format!("listen on {address}; if something else is there, set {key} to another address")
    })
}

/// Is the wait for a lost create long enough for the AWS that answers here?
pub(super) async fn settle_is_sound(config: &Config, aws: &Aws) -> anyhow::Result<()> {
    aws.patient().instance().await?;
    let settle = config.settings().timing.settle;
    let is_aws = aws.observer.foreign_endpoints().is_empty();
    is_long_enough(settle, is_aws).map_err(anyhow::Error::msg)
}

/// AWS takes a request for fifteen minutes after it was signed. Who waits less for a lost create would
/// say "ended" of what may still come; only another end, such as the sandbox, may refuse sooner
/// (protocol S4).
fn is_long_enough(settle: TimeDelta, is_aws: bool) -> Result<(), String> {
    if !is_aws || settle >= TimeDelta::seconds(SIGNATURE_SECONDS.into()) {
        return Ok(());
    }
    Err(format!(
        "engine.settle_seconds is {}, and AWS takes a request for {SIGNATURE_SECONDS} seconds after it was signed: set it to {SIGNATURE_SECONDS} or more, or leave it out",
        settle.num_seconds()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_create_is_waited_for_as_long_as_aws_takes_a_signature() {
        assert!(is_long_enough(TimeDelta::seconds(900), true).is_ok());
        assert!(is_long_enough(TimeDelta::seconds(899), true).is_err());
        assert!(is_long_enough(TimeDelta::seconds(5), false).is_ok());
    }
}
