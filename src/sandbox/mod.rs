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
//! | `server`, `signature`, `sts` | the wire: routing, the order of checks, errors, lost answers |
//! | `input`, `paging`, `refusal` | decoding and AWS's model checks; pages; synchronous errors |
//! | `operations` | create and delete: accepted now, in effect later |
//! | `idc`, `directory`, `organization` | what can be read |
//! | `world`, `worlds` | what exists; the demo's world |
//! | `state`, `durable` | memory, and its file |
//! | `hands`, `faults`, `limits`, `clock`, `ids` | changes from outside, scripted faults, rates, time, ids |
//!
//! To add an operation: write its handler in the service's file and add it to that file's
//! `METHODS`.

mod clock;
mod directory;
mod durable;
mod faults;
mod hands;
mod idc;
mod ids;
mod input;
mod limits;
mod operations;
mod organization;
mod paging;
mod refusal;
mod server;
mod signature;
mod state;
mod sts;
mod world;
mod worlds;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::serve::ListenerExt;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

pub use self::clock::{Clock, ManualClock};
pub use self::faults::Fault;
pub use self::state::{Operation, OperationKind, OperationStatus};
pub use self::world::{
    Account, AccountState, Assignment, ExternalId, Group, PermissionSet, PrincipalType, Unit, User,
    World,
};

/// Calls that are remembered.
const CALLS_KEPT: usize = 100_000;
/// How long open connections may take to finish after a stop.
const PATIENCE: Duration = Duration::from_secs(3);

/// How AWS behaves today. The defaults are AWS's own numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long an operation stays `IN_PROGRESS`, drawn for each from the seed.
    pub operation_millis: RangeInclusive<u64>,
    /// A request that was signed longer ago than this is refused.
    pub settle_seconds: u64,
    /// `ListAccountAssignments` answers as of this long ago (an hour at most).
    pub list_lag_millis: u64,
    /// Calls a second, and the burst, of sso-admin and, apart, of identitystore; 0 for no limit.
    /// Counted on the sandbox's clock, so a manual clock that stands still refills nothing.
    pub calls_per_second: u32,
    /// Operations in flight at most.
    pub outstanding: usize,
    /// Items on a page at most, whatever `MaxResults` says: AWS may always answer fewer than asked.
    pub page_items: usize,
    /// Where the draws start.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            operation_millis: 2000..=8000,
            settle_seconds: 900,
            list_lag_millis: 0,
            calls_per_second: 20,
            outstanding: 15,
            page_items: 100,
            seed: 0,
        }
    }
}

/// One call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When, on the sandbox's clock.
    pub at: DateTime<Utc>,
    /// `sso-admin`, `identitystore`, `organizations` or `sts`.
    pub service: &'static str,
    /// The operation's name.
    pub operation: String,
    /// `ok`, the error's code, or `lost before` / `lost after` for an answer that a fault
    /// swallowed.
    pub outcome: &'static str,
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
        };
        let sandbox = Self(Arc::new(Shared {
            inner: Mutex::new(inner),
            file,
        }));
        sandbox.0.save(version)?;
        Ok(sandbox)
    }

    /// The pretend services, all of them at every path; the request's headers say which one is
    /// meant.
    pub fn router(&self) -> axum::Router {
        axum::Router::new()
            .fallback(server::answer)
            .with_state(self.clone())
    }

    /// Serves until `stop`; then finishes what is being answered.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        // Without it the kernel holds small answers back for tens of milliseconds.
        let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
        let serving = axum::serve(listener, self.router())
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
        if !server::is_known(operation) {
            bail!("the sandbox has no operation {operation}");
        }
        if fault.needs_operation()
            && !["CreateAccountAssignment", "DeleteAccountAssignment"].contains(&operation)
        {
            bail!("{operation} is not asynchronous");
        }
        self.0.lock().faults.push(operation, fault);
        Ok(())
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
        let now = inner.clock.now();
        operations::settle(&mut inner.state, now);
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
        at: DateTime<Utc>,
        service: &'static str,
        operation: &str,
        outcome: &'static str,
        input: Option<&Map<String, Value>>,
    ) {
        if self.calls.len() == CALLS_KEPT {
            self.calls.pop_front();
        }
        let ids = input.map(id_summary).unwrap_or_default();
        self.calls.push_back(Call {
            at,
            service,
            operation: operation.to_owned(),
            outcome,
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
