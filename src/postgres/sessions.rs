//! Browser sessions, by the hash of their id.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

/// Stores a new session; false if the id is taken.
///
/// # Errors
/// If the database refuses.
pub async fn insert(
    conn: &mut PgConnection,
    id_hash: &[u8],
    person_id: Option<&str>,
    data: &Value,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "insert into sessions (id_hash, person_id, data, expires_at) values ($1, $2, $3, $4) on conflict do nothing",
        id_hash,
        person_id,
        data,
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Changes a session; one that was deleted meanwhile is not brought back.
///
/// # Errors
/// If the database refuses.
pub async fn update(
    conn: &mut PgConnection,
    id_hash: &[u8],
    person_id: Option<&str>,
    data: &Value,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update sessions set person_id = $2, data = $3, expires_at = $4 where id_hash = $1",
        id_hash,
        person_id,
        data,
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The session, unless its time is over.
///
/// # Errors
/// If the database refuses.
pub async fn find(
    conn: &mut PgConnection,
    id_hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<(Value, DateTime<Utc>)>> {
    let row = sqlx::query!(
        "select data, expires_at from sessions where id_hash = $1 and expires_at > $2",
        id_hash,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.data, row.expires_at)))
}

/// Deletes a session.
///
/// # Errors
/// If the database refuses.
pub async fn delete(conn: &mut PgConnection, id_hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("delete from sessions where id_hash = $1", id_hash)
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes sessions whose time is over.
///
/// # Errors
/// If the database refuses.
pub async fn delete_expired(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<u64> {
    Ok(
        sqlx::query!("delete from sessions where expires_at <= $1", now)
            .execute(conn)
            .await?
            .rows_affected(),
    )
}
