//! What may happen in a random world, as values that proptest draws and shrinks.

use curfew::sandbox::{FAILURES, Fault};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Who asks.
pub(super) const REQUESTERS: [&str; 3] = ["engineer", "engineer2", "both"];
/// Who decides and ends.
pub(super) const DECIDERS: [&str; 4] = ["approver", "approver2", "both", "admin"];
/// What can be asked for: rule, permission set, account. The last is the first one's target by
/// another rule, so that grants share an assignment.
pub(super) const TARGETS: [(&str, &str, &str); 4] = [
    ("production-admin", "production-admin", "111111111111"),
    ("production-admin", "production-admin", "333333333333"),
    ("staging-admin", "staging-admin", "222222222222"),
    ("quick", "production-admin", "111111111111"),
];

/// Longest that an operation may take in a world that forgets operations, in milliseconds: what
/// Curfew waits for a lost one covers it (protocol S4).
pub(super) const SLOW: u64 = 5000;

/// One of [`REQUESTERS`] and one of [`TARGETS`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) who: &'static str,
    pub(super) target: (&'static str, &'static str, &'static str),
}

/// One of the last requests; the very last, if none is drawn.
pub(super) type Lately = Option<Index>;

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Ask {
        pair: Pair,
        minutes: u32,
    },
    Decide {
        who: &'static str,
        request: Lately,
        yes: bool,
    },
    Cancel {
        request: Lately,
    },
    End {
        who: Option<&'static str>,
        request: Lately,
    },
    /// Time passes, and the engine with it.
    Pass {
        millis: i64,
    },
    Fail {
        operation: &'static str,
        nth: usize,
        fault: Fault,
    },
    /// A share of all calls goes wrong from now on.
    Rate {
        fault: Fault,
        per_mille: u16,
    },
    /// For some time all calls go wrong.
    Window {
        fault: Fault,
        seconds: u32,
    },
    /// AWS works, but differently.
    Behave {
        lag_millis: u64,
        operation_millis: u64,
        overlap: bool,
        forgets: bool,
    },
    /// Nothing goes wrong by itself any more.
    Calm,
    Assign(Pair),
    Remove(Pair),
    SetEnabled {
        who: &'static str,
        enabled: bool,
    },
    Delete {
        who: &'static str,
    },
    SetSuspended {
        account: &'static str,
        suspended: bool,
    },
    Rename {
        who: &'static str,
    },
    /// Closed for good, or deleted, until everything is restored.
    RemoveAccount {
        account: &'static str,
    },
    DeleteSet {
        set: &'static str,
    },
    SetMember {
        who: &'static str,
        is_member: bool,
    },
    /// Everybody and every account is there again, as in the beginning.
    Restore,
    /// The copy of the directory is renewed.
    Copy,
    /// The process dies and starts again.
    Crash,
    /// The process freezes after so many calls of a pass, and another one takes over.
    Freeze {
        calls: usize,
    },
    /// The frozen one goes on, beside the other.
    Thaw,
}

fn pair() -> impl Strategy<Value = Pair> {
    (select(&REQUESTERS[..]), select(&TARGETS[..])).prop_map(|(who, target)| Pair { who, target })
}

fn lately() -> impl Strategy<Value = Lately> {
    any::<Index>().prop_map(Some)
}

/// What may befall any call.
fn fault() -> impl Strategy<Value = Fault> {
    select(vec![
        Fault::Throttle,
        Fault::Conflict,
        Fault::Internal,
        Fault::Unavailable,
        Fault::AccessDenied,
        Fault::LoseAnswerBefore,
        Fault::LoseAnswerAfter,
        Fault::ResetBefore,
        Fault::ResetAfter,
    ])
}

/// What may befall a create or delete.
fn operation_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => fault(),
        6 => (0..=5000_u64).prop_map(|millis| Fault::DeliverLate { millis: millis..=millis }),
        3 => (select(&FAILURES[..]), any::<bool>()).prop_map(|((name, _), takes_effect)| {
            Fault::AsyncFailed { reason: name.to_owned(), takes_effect }
        }),
        3 => (0..=SLOW).prop_map(|millis| Fault::Slow { millis }),
        1 => (800_000..=1_500_000_u64).prop_map(|millis| Fault::Slow { millis }),
    ]
}

fn scripted() -> impl Strategy<Value = Command> {
    let operation = select(vec!["CreateAccountAssignment", "DeleteAccountAssignment"]);
    let question = select(vec![
        "ListAccountAssignments",
        "DescribeAccountAssignmentCreationStatus",
        "DescribeAccountAssignmentDeletionStatus",
        "ListAccountAssignmentCreationStatus",
        "DescribeUser",
        "IsMemberInGroups",
        "ListInstances",
    ]);
    let failing = |(operation, nth, fault)| Command::Fail {
        operation,
        nth,
        fault,
    };
    prop_oneof![
        2 => (operation, 1..3_usize, operation_fault()).prop_map(failing),
        1 => (question, 1..3_usize, fault()).prop_map(failing),
    ]
}

fn by_people() -> impl Strategy<Value = Command> {
    let decider = || select(&DECIDERS[..]);
    prop_oneof![
        4 => (pair(), 1..5_u32).prop_map(|(pair, minutes)| Command::Ask { pair, minutes }),
        4 => (decider(), lately(), prop::bool::weighted(0.9))
            .prop_map(|(who, request, yes)| Command::Decide { who, request, yes }),
        1 => lately().prop_map(|request| Command::Cancel { request }),
        2 => (prop::option::of(decider()), lately())
            .prop_map(|(who, request)| Command::End { who, request }),
    ]
}

fn by_aws() -> impl Strategy<Value = Command> {
    let behave = (
        0..=2500_u64,
        100..=4000_u64,
        any::<bool>(),
        prop::bool::weighted(0.2),
    );
    prop_oneof![
        5 => scripted(),
        1 => (operation_fault(), 20..200_u16)
            .prop_map(|(fault, per_mille)| Command::Rate { fault, per_mille }),
        1 => (fault(), 1..40_u32).prop_map(|(fault, seconds)| Command::Window { fault, seconds }),
        1 => behave.prop_map(|(lag_millis, operation_millis, overlap, forgets)| Command::Behave {
            lag_millis, operation_millis, overlap, forgets,
        }),
        2 => Just(Command::Calm),
    ]
}

fn by_hand() -> impl Strategy<Value = Command> {
    let person = || select(vec!["engineer", "engineer2", "both", "approver"]);
    let account = || select(vec!["payments-prod", "data-prod", "payments-staging"]);
    let set = select(vec!["production-admin", "staging-admin"]);
    prop_oneof![
        3 => pair().prop_map(Command::Assign),
        3 => pair().prop_map(Command::Remove),
        2 => (person(), prop::bool::weighted(0.7)).prop_map(|(who, enabled)| Command::SetEnabled { who, enabled }),
        1 => person().prop_map(|who| Command::Delete { who }),
        2 => (account(), prop::bool::weighted(0.4))
            .prop_map(|(account, suspended)| Command::SetSuspended { account, suspended }),
        2 => (person(), prop::bool::weighted(0.7)).prop_map(|(who, is_member)| Command::SetMember { who, is_member }),
        1 => person().prop_map(|who| Command::Rename { who }),
        1 => account().prop_map(|account| Command::RemoveAccount { account }),
        1 => set.prop_map(|set| Command::DeleteSet { set }),
        4 => Just(Command::Restore),
        2 => Just(Command::Copy),
    ]
}

fn by_machines() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => Just(Command::Crash),
        2 => (1..6_usize).prop_map(|calls| Command::Freeze { calls }),
        2 => Just(Command::Thaw),
    ]
}

fn passing() -> impl Strategy<Value = Command> {
    let millis = prop_oneof![
        4 => 50..1000_i64,
        8 => 1000..8000_i64,
        4 => 8000..70_000_i64,
        1 => 70_000..1_500_000_i64,
    ];
    millis.prop_map(|millis| Command::Pass { millis })
}

/// A grant from the ask to its end, with what goes wrong at either: the story that random commands
/// seldom tell by themselves.
fn life() -> impl Strategy<Value = Vec<Command>> {
    let fail = |operation| {
        let fault = prop::option::of((1..3_usize, operation_fault()));
        fault.prop_map(move |fault| {
            fault.map(|(nth, fault)| Command::Fail {
                operation,
                nth,
                fault,
            })
        })
    };
    let pass = |most| prop::option::of((50..most).prop_map(|millis| Command::Pass { millis }));
    let end = prop::option::of(Just(Command::End {
        who: None,
        request: None,
    }));
    let decide = select(&DECIDERS[..]);
    (
        fail("CreateAccountAssignment"),
        (pair(), 1..5_u32, decide),
        pass(9000_i64),
        fail("DeleteAccountAssignment"),
        end,
        pass(30_000_i64),
    )
        .prop_map(
            |(at_start, (pair, minutes, who), while_it_lasts, at_end, end, after)| {
                let ask = Command::Ask { pair, minutes };
                let decide = Command::Decide {
                    who,
                    request: None,
                    yes: true,
                };
                let start = at_start.into_iter().chain([ask, decide]);
                let rest = [while_it_lasts, at_end, end, after].into_iter().flatten();
                start.chain(rest).collect()
            },
        )
}

/// What happens in one world.
pub(super) fn history() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        6 => by_people(),
        8 => passing(),
        4 => by_aws(),
        3 => by_hand(),
        1 => by_machines(),
    ];
    let part = prop_oneof![
        5 => command.prop_map(|command| vec![command]),
        1 => life(),
    ];
    vec(part, 40..100).prop_map(|parts| parts.into_iter().flatten().collect())
}
