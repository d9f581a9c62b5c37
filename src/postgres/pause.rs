//! The switch that lets no new access begin: one row, which is there from the first migration on.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::one_row;

/// No new access is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Who paused, for people to read.
    pub by: String,
    /// Why.
    pub comment: String,
}

/// The pause, if there is one.
///
/// # Errors
/// If the database refuses.
pub async fn find(conn: &mut PgConnection) -> sqlx::Result<Option<Pause>> {
    sqlx::query_as!(
        Pause,
        r#"select paused_at as "since!", by_whom as "by!", comment as "comment!"
           from pause where paused_at is not null"#
    )
    .fetch_optional(conn)
    .await
}

/// Is there a pause? Nobody can begin or end one until the transaction ends.
///
/// # Errors
/// If the database refuses.
pub async fn share(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let paused_at = sqlx::query_scalar!("select paused_at from pause for share")
        .fetch_one(conn)
        .await?;
    Ok(paused_at.is_some())
}

/// The pause, if there is one; the switch is locked in any case.
///
/// # Errors
/// If the database refuses.
pub async fn lock(conn: &mut PgConnection) -> sqlx::Result<Option<Pause>> {
    sqlx::query!("select single from pause for update")
        .fetch_one(&mut *conn)
        .await?;
    find(conn).await
}

/// Begins one.
///
/// # Errors
/// If there is one, or the database refuses.
pub async fn begin(conn: &mut PgConnection, pause: &Pause) -> anyhow::Result<()> {
    let done = sqlx::query!(
        "update pause set paused_at = $1, by_whom = $2, comment = $3 where paused_at is null",
        pause.since,
        pause.by,
        pause.comment
    )
    .execute(conn)
    .await?;
    one_row("the pause", &done)
}

/// Ends the one that is there.
///
/// # Errors
/// If there is none, or the database refuses.
pub async fn end(conn: &mut PgConnection) -> anyhow::Result<()> {
    let done = sqlx::query!(
        "update pause set paused_at = null, by_whom = null, comment = null where paused_at is not null"
    )
    .execute(conn)
    .await?;
    one_row("the pause", &done)
}
