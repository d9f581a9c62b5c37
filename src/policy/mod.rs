//! The policy: who may ask for which permission set in which accounts, for how long, and who must
//! agree. This file is its shape as written in `policy.toml`; `check` finds what is wrong with one,
//! `evaluate` judges what is asked by it, `recheck` what is about to start.
//!
//! Pure. Unknown keys are errors: a misspelt limit must not become no limit.

pub mod ask;
pub mod check;
pub mod evaluate;
pub mod facts;
pub mod recheck;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::access::person::Assurance;

/// A policy file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The rules, in the order of the file.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
    /// What holds for a permission set whatever rule reaches it.
    #[serde(default, rename = "permission_set")]
    pub permission_sets: BTreeMap<String, PermissionSetPolicy>,
}

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique in the file; requests and events name it.
    pub name: String,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
    /// The permission set that may be asked for, by name.
    pub permission_set: String,
    /// The accounts that it reaches: any of these.
    pub accounts: Vec<Selector>,
    /// Groups whose members may ask.
    pub requesters: Vec<String>,
    /// Groups whose members may agree.
    #[serde(default)]
    pub approvers: Vec<String>,
    /// How many of them must; 0, with no approvers, means granted by policy.
    #[serde(default = "defaults::approvals")]
    pub approvals: u32,
    /// Longest grant.
    pub max_minutes: u32,
    /// How long a request waits for an answer.
    #[serde(default = "defaults::pending_minutes")]
    pub pending_minutes: u32,
    /// Shortest reason, in characters.
    #[serde(default = "defaults::reason_min_chars")]
    pub reason_min_chars: u32,
    /// Whether a ticket is asked for, and what it looks like.
    #[serde(default)]
    pub ticket: Option<TicketRule>,
    /// How strongly people must have signed in to ask and to agree.
    #[serde(default = "defaults::assurance")]
    pub assurance: Assurance,
    /// Set together with an account's id to reach the management account or Curfew's own.
    #[serde(default)]
    pub sensitive_account: bool,
}

/// Which tickets a rule takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketRule {
    /// Refuse a request without one.
    #[serde(default)]
    pub required: bool,
    /// A regular expression; anchor it with `^` and `$`.
    #[serde(default)]
    pub pattern: Option<String>,
}

/// One way to name accounts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Selector {
    /// By id.
    Id(ById),
    /// By name; `*` stands for any characters.
    Name(ByName),
    /// By tag, `key=value`.
    Tag(ByTag),
    /// By organizational unit.
    Ou(ByOu),
}

/// `{ id = "111111111111" }`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ById {
    /// Twelve digits.
    pub id: String,
}

/// `{ name = "payments-*" }`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByName {
    /// A name, where `*` stands for any characters.
    pub name: String,
}

/// `{ tag = "env=prod" }`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByTag {
    /// `key=value`.
    pub tag: String,
}

/// `{ ou = "ou-…", nested = true }`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByOu {
    /// Id of the unit, or of the root.
    pub ou: String,
    /// Also accounts in units below it.
    #[serde(default)]
    pub nested: bool,
}

/// What holds for a permission set whatever rule reaches it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionSetPolicy {
    /// Only Curfew may assign it to people.
    #[serde(default)]
    pub exclusive: bool,
}

mod defaults {
    use crate::access::person::Assurance;

    pub(super) fn approvals() -> u32 {
        1
    }
    pub(super) fn pending_minutes() -> u32 {
        240
    }
    pub(super) fn reason_min_chars() -> u32 {
        10
    }
    pub(super) fn assurance() -> Assurance {
        Assurance::Mfa
    }
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// A sentence with line and column, for the person who wrote it.
    pub fn parse(source: &str) -> Result<Self, String> {
        toml::from_str(source).map_err(|error| error.to_string())
    }

    /// The rule of that name.
    #[must_use]
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// Every group that some rule names.
    #[must_use]
    pub fn group_names(&self) -> BTreeSet<&str> {
        self.rules
            .iter()
            .flat_map(|rule| rule.requesters.iter().chain(&rule.approvers))
            .map(String::as_str)
            .collect()
    }
}

/// The name of a policy's content: what requests store, so that an auditor can tell which text
/// judged them.
#[must_use]
pub fn version(source: &str) -> String {
    hex::encode(Sha256::digest(source.as_bytes()))
}

impl Rule {
    /// Does it reach the account? The management account and Curfew's own only by id, and only if the
    /// rule says so.
    #[must_use]
    pub fn reaches(&self, account: &facts::Account) -> bool {
        self.accounts.iter().any(|selector| {
            let is_meant = self.sensitive_account && matches!(selector, Selector::Id(_));
            selector.matches(account) && (!account.is_sensitive || is_meant)
        })
    }
}

impl Selector {
    /// Does it name this account?
    #[must_use]
    pub fn matches(&self, account: &facts::Account) -> bool {
        match self {
            Self::Id(by) => by.id == account.id,
            Self::Name(by) => glob(&by.name, &account.name),
            Self::Tag(by) => by
                .tag
                .split_once('=')
                .is_some_and(|(key, value)| account.tags.get(key).is_some_and(|is| is == value)),
            Self::Ou(by) if by.nested => account.organizational_units.contains(&by.ou),
            Self::Ou(by) => account.organizational_units.last() == Some(&by.ou),
        }
    }
}

/// `*` stands for any characters, also none; everything else for itself.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            text.char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .any(|at| glob(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The demo's policy: the example that docs, demo and tests share.
    pub(crate) const DEMO: &str = include_str!("../cli/demo_policy.toml");

    #[test]
    fn the_demo_policy_is_what_its_page_says() {
        let policy = Policy::parse(DEMO).unwrap();
        let production = policy.rule("production-admin").unwrap();
        assert_eq!(
            (
                production.approvals,
                production.max_minutes,
                production.pending_minutes
            ),
            (1, 60, 240)
        );
        assert_eq!(production.assurance, Assurance::PhishingResistant);
        let staging = policy.rule("staging-admin").unwrap();
        assert_eq!(
            (staging.approvals, staging.max_minutes, staging.assurance),
            (0, 120, Assurance::Mfa)
        );
    }

    #[test]
    fn unknown_keys_are_errors_that_name_the_key() {
        let in_rule = DEMO.replace("max_minutes = 60", "max_minutes = 60\nmax_hours = 2");
        assert!(Policy::parse(&in_rule).unwrap_err().contains("max_hours"));
        let reserved = DEMO.replace("max_minutes = 60", "max_minutes = 60\nstages = []");
        assert!(Policy::parse(&reserved).unwrap_err().contains("stages"));
        assert!(Policy::parse("rules = []").unwrap_err().contains("rules"));
        let in_selector = DEMO.replace(
            "{ tag = \"env=prod\" }",
            "{ tag = \"env=prod\", nested = true }",
        );
        assert!(Policy::parse(&in_selector).is_err());
    }

    #[test]
    fn names_match_with_stars_anywhere() {
        for (pattern, text, expected) in [
            ("payments-*", "payments-prod", true),
            ("payments-*", "payments-", true),
            ("payments-*", "old-payments-prod", false),
            ("*-prod", "payments-prod", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("ü*", "über", true),
            ("plain", "plain", true),
            ("plain", "plainer", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} against {text}");
        }
    }

    #[test]
    fn units_match_directly_or_nested_as_the_rule_says() {
        let account = facts::Account {
            organizational_units: vec!["r-root".into(), "ou-workloads".into(), "ou-prod".into()],
            ..evaluate::tests::account()
        };
        let ou = |ou: &str, nested| {
            Selector::Ou(ByOu {
                ou: ou.into(),
                nested,
            })
            .matches(&account)
        };
        assert!(
            ou("ou-prod", false)
                && ou("ou-prod", true)
                && ou("ou-workloads", true)
                && ou("r-root", true)
        );
        assert!(!ou("ou-workloads", false) && !ou("ou-elsewhere", true));
    }
}
