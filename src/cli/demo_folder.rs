//! The demo's folder: where it is, and that one demo at a time uses it. Whatever still runs on it is
//! stopped first, so that starting again always works.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use rustix::process::{Flock, FlockOffsetType, FlockType, Pid, Signal, fcntl_getlk, kill_process};

/// How long the demo before may take to stop by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// The folder, locked for as long as this lives.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes and locks the folder.
    ///
    /// # Errors
    /// If it can't be made, or whatever holds it can't be stopped.
    pub(super) async fn open(named: Option<PathBuf>) -> anyhow::Result<Self> {
        let path = std::path::absolute(named.map_or_else(default, Ok)?)?;
        make(&path).with_context(|| format!("make the folder {}", path.display()))?;
        let file = path.join("demo.lock");
        let lock = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&file)
            .with_context(|| format!("open {}", file.display()))?;
        // Whoever can open the file can hold the lock, and would be stopped for it.
        let (owner, me) = (lock.metadata()?.uid(), rustix::process::geteuid().as_raw());
        anyhow::ensure!(
            owner == me || me == 0,
            "{} belongs to another user",
            file.display()
        );
        lock.set_permissions(Permissions::from_mode(0o600))?;
        take_over(&lock, &path).await?;
        Ok(Self { path, _lock: lock })
    }
}

/// Makes the folder and those above it that are missing. Postgres, as another user, must be able to
/// enter them whatever the umask is; what is secret inside has its own mode.
fn make(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make(parent)?;
    }
    std::fs::create_dir(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o755))
}

fn default() -> anyhow::Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/curfew-demo".into());
    }
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("curfew-demo"))
        .context("neither XDG_STATE_HOME nor HOME is set; name a folder with --data-dir")
}

/// Locks the folder; whoever holds it is asked to stop, then made to. Who that is the kernel says: a
/// number in a file might be anybody's by now.
async fn take_over(lock: &File, path: &Path) -> anyhow::Result<()> {
    let is_ours = || fcntl_lock(lock, FlockOperation::NonBlockingLockExclusive).is_ok();
    for signal in [Signal::TERM, Signal::KILL] {
        if is_ours() {
            return Ok(());
        }
        let Some(holder) = holder(lock)? else {
            continue;
        };
        tracing::info!(
            process = holder.as_raw_nonzero().get(),
            "another demo runs on this folder; stopping it"
        );
        kill_process(holder, signal)
            .with_context(|| format!("stop process {holder:?}, which uses {}", path.display()))?;
        for _ in 0..PATIENCE.as_millis() / 50 {
            if is_ours() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    anyhow::ensure!(
        is_ours(),
        "something uses {} and does not stop",
        path.display()
    );
    Ok(())
}

/// The process that holds the lock, if any does.
fn holder(lock: &File) -> anyhow::Result<Option<Pid>> {
    let wanted = Flock {
        start: 0,
        length: 0,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    Ok(fcntl_getlk(lock, &wanted)?.and_then(|held| held.pid))
}
