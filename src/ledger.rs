//! Transitions of requests and grants as they are committed: the pure transition, the checked
//! UPDATE and the event, together, once for everybody who may cause it.
//!
//! The acts (`broker`) and the engine both end here, so that a rule about a transition is written
//! once. Callers hold the locks (request, then grant) and own the transaction.

use chrono::{DateTime, Utc};

use crate::access::assignment::TargetGone;
use crate::access::grant::{EndReason, Grant, GrantState};
use crate::access::id::GrantId;
use crate::access::request::{Request, RequestStatus};
use crate::audit::event::{Event, EventType};
use crate::postgres::change::Change;
use crate::postgres::{assignments, grants, requests};
use crate::settings::Settings;

/// `pending → approved`, and the grant that follows: from this commit on the obligation to end it is
/// a row, before anything was sent (promise P2).
///
/// `session_seconds` is the permission set's, `user_id` the requester's as AWS writes it.
///
/// # Errors
/// If the request is not pending any more, or the database refuses.
pub async fn approve(
    change: &mut Change,
    request: &Request,
    user_id: &str,
    session_seconds: i64,
    settings: &Settings,
    approved: Event,
) -> anyhow::Result<Grant> {
    let now = change.now().await?;
    requests::close(change.conn(), request.id, RequestStatus::Approved, now).await?;
    change.record(approved);
    schedule(change, request, user_id, session_seconds, settings, now).await
}

/// The grant of a request that is approved in this same change.
///
/// # Errors
/// If the database refuses.
pub async fn schedule(
    change: &mut Change,
    request: &Request,
    user_id: &str,
    session_seconds: i64,
    settings: &Settings,
    now: DateTime<Utc>,
) -> anyhow::Result<Grant> {
    let target = &request.target;
    let assignment_id = assignments::want(
        change.conn(),
        &request.requester.id,
        user_id,
        target.account_id(),
        target.permission_set_arn(),
        now,
    )
    .await?;
    let grant = Grant {
        id: GrantId::new(now),
        request_id: request.id,
        assignment_id,
        granted: request.granted,
        session: chrono::TimeDelta::seconds(session_seconds),
        start_at: now,
        activate_by: now + settings.activate_within,
        overdue_at: None,
        state: GrantState::Scheduled,
    };
    grants::insert(change.conn(), &grant).await?;
    change.record(
        Event::new(EventType::GrantScheduled)
            .request(request.id, target)
            .grant(grant.id)
            .with("minutes", request.minutes)
            .at("activate_by", Some(grant.activate_by)),
    );
    change.wake();
    Ok(grant)
}

/// `pending → lapsed`.
///
/// # Errors
/// If the request is not pending any more, or the database refuses.
pub async fn lapse(change: &mut Change, request: &Request, why: &str) -> anyhow::Result<()> {
    let now = change.now().await?;
    requests::close(change.conn(), request.id, RequestStatus::Lapsed, now).await?;
    change.record(
        Event::new(EventType::RequestLapsed)
            .request(request.id, &request.target)
            .with("why", why),
    );
    Ok(())
}

/// `scheduled → provisioning`: the check before the start passed.
///
/// # Errors
/// If the grant is not scheduled any more, or the database refuses.
pub async fn provision(
    change: &mut Change,
    request: &Request,
    grant: &mut Grant,
) -> anyhow::Result<()> {
    let (now, from) = (change.now().await?, grant.status());
    grant.provision(now)?;
    grants::save(change.conn(), grant, from).await?;
    change.record(
        Event::new(EventType::GrantProvisioned)
            .request(request.id, &request.target)
            .grant(grant.id)
            .at(
                "ends_at_latest",
                grant.window().map(|window| window.ends_at),
            ),
    );
    Ok(())
}

/// `provisioning → active`: Identity Center confirmed.
///
/// # Errors
/// If the grant is not provisioning any more, or the database refuses.
pub async fn activate(
    change: &mut Change,
    request: &Request,
    grant: &mut Grant,
) -> anyhow::Result<()> {
    let (now, from) = (change.now().await?, grant.status());
    grant.activate(now)?;
    grants::save(change.conn(), grant, from).await?;
    change.record(
        Event::new(EventType::GrantActivated)
            .request(request.id, &request.target)
            .grant(grant.id)
            .at("ends_at", grant.window().map(|window| window.ends_at)),
    );
    Ok(())
}

/// Starts the end of a grant; one for which nothing was ever sent fails at once.
///
/// # Errors
/// If the grant is ending or over already, or the database refuses.
pub async fn end(
    change: &mut Change,
    request: &Request,
    grant: &mut Grant,
    reason: EndReason,
    detail: Option<&str>,
) -> anyhow::Result<()> {
    let (now, from) = (change.now().await?, grant.status());
    grant.end(now, reason)?;
    grants::save(change.conn(), grant, from).await?;
    let kind = if grant.is_over() {
        EventType::GrantFailed
    } else {
        EventType::GrantEndStarted
    };
    change.record(
        Event::new(kind)
            .request(request.id, &request.target)
            .grant(grant.id)
            .with("reason", reason.as_str())
            .with("detail", detail)
            .at("sessions_until", grant.sessions_until()),
    );
    if grant.is_over() {
        requests::release(change.conn(), request.id).await?;
    }
    assignments::hurry(change.conn(), grant.assignment_id, now).await?;
    change.wake();
    Ok(())
}

/// `ending → ended` or `failed`: Identity Center confirmed that the assignment is gone.
///
/// # Errors
/// If the grant is not ending any more, or the database refuses.
pub async fn confirm_gone(
    change: &mut Change,
    request: &Request,
    grant: &mut Grant,
) -> anyhow::Result<()> {
    let (now, from) = (change.now().await?, grant.status());
    grant.confirm_gone(now)?;
    grants::save(change.conn(), grant, from).await?;
    requests::release(change.conn(), request.id).await?;
    let kind = if grant.active_at().is_some() {
        EventType::GrantEnded
    } else {
        EventType::GrantFailed
    };
    change.record(
        Event::new(kind)
            .request(request.id, &request.target)
            .grant(grant.id)
            .with("reason", grant.end_reason().map(EndReason::as_str))
            .at("sessions_until", grant.sessions_until()),
    );
    Ok(())
}

/// `ending → closed_unconfirmed`: an administrator closed it, since its target is confirmed gone.
///
/// # Errors
/// If the grant is not ending any more, or the database refuses.
pub async fn close_unconfirmed(
    change: &mut Change,
    request: &Request,
    grant: &mut Grant,
    gone: TargetGone,
    comment: &str,
) -> anyhow::Result<()> {
    let (now, from) = (change.now().await?, grant.status());
    grant.close_unconfirmed(now)?;
    grants::save(change.conn(), grant, from).await?;
    requests::release(change.conn(), request.id).await?;
    change.record(
        Event::new(EventType::GrantClosedUnconfirmed)
            .request(request.id, &request.target)
            .grant(grant.id)
            .with("reason", grant.end_reason().map(EndReason::as_str))
            .with("gone", gone.part.as_str())
            .at("gone_first_seen_at", Some(gone.first_at))
            .at("gone_last_seen_at", Some(gone.last_at))
            .with("comment", comment),
    );
    Ok(())
}

/// An ending takes too long: recorded once. The engine says it in the log as long as it lasts.
///
/// # Errors
/// If the grant is not ending any more, or the database refuses.
pub async fn report_overdue(
    change: &mut Change,
    request: &Request,
    grant: &mut Grant,
) -> anyhow::Result<()> {
    let (now, from) = (change.now().await?, grant.status());
    grant.overdue_at = Some(now);
    grants::save(change.conn(), grant, from).await?;
    change.record(
        Event::new(EventType::GrantOverdue)
            .request(request.id, &request.target)
            .grant(grant.id),
    );
    Ok(())
}
