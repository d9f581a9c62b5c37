//! One configured issuer: what it says about itself (OpenID Connect Discovery 1.0 §4) and its keys.
//!
//! The issuer is the one of the configuration, byte for byte, in its metadata and in every token.
//! Okta's org server (`https://{domain}`) and its custom ones (`https://{domain}/oauth2/{id}`) are
//! different issuers, with different keys.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use openidconnect::IssuerUrl;
use openidconnect::url::Url;
use serde::Deserialize;

use super::Disbelief;
use super::cache::Cache;
use super::fetch::{Fetch, PATIENCE};
use super::keys::{Algorithm, Document, KeySet};
use super::token::{Header, Token};
use crate::clock::Clock;

/// See the module. Cheap to clone; clones share what is cached.
#[derive(Clone, Debug)]
pub struct Issuer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: IssuerUrl,
    algorithms: Vec<Algorithm>,
    fetch: Fetch,
    metadata: Cache<Metadata>,
    keys: Cache<KeySet>,
}

/// What of its metadata counts here.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) jwks_uri: Url,
    pub(super) authorization_endpoint: Option<Url>,
    pub(super) token_endpoint: Option<Url>,
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) end_session_endpoint: Option<Url>,
    /// RFC 9207 §3.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    /// RFC 8414 §2.
    pub(super) code_challenge_methods_supported: Option<Vec<String>>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(super) id_token_signing_alg_values_supported: Option<Vec<String>>,
}

impl Issuer {
    /// An issuer whose tokens are signed in one of these ways. Nothing is asked yet.
    ///
    /// # Errors
    /// If it could be asked only without TLS and is not this machine, or no algorithm is named.
    pub fn new(url: IssuerUrl, algorithms: Vec<Algorithm>, clock: Clock) -> anyhow::Result<Self> {
        Self::with_patience(url, algorithms, clock, PATIENCE)
    }

    /// The same, waiting for answers only so long.
    ///
    /// # Errors
    /// See [`Issuer::new`].
    pub fn with_patience(
        url: IssuerUrl,
        algorithms: Vec<Algorithm>,
        clock: Clock,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let fetch = Fetch::new(url.url(), patience)?;
        anyhow::ensure!(
            fetch.allows(url.url()),
            "the issuer {} is not reached by https: anybody on the way could say who is who",
            url.as_str()
        );
        anyhow::ensure!(
            url.url().query().is_none() && url.url().fragment().is_none(),
            "the issuer {} has a query or a fragment",
            url.as_str()
        );
        anyhow::ensure!(
            !algorithms.is_empty(),
            "no algorithm is allowed for the issuer {}",
            url.as_str()
        );
        let named = |what: &str| format!("{what} of {}", url.as_str());
        Ok(Self(Arc::new(Inner {
            metadata: Cache::new(named("the metadata"), clock.clone()),
            keys: Cache::new(named("the key set"), clock),
            url,
            algorithms,
            fetch,
        })))
    }

    /// Who it is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.url.as_str()
    }

    pub(super) fn url(&self) -> &IssuerUrl {
        &self.0.url
    }

    pub(super) fn algorithms(&self) -> &[Algorithm] {
        &self.0.algorithms
    }

    pub(super) fn fetch(&self) -> &Fetch {
        &self.0.fetch
    }

    /// Asks for metadata and keys now, if they are not at hand, and says how many keys there are.
    ///
    /// # Errors
    /// If either can't be had, or there is no key.
    pub async fn check(&self) -> Result<usize, Disbelief> {
        let keys = self.keys().await?.len();
        if keys == 0 {
            let why = anyhow::anyhow!("{} has no key with an id", self.as_str());
            return Err(Disbelief::Unavailable(why));
        }
        Ok(keys)
    }

    /// What it says about itself.
    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, Disbelief> {
        let got = self.0.metadata.get(|| self.load_metadata()).await;
        got.map_err(Disbelief::Unavailable)
    }

    async fn keys(&self) -> Result<Arc<KeySet>, Disbelief> {
        let got = self.0.keys.get(|| self.load_keys()).await;
        got.map_err(Disbelief::Unavailable)
    }

    /// A token of this issuer for this audience, whose signature holds. Its times and its type are
    /// still to be judged.
    pub(super) async fn verify(&self, token: &str, audience: &str) -> Result<Token, Disbelief> {
        let header = Header::of(token)?;
        let algorithm = header.algorithm(&self.0.algorithms)?;
        let kid = header.key_id()?;
        let mut keys = self.keys().await?;
        if !keys.knows(kid) {
            // The issuer may have begun to sign with a new one.
            let got = self.0.keys.newer(|| self.load_keys()).await;
            keys = got.map_err(Disbelief::Unavailable)?;
        }
        let key = keys.find(kid, algorithm)?;
        Token::verify(token, &header, (algorithm, &key), self.as_str(), audience)
    }

    async fn load_metadata(&self) -> anyhow::Result<(Metadata, Option<Duration>)> {
        let url = self.0.url.join(".well-known/openid-configuration")?;
        let (metadata, lifetime) = self.0.fetch.json::<Metadata>(&url, None).await?;
        anyhow::ensure!(
            metadata.issuer == self.as_str(),
            "it says that its issuer is {:?}, and the configuration says {:?}; they must be the same to the letter",
            metadata.issuer,
            self.as_str()
        );
        for (name, endpoint) in [
            ("jwks_uri", Some(&metadata.jwks_uri)),
            (
                "authorization_endpoint",
                metadata.authorization_endpoint.as_ref(),
            ),
            ("token_endpoint", metadata.token_endpoint.as_ref()),
            ("userinfo_endpoint", metadata.userinfo_endpoint.as_ref()),
            (
                "end_session_endpoint",
                metadata.end_session_endpoint.as_ref(),
            ),
        ] {
            let is_fit = endpoint.is_none_or(|url| self.0.fetch.allows(url));
            anyhow::ensure!(is_fit, "its {name} is not https");
        }
        Ok((metadata, lifetime))
    }

    async fn load_keys(&self) -> anyhow::Result<(KeySet, Option<Duration>)> {
        let metadata = self.0.metadata.get(|| self.load_metadata()).await?;
        let (document, lifetime) = self
            .0
            .fetch
            .json::<Document>(&metadata.jwks_uri, None)
            .await?;
        let keys = KeySet::try_from(document).context("its key set is not taken")?;
        Ok((keys, lifetime))
    }
}
