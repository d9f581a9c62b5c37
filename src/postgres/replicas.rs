//! The processes that run on this database. For people to read: nothing is decided by it.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::id::HolderId;

/// A process that was not seen for so long has stopped.
const GONE_AFTER: TimeDelta = TimeDelta::seconds(30);

/// One that was not seen for so long is forgotten.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::days(1);

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The id under which its engine takes the lease.
    pub id: Uuid,
    /// Version of the program.
    pub version: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it was last seen.
    pub seen_at: DateTime<Utc>,
}

/// Writes that this process runs, and forgets those that stopped long ago.
///
/// # Errors
/// If the database refuses.
pub async fn write_in(
    conn: &mut PgConnection,
    id: HolderId,
    version: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into replicas (id, version, started_at, seen_at) values ($1, $2, $3, $3)
         on conflict (id) do update set seen_at = $3",
        id.0,
        version,
        now
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "delete from replicas where seen_at < $1",
        now - FORGOTTEN_AFTER
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes this process out of the list: it stops.
///
/// # Errors
/// If the database refuses.
pub async fn write_out(conn: &mut PgConnection, id: HolderId) -> sqlx::Result<()> {
    sqlx::query!("delete from replicas where id = $1", id.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The processes that run, the oldest first.
///
/// # Errors
/// If the database refuses.
pub async fn list(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<Replica>> {
    sqlx::query_as!(
        Replica,
        "select id, version, started_at, seen_at from replicas where seen_at > $1 order by started_at, id",
        now - GONE_AFTER
    )
    .fetch_all(conn)
    .await
}
