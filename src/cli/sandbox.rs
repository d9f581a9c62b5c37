//! `curfew sandbox`: the pretend AWS alone, for anyone who wants to try a policy or a script.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::{say, stop_signal};
use crate::sandbox::{Clock, Sandbox, Scenario, World};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:4580")]
    listen: SocketAddr,
    /// Keep the world here; without it everything is gone with the process
    #[arg(long)]
    state: Option<PathBuf>,
    /// Where the draws start, instead of where the scenario says
    #[arg(long)]
    seed: Option<u64>,
    /// How AWS behaves, what goes wrong, and what people do by hand (see docs/sandbox.md)
    #[arg(long)]
    scenario: Option<PathBuf>,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut scenario = match &arguments.scenario {
        None => Scenario::default(),
        Some(path) => {
            let name = || format!("cannot use the scenario {}", path.display());
            let text = tokio::fs::read_to_string(path).await.with_context(name)?;
            Scenario::parse(&text).with_context(name)?
        }
    };
    if let Some(seed) = arguments.seed {
        scenario.settings.seed = seed;
    }
    let settings = scenario.settings.clone();
    let sandbox = Sandbox::open(settings, Clock::System, World::demo(), arguments.state)?;
    sandbox.play(scenario).context("cannot play the scenario")?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("listen on {}", arguments.listen))?;
    let stop = stop_signal()?;
    say(&format!(
        "The sandbox is ready at http://{}",
        listener.local_addr()?
    ))?;
    sandbox.serve(listener, stop).await
}
