//! Forgetting which account is a person's, after an administrator made sure who it is that signs in: a
//! provider was replaced, or an account was made anew.
//!
//! Who: administrators. Changes: the person's links are gone, and their sessions with them; the next
//! account that the directory names as theirs is linked anew. Events: `identity.forgotten` and a
//! `session.ended` for each; or `identity.refused`.

use super::decide::clean_comment;
use super::{ActError, Broker, Kind, Refused};
use crate::access::person::{Actor, PersonId, SignedInPerson};
use crate::audit::event::{Event, EventType};
use crate::postgres::change::Change;
use crate::postgres::{identities, sessions};

impl Broker {
    /// Forgets every account of a person.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn forget_accounts(
        &self,
        by: &SignedInPerson,
        person: &PersonId,
        comment: &str,
    ) -> Result<(), ActError> {
        let refused = match self.try_forget(by, person, comment).await {
            Ok(()) => return Ok(()),
            Err(ActError::Refused(refused)) => refused,
            Err(failed) => return Err(failed),
        };
        Err(self
            .refuse(by, EventType::IdentityRefused, None, refused)
            .await?
            .into())
    }

    async fn try_forget(
        &self,
        by: &SignedInPerson,
        person: &PersonId,
        comment: &str,
    ) -> Result<(), ActError> {
        let mut change = Change::begin(&self.db, Actor::Person(Box::new(by.clone()))).await?;
        let standings = self.standings(change.conn(), &by.person.id).await?;
        if !standings.is_administrator {
            let text = "Only administrators can do this.";
            return Err(Refused::new(Kind::Forbidden, "not_an_administrator", text).into());
        }
        let Some(comment) = clean_comment(comment)? else {
            let text = "Say how you made sure who it is: the record keeps it.";
            return Err(Refused::new(Kind::Invalid, "comment_missing", text).into());
        };
        let forgotten = identities::forget(change.conn(), person).await?;
        if forgotten.is_empty() {
            let text = "No account is linked to this person.";
            return Err(Refused::new(Kind::NotFound, "no_such_identity", text).into());
        }
        let now = change.now().await?;
        for (issuer, subject) in forgotten {
            let ended =
                sessions::end_of_account(change.conn(), &issuer, Some(&subject), None, now).await?;
            change.record(
                Event::new(EventType::IdentityForgotten)
                    .with("person", person.as_str())
                    .with("issuer", issuer)
                    .with("subject", subject)
                    .with("comment", comment.as_str()),
            );
            for session in ended {
                change.record(
                    Event::new(EventType::SessionEnded)
                        .with("session", session.id.to_string())
                        .with("person", session.person.as_str())
                        .with("why", "an administrator unlinked the account"),
                );
            }
        }
        change.commit().await?;
        Ok(())
    }
}
