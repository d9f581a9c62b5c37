//! The verdict: may this person ask for this? The only authority; the form, the API and the check
//! before the start all end here.
//!
//! Pure: facts come in, an answer goes out. Every refusal has a stable code and a sentence that
//! says what to change.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::Rule;
use super::ask::{Ask, FieldError, WellFormed, unknown_rule, well_formed};
use super::facts::{Facts, InForce};
use crate::access::decision::RuleGroups;
use crate::access::person::Unproved;

/// Oldest copy of the directory that a request may be judged by.
pub const DIRECTORY_MAX_AGE: TimeDelta = TimeDelta::minutes(5);

/// A refusal that is not about one field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something about the form.
    #[error("{}", .0.iter().map(|error| error.text.as_str()).collect::<Vec<_>>().join(" "))]
    Fields(Vec<FieldError>),
    /// Signed in too weakly, or too long ago.
    #[error(transparent)]
    Unproved(#[from] Unproved),
    /// The directory says the person is disabled.
    #[error("The directory says that your account is disabled, so nothing can be asked for.")]
    Disabled,
    /// Nobody is there who could say yes.
    #[error(
        "Nobody could approve this: the rule needs {needed}, and {reachable} enabled approvers other than you are in its groups. Ask your administrators to add approvers."
    )]
    NobodyCanApprove {
        /// Approvals that the rule needs.
        needed: u32,
        /// Who could give one.
        reachable: usize,
    },
    /// A group name of the rule resolves to another group than when the policy was activated.
    #[error(
        "This rule is suspended: the group {0:?} is not the one that it was when the policy was activated. Ask your administrators to activate the policy again."
    )]
    RuleSuspended(String),
    /// The copy of the directory is too old.
    #[error(
        "Curfew's copy of the directory is more than five minutes old, because the directory can't be read just now. Try again in a minute."
    )]
    DirectoryStale,
}

impl Refusal {
    /// Stable code for the API and the audit log.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fields(errors) => errors.first().map_or("invalid", |error| error.code),
            Self::Unproved(unproved) => unproved.code(),
            Self::Disabled => "disabled",
            Self::NobodyCanApprove { .. } => "nobody_can_approve",
            Self::RuleSuspended(_) => "rule_suspended",
            Self::DirectoryStale => "directory_stale",
        }
    }
}

/// The rules that let a member of these groups ask, suspended ones left out.
pub fn askable<'a>(
    in_force: &'a InForce,
    groups: &'a BTreeSet<String>,
) -> impl Iterator<Item = &'a Rule> {
    in_force.policy.rules.iter().filter(move |rule| {
        in_force
            .groups(rule)
            .is_ok_and(|of_rule| !of_rule.requesters.is_disjoint(groups))
    })
}

/// May this person ask for this, now? Gives the cleaned ask, or everything that is wrong with it.
///
/// A rule that somebody is not eligible for is as unknown to them as one that does not exist.
///
/// # Errors
/// The refusal.
pub fn verdict<'a>(
    in_force: &'a InForce,
    ask: &Ask,
    facts: &Facts<'_>,
    now: DateTime<Utc>,
) -> Result<(&'a Rule, RuleGroups, WellFormed), Refusal> {
    if facts
        .copied_at
        .is_none_or(|at| at + DIRECTORY_MAX_AGE < now)
    {
        return Err(Refusal::DirectoryStale);
    }
    if !facts.enabled {
        return Err(Refusal::Disabled);
    }
    let rule = in_force
        .policy
        .rule(&ask.rule)
        .ok_or_else(|| Refusal::Fields(unknown_rule(ask)))?;
    let groups = in_force.groups(rule).map_err(Refusal::RuleSuspended)?;
    if groups.requesters.is_disjoint(&facts.groups) {
        return Err(Refusal::Fields(unknown_rule(ask)));
    }
    let well_formed = well_formed(rule, ask, facts).map_err(Refusal::Fields)?;
    rule.demand().check(facts.assurance, facts.auth_time, now)?;
    if (rule.approvals as usize) > facts.approvers {
        return Err(Refusal::NobodyCanApprove {
            needed: rule.approvals,
            reachable: facts.approvers,
        });
    }
    Ok((rule, groups, well_formed))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::super::Policy;
    use super::super::facts::Account;
    use super::super::tests::DEMO;
    use super::*;
    use crate::access::person::Assurance;
    use crate::access::request::tests::at;

    pub(crate) fn account() -> Account {
        Account {
            id: "111111111111".into(),
            name: "payments-prod".into(),
            is_active: true,
            is_sensitive: false,
            organizational_units: vec!["r-root".into()],
            tags: [("env".to_owned(), "prod".to_owned())].into(),
        }
    }

    pub(crate) fn in_force(source: &str) -> InForce {
        let ids: BTreeMap<String, String> = ["engineers", "production-approvers"]
            .map(|name| (name.to_owned(), format!("g-{name}")))
            .into();
        InForce {
            version: "v".into(),
            policy: Policy::parse(source).unwrap().into(),
            pinned: ids.clone(),
            current: ids,
        }
    }

    fn ask() -> Ask {
        Ask {
            rule: "production-admin".into(),
            account: "111111111111".into(),
            minutes: "30".into(),
            reason: "restart the payment workers".into(),
            ticket: String::new(),
        }
    }

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

    fn code(in_force: &InForce, ask: &Ask, facts: &Facts<'_>) -> &'static str {
        match verdict(in_force, ask, facts, at(60)) {
            Ok(_) => "allowed",
            Err(refusal) => refusal.code(),
        }
    }

    #[test]
    fn a_good_ask_is_allowed_and_cleaned() {
        let (account, in_force) = (account(), in_force(DEMO));
        let padded = Ask {
            reason: "  restart the payment workers ".into(),
            ticket: " INC-1 ".into(),
            ..ask()
        };
        let (rule, _, well_formed) =
            verdict(&in_force, &padded, &facts(Some(&account)), at(60)).unwrap();
        assert_eq!(rule.name, "production-admin");
        assert_eq!(
            (well_formed.minutes, well_formed.reason.as_str()),
            (30, "restart the payment workers")
        );
        assert_eq!(well_formed.ticket.as_deref(), Some("INC-1"));
    }

    #[test]
    fn each_bad_field_has_its_code() {
        let (account, in_force) = (account(), in_force(DEMO));
        let long = "x".repeat(501);
        for (bad, expected) in [
            (
                Ask {
                    minutes: "0".into(),
                    ..ask()
                },
                "minutes_out_of_range",
            ),
            (
                Ask {
                    minutes: "-1".into(),
                    ..ask()
                },
                "minutes_out_of_range",
            ),
            (
                Ask {
                    minutes: "61".into(),
                    ..ask()
                },
                "minutes_out_of_range",
            ),
            (
                Ask {
                    minutes: "1e9".into(),
                    ..ask()
                },
                "minutes_out_of_range",
            ),
            (
                Ask {
                    minutes: "99999999999999999999".into(),
                    ..ask()
                },
                "minutes_out_of_range",
            ),
            (
                Ask {
                    minutes: "ten".into(),
                    ..ask()
                },
                "minutes_invalid",
            ),
            (
                Ask {
                    minutes: String::new(),
                    ..ask()
                },
                "minutes_invalid",
            ),
            (
                Ask {
                    reason: String::new(),
                    ..ask()
                },
                "reason_too_short",
            ),
            (
                Ask {
                    reason: "too short".into(),
                    ..ask()
                },
                "reason_too_short",
            ),
            (
                Ask {
                    reason: long,
                    ..ask()
                },
                "reason_too_long",
            ),
            (
                Ask {
                    reason: "hide\u{202E}this please".into(),
                    ..ask()
                },
                "forbidden_character",
            ),
            (
                Ask {
                    reason: "null \0 character".into(),
                    ..ask()
                },
                "forbidden_character",
            ),
            (
                Ask {
                    ticket: "JIRA 1".into(),
                    ..ask()
                },
                "ticket_malformed",
            ),
            (
                Ask {
                    ticket: "INC-\u{661}".into(),
                    ..ask()
                },
                "ticket_malformed",
            ),
            (
                Ask {
                    ticket: "INC-1\nINC-2".into(),
                    ..ask()
                },
                "ticket_malformed",
            ),
            (
                Ask {
                    rule: "nope".into(),
                    ..ask()
                },
                "unknown_rule",
            ),
            (
                Ask {
                    rule: String::new(),
                    ..ask()
                },
                "unknown_rule",
            ),
        ] {
            assert_eq!(
                code(&in_force, &bad, &facts(Some(&account))),
                expected,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_form_that_says_nothing_hears_of_every_field() {
        let account = account();
        let Err(Refusal::Fields(errors)) = verdict(
            &in_force(DEMO),
            &Ask::default(),
            &facts(Some(&account)),
            at(60),
        ) else {
            panic!("an empty form was taken");
        };
        let fields: Vec<_> = errors.iter().map(|error| error.field).collect();
        assert_eq!(fields, ["rule", "account", "minutes", "reason"]);
    }

    #[test]
    fn each_fact_that_stands_in_the_way_has_its_code() {
        let fresh = "assurance = \"phishing_resistant\"\nmax_auth_age_minutes = 15";
        let source = DEMO.replace("assurance = \"phishing_resistant\"", fresh);
        let (good, in_force) = (account(), in_force(&source));
        let staging = Account {
            tags: [("env".to_owned(), "staging".to_owned())].into(),
            ..account()
        };
        let closed = Account {
            is_active: false,
            ..account()
        };
        let sensitive = Account {
            is_sensitive: true,
            ..account()
        };
        let with = |account| facts(Some(account));
        for (facts, expected) in [
            (with(&good), "allowed"),
            (with(&staging), "account_outside_rule"),
            (with(&closed), "account_closed"),
            (with(&sensitive), "account_outside_rule"),
            (facts(None), "unknown_account"),
            (
                Facts {
                    groups: BTreeSet::new(),
                    ..with(&good)
                },
                "unknown_rule",
            ),
            (
                Facts {
                    enabled: false,
                    ..with(&good)
                },
                "disabled",
            ),
            (
                Facts {
                    assurance: Assurance::Mfa,
                    ..with(&good)
                },
                "assurance_too_weak",
            ),
            (
                Facts {
                    auth_time: Some(at(-841)),
                    ..with(&good)
                },
                "sign_in_too_old",
            ),
            (
                Facts {
                    auth_time: None,
                    ..with(&good)
                },
                "sign_in_too_old",
            ),
            (
                Facts {
                    approvers: 0,
                    ..with(&good)
                },
                "nobody_can_approve",
            ),
            (
                Facts {
                    permission_set_exists: false,
                    ..with(&good)
                },
                "permission_set_missing",
            ),
            (
                Facts {
                    copied_at: Some(at(-241)),
                    ..with(&good)
                },
                "directory_stale",
            ),
            (
                Facts {
                    copied_at: None,
                    ..with(&good)
                },
                "directory_stale",
            ),
        ] {
            assert_eq!(code(&in_force, &ask(), &facts), expected);
        }
    }

    #[test]
    fn a_sensitive_account_is_reached_only_by_id_and_said_so() {
        let sensitive = Account {
            is_sensitive: true,
            ..account()
        };
        let rule = |accounts: &str, extra: &str| {
            let source = DEMO
                .replace("[{ tag = \"env=prod\" }]", accounts)
                .replace("max_minutes = 60", &format!("max_minutes = 60\n{extra}"));
            Policy::parse(&source)
                .unwrap()
                .rule("production-admin")
                .unwrap()
                .reaches(&sensitive)
        };
        assert!(rule(
            "[{ id = \"111111111111\" }]",
            "sensitive_account = true"
        ));
        assert!(!rule("[{ id = \"111111111111\" }]", ""));
        assert!(!rule(
            "[{ tag = \"env=prod\" }, { id = \"222222222222\" }]",
            "sensitive_account = true"
        ));
    }

    #[test]
    fn a_group_that_was_made_anew_suspends_its_rules() {
        let account = account();
        let mut changed = in_force(DEMO);
        changed
            .current
            .insert("production-approvers".into(), "g-somebody-elses".into());
        assert_eq!(
            code(&changed, &ask(), &facts(Some(&account))),
            "rule_suspended"
        );
        changed.current.remove("production-approvers");
        assert_eq!(
            code(&changed, &ask(), &facts(Some(&account))),
            "rule_suspended"
        );
    }

    #[test]
    fn a_required_ticket_is_required() {
        let (account, in_force) = (
            account(),
            in_force(&DEMO.replace("required = false", "required = true")),
        );
        assert_eq!(
            code(&in_force, &ask(), &facts(Some(&account))),
            "ticket_required"
        );
    }
}
