//! Orders to end everything: what was approved until then shall end, and how far that is.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::one_row;
use crate::access::id::EndOrderId;

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndOrder {
    /// Its id.
    pub id: EndOrderId,
    /// When it was given: it is about everything that was approved until then.
    pub ordered_at: DateTime<Utc>,
    /// Who gave it, for people to read.
    pub by: String,
    /// Why.
    pub comment: String,
    /// How many ends began by it.
    pub ends_started: i64,
    /// When nothing was left of what it is about.
    pub done_at: Option<DateTime<Utc>>,
}

/// A new order.
///
/// # Errors
/// If the database refuses.
pub async fn insert(conn: &mut PgConnection, order: &EndOrder) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into end_orders (id, ordered_at, by_whom, comment) values ($1, $2, $3, $4)",
        order.id.0,
        order.ordered_at,
        order.by,
        order.comment
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Those that are not carried out, the oldest first.
///
/// # Errors
/// If the database refuses.
pub async fn list_open(conn: &mut PgConnection) -> sqlx::Result<Vec<EndOrder>> {
    sqlx::query_as!(
        EndOrder,
        r#"select id, ordered_at, by_whom as by, comment, ends_started, done_at
           from end_orders where done_at is null order by ordered_at, id"#
    )
    .fetch_all(conn)
    .await
}

/// Those that are not carried out, or were not until lately; the newest first.
///
/// # Errors
/// If the database refuses.
pub async fn list_lately(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<EndOrder>> {
    sqlx::query_as!(
        EndOrder,
        r#"select id, ordered_at, by_whom as by, comment, ends_started, done_at
           from end_orders where done_at is null or done_at > $1 order by ordered_at desc, id desc limit $2"#,
        since,
        limit
    )
    .fetch_all(conn)
    .await
}

/// How many ends began by it.
///
/// # Errors
/// If the database refuses.
pub async fn count_ends(conn: &mut PgConnection, id: EndOrderId) -> sqlx::Result<i64> {
    sqlx::query_scalar!("select ends_started from end_orders where id = $1", id.0)
        .fetch_one(conn)
        .await
}

/// One more end began by it.
///
/// # Errors
/// If it is gone, or the database refuses.
pub async fn count_one(conn: &mut PgConnection, id: EndOrderId) -> anyhow::Result<()> {
    let done = sqlx::query!(
        "update end_orders set ends_started = ends_started + 1 where id = $1",
        id.0
    )
    .execute(conn)
    .await?;
    one_row("the order", &done)
}

/// Nothing is left of what it is about. Whoever finds that out first says so.
///
/// # Errors
/// If the database refuses.
pub async fn finish(
    conn: &mut PgConnection,
    id: EndOrderId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update end_orders set done_at = $2 where id = $1 and done_at is null",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
