//! The loops beside the engine's own: what wakes, lapses, copies, sweeps and says that it runs. Each
//! goes on after whatever went wrong, and ends when the service stops. None is the only reason for
//! anything: a loop finds its work in the rows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::App;
use crate::access::id::RequestId;
use crate::broker::Broker;
use crate::http::live::{Live, Notice};
use crate::postgres::{CHANGED, Db, SILENCE, WAKE, bounded, sessions};

/// Longest sleep of the loop that lapses requests.
const LAPSE_EVERY: Duration = Duration::from_secs(5);

/// Longest sleep of the loop that carries out orders to end everything.
const END_ORDERED_EVERY: Duration = Duration::from_secs(5);

/// How often a process says that it runs.
const WRITTEN_IN_EVERY: Duration = Duration::from_secs(10);

/// How often somebody looks for what should be put right.
const WARNINGS_EVERY: Duration = Duration::from_mins(5);

/// A connection that has listened for so long without hearing anything is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(20);

/// Work on the database that takes so long hangs. It is dropped, and the loop goes on.
const HANGS: Duration = Duration::from_mins(1);

/// The same of a copy of the directory, for which AWS is asked too.
const COPY_HANGS: Duration = Duration::from_mins(15);

/// How often sessions that ran out are swept away.
const SESSIONS_EVERY: Duration = Duration::from_mins(10);

/// How often the commands that end access by hand are made anew without a notice.
const LIVE_GRANTS_EVERY: Duration = Duration::from_secs(15);

/// Between two of them, however many notices there are.
const LIVE_GRANTS_APART: Duration = Duration::from_millis(200);

/// How old the script in the state folder grows if nothing changes.
pub(super) const REWRITTEN_EVERY: TimeDelta = TimeDelta::minutes(5);

pub(super) async fn until_stopped(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

/// Its outcome, or that it hangs.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_| anyhow::bail!("nothing came of it in {} s", limit.as_secs()))
}

/// See [`App::listen`]. Everybody is also woken after each connect, because whatever was said before it
/// is lost.
pub(super) async fn listen(database: PgConnectOptions, knocks: watch::Sender<u64>, live: Live) {
    loop {
        // A pool of its own each time: the last one may still wait for a connection that hangs.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(bounded(database.clone()));
        let heard = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen_all([WAKE, CHANGED]).await?;
            knocks.send_modify(|count| *count += 1);
            live.wake(Notice::Anything);
            loop {
                let Ok(said) = tokio::time::timeout(QUIET, listener.try_recv()).await else {
                    let asked = async { anyhow::Ok(listener.listen_all([WAKE, CHANGED]).await?) };
                    within(SILENCE, asked).await?;
                    continue;
                };
                // An interrupted connection answers `None`.
                let Some(said) = said? else {
                    return anyhow::Ok(());
                };
                if said.channel() == CHANGED {
                    live.wake(match said.payload().parse() {
                        Ok(id) => Notice::Request(RequestId(id)),
                        Err(_) => Notice::Anything,
                    });
                } else {
                    knocks.send_modify(|count| *count += 1);
                }
            }
        };
        if let Err(error) = heard.await {
            tracing::warn!(
                error = format!("{error:#}"),
                "can't listen for wake-ups; looking every few seconds instead"
            );
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

pub(super) async fn lapse(broker: Broker, mut knock: watch::Receiver<u64>) {
    loop {
        knock.mark_unchanged();
        let sleep = match within(HANGS, broker.lapse_due()).await {
            Ok(Some(next)) => match async {
                anyhow::Ok(broker.db.clock.now(&mut *broker.db.conn().await?).await?)
            }
            .await
            {
                Ok(now) => (next - now)
                    .to_std()
                    .unwrap_or_default()
                    .clamp(Duration::from_millis(50), LAPSE_EVERY),
                Err(_) => LAPSE_EVERY,
            },
            Ok(None) => LAPSE_EVERY,
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "requests could not be lapsed; trying again"
                );
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            changed = knock.changed() => if changed.is_err() { tokio::time::sleep(sleep).await; },
        }
    }
}

/// Goes on with what somebody ordered to end, whatever became of the process that took the order.
pub(super) async fn end_ordered(broker: Broker, mut knock: watch::Receiver<u64>) {
    loop {
        knock.mark_unchanged();
        if let Err(error) = broker.carry_out_end_orders().await {
            tracing::warn!(
                error = format!("{error:#}"),
                "what was ordered to end could not be ended; trying again"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(END_ORDERED_EVERY) => {}
            changed = knock.changed() => if changed.is_err() { tokio::time::sleep(END_ORDERED_EVERY).await; },
        }
    }
}

pub(super) async fn copy_directory(broker: Broker) {
    loop {
        tokio::time::sleep(broker.settings.directory_every).await;
        let copied = async {
            broker
                .directory
                .copy(&broker.db, &broker.roles, &BTreeSet::new())
                .await?;
            broker.end_of_disabled().await
        };
        if let Err(error) = within(COPY_HANGS, copied).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "the directory could not be copied; trying again"
            );
        }
    }
}

pub(super) async fn look_for_warnings(app: Arc<App>) {
    loop {
        tokio::time::sleep(WARNINGS_EVERY).await;
        if let Err(error) = within(HANGS, app.look_for_warnings()).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "nobody could look for what should be put right; trying again"
            );
        }
    }
}

/// Keeps what is Curfew's to take away at hand: after every change that any replica tells of, and every
/// few seconds without one.
pub(super) async fn keep_live_grants(app: Arc<App>, mut notices: broadcast::Receiver<Notice>) {
    loop {
        if let Err(error) = app.keep_live_grants().await {
            tracing::warn!(
                error = format!("{error:#}"),
                "what is Curfew's to take away could not be read; the last script stays as it is"
            );
        }
        tokio::time::sleep(LIVE_GRANTS_APART).await;
        // Missed notices and a closed channel wake as well; the look itself is what counts.
        if let Ok(Err(broadcast::error::RecvError::Closed)) =
            tokio::time::timeout(LIVE_GRANTS_EVERY, notices.recv()).await
        {
            tokio::time::sleep(LIVE_GRANTS_EVERY).await;
        }
        while notices.try_recv().is_ok() {}
    }
}

pub(super) async fn keep_written_in(app: Arc<App>) {
    loop {
        tokio::time::sleep(WRITTEN_IN_EVERY).await;
        if let Err(error) = within(HANGS, app.write_in()).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "this replica could not be written in; trying again"
            );
        }
    }
}

pub(super) async fn sweep_sessions(db: Db) {
    loop {
        tokio::time::sleep(SESSIONS_EVERY).await;
        let swept = async {
            let mut conn = db.conn().await?;
            let now = db.clock.now(&mut conn).await?;
            anyhow::Ok(sessions::delete_expired(&mut conn, now).await?)
        };
        if let Err(error) = within(HANGS, swept).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "old sessions could not be swept; trying again"
            );
        }
    }
}
