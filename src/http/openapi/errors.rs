//! Every error of every operation: the status and the codes that may come with it.
//!
//! The suite fails when an answer has a status or a code that does not stand here.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use utoipa::ToSchema as _;

use crate::broker::role::without;
use crate::http::error::ProblemDetails;
use crate::http::routes::{Entry, Who};

/// What the general errors of an operation depend on.
pub(super) struct Operation<'a> {
    pub(super) entry: &'a Entry,
    pub(super) id: &'a str,
    pub(super) has_body: bool,
    pub(super) has_query: bool,
    pub(super) has_path: bool,
}

type Codes = &'static [(u16, &'static [&'static str])];

/// What somebody who would give access or ask for it must have proved.
const TOO_WEAK: &[&str] = &["assurance_too_weak", "sign_in_too_old"];

/// The errors of one operation alone.
fn of(operation: &str) -> Codes {
    match operation {
        "submit_request" => &[
            (403, &["disabled"]),
            (
                409,
                &[
                    "already_open",
                    "nobody_can_approve",
                    "no_policy",
                    "paused",
                    "recovering",
                    "rule_suspended",
                    "too_many_open",
                ],
            ),
            (
                422,
                &[
                    "account_closed",
                    "account_outside_rule",
                    "forbidden_character",
                    "minutes_invalid",
                    "minutes_out_of_range",
                    "permission_set_missing",
                    "reason_too_long",
                    "reason_too_short",
                    "ticket_malformed",
                    "ticket_required",
                    "unknown_account",
                    "unknown_rule",
                ],
            ),
            (503, &["directory_stale"]),
        ],
        "approve_request" => &[
            (
                403,
                &[
                    "disabled",
                    "identity_changed",
                    "not_an_approver",
                    "self_approval",
                ],
            ),
            (
                409,
                &[
                    "already_closed",
                    "already_decided",
                    "over_max_minutes",
                    "paused",
                    "recovering",
                    "rule_gone",
                    "target_gone",
                ],
            ),
            (422, &["comment_too_long", "forbidden_character"]),
            (503, &["busy", "directory_unreachable"]),
        ],
        "deny_request" => &[
            (403, &["disabled", "not_an_approver", "self_approval"]),
            (409, &["already_closed", "already_decided", "rule_gone"]),
            (422, &["comment_too_long", "forbidden_character"]),
        ],
        "cancel_request" => &[
            (403, &["not_the_requester"]),
            (409, &["already_closed", "already_over", "no_grant"]),
            (422, &["comment_too_long", "forbidden_character"]),
        ],
        "end_grant" => &[
            (403, &["not_concerned"]),
            (409, &["already_over", "no_grant"]),
        ],
        "close_grant" => &[
            (
                409,
                &[
                    "already_over",
                    "no_grant",
                    "not_confirmed_gone",
                    "not_ending",
                ],
            ),
            (
                422,
                &["comment_missing", "comment_too_long", "forbidden_character"],
            ),
        ],
        "pause" => &[(409, &["already_paused"]), (422, &["comment_missing"])],
        "resume" => &[(409, &["not_paused"]), (422, &["comment_missing"])],
        "end_everything" => &[(422, &["comment_missing"])],
        "keep_finding" | "remove_finding" => &[(409, &["no_open_finding"])],
        "confirm_recovery" => &[(409, &["no_recovery", "not_swept", "undecided_findings"])],
        _ => &[],
    }
}

/// The operations that ask how somebody proved who they are.
fn asks_for_assurance(operation: &str) -> bool {
    ["submit_request", "approve_request", "deny_request"].contains(&operation)
}

/// Ends, and what gives nobody access, are never held back (promise P6).
fn is_limited(operation: &str) -> bool {
    !["deny_request", "cancel_request", "end_grant"].contains(&operation)
}

/// The errors of an operation, by status.
fn codes(operation: &Operation<'_>) -> BTreeMap<u16, BTreeSet<&'static str>> {
    let entry = operation.entry;
    let mut codes: BTreeMap<u16, BTreeSet<&'static str>> = BTreeMap::new();
    let mut add = |applies: bool, status: u16, more: &[&'static str]| {
        if applies {
            codes.entry(status).or_default().extend(more);
        }
    };
    add(true, 400, &["unreadable"]);
    add(true, 408, &["too_slow"]);
    add(true, 413, &["too_large"]);
    add(true, 500, &["internal"]);
    let is_for_people = entry.who != Who::Everybody;
    add(is_for_people, 400, &["invalid_request", "two_sessions"]);
    add(is_for_people, 401, &["invalid_token", "signed_out"]);
    add(
        is_for_people && is_limited(operation.id),
        429,
        &["too_many_requests"],
    );
    add(is_for_people, 503, &["database_away", "issuer_away"]);
    add(
        !entry.who.roles().is_empty(),
        403,
        &[without(entry.who.roles())],
    );
    let takes_tokens = entry.scope.is_some();
    add(is_for_people && !takes_tokens, 403, &["session_needed"]);
    add(takes_tokens, 403, &["insufficient_scope"]);
    let changes_something = entry.method != Method::GET;
    add(changes_something, 403, &["cross_site"]);
    add(takes_tokens && changes_something, 403, &["machine_token"]);
    add(operation.has_query, 400, &["malformed_query"]);
    add(operation.has_path, 404, &["not_found"]);
    add(operation.has_body, 400, &["malformed_json", "not_utf8"]);
    add(operation.has_body, 415, &["media_type"]);
    add(operation.has_body, 422, &["malformed_fields"]);
    if asks_for_assurance(operation.id) {
        // In a session and by a token (RFC 9470).
        add(true, 403, TOO_WEAK);
        add(true, 401, TOO_WEAK);
    }
    for (status, of_its_own) in of(operation.id) {
        add(true, *status, of_its_own);
    }
    codes
}

/// The errors of an operation, as its answers in the document.
pub(super) fn answers(operation: &Operation<'_>) -> Map<String, Value> {
    codes(operation)
        .into_iter()
        .map(|(status, codes)| (status.to_string(), answer(status, &codes)))
        .collect()
}

fn answer(status: u16, codes: &BTreeSet<&'static str>) -> Value {
    let title = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    let problem = format!("#/components/schemas/{}", ProblemDetails::name());
    let mut answer = json!({
        "description": title,
        "content": {"application/problem+json": {"schema": {"allOf": [
            {"$ref": problem},
            {"properties": {"status": {"const": status}, "code": {"enum": codes}}},
        ]}}},
    });
    let header = match status {
        401 => "www-authenticate",
        429 | 503 => "retry-after",
        _ => return answer,
    };
    answer["headers"] = json!({header: {"required": true, "schema": {"type": "string"}}});
    answer
}
