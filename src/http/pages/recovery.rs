//! After a loss of commits, for administrators and, without the buttons, for auditors: what is known of it, how far Identity Center has been
//! looked through, and what was found that the ledger can't explain.
//!
//! What the page says is worked out from one reading; deciding and confirming are acts of the broker.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};

use super::words::Time;
use crate::access::recovery::{Decision, Finding, Recovery};
use crate::http::Web;
use crate::http::error::Error;
use crate::http::form::FindingPath;
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::postgres::{directory, recoveries};

/// Findings on the page.
const MOST: i64 = 200;

#[derive(Template)]
#[template(path = "operations/recovery.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) as_of: Time,
    pub(super) loss: Option<Loss>,
    pub(super) findings: Vec<Line>,
}

/// What is known of the loss.
#[derive(Debug)]
pub(super) struct Loss {
    remembered_seq: i64,
    found_seq: i64,
    begun: Time,
    swept: Option<Time>,
    settled: Time,
    next_round: Time,
    is_swept: bool,
}

impl Loss {
    /// `settle`: how long what was sent before it may still take effect.
    pub(super) fn of(recovery: &Recovery, settle: TimeDelta) -> Self {
        Self {
            remembered_seq: recovery.remembered_seq,
            found_seq: recovery.found_seq,
            begun: Time(recovery.begun_at),
            swept: recovery.swept_at.map(Time),
            settled: Time(recovery.settled_at(settle)),
            next_round: Time(recovery.next_round_at(settle)),
            is_swept: recovery.is_swept(settle),
        }
    }
}

/// One finding in words.
#[derive(Debug)]
pub(in crate::http) struct Line {
    pub(in crate::http) finding: Finding,
    pub(in crate::http) person: String,
    pub(in crate::http) account_name: String,
    pub(in crate::http) permission_set: String,
}

impl Page {
    fn undecided(&self) -> Vec<&Line> {
        self.with(|decision| decision.is_none())
    }

    fn decided(&self) -> Vec<&Line> {
        self.with(|decision| decision.is_some())
    }

    fn with(&self, wanted: impl Fn(Option<Decision>) -> bool) -> Vec<&Line> {
        let lines = self.findings.iter();
        lines.filter(|line| wanted(line.finding.decision)).collect()
    }

    fn may_confirm(&self) -> bool {
        let is_swept = self.loss.as_ref().is_some_and(|loss| loss.is_swept);
        is_swept && self.undecided().is_empty()
    }
}

impl Line {
    fn id(&self) -> String {
        self.finding.id.to_string()
    }

    fn first_seen(&self) -> Time {
        Time(self.finding.first_seen_at)
    }

    fn outcome(&self) -> &'static str {
        match self.finding.decision {
            Some(Decision::Keep) => "kept: it stands, and is not Curfew's",
            Some(Decision::Remove) => {
                "to be removed: Curfew deletes it, and confirms that it is gone"
            }
            None => "not decided",
        }
    }
}

/// What is known at one moment.
pub(in crate::http) struct Known {
    pub(in crate::http) at: DateTime<Utc>,
    pub(in crate::http) recovery: Option<Recovery>,
    pub(in crate::http) findings: Vec<Line>,
}

impl Known {
    /// Reads it, the undecided findings first.
    pub(in crate::http) async fn read(web: &Web) -> Result<Self, Error> {
        let broker = web.broker();
        let mut conn = broker.db.conn().await?;
        let at = broker.db.clock.now(&mut conn).await?;
        let recovery = recoveries::find_open(&mut conn).await?;
        let found = match &recovery {
            Some(recovery) => recoveries::list_findings(&mut conn, recovery.id, MOST).await?,
            None => Vec::new(),
        };
        let sets: BTreeMap<String, String> = directory::list_permission_sets(&mut conn)
            .await?
            .into_iter()
            .map(|set| (set.arn, set.name))
            .collect();
        let mut findings = Vec::new();
        for finding in found {
            let person = directory::find_person(&mut conn, &finding.principal_id).await?;
            let account = directory::find_account(&mut conn, &finding.account_id).await?;
            findings.push(Line {
                person: person.map_or_else(|| finding.user_id.clone(), |person| person.email),
                account_name: account.map(|account| account.name).unwrap_or_default(),
                permission_set: sets
                    .get(&finding.permission_set_arn)
                    .unwrap_or(&finding.permission_set_arn)
                    .clone(),
                finding,
            });
        }
        Ok(Self {
            at,
            recovery,
            findings,
        })
    }
}

/// `GET /operations/recovery`
pub(in crate::http) async fn show(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
) -> Result<Response, Error> {
    let layout = Layout::of(&web, &by).await?;
    let known = Known::read(&web).await?;
    let settle = web.broker().settings.arrives_within();
    let page = Page {
        layout,
        as_of: Time(known.at),
        loss: known.recovery.map(|recovery| Loss::of(&recovery, settle)),
        findings: known.findings,
    };
    render(StatusCode::OK, &page)
}

/// `POST /operations/recovery/findings/{id}/keep`
pub(in crate::http) async fn keep(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    FindingPath(id): FindingPath,
) -> Result<Response, Error> {
    web.broker().decide_finding(&by, id, Decision::Keep).await?;
    Ok(back())
}

/// `POST /operations/recovery/findings/{id}/remove`
pub(in crate::http) async fn remove(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
    FindingPath(id): FindingPath,
) -> Result<Response, Error> {
    web.broker()
        .decide_finding(&by, id, Decision::Remove)
        .await?;
    Ok(back())
}

/// `POST /operations/recovery/confirm`
pub(in crate::http) async fn confirm(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
) -> Result<Response, Error> {
    web.broker().confirm_recovery(&by).await?;
    Ok(back())
}

fn back() -> Response {
    Redirect::to("/operations/recovery").into_response()
}
