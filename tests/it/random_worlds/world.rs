//! One random world: what happened in it, who did what by hand, and what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use chrono::{DateTime, TimeDelta, Utc};
use curfew::app::App;
use curfew::engine::Pass;
use curfew::sandbox::{
    self, AccountState, Edit, Fault, Named, PrincipalType, Rate, Scripted, Window,
};

use super::commands::{Command, DECIDERS, Lately, Pair, REQUESTERS, SLOW};
use crate::support::TestApp;
use crate::support::app::POLICY;
use crate::support::people::{Answer, Person};

/// The rule that needs nobody's yes, so that two grants share an assignment.
const QUICK: &str = r#"
[[rule]]
name = "quick"
description = "Administrator in a production account, granted by policy"
permission_set = "production-admin"
accounts = [{ tag = "env=prod" }]
requesters = ["engineers"]
approvals = 0
max_minutes = 60
reason_min_chars = 10
assurance = "mfa"
"#;

/// So many of the last requests are acted on.
const LATELY: usize = 4;

/// Most passes of one command.
const PASSES: usize = 40;

/// Account, permission set ARN, person.
pub(super) type Tuple = (String, String, String);

/// A pass that has stopped half way.
type Stopped = Pin<Box<dyn Future<Output = ()>>>;

pub(super) struct World {
    pub(super) app: TestApp,
    people: BTreeMap<&'static str, Person>,
    /// The requests that were made, with who asked.
    requests: Vec<(String, &'static str)>,
    /// A process that was frozen, with the pass in which it was.
    frozen: Option<(App, Stopped)>,
    /// A process that was frozen and goes on.
    thawed: Option<App>,
    /// Assigned by hand, and since when nothing of ours was about.
    pub(super) candidates: BTreeMap<Tuple, DateTime<Utc>>,
    /// Assigned by hand, and never ours to touch.
    pub(super) standing: BTreeSet<Tuple>,
    /// AWS forgot operations at some time.
    forgets: bool,
    /// Some operation took very long, or will.
    is_slow: bool,
    pub(super) passes: u64,
}

impl World {
    pub(super) async fn begin() -> Self {
        let policy = format!("{POLICY}{QUICK}");
        let app = TestApp::with_settings(&policy, sandbox::World::demo(), |settings| {
            // Longer than any listing here lags behind, as 30 seconds are at AWS.
            settings.timing.confirm_gap = TimeDelta::seconds(4);
            settings.timing.standing_gap = TimeDelta::seconds(4);
            settings.minute = TimeDelta::seconds(15);
        })
        .await;
        let mut world = Self {
            app,
            people: BTreeMap::new(),
            requests: Vec::new(),
            frozen: None,
            thawed: None,
            candidates: BTreeMap::new(),
            standing: BTreeSet::new(),
            forgets: false,
            is_slow: false,
            passes: 0,
        };
        world.sign_in_who_is_not().await;
        world
    }

    async fn sign_in_who_is_not(&mut self) {
        for name in REQUESTERS.into_iter().chain(DECIDERS) {
            if !self.people.contains_key(name)
                && let Some(person) = Person::try_sign_in(&self.app.router, name).await
            {
                self.people.insert(name, person);
            }
        }
    }

    pub(super) async fn obey(&mut self, command: &Command) {
        let sandbox = &self.app.sandbox;
        match command {
            Command::Ask { pair, minutes } => self.ask(*pair, *minutes).await,
            Command::Decide { who, request, yes } => {
                let act = if *yes { "approve" } else { "deny" };
                self.act(Some(who), request, act).await;
            }
            Command::Cancel { request } => self.act(None, request, "cancel").await,
            Command::End { who, request } => self.act(*who, request, "end").await,
            Command::Pass { millis } => self.pass(TimeDelta::milliseconds(*millis)).await,
            Command::Fail {
                operation,
                nth,
                fault,
            } => {
                let mut fault = fault.clone();
                match &mut fault {
                    Fault::Slow { millis } if self.forgets => *millis = (*millis).min(SLOW),
                    Fault::Slow { millis } if *millis > SLOW => self.is_slow = true,
                    _ => {}
                }
                let scripted = Scripted {
                    operation: (*operation).to_owned(),
                    nth: *nth,
                    fault,
                };
                sandbox.fail(scripted).unwrap();
            }
            Command::Rate { fault, per_mille } => {
                let rate = Rate {
                    fault: fault.clone(),
                    per_mille: *per_mille,
                    operations: vec![],
                };
                sandbox.set_rates(vec![rate]).unwrap();
            }
            Command::Window { fault, seconds } => {
                let window = Window {
                    fault: fault.clone(),
                    from_seconds: 0,
                    seconds: *seconds,
                    operations: vec![],
                };
                sandbox.open_window(window).unwrap();
            }
            Command::Behave {
                lag_millis,
                operation_millis,
                overlap,
                forgets,
            } => {
                let forgets = *forgets && !self.is_slow;
                self.forgets |= forgets;
                sandbox.set_settings(|settings| {
                    settings.list_lag_millis = 0..=*lag_millis;
                    settings.operation_millis = 50..=*operation_millis;
                    settings.accepts_delete_during_create = *overlap;
                    settings.request_id_seconds = if forgets { 3 } else { 86_400 };
                });
            }
            Command::Calm => {
                sandbox.clear_faults();
                self.sign_in_who_is_not().await;
            }
            Command::Assign(pair) => self.assign(*pair).await,
            Command::Remove(pair) => self.remove(*pair),
            Command::SetEnabled { who, enabled } => {
                self.edit(
                    |user| Edit::SetUserEnabled {
                        user,
                        enabled: *enabled,
                    },
                    who,
                );
            }
            Command::Delete { who } => self.edit(|user| Edit::DeleteUser { user }, who),
            Command::Rename { who } => {
                let user_name = format!("renamed-{who}@example.com");
                self.edit(|user| Edit::RenameUser { user, user_name }, who);
            }
            Command::RemoveAccount { account } => {
                self.edit(|account| Edit::RemoveAccount { account }, account);
                self.forget_what_hands_removed();
            }
            Command::DeleteSet { set } => {
                self.edit(
                    |permission_set| Edit::DeletePermissionSet { permission_set },
                    set,
                );
                self.forget_what_hands_removed();
            }
            Command::SetMember { who, is_member } => {
                let group = "engineers".to_owned();
                let change = |user| {
                    if *is_member {
                        Edit::AddMember { group, user }
                    } else {
                        Edit::RemoveMember { group, user }
                    }
                };
                self.edit(change, who);
            }
            Command::SetSuspended { account, suspended } => {
                let state = if *suspended {
                    AccountState::Suspended
                } else {
                    AccountState::Active
                };
                let change = |account| Edit::SetAccountState { account, state };
                self.edit(change, account);
            }
            Command::Restore => {
                self.restore();
                self.copy().await;
                self.sign_in_who_is_not().await;
            }
            Command::Copy => self.copy().await,
            Command::Crash => self.crash().await,
            Command::Freeze { calls } => self.freeze(*calls).await,
            Command::Thaw => self.thaw().await,
        }
        self.check(None).await;
    }

    // People

    async fn ask(&mut self, pair: Pair, minutes: u32) {
        let (rule, _, account) = pair.target;
        let Some(person) = self.people.get(pair.who) else {
            return;
        };
        let answer = person.ask(rule, account, minutes).await;
        if answer.status.as_u16() == 201 {
            let id = answer.json()["id"].as_str().unwrap().to_owned();
            self.requests.push((id, pair.who));
        } else {
            self.heard(pair.who, &answer);
        }
    }

    /// Somebody acts on a request; the requester, if nobody is named.
    async fn act(&mut self, who: Option<&'static str>, request: &Lately, act: &str) {
        // Of the last few: the older ones are over, most of them.
        let lately = &self.requests[self.requests.len().saturating_sub(LATELY)..];
        let chosen = match request {
            Some(index) if !lately.is_empty() => Some(index.get(lately)),
            _ => lately.last(),
        };
        let Some((id, requester)) = chosen.cloned() else {
            return;
        };
        let who = who.unwrap_or(requester);
        let Some(person) = self.people.get(who) else {
            return;
        };
        let answer = person.act(&id, act).await;
        self.heard(who, &answer);
    }

    /// A no is fine, a crash is not. Who was signed out stays so for a while.
    fn heard(&mut self, who: &'static str, answer: &Answer) {
        assert_ne!(answer.status.as_u16(), 500, "{}", answer.text());
        if answer.status.as_u16() == 401 {
            self.people.remove(who);
        }
    }

    // Hands

    fn edit(&self, edit: impl FnOnce(String) -> Edit, what: &str) {
        // It may not be there any more.
        _ = self.app.sandbox.apply(&edit(what.to_owned()));
    }

    /// What stood in an account that is gone was not taken away by Curfew.
    fn forget_what_hands_removed(&mut self) {
        let there = self.present();
        self.standing.retain(|tuple| there.contains(tuple));
        self.candidates.retain(|tuple, _| there.contains(tuple));
    }

    fn tuple(pair: Pair) -> Tuple {
        let (_, set, account) = pair.target;
        let world = sandbox::World::demo();
        let set = world.permission_set_named(set).unwrap().arn.clone();
        let user = world.user_named(pair.who).unwrap().id.clone();
        (account.to_owned(), set, user)
    }

    fn named(tuple: &Tuple) -> Named {
        Named {
            account: tuple.0.clone(),
            permission_set: tuple.1.clone(),
            principal_type: PrincipalType::User,
            principal: tuple.2.clone(),
        }
    }

    async fn assign(&mut self, pair: Pair) {
        let tuple = Self::tuple(pair);
        if self.present().contains(&tuple) {
            return;
        }
        let edit = Edit::AddAssignment(Self::named(&tuple));
        if self.app.sandbox.apply(&edit).is_err() {
            return;
        }
        self.app.by_hand.insert(tuple.clone());
        if !self.is_ours(&tuple).await {
            self.candidates.insert(tuple, self.app.now());
        }
    }

    fn remove(&mut self, pair: Pair) {
        let tuple = Self::tuple(pair);
        let edit = Edit::RemoveAssignment(Self::named(&tuple));
        if self.app.sandbox.apply(&edit).is_err() {
            return;
        }
        self.app.by_hand.remove(&tuple);
        self.candidates.remove(&tuple);
        self.standing.remove(&tuple);
    }

    fn restore(&self) {
        let healthy = sandbox::World::demo();
        let heal = |world: &mut sandbox::World| {
            (world.users, world.groups) = (healthy.users, healthy.groups);
            (world.accounts, world.permission_sets) = (healthy.accounts, healthy.permission_sets);
            Ok(())
        };
        self.app.sandbox.edit(heal).unwrap();
    }

    async fn copy(&self) {
        let broker = &self.app.app.broker;
        // It may fail, as any call may.
        let nobody = BTreeSet::new();
        let copied = broker.directory.copy(&broker.db, &broker.roles, &nobody);
        _ = copied.await;
        broker.end_of_disabled().await.unwrap();
    }

    // Machines

    async fn replace(&mut self) -> Option<App> {
        // It does not start while AWS can't be asked.
        let fresh = self.app.try_another().await.ok()?;
        let old = std::mem::replace(&mut self.app.app, fresh);
        self.app.router = self.app.app.router();
        for person in self.people.values_mut() {
            *person = person.clone().on(self.app.router.clone());
        }
        Some(old)
    }

    async fn crash(&mut self) {
        if let Some(dead) = self.replace().await {
            dead.broker.db.pool.close().await;
            self.pause().await;
        }
    }

    /// Until a lease that nobody renews has run out.
    async fn pause(&mut self) {
        self.pass(self.app.settings.lease_ttl + TimeDelta::seconds(1))
            .await;
    }

    async fn freeze(&mut self, calls: usize) {
        if self.frozen.is_some() || self.thawed.is_some() {
            return;
        }
        let engine = Arc::clone(&self.app.app.engine);
        let mut pass: Stopped = Box::pin(async move { _ = engine.tick().await });
        let sandbox = self.app.sandbox.clone();
        let enough = sandbox.calls().len() + calls;
        let froze = std::future::poll_fn(|context| {
            if sandbox.calls().len() >= enough {
                return Poll::Ready(true);
            }
            pass.as_mut().poll(context).map(|()| false)
        });
        if froze.await {
            match self.replace().await {
                Some(old) => self.frozen = Some((old, pass)),
                None => pass.await,
            }
            self.pause().await;
        }
    }

    async fn thaw(&mut self) {
        if let Some(old) = self.thawed.take() {
            old.broker.db.pool.close().await;
        }
        if let Some((old, pass)) = self.frozen.take() {
            pass.await;
            self.thawed = Some(old);
        }
    }

    // Time

    /// Time passes, with a pass whenever something is due.
    async fn pass(&mut self, time: TimeDelta) {
        let until = self.app.now() + time;
        for _ in 0..PASSES {
            let began = self.app.now();
            self.app.app.broker.lapse_due().await.unwrap();
            if let Some(other) = &self.thawed {
                _ = other.engine.tick().await;
            }
            // It may find AWS unavailable when it takes the lease.
            let pass = self.app.app.engine.tick().await.ok();
            self.passes += 1;
            self.check(pass.filter(|pass| pass.led).map(|_| began))
                .await;
            let next_at = pass.as_ref().and_then(|pass: &Pass| pass.next_at);
            let pause = next_at.map_or(TimeDelta::MAX, |next| next - self.app.now());
            let rest = until - self.app.now();
            if pause > rest {
                self.app.advance(rest.max(TimeDelta::zero()));
                return;
            }
            self.app.advance(pause.max(TimeDelta::milliseconds(50)));
        }
    }

    /// The world is put in order: everything ends. What there was of each kind.
    pub(super) async fn end(mut self) -> [(&'static str, u64); 6] {
        self.app.sandbox.clear_faults();
        self.app.sandbox.set_settings(|settings| {
            settings.list_lag_millis = 0..=0;
            settings.request_id_seconds = 86_400;
            settings.accepts_delete_during_create = false;
        });
        self.restore();
        self.thaw().await;
        self.thaw().await;
        self.pause().await;
        let mut live = self.live().await;
        for _ in 0..60 {
            if live.is_empty() {
                break;
            }
            self.pass(TimeDelta::minutes(1)).await;
            live = self.live().await;
        }
        assert!(
            live.is_empty(),
            "an hour later these have not ended: {live:?}"
        );
        // Whatever was on its way has arrived by then.
        self.pass(self.app.settings.timing.settle * 4).await;
        let left: Vec<Tuple> = self.present().into_iter().collect();
        let unexplained = left.iter().find(|tuple| !self.app.by_hand.contains(*tuple));
        assert!(unexplained.is_none(), "left behind: {unexplained:?}");
        let had = self.tally().await;
        self.app.finish().await;
        had
    }
}
