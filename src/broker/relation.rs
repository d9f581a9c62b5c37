//! What somebody is to a request: who may see it, and who may end what it gave.
//!
//! Read from the database's copy of the directory, never live: ending must not wait for anything
//! (promise P6).

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::{ActError, Broker, Refused};
use crate::access::decision::{Decision, Standing, qualifying_group};
use crate::access::grant::EndReason;
use crate::access::id::RequestId;
use crate::access::person::PersonId;
use crate::access::request::Request;
use crate::postgres::{decisions, directory, policies, requests};

/// The groups and roles of somebody.
#[derive(Clone, Debug, Default)]
pub struct Standings {
    /// Ids of the groups that they are in, as far as copied.
    pub groups: BTreeSet<String>,
    /// Reads everything.
    pub is_auditor: bool,
    /// Operates Curfew.
    pub is_administrator: bool,
}

/// What somebody is to one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "five independent facts, each with its own source"
)]
pub struct Relation {
    /// They asked.
    pub is_requester: bool,
    /// They decided.
    pub has_decided: bool,
    /// They may decide under the rule as it is now.
    pub may_approve: bool,
    /// They read everything.
    pub is_auditor: bool,
    /// They operate Curfew.
    pub is_administrator: bool,
}

impl Relation {
    /// May they know of the request?
    #[must_use]
    pub fn may_see(self) -> bool {
        self.is_requester
            || self.has_decided
            || self.may_approve
            || self.is_auditor
            || self.is_administrator
    }

    /// May they end what it gave, and as what?
    #[must_use]
    pub fn may_end_as(self) -> Option<EndReason> {
        if self.is_requester {
            Some(EndReason::Requester)
        } else if self.has_decided || self.may_approve {
            Some(EndReason::Approver)
        } else if self.is_administrator {
            Some(EndReason::Administrator)
        } else {
            None
        }
    }
}

impl Broker {
    /// The groups and roles of a person, by the copy.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn standings(
        &self,
        conn: &mut PgConnection,
        person: &PersonId,
    ) -> anyhow::Result<Standings> {
        let groups = directory::groups_of(conn, person).await?;
        let in_any = |names: &BTreeSet<String>| groups.values().any(|name| names.contains(name));
        Ok(Standings {
            is_auditor: in_any(&self.roles.auditor_groups),
            is_administrator: in_any(&self.roles.administrator_groups),
            groups: groups.into_keys().collect(),
        })
    }

    /// What a person is to a request.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn relation(
        &self,
        conn: &mut PgConnection,
        person: &PersonId,
        request: &Request,
        decisions: &[Decision],
    ) -> anyhow::Result<Relation> {
        let standings = self.standings(conn, person).await?;
        let in_force = policies::find_in_force(conn).await?;
        let groups = in_force
            .and_then(|in_force| in_force.groups(in_force.policy.rule(&request.rule)?).ok());
        let standing = Standing {
            enabled: true,
            groups: standings.groups,
            ..Standing::default()
        };
        Ok(Relation {
            is_requester: request.requester.id == *person,
            has_decided: decisions
                .iter()
                .any(|decision| decision.approver.id == *person),
            may_approve: groups.is_some_and(|groups| {
                qualifying_group(request, person, &standing, &groups).is_ok()
            }),
            is_auditor: standings.is_auditor,
            is_administrator: standings.is_administrator,
        })
    }

    /// A request that somebody wants to act on, and what they are to it. Whoever it concerns not at all
    /// hears from the act that it does not exist.
    ///
    /// # Errors
    /// If there is none, or the database refuses.
    pub(super) async fn concerned(
        &self,
        person: &PersonId,
        id: RequestId,
    ) -> Result<(Request, Relation), ActError> {
        let mut conn = self.db.conn().await?;
        let request = requests::find(&mut conn, id)
            .await?
            .ok_or_else(Refused::not_found)?;
        let decided = decisions::list(&mut conn, id).await?;
        let relation = self.relation(&mut conn, person, &request, &decided).await?;
        Ok((request, relation))
    }

    /// The rules that a person may approve under, by the copy.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn approvable_rules(
        &self,
        conn: &mut PgConnection,
        person: &PersonId,
    ) -> anyhow::Result<Vec<String>> {
        let Some(in_force) = policies::find_in_force(conn).await? else {
            return Ok(Vec::new());
        };
        let groups: BTreeSet<String> = directory::groups_of(conn, person)
            .await?
            .into_keys()
            .collect();
        Ok(in_force
            .policy
            .rules
            .iter()
            .filter(|rule| {
                in_force
                    .groups(rule)
                    .is_ok_and(|of_rule| !of_rule.approvers.is_disjoint(&groups))
            })
            .map(|rule| rule.name.clone())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_concerned_may_see_a_request() {
        assert!(!Relation::default().may_see());
        for relation in [
            Relation {
                is_requester: true,
                ..Relation::default()
            },
            Relation {
                has_decided: true,
                ..Relation::default()
            },
            Relation {
                may_approve: true,
                ..Relation::default()
            },
            Relation {
                is_auditor: true,
                ..Relation::default()
            },
            Relation {
                is_administrator: true,
                ..Relation::default()
            },
        ] {
            assert!(relation.may_see());
        }
    }

    #[test]
    fn an_auditor_ends_nothing_and_everybody_else_ends_as_what_they_are() {
        let as_what = |relation: Relation| relation.may_end_as();
        assert_eq!(
            as_what(Relation {
                is_auditor: true,
                ..Relation::default()
            }),
            None
        );
        assert_eq!(
            as_what(Relation {
                is_requester: true,
                ..Relation::default()
            }),
            Some(EndReason::Requester)
        );
        assert_eq!(
            as_what(Relation {
                has_decided: true,
                ..Relation::default()
            }),
            Some(EndReason::Approver)
        );
        assert_eq!(
            as_what(Relation {
                may_approve: true,
                ..Relation::default()
            }),
            Some(EndReason::Approver)
        );
        assert_eq!(
            as_what(Relation {
                is_administrator: true,
                ..Relation::default()
            }),
            Some(EndReason::Administrator)
        );
    }
}
