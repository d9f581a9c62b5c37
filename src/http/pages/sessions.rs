//! One's own sessions: when and where each began, how it was proved, and the way to end it. Whoever
//! sees one that they don't know signs it out here, at once.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use tower_sessions::Session;

use super::words::{self, Time};
use super::{browser, login};
use crate::access::id::SessionId;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::SessionPath;
use crate::http::page::{Layout, render};
use crate::http::session::{self, SignedIn, Stored};
use crate::postgres::sessions::{self, Open};

/// Most sessions that are listed; all others can be ended at once.
const MOST: i64 = 50;

/// A session, in words.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) id: SessionId,
    pub(super) is_this: bool,
    pub(super) browser: String,
    pub(super) began: Option<Time>,
    /// How its person had proved who they are.
    pub(super) how: Option<&'static str>,
    pub(super) ip: Option<String>,
    pub(super) ends: Time,
}

impl Line {
    pub(super) fn of(open: Open, this: Option<SessionId>) -> Self {
        Self {
            id: open.id,
            is_this: Some(open.id) == this,
            browser: browser::in_words(open.user_agent.as_deref().unwrap_or_default()),
            began: open.began_at.map(Time),
            how: Stored::of(&open.data).map(|stored| words::signed_in(stored.assurance)),
            ip: open.ip,
            ends: Time(open.expires_at),
        }
    }
}

#[derive(Template)]
#[template(path = "sessions/index.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) sessions: Vec<Line>,
    pub(super) has_more: bool,
}

impl Page {
    fn has_others(&self) -> bool {
        self.sessions.iter().any(|line| !line.is_this)
    }
}

/// `GET /sessions`
pub(in crate::http) async fn list(
    State(web): State<Web>,
    session: Session,
    SignedIn(by): SignedIn,
) -> Result<Response, Error> {
    let layout = Layout::of(&web, &by).await?;
    let this = session::name(&web, &session).await?;
    let broker = web.broker();
    let mut conn = broker.db.conn().await?;
    let now = broker.db.clock.now(&mut conn).await?;
    let mut open = sessions::list_open(&mut conn, &by.person.id, now, MOST + 1).await?;
    let has_more = i64::try_from(open.len()).is_ok_and(|count| count > MOST);
    open.truncate(usize::try_from(MOST).unwrap_or(0));
    let mut sessions: Vec<Line> = open.into_iter().map(|open| Line::of(open, this)).collect();
    sessions.sort_by_key(|line| !line.is_this);
    render(
        StatusCode::OK,
        &Page {
            layout,
            sessions,
            has_more,
        },
    )
}

/// `POST /sessions/{id}/end`
pub(in crate::http) async fn end(
    State(web): State<Web>,
    session: Session,
    SignedIn(by): SignedIn,
    SessionPath(id): SessionPath,
) -> Result<Response, Error> {
    let this = this(&web, &session).await?;
    web.broker().end_session(&by, id, this).await?;
    if id == this {
        return login::signed_out(&session).await;
    }
    Ok(Redirect::to("/sessions").into_response())
}

/// `POST /sessions/end-others`
pub(in crate::http) async fn end_others(
    State(web): State<Web>,
    session: Session,
    SignedIn(by): SignedIn,
) -> Result<Response, Error> {
    let this = this(&web, &session).await?;
    web.broker().end_other_sessions(&by, this).await?;
    Ok(Redirect::to("/sessions").into_response())
}

/// The session that the act came in: whoever lost it meanwhile signs in first.
async fn this(web: &Web, session: &Session) -> Result<SessionId, Error> {
    let this = session::name(web, session).await?;
    this.ok_or_else(|| Error::SignIn {
        next: "/sessions".to_owned(),
    })
}
