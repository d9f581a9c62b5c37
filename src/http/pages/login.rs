//! Signing in and out: the page that leads to the company's sign-in (`auth` goes on from there), and in a
//! demo one that lists the people.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use super::auth;
use crate::access::person::{Assurance, Channel, Demand, Person, SignedInPerson};
use crate::broker::ActError;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::{Form, Search};
use crate::http::page::{Layout, render, safe_next};
use crate::http::session::{self, ClientIp, MaybeSignedIn, UserAgent};
use crate::http::step_up::Asked;
use crate::postgres::directory;

/// Most people that the demo's page lists.
const MOST_PEOPLE: i64 = 200;

/// Longest e-mail that is looked up.
const MOST_EMAIL: usize = 254;

#[derive(Template)]
#[template(path = "login/index.html")]
pub(super) struct Page<'a> {
    pub(super) layout: Layout,
    pub(super) people: Vec<Listed>,
    pub(super) next: &'a str,
    pub(super) failed: bool,
    /// Where the company's sign-in begins, if there is one.
    pub(super) start: Option<String>,
    /// It can't be reached just now.
    pub(super) is_away: bool,
}

/// Somebody who is signed in proves more, in a demo: they say so.
#[derive(Template)]
#[template(path = "login/step_up.html")]
pub(super) struct StepUpPage<'a> {
    pub(super) layout: Layout,
    pub(super) email: &'a str,
    pub(super) demand: Demand,
    pub(super) next: &'a str,
}

/// After signing out here, at the company's sign-in.
#[derive(Template)]
#[template(path = "login/signed_out.html")]
pub(super) struct SignedOutPage<'a> {
    pub(super) layout: Layout,
    pub(super) on: &'a str,
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

/// The page, for a sign-in that is still to come or one that failed.
pub(super) async fn page(
    web: &Web,
    next: &str,
    status: StatusCode,
    is_away: bool,
) -> Result<Response, Error> {
    let people = if web.0.setup.is_demo {
        list(web).await?
    } else {
        Vec::new()
    };
    let start = web.0.setup.oidc.as_ref().map(|_| auth::start_url(next));
    render(
        status,
        &Page {
            layout: Layout::signed_out(web),
            people,
            next,
            failed: status == StatusCode::UNPROCESSABLE_ENTITY,
            start,
            is_away,
        },
    )
}

/// `GET /login`
pub(in crate::http) async fn show(
    State(web): State<Web>,
    MaybeSignedIn(by): MaybeSignedIn,
    Search(asked): Search<Asked>,
) -> Result<Response, Error> {
    let next = safe_next(asked.next.as_deref());
    match (by, asked.demand()) {
        (None, _) => page(&web, next, StatusCode::OK, false).await,
        (Some(by), Some(demand)) if web.0.setup.is_demo => {
            let page = StepUpPage {
                layout: Layout::of(&web, &by).await?,
                email: &by.person.email,
                demand,
                next,
            };
            render(StatusCode::OK, &page)
        }
        (Some(_), _) => Ok(Redirect::to(next).into_response()),
    }
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
        return page(&web, next, StatusCode::UNPROCESSABLE_ENTITY, false).await;
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
    let replaces = session::name(&web, &session).await?;
    let started = web.broker().sign_in(&by, replaces).await?;
    session::start(&session, &started, user_agent, None).await?;
    Ok(Redirect::to(next).into_response())
}

/// `POST /logout`: here first, whatever becomes of the provider.
pub(in crate::http) async fn sign_out(
    State(web): State<Web>,
    session: Session,
    MaybeSignedIn(by): MaybeSignedIn,
) -> Result<Response, Error> {
    let provider = session::provider(&session).await?;
    if let (Some(by), Some(this)) = (by, session::name(&web, &session).await?) {
        match web.broker().end_session(&by, this, this).await {
            // It was ended from elsewhere at this very moment: that is as good.
            Ok(()) | Err(ActError::Refused(_)) => {}
            Err(failed) => return Err(failed.into()),
        }
    }
    let signed_out = signed_out(&session).await?;
    let on = match (&web.0.setup.oidc, provider) {
        (Some(oidc), Some(provider)) => {
            let return_to = format!("{}/login", web.0.setup.public_url.origin());
            oidc.sign_out_url(&provider.id_token.0.into(), &return_to)
                .await
        }
        _ => None,
    };
    let Some(on) = on else {
        return Ok(signed_out);
    };
    // No redirect: the browser may send our forms to nobody else (`form-action` of the CSP), and takes a
    // redirect for the same. A page that goes on by itself is another navigation.
    let page = SignedOutPage {
        layout: Layout::signed_out(&web),
        on: on.as_str(),
    };
    render(StatusCode::OK, &page)
}

/// The browser forgets its cookie.
pub(super) async fn signed_out(session: &Session) -> Result<Response, Error> {
    session.flush().await.map_err(session::unavailable)?;
    Ok(Redirect::to("/login").into_response())
}
