//! What an error page must know of the request that went wrong: the frame of whoever is signed in, and
//! what somebody typed whose session had ended, so that they can copy it back.
//!
//! Nothing typed is kept: it goes back with the one answer that refuses it.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower_sessions::Session;

use super::error::{Error, Problem, SignInFirst};
use super::page::{Layout, way_back};
use super::{Web, body, session};

/// Free text that came with a form, and where to go on after signing in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Typed {
    /// Label and text.
    pub(super) texts: Vec<(&'static str, String)>,
    /// The form again.
    pub(super) next: String,
}

/// Gives an error answer what its page needs: a [`Layout`], and [`Typed`].
pub(super) async fn remember(State(web): State<Web>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if path.starts_with("/api/") {
        return next.run(request).await;
    }
    let session = request.extensions().get::<Session>().cloned();
    let is_post = request.method() == Method::POST;
    let (parts, body) = request.into_parts();
    // It was read before and stands in memory already.
    let bytes = match to_bytes(body, body::LIMIT).await {
        Ok(bytes) => bytes,
        Err(error) => return Error::Internal(error.into()).into_response(),
    };
    let request = Request::from_parts(parts, Body::from(bytes.clone()));
    let mut response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    if response.extensions().get::<SignInFirst>().is_some() {
        if let Some(typed) = is_post.then(|| typed(&path, &bytes)).flatten() {
            response.extensions_mut().insert(typed);
        }
    } else if !is_database_away(&response)
        && let Some(layout) = layout(&web, session).await
    {
        response.extensions_mut().insert(layout);
    }
    response
}

fn is_database_away(response: &Response) -> bool {
    response.status() == StatusCode::SERVICE_UNAVAILABLE
        && response
            .extensions()
            .get::<Problem>()
            .is_some_and(Problem::is_database_away)
}

/// The frame of whoever is signed in. That it can't be read must not hide the error itself.
async fn layout(web: &Web, session: Option<Session>) -> Option<Layout> {
    let person = session::person(web, &session?).await.ok()??;
    Layout::of_person(web, &person).await.ok()
}

/// The free text of a form, if there is any.
fn typed(path: &str, form: &[u8]) -> Option<Typed> {
    let fields: Vec<(String, String)> = serde_urlencoded::from_bytes(form).ok()?;
    let value = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.trim().is_empty())
    };
    let texts: Vec<_> = [("reason", "Reason"), ("comment", "Comment")]
        .into_iter()
        .filter_map(|(field, label)| Some((label, value(field)?.to_owned())))
        .collect();
    if texts.is_empty() {
        return None;
    }
    // Not the reason: addresses end up in histories and logs.
    let kept: Vec<_> = ["rule", "account", "minutes", "ticket"]
        .into_iter()
        .filter_map(|field| Some((field, value(field)?)))
        .collect();
    let next = match (path, serde_urlencoded::to_string(kept)) {
        ("/requests", Ok(query)) if !query.is_empty() => format!("/requests/new?{query}"),
        ("/requests", _) => "/requests/new".to_owned(),
        _ => way_back(path).unwrap_or_else(|| "/".to_owned()),
    };
    Some(Typed { texts, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_comes_back_and_the_address_of_the_form_holds_everything_but_the_reason() {
        let form = b"rule=production-admin&account=111111111111&minutes=30&reason=hang%20since%0A2%3A51&ticket=";
        assert_eq!(
            typed("/requests", form),
            Some(Typed {
                texts: vec![("Reason", "hang since\n2:51".to_owned())],
                next: "/requests/new?rule=production-admin&account=111111111111&minutes=30"
                    .to_owned(),
            })
        );
    }

    #[test]
    fn a_comment_comes_back_with_the_way_to_its_request() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let typed = typed(&format!("/requests/{id}/deny"), b"comment=use+read-only").unwrap();
        assert_eq!(typed.next, format!("/requests/{id}"));
        assert_eq!(typed.texts, [("Comment", "use read-only".to_owned())]);
    }

    #[test]
    fn a_form_without_text_has_nothing_to_come_back() {
        for form in [
            &b""[..],
            b"comment=",
            b"comment=+%0A",
            b"email=x",
            b"\xff=%",
        ] {
            assert_eq!(typed("/requests", form), None);
        }
    }
}
