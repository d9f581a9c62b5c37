//! Losses of commits, and what was found that the ledger can't explain.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{RowError, one_row};
use crate::access::id::{FindingId, RecoveryId};
use crate::access::person::PersonId;
use crate::access::recovery::{Decision, Finding, Recovery};
use crate::audit::chain::Head;

/// The recovery that is not confirmed yet, if there is one.
///
/// # Errors
/// If the database refuses.
pub async fn find_open(conn: &mut PgConnection) -> sqlx::Result<Option<Recovery>> {
    let row = sqlx::query!(
        "select id, begun_at, remembered_seq, found_seq, swept_at from recoveries where confirmed_at is null"
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Recovery {
        id: RecoveryId(row.id),
        begun_at: row.begun_at,
        remembered_seq: row.remembered_seq,
        found_seq: row.found_seq,
        swept_at: row.swept_at,
    }))
}

/// Stores that a loss was noticed.
///
/// # Errors
/// If another one is open, or the database refuses.
pub async fn insert(
    conn: &mut PgConnection,
    recovery: &Recovery,
    remembered: &Head,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into recoveries (id, begun_at, remembered_seq, remembered_hash, found_seq) values ($1, $2, $3, $4, $5)",
        recovery.id.0,
        recovery.begun_at,
        recovery.remembered_seq,
        &remembered.hash[..],
        recovery.found_seq
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A complete round of the sweep began then.
///
/// # Errors
/// If the database refuses.
pub async fn set_swept(
    conn: &mut PgConnection,
    id: RecoveryId,
    began_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update recoveries set swept_at = $2 where id = $1 and confirmed_at is null",
        id.0,
        began_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An administrator confirmed it.
///
/// # Errors
/// If it is not open any more, or the database refuses.
pub async fn confirm(
    conn: &mut PgConnection,
    id: RecoveryId,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let result = sqlx::query!(
        "update recoveries set confirmed_at = $2 where id = $1 and confirmed_at is null",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    one_row("the recovery", &result)
}

struct Row {
    id: Uuid,
    principal_id: String,
    user_id: String,
    account_id: String,
    permission_set_arn: String,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    decision: Option<String>,
}

impl TryFrom<Row> for Finding {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        let decision = match row.decision.as_deref() {
            None => None,
            Some("keep") => Some(Decision::Keep),
            Some("remove") => Some(Decision::Remove),
            Some(other) => return Err(RowError::of("findings", &row.id, &other)),
        };
        Ok(Self {
            id: FindingId(row.id),
            principal_id: PersonId::new(&row.principal_id),
            user_id: row.user_id,
            account_id: row.account_id,
            permission_set_arn: row.permission_set_arn,
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
            decision,
        })
    }
}

/// What was found, the undecided first.
///
/// # Errors
/// If the database refuses or a row makes no sense.
pub async fn list_findings(
    conn: &mut PgConnection,
    recovery: RecoveryId,
    limit: i64,
) -> anyhow::Result<Vec<Finding>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, principal_id, user_id, account_id, permission_set_arn, first_seen_at, last_seen_at, decision
         from findings where recovery_id = $1 order by decision is not null, id limit $2",
        recovery.0,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Finding::try_from).collect()
}

/// How many are not decided yet.
///
/// # Errors
/// If the database refuses.
pub async fn count_undecided(conn: &mut PgConnection, recovery: RecoveryId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from findings where recovery_id = $1 and decision is null"#,
        recovery.0
    )
    .fetch_one(conn)
    .await
}

/// A finding of the open recovery, locked.
///
/// # Errors
/// If the database refuses or the row makes no sense.
pub async fn lock_finding(
    conn: &mut PgConnection,
    id: FindingId,
) -> anyhow::Result<Option<Finding>> {
    let row = sqlx::query_as!(
        Row,
        "select f.id, principal_id, user_id, account_id, permission_set_arn, first_seen_at, last_seen_at, decision
         from findings f join recoveries r on r.id = recovery_id
         where f.id = $1 and confirmed_at is null for update of f",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    row.map(Finding::try_from).transpose()
}

/// It was seen, for the first time or again.
///
/// # Errors
/// If the database refuses or the row makes no sense.
pub async fn see(
    conn: &mut PgConnection,
    recovery: RecoveryId,
    (user_id, account_id, permission_set_arn): (&str, &str, &str),
    began_at: DateTime<Utc>,
) -> anyhow::Result<Finding> {
    let principal = PersonId::new(user_id);
    let row = sqlx::query_as!(
        Row,
        "insert into findings (id, recovery_id, principal_id, user_id, account_id, permission_set_arn, first_seen_at, last_seen_at)
         values ($1, $2, $3, $4, $5, $6, $7, $7)
         on conflict on constraint findings_tuple
             do update set last_seen_at = greatest(findings.last_seen_at, excluded.last_seen_at)
         returning id, principal_id, user_id, account_id, permission_set_arn, first_seen_at, last_seen_at, decision",
        FindingId::new(began_at).0,
        recovery.0,
        principal.as_str(),
        user_id,
        account_id,
        permission_set_arn,
        began_at
    )
    .fetch_one(conn)
    .await?;
    Finding::try_from(row)
}

/// It is certain: true for the first who says so.
///
/// # Errors
/// If the database refuses.
pub async fn report(
    conn: &mut PgConnection,
    id: FindingId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "update findings set reported_at = $2 where id = $1 and reported_at is null",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Forgets what nobody decided about and what a complete listing of its account and permission set did
/// not show any more.
///
/// # Errors
/// If the database refuses.
pub async fn forget_vanished(
    conn: &mut PgConnection,
    recovery: RecoveryId,
    account_id: &str,
    permission_set_arn: &str,
    began_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from findings
         where recovery_id = $1 and account_id = $2 and permission_set_arn = $3 and decision is null and last_seen_at < $4",
        recovery.0,
        account_id,
        permission_set_arn,
        began_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores what was decided.
///
/// # Errors
/// If it was decided meanwhile, or the database refuses.
pub async fn decide(
    conn: &mut PgConnection,
    id: FindingId,
    decision: Decision,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let result = sqlx::query!(
        "update findings set decision = $2, decided_at = $3 where id = $1 and decision is null",
        id.0,
        decision.as_str(),
        now
    )
    .execute(conn)
    .await?;
    one_row("the finding", &result)
}
