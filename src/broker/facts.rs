//! What a verdict rests on, read from the database's copy of the directory: for an ask, and for the
//! question whether somebody could ask.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Broker;
use crate::access::person::{Assurance, PersonId};
use crate::policy::Rule;
use crate::policy::facts::{Account, Facts, InForce};
use crate::postgres::directory::{self, PermissionSet};

/// The facts about one person, rule and account.
#[derive(Debug)]
pub struct Gathered {
    /// The account, if it exists.
    pub account: Option<Account>,
    /// The rule's permission set, if it exists.
    pub permission_set: Option<PermissionSet>,
    enabled: bool,
    groups: BTreeSet<String>,
    approvers: usize,
    copied_at: Option<DateTime<Utc>>,
}

impl Gathered {
    /// As the verdict takes them, for somebody who signed in so.
    #[must_use]
    pub fn facts(&self, assurance: Assurance, auth_time: Option<DateTime<Utc>>) -> Facts<'_> {
        Facts {
            enabled: self.enabled,
            groups: self.groups.clone(),
            assurance,
            auth_time,
            account: self.account.as_ref(),
            permission_set_exists: self.permission_set.is_some(),
            approvers: self.approvers,
            copied_at: self.copied_at,
        }
    }
}

impl Broker {
    /// Reads them. A rule that does not exist has no permission set and no approvers.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn gather(
        &self,
        conn: &mut PgConnection,
        in_force: &InForce,
        rule: Option<&Rule>,
        person: &PersonId,
        account: &str,
    ) -> anyhow::Result<Gathered> {
        let known = directory::find_person(conn, person).await?;
        let account = account.trim();
        let is_id = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let account = if is_id {
            directory::find_account(conn, account).await?
        } else {
            None
        };
        let permission_set = match rule {
            Some(rule) => directory::find_permission_set(conn, &rule.permission_set).await?,
            None => None,
        };
        let groups = rule.and_then(|rule| in_force.groups(rule).ok());
        let approvers = match &groups {
            Some(groups) => directory::find_approvers(conn, groups, person).await?.count,
            None => 0,
        };
        Ok(Gathered {
            account,
            permission_set,
            enabled: known.is_some_and(|person| person.enabled),
            groups: directory::groups_of(conn, person)
                .await?
                .into_keys()
                .collect(),
            approvers,
            copied_at: directory::copied_at(conn).await?,
        })
    }
}
