//! `curfew grants`: see what Curfew gives, and end or close it, at the shell.
//!
//! Ending needs the database and nothing else: no policy, no sign-in, no AWS. Whoever can reach the
//! database as Curfew does may end access; the record names their account and machine. Without the
//! database, the commands for the AWS CLI come from the file that every replica keeps.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use uuid::Uuid;

use super::operator::operator;
use super::{UNWRITABLE, say};
use crate::access::grant::EndReason;
use crate::access::id::{GrantId, RequestId};
use crate::access::target::account_in_words;
use crate::access::text::{from_outside, time_in_words};
use crate::audit::event::timestamp;
use crate::broker::{ActError, close::close, end::end};
use crate::clock::Clock;
use crate::config::Config;
use crate::live_grants::{self, Picture, commands_in, written_at};
use crate::postgres::overview::{self, Listed};
use crate::postgres::{Db, grants, installation, requests};
use crate::state_dir::StateDir;

/// Most grants that are listed.
const MOST: i64 = 1000;

/// How long the database may take before the kept commands are printed instead.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List grants, the newest first
    List {
        #[command(flatten)]
        which: Configured,
        /// Only those that are not over
        #[arg(long)]
        live: bool,
        /// As JSON, one array
        #[arg(long)]
        json: bool,
    },
    /// End what a request gave, now
    End {
        #[command(flatten)]
        which: Configured,
        /// The request or the grant
        #[arg(required_unless_present = "print_aws_cli")]
        id: Option<Uuid>,
        /// Why, for the record
        #[arg(long, default_value = "", conflicts_with = "print_aws_cli")]
        comment: String,
        /// End nothing: print the AWS CLI's commands that do it by hand, for one request or grant, or for all
        #[arg(long)]
        print_aws_cli: bool,
    },
    /// Close what can't be confirmed gone, because its person, permission set or account is
    Close {
        #[command(flatten)]
        which: Configured,
        /// The request or the grant
        id: Uuid,
        /// Why nobody can have this access any more, for the record
        #[arg(long)]
        comment: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Configured {
    /// The configuration [default: curfew.toml, if it is there]
    #[arg(long)]
    config: Option<PathBuf>,
}

impl Configured {
    fn config(&self) -> anyhow::Result<Config> {
        Config::load(self.config.as_deref())
    }

    fn db(&self) -> anyhow::Result<Db> {
        connect(&self.config()?)
    }
}

fn connect(config: &Config) -> anyhow::Result<Db> {
    Ok(Db::new(config.database.runtime()?, 2, Clock::Postgres))
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { which, live, json } => list(&which.db()?, live, json).await,
        Command::End {
            which,
            id,
            print_aws_cli: true,
            ..
        } => print(&which.config()?, id).await,
        Command::End {
            which, id, comment, ..
        } => {
            let db = which.db()?;
            let id = id.context("name a request or a grant")?;
            let request = request_of(&db, id).await?;
            let as_what = EndReason::Administrator;
            let ended = end(&db, operator(), request, as_what, &comment).await;
            ended.map_err(in_words)?;
            say(
                "ending; run `curfew grants list` to see when Identity Center has confirmed that it is gone",
            )
        }
        Command::Close { which, id, comment } => {
            let db = which.db()?;
            let request = request_of(&db, id).await?;
            let closed = close(&db, operator(), request, &comment).await;
            closed.map_err(in_words)?;
            say(
                "closed, not confirmed: Curfew keeps looking, and takes the access away if it is seen again",
            )
        }
    }
}

fn in_words(error: ActError) -> anyhow::Error {
    match error {
        ActError::Refused(refused) => anyhow::anyhow!(refused.text),
        ActError::Failed(error) => error,
    }
}

/// The request that this id names, itself or by its grant.
async fn request_of(db: &Db, id: Uuid) -> anyhow::Result<RequestId> {
    let mut conn = db.conn().await.context("reach the database")?;
    if requests::find(&mut conn, RequestId(id)).await?.is_some() {
        return Ok(RequestId(id));
    }
    let request = grants::request_of(&mut conn, GrantId(id)).await?;
    request.with_context(|| format!("there is no request and no grant {id}"))
}

async fn list(db: &Db, only_live: bool, as_json: bool) -> anyhow::Result<()> {
    let mut conn = db.conn().await.context("reach the database")?;
    let listed = overview::list_grants(&mut conn, only_live, MOST).await?;
    if as_json {
        let all: Vec<_> = listed.iter().map(json).collect();
        return say(&serde_json::to_string_pretty(&all)?);
    }
    let heads = [
        "REQUEST",
        "STATUS",
        "PERSON",
        "PERMISSION SET",
        "ACCOUNT",
        "ENDS",
        "CONFIRMED GONE",
    ];
    let rows = listed.iter().map(cells);
    let rows: Vec<[String; 7]> = std::iter::once(heads.map(str::to_owned))
        .chain(rows)
        .collect();
    say(table(&rows).trim_end())?;
    if i64::try_from(listed.len()).is_ok_and(|count| count == MOST) {
        tracing::warn!("there are more than {MOST}; these are the newest");
    }
    Ok(())
}

fn json(listed: &Listed) -> serde_json::Value {
    serde_json::json!({
        "request_id": listed.request_id,
        "grant_id": listed.grant_id,
        "status": listed.status,
        "email": listed.email,
        "account_id": listed.account_id,
        "account_name": listed.account_name,
        "permission_set": listed.permission_set,
        "ends_at": listed.ends_at.map(timestamp),
        "ended_at": listed.ended_at.map(timestamp),
        "overdue_at": listed.overdue_at.map(timestamp),
    })
}

fn cells(listed: &Listed) -> [String; 7] {
    let is_ending = listed.status == "ending";
    let status = match (listed.status.as_str(), listed.overdue_at) {
        ("closed_unconfirmed", _) => "closed, not confirmed".to_owned(),
        (_, Some(_)) if is_ending => "ending, overdue".to_owned(),
        (status, _) => status.to_owned(),
    };
    let time = |at: Option<_>| at.map_or_else(|| "-".to_owned(), time_in_words);
    [
        listed.request_id.to_string(),
        status,
        listed.email.clone(),
        listed.permission_set.clone(),
        account_in_words(&listed.account_name, &listed.account_id),
        time(listed.ends_at),
        time(listed.ended_at),
    ]
    .map(|cell| from_outside(&cell).replace('\n', " "))
}

/// Columns as wide as they must be.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// The commands from the database, or, if it does not answer, from the file.
async fn print(config: &Config, id: Option<Uuid>) -> anyhow::Result<()> {
    let asked = tokio::time::timeout(ANSWERS_WITHIN, script(config)).await;
    let asked = asked.unwrap_or_else(|_| Err(anyhow::anyhow!("it does not answer")));
    let script = match asked {
        Ok(script) => script,
        Err(error) => kept(config, &error)?,
    };
    let id = id.map(|id| id.to_string());
    let commands = commands_in(&script, id.as_deref());
    if let (Some(id), true) = (&id, commands.is_empty()) {
        anyhow::bail!("nothing that {id} gave is Curfew's to take away");
    }
    let mut out = std::io::stdout().lock();
    for command in commands {
        writeln!(out, "{command}").context(UNWRITABLE)?;
    }
    out.flush().context(UNWRITABLE)
}

async fn script(config: &Config) -> anyhow::Result<String> {
    let db = connect(config)?;
    let mut conn = db.conn().await?;
    let installation = installation::find(&mut conn).await?;
    let picture = Picture {
        as_of: db.clock.now(&mut conn).await?,
        instance_arn: installation
            .context("this database belongs to no installation yet")?
            .instance_arn,
        region: None,
        entries: overview::list_to_take_away(&mut conn).await?,
    };
    Ok(picture.script())
}

/// The file in the state folder, and on standard error how old it is.
#[expect(
    clippy::print_stderr,
    reason = "whoever runs the commands must know how old they are"
)]
fn kept(config: &Config, why: &anyhow::Error) -> anyhow::Result<String> {
    let folder = StateDir::new(config.state_dir.clone());
    let file = folder.path(live_grants::FILE);
    let script = folder.read(live_grants::FILE)?.with_context(|| {
        format!(
            "the database can't be reached ({why:#}), and there is no {}: run this where a replica runs",
            file.display()
        )
    })?;
    let written = written_at(&script).unwrap_or("an unknown time");
    eprintln!(
        "curfew: the database can't be reached ({why:#}); these commands are from {}, as of {written}",
        file.display()
    );
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |left: &str, right: &str| [left.to_owned(), right.to_owned()];
        let text = table(&[row("A", "B"), row("longer", "x")]);
        assert_eq!(text, "A       B\nlonger  x\n");
    }
}
