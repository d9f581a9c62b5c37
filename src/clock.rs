//! What time it is. Two clocks, and the only place that asks either.
//!
//! - The database's clock decides what is due. It is read after the locks are held
//!   (`clock_timestamp()`; `now()` would be the transaction's start) and then passed on as a value.
//! - The boot clock measures how much time passed in this process, a suspended machine included. It
//!   is for permits and for noticing that the database's clock jumped; it names no instant.
//!
//! Tests use a fixed clock that they move by hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// Where the time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The database, and this machine's boot clock.
    Postgres,
    /// Whatever a test last set; both clocks move together.
    Fixed(FixedClock),
}

impl Clock {
    /// The database's time at this moment. Call it when the locks are held.
    ///
    /// # Errors
    /// If the database can't be asked.
    pub async fn now(&self, conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
        match self {
            Self::Postgres => {
                sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
                    .fetch_one(conn)
                    .await
            }
            Self::Fixed(fixed) => Ok(fixed.now()),
        }
    }

    /// Time since some fixed moment before this process started.
    #[must_use]
    pub fn boot(&self) -> Duration {
        match self {
            Self::Postgres => boot_time(),
            Self::Fixed(fixed) => fixed.boot(),
        }
    }
}

#[cfg(target_os = "linux")]
fn boot_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Without `CLOCK_BOOTTIME` a suspended machine's sleep is not counted; the database's clock then
/// shows it as a jump.
#[cfg(not(target_os = "linux"))]
fn boot_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub struct FixedClock(Arc<Mutex<(DateTime<Utc>, Duration)>>);

impl FixedClock {
    /// Stands at this instant.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new((now, Duration::from_secs(1_000_000)))))
    }

    /// Where it stands.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn boot(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Moves on; real time passed.
    pub fn advance(&self, by: TimeDelta) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += by;
        state.1 += by.to_std().unwrap_or_default();
    }

    /// The database's clock steps without time having passed.
    pub fn step(&self, by: TimeDelta) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 += by;
    }
}
