//! What a verdict rests on besides the rules: accounts, groups as they were pinned, and what the
//! directory's copy says of whoever asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Policy, Rule};
use crate::access::decision::RuleGroups;
use crate::access::person::Assurance;

/// An account as the directory's copy knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// Its name; may be empty.
    pub name: String,
    /// Not suspended or closed.
    pub is_active: bool,
    /// The management account, or the one that Curfew runs in.
    pub is_sensitive: bool,
    /// Ids from the root to the direct parent.
    pub organizational_units: Vec<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// The policy in force, with the groups that its names were pinned to when it was activated.
#[derive(Clone, Debug)]
pub struct InForce {
    /// Its version.
    pub version: String,
    /// Its rules.
    pub policy: Arc<Policy>,
    /// Group name to id, as pinned.
    pub pinned: BTreeMap<String, String>,
    /// Group name to id, as the directory's copy says now.
    pub current: BTreeMap<String, String>,
}

impl InForce {
    /// The groups of a rule by id, or the name whose resolution changed since the policy was
    /// activated (protocol C1: a group that was renamed or made anew must not inherit power).
    ///
    /// # Errors
    /// The name of that group.
    pub fn groups(&self, rule: &Rule) -> Result<RuleGroups, String> {
        let resolve = |names: &[String]| {
            names
                .iter()
                .map(
                    |name| match (self.pinned.get(name), self.current.get(name)) {
                        (Some(pinned), Some(current)) if pinned == current => Ok(pinned.clone()),
                        _ => Err(name.clone()),
                    },
                )
                .collect::<Result<BTreeSet<_>, _>>()
        };
        Ok(RuleGroups {
            requesters: resolve(&rule.requesters)?,
            approvers: resolve(&rule.approvers)?,
        })
    }
}

/// What the directory's copy says of the person who asks and of what they ask for.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The person is known and not disabled.
    pub enabled: bool,
    /// The groups that the person is in, by id.
    pub groups: BTreeSet<String>,
    /// How they signed in.
    pub assurance: Assurance,
    /// When they last proved it, if the provider said.
    pub auth_time: Option<DateTime<Utc>>,
    /// The account, if it exists.
    pub account: Option<&'a Account>,
    /// The permission set of the rule exists.
    pub permission_set_exists: bool,
    /// How many enabled people other than the requester could approve.
    pub approvers: usize,
    /// When the reading of the copy began.
    pub copied_at: Option<DateTime<Utc>>,
}
