//! The documents promise what tests show: every test that they name exists.
//!
//! A name in a document is `file::test` for `tests/it/file.rs`, or `src/…/file.rs::test` for a test beside
//! the code, or `tests/…/main.rs::test` for another target's.

use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENTS: [&str; 2] = ["docs/guarantees.md", "docs/operate.md"];

fn root() -> PathBuf {
    PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap())
}

/// What stands in backticks and has the shape of a test's name.
fn named(document: &str) -> Vec<(String, String)> {
    let code = document.split('`').skip(1).step_by(2);
    let names = code.filter_map(|word| word.split_once("::"));
    names
        .filter(|(_, test)| {
            test.bytes()
                .all(|at| at.is_ascii_lowercase() || at.is_ascii_digit() || at == b'_')
        })
        .map(|(file, test)| (file.to_owned(), test.to_owned()))
        .collect()
}

fn exists(root: &Path, file: &str, test: &str) -> bool {
    let path = if file.contains('/') {
        root.join(file)
    } else {
        root.join("tests/it").join(format!("{file}.rs"))
    };
    let source = fs::read_to_string(path).unwrap_or_default();
    source.contains(&format!("fn {test}("))
}

#[test]
fn every_test_that_a_document_names_exists() {
    let root = root();
    let mut count = 0;
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).unwrap();
        for (file, test) in named(&text) {
            assert!(
                exists(&root, &file, &test),
                "{document} names {file}::{test}, which does not exist"
            );
            count += 1;
        }
    }
    assert!(count > 5, "only {count} names were found");
}
