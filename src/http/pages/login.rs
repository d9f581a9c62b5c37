//! Signing in and out. In a demo: a page that lists the people.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use crate::access::person::{Assurance, Channel, Person, SignedInPerson};
use crate::broker::ActError;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::{Form, Search};
use crate::http::page::{Layout, render, safe_next};
use crate::http::session::{self, Began, ClientIp, MaybeSignedIn, UserAgent};
use crate::postgres::directory;

/// Most people that the demo's page lists.
const MOST_PEOPLE: i64 = 200;

/// Longest e-mail that is looked up.
const MOST_EMAIL: usize = 254;

/// Where to go on.
#[derive(Debug, Deserialize)]
pub(in crate::http) struct Next {
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "login/index.html")]
pub(super) struct Page<'a> {
    pub(super) layout: Layout,
    pub(super) people: Vec<Listed>,
    pub(super) next: &'a str,
    pub(super) failed: bool,
}

/// Somebody to sign in as, with the names of their groups.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) person: Person,
    pub(super) groups: String,
}

/// Everybody whom the demo lets in.
async fn list(web: &Web) -> Result<Vec<Listed>, Error> {
    let mut conn = web.broker().db.conn().await?;
    let people = directory::list_people(&mut conn, MOST_PEOPLE).await?;
    let mut groups = directory::group_names(&mut conn, &people).await?;
    Ok(people
        .into_iter()
        .map(|person| Listed {
            groups: groups.remove(&person.id).unwrap_or_default().join(", "),
            person,
        })
        .collect())
}

async fn page(web: &Web, next: &str, failed: bool) -> Result<Response, Error> {
    let people = if web.0.setup.is_demo {
        list(web).await?
    } else {
        Vec::new()
    };
    let status = if failed {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    render(
        status,
        &Page {
            layout: Layout::signed_out(web),
            people,
            next,
            failed,
        },
    )
}

/// `GET /login`
pub(in crate::http) async fn show(
    State(web): State<Web>,
    MaybeSignedIn(by): MaybeSignedIn,
    Search(query): Search<Next>,
) -> Result<Response, Error> {
    let next = safe_next(query.next.as_deref());
    if by.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    page(&web, next, false).await
}

/// The demo's sign-in: by name alone.
#[derive(Debug, Deserialize)]
pub(in crate::http) struct SignIn {
    email: String,
    #[serde(default)]
    assurance: Option<String>,
    #[serde(default)]
    next: Option<String>,
}

/// `POST /login/demo`
pub(in crate::http) async fn sign_in_demo(
    State(web): State<Web>,
    session: Session,
    ClientIp(ip): ClientIp,
    UserAgent(user_agent): UserAgent,
    Form(form): Form<SignIn>,
) -> Result<Response, Error> {
    let next = safe_next(form.next.as_deref());
    let assurance = match form
        .assurance
        .as_deref()
        .unwrap_or("phishing_resistant")
        .parse::<Assurance>()
    {
        Ok(assurance) => assurance,
        Err(why) => {
            return Err(Error::status(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unknown_assurance",
                format!("assurance: {why}."),
            ));
        }
    };
    let email = form.email.trim();
    let mut conn = web.broker().db.conn().await?;
    let at = web.broker().db.clock.now(&mut conn).await?;
    let found = if email.len() <= MOST_EMAIL && !email.contains('\0') {
        directory::find_person_by_email(&mut conn, email).await?
    } else {
        None
    };
    drop(conn);
    let Some(person) = found else {
        web.broker()
            .refuse_sign_in(ip, "unknown_person", form.email.len())
            .await?;
        return page(&web, next, true).await;
    };
    let amr = match assurance {
        Assurance::Any => vec!["pwd".to_owned()],
        Assurance::Mfa => vec!["pwd".to_owned(), "otp".to_owned(), "mfa".to_owned()],
        Assurance::PhishingResistant => vec!["hwk".to_owned(), "user".to_owned(), "mfa".to_owned()],
    };
    let by = SignedInPerson {
        person,
        assurance,
        amr,
        acr: None,
        auth_time: Some(at),
        channel: Channel::Web,
        ip,
    };
    let (id, at) = web.broker().sign_in(&by).await?;
    let began = Began {
        session: id,
        at,
        ip,
        user_agent,
    };
    session::start(&session, &by, began).await?;
    Ok(Redirect::to(next).into_response())
}

/// `POST /logout`
pub(in crate::http) async fn sign_out(
    State(web): State<Web>,
    session: Session,
    MaybeSignedIn(by): MaybeSignedIn,
) -> Result<Response, Error> {
    if let (Some(by), Some(this)) = (by, session::name(&web, &session).await?) {
        match web.broker().end_session(&by, this, this).await {
            // It was ended from elsewhere at this very moment: that is as good.
            Ok(()) | Err(ActError::Refused(_)) => {}
            Err(failed) => return Err(failed.into()),
        }
    }
    signed_out(&session).await
}

/// The browser forgets its cookie.
pub(super) async fn signed_out(session: &Session) -> Result<Response, Error> {
    session.flush().await.map_err(session::unavailable)?;
    Ok(Redirect::to("/login").into_response())
}
