//! What OpenID providers and token issuers say, and whether to believe it.
//!
//! `fetch` asks them, bounded in every way; `cache` keeps what they said for some minutes; `issuer` is
//! one of them with its metadata and keys; `keys` and `token` say which signed words are theirs. Each
//! type of token has one verifier and is good for nothing else: `sign_in` (ID tokens), `logout_token`,
//! `access_token`. `assurance` says what `acr` and `amr` are worth. Nothing here knows a database, a
//! person of the directory, or a page: what comes out is what somebody else has signed.

mod access_token;
mod assurance;
mod cache;
mod fetch;
mod issuer;
mod keys;
mod logout_token;
mod sign_in;
mod token;

pub use access_token::{AccessTokenSettings, AccessTokens, Bearer, BearerIdentity};
pub use assurance::AssuranceMap;
pub use issuer::Issuer;
pub use keys::Algorithm;
pub use logout_token::LoggedOut;
pub use openidconnect::IssuerUrl;
pub use openidconnect::url::Url;
pub use sign_in::{Client, ClientAuthentication, ClientSettings, Demand, Pending, Proof, Returned};

/// Why something could not be had from a provider, or is not believed.
#[derive(Debug)]
pub enum Disbelief {
    /// The provider is away, or what it says about itself can't be used. It may be worth to try again.
    Unavailable(anyhow::Error),
    /// No.
    Refused {
        /// What is wrong, for the record.
        code: &'static str,
        /// More of it, for the log and nobody else.
        detail: String,
    },
}

impl Disbelief {
    fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::Refused { code, detail }
    }

    /// What is wrong, for the record.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "provider_unavailable",
            Self::Refused { code, .. } => code,
        }
    }
}

impl std::fmt::Display for Disbelief {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the provider is not available: {why:#}"),
            Self::Refused { code, detail } => write!(f, "{code}: {detail}"),
        }
    }
}

impl std::error::Error for Disbelief {}
