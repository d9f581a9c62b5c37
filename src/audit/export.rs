//! Exports: events in order, in constant memory.
//!
//! JSON Lines is the canonical bytes of each event and a line break, nothing else, so that the file
//! verifies as it is; CSV is for spreadsheets. Only what leaves nothing out in between verifies as a
//! chain (protocol A4).

use futures_util::{Stream, stream};

use super::csv;
use crate::postgres::Db;
use crate::postgres::audit::{self, Selection};

/// Events that are in memory at the same time.
const BATCH: i64 = 500;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As they are stored, one a line.
    JsonLines,
    /// For spreadsheets.
    Csv,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::JsonLines, Self::Csv];

    /// Its name in addresses, events and file names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| {
                let all = Self::ALL.map(Self::as_str).join(", ");
                format!("There is no export as {text:?}. The formats that there are: {all}.")
            })
    }
}

/// The selected events up to number `last`, in pieces. A failure in the middle ends the stream with an
/// error: a cut file is never taken for a whole one.
pub fn write(
    db: Db,
    selection: Selection,
    last: i64,
    format: Format,
) -> impl Stream<Item = anyhow::Result<Vec<u8>>> + Send + 'static {
    stream::try_unfold(Some(0_i64), move |after| {
        let (db, selection) = (db.clone(), selection.clone());
        async move {
            let Some(after) = after else { return Ok(None) };
            let events =
                audit::follow(&mut *db.conn().await?, &selection, after, last, BATCH).await?;
            let mut piece = match format {
                Format::Csv if after == 0 => csv::header()?,
                Format::Csv | Format::JsonLines => Vec::new(),
            };
            for event in &events {
                match format {
                    Format::JsonLines => {
                        piece.extend_from_slice(&event.canonical);
                        piece.push(b'\n');
                    }
                    Format::Csv => piece.extend(csv::event(&event.canonical)?),
                }
            }
            let next = events.last().map(|event| event.seq);
            Ok((!piece.is_empty()).then_some((piece, next)))
        }
    })
}
