//! The demo's folder: where it is, and that one demo at a time uses it. Whatever still runs on it is
//! stopped first, so that starting again always works.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

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
        // Postgres, as another user, must be able to enter it; what is secret inside has its own mode.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&path)
            .with_context(|| format!("make the folder {}", path.display()))?;
        let file = path.join("demo.lock");
        let mut lock = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&file)
            .with_context(|| format!("open {}", file.display()))?;
        take_over(&mut lock, &path).await?;
        lock.set_len(0)?;
        lock.seek(SeekFrom::Start(0))?;
        write!(lock, "{}", std::process::id())?;
        Ok(Self { path, _lock: lock })
    }
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

/// Locks the folder; whoever holds it is asked to stop, then made to.
async fn take_over(lock: &mut File, path: &std::path::Path) -> anyhow::Result<()> {
    if flock(&*lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return Ok(());
    }
    let mut text = String::new();
    lock.read_to_string(&mut text)?;
    let holder = text.trim().parse().ok().and_then(Pid::from_raw);
    let holder = holder
        .with_context(|| format!("{} is in use, but does not say by whom", path.display()))?;
    tracing::info!(
        process = holder.as_raw_nonzero().get(),
        "another demo runs on this folder; stopping it"
    );
    for signal in [Signal::TERM, Signal::KILL] {
        // The lock is still held, so that this is still the process that wrote its number.
        kill_process(holder, signal)
            .with_context(|| format!("stop process {holder:?}, which uses {}", path.display()))?;
        for _ in 0..PATIENCE.as_millis() / 50 {
            if flock(&*lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    anyhow::bail!(
        "process {holder:?} uses {} and does not stop",
        path.display()
    )
}
