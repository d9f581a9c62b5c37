//! Signing in at a provider (OpenID Connect Core 1.0, authorization code flow with PKCE).
//!
//! `openidconnect` speaks the protocol; the ID token is judged here, with the same keys and the same
//! strictness as every other token. What somebody was asked to prove is checked again when they come
//! back: a provider that ignored the question is not believed.

use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::EncodingKey;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreErrorResponseType, CoreTokenResponse,
};
use openidconnect::url::Url;
use openidconnect::{
    AuthUrl, AuthenticationContextClass, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    JsonWebKeySet, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, TokenResponse as _, TokenUrl,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;

use super::Disbelief;
use super::assurance::AssuranceMap;
use super::fetch::FetchError;
use super::issuer::{Issuer, Metadata};
use super::keys::Algorithm;
use super::logout_token::{self, LoggedOut};
use super::token::{LEEWAY, Token, missing};
use crate::access::person::Assurance;

/// Bytes of randomness in `state` and `nonce`.
const RANDOM_BYTES: u32 = 32;

/// Oldest ID token that somebody may come back with.
const ID_TOKEN_AGE: TimeDelta = TimeDelta::minutes(10);

/// How long an assertion of ours is good.
const ASSERTION_SECONDS: i64 = 60;

/// Longest name by which a provider may know somebody or a session.
const NAME_BYTES: usize = 256;

/// Curfew as a registered client of one provider. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: ClientSettings,
    redirect_uri: RedirectUrl,
    key: Option<SigningKey>,
}

/// How Curfew is registered, and which claims mean what.
#[derive(Debug)]
pub struct ClientSettings {
    /// The provider.
    pub issuer: Issuer,
    /// As the provider knows Curfew.
    pub client_id: String,
    /// How Curfew proves that it is that client.
    pub authentication: ClientAuthentication,
    /// Where the browser comes back to.
    pub redirect_uri: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that is the identity store's user name, for people without any external id.
    pub user_name_claim: String,
    /// The immutable claim that is the identity store's external id.
    pub external_id_claim: String,
    /// The issuer of such external ids in the identity store; none takes user names only.
    pub external_id_issuer: Option<String>,
    /// What sign-ins are worth.
    pub assurance: AssuranceMap,
    /// Takes logout tokens that do not say that they are.
    pub logout_token_without_typ: bool,
}

/// OpenID Connect Core §9.
#[derive(Debug)]
pub enum ClientAuthentication {
    /// `client_secret_basic`.
    Secret(SecretString),
    /// `private_key_jwt` (RFC 7523 §2.2).
    PrivateKey {
        /// PKCS#8 or the traditional form of RSA.
        pem: SecretString,
        /// Its id at the provider.
        kid: Option<String>,
        /// How it signs.
        algorithm: Algorithm,
    },
    /// A public client: PKCE alone.
    None,
}

struct SigningKey {
    key: EncodingKey,
    kid: Option<String>,
    algorithm: Algorithm,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

/// What somebody must prove this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// At least this.
    pub assurance: Assurance,
    /// Not longer ago than this. None: whatever the provider remembers.
    #[serde(with = "seconds")]
    pub max_age: Option<TimeDelta>,
}

/// What was sent away, and must be kept until the browser comes back. It holds secrets.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pending {
    /// By which it is found again.
    #[serde(serialize_with = "exposed")]
    pub state: SecretString,
    /// What the ID token must hold.
    #[serde(serialize_with = "exposed")]
    pub nonce: SecretString,
    /// RFC 7636.
    #[serde(serialize_with = "exposed")]
    pub verifier: SecretString,
    /// What was asked for.
    pub demand: Demand,
}

fn exposed<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

mod seconds {
    use chrono::TimeDelta;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(super) fn serialize<S: Serializer>(
        age: &Option<TimeDelta>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        age.map(|age| age.num_seconds()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<TimeDelta>, D::Error> {
        let seconds = Option::<i64>::deserialize(from)?;
        let age = seconds.map(|seconds| {
            TimeDelta::try_seconds(seconds).ok_or_else(|| serde::de::Error::custom("too long"))
        });
        age.transpose()
    }
}

/// What the browser brought back, beside the state, which the caller has matched.
#[derive(Debug)]
pub struct Returned {
    /// The code.
    pub code: SecretString,
    /// RFC 9207.
    pub iss: Option<String>,
}

/// Who somebody is, as the provider proved it.
#[derive(Debug)]
pub struct Proof {
    /// Who says so.
    pub issuer: String,
    /// Whom it says it of. Never given to anybody else by this issuer.
    pub subject: String,
    /// The claim that is the identity store's external id.
    pub external_id: String,
    /// The claim that is the identity store's user name.
    pub user_name: Option<String>,
    /// The provider's session (`sid`).
    pub session: Option<String>,
    /// What the sign-in is worth.
    pub assurance: Assurance,
    /// In which context it was, as the provider names it.
    pub acr: Option<String>,
    /// By which methods.
    pub amr: Vec<String>,
    /// When they last proved who they are.
    pub auth_time: Option<DateTime<Utc>>,
    /// For signing out at the provider.
    pub id_token: SecretString,
}

impl Client {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// If the key or an address makes no sense.
    pub fn new(settings: ClientSettings) -> anyhow::Result<Self> {
        let key = match &settings.authentication {
            ClientAuthentication::PrivateKey {
                pem,
                kid,
                algorithm,
            } => Some(SigningKey {
                key: signing_key(pem, *algorithm)?,
                kid: kid.clone(),
                algorithm: *algorithm,
            }),
            ClientAuthentication::Secret(_) | ClientAuthentication::None => None,
        };
        let redirect_uri = RedirectUrl::new(settings.redirect_uri.clone())
            .context("the address to come back to makes no sense")?;
        Ok(Self(Arc::new(Inner {
            settings,
            redirect_uri,
            key,
        })))
    }

    /// The provider.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.0.settings.issuer
    }

    /// Whose external ids of the identity store are this provider's.
    #[must_use]
    pub fn external_id_issuer(&self) -> Option<&str> {
        self.0.settings.external_id_issuer.as_deref()
    }

    /// Where to send the browser, and what to keep until it comes back.
    ///
    /// # Errors
    /// If the provider is not available.
    pub async fn begin(&self, demand: Demand) -> Result<(Url, Pending), Disbelief> {
        let metadata = self.issuer().metadata().await?;
        let settings = &self.0.settings;
        let client = self.of_crate().set_auth_uri(AuthUrl::from_url(endpoint(
            metadata.authorization_endpoint.as_ref(),
            "authorization_endpoint",
        )?));
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new_random_len(RANDOM_BYTES),
                || Nonce::new_random_len(RANDOM_BYTES),
            )
            .set_pkce_challenge(challenge);
        for scope in settings.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if let Some(acr) = settings.assurance.ask(demand.assurance) {
            request =
                request.add_auth_context_value(AuthenticationContextClass::new(acr.to_owned()));
        }
        if let Some(age) = demand.max_age {
            request = request.set_max_age(age.to_std().unwrap_or_default());
        }
        let (url, state, nonce) = request.url();
        let pending = Pending {
            state: state.into_secret().into(),
            nonce: nonce.secret().clone().into(),
            verifier: verifier.into_secret().into(),
            demand,
        };
        Ok((url, pending))
    }

    /// Takes the code to the provider, and believes what it says if all of it holds
    /// (OpenID Connect Core §3.1.3.7).
    ///
    /// # Errors
    /// If the provider is not available, or something does not hold.
    pub async fn finish(
        &self,
        pending: &Pending,
        returned: &Returned,
        now: DateTime<Utc>,
    ) -> Result<Proof, Disbelief> {
        let metadata = self.issuer().metadata().await?;
        self.is_of_issuer(returned, &metadata)?;
        let answer = self.exchange(pending, returned, &metadata, now).await?;
        let id_token = answer
            .id_token()
            .ok_or_else(|| Disbelief::refused("no_id_token", "the answer holds none"))?
            .to_string();
        let access_token = answer.access_token().secret();
        let token = self.id_token(&id_token, pending, access_token, now).await?;
        self.proof(token, &id_token, pending, access_token, &metadata, now)
            .await
    }

    /// Where the browser goes after it was signed out here (RP-Initiated Logout 1.0), if the provider
    /// wants that and can be asked.
    pub async fn sign_out_url(&self, id_token_hint: &SecretString, return_to: &str) -> Option<Url> {
        let metadata = self.issuer().metadata().await.ok()?;
        let mut url = metadata.end_session_endpoint.clone()?;
        url.query_pairs_mut()
            .append_pair("id_token_hint", id_token_hint.expose_secret())
            .append_pair("client_id", &self.0.settings.client_id)
            .append_pair("post_logout_redirect_uri", return_to)
            // Cognito's word for the same; others pass it over.
            .append_pair("logout_uri", return_to);
        Some(url)
    }

    /// Whom the provider has signed out (Back-Channel Logout 1.0). Whether it was said before is for
    /// the caller to know.
    ///
    /// # Errors
    /// If the provider is not available, or something does not hold.
    pub async fn logout_token(
        &self,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<LoggedOut, Disbelief> {
        let settings = &self.0.settings;
        let verified = settings.issuer.verify(token, &settings.client_id).await?;
        logout_token::judge(
            &verified,
            settings.issuer.as_str(),
            settings.logout_token_without_typ,
            now,
        )
    }

    /// What would go wrong at a sign-in, as far as the provider's own words say; nothing is changed.
    ///
    /// # Errors
    /// If the provider is not available.
    pub async fn check(&self) -> Result<Vec<String>, Disbelief> {
        self.issuer().check().await?;
        let metadata = self.issuer().metadata().await?;
        let mut findings = Vec::new();
        for (name, endpoint) in [
            ("authorization_endpoint", &metadata.authorization_endpoint),
            ("token_endpoint", &metadata.token_endpoint),
        ] {
            if endpoint.is_none() {
                findings.push(format!(
                    "its metadata has no {name}: nobody can sign in there"
                ));
            }
        }
        let mut must_have = |list: Option<&Vec<String>>, word: &str, what: &str| {
            if list.is_some_and(|list| !list.iter().any(|at| at == word)) {
                findings.push(format!(
                    "its metadata does not list {word} among its {what}"
                ));
            }
        };
        must_have(
            metadata.code_challenge_methods_supported.as_ref(),
            "S256",
            "code challenge methods",
        );
        let method = match &self.0.settings.authentication {
            ClientAuthentication::Secret(_) => "client_secret_basic",
            ClientAuthentication::PrivateKey { .. } => "private_key_jwt",
            ClientAuthentication::None => "none",
        };
        let methods = metadata.token_endpoint_auth_methods_supported.as_ref();
        must_have(methods, method, "ways for clients to prove who they are");
        if let Some(signs) = &metadata.id_token_signing_alg_values_supported {
            let algorithms = self.issuer().algorithms();
            if !algorithms
                .iter()
                .any(|at| signs.iter().any(|it| it == at.as_str()))
            {
                findings.push(format!(
                    "it signs ID tokens by {}, and none of these is among oidc.algorithms",
                    signs.join(", ")
                ));
            }
        }
        Ok(findings)
    }

    /// The crate's client. It is made each time, because where the endpoints are may change.
    fn of_crate(&self) -> CoreClient {
        let settings = &self.0.settings;
        let client = CoreClient::new(
            ClientId::new(settings.client_id.clone()),
            settings.issuer.url().clone(),
            JsonWebKeySet::default(),
        )
        .set_redirect_uri(self.0.redirect_uri.clone());
        match &settings.authentication {
            ClientAuthentication::Secret(secret) => {
                client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
            }
            ClientAuthentication::PrivateKey { .. } | ClientAuthentication::None => client,
        }
    }

    /// Did another provider send the browser back, one that wants this provider's code (RFC 9207)?
    fn is_of_issuer(&self, returned: &Returned, metadata: &Metadata) -> Result<(), Disbelief> {
        let must_say = metadata.authorization_response_iss_parameter_supported;
        match &returned.iss {
            Some(iss) if iss == self.issuer().as_str() => Ok(()),
            None if !must_say => Ok(()),
            said => Err(Disbelief::refused(
                "wrong_response_issuer",
                format!("{said:?} sent the browser back"),
            )),
        }
    }

    async fn exchange(
        &self,
        pending: &Pending,
        returned: &Returned,
        metadata: &Metadata,
        now: DateTime<Utc>,
    ) -> Result<CoreTokenResponse, Disbelief> {
        let at = endpoint(metadata.token_endpoint.as_ref(), "token_endpoint")?;
        let client = self
            .of_crate()
            .set_token_uri(TokenUrl::from_url(at.clone()));
        let verifier = pending.verifier.expose_secret().to_owned();
        let mut request = client
            .exchange_code(AuthorizationCode::new(
                returned.code.expose_secret().to_owned(),
            ))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier));
        if let Some(key) = &self.0.key {
            let assertion = key
                .assertion(&self.0.settings.client_id, at.as_str(), now)
                .map_err(|error| Disbelief::Unavailable(error.into()))?;
            request = request
                .add_extra_param(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                )
                .add_extra_param("client_assertion", assertion);
        }
        let fetch = self.issuer().fetch();
        // It owns what it asks with: a borrow in it would keep the whole future on one thread.
        let send = |request| {
            let fetch = fetch.clone();
            async move {
                let answer = fetch.send(request).await?;
                if answer.status().is_server_error() {
                    return Err(FetchError::Status(
                        "the token endpoint".to_owned(),
                        answer.status(),
                    ));
                }
                Ok(answer)
            }
        };
        request
            .request_async(&send)
            .await
            .map_err(|error| match error {
                RequestTokenError::Request(error) => Disbelief::Unavailable(error.into()),
                RequestTokenError::ServerResponse(said) => {
                    let code = match said.error() {
                        CoreErrorResponseType::InvalidGrant => "code_refused",
                        _ => "client_refused",
                    };
                    Disbelief::refused(code, format!("the provider says {}", said.error().as_ref()))
                }
                // The answer may hold tokens, so only the place is said.
                RequestTokenError::Parse(error, _) => Disbelief::refused(
                    "malformed_token_response",
                    format!("it makes no sense at {}", error.path()),
                ),
                RequestTokenError::Other(_) => {
                    Disbelief::refused("malformed_token_response", "it is no JSON, or empty")
                }
            })
    }

    /// OpenID Connect Core §3.1.3.7, but for what was demanded.
    async fn id_token(
        &self,
        id_token: &str,
        pending: &Pending,
        access_token: &str,
        now: DateTime<Utc>,
    ) -> Result<Token, Disbelief> {
        let client_id = self.0.settings.client_id.as_str();
        let token = self.issuer().verify(id_token, client_id).await?;
        if !matches!(token.media_type.as_deref(), None | Some("jwt")) || token.has("events") {
            return Err(Disbelief::refused("wrong_type", "it is no ID token"));
        }
        let azp = token.text("azp")?;
        if token.audiences()?.len() != 1 || azp.is_some_and(|azp| azp != client_id) {
            return Err(Disbelief::refused("wrong_audience", "it is for others too"));
        }
        let (issued_at, _) = token.times(now)?;
        if issued_at < now - ID_TOKEN_AGE - LEEWAY {
            let detail = format!("it is of {issued_at}");
            return Err(Disbelief::refused("token_too_old", detail));
        }
        let nonce = token.text("nonce")?.unwrap_or_default();
        let is_ours = nonce
            .as_bytes()
            .ct_eq(pending.nonce.expose_secret().as_bytes());
        if !bool::from(is_ours) {
            return Err(Disbelief::refused(
                "wrong_nonce",
                "it is of another sign-in",
            ));
        }
        if let Some(hash) = token.text("at_hash")?
            && hash != half_hash(token.algorithm, access_token)
        {
            return Err(Disbelief::refused(
                "wrong_at_hash",
                "it is of another access token",
            ));
        }
        Ok(token)
    }

    /// What the token says, and whether that is what was asked for.
    async fn proof(
        &self,
        token: Token,
        id_token: &str,
        pending: &Pending,
        access_token: &str,
        metadata: &Metadata,
        now: DateTime<Utc>,
    ) -> Result<Proof, Disbelief> {
        let settings = &self.0.settings;
        let (acr, amr) = (token.text("acr")?.map(str::to_owned), token.list("amr")?);
        let assurance = settings.assurance.of(acr.as_deref(), &amr);
        if assurance < pending.demand.assurance {
            return Err(Disbelief::refused(
                "assurance_not_given",
                format!("acr {acr:?} and amr {amr:?} are {}", assurance.as_str()),
            ));
        }
        let auth_time = token.auth_time(now)?;
        if let Some(age) = pending.demand.max_age {
            let at = auth_time.ok_or_else(|| missing("auth_time"))?;
            if now - at > age + LEEWAY {
                let detail = format!("they signed in at {at}");
                return Err(Disbelief::refused("sign_in_not_repeated", detail));
            }
        }
        let subject = token.needed_text("sub")?.to_owned();
        let (id_claim, name_claim) = (&settings.external_id_claim, &settings.user_name_claim);
        let mut external_id = token.text(id_claim)?.map(str::to_owned);
        let mut user_name = token.text(name_claim)?.map(str::to_owned);
        // An ID token may be thin: the rest is then at the userinfo endpoint.
        if let Some(url) = &metadata.userinfo_endpoint
            && (external_id.is_none() || user_name.is_none())
        {
            let more = self.userinfo(url, access_token, &subject).await?;
            let text = |claim: &str| more.get(claim).and_then(Value::as_str).map(str::to_owned);
            external_id = external_id.or_else(|| text(id_claim));
            user_name = user_name.or_else(|| text(name_claim));
        }
        Ok(Proof {
            issuer: settings.issuer.as_str().to_owned(),
            external_id: bounded(external_id, id_claim)?.ok_or_else(|| missing(id_claim))?,
            user_name: bounded(user_name, name_claim)?,
            session: bounded(token.text("sid")?.map(str::to_owned), "sid")?,
            subject: bounded(Some(subject), "sub")?.ok_or_else(|| missing("sub"))?,
            assurance,
            acr,
            amr,
            auth_time,
            id_token: id_token.into(),
        })
    }

    /// OpenID Connect Core §5.3: what it says of anybody but the subject is not looked at.
    async fn userinfo(
        &self,
        url: &Url,
        access_token: &str,
        subject: &str,
    ) -> Result<Map<String, Value>, Disbelief> {
        let asked = self.issuer().fetch().json(url, Some(access_token)).await;
        let (more, _): (Map<String, Value>, _) =
            asked.map_err(|error| Disbelief::Unavailable(error.into()))?;
        if more.get("sub").and_then(Value::as_str) != Some(subject) {
            let detail = "its sub is not the one of the ID token";
            return Err(Disbelief::refused("userinfo_of_another", detail));
        }
        Ok(more)
    }
}

/// A name that is there, is not empty, and is not too long.
pub(super) fn bounded(name: Option<String>, claim: &str) -> Result<Option<String>, Disbelief> {
    let name = name.filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.len() > NAME_BYTES) {
        let detail = format!("{claim} is longer than {NAME_BYTES} bytes");
        return Err(Disbelief::refused("malformed_claim", detail));
    }
    Ok(name)
}

fn endpoint(url: Option<&Url>, name: &str) -> Result<Url, Disbelief> {
    url.cloned()
        .ok_or_else(|| Disbelief::Unavailable(anyhow::anyhow!("its metadata has no {name}")))
}

fn signing_key(pem: &SecretString, algorithm: Algorithm) -> anyhow::Result<EncodingKey> {
    let bytes = pem.expose_secret().as_bytes();
    let key = match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(bytes),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(bytes),
        _ => EncodingKey::from_rsa_pem(bytes),
    };
    key.with_context(|| {
        format!(
            "the private key is no PEM of a key for {}",
            algorithm.as_str()
        )
    })
}

impl SigningKey {
    /// RFC 7523 §3.
    fn assertion(
        &self,
        client_id: &str,
        audience: &str,
        now: DateTime<Utc>,
    ) -> jsonwebtoken::errors::Result<String> {
        let mut header = jsonwebtoken::Header::new(self.algorithm.of_crate());
        header.kid.clone_from(&self.kid);
        let claims = serde_json::json!({
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "jti": Nonce::new_random_len(RANDOM_BYTES).secret(),
            "iat": now.timestamp(),
            "exp": now.timestamp() + ASSERTION_SECONDS,
        });
        jsonwebtoken::encode(&header, &claims, &self.key)
    }
}

/// The left half of the hash that belongs to the algorithm (OpenID Connect Core §3.1.3.6).
fn half_hash(algorithm: Algorithm, access_token: &str) -> String {
    let hash = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => {
            Sha256::digest(access_token).to_vec()
        }
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => {
            Sha384::digest(access_token).to_vec()
        }
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => {
            Sha512::digest(access_token).to_vec()
        }
    };
    BASE64_URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
}
