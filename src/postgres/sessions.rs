//! Browser sessions, by the hash of the cookie that opens them; to their owner, by a public id.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::access::id::SessionId;
use crate::access::person::PersonId;

/// A new session.
#[derive(Debug)]
pub struct New<'a> {
    /// Hash of the cookie's value.
    pub id_hash: &'a [u8],
    /// Whose it is, if anybody signed in.
    pub person_id: Option<&'a str>,
    /// What it holds.
    pub data: &'a Value,
    /// When its time is over.
    pub expires_at: DateTime<Utc>,
    /// Its public name; the database makes one up for a session that nobody signed in to.
    pub id: Option<SessionId>,
    /// When it began.
    pub began_at: Option<DateTime<Utc>>,
    /// The address that it began from.
    pub ip: Option<String>,
    /// The browser, as it called itself.
    pub user_agent: Option<&'a str>,
}

/// Stores a new session; false if the id is taken.
///
/// # Errors
/// If the database refuses.
pub async fn insert(conn: &mut PgConnection, new: &New<'_>) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "insert into sessions (id_hash, person_id, data, expires_at, id, began_at, ip, user_agent)
         values ($1, $2, $3, $4, coalesce($5, gen_random_uuid()), $6, $7, $8) on conflict (id_hash) do nothing",
        new.id_hash,
        new.person_id,
        new.data,
        new.expires_at,
        new.id.map(|id| id.0),
        new.began_at,
        new.ip,
        new.user_agent
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// A session that is open, as its owner sees it.
#[derive(Debug)]
pub struct Open {
    /// Its public name.
    pub id: SessionId,
    /// What it holds.
    pub data: Value,
    /// When its time is over.
    pub expires_at: DateTime<Utc>,
    /// When it began; not known of those from before this was kept.
    pub began_at: Option<DateTime<Utc>>,
    /// The address that it began from.
    pub ip: Option<String>,
    /// The browser, as it called itself.
    pub user_agent: Option<String>,
}

/// The open sessions of a person, newest first.
///
/// # Errors
/// If the database refuses.
pub async fn list_open(
    conn: &mut PgConnection,
    person: &PersonId,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Open>> {
    let rows = sqlx::query!(
        "select id, data, expires_at, began_at, ip, user_agent from sessions
         where person_id = $1 and expires_at > $2 order by began_at desc nulls last, id limit $3",
        person.as_str(),
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Open {
            id: SessionId(row.id),
            data: row.data,
            expires_at: row.expires_at,
            began_at: row.began_at,
            ip: row.ip,
            user_agent: row.user_agent,
        })
        .collect())
}

/// The public name of a session.
///
/// # Errors
/// If the database refuses.
pub async fn find_id(conn: &mut PgConnection, id_hash: &[u8]) -> sqlx::Result<Option<SessionId>> {
    let id = sqlx::query_scalar!("select id from sessions where id_hash = $1", id_hash)
        .fetch_optional(conn)
        .await?;
    Ok(id.map(SessionId))
}

/// Deletes an open session of this person; false if they have none of that name.
///
/// # Errors
/// If the database refuses.
pub async fn end(
    conn: &mut PgConnection,
    person: &PersonId,
    id: SessionId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "delete from sessions where id = $1 and person_id = $2 and expires_at > $3",
        id.0,
        person.as_str(),
        now
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Deletes every open session of this person but one, and gives their names.
///
/// # Errors
/// If the database refuses.
pub async fn end_others(
    conn: &mut PgConnection,
    person: &PersonId,
    this: SessionId,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<SessionId>> {
    let ids = sqlx::query_scalar!(
        "delete from sessions where person_id = $1 and id <> $2 and expires_at > $3 returning id",
        person.as_str(),
        this.0,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(SessionId).collect())
}

/// A session that was ended from outside.
#[derive(Debug, PartialEq, Eq)]
pub struct EndedSession {
    /// Its public name.
    pub id: SessionId,
    /// Whose it was.
    pub person: PersonId,
}

/// Deletes the open sessions that a provider says are over: those of its own session, or, if it names
/// none, all of this account (OIDC Back-Channel Logout §2.7).
///
/// # Errors
/// If the database refuses.
pub async fn end_of_account(
    conn: &mut PgConnection,
    issuer: &str,
    subject: Option<&str>,
    provider_session: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<EndedSession>> {
    let rows = sqlx::query!(
        r#"delete from sessions
           where data #>> '{person,provider,issuer}' = $1
             and ($2::text is null or data #>> '{person,provider,subject}' = $2)
             and ($3::text is null or data #>> '{person,provider,session}' = $3)
             and ($2::text is not null or $3::text is not null)
             and person_id is not null and expires_at > $4
           returning id, person_id as "person_id!""#,
        issuer,
        subject,
        provider_session,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| EndedSession {
            id: SessionId(row.id),
            person: PersonId::new(&row.person_id),
        })
        .collect())
}

/// Deletes the open sessions of people who are disabled or gone by the copy of the directory.
///
/// # Errors
/// If the database refuses.
pub async fn end_of_disabled(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<EndedSession>> {
    let rows = sqlx::query!(
        r#"delete from sessions
           where person_id is not null and expires_at > $1
             and not exists (select from people where people.id = person_id and people.enabled)
           returning id, person_id as "person_id!""#,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| EndedSession {
            id: SessionId(row.id),
            person: PersonId::new(&row.person_id),
        })
        .collect())
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
