//! A yes or a no.
//!
//! Who: an enabled member of an approving group of the rule as it is now, never the requester,
//! signed in as strongly as the rule says. A yes reads membership live, before the locks; a no needs
//! no directory. Changes: a decision; the first no denies; enough valid yeses approve and make the
//! grant. Events: `decision.recorded`, and `request.denied` or `request.approved` with
//! `grant.scheduled`; `request.lapsed` if its time is over; or `decision.refused`.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;

use super::{ActError, Broker, Kind, Refused, pause};
use crate::access::decision::{
    Decision, Evidence, NotQualified, RuleGroups, Standing, Verdict, qualifying_group,
    valid_approvals,
};
use crate::access::id::RequestId;
use crate::access::person::{Actor, PersonId, SignedInPerson};
use crate::access::request::{Named, Openness, Request, RequestStatus};
use crate::access::text;
use crate::audit::event::{Event, EventType};
use crate::directory::LiveEvidence;
use crate::ledger;
use crate::policy::Rule;
use crate::policy::ask::FieldError;
use crate::policy::check::REASON_MAX_CHARS;
use crate::policy::facts::InForce;
use crate::policy::recheck::approvals_needed;
use crate::postgres::change::Change;
use crate::postgres::{decisions, directory, policies, requests};

/// Oldest evidence that a yes may rest on.
const EVIDENCE_MAX_AGE: TimeDelta = TimeDelta::seconds(10);

/// How often a decision is taken anew because others decided meanwhile.
const ATTEMPTS: usize = 5;

/// What an attempt came to.
enum Attempt {
    Done,
    /// Somebody else decided between reading and locking: read again.
    Outdated,
}

impl Broker {
    /// Decides on a request.
    ///
    /// # Errors
    /// The refusal, or what broke.
    pub async fn decide(
        &self,
        by: &SignedInPerson,
        id: RequestId,
        verdict: Verdict,
        comment: &str,
    ) -> Result<(), ActError> {
        let (request, relation) = self.concerned(&by.person.id, id).await?;
        let refused = if relation.is_requester {
            // Who asked never changes, so this needs no lock and no directory.
            let why = NotQualified::SelfApproval;
            Refused::new(Kind::Forbidden, why.code(), why.to_string())
        } else if relation.may_approve || relation.has_decided {
            let comment = clean_comment(comment);
            let decided = match comment {
                Ok(comment) => self.decide_until_settled(by, id, verdict, comment).await,
                Err(refused) => Err(refused.into()),
            };
            match decided {
                Ok(()) => return Ok(()),
                Err(ActError::Refused(refused)) => refused,
                Err(failed) => return Err(failed),
            }
        } else if relation.may_see() {
            // Said by the copy: nobody who can't decide may use up the directory's calls.
            let why = NotQualified::NotAnApprover;
            Refused::new(Kind::Forbidden, why.code(), why.to_string())
        } else {
            Refused::not_found()
        };
        Err(self
            .refuse(by, EventType::DecisionRefused, Some(&request), refused)
            .await?
            .into())
    }

    async fn decide_until_settled(
        &self,
        by: &SignedInPerson,
        id: RequestId,
        verdict: Verdict,
        comment: Option<String>,
    ) -> Result<(), ActError> {
        for _ in 0..ATTEMPTS {
            let live = match verdict {
                Verdict::Yes => Some(self.live(by, id).await?),
                Verdict::No => None,
            };
            if let Attempt::Done = self
                .try_decide(by, id, verdict, comment.clone(), live)
                .await?
            {
                return Ok(());
            }
        }
        Err(Refused::new(
            Kind::Unavailable,
            "busy",
            "Others are deciding at this moment. Try again.",
        )
        .into())
    }

    /// What the identity store says, live, of everybody whose yes counts. Unreachable: no yes. Where
    /// there is nothing left to decide, nothing is asked: the rows say so better.
    async fn live(&self, by: &SignedInPerson, id: RequestId) -> Result<LiveEvidence, ActError> {
        let mut conn = self.db.conn().await?;
        let request = requests::find(&mut conn, id)
            .await?
            .ok_or_else(Refused::not_found)?;
        let mut people: BTreeSet<PersonId> = decisions::list(&mut conn, id)
            .await?
            .into_iter()
            .map(|decision| decision.approver.id)
            .collect();
        let has_decided = !people.insert(by.person.id.clone());
        if has_decided || request.status != RequestStatus::Pending {
            people.clear();
        }
        let in_force = policies::find_in_force(&mut conn).await?;
        drop(conn);
        let groups = in_force
            .as_ref()
            .and_then(|in_force| rule_now(in_force, &request))
            .map(|(_, groups)| groups);
        fail_point!("broker.decide.before");
        let live = self
            .directory
            .evidence(&self.db, &people, &groups.unwrap_or_default())
            .await;
        fail_point!("broker.decide.answered");
        live.map_err(|error| {
            tracing::warn!(error = format!("{error:#}"), "the directory can't be read; a yes is refused");
            let text = "The directory can't be read just now, so a yes can't be checked. Try again in a moment. (A no works.)";
            Refused::new(Kind::Unavailable, "directory_unreachable", text).into()
        })
    }

    async fn try_decide(
        &self,
        by: &SignedInPerson,
        id: RequestId,
        verdict: Verdict,
        comment: Option<String>,
        live: Option<LiveEvidence>,
    ) -> Result<Attempt, ActError> {
        let mut change = Change::begin(&self.db, Actor::Person(Box::new(by.clone()))).await?;
        let request = requests::lock(change.conn(), id)
            .await?
            .ok_or_else(Refused::not_found)?;
        let now = change.now().await?;
        match request.openness(now) {
            Openness::Open => {}
            Openness::LapseDue => {
                ledger::lapse(&mut change, &request, "nobody answered in time").await?;
                change.commit().await?;
                return Err(closed(RequestStatus::Lapsed).into());
            }
            Openness::Closed(status) => return Err(closed(status).into()),
        }
        let in_force = policies::find_in_force(change.conn()).await?;
        let found = in_force
            .as_ref()
            .and_then(|in_force| rule_now(in_force, &request));
        let Some((rule, groups)) = found else {
            ledger::lapse(&mut change, &request, "its rule is gone or suspended").await?;
            change.commit().await?;
            return Err(Refused::new(
                Kind::Conflict,
                "rule_gone",
                "The rule of this request is gone or suspended, so the request has lapsed.",
            )
            .into());
        };
        if verdict == Verdict::Yes {
            pause::access_may_begin(change.conn()).await?;
        }
        let mut decided = decisions::list(change.conn(), id).await?;
        if decided
            .iter()
            .any(|decision| decision.approver.id == by.person.id)
        {
            return Err(Refused::new(
                Kind::Conflict,
                "already_decided",
                "You have decided on this request already.",
            )
            .into());
        }
        let evidence = match live {
            None => self.copied(&mut change, by).await?,
            Some(live) => {
                let complete = decided
                    .iter()
                    .all(|decision| live.evidence.contains_key(&decision.approver.id));
                if !complete || now - live.read_at > EVIDENCE_MAX_AGE {
                    return Ok(Attempt::Outdated);
                }
                live.evidence
            }
        };
        let group_id = qualifies((by, verdict), &request, rule, &evidence, &groups, now)?;
        if verdict == Verdict::Yes && i64::from(request.minutes) > i64::from(rule.max_minutes) {
            let text = format!(
                "The rule allows {} minutes now, and this asks for {}. Deny it, and let them ask anew.",
                rule.max_minutes, request.minutes
            );
            return Err(Refused::new(Kind::Conflict, "over_max_minutes", text).into());
        }
        let decision = decision(by, verdict, comment, group_id, now);
        decisions::insert(change.conn(), id, &decision).await?;
        record_decision(&mut change, by, &request, &decision);
        decided.push(decision);
        match verdict {
            Verdict::No => {
                requests::close(change.conn(), id, RequestStatus::Denied, now).await?;
                change.record(Event::new(EventType::RequestDenied).request(id, &request.target));
            }
            Verdict::Yes => {
                let needed = approvals_needed(&request, rule.approvals);
                if valid_approvals(&request, &decided, &evidence, &groups, rule.demand()) >= needed
                {
                    self.approve(&mut change, &request, needed).await?;
                }
            }
        }
        change.wake();
        fail_point!("broker.decide.uncommitted");
        change.commit().await?;
        fail_point!("broker.decide.committed");
        Ok(Attempt::Done)
    }

    async fn approve(
        &self,
        change: &mut Change,
        request: &Request,
        approvals: usize,
    ) -> Result<(), ActError> {
        let person = directory::find_person(change.conn(), &request.requester.id).await?;
        let permission_set =
            directory::find_permission_set(change.conn(), request.target.permission_set()).await?;
        let (Some(person), Some(permission_set)) = (person, permission_set) else {
            let text = "The requester or the permission set is gone from the directory, so this can't be approved.";
            return Err(Refused::new(Kind::Conflict, "target_gone", text).into());
        };
        let approved = Event::new(EventType::RequestApproved)
            .request(request.id, &request.target)
            .with("by", "approvers")
            .with("approvals", i64::try_from(approvals).unwrap_or(i64::MAX));
        ledger::approve(
            change,
            request,
            &person.user_id,
            permission_set.session_seconds,
            &self.settings,
            approved,
        )
        .await?;
        Ok(())
    }

    /// For a no: the copy is good enough, and a no must work while the directory is away.
    async fn copied(&self, change: &mut Change, by: &SignedInPerson) -> anyhow::Result<Evidence> {
        let enabled = directory::find_person(change.conn(), &by.person.id)
            .await?
            .is_some_and(|person| person.enabled);
        let groups = directory::groups_of(change.conn(), &by.person.id)
            .await?
            .into_keys()
            .collect();
        Ok([(
            by.person.id.clone(),
            Standing {
                enabled,
                groups,
                ..Standing::default()
            },
        )]
        .into())
    }
}

fn rule_now<'a>(in_force: &'a InForce, request: &Request) -> Option<(&'a Rule, RuleGroups)> {
    let rule = in_force.policy.rule(&request.rule)?;
    Some((rule, in_force.groups(rule).ok()?))
}

/// The group through which they may decide. A no takes nothing but membership: it may be given with the
/// weakest sign-in.
fn qualifies(
    (by, verdict): (&SignedInPerson, Verdict),
    request: &Request,
    rule: &Rule,
    evidence: &Evidence,
    groups: &RuleGroups,
    now: DateTime<Utc>,
) -> Result<String, Refused> {
    let standing = evidence.get(&by.person.id).cloned().unwrap_or_default();
    let qualified = qualifying_group(request, &by.person.id, &standing, groups);
    let group =
        qualified.map_err(|why| Refused::new(Kind::Forbidden, why.code(), why.to_string()))?;
    if verdict == Verdict::Yes {
        by.prove(rule.demand(), now).map_err(Refused::unproved)?;
    }
    Ok(group)
}

fn decision(
    by: &SignedInPerson,
    verdict: Verdict,
    comment: Option<String>,
    group_id: String,
    now: DateTime<Utc>,
) -> Decision {
    Decision {
        approver: Named {
            id: by.person.id.clone(),
            email: by.person.email.clone(),
            name: by.person.name.clone(),
        },
        verdict,
        comment,
        channel: by.channel.as_str().to_owned(),
        assurance: by.assurance,
        auth_time: by.auth_time,
        group_id,
        decided_at: now,
    }
}

/// How the approver had proved who they are stands with the decision: that is what it is worth.
fn record_decision(
    change: &mut Change,
    by: &SignedInPerson,
    request: &Request,
    decision: &Decision,
) {
    change.record(
        Event::new(EventType::DecisionRecorded)
            .request(request.id, &request.target)
            .with("verdict", decision.verdict.as_str())
            .with("comment", decision.comment.clone())
            .with("group_id", decision.group_id.as_str())
            .with("assurance", decision.assurance.as_str())
            .with("amr", by.amr.clone())
            .with("acr", by.acr.clone())
            .at("auth_time", by.auth_time),
    );
}

/// A comment is free text under the same rules as a reason, and may be empty.
pub(super) fn clean_comment(typed: &str) -> Result<Option<String>, Refused> {
    let invalid = |code, text: String| Refused {
        fields: vec![FieldError {
            field: "comment",
            code,
            text: text.clone(),
        }],
        ..Refused::new(Kind::Invalid, code, text)
    };
    let comment = text::clean(typed).map_err(|forbidden| {
        invalid(
            "forbidden_character",
            format!("In the comment {forbidden}."),
        )
    })?;
    if comment.chars().count() > REASON_MAX_CHARS as usize {
        return Err(invalid(
            "comment_too_long",
            format!("The comment has more than {REASON_MAX_CHARS} characters."),
        ));
    }
    Ok(Some(comment).filter(|comment| !comment.is_empty()))
}

pub(super) fn closed(status: RequestStatus) -> Refused {
    let text = match status {
        RequestStatus::Pending => "This request is pending.",
        RequestStatus::Approved => "This request has been approved already.",
        RequestStatus::Denied => "This request has been denied already.",
        RequestStatus::Cancelled => "The requester has taken this request back.",
        RequestStatus::Lapsed => {
            "This request has lapsed: nobody answered in time. Ask again if it is still needed."
        }
    };
    Refused::new(Kind::Conflict, "already_closed", text)
}
