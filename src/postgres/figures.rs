//! How much there is of what, for the metrics: a few counts, each by an index of live rows only.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{audit, directory, pause, policies};
use crate::access::grant::OVERDUE_AFTER;
use crate::metrics::Figures;

/// Reads them.
///
/// # Errors
/// If the database refuses.
pub async fn load(conn: &mut PgConnection, now: DateTime<Utc>) -> anyhow::Result<Figures> {
    let grants = sqlx::query!(
        r#"select status, count(*) as "count!" from grants
           where status in ('scheduled', 'provisioning', 'active', 'ending') group by status order by status"#
    )
    .fetch_all(&mut *conn)
    .await?;
    // One that waits because another grant still needs the assignment is not late: it counts from the
    // last of them to end.
    let overdue = sqlx::query!(
        r#"select count(*) as "count!", min(due_at) as since
           from (select overdue_at, due_at,
                        status = 'ending' and bool_or(status in ('provisioning', 'active')) over assignment as waits,
                        case status when 'ending' then max(due_at) filter (where status = 'ending') over assignment
                                    else due_at end as late_from
                 from (select assignment_id, status, overdue_at, least(ends_at, ending_at) as due_at from grants
                       where status in ('provisioning', 'active', 'ending')) live
                 window assignment as (partition by assignment_id)) live
           where overdue_at is not null or (late_from <= $1 and not waits)"#,
        now - OVERDUE_AFTER
    )
    .fetch_one(&mut *conn)
    .await?;
    let attempts = sqlx::query_scalar!(
        r#"select count(*) as "count!" from grants g
           join operations o on o.assignment_id = g.assignment_id and o.kind = 'delete' and o.intended_at >= g.ending_at
           where g.status = 'ending' and g.overdue_at is not null"#
    )
    .fetch_one(&mut *conn)
    .await?;
    let others = sqlx::query!(
        r#"select (select count(*) from requests where status = 'pending') as "pending!",
                  (select count(*) from operations where status in ('intended', 'in_progress')) as "operations!",
                  (select coalesce(expires_at > $1, false) from lease) as "is_led!""#,
        now
    )
    .fetch_one(&mut *conn)
    .await?;
    let since = |at: DateTime<Utc>| (now - at).to_std().unwrap_or_default();
    Ok(Figures {
        grants: grants
            .into_iter()
            .map(|row| (row.status, row.count))
            .collect(),
        overdue: overdue.count,
        overdue_oldest: overdue.since.map(since).unwrap_or_default(),
        overdue_attempts: attempts,
        pending: others.pending,
        operations: others.operations,
        is_led: others.is_led,
        directory_age: directory::copied_at(&mut *conn).await?.map(since),
        has_policy: policies::version_in_force(&mut *conn).await?.is_some(),
        is_paused: pause::find(&mut *conn).await?.is_some(),
        events: audit::load_head(conn).await?.seq,
    })
}
