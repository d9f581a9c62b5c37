//! What goes wrong, as people and programs see it: a sentence and a code, a page or problem details
//! (RFC 9457). Internals go to the log, once, here; the answer carries only a reference to them.

use std::any::Any;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error_context::Typed;
use super::page::{self, ErrorPage, Layout};
use super::step_up::StepUp;
use super::{Web, by_hand};
use crate::access::person::Demand;
use crate::broker::{ActError, Kind, Refused};

/// Why a request was not served.
#[derive(Debug)]
pub enum Error {
    /// Nobody is signed in.
    SignIn {
        /// Where to go on afterwards.
        next: String,
    },
    /// Curfew says no.
    Refused(Refused),
    /// Curfew says no until somebody has proved more; what they typed waits at `next`.
    Unproved {
        /// The no.
        refused: Refused,
        /// Where to go on afterwards.
        next: String,
    },
    /// An answer with this status.
    Status(StatusCode, &'static str, String),
    /// The database can't be reached just now.
    Unavailable(anyhow::Error),
    /// Something broke.
    Internal(anyhow::Error),
}

impl Error {
    /// An answer with this status, a code and a sentence.
    pub fn status(status: StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self::Status(status, code, text.into())
    }

    /// No such page, as far as this person may know.
    #[must_use]
    pub fn not_found() -> Self {
        Self::Refused(Refused::not_found())
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        let is_away = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<sqlx::Error>())
            .any(is_away);
        if is_away {
            Self::Unavailable(error)
        } else {
            Self::Internal(error)
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<ActError> for Error {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Refused(refused) => Self::Refused(refused),
            ActError::Failed(error) => error.into(),
        }
    }
}

/// Is it the database that is away (or overloaded), and not our question that is wrong?
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Tls(_) => true,
        // Class 08 connection, 53 resources, 57 operator intervention, 55P03 lock timeout, 25P03 idle in transaction.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08")
                || code.starts_with("53")
                || code.starts_with("57")
                || code == "55P03"
                || code == "25P03"
        }),
        _ => false,
    }
}

/// Code of [`Error::Unavailable`].
const DATABASE_AWAY: &str = "database_away";

/// What an error answer says; rendered by [`render`], which knows whether a person or a program asks.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) text: String,
    pub(super) fields: Vec<(String, String, String)>,
    /// The command that does by hand what can't be done here just now.
    pub(super) by_hand: Option<String>,
    /// What a sign-in would have to prove.
    pub(super) demand: Option<Demand>,
    /// How to prove it and come back.
    pub(super) step_up: Option<StepUp>,
}

impl Problem {
    /// Nothing can be read just now, not even who is signed in.
    pub(super) fn is_database_away(&self) -> bool {
        self.code == DATABASE_AWAY
    }
}

impl Error {
    /// The status, code and sentence that go out.
    pub(super) fn problem(&self) -> Problem {
        let plain = |status, code, text: &str| Problem {
            status,
            code,
            text: text.to_owned(),
            fields: Vec::new(),
            by_hand: None,
            demand: None,
            step_up: None,
        };
        match self {
            Self::SignIn { .. } => plain(StatusCode::UNAUTHORIZED, "signed_out", "Sign in first."),
            Self::Refused(refused) => Problem {
                status: match refused.kind {
                    Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
                    Kind::Conflict => StatusCode::CONFLICT,
                    Kind::Forbidden => StatusCode::FORBIDDEN,
                    Kind::NotFound => StatusCode::NOT_FOUND,
                    Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                },
                code: refused.code,
                text: refused.text.clone(),
                fields: refused
                    .fields
                    .iter()
                    .map(|error| {
                        (
                            error.field.to_owned(),
                            error.code.to_owned(),
                            error.text.clone(),
                        )
                    })
                    .collect(),
                by_hand: None,
                demand: refused.demand,
                step_up: None,
            },
            Self::Unproved { refused, next } => Problem {
                step_up: refused.demand.map(|demand| StepUp::new(demand, next)),
                ..Self::Refused(refused.clone()).problem()
            },
            Self::Status(status, code, text) => plain(*status, code, text),
            Self::Unavailable(error) => {
                tracing::warn!(error = format!("{error:#}"), "the database is away");
                let text = "Curfew's database can't be reached just now. Try again in a few seconds; if you were changing something, look first whether it was done.";
                plain(StatusCode::SERVICE_UNAVAILABLE, DATABASE_AWAY, text)
            }
            Self::Internal(error) => {
                let reference = reference();
                tracing::error!(reference, error = format!("{error:#}"), "a request failed");
                let text = format!(
                    "Something went wrong on our side. Try again; if it stays, tell your administrators the reference {reference}."
                );
                plain(StatusCode::INTERNAL_SERVER_ERROR, "internal", &text)
            }
        }
    }
}

/// A name for one failure, to be found in the log.
#[expect(
    clippy::disallowed_methods,
    reason = "a reference in the log is no id of the ledger and needs no order"
)]
fn reference() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..12].to_owned()
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let problem = self.problem();
        let mut response = problem.status.into_response();
        if let Self::SignIn { next } = self {
            response.extensions_mut().insert(SignInFirst { next });
        }
        response.extensions_mut().insert(problem);
        response
    }
}

/// Where somebody wanted to go who is not signed in.
#[derive(Clone, Debug)]
pub(super) struct SignInFirst {
    next: String,
}

/// Gives every error its body: problem details for programs, a page for people.
pub(super) async fn render(State(web): State<Web>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let is_program = path.starts_with("/api/");
    let is_get = request.method() == axum::http::Method::GET;
    let to_end = by_hand::wanted(&request);
    let response = next.run(request).await;
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return response;
    }
    if response.headers().contains_key(header::CONTENT_TYPE)
        && response.extensions().get::<Problem>().is_none()
        && is_ours(&response)
    {
        return response;
    }
    let typed = response.extensions().get::<Typed>();
    if let (false, None, Some(first)) = (
        is_program,
        typed,
        response.extensions().get::<SignInFirst>(),
    ) {
        let next = if is_get {
            first.next.clone()
        } else {
            page::way_back(&path).unwrap_or_else(|| "/".to_owned())
        };
        return Redirect::to(&page::login_url(&next)).into_response();
    }
    let mut problem = response
        .extensions()
        .get::<Problem>()
        .cloned()
        .unwrap_or_else(|| generic(response.status()));
    if let Some(id) = to_end.filter(|_| problem.is_database_away()) {
        problem.by_hand = by_hand::command(&web, id);
    }
    let mut rendered = if is_program {
        problem_details(&problem)
    } else {
        let layout = response.extensions().get::<Layout>().cloned();
        let layout = layout.unwrap_or_else(|| Layout::signed_out(&web));
        ErrorPage::of(layout, &problem, &path, typed).answer()
    };
    let headers = rendered.headers_mut();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        headers.insert(header::ALLOW, allow.clone());
    }
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    if is_program && problem.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if problem.status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    rendered
}

/// A page or JSON that a handler made for this status itself (a form with its errors, readiness).
fn is_ours(response: &Response) -> bool {
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    kind.starts_with("text/html") || kind.starts_with("application/json")
}

fn generic(status: StatusCode) -> Problem {
    let (code, text) = match status {
        StatusCode::NOT_FOUND => ("not_found", "There is no such page here."),
        StatusCode::METHOD_NOT_ALLOWED => (
            "method_not_allowed",
            "This address does not take that kind of request.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (
            "too_large",
            "That is more than Curfew reads at once (256 kB).",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "media_type",
            "The body has a content type that is not taken here.",
        ),
        _ if status.is_client_error() => ("bad_request", "The request could not be read."),
        _ => ("internal", "Something went wrong on our side. Try again."),
    };
    Problem {
        status,
        code,
        text: text.to_owned(),
        fields: Vec::new(),
        by_hand: None,
        demand: None,
        step_up: None,
    }
}

/// What went wrong (RFC 9457). Go by `code`, which is stable; `detail` is for people, and may change.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProblemDetails<'a> {
    /// Always `about:blank`: `code` says what it is.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong, and what to do next.
    detail: &'a str,
    code: &'static str,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem<'a>>,
    /// What must be proved before this can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<Needs>,
    /// The command that does by hand what can't be done here just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_hand: Option<&'a str>,
}

/// What somebody has to prove: sign in again with it.
#[derive(Debug, Serialize, ToSchema)]
struct Needs {
    /// `any`, `mfa` or `phishing_resistant`.
    assurance: &'static str,
    /// How long ago at most; null if that does not matter.
    max_age_minutes: Option<u32>,
}

/// What is wrong with one field.
#[derive(Debug, Serialize, ToSchema)]
struct FieldProblem<'a> {
    field: &'a str,
    code: &'a str,
    detail: &'a str,
}

fn problem_details(problem: &Problem) -> Response {
    let body = ProblemDetails {
        kind: "about:blank",
        title: problem.status.canonical_reason().unwrap_or("Error"),
        status: problem.status.as_u16(),
        detail: &problem.text,
        code: problem.code,
        errors: problem
            .fields
            .iter()
            .map(|(field, code, detail)| FieldProblem {
                field,
                code,
                detail,
            })
            .collect(),
        needs: problem.demand.map(|demand| Needs {
            assurance: demand.assurance.as_str(),
            max_age_minutes: demand.max_age_minutes,
        }),
        by_hand: problem.by_hand.as_deref(),
    };
    let kind = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    )];
    (problem.status, kind, Json(body)).into_response()
}

/// No route has this address.
pub(super) async fn no_such_page() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// A handler panicked: the others go on.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    Error::Internal(anyhow::anyhow!(
        "a handler panicked: {}",
        text.unwrap_or("no text")
    ))
    .into_response()
}
