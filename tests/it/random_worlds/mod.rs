//! Random worlds: people, AWS, hands, faults, crashes and take-overs in any order, and what is promised
//! must hold after every step (promises P1 to P5, protocol S2, S4, G1, L1).
//!
//! Everything is real but the clock. The commands are drawn by proptest from a seed and shrunk when
//! they find something; `CURFEW_SEED` draws others, `CURFEW_WORLDS` more of them:
//!
//! ```text
//! CURFEW_SEED=7 CURFEW_WORLDS=500 cargo test --test it random_worlds
//! ```
//!
//! Delays between tries are spread by ids that differ from run to run, so a failure may need the same
//! commands more than once to show again.

mod commands;
mod truth;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use self::commands::history;
use self::world::World;
use crate::support::counts;

/// What CI goes by.
const SEED: u64 = 20_261_124;
const WORLDS: u64 = 12;
/// Worlds that run side by side.
const LANES: u64 = 4;

/// What there was, by its name.
type Tally = Mutex<BTreeMap<&'static str, u64>>;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn whatever_happens_access_ends_and_words_match_the_world() {
    let seed = from_environment("CURFEW_SEED", SEED);
    let worlds = from_environment("CURFEW_WORLDS", WORLDS);
    let tally = Tally::default();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let share = worlds / LANES + u64::from(lane < worlds % LANES);
                let tally = &tally;
                scope.spawn(move || run(seed, lane, share, tally))
            })
            .collect();
        let failed = lanes.into_iter().filter_map(|lane| lane.join().unwrap());
        failed.collect()
    });
    counts::report("random worlds: seed", seed);
    for (name, count) in tally.into_inner().unwrap() {
        counts::report(&format!("random worlds: {name}"), count);
    }
    assert!(
        failures.is_empty(),
        "CURFEW_SEED={seed}\n{}",
        failures.join("\n")
    );
}

/// So many worlds, one after the other; what the first that breaks came down to.
fn run(seed: u64, lane: u64, worlds: u64, tally: &Tally) -> Option<String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    bytes[8..16].copy_from_slice(&lane.to_be_bytes());
    let config = Config {
        cases: u32::try_from(worlds).unwrap(),
        failure_persistence: None,
        max_shrink_iters: 1000,
        max_shrink_time: 240_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&history(), |commands| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let had = runtime.block_on(async {
            let mut world = World::begin().await;
            for command in &commands {
                world.obey(command).await;
            }
            Box::pin(world.end()).await
        });
        let obeyed = u64::try_from(commands.len()).unwrap();
        let [(_, passes), ..] = had;
        let more = [
            ("worlds", 1),
            ("commands", obeyed),
            ("steps", obeyed + passes),
        ];
        let mut tally = tally.lock().unwrap();
        for (name, count) in had.into_iter().chain(more) {
            *tally.entry(name).or_default() += count;
        }
        Ok(())
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(why, commands)) => {
            let commands = commands.iter().map(|command| format!("  {command:?}\n"));
            Some(format!(
                "lane {lane}: {why}\n{}",
                commands.collect::<String>()
            ))
        }
        Err(TestError::Abort(why)) => Some(format!("lane {lane}: {why}")),
    }
}
