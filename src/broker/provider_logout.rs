//! The provider says that somebody signed out there (OIDC Back-Channel Logout 1.0).
//!
//! Who: the provider, by a logout token that `oidc` verified. Changes: the sessions of that account, or
//! of that one session of the provider, are gone; each token counts once. Events: `session.ended` for
//! each.

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::{ActError, Broker, Kind, Refused};
use crate::access::person::Actor;
use crate::audit::event::{Event, EventType};
use crate::postgres::change::Change;
use crate::postgres::{sessions, sign_ins};

/// A token is remembered for so much longer than it says: clocks may differ by as much.
const LEEWAY: TimeDelta = TimeDelta::minutes(5);

/// What the provider says. At least one of subject and session is there.
#[derive(Clone, Copy, Debug)]
pub struct ProviderLogout<'a> {
    /// Which provider.
    pub issuer: &'a str,
    /// Whose sessions.
    pub subject: Option<&'a str>,
    /// Which session of theirs; none is all.
    pub session: Option<&'a str>,
    /// The token's own name (`jti`).
    pub id: &'a str,
    /// Until when it may come.
    pub expires_at: DateTime<Utc>,
}

impl Broker {
    /// Ends the sessions that a provider says are over.
    ///
    /// # Errors
    /// If the token was used before, or the database refuses.
    pub async fn provider_logout(&self, said: ProviderLogout<'_>) -> Result<(), ActError> {
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let mut id = Sha256::new();
        for part in [said.issuer, said.id] {
            id.update(part.len().to_be_bytes());
            id.update(part);
        }
        let until = said.expires_at + LEEWAY;
        if !sign_ins::remember_logout(change.conn(), &id.finalize(), until).await? {
            let text = "This logout token was used before.";
            return Err(Refused::new(Kind::Invalid, "token_replayed", text).into());
        }
        let now = change.now().await?;
        let ended =
            sessions::end_of_account(change.conn(), said.issuer, said.subject, said.session, now)
                .await?;
        if ended.is_empty() {
            return Ok(change.commit_bookkeeping().await?);
        }
        for session in ended {
            change.record(
                Event::new(EventType::SessionEnded)
                    .with("session", session.id.to_string())
                    .with("person", session.person.as_str())
                    .with("why", "the identity provider ended it"),
            );
        }
        change.commit().await?;
        Ok(())
    }
}
