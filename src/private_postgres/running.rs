//! What runs in a cluster's folder: the server that is ours, and what an earlier start left there.
//!
//! The next start must work after any end, `kill -9` of everything included, so it trusts no file alone: a process id
//! in a file may be another process's by now.
//!
//! Must not signal a process unless it is a server on this very folder.

use std::{
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::{Pid, Signal, kill_process, test_kill_process},
};

/// How long a server that is in the way may take for a fast shutdown, and then for an immediate one.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stops whatever still runs on `folder`, clears away what it left, and locks the folder.
///
/// Every process of a server that we started holds that lock, so with it nothing of such a server is left, not even
/// one whose main process was killed.
pub(super) async fn take_over(folder: &Path) -> anyhow::Result<File> {
    let start = Instant::now();
    loop {
        let server = running_server(folder);
        let lock = try_lock(folder)?;
        match (server, lock) {
            (None, Some(lock)) => {
                clear_leftovers(folder);
                return Ok(lock);
            }
            (Some(server), _) => interrupt(server, start.elapsed()),
            // It is just being made, or is about to end: it shows or goes.
            (None, None) => {}
        }
        if start.elapsed() > PATIENCE * 2 {
            let show = folder.display();
            match server {
                Some(server) => bail!(
                    "a PostgreSQL server (process {server}) still runs on {show} and does not stop"
                ),
                None => {
                    bail!("another process still uses {show}; is it in use in another container?")
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Asks a server to stop, more firmly the longer it has been asked already.
pub(super) fn interrupt(server: Pid, asked_for: Duration) {
    let signal = if asked_for > PATIENCE {
        Signal::QUIT
    } else {
        Signal::INT
    };
    if let Err(error) = kill_process(server, signal) {
        tracing::debug!(%server, %error, "could not signal a PostgreSQL server");
    }
}

fn try_lock(folder: &Path) -> anyhow::Result<Option<File>> {
    let file = File::open(folder).with_context(|| format!("open {}", folder.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => {
            // Some network file systems have no locks on folders. PostgreSQL's own guards remain.
            tracing::warn!(folder = %folder.display(), %error, "this file system has no locks on folders");
            Ok(Some(file))
        }
    }
}

/// The main process of the server that runs on `folder`, whoever started it.
///
/// `postmaster.pid` alone is no proof: its process may be long gone, and its number another's by now, most likely so
/// in a container, where numbers are small. That other process must not get our signals.
pub(super) fn running_server(folder: &Path) -> Option<Pid> {
    let data = folder.join("data");
    let pid = written_pid(&data)?;
    let process = PathBuf::from(format!("/proc/{pid}"));
    let is_it = if Path::new("/proc/self/cwd").exists() {
        let owner = |path: &Path| fs::metadata(path).ok().map(|found| found.uid());
        let name = fs::read(process.join("comm")).unwrap_or_default();
        fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == data)
            && owner(&process) == owner(&data)
            && name.starts_with(b"post")
    } else {
        // Not Linux: its name has to do.
        let output = Command::new("ps")
            .args(["-o", "comm=", "-p", &pid.to_string()])
            .output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"))
    };
    is_it.then_some(pid)
}

/// The process id in the first line of `postmaster.pid`.
fn written_pid(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    text.lines()
        .next()?
        .trim()
        .parse()
        .ok()
        .and_then(Pid::from_raw)
}

/// Whether the server with this process id says that it accepts connections.
pub(super) fn is_ready(folder: &Path, server: Pid) -> bool {
    let data = folder.join("data");
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    written_pid(&data) == Some(server)
        && text
            .lines()
            .nth(7)
            .is_some_and(|status| status.trim() == "ready")
}

/// Removes what a killed server left. The caller holds the lock and nothing runs.
fn clear_leftovers(folder: &Path) {
    let mut leftovers = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.as_bytes().starts_with(b"new-") || name.as_bytes().starts_with(b".s.PGSQL.") {
            leftovers.push(entry.path());
        }
    }
    // PostgreSQL removes a stale one itself, unless the number in it is another process's by now.
    let data = folder.join("data");
    if !written_pid(&data).is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH)) {
        leftovers.push(data.join("postmaster.pid"));
    }
    for path in leftovers {
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "could not remove what a killed server left");
            }
            _ => {}
        }
    }
}

/// The last lines of the server's log, to show in an error.
pub(super) fn log_tail(folder: &Path) -> String {
    let bytes = fs::read(folder.join("server.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
