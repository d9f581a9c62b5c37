//! Finding things in the world by the names that people use: `engineer`, `payments-prod`.
//!
//! Ids serve as well. For hands, tests and scripts; the wire knows ids alone.

use anyhow::Context as _;

use super::world::{Account, Assignment, Group, PermissionSet, PrincipalType, User, World};

impl World {
    /// A person by id, user name, or the user name's part before the `@`.
    pub fn user_named(&self, name: &str) -> anyhow::Result<&User> {
        let is =
            |user: &&User| user.user_name == name || user.user_name.split('@').next() == Some(name);
        self.user(name)
            .or_else(|| self.users.iter().find(is))
            .with_context(|| format!("the sandbox has no user {name}"))
    }

    /// A group by id or name.
    pub fn group_named(&self, name: &str) -> anyhow::Result<&Group> {
        self.group(name)
            .or_else(|| self.groups.iter().find(|group| group.name == name))
            .with_context(|| format!("the sandbox has no group {name}"))
    }

    /// An account by id or name.
    pub fn account_named(&self, name: &str) -> anyhow::Result<&Account> {
        let is = |account: &&Account| account.id == name || account.name == name;
        self.accounts
            .iter()
            .find(is)
            .with_context(|| format!("the sandbox has no account {name}"))
    }

    /// A permission set by ARN or name.
    pub fn permission_set_named(&self, name: &str) -> anyhow::Result<&PermissionSet> {
        let is = |set: &&PermissionSet| set.arn == name || set.name == name;
        self.permission_sets
            .iter()
            .find(is)
            .with_context(|| format!("the sandbox has no permission set {name}"))
    }

    /// The assignment that these names or ids mean. A principal that has left the directory is
    /// named by its id.
    pub fn assignment_named(
        &self,
        account: &str,
        permission_set: &str,
        kind: PrincipalType,
        principal: &str,
    ) -> anyhow::Result<Assignment> {
        let known = match kind {
            PrincipalType::User => self.user_named(principal).map(|user| user.id.clone()),
            PrincipalType::Group => self.group_named(principal).map(|group| group.id.clone()),
        };
        Ok(Assignment {
            account_id: self.account_named(account)?.id.clone(),
            permission_set_arn: self.permission_set_named(permission_set)?.arn.clone(),
            principal_type: kind,
            principal_id: known.or_else(|error| {
                if super::input::is_principal_id(principal) {
                    Ok(principal.to_owned())
                } else {
                    Err(error)
                }
            })?,
        })
    }
}
