//! A request as one entry of a list: what it is, where it stands and where its grant stands.
//!
//! Lists read their grants and approvals with one query each, whatever their length.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::offers::form_href;
use super::words::{self, Badge, Time};
use crate::access::grant::{Grant, GrantStatus};
use crate::access::request::{Openness, Request};
use crate::postgres::{decisions, grants};

/// See the module.
#[derive(Debug)]
pub(super) struct Summary {
    /// The request.
    pub(super) request: Request,
    /// What it gave.
    pub(super) grant: Option<Grant>,
    /// How many said yes.
    pub(super) yes: usize,
    /// When this was read.
    pub(super) now: DateTime<Utc>,
}

impl Summary {
    /// Reads what belongs to these requests.
    pub(super) async fn list(
        conn: &mut PgConnection,
        requests: Vec<Request>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Vec<Self>> {
        let ids: Vec<_> = requests.iter().map(|request| request.id).collect();
        let mut grants = grants::list_of_requests(conn, &ids).await?;
        let yes = decisions::count_yes(conn, &ids).await?;
        Ok(requests
            .into_iter()
            .map(|request| Self {
                grant: grants.remove(&request.id),
                yes: yes.get(&request.id).copied().unwrap_or(0),
                now,
                request,
            })
            .collect())
    }

    /// Its page.
    pub(super) fn href(&self) -> String {
        format!("/requests/{}", self.request.id)
    }

    pub(super) fn account_name(&self) -> &str {
        self.request.target.account_name()
    }

    pub(super) fn account_id(&self) -> &str {
        self.request.target.account_id()
    }

    pub(super) fn permission_set(&self) -> &str {
        self.request.target.permission_set()
    }

    pub(super) fn created(&self) -> Time {
        Time(self.request.created_at)
    }

    pub(super) fn minutes(&self) -> String {
        words::counted(i64::from(self.request.minutes), "minute")
    }

    pub(super) fn request_badge(&self) -> Badge {
        words::request_badge(self.request.status)
    }

    pub(super) fn grant_badge(&self) -> Option<Badge> {
        self.grant
            .as_ref()
            .map(|grant| words::grant_badge(grant.status()))
    }

    /// How the request stands.
    pub(super) fn request_sentence(&self) -> String {
        words::request_sentence(&self.request, self.now)
    }

    /// How its grant stands.
    pub(super) fn grant_sentence(&self) -> Option<String> {
        self.grant
            .as_ref()
            .map(|grant| words::grant_sentence(grant, self.now))
    }

    /// What is left of it, if it is active.
    pub(super) fn left(&self) -> Option<String> {
        self.grant
            .as_ref()
            .and_then(|grant| words::left(grant, self.now))
    }

    /// When it ends, while it is active.
    pub(super) fn ends(&self) -> Option<Time> {
        self.left()?;
        self.grant
            .as_ref()?
            .window()
            .map(|window| Time(window.ends_at))
    }

    /// What is left of the time to decide.
    pub(super) fn time_to_decide(&self) -> String {
        words::duration(self.request.lapses_at - self.now)
    }

    pub(super) fn approvals(&self) -> String {
        words::approvals(self.yes, self.request.approvals_required)
    }

    /// May anything still be decided about it?
    pub(super) fn is_open(&self) -> bool {
        self.request.openness(self.now) == Openness::Open
    }

    /// A list offers the end of what does not end already.
    pub(super) fn may_end_here(&self) -> bool {
        self.is_live()
            && !self
                .grant
                .as_ref()
                .is_some_and(|grant| grant.status() == GrantStatus::Ending)
    }

    /// The form that asks for the same again; none while this one is open.
    pub(super) fn again(&self) -> Option<String> {
        let is_over = match &self.grant {
            Some(grant) => grant.is_over(),
            None => matches!(self.request.openness(self.now), Openness::Closed(_)),
        };
        is_over.then(|| {
            form_href(&[
                ("rule", &self.request.rule),
                ("account", self.account_id()),
                ("minutes", &self.request.minutes.to_string()),
            ])
        })
    }

    /// Is there a grant that is not over?
    pub(super) fn is_live(&self) -> bool {
        self.grant.as_ref().is_some_and(|grant| !grant.is_over())
    }
}
