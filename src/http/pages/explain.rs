//! "Could X get Y?": the question of the policy page, and its answer in words.
//!
//! The answer is that of the verdict which a request would meet; nothing is asked for and nothing is
//! recorded. Everybody may ask about themselves, auditors and administrators about anybody.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::words;
use crate::access::person::{Assurance, Person, SignedInPerson, Unproved};
use crate::broker::{Broker, Kind, Refused};
use crate::http::error::Error;
use crate::policy::Rule;
use crate::policy::evaluate::Refusal;
use crate::policy::explain::hurdles;
use crate::policy::facts::{Account, InForce};
use crate::postgres::reach;

/// Longest of what is typed, in characters.
const LONGEST: usize = 300;

/// Accounts that are offered; any other can be typed.
const MOST_OFFERED: usize = 500;

/// What was typed.
#[derive(Debug, Default)]
pub(super) struct Question {
    pub(super) person: String,
    pub(super) what: String,
    pub(super) account: String,
}

/// One choice of what to get.
#[derive(Debug)]
pub(super) struct What {
    pub(super) value: String,
    pub(super) name: String,
    pub(super) is_chosen: bool,
}

/// Something about the question that makes no sense.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) field: &'static str,
    pub(super) text: String,
}

/// The form, with what can be chosen.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) question: Question,
    pub(super) rules: Vec<What>,
    pub(super) permission_sets: Vec<What>,
    pub(super) accounts: Vec<Account>,
    /// May ask about others.
    pub(super) about_anybody: bool,
    pub(super) complaint: Option<Complaint>,
}

/// What one rule says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ByRule {
    pub(super) rule: String,
    /// What stands in the way; nothing means yes.
    pub(super) reasons: Vec<String>,
    /// What it takes to get it.
    pub(super) takes: String,
}

/// The answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// None: the reader.
    pub(super) person: Option<Person>,
    pub(super) permission_set: String,
    pub(super) account: Account,
    pub(super) by_rule: Vec<ByRule>,
}

impl Answer {
    /// Does any rule let them?
    pub(super) fn is_yes(&self) -> bool {
        self.by_rule.iter().any(|rule| rule.reasons.is_empty())
    }
}

impl Form {
    pub(super) fn of(
        in_force: &InForce,
        accounts: &[Account],
        question: Question,
        about_anybody: bool,
    ) -> Self {
        let what = |prefix: &str, name: &str| {
            let value = format!("{prefix}{name}");
            What {
                is_chosen: value == question.what,
                name: name.to_owned(),
                value,
            }
        };
        let rules = &in_force.policy.rules;
        let mut sets: Vec<&str> = rules
            .iter()
            .map(|rule| rule.permission_set.as_str())
            .collect();
        sets.sort_unstable();
        sets.dedup();
        Self {
            rules: rules.iter().map(|rule| what(RULE, &rule.name)).collect(),
            permission_sets: sets.into_iter().map(|set| what(SET, set)).collect(),
            accounts: accounts.iter().take(MOST_OFFERED).cloned().collect(),
            about_anybody,
            complaint: None,
            question,
        }
    }

    /// Has anything been asked?
    pub(super) fn is_asked(&self) -> bool {
        let Question {
            person,
            what,
            account,
        } = &self.question;
        [person, what, account]
            .into_iter()
            .any(|typed| !typed.trim().is_empty())
    }

    /// What is wrong with this field.
    pub(super) fn wrong(&self, field: &str) -> Option<&str> {
        let complaint = self
            .complaint
            .as_ref()
            .filter(|complaint| complaint.field == field)?;
        Some(&complaint.text)
    }

    /// The answer, or what is wrong with the question.
    pub(super) async fn answer(
        &self,
        broker: &Broker,
        conn: &mut PgConnection,
        in_force: &InForce,
        accounts: &[Account],
        by: &SignedInPerson,
        now: DateTime<Utc>,
    ) -> Result<Result<Answer, Complaint>, Error> {
        let person = match self.person(conn, by).await? {
            Ok(person) => person,
            Err(complaint) => return Ok(Err(complaint)),
        };
        let (rules, account) = match self.target(in_force, accounts) {
            Ok(target) => target,
            Err(complaint) => return Ok(Err(complaint)),
        };
        // How others sign in is not known: whatever the rule needs is supposed.
        let (assurance, auth_time) = if person.id == by.person.id {
            (by.assurance, by.auth_time)
        } else {
            (Assurance::PhishingResistant, Some(now))
        };
        let mut by_rule = Vec::new();
        for rule in &rules {
            let gathered = broker
                .gather(conn, in_force, Some(rule), &person.id, &account.id)
                .await?;
            let facts = gathered.facts(assurance, auth_time);
            let found = hurdles(in_force, rule, &account.id, &facts, now);
            by_rule.push(ByRule {
                rule: rule.name.clone(),
                reasons: found
                    .iter()
                    .flat_map(|refusal| reasons(refusal, rule))
                    .collect(),
                takes: takes(rule, facts.approvers),
            });
        }
        Ok(Ok(Answer {
            permission_set: rules
                .first()
                .map_or_else(String::new, |rule| rule.permission_set.clone()),
            person: (person.id != by.person.id).then_some(person),
            account: account.clone(),
            by_rule,
        }))
    }

    /// Whom it is about.
    async fn person(
        &self,
        conn: &mut PgConnection,
        by: &SignedInPerson,
    ) -> Result<Result<Person, Complaint>, Error> {
        let typed = self.question.person.trim();
        let own = [by.person.id.as_str(), &by.person.email];
        if typed.is_empty() || own.iter().any(|own| own.eq_ignore_ascii_case(typed)) {
            return Ok(Ok(by.person.clone()));
        }
        if !self.about_anybody {
            return Err(Error::Refused(Refused::new(
                Kind::Forbidden,
                "not_about_others",
                "You can ask this about yourself. Auditors and administrators can ask about others.",
            )));
        }
        let complain = |text| {
            Ok(Err(Complaint {
                field: "person",
                text,
            }))
        };
        if typed.chars().count() > LONGEST || typed.contains('\0') {
            return complain(format!(
                "That is no name: more than {LONGEST} characters, or odd ones."
            ));
        }
        let mut found = reach::find_people(conn, typed, 4).await?;
        match (found.len(), found.pop()) {
            (1, Some(person)) => Ok(Ok(person)),
            (_, None) => complain(format!("Nobody in the directory is called {typed}.")),
            (count, Some(last)) => {
                found.push(last);
                let several: Vec<_> = found
                    .iter()
                    .take(3)
                    .map(|person| person.email.as_str())
                    .collect();
                let more = if count > 3 { " and others" } else { "" };
                complain(format!(
                    "That means several: {}{more}. Write more of it.",
                    several.join(", ")
                ))
            }
        }
    }

    /// Which rules it is about, and which account.
    fn target<'a>(
        &self,
        in_force: &'a InForce,
        accounts: &'a [Account],
    ) -> Result<(Vec<&'a Rule>, &'a Account), Complaint> {
        let what = self.question.what.as_str();
        let rules: Vec<&Rule> = in_force
            .policy
            .rules
            .iter()
            .filter(|rule| {
                what.strip_prefix(RULE) == Some(&rule.name)
                    || what.strip_prefix(SET) == Some(&rule.permission_set)
            })
            .collect();
        if rules.is_empty() {
            return Err(Complaint {
                field: "what",
                text: "Choose a rule or a permission set of the list.".to_owned(),
            });
        }
        let account = account(accounts, &self.question.account).map_err(|text| Complaint {
            field: "account",
            text,
        })?;
        Ok((rules, account))
    }
}

/// Before a rule's name, in the list.
const RULE: &str = "rule/";

/// Before a permission set's.
const SET: &str = "permission-set/";

/// The account that is meant: by id, by its whole name, or by a part that no other has.
fn account<'a>(accounts: &'a [Account], typed: &str) -> Result<&'a Account, String> {
    let typed = typed.trim().to_lowercase();
    if typed.is_empty() {
        return Err("Name an account, by its id or its name.".to_owned());
    }
    if let Some(account) = accounts.iter().find(|account| account.id == typed) {
        return Ok(account);
    }
    let named = |is: &dyn Fn(&str) -> bool| -> Vec<&Account> {
        let accounts = accounts.iter();
        accounts
            .filter(|account| is(&account.name.to_lowercase()))
            .collect()
    };
    let mut found = named(&|name| name == typed);
    if found.is_empty() {
        found = named(&|name| name.contains(&typed));
    }
    match found.as_slice() {
        [account] => Ok(account),
        [] => Err("There is no account with this id or name that you could ask about.".to_owned()),
        several => {
            let count = several.len();
            Err(format!(
                "{count} accounts have this in their name. Write more of it, or the id."
            ))
        }
    }
}

/// What stands in the way, said of anybody.
fn reasons(refusal: &Refusal, rule: &Rule) -> Vec<String> {
    let said = match refusal {
        Refusal::Fields(errors) => {
            return errors
                .iter()
                .map(|error| match error.code {
                    "unknown_rule" => format!(
                        "Not in a group that may ask under this rule ({}).",
                        rule.requesters.join(", ")
                    ),
                    "account_outside_rule" => "The rule does not reach this account.".to_owned(),
                    "unknown_account" => "The account is not in the directory.".to_owned(),
                    _ => error.text.clone(),
                })
                .collect();
        }
        Refusal::Unproved(Unproved::TooWeak(demand)) => {
            let needed = demand.assurance.in_words();
            format!("Needs {needed} and is signed in without it.")
        }
        Refusal::Unproved(Unproved::TooOld(demand)) => {
            format!("Needs {}, and the sign-in is older.", demand.in_words())
        }
        Refusal::Disabled => "Disabled in the directory, or not there any more.".to_owned(),
        Refusal::NobodyCanApprove { needed, reachable } => format!(
            "Needs {}, and {reachable} enabled approvers other than the requester are in the groups ({}).",
            words::counted((*needed).into(), "approval"),
            rule.approvers.join(", ")
        ),
        Refusal::RuleSuspended(group) => format!(
            "The rule is suspended: the group {group} is not the one that it was when the policy came into force."
        ),
        Refusal::DirectoryStale => {
            "Curfew's copy of the directory is more than five minutes old; requests wait for it."
                .to_owned()
        }
    };
    vec![said]
}

/// What it takes to get it under this rule.
fn takes(rule: &Rule, approvers: usize) -> String {
    let longest = words::duration(chrono::TimeDelta::minutes(rule.max_minutes.into()));
    let agreement = match rule.approvals {
        0 => "nobody's yes".to_owned(),
        count => format!(
            "{} of {} ({approvers} people can give it)",
            words::counted(count.into(), "approval"),
            rule.approvers.join(" or ")
        ),
    };
    let ticket = rule.ticket.as_ref().is_some_and(|ticket| ticket.required);
    let ticket = if ticket { ", a ticket" } else { "" };
    format!(
        "Up to {longest}. Needs a reason{ticket}, {agreement}, and {}.",
        rule.demand().in_words()
    )
}

/// For samples.
#[cfg(test)]
pub(super) fn sample(account: Account, person: Option<Person>, reasons: &[&str]) -> Answer {
    let in_force = super::samples::in_force();
    let rule = &in_force.policy.rules[0];
    Answer {
        person,
        permission_set: rule.permission_set.clone(),
        account,
        by_rule: vec![ByRule {
            rule: rule.name.clone(),
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            takes: takes(rule, 3),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{accounts, in_force};
    use super::*;
    use crate::access::person::Demand;

    const DEMAND: Demand = Demand {
        assurance: Assurance::Mfa,
        max_age_minutes: Some(15),
    };

    #[test]
    fn an_account_is_meant_by_id_by_name_or_by_a_part_that_no_other_has() {
        let accounts = accounts();
        let id = |typed: &str| account(&accounts, typed).map(|account| account.id.as_str());
        for typed in [
            "111111111111",
            " payments-prod ",
            "PAYMENTS-PROD",
            "ments-pr",
        ] {
            assert_eq!(id(typed), Ok("111111111111"), "{typed}");
        }
        assert!(id("payments").unwrap_err().starts_with("2 accounts"));
        assert!(id("nope").unwrap_err().starts_with("There is no account"));
        assert!(id(" ").unwrap_err().starts_with("Name an account"));
    }

    #[test]
    fn every_refusal_is_said_of_anybody_and_names_what_it_is_about() {
        let in_force = in_force();
        let rule = &in_force.policy.rules[0];
        let field = |code| {
            Refusal::Fields(vec![crate::policy::ask::FieldError {
                field: "x",
                code,
                text: "as it is".to_owned(),
            }])
        };
        for (refusal, part) in [
            (field("unknown_rule"), "(engineers)"),
            (field("account_outside_rule"), "does not reach"),
            (field("account_closed"), "as it is"),
            (
                Refusal::Unproved(Unproved::TooWeak(DEMAND)),
                "a second factor and is",
            ),
            (
                Refusal::Unproved(Unproved::TooOld(DEMAND)),
                "within the last 15 minutes",
            ),
            (Refusal::Disabled, "Disabled"),
            (
                Refusal::NobodyCanApprove {
                    needed: 1,
                    reachable: 0,
                },
                "1 approval, and 0 enabled approvers",
            ),
            (
                Refusal::RuleSuspended("engineers".into()),
                "the group engineers",
            ),
            (Refusal::DirectoryStale, "five minutes"),
        ] {
            let said = reasons(&refusal, rule);
            assert!(said.len() == 1 && said[0].contains(part), "{said:?}");
        }
        assert_eq!(
            takes(rule, 2),
            "Up to 1 h. Needs a reason, 1 approval of production-approvers (2 people can give it), and a phishing-resistant sign-in (passkey or security key)."
        );
    }

    #[test]
    fn a_question_offers_rules_and_permission_sets_and_keeps_its_choice() {
        let question = Question {
            what: "permission-set/staging-admin".into(),
            account: "222222222222".into(),
            ..Question::default()
        };
        let (in_force, accounts) = (in_force(), accounts());
        let form = Form::of(&in_force, &accounts, question, false);
        assert!(form.is_asked() && form.permission_sets[1].is_chosen && !form.rules[1].is_chosen);
        let (rules, account) = form.target(&in_force, &accounts).unwrap();
        assert_eq!(
            (rules.len(), account.name.as_str()),
            (1, "payments-staging")
        );
        assert!(!Form::default().is_asked());
    }
}
