//! The control API under `/_sandbox/`: what is assigned and what was called, faults, hands, settings.
//!
//! For scripts and for people who try things; tests in this crate use the same functions directly. It
//! answers only to a loopback `Host`, and to nothing that a browser sends on behalf of a page: who
//! opens a web page must not hand it the keys to the sandbox. JSON in and out, an unknown key is an
//! error that names it, and every list is bounded. `docs/sandbox.md` documents it.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::faults::{Rate, Scripted, Window};
use super::hands::Edit;
use super::settings::Settings;
use super::state::{Operation, OperationStatus};
use super::world::{Assignment, PrincipalType};
use super::{Inner, Sandbox};

/// Longest body that is read.
const BODY_LIMIT: usize = 64 * 1024;
/// Most rows of one answer.
const ROWS: usize = 10_000;

pub(super) fn routes() -> Router<Sandbox> {
    Router::new()
        .route(
            "/assignments",
            get(assignments)
                .post(|sandbox, body| change(sandbox, body, Edit::AddAssignment))
                .delete(|sandbox, body| change(sandbox, body, Edit::RemoveAssignment)),
        )
        .route("/calls", get(calls))
        .route("/operations", get(operations))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/rates", post(set_rates))
        .route("/windows", post(open_window))
        .route(
            "/hands",
            post(|sandbox, body| change(sandbox, body, |edit: Edit| edit)),
        )
        .route("/settings", get(settings).put(set_settings))
        .fallback(async || Problem(StatusCode::NOT_FOUND, "there is nothing here".to_owned()))
        .method_not_allowed_fallback(async || {
            Problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "not by this method".to_owned(),
            )
        })
        .layer(from_fn(only_from_here))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

/// Why something can't be done.
struct Problem(StatusCode, String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, format!("{error:#}"))
    }
}

type Answer = Result<Json<Value>, Problem>;

/// A page elsewhere that a browser opens may send requests to this machine; it can't leave these
/// headers out, nor choose `Host`.
async fn only_from_here(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let by_page = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    if by_page || !is_loopback(headers) {
        let why =
            "only for programs on this machine: a loopback Host, and no Origin or Sec-Fetch-Site";
        return Problem(StatusCode::FORBIDDEN, why.to_owned()).into_response();
    }
    next.run(request).await
}

fn is_loopback(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<axum::http::uri::Authority>().ok());
    authority.is_some_and(|authority| {
        let host = authority.host().trim_matches(['[', ']']);
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

/// What was sent, or why it could not be had.
type Body = Result<Bytes, BytesRejection>;

fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let bytes = body.map_err(|why| Problem(why.status(), why.body_text()))?;
    serde_json::from_slice(&bytes).map_err(|error| unfit(&error))
}

fn unfit(error: &serde_json::Error) -> Problem {
    Problem(StatusCode::BAD_REQUEST, error.to_string())
}

fn done() -> Json<Value> {
    Json(json!({"ok": true}))
}

/// One row for each, the first `ROWS` of them.
fn rows<T>(items: impl IntoIterator<Item = T>, show: impl Fn(T) -> Value) -> Vec<Value> {
    items.into_iter().take(ROWS).map(show).collect()
}

fn about(inner: &Inner, assignment: &Assignment) -> Value {
    let world = &inner.state.world;
    let Assignment {
        account_id,
        permission_set_arn,
        principal_type,
        principal_id,
    } = assignment;
    let principal = match principal_type {
        PrincipalType::User => world.user(principal_id).map(|user| &user.user_name),
        PrincipalType::Group => world.group(principal_id).map(|group| &group.name),
    };
    json!({
        "account_id": account_id,
        "account": world.account(account_id).map(|account| &account.name),
        "permission_set_arn": permission_set_arn,
        "permission_set": world.permission_set(permission_set_arn).map(|set| &set.name),
        "principal_type": principal_type.as_str(),
        "principal_id": principal_id,
        "principal": principal,
    })
}

async fn assignments(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(sandbox.look(|inner| {
        let show = |assignment: &Assignment| {
            let mut row = about(inner, assignment);
            let Assignment {
                account_id,
                permission_set_arn,
                ..
            } = assignment;
            row["role"] = json!(inner.state.role_name(account_id, permission_set_arn));
            row
        };
        json!({"assignments": rows(&inner.state.world.assignments, show)})
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    /// Calls at or after this time.
    since: Option<DateTime<Utc>>,
    /// Calls with a higher number.
    after: Option<u64>,
}

async fn calls(
    State(sandbox): State<Sandbox>,
    range: Result<Query<Since>, QueryRejection>,
) -> Answer {
    let Query(Since { since, after }) =
        range.map_err(|why| Problem(StatusCode::BAD_REQUEST, why.body_text()))?;
    Ok(Json(sandbox.look(|inner| {
        let numbered = (inner.forgotten + 1..).zip(&inner.calls);
        let wanted = numbered.filter(|(number, call)| {
            after.is_none_or(|after| *number > after) && since.is_none_or(|since| call.at >= since)
        });
        let show = |(number, call): (u64, &super::Call)| {
            json!({
                "number": number,
                "at": call.at,
                "service": call.service,
                "operation": call.operation,
                "outcome": call.outcome,
                "is_late": call.is_late,
                "ids": call.ids,
            })
        };
        json!({"calls": rows(wanted, show)})
    })))
}

async fn operations(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(sandbox.look(|inner| {
        let show = |operation: &Operation| {
            let mut row = about(inner, &operation.assignment);
            row["request_id"] = json!(operation.request_id);
            row["kind"] = json!(operation.kind);
            row["status"] = json!(operation.status.as_str());
            row["created_at"] = json!(operation.created_at);
            row["ends_at"] = json!(operation.ends_at);
            if let OperationStatus::Failed(reason) = &operation.status {
                row["failure_reason"] = json!(reason);
            }
            row
        };
        json!({"operations": rows(inner.state.operations.values().rev(), show)})
    }))
}

async fn faults(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(sandbox.look(|inner| {
        let waiting = rows(inner.faults.waiting(), |(operation, fault)| {
            json!({"operation": operation, "fault": fault})
        });
        let windows = rows(inner.faults.windows(inner.clock.now()), |(from, until, window)| {
            json!({"from": from, "until": until, "fault": window.fault, "operations": window.operations})
        });
        let late = rows(&inner.state.late, |late| {
            json!({"operation": late.operation, "signed_at": late.signed_at, "arrives_at": late.arrives_at})
        });
        json!({"waiting": waiting, "rates": inner.faults.rates(), "windows": windows, "late": late})
    }))
}

async fn add_fault(State(sandbox): State<Sandbox>, body: Body) -> Answer {
    sandbox.fail(read::<Scripted>(body)?)?;
    Ok(done())
}

async fn clear_faults(State(sandbox): State<Sandbox>) -> Answer {
    sandbox.clear_faults();
    Ok(done())
}

async fn set_rates(State(sandbox): State<Sandbox>, body: Body) -> Answer {
    sandbox.set_rates(read::<Vec<Rate>>(body)?)?;
    Ok(done())
}

async fn open_window(State(sandbox): State<Sandbox>, body: Body) -> Answer {
    sandbox.open_window(read::<Window>(body)?)?;
    Ok(done())
}

/// A hand's change, on disk when it is answered.
async fn change<T: DeserializeOwned>(
    State(sandbox): State<Sandbox>,
    body: Body,
    edit: fn(T) -> Edit,
) -> Answer {
    let edit = edit(read(body)?);
    let changed = tokio::task::spawn_blocking(move || sandbox.apply(&edit)).await;
    changed.map_err(|error| Problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    Ok(done())
}

async fn settings(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(sandbox.look(|inner| json!(inner.settings)))
}

/// Keys that are left out stay as they are.
async fn set_settings(State(sandbox): State<Sandbox>, body: Body) -> Answer {
    let asked: serde_json::Map<String, Value> = read(body)?;
    let mut inner = sandbox.0.lock();
    inner.settle();
    let mut changed = json!(inner.settings);
    for (key, value) in asked {
        changed[key] = value;
    }
    let changed: Settings = serde_json::from_value(changed).map_err(|error| unfit(&error))?;
    changed.check()?;
    inner.settings = changed;
    Ok(Json(json!(inner.settings)))
}
