//! What exists in the pretend organization: people, groups, accounts, organizational units,
//! permission sets, assignments.
//!
//! Plain data and look-ups. Nothing here knows of time, of operations in flight or of the wire.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::ids;

/// An organization with its IAM Identity Center instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// The Region in which the instance lives.
    pub region: String,
    /// `arn:aws:sso:::instance/ssoins-` and 16 characters.
    pub instance_arn: String,
    /// `d-` and ten hexadecimal digits.
    pub identity_store_id: String,
    /// `o-…`.
    pub organization_id: String,
    /// `r-…`.
    pub root_id: String,
    /// The account that owns the organization and the instance.
    pub management_account_id: String,
    /// The account whose credentials the callers hold: the delegated administrator.
    pub caller_account_id: String,
    /// Permission sets.
    pub permission_sets: Vec<PermissionSet>,
    /// Accounts, the management account included.
    pub accounts: Vec<Account>,
    /// Organizational units.
    pub units: Vec<Unit>,
    /// People.
    pub users: Vec<User>,
    /// Groups of people.
    pub groups: Vec<Group>,
    /// Who is assigned what, at this moment.
    pub assignments: BTreeSet<Assignment>,
}

/// A permission set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionSet {
    /// `arn:aws:sso:::permissionSet/ssoins-…/ps-` and 16 characters.
    pub arn: String,
    /// Its name, which is also the role's name on the portal.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// ISO 8601, `PT1H` to `PT12H`.
    pub session_duration: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// The phases of an account's life, as Organizations names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccountState {
    /// Being opened.
    PendingActivation,
    /// In use.
    Active,
    /// Suspended by AWS.
    Suspended,
    /// Being closed.
    PendingClosure,
    /// Closed.
    Closed,
}

/// An AWS account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The root user's address.
    pub email: String,
    /// Its phase of life.
    pub state: AccountState,
    /// The unit, or the root, that it is in.
    pub parent_id: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// An organizational unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// `ou-…-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The unit, or the root, that it is in.
    pub parent_id: String,
}

/// A person in the identity store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// `UUID`, or `10hex-UUID` for the older directories.
    pub id: String,
    /// The name to sign in with.
    pub user_name: String,
    /// The name to show.
    pub display_name: String,
    /// The primary address.
    pub email: String,
    /// False: DISABLED.
    pub enabled: bool,
    /// The identity provider's name for itself and for this person.
    pub external_id: Option<ExternalId>,
    /// Counts changes.
    pub revision: u64,
}

/// A person's id at the identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalId {
    /// Which identity provider.
    pub issuer: String,
    /// The id there.
    pub id: String,
}

/// A group in the identity store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// A UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The ids of its members.
    pub members: BTreeSet<String>,
}

/// What kind of principal an assignment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PrincipalType {
    /// One person.
    User,
    /// Everybody in a group.
    Group,
}

impl PrincipalType {
    /// AWS's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::Group => "GROUP",
        }
    }
}

/// One principal's access to one account with one permission set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Twelve digits.
    pub account_id: String,
    /// The permission set's ARN.
    pub permission_set_arn: String,
    /// Person or group.
    pub principal_type: PrincipalType,
    /// The id in the form in which the directory stores it.
    pub principal_id: String,
}

impl Assignment {
    /// True if both name the same thing, in whichever form the principal's id is written.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.is_in(&other.account_id, &other.permission_set_arn)
            && self.principal_type == other.principal_type
            && ids::normal(&self.principal_id) == ids::normal(&other.principal_id)
    }

    /// True for this account and permission set.
    pub(super) fn is_in(&self, account_id: &str, permission_set_arn: &str) -> bool {
        self.account_id == account_id && self.permission_set_arn == permission_set_arn
    }
}

impl World {
    pub(super) fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }

    pub(super) fn unit(&self, id: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.id == id)
    }

    pub(super) fn permission_set(&self, arn: &str) -> Option<&PermissionSet> {
        self.permission_sets.iter().find(|set| set.arn == arn)
    }

    /// A person by id, in either form.
    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users
            .iter()
            .find(|user| ids::normal(&user.id) == ids::normal(id))
    }

    /// A group by id, in either form.
    pub(super) fn group(&self, id: &str) -> Option<&Group> {
        self.groups
            .iter()
            .find(|group| ids::normal(&group.id) == ids::normal(id))
    }

    /// The principal's id as the directory stores it; nothing if the directory does not know the
    /// principal.
    pub(super) fn principal(&self, kind: PrincipalType, id: &str) -> Option<&str> {
        match kind {
            PrincipalType::User => self.user(id).map(|user| user.id.as_str()),
            PrincipalType::Group => self.group(id).map(|group| group.id.as_str()),
        }
    }

    pub(super) fn is_member(&self, group: &Group, user_id: &str) -> bool {
        self.user(user_id)
            .is_some_and(|user| group.members.contains(&user.id))
    }

    /// The permission set has a role in the account: an assignment makes it, the last one's end
    /// removes it.
    pub(super) fn is_provisioned(&self, account_id: &str, permission_set_arn: &str) -> bool {
        self.assignments
            .iter()
            .any(|assignment| assignment.is_in(account_id, permission_set_arn))
    }

    /// The path of a unit or of the root, from the organization down, with a closing slash.
    pub(super) fn path(&self, id: &str) -> String {
        let mut parts = vec![];
        let mut here = id;
        // The bound keeps a world whose units go round in a circle from hanging the sandbox.
        while let (Some(unit), true) = (self.unit(here), parts.len() <= self.units.len()) {
            parts.push(unit.id.as_str());
            here = &unit.parent_id;
        }
        parts.push(&self.root_id);
        parts.push(&self.organization_id);
        parts.reverse();
        format!("{}/", parts.join("/"))
    }

    /// The world's first inconsistency, in words.
    pub(super) fn fault(&self) -> Option<String> {
        let parents = self
            .accounts
            .iter()
            .map(|account| (&account.id, &account.parent_id));
        let mut parents = parents.chain(self.units.iter().map(|unit| (&unit.id, &unit.parent_id)));
        if let Some((child, parent)) =
            parents.find(|(_, parent)| **parent != self.root_id && self.unit(parent).is_none())
        {
            return Some(format!("{child} is in {parent}, which does not exist"));
        }
        let mut members = self
            .groups
            .iter()
            .flat_map(|group| group.members.iter().map(move |member| (group, member)));
        if let Some((group, member)) =
            members.find(|(_, member)| !self.users.iter().any(|user| user.id == **member))
        {
            return Some(format!(
                "group {} has the member {member}, who does not exist",
                group.name
            ));
        }
        [&self.management_account_id, &self.caller_account_id]
            .into_iter()
            .find(|id| self.account(id).is_none())
            .map(|id| format!("account {id} is named but does not exist"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_from_the_organization_down() {
        let world = World::demo();
        let account = world.account("111111111111").unwrap();
        assert_eq!(
            world.path(&account.parent_id),
            "o-sandboxorg1/r-demo/ou-demo-workloads/ou-demo-production/"
        );
        assert_eq!(world.path(&world.root_id), "o-sandboxorg1/r-demo/");
    }

    #[test]
    fn a_world_that_contradicts_itself_says_where() {
        assert_eq!(World::demo().fault(), None);
        let mut world = World::demo();
        world.accounts[0].parent_id = "ou-demo-nowhere00".to_owned();
        assert!(world.fault().unwrap().contains("ou-demo-nowhere00"));
        let mut world = World::demo();
        world.users.clear();
        assert!(world.fault().unwrap().contains("group"));
    }
}
