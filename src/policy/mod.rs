//! The policy: who may ask for which permission set in which accounts, for how long, and who must
//! agree. This file is its shape as written in `policy.toml`; `check` finds what is wrong with one,
//! `evaluate` judges what is asked by it, `explain` says all that stands in the way, `recheck` judges
//! what is about to start.
//!
//! Pure. Unknown keys are errors: a misspelt limit must not become no limit.

pub mod ask;
pub mod check;
pub mod evaluate;
pub mod explain;
pub mod facts;
pub mod recheck;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::access::person::{Assurance, Demand};

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
    /// How many minutes ago they may have proved it; without it, as long as a session lasts.
    #[serde(default)]
    pub max_auth_age_minutes: Option<u32>,
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
#[serde(try_from = "SelectorKeys")]
pub enum Selector {
    /// `{ id = "111111111111" }`: by id, twelve digits.
    Id(String),
    /// `{ name = "payments-*" }`: by name, where `*` stands for any characters.
    Name(String),
    /// `{ tag = "env=prod" }`: by tag, `key=value`.
    Tag(String),
    /// `{ ou = "ou-…", nested = true }`: by organizational unit.
    Ou {
        /// Id of the unit, or of the root.
        id: String,
        /// Also accounts in units below it.
        nested: bool,
    },
}

/// A selector as written. An untagged enum would not say which key is wrong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SelectorKeys {
    id: Option<String>,
    name: Option<String>,
    tag: Option<String>,
    ou: Option<String>,
    nested: Option<bool>,
}

impl TryFrom<SelectorKeys> for Selector {
    type Error = String;

    fn try_from(keys: SelectorKeys) -> Result<Self, String> {
        let written: Vec<_> = [
            keys.id.as_ref().map(|_| "id"),
            keys.name.as_ref().map(|_| "name"),
            keys.tag.as_ref().map(|_| "tag"),
            keys.ou.as_ref().map(|_| "ou"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let selector = match (keys.id, keys.name, keys.tag, keys.ou) {
            (Some(id), None, None, None) => Self::Id(id),
            (None, Some(name), None, None) => Self::Name(name),
            (None, None, Some(tag), None) => Self::Tag(tag),
            (None, None, None, Some(id)) => {
                let nested = keys.nested.unwrap_or_default();
                return Ok(Self::Ou { id, nested });
            }
            (None, None, None, None) => {
                return Err("this names no account: give one of id, name, tag and ou".to_owned());
            }
            _ => {
                return Err(format!(
                    "{} exclude each other: give one of id, name, tag and ou",
                    written.join(" and ")
                ));
            }
        };
        match keys.nested {
            None => Ok(selector),
            Some(_) => Err(format!(
                "nested goes with ou, not with {}",
                written.join(" and ")
            )),
        }
    }
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

    /// Every permission set that some rule gives.
    #[must_use]
    pub fn permission_set_names(&self) -> BTreeSet<&str> {
        self.rules
            .iter()
            .map(|rule| rule.permission_set.as_str())
            .collect()
    }

    /// May only Curfew assign this permission set to people?
    #[must_use]
    pub fn is_exclusive(&self, permission_set: &str) -> bool {
        self.permission_sets
            .get(permission_set)
            .is_some_and(|found| found.exclusive)
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
    /// What the sign-in of whoever asks or agrees must have proved.
    #[must_use]
    pub fn demand(&self) -> Demand {
        Demand {
            assurance: self.assurance,
            max_age_minutes: self.max_auth_age_minutes,
        }
    }

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
            Self::Id(id) => *id == account.id,
            Self::Name(name) => glob(name, &account.name),
            Self::Tag(tag) => tag
                .split_once('=')
                .is_some_and(|(key, value)| account.tags.get(key).is_some_and(|is| is == value)),
            Self::Ou { id, nested: true } => account.organizational_units.contains(id),
            Self::Ou { id, nested: false } => account.organizational_units.last() == Some(id),
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
    }

    #[test]
    fn a_selector_that_is_wrong_hears_which_key_and_where() {
        for (written, expected) in [
            (r#"{ foo = "1" }"#, "unknown field `foo`"),
            (
                r#"{ id = "111111111111", acount = "x" }"#,
                "unknown field `acount`",
            ),
            ("{ id = 111111111111 }", "expected a string"),
            (r#"{ ou = "ou-1", nested = "yes" }"#, "expected a boolean"),
            (
                r#"{ id = "111111111111", tag = "env=prod" }"#,
                "id and tag exclude each other",
            ),
            (
                r#"{ name = "a", ou = "ou-1", nested = true }"#,
                "name and ou exclude each other",
            ),
            (
                r#"{ tag = "env=prod", nested = true }"#,
                "nested goes with ou, not with tag",
            ),
            (
                r#"{ id = "111111111111", nested = false }"#,
                "nested goes with ou, not with id",
            ),
            ("{ nested = true }", "this names no account"),
            ("{}", "this names no account"),
        ] {
            let source = DEMO.replacen("{ tag = \"env=prod\" }", written, 1);
            let error = Policy::parse(&source).unwrap_err();
            assert!(
                error.contains(expected) && error.contains("line"),
                "{written}: {error}"
            );
        }
    }

    #[test]
    fn selectors_are_read_as_they_are_written() {
        for (written, expected) in [
            (r#"{ id = "1" }"#, Selector::Id("1".into())),
            (r#"{ name = "a-*" }"#, Selector::Name("a-*".into())),
            (r#"{ tag = "a=b" }"#, Selector::Tag("a=b".into())),
            (
                r#"{ ou = "ou-1" }"#,
                Selector::Ou {
                    id: "ou-1".into(),
                    nested: false,
                },
            ),
            (
                r#"{ ou = "ou-1", nested = true }"#,
                Selector::Ou {
                    id: "ou-1".into(),
                    nested: true,
                },
            ),
        ] {
            let source = DEMO.replacen("{ tag = \"env=prod\" }", written, 1);
            assert_eq!(
                Policy::parse(&source).unwrap().rules[0].accounts,
                [expected]
            );
        }
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
        let ou = |id: &str, nested| {
            let id = id.into();
            Selector::Ou { id, nested }.matches(&account)
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
