//! What can be asked for: the rules that let somebody ask, the accounts that those reach, and who
//! would be asked to agree. Read once, worked out by pure functions.
//!
//! An offer promises nothing: whether something is granted is for the broker to say.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::accounts::{self, AccountOffer, is_id, matching};
use super::words;
use crate::access::person::SignedInPerson;
use crate::http::Web;
use crate::http::step_up::StepUp;
use crate::policy::Rule;
use crate::policy::ask::Ask;
use crate::policy::evaluate::askable;
use crate::policy::facts::{Account, InForce};
use crate::postgres::directory::{self, Approvers};
use crate::postgres::{policies, requests};

/// Most of what was asked for lately that is offered again.
const MOST_RECENT: usize = 5;

/// What the offers rest on.
#[derive(Debug)]
pub(super) struct Basis {
    pub(super) in_force: InForce,
    /// The groups of whoever asks, by id.
    pub(super) groups: BTreeSet<String>,
    pub(super) accounts: Vec<Account>,
    /// Who could agree, by rule.
    pub(super) approvers: BTreeMap<String, Approvers>,
    /// Rules and accounts asked for lately, newest first.
    pub(super) lately: Vec<(String, String)>,
    /// How they signed in.
    pub(super) by: SignedInPerson,
    pub(super) now: DateTime<Utc>,
    /// What a minute is worth.
    pub(super) minute: TimeDelta,
}

impl Basis {
    /// Reads it; none if no policy is in force.
    pub(super) async fn read(web: &Web, by: &SignedInPerson) -> anyhow::Result<Option<Self>> {
        let me = &by.person.id;
        let mut conn = web.broker().db.conn().await?;
        let Some(in_force) = policies::find_in_force(&mut conn).await? else {
            return Ok(None);
        };
        let groups = directory::groups_of(&mut conn, me)
            .await?
            .into_keys()
            .collect();
        let mut approvers = BTreeMap::new();
        for rule in askable(&in_force, &groups).filter(|rule| rule.approvals > 0) {
            if let Ok(of_rule) = in_force.groups(rule) {
                let found = directory::find_approvers(&mut conn, &of_rule, me).await?;
                approvers.insert(rule.name.clone(), found);
            }
        }
        Ok(Some(Self {
            groups,
            accounts: directory::list_accounts(&mut conn).await?,
            approvers,
            lately: requests::list_asked_lately(&mut conn, me).await?,
            by: by.clone(),
            now: web.broker().db.clock.now(&mut conn).await?,
            minute: web.broker().settings.minute,
            in_force,
        }))
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
    /// Who has to agree, if anybody.
    pub(super) asked: Option<Asked>,
    /// What it says about tickets.
    pub(super) ticket: String,
    /// What it needs, if this person signed in too weakly or too long ago for it.
    pub(super) step_up: Option<StepUp>,
    pub(super) is_chosen: bool,
}

/// Who would be asked to agree.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) needed: u32,
    /// The approvers' groups.
    pub(super) groups: String,
    /// How long there is to answer.
    pub(super) pending: String,
    pub(super) approvers: Approvers,
}

impl Asked {
    /// `1 approval`.
    pub(super) fn approvals(&self) -> String {
        words::counted(i64::from(self.needed), "approval")
    }

    /// How many people could agree.
    pub(super) fn could(&self) -> String {
        match self.approvers.count {
            1 => "1 person could agree".to_owned(),
            count => format!("{count} people could agree"),
        }
    }

    /// How many of them are not named.
    pub(super) fn more(&self) -> usize {
        self.approvers
            .count
            .saturating_sub(self.approvers.names.len())
    }

    /// How many of them have an e-mail address.
    pub(super) fn reach(&self) -> String {
        match (self.approvers.count, self.approvers.with_email) {
            (_, 0) => "No e-mail address is known: tell them yourself.".to_owned(),
            (1, _) => "An e-mail address is known.".to_owned(),
            (all, some) if all == some => "All have an e-mail address.".to_owned(),
            (_, 1) => "1 of them has an e-mail address.".to_owned(),
            (_, some) => format!("{some} of them have an e-mail address."),
        }
    }

    /// What to do if there are fewer people than approvals.
    pub(super) fn too_few(&self) -> Option<String> {
        let count = self.approvers.count;
        ((self.needed as usize) > count).then(|| {
            format!(
                "Would be refused: it needs {}, and {count} enabled approvers other than you are there. \
                 Ask your administrators to add people to {}.",
                self.approvals(),
                self.groups
            )
        })
    }
}

/// Something that was asked for lately, to be asked for again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recent {
    pub(super) rule: String,
    pub(super) account_name: String,
    pub(super) account_id: String,
    /// The form, filled in.
    pub(super) href: String,
}

/// The form, filled in.
pub(super) fn form_href(fields: &[(&str, &str)]) -> String {
    serde_urlencoded::to_string(fields).map_or_else(
        |_| "/requests/new".to_owned(),
        |query| format!("/requests/new?{query}"),
    )
}

/// Everything that can be chosen.
#[derive(Debug, Default)]
pub(super) struct Offers {
    pub(super) rules: Vec<RuleOffer>,
    /// Those asked for lately first, then by name.
    pub(super) accounts: Vec<AccountOffer>,
    pub(super) recent: Vec<Recent>,
    pub(super) most_minutes: u32,
    /// What a minute is worth, if that is not a minute.
    pub(super) short_minute: Option<String>,
}

impl Offers {
    /// What can be had; the rule that was chosen before, or is the only one, is chosen.
    pub(super) fn of(basis: &Basis, ask: &Ask) -> Self {
        // A rule that reaches no open account is none to offer.
        let open = || basis.accounts.iter().filter(|account| account.is_active);
        let rules: Vec<&Rule> = askable(&basis.in_force, &basis.groups)
            .filter(|rule| open().any(|account| rule.reaches(account)))
            .collect();
        let mut accounts: Vec<AccountOffer> = open()
            .map(|account| AccountOffer {
                id: account.id.clone(),
                name: account.name.clone(),
                rules: (0..rules.len())
                    .filter(|&place| rules[place].reaches(account))
                    .collect(),
            })
            .filter(|account| !account.rules.is_empty())
            .collect();
        let recent = recent(&basis.lately, &rules, &accounts);
        let place = |account: &AccountOffer| {
            let place = basis.lately.iter().position(|(_, id)| *id == account.id);
            place.unwrap_or(usize::MAX)
        };
        accounts.sort_by_key(place);
        Self {
            most_minutes: rules.iter().map(|rule| rule.max_minutes).max().unwrap_or(0),
            rules: rules
                .iter()
                .map(|rule| offer(rule, basis, rules.len() == 1 || rule.name == ask.rule))
                .collect(),
            accounts,
            recent,
            short_minute: (basis.minute != TimeDelta::minutes(1))
                .then(|| words::duration(basis.minute)),
        }
    }

    /// The accounts that the text of the form could mean, under the rule of the form.
    pub(super) fn found(&self, ask: &Ask) -> Vec<&AccountOffer> {
        let rule = self.rules.iter().position(|rule| rule.name == ask.rule);
        let reached = self
            .accounts
            .iter()
            .filter(|account| rule.is_none_or(|rule| account.rules.contains(&rule)));
        matching(reached, &ask.account)
    }

    /// The account of the form, if it is certain.
    pub(super) fn meant(&self, ask: &Ask, choice: &str) -> Option<&AccountOffer> {
        accounts::meant(&self.found(ask), choice)
    }

    /// What to do about an account that could not be told, where more can be said than that.
    pub(super) fn advice(&self, ask: &Ask) -> Option<String> {
        if ask.account.trim().is_empty() {
            return None;
        }
        let found = self.found(ask);
        if !found.is_empty() {
            return (found.len() > 1)
                .then(|| format!("{} accounts match. Choose one of them.", found.len()));
        }
        let elsewhere = matching(self.accounts.iter(), &ask.account);
        match elsewhere.as_slice() {
            [] if is_id(&ask.account) => None,
            [] => Some(
                "No account that you may ask for matches this. Type a part of its name, or its 12 digits."
                    .to_owned(),
            ),
            [first, rest @ ..] => {
                let rules: Vec<&str> = first
                    .rules
                    .iter()
                    .map(|&place| self.rules[place].name.as_str())
                    .collect();
                let more = match rest.len() {
                    0 => String::new(),
                    more => format!(" ({more} more match under other rules)"),
                };
                Some(format!(
                    "The rule {} does not reach {}; {} does{more}.",
                    ask.rule,
                    first.label(),
                    rules.join(" or ")
                ))
            }
        }
    }
}

fn offer(rule: &Rule, basis: &Basis, is_chosen: bool) -> RuleOffer {
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
    let pending = i32::try_from(rule.pending_minutes).unwrap_or(i32::MAX);
    RuleOffer {
        name: rule.name.clone(),
        description: rule.description.clone(),
        permission_set: rule.permission_set.clone(),
        max_minutes: rule.max_minutes,
        reason_min_chars: rule.reason_min_chars,
        asked: (rule.approvals > 0).then(|| Asked {
            needed: rule.approvals,
            groups: rule.approvers.join(" or "),
            pending: words::duration(basis.minute * pending),
            approvers: basis.approvers.get(&rule.name).cloned().unwrap_or_default(),
        }),
        ticket,
        step_up: StepUp::of(rule.demand(), &basis.by, basis.now, way_back(&rule.name)),
        is_chosen,
    }
}

/// The form again, with a rule chosen.
fn way_back(rule: &str) -> String {
    let query = serde_urlencoded::to_string([("rule", rule)]).unwrap_or_default();
    format!("/requests/new?{query}")
}

/// What was asked for lately and can still be had.
fn recent(lately: &[(String, String)], rules: &[&Rule], accounts: &[AccountOffer]) -> Vec<Recent> {
    lately
        .iter()
        .filter_map(|(rule, id)| {
            let place = rules.iter().position(|offered| offered.name == *rule)?;
            let account = accounts
                .iter()
                .find(|account| account.id == *id && account.rules.contains(&place))?;
            Some(Recent {
                href: form_href(&[("rule", rule), ("account", id)]),
                rule: rule.clone(),
                account_name: account.name.clone(),
                account_id: id.clone(),
            })
        })
        .take(MOST_RECENT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{accounts, basis};
    use super::*;
    use crate::access::person::Assurance;

    fn ask(rule: &str, account: &str) -> Ask {
        Ask {
            rule: rule.into(),
            account: account.into(),
            ..Ask::default()
        }
    }

    fn names(offers: &Offers) -> Vec<&str> {
        offers
            .accounts
            .iter()
            .map(|account| account.name.as_str())
            .collect()
    }

    #[test]
    fn accounts_come_with_the_rules_that_reach_them_and_closed_or_sensitive_ones_not_at_all() {
        let offers = Offers::of(&basis(), &Ask::default());
        assert_eq!(
            names(&offers),
            ["data-prod", "payments-prod", "payments-staging"]
        );
        let rules: Vec<&[usize]> = offers
            .accounts
            .iter()
            .map(|account| account.rules.as_slice())
            .collect();
        assert_eq!(rules, [&[0], &[0], &[1]]);
        assert_eq!(offers.most_minutes, 120);
    }

    #[test]
    fn the_only_rule_is_chosen_and_of_several_only_what_was_asked_for() {
        let one = Basis {
            accounts: accounts()[..1].to_vec(),
            ..basis()
        };
        let one = Offers::of(&one, &Ask::default());
        assert!(one.rules.len() == 1 && one.rules[0].is_chosen);
        let chosen = |ask: &Ask| {
            let offers = Offers::of(&basis(), ask);
            offers
                .rules
                .iter()
                .filter(|rule| rule.is_chosen)
                .map(|rule| rule.name.clone())
                .collect::<Vec<_>>()
        };
        assert!(chosen(&Ask::default()).is_empty());
        assert_eq!(chosen(&ask("staging-admin", "")), ["staging-admin"]);
    }

    #[test]
    fn a_rule_that_needs_a_stronger_sign_in_says_so_beforehand() {
        let weak = Basis {
            by: SignedInPerson {
                assurance: Assurance::Mfa,
                ..basis().by
            },
            ..basis()
        };
        let needs: Vec<_> = Offers::of(&weak, &Ask::default())
            .rules
            .iter()
            .map(|rule| rule.step_up.is_some())
            .collect();
        assert_eq!(needs, [true, false]);
    }

    #[test]
    fn somebody_of_no_rule_is_offered_nothing() {
        let stranger = Basis {
            groups: BTreeSet::new(),
            ..basis()
        };
        let none = Offers::of(&stranger, &Ask::default());
        assert!(none.rules.is_empty() && none.accounts.is_empty() && none.recent.is_empty());
    }

    #[test]
    fn what_was_asked_for_lately_stands_first_if_it_can_still_be_had() {
        let pair = |rule: &str, id: &str| (rule.to_owned(), id.to_owned());
        let again = Basis {
            lately: vec![
                pair("staging-admin", "222222222222"),
                // Gone, closed, and no longer reached by that rule.
                pair("no-such-rule", "111111111111"),
                pair("production-admin", "444444444444"),
                pair("staging-admin", "333333333333"),
                pair("production-admin", "111111111111"),
            ],
            ..basis()
        };
        let offers = Offers::of(&again, &Ask::default());
        let recent: Vec<_> = offers
            .recent
            .iter()
            .map(|recent| recent.href.as_str())
            .collect();
        assert_eq!(
            recent,
            [
                "/requests/new?rule=staging-admin&account=222222222222",
                "/requests/new?rule=production-admin&account=111111111111"
            ]
        );
        assert_eq!(
            names(&offers),
            ["payments-staging", "payments-prod", "data-prod"]
        );
    }

    #[test]
    fn a_text_is_looked_for_among_the_accounts_of_the_chosen_rule() {
        let offers = Offers::of(&basis(), &Ask::default());
        let meant = |rule: &str, account: &str| {
            offers
                .meant(&ask(rule, account), "")
                .map(|account| account.id.as_str())
        };
        assert_eq!(meant("production-admin", "payments"), Some("111111111111"));
        assert_eq!(meant("staging-admin", "payments"), Some("222222222222"));
        assert_eq!(meant("", "payments"), None);
        assert_eq!(meant("staging-admin", "data"), None);
    }

    #[test]
    fn an_account_that_could_not_be_told_gets_advice() {
        let offers = Offers::of(&basis(), &Ask::default());
        let advice = |rule: &str, account: &str| offers.advice(&ask(rule, account));
        assert_eq!(
            advice("production-admin", "prod").as_deref(),
            Some("2 accounts match. Choose one of them.")
        );
        assert_eq!(
            advice("staging-admin", "payments-prod").as_deref(),
            Some(
                "The rule staging-admin does not reach payments-prod (111111111111); production-admin does."
            )
        );
        assert!(
            advice("production-admin", "nothing like it")
                .unwrap()
                .starts_with("No account that you may ask for")
        );
        // Here the broker's own words say more.
        assert_eq!(advice("production-admin", ""), None);
        assert_eq!(advice("production-admin", "444444444444"), None);
    }

    #[test]
    fn who_could_agree_is_counted_and_too_few_is_said_before_anything_is_sent() {
        let asked = |count, with_email, needed| Asked {
            needed,
            groups: "production-approvers".into(),
            pending: "4 h".into(),
            approvers: Approvers {
                count,
                with_email,
                names: vec!["Ada".into(); count.min(5)],
            },
        };
        let several = asked(7, 3, 2);
        assert_eq!(several.could(), "7 people could agree");
        assert_eq!(
            (several.more(), several.reach().as_str()),
            (2, "3 of them have an e-mail address.")
        );
        assert_eq!(several.too_few(), None);
        assert_eq!(asked(1, 1, 1).could(), "1 person could agree");
        assert!(
            asked(1, 1, 2)
                .too_few()
                .unwrap()
                .contains("needs 2 approvals, and 1 enabled")
        );
    }

    #[test]
    fn pending_time_is_named_as_long_as_it_really_lasts() {
        let pending = |minute| {
            let basis = Basis { minute, ..basis() };
            let offers = Offers::of(&basis, &Ask::default());
            let asked = offers.rules.into_iter().find_map(|rule| rule.asked);
            (asked.unwrap().pending, offers.short_minute)
        };
        assert_eq!(pending(TimeDelta::minutes(1)), ("4 h".to_owned(), None));
        assert_eq!(
            pending(TimeDelta::seconds(2)),
            ("8 min".to_owned(), Some("2 s".to_owned()))
        );
    }
}
