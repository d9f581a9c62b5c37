//! Ending one's own sessions: this one by signing out, another from the list of them, or all others.
//!
//! Who: the person whose they are, and nobody else; another's session does not exist for them. Changes:
//! the session is gone, and its cookie opens nothing from the commit on. Events: one `session.ended` for
//! each.

use super::{ActError, Broker, Kind, Refused};
use crate::access::id::SessionId;
use crate::access::person::{Actor, SignedInPerson};
use crate::audit::event::{Event, EventType};
use crate::postgres::change::Change;
use crate::postgres::sessions;

impl Broker {
    /// Ends a session of whoever acts; `this` is the one that they act in.
    ///
    /// # Errors
    /// If they have no such session (any more), or the database refuses.
    pub async fn end_session(
        &self,
        by: &SignedInPerson,
        id: SessionId,
        this: SessionId,
    ) -> Result<(), ActError> {
        let mut change = Change::begin(&self.db, Actor::Person(Box::new(by.clone()))).await?;
        let now = change.now().await?;
        if !sessions::end(change.conn(), &by.person.id, id, now).await? {
            let text = "There is no such session of yours, or it is over already.";
            return Err(Refused::new(Kind::NotFound, "no_such_session", text).into());
        }
        change.record(ended(id, this));
        change.commit().await?;
        Ok(())
    }

    /// Ends every session of whoever acts but `this`, the one that they act in.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn end_other_sessions(
        &self,
        by: &SignedInPerson,
        this: SessionId,
    ) -> anyhow::Result<()> {
        let mut change = Change::begin(&self.db, Actor::Person(Box::new(by.clone()))).await?;
        let now = change.now().await?;
        let others = sessions::end_others(change.conn(), &by.person.id, this, now).await?;
        if others.is_empty() {
            return Ok(());
        }
        for id in others {
            change.record(ended(id, this));
        }
        change.commit().await
    }
}

fn ended(id: SessionId, this: SessionId) -> Event {
    Event::new(EventType::SessionEnded)
        .with("session", id.to_string())
        .with("from_session", this.to_string())
}
