//! Access tokens for `/api/v1` (RFC 9068, and what Okta makes of it): who calls, and what they may do.
//!
//! The audience is our API's own name, so that no ID token is one. Whether a scope is enough, and
//! whether a machine may do what it asks for, is said by the routes.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::Disbelief;
use super::assurance::AssuranceMap;
use super::issuer::Issuer;
use super::sign_in::bounded;
use super::token::{Token, missing};
use crate::access::person::Assurance;

/// What `typ` may say. RFC 9068 wants `at+jwt`; Okta says nothing.
const TYPES: [&str; 2] = ["at+jwt", "jwt"];

/// The access tokens of one issuer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessTokens(Arc<AccessTokenSettings>);

/// Which tokens are taken, and which claims mean what.
#[derive(Debug)]
pub struct AccessTokenSettings {
    /// Who issues them.
    pub issuer: Issuer,
    /// Our API's name there.
    pub audience: String,
    /// The immutable claim that is the identity store's external id (Okta: `uid`).
    pub person_claim: String,
    /// The issuer of such external ids in the identity store.
    pub external_id_issuer: Option<String>,
    /// What sign-ins are worth.
    pub assurance: AssuranceMap,
}

/// Who holds a token, and what it is good for.
#[derive(Debug)]
pub struct Bearer {
    /// Who says so.
    pub issuer: String,
    /// Who holds it.
    pub identity: BearerIdentity,
    /// What it may be used for.
    pub scopes: BTreeSet<String>,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When the person proved who they are.
    pub auth_time: Option<DateTime<Utc>>,
    /// In which context.
    pub acr: Option<String>,
    /// By which methods.
    pub amr: Vec<String>,
    /// What that is worth.
    pub assurance: Assurance,
}

/// See [`Bearer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BearerIdentity {
    /// Somebody, by the claim that the configuration names.
    Person(String),
    /// A program that acts for itself.
    Machine {
        /// As the issuer knows it.
        client: String,
    },
}

impl AccessTokens {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(settings: AccessTokenSettings) -> Self {
        Self(Arc::new(settings))
    }

    /// Who issues them.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    /// Whose external ids of the identity store are this issuer's.
    #[must_use]
    pub fn external_id_issuer(&self) -> Option<&str> {
        self.0.external_id_issuer.as_deref()
    }

    /// Does this token say that it is of this issuer? Nothing of it is believed by that: it only finds
    /// out who is to judge it, where several are configured.
    #[must_use]
    pub fn is_claimed_by(&self, token: &SecretString) -> bool {
        Token::claimed_issuer(token.expose_secret()).as_deref() == Some(self.0.issuer.as_str())
    }

    /// Believes a token if all of it holds.
    ///
    /// # Errors
    /// If the issuer is not available, or something does not hold.
    pub async fn verify(
        &self,
        token: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<Bearer, Disbelief> {
        let settings = &*self.0;
        let issuer = &settings.issuer;
        let token = issuer
            .verify(token.expose_secret(), &settings.audience)
            .await?;
        let typ = token.media_type.as_deref();
        // What a provider says of a session, or to a browser, is no key to an API.
        if typ.is_some_and(|typ| !TYPES.contains(&typ)) || token.has("events") || token.has("nonce")
        {
            return Err(Disbelief::refused("wrong_type", "it is no access token"));
        }
        let (issued_at, _) = token.times(now)?;
        let (acr, amr) = (token.text("acr")?.map(str::to_owned), token.list("amr")?);
        Ok(Bearer {
            issuer: issuer.as_str().to_owned(),
            identity: identity(&token, &settings.person_claim)?,
            scopes: scopes(&token)?,
            issued_at,
            auth_time: token.auth_time(now)?,
            assurance: settings.assurance.of(acr.as_deref(), &amr),
            acr,
            amr,
        })
    }
}

/// A token of a machine names no person, or a client as its own subject.
fn identity(token: &Token, person_claim: &str) -> Result<BearerIdentity, Disbelief> {
    let subject = token.needed_text("sub")?;
    let client = token.text("cid")?.or(token.text("client_id")?);
    let person = bounded(token.text(person_claim)?.map(str::to_owned), person_claim)?;
    match person {
        Some(person) if client != Some(subject) => Ok(BearerIdentity::Person(person)),
        _ => {
            let client = bounded(Some(client.unwrap_or(subject).to_owned()), "cid")?;
            let client = client.ok_or_else(|| missing("cid"))?;
            Ok(BearerIdentity::Machine { client })
        }
    }
}

/// `scp` (a list, Okta) or `scope` (words, RFC 8693 §4.2).
fn scopes(token: &Token) -> Result<BTreeSet<String>, Disbelief> {
    let claim = if token.has("scp") { "scp" } else { "scope" };
    let said = token.list(claim)?;
    let words = said.iter().flat_map(|said| said.split_ascii_whitespace());
    Ok(words.map(str::to_owned).collect())
}
