//! `curfew audit`: export the log, and verify an export or the database itself.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use sqlx::postgres::PgConnectOptions;

use super::{UNWRITABLE, say};
use crate::audit::chain::{Head, Verifier};
use crate::audit::export::{Format, write};
use crate::clock::Clock;
use crate::postgres::Db;
use crate::postgres::audit::{self, Selection};

/// Longest line of an export: a request of 256 kB is refused, so no event comes near.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Write all events to standard output as JSON Lines
    Export {
        /// The database
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database_url: String,
    },
    /// Check that no event was changed, dropped or moved
    Verify {
        /// An export in JSON Lines; `-` for standard input; without it, the database
        file: Option<PathBuf>,
        /// The database, if no file is given
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database_url: Option<String>,
        /// Start after this event, given as SEQ:HASH, instead of at the beginning
        #[arg(long, value_name = "SEQ:HASH")]
        from: Option<Head>,
        /// The file is a filtered export: check each event by itself. What was left out can't be seen
        #[arg(long, requires = "file", conflicts_with = "from")]
        events_only: bool,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Export { database_url } => export(&database_url).await,
        Command::Verify {
            file: Some(file),
            from,
            events_only,
            ..
        } => {
            let reader: Box<dyn Read> = if file.as_os_str() == "-" {
                Box::new(std::io::stdin())
            } else {
                Box::new(
                    std::fs::File::open(&file)
                        .with_context(|| format!("open {}", file.display()))?,
                )
            };
            if events_only {
                let (count, _) = verify_file(reader, Verifier::of_selection())?;
                return say(&format!(
                    "ok: {count} events, each sound by itself; events that were left out can't be seen"
                ));
            }
            let from = from.unwrap_or(Head::START);
            let (_, head) = verify_file(reader, Verifier::from(from))?;
            anyhow::ensure!(
                head.seq > 0,
                "bad event at line 1 (seq 1): the file is empty"
            );
            good(from, head)
        }
        Command::Verify {
            file: None,
            database_url: Some(url),
            from,
            ..
        } => verify_database(&url, from.unwrap_or(Head::START)).await,
        Command::Verify { .. } => {
            anyhow::bail!("name a file, or set DATABASE_URL to verify the database")
        }
    }
}

fn connect(url: &str) -> anyhow::Result<Db> {
    let options: PgConnectOptions = url.parse().context("read the database's URL")?;
    Ok(Db::new(options, 2, Clock::Postgres))
}

async fn export(url: &str) -> anyhow::Result<()> {
    let db = connect(url)?;
    let last = audit::load_head(&mut *db.conn().await?).await?.seq;
    let mut lines = std::pin::pin!(write(db, Selection::default(), last, Format::JsonLines));
    let mut out = std::io::stdout().lock();
    while let Some(some) = lines.try_next().await? {
        out.write_all(&some).context(UNWRITABLE)?;
    }
    out.flush().context(UNWRITABLE)
}

/// Follows a file line by line, in constant memory; gives how many events it has, and the last one.
fn verify_file(reader: impl Read, mut verifier: Verifier) -> anyhow::Result<(u64, Head)> {
    let mut reader = BufReader::new(reader);
    let (mut line, mut count) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        if (&mut reader)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok((count, verifier.head()));
        }
        count += 1;
        let seq = verifier.head().seq + 1;
        let content = line.strip_suffix(b"\n").ok_or_else(|| {
            anyhow::anyhow!("bad event at line {count} (seq {seq}): the line is cut off")
        })?;
        verifier
            .next(content)
            .map_err(|why| anyhow::anyhow!("bad event at line {count} (seq {seq}): {why}"))?;
    }
}

/// Follows the database's rows, and compares them with the head that it claims: with how long the log
/// was when the head was read, and with its last event then.
async fn verify_database(url: &str, from: Head) -> anyhow::Result<()> {
    let db = connect(url)?;
    let head = audit::load_head(&mut *db.conn().await?).await?;
    anyhow::ensure!(
        head.seq >= from.seq,
        "the head that the database claims ({head}) is before the checkpoint ({from}): the log was cut"
    );
    let mut verifier = Verifier::from(from);
    agrees(verifier.head(), head)?;
    loop {
        let events = audit::list_after(&mut *db.conn().await?, verifier.head().seq, 1000).await?;
        if events.is_empty() || verifier.head().seq >= head.seq {
            break;
        }
        for event in events {
            verifier
                .next(&event.canonical)
                .map_err(|why| anyhow::anyhow!("bad event (seq {}): {why}", event.seq))?;
            agrees(verifier.head(), head)?;
        }
    }
    anyhow::ensure!(
        verifier.head().seq >= head.seq,
        "bad event (seq {}): the log ends before the head that the database claims ({head})",
        verifier.head().seq + 1
    );
    good(from, verifier.head())
}

/// Once it is reached, the claimed head must be the event of that number.
fn agrees(reached: Head, claimed: Head) -> anyhow::Result<()> {
    anyhow::ensure!(
        reached.seq != claimed.seq || reached.hash == claimed.hash,
        "bad event (seq {}): its hash is not that of the head that the database claims ({claimed}), but {}",
        reached.seq,
        hex::encode(reached.hash)
    );
    Ok(())
}

fn good(from: Head, head: Head) -> anyhow::Result<()> {
    say(&format!("ok: {} events, head {head}", head.seq - from.seq))
}
