//! The engine: makes Identity Center agree with the grants.
//!
//! One at a time, on whichever replica holds the lease; and correct even if two act for a moment,
//! because every decision is taken under the locks of its rows and every attempt is committed before
//! it is sent. A pass is `tick`, which tests call by hand; `run` sleeps until something is due or
//! somebody knocks. Nothing exists only as a timer: a pass finds all its work in the rows.
//!
//! `grasp` locks and reads, `step` decides, `act` does, `look` asks, `record` keeps what came of it,
//! `check` says whether access may start, `overdue` what takes too long to end; `budget` bounds calls, `watch`
//! distrusts clocks, and `reach` notices that AWS answers nothing here. `memory`, `recovery` and `sweep` are for
//! a database that lost commits.

mod act;
mod budget;
mod check;
mod grasp;
pub mod history;
mod look;
mod memory;
mod overdue;
mod reach;
mod record;
mod recovery;
pub mod step;
mod sweep;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::sync::watch as signal;
use tokio_util::sync::CancellationToken;

use self::budget::{Calls, Outstanding};
use self::memory::Memory;
use self::overdue::Oversight;
use self::reach::Reach;
use self::sweep::Round;
use self::watch::{Asked, Watch};
use crate::access::assignment::OperationKind;
use crate::access::id::{AssignmentId, HolderId};
use crate::access::person::Actor;
use crate::audit::event::{Event, EventType};
use crate::aws::answer::CallFailed;
use crate::aws::identity_center::IdentityCenter;
use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::postgres::change::Change;
use crate::postgres::lease::{self, Lease};
use crate::postgres::{Db, assignments, installation, operations, replicas};
use crate::settings::Settings;
use crate::state_dir::StateDir;

/// Assignments that are worked on at the same time within a pass.
const AT_ONCE: usize = 8;

/// Most assignments that one pass looks at.
const PER_PASS: i64 = 1000;

/// From so many operations in progress on, one listing is cheaper than a look at each.
const WORTH_A_LISTING: i64 = 3;

/// Between two shared listings.
const SHARED_LOOK: TimeDelta = TimeDelta::milliseconds(500);

/// An operation that is open for longer does not make others in its account wait.
const HOLDS_ACCOUNT: TimeDelta = TimeDelta::seconds(60);

/// A pass takes up new assignments for so long.
const PASS_TAKES_UP: Duration = Duration::from_secs(3);

/// How long an assignment is left alone after a step of it failed.
const AFTER_STUMBLE: Duration = Duration::from_secs(5);

/// Longest sleep between two passes: what a lost wake-up costs at most.
const LONGEST_SLEEP: Duration = Duration::from_secs(2);

/// Between two passes when work is due that may not go yet.
const CROWDED: Duration = Duration::from_millis(100);

/// A pass that has not finished for so long stops the heartbeat: somebody else should take over.
const PASS_MUST_FINISH: Duration = Duration::from_secs(30);

/// A pass that has not finished for so long never will: it is dropped as by a crash, and the next follows.
const PASS_IS_DROPPED: Duration = Duration::from_mins(1);

/// A heartbeat that takes so long comes too late.
const HEARTBEAT_IS_DROPPED: Duration = Duration::from_secs(6);

/// The engine of one process.
#[derive(Debug)]
pub struct Engine {
    db: Db,
    directory: Directory,
    identity_center: IdentityCenter,
    settings: Settings,
    metrics: Metrics,
    holder: HolderId,
    calls: Mutex<Calls>,
    outstanding: Mutex<Outstanding>,
    watch: Mutex<Watch>,
    reach: Mutex<Reach>,
    stumbled: Mutex<BTreeMap<AssignmentId, Duration>>,
    foreign: Mutex<BTreeSet<(AssignmentId, String)>>,
    memory: Mutex<Memory>,
    round: Mutex<Option<Round>>,
    /// When the sweep last made a call, on the boot clock.
    swept_boot: Mutex<Duration>,
    oversight: Mutex<Oversight>,
    status: Mutex<Status>,
}

/// What one pass came to.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// It had the lease.
    pub led: bool,
    /// How many assignments it looked at.
    pub looked_at: usize,
    /// When the next one is due.
    pub next_at: Option<DateTime<Utc>>,
}

/// How the engine of this process is.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may hold beside the others"
)]
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// A pass has finished since the start.
    pub has_passed: bool,
    /// It holds the lease.
    pub leads: bool,
    /// Why nothing is sent to AWS, if so.
    pub halted: Option<String>,
    /// The database's clock jumped: no access is given until a restart.
    pub clock_jumped: bool,
    /// The database lost commits: no access is given until an administrator confirms.
    pub recovering: bool,
    #[serde(skip)]
    passed_at: Duration,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// An engine, with a fresh identity of its own. `state_dir`: where it keeps what must survive its
    /// process and is not the database's.
    ///
    /// # Errors
    /// If the database can't be asked for the time.
    pub async fn new(
        db: Db,
        directory: Directory,
        settings: Settings,
        metrics: Metrics,
        state_dir: Option<StateDir>,
    ) -> anyhow::Result<Self> {
        let now = db.clock.now(&mut *db.conn().await?).await?;
        let boot = db.clock.boot();
        Ok(Self {
            identity_center: directory.aws.identity_center(&directory.instance),
            directory,
            settings,
            metrics,
            holder: HolderId::new(now),
            calls: Mutex::new(Calls::new(settings.calls_per_second, boot)),
            outstanding: Mutex::new(Outstanding::default()),
            watch: Mutex::new(Watch::default()),
            reach: Mutex::default(),
            stumbled: Mutex::default(),
            foreign: Mutex::default(),
            memory: Mutex::new(Memory::open(state_dir)),
            round: Mutex::default(),
            swept_boot: Mutex::default(),
            oversight: Mutex::default(),
            status: Mutex::new(Status {
                passed_at: boot,
                ..Status::default()
            }),
            db,
        })
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            clock_jumped: locked(&self.watch).has_jumped(),
            ..locked(&self.status).clone()
        }
    }

    /// As whom it holds the lease.
    #[must_use]
    pub fn holder(&self) -> HolderId {
        self.holder
    }

    /// Since its last pass, or since it was made.
    #[must_use]
    pub fn pass_age(&self) -> Duration {
        let passed_at = locked(&self.status).passed_at;
        self.db.clock.boot().saturating_sub(passed_at)
    }

    /// Passes finish, as they must.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.status().has_passed && self.pass_age() <= PASS_MUST_FINISH
    }

    /// One pass: keep the lease, then take every step that is due.
    ///
    /// # Errors
    /// If the database or, at a take-over, Identity Center can't be asked. What is wrong with a
    /// single assignment is logged and does not stop the others.
    pub async fn tick(&self) -> anyhow::Result<Pass> {
        let pass = self.pass().await;
        let mut status = locked(&self.status);
        status.passed_at = self.db.clock.boot();
        if let Ok(pass) = &pass {
            status.has_passed = true;
            status.leads = pass.led;
        }
        pass
    }

    async fn pass(&self) -> anyhow::Result<Pass> {
        self.offer_lease_if_lost().await?;
        if let Some(until) = self.hold_lease().await? {
            return Ok(Pass {
                led: false,
                looked_at: 0,
                next_at: Some(until),
            });
        }
        let mut conn = self.db.conn().await?;
        self.report_jump().await?;
        let now = self.read_time(&mut conn).await?;
        let open = operations::open_accounts(&mut conn, now - HOLDS_ACCOUNT).await?;
        *locked(&self.outstanding) = Outstanding::new(self.settings.outstanding, open);
        for kind in [OperationKind::Create, OperationKind::Delete] {
            self.look_at_many(&mut conn, kind, now).await?;
        }
        let mut due = assignments::list_due(&mut conn, now, PER_PASS).await?;
        drop(conn);
        let began = self.db.clock.boot();
        due.retain(|id| !self.has_just_stumbled(*id, began));
        let looked_at = due.len();
        futures_util::stream::iter(due)
            .for_each_concurrent(AT_ONCE, async |id| {
                // What somebody ended meanwhile comes first: so the list is made anew now and then.
                if self.db.clock.boot().saturating_sub(began) > PASS_TAKES_UP {
                    return;
                }
                if let Err(error) = self.advance(id).await {
                    tracing::error!(assignment.id = %id, error = format!("{error:#}"), "a step failed; it is taken again");
                    locked(&self.stumbled).insert(id, self.db.clock.boot());
                }
            })
            .await;
        self.oversee(now).await;
        let due = assignments::next_due(&mut *self.db.conn().await?).await?;
        let next_at = [due, self.sweep().await?].into_iter().flatten().min();
        Ok(Pass {
            led: true,
            looked_at,
            next_at,
        })
    }

    /// A step that failed (a row that makes no sense, say) is not tried again at once.
    fn has_just_stumbled(&self, id: AssignmentId, at: Duration) -> bool {
        let mut stumbled = locked(&self.stumbled);
        stumbled.retain(|_, since| at.saturating_sub(*since) < AFTER_STUMBLE);
        stumbled.contains_key(&id)
    }

    /// Keeps or takes the lease. `Some`: somebody else has it until then.
    async fn hold_lease(&self) -> anyhow::Result<Option<DateTime<Utc>>> {
        self.compare_with_memory().await?;
        let mut conn = self.db.conn().await?;
        let held = lease::load(&mut conn).await?;
        // Never behind the last heartbeat, whoever's it was (T1).
        if let Some(renewed_at) = held.renewed_at {
            locked(&self.watch).not_behind(renewed_at, self.db.clock.boot());
        }
        let now = self.read_time(&mut conn).await?;
        drop(conn);
        if let Some(until) = held.by_another(self.holder, now) {
            return Ok(Some(self.follow(until)));
        }
        if held.holder != Some(self.holder) {
            // Before it is taken: whom AWS does not answer leaves it to whom it does.
            locked(&self.status).leads = false;
            fail_point!("engine.lease.before");
            self.compare_worlds().await?;
            fail_point!("engine.lease.compared");
        } else if locked(&self.reach).is_aside(self.db.clock.boot()) {
            return Ok(Some(self.follow(now + TimeDelta::seconds(1))));
        }
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let now = self.read_time(change.conn()).await?;
        let took = lease::hold(change.conn(), self.holder, now, self.settings.lease_ttl).await?;
        match took {
            Lease::HeldUntil(until) => return Ok(Some(self.follow(until))),
            Lease::Renewed | Lease::Resumed => {
                fail_point!("engine.lease.renewing");
                change.commit_bookkeeping().await?;
                fail_point!("engine.lease.renewed");
            }
            Lease::Taken => {
                change.record(
                    Event::new(EventType::LeaseTaken).with("holder", self.holder.to_string()),
                );
                fail_point!("engine.lease.taking");
                change.commit().await?;
                fail_point!("engine.lease.taken");
                tracing::info!(holder = %self.holder, "this engine leads");
            }
        }
        locked(&self.status).halted = None;
        Ok(None)
    }

    /// Somebody else's turn, until then.
    fn follow(&self, until: DateTime<Utc>) -> DateTime<Utc> {
        let mut status = locked(&self.status);
        status.leads = false;
        status.halted = None;
        until
    }

    /// AWS answers nothing here: whoever fares better may have the lease. Alone it keeps it, because
    /// reports and lapses need a leader all the same.
    async fn offer_lease_if_lost(&self) -> anyhow::Result<()> {
        let boot = self.db.clock.boot();
        if !locked(&self.status).leads || !locked(&self.reach).is_lost(boot) {
            return Ok(());
        }
        let mut change = Change::begin(&self.db, Actor::System).await?;
        let now = self.time_of(&mut change).await?;
        if replicas::list(change.conn(), now).await?.len() < 2 {
            return Ok(());
        }
        tracing::error!(
            "Identity Center answers nothing here (see the calls that failed); other replicas may take the lease"
        );
        // First: no heartbeat may take the offer back.
        locked(&self.reach).stand_aside(boot);
        lease::offer(change.conn(), self.holder, now).await?;
        change.wake();
        fail_point!("engine.offer.uncommitted");
        change.commit_bookkeeping().await?;
        fail_point!("engine.offer.committed");
        Ok(())
    }

    /// Is this the organisation that the database belongs to? Asked before every take-over; on any
    /// difference nothing is sent to AWS.
    async fn compare_worlds(&self) -> anyhow::Result<()> {
        let found = installation::find(&mut *self.db.conn().await?).await?;
        let of_database = found.context("this database belongs to no installation yet")?;
        let of_aws = self.directory.aws.instance().await?;
        if of_database.instance_arn == of_aws.arn
            && of_database.identity_store_id == of_aws.identity_store_id
        {
            return Ok(());
        }
        let why = format!(
            "this database belongs to {} ({}), but the AWS credentials lead to {} ({}); nothing is sent to AWS",
            of_database.instance_arn,
            of_database.identity_store_id,
            of_aws.arn,
            of_aws.identity_store_id
        );
        locked(&self.status).halted = Some(why.clone());
        anyhow::bail!(why)
    }

    /// The engine's time: the database's, distrusted.
    async fn read_time(&self, conn: &mut sqlx::PgConnection) -> anyhow::Result<DateTime<Utc>> {
        let before = self.db.clock.boot();
        let database = self.db.clock.now(conn).await?;
        let asked = Asked {
            before,
            after: self.db.clock.boot(),
        };
        Ok(locked(&self.watch).read(database, asked))
    }

    /// The same inside a change, whose locks are held: its events and rows go by it too.
    async fn time_of(&self, change: &mut Change) -> anyhow::Result<DateTime<Utc>> {
        let now = self.read_time(change.conn()).await?;
        change.not_before(now);
        Ok(change.now().await?)
    }

    /// The database's clock jumped: say so, until it is recorded.
    async fn report_jump(&self) -> anyhow::Result<()> {
        let Some(off) = locked(&self.watch).unreported() else {
            return Ok(());
        };
        tracing::error!(
            seconds = off.num_seconds(),
            "the database's clock jumped; no access is given until a restart, endings go on"
        );
        let mut change = Change::begin(&self.db, Actor::System).await?;
        change.record(Event::new(EventType::ClockJumped).with("seconds", off.num_seconds()));
        fail_point!("engine.jump.uncommitted");
        change.commit().await?;
        fail_point!("engine.jump.committed");
        locked(&self.watch).reported();
        Ok(())
    }

    /// Many operations are in progress: one listing tells which of them still are, so that only
    /// those that left it are asked for one by one (protocol L5).
    async fn look_at_many(
        &self,
        conn: &mut sqlx::PgConnection,
        kind: OperationKind,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let (all, due) = operations::count_in_progress(conn, kind, now).await?;
        if all < WORTH_A_LISTING || due < WORTH_A_LISTING || !self.take_call() {
            return Ok(());
        }
        fail_point!("engine.look_at_many.before");
        match self.identity_center.in_progress(kind).await {
            Ok(still) => {
                locked(&self.reach).answered();
                fail_point!("engine.look_at_many.answered");
                operations::postpone(conn, &still, now + SHARED_LOOK).await?;
                fail_point!("engine.look_at_many.postponed");
            }
            Err(error) => self.note_failure(&error),
        }
        Ok(())
    }

    fn take_call(&self) -> bool {
        locked(&self.calls).take(self.db.clock.boot())
    }

    fn note_failure(&self, error: &CallFailed) {
        if error.is_throttled {
            locked(&self.calls).slow_down();
        } else {
            locked(&self.reach).unanswered(self.db.clock.boot());
        }
        tracing::warn!(error = %error, "a call to AWS failed; it is made again");
    }

    /// Passes until it is told to stop, then gives the lease up.
    ///
    /// It wakes when something is due, when somebody knocks, and every two seconds in any case.
    pub async fn run(&self, mut knock: signal::Receiver<u64>, stop: CancellationToken) {
        let passes = async {
            loop {
                knock.mark_unchanged();
                let ticked = tokio::time::timeout(PASS_IS_DROPPED, self.tick());
                let pass = ticked.await.unwrap_or_else(|late| Err(late.into()));
                let sleep = match pass {
                    Ok(pass) => self.until(pass.next_at).await,
                    Err(error) => {
                        tracing::error!(
                            error = format!("{error:#}"),
                            "a pass of the engine failed; the next one follows"
                        );
                        Duration::from_secs(1)
                    }
                };
                tokio::select! {
                    () = tokio::time::sleep(sleep) => {}
                    changed = knock.changed() => if changed.is_err() { tokio::time::sleep(sleep).await; },
                }
            }
        };
        tokio::select! {
            () = passes => {}
            () = self.heartbeat() => {}
            () = stop.cancelled() => {}
        }
        fail_point!("engine.stop.before");
        let given_up = async { lease::give_up(&mut *self.db.conn().await?, self.holder).await };
        if let Err(error) = given_up.await {
            tracing::warn!(%error, "the lease could not be given up; it runs out by itself");
        }
        fail_point!("engine.stop.given_up");
    }

    /// Renews the lease while passes finish. A pass that hangs lets it run out.
    async fn heartbeat(&self) {
        loop {
            tokio::time::sleep(self.settings.heartbeat).await;
            let status = self.status();
            if !status.leads
                || self.db.clock.boot().saturating_sub(status.passed_at) > PASS_MUST_FINISH
            {
                continue;
            }
            let held = tokio::time::timeout(HEARTBEAT_IS_DROPPED, self.hold_lease());
            if let Err(error) = held.await.unwrap_or_else(|late| Err(late.into())) {
                tracing::warn!(error = format!("{error:#}"), "a heartbeat failed");
            }
        }
    }

    /// How long to sleep for an instant on the database's clock.
    async fn until(&self, next_at: Option<DateTime<Utc>>) -> Duration {
        let Some(next_at) = next_at else {
            return LONGEST_SLEEP;
        };
        let now = async { anyhow::Ok(self.db.clock.now(&mut *self.db.conn().await?).await?) };
        match now.await {
            Ok(now) if next_at <= now => CROWDED,
            Ok(now) => (next_at - now)
                .to_std()
                .unwrap_or_default()
                .min(LONGEST_SLEEP),
            Err(_) => LONGEST_SLEEP,
        }
    }
}
