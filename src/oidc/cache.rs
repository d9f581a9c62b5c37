//! One document of a provider, kept for some minutes.
//!
//! However many ask, one fetch is under way at a time. What was had before is good while a new one
//! can't be had: a provider that is briefly down stops nobody whose token its old keys verify. A
//! document newer than the one at hand may be demanded (a token names a key that is not in it), but
//! only so often: whoever sends tokens must not decide how often a provider is asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;

use crate::clock::Clock;

/// A document is good for so long at least, whatever its sender says.
const LEAST: Duration = Duration::from_mins(5);

/// And so long at most: a key that was taken out of service counts no longer than this.
const MOST: Duration = Duration::from_mins(10);

/// An old document stands in for so long while there is no new one.
const STANDS_IN: Duration = Duration::from_hours(24);

/// After a failure, nobody is asked for so long.
const PAUSE: Duration = Duration::from_secs(10);

/// Between two demands for a newer document.
const DEMANDS_APART: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(super) struct Cache<T> {
    what: String,
    clock: Clock,
    held: Mutex<Held<T>>,
    flight: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Held<T> {
    document: Option<Document<T>>,
    failed: Option<(Duration, String)>,
    demanded_at: Option<Duration>,
}

#[derive(Debug)]
struct Document<T> {
    content: Arc<T>,
    loaded_at: Duration,
    lifetime: Duration,
}

impl<T> Cache<T> {
    /// Nothing yet. `what` is for the log.
    pub(super) fn new(what: String, clock: Clock) -> Self {
        let held = Mutex::new(Held {
            document: None,
            failed: None,
            demanded_at: None,
        });
        let flight = tokio::sync::Mutex::new(());
        Self {
            what,
            clock,
            held,
            flight,
        }
    }

    /// The document at hand, or a new one.
    pub(super) async fn get<F>(&self, load: impl FnOnce() -> F) -> anyhow::Result<Arc<T>>
    where
        F: Future<Output = anyhow::Result<(T, Option<Duration>)>>,
    {
        if let Some(fresh) = self.younger_than(None) {
            return Ok(fresh);
        }
        let _flight = match (self.flight.try_lock(), self.younger_than(Some(STANDS_IN))) {
            (Ok(flight), _) => flight,
            (Err(_), Some(old)) => return Ok(old),
            (Err(_), None) => self.flight.lock().await,
        };
        if let Some(fresh) = self.younger_than(None) {
            return Ok(fresh);
        }
        let loaded = match self.failed_lately(PAUSE) {
            Some(failure) => Err(anyhow::Error::msg(failure)),
            None => self.load(load).await,
        };
        loaded.or_else(|error| self.younger_than(Some(STANDS_IN)).ok_or(error))
    }

    /// A document from after this call, or from a demand that was only just met.
    pub(super) async fn newer<F>(&self, load: impl FnOnce() -> F) -> anyhow::Result<Arc<T>>
    where
        F: Future<Output = anyhow::Result<(T, Option<Duration>)>>,
    {
        let _flight = self.flight.lock().await;
        let now = self.clock.boot();
        let is_too_soon = {
            let mut held = self.held();
            let is_too_soon = held
                .demanded_at
                .is_some_and(|at| now.saturating_sub(at) < DEMANDS_APART);
            if !is_too_soon {
                // Before it is asked: whoever hangs up meanwhile must not bring the next one sooner.
                held.demanded_at = Some(now);
            }
            is_too_soon
        };
        if !is_too_soon {
            return self.load(load).await;
        }
        match self.failed_lately(DEMANDS_APART) {
            Some(failure) => Err(anyhow::Error::msg(failure)),
            None => self
                .younger_than(Some(STANDS_IN))
                .with_context(|| format!("{} can't be had", self.what)),
        }
    }

    async fn load<F>(&self, load: impl FnOnce() -> F) -> anyhow::Result<Arc<T>>
    where
        F: Future<Output = anyhow::Result<(T, Option<Duration>)>>,
    {
        let loaded = load().await;
        let now = self.clock.boot();
        let mut held = self.held();
        match loaded {
            Ok((content, lifetime)) => {
                let content = Arc::new(content);
                held.document = Some(Document {
                    content: content.clone(),
                    loaded_at: now,
                    lifetime: lifetime.unwrap_or(LEAST).clamp(LEAST, MOST),
                });
                held.failed = None;
                Ok(content)
            }
            Err(error) => {
                let error = error.context(format!("{} can't be had", self.what));
                let failure = format!("{error:#}");
                tracing::warn!(error = failure, "an identity provider does not answer well");
                held.failed = Some((now, failure));
                Err(error)
            }
        }
    }

    /// The document, if it is younger than this; with nothing said, than its own lifetime.
    fn younger_than(&self, age: Option<Duration>) -> Option<Arc<T>> {
        let now = self.clock.boot();
        let held = self.held();
        let document = held.document.as_ref()?;
        let is_good = now.saturating_sub(document.loaded_at) < age.unwrap_or(document.lifetime);
        is_good.then(|| document.content.clone())
    }

    fn failed_lately(&self, pause: Duration) -> Option<String> {
        let now = self.clock.boot();
        let held = self.held();
        let (at, failure) = held.failed.as_ref()?;
        (now.saturating_sub(*at) < pause).then(|| failure.clone())
    }

    fn held(&self) -> MutexGuard<'_, Held<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
