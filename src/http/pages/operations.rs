//! How Curfew itself is doing, for administrators and, without the buttons, for auditors: what is overdue first and loud, then the engine,
//! everything live, what is under way with Identity Center, and the log's head.
//!
//! What the page says is worked out from one reading, purely; the reading is a few bounded queries.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};

use super::words::{self, Badge, Time};
use crate::access::grant::{GrantStatus, OVERDUE_AFTER};
use crate::access::id::HolderId;
use crate::audit::chain::Head;
use crate::engine::Status;
use crate::http::Web;
use crate::http::error::Error;
use crate::http::page::{Layout, render};
use crate::http::session::SignedIn;
use crate::live_grants;
use crate::policy::evaluate::DIRECTORY_MAX_AGE;
use crate::policy::facts::InForce;
use crate::postgres::end_orders::{self, EndOrder};
use crate::postgres::lease::{self, Held};
use crate::postgres::overview::{self, Attempt, Live};
use crate::postgres::replicas::{self, Replica};
use crate::postgres::{audit, directory, policies};
use crate::preflight::Warning;

/// Live grants on the page.
const MOST_LIVE: i64 = 200;

/// Attempts of each list on the page.
const MOST_ATTEMPTS: i64 = 50;

/// Orders to end everything on the page.
const MOST_ORDERS: i64 = 5;

/// How long what went wrong is shown.
const LATELY: TimeDelta = TimeDelta::hours(24);

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) now: DateTime<Utc>,
    pub(super) engine: Status,
    /// This process's engine.
    pub(super) holder: Option<HolderId>,
    pub(super) lease: Held,
    pub(super) replicas: Vec<Replica>,
    /// What should be put right, as last looked at.
    pub(super) to_put_right: Vec<Warning>,
    pub(super) live: Vec<Live>,
    pub(super) live_count: i64,
    pub(super) pending_count: i64,
    pub(super) unfinished: Vec<Attempt>,
    pub(super) gone_wrong: Vec<Attempt>,
    pub(super) copied_at: Option<DateTime<Utc>>,
    pub(super) policy: Option<(InForce, Option<DateTime<Utc>>)>,
    pub(super) head: Option<Head>,
    /// Orders to end everything, of lately or not carried out, the newest first.
    pub(super) orders: Vec<EndOrder>,
    /// The Identity Center instance, for commands.
    pub(super) instance_arn: String,
}

#[derive(Template)]
#[template(path = "operations/index.html")]
pub(super) struct Page {
    pub(super) layout: Layout,
    pub(super) warnings: Vec<Warning>,
    pub(super) reading: Reading,
    pub(super) origin: String,
}

/// `GET /operations`
pub(in crate::http) async fn show(
    State(web): State<Web>,
    SignedIn(by): SignedIn,
) -> Result<Response, Error> {
    let layout = Layout::of(&web, &by).await?;
    let reading = read(&web).await?;
    let page = Page {
        layout,
        warnings: warnings(&reading),
        reading,
        origin: web.0.setup.public_url.origin().to_owned(),
    };
    render(StatusCode::OK, &page)
}

async fn read(web: &Web) -> anyhow::Result<Reading> {
    let db = &web.broker().db;
    let mut conn = db.conn().await?;
    let now = db.clock.now(&mut conn).await?;
    let (pending_count, live_count) = overview::count_open(&mut conn).await?;
    let policy = match policies::find_in_force(&mut conn).await? {
        Some(in_force) => Some((in_force, policies::in_force_since(&mut conn).await?)),
        None => None,
    };
    Ok(Reading {
        now,
        engine: web.0.engine.status(),
        holder: Some(web.0.engine.holder()),
        lease: lease::load(&mut conn).await?,
        replicas: replicas::list(&mut conn, now).await?,
        to_put_right: to_put_right(web),
        live: overview::list_live(&mut conn, MOST_LIVE).await?,
        live_count,
        pending_count,
        unfinished: overview::list_unfinished(&mut conn, MOST_ATTEMPTS).await?,
        gone_wrong: overview::list_gone_wrong(&mut conn, now - LATELY, MOST_ATTEMPTS).await?,
        copied_at: directory::copied_at(&mut conn).await?,
        policy,
        head: Some(audit::load_head(&mut conn).await?),
        orders: end_orders::list_lately(&mut conn, now - LATELY, MOST_ORDERS).await?,
        instance_arn: web.broker().directory.instance.arn.clone(),
    })
}

fn to_put_right(web: &Web) -> Vec<Warning> {
    let unwritten = web.0.live_grants.problem().map(|why| Warning {
        what: format!("This replica can't keep the commands that end access by hand: {why}."),
        remedy:
            "Make its state folder writable, or set state_dir. It is tried again every few seconds."
                .to_owned(),
    });
    unwritten.into_iter().chain(web.0.warnings.list()).collect()
}

/// What is wrong just now, the worst first.
pub(super) fn warnings(reading: &Reading) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |what: String, remedy: &str| {
        let remedy = remedy.to_owned();
        warnings.push(Warning { what, remedy });
    };
    if let Some(why) = &reading.engine.halted {
        warn(
            format!("This process sends nothing to AWS: {why}."),
            "Point it at the organisation that its database belongs to, and start it again. Endings wait until an engine leads.",
        );
    }
    if reading
        .lease
        .expires_at
        .is_none_or(|until| until <= reading.now)
    {
        warn(
            format!(
                "No engine leads; the last heartbeat was {}.",
                reading.heartbeat()
            ),
            "Nothing starts and nothing ends until one does. Look at the logs of every replica, and start one if none runs.",
        );
    }
    if reading.engine.recovering {
        warn(
            "The database lost commits.".to_owned(),
            "No access is given until an administrator confirms at /operations/recovery that it is mended; endings go on.",
        );
    }
    if reading.engine.clock_jumped {
        warn(
            "The database's clock jumped while this process ran.".to_owned(),
            "This process gives no more access; endings go on. Check the clock of the database's host, then start Curfew again.",
        );
    }
    if reading
        .copied_at
        .is_none_or(|at| at + DIRECTORY_MAX_AGE < reading.now)
    {
        warn(
            format!("The copy of the directory is old: {}.", reading.copy_age()),
            "Requests are refused until it is fresh; endings go on. See the log for why Identity Center's directory can't be read.",
        );
    }
    match &reading.policy {
        None => warn(
            "No policy is in force, or it is one that this version can't read.".to_owned(),
            "Requests are refused, endings go on. Check the policy file, and start Curfew with a good one.",
        ),
        Some((in_force, _)) => {
            for (rule, group) in suspended(in_force) {
                warn(
                    format!(
                        "The rule {rule} is suspended: the group {group} is not the one that it was when the policy came into force."
                    ),
                    "If the change was meant, activate the policy anew, by any edit of its file; if not, look at who changed the group.",
                );
            }
        }
    }
    warnings
}

/// Rules whose groups are not what they were, each with such a group (protocol C1).
fn suspended(in_force: &InForce) -> Vec<(String, String)> {
    let rules = in_force.policy.rules.iter();
    rules
        .filter_map(|rule| Some((rule.name.clone(), in_force.groups(rule).err()?)))
        .collect()
}

impl Reading {
    fn age(&self, at: DateTime<Utc>) -> String {
        words::duration(self.now - at)
    }

    fn heartbeat(&self) -> String {
        let renewed_at = self.lease.renewed_at;
        renewed_at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", self.age(at)))
    }

    fn copy_age(&self) -> String {
        let age = self
            .copied_at
            .map(|at| format!("begun {} ago", self.age(at)));
        age.unwrap_or_else(|| "it was never read".to_owned())
    }

    /// Who leads, in words.
    fn leader(&self) -> &'static str {
        let is_held = self.lease.expires_at.is_some_and(|until| until > self.now);
        match (is_held, self.lease.holder) {
            (true, Some(holder)) if Some(holder) == self.holder => "this process",
            (true, Some(_)) => "another process",
            _ => "nobody",
        }
    }

    /// The processes that run, this one first.
    fn processes(&self) -> Vec<String> {
        let this = |replica: &&Replica| self.holder.is_some_and(|holder| holder.0 == replica.id);
        let (own, others): (Vec<&Replica>, Vec<&Replica>) = self.replicas.iter().partition(this);
        let words = |replica: &Replica| {
            let whose = if this(&replica) { ", this one" } else { "" };
            let age = words::duration(self.now - replica.started_at);
            format!("version {}, up for {age}{whose}", replica.version)
        };
        own.into_iter().chain(others).map(words).collect()
    }

    fn overdue(&self) -> Vec<&Live> {
        let live = self.live.iter();
        live.filter(|live| live.overdue_since(self.now).is_some())
            .collect()
    }

    /// How many are overdue, and for how long the oldest of them is.
    fn overdue_in_words(&self) -> String {
        let overdue = self.overdue();
        let since = overdue
            .iter()
            .filter_map(|live| live.overdue_since(self.now))
            .min();
        let count = i64::try_from(overdue.len()).unwrap_or(i64::MAX);
        let oldest = since.map_or_else(String::new, |since| self.age(since));
        if count == 1 {
            return format!("One end is overdue, for {oldest}.");
        }
        format!("{count} ends are overdue, the oldest for {oldest}.")
    }

    fn more_live(&self) -> i64 {
        self.live_count - i64::try_from(self.live.len()).unwrap_or(self.live_count)
    }

    fn in_force_since(&self) -> Option<Time> {
        self.policy.as_ref()?.1.map(Time)
    }

    fn rules(&self) -> String {
        let count = self
            .policy
            .as_ref()
            .map_or(0, |(in_force, _)| in_force.policy.rules.len());
        words::counted(i64::try_from(count).unwrap_or(i64::MAX), "rule")
    }

    fn open(&self) -> String {
        format!(
            "{} waiting for a decision, {} live",
            words::counted(self.pending_count, "request"),
            words::counted(self.live_count, "grant")
        )
    }

    fn log_length(&self) -> String {
        words::counted(self.head.map_or(0, |head| head.seq), "event")
    }

    fn time(&self) -> Time {
        Time(self.now)
    }
}

impl EndOrder {
    fn at(&self) -> Time {
        Time(self.ordered_at)
    }

    /// How far it is: of starting the ends, and never of what is gone.
    fn progress(&self) -> String {
        let started = words::counted(self.ends_started, "end");
        let rest = if self.done_at.is_some() {
            "none is left to start"
        } else {
            "being carried out"
        };
        format!("{started} started, {rest}.")
    }
}

impl Live {
    /// Since when it should be gone, if it has been for too long. An end that waits because another
    /// grant still needs the assignment is not late, unless it was reported before.
    fn overdue_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let due = match self.status {
            GrantStatus::Provisioning | GrantStatus::Active | GrantStatus::Ending => {
                self.ends_at.into_iter().chain(self.ending_at).min()?
            }
            GrantStatus::Scheduled
            | GrantStatus::Ended
            | GrantStatus::Failed
            | GrantStatus::ClosedUnconfirmed => return None,
        };
        let waits = self.is_shared && self.status == GrantStatus::Ending;
        let is_late = self.overdue_at.is_some() || (due + OVERDUE_AFTER <= now && !waits);
        is_late.then_some(due)
    }

    /// Since when it should be gone, in words.
    fn due(&self, now: DateTime<Utc>) -> String {
        let since = self.overdue_since(now);
        since.map_or_else(String::new, |since| {
            format!("{}, at {}", words::duration(now - since), Time(since))
        })
    }

    fn badge(&self) -> Badge {
        words::grant_badge(self.status)
    }

    fn href(&self) -> String {
        format!("/requests/{}", self.request_id)
    }

    /// When it ends, as far as that is known.
    fn end(&self, now: DateTime<Utc>) -> String {
        match (self.status, self.ends_at) {
            (GrantStatus::Scheduled, _) | (_, None) => "not started".to_owned(),
            (GrantStatus::Ending, _) => {
                let since = self.ending_at.unwrap_or(now);
                format!("being taken away for {}", words::duration(now - since))
            }
            (_, Some(at)) if at <= now => "its time is over".to_owned(),
            (GrantStatus::Provisioning, Some(at)) => {
                format!("in {} at the latest", words::duration(at - now))
            }
            (_, Some(at)) => format!("in {}", words::duration(at - now)),
        }
    }

    /// The instant, unless it is past and says nothing any more.
    fn ends(&self) -> Option<Time> {
        self.ends_at
            .filter(|_| self.status != GrantStatus::Ending)
            .map(Time)
    }

    /// How often it was tried.
    fn tries(&self) -> String {
        let deletes = words::counted(self.attempts, "delete");
        match self.failures {
            0 => format!("{deletes} sent"),
            failures => format!(
                "{deletes} sent; {} in a row failed",
                words::counted(failures.into(), "call")
            ),
        }
    }

    /// The command that takes it away by hand.
    fn command(&self, instance_arn: &str) -> String {
        live_grants::command(instance_arn, &self.tuple)
    }

    /// What is gone that it was for.
    fn gone(&self) -> Option<String> {
        let gone = self.target_gone?;
        let since = Time(gone.first_at);
        let words = gone.part.gone_in_words();
        Some(if gone.is_confirmed() {
            format!("Confirmed since {since}: {words}. It is tried every six hours.")
        } else {
            format!("Seen once, at {since}: {words}. To be seen again before that counts.")
        })
    }

    /// An administrator may close it.
    fn may_close(&self) -> bool {
        self.status == GrantStatus::Ending
            && self.target_gone.is_some_and(|gone| gone.is_confirmed())
    }

    fn next_try(&self, now: DateTime<Utc>) -> String {
        match self.next_try_at {
            Some(at) if at > now => format!("in {}", words::duration(at - now)),
            Some(_) => "now".to_owned(),
            None => "not planned".to_owned(),
        }
    }
}

impl Attempt {
    /// What is done.
    fn act(&self) -> &'static str {
        if self.kind == "create" {
            "Create"
        } else {
            "Delete"
        }
    }

    /// Where it stands.
    fn badge(&self) -> Badge {
        let (word, sign, tone) = match self.status.as_str() {
            "intended" => ("being sent", "◐", "moving"),
            "in_progress" => ("in progress", "◐", "moving"),
            "stuck" => ("stuck", "▲", "bad"),
            "refused" => ("not taken", "✕", "waiting"),
            "lost" => ("answer lost", "▲", "waiting"),
            _ => ("failed", "✕", "bad"),
        };
        Badge { word, sign, tone }
    }

    fn permission_set(&self) -> &str {
        self.permission_set
            .as_deref()
            .unwrap_or("a permission set that is gone")
    }

    fn account_name(&self) -> &str {
        self.account_name.as_deref().unwrap_or_default()
    }

    fn age(&self, now: DateTime<Utc>) -> String {
        words::duration(now - self.intended_at)
    }

    fn looked(&self) -> String {
        words::counted(self.looks.into(), "look")
    }

    fn resolved(&self) -> Time {
        Time(self.resolved_at.unwrap_or(self.intended_at))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::samples::{at, in_force};
    use super::*;
    use crate::access::assignment::{Part, TargetGone};
    use crate::access::id::EndOrderId;

    pub(super) fn live(status: GrantStatus) -> Live {
        Live {
            request_id: Uuid::nil(),
            email: "engineer@example.com".into(),
            name: "Ada Engineer".into(),
            account_id: "111111111111".into(),
            account_name: "payments-prod".into(),
            permission_set: "production-admin".into(),
            status,
            ends_at: Some(at(600)),
            ending_at: (status == GrantStatus::Ending).then(|| at(600)),
            overdue_at: None,
            is_shared: false,
            failures: 0,
            last_error: None,
            next_try_at: None,
            attempts: 0,
            tuple: live_grants::Tuple {
                account_id: "111111111111".into(),
                permission_set_arn: "arn:aws:sso:::permissionSet/ssoins-1/ps-1".into(),
                user_id: "u".into(),
            },
            target_gone: None,
        }
    }

    #[test]
    fn only_what_ends_and_is_confirmed_gone_can_be_closed() {
        let gone = |seconds| {
            Some(TargetGone {
                part: Part::Person,
                first_at: at(0),
                last_at: at(seconds),
            })
        };
        let with = |status, target_gone| Live {
            target_gone,
            ..live(status)
        };
        assert!(with(GrantStatus::Ending, gone(600)).may_close());
        assert!(!with(GrantStatus::Ending, gone(599)).may_close());
        assert!(!with(GrantStatus::Active, gone(600)).may_close());
        assert!(!live(GrantStatus::Ending).may_close());
        let seen_once = with(GrantStatus::Ending, gone(0)).gone().unwrap();
        assert!(seen_once.starts_with("Seen once"), "{seen_once}");
    }

    #[test]
    fn overdue_ends_are_counted_with_the_age_of_the_oldest() {
        let reading = Reading {
            now: at(900),
            live: vec![live(GrantStatus::Ending), live(GrantStatus::Ending)],
            ..Reading::default()
        };
        assert_eq!(
            reading.overdue_in_words(),
            "2 ends are overdue, the oldest for 5 min."
        );
    }

    fn good() -> Reading {
        Reading {
            now: at(60),
            copied_at: Some(at(0)),
            policy: Some((in_force(), Some(at(0)))),
            lease: Held {
                holder: Some(HolderId(Uuid::nil())),
                renewed_at: Some(at(59)),
                expires_at: Some(at(65)),
            },
            ..Reading::default()
        }
    }

    #[test]
    fn a_service_that_is_well_warns_of_nothing() {
        assert_eq!(warnings(&good()), []);
    }

    #[test]
    fn whatever_is_wrong_is_said_with_what_to_do() {
        type Break = fn(&mut Reading);
        let cases: [(Break, &str); 7] = [
            (
                |reading| reading.engine.halted = Some("another world".into()),
                "another world",
            ),
            (|reading| reading.engine.clock_jumped = true, "clock jumped"),
            (
                |reading| reading.now = at(66),
                "the last heartbeat was 7 s ago",
            ),
            (|reading| reading.copied_at = None, "never read"),
            (
                |reading| reading.copied_at = Some(at(-300)),
                "begun 6 min ago",
            ),
            (|reading| reading.policy = None, "No policy"),
            (
                |reading| {
                    let (in_force, _) = reading.policy.as_mut().unwrap();
                    in_force.current.remove("engineers");
                },
                "The rule production-admin is suspended: the group engineers",
            ),
        ];
        for (break_it, part) in cases {
            let mut reading = good();
            break_it(&mut reading);
            let warnings = warnings(&reading);
            assert!(warnings[0].what.contains(part), "{warnings:?}");
            assert!(warnings.iter().all(|warning| warning.remedy.ends_with('.')));
        }
    }

    #[test]
    fn an_end_is_overdue_two_minutes_after_it_was_due_even_if_no_engine_says_so() {
        let late = at(600) + OVERDUE_AFTER;
        let early = late - TimeDelta::seconds(1);
        for status in [
            GrantStatus::Provisioning,
            GrantStatus::Active,
            GrantStatus::Ending,
        ] {
            let live = live(status);
            assert_eq!(live.overdue_since(early), None, "{status:?}");
            assert_eq!(live.overdue_since(late), Some(at(600)), "{status:?}");
        }
        assert_eq!(live(GrantStatus::Scheduled).overdue_since(late), None);
    }

    #[test]
    fn an_end_that_waits_for_another_grant_is_not_late() {
        let waiting = Live {
            is_shared: true,
            ..live(GrantStatus::Ending)
        };
        assert_eq!(waiting.overdue_since(at(9000)), None);
        let reported = Live {
            overdue_at: Some(at(720)),
            ..waiting
        };
        assert_eq!(reported.overdue_since(at(9000)), Some(at(600)));
    }

    #[test]
    fn how_far_an_order_is_never_says_that_access_has_ended() {
        let mut order = EndOrder {
            id: EndOrderId::new(at(0)),
            ordered_at: at(0),
            by: "admin@example.com".into(),
            comment: "a laptop is gone".into(),
            ends_started: 1,
            done_at: None,
        };
        assert_eq!(order.progress(), "1 end started, being carried out.");
        order.done_at = Some(at(30));
        assert_eq!(order.progress(), "1 end started, none is left to start.");
    }

    #[test]
    fn who_leads_is_told_by_a_lease_that_holds() {
        let mut reading = good();
        assert_eq!(reading.leader(), "another process");
        reading.holder = reading.lease.holder;
        assert_eq!(reading.leader(), "this process");
        reading.now = at(65);
        assert_eq!(reading.leader(), "nobody");
    }

    #[test]
    fn the_end_of_what_lives_is_said_as_far_as_it_is_known() {
        for (status, seconds, expected) in [
            (GrantStatus::Scheduled, 0, "not started"),
            (GrantStatus::Provisioning, 0, "in 10 min at the latest"),
            (GrantStatus::Active, 0, "in 10 min"),
            (GrantStatus::Active, 600, "its time is over"),
            (GrantStatus::Ending, 630, "being taken away for 30 s"),
        ] {
            assert_eq!(live(status).end(at(seconds)), expected);
        }
    }
}
