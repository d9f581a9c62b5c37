//! Grants: the state as an enum on one side, nullable columns with a CHECK per state on the other.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{RowError, one_row};
use crate::access::grant::{EndReason, Grant, GrantState, GrantStatus, Window};
use crate::access::id::{AssignmentId, GrantId, RequestId};

struct Row {
    id: Uuid,
    request_id: Uuid,
    assignment_id: Uuid,
    status: String,
    granted_seconds: i64,
    session_seconds: i64,
    start_at: DateTime<Utc>,
    activate_by: DateTime<Utc>,
    provisioning_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    active_at: Option<DateTime<Utc>>,
    ending_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    end_reason: Option<String>,
    overdue_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Grant {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        let wrong = |what: String| RowError::of("grants", &row.id, &what);
        let window = match (row.provisioning_at, row.ends_at) {
            (Some(provisioning_at), Some(ends_at)) => Some(Window {
                provisioning_at,
                sent_at: row.sent_at,
                ends_at,
            }),
            _ => None,
        };
        let reason = row
            .end_reason
            .as_deref()
            .map(str::parse::<EndReason>)
            .transpose()
            .map_err(wrong)?;
        let state = match (
            row.status.as_str(),
            window,
            row.active_at,
            row.ending_at,
            row.ended_at,
            reason,
        ) {
            ("scheduled", None, None, None, None, None) => GrantState::Scheduled,
            ("provisioning", Some(window), None, None, None, None) => {
                GrantState::Provisioning(window)
            }
            ("active", Some(window), Some(active_at), None, None, None) => {
                GrantState::Active { window, active_at }
            }
            ("ending", Some(window), active_at, Some(ending_at), None, Some(reason)) => {
                GrantState::Ending {
                    window,
                    active_at,
                    ending_at,
                    reason,
                }
            }
            (
                "ended",
                Some(window),
                Some(active_at),
                Some(ending_at),
                Some(ended_at),
                Some(reason),
            ) => GrantState::Ended {
                window,
                active_at,
                ending_at,
                ended_at,
                reason,
            },
            ("failed", window, None, ending_at, Some(ended_at), Some(reason)) => {
                GrantState::Failed {
                    window,
                    ending_at,
                    ended_at,
                    reason,
                }
            }
            (
                "closed_unconfirmed",
                Some(window),
                active_at,
                Some(ending_at),
                None,
                Some(reason),
            ) => {
                let closed_at = row
                    .closed_at
                    .ok_or_else(|| wrong("it is closed without a time".to_owned()))?;
                GrantState::ClosedUnconfirmed {
                    window,
                    active_at,
                    ending_at,
                    closed_at,
                    reason,
                }
            }
            (status, ..) => {
                return Err(wrong(format!(
                    "status {status:?} does not go with its other columns"
                )));
            }
        };
        Ok(Self {
            id: GrantId(row.id),
            request_id: RequestId(row.request_id),
            assignment_id: AssignmentId(row.assignment_id),
            granted: TimeDelta::seconds(row.granted_seconds),
            session: TimeDelta::seconds(row.session_seconds),
            start_at: row.start_at,
            activate_by: row.activate_by,
            overdue_at: row.overdue_at,
            state,
        })
    }
}

/// The columns behind the state.
struct Columns {
    window: Option<Window>,
    active_at: Option<DateTime<Utc>>,
    ending_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    reason: Option<EndReason>,
    closed_at: Option<DateTime<Utc>>,
}

fn columns(grant: &Grant) -> Columns {
    let ending_at = match grant.state {
        GrantState::Ending { ending_at, .. }
        | GrantState::Ended { ending_at, .. }
        | GrantState::ClosedUnconfirmed { ending_at, .. } => Some(ending_at),
        GrantState::Failed { ending_at, .. } => ending_at,
        _ => None,
    };
    Columns {
        window: grant.window(),
        active_at: grant.active_at(),
        ending_at,
        ended_at: grant.ended_at(),
        reason: grant.end_reason(),
        closed_at: match grant.state {
            GrantState::ClosedUnconfirmed { closed_at, .. } => Some(closed_at),
            _ => None,
        },
    }
}

/// The grant of a request.
///
/// # Errors
/// If the database refuses or the row makes no sense.
pub async fn find_of_request(
    conn: &mut PgConnection,
    request: RequestId,
) -> anyhow::Result<Option<Grant>> {
    let row = sqlx::query_as!(
        Row,
        "select id, request_id, assignment_id, status, granted_seconds, session_seconds, start_at, activate_by,
                provisioning_at, sent_at, ends_at, active_at, ending_at, ended_at, end_reason, overdue_at, closed_at
         from grants where request_id = $1",
        request.0
    )
    .fetch_optional(conn)
    .await?;
    row.map(Grant::try_from).transpose()
}

/// The request of a grant.
///
/// # Errors
/// If the database refuses.
pub async fn request_of(
    conn: &mut PgConnection,
    grant: GrantId,
) -> sqlx::Result<Option<RequestId>> {
    let id = sqlx::query_scalar!("select request_id from grants where id = $1", grant.0)
        .fetch_optional(conn)
        .await?;
    Ok(id.map(RequestId))
}

/// The grants of these requests.
///
/// # Errors
/// If the database refuses or a row makes no sense.
pub async fn list_of_requests(
    conn: &mut PgConnection,
    requests: &[RequestId],
) -> anyhow::Result<BTreeMap<RequestId, Grant>> {
    let ids: Vec<Uuid> = requests.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        Row,
        "select id, request_id, assignment_id, status, granted_seconds, session_seconds, start_at, activate_by,
                provisioning_at, sent_at, ends_at, active_at, ending_at, ended_at, end_reason, overdue_at, closed_at
         from grants where request_id = any($1)",
        &ids
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| Grant::try_from(row).map(|grant| (grant.request_id, grant)))
        .collect()
}

/// The grant of a request, locked. Lock the request first.
///
/// # Errors
/// If the database refuses or the row makes no sense.
pub async fn lock_of_request(
    conn: &mut PgConnection,
    request: RequestId,
) -> anyhow::Result<Option<Grant>> {
    sqlx::query!(
        "select id from grants where request_id = $1 for update",
        request.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    find_of_request(conn, request).await
}

/// The grants of an assignment that are not over, oldest first.
///
/// # Errors
/// If the database refuses or a row makes no sense.
pub async fn list_live(
    conn: &mut PgConnection,
    assignment: AssignmentId,
) -> anyhow::Result<Vec<Grant>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, request_id, assignment_id, status, granted_seconds, session_seconds, start_at, activate_by,
                provisioning_at, sent_at, ends_at, active_at, ending_at, ended_at, end_reason, overdue_at, closed_at
         from grants where assignment_id = $1 and status in ('scheduled', 'provisioning', 'active', 'ending')
         order by id",
        assignment.0
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Grant::try_from).collect()
}

/// Locks the requests, then the grants, of an assignment's live grants, both in the order of their
/// ids, and says which grants those are.
///
/// # Errors
/// If the database refuses.
pub async fn lock_live(
    conn: &mut PgConnection,
    assignment: AssignmentId,
) -> sqlx::Result<Vec<GrantId>> {
    sqlx::query!(
        "select id from requests
         where id in (select request_id from grants
                      where assignment_id = $1 and status in ('scheduled', 'provisioning', 'active', 'ending'))
         order by id for update",
        assignment.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids = sqlx::query_scalar!(
        "select id from grants where assignment_id = $1 and status in ('scheduled', 'provisioning', 'active', 'ending')
         order by id for update",
        assignment.0
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(GrantId).collect())
}

/// Live requests' grants of one person: what a disabled person must lose.
///
/// # Errors
/// If the database refuses.
pub async fn requests_live_of_disabled(conn: &mut PgConnection) -> sqlx::Result<Vec<RequestId>> {
    let ids = sqlx::query_scalar!(
        "select request_id from grants
         join requests on requests.id = request_id
         left join people on people.id = requester_id
         where grants.status in ('scheduled', 'provisioning', 'active') and coalesce(not people.enabled, true)"
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(RequestId).collect())
}

/// The requests approved until then whose grants have not begun to end: what an order to end everything
/// is about.
///
/// # Errors
/// If the database refuses.
pub async fn requests_live_of_before(
    conn: &mut PgConnection,
    until: DateTime<Utc>,
) -> sqlx::Result<Vec<RequestId>> {
    let ids = sqlx::query_scalar!(
        "select request_id from grants join requests on requests.id = request_id
         where grants.status in ('scheduled', 'provisioning', 'active') and requests.closed_at <= $1
         order by request_id",
        until
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(RequestId).collect())
}

/// Stores a new grant.
///
/// # Errors
/// If the database refuses.
pub async fn insert(conn: &mut PgConnection, grant: &Grant) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into grants (id, request_id, assignment_id, status, granted_seconds, session_seconds, start_at, activate_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        grant.id.0,
        grant.request_id.0,
        grant.assignment_id.0,
        grant.status().as_str(),
        grant.granted.num_seconds(),
        grant.session.num_seconds(),
        grant.start_at,
        grant.activate_by,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores a transition.
///
/// # Errors
/// If the grant is not in the state `from` any more, or the database refuses.
pub async fn save(conn: &mut PgConnection, grant: &Grant, from: GrantStatus) -> anyhow::Result<()> {
    let columns = columns(grant);
    let result = sqlx::query!(
        "update grants set status = $3, provisioning_at = $4, sent_at = $5, ends_at = $6, active_at = $7,
                ending_at = $8, ended_at = $9, end_reason = $10, overdue_at = $11, closed_at = $12
         where id = $1 and status = $2",
        grant.id.0,
        from.as_str(),
        grant.status().as_str(),
        columns.window.map(|window| window.provisioning_at),
        columns.window.and_then(|window| window.sent_at),
        columns.window.map(|window| window.ends_at),
        columns.active_at,
        columns.ending_at,
        columns.ended_at,
        columns.reason.map(EndReason::as_str),
        grant.overdue_at,
        columns.closed_at,
    )
    .execute(conn)
    .await?;
    one_row("the grant", &result)
}
