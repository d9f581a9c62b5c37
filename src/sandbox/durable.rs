//! The state file: what was answered is on disk first, and a restart goes on where the last process
//! stopped.
//!
//! One JSON document with a format number, replaced as a whole: temporary file, fsync, rename,
//! fsync of the folder. A lock file beside it keeps two sandboxes from taking turns at destroying
//! each other's world. One write covers everybody who waits for it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::state::State;

const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    state: &'a State,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Deserialize)]
struct Read {
    state: State,
}

/// A state file that this process alone writes.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    /// The newest version on disk.
    saved: AtomicU64,
    /// Held while writing, so that writers queue up and most find their work done.
    writing: Mutex<()>,
    /// Locked for as long as this value lives.
    _lock: File,
}

impl StateFile {
    /// Takes hold of the file; answers the state in it, if it exists.
    pub(super) fn open(path: PathBuf) -> anyhow::Result<(Self, Option<State>)> {
        let lock_path = sibling(&path, "lock");
        let lock = File::create(&lock_path).with_context(|| {
            format!(
                "cannot make the sandbox's lock file {}",
                lock_path.display()
            )
        })?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).with_context(|| {
            format!(
                "the sandbox's state file {} is in use by another process",
                path.display()
            )
        })?;
        let state = match fs::read(&path) {
            Ok(bytes) => Some(parse(&bytes).with_context(|| unreadable(&path))?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| unreadable(&path)),
        };
        Ok((
            Self {
                path,
                saved: AtomicU64::new(0),
                writing: Mutex::new(()),
                _lock: lock,
            },
            state,
        ))
    }

    /// True if everything up to `version` is on disk.
    pub(super) fn has(&self, version: u64) -> bool {
        self.saved.load(Ordering::Acquire) >= version
    }

    /// Puts the state on disk unless `version` is there already. Blocks. `latest` answers the state
    /// as bytes and its version.
    pub(super) fn save(
        &self,
        version: u64,
        latest: impl FnOnce() -> anyhow::Result<(Vec<u8>, u64)>,
    ) -> anyhow::Result<()> {
        // A writer that panicked left no half-written file behind, only a temporary one.
        let _writing = self
            .writing
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.has(version) {
            return Ok(());
        }
        let (bytes, version) = latest()?;
        write(&self.path, &bytes).with_context(|| {
            format!(
                "cannot write the sandbox's state file {}",
                self.path.display()
            )
        })?;
        self.saved.store(version, Ordering::Release);
        Ok(())
    }
}

/// The state file's content for `state`.
pub(super) fn document(state: &State) -> anyhow::Result<Vec<u8>> {
    serde_json::to_vec(&Written {
        format: FORMAT,
        state,
    })
    .context("cannot write the sandbox's state as JSON")
}

fn parse(bytes: &[u8]) -> anyhow::Result<State> {
    let Format { format } = serde_json::from_slice(bytes)?;
    if format != FORMAT {
        bail!("it has format {format}, and this program reads format {FORMAT}");
    }
    let Read { mut state } = serde_json::from_slice(bytes)?;
    if let Some(fault) = state.world.fault() {
        bail!("its world contradicts itself: {fault}");
    }
    // A file from before there were roles names none.
    state.renew_roles();
    Ok(state)
}

fn unreadable(path: &Path) -> String {
    format!(
        "cannot read the sandbox's state file {} (move it away to start with a fresh world)",
        path.display()
    )
}

fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = sibling(path, "new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
