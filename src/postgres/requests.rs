//! Requests.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{RowError, one_row};
use crate::access::id::RequestId;
use crate::access::person::PersonId;
use crate::access::request::{Named, Request, RequestStatus};
use crate::access::target::Target;

struct Row {
    id: Uuid,
    requester_id: String,
    requester_email: String,
    requester_name: String,
    rule: String,
    policy_version: String,
    account_id: String,
    account_name: String,
    permission_set_arn: String,
    permission_set: String,
    minutes: i32,
    granted_seconds: i64,
    reason: String,
    ticket: Option<String>,
    approvals_required: i32,
    channel: String,
    assurance: String,
    status: String,
    created_at: DateTime<Utc>,
    lapses_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Request {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        let wrong = |what: String| RowError::of("requests", &row.id, &what);
        Ok(Self {
            id: RequestId(row.id),
            assurance: row.assurance.parse().map_err(wrong)?,
            status: row.status.parse().map_err(wrong)?,
            requester: Named {
                id: PersonId::new(&row.requester_id),
                email: row.requester_email,
                name: row.requester_name,
            },
            rule: row.rule,
            policy_version: row.policy_version,
            target: Target::PermissionSet {
                account_id: row.account_id,
                account_name: row.account_name,
                permission_set_arn: row.permission_set_arn,
                permission_set: row.permission_set,
            },
            minutes: row.minutes,
            granted: TimeDelta::seconds(row.granted_seconds),
            reason: row.reason,
            ticket: row.ticket,
            approvals_required: row.approvals_required,
            channel: row.channel,
            created_at: row.created_at,
            lapses_at: row.lapses_at,
            closed_at: row.closed_at,
        })
    }
}

/// The request, if there is one.
///
/// # Errors
/// If the database refuses or the row makes no sense.
pub async fn find(conn: &mut PgConnection, id: RequestId) -> anyhow::Result<Option<Request>> {
    let row = sqlx::query_as!(
        Row,
        "select id, requester_id, requester_email, requester_name, rule, policy_version, account_id, account_name,
                permission_set_arn, permission_set, minutes, granted_seconds, reason, ticket, approvals_required,
                channel, assurance, status, created_at, lapses_at, closed_at
         from requests where id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    row.map(Request::try_from).transpose()
}

/// The request, locked until the transaction ends.
///
/// # Errors
/// If the database refuses or the row makes no sense.
pub async fn lock(conn: &mut PgConnection, id: RequestId) -> anyhow::Result<Option<Request>> {
    sqlx::query!("select id from requests where id = $1 for update", id.0)
        .fetch_optional(&mut *conn)
        .await?;
    find(conn, id).await
}

/// Stores a new request.
///
/// # Errors
/// If the database refuses; the constraint `requests_one_open` names a second one of the same.
pub async fn insert(conn: &mut PgConnection, request: &Request) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into requests
             (id, requester_id, requester_email, requester_name, rule, policy_version, account_id, account_name,
              permission_set_arn, permission_set, minutes, granted_seconds, reason, ticket, approvals_required,
              channel, assurance, status, is_open, created_at, lapses_at, closed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, true, $19, $20, $21)",
        request.id.0,
        request.requester.id.as_str(),
        request.requester.email,
        request.requester.name,
        request.rule,
        request.policy_version,
        request.target.account_id(),
        request.target.account_name(),
        request.target.permission_set_arn(),
        request.target.permission_set(),
        request.minutes,
        request.granted.num_seconds(),
        request.reason,
        request.ticket,
        request.approvals_required,
        request.channel,
        request.assurance.as_str(),
        request.status.as_str(),
        request.created_at,
        request.lapses_at,
        request.closed_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Closes a pending request. An approved one stays open for its grant.
///
/// # Errors
/// If it is not pending any more, or the database refuses.
pub async fn close(
    conn: &mut PgConnection,
    id: RequestId,
    status: RequestStatus,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let result = sqlx::query!(
        "update requests set status = $2, is_open = ($2 = 'approved'), closed_at = $3 where id = $1 and status = 'pending'",
        id.0,
        status.as_str(),
        now
    )
    .execute(conn)
    .await?;
    one_row("the request", &result)
}

/// The grant of an approved request is over: the same may be asked for again. A request that says
/// otherwise already stops no ending.
///
/// # Errors
/// If the database refuses.
pub async fn release(conn: &mut PgConnection, id: RequestId) -> sqlx::Result<()> {
    sqlx::query!(
        "update requests set is_open = false where id = $1 and status = 'approved'",
        id.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The open request of this person for this rule and account.
///
/// # Errors
/// If the database refuses or the row makes no sense.
pub async fn find_open(
    conn: &mut PgConnection,
    requester: &PersonId,
    rule: &str,
    account_id: &str,
) -> anyhow::Result<Option<Request>> {
    let id = sqlx::query_scalar!(
        "select id from requests where requester_id = $1 and rule = $2 and account_id = $3 and is_open",
        requester.as_str(),
        rule,
        account_id
    )
    .fetch_optional(&mut *conn)
    .await?;
    match id {
        Some(id) => find(conn, RequestId(id)).await,
        None => Ok(None),
    }
}

/// The rules and accounts that this person asked for lately, newest first; those with an open request
/// left out. It looks at the latest hundred requests.
///
/// # Errors
/// If the database refuses.
pub async fn list_asked_lately(
    conn: &mut PgConnection,
    requester: &PersonId,
) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        "select rule, account_id
         from (select rule, account_id, is_open, row_number() over (order by id desc) as place
               from requests where requester_id = $1 order by id desc limit 100) latest
         group by rule, account_id having not bool_or(is_open) order by min(place) limit 20",
        requester.as_str()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.rule, row.account_id))
        .collect())
}

/// How many open requests this person has.
///
/// # Errors
/// If the database refuses.
pub async fn count_open(conn: &mut PgConnection, requester: &PersonId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from requests where requester_id = $1 and is_open"#,
        requester.as_str()
    )
    .fetch_one(conn)
    .await
}

/// Makes submissions of one person come one after the other, so that their open requests can be
/// counted. Released with the transaction.
///
/// # Errors
/// If the database refuses.
pub async fn lock_requester(conn: &mut PgConnection, requester: &PersonId) -> sqlx::Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))",
        requester.as_str()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Pending requests that are due to lapse, and when the next one will be.
///
/// # Errors
/// If the database refuses.
pub async fn due_to_lapse(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<RequestId>> {
    let ids = sqlx::query_scalar!(
        "select id from requests where status = 'pending' and lapses_at <= $1 order by lapses_at limit $2",
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(RequestId).collect())
}

/// When the next pending request lapses.
///
/// # Errors
/// If the database refuses.
pub async fn next_lapse(conn: &mut PgConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("select min(lapses_at) from requests where status = 'pending'")
        .fetch_one(conn)
        .await
}

/// Pending requests whose rule is not among these.
///
/// # Errors
/// If the database refuses.
pub async fn pending_without_rule(
    conn: &mut PgConnection,
    rules: &[String],
) -> sqlx::Result<Vec<RequestId>> {
    let ids = sqlx::query_scalar!(
        "select id from requests where status = 'pending' and rule <> all($1)",
        rules
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(RequestId).collect())
}

/// Pending requests of people who are disabled or gone by the copy of the directory.
///
/// # Errors
/// If the database refuses.
pub async fn pending_of_disabled(conn: &mut PgConnection) -> sqlx::Result<Vec<RequestId>> {
    let ids = sqlx::query_scalar!(
        "select id from requests where status = 'pending'
           and not exists (select from people where people.id = requester_id and people.enabled)"
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(RequestId).collect())
}

/// The requests under a rule, newest first.
///
/// # Errors
/// If the database refuses.
pub async fn list_of_rule(
    conn: &mut PgConnection,
    rule: &str,
    limit: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "select id from requests where rule = $1 order by id desc limit $2",
        rule,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Which requests a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// With this status.
    pub status: Option<RequestStatus>,
    /// Asked for by this person.
    pub requester: Option<PersonId>,
    /// Asked for, decided, or decidable by this person: the rules that they may approve beside it.
    pub concerns: Option<(PersonId, Vec<String>)>,
    /// With this text in the rule's name, whatever the case.
    pub rule: Option<String>,
    /// With this text in the account's name or id, whatever the case.
    pub account: Option<String>,
    /// Still pending, or approved with a grant that is not over.
    pub open: bool,
    /// Made before this one: the cursor of the page before.
    pub before: Option<RequestId>,
}

/// A page of requests, newest first.
///
/// # Errors
/// If the database refuses or a row makes no sense.
pub async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    limit: i64,
) -> anyhow::Result<Vec<Request>> {
    let (person, rules) = filter
        .concerns
        .clone()
        .map_or((None, Vec::new()), |(id, rules)| (Some(id), rules));
    let rows = sqlx::query_as!(
        Row,
        "select id, requester_id, requester_email, requester_name, rule, policy_version, account_id, account_name,
                permission_set_arn, permission_set, minutes, granted_seconds, reason, ticket, approvals_required,
                channel, assurance, status, created_at, lapses_at, closed_at
         from requests
         where ($1::text is null or status = $1)
           and ($2::text is null or requester_id = $2)
           and ($3::text is null or requester_id = $3 or rule = any($4)
                or exists (select from decisions where request_id = requests.id and approver_id = $3))
           and (not $5 or is_open)
           and ($6::uuid is null or id < $6)
           and ($7::text is null or strpos(lower(rule), lower($7)) > 0)
           and ($8::text is null or strpos(lower(account_name || ' (' || account_id || ')'), lower($8)) > 0)
         order by id desc limit $9",
        filter.status.map(RequestStatus::as_str),
        filter.requester.as_ref().map(PersonId::as_str),
        person.as_ref().map(PersonId::as_str),
        &rules,
        filter.open,
        filter.before.map(|id| id.0),
        filter.rule,
        filter.account,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Request::try_from).collect()
}

/// How many requests [`list_waiting_for`] would give, counted up to `most`.
///
/// # Errors
/// If the database refuses.
pub async fn count_waiting_for(
    conn: &mut PgConnection,
    person: &PersonId,
    rules: &[String],
    now: DateTime<Utc>,
    most: i64,
) -> sqlx::Result<usize> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from (
               select from requests
               where status = 'pending' and lapses_at > $3 and rule = any($2) and requester_id <> $1
                 and not exists (select from decisions where request_id = requests.id and approver_id = $1)
               limit $4) waiting"#,
        person.as_str(),
        rules,
        now,
        most
    )
    .fetch_one(conn)
    .await?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Pending requests under these rules that this person neither made nor decided on, oldest first.
///
/// # Errors
/// If the database refuses or a row makes no sense.
pub async fn list_waiting_for(
    conn: &mut PgConnection,
    person: &PersonId,
    rules: &[String],
    now: DateTime<Utc>,
    limit: i64,
) -> anyhow::Result<Vec<Request>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, requester_id, requester_email, requester_name, rule, policy_version, account_id, account_name,
                permission_set_arn, permission_set, minutes, granted_seconds, reason, ticket, approvals_required,
                channel, assurance, status, created_at, lapses_at, closed_at
         from requests
         where status = 'pending' and lapses_at > $3 and rule = any($2) and requester_id <> $1
           and not exists (select from decisions where request_id = requests.id and approver_id = $1)
         order by created_at limit $4",
        person.as_str(),
        rules,
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Request::try_from).collect()
}
