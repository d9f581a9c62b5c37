//! What an answer of AWS means. The table behind it is Identity Center's real behaviour: which
//! errors are definite, and which leave open whether the call had its effect.

use aws_sdk_ssoadmin::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::permit::PermitExpired;
use crate::access::text::from_outside;

/// What became of a create or delete that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Identity Center took it and works on it.
    Accepted {
        /// `RequestId` to ask for.
        aws_id: String,
        /// It was done already.
        outcome: Option<Outcome>,
    },
    /// Definitely not taken.
    Refused {
        /// What kind of no.
        refusal: Refusal,
        /// In AWS's words, cleaned.
        detail: String,
    },
    /// No definite answer: it may have had its effect, or may still have it.
    Unknown {
        /// What went wrong, cleaned.
        detail: String,
    },
}

/// Kinds of definite refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many calls or operations; everybody should slow down.
    Throttled,
    /// Another operation on the same account and permission set is in flight.
    Conflict,
    /// What it is about does not exist.
    Missing,
    /// Asking again will not help: not allowed, malformed, over a quota.
    Permanent,
    /// It never left this process, or was refused before anything looked at it.
    NotSent,
}

/// How an asynchronous operation ended, by its own word. The text proves nothing (protocol G1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `SUCCEEDED`
    Succeeded,
    /// `FAILED`, with the reason, cleaned.
    Failed(String),
}

/// Where an asynchronous operation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// `IN_PROGRESS`
    Pending,
    /// It is over.
    Done(Outcome),
    /// Identity Center does not know it (any more).
    Forgotten,
}

/// A call for information that failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct CallFailed {
    /// Too many calls; everybody should slow down.
    pub is_throttled: bool,
    /// In AWS's words, cleaned.
    pub detail: String,
}

/// The meaning of an error of a create or delete.
pub fn refused<E>(error: &SdkError<E, HttpResponse>) -> Answer
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let detail = text(error);
    if was_not_sent(error) {
        return Answer::Refused {
            refusal: Refusal::NotSent,
            detail,
        };
    }
    let refusal = match error {
        SdkError::ServiceError(service) => {
            match (service.err().code(), service.raw().status().as_u16()) {
                // A fault of the service says nothing about whether the effect happened.
                (_, 500..) | (Some("InternalServerException") | None, _) => {
                    return Answer::Unknown { detail };
                }
                (Some(code), _) if is_throttle(code) => Refusal::Throttled,
                (Some("ConflictException"), _) => Refusal::Conflict,
                (Some("ResourceNotFoundException"), _) => Refusal::Missing,
                (
                    Some("InvalidSignatureException" | "ExpiredTokenException" | "RequestExpired"),
                    _,
                ) => Refusal::NotSent,
                (Some(_), _) => Refusal::Permanent,
            }
        }
        SdkError::ConstructionFailure(_) => Refusal::NotSent,
        _ => return Answer::Unknown { detail },
    };
    Answer::Refused { refusal, detail }
}

fn is_throttle(code: &str) -> bool {
    [
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
    ]
    .contains(&code)
}

/// Did our own permit stop it at the last moment?
fn was_not_sent<E: std::error::Error + 'static>(error: &SdkError<E, HttpResponse>) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.is::<PermitExpired>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The meaning of an error of a call for information.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what `map_err` hands over"
)]
pub fn describe<E>(error: SdkError<E, HttpResponse>) -> CallFailed
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let is_throttled = error.code().is_some_and(is_throttle);
    CallFailed {
        is_throttled,
        detail: text(&error),
    }
}

/// AWS's own code and message, or what the connection said.
fn text<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let said = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => {
            let mut parts = Vec::new();
            let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
            while let Some(error) = source {
                parts.push(error.to_string());
                source = error.source();
            }
            parts.join(": ")
        }
    };
    from_outside(&said)
}
