//! The form that asks for access. It offers only what could be had: the rules that let this person
//! ask, and the accounts that those reach. Whether it is granted is for the broker to say; its no
//! brings the form back with what was typed, and each complaint beside its field.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::words;
use crate::access::person::{Assurance, SignedInPerson};
use crate::broker::ActError;
use crate::http::Web;
use crate::http::error::{Error, Problem};
use crate::http::form::{Form, Search};
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::policy::Rule;
use crate::policy::ask::Ask;
use crate::policy::check::REASON_MAX_CHARS;
use crate::policy::evaluate::askable;
use crate::policy::facts::{Account, InForce};
use crate::postgres::{directory, policies};

/// Minutes that the form starts with, if the rules allow as many.
const USUAL_MINUTES: u32 = 30;

/// The fields, in the form and in a link that fills it in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct Fields {
    rule: String,
    account: String,
    minutes: String,
    reason: String,
    ticket: String,
}

impl From<Fields> for Ask {
    fn from(fields: Fields) -> Self {
        let Fields {
            rule,
            account,
            minutes,
            reason,
            ticket,
        } = fields;
        Self {
            rule,
            account,
            minutes,
            reason,
            ticket,
        }
    }
}

/// A rule that this person may ask under.
#[derive(Debug)]
pub(super) struct RuleOffer {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) permission_set: String,
    pub(super) max_minutes: u32,
    pub(super) reason_min_chars: u32,
    pub(super) approvals: u32,
    pub(super) approvers: String,
    pub(super) pending: String,
    /// What it says about tickets.
    pub(super) ticket: String,
    /// What it needs, if this person signed in too weakly for it.
    pub(super) needs: Option<&'static str>,
    pub(super) is_chosen: bool,
}

impl RuleOffer {
    fn approvals_in_words(&self) -> String {
        words::counted(i64::from(self.approvals), "approval")
    }
}

/// Accounts that are reached by the same rules.
#[derive(Debug)]
pub(super) struct AccountGroup {
    /// Which rules.
    pub(super) rules: String,
    pub(super) accounts: Vec<AccountOffer>,
}

#[derive(Debug)]
pub(super) struct AccountOffer {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) is_chosen: bool,
}

/// Everything that can be chosen.
#[derive(Debug, Default)]
pub(super) struct Offers {
    pub(super) rules: Vec<RuleOffer>,
    pub(super) accounts: Vec<AccountGroup>,
    pub(super) most_minutes: u32,
}

impl Offers {
    /// What these rules and accounts offer; what was chosen before, or is the only choice, is chosen.
    pub(super) fn of(
        in_force: &InForce,
        groups: &BTreeSet<String>,
        accounts: &[Account],
        assurance: Assurance,
        ask: &Ask,
    ) -> Self {
        let mut by_rules: BTreeMap<Vec<&str>, Vec<&Account>> = BTreeMap::new();
        let mut rules: Vec<&Rule> = Vec::new();
        let askable: Vec<&Rule> = askable(in_force, groups).collect();
        for account in accounts.iter().filter(|account| account.is_active) {
            let reaching: Vec<&Rule> = askable
                .iter()
                .copied()
                .filter(|rule| rule.reaches(account))
                .collect();
            if !reaching.is_empty() {
                by_rules
                    .entry(reaching.iter().map(|rule| rule.name.as_str()).collect())
                    .or_default()
                    .push(account);
                rules.extend(reaching);
            }
        }
        let used: BTreeSet<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
        let is_only_rule = used.len() == 1;
        let is_only_account = by_rules.values().map(Vec::len).sum::<usize>() == 1;
        let rules: Vec<RuleOffer> = askable
            .into_iter()
            .filter(|rule| used.contains(rule.name.as_str()))
            .map(|rule| offer(rule, assurance, is_only_rule || rule.name == ask.rule))
            .collect();
        let accounts = by_rules.into_iter().map(|(rules, accounts)| AccountGroup {
            rules: rules.join(" or "),
            accounts: accounts
                .into_iter()
                .map(|account| AccountOffer {
                    id: account.id.clone(),
                    name: account.name.clone(),
                    is_chosen: is_only_account || account.id == ask.account.trim(),
                })
                .collect(),
        });
        Self {
            accounts: accounts.collect(),
            most_minutes: rules.iter().map(|rule| rule.max_minutes).max().unwrap_or(0),
            rules,
        }
    }
}

fn offer(rule: &Rule, assurance: Assurance, is_chosen: bool) -> RuleOffer {
    let ticket = match &rule.ticket {
        None => "A ticket is optional".to_owned(),
        Some(ticket) => {
            let needed = if ticket.required {
                "needed"
            } else {
                "optional"
            };
            match &ticket.pattern {
                Some(pattern) => format!("A ticket is {needed} and looks like {pattern}"),
                None => format!("A ticket is {needed}"),
            }
        }
    };
    RuleOffer {
        name: rule.name.clone(),
        description: rule.description.clone(),
        permission_set: rule.permission_set.clone(),
        max_minutes: rule.max_minutes,
        reason_min_chars: rule.reason_min_chars,
        approvals: rule.approvals,
        approvers: rule.approvers.join(" or "),
        pending: words::duration(chrono::TimeDelta::minutes(i64::from(rule.pending_minutes))),
        ticket,
        needs: (assurance < rule.assurance).then(|| rule.assurance.in_words()),
        is_chosen,
    }
}

#[derive(Template)]
#[template(path = "requests/new.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) offers: Offers,
    pub(super) ask: Ask,
    /// Why it came back.
    pub(super) problem: Option<Problem>,
}

impl Page {
    /// What is wrong with a field.
    fn wrong(&self, field: &str) -> Option<&str> {
        let fields = self
            .problem
            .as_ref()
            .map(|problem| problem.fields.as_slice())
            .unwrap_or_default();
        fields
            .iter()
            .find(|(of, ..)| of == field)
            .map(|(.., text)| text.as_str())
    }

    /// The shortest reason, if every rule says the same.
    fn reason_min(&self) -> Option<u32> {
        let mut lengths = self.offers.rules.iter().map(|rule| rule.reason_min_chars);
        let first = lengths.next()?;
        lengths.all(|length| length == first).then_some(first)
    }
}

async fn page(
    web: &Web,
    by: &SignedInPerson,
    ask: Ask,
    problem: Option<Problem>,
) -> Result<Response, Error> {
    let layout = Layout::of(web, by).await?;
    let mut conn = web.broker().db.conn().await?;
    let in_force = policies::find_in_force(&mut conn).await?;
    let groups: BTreeSet<String> = directory::groups_of(&mut conn, &by.person.id)
        .await?
        .into_keys()
        .collect();
    let offers = match in_force {
        Some(in_force) => {
            let accounts = directory::list_accounts(&mut conn).await?;
            Offers::of(&in_force, &groups, &accounts, by.assurance, &ask)
        }
        None => Offers::default(),
    };
    let status = problem
        .as_ref()
        .map_or(StatusCode::OK, |problem| problem.status);
    let ask = if problem.is_none() && ask.minutes.is_empty() {
        Ask {
            minutes: USUAL_MINUTES.min(offers.most_minutes).to_string(),
            ..ask
        }
    } else {
        ask
    };
    render(
        status,
        &Page {
            layout,
            offers,
            ask,
            problem,
        },
    )
}

/// `GET /requests/new`
pub(in crate::http) async fn show(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Search(filled_in): Search<Fields>,
) -> Result<Response, Error> {
    page(&web, &by, filled_in.into(), None).await
}

/// `POST /requests`
pub(in crate::http) async fn submit(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Form(fields): Form<Fields>,
) -> Result<Response, Error> {
    let ask = fields.into();
    match web.broker().submit(&by, &ask).await {
        Ok(id) => Ok(Redirect::to(&format!("/requests/{id}")).into_response()),
        Err(ActError::Refused(refused)) => {
            let problem = Error::Refused(refused).problem();
            page(&web, &by, ask, Some(problem)).await
        }
        Err(failed) => Err(failed.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{accounts, engineers, in_force};
    use super::*;

    fn offers(assurance: Assurance, ask: &Ask, count: usize) -> Offers {
        Offers::of(
            &in_force(),
            &engineers(),
            &accounts()[..count],
            assurance,
            ask,
        )
    }

    #[test]
    fn accounts_stand_under_the_rules_that_reach_them_and_closed_or_sensitive_ones_nowhere() {
        let offers = offers(
            Assurance::PhishingResistant,
            &Ask::default(),
            accounts().len(),
        );
        let shown: Vec<_> = offers
            .accounts
            .iter()
            .map(|group| {
                (
                    group.rules.as_str(),
                    group
                        .accounts
                        .iter()
                        .map(|account| account.name.as_str())
                        .collect(),
                )
            })
            .collect::<Vec<(&str, Vec<&str>)>>();
        assert_eq!(
            shown,
            [
                ("production-admin", vec!["data-prod", "payments-prod"]),
                ("staging-admin", vec!["payments-staging"])
            ]
        );
        assert_eq!(offers.most_minutes, 120);
    }

    #[test]
    fn the_only_choice_is_chosen_and_of_several_only_what_was_asked_for() {
        let one = offers(Assurance::PhishingResistant, &Ask::default(), 1);
        assert!(
            one.rules.len() == 1 && one.rules[0].is_chosen && one.accounts[0].accounts[0].is_chosen
        );
        let ask = Ask {
            account: "111111111111".into(),
            ..Ask::default()
        };
        let several = offers(Assurance::PhishingResistant, &ask, accounts().len());
        assert!(several.rules.iter().all(|rule| !rule.is_chosen));
        let chosen = several
            .accounts
            .iter()
            .flat_map(|group| &group.accounts)
            .filter(|account| account.is_chosen);
        assert_eq!(
            chosen
                .map(|account| account.id.as_str())
                .collect::<Vec<_>>(),
            ["111111111111"]
        );
    }

    #[test]
    fn a_rule_that_needs_a_stronger_sign_in_says_so_beforehand() {
        let offers = offers(Assurance::Mfa, &Ask::default(), accounts().len());
        let needs: Vec<_> = offers
            .rules
            .iter()
            .map(|rule| rule.needs.is_some())
            .collect();
        assert_eq!(needs, [true, false]);
    }

    #[test]
    fn somebody_of_no_rule_is_offered_nothing() {
        let none = Offers::of(
            &in_force(),
            &BTreeSet::new(),
            &accounts(),
            Assurance::Mfa,
            &Ask::default(),
        );
        assert!(none.rules.is_empty() && none.accounts.is_empty());
    }
}
