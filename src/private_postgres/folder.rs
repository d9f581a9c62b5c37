//! The folder of a cluster: who owns it, and whether the server's user gets there.
//!
//! ```text
//! FOLDER/                mode 0700, owned by the server's user; locked while any server process lives
//!   data/                the cluster; appears by a rename, so it is always whole
//!   new-PID/             a cluster that is being made, or what is left of one
//!   server.log           begins anew at every start
//!   .s.PGSQL.5432, …     the socket
//! ```
//!
//! Must not take over a folder that holds anything else: it changes owner and mode.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, Permissions},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::geteuid;

use super::keeper::as_user;

/// Another user to run Postgres as, because it refuses to run as root.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl User {
    /// `postgres`, else `nobody`. By the program `id`, since the standard library reads no user database.
    fn for_server() -> anyhow::Result<Self> {
        for name in ["postgres", "nobody"] {
            if let (Some(uid), Some(gid)) = (id("-u", name), id("-g", name)) {
                return Ok(Self {
                    name: format!("user `{name}`"),
                    uid,
                    gid,
                });
            }
        }
        bail!(
            "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as"
        )
    }
}

fn id(option: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([option, name]).output().ok()?;
    let number = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    (number != 0).then_some(number)
}

/// A folder that is ready for a server, by its real path, and the user to run that server as (none: as ourselves).
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) path: PathBuf,
    pub(super) user: Option<User>,
}

/// Makes `folder` if need be, and makes sure that the server's user owns it and reaches it and `bin`.
pub(super) fn prepare(folder: &Path, bin: &Path) -> anyhow::Result<Prepared> {
    let absolute = std::path::absolute(folder).context("find the current folder")?;
    // postmaster.pid has one path per line, and what comes after it is found by its line.
    ensure!(
        !absolute.as_os_str().as_bytes().contains(&b'\n'),
        "the folder's name must not contain a line break"
    );
    let owner = fs::metadata(&absolute)
        .ok()
        .map(|found| (found.uid(), found.gid()));
    let user = match owner {
        _ if !geteuid().is_root() => None,
        // Whoever owns the folder goes on: root may look at an ordinary user's demo without taking it away.
        Some((uid, gid)) if uid != 0 => Some(User {
            name: format!("user number {uid}, who owns the folder"),
            uid,
            gid,
        }),
        _ => Some(User::for_server()?),
    };
    check_way(bin, user.as_ref())?;
    if let Some(parent) = absolute.parent() {
        let nearest = parent
            .ancestors()
            .find(|ancestor| ancestor.exists())
            .unwrap_or(parent);
        check_way(nearest, user.as_ref())?;
        make_parents(parent)?;
    }
    if owner.is_none() {
        DirBuilder::new()
            .mode(0o700)
            .create(&absolute)
            .with_context(|| format!("create {}", absolute.display()))?;
    }
    let path = absolute
        .canonicalize()
        .with_context(|| format!("find {}", absolute.display()))?;
    check_contents(&path, user.as_ref())?;
    give(&path, user.as_ref())?;
    check_way(&path, user.as_ref())?;
    Ok(Prepared { path, user })
}

/// Makes sure that a throw-away cluster can be made as `folder`, but leaves it to the keeper to make it: if we did, and
/// were killed at once, it would stay.
pub(super) fn prepare_new(folder: &Path, bin: &Path) -> anyhow::Result<Prepared> {
    let show = folder.display();
    ensure!(
        !folder.exists(),
        "{show} exists, and a throw-away database would remove it at its end; choose another folder"
    );
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else {
        bail!("{show} has no place for a throw-away database");
    };
    let user = if geteuid().is_root() {
        Some(User::for_server()?)
    } else {
        None
    };
    check_way(bin, user.as_ref())?;
    check_way(parent, user.as_ref())?;
    let parent = parent
        .canonicalize()
        .with_context(|| format!("find {}", parent.display()))?;
    Ok(Prepared {
        path: parent.join(name),
        user,
    })
}

/// A path in `parent` where there is nothing yet: `NAME-PID-N`.
pub(super) fn unused(parent: &Path, name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{name}-{}-{number}", std::process::id()));
        if !path.exists() {
            return path;
        }
    }
}

fn give(path: &Path, user: Option<&User>) -> anyhow::Result<()> {
    if let Some(user) = user {
        chown(path, Some(user.uid), Some(user.gid))
            .with_context(|| format!("give {} to {}", path.display(), user.name))?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o700))
        .with_context(|| format!("make {} private", path.display()))
}

/// The mode is set once more because a strict umask would keep the server's user out of what we make.
fn make_parents(parent: &Path) -> anyhow::Result<()> {
    let missing: Vec<&Path> = parent
        .ancestors()
        .take_while(|ancestor| !ancestor.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        fs::create_dir(folder)
            .and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o755)))
            .with_context(|| format!("create {}", folder.display()))?;
    }
    Ok(())
}

/// Refuses a folder that is somebody else's or that holds anything but a cluster.
fn check_contents(path: &Path, user: Option<&User>) -> anyhow::Result<()> {
    let show = path.display();
    let owner = fs::metadata(path)
        .with_context(|| format!("look at {show}"))?
        .uid();
    let me = geteuid().as_raw();
    ensure!(
        user.is_some() || owner == me,
        "{show} belongs to another user (number {owner}); choose another folder"
    );
    for entry in fs::read_dir(path).with_context(|| format!("look into {show}"))? {
        let name = entry
            .with_context(|| format!("look into {show}"))?
            .file_name();
        let name = name.as_bytes();
        let ours = name == b"data"
            || name == b"server.log"
            || name.starts_with(b"new-")
            || name.starts_with(b".s.PGSQL.");
        ensure!(
            ours,
            "{show} holds other things than a database, such as `{}`; choose another folder",
            name.escape_ascii()
        );
    }
    let data = path.join("data");
    if let Ok(found) = fs::metadata(&data) {
        let wanted = user.map_or(me, |user| user.uid);
        ensure!(
            found.uid() == wanted,
            "{} belongs to user number {}, but PostgreSQL would run as user number {wanted}; choose another folder, \
             or give it away: chown -R {wanted} {show}",
            data.display(),
            found.uid(),
        );
    }
    Ok(())
}

/// Whether `user` can enter every folder on the way to `path` and `path` itself. By trying it as that user, which
/// also minds access lists.
fn check_way(path: &Path, user: Option<&User>) -> anyhow::Result<()> {
    let path = path
        .canonicalize()
        .with_context(|| format!("find {}", path.display()))?;
    let mut way: Vec<&Path> = path.ancestors().collect();
    way.reverse();
    let script = r#"n=0; for folder; do cd -- "$folder" 2>/dev/null || { echo "$n"; exit; }; n=$((n + 1)); done"#;
    let mut command = as_user(Command::new("/bin/sh"), user);
    command
        .args(["-c", script, "sh"])
        .args(&way)
        .current_dir("/");
    let who = user.map_or("the current user", |user| &user.name);
    let output = command
        .output()
        .with_context(|| format!("run a shell as {who}"))?;
    let closed = str::from_utf8(&output.stdout)
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok());
    if let Some(closed) = closed.and_then(|index| way.get(index)) {
        let closed = closed.display();
        match user {
            Some(user) => bail!(
                "PostgreSQL refuses to run as root and would run as {}, but that user cannot enter {closed}, which \
                 is on the way to {}. Choose another folder, or let that user pass: chmod o+x {closed}",
                user.name,
                path.display()
            ),
            None => bail!(
                "you cannot enter {closed}, which is on the way to {}; choose another folder",
                path.display()
            ),
        }
    }
    Ok(())
}

/// The major version that made the data in `folder`; none if there is no data yet.
pub(super) fn data_version(folder: &Path) -> anyhow::Result<Option<u32>> {
    let data = folder.join("data");
    if !data.exists() {
        return Ok(None);
    }
    let file = data.join("PG_VERSION");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let version = text
        .trim()
        .parse()
        .with_context(|| format!("{} holds no version", file.display()))?;
    Ok(Some(version))
}

/// `folder` as an element of Postgres's list of socket folders, which splits at commas and trims blanks.
pub(super) fn quoted(folder: &Path) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in OsStr::new(folder).as_bytes() {
        if *byte == b'"' {
            quoted.push(b'"');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    quoted
}
