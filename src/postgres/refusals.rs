//! Counting refusals, so that nobody fills the audit log by being refused (protocol A5).

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// Refusals of one person that are recorded in one window.
const PER_WINDOW: i32 = 20;

/// Length of a window.
const WINDOW: TimeDelta = TimeDelta::minutes(1);

/// What to do with one more refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// Record it, and say that so many before it were only counted.
    Event {
        /// How many.
        suppressed_before: i32,
    },
    /// It was counted; that is all.
    Counted,
}

/// Counts one more refusal of `key`.
///
/// # Errors
/// If the database refuses.
pub async fn count(conn: &mut PgConnection, key: &str, now: DateTime<Utc>) -> sqlx::Result<Record> {
    sqlx::query!(
        "insert into refusals (key, window_at, recorded, suppressed) values ($1, $2, 0, 0) on conflict do nothing",
        key,
        now
    )
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query!(
        "select window_at, recorded, suppressed from refusals where key = $1 for update",
        key
    )
    .fetch_one(&mut *conn)
    .await?;
    let fresh = row.window_at + WINDOW <= now;
    let recorded = if fresh { 0 } else { row.recorded };
    let (answer, recorded, suppressed) = if recorded < PER_WINDOW {
        (
            Record::Event {
                suppressed_before: row.suppressed,
            },
            recorded + 1,
            0,
        )
    } else {
        (Record::Counted, recorded, row.suppressed.saturating_add(1))
    };
    sqlx::query!(
        "update refusals set window_at = $2, recorded = $3, suppressed = $4 where key = $1",
        key,
        if fresh { now } else { row.window_at },
        recorded,
        suppressed
    )
    .execute(conn)
    .await?;
    Ok(answer)
}
