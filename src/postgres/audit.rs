//! The audit log's tables: append at the head, read by number, search by what events are about.

use std::collections::BTreeSet;

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

/// Does the log still contain this point? One that contains nothing yet begins every log.
///
/// # Errors
/// If the database refuses.
pub async fn contains(conn: &mut PgConnection, point: &Head) -> sqlx::Result<bool> {
    if *point == Head::START {
        return Ok(true);
    }
    sqlx::query_scalar!(
        r#"select exists (select from audit_events where seq = $1 and hash = $2) as "contains!""#,
        point.seq,
        &point.hash[..]
    )
    .fetch_one(conn)
    .await
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
    keep_names(conn, events, actor).await?;
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
            actor.id(),
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
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Keeps the names that these events bear, so that they are found by them later. The head must be
/// locked: nobody else can be adding the same then.
async fn keep_names(conn: &mut PgConnection, events: &[Event], actor: &Actor) -> sqlx::Result<()> {
    let mut named = BTreeSet::new();
    if let Some(by) = actor.person() {
        for name in [&by.person.email, &by.person.name] {
            named.insert((NameOf::Person, by.person.id.as_str(), name.as_str()));
        }
    }
    for target in events.iter().filter_map(|event| event.target.as_ref()) {
        named.insert((NameOf::Account, target.account_id(), target.account_name()));
    }
    named.retain(|(.., name)| !name.is_empty());
    if named.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&(NameOf, &str, &str)) -> String| named.iter().map(of).collect::<Vec<_>>();
    sqlx::query!(
        "insert into audit_names (kind, id, name) select * from unnest($1::text[], $2::text[], $3::text[])
         on conflict do nothing",
        &column(|(of, ..)| of.as_str().to_owned()),
        &column(|(_, id, _)| (*id).to_owned()),
        &column(|(.., name)| (*name).to_owned()),
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

/// Whose names are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameOf {
    /// An actor's e-mails and names.
    Person,
    /// An account's names.
    Account,
}

impl NameOf {
    fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Account => "account",
        }
    }
}

/// Ids that ever bore exactly this name, whatever its case; if there are none, those with it somewhere
/// in a name. One more than `most` tells that there are more. A replica of a version that kept no names
/// may have written the events of a person: the directory and the requests know the exact name too.
///
/// # Errors
/// If the database refuses.
pub async fn list_named(
    conn: &mut PgConnection,
    of: NameOf,
    name: &str,
    most: usize,
) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query!(
        r#"select id as "id!", bool_or(lower(name) = lower($2)) as "is_exact!"
           from (select id, name from audit_names where kind = $1 and strpos(lower(name), lower($2)) > 0
                 union all
                 select id, $2 from people where $1 = 'person' and lower($2) in (lower(email), lower(name))
                 union all
                 (select requester_id, $2 from requests
                  where $1 = 'person' and lower(requester_email) = lower($2) limit 1000)) named
           group by id order by 2 desc, 1 limit $3"#,
        of.as_str(),
        name,
        i64::try_from(most + 1).unwrap_or(i64::MAX)
    )
    .fetch_all(conn)
    .await?;
    let is_exact = rows.first().is_some_and(|row| row.is_exact);
    Ok(rows
        .into_iter()
        .filter(|row| row.is_exact || !is_exact)
        .map(|row| row.id)
        .collect())
}

/// What events are looked for; what is not given finds all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// One of them acted, or asked for what it is about.
    pub people: Option<Vec<String>>,
    /// About one of these accounts.
    pub accounts: Option<Vec<String>>,
    /// About a request under this rule.
    pub rule: Option<String>,
    /// With a type like this, as `like` reads it.
    pub kind: Option<String>,
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    /// About one of these requests.
    pub requests: Option<Vec<uuid::Uuid>>,
}

/// The newest selected events before a number, newest first.
///
/// # Errors
/// If the database refuses.
pub async fn search(
    conn: &mut PgConnection,
    selection: &Selection,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    plan_anew(conn, true).await?;
    let found = sqlx::query_as!(
        Stored,
        "select seq, canonical from audit_events e
         where seq < $1
           and ($3::text[] is null or actor_id = any($3)
                or request_id = any(array(select id from requests where requester_id = any($3))))
           and ($4::text[] is null or account_id = any($4))
           and ($5::text is null or exists (select from requests r where r.id = e.request_id and r.rule = $5))
           and ($6::text is null or type like $6)
           and ($7::timestamptz is null or time >= $7) and ($8::timestamptz is null or time < $8)
           and ($9::uuid[] is null or request_id = any($9))
         order by seq desc limit $2",
        before,
        limit,
        selection.people.as_deref(),
        selection.accounts.as_deref(),
        selection.rule,
        selection.kind,
        selection.from,
        selection.until,
        selection.requests.as_deref()
    )
    .fetch_all(&mut *conn)
    .await;
    plan_anew(conn, false).await?;
    found
}

/// The next selected events after a number, up to `last`, oldest first: a piece of an export.
///
/// # Errors
/// If the database refuses.
pub async fn follow(
    conn: &mut PgConnection,
    selection: &Selection,
    after: i64,
    last: i64,
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    plan_anew(conn, true).await?;
    let found = sqlx::query_as!(
        Stored,
        "select seq, canonical from audit_events e
         where seq > $1 and seq <= $10
           and ($3::text[] is null or actor_id = any($3)
                or request_id = any(array(select id from requests where requester_id = any($3))))
           and ($4::text[] is null or account_id = any($4))
           and ($5::text is null or exists (select from requests r where r.id = e.request_id and r.rule = $5))
           and ($6::text is null or type like $6)
           and ($7::timestamptz is null or time >= $7) and ($8::timestamptz is null or time < $8)
           and ($9::uuid[] is null or request_id = any($9))
         order by seq limit $2",
        after,
        limit,
        selection.people.as_deref(),
        selection.accounts.as_deref(),
        selection.rule,
        selection.kind,
        selection.from,
        selection.until,
        selection.requests.as_deref(),
        last
    )
    .fetch_all(&mut *conn)
    .await;
    plan_anew(conn, false).await?;
    found
}

/// One plan for every combination of filters would use no index but that of the number. Left on by a
/// reader who went away meanwhile, it costs the connection's later queries a plan each, nothing more.
async fn plan_anew(conn: &mut PgConnection, anew: bool) -> sqlx::Result<()> {
    let mode = if anew { "force_custom_plan" } else { "auto" };
    sqlx::query!("select set_config('plan_cache_mode', $1, false)", mode)
        .fetch_one(conn)
        .await?;
    Ok(())
}
