//! How AWS says no: one type for every synchronous error, and the texts that several services
//! share.
//!
//! Asynchronous failures (`FailureReason`) are not refusals; they live in `operations`.

use serde_json::{Map, Value, json};

/// A synchronous error answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Members beside `Message`: `Reason`, `ResourceType`, …
    pub(super) more: Map<String, Value>,
}

impl Refusal {
    /// An error of the caller (HTTP 400), which is how AWS JSON 1.1 reports every modelled
    /// exception but internal ones.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code,
            message: message.into(),
            more: Map::new(),
        }
    }

    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(super) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.more.insert(member.to_owned(), value.into());
        self
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", message)
    }

    pub(super) fn conflict() -> Self {
        Self::new(
            "ConflictException",
            "There is a conflicting operation in process.",
        )
    }

    pub(super) fn unknown_operation() -> Self {
        Self::new("UnknownOperationException", "")
    }

    pub(super) fn unreadable(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }

    /// The body of an AWS JSON 1.1 error.
    pub(super) fn body(&self, request_id: &str, tell_request_id: bool) -> Value {
        let mut body = json!({"__type": self.code});
        let members = body
            .as_object_mut()
            .expect("it was written as an object on the line above");
        if !self.message.is_empty() {
            members.insert("Message".to_owned(), json!(self.message));
        }
        if tell_request_id {
            members.insert("RequestId".to_owned(), json!(request_id));
        }
        members.extend(self.more.clone());
        body
    }
}
