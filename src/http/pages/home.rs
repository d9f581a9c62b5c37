//! Home: what is live for me, what waits for my decision, what I asked for lately.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::summary::Summary;
use super::words::Time;
use crate::access::request::OPEN_PER_PERSON;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::postgres::requests::{self, Filter};

/// Most requests that wait for a decision and are shown here; the rest is on `/approvals`.
const MOST_WAITING: i64 = 5;

/// Most requests under "asked for lately".
const MOST_RECENT: i64 = 8;

#[derive(Template)]
#[template(path = "home/index.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) now: Time,
    pub(super) live: Vec<Summary>,
    pub(super) waiting: Vec<Summary>,
    /// Some rule names a group of theirs as approvers.
    pub(super) is_approver: bool,
    pub(super) recent: Vec<Summary>,
}

impl Page {
    /// Waiting requests that have no place here.
    fn more_waiting(&self) -> usize {
        let all = self
            .layout
            .person
            .as_ref()
            .map_or(0, |person| person.waiting);
        all.saturating_sub(self.waiting.len())
    }
}

/// `GET /`
pub(in crate::http) async fn show(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
) -> Result<Response, Error> {
    let layout = Layout::of(&web, &by).await?;
    let broker = web.broker();
    let mut conn = broker.db.conn().await?;
    let now = broker.db.clock.now(&mut conn).await?;
    let me = &by.person.id;
    let mine = Filter {
        requester: Some(me.clone()),
        ..Filter::default()
    };
    let open = requests::list(
        &mut conn,
        &Filter {
            open: true,
            ..mine.clone()
        },
        OPEN_PER_PERSON,
    )
    .await?;
    let open = Summary::list(&mut conn, open, now).await?;
    let recent = requests::list(&mut conn, &mine, MOST_RECENT).await?;
    let recent = Summary::list(&mut conn, recent, now).await?;
    let rules = broker.approvable_rules(&mut conn, me).await?;
    let waiting = requests::list_waiting_for(&mut conn, me, &rules, now, MOST_WAITING).await?;
    let waiting = Summary::list(&mut conn, waiting, now).await?;
    let live = open.into_iter().filter(Summary::is_live).collect();
    render(
        StatusCode::OK,
        &Page {
            layout,
            now: Time(now),
            live,
            waiting,
            is_approver: !rules.is_empty(),
            recent,
        },
    )
}
