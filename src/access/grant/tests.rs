//! The grant's transitions: every state, every instant.

use super::super::request::tests::at;
use super::*;

pub(crate) fn scheduled() -> Grant {
    Grant {
        id: GrantId::new(at(0)),
        request_id: RequestId::new(at(0)),
        assignment_id: AssignmentId::new(at(0)),
        granted: TimeDelta::minutes(10),
        session: TimeDelta::hours(1),
        start_at: at(0),
        activate_by: at(900),
        overdue_at: None,
        state: GrantState::Scheduled,
    }
}

fn in_every_state() -> Vec<Grant> {
    let mut all = vec![scheduled()];
    let mut grant = scheduled();
    grant.provision(at(1)).unwrap();
    all.push(grant.clone());
    grant.mark_sent(at(1)).unwrap();
    all.push(grant.clone());
    let mut never_active = grant.clone();
    grant.activate(at(5)).unwrap();
    all.push(grant.clone());
    grant.end(at(10), EndReason::Requester).unwrap();
    all.push(grant.clone());
    grant.confirm_gone(at(12)).unwrap();
    all.push(grant);
    never_active.end(at(10), EndReason::Requester).unwrap();
    all.push(never_active.clone());
    let mut closed = never_active.clone();
    closed.close_unconfirmed(at(12)).unwrap();
    all.push(closed);
    never_active.confirm_gone(at(12)).unwrap();
    all.push(never_active);
    all
}

#[test]
fn the_window_is_counted_from_confirmation_and_never_past_the_provisional_end() {
    let mut grant = scheduled();
    grant.provision(at(0)).unwrap();
    assert_eq!(grant.window().unwrap().ends_at, at(600 + 300));
    let mut quick = grant.clone();
    quick.activate(at(20)).unwrap();
    assert_eq!(quick.window().unwrap().ends_at, at(620));
    grant.activate(at(500)).unwrap();
    assert_eq!(
        grant.window().unwrap().ends_at,
        at(900),
        "confirmation may not move the end later"
    );
}

#[test]
fn every_state_has_exactly_its_transitions() {
    use GrantStatus::{Active, ClosedUnconfirmed, Ended, Ending, Failed, Provisioning, Scheduled};
    for grant in in_every_state() {
        let from = grant.status();
        let sent = grant
            .window()
            .is_some_and(|window| window.sent_at.is_some());
        let after = |act: &dyn Fn(&mut Grant) -> Result<(), NoSuchTransition>| {
            let mut grant = grant.clone();
            act(&mut grant).ok().map(|()| grant.status())
        };
        let only = |wanted: GrantStatus, to: GrantStatus| (from == wanted).then_some(to);
        assert_eq!(
            after(&|grant| grant.provision(at(99))),
            only(Scheduled, Provisioning)
        );
        assert_eq!(
            after(&|grant| grant.mark_sent(at(99))),
            only(Provisioning, Provisioning)
        );
        assert_eq!(
            after(&|grant| grant.activate(at(99))),
            only(Provisioning, Active)
        );
        let ends_as = match from {
            Scheduled => Some(Failed),
            Provisioning if !sent => Some(Failed),
            Provisioning | Active => Some(Ending),
            Ending | Ended | Failed | ClosedUnconfirmed => None,
        };
        assert_eq!(
            after(&|grant| grant.end(at(99), EndReason::Due)),
            ends_as,
            "from {from:?}, sent: {sent}"
        );
        let was_active = grant.active_at().is_some();
        assert_eq!(
            after(&|grant| grant.confirm_gone(at(99))),
            only(Ending, if was_active { Ended } else { Failed })
        );
        assert_eq!(
            after(&|grant| grant.close_unconfirmed(at(99))),
            only(Ending, ClosedUnconfirmed)
        );
    }
}

#[test]
fn time_ends_a_grant_at_the_very_instant() {
    let mut grant = scheduled();
    assert_eq!(grant.due(at(899)), None);
    assert_eq!(grant.due(at(900)), Some(EndReason::ProvisioningFailed));
    grant.provision(at(0)).unwrap();
    assert_eq!(grant.due(at(899)), None);
    assert_eq!(grant.due(at(900)), Some(EndReason::ProvisioningFailed));
    grant.activate(at(10)).unwrap();
    assert_eq!(grant.due(at(609)), None);
    assert_eq!(grant.due(at(610)), Some(EndReason::Due));
}

#[test]
fn sessions_may_outlive_only_what_was_sent() {
    for grant in in_every_state() {
        let sent = grant
            .window()
            .is_some_and(|window| window.sent_at.is_some());
        let is_gone_for_sure =
            ![GrantStatus::Ending, GrantStatus::ClosedUnconfirmed].contains(&grant.status());
        let is_known = sent && is_gone_for_sure;
        assert_eq!(grant.sessions_until().is_some(), is_known);
    }
    let ended = in_every_state()
        .into_iter()
        .find(|grant| grant.status() == GrantStatus::Ended)
        .unwrap();
    assert_eq!(ended.sessions_until(), Some(at(12 + 3600)));
}
