//! The policy in force, in words: who may ask for what, where, for how long, and who must agree; whom
//! that reaches now; and "could X get Y?", answered by the verdict that a request would meet.
//!
//! The rules are for everybody. Who is behind a group, and questions about other people, are for
//! auditors and administrators.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sqlx::PgConnection;

use super::explain::{Answer, Form, Question};
use super::words::{self, Time};
use crate::access::person::SignedInPerson;
use crate::broker::relation::Standings;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::Search;
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::http::step_up::StepUp;
use crate::policy::facts::{Account, InForce};
use crate::policy::{Rule, Selector};
use crate::postgres::directory::PermissionSet;
use crate::postgres::reach::{self, Reached};
use crate::postgres::{directory, policies};

/// Accounts of a rule that are named one by one.
const MOST_ACCOUNTS: usize = 30;

/// People of a side that are named one by one.
const MOST_PEOPLE: i64 = 30;

/// The fields of "could X get Y?".
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::http) struct Fields {
    person: String,
    what: String,
    account: String,
}

/// People who may ask or agree.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// The groups, in words.
    pub(super) groups: String,
    pub(super) reached: Reached,
}

impl Side {
    fn people(&self) -> String {
        match self.reached.count {
            0 => "nobody at the moment".to_owned(),
            1 => "1 person now".to_owned(),
            count => format!("{count} people now"),
        }
    }

    fn more(&self) -> usize {
        self.reached.count - self.reached.first.len().min(self.reached.count)
    }
}

/// One rule, as the page says it.
#[derive(Debug)]
pub(super) struct RuleView {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) permission_set: String,
    /// How its accounts are named.
    pub(super) selectors: String,
    /// Those that it reaches: the first of them.
    pub(super) accounts: Vec<Account>,
    pub(super) accounts_count: usize,
    pub(super) asks: Side,
    pub(super) approves: Side,
    pub(super) approvals: u32,
    pub(super) longest: String,
    pub(super) time_to_answer: String,
    pub(super) reason: String,
    pub(super) ticket: Option<String>,
    pub(super) sign_in: String,
    pub(super) session: Option<String>,
    /// Why nobody can use it.
    pub(super) broken: Vec<String>,
    pub(super) you_may_ask: bool,
    /// What the reader has to sign in with first.
    pub(super) you_need: Option<StepUp>,
    pub(super) you_may_approve: bool,
}

/// Whoever reads the page.
struct Reader<'a> {
    groups: &'a BTreeSet<String>,
    by: &'a SignedInPerson,
    now: DateTime<Utc>,
}

impl Reader<'_> {
    fn step_up(&self, rule: &Rule) -> Option<StepUp> {
        StepUp::of(rule.demand(), self.by, self.now, "/policy")
    }
}

impl RuleView {
    fn of(
        in_force: &InForce,
        rule: &Rule,
        accounts: &[Account],
        sets: &[PermissionSet],
        [asks, approves]: [Reached; 2],
        reader: &Reader<'_>,
        minute: TimeDelta,
    ) -> Self {
        let reached: Vec<&Account> = accounts
            .iter()
            .filter(|account| account.is_active && rule.reaches(account))
            .collect();
        let named: Vec<&PermissionSet> = sets
            .iter()
            .filter(|set| set.name == rule.permission_set)
            .collect();
        let set = match named.as_slice() {
            [set] => Some(*set),
            _ => None,
        };
        let groups = in_force.groups(rule);
        let mut broken = Vec::new();
        if let Err(group) = &groups {
            broken.push(suspended(in_force, group));
        }
        if set.is_none() {
            broken.push(format!(
                "There is no permission set {} in Identity Center, or more than one.",
                rule.permission_set
            ));
        }
        let is_of = |groups: &BTreeSet<String>| !groups.is_disjoint(reader.groups);
        let you_may_ask = groups
            .as_ref()
            .is_ok_and(|groups| is_of(&groups.requesters));
        let you_may_approve = rule.approvals > 0
            && groups
                .as_ref()
                .is_ok_and(|groups| is_of(&(&groups.approvers - &groups.requesters)));
        let longest = TimeDelta::minutes(rule.max_minutes.into());
        let pending = i32::try_from(rule.pending_minutes).unwrap_or(i32::MAX);
        Self {
            name: rule.name.clone(),
            description: rule.description.clone(),
            permission_set: rule.permission_set.clone(),
            selectors: any_of(
                rule.accounts
                    .iter()
                    .map(|selector| selector_words(selector, rule)),
            ),
            accounts_count: reached.len(),
            accounts: reached.into_iter().take(MOST_ACCOUNTS).cloned().collect(),
            asks: Side {
                groups: any_of(rule.requesters.iter().cloned()),
                reached: asks,
            },
            approves: Side {
                groups: any_of(rule.approvers.iter().cloned()),
                reached: approves,
            },
            approvals: rule.approvals,
            longest: words::duration(longest),
            time_to_answer: words::duration(minute * pending),
            reason: format!(
                "at least {}",
                words::counted(rule.reason_min_chars.into(), "character")
            ),
            ticket: ticket_words(rule),
            sign_in: rule.demand().in_words(),
            session: set.map(|set| words::duration(TimeDelta::seconds(set.session_seconds))),
            broken,
            you_need: reader.step_up(rule).filter(|_| you_may_ask),
            you_may_ask,
            you_may_approve,
        }
    }

    fn more_accounts(&self) -> usize {
        self.accounts_count - self.accounts.len()
    }

    fn accounts_words(&self) -> String {
        match self.accounts_count {
            0 => "no account at the moment".to_owned(),
            1 => "1 account now".to_owned(),
            count => format!("{count} accounts now"),
        }
    }

    /// Who must agree, before the groups.
    fn agreement(&self) -> String {
        match self.approvals {
            0 => "Nobody: the policy grants it, and the record says so".to_owned(),
            1 => "One of".to_owned(),
            count => format!("{count} different people of"),
        }
    }
}

/// Why a rule is suspended (protocol C1).
fn suspended(in_force: &InForce, group: &str) -> String {
    let why = if in_force.current.contains_key(group) {
        "is another one than when the policy came into force"
    } else {
        "is not there any more, or more than one has its name"
    };
    format!(
        "Suspended: the group {group} {why}. Nobody can ask or agree until the policy is activated again."
    )
}

/// `a`, `a or b`, `a, b or c`.
fn any_of(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    let last = words.pop().unwrap_or_default();
    if words.is_empty() {
        last
    } else {
        format!("{} or {last}", words.join(", "))
    }
}

fn selector_words(selector: &Selector, rule: &Rule) -> String {
    match selector {
        Selector::Id(id) if rule.sensitive_account => {
            format!("the account {id}, even if it is the management account or Curfew's own")
        }
        Selector::Id(id) => format!("the account {id}"),
        Selector::Name(name) if name.contains('*') => format!("accounts with a name like {name}"),
        Selector::Name(name) => format!("accounts with the name {name}"),
        Selector::Tag(tag) => format!("accounts tagged {tag}"),
        Selector::Ou { id, nested: true } => format!("accounts in {id} and the units below it"),
        Selector::Ou { id, nested: false } => format!("accounts directly in {id}"),
    }
}

fn ticket_words(rule: &Rule) -> Option<String> {
    let ticket = rule.ticket.as_ref()?;
    let needed = if ticket.required {
        "needed"
    } else {
        "optional"
    };
    Some(match &ticket.pattern {
        Some(pattern) => format!("{needed}, in the form {pattern}"),
        None => needed.to_owned(),
    })
}

/// The policy, as far as there is one.
#[derive(Debug)]
pub(super) struct InWords {
    pub(super) version: String,
    pub(super) since: Option<Time>,
    pub(super) rules: Vec<RuleView>,
}

#[derive(Template)]
#[template(path = "policy/index.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) policy: Option<InWords>,
    pub(super) form: Form,
    pub(super) answer: Option<Answer>,
    /// May see who is behind the groups.
    pub(super) sees_people: bool,
    pub(super) origin: String,
    pub(super) now: Time,
}

/// `GET /policy`
pub(in crate::http) async fn show(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Search(fields): Search<Fields>,
) -> Result<Response, Error> {
    let layout = Layout::of(&web, &by).await?;
    let broker = web.broker();
    let mut conn = broker.db.conn().await?;
    let now = broker.db.clock.now(&mut conn).await?;
    let standings = broker.standings(&mut conn, &by.person.id).await?;
    let sees_people = standings.is_auditor || standings.is_administrator;
    let in_force = policies::find_in_force(&mut conn).await?;
    let mut accounts = directory::list_accounts(&mut conn).await?;
    if !sees_people {
        // The organisation's other accounts are nothing that they could ask for.
        let rules = || in_force.iter().flat_map(|in_force| &in_force.policy.rules);
        accounts.retain(|account| rules().any(|rule| rule.reaches(account)));
    }
    let question = Question {
        person: fields.person,
        what: fields.what,
        account: fields.account,
    };
    let (mut form, mut answer) = (Form::default(), None);
    if let Some(in_force) = &in_force {
        form = Form::of(in_force, &accounts, question, sees_people);
        if form.is_asked() {
            match form
                .answer(broker, &mut conn, in_force, &accounts, &by, now)
                .await?
            {
                Ok(found) => answer = Some(found),
                Err(complaint) => form.complaint = Some(complaint),
            }
        }
    }
    let policy = match &in_force {
        Some(in_force) => {
            let minute = broker.settings.minute;
            Some(
                in_words(
                    &mut conn,
                    in_force,
                    &accounts,
                    &by,
                    &standings,
                    (minute, now),
                )
                .await?,
            )
        }
        None => None,
    };
    drop(conn);
    let status = if form.complaint.is_some() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    let page = Page {
        layout,
        policy,
        form,
        answer,
        sees_people,
        origin: web.0.setup.public_url.origin().to_owned(),
        now: Time(now),
    };
    render(status, &page)
}

/// Every rule with whom it reaches.
async fn in_words(
    conn: &mut PgConnection,
    in_force: &InForce,
    accounts: &[Account],
    by: &SignedInPerson,
    standings: &Standings,
    (minute, now): (TimeDelta, DateTime<Utc>),
) -> anyhow::Result<InWords> {
    let mut sides = Vec::new();
    for rule in &in_force.policy.rules {
        let groups = in_force.groups(rule).unwrap_or_default();
        let approving = groups.approvers.difference(&groups.requesters);
        sides.push(groups.requesters.iter().cloned().collect());
        sides.push(approving.cloned().collect());
    }
    let sees_people = standings.is_auditor || standings.is_administrator;
    let names = if sees_people { MOST_PEOPLE } else { 0 };
    let mut reached = reach::reached(conn, &sides, names).await?.into_iter();
    let sets = directory::list_permission_sets(conn).await?;
    let rules = in_force.policy.rules.iter().map(|rule| {
        let sides = [
            reached.next().unwrap_or_default(),
            reached.next().unwrap_or_default(),
        ];
        let reader = Reader {
            groups: &standings.groups,
            by,
            now,
        };
        RuleView::of(in_force, rule, accounts, &sets, sides, &reader, minute)
    });
    Ok(InWords {
        rules: rules.collect(),
        version: in_force.version.clone(),
        since: policies::in_force_since(conn).await?.map(Time),
    })
}

/// Every rule of a policy for samples: two people ask, three agree.
#[cfg(test)]
pub(super) fn sample(
    in_force: &InForce,
    accounts: &[Account],
    sets: &[PermissionSet],
    groups: &BTreeSet<String>,
    names: &[(&str, &str)],
) -> Vec<RuleView> {
    let reached = |count| Reached {
        count,
        first: names
            .iter()
            .map(|(name, email)| ((*name).to_owned(), (*email).to_owned()))
            .collect(),
    };
    let by = super::samples::signed_in(crate::access::person::Assurance::Mfa);
    let reader = Reader {
        groups,
        by: &by,
        now: super::samples::at(60),
    };
    let rules = in_force.policy.rules.iter();
    rules
        .map(|rule| {
            let sides = [reached(names.len() + 40), reached(names.len())];
            RuleView::of(
                in_force,
                rule,
                accounts,
                sets,
                sides,
                &reader,
                TimeDelta::minutes(1),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{accounts, engineers, in_force};
    use super::*;

    fn sets() -> Vec<PermissionSet> {
        [("production-admin", 3600), ("staging-admin", 4 * 3600)]
            .map(|(name, session_seconds)| PermissionSet {
                arn: format!("arn:{name}"),
                name: name.to_owned(),
                session_seconds,
            })
            .into()
    }

    fn views(in_force: &InForce, groups: &BTreeSet<String>) -> Vec<RuleView> {
        sample(in_force, &accounts(), &sets(), groups, &[])
    }

    #[test]
    fn a_rule_says_where_it_reaches_and_leaves_out_closed_and_sensitive_accounts() {
        let view = &views(&in_force(), &engineers())[0];
        let names: Vec<_> = view
            .accounts
            .iter()
            .map(|account| account.name.as_str())
            .collect();
        assert_eq!(names, ["data-prod", "payments-prod"]);
        assert_eq!(view.accounts_words(), "2 accounts now");
        assert_eq!(view.selectors, "accounts tagged env=prod");
        assert_eq!(view.session.as_deref(), Some("1 h"));
        assert_eq!(
            (view.longest.as_str(), view.time_to_answer.as_str()),
            ("1 h", "4 h")
        );
        assert_eq!(
            view.ticket.as_deref(),
            Some("optional, in the form ^(INC|CHG)-\\d+$")
        );
    }

    #[test]
    fn a_rule_that_needs_nobody_says_so() {
        let views = views(&in_force(), &engineers());
        assert_eq!(views[0].agreement(), "One of");
        assert!(
            views[1]
                .agreement()
                .starts_with("Nobody: the policy grants it")
        );
    }

    #[test]
    fn the_reader_hears_what_they_may_do_themselves() {
        let of = |groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            let view = views(&in_force(), &groups).remove(0);
            (
                view.you_may_ask,
                view.you_may_approve,
                view.you_need.is_some(),
            )
        };
        assert_eq!(of(&["g-engineers"]), (true, false, true));
        assert_eq!(of(&["g-production-approvers"]), (false, true, false));
        assert_eq!(
            of(&["g-engineers", "g-production-approvers"]),
            (true, true, true)
        );
        assert_eq!(of(&[]), (false, false, false));
    }

    #[test]
    fn a_rule_that_can_t_be_used_says_why_and_offers_nothing() {
        let mut gone = in_force();
        gone.current.remove("engineers");
        let view = &views(&gone, &engineers())[0];
        assert!(
            view.broken[0].contains("engineers is not there any more"),
            "{:?}",
            view.broken
        );
        assert!(!view.you_may_ask);
        let mut anew = in_force();
        anew.current
            .insert("production-approvers".into(), "g-new".into());
        let view = &views(&anew, &engineers())[0];
        assert!(view.broken[0].contains("another one"), "{:?}", view.broken);
        let none = sample(&in_force(), &accounts(), &[], &engineers(), &[]);
        assert!(none[0].broken[0].contains("no permission set production-admin"));
    }

    #[test]
    fn several_are_joined_as_people_say_it() {
        let joined = |words: &[&str]| any_of(words.iter().map(|word| (*word).to_owned()));
        assert_eq!(joined(&[]), "");
        assert_eq!(joined(&["a"]), "a");
        assert_eq!(joined(&["a", "b", "c"]), "a, b or c");
        let rule = &in_force().policy.rules[0];
        let nested = Selector::Ou {
            id: "ou-1".into(),
            nested: true,
        };
        assert!(selector_words(&nested, rule).ends_with("units below it"));
    }
}
