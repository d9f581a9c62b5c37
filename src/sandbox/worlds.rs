//! Making worlds: the demo's, and small pieces from which a test builds its own.
//!
//! Ids are fixed, so that logs of two runs can be laid side by side: people are `1…`, groups `2…`,
//! counted from one.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Account, AccountState, ExternalId, Group, PermissionSet, Unit, User, World};

const MANAGEMENT: &str = "999999999999";
const CALLER: &str = "999999999998";
const ROOT: &str = "r-demo";

impl World {
    /// An organization with no one in it: the management account, the account of the callers
    /// (`security-tooling`) and its unit.
    #[must_use]
    pub fn bare() -> Self {
        let mut world = Self {
            region: "eu-central-1".to_owned(),
            instance_arn: "arn:aws:sso:::instance/ssoins-5a4db0c1d2e3f405".to_owned(),
            identity_store_id: "d-9067a1b2c3".to_owned(),
            organization_id: "o-sandboxorg1".to_owned(),
            root_id: ROOT.to_owned(),
            management_account_id: MANAGEMENT.to_owned(),
            caller_account_id: CALLER.to_owned(),
            permission_sets: vec![],
            accounts: vec![],
            units: vec![],
            users: vec![],
            groups: vec![],
            assignments: BTreeSet::new(),
        };
        world.add_unit("ou-demo-security1", "security", ROOT);
        world.add_account(MANAGEMENT, "management", ROOT, &[]);
        world.add_account(
            CALLER,
            "security-tooling",
            "ou-demo-security1",
            &[("env", "tools")],
        );
        world
    }

    /// The world of `curfew demo`.
    #[must_use]
    pub fn demo() -> Self {
        let mut world = Self::bare();
        world.add_unit("ou-demo-workloads", "workloads", ROOT);
        world.add_unit("ou-demo-production", "prod", "ou-demo-workloads");
        world.add_unit("ou-demo-staging01", "staging", "ou-demo-workloads");
        world.add_account(
            "111111111111",
            "payments-prod",
            "ou-demo-production",
            &[("env", "prod")],
        );
        world.add_account(
            "222222222222",
            "payments-staging",
            "ou-demo-staging01",
            &[("env", "staging")],
        );
        world.add_account(
            "333333333333",
            "data-prod",
            "ou-demo-production",
            &[("env", "prod")],
        );
        world.add_permission_set(
            "production-admin",
            "Administrator in a production account",
            "PT1H",
        );
        world.add_permission_set("read-only", "Look, and change nothing", "PT8H");
        world.add_permission_set(
            "staging-admin",
            "Administrator in a staging account",
            "PT4H",
        );
        world.add_user("engineer", "Erin Engineer", &["engineers"]);
        world.add_user("engineer2", "Emil Engineer", &["engineers"]);
        world.add_user("approver", "Ada Approver", &["production-approvers"]);
        world.add_user("approver2", "Alan Approver", &["production-approvers"]);
        world.add_user("both", "Bo Both", &["engineers", "production-approvers"]);
        world.add_user("auditor", "Olga Auditor", &["auditors"]);
        world.add_user("admin", "Amy Admin", &["curfew-admins"]);
        // One person of an older directory, whose id has the directory's own in front.
        world.rename_user_id(
            "approver2@example.com",
            "9067a1b2c3-10000000-0000-4000-8000-000000000004",
        );
        world
    }

    /// Adds a unit; `parent_id` is a unit or the root.
    pub fn add_unit(&mut self, id: &str, name: &str, parent_id: &str) {
        self.units.push(Unit {
            id: id.to_owned(),
            name: name.to_owned(),
            parent_id: parent_id.to_owned(),
        });
    }

    /// Adds an active account.
    pub fn add_account(&mut self, id: &str, name: &str, parent_id: &str, tags: &[(&str, &str)]) {
        self.accounts.push(Account {
            id: id.to_owned(),
            name: name.to_owned(),
            email: format!("aws+{name}@example.com"),
            state: AccountState::Active,
            parent_id: parent_id.to_owned(),
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        });
    }

    /// Adds a permission set and answers its ARN.
    pub fn add_permission_set(
        &mut self,
        name: &str,
        description: &str,
        session_duration: &str,
    ) -> String {
        let instance = self.instance_arn.rsplit('/').next().unwrap_or_default();
        let arn = format!(
            "arn:aws:sso:::permissionSet/{instance}/ps-{:016x}",
            0x3000_0000_0000_0000_u64 + self.permission_sets.len() as u64 + 1
        );
        self.permission_sets.push(PermissionSet {
            arn: arn.clone(),
            name: name.to_owned(),
            description: description.to_owned(),
            session_duration: session_duration.to_owned(),
            tags: BTreeMap::new(),
        });
        arn
    }

    /// Adds `name@example.com` to the groups, which are made where they do not exist yet, and
    /// answers the person's id.
    pub fn add_user(&mut self, name: &str, display_name: &str, groups: &[&str]) -> String {
        let id = format!("10000000-0000-4000-8000-{:012x}", self.users.len() + 1);
        let address = format!("{name}@example.com");
        self.users.push(User {
            id: id.clone(),
            user_name: address.clone(),
            display_name: display_name.to_owned(),
            email: address,
            enabled: true,
            external_id: Some(ExternalId {
                issuer: "https://scim.aws.com/906712345678".to_owned(),
                id: format!("00u{name:x>17}"),
            }),
            revision: 1,
        });
        for group in groups {
            self.group_or_new(group).members.insert(id.clone());
        }
        id
    }

    fn group_or_new(&mut self, name: &str) -> &mut Group {
        let index = self
            .groups
            .iter()
            .position(|group| group.name == name)
            .unwrap_or_else(|| {
                let id = format!("20000000-0000-4000-8000-{:012x}", self.groups.len() + 1);
                self.groups.push(Group {
                    id,
                    name: name.to_owned(),
                    members: BTreeSet::new(),
                });
                self.groups.len() - 1
            });
        &mut self.groups[index]
    }

    fn rename_user_id(&mut self, user_name: &str, id: &str) {
        for user in self
            .users
            .iter_mut()
            .filter(|user| user.user_name == user_name)
        {
            let old = std::mem::replace(&mut user.id, id.to_owned());
            for group in &mut self.groups {
                if group.members.remove(&old) {
                    group.members.insert(id.to_owned());
                }
            }
        }
    }
}
