//! How often a provider is asked, whatever others do.

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, TimeDelta};

use super::*;
use crate::clock::FixedClock;

struct Provider {
    clock: FixedClock,
    cache: Cache<usize>,
    asked: AtomicUsize,
}

impl Provider {
    fn new() -> Self {
        let clock = FixedClock::at(DateTime::UNIX_EPOCH);
        Self {
            cache: Cache::new("the document".to_owned(), Clock::Fixed(clock.clone())),
            clock,
            asked: AtomicUsize::new(0),
        }
    }

    async fn answers(&self) -> anyhow::Result<(usize, Option<Duration>)> {
        tokio::task::yield_now().await;
        let lifetime = Some(Duration::from_hours(1));
        Ok((self.asked.fetch_add(1, Ordering::SeqCst) + 1, lifetime))
    }

    #[expect(clippy::unused_async, reason = "it stands for a fetch")]
    async fn is_away(&self) -> anyhow::Result<(usize, Option<Duration>)> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        anyhow::bail!("away")
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_document_is_kept_for_ten_minutes_at_most() {
    let provider = Provider::new();
    for (later, had) in [(0, 1), (9 * 60, 1), (59, 1), (1, 2)] {
        provider.clock.advance(TimeDelta::seconds(later));
        assert_eq!(
            *provider.cache.get(|| provider.answers()).await.unwrap(),
            had
        );
    }
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_fetch() {
    let provider = Provider::new();
    let all = (0..100).map(|_| provider.cache.get(|| provider.answers()));
    for got in futures_util::future::join_all(all).await {
        assert_eq!(*got.unwrap(), 1);
    }
    let all = (0..100).map(|_| provider.cache.newer(|| provider.answers()));
    for got in futures_util::future::join_all(all).await {
        assert_eq!(*got.unwrap(), 2);
    }
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn a_newer_one_can_be_demanded_every_thirty_seconds() {
    let provider = Provider::new();
    provider.cache.get(|| provider.answers()).await.unwrap();
    for (later, had) in [(0, 2), (29, 2), (1, 3), (0, 3)] {
        provider.clock.advance(TimeDelta::seconds(later));
        let got = provider.cache.newer(|| provider.answers()).await.unwrap();
        assert_eq!(*got, had);
    }
}

#[tokio::test]
async fn the_old_one_stands_in_for_a_day_while_the_provider_is_away() {
    let provider = Provider::new();
    provider.cache.get(|| provider.answers()).await.unwrap();
    provider.clock.advance(TimeDelta::minutes(11));
    for _ in 0..5 {
        let got = provider.cache.get(|| provider.is_away()).await.unwrap();
        assert_eq!(*got, 1);
    }
    assert_eq!(
        provider.asked(),
        2,
        "a provider that is away was asked again at once"
    );
    provider.clock.advance(TimeDelta::hours(24));
    provider.cache.get(|| provider.is_away()).await.unwrap_err();
    provider.clock.advance(TimeDelta::seconds(10));
    assert_eq!(*provider.cache.get(|| provider.answers()).await.unwrap(), 4);
}

#[tokio::test]
async fn a_demand_that_failed_is_not_answered_with_the_old_one() {
    let provider = Provider::new();
    provider.cache.get(|| provider.answers()).await.unwrap();
    for _ in 0..3 {
        let got = provider.cache.newer(|| provider.is_away()).await;
        assert!(format!("{:#}", got.unwrap_err()).contains("away"));
    }
    assert_eq!(provider.asked(), 2);
    assert_eq!(*provider.cache.get(|| provider.answers()).await.unwrap(), 1);
}
