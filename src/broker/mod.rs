//! What people do: one file per act. Each says who may do it, what it changes, which events it
//! writes. Pages, API and whatever comes later end in the same acts, so that a rule is written once.
//!
//! An act locks first, reads the time then, compares it with the deadline, and does the lapse or the
//! end that is due itself. A refusal is typed, has a stable code and a sentence that says what to do,
//! and is recorded at a bounded rate.

pub mod cancel;
pub mod close;
pub mod decide;
pub mod disabled;
pub mod end;
pub mod end_everything;
pub mod end_session;
pub mod export;
pub mod facts;
pub mod identities;
pub mod lapse;
pub mod pause;
pub mod policy;
pub mod provider_logout;
pub mod recovery;
pub mod relation;
pub mod role;
pub mod sign_in;
pub mod submit;

use fail::fail_point;

use crate::access::person::{Actor, Demand, SignedInPerson, Unproved};
use crate::access::request::Request;
use crate::audit::event::{Event, EventType};
use crate::directory::{Directory, Roles};
use crate::policy::ask::FieldError;
use crate::postgres::change::Change;
use crate::postgres::{Db, refusals};
use crate::settings::Settings;

/// What acts work on.
#[derive(Clone, Debug)]
pub struct Broker {
    /// The database.
    pub db: Db,
    /// Where membership is read live.
    pub directory: Directory,
    /// Waits and limits.
    pub settings: Settings,
    /// Who may read and operate Curfew.
    pub roles: Roles,
}

/// What kind of no it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something about the input.
    Invalid,
    /// It does not go with how things stand.
    Conflict,
    /// Not for this person.
    Forbidden,
    /// There is no such thing, as far as this person may know.
    NotFound,
    /// Not just now.
    Unavailable,
}

/// A refusal, for the person who acted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// What kind of no.
    pub kind: Kind,
    /// Stable code.
    pub code: &'static str,
    /// What to do.
    pub text: String,
    /// What is wrong with which field.
    pub fields: Vec<FieldError>,
    /// What a sign-in would have to prove for a yes.
    pub demand: Option<Demand>,
}

impl Refused {
    /// A refusal without fields.
    #[must_use]
    pub fn new(kind: Kind, code: &'static str, text: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            text: text.into(),
            fields: Vec::new(),
            demand: None,
        }
    }

    /// What somebody hears whose sign-in is not enough for what they want.
    #[must_use]
    pub fn unproved(unproved: Unproved) -> Self {
        Self {
            demand: Some(unproved.demand()),
            ..Self::new(Kind::Forbidden, unproved.code(), unproved.to_string())
        }
    }

    /// What somebody hears who may not know whether it exists.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(
            Kind::NotFound,
            "not_found",
            "There is no such request, or you may not see it.",
        )
    }
}

/// How an act can fail.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// Curfew says no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Something broke; whoever acted may try again.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl From<sqlx::Error> for ActError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Broker {
    /// Records a refusal (never the refused text itself) and gives it back.
    ///
    /// # Errors
    /// If the database refuses.
    async fn refuse(
        &self,
        by: &SignedInPerson,
        kind: EventType,
        about: Option<&Request>,
        refused: Refused,
    ) -> anyhow::Result<Refused> {
        let mut event = Event::new(kind).with("code", refused.code);
        if let Some(request) = about {
            event = event.request(request.id, &request.target);
        }
        if !refused.fields.is_empty() {
            let fields: Vec<String> = refused
                .fields
                .iter()
                .map(|error| format!("{}: {}", error.field, error.code))
                .collect();
            event = event.with("fields", fields);
        }
        self.record_refusal(
            by.person.id.as_str(),
            Actor::Person(Box::new(by.clone())),
            event,
        )
        .await?;
        Ok(refused)
    }

    /// Records or counts one refusal of `key` (protocol A5).
    async fn record_refusal(&self, key: &str, actor: Actor, event: Event) -> anyhow::Result<()> {
        let mut change = Change::begin(&self.db, actor).await?;
        let now = change.now().await?;
        let record = refusals::count(change.conn(), key, now).await?;
        fail_point!("broker.refuse.uncommitted");
        match record {
            refusals::Record::Counted => change.commit_bookkeeping().await,
            refusals::Record::Event { suppressed_before } => {
                let event = if suppressed_before > 0 {
                    event.with("only_counted_before", suppressed_before)
                } else {
                    event
                };
                change.record(event);
                change.commit().await
            }
        }
    }
}
