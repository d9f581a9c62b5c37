//! `curfew migrate`: the schema brought up to date by the owner of the database, and the runtime role
//! given what the service needs and no more. Nothing else ever changes the schema.

use std::path::PathBuf;

use super::say;
use crate::config::Config;
use crate::postgres::migrate::migrate;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration [default: curfew.toml, if it is there]
    #[arg(long)]
    config: Option<PathBuf>,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let database = Config::load(arguments.config.as_deref())?.database;
    let runtime = database.runtime()?;
    let runtime_role = runtime.get_username().to_owned();
    match database.owner()? {
        Some(owner) if owner.get_username() != runtime_role => {
            migrate(&owner, Some(&runtime_role)).await?;
            say(&format!(
                "The schema is up to date, and {runtime_role} may use it."
            ))
        }
        _ => {
            migrate(&runtime, None).await?;
            tracing::warn!(
                "the service will run as the owner of its tables; give it a role of its own (MIGRATE_DATABASE_URL for the owner, DATABASE_URL for the service)"
            );
            say("The schema is up to date.")
        }
    }
}
