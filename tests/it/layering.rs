//! The map in `lib.rs` as a test: who may use whom, and what pure files must not name.

use std::path::{Path, PathBuf};

/// Modules that do no I/O and know no framework.
const PURE: [&str; 14] = [
    "live_grants.rs",
    "access/",
    "policy/",
    "audit/event.rs",
    "audit/chain.rs",
    "audit/filter.rs",
    "audit/csv.rs",
    "engine/step.rs",
    "retry.rs",
    "engine/history.rs",
    "engine/budget.rs",
    "engine/reach.rs",
    "engine/watch.rs",
    "oidc/assurance.rs",
];

/// What a pure file must not name.
const IMPURE: [&str; 10] = [
    "sqlx",
    "axum",
    "tokio",
    "reqwest",
    "aws_sdk",
    "aws_config",
    "aws_smithy",
    "std::fs",
    "Utc::now",
    "async fn",
];

/// Module: the other modules of ours that it may name. Everything else is forbidden.
const MAY_USE: [(&str, &[&str]); 24] = [
    ("access", &[]),
    ("policy", &["access"]),
    ("audit", &["access", "postgres"]),
    ("retry", &[]),
    ("settings", &["engine"]),
    ("state_dir", &[]),
    ("live_grants", &["access"]),
    ("clock", &[]),
    ("metrics", &[]),
    (
        "config",
        &["access", "clock", "directory", "http", "oidc", "settings"],
    ),
    ("oidc", &["access", "clock"]),
    ("preflight", &["policy", "postgres"]),
    (
        "postgres",
        &[
            "access",
            "policy",
            "audit",
            "clock",
            "live_grants",
            "metrics",
        ],
    ),
    // The copy's shape belongs to the table that holds it.
    ("aws", &["access", "policy", "postgres", "clock", "metrics"]),
    ("directory", &["access", "aws", "postgres"]),
    ("ledger", &["access", "audit", "postgres", "settings"]),
    (
        "broker",
        &[
            "access",
            "audit",
            "policy",
            "postgres",
            "directory",
            "ledger",
            "settings",
        ],
    ),
    (
        "engine",
        &[
            "access",
            "audit",
            "aws",
            "directory",
            "ledger",
            "metrics",
            "policy",
            "postgres",
            "retry",
            "settings",
            "state_dir",
        ],
    ),
    (
        "http",
        &[
            "access",
            "audit",
            "broker",
            "engine",
            "live_grants",
            "metrics",
            "oidc",
            "policy",
            "postgres",
            "preflight",
        ],
    ),
    ("sandbox", &[]),
    ("private_postgres", &[]),
    ("telemetry", &[]),
    (
        "app",
        &[
            "access",
            "audit",
            "aws",
            "broker",
            "clock",
            "directory",
            "engine",
            "http",
            "live_grants",
            "oidc",
            "policy",
            "postgres",
            "preflight",
            "settings",
            "state_dir",
        ],
    ),
    ("main", &["cli"]),
];

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                into.push(path);
            }
        }
    }
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The part that ships: tests may use what they like, comments may say what they like.
fn shipped(source: &str) -> String {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn pure_files_do_no_io_and_know_no_framework() {
    let mut seen = 0;
    for (name, source) in sources()
        .iter()
        .filter(|(name, _)| PURE.iter().any(|pure| name.starts_with(pure)))
    {
        seen += 1;
        for word in IMPURE {
            assert!(
                !shipped(source).contains(word),
                "src/{name} is pure and names {word}"
            );
        }
    }
    assert!(seen >= 15, "only {seen} pure files: has something moved?");
}

#[test]
fn modules_use_only_those_that_the_map_allows() {
    for (name, source) in sources() {
        let module = name.split(['/', '.']).next().unwrap();
        let Some((_, allowed)) = MAY_USE.iter().find(|(of, _)| *of == module) else {
            assert!(
                ["lib", "cli"].contains(&module),
                "src/{name} is of a module that the map does not know"
            );
            continue;
        };
        for part in shipped(&source).split("crate::").skip(1) {
            let used: String = part
                .chars()
                .take_while(|at| at.is_alphanumeric() || *at == '_')
                .collect();
            let is_allowed = used.is_empty() || used == module || allowed.contains(&used.as_str());
            assert!(is_allowed, "src/{name} uses crate::{used}");
        }
    }
}

#[test]
fn the_database_s_time_is_asked_in_one_place() {
    for (name, source) in sources()
        .iter()
        .filter(|(name, _)| !name.starts_with("private_postgres/"))
    {
        let code = shipped(source);
        for word in ["clock_timestamp()", " now()", "(now()", "current_timestamp"] {
            let is_sql = code.contains(word) && code.contains("sqlx::");
            assert!(
                !is_sql || name == "clock.rs",
                "src/{name} asks the database for the time by {word}"
            );
        }
    }
}

#[test]
fn every_file_says_what_is_here() {
    for (name, source) in sources() {
        assert!(
            source.starts_with("//!"),
            "src/{name} does not begin with //!"
        );
    }
}
