//! The end of everything: for the bad day on which nobody shall stay in.
//!
//! Who: administrators, and operators at the shell of a host that reaches the database. Changes: first an
//! order, as a row; then, each in a transaction of its own, the grants that were approved until then start
//! to end, or fail at once if nothing was sent for them. What is left, because one grant is odd or the
//! process died half-way, stays ordered, and every replica goes on with it. Pending requests stay pending.
//! Events: `access.end_of_all_ordered`, perhaps with `access.paused`; `grant.end_started` or
//! `grant.failed` of each; or `access.switch_refused`.

use chrono::TimeDelta;
use fail::fail_point;

use super::pause::{begin, why};
use super::{ActError, Broker};
use crate::access::grant::{EndReason, GrantState};
use crate::access::id::{EndOrderId, RequestId};
use crate::access::person::{Actor, SignedInPerson};
use crate::audit::event::{Event, EventType};
use crate::ledger;
use crate::postgres::change::Change;
use crate::postgres::end_orders::{self, EndOrder};
use crate::postgres::{Db, grants, pause, requests};

/// A yes that read the time before the order is committed by then, or never: no transaction may idle for
/// longer, nor wait for longer for a lock. Until then an order stays open.
const STRAGGLERS: TimeDelta = TimeDelta::seconds(30);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// So many ends began. When each is confirmed is the engine's to say.
    pub ends_started: i64,
    /// So many could not be begun yet; every replica keeps trying.
    pub left: usize,
}

impl Broker {
    /// Ends everything that is live.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn end_everything(
        &self,
        by: &SignedInPerson,
        comment: &str,
        and_pause: bool,
    ) -> Result<Carried, ActError> {
        let actor = Actor::Person(Box::new(by.clone()));
        let ordering = order(&self.db, actor, comment, and_pause);
        let order = self.as_administrator(by, ordering).await?;
        Ok(carry_out(&self.db, &order).await?)
    }

    /// Goes on with the orders that are not carried out.
    ///
    /// # Errors
    /// If the database refuses. What is wrong with a single grant is logged and does not stop the others.
    pub async fn carry_out_end_orders(&self) -> anyhow::Result<()> {
        let open = end_orders::list_open(&mut *self.db.conn().await?).await?;
        for order in open {
            carry_out(&self.db, &order).await?;
        }
        Ok(())
    }
}

/// Ends everything that is live. For whoever may: the caller knows that. Once the order is committed it is
/// carried out whatever this says.
///
/// # Errors
/// The refusal, or what broke.
pub async fn end_everything(
    db: &Db,
    by: Actor,
    comment: &str,
    and_pause: bool,
) -> Result<Carried, ActError> {
    let order = order(db, by, comment, and_pause).await?;
    Ok(carry_out(db, &order).await?)
}

/// From its commit on it is carried out, by whomever.
async fn order(db: &Db, by: Actor, comment: &str, and_pause: bool) -> Result<EndOrder, ActError> {
    let comment = why(comment)?;
    let mut change = Change::begin(db, by).await?;
    if and_pause && pause::lock(change.conn()).await?.is_none() {
        begin(&mut change, &comment).await?;
    }
    let ordered_at = change.now().await?;
    let order = EndOrder {
        id: EndOrderId::new(ordered_at),
        ordered_at,
        by: change.actor().in_words(),
        comment,
        ends_started: 0,
        done_at: None,
    };
    end_orders::insert(change.conn(), &order).await?;
    let live = grants::requests_live_of_before(change.conn(), ordered_at).await?;
    let grants = i64::try_from(live.len()).map_err(anyhow::Error::from)?;
    change.record(
        Event::new(EventType::EndOfAllOrdered)
            .with("comment", order.comment.as_str())
            .with("order", order.id.to_string())
            .with("grants", grants),
    );
    change.wake();
    fail_point!("broker.end_everything.uncommitted");
    change.commit().await?;
    fail_point!("broker.end_everything.committed");
    tracing::warn!(by = order.by, order.id = %order.id, grants, "everything that is live is ordered to end");
    Ok(order)
}

async fn carry_out(db: &Db, order: &EndOrder) -> anyhow::Result<Carried> {
    let live = grants::requests_live_of_before(&mut *db.conn().await?, order.ordered_at).await?;
    for id in live {
        if let Err(error) = end(db, order, id).await {
            tracing::error!(request.id = %id, order.id = %order.id, error = format!("{error:#}"), "what was ordered to end could not be ended; trying again");
        }
    }
    let mut conn = db.conn().await?;
    let now = db.clock.now(&mut conn).await?;
    let left = grants::requests_live_of_before(&mut conn, order.ordered_at)
        .await?
        .len();
    if left == 0 && now >= order.ordered_at + STRAGGLERS {
        end_orders::finish(&mut conn, order.id, now).await?;
    }
    Ok(Carried {
        ends_started: end_orders::count_ends(&mut conn, order.id).await?,
        left,
    })
}

async fn end(db: &Db, order: &EndOrder, id: RequestId) -> anyhow::Result<()> {
    let mut change = Change::begin(db, Actor::System).await?;
    let Some(request) = requests::lock(change.conn(), id).await? else {
        return Ok(());
    };
    let Some(mut grant) = grants::lock_of_request(change.conn(), id).await? else {
        return Ok(());
    };
    if matches!(grant.state, GrantState::Ending { .. }) || grant.is_over() {
        return Ok(());
    }
    // If its time is over at this very moment, that is why it ends.
    let reason = grant
        .due(change.now().await?)
        .unwrap_or(EndReason::Administrator);
    let detail = format!(
        "{} ordered the end of everything: {}",
        order.by, order.comment
    );
    ledger::end(&mut change, &request, &mut grant, reason, Some(&detail)).await?;
    end_orders::count_one(change.conn(), order.id).await?;
    fail_point!("broker.end_ordered.uncommitted");
    change.commit().await?;
    fail_point!("broker.end_ordered.committed");
    Ok(())
}
