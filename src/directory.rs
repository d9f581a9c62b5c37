//! The directory: who people are and which groups they are in, as AWS says.
//!
//! Two uses, never mixed: a copy in Postgres, by which requests are judged when they are made, and
//! live evidence for a yes and for the check before access starts. The identity store unreachable
//! means "no evidence", never "no membership".

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use fail::fail_point;

use crate::access::decision::{Evidence, RuleGroups};
use crate::access::person::PersonId;
use crate::aws::{self, Aws, Instance};
use crate::postgres::{Db, change::Change, directory, identities, policies};

/// Where the directory is read from.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Clients.
    pub aws: Aws,
    /// The instance whose identity store it is.
    pub instance: Instance,
}

/// Groups whose members may read or operate Curfew itself, by name.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// Read everything, change nothing.
    pub auditor_groups: BTreeSet<String>,
    /// Operate Curfew, end any grant; not approvers by virtue of it.
    pub administrator_groups: BTreeSet<String>,
}

impl Roles {
    /// Every group that a role names.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.auditor_groups
            .iter()
            .chain(&self.administrator_groups)
            .map(String::as_str)
    }
}

impl Directory {
    /// Copies the directory into Postgres. Memberships are copied for the groups that the policy in
    /// force, the roles, or `also` name.
    ///
    /// # Errors
    /// If AWS can't be read completely (the old copy then stays), or the database refuses.
    pub async fn copy(
        &self,
        db: &Db,
        roles: &Roles,
        also: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let mut names = also.clone();
        names.extend(roles.group_names().map(str::to_owned));
        let mut conn = db.conn().await?;
        let begun_at = db.clock.now(&mut conn).await?;
        if let Some(in_force) = policies::find_in_force(&mut conn).await? {
            names.extend(in_force.policy.group_names().into_iter().map(str::to_owned));
        }
        drop(conn);
        fail_point!("directory.copy.before");
        let copy = aws::directory::read(&self.aws.patient(), &self.instance, &names).await?;
        fail_point!("directory.copy.answered");
        let mut change = Change::begin(db, crate::access::person::Actor::System).await?;
        directory::replace(change.conn(), &copy, begun_at).await?;
        fail_point!("directory.copy.uncommitted");
        change.commit_bookkeeping().await?;
        fail_point!("directory.copy.committed");
        Ok(())
    }

    /// What the identity store says, live, of these people, each about the groups of the rule.
    ///
    /// # Errors
    /// If the identity store does not answer for any of them.
    pub async fn evidence(
        &self,
        db: &Db,
        people: &BTreeSet<PersonId>,
        groups: &RuleGroups,
    ) -> anyhow::Result<LiveEvidence> {
        let mut conn = db.conn().await?;
        let read_at = db.clock.now(&mut conn).await?;
        let mut known = Vec::new();
        for person in people {
            let user_id = directory::find_person(&mut conn, person)
                .await?
                .map(|known| known.user_id);
            let signed_in_as = identities::find_newest_way(&mut conn, person).await?;
            known.push((
                person.clone(),
                user_id.unwrap_or_else(|| person.as_str().to_owned()),
                signed_in_as,
            ));
        }
        drop(conn);
        let all: BTreeSet<String> = groups
            .requesters
            .union(&groups.approvers)
            .cloned()
            .collect();
        let mut evidence = Evidence::new();
        for (person, user_id, signed_in_as) in known {
            let mut standing =
                aws::directory::standing(&self.aws, &self.instance, &user_id, &all).await?;
            fail_point!("directory.evidence.answered");
            standing.signed_in_as = signed_in_as;
            evidence.insert(person, standing);
        }
        Ok(LiveEvidence { evidence, read_at })
    }
}

/// Evidence, and when its reading began.
#[derive(Clone, Debug)]
pub struct LiveEvidence {
    /// What was said of whom.
    pub evidence: Evidence,
    /// The evidence is at least this old.
    pub read_at: DateTime<Utc>,
}
