//! Closing a grant whose end nobody can confirm any more: its person, permission set or account is gone
//! for sure, and Identity Center can't be asked about what it had (protocol G2).
//!
//! Who: administrators, and an operator at the shell, with a comment. Changes: the grant is over, as
//! "closed, not confirmed" and never as "ended"; its assignment stays ours, so that it is deleted if it
//! is ever seen again. Events: `grant.closed_unconfirmed`; or `close.refused`.

use super::decide::clean_comment;
use super::role::Role;
use super::{ActError, Broker, Kind, Refused};
use crate::access::assignment::TargetGone;
use crate::access::grant::GrantState;
use crate::access::id::RequestId;
use crate::access::person::{Actor, SignedInPerson};
use crate::access::text::time_in_words;
use crate::audit::event::EventType;
use crate::ledger;
use crate::policy::ask::FieldError;
use crate::postgres::change::Change;
use crate::postgres::{Db, assignments, grants, requests};

impl Broker {
    /// Closes what a request gave.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn close(
        &self,
        by: &SignedInPerson,
        id: RequestId,
        comment: &str,
    ) -> Result<(), ActError> {
        self.require(by, &[Role::Administrator], "close a grant")
            .await?;
        let (request, _) = self.concerned(&by.person.id, id).await?;
        let actor = Actor::Person(Box::new(by.clone()));
        match close(&self.db, actor, id, comment).await {
            Err(ActError::Refused(refused)) => Err(self
                .refuse(by, EventType::CloseRefused, Some(&request), refused)
                .await?
                .into()),
            done => done,
        }
    }
}

/// Closes what a request gave, for whoever may.
///
/// # Errors
/// The refusal, or what broke.
pub async fn close(db: &Db, actor: Actor, id: RequestId, comment: &str) -> Result<(), ActError> {
    let comment = clean_comment(comment)?.ok_or_else(without_comment)?;
    let mut change = Change::begin(db, actor).await?;
    let request = requests::lock(change.conn(), id)
        .await?
        .ok_or_else(Refused::not_found)?;
    let Some(mut grant) = grants::lock_of_request(change.conn(), id).await? else {
        let text = "There is nothing to close: this request gave no access.";
        return Err(Refused::new(Kind::Conflict, "no_grant", text).into());
    };
    let assignment = assignments::lock(change.conn(), grant.assignment_id).await?;
    if grant.is_over() {
        let text = "This access is over already.";
        return Err(Refused::new(Kind::Conflict, "already_over", text).into());
    }
    if !matches!(grant.state, GrantState::Ending { .. }) {
        let text = "Only access that is being taken away can be closed. End it first.";
        return Err(Refused::new(Kind::Conflict, "not_ending", text).into());
    }
    let gone = assignment
        .target_gone
        .filter(TargetGone::is_confirmed)
        .ok_or_else(|| not_gone(assignment.target_gone))?;
    ledger::close_unconfirmed(&mut change, &request, &mut grant, gone, &comment).await?;
    change.commit().await?;
    Ok(())
}

fn without_comment() -> Refused {
    let (code, text) = (
        "comment_missing",
        "Say in the comment why nobody can have this access any more.",
    );
    Refused {
        fields: vec![FieldError {
            field: "comment",
            code,
            text: text.to_owned(),
        }],
        ..Refused::new(Kind::Invalid, code, text)
    }
}

fn not_gone(seen: Option<TargetGone>) -> Refused {
    let text = match seen {
        Some(gone) => format!(
            "It was seen at {} that {}; that must be seen once more, ten minutes later. Try again then.",
            time_in_words(gone.first_at),
            gone.part.gone_in_words()
        ),
        None => "The person, the permission set and the account are still there, as far as AWS said: Curfew goes on trying to take the access away. It can be closed only once one of them is confirmed gone.".to_owned(),
    };
    Refused::new(Kind::Conflict, "not_confirmed_gone", text)
}
