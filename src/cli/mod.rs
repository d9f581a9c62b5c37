//! The commands. Logs go to standard error, data to standard output; the exit status is 0, 1 (failed)
//! or 2 (usage).

mod audit;
mod check;
mod demo;
mod demo_folder;
mod grants;
mod migrate;
mod operator;
mod policy;
mod sandbox;
mod serve;
mod switches;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::telemetry;

/// Just-in-time access to AWS accounts through IAM Identity Center.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show all of it on this machine: its own Postgres, a pretend AWS, people to sign in as
    Demo(demo::Arguments),
    /// Run the service on a database and an organization of its own
    Serve(serve::Arguments),
    /// Bring the database's schema up to date, as its owner
    Migrate(migrate::Arguments),
    /// Run the pretend AWS alone
    Sandbox(sandbox::Arguments),
    /// See, end and close grants, by the database alone
    #[command(subcommand)]
    Grants(grants::Command),
    /// Work on a policy file
    #[command(subcommand)]
    Policy(policy::Command),
    /// Let no new access begin; what is live goes on, and ends as ever
    Pause(switches::Arguments),
    /// Let access be given again
    Resume(switches::Arguments),
    /// End all live access of everybody
    EndEverything(switches::EndEverything),
    /// Export and verify the audit log
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::start();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let ran = runtime.block_on(async {
        match arguments.command {
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Serve(arguments) => serve::run(arguments).await,
            Command::Migrate(arguments) => migrate::run(arguments).await,
            Command::Sandbox(arguments) => sandbox::run(arguments).await,
            Command::Grants(command) => grants::run(command).await,
            Command::Policy(command) => policy::run(command).await,
            Command::Pause(arguments) => switches::pause(arguments).await,
            Command::Resume(arguments) => switches::resume(arguments).await,
            Command::EndEverything(arguments) => switches::end(arguments).await,
            Command::Audit(command) => audit::run(command).await,
        }
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "what went wrong is for the person at the terminal"
)]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("curfew: {error:#}");
    ExitCode::FAILURE
}

/// Data for whoever reads standard output. If nobody can, the command has failed: `println!` panics.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .context(UNWRITABLE)
}

/// What can't be done if standard output is full or closed.
const UNWRITABLE: &str = "write to standard output";

/// Cancelled by Ctrl-C and SIGTERM.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let cancelled = stop.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "it lives as long as the process and has nothing to finish"
    )]
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(stop)
}
