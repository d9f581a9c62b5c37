//! A clock that is wrong, for one process: what it signs by, and nothing else, is off by so much.

use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("wrong_clock.c");

/// See the module.
pub(crate) struct WrongClock {
    library: PathBuf,
    seconds: PathBuf,
}

impl WrongClock {
    /// One that is right for now; its files are in this folder. It needs a C compiler, which Rust needs too.
    pub(crate) fn new(folder: &Path) -> Self {
        let (source, library) = (folder.join("wrong_clock.c"), folder.join("wrong_clock.so"));
        std::fs::write(&source, SOURCE).unwrap();
        let mut cc = Command::new("cc");
        let cc = cc.args(["-shared", "-fPIC", "-o"]);
        let compiled = cc.arg(&library).arg(&source).status().unwrap();
        assert!(compiled.success());
        let clock = Self {
            library,
            seconds: folder.join("wrong_clock"),
        };
        clock.set(0);
        clock
    }

    /// A process that starts by this command goes by this clock.
    pub(crate) fn give_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("WRONG_CLOCK", &self.seconds);
    }

    /// Sets it so far ahead.
    pub(crate) fn set(&self, seconds: i64) {
        // In place: processes have mapped it.
        let mut options = std::fs::OpenOptions::new();
        let file = options.create(true).truncate(false).write(true);
        let file = file.open(&self.seconds).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &seconds.to_ne_bytes(), 0).unwrap();
    }
}
