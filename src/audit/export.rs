//! Exports: events as they are stored, in order, in constant memory.
//!
//! JSON Lines is the canonical bytes of each event and a line break, nothing else, so that the file
//! verifies as it is. Only a range without a time filter verifies as a chain.

use futures_util::{Stream, stream};

use crate::postgres::Db;
use crate::postgres::audit::{self, Range};

/// Events that are in memory at the same time.
const BATCH: i64 = 500;

/// The events of a range as JSON Lines, in pieces. A failure in the middle ends the stream with an
/// error: a cut file is never taken for a whole one.
pub fn json_lines(
    db: Db,
    range: Range,
) -> impl Stream<Item = sqlx::Result<Vec<u8>>> + Send + 'static {
    stream::try_unfold((db, 0_i64), move |(db, after)| async move {
        let events = audit::list_range(&mut *db.conn().await?, range, after, BATCH).await?;
        let Some(last) = events.last().map(|event| event.seq) else {
            return Ok(None);
        };
        let mut lines =
            Vec::with_capacity(events.iter().map(|event| event.canonical.len() + 1).sum());
        for event in events {
            lines.extend_from_slice(&event.canonical);
            lines.push(b'\n');
        }
        Ok(Some((lines, (db, last))))
    })
}
