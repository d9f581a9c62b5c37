//! `curfew demo` and the other commands as a person meets them: the real program, its words, its exit
//! status.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use crate::support::database::Database;

fn curfew() -> Command {
    let mut command = Command::new(std::env::var("CARGO_BIN_EXE_curfew").unwrap());
    command.env_remove("DATABASE_URL").env_remove("RUST_LOG");
    command
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A demo on a folder of its own, and gone with the test.
struct Demo {
    child: Child,
    ready: String,
}

impl Demo {
    fn start(folder: &PathBuf, url: Option<&str>) -> Self {
        let mut command = curfew();
        command
            .args([
                "demo",
                "--listen",
                "127.0.0.1:0",
                "--sandbox-listen",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(folder);
        if let Some(url) = url {
            command.env("DATABASE_URL", url);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        assert!(
            ready.starts_with("Curfew is ready at http://127.0.0.1:"),
            "{ready:?}"
        );
        Self { child, ready }
    }

    /// Asks it to stop, as Ctrl-C and a supervisor do.
    fn stop(mut self) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("curfew-test-{name}-{}", std::process::id()))
}

#[test]
fn a_second_demo_on_a_folder_stops_the_first_and_stops_by_itself_when_told() {
    let folder = folder("takeover");
    let mut first = Demo::start(&folder, None);
    let second = Demo::start(&folder, None);
    assert_ne!(first.ready, second.ready, "each has its own port");
    assert!(
        first.child.wait().unwrap().success(),
        "the first was stopped in order"
    );
    assert!(second.stop().success());
    assert!(
        !folder.join("postgres/postmaster.pid").exists(),
        "its Postgres is stopped too"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_given_database_is_used_if_it_is_empty_or_a_demo_s_and_never_somebody_else_s() {
    let folder = folder("given");
    let database = Database::empty().await;
    Demo::start(&folder, Some(&database.url)).stop();
    // It is a demo's now, and taken again.
    Demo::start(&folder, Some(&database.url)).stop();
    let foreign = Database::empty().await;
    foreign.run("create table payroll (name text)").await;
    let production = Database::create().await;
    let production_url = production.owner_url.clone();
    production
        .run("insert into installation values (true, 'production', 'arn:aws:sso:::instance/ssoins-1', 'd-1', now())")
        .await;
    for url in [&foreign.url, &production_url] {
        let refused = curfew()
            .args(["demo", "--data-dir"])
            .arg(&folder)
            .env("DATABASE_URL", url)
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            said(&refused).contains("neither empty nor a demo's"),
            "{}",
            said(&refused)
        );
    }
    for database in [database, foreign, production] {
        database.drop().await;
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_command_explains_itself_and_wrong_words_are_usage() {
    for words in [
        &["--help"][..],
        &["demo", "--help"],
        &["sandbox", "--help"],
        &["policy", "--help"],
        &["policy", "check", "--help"],
        &["audit", "--help"],
        &["audit", "export", "--help"],
        &["audit", "verify", "--help"],
    ] {
        let output = curfew().args(words).output().unwrap();
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "{words:?}"
        );
    }
    for words in [
        &["nonsense"][..],
        &["demo", "--minute", "0"],
        &["demo", "--minute", "1.5"],
        &["demo", "--listen", "here"],
        &["policy", "check"],
        &["audit", "verify", "--from", "x"],
    ] {
        let output = curfew().args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(
            output.stdout.is_empty(),
            "data alone goes to standard output"
        );
    }
}

#[test]
fn policy_check_names_everything_that_is_wrong() {
    let folder = folder("policy");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("policy.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        curfew()
            .args(["policy", "check"])
            .arg(&file)
            .output()
            .unwrap()
    };
    let good = check(crate::support::app::POLICY);
    assert!(
        good.status.success() && said(&good).contains("ok: 2 rules"),
        "{}",
        said(&good)
    );
    let bad = check(&crate::support::app::POLICY.replace("max_minutes", "max_hours"));
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        said(&bad).contains("max_hours") && said(&bad).contains("line"),
        "{}",
        said(&bad)
    );
    // Guardrails that would be ignored are an error, because they forbid something.
    std::fs::write(
        folder.join("guardrails.cedar"),
        "forbid (principal, action, resource);",
    )
    .unwrap();
    let ignored = check(crate::support::app::POLICY);
    assert_eq!(ignored.status.code(), Some(1));
    assert!(said(&ignored).contains("guardrails"), "{}", said(&ignored));
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_command_that_can_t_write_its_data_fails_and_says_so() {
    let folder = folder("full");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("policy.toml");
    std::fs::write(&file, crate::support::app::POLICY).unwrap();
    let app = crate::support::TestApp::start().await;
    let commands = || {
        let mut check = curfew();
        check.args(["policy", "check"]).arg(&file);
        let mut sandbox = curfew();
        sandbox.args(["sandbox", "--listen", "127.0.0.1:0"]);
        let [mut verify, mut export] = [curfew(), curfew()];
        verify.args(["audit", "verify", "--database-url", &app.database.url]);
        export.args(["audit", "export", "--database-url", &app.database.url]);
        [check, sandbox, verify, export]
    };
    let closed_pipe = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let full = || {
        Stdio::from(
            std::fs::File::options()
                .write(true)
                .open("/dev/full")
                .unwrap(),
        )
    };
    for out in [&full as &dyn Fn() -> Stdio, &closed_pipe] {
        for mut command in commands() {
            let output = command.stdout(out()).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{command:?}");
            assert!(
                said(&output).contains("write to standard output"),
                "{command:?}: {}",
                said(&output)
            );
        }
    }
    app.finish().await;
    std::fs::remove_dir_all(folder).unwrap();
}
