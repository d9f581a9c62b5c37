//! A signed token (JWT, RFC 7519) whose issuer, audience and signature hold, and its claims.
//!
//! What must hold of every token is here; what makes it an ID token, a logout token or an access token
//! is said by the one verifier of that type. Where the key is comes from the configuration alone:
//! `jku`, `jwk` and `x5u` of a token's header are never looked at (RFC 8725 §3.10).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Disbelief;
use super::keys::Algorithm;

/// Longest token.
const TOKEN_BYTES: usize = 16 * 1024;

/// Longest id of a key.
const KEY_ID_BYTES: usize = 256;

/// How far clocks may be apart.
pub(super) const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// What a token says about itself before anything of it is believed.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl Header {
    /// Reads it.
    pub(super) fn of(token: &str) -> Result<Self, Disbelief> {
        let malformed = |detail: &str| Disbelief::refused("malformed_token", detail);
        if token.len() > TOKEN_BYTES {
            return Err(malformed("it is too long"));
        }
        let part = token.split('.').next().unwrap_or_default();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(part);
        let bytes = bytes.map_err(|_| malformed("its header is not base64url"))?;
        let header: Self =
            serde_json::from_slice(&bytes).map_err(|_| malformed("its header is not one"))?;
        if header.crit.is_some() {
            // RFC 7515 §4.1.11: nothing critical is understood here.
            return Err(Disbelief::refused(
                "critical_header",
                "it has a crit header",
            ));
        }
        Ok(header)
    }

    /// The algorithm, if it is one of those that the configuration names.
    pub(super) fn algorithm(&self, allowed: &[Algorithm]) -> Result<Algorithm, Disbelief> {
        let found = allowed.iter().find(|at| at.as_str() == self.alg);
        found.copied().ok_or_else(|| {
            let said: String = self.alg.chars().take(20).collect();
            Disbelief::refused("algorithm_not_allowed", format!("it says {said:?}"))
        })
    }

    /// The id of its key.
    pub(super) fn key_id(&self) -> Result<&str, Disbelief> {
        self.kid
            .as_deref()
            .filter(|kid| !kid.is_empty() && kid.len() <= KEY_ID_BYTES)
            .ok_or_else(|| Disbelief::refused("no_key_id", "it names no key, or at great length"))
    }

    /// Its type: in lower case, without the prefix that may be left out (RFC 7515 §4.1.9).
    fn media_type(&self) -> Option<String> {
        let typ = self.typ.as_ref()?.to_ascii_lowercase();
        Some(typ.strip_prefix("application/").unwrap_or(&typ).to_owned())
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Token {
    /// `typ` of its header.
    pub(super) media_type: Option<String>,
    /// How it is signed.
    pub(super) algorithm: Algorithm,
    claims: Map<String, Value>,
}

impl Token {
    /// The issuer that a token names, believed by nobody.
    pub(super) fn claimed_issuer(token: &str) -> Option<String> {
        #[derive(Deserialize)]
        struct Claimed {
            iss: String,
        }
        let payload = token
            .split('.')
            .nth(1)
            .filter(|_| token.len() <= TOKEN_BYTES)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        Some(serde_json::from_slice::<Claimed>(&bytes).ok()?.iss)
    }

    /// Checks signature, issuer and audience. The claims must be there.
    pub(super) fn verify(
        token: &str,
        header: &Header,
        (algorithm, key): (Algorithm, &DecodingKey),
        issuer: &str,
        audience: &str,
    ) -> Result<Self, Disbelief> {
        let mut rules = Validation::new(algorithm.of_crate());
        rules.set_required_spec_claims(&["iss", "aud"]);
        rules.set_issuer(&[issuer]);
        rules.set_audience(&[audience]);
        rules.validate_aud = true;
        // The crate would go by this machine's clock; `Token::times` goes by ours.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let read = jsonwebtoken::decode::<Map<String, Value>>(token, key, &rules);
        let claims = read.map_err(|error| disbelief(&error))?.claims;
        let verified = Self {
            media_type: header.media_type(),
            algorithm,
            claims,
        };
        // The crate also takes a list that holds the issuer; RFC 7519 §4.1.1 knows one issuer.
        if verified.get("iss").and_then(Value::as_str) != Some(issuer) {
            return Err(Disbelief::refused("wrong_issuer", "iss is not one issuer"));
        }
        Ok(verified)
    }

    /// Refuses what is not valid now: `exp` (must be there), `nbf`, `iat` (must be there). Returns the
    /// times of issue and end.
    pub(super) fn times(
        &self,
        now: DateTime<Utc>,
    ) -> Result<(DateTime<Utc>, DateTime<Utc>), Disbelief> {
        let (issued_at, ends_at) = (self.needed_time("iat")?, self.needed_time("exp")?);
        if ends_at <= now - LEEWAY {
            let detail = format!("it ended at {ends_at}");
            return Err(Disbelief::refused("token_expired", detail));
        }
        let not_before = self.time("nbf")?;
        if issued_at > now + LEEWAY || not_before.is_some_and(|from| from > now + LEEWAY) {
            let detail = format!("it is of {issued_at}, from {not_before:?}");
            return Err(Disbelief::refused("token_not_yet_valid", detail));
        }
        Ok((issued_at, ends_at))
    }

    /// When the person last proved who they are; never in the future.
    pub(super) fn auth_time(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Disbelief> {
        let at = self.time("auth_time")?;
        if at.is_some_and(|at| at > now + LEEWAY) {
            return Err(malformed("auth_time"));
        }
        Ok(at)
    }

    /// Whom it is for.
    pub(super) fn audiences(&self) -> Result<Vec<String>, Disbelief> {
        self.list("aud")
    }

    /// Is it there, and not null?
    pub(super) fn has(&self, claim: &str) -> bool {
        self.get(claim).is_some()
    }

    /// A claim as it is.
    pub(super) fn get(&self, claim: &str) -> Option<&Value> {
        self.claims.get(claim).filter(|value| !value.is_null())
    }

    /// A claim that is a text.
    pub(super) fn text(&self, claim: &str) -> Result<Option<&str>, Disbelief> {
        self.get(claim)
            .map(|value| value.as_str().ok_or_else(|| malformed(claim)))
            .transpose()
    }

    /// The same, which must be there and say something.
    pub(super) fn needed_text(&self, claim: &str) -> Result<&str, Disbelief> {
        let text = self.text(claim)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| missing(claim))
    }

    /// A claim that is a list of texts. A text alone is a list of one.
    pub(super) fn list(&self, claim: &str) -> Result<Vec<String>, Disbelief> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match self.get(claim) {
            None => Ok(Vec::new()),
            Some(Value::Array(all)) => all
                .iter()
                .map(|value| text(value).ok_or_else(|| malformed(claim)))
                .collect(),
            Some(one) => Ok(vec![text(one).ok_or_else(|| malformed(claim))?]),
        }
    }

    /// A claim that is a time (RFC 7519 §2, `NumericDate`).
    fn time(&self, claim: &str) -> Result<Option<DateTime<Utc>>, Disbelief> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast from f64 saturates, and what is out of range is no time"
        )]
        let seconds = |value: &Value| {
            let whole = value.as_i64();
            whole.or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64))
        };
        self.get(claim)
            .map(|value| {
                seconds(value)
                    .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
                    .ok_or_else(|| malformed(claim))
            })
            .transpose()
    }

    fn needed_time(&self, claim: &str) -> Result<DateTime<Utc>, Disbelief> {
        self.time(claim)?.ok_or_else(|| missing(claim))
    }
}

pub(super) fn missing(claim: &str) -> Disbelief {
    Disbelief::refused("claim_missing", format!("{claim} is not there"))
}

fn malformed(claim: &str) -> Disbelief {
    Disbelief::refused("malformed_claim", format!("{claim} makes no sense"))
}

fn disbelief(error: &jsonwebtoken::errors::Error) -> Disbelief {
    use jsonwebtoken::errors::ErrorKind;
    let code = match error.kind() {
        ErrorKind::InvalidSignature => "bad_signature",
        ErrorKind::InvalidIssuer => "wrong_issuer",
        ErrorKind::InvalidAudience => "wrong_audience",
        ErrorKind::MissingRequiredClaim(_) => "claim_missing",
        ErrorKind::InvalidAlgorithm => "algorithm_not_allowed",
        _ => "malformed_token",
    };
    Disbelief::refused(code, error.to_string())
}
