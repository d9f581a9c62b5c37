//! Putting a policy into force: compare-and-set, so that two replicas can't take turns (protocol C3).
//!
//! A policy with findings never comes into force, and the one before stays: no error here may stop
//! the engine (C4). Events: `policy.activated` or `policy.refused`.

use super::Broker;
use crate::access::person::Actor;
use crate::audit::event::{Event, EventType};
use crate::policy::{self, Policy, check};
use crate::postgres::change::Change;
use crate::postgres::{directory, policies};

/// What became of a policy that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is in force now.
    Activated,
    /// It was in force already.
    InForce,
    /// It was not taken; these are the reasons.
    Refused(Vec<String>),
}

/// Everything that is wrong with a policy's text by itself.
///
/// # Errors
/// The findings, one sentence each.
pub fn read(source: &str) -> Result<Policy, Vec<String>> {
    let policy = Policy::parse(source).map_err(|error| vec![error])?;
    let findings = check::findings(&policy);
    if findings.is_empty() {
        Ok(policy)
    } else {
        Err(findings.iter().map(ToString::to_string).collect())
    }
}

impl Broker {
    /// Puts this policy into force, if it is good in this directory.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn offer_policy(&self, source: &str) -> anyhow::Result<Offered> {
        let version = policy::version(source);
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let before = policies::lock_version_in_force(change.conn()).await?;
        if before.as_deref() == Some(&version) {
            return Ok(Offered::InForce);
        }
        let now = change.now().await?;
        let read = match read(source) {
            Ok(policy) => {
                let (groups, sets) = directory::names(change.conn()).await?;
                let findings = check::findings_against(&policy, &groups, &sets);
                if findings.is_empty() {
                    Ok(policy)
                } else {
                    Err(findings.iter().map(ToString::to_string).collect())
                }
            }
            Err(findings) => Err(findings),
        };
        let policy = match read {
            Ok(policy) => policy,
            Err(findings) => {
                change.record(
                    Event::new(EventType::PolicyRefused)
                        .with("version", version)
                        .with("findings", findings.clone()),
                );
                change.commit().await?;
                return Ok(Offered::Refused(findings));
            }
        };
        let names: Vec<String> = policy
            .group_names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let pinned = directory::group_ids(change.conn(), &names).await?;
        anyhow::ensure!(
            policies::activate(
                change.conn(),
                &version,
                source,
                &pinned,
                before.as_deref(),
                now
            )
            .await?,
            "another policy was activated at the same moment; try again"
        );
        change.record(
            Event::new(EventType::PolicyActivated)
                .with("version", version)
                .with("replaces", before),
        );
        change.wake();
        change.commit().await?;
        Ok(Offered::Activated)
    }
}
