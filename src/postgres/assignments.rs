//! The ledger's rows.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::{RowError, one_row};
use crate::access::assignment::{Assignment, GONE_CONFIRMED_AFTER, Part, Sight, TargetGone};
use crate::access::id::AssignmentId;
use crate::access::person::PersonId;
use crate::access::recovery::Owned;

struct Row {
    id: Uuid,
    principal_id: String,
    user_id: String,
    account_id: String,
    permission_set_arn: String,
    owned_since: Option<DateTime<Utc>>,
    revision: i64,
    seen_present: Option<bool>,
    seen_first_at: Option<DateTime<Utc>>,
    seen_last_at: Option<DateTime<Utc>>,
    failures: i32,
    retry_at: Option<DateTime<Utc>>,
    target_gone: Option<String>,
    target_gone_first_at: Option<DateTime<Utc>>,
    target_gone_last_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Assignment {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        let sight = match (row.seen_present, row.seen_first_at, row.seen_last_at) {
            (None, None, None) => None,
            (Some(present), Some(first_at), Some(last_at)) => Some(Sight {
                present,
                first_at,
                last_at,
            }),
            _ => {
                return Err(RowError::of(
                    "assignments",
                    &row.id,
                    &"what was seen is half there",
                ));
            }
        };
        let target_gone = match (
            row.target_gone,
            row.target_gone_first_at,
            row.target_gone_last_at,
        ) {
            (Some(part), Some(first_at), Some(last_at)) => Some(TargetGone {
                part: part
                    .parse::<Part>()
                    .map_err(|why| RowError::of("assignments", &row.id, &why))?,
                first_at,
                last_at,
            }),
            _ => None,
        };
        Ok(Self {
            id: AssignmentId(row.id),
            principal_id: PersonId::new(&row.principal_id),
            user_id: row.user_id,
            account_id: row.account_id,
            permission_set_arn: row.permission_set_arn,
            owned_since: row.owned_since,
            revision: row.revision,
            sight,
            failures: row.failures,
            retry_at: row.retry_at,
            target_gone,
        })
    }
}

/// The row, if there is one.
///
/// # Errors
/// If the database refuses or the row makes no sense.
pub async fn find(conn: &mut PgConnection, id: AssignmentId) -> anyhow::Result<Option<Assignment>> {
    let row = sqlx::query_as!(
        Row,
        "select id, principal_id, user_id, account_id, permission_set_arn, owned_since, revision, seen_present,
                seen_first_at, seen_last_at, failures, retry_at, target_gone, target_gone_first_at, target_gone_last_at
         from assignments where id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    row.map(Assignment::try_from).transpose()
}

/// The row, locked. Lock requests and grants first.
///
/// # Errors
/// If there is none, the database refuses, or the row makes no sense.
pub async fn lock(conn: &mut PgConnection, id: AssignmentId) -> anyhow::Result<Assignment> {
    sqlx::query!("select id from assignments where id = $1 for update", id.0)
        .fetch_optional(&mut *conn)
        .await?;
    find(conn, id)
        .await?
        .ok_or_else(|| RowError::of("assignments", &id, &"it does not exist"))
}

/// The row of this tuple, made if it is new, and due for the engine at once.
///
/// # Errors
/// If the database refuses.
pub async fn want(
    conn: &mut PgConnection,
    principal: &PersonId,
    user_id: &str,
    account_id: &str,
    permission_set_arn: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<AssignmentId> {
    let id = sqlx::query_scalar!(
        "insert into assignments (id, principal_id, user_id, account_id, permission_set_arn, next_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict on constraint assignments_tuple
             do update set next_at = excluded.next_at, retry_at = null, user_id = excluded.user_id
         returning id",
        AssignmentId::new(now).0,
        principal.as_str(),
        user_id,
        account_id,
        permission_set_arn,
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(AssignmentId(id))
}

/// Makes the engine look now, whatever it was waiting for: somebody ended a grant.
///
/// # Errors
/// If the database refuses.
pub async fn hurry(
    conn: &mut PgConnection,
    id: AssignmentId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update assignments set next_at = $2, retry_at = null, failures = 0 where id = $1",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// When the engine looks next; `None` if nothing is to be done until something changes.
///
/// # Errors
/// If the database refuses.
pub async fn set_next(
    conn: &mut PgConnection,
    id: AssignmentId,
    next_at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update assignments set next_at = $2 where id = $1",
        id.0,
        next_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An operation was opened or resolved: what listings said before counts no more. `owned_since` is
/// set by the first create's intent and kept by later ones.
///
/// # Errors
/// If the database refuses.
pub async fn touch(
    conn: &mut PgConnection,
    id: AssignmentId,
    owned_since: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update assignments set revision = revision + 1, owned_since = coalesce(owned_since, $2),
                seen_present = null, seen_first_at = null, seen_last_at = null
         where id = $1",
        id.0,
        owned_since
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a complete listing showed; dropped if an operation was opened or resolved since it began.
/// That a listing works says nothing about deletes: their delay keeps growing.
///
/// # Errors
/// If the database refuses.
pub async fn see(
    conn: &mut PgConnection,
    id: AssignmentId,
    revision: i64,
    sight: Sight,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update assignments set seen_present = $3, seen_first_at = $4, seen_last_at = $5
         where id = $1 and revision = $2",
        id.0,
        revision,
        sight.present,
        sight.first_at,
        sight.last_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Every tuple that is ours.
///
/// # Errors
/// If the database refuses.
pub async fn list_owned(conn: &mut PgConnection) -> sqlx::Result<Vec<Owned>> {
    sqlx::query_as!(
        Owned,
        r#"select user_id, account_id, permission_set_arn, owned_since as "since!"
           from assignments where owned_since is not null"#
    )
    .fetch_all(conn)
    .await
}

/// Every permission set that the ledger ever touched.
///
/// # Errors
/// If the database refuses.
pub async fn permission_sets(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select distinct permission_set_arn from assignments")
        .fetch_all(conn)
        .await
}

/// The rows of one account and permission set.
///
/// # Errors
/// If the database refuses or a row makes no sense.
pub async fn list_of_pair(
    conn: &mut PgConnection,
    account_id: &str,
    permission_set_arn: &str,
) -> anyhow::Result<Vec<Assignment>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, principal_id, user_id, account_id, permission_set_arn, owned_since, revision, seen_present,
                seen_first_at, seen_last_at, failures, retry_at, target_gone, target_gone_first_at, target_gone_last_at
         from assignments where account_id = $1 and permission_set_arn = $2",
        account_id,
        permission_set_arn
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Assignment::try_from).collect()
}

/// Makes a tuple ours that the ledger does not own: from here on it will be deleted, and confirmed gone,
/// unless a live grant wants it. `None` if it was ours already.
///
/// # Errors
/// If the database refuses.
pub async fn adopt(
    conn: &mut PgConnection,
    owned: &Owned,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<AssignmentId>> {
    let principal = PersonId::new(&owned.user_id);
    let id = sqlx::query_scalar!(
        "insert into assignments (id, principal_id, user_id, account_id, permission_set_arn, owned_since, next_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict on constraint assignments_tuple
             do update set owned_since = excluded.owned_since, revision = assignments.revision + 1, next_at = excluded.next_at,
                           retry_at = null, failures = 0, seen_present = null, seen_first_at = null, seen_last_at = null
             where assignments.owned_since is null
         returning id",
        AssignmentId::new(now).0,
        principal.as_str(),
        owned.user_id,
        owned.account_id,
        owned.permission_set_arn,
        owned.since,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(AssignmentId))
}

/// A call did not do what it should: wait before the next.
///
/// # Errors
/// If the database refuses.
pub async fn fail(
    conn: &mut PgConnection,
    id: AssignmentId,
    retry_at: DateTime<Utc>,
    error: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update assignments set failures = failures + 1, retry_at = $2, last_error = $3 where id = $1",
        id.0,
        retry_at,
        error
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A call did what it should.
///
/// # Errors
/// If the database refuses.
pub async fn succeed(conn: &mut PgConnection, id: AssignmentId) -> sqlx::Result<()> {
    sqlx::query!(
        "update assignments set failures = 0, retry_at = null, last_error = null where id = $1",
        id.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Confirmed gone: not ours any more.
///
/// # Errors
/// If something happened to it since the caller looked, or the database refuses.
pub async fn let_go(
    conn: &mut PgConnection,
    id: AssignmentId,
    revision: i64,
) -> anyhow::Result<()> {
    let result = sqlx::query!(
        "update assignments set owned_since = null, failures = 0, retry_at = null, last_error = null,
                target_looked_at = null, target_gone = null, target_gone_first_at = null, target_gone_last_at = null
         where id = $1 and revision = $2",
        id.0,
        revision
    )
    .execute(conn)
    .await?;
    one_row("the assignment", &result)
}

/// Assignments that are ours, that nobody wants, and whose calls keep failing: is their target still
/// there? Those about which nobody asked since `before`, or, where it is confirmed gone, since
/// `before_if_confirmed`.
///
/// # Errors
/// If the database refuses.
pub async fn list_doubtful(
    conn: &mut PgConnection,
    least_failures: i32,
    before: DateTime<Utc>,
    before_if_confirmed: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<AssignmentId>> {
    let ids = sqlx::query_scalar!(
        "select id from assignments a
         where owned_since is not null and failures > 0 and (failures >= $1 or target_gone is not null)
           and (target_looked_at is null
                or target_looked_at <= case when target_gone_last_at - target_gone_first_at >= $5::interval
                                            then $3::timestamptz else $2::timestamptz end)
           and not exists (select from grants g
                           where g.assignment_id = a.id and g.status in ('scheduled', 'provisioning', 'active'))
         order by target_looked_at nulls first limit $4",
        least_failures,
        before,
        before_if_confirmed,
        limit,
        PgInterval::try_from(GONE_CONFIRMED_AFTER).map_err(sqlx::Error::Encode)?,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(AssignmentId).collect())
}

/// What a live look at the target found. What is confirmed gone is tried as rarely as such are; what is
/// back is tried at once.
///
/// # Errors
/// If the database refuses.
pub async fn look_at_target(
    conn: &mut PgConnection,
    id: AssignmentId,
    looked_at: DateTime<Utc>,
    gone: Option<TargetGone>,
    is_back: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update assignments set target_looked_at = $2, target_gone = $3, target_gone_first_at = $4, target_gone_last_at = $5,
                retry_at = case when $6 then null else retry_at end, next_at = case when $6 then $2 else next_at end
         where id = $1",
        id.0,
        looked_at,
        gone.map(|gone| gone.part.as_str()),
        gone.map(|gone| gone.first_at),
        gone.map(|gone| gone.last_at),
        is_back,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What is due: by its own time, or because a grant's end has come whatever that time says. First what
/// somebody ended just now; then what is under way; then endings, the most overdue first; then what
/// starts (protocol L4).
///
/// # Errors
/// If the database refuses.
pub async fn list_due(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<AssignmentId>> {
    let rows = sqlx::query!(
        r#"select a.id
           from assignments a
           cross join lateral (
               select min(coalesce(g.ending_at, g.ends_at)) as since,
                      coalesce(bool_or(g.end_reason <> 'due'), false) as by_somebody
               from grants g
               where g.assignment_id = a.id
                 and (g.status = 'ending' or (g.status in ('provisioning', 'active') and g.ends_at <= $1))) ending
           cross join lateral (
               select exists (select from operations o
                              where o.assignment_id = a.id and o.status in ('intended', 'in_progress')) as found) under_way
           where a.next_at <= $1
              or exists (select from grants g
                         where g.assignment_id = a.id and g.status in ('provisioning', 'active') and g.ends_at <= $1
                           and (a.next_at is null or a.next_at > g.ends_at))
           order by (ending.by_somebody and a.failures = 0 and not under_way.found) desc,
                    under_way.found desc, ending.since nulls last, a.next_at
           limit $2"#,
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| AssignmentId(row.id)).collect())
}

/// When the next assignment becomes due.
///
/// # Errors
/// If the database refuses.
pub async fn next_due(conn: &mut PgConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        r#"select least((select min(next_at) from assignments),
                        (select min(ends_at) from grants where status in ('provisioning', 'active'))) as next"#
    )
    .fetch_one(conn)
    .await
}
