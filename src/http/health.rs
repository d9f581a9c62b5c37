//! Alive, and ready: for whoever starts, watches and balances this service. No personal data.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Web;
use crate::policy::evaluate::DIRECTORY_MAX_AGE;
use crate::postgres::{directory, policies, schema};

/// The process runs.
pub(super) async fn alive() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

/// Signing in, asking and the engine work; or what doesn't.
pub(super) async fn ready(State(web): State<Web>) -> Response {
    let missing = match missing(&web).await {
        Ok(missing) => missing,
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "not ready: the database is away"
            );
            vec!["the database can't be reached".to_owned()]
        }
    };
    let status = if missing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({"ready": missing.is_empty(), "missing": missing})),
    )
        .into_response()
}

async fn missing(web: &Web) -> anyhow::Result<Vec<String>> {
    let db = &web.broker().db;
    let mut conn = db.conn().await?;
    let now = db.clock.now(&mut conn).await?;
    let mut missing = Vec::new();
    if web.0.live.has_ended() {
        missing.push("it is stopping".to_owned());
    }
    let copied_at = directory::copied_at(&mut conn).await?;
    if copied_at.is_none_or(|at| at + DIRECTORY_MAX_AGE < now) {
        missing.push("the copy of the directory is more than five minutes old".to_owned());
    }
    if policies::find_in_force(&mut conn).await?.is_none() {
        missing.push("no policy is in force".to_owned());
    }
    if let Some(problem) = schema::find(&mut conn).await?.problem() {
        missing.push(problem);
    }
    let engine = &web.0.engine;
    let status = engine.status();
    if let Some(why) = status.halted {
        missing.push(why);
    } else if !status.has_passed {
        missing.push("the engine has not finished a pass yet".to_owned());
    } else if status.clock_jumped {
        missing.push("the database's clock jumped, and this process gives no access until it is started again".to_owned());
    } else if !engine.is_passing() {
        missing.push("the engine's last pass is too long ago".to_owned());
    }
    Ok(missing)
}
