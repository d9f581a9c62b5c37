//! Hands that reach into the pretend organization from outside, as a console user, an identity
//! provider or AWS itself would: at once, and past every rule that binds the API.
//!
//! Each hand first lets the operations that are due have their effect, so that what a hand does
//! happens after them, and has the result on disk when it returns (it blocks for that moment).

use std::collections::BTreeSet;

use anyhow::{Context, bail};

use super::world::{
    Account, AccountState, Assignment, Group, PermissionSet, PrincipalType, User, World,
};
use super::{Sandbox, operations};

impl Sandbox {
    /// Changes the world in any way at all. Fails, with nothing changed, if the result would
    /// contradict itself.
    pub fn edit(
        &self,
        change: impl FnOnce(&mut World) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let version = {
            let mut inner = self.0.lock();
            let now = inner.clock.now();
            let state = &mut inner.state;
            operations::settle(state, now);
            let mut world = state.world.clone();
            change(&mut world)?;
            if let Some(fault) = world.fault() {
                bail!("the world would contradict itself: {fault}");
            }
            let before = std::mem::take(&mut state.world.assignments);
            let after = std::mem::replace(&mut world.assignments, before.clone());
            state.world = world;
            // Through the history, for listings that lag.
            before
                .difference(&after)
                .for_each(|gone| _ = state.take(gone, now));
            after
                .difference(&before)
                .for_each(|new| state.put(new.clone(), now));
            state.touch();
            state.version()
        };
        self.0.save(version)
    }

    /// Assigns, as somebody at the console would. Names and ids both serve.
    pub fn add_assignment(
        &self,
        account: &str,
        permission_set: &str,
        kind: PrincipalType,
        principal: &str,
    ) -> anyhow::Result<()> {
        self.edit(|world| {
            let assignment = world.assignment_named(account, permission_set, kind, principal)?;
            world.assignments.insert(assignment);
            Ok(())
        })
    }

    /// Takes an assignment away, as somebody at the console would. Nothing happens if there is
    /// none.
    pub fn remove_assignment(
        &self,
        account: &str,
        permission_set: &str,
        kind: PrincipalType,
        principal: &str,
    ) -> anyhow::Result<()> {
        self.edit(|world| {
            let assignment = world.assignment_named(account, permission_set, kind, principal)?;
            world.assignments.retain(|stored| !stored.is(&assignment));
            Ok(())
        })
    }

    /// Enables or disables a person.
    pub fn set_user_enabled(&self, user: &str, enabled: bool) -> anyhow::Result<()> {
        self.edit(|world| {
            let id = world.user_named(user)?.id.clone();
            for user in world.users.iter_mut().filter(|user| user.id == id) {
                user.enabled = enabled;
                user.revision += 1;
            }
            Ok(())
        })
    }

    /// Puts a person into a group.
    pub fn add_member(&self, group: &str, user: &str) -> anyhow::Result<()> {
        self.edit(|world| {
            let id = world.user_named(user)?.id.clone();
            world.members_mut(group)?.insert(id);
            Ok(())
        })
    }

    /// Takes a person out of a group.
    pub fn remove_member(&self, group: &str, user: &str) -> anyhow::Result<()> {
        self.edit(|world| {
            let id = world.user_named(user)?.id.clone();
            world.members_mut(group)?.remove(&id);
            Ok(())
        })
    }

    /// Deletes a person, who leaves their groups. Their assignments stay listed, as AWS's do, and
    /// can't be deleted any more.
    pub fn delete_user(&self, user: &str) -> anyhow::Result<()> {
        self.edit(|world| {
            let id = world.user_named(user)?.id.clone();
            world.users.retain(|user| user.id != id);
            world
                .groups
                .iter_mut()
                .for_each(|group| _ = group.members.remove(&id));
            Ok(())
        })
    }

    /// Moves an account to another phase of its life.
    pub fn set_account_state(&self, account: &str, state: AccountState) -> anyhow::Result<()> {
        self.edit(|world| {
            let id = world.account_named(account)?.id.clone();
            world
                .accounts
                .iter_mut()
                .filter(|account| account.id == id)
                .for_each(|account| account.state = state);
            Ok(())
        })
    }

    /// Moves an account to another unit, or to the root.
    pub fn move_account(&self, account: &str, parent_id: &str) -> anyhow::Result<()> {
        self.edit(|world| {
            let id = world.account_named(account)?.id.clone();
            world
                .accounts
                .iter_mut()
                .filter(|account| account.id == id)
                .for_each(|account| parent_id.clone_into(&mut account.parent_id));
            Ok(())
        })
    }
}

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
