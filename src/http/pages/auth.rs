//! Signing in at the company's provider: sent away, back again, and what can go wrong in between. The
//! provider may also say that somebody signed out there.
//!
//! A sign-in begins with a link, never with a form. It waits in the database under the hash of its
//! `state`, is used once, and only by the browser that was sent. Nothing that the provider or the browser
//! wrote is shown: a page knows the codes that it has words for.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tower_sessions::Session;

use super::login;
use crate::access::identity::Account;
use crate::access::person::{Assurance, Demand};
use crate::broker::ActError;
use crate::broker::provider_logout::ProviderLogout;
use crate::broker::sign_in::Proved;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::{Form, Search};
use crate::http::page::{Layout, render, safe_next};
use crate::http::session::{self, ClientIp, IdToken, MaybeSignedIn, Provider, UserAgent};
use crate::http::step_up::Asked;
use crate::oidc::{self, Client, Disbelief, Pending, Proof, Returned};
use crate::postgres::sign_ins::{self, SignIn, StepUp};

/// How long somebody may take at the provider.
const LASTS: TimeDelta = TimeDelta::minutes(10);

/// Longest `state` that is looked up; ours are shorter.
const MOST_STATE: usize = 200;

/// Where a sign-in begins that goes on to `next`.
pub(super) fn start_url(next: &str) -> String {
    if next == "/" {
        return "/login/start".to_owned();
    }
    let query = serde_urlencoded::to_string([("next", next)]).unwrap_or_default();
    format!("/login/start?{query}")
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// What the provider is asked for. Half of the age that a rule takes: there must be time left for the
/// form.
fn demand(asked: Option<Demand>) -> oidc::Demand {
    oidc::Demand {
        assurance: asked.map_or(Assurance::Any, |asked| asked.assurance),
        max_age: asked
            .and_then(|asked| asked.max_age_minutes)
            .map(|minutes| TimeDelta::seconds(i64::from(minutes) * 30)),
    }
}

/// `GET /login/start`
pub(in crate::http) async fn start(
    State(web): State<Web>,
    session: Session,
    MaybeSignedIn(by): MaybeSignedIn,
    Search(asked): Search<Asked>,
) -> Result<Response, Error> {
    let next = safe_next(asked.next.as_deref());
    let Some(oidc) = &web.0.setup.oidc else {
        return Ok(Redirect::to(&asked.login_url(next)).into_response());
    };
    let wanted = asked.demand();
    if by.is_some() && wanted.is_none() {
        return Ok(Redirect::to(next).into_response());
    }
    let (url, pending) = match oidc.begin(demand(wanted)).await {
        Ok(begun) => begun,
        Err(why) => return away(&web, &why, next, by.is_some()).await,
    };
    let provider = session::provider(&session).await?;
    let step_up = by.zip(provider).map(|(by, provider)| StepUp {
        person: by.person.id,
        subject: provider.subject,
    });
    let browser = session::mark_browser(&session).await?;
    let state_hash = hash(secrecy::ExposeSecret::expose_secret(&pending.state));
    let mut conn = web.broker().db.conn().await?;
    let now = web.broker().db.clock.now(&mut conn).await?;
    let sign_in = SignIn {
        pending: stored(&pending)?,
        next: next.to_owned(),
        step_up,
    };
    sign_ins::insert(
        &mut conn,
        &state_hash,
        &hash(&browser),
        &sign_in,
        now + LASTS,
    )
    .await?;
    Ok(Redirect::to(url.as_str()).into_response())
}

/// What is kept of it: not the state, by whose hash it is found.
fn stored(pending: &Pending) -> Result<serde_json::Value, Error> {
    let mut value = serde_json::to_value(pending).map_err(|error| Error::Internal(error.into()))?;
    value["state"] = "".into();
    Ok(value)
}

/// Nobody can sign in just now; whoever is in stays in.
async fn away(web: &Web, why: &Disbelief, next: &str, is_in: bool) -> Result<Response, Error> {
    tracing::warn!(error = %why, "the identity provider can't be used");
    if is_in {
        return trouble(web, Trouble::Away, next, true);
    }
    login::page(web, next, StatusCode::SERVICE_UNAVAILABLE, true).await
}

/// What the browser brought back (OpenID Connect Core §3.1.2.5 and 6, RFC 9207).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct Brought {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// `GET /auth/callback`
pub(in crate::http) async fn callback(
    State(web): State<Web>,
    session: Session,
    MaybeSignedIn(by): MaybeSignedIn,
    ClientIp(ip): ClientIp,
    UserAgent(user_agent): UserAgent,
    Search(brought): Search<Brought>,
) -> Result<Response, Error> {
    let Some(oidc) = &web.0.setup.oidc else {
        return Err(Error::not_found());
    };
    let is_in = by.is_some();
    let state = brought.state.as_deref().unwrap_or_default();
    let Some(sign_in) = take(&web, &session, state).await? else {
        let broker = web.broker();
        broker
            .refuse_sign_in(ip, "state_unknown", state.len())
            .await?;
        return trouble(&web, Trouble::StartAgain, "/", is_in);
    };
    let next = sign_in.next.as_str();
    let (code, pending) = match (&brought.error, brought.code) {
        (None, Some(code)) => {
            let pending: Pending = serde_json::from_value(sign_in.pending)
                .map_err(|error| Error::Internal(error.into()))?;
            (code, pending)
        }
        (error, _) => {
            let what = Trouble::of_provider(error.as_deref());
            let length = error.as_ref().map_or(0, String::len);
            web.broker().refuse_sign_in(ip, what.code(), length).await?;
            return trouble(&web, what, next, is_in);
        }
    };
    let returned = Returned {
        code: code.into(),
        iss: brought.iss,
    };
    let proof = match prove(&web, oidc, &pending, &returned).await? {
        Ok(proof) => proof,
        Err(why @ Disbelief::Unavailable(_)) => return away(&web, &why, next, is_in).await,
        Err(Disbelief::Refused { code, detail }) => {
            tracing::warn!(code, detail, "a sign-in is not believed");
            web.broker().refuse_sign_in(ip, code, 0).await?;
            return trouble(&web, Trouble::NotBelieved(code), next, is_in);
        }
    };
    // Somebody else may have signed in here while this was under way.
    let is_theirs = match (&by, &sign_in.step_up) {
        (Some(by), Some(of)) => by.person.id == of.person,
        _ => true,
    };
    if !is_theirs {
        web.broker()
            .refuse_sign_in(ip, "step_up_as_another", 0)
            .await?;
        return trouble(&web, Trouble::Nobody("step_up_as_another"), next, is_in);
    }
    let proved = Proved {
        account: Account {
            issuer: &proof.issuer,
            subject: &proof.subject,
            external_id: &proof.external_id,
            user_name: proof.user_name.as_deref(),
        },
        external_issuer: oidc.external_id_issuer(),
        assurance: proof.assurance,
        amr: proof.amr.clone(),
        acr: proof.acr.clone(),
        auth_time: proof.auth_time,
        ip,
    };
    let replaces = session::name(&web, &session).await?.filter(|_| is_in);
    let done = web
        .broker()
        .sign_in_by_proof(&proved, sign_in.step_up.as_ref(), replaces)
        .await;
    match done {
        Ok(started) => {
            session::start(&session, &started, user_agent, Some(provider(proof))).await?;
            Ok(Redirect::to(next).into_response())
        }
        Err(ActError::Refused(refused)) => {
            trouble(&web, Trouble::Nobody(refused.code), next, is_in)
        }
        Err(failed) => Err(failed.into()),
    }
}

/// The sign-in that comes back with this state, if it left from this browser.
async fn take(web: &Web, session: &Session, state: &str) -> Result<Option<SignIn>, Error> {
    let browser = session::browser(session).await?;
    let Some(browser) = browser.filter(|_| !state.is_empty() && state.len() <= MOST_STATE) else {
        return Ok(None);
    };
    let mut conn = web.broker().db.conn().await?;
    let now = web.broker().db.clock.now(&mut conn).await?;
    Ok(sign_ins::take(&mut conn, &hash(state), &hash(&browser), now).await?)
}

/// What the provider says of it. No connection is held meanwhile.
async fn prove(
    web: &Web,
    oidc: &Client,
    pending: &Pending,
    returned: &Returned,
) -> Result<Result<Proof, Disbelief>, Error> {
    let db = &web.broker().db;
    let now = db.clock.now(&mut *db.conn().await?).await?;
    Ok(oidc.finish(pending, returned, now).await)
}

fn provider(proof: Proof) -> Provider {
    Provider {
        issuer: proof.issuer,
        subject: proof.subject,
        session: proof.session,
        id_token: IdToken(secrecy::ExposeSecret::expose_secret(&proof.id_token).to_owned()),
    }
}

/// Why nobody is signed in now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// The provider can't be used just now.
    Away,
    /// Nothing is known of what came back.
    StartAgain,
    /// Somebody or something at the provider said no.
    Denied,
    /// The provider could not make them prove enough.
    NotEnough,
    /// The provider failed.
    Failed,
    /// What the provider says does not hold.
    NotBelieved(&'static str),
    /// The account is nobody here.
    Nobody(&'static str),
}

impl Trouble {
    /// RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6, and Unmet Authentication Requirements 1.0.
    fn of_provider(error: Option<&str>) -> Self {
        match error {
            Some("access_denied") => Self::Denied,
            Some("unmet_authentication_requirements") => Self::NotEnough,
            _ => Self::Failed,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Away => "provider_unavailable",
            Self::StartAgain => "state_unknown",
            Self::Denied => "access_denied",
            Self::NotEnough => "unmet_authentication_requirements",
            Self::Failed => "provider_error",
            Self::NotBelieved(code) | Self::Nobody(code) => code,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Away => StatusCode::SERVICE_UNAVAILABLE,
            Self::StartAgain => StatusCode::BAD_REQUEST,
            Self::Failed => StatusCode::BAD_GATEWAY,
            Self::Denied | Self::NotEnough | Self::NotBelieved(_) | Self::Nobody(_) => {
                StatusCode::FORBIDDEN
            }
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Away => "The sign-in can't be reached",
            Self::StartAgain => "Start the sign-in again",
            Self::Denied => "The sign-in was refused",
            Self::NotEnough | Self::NotBelieved("assurance_not_given" | "sign_in_not_repeated") => {
                "That did not prove enough"
            }
            Self::Failed => "The sign-in did not work",
            Self::NotBelieved(_) => "The sign-in could not be verified",
            Self::Nobody("unknown_person") => "Curfew does not know you",
            Self::Nobody("disabled") => "Your account is disabled",
            Self::Nobody("step_up_as_another") => "That was somebody else",
            Self::Nobody(_) => "Curfew can't tell who you are",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Away => {
                "Your company's sign-in does not answer just now. Nothing is wrong with your account. Try again in a minute."
            }
            Self::StartAgain => {
                "This sign-in was started more than ten minutes ago, in another browser, or has been used already. Nothing was changed."
            }
            Self::Denied => {
                "Your company's sign-in did not let you in to Curfew. If you should be, ask whoever looks after it to assign Curfew to you."
            }
            Self::NotEnough | Self::NotBelieved("assurance_not_given") => {
                "Your company's sign-in did not confirm the kind of proof that the rule needs. Set up a passkey, a security key or a second factor there first, whichever the rule names."
            }
            Self::NotBelieved("sign_in_not_repeated") => {
                "The rule needs you to prove once more who you are, and your company's sign-in did not ask you. Sign out there, and try again."
            }
            Self::Failed => {
                "Your company's sign-in reported an error. Try again; if it stays, tell your administrators."
            }
            Self::NotBelieved(_) => {
                "What your company's sign-in said did not hold, so it was not believed. Try again; if it stays, tell your administrators."
            }
            Self::Nobody("unknown_person") => {
                "You proved who you are, and the company's directory in AWS IAM Identity Center does not know you. Whoever looks after it has to add you. If they did so just now: Curfew reads it every few minutes, so try again then."
            }
            Self::Nobody("disabled") => {
                "The company's directory in AWS IAM Identity Center says that your account is disabled. What you had through Curfew ends by itself."
            }
            Self::Nobody("step_up_as_another") => {
                "You proved to be somebody else than who is signed in here. Nothing was changed. Prove it as yourself, or sign out first."
            }
            Self::Nobody("no_external_id_issuer") => {
                "Curfew is not told yet by which ids it may recognise people (external_id_issuer). Tell your administrators."
            }
            Self::Nobody(_) => {
                "Your account does not go with the person of that name in the directory, or with the one that it was before. A name may have been given to somebody else. Tell your administrators; they find this attempt in the audit log."
            }
        }
    }
}

#[derive(Template)]
#[template(path = "login/trouble.html")]
pub(super) struct TroublePage {
    pub(super) layout: Layout,
    pub(super) what: Trouble,
    /// Where a new sign-in begins.
    pub(super) again: Option<String>,
    /// Somebody is signed in still, and goes on here.
    pub(super) back: Option<String>,
}

impl TroublePage {
    pub(super) fn of(layout: Layout, what: Trouble, next: &str, is_in: bool) -> Self {
        let can_mend = !matches!(what, Trouble::Nobody("disabled"));
        Self {
            layout,
            what,
            again: (can_mend && !is_in).then(|| start_url(next)),
            back: is_in.then(|| next.to_owned()),
        }
    }
}

fn trouble(web: &Web, what: Trouble, next: &str, is_in: bool) -> Result<Response, Error> {
    let page = TroublePage::of(Layout::signed_out(web), what, next, is_in);
    render(what.status(), &page)
}

/// OpenID Connect Back-Channel Logout §2.5.
#[derive(Debug, Deserialize)]
pub(in crate::http) struct LogoutForm {
    logout_token: String,
}

/// `POST /auth/backchannel-logout`
pub(in crate::http) async fn backchannel_logout(
    State(web): State<Web>,
    ClientIp(ip): ClientIp,
    Form(form): Form<LogoutForm>,
) -> Result<Response, Error> {
    let Some(oidc) = &web.0.setup.oidc else {
        return Err(Error::not_found());
    };
    let db = &web.broker().db;
    let now = db.clock.now(&mut *db.conn().await?).await?;
    let said = match oidc.logout_token(&form.logout_token, now).await {
        Ok(said) => said,
        Err(Disbelief::Unavailable(why)) => {
            tracing::warn!(
                error = format!("{why:#}"),
                "a logout token can't be verified"
            );
            return Ok(answer(
                StatusCode::SERVICE_UNAVAILABLE,
                Some("provider_unavailable"),
            ));
        }
        Err(Disbelief::Refused { code, detail }) => {
            tracing::warn!(code, detail, "a logout token is not believed");
            let length = form.logout_token.len();
            web.broker().refuse_sign_in(ip, code, length).await?;
            return Ok(answer(StatusCode::BAD_REQUEST, Some(code)));
        }
    };
    let logout = ProviderLogout {
        issuer: &said.issuer,
        subject: said.subject.as_deref(),
        session: said.session.as_deref(),
        id: &said.id,
        expires_at: said.expires_at,
    };
    match web.broker().provider_logout(logout).await {
        Ok(()) => Ok(answer(StatusCode::OK, None)),
        Err(ActError::Refused(refused)) => Ok(answer(StatusCode::BAD_REQUEST, Some(refused.code))),
        Err(failed) => Err(failed.into()),
    }
}

/// OpenID Connect Back-Channel Logout §2.8.
fn answer(status: StatusCode, why: Option<&str>) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store")];
    match why {
        None => (status, headers).into_response(),
        Some(why) => {
            let body = json!({"error": "invalid_request", "error_description": why});
            (status, headers, Json(body)).into_response()
        }
    }
}
