//! What a process remembers apart from the database: how far the audit log had come, and which tuples
//! were Curfew's. A database that no longer contains that point lost commits (protocol D2).
//!
//! It is kept in memory, and in a file beside the process so that it survives a restart. It is compared
//! before every pass; a create is noted before it is sent.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::access::recovery::Owned;
use crate::audit::chain::Head;
use crate::state_dir::StateDir;

/// The file's name.
const FILE: &str = "last-seen.json";

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) head: Head,
    pub(super) owned: BTreeSet<Owned>,
}

/// The same in the file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    head: String,
    owned: BTreeSet<Owned>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    seen: Option<Seen>,
    folder: Option<StateDir>,
}

impl Memory {
    /// With what an earlier process left in this folder. A file that can't be read is no memory, and is
    /// said so: it must not keep the service from ending access.
    pub(super) fn open(folder: Option<StateDir>) -> Self {
        let seen = folder.as_ref().and_then(|folder| match read(folder) {
            Ok(seen) => seen,
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "what was last seen of the log can't be read; a loss of commits before this start would not be noticed"
                );
                None
            }
        });
        Self { seen, folder }
    }

    pub(super) fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// A create is about to be sent for it.
    pub(super) fn note(&mut self, owned: Owned) {
        if let Some(seen) = &mut self.seen {
            seen.owned.insert(owned);
        }
    }

    /// From here on this is what was last seen. Call [`Note::keep`] with what comes back.
    pub(super) fn replace(&mut self, seen: Seen) -> Note {
        let document = Document {
            head: seen.head.to_string(),
            owned: seen.owned.clone(),
        };
        self.seen = Some(seen);
        Note {
            document,
            folder: self.folder.clone(),
        }
    }
}

/// What is to be written for the next process.
pub(super) struct Note {
    document: Document,
    folder: Option<StateDir>,
}

impl Note {
    /// Writes it. Blocks.
    pub(super) fn keep(&self) -> anyhow::Result<()> {
        match &self.folder {
            Some(folder) => folder.write(FILE, &serde_json::to_vec(&self.document)?),
            None => Ok(()),
        }
    }
}

fn read(folder: &StateDir) -> anyhow::Result<Option<Seen>> {
    let Some(text) = folder.read(FILE)? else {
        return Ok(None);
    };
    let Document { head, owned } =
        serde_json::from_str(&text).with_context(|| format!("understand {FILE}"))?;
    let head = head.parse().map_err(anyhow::Error::msg)?;
    Ok(Some(Seen { head, owned }))
}
