//! Bodies: forms and JSON, read strictly. What is not UTF-8, of another content type, or has fields
//! that nobody asked for, is refused with a sentence and costs nothing.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::Web;
use super::error::Error;
use crate::access::id::{FindingId, RequestId, SessionId};

/// A body of `application/x-www-form-urlencoded`.
pub(super) struct Form<T>(pub(super) T);

/// A body of `application/x-www-form-urlencoded`, or none at all: a button without fields.
pub(super) struct OptionalForm<T>(pub(super) T);

/// A body of `application/json`.
pub(super) struct Json<T>(pub(super) T);

/// A body of `application/json`, or none at all.
pub(super) struct OptionalJson<T>(pub(super) Option<T>);

fn is_kind(headers: &HeaderMap, wanted: &mime::Mime) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.and_then(|kind| kind.parse::<mime::Mime>().ok())
        .is_some_and(|kind| kind.essence_str() == wanted.essence_str())
}

async fn body(request: Request, web: &Web, wanted: &mime::Mime) -> Result<Bytes, Error> {
    if !is_kind(request.headers(), wanted) {
        let text = format!("The body must be {wanted}.");
        return Err(Error::status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media_type",
            text,
        ));
    }
    read(request, web).await
}

/// The body was read already, and bounded, by `body`.
async fn read(request: Request, web: &Web) -> Result<Bytes, Error> {
    let read = Bytes::from_request(request, web).await;
    read.map_err(|rejection| Error::Internal(anyhow::anyhow!("a body was not there: {rejection}")))
}

fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| {
        Error::status(
            StatusCode::BAD_REQUEST,
            "not_utf8",
            "The body is not UTF-8 text.",
        )
    })
}

impl<T: DeserializeOwned> FromRequest<Web> for Form<T> {
    type Rejection = Error;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Error> {
        form(&body(request, web, &mime::APPLICATION_WWW_FORM_URLENCODED).await?).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<Web> for OptionalForm<T> {
    type Rejection = Error;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Error> {
        let is_form = is_kind(request.headers(), &mime::APPLICATION_WWW_FORM_URLENCODED);
        let bytes = read(request, web).await?;
        if bytes.is_empty() || is_form {
            return form(&bytes).map(Self);
        }
        let text = format!(
            "The body must be {}.",
            mime::APPLICATION_WWW_FORM_URLENCODED
        );
        Err(Error::status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media_type",
            text,
        ))
    }
}

fn form<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_urlencoded::from_str(utf8(bytes)?).map_err(|error| {
        let text = format!("The form can't be read: {error}.");
        Error::status(StatusCode::UNPROCESSABLE_ENTITY, "malformed_form", text)
    })
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // A list would be taken for an object, field by field.
    if bytes
        .trim_ascii_start()
        .first()
        .is_some_and(|first| [b'[', b'"'].contains(first))
    {
        let text = "The body must be a JSON object.";
        return Err(Error::status(
            StatusCode::UNPROCESSABLE_ENTITY,
            "malformed_fields",
            text,
        ));
    }
    serde_json::from_str(utf8(bytes)?).map_err(|error| {
        let (status, code) = match error.classify() {
            serde_json::error::Category::Data => {
                (StatusCode::UNPROCESSABLE_ENTITY, "malformed_fields")
            }
            _ => (StatusCode::BAD_REQUEST, "malformed_json"),
        };
        Error::status(status, code, format!("The JSON can't be read: {error}."))
    })
}

impl<T: DeserializeOwned> FromRequest<Web> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Error> {
        json(&body(request, web, &mime::APPLICATION_JSON).await?).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<Web> for OptionalJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Error> {
        let is_json = is_kind(request.headers(), &mime::APPLICATION_JSON);
        let bytes = read(request, web).await?;
        match (bytes.is_empty(), is_json) {
            (true, _) => Ok(Self(None)),
            (false, true) => json(&bytes).map(|value| Self(Some(value))),
            (false, false) => Err(Error::status(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media_type",
                "The body must be application/json.",
            )),
        }
    }
}

/// A request's id in the address; anything else is no address of ours.
pub(super) struct RequestPath(pub(super) RequestId);

/// A session's public name in the address; anything else is no address of ours.
pub(super) struct SessionPath(pub(super) SessionId);

impl FromRequestParts<Web> for RequestPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Error> {
        id(parts, web).await.map(|id| Self(RequestId(id)))
    }
}

/// A finding's id in the address; anything else is no address of ours.
pub(super) struct FindingPath(pub(super) FindingId);

impl FromRequestParts<Web> for FindingPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Error> {
        id(parts, web).await.map(|id| Self(FindingId(id)))
    }
}

impl FromRequestParts<Web> for SessionPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Error> {
        id(parts, web).await.map(|id| Self(SessionId(id)))
    }
}

async fn id(parts: &mut Parts, web: &Web) -> Result<uuid::Uuid, Error> {
    let path: Result<Path<std::collections::HashMap<String, String>>, _> =
        Path::from_request_parts(parts, web).await;
    path.ok()
        .and_then(|Path(mut path)| path.remove("id"))
        .and_then(|id| id.parse().ok())
        .ok_or_else(Error::not_found)
}

/// The query of an address, with a sentence where it can't be read.
pub(super) struct Search<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Web> for Search<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Error> {
        let read: Result<Query<T>, _> = Query::from_request_parts(parts, web).await;
        read.map(|Query(query)| Self(query)).map_err(|rejection| {
            Error::status(
                StatusCode::BAD_REQUEST,
                "malformed_query",
                format!("The address can't be read: {}.", rejection.body_text()),
            )
        })
    }
}
