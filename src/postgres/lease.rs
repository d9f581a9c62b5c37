//! The lease: which engine may act. Its holder is a fresh id compared by equality (protocol L1).

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::access::id::HolderId;

/// What became of asking for the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It was ours and is ours for longer.
    Renewed,
    /// It is ours from now on.
    Taken,
    /// It was ours, ran out, and nobody had it since.
    Resumed,
    /// Somebody else holds it until then.
    HeldUntil(DateTime<Utc>),
}

/// Takes or renews the lease.
///
/// # Errors
/// If the database refuses.
pub async fn hold(
    conn: &mut PgConnection,
    holder: HolderId,
    now: DateTime<Utc>,
    ttl: TimeDelta,
) -> sqlx::Result<Lease> {
    let renewed = sqlx::query!(
        "update lease set renewed_at = $2, expires_at = $3 where holder = $1 and expires_at > $2",
        holder.0,
        now,
        now + ttl
    )
    .execute(&mut *conn)
    .await?;
    if renewed.rows_affected() == 1 {
        return Ok(Lease::Renewed);
    }
    // A take-over waits until every decision under the old lease is committed or undone.
    let row = sqlx::query!("select holder, expires_at from lease for update")
        .fetch_one(&mut *conn)
        .await?;
    if let Some(until) = row
        .expires_at
        .filter(|until| *until > now && row.holder != Some(holder.0))
    {
        return Ok(Lease::HeldUntil(until));
    }
    sqlx::query!(
        "update lease set holder = $1, renewed_at = $2, expires_at = $3",
        holder.0,
        now,
        now + ttl
    )
    .execute(conn)
    .await?;
    Ok(if row.holder == Some(holder.0) {
        Lease::Resumed
    } else {
        Lease::Taken
    })
}

/// Until when the lease is ours, if it is. Nobody can take it over until the transaction ends; renewing
/// it changes no key and does not wait for this.
///
/// # Errors
/// If the database refuses.
pub async fn share(
    conn: &mut PgConnection,
    holder: HolderId,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "select expires_at from lease where holder = $1 for key share",
        holder.0
    )
    .fetch_optional(conn)
    .await
    .map(Option::flatten)
}

/// The lease as it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// Who has it.
    pub holder: Option<HolderId>,
    /// When it was last renewed, by whomever.
    pub renewed_at: Option<DateTime<Utc>>,
    /// Until when it holds.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Held {
    /// Until when somebody else has it, if somebody has.
    #[must_use]
    pub fn by_another(&self, me: HolderId, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.expires_at
            .filter(|until| *until > now && self.holder != Some(me))
    }
}

/// How the lease stands.
///
/// # Errors
/// If the database refuses.
pub async fn load(conn: &mut PgConnection) -> sqlx::Result<Held> {
    let row = sqlx::query!("select holder, renewed_at, expires_at from lease")
        .fetch_one(conn)
        .await?;
    Ok(Held {
        holder: row.holder.map(HolderId),
        renewed_at: row.renewed_at,
        expires_at: row.expires_at,
    })
}

/// Takes the lease from whoever has it: only where that process is known to be gone.
///
/// # Errors
/// If the database refuses.
pub async fn clear(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("update lease set holder = null, expires_at = null")
        .execute(conn)
        .await?;
    Ok(())
}

/// Lets it run out now: whoever likes may take it, and until somebody does the holder may resume it.
///
/// # Errors
/// If the database refuses.
pub async fn offer(
    conn: &mut PgConnection,
    holder: HolderId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update lease set expires_at = $2 where holder = $1 and expires_at > $2",
        holder.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives it up, so that another engine need not wait.
///
/// # Errors
/// If the database refuses.
pub async fn give_up(conn: &mut PgConnection, holder: HolderId) -> sqlx::Result<()> {
    sqlx::query!(
        "update lease set holder = null, expires_at = null where holder = $1",
        holder.0
    )
    .execute(conn)
    .await?;
    Ok(())
}
