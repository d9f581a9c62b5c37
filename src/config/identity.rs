//! Who says who people are: `[oidc]`, `[sessions]` and `[[api.issuers]]`.
//!
//! Here it is read and judged, and made into what `oidc` works with; no provider is asked. Without
//! `[oidc]` nobody can sign in, and without `[[api.issuers]]` no bearer token is taken.

use std::path::PathBuf;

use anyhow::Context as _;
use secrecy::SecretString;
use serde::Deserialize;

use super::{Config, secret};
use crate::clock::Clock;
use crate::oidc::{
    AccessTokenSettings, AccessTokens, Algorithm, AssuranceMap, Client, ClientAuthentication,
    ClientSettings, Issuer, IssuerUrl,
};

/// Where the provider sends browsers back to, behind `public_url`.
const CALLBACK: &str = "/auth/callback";

/// Keys whose values are lists, which the environment writes with commas.
pub(super) const LISTS: [&str; 6] = [
    "oidc.scopes",
    "oidc.algorithms",
    "oidc.assurance.mfa_amr",
    "oidc.assurance.mfa_acr",
    "oidc.assurance.phishing_resistant_amr",
    "oidc.assurance.phishing_resistant_acr",
];

/// `[oidc]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OidcSection {
    issuer: String,
    client_id: String,
    client_secret: Option<SecretString>,
    pub(super) client_secret_file: Option<PathBuf>,
    pub(super) private_key_file: Option<PathBuf>,
    private_key_id: Option<String>,
    #[serde(default = "usual_algorithm")]
    private_key_algorithm: String,
    #[serde(default = "usual_scopes")]
    scopes: Vec<String>,
    #[serde(default = "usual_algorithms")]
    algorithms: Vec<String>,
    external_id_issuer: Option<String>,
    #[serde(default = "subject")]
    external_id_claim: String,
    #[serde(default = "usual_user_name")]
    user_name_claim: String,
    #[serde(default)]
    logout_token_without_typ: bool,
    #[serde(default)]
    assurance: AssuranceSection,
}

/// `[oidc.assurance]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AssuranceSection {
    mfa_amr: Vec<String>,
    mfa_acr: Vec<String>,
    phishing_resistant_amr: Vec<String>,
    phishing_resistant_acr: Vec<String>,
    ask_mfa: String,
    ask_phishing_resistant: String,
}

impl Default for AssuranceSection {
    fn default() -> Self {
        let usual = AssuranceMap::default();
        Self {
            mfa_amr: usual.mfa_amr.into_iter().collect(),
            mfa_acr: usual.mfa_acr.into_iter().collect(),
            phishing_resistant_amr: usual.phishing_resistant_amr.into_iter().collect(),
            phishing_resistant_acr: usual.phishing_resistant_acr.into_iter().collect(),
            ask_mfa: usual.ask_mfa.unwrap_or_default(),
            ask_phishing_resistant: usual.ask_phishing_resistant.unwrap_or_default(),
        }
    }
}

/// `[sessions]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SessionsSection {
    pub(super) idle_minutes: u32,
    pub(super) absolute_hours: u32,
}

impl Default for SessionsSection {
    fn default() -> Self {
        Self {
            idle_minutes: 30,
            absolute_hours: 8,
        }
    }
}

/// `[api]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ApiSection {
    issuers: Vec<ApiIssuer>,
}

/// `[[api.issuers]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiIssuer {
    issuer: String,
    audience: String,
    person_claim: String,
    #[serde(default = "usual_algorithms")]
    algorithms: Vec<String>,
}

fn usual_algorithm() -> String {
    Algorithm::RS256.as_str().to_owned()
}

fn usual_algorithms() -> Vec<String> {
    vec![usual_algorithm()]
}

fn usual_scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).into()
}

fn subject() -> String {
    "sub".to_owned()
}

fn usual_user_name() -> String {
    "preferred_username".to_owned()
}

impl OidcSection {
    fn authentication(&self) -> anyhow::Result<ClientAuthentication> {
        let by_secret = secret(
            "oidc.client_secret",
            self.client_secret.as_ref(),
            self.client_secret_file.as_deref(),
        )?;
        let by_key = secret("oidc.private_key", None, self.private_key_file.as_deref())?;
        match (by_secret, by_key) {
            (Some(_), Some(_)) => anyhow::bail!(
                "oidc.client_secret and oidc.private_key_file are both set; keep one of them"
            ),
            (Some(secret), None) => Ok(ClientAuthentication::Secret(secret)),
            (None, Some(pem)) => Ok(ClientAuthentication::PrivateKey {
                pem,
                kid: self.private_key_id.clone(),
                algorithm: algorithm("oidc.private_key_algorithm", &self.private_key_algorithm)?,
            }),
            (None, None) => Ok(ClientAuthentication::None),
        }
    }

    fn assurance(&self) -> AssuranceMap {
        let said = &self.assurance;
        let set = |words: &[String]| words.iter().cloned().collect();
        let word = |word: &String| Some(word.clone()).filter(|word| !word.is_empty());
        AssuranceMap {
            mfa_amr: set(&said.mfa_amr),
            mfa_acr: set(&said.mfa_acr),
            phishing_resistant_amr: set(&said.phishing_resistant_amr),
            phishing_resistant_acr: set(&said.phishing_resistant_acr),
            ask_mfa: word(&said.ask_mfa),
            ask_phishing_resistant: word(&said.ask_phishing_resistant),
        }
    }
}

fn algorithm(key: &str, text: &str) -> anyhow::Result<Algorithm> {
    text.parse()
        .map_err(|why| anyhow::anyhow!("{key} holds {text:?}: {why}"))
}

/// The issuer that a section names.
fn issuer(
    section: &str,
    url: &str,
    algorithms: &[String],
    clock: &Clock,
) -> anyhow::Result<Issuer> {
    let url = IssuerUrl::new(url.to_owned())
        .with_context(|| format!("{section}.issuer is {url:?}, which is no address"))?;
    let key = format!("{section}.algorithms");
    let algorithms = algorithms.iter().map(|text| algorithm(&key, text));
    let algorithms = algorithms.collect::<anyhow::Result<_>>()?;
    Issuer::new(url, algorithms, clock.clone())
        .with_context(|| format!("{section}.issuer or {key} can't be used"))
}

fn is_there(key: &str, value: &str) -> anyhow::Result<()> {
    anyhow::ensure!(!value.trim().is_empty(), "{key} is empty");
    Ok(())
}

impl Config {
    /// What can be seen to be wrong without reading a secret.
    pub(super) fn judge_identity(&self) -> anyhow::Result<()> {
        let (idle, absolute) = (self.sessions.idle_minutes, self.sessions.absolute_hours);
        for (key, value, most) in [
            ("sessions.idle_minutes", idle, 24 * 60),
            ("sessions.absolute_hours", absolute, 24 * 7),
        ] {
            anyhow::ensure!(
                (1..=most).contains(&value),
                "{key} is {value}; it must be from 1 to {most}"
            );
        }
        anyhow::ensure!(
            idle <= absolute * 60,
            "sessions.idle_minutes is {idle}, longer than sessions.absolute_hours ({absolute}) lets any session last"
        );
        if let Some(oidc) = &self.oidc {
            for (key, value) in [
                ("oidc.client_id", &oidc.client_id),
                ("oidc.external_id_claim", &oidc.external_id_claim),
                ("oidc.user_name_claim", &oidc.user_name_claim),
            ] {
                is_there(key, value)?;
            }
            if let Some(of) = &oidc.external_id_issuer {
                is_there("oidc.external_id_issuer", of)?;
            }
        }
        for (at, api) in self.api.issuers.iter().enumerate() {
            is_there("api.issuers.audience", &api.audience)?;
            is_there("api.issuers.person_claim", &api.person_claim)?;
            let is_again = self.api.issuers[..at]
                .iter()
                .any(|other| other.issuer == api.issuer);
            anyhow::ensure!(!is_again, "api.issuers names {} twice", api.issuer);
            let is_client = self
                .oidc
                .as_ref()
                .is_some_and(|oidc| oidc.client_id == api.audience);
            anyhow::ensure!(
                !is_client,
                "api.issuers.audience is oidc.client_id: every ID token would be a key to the API. Register the API by a name of its own, such as api://curfew"
            );
        }
        // A mistake is found when the configuration is read, and not at the first sign-in.
        let clock = Clock::Postgres;
        if let Some(oidc) = &self.oidc {
            issuer("oidc", &oidc.issuer, &oidc.algorithms, &clock)?;
        }
        self.api_issuers(&clock)?;
        Ok(())
    }

    /// Where people sign in; none if that is not configured.
    ///
    /// # Errors
    /// If a secret can't be read, or makes no sense.
    pub fn oidc(&self, clock: &Clock) -> anyhow::Result<Option<Client>> {
        let Some(oidc) = &self.oidc else {
            return Ok(None);
        };
        let client = Client::new(ClientSettings {
            issuer: issuer("oidc", &oidc.issuer, &oidc.algorithms, clock)?,
            client_id: oidc.client_id.clone(),
            authentication: oidc.authentication()?,
            redirect_uri: format!("{}{CALLBACK}", self.public_url.origin()),
            scopes: oidc.scopes.clone(),
            user_name_claim: oidc.user_name_claim.clone(),
            external_id_claim: oidc.external_id_claim.clone(),
            external_id_issuer: oidc.external_id_issuer.clone(),
            assurance: oidc.assurance(),
            logout_token_without_typ: oidc.logout_token_without_typ,
        })
        .context("[oidc] can't be used")?;
        Ok(Some(client))
    }

    /// Whose access tokens `/api/v1` takes.
    ///
    /// # Errors
    /// If an issuer can't be used.
    pub fn api_issuers(&self, clock: &Clock) -> anyhow::Result<Vec<AccessTokens>> {
        let oidc = self.oidc.as_ref();
        let of = |api: &ApiIssuer| {
            Ok(AccessTokens::new(AccessTokenSettings {
                issuer: issuer("api.issuers", &api.issuer, &api.algorithms, clock)?,
                audience: api.audience.clone(),
                person_claim: api.person_claim.clone(),
                external_id_issuer: oidc.and_then(|oidc| oidc.external_id_issuer.clone()),
                assurance: oidc.map_or_else(AssuranceMap::default, OidcSection::assurance),
            }))
        };
        self.api.issuers.iter().map(of).collect()
    }
}

/// Is there a client's secret in this text? One in a comment counts too.
pub(super) fn has_client_secret(text: &str) -> bool {
    text.split("client_secret").skip(1).any(|rest| {
        rest.trim_start_matches(['"', '\'', ' ', '\t'])
            .starts_with('=')
    })
}

#[cfg(test)]
mod tests;
