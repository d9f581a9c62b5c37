//! What is done to a request from its page: approve, deny, cancel, end, close. Each calls one act of the
//! broker and leads back to the page; a refusal is an error page that does the same.

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use crate::access::decision::Verdict;
use crate::access::id::RequestId;
use crate::broker::ActError;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::{OptionalForm, RequestPath};
use crate::http::session::SignedIn;
use crate::http::step_up;

/// What goes with an act.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::http) struct Comment {
    pub(super) comment: String,
}

/// The request's page, after an act that went well.
fn back(id: RequestId, done: Result<(), ActError>) -> Result<Response, Error> {
    done?;
    Ok(Redirect::to(&format!("/requests/{id}")).into_response())
}

/// `POST /requests/{id}/approve`
pub(in crate::http) async fn approve(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    session: Session,
    OptionalForm(with): OptionalForm<Comment>,
) -> Result<Response, Error> {
    let comment = with.comment.as_str();
    match web.broker().decide(&by, id, Verdict::Yes, comment).await {
        Err(why) => {
            let form = format!("/requests/{id}");
            Err(step_up::error(&session, &form, &[("comment", comment)], why).await)
        }
        done => back(id, done),
    }
}

/// `POST /requests/{id}/deny`
pub(in crate::http) async fn deny(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    OptionalForm(with): OptionalForm<Comment>,
) -> Result<Response, Error> {
    back(
        id,
        web.broker()
            .decide(&by, id, Verdict::No, &with.comment)
            .await,
    )
}

/// `POST /requests/{id}/cancel`
pub(in crate::http) async fn cancel(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    OptionalForm(with): OptionalForm<Comment>,
) -> Result<Response, Error> {
    back(id, web.broker().cancel(&by, id, &with.comment).await)
}

/// `POST /requests/{id}/close`
pub(in crate::http) async fn close(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    OptionalForm(with): OptionalForm<Comment>,
) -> Result<Response, Error> {
    back(id, web.broker().close(&by, id, &with.comment).await)
}

/// `POST /requests/{id}/end`
pub(in crate::http) async fn end(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    OptionalForm(with): OptionalForm<Comment>,
) -> Result<Response, Error> {
    back(id, web.broker().end(&by, id, &with.comment).await)
}
