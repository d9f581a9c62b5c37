//! Asking for access.
//!
//! Who: whoever some rule lets ask. Changes: a new request, pending; or, where the rule needs nobody,
//! approved with its grant. Events: `request.created`, then perhaps `request.approved` and
//! `grant.scheduled`; or `request.refused`.

use chrono::{DateTime, Utc};
use fail::fail_point;

use super::{ActError, Broker, Kind, Refused, pause};
use crate::access::grant::{Grant, GrantState, PROVISIONAL_SLACK};
use crate::access::id::RequestId;
use crate::access::person::{Actor, SignedInPerson};
use crate::access::request::{Named, OPEN_PER_PERSON, Request, RequestStatus};
use crate::access::target::Target;
use crate::access::text::time_in_words;
use crate::audit::event::{Event, EventType};
use crate::ledger;
use crate::policy::ask::{Ask, WellFormed};
use crate::policy::evaluate::{Refusal, verdict};
use crate::postgres::change::Change;
use crate::postgres::{grants, policies, requests};

/// What the verdict rests on, and what it came to.
struct Judged {
    rule: String,
    policy_version: String,
    well_formed: WellFormed,
    target: Target,
    session_seconds: i64,
    approvals: u32,
    pending_minutes: u32,
}

impl Broker {
    /// Asks for access.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn submit(&self, by: &SignedInPerson, ask: &Ask) -> Result<RequestId, ActError> {
        let refused = match self.try_submit(by, ask).await {
            Ok(id) => return Ok(id),
            Err(ActError::Refused(refused)) => refused,
            Err(failed) => return Err(failed),
        };
        Err(self
            .refuse(by, EventType::RequestRefused, None, refused)
            .await?
            .into())
    }

    async fn try_submit(&self, by: &SignedInPerson, ask: &Ask) -> Result<RequestId, ActError> {
        let judged = self.judge(by, ask).await?;
        fail_point!("broker.submit.judged");
        let mut change = Change::begin(&self.db, Actor::Person(Box::new(by.clone()))).await?;
        requests::lock_requester(change.conn(), &by.person.id).await?;
        let now = change.now().await?;
        pause::access_may_begin(change.conn()).await?;
        let account_id = judged.target.account_id().to_owned();
        if let Some(open) =
            requests::find_open(change.conn(), &by.person.id, &judged.rule, &account_id).await?
        {
            let grant = grants::find_of_request(change.conn(), open.id).await?;
            return Err(already_open(&open, grant.as_ref()).into());
        }
        if requests::count_open(change.conn(), &by.person.id).await? >= OPEN_PER_PERSON {
            let text = format!(
                "You have {OPEN_PER_PERSON} requests open, the most that are allowed. End or cancel one first."
            );
            return Err(Refused::new(Kind::Conflict, "too_many_open", text).into());
        }
        let request = self.record_request(&mut change, by, judged, now).await?;
        fail_point!("broker.submit.uncommitted");
        change.commit().await?;
        fail_point!("broker.submit.committed");
        Ok(request)
    }

    async fn judge(&self, by: &SignedInPerson, ask: &Ask) -> Result<Judged, ActError> {
        let mut conn = self.db.conn().await?;
        let Some(in_force) = policies::find_in_force(&mut conn).await? else {
            let text =
                "No policy is in force, so nothing can be asked for. Ask your administrators.";
            return Err(Refused::new(Kind::Conflict, "no_policy", text).into());
        };
        let rule = in_force.policy.rule(&ask.rule);
        let gathered = self
            .gather(&mut conn, &in_force, rule, &by.person.id, &ask.account)
            .await?;
        let facts = gathered.facts(by.assurance, by.auth_time);
        let now = self.db.clock.now(&mut conn).await?;
        let (rule, _, well_formed) = verdict(&in_force, ask, &facts, now).map_err(refused)?;
        // The verdict allows nothing without them.
        let (Some(account), Some(permission_set)) = (gathered.account, gathered.permission_set)
        else {
            return Err(anyhow::anyhow!(
                "a request was allowed without an account or permission set"
            )
            .into());
        };
        Ok(Judged {
            rule: rule.name.clone(),
            approvals: rule.approvals,
            pending_minutes: rule.pending_minutes,
            policy_version: in_force.version.clone(),
            well_formed,
            session_seconds: permission_set.session_seconds,
            target: Target::PermissionSet {
                account_id: account.id,
                account_name: account.name,
                permission_set_arn: permission_set.arn,
                permission_set: permission_set.name,
            },
        })
    }

    async fn record_request(
        &self,
        change: &mut Change,
        by: &SignedInPerson,
        judged: Judged,
        now: DateTime<Utc>,
    ) -> Result<RequestId, ActError> {
        let minutes = i32::try_from(judged.well_formed.minutes).map_err(anyhow::Error::from)?;
        let pending = i32::try_from(judged.pending_minutes).map_err(anyhow::Error::from)?;
        let request = Request {
            id: RequestId::new(now),
            requester: Named {
                id: by.person.id.clone(),
                email: by.person.email.clone(),
                name: by.person.name.clone(),
            },
            rule: judged.rule,
            policy_version: judged.policy_version,
            target: judged.target,
            minutes,
            granted: self.settings.minute * minutes,
            reason: judged.well_formed.reason,
            ticket: judged.well_formed.ticket,
            approvals_required: i32::try_from(judged.approvals).map_err(anyhow::Error::from)?,
            assurance: by.assurance,
            channel: by.channel.as_str().to_owned(),
            status: RequestStatus::Pending,
            created_at: now,
            lapses_at: now + self.settings.minute * pending,
            closed_at: None,
        };
        requests::insert(change.conn(), &request).await?;
        change.record(
            Event::new(EventType::RequestCreated)
                .request(request.id, &request.target)
                .with("rule", request.rule.as_str())
                .with("policy_version", request.policy_version.as_str())
                .with("minutes", request.minutes)
                .with("reason", request.reason.as_str())
                .with("ticket", request.ticket.clone())
                .with("approvals_required", request.approvals_required)
                .at("lapses_at", Some(request.lapses_at)),
        );
        if request.approvals_required == 0 {
            let approved = Event::new(EventType::RequestApproved)
                .request(request.id, &request.target)
                .with("by", "policy")
                .with("approvals", 0);
            ledger::approve(
                change,
                &request,
                &by.person.user_id,
                judged.session_seconds,
                &self.settings,
                approved,
            )
            .await?;
        }
        change.wake();
        Ok(request.id)
    }
}

fn refused(refusal: Refusal) -> Refused {
    let kind = match &refusal {
        Refusal::Unproved(unproved) => return Refused::unproved(*unproved),
        Refusal::Fields(_) => Kind::Invalid,
        Refusal::Disabled => Kind::Forbidden,
        Refusal::NobodyCanApprove { .. } | Refusal::RuleSuspended(_) => Kind::Conflict,
        Refusal::DirectoryStale => Kind::Unavailable,
    };
    let mut refused = Refused::new(kind, refusal.code(), refusal.to_string());
    if let Refusal::Fields(fields) = refusal {
        refused.fields = fields;
    }
    refused
}

fn already_open(open: &Request, grant: Option<&Grant>) -> Refused {
    let stands = match grant.map(|grant| grant.state) {
        None => format!(
            "It waits for an answer until {}; cancel it to ask anew.",
            time_in_words(open.lapses_at)
        ),
        Some(GrantState::Scheduled) => {
            let latest = grant.map(|grant| grant.activate_by + grant.granted + PROVISIONAL_SLACK);
            let until = latest.map_or_else(String::new, |latest| {
                format!(", until {} at most", time_in_words(latest))
            });
            format!("It is approved and about to start{until}; end it to ask anew.")
        }
        Some(GrantState::Provisioning(window) | GrantState::Active { window, .. }) => {
            format!(
                "It lasts until {} at most; end it to ask anew.",
                time_in_words(window.ends_at)
            )
        }
        Some(_) => "It is being taken away; ask again when it has ended.".to_owned(),
    };
    let text = format!(
        "You already have a request for {} in this account. {stands}",
        open.rule
    );
    Refused::new(Kind::Conflict, "already_open", text)
}
