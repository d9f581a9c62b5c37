//! Everything that can be wrong with a policy that parses, as a list of findings for its author.
//!
//! `curfew policy check` prints them; a policy with findings never comes into force.

use std::collections::BTreeSet;

use super::{Policy, Rule, Selector};

/// Longest grant that a rule may give: Identity Center's longest role session is 12 hours, and what
/// is needed for longer than a day is not just-in-time access.
const LONGEST_MINUTES: u32 = 24 * 60;

/// Longest time that a request may wait.
const LONGEST_PENDING_MINUTES: u32 = 7 * 24 * 60;

/// Longest reason (`access::text` bounds what is accepted; a rule can't ask for more).
pub const REASON_MAX_CHARS: u32 = 500;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule, or the table of the file.
    pub place: String,
    /// What is wrong and what to do.
    pub text: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// What is wrong with the policy by itself.
#[must_use]
pub fn findings(policy: &Policy) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for rule in &policy.rules {
        let place = format!("rule {:?}", rule.name);
        let mut say = |text: String| {
            found.push(Finding {
                place: place.clone(),
                text,
            });
        };
        if !is_name(&rule.name) {
            say("name must be 1 to 64 letters, digits, '-', '_' or '.'".to_owned());
        }
        if !names.insert(&rule.name) {
            say("another rule has the same name".to_owned());
        }
        rule_findings(rule, &mut say);
    }
    for name in policy.permission_sets.keys() {
        if !policy.rules.iter().any(|rule| rule.permission_set == *name) {
            found.push(Finding {
                place: format!("permission_set.{name}"),
                text: "no rule is about this permission set; is the name right?".to_owned(),
            });
        }
    }
    found
}

fn rule_findings(rule: &Rule, say: &mut impl FnMut(String)) {
    if rule.permission_set.is_empty() {
        say("permission_set is empty".to_owned());
    }
    if rule.accounts.is_empty() {
        say("accounts is empty, so the rule reaches nothing".to_owned());
    }
    for selector in &rule.accounts {
        selector_findings(selector, say);
    }
    if rule.requesters.is_empty() {
        say("requesters is empty, so nobody may ask".to_owned());
    }
    for group in rule
        .requesters
        .iter()
        .filter(|group| rule.approvers.contains(group))
    {
        say(format!(
            "group {group:?} is in requesters and in approvers; asking and agreeing need different groups"
        ));
    }
    match (rule.approvals, rule.approvers.is_empty()) {
        (0, false) => say(
            "approvals = 0 with approvers: name no approvers, or ask for at least one approval"
                .to_owned(),
        ),
        (1.., true) => say(
            "approvers is empty; name a group, or say approvals = 0 to grant by policy".to_owned(),
        ),
        (11.., false) => say("approvals may be 10 at most".to_owned()),
        _ => {}
    }
    if !(1..=LONGEST_MINUTES).contains(&rule.max_minutes) {
        say(format!("max_minutes must be from 1 to {LONGEST_MINUTES}"));
    }
    if !(1..=LONGEST_PENDING_MINUTES).contains(&rule.pending_minutes) {
        say(format!(
            "pending_minutes must be from 1 to {LONGEST_PENDING_MINUTES}"
        ));
    }
    if !(1..=REASON_MAX_CHARS).contains(&rule.reason_min_chars) {
        say(format!(
            "reason_min_chars must be from 1 to {REASON_MAX_CHARS}"
        ));
    }
    if let Some(minutes) = rule.max_auth_age_minutes
        && !(1..=LONGEST_MINUTES).contains(&minutes)
    {
        say(format!(
            "max_auth_age_minutes must be from 1 to {LONGEST_MINUTES}; leave it out for no limit"
        ));
    }
    if let Some(pattern) = rule
        .ticket
        .as_ref()
        .and_then(|ticket| ticket.pattern.as_ref())
        && let Err(error) = regex::Regex::new(pattern)
    {
        say(format!(
            "ticket.pattern is not a regular expression: {error}"
        ));
    }
    if rule.sensitive_account
        && !rule
            .accounts
            .iter()
            .any(|selector| matches!(selector, Selector::Id(_)))
    {
        say("sensitive_account = true needs the account by id".to_owned());
    }
}

fn selector_findings(selector: &Selector, say: &mut impl FnMut(String)) {
    match selector {
        Selector::Id(id) if id.len() != 12 || !id.bytes().all(|byte| byte.is_ascii_digit()) => {
            say(format!("account id {id:?} is not twelve digits"));
        }
        Selector::Name(name) if name.is_empty() => say("an account name is empty".to_owned()),
        Selector::Tag(tag) if tag.split_once('=').is_none_or(|(key, _)| key.is_empty()) => {
            say(format!("tag {tag:?} is not of the form key=value"));
        }
        Selector::Ou { id, .. } if !(id.starts_with("ou-") || id.starts_with("r-")) => {
            say(format!(
                "{id:?} is not the id of an organizational unit (ou-…) or of the root (r-…)"
            ));
        }
        _ => {}
    }
}

/// What is wrong with the policy in this directory: groups and permission sets that don't exist.
#[must_use]
pub fn findings_against(
    policy: &Policy,
    groups: &BTreeSet<String>,
    permission_sets: &BTreeSet<String>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for rule in &policy.rules {
        let place = format!("rule {:?}", rule.name);
        for group in rule
            .requesters
            .iter()
            .chain(&rule.approvers)
            .filter(|group| !groups.contains(*group))
        {
            found.push(Finding {
                place: place.clone(),
                text: format!(
                    "there is no group {group:?} in the identity store (or more than one)"
                ),
            });
        }
        if !permission_sets.contains(&rule.permission_set) {
            found.push(Finding {
                place,
                text: format!("there is no permission set {:?}", rule.permission_set),
            });
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::super::tests::DEMO;
    use super::*;

    fn check(from: &str, to: &str) -> String {
        assert!(DEMO.contains(from), "{from:?} is not in the demo's policy");
        let policy = Policy::parse(&DEMO.replacen(from, to, 1)).unwrap();
        findings(&policy)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn the_demo_policy_has_no_findings() {
        assert_eq!(findings(&Policy::parse(DEMO).unwrap()), []);
    }

    #[test]
    fn each_mistake_is_found_and_named() {
        for (from, to, expected) in [
            (
                "approvers = [\"production-approvers\"]",
                "approvers = [\"engineers\"]",
                "\"engineers\" is in requesters and in approvers",
            ),
            (
                "approvals = 1",
                "approvals = 0",
                "approvals = 0 with approvers",
            ),
            (
                "approvers = [\"production-approvers\"]",
                "",
                "approvers is empty",
            ),
            (
                "name = \"staging-admin\"",
                "name = \"production-admin\"",
                "same name",
            ),
            (
                "name = \"production-admin\"",
                "name = \"a b\"",
                "name must be",
            ),
            ("max_minutes = 60", "max_minutes = 0", "max_minutes must be"),
            (
                "max_minutes = 60",
                "max_minutes = 100000",
                "max_minutes must be",
            ),
            (
                "pending_minutes = 240",
                "pending_minutes = 0",
                "pending_minutes must be",
            ),
            (
                "reason_min_chars = 10",
                "reason_min_chars = 501",
                "reason_min_chars must be",
            ),
            ("'^(INC|CHG)-\\d+$'", "'('", "not a regular expression"),
            (
                "{ tag = \"env=prod\" }",
                "{ id = \"12\" }",
                "not twelve digits",
            ),
            ("{ tag = \"env=prod\" }", "{ tag = \"prod\" }", "key=value"),
            (
                "{ tag = \"env=prod\" }",
                "{ ou = \"prod\" }",
                "not the id of an organizational unit",
            ),
            ("[{ tag = \"env=prod\" }]", "[]", "reaches nothing"),
            (
                "requesters = [\"engineers\"]",
                "requesters = []",
                "nobody may ask",
            ),
            (
                "max_minutes = 60",
                "max_minutes = 60\nsensitive_account = true",
                "by id",
            ),
            (
                "[permission_set.production-admin]",
                "[permission_set.prod-admin]",
                "no rule is about",
            ),
        ] {
            let found = check(from, to);
            assert!(found.contains(expected), "{to:?} gave {found:?}");
        }
    }

    #[test]
    fn groups_and_permission_sets_that_do_not_exist_are_found() {
        let policy = Policy::parse(DEMO).unwrap();
        let sets = ["production-admin".to_owned(), "staging-admin".to_owned()].into();
        let found = findings_against(&policy, &["engineers".to_owned()].into(), &sets);
        assert_eq!(found.len(), 1);
        assert!(found[0].text.contains("production-approvers"));
    }
}
