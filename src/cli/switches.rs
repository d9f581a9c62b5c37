//! `curfew pause`, `resume` and `end-everything`: the two switches for the bad day, for whoever can reach the
//! database and nothing else. Neither AWS nor the policy nor a running service is needed to work them; what
//! is ordered here the service carries out.

use std::path::PathBuf;

use super::operator::operator;
use super::say;
use crate::broker::end_everything::end_everything;
use crate::broker::pause;
use crate::clock::Clock;
use crate::config::Config;
use crate::postgres::{Db, schema};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Why; it stays in the record
    #[arg(long, value_name = "TEXT")]
    comment: String,
    /// The configuration [default: curfew.toml, if it is there]
    #[arg(long)]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct EndEverything {
    #[command(flatten)]
    with: Arguments,
    /// Yes, end all access of everybody. Without it nothing is done
    #[arg(long, required = true)]
    yes: bool,
    /// Let people ask anew at once; otherwise new access is paused as well
    #[arg(long)]
    no_pause: bool,
}

pub(super) async fn pause(with: Arguments) -> anyhow::Result<()> {
    pause::pause(&connect(&with).await?, operator(), &with.comment).await?;
    say(
        "New access is paused. What is live goes on, and ends as ever. `curfew resume` ends the pause.",
    )
}

pub(super) async fn resume(with: Arguments) -> anyhow::Result<()> {
    pause::resume(&connect(&with).await?, operator(), &with.comment).await?;
    say("Access can be given again.")
}

pub(super) async fn end(EndEverything { with, no_pause, .. }: EndEverything) -> anyhow::Result<()> {
    let db = connect(&with).await?;
    let carried = end_everything(&db, operator(), &with.comment, !no_pause).await?;
    say(&format!(
        "Ends started: {}. Access is there until Identity Center confirms that it is gone: the operations page says so.",
        carried.ends_started
    ))?;
    if !no_pause {
        say("New access is paused. `curfew resume` ends the pause.")?;
    }
    anyhow::ensure!(
        carried.left == 0,
        "{} could not be begun; the log above says why, and every running service keeps trying",
        carried.left
    );
    Ok(())
}

async fn connect(with: &Arguments) -> anyhow::Result<Db> {
    let options = Config::load(with.config.as_deref())?.database.runtime()?;
    let db = Db::new(options, 2, Clock::Postgres);
    if let Some(problem) = schema::find(&mut *db.conn().await?).await?.problem() {
        anyhow::bail!(problem);
    }
    Ok(db)
}
