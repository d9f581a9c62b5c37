//! Logout tokens: a provider says that a session, or all sessions of somebody, are over
//! (OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6). Good for ending, and for nothing else.

use chrono::{DateTime, Utc};

use super::Disbelief;
use super::sign_in::bounded;
use super::token::{Token, missing};

/// The event that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Who was signed out: one session if it is named, else all of the subject's.
#[derive(Debug)]
pub struct LoggedOut {
    /// Who says so.
    pub issuer: String,
    /// Whose sessions.
    pub subject: Option<String>,
    /// Which session (`sid`).
    pub session: Option<String>,
    /// The token's own id (`jti`): it counts once.
    pub id: String,
    /// Until when that must be remembered, at least.
    pub expires_at: DateTime<Utc>,
}

/// Judges a token whose signature, issuer and audience hold.
pub(super) fn judge(
    token: &Token,
    issuer: &str,
    without_typ: bool,
    now: DateTime<Utc>,
) -> Result<LoggedOut, Disbelief> {
    let is_typed = match token.media_type.as_deref() {
        Some("logout+jwt") => true,
        None | Some("jwt") => without_typ,
        Some(_) => false,
    };
    let is_event = token
        .get("events")
        .and_then(|events| events.get(EVENT))
        .is_some_and(serde_json::Value::is_object);
    // A nonce would make it an ID token (§2.4).
    if !is_typed || !is_event || token.has("nonce") {
        return Err(Disbelief::refused("wrong_type", "it is no logout token"));
    }
    let (_, expires_at) = token.times(now)?;
    let name = |claim: &str| bounded(token.text(claim)?.map(str::to_owned), claim);
    let (subject, session) = (name("sub")?, name("sid")?);
    if subject.is_none() && session.is_none() {
        return Err(missing("sub or sid"));
    }
    Ok(LoggedOut {
        issuer: issuer.to_owned(),
        subject,
        session,
        id: name("jti")?.ok_or_else(|| missing("jti"))?,
        expires_at,
    })
}
