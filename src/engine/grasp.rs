//! One assignment under its locks, with everything that the next step depends on.
//!
//! The order of the locks is that of `postgres::change`: lease, requests, grants, assignment. The time
//! is read when they are held.

use chrono::{DateTime, Utc};

use super::Engine;
use super::history::History;
use super::step::Picture;
use crate::access::grant::Grant;
use crate::access::id::{AssignmentId, GrantId};
use crate::access::person::Actor;
use crate::access::request::Request;
use crate::postgres::change::Change;
use crate::postgres::{assignments, grants, lease, operations, requests};

/// How often the locks are taken anew because a grant appeared while they were taken.
const ATTEMPTS: usize = 10;

/// An open transaction that holds the locks, and what was read under them.
pub(super) struct Grasp {
    pub(super) change: Change,
    pub(super) picture: Picture,
    pub(super) now: DateTime<Utc>,
}

impl Engine {
    /// For a decision: only the holder of the lease may take one. `None` if that is somebody else.
    pub(super) async fn grasp_to_decide(&self, id: AssignmentId) -> anyhow::Result<Option<Grasp>> {
        for _ in 0..ATTEMPTS {
            let mut change = Change::begin(&self.db, Actor::System).await?;
            let Some(expires_at) = lease::share(change.conn(), self.holder).await? else {
                return Ok(None);
            };
            if let Some(grasp) = self.lock(change, id).await? {
                return Ok((expires_at > grasp.now).then_some(grasp));
            }
        }
        Err(restless(id))
    }

    /// For recording a fact: whoever learnt it may.
    pub(super) async fn grasp_to_record(&self, id: AssignmentId) -> anyhow::Result<Grasp> {
        for _ in 0..ATTEMPTS {
            let change = Change::begin(&self.db, Actor::System).await?;
            if let Some(grasp) = self.lock(change, id).await? {
                return Ok(grasp);
            }
        }
        Err(restless(id))
    }

    /// `None` if a grant appeared between the locks: it is not locked, and would be overlooked.
    async fn lock(&self, mut change: Change, id: AssignmentId) -> anyhow::Result<Option<Grasp>> {
        let locked_grants = grants::lock_live(change.conn(), id).await?;
        let assignment = assignments::lock(change.conn(), id).await?;
        let grants = grants::list_live(change.conn(), id).await?;
        if !grants.iter().map(|grant| grant.id).eq(locked_grants) {
            return Ok(None);
        }
        let now = self.time_of(&mut change).await?;
        let relevant = operations::list_relevant(change.conn(), id, assignment.owned_since).await?;
        let history = History::of(&relevant, assignment.owned_since);
        let picture = Picture {
            assignment,
            grants,
            history,
        };
        Ok(Some(Grasp {
            change,
            picture,
            now,
        }))
    }
}

fn restless(id: AssignmentId) -> anyhow::Error {
    anyhow::anyhow!("grants keep appearing while the assignment {id} is locked")
}

/// A live grant with its request.
pub(super) async fn find(
    change: &mut Change,
    picture: &Picture,
    id: GrantId,
) -> anyhow::Result<(Request, Grant)> {
    let grant = picture.grants.iter().find(|grant| grant.id == id).cloned();
    let grant =
        grant.ok_or_else(|| anyhow::anyhow!("the grant {id} is not among the live ones"))?;
    let request = requests::find(change.conn(), grant.request_id).await?;
    let request = request.ok_or_else(|| anyhow::anyhow!("the grant {id} has no request"))?;
    Ok((request, grant))
}
