//! `/api/v1/operations`: the two switches for the bad day.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Comment;
use crate::audit::event::timestamp;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::{Json, OptionalJson};
use crate::http::session::SignedIn;
use crate::postgres::pause;

/// Whether new access can be given.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Switch {
    #[schema(required)]
    paused: Option<PauseJson>,
}

/// No new access is given.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pause)]
struct PauseJson {
    #[schema(format = DateTime)]
    since: String,
    /// Who paused, for people to read.
    by: String,
    comment: String,
}

async fn paused(web: &Web) -> Result<Option<PauseJson>, Error> {
    let standing = pause::find(&mut *web.broker().db.conn().await?).await?;
    Ok(standing.map(|pause| PauseJson {
        since: timestamp(pause.since),
        by: pause.by,
        comment: pause.comment,
    }))
}

async fn switch(web: &Web) -> Result<Response, Error> {
    let paused = paused(web).await?;
    Ok(axum::Json(Switch { paused }).into_response())
}

/// Let no new access begin
///
/// For administrators, with a comment. Ends go on, and what is live goes on until its time.
#[utoipa::path(
    post, path = "/api/v1/operations/pause", tag = "operations", operation_id = "pause",
    request_body = Option<Comment>,
    responses((status = 200, description = "How the switch stands now", body = Switch)),
)]
pub(in crate::http) async fn pause(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    OptionalJson(with): OptionalJson<Comment>,
) -> Result<Response, Error> {
    web.broker().pause(&by, &Comment::text(with)).await?;
    switch(&web).await
}

/// Let access be given again
///
/// For administrators, with a comment.
#[utoipa::path(
    post, path = "/api/v1/operations/resume", tag = "operations", operation_id = "resume",
    request_body = Option<Comment>,
    responses((status = 200, description = "How the switch stands now", body = Switch)),
)]
pub(in crate::http) async fn resume(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    OptionalJson(with): OptionalJson<Comment>,
) -> Result<Response, Error> {
    web.broker().resume(&by, &Comment::text(with)).await?;
    switch(&web).await
}

/// What goes with the end of everything.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"comment": "credentials of the build system leaked", "pause": true}))]
pub(in crate::http) struct EndEverything {
    /// Why. It stays in the record.
    comment: String,
    /// New access is paused as well, unless this says no.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pause: bool,
}

fn yes() -> bool {
    true
}

/// How far the end of everything is.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the fields are the API's")]
pub(in crate::http) struct EndsStarted {
    /// So many ends began. The grants say when each is confirmed.
    ends_started: i64,
    /// So many could not be begun yet; every replica keeps trying.
    left: usize,
    #[schema(required)]
    paused: Option<PauseJson>,
}

/// End everything that is live
///
/// For administrators, with a comment.
#[utoipa::path(
    post, path = "/api/v1/operations/end-everything", tag = "operations", operation_id = "end_everything",
    request_body = EndEverything,
    responses((status = 200, description = "How far it is", body = EndsStarted)),
)]
pub(in crate::http) async fn end_everything(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Json(with): Json<EndEverything>,
) -> Result<Response, Error> {
    let carried = web
        .broker()
        .end_everything(&by, &with.comment, with.pause)
        .await?;
    let body = EndsStarted {
        ends_started: carried.ends_started,
        left: carried.left,
        paused: paused(&web).await?,
    };
    Ok(axum::Json(body).into_response())
}
