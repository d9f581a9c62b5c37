//! Processes are killed, ours and the server's, at any moment: nothing may be left, and durable data must be kept.
//!
//! Must not leave processes or folders behind, whatever a test's result.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use rustix::process::{Signal, kill_process};

use super::*;

#[tokio::test]
async fn a_dropped_cluster_stops_too() {
    let cluster = throwaway().await.unwrap();
    let folder = cluster.folder().to_path_buf();
    drop(cluster);
    assert!(eventually(
        || !folder.exists() && processes(&folder).is_empty()
    ));
}

#[tokio::test]
async fn a_killed_keeper_is_made_up_for() {
    let cluster = throwaway().await.unwrap();
    let folder = cluster.folder().to_path_buf();
    for pid in processes(&folder) {
        if fs::read(format!("/proc/{pid}/comm")).unwrap_or_default() == b"sh\n" {
            kill_process(pid, Signal::KILL).unwrap();
        }
    }
    cluster.stop().await.unwrap();
    assert_eq!(processes(&folder), []);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_server_that_is_killed_is_noticed_and_recovers() {
    let scratch = Scratch::new("crash");
    let folder = scratch.path().join("cluster");
    let cluster = start(&folder, Durable).await.unwrap();
    run(&cluster, "create table t as select 'kept'::text as v").await;
    kill_process(cluster.keeper.server(), Signal::KILL).unwrap();
    tokio::time::timeout(Duration::from_secs(10), cluster.exited())
        .await
        .unwrap();
    cluster.stop().await.unwrap();
    let cluster = start(&folder, Durable).await.unwrap();
    assert_eq!(ask(&cluster, "select v from t").await, "kept");
    cluster.stop().await.unwrap();
}

/// Not a test but the process that the tests below kill: it starts what the variable says, tells where, and waits.
#[tokio::test]
#[ignore = "the child process of other tests"]
async fn child() {
    let Some(folder) = std::env::var_os("CURFEW_TEST_CHILD") else {
        return;
    };
    let cluster = match folder.to_str() {
        Some("throwaway") => throwaway().await.unwrap(),
        _ => start(Path::new(&folder), Durable).await.unwrap(),
    };
    eprintln!("folder {}", cluster.folder().display());
    std::future::pending::<()>().await;
}

fn spawn_child(what: &OsStr) -> Child {
    let (_, module) = module_path!().split_once("::").unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args([
            &format!("{module}::child"),
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("CURFEW_TEST_CHILD", what)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the child's server is ready and answers with its folder.
fn told_folder(child: &mut Child) -> PathBuf {
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = String::new();
    for line in lines.map(Result::unwrap) {
        if let Some(folder) = line.strip_prefix("folder ") {
            return PathBuf::from(folder);
        }
        seen.push_str(&line);
    }
    panic!("the child did not start: {seen}");
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn nothing_is_left_of_a_killed_throwaway() {
    let mut child = spawn_child(OsStr::new("throwaway"));
    let folder = told_folder(&mut child);
    assert!(processes(&folder).len() > 2);
    kill(child);
    assert!(eventually(
        || processes(&folder).is_empty() && !folder.exists()
    ));
}

/// Whoever started it died before the keeper's first word: nobody hears it any more.
#[test]
fn nothing_is_left_if_nobody_hears_the_keeper() {
    let programs = Programs::find().unwrap();
    let folder = folder::unused(&std::env::temp_dir(), "curfew-test");
    let prepared = folder::prepare_new(&folder, programs.bin()).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let job = Job {
        bin: programs.bin(),
        folder: &prepared.path,
        lock: None,
        user: prepared.user.as_ref(),
        durable: false,
        patience: Throwaway.patience(),
        socket_folder: None,
        arguments: arguments(&prepared.path, &prepared.path, Throwaway),
    };
    let mut keeper = job.command().stdout(writer).spawn().unwrap();
    drop(keeper.stdin.take());
    keeper.wait().unwrap();
    let gone = eventually(|| processes(&folder).is_empty() && !folder.exists());
    assert!(gone, "{:?} {}", processes(&folder), folder.exists());
}

#[test]
fn nothing_is_left_of_a_throwaway_killed_at_any_moment() {
    for milliseconds in [
        0, 5, 20, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1200,
    ] {
        let child = spawn_child(OsStr::new("throwaway"));
        let name = format!("curfew-test-{}-0", child.id());
        std::thread::sleep(Duration::from_millis(milliseconds));
        kill(child);
        for folder in [
            Path::new("/dev/shm").join(&name),
            std::env::temp_dir().join(&name),
        ] {
            let gone = eventually(|| processes(&folder).is_empty() && !folder.exists());
            assert!(
                gone,
                "killed after {milliseconds} ms: {:?} {}",
                processes(&folder),
                folder.exists()
            );
        }
    }
}

#[tokio::test]
async fn a_killed_durable_cluster_stops_and_keeps_its_data() {
    let scratch = Scratch::new("killed");
    let folder = scratch.path().join("cluster");
    // Killed while it makes the cluster, and while it runs.
    for milliseconds in [100, 400, 800] {
        let child = spawn_child(folder.as_os_str());
        std::thread::sleep(Duration::from_millis(milliseconds));
        kill(child);
    }
    let mut child = spawn_child(folder.as_os_str());
    told_folder(&mut child);
    kill(child);
    assert!(eventually(|| processes(&folder).is_empty()));
    assert!(folder.join("data/PG_VERSION").exists());
    start(&folder, Durable).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_server_whose_keeper_was_killed_too_is_stopped_by_the_next_start() {
    let scratch = Scratch::new("orphan");
    let folder = scratch.path().join("cluster");
    let mut child = spawn_child(folder.as_os_str());
    told_folder(&mut child);
    for pid in processes(&folder) {
        if fs::read(format!("/proc/{pid}/comm")).unwrap_or_default() == b"sh\n" {
            kill_process(pid, Signal::KILL).unwrap();
        }
    }
    kill(child);
    let orphan = running::running_server(&folder).unwrap();
    let cluster = start(&folder, Durable).await.unwrap();
    assert_ne!(cluster.keeper.server(), orphan);
    run(&cluster, "select 1").await;
    cluster.stop().await.unwrap();
    assert_eq!(processes(&folder), []);
}
