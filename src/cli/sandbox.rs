//! `curfew sandbox`: the pretend AWS alone, for anyone who wants to try a policy or a script.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::{say, stop_signal};
use crate::sandbox::{Clock, Sandbox, Settings, World};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:4580")]
    listen: SocketAddr,
    /// Keep the world here; without it everything is gone with the process
    #[arg(long)]
    state: Option<PathBuf>,
    /// Where the drawn durations start
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let settings = Settings {
        seed: arguments.seed,
        ..Settings::default()
    };
    let sandbox = Sandbox::open(settings, Clock::System, World::demo(), arguments.state)?;
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
