//! Keys of the pretend provider and what it signs with them, rightly or wrongly. Nothing here uses the
//! crate that Curfew verifies with.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{encoding::AsDer as _, hmac};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A pair of keys with its id.
pub(crate) struct Key {
    pub(crate) kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Signed {
    /// By the key, as it should be.
    #[default]
    Well,
    /// Not at all.
    Not,
    /// With the public key for a shared secret, which everybody has.
    WithThePublicKey,
    /// By another key of the same kind.
    ByAnother,
}

/// Base64 as tokens have it.
pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    pub(crate) fn rsa(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        Self {
            kid: kid.to_owned(),
            pair: Pair::Rsa(Box::new(pair)),
        }
    }

    pub(crate) fn ec(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self {
            kid: kid.to_owned(),
            pair: Pair::Ec(pair),
        }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
        }
    }

    /// The private key as it stands in a file.
    pub(crate) fn pem(&self) -> String {
        let der = match &self.pair {
            Pair::Rsa(pair) => pair.as_der().unwrap().as_ref().to_vec(),
            Pair::Ec(pair) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
        };
        let text = BASE64_STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    /// The public key as a provider publishes it.
    pub(crate) fn public(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let key = pair.public_key();
                let (n, e) = (key.modulus(), key.exponent());
                json!({
                    "kty": "RSA", "kid": self.kid, "use": "sig", "alg": "RS256",
                    "n": base64url(n.big_endian_without_leading_zero()),
                    "e": base64url(e.big_endian_without_leading_zero()),
                })
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({
                    "kty": "EC", "kid": self.kid, "use": "sig", "alg": "ES256", "crv": "P-256",
                    "x": base64url(&point[1..33]),
                    "y": base64url(&point[33..]),
                })
            }
        }
    }

    /// A token of this header and these claims.
    pub(crate) fn sign(&self, header: &Value, claims: &Value, how: Signed) -> String {
        let text = format!(
            "{}.{}",
            base64url(header.to_string()),
            base64url(claims.to_string())
        );
        let signature = match how {
            Signed::Well => self.signature(text.as_bytes()),
            Signed::Not => Vec::new(),
            Signed::WithThePublicKey => {
                let public = match &self.pair {
                    Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
                    Pair::Ec(pair) => pair.public_key().as_ref().to_vec(),
                };
                let secret = hmac::Key::new(hmac::HMAC_SHA256, &public);
                hmac::sign(&secret, text.as_bytes()).as_ref().to_vec()
            }
            Signed::ByAnother => match &self.pair {
                Pair::Rsa(_) => Self::rsa(&self.kid),
                Pair::Ec(_) => Self::ec(&self.kid),
            }
            .signature(text.as_bytes()),
        };
        format!("{text}.{}", base64url(signature))
    }

    fn signature(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)
                    .unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, text).unwrap().as_ref().to_vec(),
        }
    }
}
