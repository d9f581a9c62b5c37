//! The audit log, newest first, for auditors: searched, read in words, with the stored JSON for proof,
//! and on paper.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};

use super::events::{self, EventLine};
use super::words::Time;
use crate::audit::export::Format;
use crate::audit::filter::{Extent, Filter};
use crate::http::Web;
use crate::http::error::Error;
use crate::http::export::{Pairs, malformed, select, wanted};
use crate::http::form::Search;
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::postgres::{audit, policies};

/// Events on one page.
const MOST: i64 = 100;

/// A filter that is set: in words, and how to be rid of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chip {
    pub(super) label: &'static str,
    pub(super) value: String,
    /// The same search without it.
    pub(super) without: String,
}

/// Types of one kind, to choose from.
#[derive(Debug)]
pub(super) struct TypeGroup {
    pub(super) label: &'static str,
    pub(super) choices: Vec<TypeChoice>,
}

#[derive(Debug)]
pub(super) struct TypeChoice {
    pub(super) value: String,
    pub(super) words: String,
    pub(super) is_chosen: bool,
}

/// One way to take the found events along.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) text: &'static str,
    pub(super) href: String,
}

#[derive(Template)]
#[template(path = "audit/index.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) events: Vec<EventLine>,
    pub(super) filter: Filter,
    /// Names of rules, to choose from; older ones can be typed.
    pub(super) rules: Vec<String>,
    /// Number that the shown events are before.
    pub(super) before: Option<i64>,
    /// Address of the older page.
    pub(super) older: Option<String>,
    /// Where these pages are, for paper.
    pub(super) origin: String,
    pub(super) now: Time,
}

/// `GET /audit`
pub(in crate::http) async fn list(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    Search(pairs): Pairs,
) -> Result<Response, Error> {
    let (filter, before) = wanted(pairs, "before")?;
    let before = match before.trim() {
        "" => None,
        text => Some(
            text.parse::<i64>()
                .map_err(|_| malformed("before: it must be the number of an event.".to_owned()))?,
        ),
    };
    let layout = Layout::of(&web, &by).await?;
    let db = &web.broker().db;
    let mut conn = db.conn().await?;
    let now = db.clock.now(&mut conn).await?;
    let selection = select(&mut conn, &filter).await?;
    let from = before.unwrap_or(i64::MAX);
    let mut found = audit::search(&mut conn, &selection, from, MOST + 1).await?;
    let rules = policies::find_in_force(&mut conn).await?;
    drop(conn);
    let has_more = i64::try_from(found.len()).is_ok_and(|count| count > MOST);
    found.truncate(usize::try_from(MOST).unwrap_or(0));
    let older = found
        .last()
        .filter(|_| has_more)
        .map(|event| address("/audit", &filter, &[("before", event.seq.to_string())]));
    let events = found
        .into_iter()
        .map(EventLine::parse)
        .collect::<anyhow::Result<_>>()?;
    let rules = rules.map_or_else(Vec::new, |in_force| {
        let rules = in_force.policy.rules.iter();
        rules.map(|rule| rule.name.clone()).collect()
    });
    let page = Page {
        layout,
        events,
        filter,
        rules,
        before,
        older,
        origin: web.0.setup.public_url.origin().to_owned(),
        now: Time(now),
    };
    render(StatusCode::OK, &page)
}

/// An address that keeps the filters.
fn address(path: &str, filter: &Filter, also: &[(&'static str, String)]) -> String {
    let pairs: Vec<_> = filter
        .given()
        .into_iter()
        .chain(also.iter().cloned())
        .collect();
    match serde_urlencoded::to_string(&pairs) {
        Ok(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    }
}

/// What a browser's field for date and time takes.
fn local(time: Option<DateTime<Utc>>) -> String {
    time.map(|time| time.format("%Y-%m-%dT%H:%M:%S%.3f").to_string())
        .map(|text| text.trim_end_matches(".000").to_owned())
        .unwrap_or_default()
}

impl Page {
    fn person(&self) -> &str {
        self.filter.person.as_deref().unwrap_or_default()
    }

    fn account(&self) -> &str {
        self.filter.account.as_deref().unwrap_or_default()
    }

    fn rule(&self) -> &str {
        self.filter.rule.as_deref().unwrap_or_default()
    }

    fn request(&self) -> String {
        self.filter
            .request
            .map(|id| id.to_string())
            .unwrap_or_default()
    }

    fn from(&self) -> String {
        local(self.filter.from)
    }

    fn to(&self) -> String {
        local(self.filter.until)
    }

    fn is_filtered(&self) -> bool {
        self.filter.extent() != Extent::Whole
    }

    /// The filters that are set.
    fn chips(&self) -> Vec<Chip> {
        let given = self.filter.given();
        given
            .iter()
            .map(|(field, value)| {
                let without = given
                    .iter()
                    .filter(|(other, _)| other != field)
                    .collect::<Vec<_>>();
                let query = serde_urlencoded::to_string(without).unwrap_or_default();
                let (label, value) = match *field {
                    "person" => ("Person", value.clone()),
                    "account" => ("Account", value.clone()),
                    "rule" => ("Rule", value.clone()),
                    "type" => ("What happened", type_words(value)),
                    "from" => ("From", in_words(self.filter.from)),
                    "to" => ("Before", in_words(self.filter.until)),
                    _ => ("Request", value.clone()),
                };
                Chip {
                    label,
                    value,
                    without: format!("/audit?{query}").trim_end_matches('?').to_owned(),
                }
            })
            .collect()
    }

    /// Every type there is, in groups, each group to be had as a whole.
    fn types(&self) -> Vec<TypeGroup> {
        let chosen = self.filter.kind.as_deref().unwrap_or_default();
        let choice = |value: String, words: String| TypeChoice {
            is_chosen: value == chosen,
            value,
            words,
        };
        let mut groups: Vec<(&str, TypeGroup)> = Vec::new();
        for (name, words) in events::types() {
            let prefix = name.split_inclusive('.').next().unwrap_or(name);
            if groups.iter().all(|(of, _)| *of != prefix) {
                let label = events::group_words(prefix);
                let all = choice(prefix.to_owned(), format!("{label}: everything"));
                let choices = vec![all];
                groups.push((prefix, TypeGroup { label, choices }));
            }
            if let Some((_, group)) = groups.iter_mut().find(|(of, _)| *of == prefix) {
                group.choices.push(choice(name.to_owned(), words));
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// The found events as files.
    fn downloads(&self) -> Vec<Download> {
        Format::ALL
            .into_iter()
            .map(|format| Download {
                text: match format {
                    Format::JsonLines => "JSON Lines",
                    Format::Csv => "CSV",
                },
                href: address(
                    "/audit/export",
                    &self.filter,
                    &[("format", format.as_str().to_owned())],
                ),
            })
            .collect()
    }

    /// What the files can prove (protocol A4).
    fn proof(&self) -> &'static str {
        match self.filter.extent() {
            Extent::Whole => {
                "Every event up to now. The JSON Lines verify as one chain: no event was changed, dropped or moved."
            }
            Extent::Range => {
                "Every event of this time. The JSON Lines verify as a chain from the event before the first (--from)."
            }
            Extent::Selection => {
                "Only the events that match. The JSON Lines verify event by event (--events-only): a changed one shows, one that was left out does not."
            }
        }
    }

    /// The same search from its newest event on.
    fn newest(&self) -> String {
        address("/audit", &self.filter, &[])
    }

    /// The address that this page has, for paper.
    fn printed_from(&self) -> String {
        let before = self.before.map(|before| ("before", before.to_string()));
        let path = address("/audit", &self.filter, before.as_slice());
        format!("{}{path}", self.origin)
    }
}

/// A type, or the beginning of some, in words.
fn type_words(kind: &str) -> String {
    let known = events::types().find(|(name, _)| *name == kind);
    known.map_or_else(
        || format!("{}: everything", events::group_words(kind)),
        |(_, words)| words,
    )
}

fn in_words(time: Option<DateTime<Utc>>) -> String {
    time.map(|time| Time(time).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::samples::at;
    use super::*;

    fn page(filter: Filter) -> Page {
        Page {
            layout: Layout::default(),
            events: Vec::new(),
            filter,
            rules: Vec::new(),
            before: Some(7),
            older: None,
            origin: "https://curfew.example.com".into(),
            now: Time(at(0)),
        }
    }

    fn filter() -> Filter {
        Filter {
            person: Some("ada & co".into()),
            kind: Some("grant.".into()),
            from: Some(at(0)),
            ..Filter::default()
        }
    }

    #[test]
    fn each_filter_can_be_taken_away_and_the_others_stay() {
        let page = page(filter());
        let chips = page.chips();
        assert_eq!(
            chips[0],
            Chip {
                label: "Person",
                value: "ada & co".into(),
                without: "/audit?type=grant.&from=2027-01-15T08%3A00%3A00.000000Z".into()
            }
        );
        assert_eq!(chips[1].value, "Access: everything");
        assert_eq!(chips[2].value, "2027-01-15 08:00:00 UTC");
        let one = self::page(Filter {
            rule: Some("x".into()),
            ..Filter::default()
        });
        assert_eq!(one.chips()[0].without, "/audit");
    }

    #[test]
    fn the_next_page_the_files_and_the_paper_keep_the_filters() {
        let page = page(filter());
        for address in [
            page.downloads()[1].href.clone(),
            page.printed_from(),
            address("/audit", &page.filter, &[("before", "7".into())]),
        ] {
            assert!(
                address.contains("person=ada+%26+co&type=grant.&from="),
                "{address}"
            );
        }
        assert!(
            page.printed_from()
                .starts_with("https://curfew.example.com/audit?")
        );
        assert!(page.printed_from().ends_with("&before=7"));
        assert!(page.proof().contains("--events-only"));
    }

    #[test]
    fn every_type_can_be_chosen_once_and_each_group_as_a_whole() {
        let page = page(filter());
        let values: Vec<String> = page
            .types()
            .into_iter()
            .flat_map(|group| group.choices)
            .map(|choice| choice.value)
            .collect();
        let (groups, types): (Vec<_>, Vec<_>) =
            values.iter().partition(|value| value.ends_with('.'));
        assert_eq!(types.len(), crate::audit::event::EventType::ALL.len());
        let distinct: std::collections::BTreeSet<_> = groups.iter().collect();
        assert_eq!(distinct.len(), groups.len());
        let chosen = page.types().into_iter().flat_map(|group| group.choices);
        assert_eq!(chosen.filter(|choice| choice.is_chosen).count(), 1);
    }

    #[test]
    fn a_time_comes_back_into_its_field_as_it_was() {
        assert_eq!(local(Some(at(0))), "2027-01-15T08:00:00");
        let odd = at(0) + chrono::TimeDelta::milliseconds(250);
        assert_eq!(local(Some(odd)), "2027-01-15T08:00:00.250");
        assert_eq!(local(None), "");
    }
}
