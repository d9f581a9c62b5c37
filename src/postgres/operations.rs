//! Operations: every attempt, and what became of it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{RowError, one_row};
use crate::access::assignment::{Operation, OperationKind, OperationStatus};
use crate::access::id::{AssignmentId, GrantId, OperationId};

struct Row {
    id: Uuid,
    grant_id: Option<Uuid>,
    kind: String,
    status: String,
    intended_at: DateTime<Utc>,
    answer_by: DateTime<Utc>,
    unresolved_until: DateTime<Utc>,
    aws_id: Option<String>,
    looks: i32,
    next_look_at: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Operation {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        let wrong = |what: String| RowError::of("operations", &row.id, &what);
        Ok(Self {
            id: OperationId(row.id),
            kind: match row.kind.as_str() {
                "create" => OperationKind::Create,
                "delete" => OperationKind::Delete,
                other => return Err(wrong(format!("{other:?} is not a kind"))),
            },
            grant_id: row.grant_id.map(GrantId),
            status: row.status.parse().map_err(wrong)?,
            intended_at: row.intended_at,
            answer_by: row.answer_by,
            unresolved_until: row.unresolved_until,
            aws_id: row.aws_id,
            looks: row.looks,
            next_look_at: row.next_look_at,
            resolved_at: row.resolved_at,
        })
    }
}

/// Commits an attempt before it is sent.
///
/// # Errors
/// If the database refuses; the index `operations_one_open` refuses a second open one.
pub async fn insert(
    conn: &mut PgConnection,
    assignment: AssignmentId,
    account_id: &str,
    operation: &Operation,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into operations (id, assignment_id, account_id, grant_id, kind, status, intended_at, answer_by, unresolved_until)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        operation.id.0,
        assignment.0,
        account_id,
        operation.grant_id.map(|id| id.0),
        operation.kind.as_str(),
        operation.status.as_str(),
        operation.intended_at,
        operation.answer_by,
        operation.unresolved_until,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// For every tuple that is ours, a create that may have been sent before the loss of commits and whose
/// intent is gone: until it can't arrive any more, and Identity Center's list was asked, nobody may call
/// the tuple gone (protocol S4). Of one that has such a row already no second one is made.
///
/// # Errors
/// If the database refuses.
pub async fn suppose_lost_creates(
    conn: &mut PgConnection,
    unresolved_until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let owned = sqlx::query!(
        r#"select id, account_id, owned_since as "since!" from assignments a
           where owned_since is not null
             and not exists (select from operations o
                             where o.assignment_id = a.id and o.kind = 'create' and o.status = 'lost' and o.unresolved_until >= $1)
           for update"#,
        unresolved_until
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in owned {
        sqlx::query!(
            "insert into operations (id, assignment_id, account_id, kind, status, intended_at, answer_by, unresolved_until, resolved_at, detail)
             values ($1, $2, $3, 'create', 'lost', $4, $4, $5, $4, 'supposed, because the database lost commits')",
            OperationId::new(now).0,
            row.id,
            row.account_id,
            row.since,
            unresolved_until
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Stores what became of an attempt.
///
/// # Errors
/// If it is not in the state `from` any more, or the database refuses.
pub async fn save(
    conn: &mut PgConnection,
    operation: &Operation,
    from: OperationStatus,
    now: DateTime<Utc>,
    detail: Option<&str>,
) -> anyhow::Result<()> {
    let result = sqlx::query!(
        "update operations set status = $3, aws_id = $4, accepted_at = coalesce(accepted_at, case when $4::text is null then null else $5::timestamptz end),
                looks = $6, next_look_at = $7, resolved_at = $8, detail = coalesce($9, detail)
         where id = $1 and status = $2",
        operation.id.0,
        from.as_str(),
        operation.status.as_str(),
        operation.aws_id,
        now,
        operation.looks,
        operation.next_look_at,
        operation.resolved_at,
        detail
    )
    .execute(conn)
    .await?;
    one_row("the operation", &result)
}

/// The operations of an assignment that the next step can depend on, oldest first: what is open,
/// stuck or lost, and the last ones. There may be thousands of others. Lock the assignment first.
///
/// # Errors
/// If the database refuses or a row makes no sense.
pub async fn list_relevant(
    conn: &mut PgConnection,
    assignment: AssignmentId,
    owned_since: Option<DateTime<Utc>>,
) -> anyhow::Result<Vec<Operation>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, grant_id, kind, status, intended_at, answer_by, unresolved_until, aws_id, looks, next_look_at, resolved_at
         from operations
         where assignment_id = $1
           and (status in ('intended', 'in_progress', 'stuck') or (kind = 'create' and status = 'lost')
                or number = (select number from operations where assignment_id = $1 and kind = 'delete' and status = 'lost'
                             order by unresolved_until desc limit 1)
                or number = (select number from operations
                             where assignment_id = $1 and status not in ('refused', 'expired') and intended_at >= $2
                             order by coalesce(resolved_at, intended_at) desc, number desc limit 1)
                or number = (select number from operations where assignment_id = $1
                             order by coalesce(resolved_at, intended_at) desc, number desc limit 1))
         order by number",
        assignment.0,
        owned_since
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Operation::try_from).collect()
}

/// The accounts of operations that are open and younger than `since`; an older one holds nobody up,
/// Identity Center's own answer then counts.
///
/// # Errors
/// If the database refuses.
pub async fn open_accounts(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select account_id from operations where status in ('intended', 'in_progress') and intended_at > $1",
        since
    )
    .fetch_all(conn)
    .await
}

/// How many operations of each kind are in progress and due for a look.
///
/// # Errors
/// If the database refuses.
pub async fn count_in_progress(
    conn: &mut PgConnection,
    kind: OperationKind,
    now: DateTime<Utc>,
) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"select count(*) as "all!", count(*) filter (where next_look_at <= $2) as "due!"
           from operations where kind = $1 and status = 'in_progress'"#,
        kind.as_str(),
        now
    )
    .fetch_one(conn)
    .await?;
    Ok((row.all, row.due))
}

/// These operations are still in progress: no look at them before `until`.
///
/// # Errors
/// If the database refuses.
pub async fn postpone(
    conn: &mut PgConnection,
    aws_ids: &[String],
    until: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update operations set next_look_at = $2, looks = looks + 1
         where aws_id = any($1) and status = 'in_progress' and next_look_at < $2",
        aws_ids,
        until
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The answer to an attempt will never come from the process that sent it.
///
/// # Errors
/// If the database refuses.
pub async fn expect_no_answer(
    conn: &mut PgConnection,
    id: OperationId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update operations set answer_by = $2 where id = $1 and status = 'intended'",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// `RequestId`s that the ledger knows already, of these.
///
/// # Errors
/// If the database refuses.
pub async fn known(conn: &mut PgConnection, aws_ids: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select aws_id as "aws_id!" from operations where aws_id = any($1)"#,
        aws_ids
    )
    .fetch_all(conn)
    .await
}

/// The 75th percentile of how long the last fifty operations of this kind took, if there are enough
/// to go by: polling sooner mostly asks in vain (protocol L5).
///
/// # Errors
/// If the database refuses.
pub async fn usual_seconds(
    conn: &mut PgConnection,
    kind: OperationKind,
) -> sqlx::Result<Option<f64>> {
    sqlx::query_scalar!(
        "select percentile_cont(0.75) within group (order by extract(epoch from resolved_at - accepted_at)::float8)
         from (select resolved_at, accepted_at from operations
               where kind = $1 and status = 'succeeded' and accepted_at is not null order by number desc limit 50) recent
         having count(*) >= 5",
        kind.as_str()
    )
    .fetch_optional(conn)
    .await
    .map(Option::flatten)
}
