//! `curfew policy check`: everything that is wrong with a policy file, before it can do harm.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::say;
use crate::broker::policy::read;
use crate::policy::check::findings_against;
use crate::postgres::directory;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Say everything that is wrong with a policy file
    Check {
        /// The file
        file: PathBuf,
        /// Also compare with the groups and permission sets that this database has a copy of
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database_url: Option<String>,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Check { file, database_url } = command;
    let source = load(&file)?;
    let (mut findings, policy) = match read(&source) {
        Ok(policy) => (Vec::new(), Some(policy)),
        Err(findings) => (findings, None),
    };
    if let (Some(policy), Some(url)) = (&policy, database_url) {
        let mut conn = PgConnection::connect(&url)
            .await
            .context("connect to the database")?;
        let (groups, sets) = directory::names(&mut conn)
            .await
            .context("read the copy of the directory")?;
        findings.extend(
            findings_against(policy, &groups, &sets)
                .iter()
                .map(ToString::to_string),
        );
    }
    match policy {
        Some(policy) if findings.is_empty() => say(&format!("ok: {} rules", policy.rules.len())),
        _ => anyhow::bail!("{} is not good:\n{}", file.display(), findings.join("\n")),
    }
}

/// Reads a policy file. Guardrails that would be ignored are an error: they forbid something.
pub(super) fn load(file: &Path) -> anyhow::Result<String> {
    let guardrails = file.with_file_name("guardrails.cedar");
    anyhow::ensure!(
        !guardrails.exists(),
        "{} exists, but this version does not enforce guardrails; remove it, or what it forbids would be allowed",
        guardrails.display()
    );
    std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}
