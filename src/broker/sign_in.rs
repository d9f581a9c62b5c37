//! Signing in. How somebody proved who they are is the edge's business (`http`); here it becomes a
//! record. Events: `session.started`, `session.refused`.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::{ActError, Broker, Kind, Refused};
use crate::access::id::SessionId;
use crate::access::person::{Actor, SignedInPerson};
use crate::audit::event::{Event, EventType};
use crate::postgres::change::Change;

impl Broker {
    /// Records that somebody signed in, and gives the id of the session and when it began. It may be
    /// used once this is committed.
    ///
    /// # Errors
    /// If they are disabled, or the database refuses.
    pub async fn sign_in(
        &self,
        by: &SignedInPerson,
    ) -> Result<(SessionId, DateTime<Utc>), ActError> {
        if !by.person.enabled {
            let refused = Refused::new(
                Kind::Forbidden,
                "disabled",
                "The directory says that this account is disabled.",
            );
            return Err(self
                .refuse(by, EventType::SessionRefused, None, refused)
                .await?
                .into());
        }
        let mut change = Change::begin(&self.db, Actor::Person(Box::new(by.clone()))).await?;
        let now = change.now().await?;
        let id = SessionId::new(now);
        change.record(
            Event::new(EventType::SessionStarted)
                .with("session", id.to_string())
                .with("assurance", by.assurance.as_str()),
        );
        change.commit().await?;
        Ok((id, now))
    }

    /// Records that a sign-in failed: how long the name was, never the name itself.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn refuse_sign_in(
        &self,
        ip: Option<IpAddr>,
        code: &'static str,
        length: usize,
    ) -> anyhow::Result<()> {
        let key = ip.map_or_else(|| "stranger".to_owned(), |ip| format!("stranger {ip}"));
        let length = i64::try_from(length).unwrap_or(i64::MAX).min(1 << 31);
        let event = Event::new(EventType::SessionRefused)
            .with("code", code)
            .with("length", length);
        self.record_refusal(&key, Actor::Stranger { ip }, event)
            .await
    }
}
