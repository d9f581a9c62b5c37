//! A model of how access starts and ends, explored to the last state by an explicit-state checker.
//!
//! Every decision in it is the engine's own `step::next`, every transition of a grant is
//! `access::grant`'s, and what a search finds is `Operation::found`; `shell` mirrors what the engine
//! does around them, `calls` what Identity Center makes of it. Run it by itself with
//! `cargo test --test model`; the larger configurations with `-- --ignored` (minutes, several GB).
//!
//! # What is in it
//! One tuple with one or two grants, the ledger's rows, Identity Center, requests on their way, and two
//! replicas, each with what it was about to do when it froze. Time goes in ticks (a minute); the waits
//! are a few ticks long, in the order that the real ones have: settle 3, both gaps 2, stuck 4, permit 1,
//! one call 1; a grant lasts 4 and must be confirmed within 8. Operations take one tick or two, listings
//! may lag by one, a frozen process thaws within five. Each kind of misfortune happens at most once on a
//! path, and `at_once` says how many on one path; everything else that may happen, may happen in any
//! order. Any replica that is up may decide at any time: nothing here relies on the lease.
//!
//! Every path is finite (time only goes on, and is over at a horizon), so "for ever" and "in the end"
//! are properties of single states: nothing has come to rest with access left behind, nothing has not
//! come to rest when the time is up, and no step leaves everything as it was.
//!
//! # What it assumes
//! - A returned commit is not lost. What follows when it is (protocol D1–D3) is not in the model: by
//!   these rows alone, a create whose intent was lost can't be told from what somebody made by hand.
//! - A transaction is one step: the row locks and the index of one open operation are trusted.
//! - Identity Center takes one operation of a tuple at a time; that it once takes two is a misfortune
//!   (`Overlap`). Only that keeps a delete whose answer was lost, and which was taken at the last moment
//!   that its signature allows, from an access that began since: with both, access may end too early,
//!   never too late.
//! - Listings lag by less than the gaps, signatures are refused after the settle time, an operation ends
//!   some day, and a `RequestId` is forgotten only after its operation ended.
//! - What somebody makes by hand while the tuple is ours goes with ours (S2). The check before a start
//!   (P1) passes; delays between tries are one tick; wake-ups, budgets and other tuples are left out.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod calls;
#[path = "../it/support/counts.rs"]
mod counts;
mod kinds;
mod moves;
mod shell;
mod world;

use stateright::{Checker as _, Model, Property};

use crate::kinds::{Broken, Misfortune};
use crate::moves::Move;
use crate::world::{Tick, World};

/// One configuration.
struct Setup {
    /// When the grants start.
    starts: &'static [Tick],
    /// An assignment stood before.
    stood: bool,
    /// What may go wrong, and how many of these on one path.
    may: &'static [Misfortune],
    at_once: u8,
}

impl Model for Setup {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.starts, self.stood, self.at_once)]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Move>) {
        let bits = self.may.iter().map(|misfortune| misfortune.bit());
        state.moves(bits.fold(0, |all, bit| all | bit), actions);
    }

    fn next_state(&self, last: &World, action: Move) -> Option<World> {
        Some(last.after(action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! never {
            ($($broken:ident: $promise:literal,)*) => {
                vec![$(Property::always($promise, |_, world: &World| world.broken != Some(Broken::$broken)),)*]
            };
        }
        never! {
            SaidGoneOfPresent: "gone is never said of something present",
            SaidGoneTooSoon: "gone is never said while a create of ours can still arrive",
            SaidActiveOfAbsent: "active is said only of what a listing could show",
            StandingDeleted: "a standing assignment is never deleted",
            DeletedWhileActive: "nothing is deleted while a grant is active",
            TakenWhileActive: "no delete takes effect while a grant is active",
            CreatedTooLate: "no create after the deadline or the end",
            PutBack: "what somebody removed is not put back",
            RefusedWithoutStanding: "already assigned is said only where something stood",
            RemovedByNobody: "removed outside is said only of what somebody removed",
            RefusedWithoutCause: "a want is met, or refused for a cause",
            OverdueWrong: "an ending that is late is reported, and no other",
            Spins: "no step is taken for ever",
            NeverRests: "everything comes to rest",
            LeftBehind: "nothing is left behind",
        }
    }
}

#[track_caller]
fn explore(name: &str, setup: Setup) {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let checker = setup.checker().threads(threads).spawn_bfs().join();
    let states = u64::try_from(checker.unique_state_count()).unwrap();
    counts::report(&format!("states of the model, {name}"), states);
    let discoveries = checker.discoveries();
    for (property, path) in &discoveries {
        eprintln!("{name}, not so: {property}");
        for (world, action) in path.clone().into_vec() {
            eprintln!("  {:>2} {action:?}", world.now);
        }
    }
    let broken: Vec<_> = discoveries.keys().collect();
    assert!(broken.is_empty(), "{name}: {broken:?}");
}

/// Those about which two grants on one tuple matter most.
const OF_TWO_GRANTS: &[Misfortune] = &[
    Misfortune::Crash,
    Misfortune::Freeze,
    Misfortune::Late,
    Misfortune::Lost,
    Misfortune::Stale,
    Misfortune::FailedWithEffect,
    Misfortune::Overlap,
    Misfortune::RemovedOutside,
];

/// Those of which three come together.
const OF_THREE: &[Misfortune] = &[
    Misfortune::Crash,
    Misfortune::Freeze,
    Misfortune::Late,
    Misfortune::FailedWithEffect,
    Misfortune::EndedByPerson,
];

#[test]
fn without_misfortune_every_want_is_met() {
    explore(
        "no misfortune",
        Setup {
            starts: &[0, 2],
            stood: false,
            may: &[],
            at_once: 0,
        },
    );
}

#[test]
fn one_grant_and_any_two_misfortunes() {
    explore(
        "one grant, any two misfortunes",
        Setup {
            starts: &[0],
            stood: false,
            may: &Misfortune::ALL,
            at_once: 2,
        },
    );
}

#[test]
fn what_stood_before_and_any_two_misfortunes() {
    explore(
        "what stood before, any two misfortunes",
        Setup {
            starts: &[0, 3],
            stood: true,
            may: &Misfortune::ALL,
            at_once: 2,
        },
    );
}

#[test]
fn two_grants_at_once_and_any_misfortune() {
    explore(
        "two grants at once, any misfortune",
        Setup {
            starts: &[0, 2],
            stood: false,
            may: &Misfortune::ALL,
            at_once: 1,
        },
    );
}

#[test]
fn two_grants_at_once_and_two_misfortunes() {
    explore(
        "two grants at once, two misfortunes",
        Setup {
            starts: &[0, 3],
            stood: false,
            may: OF_TWO_GRANTS,
            at_once: 2,
        },
    );
}

#[test]
fn two_grants_in_a_row_and_two_misfortunes() {
    explore(
        "two grants in a row, two misfortunes",
        Setup {
            starts: &[0, 9],
            stood: false,
            may: OF_TWO_GRANTS,
            at_once: 2,
        },
    );
}

#[test]
fn one_grant_and_three_misfortunes_of_the_worst() {
    explore(
        "one grant, three misfortunes of the worst",
        Setup {
            starts: &[0],
            stood: false,
            may: OF_THREE,
            at_once: 3,
        },
    );
}

#[test]
#[ignore = "millions of states: minutes, and several GB"]
fn two_grants_at_once_and_any_two_misfortunes() {
    explore(
        "two grants at once, any two misfortunes",
        Setup {
            starts: &[0, 3],
            stood: false,
            may: &Misfortune::ALL,
            at_once: 2,
        },
    );
}

#[test]
#[ignore = "millions of states: minutes, and several GB"]
fn two_grants_in_a_row_and_any_two_misfortunes() {
    explore(
        "two grants in a row, any two misfortunes",
        Setup {
            starts: &[0, 9],
            stood: false,
            may: &Misfortune::ALL,
            at_once: 2,
        },
    );
}

#[test]
#[ignore = "millions of states: minutes, and several GB"]
fn one_grant_and_three_misfortunes() {
    explore(
        "one grant, three misfortunes",
        Setup {
            starts: &[0],
            stood: false,
            may: OF_TWO_GRANTS,
            at_once: 3,
        },
    );
}
