//! Proving more: what a page says whose reader signed in too weakly or too long ago, the way to prove
//! it, and what they had typed, which waits for them in the form that they come back to.
//!
//! What was typed is kept in the session and never in an address. It is shown again, never sent: the
//! person presses the button themself.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use super::error::Error;
use super::page::login_url;
use super::session::unavailable;
use crate::access::person::{Assurance, Demand, SignedInPerson};
use crate::broker::ActError;

/// Most forms that wait in one session; the oldest goes first.
const MOST_KEPT: usize = 5;

/// Most characters of one field: what no rule takes is not kept for it.
const MOST_CHARS: usize = 2000;

/// Key of the session under which forms wait.
pub(super) const KEPT: &str = "kept";

/// What is needed, and where to go on afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StepUp {
    demand: Demand,
    next: String,
}

impl StepUp {
    pub(super) fn new(demand: Demand, next: impl Into<String>) -> Self {
        Self {
            demand,
            next: next.into(),
        }
    }

    /// What somebody has to prove before a rule takes their word; none if they have.
    pub(super) fn of(
        demand: Demand,
        by: &SignedInPerson,
        now: DateTime<Utc>,
        next: impl Into<String>,
    ) -> Option<Self> {
        let unproved = by.prove(demand, now).is_err();
        unproved.then(|| Self::new(demand, next))
    }

    /// What is needed, in words.
    pub(super) fn needs(&self) -> String {
        self.demand.in_words()
    }

    /// Where it is proved. A link and no form: a browser that may only send forms to us would not follow
    /// to the provider (`form-action` of the CSP).
    pub(super) fn href(&self) -> String {
        let mut query = vec![("assurance", self.demand.assurance.as_str().to_owned())];
        if let Some(minutes) = self.demand.max_age_minutes {
            query.push(("max_age_minutes", minutes.to_string()));
        }
        query.push(("next", self.next.clone()));
        let query = serde_urlencoded::to_string(query).unwrap_or_default();
        format!("/login/start?{query}")
    }
}

/// A demand as it stands in an address. Whoever makes one up only proves more about themself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) next: Option<String>,
    assurance: Option<String>,
    max_age_minutes: Option<String>,
}

impl Asked {
    /// The sign-in page, asked for the same: what a demo has in place of a provider.
    pub(super) fn login_url(&self, next: &str) -> String {
        let demand = self.demand();
        demand.map_or_else(
            || login_url(next),
            |demand| {
                let href = StepUp::new(demand, next).href();
                href.replacen("/login/start?", "/login?", 1)
            },
        )
    }

    /// What is to be proved; none is an ordinary sign-in.
    pub(super) fn demand(&self) -> Option<Demand> {
        let assurance = self.assurance.as_deref()?.parse::<Assurance>().ok()?;
        let minutes = self.max_age_minutes.as_deref();
        Some(Demand {
            assurance,
            max_age_minutes: minutes.and_then(|minutes| minutes.parse().ok()),
        })
    }
}

/// A form that waits.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    number: u32,
    form: String,
    fields: BTreeMap<String, String>,
}

/// Keeps what was typed into the form at this path, and gives the address at which it comes back.
pub(super) async fn keep(
    session: &Session,
    form: &str,
    fields: &[(&str, &str)],
) -> Result<String, Error> {
    let mut kept = waiting(session).await?;
    let number = add(&mut kept, form, fields);
    session.insert(KEPT, kept).await.map_err(unavailable)?;
    Ok(format!("{form}?kept={number}"))
}

fn add(kept: &mut Vec<Kept>, form: &str, fields: &[(&str, &str)]) -> u32 {
    let number = kept.last().map_or(1, |last| last.number.wrapping_add(1));
    kept.push(Kept {
        number,
        form: form.to_owned(),
        fields: fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.chars().take(MOST_CHARS).collect()))
            .collect(),
    });
    let surplus = kept.len().saturating_sub(MOST_KEPT);
    kept.drain(..surplus);
    number
}

/// What was typed into the form at this path under that number; nothing if it is not there any more.
pub(super) async fn typed(
    session: &Session,
    form: &str,
    number: &str,
) -> Result<Option<BTreeMap<String, String>>, Error> {
    if number.is_empty() {
        return Ok(None);
    }
    Ok(find(waiting(session).await?, form, number))
}

fn find(kept: Vec<Kept>, form: &str, number: &str) -> Option<BTreeMap<String, String>> {
    let number = number.parse::<u32>().ok()?;
    let mut kept = kept.into_iter();
    let found = kept.find(|kept| kept.number == number && kept.form == form);
    found.map(|found| found.fields)
}

async fn waiting(session: &Session) -> Result<Vec<Kept>, Error> {
    // What another version of this program kept is worth less than an answer.
    let value: Option<serde_json::Value> = session.get(KEPT).await.map_err(unavailable)?;
    Ok(value
        .and_then(|value| serde_json::from_value(value).ok())
        .unwrap_or_default())
}

/// The error of an act: one for which the sign-in is not enough keeps what was typed and knows the way
/// back to the form.
pub(super) async fn error(
    session: &Session,
    form: &str,
    fields: &[(&str, &str)],
    why: ActError,
) -> Error {
    match why {
        ActError::Refused(refused) if refused.demand.is_some() => {
            match keep(session, form, fields).await {
                Ok(next) => Error::Unproved { refused, next },
                Err(error) => error,
            }
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand() -> Demand {
        Demand {
            assurance: Assurance::PhishingResistant,
            max_age_minutes: Some(15),
        }
    }

    #[test]
    fn the_way_to_prove_it_says_what_and_where_to_go_on_and_reads_back_the_same() {
        let step_up = StepUp::new(demand(), "/requests/new?kept=1");
        let href = step_up.href();
        let (path, query) = href.split_once('?').unwrap();
        assert_eq!(path, "/login/start");
        let asked: Asked = serde_urlencoded::from_str(query).unwrap();
        assert_eq!(asked.demand(), Some(demand()));
        assert_eq!(asked.next.as_deref(), Some("/requests/new?kept=1"));
        assert_eq!(Asked::default().demand(), None);
    }

    #[test]
    fn what_was_typed_comes_back_in_its_own_form_and_only_the_newest_few_wait() {
        for (number, form, expected) in [
            ("7", "/requests/new", Some("reason 7")),
            ("3", "/requests/new", Some("reason 3")),
            ("2", "/requests/new", None),
            ("7", "/other", None),
            ("x", "/requests/new", None),
        ] {
            let mut kept = Vec::new();
            for n in 1..=7 {
                let text = format!("reason {n}");
                assert_eq!(add(&mut kept, "/requests/new", &[("reason", &text)]), n);
            }
            let found = find(kept, form, number);
            let reason = found.as_ref().map(|fields| fields["reason"].as_str());
            assert_eq!(reason, expected, "{number} {form}");
        }
    }

    #[test]
    fn a_text_that_no_rule_would_take_is_not_kept_whole() {
        let mut kept = Vec::new();
        add(&mut kept, "/x", &[("reason", &"ä".repeat(9000))]);
        let found = find(kept, "/x", "1").unwrap();
        assert_eq!(found["reason"].chars().count(), MOST_CHARS);
    }
}
