//! The document of `/api/v1` (OpenAPI 3.1): what the handlers say of themselves, who may call them, and every
//! error that they can answer with.
//!
//! Programs are written against it, `.ci/schemathesis` throws at the service whatever it allows and forbids,
//! and in the tests every answer must be one that it describes.

mod errors;
pub(super) mod words;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::error::{Error, ProblemDetails};
use super::routes::{self, Entry, Scope, Who};
use super::session::cookie_name;
use super::{Web, api};

#[derive(OpenApi)]
#[openapi(
    paths(
        api::list,
        api::submit,
        api::show,
        api::approve,
        api::deny,
        api::cancel,
        api::end,
        api::close,
        api::audit::list,
        api::operations::pause,
        api::operations::resume,
        api::operations::end_everything,
        api::recovery::show,
        api::recovery::keep,
        api::recovery::remove,
        api::recovery::confirm,
        show,
    ),
    components(schemas(ProblemDetails)),
    tags(
        (name = "requests", description = "Asking for access, deciding, and ending it"),
        (name = "audit", description = "The log, for auditors"),
        (name = "operations", description = "For administrators, in a session: no token carries that far"),
        (name = "document", description = "This document"),
    ),
)]
struct Handlers;

/// The document, for a service whose session cookie has this name.
///
/// # Errors
/// If it can't be written as JSON.
pub fn document(cookie: &str) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(Handlers::openapi())?;
    document["info"] = json!({
        "title": "Curfew",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "Privileged access to AWS accounts for a short time",
        "description": "Times are RFC 3339 in UTC. Errors are problem details (RFC 9457): go by `code`, `detail` is for people.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document["components"]["securitySchemes"] = json!({
        "session": {
            "type": "apiKey", "in": "cookie", "name": cookie,
            "description": "The session of a browser. What changes something must come from Curfew's own origin: `Sec-Fetch-Site: same-origin`, or `Origin` equal to the service's URL.",
        },
        "bearer": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": format!("An access token of a configured issuer, in the header `Authorization` and nowhere else; no cookie is used beside it. Scopes: {}.", Scope::ALL.map(Scope::as_str).join(", ")),
        },
    });
    for entry in routes::entries() {
        let method = entry.method.as_str().to_lowercase();
        if let Some(operation) = document["paths"]
            .get_mut(entry.path)
            .and_then(|methods| methods.get_mut(method))
        {
            complete(operation, &entry);
        }
    }
    Ok(document)
}

/// Says who may call an operation, and what can go wrong.
fn complete(operation: &mut Value, entry: &Entry) {
    let mut security = Vec::new();
    if entry.who != Who::Everybody {
        security.push(json!({"session": []}));
    }
    if let Some(scope) = entry.scope {
        security.push(json!({"bearer": [scope.as_str()]}));
    }
    operation["security"] = security.into();
    let facts = errors::Operation {
        entry,
        id: operation["operationId"].as_str().unwrap_or_default(),
        has_body: operation.get("requestBody").is_some(),
        has_query: has_parameter(operation, "query"),
        has_path: has_parameter(operation, "path"),
    };
    let answers = errors::answers(&facts);
    if let Some(known) = operation["responses"].as_object_mut() {
        known.extend(answers);
    }
}

fn has_parameter(operation: &Value, place: &str) -> bool {
    let parameters = operation["parameters"].as_array();
    parameters
        .into_iter()
        .flatten()
        .any(|parameter| parameter["in"] == place)
}

/// This document
///
/// For everybody: it says nothing that the sources don't.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "document", operation_id = "get_document",
    responses((status = 200, description = "The document", body = Object)),
)]
pub(super) async fn show(State(web): State<Web>) -> Result<Response, Error> {
    let document = document(cookie_name(&web.0)).map_err(anyhow::Error::from)?;
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((kind, document.to_string()).into_response())
}
