//! A request as one entry of a list: what it is, where it stands and where its grant stands.
//!
//! Lists read their grants and approvals with one query each, whatever their length.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::offers::form_href;
use super::words::{self, Badge, Time};
use crate::access::grant::{Grant, GrantStatus};
use crate::access::request::{Openness, Request, RequestStatus};
use crate::access::target::account_in_words;
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

    pub(super) fn account_in_words(&self) -> String {
        account_in_words(self.account_name(), self.account_id())
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

    /// In a demo minutes may be short: then what the asked ones come to.
    pub(super) fn worth(&self) -> Option<String> {
        let is_short = self.request.granted != TimeDelta::minutes(i64::from(self.request.minutes));
        is_short.then(|| words::duration(self.request.granted))
    }

    pub(super) fn request_badge(&self) -> Badge {
        words::request_badge(self.request.status)
    }

    pub(super) fn grant_badge(&self) -> Option<Badge> {
        self.grant
            .as_ref()
            .map(|grant| words::grant_badge(grant.status()))
    }

    /// Where the access stands, or the request as long as it gave none.
    pub(super) fn badge(&self) -> Badge {
        self.grant_badge().unwrap_or_else(|| self.request_badge())
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

    /// When the time to decide is over.
    pub(super) fn lapses(&self) -> Time {
        Time(self.request.lapses_at)
    }

    /// What is left of the time to decide.
    pub(super) fn time_to_decide(&self) -> String {
        words::duration(self.request.lapses_at - self.now)
    }

    /// May anything about it still change?
    pub(super) fn may_change(&self) -> bool {
        self.request.status == RequestStatus::Pending || self.is_live()
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

    /// The form that asks for the same again; none while this one is open. The reason is of its own day
    /// and has to be given anew.
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

#[cfg(test)]
mod tests {
    use super::super::samples::{active, asked, ended, ending, failed, summary};
    use super::*;

    #[test]
    fn only_what_is_over_is_asked_for_again_and_never_with_the_old_reason() {
        let over = Request {
            status: RequestStatus::Approved,
            rule: "a&b=c".into(),
            ..asked()
        };
        let denied = Request {
            status: RequestStatus::Denied,
            ..over.clone()
        };
        for past in [
            summary(over.clone(), Some(ended()), 700),
            summary(over.clone(), Some(failed()), 700),
            summary(denied, None, 700),
        ] {
            assert_eq!(
                past.again().as_deref(),
                Some("/requests/new?rule=a%26b%3Dc&account=111111111111&minutes=10")
            );
        }
        for present in [
            summary(asked(), None, 60),
            summary(over.clone(), Some(active()), 60),
            summary(over, Some(ending()), 700),
        ] {
            assert_eq!(present.again(), None);
        }
    }
}
