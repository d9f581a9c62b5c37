//! SQL and nothing else: one file per table family, free functions on `&mut PgConnection`.
//!
//! Callers own the transaction. No function here decides anything, calls out, or reads the clock by
//! `now()`. Names: `find` gives an option, `load` fails if absent, `lock` loads for update, `save`
//! is an update that says what it expects and checks that it met it.

pub mod assignments;
pub mod audit;
pub mod change;
pub mod decisions;
pub mod directory;
pub mod end_orders;
pub mod figures;
pub mod grants;
pub mod identities;
pub mod installation;
pub mod lease;
pub mod migrate;
pub mod operations;
pub mod overview;
pub mod ownership;
pub mod pause;
pub mod policies;
pub mod reach;
pub mod recoveries;
pub mod refusals;
pub mod replicas;
pub mod requests;
pub mod schema;
pub mod sessions;
pub mod sign_ins;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, pool::PoolConnection};

use crate::clock::Clock;

/// The schema's history.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Channel that wakes engines and lapse loops. It wakes, nothing more: an id as payload, and whoever
/// misses it looks within two seconds all the same.
pub const WAKE: &str = "curfew_wake";

/// Channel that wakes whoever watches a request: its id as payload. Whoever misses it looks every few
/// seconds all the same.
pub const CHANGED: &str = "curfew_changed";

/// A connection that says nothing for so long is thrown away. Where a host or a firewall between died
/// without a word, nothing else would end the wait.
pub const SILENCE: Duration = Duration::from_secs(2);

/// The database, and the clock that goes with it.
#[derive(Clone, Debug)]
pub struct Db {
    /// Connections.
    pub pool: PgPool,
    /// What time it is.
    pub clock: Clock,
}

impl Db {
    /// Connects lazily, so that a service can start while its database is away.
    #[must_use]
    pub fn new(options: PgConnectOptions, connections: u32, clock: Clock) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(5))
            .test_before_acquire(false)
            .before_acquire(|conn, _| Box::pin(answers(conn)))
            .after_release(|conn, _| Box::pin(answers(conn)))
            .connect_lazy_with(bounded(options));
        Self { pool, clock }
    }

    /// A connection for reading.
    ///
    /// # Errors
    /// If there is none to be had.
    pub async fn conn(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        self.pool.acquire().await
    }
}

async fn answers(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let asked = tokio::time::timeout(SILENCE, conn.ping()).await;
    asked
        .map_err(|late| sqlx::Error::Io(late.into()))?
        .map(|()| true)
}

/// Session settings under which a frozen process can hold nobody up for long (protocol L2). No
/// `statement_timeout`: it would cover an intent's COMMIT, whose outcome must be known (D1).
#[must_use]
pub fn bounded(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("curfew").options([
        ("idle_in_transaction_session_timeout", "3s"),
        ("lock_timeout", "5s"),
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "10s"),
        ("timezone", "UTC"),
    ])
}

/// A row that makes no sense: an error that names it, never a default.
#[derive(Debug, thiserror::Error)]
#[error("the row {id} of {table} makes no sense: {what}")]
pub struct RowError {
    /// Table.
    pub table: &'static str,
    /// Key of the row.
    pub id: String,
    /// What is wrong with it.
    pub what: String,
}

impl RowError {
    fn of(table: &'static str, id: &impl ToString, what: &impl ToString) -> anyhow::Error {
        Self {
            table,
            id: id.to_string(),
            what: what.to_string(),
        }
        .into()
    }
}

/// An update that met another state than it expected.
#[derive(Debug, thiserror::Error)]
#[error("{what} was changed by somebody else meanwhile")]
pub struct Outdated {
    what: &'static str,
}

/// Exactly one row, or somebody else was there first.
fn one_row(what: &'static str, result: &PgQueryResult) -> anyhow::Result<()> {
    if result.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Outdated { what }.into())
    }
}
