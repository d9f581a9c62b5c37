//! What waits for my decision, oldest first, with everything that the decision is about, and the
//! decision itself: one tap. The request's own page has its history beside.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::summary::Summary;
use super::words::Time;
use crate::access::person::SignedInPerson;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::http::step_up::StepUp;
use crate::policy::Policy;
use crate::postgres::{policies, requests};

/// Most that one page shows. Decided ones leave it, so that the rest moves up.
const MOST: i64 = 50;

/// One request that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) line: Summary,
    /// What the rule needs of whoever agrees, if the reader's sign-in is less.
    pub(super) step_up: Option<StepUp>,
}

impl Waiting {
    /// As somebody who signed in like this sees it.
    pub(super) fn of(line: Summary, policy: Option<&Policy>, by: &SignedInPerson) -> Self {
        let rule = policy.and_then(|policy| policy.rule(&line.request.rule));
        Self {
            step_up: rule.and_then(|rule| StepUp::of(rule.demand(), by, line.now, "/approvals")),
            line,
        }
    }
}

#[derive(Template)]
#[template(path = "approvals/index.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) now: Time,
    pub(super) waiting: Vec<Waiting>,
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
    let in_force = policies::find_in_force(&mut conn).await?;
    let policy = in_force.as_ref().map(|in_force| &*in_force.policy);
    let waiting = Summary::list(&mut conn, waiting, now)
        .await?
        .into_iter()
        .map(|line| Waiting::of(line, policy, &by))
        .collect();
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
