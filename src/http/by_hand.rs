//! Ending access by hand while the database is away (protocol G4): whoever asks to end it hears the exact
//! command of the AWS CLI, from this process's memory.

use axum::extract::Request;
use axum::http::Method;

use super::Web;
use crate::access::id::RequestId;

/// The request that somebody asks to end here, if it is that.
///
/// Sessions are in the database as well, so nobody can tell who asks. Shown is the command all the same:
/// it holds no secret (an account, an ARN, an id), it does nothing without credentials of the
/// organization, and keeping it back would keep access open. But only for the id of a request, which
/// nobody guesses, and only to whoever brings a session's cookie: all others are told to sign in first,
/// for which nobody asks the database.
pub(super) fn wanted(request: &Request) -> Option<RequestId> {
    let path = request.uri().path();
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let id = path.strip_prefix("/requests/")?.strip_suffix("/end")?;
    let is_post = request.method() == Method::POST;
    id.parse().ok().filter(|_| is_post).map(RequestId)
}

/// The command, if this process has seen that the request gave something.
pub(super) fn command(web: &Web, id: RequestId) -> Option<String> {
    web.0.live_grants.picture()?.command_of(id)
}
