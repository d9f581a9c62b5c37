//! Which events of the log somebody looks for: what they typed, read strictly, so that a mistyped
//! filter never becomes no filter. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::event::{EventType, timestamp};
use crate::access::text;

/// Longest value of a filter, in characters: a name may have 255.
const LONGEST: usize = 300;

/// What is looked for; what is not given finds everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// E-mail, name or id of who acted, or of whose request it is about.
    pub person: Option<String>,
    /// Id or name of the account.
    pub account: Option<String>,
    /// Name of the rule that the request was made under.
    pub rule: Option<String>,
    /// A type, or the beginning of some with its dot.
    pub kind: Option<String>,
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    /// About this request.
    pub request: Option<Uuid>,
}

/// Which part of the log a filter leaves, as far as proof goes (protocol A4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it: a chain from its first event.
    Whole,
    /// Every event of a time: a chain from the event before it.
    Range,
    /// Some events: each can be verified by itself, and what is left out can't be seen.
    Selection,
}

/// A filter that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {text}")]
pub struct Wrong {
    /// Its name.
    pub field: &'static str,
    /// What is wrong with it, and what it must be.
    pub text: String,
}

impl Filter {
    /// The names of the filters, in addresses and on the page.
    pub const FIELDS: [&'static str; 7] =
        ["person", "account", "rule", "type", "from", "to", "request"];

    /// Reads what was typed; empty means not given.
    ///
    /// # Errors
    /// The first filter that can't be read.
    pub fn read(typed: &BTreeMap<String, String>) -> Result<Self, Wrong> {
        let text = |field: &'static str| {
            let wrong = |text| Wrong { field, text };
            let value = typed.get(field).map(String::as_str).unwrap_or_default();
            if value.chars().count() > LONGEST {
                return Err(wrong(format!("at most {LONGEST} characters.")));
            }
            let value = text::clean(value).map_err(|why| wrong(format!("{why}.")))?;
            Ok((!value.is_empty()).then_some(value))
        };
        let kind = text("type")?;
        if let Some(kind) = &kind {
            known_type(kind)?;
        }
        let request = match text("request")? {
            None => None,
            Some(id) => Some(id.parse().map_err(|_| Wrong {
                field: "request",
                text: "it must be the id of a request, as its page shows it.".to_owned(),
            })?),
        };
        let from = text("from")?.map(|at| time("from", &at)).transpose()?;
        let until = text("to")?.map(|at| time("to", &at)).transpose()?;
        if from.is_some_and(|from| until.is_some_and(|until| until <= from)) {
            return Err(Wrong {
                field: "to",
                text: "it must be later than from.".to_owned(),
            });
        }
        Ok(Self {
            person: text("person")?,
            account: text("account")?,
            rule: text("rule")?,
            kind,
            from,
            until,
            request,
        })
    }

    /// Which part of the log it leaves.
    #[must_use]
    pub fn extent(&self) -> Extent {
        let Self {
            person,
            account,
            rule,
            kind,
            from,
            until,
            request,
        } = self;
        let selects = [person, account, rule, kind]
            .into_iter()
            .any(Option::is_some)
            || request.is_some();
        match (selects, from.is_some() || until.is_some()) {
            (true, _) => Extent::Selection,
            (false, true) => Extent::Range,
            (false, false) => Extent::Whole,
        }
    }

    /// What is given, by name, spelt so that [`Filter::read`] reads the same.
    #[must_use]
    pub fn given(&self) -> Vec<(&'static str, String)> {
        let values = [
            self.person.clone(),
            self.account.clone(),
            self.rule.clone(),
            self.kind.clone(),
            self.from.map(timestamp),
            self.until.map(timestamp),
            self.request.map(|id| id.to_string()),
        ];
        Self::FIELDS
            .into_iter()
            .zip(values)
            .filter_map(|(field, value)| value.map(|value| (field, value)))
            .collect()
    }

    /// What selects events beside their time, for the event that an export leaves in the log; null if
    /// nothing does.
    #[must_use]
    pub fn selecting(&self) -> Value {
        if self.extent() != Extent::Selection {
            return Value::Null;
        }
        let given = self.given().into_iter();
        let selecting: Map<String, Value> = given
            .filter(|(field, _)| !["from", "to"].contains(field))
            .map(|(field, value)| (field.to_owned(), value.into()))
            .collect();
        selecting.into()
    }
}

/// A typo must not look like a log in which nothing of the kind happened.
fn known_type(kind: &str) -> Result<(), Wrong> {
    let mut names = EventType::ALL.iter().map(|known| known.as_str());
    let is_known =
        names.any(|name| name == kind || (kind.ends_with('.') && name.starts_with(kind)));
    if is_known {
        return Ok(());
    }
    Err(Wrong {
        field: "type",
        text: "it must be a type such as grant.ended, or the beginning of some such as grant. with its dot."
            .to_owned(),
    })
}

/// An instant in RFC 3339; or without a zone, as browsers send it, and then meant in UTC.
fn time(field: &'static str, text: &str) -> Result<DateTime<Utc>, Wrong> {
    let without_zone = || {
        [
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%dT%H:%M:%S%.f",
            "%Y-%m-%d %H:%M:%S UTC",
        ]
        .into_iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|time| time.and_utc())
    };
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .ok()
        .or_else(without_zone)
        // What every reader of the log can write down again.
        .filter(|time| (1970..=9999).contains(&chrono::Datelike::year(time)))
        .ok_or_else(|| Wrong {
            field,
            text:
                "it must be a time such as 2026-11-24T03:00 (read as UTC) or 2026-11-24T03:00:00Z."
                    .to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &[(&str, &str)]) -> Result<Filter, Wrong> {
        let typed = typed
            .iter()
            .map(|(field, value)| ((*field).to_owned(), (*value).to_owned()));
        Filter::read(&typed.collect())
    }

    #[test]
    fn what_is_given_is_read_back_the_same() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let filter = read(&[
            ("person", " Ada "),
            ("account", "111111111111"),
            ("rule", "production-admin"),
            ("type", "grant.ended"),
            ("from", "2026-11-24T03:00:00.123456Z"),
            ("to", "2026-11-24T05:00:00+01:00"),
            ("request", id),
        ])
        .unwrap();
        assert_eq!(filter.person.as_deref(), Some("Ada"));
        let given: BTreeMap<String, String> = filter
            .given()
            .into_iter()
            .map(|(field, value)| (field.to_owned(), value))
            .collect();
        assert_eq!(Filter::read(&given).unwrap(), filter);
    }

    #[test]
    fn a_time_without_a_zone_is_utc_and_what_is_no_time_says_which_field() {
        for same in [
            "2026-11-24T03:00",
            "2026-11-24T03:00:00",
            "2026-11-24T03:00:00.000",
            "2026-11-24 03:00:00 UTC",
            "2026-11-24T03:00:00Z",
            "2026-11-24T04:00:00+01:00",
        ] {
            let filter = read(&[("from", same)]).unwrap();
            let from = filter.from.map(timestamp);
            assert_eq!(
                from.as_deref(),
                Some("2026-11-24T03:00:00.000000Z"),
                "{same}"
            );
        }
        for bad in [
            "yesterday",
            "2026-13-01T00:00",
            "+99999-01-01T00:00:00Z",
            "2026-11-24",
        ] {
            let wrong = read(&[("to", bad)]).unwrap_err();
            assert_eq!(wrong.field, "to", "{bad}");
            assert!(wrong.to_string().contains("to: it must be a time such as"));
        }
        // Later by the look of it, and not in fact.
        let nothing = read(&[
            ("from", "2026-11-24T03:30"),
            ("to", "2026-11-24T04:00:00+01:00"),
        ]);
        assert_eq!(nothing.unwrap_err().field, "to");
    }

    #[test]
    fn what_can_t_be_read_names_its_field() {
        let long = "x".repeat(301);
        for (field, bad) in [
            ("person", long.as_str()),
            ("account", "a\u{202E}b"),
            ("rule", "a\0b"),
            ("type", "grant"),
            ("type", "grant.endet"),
            ("type", "."),
            ("request", "7"),
        ] {
            assert_eq!(read(&[(field, bad)]).unwrap_err().field, field, "{bad:?}");
        }
    }

    #[test]
    fn only_what_leaves_events_out_in_between_is_a_selection() {
        let extent = |typed: &[(&str, &str)]| read(typed).unwrap().extent();
        assert_eq!(extent(&[("person", " "), ("from", "")]), Extent::Whole);
        assert_eq!(extent(&[("from", "2026-11-24T03:00")]), Extent::Range);
        for (field, value) in [
            ("person", "x"),
            ("account", "x"),
            ("rule", "x"),
            ("type", "grant."),
            ("request", "01890a5d-ac96-774b-bcce-b302099a8057"),
        ] {
            assert_eq!(extent(&[(field, value)]), Extent::Selection, "{field}");
        }
    }

    #[test]
    fn an_export_s_event_says_what_selected_and_nothing_else() {
        let of = |typed: &[(&str, &str)]| read(typed).unwrap().selecting();
        assert_eq!(of(&[("from", "2026-11-24T03:00")]), Value::Null);
        assert_eq!(
            of(&[("from", "2026-11-24T03:00"), ("rule", "a")]),
            serde_json::json!({"rule": "a"})
        );
    }
}
