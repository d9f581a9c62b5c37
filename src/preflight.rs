//! What should be put right before it bites: looked at when a service starts and whenever it copies
//! the directory, logged, and shown to administrators. Nothing here stops anything: ending access
//! goes on whatever is found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::policy::Policy;
use crate::postgres::directory::{self, PermissionSet};
use crate::postgres::replicas::{self, Replica};
use crate::postgres::{ownership, policies, schema};

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Shortest role session that AWS lets a permission set have.
const SHORTEST_SESSION: TimeDelta = TimeDelta::hours(1);

/// Something to put right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// What is the matter.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Warning {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// What administrators should put right, as last looked at.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<Vec<Warning>>>);

impl Warnings {
    /// What is to be put right now; gives back what was not known before.
    #[must_use]
    pub fn replace(&self, found: Vec<Warning>) -> Vec<Warning> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = found.iter().filter(|one| !known.contains(one)).cloned();
        let new = new.collect();
        *known = found;
        new
    }

    /// As last looked at.
    #[must_use]
    pub fn list(&self) -> Vec<Warning> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What was seen of AWS.
#[derive(Debug)]
pub struct OfAws {
    /// Services that are called somewhere else, with the address.
    pub foreign_endpoints: Vec<(String, String)>,
    /// ARNs of the permission sets that are provisioned in the management account.
    pub in_management: anyhow::Result<BTreeSet<String>>,
}

/// Everything that is to be warned of now. What can't be asked is a warning too.
///
/// # Errors
/// If the database can't be asked.
pub async fn warnings(
    conn: &mut PgConnection,
    of_aws: &OfAws,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<Warning>> {
    let mut found = of_endpoints(&of_aws.foreign_endpoints);
    if ownership::owns_the_log(conn).await? {
        found.push(of_owner());
    }
    if let Some(problem) = schema::find(conn).await?.problem() {
        found.push(Warning::new(
            format!("The schema changed while this replica (version {VERSION}) ran: {problem}."),
            "Replace this replica. Until then it goes on ending access.",
        ));
    }
    found.extend(of_versions(&replicas::list(conn, now).await?));
    if let Some(in_force) = policies::find_in_force(conn).await? {
        let sets = directory::list_permission_sets(conn).await?;
        found.extend(of_sessions(&in_force.policy, &sets));
        match &of_aws.in_management {
            Ok(provisioned) => found.extend(of_management(&in_force.policy, &sets, provisioned)),
            Err(error) => found.push(Warning::new(
                format!(
                    "What is provisioned in the management account could not be read: {error:#}."
                ),
                "Compare Curfew's IAM role with deploy/iam-policy.json.",
            )),
        }
    }
    found.sort();
    Ok(found)
}

/// The service could rewrite its own log.
#[must_use]
pub fn of_owner() -> Warning {
    Warning::new(
        "The service runs as the owner of its tables: whoever takes it over could rewrite the audit log.",
        "Give database.url a role of its own, and run `curfew migrate` with database.migrate_url as the owner.",
    )
}

/// This replica can't keep what must be at hand without the database.
#[must_use]
pub fn of_state_dir(why: &str) -> Warning {
    Warning::new(
        format!("This replica can't write to its state folder: {why}."),
        "Make it for the user that Curfew runs as, or set state_dir. Without it, nobody could end access by hand from this replica if the database were lost.",
    )
}

/// Services that are called somewhere else than at AWS.
#[must_use]
pub fn of_endpoints(foreign: &[(String, String)]) -> Vec<Warning> {
    let mut by_address: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (service, address) in foreign {
        by_address.entry(address).or_default().push(service);
    }
    let warning = |(address, services): (&str, Vec<&str>)| {
        Warning::new(
            format!(
                "Calls go to {address}, which is not AWS ({}).",
                services.join(", ")
            ),
            "Fine for tries against the sandbox. Otherwise look for AWS_ENDPOINT_URL and endpoint_url in the environment and in AWS's configuration files.",
        )
    };
    by_address.into_iter().map(warning).collect()
}

fn of_versions(replicas: &[Replica]) -> Vec<Warning> {
    let others: BTreeSet<&str> = replicas
        .iter()
        .map(|replica| replica.version.as_str())
        .filter(|version| *version != VERSION)
        .collect();
    if others.is_empty() {
        return Vec::new();
    }
    let others: Vec<&str> = others.into_iter().collect();
    vec![Warning::new(
        format!(
            "Replicas of different versions run on this database: {VERSION} and {}.",
            others.join(", ")
        ),
        "Expected while an upgrade is under way. Otherwise replace the older ones.",
    )]
}

/// Role sessions that outlive every grant of a rule by more than they must.
#[must_use]
pub fn of_sessions(policy: &Policy, sets: &[PermissionSet]) -> Vec<Warning> {
    let mut found = Vec::new();
    for rule in &policy.rules {
        let most = TimeDelta::minutes(i64::from(rule.max_minutes)).max(SHORTEST_SESSION);
        for set in sets.iter().filter(|set| set.name == rule.permission_set) {
            let session = TimeDelta::seconds(set.session_seconds);
            if session > most {
                found.push(Warning::new(
                    format!(
                        "The permission set {} has role sessions of {} minutes, and the rule {} gives at most {}: a session opened late goes on for that long after the access was taken away.",
                        set.name,
                        session.num_minutes(),
                        rule.name,
                        rule.max_minutes
                    ),
                    format!(
                        "Set its session duration in Identity Center to {} minutes (docs/install.md, session lengths).",
                        most.num_minutes()
                    ),
                ));
            }
        }
    }
    found
}

/// Guarded permission sets that a delegated administrator can't assign.
#[must_use]
pub fn of_management(
    policy: &Policy,
    sets: &[PermissionSet],
    provisioned: &BTreeSet<String>,
) -> Vec<Warning> {
    let guarded: BTreeSet<&str> = policy
        .rules
        .iter()
        .map(|rule| rule.permission_set.as_str())
        .collect();
    sets.iter()
        .filter(|set| guarded.contains(set.name.as_str()) && provisioned.contains(&set.arn))
        .map(|set| {
            Warning::new(
                format!(
                    "The permission set {} is provisioned in the management account: a delegated administrator can't assign it anywhere.",
                    set.name
                ),
                "Remove its assignments there, or give Curfew's rules a permission set of their own (docs/install.md, what Curfew can't do).",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::DEMO;

    fn policy() -> Policy {
        Policy::parse(DEMO).unwrap()
    }

    fn set(name: &str, hours: i64) -> PermissionSet {
        PermissionSet {
            arn: format!("arn:{name}"),
            name: name.to_owned(),
            session_seconds: hours * 3600,
        }
    }

    #[test]
    fn a_session_that_is_longer_than_the_rule_s_maximum_and_could_be_shorter_is_warned_of() {
        let named = |sets: &[PermissionSet]| of_sessions(&policy(), sets);
        assert_eq!(
            named(&[set("production-admin", 1), set("staging-admin", 2)]),
            []
        );
        let found = named(&[
            set("production-admin", 8),
            set("staging-admin", 4),
            set("read-only", 12),
        ]);
        assert_eq!(found.len(), 2);
        assert!(found[0].what.contains("480 minutes") && found[0].what.contains("at most 60"));
        assert!(found[1].remedy.contains("120 minutes"));
        // AWS has no session shorter than an hour.
        let short = Policy::parse(&DEMO.replace("max_minutes = 60", "max_minutes = 15")).unwrap();
        assert_eq!(of_sessions(&short, &[set("production-admin", 1)]), []);
    }

    #[test]
    fn a_guarded_permission_set_in_the_management_account_is_warned_of_and_no_other() {
        let sets = [
            set("production-admin", 1),
            set("read-only", 1),
            set("staging-admin", 1),
        ];
        let there = ["arn:production-admin", "arn:read-only"]
            .map(str::to_owned)
            .into();
        let found = of_management(&policy(), &sets, &there);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("production-admin"));
    }

    #[test]
    fn versions_are_warned_of_only_if_they_differ() {
        let replica = |version: &str| Replica {
            id: uuid::Uuid::nil(),
            version: version.to_owned(),
            started_at: DateTime::UNIX_EPOCH,
            seen_at: DateTime::UNIX_EPOCH,
        };
        assert_eq!(of_versions(&[replica(VERSION), replica(VERSION)]), []);
        let found = of_versions(&[replica(VERSION), replica("9.9.9"), replica("9.9.9")]);
        assert!(
            found.len() == 1 && found[0].what.ends_with("and 9.9.9."),
            "{found:?}"
        );
    }

    #[test]
    fn an_endpoint_that_is_not_aws_is_named() {
        let foreign = [("SSO Admin".to_owned(), "http://127.0.0.1:4580".to_owned())];
        assert!(
            of_endpoints(&foreign)[0]
                .what
                .contains("http://127.0.0.1:4580")
        );
        assert_eq!(of_endpoints(&[]), []);
    }
}
