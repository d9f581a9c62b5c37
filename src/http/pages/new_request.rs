//! The form that asks for access. It offers only what could be had: the rules that let this person
//! ask, and the accounts that those reach. Whether it is granted is for the broker to say; its no
//! brings the form back with what was typed, and each complaint beside its field.
//!
//! The account is typed: an id, a name or a part of either. A text that could mean several accounts
//! comes back with them to choose from. The broker itself takes nothing but ids.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use super::accounts::{AccountOffer, MOST_TYPED, is_id};
use super::offers::{Basis, Offers};
use crate::access::person::SignedInPerson;
use crate::broker::ActError;
use crate::http::Web;
use crate::http::error::{Error, Problem};
use crate::http::form::{Form, Search};
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::http::step_up;
use crate::policy::ask::Ask;
use crate::policy::check::REASON_MAX_CHARS;

/// Minutes that the form starts with, if the rules allow as many.
const USUAL_MINUTES: u32 = 30;

/// Minutes that people often want; a rule's maximum goes with them.
const PRESETS: [u32; 3] = [15, 30, 60];

/// Most accounts that the page carries for typing ahead: a page stays light. More are still found.
const MOST_LISTED: usize = 2000;

/// Most accounts to choose from when a text could mean several.
const MOST_CHOICES: usize = 20;

/// The address of the form.
const FORM: &str = "/requests/new";

/// The fields, in the form and in a link that fills it in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct Fields {
    rule: String,
    account: String,
    /// Id of the account that was chosen where `account` could mean several.
    choice: String,
    minutes: String,
    reason: String,
    ticket: String,
    /// Number under which what was typed waits.
    kept: String,
}

impl From<Fields> for Ask {
    fn from(fields: Fields) -> Self {
        Self {
            rule: fields.rule,
            account: fields.account,
            minutes: fields.minutes,
            reason: fields.reason,
            ticket: fields.ticket,
        }
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
    /// Somebody proved more meanwhile, and here is what they had typed.
    pub(super) has_come_back: bool,
}

impl Page {
    pub(super) fn of(
        layout: Layout,
        offers: Offers,
        ask: Ask,
        mut problem: Option<Problem>,
    ) -> Self {
        let of_account = problem
            .iter_mut()
            .flat_map(|problem| &mut problem.fields)
            .find(|(field, ..)| field == "account");
        if let (Some((.., text)), Some(advice)) = (of_account, offers.advice(&ask)) {
            *text = advice;
        }
        Self {
            layout,
            offers,
            ask,
            problem,
            has_come_back: false,
        }
    }

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

    /// The accounts that the page carries for typing ahead.
    fn listed(&self) -> &[AccountOffer] {
        let listed = self.offers.accounts.len().min(MOST_LISTED);
        &self.offers.accounts[..listed]
    }

    /// The accounts to choose from, if the text could mean several; and how many more there are.
    fn choices(&self) -> (Vec<&AccountOffer>, usize) {
        let mut found = if self.wrong("account").is_some() {
            self.offers.found(&self.ask)
        } else {
            Vec::new()
        };
        if found.len() == 1 {
            found.clear();
        }
        let more = found.len().saturating_sub(MOST_CHOICES);
        found.truncate(MOST_CHOICES);
        (found, more)
    }

    /// Minutes to choose from.
    fn presets(&self) -> Vec<u32> {
        let most = self.offers.most_minutes;
        PRESETS
            .into_iter()
            .filter(|&minutes| minutes < most)
            .chain([most])
            .collect()
    }
}

/// `GET /requests/new`
pub(in crate::http) async fn show(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    session: Session,
    Search(filled_in): Search<Fields>,
) -> Result<Response, Error> {
    let kept = step_up::typed(&session, FORM, &filled_in.kept).await?;
    let has_come_back = kept.is_some();
    let mut ask = kept.map_or_else(|| Ask::from(filled_in), as_typed);
    let offers = offers(&web, &by, &ask).await?;
    if let Some(account) = offers.meant(&ask, "") {
        ask.account = account.label();
    }
    if ask.minutes.is_empty() {
        ask.minutes = USUAL_MINUTES.min(offers.most_minutes).to_string();
    }
    let layout = Layout::of(&web, &by).await?;
    let page = Page {
        has_come_back,
        ..Page::of(layout, offers, ask, None)
    };
    render(StatusCode::OK, &page)
}

/// What was typed before somebody went to prove more.
fn as_typed(mut kept: BTreeMap<String, String>) -> Ask {
    let mut take = |name: &str| kept.remove(name).unwrap_or_default();
    Ask {
        rule: take("rule"),
        account: take("account"),
        minutes: take("minutes"),
        reason: take("reason"),
        ticket: take("ticket"),
    }
}

/// `POST /requests`
pub(in crate::http) async fn submit(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    session: Session,
    Form(mut fields): Form<Fields>,
) -> Result<Response, Error> {
    let choice = std::mem::take(&mut fields.choice);
    let typed = Ask::from(fields);
    let mut ask = typed.clone();
    if !is_id(&typed.account)
        && let Some(account) = offers(&web, &by, &typed).await?.meant(&typed, &choice)
    {
        ask.account.clone_from(&account.id);
    }
    match web.broker().submit(&by, &ask).await {
        Ok(id) => Ok(Redirect::to(&format!("/requests/{id}")).into_response()),
        Err(why @ ActError::Refused(_)) => {
            let fields = [
                ("rule", ask.rule.as_str()),
                ("account", &ask.account),
                ("minutes", &ask.minutes),
                ("reason", &ask.reason),
                ("ticket", &ask.ticket),
            ];
            let problem = step_up::error(&session, FORM, &fields, why).await.problem();
            let layout = Layout::of(&web, &by).await?;
            let offers = offers(&web, &by, &typed).await?;
            let status = problem.status;
            render(status, &Page::of(layout, offers, typed, Some(problem)))
        }
        Err(failed) => Err(failed.into()),
    }
}

async fn offers(web: &Web, by: &SignedInPerson, ask: &Ask) -> Result<Offers, Error> {
    let basis = Basis::read(web, by).await?;
    Ok(basis.map_or_else(Offers::default, |basis| Offers::of(&basis, ask)))
}

#[cfg(test)]
mod tests {
    use super::super::samples::basis;
    use super::*;

    fn page(account: &str, code: &str) -> Page {
        let ask = Ask {
            rule: "production-admin".into(),
            account: account.into(),
            ..Ask::default()
        };
        let problem = Problem {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "unknown_account",
            text: "as the broker says it".into(),
            by_hand: None,
            demand: None,
            step_up: None,
            fields: vec![(
                "account".into(),
                code.into(),
                "as the broker says it".into(),
            )],
        };
        let offers = Offers::of(&basis(), &ask);
        Page::of(Layout::default(), offers, ask, Some(problem))
    }

    #[test]
    fn a_text_that_could_mean_several_accounts_comes_back_with_them_to_choose_from() {
        let several = page("prod", "unknown_account");
        let (choices, more) = several.choices();
        assert_eq!((choices.len(), more), (2, 0));
        assert_eq!(
            several.wrong("account"),
            Some("2 accounts match. Choose one of them.")
        );
        let none = page("no such thing", "unknown_account");
        assert!(none.choices().0.is_empty());
        assert!(
            none.wrong("account")
                .unwrap()
                .starts_with("No account that you may ask for")
        );
    }

    #[test]
    fn what_the_broker_says_of_an_id_stays_where_nothing_better_is_known() {
        let closed = page("444444444444", "account_closed");
        assert_eq!(closed.wrong("account"), Some("as the broker says it"));
    }

    #[test]
    fn presets_end_with_the_longest_that_can_be_had() {
        let with = |most_minutes| {
            let offers = Offers {
                most_minutes,
                ..Offers::default()
            };
            Page::of(Layout::default(), offers, Ask::default(), None).presets()
        };
        assert_eq!(with(120), [15, 30, 60, 120]);
        assert_eq!(with(60), [15, 30, 60]);
        assert_eq!(with(10), [10]);
    }
}
