//! Sign-ins that were sent to the provider and are not back yet, by the hash of their `state`; and
//! logout tokens that were obeyed.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::access::person::PersonId;

/// Somebody who proves once more who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUp {
    /// The person of the session that it is for.
    pub person: PersonId,
    /// Their account at the provider.
    pub subject: String,
}

/// A sign-in that is under way.
#[derive(Debug)]
pub struct SignIn {
    /// What was sent away with it.
    pub pending: Value,
    /// Where to go on.
    pub next: String,
    /// Nobody else may come back.
    pub step_up: Option<StepUp>,
}

/// Keeps it until the browser comes back.
///
/// # Errors
/// If the database refuses, or the state is taken.
pub async fn insert(
    conn: &mut PgConnection,
    state_hash: &[u8],
    browser_hash: &[u8],
    sign_in: &SignIn,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let step_up = sign_in.step_up.as_ref();
    sqlx::query!(
        "insert into sign_ins (state_hash, browser_hash, pending, next, of_person, of_subject, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        state_hash,
        browser_hash,
        sign_in.pending,
        sign_in.next,
        step_up.map(|of| of.person.as_str()),
        step_up.map(|of| of.subject.as_str()),
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes it, for the browser that was sent away: it can't be taken a second time. Another browser can
/// neither use it nor use it up.
///
/// # Errors
/// If the database refuses.
pub async fn take(
    conn: &mut PgConnection,
    state_hash: &[u8],
    browser_hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<SignIn>> {
    let row = sqlx::query!(
        "delete from sign_ins where state_hash = $1 and browser_hash = $2 and expires_at > $3
         returning pending, next, of_person, of_subject",
        state_hash,
        browser_hash,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| SignIn {
        pending: row.pending,
        next: row.next,
        step_up: row
            .of_person
            .zip(row.of_subject)
            .map(|(person, subject)| StepUp {
                person: PersonId::new(&person),
                subject,
            }),
    }))
}

/// Remembers a logout token until it runs out; false if it was there before.
///
/// # Errors
/// If the database refuses.
pub async fn remember_logout(
    conn: &mut PgConnection,
    id_hash: &[u8],
    expires_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "insert into logout_tokens (id_hash, expires_at) values ($1, $2) on conflict do nothing",
        id_hash,
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Deletes what ran out by this time.
///
/// # Errors
/// If the database refuses.
pub async fn delete_expired(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("delete from sign_ins where expires_at <= $1", now)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from logout_tokens where expires_at <= $1", now)
        .execute(conn)
        .await?;
    Ok(())
}
