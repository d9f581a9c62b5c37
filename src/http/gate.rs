//! The one place before every handler: who asks, and may they? What may be reached by whom is not decided
//! here, but in the table of routes.

use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Web;
use super::error::Error;
use super::routes::{Entry, Who};
use super::session::MaybeSignedIn;
use crate::access::person::SignedInPerson;

/// Lets pass whom the route is for, and tells the handler who it is. A role is read from the copy of the
/// directory each time: it counts from the moment that it is given or taken.
pub(super) async fn pass(
    State((web, entry)): State<(Web, Entry)>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    if entry.who == Who::Everybody {
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    let by = identify(&mut parts, &web).await?;
    let roles = entry.who.roles();
    if !roles.is_empty() {
        let what = format!("{} {}", entry.method, entry.path);
        web.broker().require(&by, roles, &what).await?;
    }
    parts.extensions.insert(by);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Whoever asks, by their session.
async fn identify(parts: &mut Parts, web: &Web) -> Result<SignedInPerson, Error> {
    let MaybeSignedIn(person) = MaybeSignedIn::from_request_parts(parts, web).await?;
    person.ok_or_else(|| {
        if is_stream(parts) {
            // A script asks, which a page to sign in at would tell nothing.
            let text = "Sign in first.";
            return Error::status(StatusCode::UNAUTHORIZED, "signed_out", text);
        }
        let next = parts.uri.path_and_query();
        Error::SignIn {
            next: next.map_or("/", |path| path.as_str()).to_owned(),
        }
    })
}

fn is_stream(parts: &Parts) -> bool {
    let accept = parts.headers.get(header::ACCEPT);
    accept.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}
