//! Taking one's request back.
//!
//! Who: the requester, with no regard to eligibility. Changes: pending becomes cancelled; once
//! approved, a cancel is an end. Events: `request.cancelled`, or those of an end; `request.lapsed` if
//! its time is over; or `cancel.refused`.

use fail::fail_point;

use super::decide::{clean_comment, closed};
use super::{ActError, Broker, Kind, Refused};
use crate::access::id::RequestId;
use crate::access::person::{Actor, SignedInPerson};
use crate::access::request::{Openness, RequestStatus};
use crate::audit::event::{Event, EventType};
use crate::ledger;
use crate::postgres::change::Change;
use crate::postgres::requests;

impl Broker {
    /// Takes a request back.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn cancel(
        &self,
        by: &SignedInPerson,
        id: RequestId,
        comment: &str,
    ) -> Result<(), ActError> {
        let (request, relation) = self.concerned(&by.person.id, id).await?;
        let refused = if relation.is_requester {
            match self.try_cancel(by, id, comment).await {
                Ok(()) => return Ok(()),
                Err(ActError::Refused(refused)) => refused,
                Err(failed) => return Err(failed),
            }
        } else if relation.may_see() {
            Refused::new(
                Kind::Forbidden,
                "not_the_requester",
                "Only whoever asked can take a request back.",
            )
        } else {
            Refused::not_found()
        };
        Err(self
            .refuse(by, EventType::CancelRefused, Some(&request), refused)
            .await?
            .into())
    }

    async fn try_cancel(
        &self,
        by: &SignedInPerson,
        id: RequestId,
        comment: &str,
    ) -> Result<(), ActError> {
        let mut change = Change::begin(&self.db, Actor::Person(Box::new(by.clone()))).await?;
        let request = requests::lock(change.conn(), id)
            .await?
            .ok_or_else(Refused::not_found)?;
        let now = change.now().await?;
        match request.openness(now) {
            Openness::Open => {
                let comment = clean_comment(comment)?;
                requests::close(change.conn(), id, RequestStatus::Cancelled, now).await?;
                change.record(
                    Event::new(EventType::RequestCancelled)
                        .request(id, &request.target)
                        .with("comment", comment),
                );
                fail_point!("broker.cancel.uncommitted");
                change.commit().await?;
                fail_point!("broker.cancel.committed");
                Ok(())
            }
            Openness::LapseDue => {
                ledger::lapse(&mut change, &request, "nobody answered in time").await?;
                change.commit().await?;
                Err(closed(RequestStatus::Lapsed).into())
            }
            Openness::Closed(RequestStatus::Approved) => {
                drop(change);
                self.end_as_requester(by, id, comment).await
            }
            Openness::Closed(status) => Err(closed(status).into()),
        }
    }
}
