//! What follows when the directory says that somebody is disabled or gone: what they have ends, what
//! they asked for is taken back, and they are signed out.
//!
//! Who: Curfew itself, after every copy of the directory; so within five minutes of the directory's own
//! word (`Settings::directory_every`). Changes: grants start to end, pending requests are cancelled,
//! sessions are gone. Events: `grant.end_started` or `grant.failed`, `request.cancelled`,
//! `session.ended`.

use fail::fail_point;

use super::Broker;
use crate::access::grant::{EndReason, GrantState};
use crate::access::id::RequestId;
use crate::access::person::Actor;
use crate::access::request::{Openness, RequestStatus};
use crate::audit::event::{Event, EventType};
use crate::ledger;
use crate::postgres::change::Change;
use crate::postgres::{grants, requests, sessions};

const WHY: &str = "the directory says that the requester is disabled or gone";

impl Broker {
    /// Ends what people have, ask for and are signed in with who are disabled or gone by the newest copy
    /// of the directory. Access first.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn end_of_disabled(&self) -> anyhow::Result<()> {
        let concerned = grants::requests_live_of_disabled(&mut *self.db.conn().await?).await?;
        for id in concerned {
            // One that can't be ended now must not spare those after it; the next copy tries again.
            if let Err(error) = self.end_disabled(id).await {
                tracing::error!(request.id = %id, error = format!("{error:#}"), "what a disabled person has could not be ended");
            }
        }
        let pending = requests::pending_of_disabled(&mut *self.db.conn().await?).await?;
        for id in pending {
            if let Err(error) = self.cancel_disabled(id).await {
                tracing::error!(request.id = %id, error = format!("{error:#}"), "what a disabled person asked for could not be cancelled");
            }
        }
        self.sign_out_disabled().await
    }

    async fn end_disabled(&self, id: RequestId) -> anyhow::Result<()> {
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let Some(request) = requests::lock(change.conn(), id).await? else {
            return Ok(());
        };
        let Some(mut grant) = grants::lock_of_request(change.conn(), id).await? else {
            return Ok(());
        };
        if matches!(grant.state, GrantState::Ending { .. }) || grant.is_over() {
            return Ok(());
        }
        ledger::end(
            &mut change,
            &request,
            &mut grant,
            EndReason::NoLongerAllowed,
            Some(WHY),
        )
        .await?;
        fail_point!("broker.end_disabled.uncommitted");
        change.commit().await?;
        fail_point!("broker.end_disabled.committed");
        Ok(())
    }

    async fn cancel_disabled(&self, id: RequestId) -> anyhow::Result<()> {
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let Some(request) = requests::lock(change.conn(), id).await? else {
            return Ok(());
        };
        let now = change.now().await?;
        match request.openness(now) {
            Openness::Open => {
                requests::close(change.conn(), id, RequestStatus::Cancelled, now).await?;
                change.record(
                    Event::new(EventType::RequestCancelled)
                        .request(id, &request.target)
                        .with("why", WHY),
                );
            }
            Openness::LapseDue => {
                ledger::lapse(&mut change, &request, "nobody answered in time").await?;
            }
            Openness::Closed(_) => return Ok(()),
        }
        change.commit().await
    }

    async fn sign_out_disabled(&self) -> anyhow::Result<()> {
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let now = change.now().await?;
        let ended = sessions::end_of_disabled(change.conn(), now).await?;
        if ended.is_empty() {
            return Ok(());
        }
        for session in ended {
            change.record(
                Event::new(EventType::SessionEnded)
                    .with("session", session.id.to_string())
                    .with("person", session.person.as_str())
                    .with("why", "the directory says that they are disabled or gone"),
            );
        }
        change.commit().await
    }
}
