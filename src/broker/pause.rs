//! The pause: for the bad day on which nobody shall get in until somebody knows more.
//!
//! Who: administrators, and operators at the shell of a host that reaches the database. While it lasts no
//! request is taken, nobody can say yes, and the engine neither creates nor joins; a no, a cancel and every
//! end work as ever, and what is live goes on until its time. Events: `access.paused`, `access.resumed`;
//! or `access.switch_refused`.
//!
//! What asks and agrees only reads the switch, so that it never waits; that nothing begins in the same
//! instant is the engine's to keep, which reads it under a lock before each intent.

use fail::fail_point;
use sqlx::PgConnection;

use super::role::Role;
use super::{ActError, Broker, Kind, Refused};
use crate::access::person::{Actor, SignedInPerson};
use crate::access::text::{from_outside, time_in_words};
use crate::audit::event::{Event, EventType};
use crate::policy::ask::FieldError;
use crate::postgres::Db;
use crate::postgres::change::Change;
use crate::postgres::pause::{self, Pause};
use crate::postgres::recoveries;

impl Broker {
    /// Lets no new access begin.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn pause(&self, by: &SignedInPerson, comment: &str) -> Result<(), ActError> {
        let actor = Actor::Person(Box::new(by.clone()));
        self.as_administrator(by, pause(&self.db, actor, comment))
            .await
    }

    /// Lets access be given again.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn resume(&self, by: &SignedInPerson, comment: &str) -> Result<(), ActError> {
        let actor = Actor::Person(Box::new(by.clone()));
        self.as_administrator(by, resume(&self.db, actor, comment))
            .await
    }

    /// Works one of the switches if this is an administrator, and records a refusal.
    pub(super) async fn as_administrator<T>(
        &self,
        by: &SignedInPerson,
        act: impl Future<Output = Result<T, ActError>>,
    ) -> Result<T, ActError> {
        self.require(by, &[Role::Administrator], "work a switch")
            .await?;
        match act.await {
            Err(ActError::Refused(refused)) => Err(self
                .refuse(by, EventType::SwitchRefused, None, refused)
                .await?
                .into()),
            done => done,
        }
    }
}

/// Lets no new access begin. For whoever may: the caller knows that.
///
/// # Errors
/// The refusal, or what broke.
pub async fn pause(db: &Db, by: Actor, comment: &str) -> Result<(), ActError> {
    let comment = why(comment)?;
    let mut change = Change::begin(db, by).await?;
    if let Some(standing) = pause::lock(change.conn()).await? {
        let text = format!("{} Nothing was changed.", stands(&standing));
        return Err(Refused::new(Kind::Conflict, "already_paused", text).into());
    }
    begin(&mut change, &comment).await?;
    let by = change.actor().in_words();
    fail_point!("broker.pause.uncommitted");
    change.commit().await?;
    fail_point!("broker.pause.committed");
    tracing::warn!(by, "new access is paused; endings go on");
    Ok(())
}

/// The switch is locked, and there is no pause yet.
pub(super) async fn begin(change: &mut Change, comment: &str) -> anyhow::Result<()> {
    let pause = Pause {
        since: change.now().await?,
        by: change.actor().in_words(),
        comment: comment.to_owned(),
    };
    pause::begin(change.conn(), &pause).await?;
    change.record(Event::new(EventType::AccessPaused).with("comment", comment));
    Ok(())
}

/// Lets access be given again. For whoever may: the caller knows that.
///
/// # Errors
/// The refusal, or what broke.
pub async fn resume(db: &Db, by: Actor, comment: &str) -> Result<(), ActError> {
    let comment = why(comment)?;
    let mut change = Change::begin(db, by).await?;
    let Some(standing) = pause::lock(change.conn()).await? else {
        let text = "New access is not paused, so there is nothing to resume.";
        return Err(Refused::new(Kind::Conflict, "not_paused", text).into());
    };
    pause::end(change.conn()).await?;
    change.record(
        Event::new(EventType::AccessResumed)
            .with("comment", comment)
            .at("paused_at", Some(standing.since)),
    );
    change.wake();
    let by = change.actor().in_words();
    fail_point!("broker.resume.uncommitted");
    change.commit().await?;
    fail_point!("broker.resume.committed");
    tracing::warn!(by, "the pause is over; access can be given again");
    Ok(())
}

/// Refuses what would give new access while there is a pause, or while a loss of commits is not mended.
pub(super) async fn access_may_begin(conn: &mut PgConnection) -> Result<(), ActError> {
    if let Some(recovery) = recoveries::find_open(conn).await? {
        let text = format!(
            "The database lost what was recorded last, which was noticed {}. No access is given until an administrator confirms that it is mended. What is live goes on, and can be ended as ever.",
            time_in_words(recovery.begun_at)
        );
        return Err(Refused::new(Kind::Conflict, "recovering", text).into());
    }
    let Some(standing) = pause::find(conn).await? else {
        return Ok(());
    };
    let text = format!(
        "{} Try again when it is over; if it can't wait, ask your administrators. What is live goes on, and can be ended as ever.",
        stands(&standing)
    );
    Err(Refused::new(Kind::Conflict, "paused", text).into())
}

fn stands(pause: &Pause) -> String {
    format!(
        "New access is paused since {}, by {}.",
        time_in_words(pause.since),
        pause.by
    )
}

/// The comment, which none of the switches does without. No text stops an ending (protocol G3), nor a pause:
/// what may not stand in the record is cleaned.
pub(super) fn why(comment: &str) -> Result<String, Refused> {
    let comment = from_outside(comment.trim()).trim().to_owned();
    if comment.is_empty() {
        let (code, text) = ("comment_missing", "Say why: it stays in the record.");
        return Err(Refused {
            fields: vec![FieldError {
                field: "comment",
                code,
                text: text.to_owned(),
            }],
            ..Refused::new(Kind::Invalid, code, text)
        });
    }
    Ok(comment)
}
