//! Figures that a run of the tests must show: how many steps, states and kills there were.
//!
//! What a test prints is swallowed when it passes. So each figure is also a line `name: number` at
//! the end of the file that `CURFEW_COUNTS` names, if it does.

use std::fs::OpenOptions;
use std::io::Write as _;

/// Reports one figure.
pub(crate) fn report(name: &str, count: u64) {
    eprintln!("{name}: {count}");
    let Some(path) = std::env::var_os("CURFEW_COUNTS") else {
        return;
    };
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    // One write, so that lines of tests that run side by side never mix.
    file.write_all(format!("{name}: {count}\n").as_bytes())
        .unwrap();
}
