//! Logs: on standard error, text on a terminal and JSON otherwise. Nothing secret and no free text of
//! people goes in.
//!
//! One name per thing, the same as in the audit log: `request.id`, `grant.id`, `assignment.id`,
//! `operation.id`, `account.id`, `policy.version`. `http.route`, `http.method` and `http.status` are of
//! an answer; `error` is a failure with all its causes, `reference` what a person was told of it.
//! Durations carry their unit (`took_ms`, `seconds`). An error is something to act on, a warning
//! something that is tried again or should be put right, and a failure is logged once.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT: &str = "info,sqlx=warn,aws_config=warn,hyper=warn";

/// Starts logging. Call it once.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        registry.with(layer).init();
    } else {
        registry.with(layer.json()).init();
    }
}
