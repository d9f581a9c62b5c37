//! `/api/v1/operations/recovery`: what a loss of commits left behind, as the page shows it.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::TimeDelta;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::id::FindingId;
use crate::access::recovery::{Decision, Recovery};
use crate::audit::event::timestamp;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::FindingPath;
use crate::http::openapi::words;
use crate::http::pages::recovery::{Known, Line};
use crate::http::session::SignedIn;

/// Whether the database lost commits, and what was found.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RecoveryState {
    /// Null: nothing is to be mended.
    #[schema(required)]
    recovery: Option<RecoveryJson>,
    /// The undecided first, 200 at most.
    findings: Vec<FindingJson>,
}

/// A loss of commits. No access is given until it is confirmed as mended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recovery)]
struct RecoveryJson {
    #[schema(format = DateTime)]
    begun_at: String,
    /// The last event that somebody had seen and that is gone.
    remembered_seq: i64,
    /// The last event that the database had then.
    found_seq: i64,
    /// When the last complete round of the sweep began.
    #[schema(required, format = DateTime)]
    swept_at: Option<String>,
    /// From then on nothing that was sent before the loss can take effect.
    #[schema(format = DateTime)]
    settled_at: String,
    #[schema(format = DateTime)]
    next_round_at: String,
    /// A complete round began after everything had settled: it may be confirmed once all findings are decided.
    is_swept: bool,
}

impl RecoveryJson {
    fn of(recovery: &Recovery, settle: TimeDelta) -> Self {
        Self {
            begun_at: timestamp(recovery.begun_at),
            remembered_seq: recovery.remembered_seq,
            found_seq: recovery.found_seq,
            swept_at: recovery.swept_at.map(timestamp),
            settled_at: timestamp(recovery.settled_at(settle)),
            next_round_at: timestamp(recovery.next_round_at(settle)),
            is_swept: recovery.is_swept(settle),
        }
    }
}

/// An assignment of a guarded permission set that the ledger can't explain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Finding)]
struct FindingJson {
    #[schema(value_type = Uuid)]
    id: FindingId,
    /// The `UserId`, as the identity store writes it.
    user_id: String,
    /// An e-mail address, or the `UserId` of somebody whom the directory does not know.
    person: String,
    account_id: String,
    account_name: String,
    permission_set: String,
    permission_set_arn: String,
    #[schema(format = DateTime)]
    first_seen_at: String,
    #[schema(format = DateTime)]
    last_seen_at: String,
    #[schema(required, schema_with = words::finding_decision_or_null)]
    decision: Option<&'static str>,
}

impl From<Line> for FindingJson {
    fn from(line: Line) -> Self {
        Self {
            id: line.finding.id,
            person: line.person,
            account_name: line.account_name,
            permission_set: line.permission_set,
            first_seen_at: timestamp(line.finding.first_seen_at),
            last_seen_at: timestamp(line.finding.last_seen_at),
            decision: line.finding.decision.map(Decision::as_str),
            user_id: line.finding.user_id,
            account_id: line.finding.account_id,
            permission_set_arn: line.finding.permission_set_arn,
        }
    }
}

async fn state(web: &Web) -> Result<Response, Error> {
    let known = Known::read(web).await?;
    let settle = web.broker().settings.arrives_within();
    let state = RecoveryState {
        recovery: known
            .recovery
            .map(|recovery| RecoveryJson::of(&recovery, settle)),
        findings: known.findings.into_iter().map(FindingJson::from).collect(),
    };
    Ok(axum::Json(state).into_response())
}

/// Whether the database lost commits, and what was found
///
/// For administrators and auditors.
#[utoipa::path(
    get, path = "/api/v1/operations/recovery", tag = "operations", operation_id = "get_recovery",
    responses((status = 200, description = "How it stands", body = RecoveryState)),
)]
pub(in crate::http) async fn show(State(web): State<Web>) -> Result<Response, Error> {
    state(&web).await
}

/// Keep what was found
///
/// For administrators. The assignment stands, and is not Curfew's.
#[utoipa::path(
    post, path = "/api/v1/operations/recovery/findings/{id}/keep", tag = "operations",
    operation_id = "keep_finding",
    params(("id" = Uuid, Path, description = "The finding")),
    responses((status = 200, description = "How it stands now", body = RecoveryState)),
)]
pub(in crate::http) async fn keep(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    FindingPath(id): FindingPath,
) -> Result<Response, Error> {
    web.broker().decide_finding(&by, id, Decision::Keep).await?;
    state(&web).await
}

/// Remove what was found
///
/// For administrators. The assignment becomes Curfew's, which deletes it and confirms that it is gone.
#[utoipa::path(
    post, path = "/api/v1/operations/recovery/findings/{id}/remove", tag = "operations",
    operation_id = "remove_finding",
    params(("id" = Uuid, Path, description = "The finding")),
    responses((status = 200, description = "How it stands now", body = RecoveryState)),
)]
pub(in crate::http) async fn remove(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    FindingPath(id): FindingPath,
) -> Result<Response, Error> {
    web.broker()
        .decide_finding(&by, id, Decision::Remove)
        .await?;
    state(&web).await
}

/// Confirm that what was lost is mended
///
/// For administrators, once Identity Center was looked through and every finding is decided. Access may be
/// given again.
#[utoipa::path(
    post, path = "/api/v1/operations/recovery/confirm", tag = "operations", operation_id = "confirm_recovery",
    responses((status = 200, description = "How it stands now", body = RecoveryState)),
)]
pub(in crate::http) async fn confirm(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
) -> Result<Response, Error> {
    web.broker().confirm_recovery(&by).await?;
    state(&web).await
}
