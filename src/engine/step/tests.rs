//! The step function: row by row, and in a world that does its worst.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::access::assignment::Sight;
use crate::access::grant::tests::scheduled;
use crate::access::id::{AssignmentId, OperationId};
use crate::access::person::PersonId;
use crate::access::request::tests::at;

const TIMING: Timing = Timing {
    settle: TimeDelta::seconds(900),
    standing_gap: TimeDelta::seconds(60),
    confirm_gap: TimeDelta::seconds(30),
    relist: TimeDelta::seconds(2),
    stuck: TimeDelta::seconds(900),
};

fn picture(grants: Vec<Grant>) -> Picture {
    Picture {
        assignment: Assignment {
            id: AssignmentId::new(at(0)),
            principal_id: PersonId::new("engineer"),
            user_id: "engineer".into(),
            account_id: "111111111111".into(),
            permission_set_arn: "arn".into(),
            owned_since: None,
            revision: 0,
            sight: None,
            failures: 0,
            target_gone: None,
            retry_at: None,
        },
        grants,
        history: History::default(),
    }
}

fn operation(kind: OperationKind, status: OperationStatus, at_seconds: i64) -> Operation {
    let resolved = !matches!(
        status,
        OperationStatus::Intended | OperationStatus::InProgress | OperationStatus::Stuck
    );
    Operation {
        id: OperationId::new(at(at_seconds)),
        kind,
        grant_id: None,
        status,
        intended_at: at(at_seconds),
        answer_by: at(at_seconds + 15),
        unresolved_until: at(at_seconds + 915),
        aws_id: Some("id".into()),
        looks: 1,
        next_look_at: Some(at(at_seconds + 5)),
        resolved_at: resolved.then(|| at(at_seconds + 5)),
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands where the picture has an option"
)]
fn seen(present: bool, first: i64, last: i64) -> Option<Sight> {
    Some(Sight {
        present,
        first_at: at(first),
        last_at: at(last),
    })
}

fn provisioning(sent: bool) -> Grant {
    let mut grant = scheduled();
    grant.provision(at(0)).unwrap();
    if sent {
        grant.mark_sent(at(0)).unwrap();
    }
    grant
}

fn active() -> Grant {
    let mut grant = provisioning(true);
    grant.activate(at(10)).unwrap();
    grant
}

fn ending() -> Grant {
    let mut grant = active();
    grant.end(at(100), EndReason::Requester).unwrap();
    grant
}

/// A picture of something that is ours.
fn ours(grants: Vec<Grant>, last: Option<Operation>, sight: Option<Sight>) -> Picture {
    let mut picture = picture(grants);
    picture.assignment.owned_since = Some(at(0));
    picture.assignment.sight = sight;
    picture.history.last = last;
    picture
}

#[track_caller]
fn check(picture: &Picture, seconds: i64, expected: Step) {
    assert_eq!(next(picture, &TIMING, at(seconds)), expected);
}

#[test]
fn nothing_to_do_is_idle() {
    check(&picture(vec![]), 0, Step::Idle);
}

#[test]
fn a_start_looks_first_and_creates_only_where_nothing_stands() {
    let grant = scheduled();
    let mut picture = picture(vec![grant.clone()]);
    check(&picture, 1, Step::Look);
    picture.assignment.sight = seen(false, 1, 1);
    check(&picture, 2, Step::Create(grant.id));
    check(&picture, 62, Step::Look);
    picture.assignment.sight = seen(true, 1, 1);
    check(
        &picture,
        2,
        Step::EndGrant(grant.id, EndReason::AlreadyAssigned),
    );
    // One of ours was there lately: a listing may lag, so look twice (S2).
    picture.history.touched_at = Some(at(-10));
    check(&picture, 2, Step::Wait(at(61)));
    check(&picture, 61, Step::Look);
    picture.assignment.sight = seen(true, 1, 61);
    check(
        &picture,
        61,
        Step::EndGrant(grant.id, EndReason::AlreadyAssigned),
    );
    // A delete of ours that may still arrive would take the new access away again.
    picture.assignment.sight = seen(false, 1, 61);
    picture.history.delete_may_arrive_until = Some(at(100));
    check(&picture, 62, Step::Wait(at(100)));
}

#[test]
fn a_start_in_the_future_waits_for_its_time() {
    let grant = Grant {
        start_at: at(50),
        ..scheduled()
    };
    check(&picture(vec![grant]), 0, Step::Wait(at(50)));
}

#[test]
fn an_open_operation_is_followed_and_nothing_else_is_done_meanwhile() {
    let mut picture = ours(vec![ending()], None, None);
    let operation = operation(OperationKind::Create, OperationStatus::Intended, 0);
    let id = operation.id;
    picture.history.open = Some(operation.clone());
    check(&picture, 14, Step::Wait(at(15)));
    check(&picture, 15, Step::FindLost(id));
    picture.history.open = Some(Operation {
        kind: OperationKind::Delete,
        ..operation.clone()
    });
    check(&picture, 15, Step::GiveUp(id));
    picture.history.open = Some(Operation {
        status: OperationStatus::InProgress,
        ..operation.clone()
    });
    check(&picture, 4, Step::Wait(at(5)));
    check(&picture, 5, Step::Describe(id));
    picture.grants[0].overdue_at = Some(at(220));
    check(&picture, 900, Step::SetStuck(id));
}

#[test]
fn time_comes_before_everything() {
    let mut picture = ours(vec![active()], None, None);
    picture.history.open = Some(operation(
        OperationKind::Create,
        OperationStatus::Intended,
        605,
    ));
    let id = picture.grants[0].id;
    check(&picture, 609, Step::Wait(at(610)));
    check(&picture, 610, Step::EndGrant(id, EndReason::Due));
    let waiting = scheduled();
    check(
        &super::tests::picture(vec![waiting.clone()]),
        900,
        Step::EndGrant(waiting.id, EndReason::ProvisioningFailed),
    );
}

#[test]
fn active_is_said_only_after_success_and_a_listing_that_began_afterwards() {
    let grant = provisioning(true);
    let done = Some(operation(
        OperationKind::Create,
        OperationStatus::Succeeded,
        0,
    ));
    check(
        &ours(vec![grant.clone()], done.clone(), None),
        6,
        Step::Look,
    );
    check(
        &ours(vec![grant.clone()], done.clone(), seen(true, 4, 4)),
        6,
        Step::Look,
    );
    check(
        &ours(vec![grant.clone()], done.clone(), seen(false, 6, 6)),
        7,
        Step::Wait(at(8)),
    );
    check(
        &ours(vec![grant.clone()], done.clone(), seen(false, 6, 6)),
        8,
        Step::Look,
    );
    check(
        &ours(vec![grant.clone()], done, seen(true, 6, 6)),
        6,
        Step::Activate(grant.id),
    );
}

#[test]
fn a_create_is_tried_again_unless_it_failed_for_good() {
    let grant = provisioning(true);
    let with = |status| {
        ours(
            vec![grant.clone()],
            Some(operation(OperationKind::Create, status, 0)),
            None,
        )
    };
    check(
        &ours(vec![grant.clone()], None, None),
        20,
        Step::Create(grant.id),
    );
    check(&with(OperationStatus::Lost), 20, Step::Create(grant.id));
    check(
        &with(OperationStatus::Failed),
        20,
        Step::EndGrant(grant.id, EndReason::ProvisioningFailed),
    );
}

#[test]
fn a_second_grant_joins_after_its_own_check_and_a_look_begun_after_it() {
    let (first, mut second) = (active(), scheduled());
    second.start_at = at(50);
    second.activate_by = at(950);
    let done = Some(operation(
        OperationKind::Create,
        OperationStatus::Succeeded,
        0,
    ));
    let mut picture = ours(vec![first, second.clone()], done, seen(true, 8, 8));
    check(&picture, 51, Step::Join(second.id));
    second.provision(at(52)).unwrap();
    picture.grants[1] = second.clone();
    check(&picture, 53, Step::Look);
    picture.assignment.sight = seen(true, 8, 53);
    check(&picture, 54, Step::Activate(second.id));
}

#[test]
fn a_grant_that_finds_it_leaving_waits_until_it_is_gone() {
    let (first, second) = (ending(), scheduled());
    let mut picture = ours(
        vec![first, second],
        Some(operation(
            OperationKind::Delete,
            OperationStatus::Succeeded,
            100,
        )),
        None,
    );
    check(&picture, 106, Step::Look);
    picture.assignment.sight = seen(false, 106, 106);
    check(&picture, 107, Step::Gone);
}

#[test]
fn what_was_taken_away_outside_ends_after_two_looks_and_is_never_put_back() {
    let grant = active();
    let done = Some(operation(
        OperationKind::Create,
        OperationStatus::Succeeded,
        0,
    ));
    check(
        &ours(vec![grant.clone()], done.clone(), seen(false, 50, 50)),
        51,
        Step::Wait(at(80)),
    );
    check(
        &ours(vec![grant.clone()], done.clone(), seen(false, 50, 50)),
        80,
        Step::Look,
    );
    check(
        &ours(vec![grant.clone()], done, seen(false, 50, 80)),
        81,
        Step::EndGrant(grant.id, EndReason::RemovedOutside),
    );
}

#[test]
fn a_shared_assignment_stays_while_one_grant_wants_it() {
    let done = Some(operation(
        OperationKind::Create,
        OperationStatus::Succeeded,
        0,
    ));
    let picture = ours(vec![ending(), active()], done, seen(true, 8, 8));
    check(&picture, 300, Step::Wait(at(610)));
}

#[test]
fn taking_away_sends_a_delete_and_believes_only_what_it_sees_afterwards() {
    let with = |status, sight| {
        ours(
            vec![ending()],
            Some(operation(OperationKind::Delete, status, 100)),
            sight,
        )
    };
    let created = |status| {
        ours(
            vec![ending()],
            Some(operation(OperationKind::Create, status, 0)),
            seen(false, 90, 90),
        )
    };
    for status in [
        OperationStatus::Succeeded,
        OperationStatus::Failed,
        OperationStatus::Lost,
        OperationStatus::Stuck,
    ] {
        check(&created(status), 101, Step::Delete);
    }
    let succeeded = OperationStatus::Succeeded;
    check(&with(succeeded, None), 106, Step::Look);
    check(&with(succeeded, seen(false, 106, 106)), 107, Step::Gone);
    check(
        &with(succeeded, seen(true, 106, 106)),
        107,
        Step::Wait(at(108)),
    );
    check(&with(succeeded, seen(true, 106, 106)), 108, Step::Look);
    check(&with(succeeded, seen(true, 106, 136)), 137, Step::Delete);
    let failed = OperationStatus::Failed;
    check(&with(failed, None), 106, Step::Look);
    check(&with(failed, seen(true, 106, 106)), 107, Step::Delete);
    check(
        &with(failed, seen(false, 106, 106)),
        107,
        Step::Wait(at(136)),
    );
    check(&with(failed, seen(false, 106, 106)), 136, Step::Look);
    check(&with(failed, seen(false, 106, 136)), 137, Step::Gone);
    check(&with(OperationStatus::Lost, None), 120, Step::Delete);
    // Every create was refused: one look is enough, and what it shows goes with ours (S2).
    check(&ours(vec![ending()], None, None), 101, Step::Look);
    check(
        &ours(vec![ending()], None, seen(false, 101, 101)),
        102,
        Step::Gone,
    );
    check(
        &ours(vec![ending()], None, seen(true, 101, 101)),
        102,
        Step::Delete,
    );
}

#[test]
fn while_a_create_of_ours_may_arrive_it_is_not_gone() {
    let mut picture = ours(
        vec![ending()],
        Some(operation(
            OperationKind::Delete,
            OperationStatus::Succeeded,
            100,
        )),
        seen(false, 106, 106),
    );
    picture.grants[0].overdue_at = Some(at(220));
    let mut lost = operation(OperationKind::Create, OperationStatus::Lost, 0);
    lost.aws_id = None;
    picture.history.lost_create = Some(lost.clone());
    check(&picture, 107, Step::Wait(at(136)));
    check(&picture, 136, Step::Look);
    picture.assignment.sight = seen(true, 136, 136);
    picture.history.last.as_mut().unwrap().status = OperationStatus::Failed;
    check(&picture, 137, Step::Delete);
    picture.assignment.sight = seen(false, 106, 914);
    check(&picture, 914, Step::Wait(at(915)));
    // It can't arrive any more; now the list of operations says for good whether it did.
    check(&picture, 915, Step::FindLost(lost.id));
    picture.history.lost_create = None;
    check(&picture, 916, Step::Gone);
    picture.history.stuck = Some(operation(OperationKind::Create, OperationStatus::Stuck, 0));
    check(
        &picture,
        916,
        Step::Describe(picture.history.stuck.as_ref().unwrap().id),
    );
}

#[test]
fn pacing_holds_back_calls_and_nothing_else() {
    let mut picture = ours(
        vec![ending()],
        Some(operation(OperationKind::Delete, OperationStatus::Lost, 100)),
        None,
    );
    picture.assignment.retry_at = Some(at(130));
    check(&picture, 129, Step::Wait(at(130)));
    check(&picture, 130, Step::Delete);
    picture.history.last = Some(operation(
        OperationKind::Delete,
        OperationStatus::Succeeded,
        100,
    ));
    picture.assignment.sight = seen(false, 106, 106);
    check(&picture, 129, Step::Gone);
}

#[test]
fn an_ending_that_takes_too_long_is_reported_once() {
    let mut picture = ours(
        vec![ending()],
        Some(operation(OperationKind::Delete, OperationStatus::Lost, 100)),
        None,
    );
    picture.assignment.retry_at = Some(at(400));
    check(&picture, 219, Step::Wait(at(220)));
    check(&picture, 220, Step::ReportOverdue(picture.grants[0].id));
    picture.grants[0].overdue_at = Some(at(220));
    check(&picture, 221, Step::Wait(at(400)));
}

#[test]
fn a_lost_create_is_settled_while_the_grant_lasts() {
    let done = operation(OperationKind::Create, OperationStatus::Succeeded, 0);
    let mut long = active();
    let GrantState::Active { window, .. } = &mut long.state else {
        unreachable!("it is active");
    };
    window.ends_at = at(3600);
    let mut picture = ours(vec![long], Some(done), seen(true, 8, 8));
    let lost = operation(OperationKind::Create, OperationStatus::Lost, 0);
    picture.history.lost_create = Some(lost.clone());
    check(&picture, 20, Step::Wait(at(915)));
    check(&picture, 915, Step::FindLost(lost.id));
    picture.history.lost_create = None;
    check(&picture, 916, Step::Wait(at(3600)));
}

#[test]
fn an_ending_is_overdue_from_when_it_was_due_however_late_it_began() {
    // Nobody was there to end it at 610.
    let mut late = active();
    late.end(at(1000), EndReason::Due).unwrap();
    let id = late.id;
    let done = operation(OperationKind::Create, OperationStatus::Succeeded, 0);
    let picture = ours(vec![late], Some(done), seen(true, 8, 8));
    check(&picture, 1000, Step::ReportOverdue(id));
}

#[test]
fn an_ending_that_another_grant_holds_up_is_late_only_after_that_one_s_end() {
    let (mut first, mut second) = (active(), active());
    second.id = GrantId::new(at(1));
    first.end(at(100), EndReason::Requester).unwrap();
    let done = operation(OperationKind::Create, OperationStatus::Succeeded, 0);
    let mut picture = ours(
        vec![first, second.clone()],
        Some(done.clone()),
        seen(true, 8, 8),
    );
    check(&picture, 500, Step::Wait(at(610)));
    second.end(at(610), EndReason::Due).unwrap();
    picture.grants[1] = second;
    check(&picture, 729, Step::Delete);
    check(&picture, 730, Step::ReportOverdue(picture.grants[0].id));
}

#[test]
fn one_listing_soon_after_ours_left_never_makes_an_assignment_standing_however_long_ago_it_is() {
    let grant = scheduled();
    let mut picture = picture(vec![grant]);
    picture.history.touched_at = Some(at(-870));
    picture.assignment.sight = seen(true, 1, 1);
    // Ours left less than the settle time before that listing, but more than that before now.
    check(&picture, 31, Step::Wait(at(61)));
    check(&picture, 61, Step::Look);
}

/// A world that does its worst for a while: answers get lost, requests arrive late, operations fail
/// with or without their effect, listings are stale.
struct World {
    now: DateTime<Utc>,
    picture: Picture,
    history: Vec<Operation>,
    is_there: bool,
    /// The last listing since anything was sent showed it. One that lags may show something else a
    /// moment later.
    is_shown: bool,
    was_there: Vec<(DateTime<Utc>, bool)>,
    /// Effects to come: when, and whether it is there afterwards.
    to_come: Vec<(DateTime<Utc>, bool)>,
    /// Creates whose answer was lost: when they arrive, if ever, and when they take effect then.
    adrift: Vec<(OperationId, DateTime<Utc>, DateTime<Utc>)>,
    lag: TimeDelta,
}

/// What chance decides at each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Luck {
    Good,
    Refused,
    LostBefore,
    LostAfter,
    ArrivesLate,
    FailsWithEffect,
    FailsWithout,
}

impl World {
    fn new(grants: Vec<Grant>, lag: i64) -> Self {
        Self {
            now: at(0),
            picture: picture(grants),
            history: Vec::new(),
            is_there: false,
            is_shown: false,
            was_there: vec![(at(-10_000), false)],
            to_come: Vec::new(),
            adrift: Vec::new(),
            lag: TimeDelta::seconds(lag),
        }
    }

    fn pass_time(&mut self, until: DateTime<Utc>) {
        self.to_come.sort_by_key(|(when, _)| *when);
        while let Some(&(when, there)) = self.to_come.first().filter(|(when, _)| *when <= until) {
            self.to_come.remove(0);
            self.is_there = there;
            self.was_there.push((when, there));
        }
        self.now = self.now.max(until);
    }

    fn listed(&self) -> bool {
        let as_of = self.now - self.lag;
        self.was_there
            .iter()
            .rev()
            .find(|(when, _)| *when <= as_of)
            .is_some_and(|(_, there)| *there)
    }

    /// Reads the rows again, as the shell does.
    fn digest(&mut self) {
        let since = self.picture.assignment.owned_since;
        self.picture.history = History::of(&self.history, since);
        self.picture.grants.retain(|grant| !grant.is_over());
    }

    fn grant(&mut self, id: GrantId) -> &mut Grant {
        self.picture
            .grants
            .iter_mut()
            .find(|grant| grant.id == id)
            .unwrap()
    }

    /// Sends an operation: what becomes of it is known a few seconds later.
    fn send(&mut self, kind: OperationKind, luck: Luck) {
        let there = kind == OperationKind::Create;
        let mut operation = operation(kind, OperationStatus::Succeeded, 0);
        operation.id = OperationId::new(self.now);
        operation.intended_at = self.now;
        operation.unresolved_until = self.now + TimeDelta::seconds(915);
        let soon = self.now + TimeDelta::seconds(3);
        operation.status = match luck {
            Luck::Good => {
                self.to_come.push((soon, there));
                OperationStatus::Succeeded
            }
            Luck::Refused => OperationStatus::Refused,
            Luck::LostBefore => OperationStatus::Lost,
            Luck::LostAfter | Luck::ArrivesLate => {
                // AWS takes a signature for fifteen minutes, and works on it for a while.
                let late = luck == Luck::ArrivesLate;
                let arrives = self.now + TimeDelta::seconds(if late { 900 } else { 0 });
                let effect = arrives + TimeDelta::seconds(if late { 60 } else { 3 });
                self.to_come.push((effect, there));
                if there {
                    self.adrift.push((operation.id, arrives, effect));
                }
                OperationStatus::Lost
            }
            Luck::FailsWithEffect => {
                self.to_come.push((soon, there));
                OperationStatus::Failed
            }
            Luck::FailsWithout => OperationStatus::Failed,
        };
        self.pass_time(self.now + TimeDelta::seconds(4));
        operation.resolved_at = Some(self.now);
        if kind == OperationKind::Create && operation.status == OperationStatus::Failed {
            let now = self.now;
            for grant in self
                .picture
                .grants
                .iter_mut()
                .filter(|grant| grant.status() == GrantStatus::Provisioning)
            {
                grant.end(now, EndReason::ProvisioningFailed).unwrap();
            }
        }
        self.picture.assignment.retry_at = (operation.status != OperationStatus::Succeeded)
            .then(|| self.now + TimeDelta::seconds(5));
        self.picture.assignment.sight = None;
        self.is_shown = false;
        self.history.push(operation);
    }

    fn take(&mut self, step: Step, luck: Luck) {
        let now = self.now;
        match step {
            Step::Idle => {}
            Step::Wait(until) => {
                assert!(until > now, "waiting for the past is a busy loop");
                self.pass_time(until);
            }
            Step::EndGrant(id, reason) => self.grant(id).end(now, reason).unwrap(),
            Step::ReportOverdue(id) => self.grant(id).overdue_at = Some(now),
            Step::Create(id) => {
                let grant = self.grant(id);
                assert!(now < grant.activate_by, "no create after activate_by (T2)");
                if grant.status() == GrantStatus::Scheduled {
                    grant.provision(now).unwrap();
                }
                grant.mark_sent(now).unwrap();
                assert!(
                    grant.window().unwrap().ends_at > now,
                    "no create after the end"
                );
                let assignment = &mut self.picture.assignment;
                assignment.owned_since = assignment.owned_since.or(Some(now));
                self.send(OperationKind::Create, luck);
            }
            Step::Join(id) => self.grant(id).provision(now).unwrap(),
            Step::Activate(id) => {
                assert!(self.is_shown, "active is said of what a listing showed");
                self.grant(id).activate(now).unwrap();
            }
            Step::Delete => {
                let leaving = self
                    .picture
                    .history
                    .last
                    .as_ref()
                    .is_some_and(|last| last.kind == OperationKind::Delete);
                assert!(
                    leaving || !self.picture.grants.iter().any(Grant::is_wanted),
                    "somebody wants it"
                );
                assert!(
                    self.picture.assignment.owned_since.is_some(),
                    "only what is ours is deleted (P4)"
                );
                self.send(OperationKind::Delete, luck);
            }
            Step::Look => {
                self.is_shown = self.listed();
                let sight = Sight::after(self.picture.assignment.sight, self.is_shown, now);
                self.picture.assignment.sight = Some(sight);
                self.pass_time(now + TimeDelta::milliseconds(200));
            }
            Step::Gone => {
                assert!(
                    !self.is_there,
                    "gone is said of something that is there (P3)"
                );
                let arriving = self.to_come.iter().any(|(_, there)| *there);
                assert!(
                    !arriving,
                    "gone is said while a create of ours may still arrive (G1)"
                );
                for grant in &mut self.picture.grants {
                    if grant.status() == GrantStatus::Ending {
                        grant.confirm_gone(now).unwrap();
                    }
                }
                self.picture.assignment.owned_since = None;
            }
            Step::FindLost(id) => {
                let arrived = self
                    .adrift
                    .iter()
                    .find(|(of, arrives, _)| *of == id && *arrives <= now)
                    .copied();
                if let Some((_, _, effect)) = arrived {
                    // It is followed until it is done.
                    self.pass_time(effect + TimeDelta::seconds(1));
                }
                let now = self.now;
                let operation = self
                    .history
                    .iter_mut()
                    .find(|operation| operation.id == id)
                    .unwrap();
                operation.status = if arrived.is_some() {
                    OperationStatus::Succeeded
                } else {
                    OperationStatus::Expired
                };
                operation.resolved_at = Some(now);
                self.picture.assignment.sight = None;
            }
            Step::Describe(_) | Step::GiveUp(_) | Step::SetStuck(_) => {
                unreachable!("no operation stays open in this world")
            }
        }
        self.digest();
    }
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![
        4 => Just(Luck::Good),
        1 => Just(Luck::Refused),
        1 => Just(Luck::LostBefore),
        1 => Just(Luck::LostAfter),
        1 => Just(Luck::ArrivesLate),
        1 => Just(Luck::FailsWithEffect),
        1 => Just(Luck::FailsWithout),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, no step breaks a promise, and once the world behaves everything ends and
    /// nothing is left behind.
    #[test]
    fn every_world_comes_to_rest_with_nothing_left_behind(
        lucks in prop::collection::vec(luck(), 0..24),
        start in 0_i64..600,
        minutes in (1_i64..20, 1_i64..20),
        // Listings lag by less than the gap that the rules allow for.
        lag in 0_i64..20,
        end_first_at in prop::option::of(0_usize..40),
    ) {
        let first = Grant { granted: TimeDelta::minutes(minutes.0), ..scheduled() };
        let second = Grant {
            granted: TimeDelta::minutes(minutes.1),
            start_at: at(start),
            activate_by: at(start + 900),
            id: GrantId::new(at(1)),
            ..scheduled()
        };
        let mut world = World::new(vec![first, second], lag);
        let mut lucks = lucks.into_iter();
        for round in 0..2000 {
            if end_first_at == Some(round) && let Some(grant) = world.picture.grants.first_mut() {
                let _ = grant.end(world.now, EndReason::Requester);
                world.digest();
            }
            let step = next(&world.picture, &TIMING, world.now);
            if step == Step::Idle {
                break;
            }
            let luck = if matches!(step, Step::Create(_) | Step::Delete) { lucks.next().unwrap_or(Luck::Good) } else { Luck::Good };
            world.take(step, luck);
        }
        world.pass_time(world.now + TimeDelta::hours(1));
        prop_assert!(world.picture.grants.is_empty(), "not over: {:?}", world.picture.grants);
        prop_assert!(!world.is_there, "access was left behind");
        prop_assert!(world.picture.assignment.owned_since.is_none());
    }
}
