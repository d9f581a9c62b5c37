//! Browser sessions: the store behind the cookie, and who is signed in.
//!
//! The store is our own because the public one is on another generation of the database crate, and
//! because ids are hashed at rest and rows know their person. The person is read anew at every
//! request: somebody who was disabled is signed out at once.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use serde::Deserialize as _;
use sha2::{Digest as _, Sha256};
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error as StoreError, Result as StoreResult};
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};

use super::error::Error;
use super::{Inner, Web, client, step_up};
use crate::access::id::SessionId;
use crate::access::person::{Assurance, Channel, Person, PersonId, SignedInPerson};
use crate::access::text::from_outside;
use crate::broker::sign_in::Started;
use crate::postgres::{Db, directory, sessions};

/// How long a session lasts, however busy.
const LASTS: time::Duration = time::Duration::hours(8);

/// The same of one that nobody has signed in to: as long as a sign-in may be under way, and a little.
const ANONYMOUS_LASTS: time::Duration = time::Duration::minutes(15);

/// Key of the session under which the person is kept.
const PERSON: &str = "person";

/// Key of the secret of the browser.
const BROWSER: &str = "browser";

/// Name of the cookie: `__Host-` binds it to this very host where there is TLS.
pub(super) fn cookie_name(web: &Inner) -> &'static str {
    if web.setup.public_url.is_https() {
        "__Host-sid"
    } else {
        "sid"
    }
}

pub(super) fn layer(web: &Web) -> SessionManagerLayer<Store> {
    SessionManagerLayer::new(Store {
        db: web.broker().db.clone(),
    })
    .with_name(cookie_name(&web.0))
    .with_secure(web.0.setup.public_url.is_https())
    .with_http_only(true)
    .with_same_site(SameSite::Lax)
    .with_path("/")
    .with_expiry(Expiry::OnInactivity(LASTS))
}

/// Sessions in Postgres.
#[derive(Clone, Debug)]
pub(super) struct Store {
    db: Db,
}

fn hash(id: Id) -> [u8; 32] {
    Sha256::digest(id.0.to_be_bytes()).into()
}

fn backend(error: impl std::fmt::Display) -> StoreError {
    StoreError::Backend(error.to_string())
}

fn columns(record: &Record) -> StoreResult<(Option<Stored>, serde_json::Value, DateTime<Utc>)> {
    let stored = record.data.get(PERSON).and_then(Stored::read);
    let data = serde_json::to_value(&record.data)
        .map_err(|error| StoreError::Encode(error.to_string()))?;
    let expires_at = DateTime::from_timestamp(record.expiry_date.unix_timestamp(), 0)
        .ok_or_else(|| StoreError::Encode("the expiry is out of range".to_owned()))?;
    Ok((stored, data, expires_at))
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> StoreResult<()> {
        let (stored, data, expires_at) = columns(record)?;
        let began = stored.as_ref().and_then(|stored| stored.began.as_ref());
        loop {
            let mut conn = self.db.conn().await.map_err(backend)?;
            let new = sessions::New {
                id_hash: &hash(record.id),
                person_id: stored.as_ref().map(|stored| stored.id.as_str()),
                data: &data,
                expires_at,
                id: began.map(|began| began.session),
                began_at: began.map(|began| began.at),
                ip: began.and_then(|began| began.ip).map(|ip| ip.to_string()),
                user_agent: began.and_then(|began| began.user_agent.as_deref()),
            };
            let inserted = sessions::insert(&mut conn, &new).await;
            if inserted.map_err(backend)? {
                return Ok(());
            }
            record.id = Id::default();
        }
    }

    async fn save(&self, record: &Record) -> StoreResult<()> {
        let (stored, data, expires_at) = columns(record)?;
        let mut conn = self.db.conn().await.map_err(backend)?;
        sessions::update(
            &mut conn,
            &hash(record.id),
            stored.as_ref().map(|stored| stored.id.as_str()),
            &data,
            expires_at,
        )
        .await
        .map_err(backend)
    }

    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        let mut conn = self.db.conn().await.map_err(backend)?;
        let now = self.db.clock.now(&mut conn).await.map_err(backend)?;
        let Some((data, expires_at)) = sessions::find(&mut conn, &hash(*id), now)
            .await
            .map_err(backend)?
        else {
            return Ok(None);
        };
        let data =
            serde_json::from_value(data).map_err(|error| StoreError::Decode(error.to_string()))?;
        let expiry_date = time::OffsetDateTime::from_unix_timestamp(expires_at.timestamp())
            .map_err(|error| StoreError::Decode(error.to_string()))?;
        Ok(Some(Record {
            id: *id,
            data,
            expiry_date,
        }))
    }

    async fn delete(&self, id: &Id) -> StoreResult<()> {
        let mut conn = self.db.conn().await.map_err(backend)?;
        sessions::delete(&mut conn, &hash(*id))
            .await
            .map_err(backend)
    }
}

/// What a session says of its person.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Stored {
    id: PersonId,
    pub(super) assurance: Assurance,
    amr: Vec<String>,
    #[serde(default)]
    acr: Option<String>,
    #[serde(default)]
    auth_time: Option<DateTime<Utc>>,
    /// The account that they signed in by; none in a demo.
    #[serde(default)]
    pub(super) provider: Option<Provider>,
    /// How it began; sessions from before this was kept don't say.
    #[serde(default)]
    began: Option<Began>,
}

/// The account at the provider behind a session, and the provider's own session.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) subject: String,
    /// The provider's name of its session (`sid`).
    pub(super) session: Option<String>,
    pub(super) id_token: IdToken,
}

/// Tells the provider who signs out there. It opens nothing here, and yet is no line of a log.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct IdToken(pub(super) String);

impl std::fmt::Debug for IdToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdToken")
    }
}

/// How a session began.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Began {
    /// Its public name.
    pub(super) session: SessionId,
    /// When.
    pub(super) at: DateTime<Utc>,
    /// From which address.
    pub(super) ip: Option<IpAddr>,
    /// In which browser, as it calls itself.
    pub(super) user_agent: Option<String>,
}

impl Stored {
    fn read(value: &serde_json::Value) -> Option<Self> {
        Self::deserialize(value).ok()
    }

    /// What a session holds of its person, of everything that it holds.
    pub(super) fn of(data: &serde_json::Value) -> Option<Self> {
        data.get(PERSON).and_then(Self::read)
    }
}

/// Starts a session for somebody who just proved who they are, under a new id. What waits in the forms of
/// the one before stays if it was theirs; everything else of it is gone.
pub(super) async fn start(
    session: &Session,
    started: &Started,
    user_agent: Option<String>,
    provider: Option<Provider>,
) -> anyhow::Result<()> {
    let by = &started.by;
    let before: Option<Stored> = session.get(PERSON).await?;
    let kept: Option<serde_json::Value> = match before {
        Some(before) if before.id == by.person.id => session.get(step_up::KEPT).await?,
        _ => None,
    };
    let browser: Option<String> = session.get(BROWSER).await?;
    // Flushing alone would keep the id: whoever planted it would be signed in too.
    session.clear().await;
    session.cycle_id().await?;
    let stored = Stored {
        id: by.person.id.clone(),
        assurance: by.assurance,
        amr: by.amr.clone(),
        acr: by.acr.clone(),
        auth_time: by.auth_time,
        provider,
        began: Some(Began {
            session: started.session,
            at: started.at,
            ip: by.ip,
            user_agent,
        }),
    };
    session.insert(PERSON, stored).await?;
    if let Some(kept) = kept {
        session.insert(step_up::KEPT, kept).await?;
    }
    if let Some(browser) = browser {
        session.insert(BROWSER, browser).await?;
    }
    Ok(())
}

/// A secret of this browser's session, by which a sign-in that comes back is known to have left here. It
/// outlives the sign-in itself: another tab may still be on its way.
pub(super) async fn browser(session: &Session) -> Result<Option<String>, Error> {
    session.get(BROWSER).await.map_err(unavailable)
}

/// The same, made now if there is none. A session that nobody has signed in to lasts for that only.
pub(super) async fn mark_browser(session: &Session) -> Result<String, Error> {
    if let Some(secret) = browser(session).await? {
        return Ok(secret);
    }
    let secret = Id::default().to_string();
    if session
        .get_value(PERSON)
        .await
        .map_err(unavailable)?
        .is_none()
    {
        session.set_expiry(Some(Expiry::OnInactivity(ANONYMOUS_LASTS)));
    }
    let kept = session.insert(BROWSER, &secret).await;
    kept.map_err(unavailable)?;
    Ok(secret)
}

/// The account behind a session.
pub(super) async fn provider(session: &Session) -> Result<Option<Provider>, Error> {
    let stored: Option<Stored> = session.get(PERSON).await.map_err(unavailable)?;
    Ok(stored.and_then(|stored| stored.provider))
}

/// Opens a session for somebody who proved who they are, outside any answer to a browser, and gives the
/// value of its cookie.
///
/// # Errors
/// If the database refuses.
pub async fn open(db: &Db, by: &SignedInPerson) -> anyhow::Result<String> {
    let store = Arc::new(Store { db: db.clone() });
    let session = Session::new(None, store, Some(Expiry::OnInactivity(LASTS)));
    let at = db.clock.now(&mut *db.conn().await?).await?;
    let started = Started {
        by: by.clone(),
        session: SessionId::new(at),
        at,
    };
    start(&session, &started, None, None).await?;
    session.save().await?;
    let id = session.id().context("a session that was saved has an id")?;
    Ok(id.to_string())
}

/// The public name of the session that a request came in; none if it was ended at this very moment.
pub(super) async fn name(web: &Web, session: &Session) -> Result<Option<SessionId>, Error> {
    match session.id() {
        Some(id) => {
            let mut conn = web.broker().db.conn().await?;
            Ok(sessions::find_id(&mut conn, &hash(id)).await?)
        }
        None => Ok(None),
    }
}

/// Somebody who is signed in, as the gate found them.
pub(super) struct SignedIn(pub(super) SignedInPerson);

/// Perhaps somebody who is signed in.
pub(super) struct MaybeSignedIn(pub(super) Option<SignedInPerson>);

impl FromRequestParts<Web> for SignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _web: &Web) -> Result<Self, Error> {
        let found = parts.extensions.get::<SignedInPerson>().cloned();
        found.map(SignedIn).ok_or_else(|| {
            Error::Internal(anyhow::anyhow!(
                "the table of routes lets everybody in where somebody signed in is needed"
            ))
        })
    }
}

impl FromRequestParts<Web> for MaybeSignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Error> {
        let session = Session::from_request_parts(parts, web)
            .await
            .map_err(|(_, why)| Error::Internal(anyhow::anyhow!("no session layer: {why}")))?;
        let is_api = parts.uri.path().starts_with("/api/");
        Ok(Self(find(web, &session).await?.map(|(person, stored)| {
            SignedInPerson {
                person,
                assurance: stored.assurance,
                amr: stored.amr,
                acr: stored.acr,
                auth_time: stored.auth_time,
                channel: if is_api { Channel::Api } else { Channel::Web },
                ip: client_ip(parts, web),
            }
        })))
    }
}

/// The address that somebody comes from.
fn client_ip(parts: &Parts, web: &Web) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let trusted = &web.0.setup.trusted_proxies;
    Some(client::address(peer.ip(), &parts.headers, trusted))
}

/// The person of a session, and what it says of them; nobody if they were disabled.
async fn find(web: &Web, session: &Session) -> Result<Option<(Person, Stored)>, Error> {
    let Some(stored) = session.get::<Stored>(PERSON).await.map_err(unavailable)? else {
        return Ok(None);
    };
    let mut conn = web.broker().db.conn().await?;
    let person = directory::find_person(&mut conn, &stored.id).await?;
    Ok(person
        .filter(|person| person.enabled)
        .map(|person| (person, stored)))
}

/// The person of a session, if there is one.
pub(super) async fn person(web: &Web, session: &Session) -> Result<Option<Person>, Error> {
    Ok(find(web, session).await?.map(|(person, _)| person))
}

/// The same of a session that was read a while ago and may have ended meanwhile.
pub(super) async fn reload(web: &Web, session: &Session) -> Result<Option<Person>, Error> {
    session.load().await.map_err(unavailable)?;
    person(web, session).await
}

/// The address, as a handler's argument.
pub(super) struct ClientIp(pub(super) Option<IpAddr>);

impl FromRequestParts<Web> for ClientIp {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Self::Rejection> {
        Ok(Self(client_ip(parts, web)))
    }
}

/// Most characters of what a browser calls itself.
const MOST_USER_AGENT: usize = 300;

/// What the browser calls itself, cleaned and cut.
pub(super) struct UserAgent(pub(super) Option<String>);

impl FromRequestParts<Web> for UserAgent {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _web: &Web) -> Result<Self, Self::Rejection> {
        let header = parts.headers.get(axum::http::header::USER_AGENT);
        Ok(Self(header.map(|value| {
            from_outside(&String::from_utf8_lossy(value.as_bytes()))
                .chars()
                .take(MOST_USER_AGENT)
                .collect()
        })))
    }
}

/// The session store fails only when the database does.
pub(super) fn unavailable(error: tower_sessions::session::Error) -> Error {
    match error {
        tower_sessions::session::Error::Store(StoreError::Backend(_)) => {
            Error::Unavailable(error.into())
        }
        other => Error::Internal(other.into()),
    }
}
