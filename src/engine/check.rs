//! May access start? None at all while it is paused, or while clock or database can't be trusted. For one
//! grant: reads the evidence live, then judges by the pure check.

use super::{Engine, locked};
use crate::access::decision::Evidence;
use crate::access::grant::Grant;
use crate::access::request::Request;
use crate::policy::recheck::{NoLongerAllowed, recheck};
use crate::postgres::change::Change;
use crate::postgres::{decisions, directory, pause, policies, requests};

/// What the identity store said, and by which policy it was asked.
pub(super) struct Asked {
    pub(super) evidence: Evidence,
    pub(super) policy_version: Option<String>,
}

impl Engine {
    /// May any new access start? Asked when a create or a join is due, and again in the transaction of its
    /// intent, last of the locks: a pause that was committed before is seen there, and a later one waits
    /// until that transaction has ended.
    ///
    /// # Errors
    /// If the database refuses.
    pub(super) async fn may_start(&self, change: &mut Change) -> anyhow::Result<bool> {
        Ok(!locked(&self.watch).has_jumped()
            && self.trusts_database(change.conn()).await?
            && !pause::share(change.conn()).await?)
    }

    /// What the identity store says now of everybody whose standing the grant rests on.
    ///
    /// # Errors
    /// If it does not answer: then access waits, and never proceeds.
    pub(super) async fn evidence(&self, grant: &Grant) -> anyhow::Result<Asked> {
        let mut conn = self.db.conn().await?;
        let request = requests::find(&mut conn, grant.request_id).await?;
        let request =
            request.ok_or_else(|| anyhow::anyhow!("the grant {} has no request", grant.id))?;
        let decided = decisions::list(&mut conn, request.id).await?;
        let policy_version = policies::version_in_force(&mut conn).await?;
        let in_force = policies::find_in_force(&mut conn).await?;
        drop(conn);
        let groups = in_force
            .and_then(|in_force| in_force.groups(in_force.policy.rule(&request.rule)?).ok());
        let people = decided
            .into_iter()
            .map(|decision| decision.approver.id)
            .chain([request.requester.id])
            .collect();
        let live = self
            .directory
            .evidence(&self.db, &people, &groups.unwrap_or_default())
            .await?;
        Ok(Asked {
            evidence: live.evidence,
            policy_version,
        })
    }

    /// Judges under the locks, by the policy as it is now.
    ///
    /// # Errors
    /// If the database refuses.
    pub(super) async fn judge(
        &self,
        change: &mut Change,
        request: &Request,
        evidence: &Evidence,
    ) -> anyhow::Result<Result<(), NoLongerAllowed>> {
        let decided = decisions::list(change.conn(), request.id).await?;
        let account = directory::find_account(change.conn(), request.target.account_id()).await?;
        let Some(in_force) = policies::find_in_force(change.conn()).await? else {
            return Ok(Err(NoLongerAllowed::RuleGone(request.rule.clone())));
        };
        Ok(recheck(
            &in_force,
            request,
            &decided,
            account.as_ref(),
            evidence,
        ))
    }
}
