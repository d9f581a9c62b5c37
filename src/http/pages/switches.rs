//! The two switches for the bad day, worked from the operations page: pause and resume there, and the end
//! of everything on a page of its own, which says what will happen before it does. A slip of the finger
//! ends nothing: it takes a second page and a comment; an emergency needs no more than that.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::acts::Comment;
use super::words;
use crate::access::person::SignedInPerson;
use crate::broker::{ActError, Kind};
use crate::http::Web;
use crate::http::error::{Error, Problem};
use crate::http::form::{Form, OptionalForm};
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::postgres::grants;

/// Where all of it leads back to.
const SWITCHES: &str = "/operations#switches";

/// `POST /operations/pause`
pub(in crate::http) async fn pause(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    OptionalForm(with): OptionalForm<Comment>,
) -> Result<Response, Error> {
    web.broker().pause(&by, &with.comment).await?;
    Ok(Redirect::to(SWITCHES).into_response())
}

/// `POST /operations/resume`
pub(in crate::http) async fn resume(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    OptionalForm(with): OptionalForm<Comment>,
) -> Result<Response, Error> {
    web.broker().resume(&by, &with.comment).await?;
    Ok(Redirect::to(SWITCHES).into_response())
}

/// What the second page asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::http) struct Fields {
    pub(super) comment: String,
    /// A ticked box; one that is not ticked is not sent.
    pub(super) pause: Option<String>,
}

#[derive(Template)]
#[template(path = "operations/end_everything.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    /// Grants that would end.
    pub(super) live: usize,
    pub(super) fields: Fields,
    /// Why it came back.
    pub(super) problem: Option<Problem>,
}

impl Page {
    async fn load(
        web: &Web,
        by: &SignedInPerson,
        fields: Fields,
        problem: Option<Problem>,
    ) -> Result<Self, Error> {
        let layout = Layout::of(web, by).await?;
        let db = &web.broker().db;
        let mut conn = db.conn().await?;
        let now = db.clock.now(&mut conn).await?;
        Ok(Self {
            layout,
            live: grants::requests_live_of_before(&mut conn, now).await?.len(),
            fields,
            problem,
        })
    }

    fn grants(&self) -> String {
        words::counted(i64::try_from(self.live).unwrap_or(i64::MAX), "grant")
    }

    fn wrong(&self) -> Option<&str> {
        self.problem.as_ref().map(|problem| problem.text.as_str())
    }
}

/// `GET /operations/end-everything`
pub(in crate::http) async fn ask(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
) -> Result<Response, Error> {
    let ticked = Fields {
        pause: Some("on".to_owned()),
        ..Fields::default()
    };
    let page = Page::load(&web, &by, ticked, None).await?;
    render(StatusCode::OK, &page)
}

/// `POST /operations/end-everything`
pub(in crate::http) async fn end_everything(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Form(fields): Form<Fields>,
) -> Result<Response, Error> {
    let and_pause = fields.pause.is_some();
    match web
        .broker()
        .end_everything(&by, &fields.comment, and_pause)
        .await
    {
        Ok(_) => Ok(Redirect::to(SWITCHES).into_response()),
        Err(ActError::Refused(refused)) if refused.kind == Kind::Invalid => {
            let problem = Error::Refused(refused).problem();
            let status = problem.status;
            let page = Page::load(&web, &by, fields, Some(problem)).await?;
            render(status, &page)
        }
        Err(error) => Err(error.into()),
    }
}
