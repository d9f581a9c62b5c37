//! Decisions: written once, never changed.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::RowError;
use crate::access::decision::{Decision, Verdict};
use crate::access::id::RequestId;
use crate::access::person::PersonId;
use crate::access::request::Named;

/// Stores a decision.
///
/// # Errors
/// If the database refuses; the primary key refuses a second one of the same person.
pub async fn insert(
    conn: &mut PgConnection,
    request: RequestId,
    decision: &Decision,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into decisions
             (request_id, approver_id, approver_email, approver_name, verdict, comment, channel, assurance, auth_time, group_id, decided_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        request.0,
        decision.approver.id.as_str(),
        decision.approver.email,
        decision.approver.name,
        decision.verdict.as_str(),
        decision.comment,
        decision.channel,
        decision.assurance.as_str(),
        decision.auth_time,
        decision.group_id,
        decision.decided_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The decisions on a request, oldest first.
///
/// # Errors
/// If the database refuses or a row makes no sense.
pub async fn list(conn: &mut PgConnection, request: RequestId) -> anyhow::Result<Vec<Decision>> {
    let rows = sqlx::query!(
        "select approver_id, approver_email, approver_name, verdict, comment, channel, assurance, auth_time, group_id, decided_at
         from decisions where request_id = $1 order by decided_at, approver_id",
        request.0
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let wrong = |what: String| RowError::of("decisions", &request, &what);
            Ok(Decision {
                approver: Named {
                    id: PersonId::new(&row.approver_id),
                    email: row.approver_email,
                    name: row.approver_name,
                },
                verdict: match row.verdict.as_str() {
                    "yes" => Verdict::Yes,
                    "no" => Verdict::No,
                    other => return Err(wrong(format!("{other:?} is not a verdict"))),
                },
                comment: row.comment,
                channel: row.channel,
                assurance: row.assurance.parse().map_err(wrong)?,
                auth_time: row.auth_time,
                group_id: row.group_id,
                decided_at: row.decided_at,
            })
        })
        .collect()
}

/// How many said yes to each of these requests; those without a yes are left out.
///
/// # Errors
/// If the database refuses.
pub async fn count_yes(
    conn: &mut PgConnection,
    requests: &[RequestId],
) -> sqlx::Result<BTreeMap<RequestId, usize>> {
    let ids: Vec<Uuid> = requests.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select request_id, count(*) as "count!" from decisions
           where request_id = any($1) and verdict = 'yes' group by request_id"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            (
                RequestId(row.request_id),
                usize::try_from(row.count).unwrap_or(0),
            )
        })
        .collect())
}
