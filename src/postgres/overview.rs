//! What the operations page shows: everything live, what is under way with Identity Center, what went
//! wrong lately. Each a bounded query.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::RowError;
use crate::access::assignment::{Part, TargetGone};
use crate::access::grant::GrantStatus;
use crate::access::id::{GrantId, RequestId};
use crate::live_grants::{Claim, Entry, Tuple};

/// A grant that is not over, with what its ledger row knows.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its request.
    pub request_id: Uuid,
    /// Who has it.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Where.
    pub account_id: String,
    /// The account's name.
    pub account_name: String,
    /// What.
    pub permission_set: String,
    /// Where it stands.
    pub status: GrantStatus,
    /// When it ends, provisional before it is active; none before it started.
    pub ends_at: Option<DateTime<Utc>>,
    /// When its end began.
    pub ending_at: Option<DateTime<Utc>>,
    /// When its end was reported to take too long.
    pub overdue_at: Option<DateTime<Utc>>,
    /// Another grant needs the same assignment: an end waits for that.
    pub is_shared: bool,
    /// Calls that did not do what they should, since one did.
    pub failures: i32,
    /// What the last of them said.
    pub last_error: Option<String>,
    /// When the next one is made.
    pub next_try_at: Option<DateTime<Utc>>,
    /// Deletes that were sent since its end began.
    pub attempts: i64,
    /// The assignment, for whoever takes it away by hand.
    pub tuple: Tuple,
    /// What is gone that it was for, if so.
    pub target_gone: Option<TargetGone>,
}

/// Grants that are not over, those that are due first in front.
///
/// # Errors
/// If the database refuses or a row makes no sense.
pub async fn list_live(conn: &mut PgConnection, limit: i64) -> anyhow::Result<Vec<Live>> {
    let rows = sqlx::query!(
        r#"select g.request_id, r.requester_email, r.requester_name, r.account_id, r.account_name, r.permission_set,
                  g.status, g.ends_at, g.ending_at, g.overdue_at, a.failures, a.last_error,
                  coalesce(a.retry_at, a.next_at) as next_try_at, a.user_id, a.permission_set_arn,
                  a.target_gone, a.target_gone_first_at, a.target_gone_last_at,
                  case when g.status = 'ending'
                       then (select count(*) from operations o
                             where o.assignment_id = a.id and o.kind = 'delete' and o.intended_at >= g.ending_at)
                       else 0 end as "attempts!",
                  exists (select from grants o where o.assignment_id = g.assignment_id and o.id <> g.id
                             and o.status in ('provisioning', 'active')) as "is_shared!"
           from grants g join requests r on r.id = g.request_id join assignments a on a.id = g.assignment_id
           where g.status in ('scheduled', 'provisioning', 'active', 'ending')
           order by coalesce(least(g.ends_at, g.ending_at), g.activate_by), g.id limit $1"#,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let mut live = GrantStatus::LIVE.into_iter();
            let status = live.find(|status| status.as_str() == row.status);
            Ok(Live {
                status: status.ok_or_else(|| {
                    RowError::of(
                        "grants of request",
                        &row.request_id,
                        &"its status is not a live one",
                    )
                })?,
                tuple: Tuple {
                    account_id: row.account_id.clone(),
                    permission_set_arn: row.permission_set_arn,
                    user_id: row.user_id,
                },
                target_gone: gone(
                    row.target_gone.as_deref(),
                    row.target_gone_first_at,
                    row.target_gone_last_at,
                ),
                attempts: row.attempts,
                request_id: row.request_id,
                email: row.requester_email,
                name: row.requester_name,
                account_id: row.account_id,
                account_name: row.account_name,
                permission_set: row.permission_set,
                ends_at: row.ends_at,
                ending_at: row.ending_at,
                overdue_at: row.overdue_at,
                is_shared: row.is_shared,
                failures: row.failures,
                last_error: row.last_error,
                next_try_at: row.next_try_at,
            })
        })
        .collect()
}

fn gone(
    part: Option<&str>,
    first_at: Option<DateTime<Utc>>,
    last_at: Option<DateTime<Utc>>,
) -> Option<TargetGone> {
    Some(TargetGone {
        part: part?.parse::<Part>().ok()?,
        first_at: first_at?,
        last_at: last_at?,
    })
}

/// An end that was reported as overdue and is not over, as the log says it.
#[derive(Clone, Debug)]
pub struct Overdue {
    /// The grant.
    pub grant_id: GrantId,
    /// Its request.
    pub request_id: RequestId,
    /// Whose access.
    pub person_id: String,
    /// Where.
    pub account_id: String,
    /// What.
    pub permission_set: String,
    /// Since when it should be gone.
    pub due_at: DateTime<Utc>,
    /// Deletes that were sent since its end began.
    pub attempts: i64,
    /// What the last call that did not do what it should said.
    pub last_error: Option<String>,
    /// When the next one is made.
    pub next_try_at: Option<DateTime<Utc>>,
}

/// Ends that were reported as overdue and are not over, the oldest first.
///
/// # Errors
/// If the database refuses.
pub async fn list_overdue(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Overdue>> {
    let rows = sqlx::query!(
        r#"select g.id, g.request_id, r.requester_id, r.account_id, r.permission_set,
                  least(g.ends_at, g.ending_at) as "due_at!", a.last_error,
                  coalesce(a.retry_at, a.next_at) as next_try_at,
                  (select count(*) from operations o
                   where o.assignment_id = a.id and o.kind = 'delete' and o.intended_at >= g.ending_at) as "attempts!"
           from grants g join requests r on r.id = g.request_id join assignments a on a.id = g.assignment_id
           where g.status = 'ending' and g.overdue_at is not null
           order by g.overdue_at, g.id limit $1"#,
        limit
    )
    .fetch_all(conn)
    .await?;
    let overdue = rows.into_iter().map(|row| Overdue {
        grant_id: GrantId(row.id),
        request_id: RequestId(row.request_id),
        person_id: row.requester_id,
        account_id: row.account_id,
        permission_set: row.permission_set,
        due_at: row.due_at,
        attempts: row.attempts,
        last_error: row.last_error,
        next_try_at: row.next_try_at,
    });
    Ok(overdue.collect())
}

/// Everything that is Curfew's to take away: what a grant that is not over may have caused, and what was
/// never confirmed gone.
///
/// # Errors
/// If the database refuses.
pub async fn list_to_take_away(conn: &mut PgConnection) -> sqlx::Result<Vec<Entry>> {
    let rows = sqlx::query!(
        r#"select a.account_id, a.permission_set_arn, a.user_id, g.id as "grant_id?", g.request_id as "request_id?",
                  g.status as "status?", least(g.ends_at, g.ending_at) as ends_at,
                  r.requester_email as "email?", r.account_name as "account_name?", r.permission_set as "permission_set?"
           from assignments a
           left join grants g on g.assignment_id = a.id and g.status in ('provisioning', 'active', 'ending')
           left join requests r on r.id = g.request_id
           where a.id in (select id from assignments where owned_since is not null
                          union
                          select assignment_id from grants where status in ('provisioning', 'active', 'ending'))
           order by a.id, g.id"#
    )
    .fetch_all(conn)
    .await?;
    let mut entries: Vec<Entry> = Vec::new();
    for row in rows {
        let tuple = Tuple {
            account_id: row.account_id,
            permission_set_arn: row.permission_set_arn,
            user_id: row.user_id,
        };
        if entries.last().is_none_or(|last| last.tuple != tuple) {
            entries.push(Entry {
                tuple,
                claims: Vec::new(),
            });
        }
        if let (Some(last), Some(grant_id), Some(request_id)) =
            (entries.last_mut(), row.grant_id, row.request_id)
        {
            last.claims.push(Claim {
                request_id: RequestId(request_id),
                grant_id: GrantId(grant_id),
                email: row.email.unwrap_or_default(),
                permission_set: row.permission_set.unwrap_or_default(),
                account_name: row.account_name.unwrap_or_default(),
                status: row.status.unwrap_or_default(),
                ends_at: row.ends_at,
            });
        }
    }
    Ok(entries)
}

/// A grant as the shell lists it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its request.
    pub request_id: Uuid,
    /// Its id.
    pub grant_id: Uuid,
    /// The word for where it stands.
    pub status: String,
    /// Who has it.
    pub email: String,
    /// Where.
    pub account_id: String,
    /// The account's name.
    pub account_name: String,
    /// What.
    pub permission_set: String,
    /// When it ends or was to end.
    pub ends_at: Option<DateTime<Utc>>,
    /// When it was confirmed gone, or certain never to have been.
    pub ended_at: Option<DateTime<Utc>>,
    /// When its end was reported to take too long.
    pub overdue_at: Option<DateTime<Utc>>,
}

/// Grants, the newest first; only those that are not over if `only_live`.
///
/// # Errors
/// If the database refuses.
pub async fn list_grants(
    conn: &mut PgConnection,
    only_live: bool,
    limit: i64,
) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        "select g.request_id, g.id as grant_id, g.status, r.requester_email as email, r.account_id, r.account_name,
                r.permission_set, least(g.ends_at, g.ending_at) as ends_at, g.ended_at, g.overdue_at
         from grants g join requests r on r.id = g.request_id
         where not $1 or g.status in ('scheduled', 'provisioning', 'active', 'ending')
         order by g.id desc limit $2",
        only_live,
        limit
    )
    .fetch_all(conn)
    .await
}

/// How many requests wait for a decision, and how many grants are not over.
///
/// # Errors
/// If the database refuses.
pub async fn count_open(conn: &mut PgConnection) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"select (select count(*) from requests where status = 'pending') as "pending!",
                  (select count(*) from grants where status in ('scheduled', 'provisioning', 'active', 'ending')) as "live!""#
    )
    .fetch_one(conn)
    .await?;
    Ok((row.pending, row.live))
}

/// An attempt to create or delete an assignment.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// `create` or `delete`.
    pub kind: String,
    /// Where it stands.
    pub status: String,
    /// Whose access; the id of somebody who left.
    pub person: String,
    /// Where.
    pub account_id: String,
    /// The account's name, if it still exists.
    pub account_name: Option<String>,
    /// What, if it still exists.
    pub permission_set: Option<String>,
    /// The request that it serves, as far as it is known at a glance.
    pub request_id: Option<Uuid>,
    /// When it was committed, just before it was sent.
    pub intended_at: DateTime<Utc>,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
    /// How often its outcome was asked for.
    pub looks: i32,
    /// What AWS said.
    pub detail: Option<String>,
}

/// Attempts that have no outcome yet, oldest first.
///
/// # Errors
/// If the database refuses.
pub async fn list_unfinished(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Attempt>> {
    sqlx::query_as!(
        Attempt,
        r#"select o.kind, o.status, coalesce(p.email, a.principal_id) as "person!", o.account_id,
                  c.name as "account_name?", s.name as "permission_set?",
                  (select g.request_id from grants g where g.assignment_id = a.id
                      and g.status in ('scheduled', 'provisioning', 'active', 'ending') order by g.id limit 1) as request_id,
                  o.intended_at, o.resolved_at, o.looks, o.detail
           from operations o join assignments a on a.id = o.assignment_id
           left join people p on p.id = a.principal_id
           left join accounts c on c.id = o.account_id
           left join permission_sets s on s.arn = a.permission_set_arn
           where o.status in ('intended', 'in_progress', 'stuck')
           order by o.number limit $1"#,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Attempts that failed, were refused or whose answer was lost since then, newest first.
///
/// # Errors
/// If the database refuses.
pub async fn list_gone_wrong(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Attempt>> {
    sqlx::query_as!(
        Attempt,
        r#"select o.kind, o.status, coalesce(p.email, a.principal_id) as "person!", o.account_id,
                  c.name as "account_name?", s.name as "permission_set?",
                  (select g.request_id from grants g where g.id = o.grant_id) as request_id,
                  o.intended_at, o.resolved_at, o.looks, o.detail
           from operations o join assignments a on a.id = o.assignment_id
           left join people p on p.id = a.principal_id
           left join accounts c on c.id = o.account_id
           left join permission_sets s on s.arn = a.permission_set_arn
           where o.status in ('failed', 'refused', 'lost') and o.resolved_at > $1
           order by o.resolved_at desc limit $2"#,
        since,
        limit
    )
    .fetch_all(conn)
    .await
}
