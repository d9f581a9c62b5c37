//! A pretend AWS: IAM Identity Center, its identity store, Organizations and a little STS, speaking
//! AWS's own wire protocol, so that the real SDK, boto3 and the AWS CLI drive it unchanged.
//!
//! It exists because what makes Identity Center hard (asynchronous operations, conflicts, lost
//! answers, a delete that fails *afterwards*) can't be had from other emulators. It serves the demo
//! and the tests as an **independent witness**, and so uses no other module of Curfew: the two must
//! not share a mistake.
//!
//! | file | what |
//! |---|---|
//! | `server`, `line`, `sts` | the wire: routing, errors, lost answers |
//! | `calls`, `signature` | one call from its signature to its outcome; the passing of time |
//! | `input`, `paging`, `refusal` | decoding and AWS's model checks; pages; synchronous errors |
//! | `operations`, `failures` | create and delete: accepted now, in effect later; why they fail |
//! | `idc`, `directory`, `organization` | what can be read |
//! | `world`, `worlds`, `names` | what exists; the demo's world; finding things in it by name |
//! | `state`, `durable` | memory, and its file |
//! | `settings`, `faults`, `limits` | how it behaves, what goes wrong, how many calls it takes |
//! | `hands`, `scenario`, `control` | changes from outside; a script of all of it; the same over HTTP |
//! | `clock`, `ids` | time; ids and draws |
//!
//! To add an operation: write its handler in the service's file and add it to that file's
//! `METHODS`.

mod calls;
mod clock;
mod control;
mod directory;
mod durable;
mod failures;
mod faults;
mod hands;
mod idc;
mod ids;
mod input;
mod limits;
mod line;
mod names;
mod operations;
mod organization;
mod paging;
mod refusal;
mod scenario;
mod server;
mod settings;
mod signature;
mod state;
mod sts;
mod world;
mod worlds;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

pub use self::clock::{Clock, ManualClock};
pub use self::failures::TEXTS as FAILURES;
pub use self::faults::{Fault, Rate, Scripted, Window};
pub use self::hands::{Edit, Named};
pub use self::scenario::{Scenario, TimedEdit};
pub use self::settings::Settings;
pub use self::state::{Operation, OperationKind, OperationStatus};
pub use self::world::{
    Account, AccountState, Assignment, ExternalId, Group, PermissionSet, PrincipalType, Unit, User,
    World,
};

/// Calls that are remembered.
const CALLS_KEPT: usize = 100_000;
/// How long open connections may take to finish after a stop.
const PATIENCE: Duration = Duration::from_secs(3);

/// One call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When, on the sandbox's clock.
    pub at: DateTime<Utc>,
    /// `sso-admin`, `identitystore`, `organizations` or `sts`.
    pub service: &'static str,
    /// The operation's name.
    pub operation: String,
    /// `ok`, the error's code, or what a fault did to the answer: `lost before`, `lost after`,
    /// `reset before`, `reset after`, `late`.
    pub outcome: &'static str,
    /// It arrived late: this is its arrival.
    pub is_late: bool,
    /// The ids in the input: `TargetId=111111111111 PrincipalId=…`.
    pub ids: String,
}

/// A running pretend AWS. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    file: Option<durable::StateFile>,
}

/// Everything that is behind the one lock.
#[derive(Debug)]
struct Inner {
    clock: Clock,
    settings: Settings,
    state: state::State,
    faults: faults::Faults,
    sso_admin_calls: limits::Bucket,
    identity_store_calls: limits::Bucket,
    calls: VecDeque<Call>,
    /// Calls that were made and are not remembered any more.
    forgotten: u64,
    /// How often each call was made, for the draws.
    counts: BTreeMap<String, u64>,
    listings: calls::Listings,
    /// What people will do by hand, the earliest first.
    edits: Vec<(DateTime<Utc>, Edit)>,
}

impl Sandbox {
    /// Opens a sandbox. If the state file exists, the world in it counts and `world` is ignored;
    /// otherwise the file is written.
    pub fn open(
        settings: Settings,
        clock: Clock,
        world: World,
        state_file: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        settings.check()?;
        if let Some(fault) = world.fault() {
            bail!("the sandbox's world contradicts itself: {fault}");
        }
        let (file, stored) = state_file
            .map(durable::StateFile::open)
            .transpose()?
            .map_or((None, None), |(file, stored)| (Some(file), stored));
        let mut state = stored.unwrap_or_else(|| state::State::new(world, clock.now()));
        state.touch();
        let version = state.version();
        let inner = Inner {
            clock,
            settings,
            state,
            faults: faults::Faults::default(),
            sso_admin_calls: limits::Bucket::default(),
            identity_store_calls: limits::Bucket::default(),
            calls: VecDeque::new(),
            forgotten: 0,
            counts: BTreeMap::new(),
            listings: calls::Listings::default(),
            edits: Vec::new(),
        };
        let sandbox = Self(Arc::new(Shared {
            inner: Mutex::new(inner),
            file,
        }));
        sandbox.0.save(version)?;
        Ok(sandbox)
    }

    /// The pretend services, all of them at every path; the request's headers say which one is
    /// meant. And the control API.
    pub fn router(&self) -> axum::Router {
        axum::Router::new()
            .nest("/_sandbox", control::routes())
            .fallback(server::answer)
            .with_state(self.clone())
    }

    /// Serves until `stop`; then finishes what is being answered.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let lines = self
            .router()
            .into_make_service_with_connect_info::<line::Line>();
        let serving = axum::serve(line::Lines(listener), lines)
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let impatience = async {
            stop.cancelled().await;
            tokio::time::sleep(PATIENCE).await;
        };
        tokio::select! {
            result = serving.into_future() => result.context("the sandbox's server failed"),
            () = impatience => Ok(()),
        }
    }

    /// What is assigned now.
    #[must_use]
    pub fn assignments(&self) -> Vec<Assignment> {
        self.look(|inner| inner.state.world.assignments.iter().cloned().collect())
    }

    /// Every operation that is remembered, in the order in which they were accepted.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.look(|inner| inner.state.operations.values().cloned().collect())
    }

    /// The world now.
    #[must_use]
    pub fn world(&self) -> World {
        self.look(|inner| inner.state.world.clone())
    }

    /// The last calls, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.look(|inner| inner.calls.iter().cloned().collect())
    }

    /// Changes the settings from here on. Operations in flight keep the end that was drawn for
    /// them.
    pub fn set_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.0.lock().settings);
    }

    /// Lets the next call of this operation go wrong. Faults of one operation queue up. Fails if no
    /// such call could ever be hit.
    pub fn fail_next(&self, operation: &str, fault: Fault) -> anyhow::Result<()> {
        self.fail(Scripted {
            operation: operation.to_owned(),
            nth: 1,
            fault,
        })
    }

    /// Lets a later call of an operation go wrong.
    pub fn fail(&self, scripted: Scripted) -> anyhow::Result<()> {
        self.0.lock().faults.push(scripted)
    }

    /// Lets shares of all calls go wrong, instead of those that did so far.
    pub fn set_rates(&self, rates: Vec<Rate>) -> anyhow::Result<()> {
        self.0.lock().faults.set_rates(rates)
    }

    /// Lets every call of some time go wrong.
    pub fn open_window(&self, window: Window) -> anyhow::Result<()> {
        let mut inner = self.0.lock();
        let now = inner.settle();
        inner.faults.open_window(window, now)
    }

    /// From here on nothing goes wrong by itself. Requests on their way still arrive.
    pub fn clear_faults(&self) {
        self.0.lock().faults.clear();
    }

    /// Requests that are on their way although their senders gave them up.
    #[must_use]
    pub fn late(&self) -> usize {
        self.look(|inner| inner.state.late.len())
    }

    /// The name of the role that a permission set has in an account at this moment; ids alone.
    #[must_use]
    pub fn role_name(&self, account_id: &str, permission_set_arn: &str) -> Option<String> {
        self.look(|inner| inner.state.role_name(account_id, permission_set_arn))
    }

    /// Faults that have not fired yet, with the operation that each waits for.
    #[must_use]
    pub fn waiting_faults(&self) -> Vec<(String, Fault)> {
        self.0.lock().faults.waiting()
    }

    fn now(&self) -> DateTime<Utc> {
        self.0.lock().clock.now()
    }

    fn look<T>(&self, read: impl FnOnce(&Inner) -> T) -> T {
        let mut inner = self.0.lock();
        inner.settle();
        read(&inner)
    }

    /// Waits until the state up to `version` is on disk, without holding up the runtime.
    async fn durable(&self, version: u64) -> anyhow::Result<()> {
        if self.0.is_saved(version) {
            return Ok(());
        }
        let shared = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || shared.save(version))
            .await
            .context("the writer of the sandbox's state stopped")?
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A handler that panicked has failed its test already; the others may go on.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_saved(&self, version: u64) -> bool {
        self.file.as_ref().is_none_or(|file| file.has(version))
    }

    /// Puts the state up to `version` on disk, if it is not there. Blocks.
    fn save(&self, version: u64) -> anyhow::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        file.save(version, || {
            let inner = self.lock();
            Ok((durable::document(&inner.state)?, inner.state.version()))
        })
    }
}

impl Inner {
    fn record(
        &mut self,
        (at, is_late): (DateTime<Utc>, bool),
        service: server::Service,
        operation: &str,
        outcome: &'static str,
        input: Option<&Map<String, Value>>,
    ) {
        if self.calls.len() == CALLS_KEPT {
            self.calls.pop_front();
            self.forgotten += 1;
        }
        let ids = input.map(id_summary).unwrap_or_default();
        self.calls.push_back(Call {
            at,
            service: service.name(),
            operation: operation.to_owned(),
            outcome,
            is_late,
            ids,
        });
    }
}

fn id_summary(input: &Map<String, Value>) -> String {
    let ids = input
        .iter()
        .filter(|(name, _)| name.ends_with("Id") || name.ends_with("Arn"));
    let ids = ids.filter(|(name, _)| !["InstanceArn", "IdentityStoreId"].contains(&name.as_str()));
    let words: Vec<String> = ids
        .filter_map(|(name, value)| value.as_str().map(|value| format!("{name}={value}")))
        .collect();
    words.join(" ")
}
