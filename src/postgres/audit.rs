//! The audit log's tables: append at the head, read by number.

use chrono::{DateTime, SubsecRound as _, Utc};
use sqlx::PgConnection;

use super::RowError;
use crate::access::id::EventId;
use crate::access::person::Actor;
use crate::access::target::Target;
use crate::audit::chain::{self, Head};
use crate::audit::event::{Event, Place};

/// Locks the head: from here to the commit this transaction alone may append. Take no other lock
/// after it.
///
/// # Errors
/// If the database refuses.
pub async fn lock_head(conn: &mut PgConnection) -> anyhow::Result<Head> {
    let row = sqlx::query!("select seq, hash from audit_head for update")
        .fetch_one(conn)
        .await?;
    head(row.seq, &row.hash)
}

/// The head, without a lock.
///
/// # Errors
/// If the database refuses.
pub async fn load_head(conn: &mut PgConnection) -> anyhow::Result<Head> {
    let row = sqlx::query!("select seq, hash from audit_head")
        .fetch_one(conn)
        .await?;
    head(row.seq, &row.hash)
}

fn head(seq: i64, hash: &[u8]) -> anyhow::Result<Head> {
    let hash = hash
        .try_into()
        .map_err(|_| RowError::of("audit_head", &seq, &"the hash has not 32 bytes"))?;
    Ok(Head { seq, hash })
}

/// Numbers, chains and stores the events. The time of an event never runs backwards: it is the later
/// of `now` and the head's time. The head must be locked.
///
/// # Errors
/// If an event can't be canonicalised, or the database refuses.
pub async fn append(
    conn: &mut PgConnection,
    events: &[Event],
    actor: &Actor,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let row = sqlx::query!("select seq, hash, time from audit_head for update")
        .fetch_one(&mut *conn)
        .await?;
    let mut head = head(row.seq, &row.hash)?;
    let time = row.time.map_or(now, |last| last.max(now)).trunc_subsecs(6);
    for event in events {
        let place = Place {
            seq: head.seq + 1,
            id: EventId::new(time),
            time,
            prev_hash: head.hash,
        };
        let sealed = chain::seal(event, actor, &place).map_err(anyhow::Error::msg)?;
        sqlx::query!(
            "insert into audit_events
                 (seq, id, time, type, actor_id, request_id, grant_id, account_id, permission_set, canonical, hash)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            place.seq,
            place.id.0,
            time,
            event.kind.as_str(),
            actor.person().map(|by| by.person.id.as_str()),
            event.request_id.map(|id| id.0),
            event.grant_id.map(|id| id.0),
            event.target.as_ref().map(Target::account_id),
            event.target.as_ref().map(Target::permission_set),
            sealed.canonical,
            &sealed.hash[..],
        )
        .execute(&mut *conn)
        .await?;
        head = Head {
            seq: place.seq,
            hash: sealed.hash,
        };
    }
    sqlx::query!(
        "update audit_head set seq = $1, hash = $2, time = $3",
        head.seq,
        &head.hash[..],
        time
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An event as stored.
#[derive(Debug)]
pub struct Stored {
    /// Its number.
    pub seq: i64,
    /// Its canonical bytes.
    pub canonical: Vec<u8>,
}

/// Events after a number, oldest first.
///
/// # Errors
/// If the database refuses.
pub async fn list_after(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    sqlx::query_as!(
        Stored,
        "select seq, canonical from audit_events where seq > $1 order by seq limit $2",
        after,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Events before a number, newest first: a page of the log.
///
/// # Errors
/// If the database refuses.
pub async fn list_before(
    conn: &mut PgConnection,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    sqlx::query_as!(
        Stored,
        "select seq, canonical from audit_events where seq < $1 order by seq desc limit $2",
        before,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Events of one request before a number, newest first: its timeline, from the end. Refusals may be
/// left out: anyone who knows the id could fill the page with them. A query of its own,
/// because one query with an optional request would leave the index on requests unused.
///
/// # Errors
/// If the database refuses.
pub async fn list_of_request(
    conn: &mut PgConnection,
    request: uuid::Uuid,
    with_refusals: bool,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    sqlx::query_as!(
        Stored,
        "select seq, canonical from audit_events where request_id = $1 and seq < $2 and ($4 or type not like '%.refused')
         order by seq desc limit $3",
        request,
        before,
        limit,
        with_refusals
    )
    .fetch_all(conn)
    .await
}

/// Which events an export holds.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    /// Up to this number, itself included.
    pub last: i64,
}

/// The next events of an export, after a number, oldest first.
///
/// # Errors
/// If the database refuses.
pub async fn list_range(
    conn: &mut PgConnection,
    range: Range,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    sqlx::query_as!(
        Stored,
        "select seq, canonical from audit_events
         where seq > $1 and seq <= $2
           and ($3::timestamptz is null or time >= $3) and ($4::timestamptz is null or time < $4)
         order by seq limit $5",
        after,
        range.last,
        range.from,
        range.until,
        limit
    )
    .fetch_all(conn)
    .await
}
