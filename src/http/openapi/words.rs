//! Schemas of fields that hold one of a few words, or text that must read as a number: made from the
//! domain's own lists, which know nothing of OpenAPI.

use utoipa::openapi::schema::{Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};

use crate::access::decision::Verdict;
use crate::access::grant::{EndReason, GrantStatus};
use crate::access::person::Assurance;
use crate::access::recovery;
use crate::access::request::RequestStatus;

fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .build()
}

fn one_of_or_null<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words.into_iter().map(Some).chain([None])))
        .build()
}

fn number(from: i64, to: i64) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(from))
        .maximum(Some(to))
        .build()
}

pub(in crate::http) fn request_status() -> Object {
    one_of(RequestStatus::ALL.map(RequestStatus::as_str))
}

pub(in crate::http) fn grant_status() -> Object {
    one_of(GrantStatus::ALL.map(GrantStatus::as_str))
}

pub(in crate::http) fn end_reason_or_null() -> Object {
    one_of_or_null(EndReason::ALL.map(EndReason::as_str))
}

pub(in crate::http) fn verdict() -> Object {
    one_of([Verdict::Yes, Verdict::No].map(Verdict::as_str))
}

pub(in crate::http) fn assurance() -> Object {
    let all = [Assurance::Any, Assurance::Mfa, Assurance::PhishingResistant];
    one_of(all.map(Assurance::as_str))
}

pub(in crate::http) fn finding_decision_or_null() -> Object {
    let all = [recovery::Decision::Keep, recovery::Decision::Remove];
    one_of_or_null(all.map(recovery::Decision::as_str))
}

pub(in crate::http) fn flag() -> Object {
    one_of(["true", "false"])
}

pub(in crate::http) fn requests_a_page() -> Object {
    number(1, crate::http::api::MOST_REQUESTS)
}

pub(in crate::http) fn events_a_page() -> Object {
    number(1, crate::http::api::audit::MOST_EVENTS)
}

pub(in crate::http) fn sequence_number() -> Object {
    number(0, i64::MAX)
}

/// A whole number, or the same as text.
pub(in crate::http) fn minutes() -> Schema {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[1-9][0-9]{0,8}$"))
        .build();
    OneOfBuilder::new()
        .description(Some(
            "How long, at most what the rule allows: a whole number, or the same as text.",
        ))
        .item(number(1, i64::from(i32::MAX)))
        .item(text)
        .build()
        .into()
}
