//! `/metrics`, for Prometheus: beside the pages, or alone on an address of its own.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::Web;
use super::error::Error;
use crate::metrics::{Figures, Process};
use crate::postgres::figures;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Only `/metrics`.
pub fn router(web: Web) -> Router {
    Router::new().route("/metrics", get(show)).with_state(web)
}

/// `GET /metrics`
pub(super) async fn show(State(web): State<Web>) -> Result<Response, Error> {
    let pool = &web.broker().db.pool;
    let engine = &web.0.engine;
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    let process = Process {
        leads: engine.status().leads,
        is_halted: engine.status().halted.is_some(),
        clock_jumped: engine.status().clock_jumped,
        pass_age: engine.pass_age(),
        connections: (pool.size().saturating_sub(idle), idle),
        streams: web.0.live.count(),
    };
    let figures = load(&web).await.map_or_else(
        |error| {
            tracing::warn!(error = format!("{error:#}"), "no figures for the metrics");
            None
        },
        Some,
    );
    let text = web
        .0
        .metrics
        .encode(process, figures.as_ref())
        .map_err(|error| Error::Internal(error.into()))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

async fn load(web: &Web) -> anyhow::Result<Figures> {
    let db = &web.broker().db;
    let mut conn = db.conn().await?;
    let now = db.clock.now(&mut conn).await?;
    figures::load(&mut conn, now).await
}
