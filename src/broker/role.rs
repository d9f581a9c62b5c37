//! Roles: what somebody may because of what they are to Curfew, and not to a request. An auditor reads
//! everything and changes nothing by it; an administrator operates Curfew and approves nothing by it.
//!
//! A role is membership in one of the groups that the configuration names, by the copy of the directory
//! at this very moment. Events: `authorization.refused`.

use super::relation::Standings;
use super::{ActError, Broker, Kind, Refused};
use crate::access::person::{Actor, SignedInPerson};
use crate::audit::event::{Event, EventType};

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads everything.
    Auditor,
    /// Operates Curfew.
    Administrator,
}

impl Standings {
    /// Do they have this role?
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        match role {
            Role::Auditor => self.is_auditor,
            Role::Administrator => self.is_administrator,
        }
    }
}

impl Broker {
    /// Refuses whoever has none of these roles, and records that they wanted `what`.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn require(
        &self,
        by: &SignedInPerson,
        any_of: &[Role],
        what: &str,
    ) -> Result<(), ActError> {
        let standings = self
            .standings(&mut *self.db.conn().await?, &by.person.id)
            .await?;
        if any_of.iter().any(|role| standings.has(*role)) {
            return Ok(());
        }
        let refused = refused(any_of);
        let event = Event::new(EventType::AuthorizationRefused)
            .with("code", refused.code)
            .with("what", what);
        let actor = Actor::Person(Box::new(by.clone()));
        self.record_refusal(by.person.id.as_str(), actor, event)
            .await?;
        Err(refused.into())
    }
}

/// The code of the refusal of whoever has none of these roles.
#[must_use]
pub fn without(any_of: &[Role]) -> &'static str {
    match any_of {
        [Role::Auditor] => "not_an_auditor",
        [Role::Administrator] => "not_an_administrator",
        _ => "neither_auditor_nor_administrator",
    }
}

fn refused(any_of: &[Role]) -> Refused {
    let whom = match any_of {
        [Role::Auditor] => "auditors",
        [Role::Administrator] => "administrators",
        _ => "auditors and administrators",
    };
    let text = format!(
        "This is for {whom}, and you are in none of their groups. If you should be, ask whoever manages your directory's groups; it counts as soon as the directory is copied."
    );
    Refused::new(Kind::Forbidden, without(any_of), text)
}
