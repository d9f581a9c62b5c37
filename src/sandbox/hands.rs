//! Hands that reach into the pretend organization from outside, as a console user, an identity
//! provider or AWS itself would: at once, and past every rule that binds the API.
//!
//! Each hand first lets what is due have its effect, so that what a hand does happens after it, and
//! has the result on disk when it returns (it blocks for that moment). An [`Edit`] is what a hand
//! does as a value: for a scenario, which says when, and for the control API.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::state::State;
use super::world::{AccountState, PrincipalType, World};

/// One change of the world by hand. Names and ids both serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named after what they name")]
pub enum Edit {
    /// Assigns, as somebody at the console would.
    AddAssignment(Named),
    /// Takes an assignment away. Nothing happens if there is none.
    RemoveAssignment(Named),
    /// Enables or disables a person.
    SetUserEnabled { user: String, enabled: bool },
    /// Gives a person another user name and address; the id stays.
    RenameUser { user: String, user_name: String },
    /// Deletes a person, who leaves their groups. Their assignments stay listed, as AWS's do, and
    /// can't be deleted any more.
    DeleteUser { user: String },
    /// Puts a person into a group.
    AddMember { group: String, user: String },
    /// Takes a person out of a group.
    RemoveMember { group: String, user: String },
    /// Moves an account to another phase of its life.
    SetAccountState {
        account: String,
        state: AccountState,
    },
    /// Closes an account for good: it leaves the organization, and what was assigned in it is gone.
    RemoveAccount { account: String },
    /// Moves an account to another unit, or to the root.
    MoveAccount { account: String, parent_id: String },
    /// Deletes a permission set, and with it what was assigned.
    DeletePermissionSet { permission_set: String },
}

/// An assignment by the names of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Account.
    pub account: String,
    /// Permission set.
    pub permission_set: String,
    /// Person or group.
    #[serde(default = "user")]
    pub principal_type: PrincipalType,
    /// Who. One that has left the directory is named by its id.
    pub principal: String,
}

fn user() -> PrincipalType {
    PrincipalType::User
}

impl Edit {
    pub(super) fn apply(&self, world: &mut World) -> anyhow::Result<()> {
        match self {
            Self::AddAssignment(named) => {
                let assignment = named.find(world)?;
                world.assignments.insert(assignment);
            }
            Self::RemoveAssignment(named) => {
                let assignment = named.find(world)?;
                world.assignments.retain(|stored| !stored.is(&assignment));
            }
            Self::SetUserEnabled { user, enabled } => {
                let id = world.user_named(user)?.id.clone();
                for user in world.users.iter_mut().filter(|user| user.id == id) {
                    user.enabled = *enabled;
                    user.revision += 1;
                }
            }
            Self::RenameUser { user, user_name } => {
                let id = world.user_named(user)?.id.clone();
                if world.users.iter().any(|user| user.user_name == *user_name) {
                    bail!("the sandbox has a user {user_name} already");
                }
                for user in world.users.iter_mut().filter(|user| user.id == id) {
                    user.user_name.clone_from(user_name);
                    user.email.clone_from(user_name);
                    user.revision += 1;
                }
            }
            Self::DeleteUser { user } => {
                let id = world.user_named(user)?.id.clone();
                world.users.retain(|user| user.id != id);
                let groups = world.groups.iter_mut();
                groups.for_each(|group| _ = group.members.remove(&id));
            }
            Self::AddMember { group, user } => {
                let id = world.user_named(user)?.id.clone();
                world.members_mut(group)?.insert(id);
            }
            Self::RemoveMember { group, user } => {
                let id = world.user_named(user)?.id.clone();
                world.members_mut(group)?.remove(&id);
            }
            Self::SetAccountState { account, state } => {
                let id = world.account_named(account)?.id.clone();
                let accounts = world.accounts.iter_mut();
                accounts
                    .filter(|account| account.id == id)
                    .for_each(|account| account.state = *state);
            }
            Self::RemoveAccount { account } => {
                let id = world.account_named(account)?.id.clone();
                world.accounts.retain(|account| account.id != id);
                world.assignments.retain(|stored| stored.account_id != id);
            }
            Self::MoveAccount { account, parent_id } => {
                let id = world.account_named(account)?.id.clone();
                let accounts = world.accounts.iter_mut();
                accounts
                    .filter(|account| account.id == id)
                    .for_each(|account| account.parent_id.clone_from(parent_id));
            }
            Self::DeletePermissionSet { permission_set } => {
                let arn = world.permission_set_named(permission_set)?.arn.clone();
                world.permission_sets.retain(|set| set.arn != arn);
                world
                    .assignments
                    .retain(|stored| stored.permission_set_arn != arn);
            }
        }
        Ok(())
    }
}

impl Named {
    fn new(account: &str, permission_set: &str, kind: PrincipalType, principal: &str) -> Self {
        Self {
            account: account.to_owned(),
            permission_set: permission_set.to_owned(),
            principal_type: kind,
            principal: principal.to_owned(),
        }
    }

    fn find(&self, world: &World) -> anyhow::Result<super::world::Assignment> {
        world.assignment_named(
            &self.account,
            &self.permission_set,
            self.principal_type,
            &self.principal,
        )
    }
}

impl World {
    fn members_mut(&mut self, group: &str) -> anyhow::Result<&mut BTreeSet<String>> {
        let id = self.group_named(group)?.id.clone();
        let group = self
            .groups
            .iter_mut()
            .find(|group| group.id == id)
            .context("the group was there on the line above")?;
        Ok(&mut group.members)
    }
}

impl State {
    /// Changes the world. Fails, with nothing changed, if the result would contradict itself.
    pub(super) fn edit(
        &mut self,
        at: DateTime<Utc>,
        change: impl FnOnce(&mut World) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut world = self.world.clone();
        change(&mut world)?;
        if let Some(fault) = world.fault() {
            bail!("the world would contradict itself: {fault}");
        }
        let before = std::mem::take(&mut self.world.assignments);
        let after = std::mem::replace(&mut world.assignments, before.clone());
        self.world = world;
        // Through the history, for listings that lag.
        before
            .difference(&after)
            .for_each(|gone| _ = self.take(gone, at));
        after
            .difference(&before)
            .for_each(|new| self.put(new.clone(), at));
        self.touch();
        Ok(())
    }
}

impl Sandbox {
    /// Changes the world in any way at all. Fails, with nothing changed, if the result would
    /// contradict itself.
    pub fn edit(
        &self,
        change: impl FnOnce(&mut World) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let version = {
            let mut inner = self.0.lock();
            let now = inner.settle();
            inner.state.edit(now, change)?;
            inner.state.version()
        };
        self.0.save(version)
    }

    /// Changes the world as the edit says.
    pub fn apply(&self, edit: &Edit) -> anyhow::Result<()> {
        self.edit(|world| edit.apply(world))
    }

    /// See [`Edit::AddAssignment`].
    pub fn add_assignment(
        &self,
        account: &str,
        permission_set: &str,
        kind: PrincipalType,
        principal: &str,
    ) -> anyhow::Result<()> {
        let named = Named::new(account, permission_set, kind, principal);
        self.apply(&Edit::AddAssignment(named))
    }

    /// See [`Edit::RemoveAssignment`].
    pub fn remove_assignment(
        &self,
        account: &str,
        permission_set: &str,
        kind: PrincipalType,
        principal: &str,
    ) -> anyhow::Result<()> {
        let named = Named::new(account, permission_set, kind, principal);
        self.apply(&Edit::RemoveAssignment(named))
    }

    /// See [`Edit::SetUserEnabled`].
    pub fn set_user_enabled(&self, user: &str, enabled: bool) -> anyhow::Result<()> {
        let user = user.to_owned();
        self.apply(&Edit::SetUserEnabled { user, enabled })
    }

    /// See [`Edit::AddMember`].
    pub fn add_member(&self, group: &str, user: &str) -> anyhow::Result<()> {
        let (group, user) = (group.to_owned(), user.to_owned());
        self.apply(&Edit::AddMember { group, user })
    }

    /// See [`Edit::RemoveMember`].
    pub fn remove_member(&self, group: &str, user: &str) -> anyhow::Result<()> {
        let (group, user) = (group.to_owned(), user.to_owned());
        self.apply(&Edit::RemoveMember { group, user })
    }

    /// See [`Edit::DeleteUser`].
    pub fn delete_user(&self, user: &str) -> anyhow::Result<()> {
        let user = user.to_owned();
        self.apply(&Edit::DeleteUser { user })
    }

    /// See [`Edit::SetAccountState`].
    pub fn set_account_state(&self, account: &str, state: AccountState) -> anyhow::Result<()> {
        let account = account.to_owned();
        self.apply(&Edit::SetAccountState { account, state })
    }

    /// See [`Edit::MoveAccount`].
    pub fn move_account(&self, account: &str, parent_id: &str) -> anyhow::Result<()> {
        let (account, parent_id) = (account.to_owned(), parent_id.to_owned());
        self.apply(&Edit::MoveAccount { account, parent_id })
    }
}
