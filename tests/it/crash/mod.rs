//! The crash matrix: at every place between two effects a real process is killed, and frozen and thawed
//! after a take-over, and what is left is judged from outside.
//!
//! A place is a `fail_point!` in `src`; the list comes from there, so that a new one can't be forgotten
//! (`points`). Each is reached by a life: a story of people, faults and time (`lives`). The service in it
//! is a process of its own, over sockets, in real time (`process`); whoever replaces the victim carries
//! the life on, and is the next life's victim (`world`). What must hold afterwards is asked of AWS and of
//! SQL (`judge`).
//!
//! `CURFEW_CRASH_CASES=find_lost` tries only the cases in whose description that occurs.

mod judge;
mod lives;
mod points;
mod process;
mod world;

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use futures_util::FutureExt as _;

use self::process::Fault;
use self::world::World;
use crate::support::counts::report;

/// Worlds that live side by side: they mostly wait.
const WORLDS: usize = 16;

#[test]
fn every_failpoint_has_a_name_of_its_own_and_a_life_that_reaches_it() {
    points::are_told_apart_and_reached();
}

#[test]
fn whatever_engine_and_broker_commit_or_send_has_a_failpoint_beside_it() {
    points::stand_beside_every_effect();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_or_frozen_between_any_two_effects_leaves_nothing_behind() {
    let cases = Mutex::new(points::chosen());
    let next = || {
        let mut waiting = cases.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    };
    let works = (0..WORLDS).map(async |_| {
        let (mut ended, mut world) = (Vec::new(), None);
        while let Some(case) = next() {
            let began = Instant::now();
            let lives = async {
                let mut alive = match world.take() {
                    Some(alive) => alive,
                    None => World::start().await,
                };
                alive.live_through(case).await;
                alive
            };
            // One that goes wrong says why, and takes its world along; the others are judged all the same.
            let outcome = AssertUnwindSafe(lives).catch_unwind().await;
            let went = if outcome.is_ok() {
                "went"
            } else {
                "WENT WRONG"
            };
            eprintln!("{case} {went} in {:.1} s", began.elapsed().as_secs_f64());
            ended.push((case, outcome.is_ok()));
            world = outcome.ok();
        }
        if let Some(world) = world {
            world.finish().await;
        }
        ended
    });
    let ended = futures_util::future::join_all(works).await;
    let (done, failed): (Vec<_>, Vec<_>) = ended.into_iter().flatten().partition(|(_, well)| *well);
    assert!(
        failed.is_empty(),
        "went wrong (see above): {}",
        failed
            .iter()
            .map(|(case, _)| case.to_string())
            .collect::<Vec<_>>()
            .join("; ")
    );
    let count = |fault: Fault| done.iter().filter(|(case, _)| case.fault == fault).count() as u64;
    report("failpoints", points::named().len() as u64);
    report("killed at a failpoint", count(Fault::Kill));
    report("frozen at a failpoint", count(Fault::Freeze));
}
