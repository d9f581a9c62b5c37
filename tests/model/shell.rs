//! What the engine does around the decision: `engine::{act, record, look}`, function by function,
//! without their SQL, events and waiting. The transitions of grants are `access::grant`'s own.

use curfew::access::assignment::{Operation, OperationKind, OperationStatus, Sight};
use curfew::access::grant::{EndReason, Grant, GrantStatus};
use curfew::access::id::{GrantId, OperationId};
use curfew::engine::step::Step;
use uuid::Uuid;

use crate::kinds::{Answer, Broken, Intention, Maker, Misfortune, Progress, Replica};
use crate::moves::Luck;
use crate::world::{LAG, PERMIT, TIMING, Tick, World, at, number, ticks};

impl World {
    pub(crate) fn take(&mut self, step: Step, luck: Luck) {
        let now = at(self.now);
        match step {
            Step::Idle | Step::Wait(_) => self.break_promise(Broken::Spins),
            Step::EndGrant(grant, reason) => self.end_by_step(grant, reason),
            Step::ReportOverdue(id) => {
                if self.grants.iter().any(Grant::is_wanted) {
                    self.break_promise(Broken::OverdueWrong);
                }
                self.grant(id).overdue_at = Some(now);
            }
            Step::Join(id) => self.grant(id).provision(now).expect("it is scheduled"),
            Step::Activate(id) => {
                let since = self
                    .grant(id)
                    .window()
                    .expect("it is provisioning")
                    .provisioning_at;
                if self.there.is_none()
                    && self
                        .changed_at
                        .is_none_or(|changed| at(changed + LAG) < since)
                {
                    self.break_promise(Broken::SaidActiveOfAbsent);
                }
                self.grant(id).activate(now).expect("it is provisioning");
            }
            Step::Create(id) => self.create(id, luck),
            Step::Delete => {
                if self.has(GrantStatus::Active) {
                    self.break_promise(Broken::DeletedWhileActive);
                }
                let number = self.intend(OperationKind::Delete);
                self.send(number, OperationKind::Delete, luck);
            }
            Step::GiveUp(id) | Step::SetStuck(id) => self.abandon(id, step),
            Step::Gone => self.finish_grants(),
            Step::Look => {
                if luck == Luck::Stale {
                    self.spend(Misfortune::Stale);
                }
                let present = self.there.is_some() != (luck == Luck::Stale);
                let began_at = self.now;
                if luck == Luck::FreezeAfter {
                    self.freeze(Intention::See {
                        present,
                        began_at,
                        is_outdated: false,
                    });
                } else {
                    self.see(present, began_at);
                }
            }
            Step::Describe(id) => {
                let mut progress = self.progress(id);
                if luck == Luck::Forgotten {
                    self.spend(Misfortune::Forgotten);
                    progress = Progress::Forgotten;
                }
                if luck == Luck::FreezeAfter {
                    self.freeze(Intention::Hear {
                        number: number(id),
                        progress,
                    });
                } else {
                    self.hear(number(id), progress);
                }
            }
            Step::FindLost(_) => unreachable!("a search is a move of its own"),
        }
    }

    pub(crate) fn end_by_step(&mut self, grant: GrantId, reason: EndReason) {
        let stood = self.there == Some(Maker::Standing)
            || self.there == Some(Maker::Meanwhile)
            || self
                .changed_at
                .is_some_and(|changed| changed + LAG >= self.now);
        match reason {
            EndReason::AlreadyAssigned if !stood => {
                self.break_promise(Broken::RefusedWithoutStanding);
            }
            EndReason::RemovedOutside
                if self.there.is_some() && self.met & Misfortune::RemovedOutside.bit() == 0 =>
            {
                self.break_promise(Broken::RemovedByNobody);
            }
            EndReason::Due => {}
            _ if self.met == 0 && !stood => self.break_promise(Broken::RefusedWithoutCause),
            _ => {}
        }
        self.end(grant, reason);
    }

    pub(crate) fn grant(&mut self, id: GrantId) -> &mut Grant {
        self.grants
            .iter_mut()
            .find(|grant| grant.id == id)
            .expect("it is live")
    }

    /// `Engine::start`, whose check always passes here.
    pub(crate) fn create(&mut self, id: GrantId, luck: Luck) {
        let now = at(self.now);
        if self.has(GrantStatus::Active) {
            self.break_promise(Broken::PutBack);
            return;
        }
        let grant = self.grant(id);
        if grant.status() == GrantStatus::Scheduled {
            grant.provision(now).expect("it is scheduled");
        }
        grant.mark_sent(now).expect("it is provisioning");
        if now >= grant.activate_by || grant.window().is_none_or(|window| now >= window.ends_at) {
            self.break_promise(Broken::CreatedTooLate);
        }
        let number = self.intend(OperationKind::Create);
        self.send(number, OperationKind::Create, luck);
    }

    pub(crate) fn intend(&mut self, kind: OperationKind) -> u8 {
        let (now, number) = (at(self.now), self.fresh());
        let answer_by = now + ticks(PERMIT) + ticks(PERMIT);
        self.operations.push(Operation {
            id: OperationId(Uuid::from_u128(number.into())),
            kind,
            grant_id: None,
            status: OperationStatus::Intended,
            intended_at: now,
            answer_by,
            unresolved_until: answer_by + TIMING.settle,
            aws_id: None,
            looks: 0,
            next_look_at: None,
            resolved_at: None,
        });
        self.touch();
        if kind == OperationKind::Create {
            self.assignment.owned_since = self.assignment.owned_since.or(Some(now));
        }
        number
    }

    /// `postgres::assignments::touch`: the revision is not counted, listings under way are marked.
    pub(crate) fn touch(&mut self) {
        self.assignment.sight = None;
        for replica in &mut self.replicas {
            if let Replica::Frozen {
                intention: Intention::See { is_outdated, .. },
                ..
            } = replica
            {
                *is_outdated = true;
            }
        }
    }

    pub(crate) fn operation(&mut self, of: u8) -> Option<&mut Operation> {
        self.operations
            .iter_mut()
            .find(|operation| number(operation.id) == of)
    }

    /// `Engine::take_answer`.
    pub(crate) fn record(&mut self, of: u8, answer: Answer) {
        let now = at(self.now);
        let mine = self
            .operation(of)
            .filter(|operation| operation.status == OperationStatus::Intended);
        let Some(operation) = mine else {
            return;
        };
        match answer {
            Answer::Accepted => {
                operation.status = OperationStatus::InProgress;
                operation.aws_id = Some(of.to_string());
                operation.next_look_at = Some(now + ticks(1));
                self.know(of);
            }
            Answer::Unknown => operation.answer_by = now + ticks(1),
            Answer::Refused | Answer::RefusedForGood => {
                operation.status = OperationStatus::Refused;
                operation.resolved_at = Some(now);
                let is_create = operation.kind == OperationKind::Create;
                self.back_off();
                self.touch();
                if is_create && answer == Answer::RefusedForGood {
                    self.fail_provisioning();
                }
            }
        }
    }

    pub(crate) fn know(&mut self, of: u8) {
        if let Some(work) = self.works.iter_mut().find(|work| work.number == of) {
            work.is_known = true;
        }
    }

    pub(crate) fn back_off(&mut self) {
        self.assignment.failures += 1;
        self.assignment.retry_at = Some(at(self.now) + ticks(1));
    }

    pub(crate) fn fail_provisioning(&mut self) {
        let waiting: Vec<GrantId> = self
            .grants
            .iter()
            .filter(|grant| grant.status() == GrantStatus::Provisioning)
            .map(|grant| grant.id)
            .collect();
        for grant in waiting {
            self.end(grant, EndReason::ProvisioningFailed);
        }
    }

    /// `Engine::abandon`.
    pub(crate) fn abandon(&mut self, id: OperationId, step: Step) {
        let now = at(self.now);
        let Some(operation) = self.operation(number(id)) else {
            return;
        };
        if let Step::SetStuck(_) = step {
            operation.status = OperationStatus::Stuck;
            operation.next_look_at = Some(now + ticks(1));
        } else {
            operation.status = OperationStatus::Lost;
            operation.resolved_at = Some(now);
            self.back_off();
        }
        self.touch();
    }

    /// `Engine::finish`.
    pub(crate) fn finish_grants(&mut self) {
        if self.there == Some(Maker::Ours) {
            self.break_promise(Broken::SaidGoneOfPresent);
        }
        if self.is_coming(OperationKind::Create) {
            self.break_promise(Broken::SaidGoneTooSoon);
        }
        let now = at(self.now);
        for grant in self
            .grants
            .iter_mut()
            .filter(|grant| grant.status() == GrantStatus::Ending)
        {
            grant.confirm_gone(now).expect("it is ending");
        }
        self.assignment.owned_since = None;
        self.assignment.failures = 0;
        self.assignment.retry_at = None;
    }

    /// `Engine::look`.
    pub(crate) fn see(&mut self, present: bool, began_at: Tick) {
        self.assignment.sight = Some(Sight::after(self.assignment.sight, present, at(began_at)));
    }

    /// `Engine::ask`.
    pub(crate) fn hear(&mut self, of: u8, progress: Progress) {
        let now = at(self.now);
        let still = self.operation(of).filter(|operation| {
            matches!(
                operation.status,
                OperationStatus::InProgress | OperationStatus::Stuck
            )
        });
        let Some(operation) = still else {
            return;
        };
        operation.status = match progress {
            Progress::Pending => {
                operation.looks += 1;
                operation.next_look_at = Some(now + ticks(1));
                return;
            }
            Progress::Succeeded => OperationStatus::Succeeded,
            Progress::Failed => OperationStatus::Failed,
            Progress::Forgotten => OperationStatus::Lost,
        };
        operation.resolved_at = Some(now);
        let is_create = operation.kind == OperationKind::Create;
        match progress {
            Progress::Succeeded => {
                self.assignment.failures = 0;
                self.assignment.retry_at = None;
            }
            Progress::Failed => self.back_off(),
            _ => {}
        }
        self.touch();
        if is_create && progress == Progress::Failed {
            self.fail_provisioning();
        }
    }

    pub(crate) fn is_lost(&self, of: u8) -> bool {
        let lost = |operation: &&Operation| operation.status == OperationStatus::Lost;
        self.operations
            .iter()
            .filter(lost)
            .any(|operation| number(operation.id) == of)
    }

    /// `Engine::find_lost`.
    pub(crate) fn learn(&mut self, of: u8, found: Option<u8>, was_lost: bool) {
        let now = at(self.now);
        let is_new = |found| {
            let mut unknown = self.works.iter().filter(|work| !work.is_known);
            unknown.any(|work| work.number == found)
        };
        if found.is_some_and(|found| !is_new(found)) || self.is_lost(of) != was_lost {
            return;
        }
        let in_question = self.operation(of).filter(|operation| {
            operation.status == OperationStatus::Lost
                || (operation.aws_id.is_none() && operation.status == OperationStatus::Intended)
        });
        let Some(operation) = in_question else {
            return;
        };
        if let Some(found) = found {
            operation.status = OperationStatus::Lost;
            operation.resolved_at = operation.resolved_at.or(Some(now));
            let lost = operation.clone();
            let id = OperationId(Uuid::from_u128(self.fresh().into()));
            self.operations.push(lost.found(id, found.to_string(), now));
            self.know(found);
            self.touch();
            return;
        }
        operation.status = if was_lost {
            OperationStatus::Expired
        } else {
            OperationStatus::Lost
        };
        operation.resolved_at = Some(now);
        if !was_lost {
            self.back_off();
        }
        self.touch();
    }
}
