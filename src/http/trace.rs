//! One line in the log and one count for every answer. The route is written as it was declared, never
//! as it was typed: addresses hold ids and tokens.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::Web;

/// What is asked all the time and says little.
const QUIET: [&str; 5] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/static/app.css",
    "/static/app.js",
];

pub(super) async fn trace(State(web): State<Web>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    // A method may be any word; whoever makes words up fills no table.
    let method = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST") => known,
        _ => "other",
    };
    web.0.metrics.answered(&route, method, status, took);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if QUIET.contains(&route.as_str()) {
        tracing::debug!(
            http.route = route,
            http.method = method,
            http.status = status,
            took_ms,
            "answered"
        );
    } else {
        tracing::info!(
            http.route = route,
            http.method = method,
            http.status = status,
            took_ms,
            "answered"
        );
    }
    response
}
