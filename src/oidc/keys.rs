//! The keys of an issuer (JWK sets, RFC 7517), and which of them fits a token.
//!
//! A key is chosen by its id and by what it is for, never by where it stands: one without an id is
//! never chosen, and two that both fit are worth as much as none.

use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize;

use super::Disbelief;

/// Most keys that a set may hold.
const MOST_KEYS: usize = 50;

/// Shortest RSA modulus (NIST SP 800-131A).
const RSA_BITS: usize = 2048;

/// How tokens may be signed: with a private key only. Shared secrets and "none" are not in this list,
/// so that nobody can configure them (RFC 8725 §3.1, §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the names are those of RFC 7518 §3.1 and RFC 8037"
)]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The same in the crate's words.
    pub(super) fn of_crate(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as Of;
        match self {
            Self::RS256 => Of::RS256,
            Self::RS384 => Of::RS384,
            Self::RS512 => Of::RS512,
            Self::PS256 => Of::PS256,
            Self::PS384 => Of::PS384,
            Self::PS512 => Of::PS512,
            Self::ES256 => Of::ES256,
            Self::ES384 => Of::ES384,
            Self::EdDSA => Of::EdDSA,
        }
    }

    fn fits(self, parameters: &AlgorithmParameters) -> bool {
        match (self, parameters) {
            (
                Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512,
                AlgorithmParameters::RSA(_),
            ) => true,
            (Self::ES256, AlgorithmParameters::EllipticCurve(key)) => {
                key.curve == EllipticCurve::P256
            }
            (Self::ES384, AlgorithmParameters::EllipticCurve(key)) => {
                key.curve == EllipticCurve::P384
            }
            (Self::EdDSA, AlgorithmParameters::OctetKeyPair(key)) => {
                key.curve == EllipticCurve::Ed25519
            }
            _ => false,
        }
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [
            Self::RS256,
            Self::RS384,
            Self::RS512,
            Self::PS256,
            Self::PS384,
            Self::PS512,
            Self::ES256,
            Self::ES384,
            Self::EdDSA,
        ]
        .into_iter()
        .find(|algorithm| algorithm.as_str() == text)
        .ok_or_else(|| {
            "it is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"
                .to_owned()
        })
    }
}

/// A set as it comes. A key of a kind that nobody here knows must not cost the others.
#[derive(Debug, Deserialize)]
pub(super) struct Document {
    keys: Vec<serde_json::Value>,
}

/// The keys with an id.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Jwk>);

impl TryFrom<Document> for KeySet {
    type Error = anyhow::Error;

    fn try_from(document: Document) -> anyhow::Result<Self> {
        let count = document.keys.len();
        anyhow::ensure!(count <= MOST_KEYS, "{count} keys are more than {MOST_KEYS}");
        let known = document.keys.into_iter().filter_map(|key| {
            let key: Jwk = serde_json::from_value(key).ok()?;
            key.common.key_id.is_some().then_some(key)
        });
        Ok(Self(known.collect()))
    }
}

impl KeySet {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there any key of this id?
    pub(super) fn knows(&self, kid: &str) -> bool {
        self.0.iter().any(|key| has_id(key, kid))
    }

    /// The key of this id for this algorithm.
    pub(super) fn find(&self, kid: &str, algorithm: Algorithm) -> Result<DecodingKey, Disbelief> {
        let unfit = |detail: String| Disbelief::refused("unfit_key", detail);
        let mut fitting = self
            .0
            .iter()
            .filter(|key| has_id(key, kid) && is_for_signatures(key) && is_for(key, algorithm));
        let (Some(key), None) = (fitting.next(), fitting.next()) else {
            return Err(if self.knows(kid) {
                unfit(format!(
                    "not exactly one key {kid:?} is for {}",
                    algorithm.as_str()
                ))
            } else {
                Disbelief::refused("unknown_key", format!("the issuer has no key {kid:?}"))
            });
        };
        if let AlgorithmParameters::RSA(rsa) = &key.algorithm {
            let bits = bits(&rsa.n);
            if bits < RSA_BITS {
                return Err(unfit(format!("RSA key {kid:?} has {bits} bits")));
            }
        }
        DecodingKey::from_jwk(key).map_err(|error| unfit(format!("key {kid:?}: {error}")))
    }
}

fn has_id(key: &Jwk, kid: &str) -> bool {
    key.common.key_id.as_deref() == Some(kid)
}

/// RFC 7517 §4.2, §4.3.
fn is_for_signatures(key: &Jwk) -> bool {
    let by_use = !matches!(
        key.common.public_key_use,
        Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_))
    );
    let operations = key.common.key_operations.as_ref();
    by_use && operations.is_none_or(|may| may.contains(&KeyOperations::Verify))
}

/// The kind of key fits, and the key does not say that it is for something else (RFC 7517 §4.4).
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    let of_key = key.common.key_algorithm;
    algorithm.fits(&key.algorithm) && of_key.is_none_or(|of| of == algorithm.of_crate().into())
}

/// Length of a modulus.
fn bits(modulus: &str) -> usize {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(modulus).unwrap_or_default();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    match bytes.get(zeros) {
        Some(first) => (bytes.len() - zeros) * 8 - first.leading_zeros() as usize,
        None => 0,
    }
}

#[cfg(test)]
mod tests;
