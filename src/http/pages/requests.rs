//! The history of requests, filtered and paged.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::summary::Summary;
use crate::access::id::RequestId;
use crate::access::request::RequestStatus;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::Search;
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::postgres::requests::{self, Filter};

/// Requests on one page.
const MOST: i64 = 50;

/// Which requests; the names are those of the API.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct Wanted {
    status: String,
    mine: String,
    cursor: String,
}

/// One choice of a filter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) text: &'static str,
    pub(super) href: String,
    pub(super) is_chosen: bool,
}

#[derive(Template)]
#[template(path = "requests/index.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) requests: Vec<Summary>,
    pub(super) scopes: Vec<Choice>,
    pub(super) statuses: Vec<Choice>,
    /// Only the reader's own, so that naming the requester says nothing.
    pub(super) mine: bool,
    /// Some filter or page hides requests.
    pub(super) is_narrowed: bool,
    pub(super) older: Option<String>,
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
    let mine = match wanted.mine.as_str() {
        "" => !reads_all,
        text => text
            .parse::<bool>()
            .map_err(|_| bad("mine must be true or false.".to_owned()))?,
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
        open: false,
        before,
    };
    // One more than shown tells whether there is an older page.
    let mut found = requests::list(&mut conn, &filter, MOST + 1).await?;
    let has_more = i64::try_from(found.len()).is_ok_and(|count| count > MOST);
    found.truncate(usize::try_from(MOST).unwrap_or(0));
    let older = found
        .last()
        .filter(|_| has_more)
        .map(|last| href(mine, status, Some(last.id)));
    let page = Page {
        requests: Summary::list(&mut conn, found, now).await?,
        scopes: scopes(mine, status, reads_all),
        statuses: statuses(mine, status),
        is_narrowed: status.is_some() || before.is_some(),
        layout,
        mine,
        older,
    };
    render(StatusCode::OK, &page)
}

fn href(mine: bool, status: Option<RequestStatus>, cursor: Option<RequestId>) -> String {
    let status = status
        .map(|status| format!("&status={}", status.as_str()))
        .unwrap_or_default();
    let cursor = cursor
        .map(|cursor| format!("&cursor={cursor}"))
        .unwrap_or_default();
    format!("/requests?mine={mine}{status}{cursor}")
}

pub(super) fn scopes(mine: bool, status: Option<RequestStatus>, reads_all: bool) -> Vec<Choice> {
    let all = if reads_all {
        "Everybody's"
    } else {
        "All that concern me"
    };
    [("Mine", true), (all, false)]
        .map(|(text, choice)| Choice {
            text,
            href: href(choice, status, None),
            is_chosen: choice == mine,
        })
        .into()
}

pub(super) fn statuses(mine: bool, chosen: Option<RequestStatus>) -> Vec<Choice> {
    let choices = [None].into_iter().chain(RequestStatus::ALL.map(Some));
    choices
        .map(|status| Choice {
            text: status.map_or("any status", RequestStatus::as_str),
            href: href(mine, status, None),
            is_chosen: status == chosen,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_keeps_the_other_filter_and_starts_at_the_newest_page() {
        let lapsed = Some(RequestStatus::Lapsed);
        assert_eq!(
            scopes(true, lapsed, true)[1].href,
            "/requests?mine=false&status=lapsed"
        );
        assert_eq!(statuses(false, lapsed)[0].href, "/requests?mine=false");
    }

    #[test]
    fn exactly_one_choice_of_each_filter_is_the_present_one() {
        for status in [None, Some(RequestStatus::Pending)] {
            assert_eq!(
                statuses(true, status)
                    .iter()
                    .filter(|choice| choice.is_chosen)
                    .count(),
                1
            );
            assert_eq!(
                scopes(true, status, false)
                    .iter()
                    .filter(|choice| choice.is_chosen)
                    .count(),
                1
            );
        }
    }
}
