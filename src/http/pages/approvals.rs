//! What waits for my decision, oldest first, with everything that the decision is about. Deciding
//! happens on the request's own page, where its history is read beside.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::summary::Summary;
use super::words::Time;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::postgres::requests;

/// Most that one page shows. Decided ones leave it, so that the rest moves up.
const MOST: i64 = 50;

#[derive(Template)]
#[template(path = "approvals/index.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) now: Time,
    pub(super) waiting: Vec<Summary>,
    /// Some rule names a group of theirs as approvers.
    pub(super) is_approver: bool,
    pub(super) has_more: bool,
}

/// `GET /approvals`
pub(in crate::http) async fn show(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
) -> Result<Response, Error> {
    let layout = Layout::of(&web, &by).await?;
    let broker = web.broker();
    let mut conn = broker.db.conn().await?;
    let now = broker.db.clock.now(&mut conn).await?;
    let rules = broker.approvable_rules(&mut conn, &by.person.id).await?;
    let mut waiting =
        requests::list_waiting_for(&mut conn, &by.person.id, &rules, now, MOST + 1).await?;
    let has_more = i64::try_from(waiting.len()).is_ok_and(|count| count > MOST);
    waiting.truncate(usize::try_from(MOST).unwrap_or(0));
    let waiting = Summary::list(&mut conn, waiting, now).await?;
    render(
        StatusCode::OK,
        &Page {
            layout,
            now: Time(now),
            waiting,
            is_approver: !rules.is_empty(),
            has_more,
        },
    )
}
