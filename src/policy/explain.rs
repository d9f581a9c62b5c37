//! "Could X get Y?": everything that stands in the way, in the words of the verdict itself.
//!
//! The verdict stops at its first no. Here each no is taken down and the same verdict is asked again,
//! with that hurdle lifted, until it says yes. So there is no second opinion that could differ. Pure.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::ask::Ask;
use super::evaluate::{Refusal, verdict};
use super::facts::{Account, Facts, InForce};
use super::{Rule, Selector};
use crate::access::person::Unproved;

/// More hurdles than the verdict has kinds of refusals.
const MOST_HURDLES: usize = 10;

/// Everything that keeps somebody from getting access under this rule in this account; nothing, if
/// they can have it. What they would type (minutes, reason, ticket) is not judged.
#[must_use]
pub fn hurdles(
    in_force: &InForce,
    rule: &Rule,
    account: &str,
    facts: &Facts<'_>,
    now: DateTime<Utc>,
) -> Vec<Refusal> {
    let anywhere = Account {
        id: "000000000000".to_owned(),
        name: String::new(),
        is_active: true,
        is_sensitive: false,
        organizational_units: Vec::new(),
        tags: [].into(),
    };
    let (mut in_force, mut facts) = (in_force.clone(), facts.clone());
    edit(&mut in_force, rule, |rule| rule.ticket = None);
    let ask = Ask {
        rule: rule.name.clone(),
        account: account.to_owned(),
        minutes: "1".to_owned(),
        reason: "x".repeat(rule.reason_min_chars.max(1) as usize),
        ticket: String::new(),
    };
    let mut found = Vec::new();
    while found.len() < MOST_HURDLES {
        let Err(refusal) = verdict(&in_force, &ask, &facts, now) else {
            break;
        };
        match &refusal {
            Refusal::DirectoryStale => facts.copied_at = Some(now),
            Refusal::Disabled => facts.enabled = true,
            Refusal::Unproved(Unproved::TooWeak(demand)) => facts.assurance = demand.assurance,
            Refusal::Unproved(Unproved::TooOld(_)) => facts.auth_time = Some(now),
            Refusal::NobodyCanApprove { needed, .. } => facts.approvers = *needed as usize,
            Refusal::Fields(errors) if errors.iter().any(|error| error.code == "unknown_rule") => {
                let groups = in_force.groups(rule).map(|groups| groups.requesters);
                facts.groups.extend(groups.unwrap_or_default());
            }
            Refusal::Fields(_) => {
                facts.permission_set_exists = true;
                facts.account = Some(&anywhere);
                let id = anywhere.id.clone();
                edit(&mut in_force, rule, |rule| {
                    rule.accounts = vec![Selector::Id(id)];
                });
            }
            // Its groups mean nobody in particular, so there is no more to be said.
            Refusal::RuleSuspended(_) => {
                found.push(refusal);
                break;
            }
        }
        found.push(refusal);
    }
    found
}

fn edit(in_force: &mut InForce, rule: &Rule, change: impl FnOnce(&mut Rule)) {
    let policy = Arc::make_mut(&mut in_force.policy);
    if let Some(rule) = policy
        .rules
        .iter_mut()
        .find(|other| other.name == rule.name)
    {
        change(rule);
    }
}

#[cfg(test)]
mod tests {
    use super::super::evaluate::tests::{account, in_force};
    use super::super::tests::DEMO;
    use super::*;
    use crate::access::person::Assurance;
    use crate::access::request::tests::at;

    fn facts(account: Option<&Account>) -> Facts<'_> {
        Facts {
            enabled: true,
            groups: ["g-engineers".to_owned()].into(),
            assurance: Assurance::PhishingResistant,
            auth_time: Some(at(0)),
            account,
            permission_set_exists: true,
            approvers: 2,
            copied_at: Some(at(0)),
        }
    }

    fn codes(source: &str, facts: &Facts<'_>) -> Vec<&'static str> {
        let in_force = in_force(source);
        let rule = in_force.policy.rule("production-admin").unwrap();
        let found = hurdles(&in_force, rule, "111111111111", facts, at(60));
        found.iter().map(Refusal::code).collect()
    }

    #[test]
    fn nothing_stands_in_the_way_of_who_may_ask() {
        let account = account();
        assert!(codes(DEMO, &facts(Some(&account))).is_empty());
        // What is typed when asking is not judged.
        let ticket = DEMO.replace("required = false", "required = true");
        assert!(codes(&ticket, &facts(Some(&account))).is_empty());
    }

    #[test]
    fn every_hurdle_is_told_and_not_only_the_first() {
        let account = Account {
            tags: [].into(),
            ..account()
        };
        let all = Facts {
            enabled: false,
            groups: [].into(),
            assurance: Assurance::Mfa,
            auth_time: None,
            permission_set_exists: false,
            approvers: 0,
            copied_at: None,
            account: Some(&account),
        };
        let fresh = DEMO.replace(
            "max_minutes = 60",
            "max_minutes = 60\nmax_auth_age_minutes = 15",
        );
        assert_eq!(
            codes(&fresh, &all),
            [
                "directory_stale",
                "disabled",
                "unknown_rule",
                "account_outside_rule",
                "assurance_too_weak",
                "sign_in_too_old",
                "nobody_can_approve"
            ]
        );
    }

    #[test]
    fn a_suspended_rule_is_told_alone() {
        let account = account();
        let mut in_force = in_force(DEMO);
        in_force.current.remove("engineers");
        let rule = in_force.policy.rule("production-admin").unwrap().clone();
        let found = hurdles(
            &in_force,
            &rule,
            "111111111111",
            &facts(Some(&account)),
            at(60),
        );
        assert_eq!(found, [Refusal::RuleSuspended("engineers".into())]);
    }
}
