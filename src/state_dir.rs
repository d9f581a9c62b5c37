//! The folder of a replica: what has to be at hand when the database is not. Each replica has its own.
//!
//! Files are whole or not there: written beside, synced, and renamed into place, for the owner alone.
//! A folder that can't be written to is warned of and stops nothing. Nothing here knows what is in them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use rustix::fs::{Access, access};

/// Writes of this process, so that no two of them meet in one file.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// This folder. It is made with the first file.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where a file of this name is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Replaces a file in one step, and waits until it is on the disk.
    ///
    /// # Errors
    /// If it can't be written; what stood there before then stays.
    pub fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let (folder, file) = (&self.0, self.path(name));
        let mut made = DirBuilder::new();
        made.recursive(true).mode(0o700);
        made.create(folder)
            .with_context(|| format!("make the folder {}", folder.display()))?;
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let beside = self.path(&format!(".{name}.{}.{number}", std::process::id()));
        let written = write_beside(&beside, content)
            .and_then(|()| std::fs::rename(&beside, &file))
            // The new name must be on the disk as well.
            .and_then(|()| File::open(folder)?.sync_all());
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        written.with_context(|| format!("write {}", file.display()))
    }

    /// What is in a file; none if there is no such file.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(&self, name: &str) -> anyhow::Result<Option<String>> {
        let file = self.path(name);
        match std::fs::read_to_string(&file) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", file.display())),
        }
    }

    /// Why nothing can be written there, if so. Nothing is made or changed to find out.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let mut existing = self.0.ancestors().filter(|folder| folder.exists());
        let nearest = existing.next().unwrap_or(Path::new("."));
        if !nearest.is_dir() {
            return Some(format!("{} is not a folder", nearest.display()));
        }
        let may_write = access(nearest, Access::WRITE_OK | Access::EXEC_OK);
        may_write
            .err()
            .map(|error| format!("{}: {error}", nearest.display()))
    }
}

fn write_beside(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut open = options.open(file)?;
    open.write_all(content)?;
    open.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("curfew-state-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_file_is_replaced_whole_for_its_owner_alone_and_nothing_is_left_beside_it() {
        let folder = folder("replaced");
        let state = StateDir::new(folder.join("deep"));
        assert_eq!(state.read("one").unwrap(), None);
        assert_eq!(state.problem(), None);
        assert!(!folder.exists(), "looking makes nothing");
        state.write("one", b"first").unwrap();
        state.write("one", b"second").unwrap();
        assert_eq!(state.read("one").unwrap().as_deref(), Some("second"));
        let mode = state.path("one").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(state.0.read_dir().unwrap().count(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_a_problem_that_is_named() {
        let file = folder("file");
        std::fs::write(&file, "").unwrap();
        let state = StateDir::new(file.join("below"));
        assert!(state.problem().unwrap().ends_with("is not a folder"));
        assert!(state.write("one", b"x").is_err());
        std::fs::remove_file(&file).unwrap();
    }
}
