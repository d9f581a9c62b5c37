//! One call, from its signature to what becomes of it; and the passing of time between two calls.
//!
//! A request passes, in this order: the signature's age, the rate limit, faults, decoding, its
//! handler. All of it happens under one lock with one reading of the clock, so a request is never
//! judged young and then carried out late. Signatures themselves are not verified: the sandbox has
//! no secrets. Before anything else `settle` brings the world up to the present: operations end,
//! late requests arrive and timed edits happen, each at its own time and in that order.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderMap;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::faults::{Draw, Fault, Occasion, PlannedFailure};
use super::input::{Fields, Input};
use super::refusal::Refusal;
use super::server::{Handler, Method, Service, route};
use super::state::Late;
use super::{Inner, operations, signature};

/// What becomes of a call.
pub(super) enum Outcome {
    Done(Value),
    Refused(Refusal),
    /// The connection closes instead of an answer.
    Lost {
        /// What happened, for the list of calls.
        word: &'static str,
        is_reset: bool,
    },
}

/// A call as far as its answer.
pub(super) struct Taken {
    pub(super) service: Service,
    pub(super) outcome: Outcome,
    /// Which version of the state the answer tells of.
    pub(super) version: u64,
    /// How long the answer is held back.
    pub(super) latency: Duration,
}

/// What becomes of the answer to a call that is carried out.
type Swallowed = Option<(&'static str, bool)>;

impl Inner {
    /// Brings the state up to the present; what time that is.
    pub(super) fn settle(&mut self) -> DateTime<Utc> {
        let now = self.clock.now();
        loop {
            let arrival = (self.state.late.iter().enumerate())
                .map(|(index, late)| (late.arrives_at, index))
                .min();
            let edit = self.edits.first().map(|(at, _)| *at);
            let arrives_at = arrival.map(|(at, _)| at);
            let next = arrives_at.into_iter().chain(edit).min();
            let Some(at) = next.filter(|at| *at <= now) else {
                operations::settle(&mut self.state, now);
                return now;
            };
            operations::settle(&mut self.state, at);
            if let Some((_, index)) = arrival.filter(|(arrives_at, _)| *arrives_at == at) {
                let late = self.state.late.remove(index);
                self.deliver(&late);
            } else {
                let (_, edit) = self.edits.remove(0);
                if let Err(error) = self.state.edit(at, |world| edit.apply(world)) {
                    tracing::warn!(error = format!("{error:#}"), ?edit, "an edit can't be made");
                }
            }
        }
    }

    /// Takes one call as far as its answer.
    pub(super) fn call(&mut self, headers: &HeaderMap, body: &Bytes) -> Taken {
        let now = self.settle();
        let signed = signature::check(headers, now, self.settings.settle_seconds);
        let (service, operation, map) = match route(headers, body) {
            Ok(route) => route,
            Err(refusal) => {
                return Taken {
                    service: Service::SsoAdmin,
                    outcome: Outcome::Refused(signed.err().unwrap_or(refusal)),
                    version: self.state.version(),
                    latency: Duration::ZERO,
                };
            }
        };
        let draw = self.draw(&operation, map.as_ref().ok());
        let outcome = match (signed, service.method(&operation)) {
            (Err(refusal), _) if service == Service::Sts => Outcome::Refused(refusal.status(403)),
            (Err(refusal), _) => Outcome::Refused(refusal),
            (Ok(_), None) => Outcome::Refused(Refusal::unknown_operation()),
            (Ok(signed_at), Some(method)) => {
                self.run((now, signed_at), service, method, map.as_ref(), &draw)
            }
        };
        let word = match &outcome {
            Outcome::Done(_) => "ok",
            Outcome::Refused(refusal) => refusal.code,
            Outcome::Lost { word, .. } => word,
        };
        self.record((now, false), service, &operation, word, map.as_ref().ok());
        self.state.prune(now);
        Taken {
            service,
            outcome,
            version: self.state.version(),
            latency: self.latency(&draw),
        }
    }

    fn run(
        &mut self,
        (now, signed_at): (DateTime<Utc>, DateTime<Utc>),
        service: Service,
        method: Method,
        map: Result<&Map<String, Value>, &Refusal>,
        draw: &Draw,
    ) -> Outcome {
        let (operation, _) = method;
        if let Err(refusal) = self.take_token(now, service) {
            return Outcome::Refused(refusal);
        }
        let occasion = Occasion {
            now,
            operation,
            draw,
        };
        let fault = self.faults.next(&occasion);
        let refusal = fault
            .as_ref()
            .and_then(|(fault, _)| fault.refusal(service, operation));
        if let Some(refusal) = refusal {
            return Outcome::Refused(refusal);
        }
        let lost = |word, is_reset| Outcome::Lost { word, is_reset };
        let swallowed: Swallowed = match &fault {
            Some((Fault::LoseAnswerBefore, _)) => return lost("lost before", false),
            Some((Fault::ResetBefore, _)) => return lost("reset before", true),
            Some((Fault::DeliverLate { millis }, _)) => {
                if let Ok(map) = map {
                    let millis = draw.within("late", millis);
                    self.state.late.push(Late {
                        arrives_at: now + millis_or_most(millis),
                        signed_at,
                        operation: operation.to_owned(),
                        input: map.clone(),
                    });
                    self.state.touch();
                }
                return lost("late", false);
            }
            Some((Fault::LoseAnswerAfter, _)) => Some(("lost after", false)),
            Some((Fault::ResetAfter, _)) => Some(("reset after", true)),
            _ => None,
        };
        let result = match map {
            Ok(map) => {
                let plan = fault.as_ref().map(|(fault, _)| fault);
                self.carry_out(now, service, method, map, (plan, draw.clone()))
            }
            Err(refusal) => Err(refusal.clone()),
        };
        if let (Err(_), Some((fault, true))) = (&result, fault)
            && fault.is_plan()
        {
            self.faults.put_back(operation, fault);
        }
        match (swallowed, result) {
            (Some((word, is_reset)), _) => lost(word, is_reset),
            (None, Ok(value)) => Outcome::Done(value),
            (None, Err(refusal)) => Outcome::Refused(refusal),
        }
    }

    fn carry_out(
        &mut self,
        now: DateTime<Utc>,
        service: Service,
        (operation, handler): Method,
        map: &Map<String, Value>,
        (plan, draw): (Option<&Fault>, Draw),
    ) -> Result<Value, Refusal> {
        let (planned_failure, planned_millis) = match plan {
            Some(Fault::AsyncFailed {
                reason,
                takes_effect,
            }) => {
                let planned = PlannedFailure {
                    reason: reason.clone(),
                    takes_effect: *takes_effect,
                };
                (Some(planned), None)
            }
            Some(Fault::Slow { millis }) => (None, Some(*millis)),
            _ => (None, None),
        };
        let input = Input {
            service,
            operation,
            now,
            settings: &self.settings,
            planned_failure,
            planned_millis,
            draw: self.listings.of(draw, map),
            fields: Fields { service, map },
        };
        match handler {
            Handler::Read(read) => read(&self.state, &input),
            Handler::Act(act) => act(&mut self.state, &input),
        }
    }

    /// A request arrives that its sender gave up. No fault befalls it a second time.
    fn deliver(&mut self, late: &Late) {
        let at = late.arrives_at;
        let Some(method) = Service::SsoAdmin.method(&late.operation) else {
            return;
        };
        let draw = self.draw(&late.operation, Some(&late.input));
        let result = signature::check_age(late.signed_at, at, self.settings.settle_seconds)
            .and_then(|()| self.take_token(at, Service::SsoAdmin))
            .and_then(|()| {
                self.carry_out(at, Service::SsoAdmin, method, &late.input, (None, draw))
            });
        let word = result.map_or_else(|refusal| refusal.code, |_| "ok");
        self.record(
            (at, true),
            Service::SsoAdmin,
            &late.operation,
            word,
            Some(&late.input),
        );
        self.state.touch();
    }

    fn take_token(&mut self, now: DateTime<Utc>, service: Service) -> Result<(), Refusal> {
        let bucket = match service {
            Service::SsoAdmin => &mut self.sso_admin_calls,
            Service::IdentityStore => &mut self.identity_store_calls,
            Service::Organizations | Service::Sts => return Ok(()),
        };
        if bucket.take(now, self.settings.calls_per_second) {
            Ok(())
        } else {
            Err(service.throttled("Rate exceeded"))
        }
    }

    fn draw(&mut self, operation: &str, map: Option<&Map<String, Value>>) -> Draw {
        let about = about(operation, map);
        let nth = self.counts.entry(about.clone()).or_default();
        *nth += 1;
        Draw {
            seed: self.settings.seed,
            nth: *nth,
            about,
        }
    }

    pub(super) fn latency(&self, draw: &Draw) -> Duration {
        let (least, most) = (
            *self.settings.latency_millis.start(),
            *self.settings.latency_millis.end(),
        );
        // The eighth power of an even draw: most come soon, few very late.
        let share = u128::from(draw.within("latency", &(0..=1000))).pow(8);
        let more = u128::from(most.saturating_sub(least)) * share / 1000_u128.pow(8);
        Duration::from_millis(least.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)))
    }
}

/// The operation and what it is about, without what differs from one try to the next.
fn about(operation: &str, map: Option<&Map<String, Value>>) -> String {
    let ids = [
        "TargetId",
        "AccountId",
        "PermissionSetArn",
        "PrincipalId",
        "UserId",
    ];
    let ids = ids
        .iter()
        .filter_map(|name| map?.get(*name)?.as_str().map(str::to_owned));
    [operation.to_owned()]
        .into_iter()
        .chain(ids)
        .collect::<Vec<_>>()
        .join(" ")
}

fn millis_or_most(millis: u64) -> TimeDelta {
    TimeDelta::milliseconds(
        i64::try_from(millis)
            .unwrap_or(i64::MAX)
            .min(operations::FOR_EVER),
    )
}

/// How many listings began, so that all pages of one are drawn alike.
#[derive(Debug, Default)]
pub(super) struct Listings(std::collections::BTreeMap<String, u64>);

impl Listings {
    /// The draw for this call: that of its listing, if it is one that goes on.
    fn of(&mut self, draw: Draw, map: &Map<String, Value>) -> Draw {
        if !draw.about.starts_with("ListAccountAssignments ") {
            return draw;
        }
        let begun = self.0.entry(draw.about.clone()).or_default();
        if !map.contains_key("NextToken") {
            *begun += 1;
        }
        Draw {
            nth: *begun,
            ..draw
        }
    }
}
