//! What can happen next: the steps that are due, with each way in which their calls may go, and what
//! Identity Center, time and people do meanwhile. The decisions are `engine::step::next`'s.

use curfew::access::assignment::OperationKind;
use curfew::access::grant::{EndReason, Grant, GrantStatus, OVERDUE_AFTER};
use curfew::access::id::{GrantId, OperationId};
use curfew::engine::step::{Step, next};

use crate::kinds::{Broken, FOREIGN, Intention, Maker, Misfortune, Progress, Replica, Work};
use crate::world::{FREEZE, HORIZON, LAG, SLOW, TIMING, USUAL, World, at, number};

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Luck {
    Good,
    /// The process dies before it sends, or before it records what came of it.
    CrashBefore,
    CrashAfter,
    FreezeBefore,
    FreezeAfter,
    LostBefore,
    LostAfter,
    Late,
    Refused,
    RefusedForGood,
    Overlap,
    Slow,
    Stale,
    Forgotten,
}

/// How an operation ends in Identity Center.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Good,
    FailedWithEffect,
    FailedWithout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// A replica that is up takes the step.
    Take(Step, Luck),
    /// The same for a search, which found this.
    Find(OperationId, Option<u8>, Luck),
    Finish(u8, End),
    Arrive(u8),
    Thaw(usize),
    Tick,
    Delay,
    EndByPerson(GrantId),
    Remove,
    Make,
    MakeMeanwhile,
}

impl World {
    /// Everything that may happen next.
    pub(crate) fn moves(&self, may: u32, moves: &mut Vec<Move>) {
        if self.broken.is_some() || self.is_at_rest() {
            return;
        }
        let may = |misfortune: Misfortune| {
            let bit = misfortune.bit();
            self.left > 0 && may & bit != 0 && self.met & bit == 0
        };
        let is_up = self.replicas.contains(&Replica::Up);
        let step = next(&self.picture(), &TIMING, at(self.now));
        let is_due = match step {
            Step::Idle => false,
            Step::Wait(until) => until <= at(self.now),
            _ => true,
        };
        if is_up && is_due {
            self.ways_to_take(step, &may, moves);
        }
        let mut is_held_up = false;
        for work in self
            .works
            .iter()
            .filter(|work| work.ended.is_none() && work.accepted_at < self.now)
        {
            moves.push(Move::Finish(work.number, End::Good));
            for (misfortune, end) in [
                (Misfortune::FailedWithEffect, End::FailedWithEffect),
                (Misfortune::FailedWithout, End::FailedWithout),
            ] {
                if may(misfortune) && !work.is_foreign() {
                    moves.push(Move::Finish(work.number, end));
                }
            }
            is_held_up |= self.now >= work.accepted_at + if work.is_slow { SLOW } else { USUAL };
        }
        moves.extend(self.wire.iter().map(|message| Move::Arrive(message.number)));
        for (which, replica) in self.replicas.iter().enumerate() {
            if let Replica::Frozen { since, .. } = replica {
                moves.push(Move::Thaw(which));
                is_held_up |= self.now >= since + FREEZE;
            }
        }
        if !is_held_up {
            if !is_up || !is_due {
                moves.push(Move::Tick);
            } else if may(Misfortune::Delay) {
                moves.push(Move::Delay);
            }
        }
        if may(Misfortune::EndedByPerson) {
            let live = self
                .grants
                .iter()
                .filter(|grant| grant.status() != GrantStatus::Ending);
            moves.extend(live.map(|grant| Move::EndByPerson(grant.id)));
        }
        if may(Misfortune::RemovedOutside) && self.there.is_some() {
            moves.push(Move::Remove);
        }
        let is_ours = self.assignment.owned_since.is_some();
        if may(Misfortune::MadeMeanwhile) && is_ours && !self.is_busy() && self.there.is_none() {
            moves.push(Move::MakeMeanwhile);
        }
        let soon = at(self.now + LAG);
        if may(Misfortune::MadeOutside)
            && !is_ours
            && self.there.is_none()
            && !self.is_busy()
            && self.wire.is_empty()
            && self.replicas == [Replica::Up; 2]
            && self.grants.iter().all(|grant| grant.start_at > soon)
        {
            moves.push(Move::Make);
        }
    }

    fn ways_to_take(&self, step: Step, may: &dyn Fn(Misfortune) -> bool, moves: &mut Vec<Move>) {
        if let Step::FindLost(id) = step {
            let candidates = self.unknown_creates(id);
            let found = candidates
                .iter()
                .copied()
                .map(Some)
                .chain(candidates.is_empty().then_some(None));
            for found in found {
                moves.push(Move::Find(id, found, Luck::Good));
                if may(Misfortune::Freeze) {
                    moves.push(Move::Find(id, found, Luck::FreezeAfter));
                }
            }
            return;
        }
        moves.push(Move::Take(step, Luck::Good));
        let ways: &[(Misfortune, Luck)] = match step {
            Step::Create(_) | Step::Delete => &[
                (Misfortune::Crash, Luck::CrashBefore),
                (Misfortune::Crash, Luck::CrashAfter),
                (Misfortune::Freeze, Luck::FreezeBefore),
                (Misfortune::Freeze, Luck::FreezeAfter),
                (Misfortune::Lost, Luck::LostBefore),
                (Misfortune::Lost, Luck::LostAfter),
                (Misfortune::Late, Luck::Late),
                (Misfortune::Refused, Luck::Refused),
                (Misfortune::Refused, Luck::RefusedForGood),
                (Misfortune::Overlap, Luck::Overlap),
                (Misfortune::Slow, Luck::Slow),
            ],
            Step::Look => &[
                (Misfortune::Freeze, Luck::FreezeAfter),
                (Misfortune::Stale, Luck::Stale),
            ],
            Step::Describe(_) => &[
                (Misfortune::Freeze, Luck::FreezeAfter),
                (Misfortune::Forgotten, Luck::Forgotten),
            ],
            _ => &[],
        };
        let is_possible = |luck: Luck| match luck {
            Luck::Overlap => self.is_busy(),
            Luck::Slow => !self.is_busy(),
            Luck::Stale => self
                .changed_at
                .is_some_and(|changed| changed + LAG >= self.now),
            Luck::Forgotten => match step {
                Step::Describe(id) => self.progress(id) != Progress::Pending,
                _ => false,
            },
            _ => true,
        };
        moves.extend(
            ways.iter()
                .filter(|(misfortune, luck)| may(*misfortune) && is_possible(*luck))
                .map(|(_, luck)| Move::Take(step, *luck)),
        );
    }

    /// The creates that Identity Center lists since this attempt, and the ledger does not know.
    fn unknown_creates(&self, id: OperationId) -> Vec<u8> {
        let Some(lost) = self.operations.iter().find(|operation| operation.id == id) else {
            return Vec::new();
        };
        let unknown = self.works.iter().filter(|work| {
            work.kind == OperationKind::Create
                && !work.is_known
                && at(work.accepted_at) >= lost.intended_at
        });
        unknown.map(|work| work.number).collect()
    }

    pub(crate) fn progress(&self, id: OperationId) -> Progress {
        let aws_id = self
            .operations
            .iter()
            .find(|operation| operation.id == id)
            .and_then(|it| it.aws_id.clone());
        let work = self
            .works
            .iter()
            .find(|work| Some(work.number.to_string()) == aws_id);
        match work.map(|work| work.ended) {
            Some(None) => Progress::Pending,
            Some(Some(true)) => Progress::Succeeded,
            Some(Some(false)) => Progress::Failed,
            None => Progress::Forgotten,
        }
    }

    /// The world after a move.
    pub(crate) fn after(&self, a_move: Move) -> Self {
        let mut world = self.clone();
        match a_move {
            Move::Take(step, luck) => world.take(step, luck),
            Move::Find(id, found, luck) => {
                let number = number(id);
                let was_lost = world.is_lost(number);
                if luck == Luck::Good {
                    world.learn(number, found, was_lost);
                } else {
                    world.freeze(Intention::Learn {
                        number,
                        found,
                        was_lost,
                    });
                }
            }
            Move::Finish(of, end) => world.finish(of, end),
            Move::Arrive(of) => {
                let place = world
                    .wire
                    .iter()
                    .position(|message| message.number == of)
                    .expect("on the wire");
                let message = world.wire.remove(place);
                world.deliver(message.number, message.kind, false);
            }
            Move::Thaw(which) => world.thaw(which),
            Move::Tick => {
                world.watch_overdue();
                world.tick();
            }
            Move::Delay => {
                world.spend(Misfortune::Delay);
                world.tick();
            }
            Move::EndByPerson(grant) => {
                world.spend(Misfortune::EndedByPerson);
                world.end(grant, EndReason::Requester);
            }
            Move::Remove => {
                world.spend(Misfortune::RemovedOutside);
                world.remove();
            }
            Move::Make => {
                world.spend(Misfortune::MadeOutside);
                world.make(Maker::Standing);
            }
            Move::MakeMeanwhile => {
                world.spend(Misfortune::MadeMeanwhile);
                world.works.push(Work {
                    number: FOREIGN,
                    kind: OperationKind::Create,
                    accepted_at: world.now,
                    is_known: false,
                    is_slow: false,
                    ended: None,
                });
            }
        }
        world.forget();
        if matches!(a_move, Move::Take(..)) && world == *self {
            world.break_promise(Broken::Spins);
        }
        if world.is_at_rest() && world.there == Some(Maker::Ours) {
            world.break_promise(Broken::LeftBehind);
        }
        world
    }

    fn tick(&mut self) {
        self.now += 1;
        if self.now > HORIZON {
            self.break_promise(Broken::NeverRests);
        }
        let now = self.now;
        self.wire.retain(|message| message.until >= now);
        for replica in &mut self.replicas {
            if *replica == Replica::Down {
                *replica = Replica::Up;
            }
        }
    }

    /// Time passes although an engine is up: whatever is late has been reported.
    fn watch_overdue(&mut self) {
        let is_wanted = self.grants.iter().any(Grant::is_wanted);
        let due = self.grants.iter().filter_map(Grant::end_due_at).max();
        let is_late = due.is_some_and(|due| due + OVERDUE_AFTER <= at(self.now));
        let is_silent = self
            .grants
            .iter()
            .any(|grant| grant.end_due_at().is_some() && grant.overdue_at.is_none());
        if is_late && is_silent && !is_wanted && self.replicas.contains(&Replica::Up) {
            self.break_promise(Broken::OverdueWrong);
        }
    }
}
