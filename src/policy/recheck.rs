//! The check just before access is given (promise P1, protocol S1): is what was approved still
//! allowed, by the rule, the membership and the approvals as they are at this moment?
//!
//! Pure, and strict: nothing is clamped. The evidence was read live by the caller.

use super::facts::{Account, InForce};
use crate::access::decision::{Decision, Evidence, valid_approvals};
use crate::access::request::Request;

/// Why an approved request may not start after all (protocol S1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLongerAllowed {
    /// The rule is gone or suspended.
    #[error("the rule {0} is gone or suspended")]
    RuleGone(String),
    /// The rule does not reach the account, or not with this permission set, any more.
    #[error("the rule {0} no longer reaches this target")]
    TargetOutsideRule(String),
    /// The account is closed or gone.
    #[error("the account is suspended, closed or gone")]
    AccountClosed,
    /// The rule's maximum is lower now; nothing is clamped.
    #[error("the rule allows {allowed} minutes now, and {asked} were approved")]
    TooLong {
        /// Maximum now.
        allowed: u32,
        /// Minutes of the request.
        asked: i32,
    },
    /// The requester is disabled or gone.
    #[error("the requester is disabled or gone")]
    RequesterDisabled,
    /// The directory's entry of the requester is not the one that signed in: its name or id went to
    /// somebody else.
    #[error("the directory's entry of the requester is no longer the one that signed in")]
    RequesterIsAnother,
    /// The requester is in no group that may ask, any more.
    #[error("the requester may no longer ask under this rule")]
    RequesterNotEligible,
    /// Too few of those who agreed still qualify.
    #[error("{needed} approvals are needed, and {valid} of those given still count")]
    TooFewApprovals {
        /// Needed then or now, whichever is more.
        needed: usize,
        /// Valid now.
        valid: usize,
    },
}

/// May the grant of this request start now?
///
/// # Errors
/// The first reason why not.
pub fn recheck(
    in_force: &InForce,
    request: &Request,
    decisions: &[Decision],
    account: Option<&Account>,
    evidence: &Evidence,
) -> Result<(), NoLongerAllowed> {
    let rule = in_force
        .policy
        .rule(&request.rule)
        .ok_or_else(|| NoLongerAllowed::RuleGone(request.rule.clone()))?;
    let groups = in_force
        .groups(rule)
        .map_err(|_| NoLongerAllowed::RuleGone(request.rule.clone()))?;
    let account = account
        .filter(|account| account.is_active)
        .ok_or(NoLongerAllowed::AccountClosed)?;
    if rule.permission_set != request.target.permission_set() || !rule.reaches(account) {
        return Err(NoLongerAllowed::TargetOutsideRule(request.rule.clone()));
    }
    if i64::from(request.minutes) > i64::from(rule.max_minutes) {
        return Err(NoLongerAllowed::TooLong {
            allowed: rule.max_minutes,
            asked: request.minutes,
        });
    }
    let requester = evidence
        .get(&request.requester.id)
        .filter(|standing| standing.enabled);
    let requester = requester.ok_or(NoLongerAllowed::RequesterDisabled)?;
    if !requester.is_who_signed_in() {
        return Err(NoLongerAllowed::RequesterIsAnother);
    }
    if groups.requesters.is_disjoint(&requester.groups) {
        return Err(NoLongerAllowed::RequesterNotEligible);
    }
    let needed = approvals_needed(request, rule.approvals);
    let valid = valid_approvals(request, decisions, evidence, &groups, rule.demand());
    if valid < needed {
        return Err(NoLongerAllowed::TooFewApprovals { needed, valid });
    }
    Ok(())
}

/// The more of what the rule asked for when the request was made and what it asks for now
/// (protocol C3).
#[must_use]
pub fn approvals_needed(request: &Request, now: u32) -> usize {
    usize::try_from(request.approvals_required)
        .unwrap_or(usize::MAX)
        .max(now as usize)
}

#[cfg(test)]
mod tests {
    use super::super::evaluate::tests::{account, in_force};
    use super::super::tests::DEMO;
    use super::*;
    use crate::access::decision::{Standing, Verdict};
    use crate::access::identity::Way;
    use crate::access::person::{Assurance, PersonId};
    use crate::access::request::Named;
    use crate::access::request::tests::{at, pending};

    fn evidence() -> Evidence {
        let standing = |group: &str| Standing {
            enabled: true,
            groups: [group.to_owned()].into(),
            ..Standing::default()
        };
        [
            (PersonId::new("engineer"), standing("g-engineers")),
            (
                PersonId::new("approver"),
                standing("g-production-approvers"),
            ),
        ]
        .into()
    }

    fn yes() -> Decision {
        Decision {
            approver: Named {
                id: PersonId::new("approver"),
                email: String::new(),
                name: String::new(),
            },
            verdict: Verdict::Yes,
            comment: None,
            channel: "web".into(),
            assurance: Assurance::PhishingResistant,
            auth_time: Some(at(0)),
            group_id: "g-production-approvers".into(),
            decided_at: at(1),
        }
    }

    fn check(
        source: &str,
        account: Option<&Account>,
        evidence: &Evidence,
    ) -> Result<(), NoLongerAllowed> {
        recheck(&in_force(source), &pending(), &[yes()], account, evidence)
    }

    #[test]
    fn what_was_approved_starts_while_everything_still_holds() {
        assert_eq!(check(DEMO, Some(&account()), &evidence()), Ok(()));
    }

    #[test]
    fn each_thing_that_changed_since_the_approval_stops_it() {
        let prod = account();
        let without = |person: &str| {
            let mut evidence = evidence();
            evidence.remove(&PersonId::new(person));
            evidence
        };
        let mut outside = evidence();
        outside.insert(
            PersonId::new("engineer"),
            Standing {
                enabled: true,
                groups: [].into(),
                ..Standing::default()
            },
        );
        let recycled = |person: &str| {
            let mut evidence = evidence();
            let standing = evidence.get_mut(&PersonId::new(person)).unwrap();
            standing.signed_in_as = Some(Way::UserName(person.to_owned()));
            evidence
        };
        let edited = |from: &str, to: &str| {
            assert!(DEMO.contains(from));
            DEMO.replacen(from, to, 1)
        };
        let closed = Account {
            is_active: false,
            ..account()
        };
        let lower = edited("max_minutes = 60", "max_minutes = 9");
        let renamed = edited("name = \"production-admin\"", "name = \"other\"");
        let elsewhere = edited("env=prod", "env=other");
        let other_set = edited(
            "permission_set = \"production-admin\"",
            "permission_set = \"read-only\"",
        );
        let two = edited("approvals = 1", "approvals = 2");
        let rule = || "production-admin".to_owned();
        for (found, expected) in [
            (
                check(&renamed, Some(&prod), &evidence()),
                NoLongerAllowed::RuleGone(rule()),
            ),
            (
                check(&elsewhere, Some(&prod), &evidence()),
                NoLongerAllowed::TargetOutsideRule(rule()),
            ),
            (
                check(&other_set, Some(&prod), &evidence()),
                NoLongerAllowed::TargetOutsideRule(rule()),
            ),
            (
                check(&lower, Some(&prod), &evidence()),
                NoLongerAllowed::TooLong {
                    allowed: 9,
                    asked: 10,
                },
            ),
            (
                check(&two, Some(&prod), &evidence()),
                NoLongerAllowed::TooFewApprovals {
                    needed: 2,
                    valid: 1,
                },
            ),
            (
                check(DEMO, Some(&closed), &evidence()),
                NoLongerAllowed::AccountClosed,
            ),
            (
                check(DEMO, None, &evidence()),
                NoLongerAllowed::AccountClosed,
            ),
            (
                check(DEMO, Some(&prod), &without("engineer")),
                NoLongerAllowed::RequesterDisabled,
            ),
            (
                check(DEMO, Some(&prod), &without("approver")),
                NoLongerAllowed::TooFewApprovals {
                    needed: 1,
                    valid: 0,
                },
            ),
            (
                check(DEMO, Some(&prod), &recycled("engineer")),
                NoLongerAllowed::RequesterIsAnother,
            ),
            (
                check(DEMO, Some(&prod), &recycled("approver")),
                NoLongerAllowed::TooFewApprovals {
                    needed: 1,
                    valid: 0,
                },
            ),
            (
                check(DEMO, Some(&prod), &outside),
                NoLongerAllowed::RequesterNotEligible,
            ),
        ] {
            assert_eq!(found, Err(expected));
        }
    }
}
