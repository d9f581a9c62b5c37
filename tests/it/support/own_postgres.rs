//! A Postgres of a story's own: one that can be stopped, started again, followed by a standby, and killed.
//!
//! The service reaches it through a symbolic link in the place of the socket's folder, as it would by a
//! name in production: a failover points the link at the standby.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use curfew::postgres::migrate::migrate;
use curfew::private_postgres::{Cluster, Durability, Programs, SUPERUSER};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Row as _};

use super::database::{Database, OWNER, RUNTIME};

const DATABASE: &str = "curfew";

/// The name under which the standby follows.
const STANDBY: &str = "standby";

/// Longest that anything here is waited for; a guard, not a wait.
const PATIENCE: Duration = Duration::from_mins(1);

/// See the module.
pub(crate) struct OwnPostgres {
    base: PathBuf,
    programs: Programs,
    primary: Option<Cluster>,
    standby: Option<Cluster>,
}

impl OwnPostgres {
    /// A server with one migrated database.
    pub(crate) async fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // The path of a socket is short, and so must this be.
        let base = PathBuf::from(format!("/tmp/curfew-pg-{}-{number}", std::process::id()));
        fs::create_dir(&base).unwrap();
        let programs = Programs::find().unwrap();
        let primary = run(&programs, &base.join("primary")).await;
        symlink(primary.folder(), base.join("current")).unwrap();
        for sql in [
            "create role curfew_owner login",
            "create role curfew login",
            "create database curfew owner curfew_owner",
        ] {
            execute(&primary, sql).await;
        }
        migrate(&primary.options(DATABASE, OWNER), Some(RUNTIME))
            .await
            .unwrap();
        Self {
            base,
            programs,
            primary: Some(primary),
            standby: None,
        }
    }

    /// Its database, wherever that is just now.
    pub(crate) fn database(&self) -> Database {
        let current = self.base.join("current");
        Database::of(
            |role| options(&current, role),
            |role| {
                format!(
                    "postgres://{role}@localhost/{DATABASE}?host={}",
                    current.display()
                )
            },
            DATABASE,
        )
    }

    /// Runs a statement as the superuser, on whichever server is the primary.
    pub(crate) async fn run(&self, sql: &str) {
        execute(self.primary.as_ref().unwrap(), sql).await;
    }

    /// Stops it, as for an upgrade: open connections are closed.
    pub(crate) async fn stop(&mut self) {
        self.primary.take().unwrap().stop().await.unwrap();
    }

    /// Starts it again.
    pub(crate) async fn start_again(&mut self) {
        self.primary = Some(run(&self.programs, &self.base.join("primary")).await);
    }

    /// A copy of the data as it is now, while nobody writes: a backup. The server is stopped for it.
    pub(crate) async fn back_up(&mut self) {
        self.stop().await;
        self.copy("primary", "backup");
        self.start_again().await;
    }

    /// Puts the backup in the place of the data.
    pub(crate) async fn restore(&mut self) {
        self.stop().await;
        fs::remove_dir_all(self.base.join("primary")).unwrap();
        self.copy("backup", "primary");
        self.start_again().await;
    }

    fn copy(&self, from: &str, to: &str) {
        let [from, to] = [from, to].map(|name| self.base.join(name));
        let copied = Command::new("cp").arg("-a").args([from, to]).status();
        assert!(copied.unwrap().success());
    }

    /// Lets a standby follow. `synchronous`: a commit returns only once the standby has it too.
    pub(crate) async fn add_standby(&mut self, synchronous: bool) {
        let primary = self.primary.as_ref().unwrap();
        let folder = self.base.join("second");
        let owner = fs::metadata(primary.folder()).unwrap();
        let (uid, gid) = (owner.uid(), owner.gid());
        fs::create_dir(&folder).unwrap();
        chown(&folder, Some(uid), Some(gid)).unwrap();
        let socket = primary.folder().display();
        let mut copy = Command::new(self.programs.bin().join("pg_basebackup"));
        copy.args([
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--wal-method=stream",
        ])
        .arg(format!(
            "--dbname=host={socket} user={SUPERUSER} application_name={STANDBY}"
        ))
        .arg(format!("--pgdata={}", folder.join("data").display()))
        .current_dir("/");
        if rustix::process::geteuid().is_root() {
            copy.uid(uid).gid(gid);
        }
        let copied = tokio::task::spawn_blocking(move || copy.output());
        let copied = copied.await.unwrap().unwrap();
        assert!(
            copied.status.success(),
            "{}",
            String::from_utf8_lossy(&copied.stderr)
        );
        self.standby = Some(run(&self.programs, &folder).await);
        if synchronous {
            self.run(&format!(
                "alter system set synchronous_standby_names = '{STANDBY}'"
            ))
            .await;
            self.run("select pg_reload_conf()").await;
        }
        let state = if synchronous { "sync" } else { "async" };
        let follows = format!(
            "select exists (select from pg_stat_replication where state = 'streaming' and sync_state = '{state}')"
        );
        until(self.primary.as_ref().unwrap(), &follows).await;
    }

    /// From here on nothing reaches the standby any more.
    pub(crate) async fn cut_off_standby(&self) {
        let standby = self.standby.as_ref().unwrap();
        execute(standby, "alter system set primary_conninfo = ''").await;
        execute(standby, "select pg_reload_conf()").await;
        until(
            standby,
            "select not exists (select from pg_stat_wal_receiver)",
        )
        .await;
    }

    /// The primary dies, and the standby takes its place.
    pub(crate) async fn fail_over(&mut self) {
        let dead = self.primary.take().unwrap();
        let pid = fs::read_to_string(dead.folder().join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().trim().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::QUIT).unwrap();
        tokio::time::timeout(PATIENCE, dead.exited()).await.unwrap();
        dead.stop().await.unwrap();
        let standby = self.standby.take().unwrap();
        execute(&standby, "select pg_promote()").await;
        let current = self.base.join("current");
        fs::remove_file(&current).unwrap();
        symlink(standby.folder(), &current).unwrap();
        self.primary = Some(standby);
        // The new primary waits for nobody.
        self.run("alter system reset synchronous_standby_names")
            .await;
        self.run("select pg_reload_conf()").await;
    }

    pub(crate) async fn finish(self) {
        for cluster in [self.primary, self.standby].into_iter().flatten() {
            cluster.stop().await.unwrap();
        }
        fs::remove_dir_all(&self.base).unwrap();
    }
}

async fn run(programs: &Programs, folder: &Path) -> Cluster {
    Cluster::start(programs, folder, Durability::Durable)
        .await
        .unwrap()
}

fn options(socket: &Path, role: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket)
        .database(DATABASE)
        .username(role)
}

async fn connect(cluster: &Cluster) -> PgConnection {
    let options = cluster.options("postgres", SUPERUSER);
    PgConnection::connect_with(&options).await.unwrap()
}

async fn execute(cluster: &Cluster, sql: &str) {
    let mut conn = connect(cluster).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
}

/// Asks until the answer is yes.
async fn until(cluster: &Cluster, question: &str) {
    let mut conn = connect(cluster).await;
    let asked = async {
        loop {
            let sql = sqlx::AssertSqlSafe(question.to_owned());
            let row = sqlx::raw_sql(sql).fetch_one(&mut conn).await.unwrap();
            if row.get::<bool, _>(0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
    conn.close().await.unwrap();
}
