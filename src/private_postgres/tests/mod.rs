//! The promises of this module, tried on real servers: data is kept, other people's folders are left alone, and a
//! start copes with what an earlier one left. What happens when processes are killed is in `killed`.
//!
//! Must not leave processes or folders behind, whatever a test's result.

mod killed;

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};

use rustix::process::{Pid, geteuid};
use sqlx::{ConnectOptions, Row};

use super::{
    Durability::{Durable, Throwaway},
    *,
};

/// A folder for one test that the server's user can enter; removed at the end.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("curfew-scratch-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A failed test's server is being stopped by its keeper.
        let _ = eventually(|| processes(&self.0).is_empty());
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The processes that run in `folder` or name it, other than tests.
fn processes(folder: &Path) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw)
        else {
            continue;
        };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let needle = folder.as_os_str().as_bytes();
        let names_it = command.windows(needle.len()).any(|part| part == needle);
        let runs_in_it =
            fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        if names_it || runs_in_it {
            found.push(pid);
        }
    }
    found
}

fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

async fn run(cluster: &Cluster, sql: &'static str) {
    let mut connection = cluster
        .options("postgres", SUPERUSER)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}

async fn ask(cluster: &Cluster, sql: &'static str) -> String {
    let mut connection = cluster
        .options("postgres", SUPERUSER)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(sql)
        .fetch_one(&mut connection)
        .await
        .unwrap()
        .get(0)
}

async fn start(folder: &Path, durability: Durability) -> anyhow::Result<Cluster> {
    Cluster::start(&Programs::find().unwrap(), folder, durability).await
}

/// The error of a start that must not work.
async fn refusal(folder: &Path, durability: Durability) -> String {
    format!("{:#}", start(folder, durability).await.unwrap_err())
}

#[tokio::test]
async fn a_durable_cluster_keeps_its_data() {
    let scratch = Scratch::new("durable");
    let folder = scratch.path().join("missing/parents/cluster");
    let cluster = start(&folder, Durable).await.unwrap();
    run(&cluster, "create table t as select 'kept'::text as v").await;
    assert_eq!(ask(&cluster, "show fsync").await, "on");
    assert_eq!(ask(&cluster, "show listen_addresses").await, "");
    assert_eq!(ask(&cluster, "show shared_buffers").await, "32MB");
    let mode = fs::metadata(cluster.folder()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700);
    cluster.stop().await.unwrap();
    assert_eq!(processes(&folder), []);

    let cluster = start(&folder, Durable).await.unwrap();
    assert_eq!(ask(&cluster, "select v from t").await, "kept");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_closes_connections_and_removes_a_throwaway() {
    let cluster = throwaway().await.unwrap();
    let folder = cluster.folder().to_path_buf();
    let connection = cluster
        .options("postgres", SUPERUSER)
        .connect()
        .await
        .unwrap();
    cluster.stop().await.unwrap();
    assert_eq!(processes(&folder), []);
    assert!(!folder.exists());
    drop(connection);
}

#[tokio::test]
async fn as_root_the_server_has_no_rights_of_root() {
    let cluster = throwaway().await.unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", cluster.keeper.server())).unwrap();
    if geteuid().is_root() {
        let line = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap()
                .trim()
                .to_owned()
        };
        assert!(
            !line("Uid:").split_whitespace().any(|id| id == "0"),
            "{status}"
        );
        assert!(
            !line("Gid:").split_whitespace().any(|id| id == "0"),
            "{status}"
        );
        assert_eq!(line("Groups:"), "");
    }
    let environment = fs::read(format!("/proc/{}/environ", cluster.keeper.server())).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("CARGO"));
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_start_stops_the_first() {
    let scratch = Scratch::new("second");
    let folder = scratch.path().join("cluster");
    let first = start(&folder, Durable).await.unwrap();
    run(&first, "create table t as select 'kept'::text as v").await;
    let second = start(&folder, Durable).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), first.exited())
        .await
        .unwrap();
    first.stop().await.unwrap();
    assert_eq!(ask(&second, "select v from t").await, "kept");
    second.stop().await.unwrap();
    assert_eq!(processes(&folder), []);
}

#[tokio::test]
async fn starts_at_the_same_time_do_not_hurt_the_data() {
    let scratch = Scratch::new("race");
    let folder = scratch.path().join("cluster");
    let (first, second) = tokio::join!(start(&folder, Durable), start(&folder, Durable));
    assert!(first.is_ok() || second.is_ok());
    for cluster in [first, second].into_iter().flatten() {
        cluster.stop().await.unwrap();
    }
    let third = start(&folder, Durable).await.unwrap();
    third.stop().await.unwrap();
    assert_eq!(processes(&folder), []);
}

#[tokio::test]
async fn leftovers_are_cleared() {
    let scratch = Scratch::new("leftovers");
    let folder = scratch.path().join("cluster");
    start(&folder, Durable).await.unwrap().stop().await.unwrap();
    // A half-made cluster, and the files of a dead server whose process id is another process's by now.
    fs::create_dir(folder.join("new-17")).unwrap();
    fs::write(folder.join("new-17/PG_VERSION"), "15\n").unwrap();
    let pid = format!("{}\n", std::process::id());
    fs::write(folder.join("data/postmaster.pid"), &pid).unwrap();
    fs::write(folder.join(".s.PGSQL.5432.lock"), &pid).unwrap();
    let cluster = start(&folder, Durable).await.unwrap();
    assert!(!folder.join("new-17").exists());
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_or_odd_folder_works() {
    let scratch = Scratch::new("odd");
    for name in ["x".repeat(150), "a, b \"c\" 'd' ü%".to_owned()] {
        let folder = scratch.path().join(name);
        let cluster = start(&folder, Durable).await.unwrap();
        let sockets = cluster.socket_folder.clone();
        assert_eq!(fs::metadata(&sockets).unwrap().mode() & 0o777, 0o700);
        let options: PgConnectOptions = cluster.url("postgres", SUPERUSER).parse().unwrap();
        options.connect().await.unwrap();
        cluster.stop().await.unwrap();
        assert!(sockets == folder || !sockets.exists());
    }
}

#[tokio::test]
async fn a_long_throwaway_folder_leaves_no_socket_folder() {
    let folder = folder::unused(&std::env::temp_dir(), &"x".repeat(150));
    let cluster = start(&folder, Throwaway).await.unwrap();
    let sockets = cluster.socket_folder.clone();
    run(&cluster, "select 1").await;
    drop(cluster);
    assert!(eventually(|| !folder.exists() && !sockets.exists()));
}

#[tokio::test]
async fn a_closed_parent_folder_is_named() {
    let scratch = Scratch::new("closed");
    let closed = scratch.path().join("closed");
    fs::DirBuilder::new().mode(0o000).create(&closed).unwrap();
    let message = refusal(&closed.join("deep/cluster"), Durable).await;
    assert!(
        message.contains(&format!("cannot enter {}, which", closed.display())),
        "{message}"
    );
    assert!(message.contains("hoose another folder"), "{message}");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn a_folder_with_other_things_is_left_alone() {
    let scratch = Scratch::new("other");
    fs::write(scratch.path().join("letter.txt"), "dear").unwrap();
    let message = refusal(scratch.path(), Durable).await;
    assert!(message.contains("`letter.txt`"), "{message}");
    assert_eq!(
        fs::metadata(scratch.path()).unwrap().uid(),
        geteuid().as_raw()
    );
}

#[tokio::test]
async fn other_data_is_left_alone() {
    let scratch = Scratch::new("version");
    let folder = scratch.path().join("cluster");
    start(&folder, Durable).await.unwrap().stop().await.unwrap();
    let message = refusal(&folder, Throwaway).await;
    assert!(message.contains("would remove it at its end"), "{message}");
    fs::write(folder.join("data/PG_VERSION"), "12\n").unwrap();
    let message = refusal(&folder, Durable).await;
    assert!(message.contains("made by PostgreSQL 12, but"), "{message}");
}

#[tokio::test]
async fn a_start_that_fails_shows_the_log() {
    let scratch = Scratch::new("fails");
    let folder = scratch.path().join("cluster");
    start(&folder, Durable).await.unwrap().stop().await.unwrap();
    fs::write(folder.join("data/postgresql.conf"), "nonsense = 1\n").unwrap();
    let message = refusal(&folder, Durable).await;
    assert!(
        message.contains("it ended before it was ready"),
        "{message}"
    );
    assert!(
        message.contains("unrecognized configuration parameter"),
        "{message}"
    );
    assert_eq!(processes(&folder), []);
}

#[tokio::test]
async fn the_log_holds_no_values() {
    let cluster = throwaway().await.unwrap();
    let mut connection = cluster
        .options("postgres", SUPERUSER)
        .connect()
        .await
        .unwrap();
    let failing = "create table t (v text primary key, check (v <> 'secret')); insert into t values ('secret')";
    sqlx::raw_sql(failing)
        .execute(&mut connection)
        .await
        .unwrap_err();
    let log = fs::read_to_string(cluster.log_file()).unwrap();
    assert!(
        log.contains("violates check constraint") && !log.contains("secret"),
        "{log}"
    );
    cluster.stop().await.unwrap();
}
