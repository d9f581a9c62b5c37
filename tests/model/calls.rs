//! Calls on their way, what Identity Center makes of them, and replicas that die or freeze meanwhile.

use curfew::access::assignment::OperationKind;
use curfew::access::grant::GrantStatus;

use crate::kinds::{Answer, Broken, Intention, Maker, Message, Misfortune, Replica, Work};
use crate::moves::{End, Luck};
use crate::world::{PERMIT, SETTLE, World};

impl World {
    pub(crate) fn send(&mut self, number: u8, kind: OperationKind, luck: Luck) {
        let until = self.now + PERMIT;
        match luck {
            Luck::Good => {
                let answer = self.deliver(number, kind, false);
                self.record(number, answer);
            }
            Luck::Slow | Luck::Overlap => {
                self.spend(if luck == Luck::Slow {
                    Misfortune::Slow
                } else {
                    Misfortune::Overlap
                });
                let answer = self.deliver(number, kind, luck == Luck::Overlap);
                if let Some(work) = self.works.last_mut() {
                    work.is_slow |= luck == Luck::Slow;
                }
                self.record(number, answer);
            }
            Luck::CrashBefore => self.crash(),
            Luck::CrashAfter => {
                self.deliver(number, kind, false);
                self.crash();
            }
            Luck::FreezeBefore => self.freeze(Intention::Send {
                number,
                kind,
                until,
            }),
            Luck::FreezeAfter => {
                let answer = self.deliver(number, kind, false);
                self.freeze(Intention::Record { number, answer });
            }
            Luck::LostBefore => {
                self.spend(Misfortune::Lost);
                self.record(number, Answer::Unknown);
            }
            Luck::LostAfter => {
                self.spend(Misfortune::Lost);
                self.deliver(number, kind, false);
                self.record(number, Answer::Unknown);
            }
            Luck::Late => {
                self.spend(Misfortune::Late);
                self.wire.push(Message {
                    number,
                    kind,
                    until: until + SETTLE,
                });
                self.record(number, Answer::Unknown);
            }
            Luck::Refused | Luck::RefusedForGood => {
                self.spend(Misfortune::Refused);
                let for_good = luck == Luck::RefusedForGood;
                self.record(
                    number,
                    if for_good {
                        Answer::RefusedForGood
                    } else {
                        Answer::Refused
                    },
                );
            }
            Luck::Stale | Luck::Forgotten => unreachable!("not of an attempt"),
        }
    }

    /// It reaches Identity Center, which does one thing at a time.
    pub(crate) fn deliver(&mut self, number: u8, kind: OperationKind, may_overlap: bool) -> Answer {
        if self.is_busy() && !may_overlap {
            return Answer::Refused;
        }
        self.works.push(Work {
            number,
            kind,
            accepted_at: self.now,
            is_known: false,
            is_slow: false,
            ended: None,
        });
        Answer::Accepted
    }

    pub(crate) fn finish(&mut self, of: u8, end: End) {
        match end {
            End::Good => {}
            End::FailedWithEffect => self.spend(Misfortune::FailedWithEffect),
            End::FailedWithout => self.spend(Misfortune::FailedWithout),
        }
        let work = self
            .works
            .iter_mut()
            .find(|work| work.number == of)
            .expect("in progress");
        let is_pointless = work.kind == OperationKind::Delete && self.there.is_none();
        work.ended = Some(end == End::Good && !is_pointless);
        let (kind, is_foreign, is_known) = (work.kind, work.is_foreign(), work.is_known);
        if end == End::FailedWithout {
            return;
        }
        if kind == OperationKind::Create {
            let maker = if is_foreign {
                Maker::Meanwhile
            } else {
                Maker::Ours
            };
            self.make(maker);
            return;
        }
        if self.there == Some(Maker::Standing) {
            self.break_promise(Broken::StandingDeleted);
        }
        // A delete whose answer was lost may be taken at the last moment, and then take its time: only
        // Identity Center itself keeps it from what comes after, by taking one at a time.
        let is_unheard = !is_known && self.met & Misfortune::Overlap.bit() != 0;
        if self.there.is_some() && self.has(GrantStatus::Active) && !is_unheard {
            self.break_promise(Broken::TakenWhileActive);
        }
        self.remove();
    }

    pub(crate) fn crash(&mut self) {
        self.spend(Misfortune::Crash);
        self.fell(Replica::Down);
    }

    pub(crate) fn freeze(&mut self, intention: Intention) {
        self.spend(Misfortune::Freeze);
        let since = self.now;
        self.fell(Replica::Frozen { since, intention });
    }

    pub(crate) fn fell(&mut self, to: Replica) {
        if let Some(up) = self
            .replicas
            .iter_mut()
            .find(|replica| **replica == Replica::Up)
        {
            *up = to;
        }
    }

    pub(crate) fn thaw(&mut self, which: usize) {
        let Replica::Frozen { intention, .. } = self.replicas[which] else {
            return;
        };
        self.replicas[which] = Replica::Up;
        match intention {
            // The permit is looked at after the freeze, on a clock that went on.
            Intention::Send { number, until, .. } if self.now > until => {
                self.record(number, Answer::Refused);
            }
            Intention::Send { number, kind, .. } => {
                let answer = self.deliver(number, kind, false);
                self.record(number, answer);
            }
            Intention::Record { number, answer } => self.record(number, answer),
            Intention::See {
                is_outdated: true, ..
            } => {}
            Intention::See {
                present, began_at, ..
            } => self.see(present, began_at),
            Intention::Hear { number, progress } => self.hear(number, progress),
            Intention::Learn {
                number,
                found,
                was_lost,
            } => self.learn(number, found, was_lost),
        }
    }
}
