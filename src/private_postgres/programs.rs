//! Finds the Postgres server programs on this machine, and says how to install them if there are none.
//!
//! Package managers keep them out of the way: Debian in `/usr/lib/postgresql/VERSION/bin` with, at most, links to a
//! few of them on `PATH`; Homebrew in a "keg" per version. So a program on `PATH` is followed to its real folder,
//! and a folder counts only if it holds every program that is needed.
//!
//! Must not start a server and must not change anything.

use std::{
    cmp::Reverse,
    ffi::OsStr,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest major version that works.
pub const MINIMUM_VERSION: u32 = 14;

/// The programs that a folder must hold. Stopping a server is a signal, so `pg_ctl` is not among them.
const NEEDED: [&str; 2] = ["postgres", "initdb"];

/// Where package managers put them: a folder, what an entry's name starts with, and the way down from that entry.
const USUAL_PLACES: [(&str, &str, &str); 7] = [
    ("/usr/lib/postgresql", "", "bin"),         // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                  // the PostgreSQL project's packages for Red Hat
    ("/usr/lib", "postgresql", "bin"),          // SUSE
    ("/usr/libexec", "postgresql", ""),         // Alpine
    ("/opt/homebrew/opt", "postgresql", "bin"), // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql", "bin"),    // Homebrew on Intel
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// A folder with Postgres's server programs, all of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    bin: PathBuf,
    version: u32,
}

impl Programs {
    /// The programs to use for a new cluster: what is on `PATH`, else the newest in the usual places.
    pub fn find() -> Result<Self, NotInstalled> {
        Ok(first(Self::find_all()?))
    }

    /// The programs to use on `folder`: those of the major version that made its data, if they are installed, else
    /// as [`Programs::find`]. An upgrade that adds a version beside the old one then breaks nothing.
    pub fn find_for(folder: &Path) -> Result<Self, NotInstalled> {
        let all = Self::find_all()?;
        let wanted = super::folder::data_version(folder).ok().flatten();
        let same = all.iter().find(|programs| Some(programs.version) == wanted);
        Ok(same.cloned().unwrap_or_else(|| first(all)))
    }

    /// The folder that holds them, with all symbolic links resolved.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The major version, such as 17.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    fn find_all() -> Result<Vec<Self>, NotInstalled> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        search(&on_path(&path), &in_usual_places())
    }
}

/// `search` never answers with an empty list.
fn first(mut found: Vec<Programs>) -> Programs {
    found.swap_remove(0)
}

/// All usable programs: those of the folders `preferred` in their order, then those of `others`, newest first.
fn search(preferred: &[PathBuf], others: &[PathBuf]) -> Result<Vec<Programs>, NotInstalled> {
    let mut found: Vec<Programs> = preferred.iter().filter_map(|bin| examine(bin)).collect();
    let mut rest: Vec<Programs> = others.iter().filter_map(|bin| examine(bin)).collect();
    rest.sort_by_key(|programs| Reverse(programs.version));
    found.extend(rest);
    let too_old = found
        .iter()
        .find(|programs| programs.version < MINIMUM_VERSION)
        .cloned();
    found.retain(|programs| programs.version >= MINIMUM_VERSION);
    if found.is_empty() {
        Err(NotInstalled { too_old })
    } else {
        Ok(found)
    }
}

/// The real folders of the programs that `path` leads to.
fn on_path(path: &OsStr) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        for program in NEEDED {
            let Ok(real) = folder.join(program).canonicalize() else {
                continue;
            };
            let Some(bin) = real.parent().map(Path::to_path_buf) else {
                continue;
            };
            if !folders.contains(&bin) {
                folders.push(bin);
            }
        }
    }
    folders
}

fn in_usual_places() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (base, start, below) in USUAL_PLACES {
        for entry in fs::read_dir(base).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(start)
                && let Ok(bin) = entry.path().join(below).canonicalize()
            {
                folders.push(bin);
            }
        }
    }
    folders
}

/// The programs in `bin`, if they are all there and tell their version.
fn examine(bin: &Path) -> Option<Programs> {
    if NEEDED.iter().any(|program| !bin.join(program).is_file()) {
        return None;
    }
    let output = Command::new(bin.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let version = major_version(&String::from_utf8_lossy(&output.stdout))?;
    Some(Programs {
        bin: bin.to_path_buf(),
        version,
    })
}

/// 15 from `postgres (Postgres) 15.16 (Debian 15.16-0+deb12u1)`, 18 from `postgres (Postgres) 18beta1`.
fn major_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version[..digits].parse().ok()
}

/// There are no usable Postgres server programs here. Its text is for people and says what to do.
#[derive(Debug, thiserror::Error)]
pub struct NotInstalled {
    too_old: Option<Programs>,
}

impl fmt::Display for NotInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.too_old {
            Some(Programs { bin, version }) => writeln!(
                f,
                "The PostgreSQL server in {} is version {version}; {MINIMUM_VERSION} or newer is needed.",
                bin.display()
            )?,
            None => writeln!(
                f,
                "No PostgreSQL server ({MINIMUM_VERSION} or newer) was found on PATH or where it is usually installed."
            )?,
        }
        f.write_str(
            "Install it, and run this again:\n\
             \x20 Debian, Ubuntu:  sudo apt-get install postgresql\n\
             \x20 macOS:           brew install postgresql\n\
             or run one with Docker and name it in DATABASE_URL:\n\
             \x20 docker run -d --name curfew-postgres -e POSTGRES_PASSWORD=curfew -p 127.0.0.1:5432:5432 postgres\n\
             \x20 export DATABASE_URL=postgres://postgres:curfew@127.0.0.1:5432/postgres",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A folder with stand-ins for the given programs that claim `version`.
    fn fake(root: &Path, name: &str, version: &str, programs: &[&str]) -> PathBuf {
        let bin = root.join(name);
        fs::create_dir_all(&bin).unwrap();
        for program in programs {
            let file = bin.join(program);
            fs::write(
                &file,
                format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n"),
            )
            .unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        bin
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.16 (Debian 15.16-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn links_are_followed_and_folders_that_lack_a_program_are_skipped() {
        let root = super::super::tests::Scratch::new("programs");
        let whole = fake(root.path(), "whole", "15.1", &NEEDED);
        let lacking = fake(root.path(), "lacking", "17.0", &["postgres"]);
        let newer = fake(root.path(), "newer", "16.0", &NEEDED);
        let links = root.path().join("links");
        fs::create_dir(&links).unwrap();
        symlink(whole.join("initdb"), links.join("initdb")).unwrap();
        let path = std::env::join_paths([&lacking, &links]).unwrap();

        let found = search(&on_path(&path), &[]).unwrap();
        assert_eq!(
            found,
            [Programs {
                bin: whole.clone(),
                version: 15
            }]
        );
        let found = search(&[], &[lacking, whole.clone(), newer.clone()]).unwrap();
        assert_eq!(
            found.iter().map(Programs::bin).collect::<Vec<_>>(),
            [newer, whole]
        );
    }

    #[test]
    fn the_message_says_what_to_do() {
        let message = search(&on_path(OsStr::new("/nonexistent")), &[])
            .unwrap_err()
            .to_string();
        for part in [
            "was found",
            "apt-get install postgresql",
            "brew install postgresql",
            "DATABASE_URL",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn an_old_version_is_named() {
        let root = super::super::tests::Scratch::new("old");
        let old = fake(root.path(), "old", "13.4", &NEEDED);
        let message = search(&[], &[old]).unwrap_err().to_string();
        assert!(message.contains("is version 13; 14 or newer"), "{message}");
    }
}
