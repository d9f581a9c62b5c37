//! The history of requests, filtered and paged. Each filter is kept while the others change, and each
//! can be taken off by itself.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::accounts::MOST_TYPED;
use super::summary::Summary;
use crate::access::id::RequestId;
use crate::access::person::PersonId;
use crate::access::request::RequestStatus;
use crate::access::text::from_outside;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::Search;
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::postgres::requests::{self, Filter};

/// Requests on one page.
const MOST: i64 = 50;

/// Which requests; those names that the API has too are the same.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct Wanted {
    status: String,
    mine: String,
    rule: String,
    account: String,
    cursor: String,
}

/// What the history is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Narrowed {
    /// Only the reader's own.
    pub(super) mine: bool,
    pub(super) status: Option<RequestStatus>,
    /// Text in the rule's name.
    pub(super) rule: Option<String>,
    /// Text in the account's name or id.
    pub(super) account: Option<String>,
}

/// A filter that is on, and the address without it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chip {
    pub(super) text: String,
    pub(super) without: String,
}

impl Narrowed {
    /// The address of a page of it.
    fn href(&self, cursor: Option<RequestId>) -> String {
        let mut fields = vec![("mine", self.mine.to_string())];
        fields.extend(
            self.status
                .map(|status| ("status", status.as_str().to_owned())),
        );
        fields.extend(self.rule.clone().map(|rule| ("rule", rule)));
        fields.extend(self.account.clone().map(|account| ("account", account)));
        fields.extend(cursor.map(|cursor| ("cursor", cursor.to_string())));
        serde_urlencoded::to_string(fields).map_or_else(
            |_| "/requests".to_owned(),
            |query| format!("/requests?{query}"),
        )
    }

    /// The filters that are on. Whose requests are shown is one if it is not what this reader usually
    /// sees.
    fn chips(&self, whose: &Whose) -> Vec<Chip> {
        let chip = |text: String, without: Self| Chip {
            text,
            without: without.href(None),
        };
        let scope = (self.mine != whose.usually_mine).then(|| {
            let text = if self.mine { "mine" } else { whose.all };
            let mine = whose.usually_mine;
            chip(
                text.to_owned(),
                Self {
                    mine,
                    ..self.clone()
                },
            )
        });
        let status = self.status.map(|status| {
            chip(
                status.as_str().to_owned(),
                Self {
                    status: None,
                    ..self.clone()
                },
            )
        });
        let rule = self.rule.as_ref().map(|rule| {
            chip(
                format!("rule: {rule}"),
                Self {
                    rule: None,
                    ..self.clone()
                },
            )
        });
        let account = self.account.as_ref().map(|account| {
            chip(
                format!("account: {account}"),
                Self {
                    account: None,
                    ..self.clone()
                },
            )
        });
        [scope, status, rule, account]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Whose requests this reader can choose from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose {
    /// What those are called that are not only the reader's own.
    pub(super) all: &'static str,
    usually_mine: bool,
}

impl Whose {
    pub(super) fn of(reads_all: bool) -> Self {
        Self {
            all: if reads_all {
                "everybody's"
            } else {
                "all that concern me"
            },
            usually_mine: !reads_all,
        }
    }
}

/// A text to search for, as it can be stored at all; none if it is blank.
fn plain(text: &str) -> Option<String> {
    let text: String = from_outside(text).trim().chars().take(MOST_TYPED).collect();
    Some(text).filter(|text| !text.is_empty())
}

#[derive(Template)]
#[template(path = "requests/index.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) requests: Vec<Summary>,
    pub(super) narrowed: Narrowed,
    pub(super) whose: Whose,
    /// Whoever reads.
    pub(super) me: PersonId,
    /// Not the newest page.
    pub(super) is_older: bool,
    pub(super) older: Option<RequestId>,
}

impl Page {
    /// The form that asks for the same again, beside one's own requests that are over.
    fn again(&self, line: &Summary) -> Option<String> {
        line.again()
            .filter(|_| line.request.requester.id == self.me)
    }
}

/// `GET /requests`
pub(in crate::http) async fn list(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Search(wanted): Search<Wanted>,
) -> Result<Response, Error> {
    let bad = |text: String| Error::status(StatusCode::BAD_REQUEST, "malformed_query", text);
    let status = match wanted.status.as_str() {
        "" => None,
        text => Some(
            text.parse::<RequestStatus>()
                .map_err(|why| bad(format!("status: {why}.")))?,
        ),
    };
    let before = match wanted.cursor.as_str() {
        "" => None,
        text => Some(RequestId(text.parse().map_err(|_| {
            bad("cursor is not one that a page gave.".to_owned())
        })?)),
    };
    let layout = Layout::of(&web, &by).await?;
    let person = &by.person.id;
    let broker = web.broker();
    let mut conn = broker.db.conn().await?;
    let now = broker.db.clock.now(&mut conn).await?;
    let standings = broker.standings(&mut conn, person).await?;
    let reads_all = standings.is_auditor || standings.is_administrator;
    let whose = Whose::of(reads_all);
    let mine = match wanted.mine.as_str() {
        "" => whose.usually_mine,
        text => text
            .parse::<bool>()
            .map_err(|_| bad("mine must be true or false.".to_owned()))?,
    };
    let narrowed = Narrowed {
        mine,
        status,
        rule: plain(&wanted.rule),
        account: plain(&wanted.account),
    };
    let concerns = match (mine, reads_all) {
        (true, _) | (_, true) => None,
        (false, false) => Some((
            person.clone(),
            broker.approvable_rules(&mut conn, person).await?,
        )),
    };
    let filter = Filter {
        status,
        requester: mine.then(|| person.clone()),
        concerns,
        rule: narrowed.rule.clone(),
        account: narrowed.account.clone(),
        open: false,
        before,
    };
    // One more than shown tells whether there is an older page.
    let mut found = requests::list(&mut conn, &filter, MOST + 1).await?;
    let has_more = i64::try_from(found.len()).is_ok_and(|count| count > MOST);
    found.truncate(usize::try_from(MOST).unwrap_or(0));
    let older = found.last().filter(|_| has_more).map(|last| last.id);
    let page = Page {
        requests: Summary::list(&mut conn, found, now).await?,
        narrowed,
        whose,
        me: person.clone(),
        is_older: before.is_some(),
        layout,
        older,
    };
    render(StatusCode::OK, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed() -> Narrowed {
        Narrowed {
            mine: false,
            status: Some(RequestStatus::Lapsed),
            rule: Some("prod".into()),
            account: Some("a&b".into()),
        }
    }

    #[test]
    fn a_filter_that_is_taken_off_leaves_the_others_and_starts_at_the_newest_page() {
        let chips = narrowed().chips(&Whose::of(true));
        let without: Vec<_> = chips
            .iter()
            .map(|chip| (chip.text.as_str(), chip.without.as_str()))
            .collect();
        assert_eq!(
            without,
            [
                ("lapsed", "/requests?mine=false&rule=prod&account=a%26b"),
                (
                    "rule: prod",
                    "/requests?mine=false&status=lapsed&account=a%26b"
                ),
                (
                    "account: a&b",
                    "/requests?mine=false&status=lapsed&rule=prod"
                ),
            ]
        );
    }

    #[test]
    fn an_older_page_keeps_every_filter() {
        let cursor = RequestId(uuid::Uuid::nil());
        assert_eq!(
            narrowed().href(Some(cursor)),
            format!("/requests?mine=false&status=lapsed&rule=prod&account=a%26b&cursor={cursor}")
        );
    }

    #[test]
    fn whose_requests_is_a_filter_only_if_it_is_not_what_the_reader_usually_sees() {
        let mine = |mine| Narrowed {
            mine,
            ..Narrowed::default()
        };
        assert!(mine(true).chips(&Whose::of(false)).is_empty());
        assert!(mine(false).chips(&Whose::of(true)).is_empty());
        let of_auditor = mine(true).chips(&Whose::of(true));
        assert_eq!(
            (of_auditor[0].text.as_str(), of_auditor[0].without.as_str()),
            ("mine", "/requests?mine=false")
        );
        assert_eq!(
            mine(false).chips(&Whose::of(false))[0].text,
            "all that concern me"
        );
    }

    #[test]
    fn a_text_to_search_for_is_bounded_and_can_be_asked_of_the_database() {
        assert_eq!(plain("  "), None);
        assert_eq!(plain("a\0b").as_deref(), Some("a b"));
        assert_eq!(plain(&"x".repeat(5000)).unwrap().len(), MOST_TYPED);
    }
}
