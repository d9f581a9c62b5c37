//! The wire: AWS JSON 1.1 (and the query protocol for STS) over HTTP.
//!
//! A request passes, in this order: the signature's age, the rate limit, scripted faults, decoding,
//! its handler; then everything that its answer tells is put on disk, and only then does the answer
//! leave. All but the last step happen under one lock with one reading of the clock, so a request
//! is never judged young and then carried out late. Signatures themselves are not verified: the
//! sandbox has no secrets.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::faults::Effect;
use super::input::{Fields, Input};
use super::refusal::Refusal;
use super::state::State as Memory;
use super::{Inner, Sandbox, directory, idc, operations, organization, signature, sts};

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

    fn method(self, operation: &str) -> Option<Method> {
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

/// What becomes of a call.
enum Outcome {
    Done(Value),
    Refused(Refusal),
    /// The connection closes instead of an answer. The text says what happened, for the list of
    /// calls.
    Lost(&'static str),
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
    let (service, outcome, version) = sandbox.0.lock().call(&head.headers, &body);
    let saved = sandbox.durable(version).await;
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
        Outcome::Lost(_) => lost(),
    }
}

impl Inner {
    /// Takes one call as far as its answer; also says which version of the state the answer tells
    /// of.
    fn call(&mut self, headers: &HeaderMap, body: &Bytes) -> (Service, Outcome, u64) {
        let now = self.clock.now();
        operations::settle(&mut self.state, now);
        let signed = signature::check(headers, now, self.settings.settle_seconds);
        let (service, operation, map) = match route(headers, body) {
            Ok(route) => route,
            Err(refusal) => {
                let refusal = signed.err().unwrap_or(refusal);
                return (
                    Service::SsoAdmin,
                    Outcome::Refused(refusal),
                    self.state.version(),
                );
            }
        };
        let outcome = match (signed, service.method(&operation)) {
            (Err(refusal), _) if service == Service::Sts => Outcome::Refused(refusal.status(403)),
            (Err(refusal), _) => Outcome::Refused(refusal),
            (Ok(()), None) => Outcome::Refused(Refusal::unknown_operation()),
            (Ok(()), Some(method)) => self.run(now, service, method, map.as_ref()),
        };
        let word = match &outcome {
            Outcome::Done(_) => "ok",
            Outcome::Refused(refusal) => refusal.code,
            Outcome::Lost(word) => word,
        };
        self.record(now, service.name(), &operation, word, map.as_ref().ok());
        self.state.prune(now);
        (service, outcome, self.state.version())
    }

    fn run(
        &mut self,
        now: DateTime<Utc>,
        service: Service,
        (operation, handler): Method,
        map: Result<&Map<String, Value>, &Refusal>,
    ) -> Outcome {
        let bucket = match service {
            Service::SsoAdmin => Some(&mut self.sso_admin_calls),
            Service::IdentityStore => Some(&mut self.identity_store_calls),
            Service::Organizations | Service::Sts => None,
        };
        if bucket.is_some_and(|bucket| !bucket.take(now, self.settings.calls_per_second)) {
            return Outcome::Refused(service.throttled("Rate exceeded"));
        }
        let (mut planned_failure, mut lose_answer) = (None, false);
        match self
            .faults
            .next(operation)
            .map(|fault| fault.effect(service))
        {
            None => {}
            Some(Effect::Refuse(refusal)) => return Outcome::Refused(refusal),
            Some(Effect::LoseBefore) => return Outcome::Lost("lost before"),
            Some(Effect::LoseAfter) => lose_answer = true,
            Some(Effect::FailLater(failure)) => planned_failure = Some(failure),
        }
        let map = match map {
            Ok(map) => map,
            Err(refusal) => return Outcome::Refused(refusal.clone()),
        };
        let input = Input {
            service,
            operation,
            now,
            settings: &self.settings,
            planned_failure,
            fields: Fields { service, map },
        };
        let result = match handler {
            Handler::Read(read) => read(&self.state, &input),
            Handler::Act(act) => act(&mut self.state, &input),
        };
        if let (Err(_), Some(failure)) = (&result, input.planned_failure) {
            self.faults.put_back(operation, failure);
        }
        match result {
            _ if lose_answer => Outcome::Lost("lost after"),
            Ok(value) => Outcome::Done(value),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }
}

/// A call's service, its operation and its fields (or why they can't be read).
pub(super) type Route = (Service, String, Result<Map<String, Value>, Refusal>);

fn route(headers: &HeaderMap, body: &Bytes) -> Result<Route, Refusal> {
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
