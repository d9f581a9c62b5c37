//! A private Postgres server: found on this machine, run in a folder, reachable by nobody else, and surely stopped.
//!
//! `curfew demo` keeps its data in one, and the tests run on a throw-away one, so that `cargo test` and a first look
//! at Curfew need no database to be set up. Three promises:
//!
//! - It never outlives this process, even after `kill -9`: [`keeper`] is a small shell that waits for our end.
//! - It is private: no TCP port, only a Unix socket in a folder of mode 0700, which is why a password is not needed.
//!   (Postgres allows 107 bytes for a socket's path; for a longer folder the socket gets a short folder in `/tmp`.)
//! - A start copes with what an earlier one left: a running server, stale files, a half-made cluster.
//!
//! Must use nothing else of Curfew (the tests include it by its path), create no roles or databases, and put no
//! statement or value into the server's log: a value may be a secret.

mod folder;
mod keeper;
mod programs;
mod running;
#[cfg(test)]
mod tests;

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    fs::{self, File},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use self::keeper::{Job, Keeper};
pub use self::programs::{MINIMUM_VERSION, NotInstalled, Programs};

/// The superuser of every cluster.
pub const SUPERUSER: &str = "postgres";

/// No other server can be in the way in a private folder; the number is part of the socket's name only.
const PORT: u16 = 5432;

/// The longest path of a Unix socket.
const LONGEST_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// What must be free in `/dev/shm` for the tests to use it.
const MEMORY_FOR_TESTS: u64 = 2 << 30;

/// What a cluster's data has to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the machine. The folder stays.
    Durable,
    /// Nothing: faster, and the folder is removed at the end.
    Throwaway,
}

impl Durability {
    /// How long a start may take: a durable one may have to recover after a crash.
    fn start_limit(self) -> Duration {
        Duration::from_secs(if self == Self::Durable { 180 } else { 60 })
    }

    /// How long a fast shutdown may take before force.
    fn patience(self) -> Duration {
        Duration::from_secs(if self == Self::Durable { 30 } else { 5 })
    }

    /// Settings go on the command line, so that they follow this code and not the code that made the cluster.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Durable => &[
                "max_connections=100",
                "fsync=on",
                "synchronous_commit=on",
                "full_page_writes=on",
            ],
            Self::Throwaway => &[
                "max_connections=400",
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
                "autovacuum=off",
                "max_wal_size=256MB",
            ],
        }
    }
}

const COMMON_SETTINGS: [&str; 12] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "shared_buffers=32MB",
    // Its files are inside the folder: nothing in /dev/shm to leave behind, and a container's is small.
    "dynamic_shared_memory_type=mmap",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_destination=stderr",
    "logging_collector=off",
    "log_checkpoints=off",
    // Neither statements nor the rows in an error's detail.
    "log_statement=none",
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
];

/// A running private server. [`Cluster::stop`] stops it and waits; dropping it lets it stop in the background.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    socket_folder: PathBuf,
    durability: Durability,
    keeper: Keeper,
}

impl Cluster {
    /// Runs a cluster in `folder`. For a durable one the folder is its own and is made if need be; whatever still runs
    /// on it is stopped first, also another process's server. For a throw-away one it must not exist, and the server's
    /// user must be allowed to make it.
    pub async fn start(
        programs: &Programs,
        folder: &Path,
        durability: Durability,
    ) -> anyhow::Result<Self> {
        let (prepared, lock) = match durability {
            Durability::Durable => {
                let prepared = folder::prepare(folder, programs.bin())?;
                check_version(programs, &prepared.path)?;
                let lock = running::take_over(&prepared.path).await?;
                (prepared, Some(lock))
            }
            // It is new, so nobody else can be on it.
            Durability::Throwaway => (folder::prepare_new(folder, programs.bin())?, None),
        };
        let folder = prepared.path;
        let socket = folder.join(format!(".s.PGSQL.{PORT}"));
        let short = socket.as_os_str().len() <= LONGEST_SOCKET_PATH;
        let socket_folder = if short {
            folder.clone()
        } else {
            folder::unused(Path::new("/tmp"), "curfew-postgres")
        };
        let keeper = Keeper::start(Job {
            bin: programs.bin(),
            folder: &folder,
            lock,
            user: prepared.user.as_ref(),
            durable: durability == Durability::Durable,
            patience: durability.patience(),
            socket_folder: (!short).then_some(&*socket_folder),
            arguments: arguments(&folder, &socket_folder, durability),
        })
        .with_context(|| format!("start PostgreSQL in {}", folder.display()))?;
        let mut cluster = Self {
            folder,
            socket_folder,
            durability,
            keeper,
        };
        if let Err(error) = cluster.wait_until_ready().await {
            // The log goes with a throw-away folder, so it is read before.
            let log = running::log_tail(&cluster.folder);
            let error = error.context(format!("start PostgreSQL in {}", cluster.folder.display()));
            if let Err(second) = cluster.end().await {
                tracing::warn!(error = %format!("{second:#}"), "PostgreSQL did not start, and did not stop either");
            }
            return Err(if log.is_empty() {
                error
            } else {
                anyhow::anyhow!("{error:#}. Its log ends with:\n{log}")
            });
        }
        tracing::debug!(folder = %cluster.folder.display(), version = programs.version(), "PostgreSQL runs");
        Ok(cluster)
    }

    /// How to connect to `database` as `role`.
    #[must_use]
    pub fn options(&self, database: &str, role: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_folder)
            .port(PORT)
            .database(database)
            .username(role)
            .ssl_mode(PgSslMode::Disable)
    }

    /// The same as text for `DATABASE_URL`, `psql` and the like. It holds no secret.
    #[must_use]
    pub fn url(&self, database: &str, role: &str) -> String {
        format!(
            "postgres://{}@localhost:{PORT}/{}?host={}",
            escape(role.as_bytes()),
            escape(database.as_bytes()),
            escape(self.socket_folder.as_os_str().as_bytes())
        )
    }

    /// The folder that it runs in, by its real path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that the server logs to.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Resolves when the server has ended by itself, or by somebody else's hand.
    pub async fn exited(&self) {
        while !self.keeper.server_is_gone() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops the server (open connections are closed) and waits until all of its processes are gone.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.end().await
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        self.keeper.release();
        // The keeper uses force after its patience, and then the server's end is a matter of moments.
        let limit = self.durability.patience() + Duration::from_secs(30);
        let kept = self
            .keeper
            .ended(limit)
            .await
            .context("wait for the shell that keeps PostgreSQL")?;
        // Usually gone by now. If somebody killed the keeper, its duty falls to us.
        while !self.keeper.server_is_gone() {
            if !kept || start.elapsed() > limit * 2 {
                bail!(
                    "PostgreSQL (process {}) in {} does not stop",
                    self.keeper.server(),
                    self.folder.display()
                );
            }
            if running::running_server(&self.folder) == Some(self.keeper.server()) {
                running::interrupt(self.keeper.server(), start.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if self.socket_folder != self.folder {
            remove(&self.socket_folder)?;
        }
        if self.durability == Durability::Throwaway {
            remove(&self.folder)?;
        }
        Ok(())
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let limit = self.durability.start_limit();
        while !running::is_ready(&self.folder, self.keeper.server()) {
            if self.keeper.server_is_gone() {
                bail!("it ended before it was ready");
            }
            if start.elapsed() > limit {
                bail!("it was not ready after {} seconds", limit.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if self.durability == Durability::Durable {
            // The new name of the data's folder is as durable as what is inside.
            File::open(&self.folder)
                .and_then(|folder| folder.sync_all())
                .context("make its folder durable")?;
        }
        Ok(())
    }
}

/// A throw-away cluster in memory if there is room, else on disk. It ends with this process at the latest.
///
/// For tests: one per test process, in a static `tokio::sync::OnceCell` that stores this `Result`; if it stored the
/// cluster only, every test would try again after a failure.
pub async fn throwaway() -> anyhow::Result<Cluster> {
    let programs = Programs::find()?;
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory)
        .map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
    let temporary = std::env::temp_dir();
    let parent = if room >= MEMORY_FOR_TESTS {
        memory
    } else {
        &temporary
    };
    let folder = folder::unused(parent, "curfew-test");
    Cluster::start(&programs, &folder, Durability::Throwaway).await
}

/// Refuses the data of another major version, which a server would refuse too, but less clearly.
fn check_version(programs: &Programs, folder: &Path) -> anyhow::Result<()> {
    if let Some(made_by) = folder::data_version(folder)? {
        ensure!(
            made_by == programs.version(),
            "the database in {} was made by PostgreSQL {made_by}, but the programs in {} are version {}; \
             install PostgreSQL {made_by}, or choose another folder",
            folder.display(),
            programs.bin().display(),
            programs.version()
        );
    }
    Ok(())
}

fn arguments(folder: &Path, socket_folder: &Path, durability: Durability) -> Vec<OsString> {
    let mut sockets = OsString::from("unix_socket_directories=").into_vec();
    sockets.extend(folder::quoted(socket_folder));
    let mut settings = vec![OsString::from_vec(sockets), format!("port={PORT}").into()];
    settings.extend(
        COMMON_SETTINGS
            .iter()
            .chain(durability.settings())
            .map(OsString::from),
    );
    let mut arguments = vec!["-D".into(), folder.join("data").into_os_string()];
    for setting in settings {
        arguments.extend([OsStr::new("-c").to_owned(), setting]);
    }
    arguments
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Per-cent escapes everything but letters, digits and what every path and name has.
fn escape(bytes: &[u8]) -> String {
    let mut escaped = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_./".contains(byte) {
            escaped.push(char::from(*byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
