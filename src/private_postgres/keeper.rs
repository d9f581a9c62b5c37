//! The small shell process that stands between this process and the server, so that the server never outlives us.
//!
//! `Drop` and exit handlers do not run after `kill -9` or a crash, so the duty to stop the server lies in another
//! process that needs nothing from us but the end of a pipe. What it does is in `keeper.sh`.
//!
//! Must not decide anything about folders, users or settings; it gets those ready-made.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fs::{OFlags, fcntl_setfl},
    process::Pid,
};

use super::folder::User;

/// What a keeper has to know.
pub(super) struct Job<'a> {
    pub(super) bin: &'a Path,
    pub(super) folder: &'a Path,
    /// The open and locked folder. The lock goes over to the server processes. None if the folder is to be made.
    pub(super) lock: Option<File>,
    pub(super) user: Option<&'a User>,
    pub(super) durable: bool,
    /// How long a fast shutdown may take before force.
    pub(super) patience: Duration,
    /// A socket folder of its own, to make, and to remove at the end.
    pub(super) socket_folder: Option<&'a Path>,
    /// The server's arguments.
    pub(super) arguments: Vec<OsString>,
}

/// A running keeper. Dropping it lets it stop the server in the background.
#[derive(Debug)]
pub(super) struct Keeper {
    child: Child,
    hold: Option<ChildStdin>,
    /// Nothing comes through; its end means that the last server process is gone.
    alive: File,
    server: Pid,
}

impl Job<'_> {
    /// The shell that does it. What it says goes nowhere yet.
    pub(super) fn command(self) -> Command {
        let (remove, current) = if self.durable {
            (OsStr::new(""), self.folder)
        } else {
            (
                self.folder.as_os_str(),
                self.folder.parent().unwrap_or(self.folder),
            )
        };
        let mut command = as_user(Command::new("/bin/sh"), self.user);
        command
            .args(["-c", include_str!("keeper.sh"), "curfew-postgres-keeper"])
            .arg(self.bin)
            .arg(if self.durable { "yes" } else { "no" })
            .arg((self.patience.as_millis() / 100).to_string())
            .arg(self.socket_folder.unwrap_or(Path::new("")))
            .arg(remove)
            .args(self.arguments)
            .current_dir(current)
            // Ctrl-C in a terminal goes to our group; the server is stopped in order, not by that.
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(self.lock.map_or_else(Stdio::null, Stdio::from));
        command
    }
}

impl Keeper {
    pub(super) fn start(job: Job<'_>) -> io::Result<Self> {
        let mut command = job.command();
        command.stdout(Stdio::piped());
        let mut child = command.spawn()?;
        // It holds the lock too, and would keep it as long as we live.
        drop(command);
        let hold = child.stdin.take();
        let mut alive = File::from(OwnedFd::from(
            child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?,
        ));
        let server = read_pid(&mut alive)?;
        fcntl_setfl(&alive, OFlags::NONBLOCK)?;
        Ok(Self {
            child,
            hold,
            alive,
            server,
        })
    }

    /// The server's process id, valid while the server is not gone.
    pub(super) fn server(&self) -> Pid {
        self.server
    }

    /// Whether the last process of the server is gone.
    pub(super) fn server_is_gone(&self) -> bool {
        match (&self.alive).read(&mut [0; 16]) {
            Ok(count) => count == 0,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ),
        }
    }

    /// Lets the keeper begin to stop the server.
    pub(super) fn release(&mut self) {
        self.hold = None;
    }

    /// Waits for the keeper's own end; false if it takes longer than `limit`.
    pub(super) async fn ended(&mut self, limit: Duration) -> io::Result<bool> {
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > limit {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(true)
    }
}

/// `command` as `user`, with nothing of our environment but what is needed to find programs and libraries: ours may
/// hold secrets, and `PG…` variables would change what the server does.
pub(super) fn as_user(mut command: Command, user: Option<&User>) -> Command {
    command.env_clear().env("LC_ALL", "C");
    for name in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    if let Some(user) = user {
        // As root, std also drops all supplementary groups here.
        command.uid(user.uid).gid(user.gid);
    }
    command
}

/// The keeper's first and only line.
fn read_pid(pipe: &mut File) -> io::Result<Pid> {
    let mut line = Vec::new();
    let mut byte = [0];
    while pipe.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let pid = str::from_utf8(&line)
        .ok()
        .and_then(|text| text.parse().ok())
        .and_then(Pid::from_raw);
    pid.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the shell that keeps the server ended at once; perhaps it cannot make a folder there",
        )
    })
}
