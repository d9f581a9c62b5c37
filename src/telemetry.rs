//! Logs: on standard error, text on a terminal and JSON otherwise. Fields are named as the audit log
//! names them (`request.id`, `grant.id`, `account.id`); nothing secret and no free text goes in.

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
