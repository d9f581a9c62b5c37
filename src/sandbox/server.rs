//! The wire: AWS JSON 1.1 (and the query protocol for STS) over HTTP.
//!
//! What a call comes to is worked out in `calls`; then everything that its answer tells is put on
//! disk, and only then does the answer leave, if a fault does not swallow it.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::calls::{Outcome, Taken};
use super::input::Input;
use super::line::Line;
use super::refusal::Refusal;
use super::state::State as Memory;
use super::{Sandbox, directory, idc, operations, organization, sts};

const BODY_LIMIT: usize = 1024 * 1024;

/// A service that the sandbox stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    SsoAdmin,
    IdentityStore,
    Organizations,
    Sts,
}

impl Service {
    fn from_target(prefix: &str) -> Option<Self> {
        match prefix {
            "SWBExternalService" => Some(Self::SsoAdmin),
            "AWSIdentityStore" => Some(Self::IdentityStore),
            "AWSOrganizationsV20161128" => Some(Self::Organizations),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SsoAdmin => "sso-admin",
            Self::IdentityStore => "identitystore",
            Self::Organizations => "organizations",
            Self::Sts => "sts",
        }
    }

    pub(super) fn methods(self) -> &'static [&'static [Method]] {
        match self {
            Self::SsoAdmin => &[idc::METHODS, operations::METHODS],
            Self::IdentityStore => &[directory::METHODS],
            Self::Organizations => &[organization::METHODS],
            Self::Sts => &[sts::METHODS],
        }
    }

    pub(super) fn method(self, operation: &str) -> Option<Method> {
        self.methods()
            .iter()
            .copied()
            .flatten()
            .find(|(name, _)| *name == operation)
            .copied()
    }

    pub(super) fn throttled(self, message: &str) -> Refusal {
        match self {
            Self::Organizations => Refusal::new("TooManyRequestsException", message)
                .with("Type", "RATE_LIMIT_EXCEEDED"),
            _ => Refusal::new("ThrottlingException", message),
        }
    }

    pub(super) fn internal(self, message: &str) -> Refusal {
        let code = if self == Self::Organizations {
            "ServiceException"
        } else {
            "InternalServerException"
        };
        Refusal::new(code, message).status(500)
    }

    pub(super) fn invalid(self, message: impl Into<String>) -> Refusal {
        match self {
            Self::Organizations => {
                Refusal::new("InvalidInputException", message).with("Reason", "INVALID_PATTERN")
            }
            _ => Refusal::new("ValidationException", message),
        }
    }

    pub(super) fn invalid_token(self) -> Refusal {
        match self {
            Self::Organizations => Refusal::new(
                "InvalidInputException",
                "You specified an invalid value for NextToken.",
            )
            .with("Reason", "INVALID_PAGINATION_TOKEN"),
            _ => self.invalid("The provided NextToken is invalid."),
        }
    }
}

/// Carries out one call.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// Looks, and changes nothing.
    Read(fn(&Memory, &Input<'_>) -> Result<Value, Refusal>),
    /// Changes the state.
    Act(fn(&mut Memory, &Input<'_>) -> Result<Value, Refusal>),
}

/// An operation's name and what carries it out.
pub(super) type Method = (&'static str, Handler);

/// True if some service has an operation of this name.
pub(super) fn is_known(operation: &str) -> bool {
    [
        Service::SsoAdmin,
        Service::IdentityStore,
        Service::Organizations,
        Service::Sts,
    ]
    .iter()
    .any(|service| service.method(operation).is_some())
}

pub(super) async fn answer(
    State(sandbox): State<Sandbox>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        let refusal =
            Refusal::new("RequestEntityTooLargeException", "Request body too large").status(413);
        return Envelope::new(sandbox.now()).refuse(Service::SsoAdmin, &refusal);
    };
    let Taken {
        service,
        outcome,
        version,
        latency,
    } = sandbox.0.lock().call(&head.headers, &body);
    let saved = sandbox.durable(version).await;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let envelope = Envelope::new(sandbox.now());
    if let Err(error) = saved {
        tracing::error!(
            error = format!("{error:#}"),
            "the sandbox cannot keep its state"
        );
        return envelope.refuse(
            service,
            &service.internal("The sandbox cannot write its state file."),
        );
    }
    match outcome {
        Outcome::Done(value) => envelope.answer(service, &value),
        Outcome::Refused(refusal) => envelope.refuse(service, &refusal),
        Outcome::Lost { is_reset, .. } => {
            if let (true, Some(ConnectInfo(line))) =
                (is_reset, head.extensions.get::<ConnectInfo<Line>>())
            {
                line.reset_on_close();
            }
            lost()
        }
    }
}

/// A call's service, its operation and its fields (or why they can't be read).
pub(super) type Route = (Service, String, Result<Map<String, Value>, Refusal>);

pub(super) fn route(headers: &HeaderMap, body: &Bytes) -> Result<Route, Refusal> {
    let Some(target) = headers.get("x-amz-target") else {
        return sts::route(body).ok_or_else(Refusal::unknown_operation);
    };
    let (prefix, operation) = target
        .to_str()
        .ok()
        .and_then(|target| target.split_once('.'))
        .ok_or_else(Refusal::unknown_operation)?;
    let service = Service::from_target(prefix).ok_or_else(Refusal::unknown_operation)?;
    let map = serde_json::from_slice(body)
        .map_err(|_| Refusal::unreadable("The request body is not a JSON object."));
    Ok((service, operation.to_owned(), map))
}

/// What every answer carries beside its body.
struct Envelope {
    request_id: String,
    /// The sandbox's time and not the computer's: SDKs set their signing clock by it.
    date: String,
}

impl Envelope {
    fn new(now: DateTime<Utc>) -> Self {
        // No seed reproduces an answer's own id, and nothing depends on it.
        #[expect(
            clippy::disallowed_methods,
            reason = "the sandbox stands for AWS, which makes ids of its own"
        )]
        let request_id = uuid::Uuid::new_v4().to_string();
        Self {
            request_id,
            date: now.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        }
    }

    fn answer(&self, service: Service, value: &Value) -> Response {
        let body = if service == Service::Sts {
            sts::xml(value, &self.request_id)
        } else {
            value.to_string()
        };
        self.respond(service, StatusCode::OK, body)
    }

    fn refuse(&self, service: Service, refusal: &Refusal) -> Response {
        let status =
            StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = match service {
            Service::Sts => sts::xml_error(refusal, &self.request_id),
            _ => refusal
                .body(&self.request_id, service == Service::IdentityStore)
                .to_string(),
        };
        self.respond(service, status, body)
    }

    fn respond(&self, service: Service, status: StatusCode, body: String) -> Response {
        let content_type = if service == Service::Sts {
            "text/xml"
        } else {
            "application/x-amz-json-1.1"
        };
        Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::DATE, &self.date)
            .header("x-amzn-RequestId", &self.request_id)
            .body(Body::from(body))
            .expect("a status, plain headers and a body always make a response")
    }
}

/// A response that fails before its first byte, upon which hyper closes the connection: the caller
/// sees no answer at all.
fn lost() -> Response {
    let never = std::io::Error::new(
        std::io::ErrorKind::ConnectionAborted,
        "a scripted fault lost this answer",
    );
    Response::new(Body::from_stream(futures_util::stream::once(
        std::future::ready(Err::<Bytes, _>(never)),
    )))
}

/// A point in time as AWS JSON writes it: epoch seconds with a fraction.
pub(super) fn epoch(time: DateTime<Utc>) -> Value {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of this millennium fit a double exactly"
    )]
    let seconds = time.timestamp_millis() as f64 / 1000.0;
    json!(seconds)
}
