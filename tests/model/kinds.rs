//! What there is in the world of the model: what may go wrong, what must never be seen, and the things
//! that are on their way.

use curfew::access::assignment::OperationKind;

use crate::world::Tick;

/// What may go wrong. Each kind happens at most once on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Misfortune {
    /// A replica dies between an intent and its answer.
    Crash,
    /// A replica stands still between two effects, and goes on ticks later.
    Freeze,
    /// A request arrives when its sender has given up, by the age of its signature at the latest.
    Late,
    /// The answer is lost; the request may have been, too.
    Lost,
    /// A listing shows what was.
    Stale,
    /// A request is refused: throttled, or for good.
    Refused,
    /// An operation ends as FAILED, and what it should do was done.
    FailedWithEffect,
    /// An operation ends as FAILED, and nothing was done.
    FailedWithout,
    /// Taken although another operation of the tuple is in progress.
    Overlap,
    /// An operation takes longer than the engine waits.
    Slow,
    /// Identity Center has forgotten the `RequestId` of an operation that ended.
    Forgotten,
    /// The engine does nothing for a tick although something is due.
    Delay,
    /// A person ends a grant.
    EndedByPerson,
    /// Somebody takes the assignment away by hand.
    RemovedOutside,
    /// Somebody makes it by hand, while nothing of ours is wanted or in flight.
    MadeOutside,
    /// Somebody makes it by hand, while it is ours.
    MadeMeanwhile,
}

impl Misfortune {
    /// Every kind.
    pub(crate) const ALL: [Self; 16] = [
        Self::Crash,
        Self::Freeze,
        Self::Late,
        Self::Lost,
        Self::Stale,
        Self::Refused,
        Self::FailedWithEffect,
        Self::FailedWithout,
        Self::Overlap,
        Self::Slow,
        Self::Forgotten,
        Self::Delay,
        Self::EndedByPerson,
        Self::RemovedOutside,
        Self::MadeOutside,
        Self::MadeMeanwhile,
    ];

    /// Its place in a set of them.
    pub(crate) fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// What must never be seen. Each is a property of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// "Ended" or "failed" was said of something present.
    SaidGoneOfPresent,
    /// It was said while a create of ours could still arrive or finish.
    SaidGoneTooSoon,
    /// "Active" was said of what was not there since the grant's check.
    SaidActiveOfAbsent,
    /// A delete of ours took away what stood.
    StandingDeleted,
    /// A delete was intended while a grant was active.
    DeletedWhileActive,
    /// A delete of ours took effect while a grant was active.
    TakenWhileActive,
    /// A create was intended after the deadline or the end.
    CreatedTooLate,
    /// A create was sent for an assignment of an active grant: put back what somebody took away.
    PutBack,
    /// A grant was refused as already assigned, and nothing stood.
    RefusedWithoutStanding,
    /// A grant ended as removed outside, and nobody had removed it.
    RemovedByNobody,
    /// A grant was refused in a world without any misfortune.
    RefusedWithoutCause,
    /// A late ending was not reported, or one was that another grant holds up.
    OverdueWrong,
    /// A step changed nothing, and would be taken for ever.
    Spins,
    /// The time is up, and it has not come to rest.
    NeverRests,
    /// It has come to rest, and something is there that does not stand.
    LeftBehind,
}

/// One operation as Identity Center has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Work {
    pub(crate) number: u8,
    pub(crate) kind: OperationKind,
    pub(crate) accepted_at: Tick,
    /// The ledger knows its `RequestId`.
    pub(crate) is_known: bool,
    pub(crate) is_slow: bool,
    /// SUCCEEDED or FAILED.
    pub(crate) ended: Option<bool>,
}

/// A request that is late.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    pub(crate) number: u8,
    pub(crate) kind: OperationKind,
    pub(crate) until: Tick,
}

/// What Identity Center says to a create or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Accepted,
    Refused,
    RefusedForGood,
    Unknown,
}

/// What it says about an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Progress {
    Pending,
    Succeeded,
    Failed,
    Forgotten,
}

/// What a replica was about to do when it froze.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Intention {
    Send {
        number: u8,
        kind: OperationKind,
        until: Tick,
    },
    Record {
        number: u8,
        answer: Answer,
    },
    See {
        present: bool,
        began_at: Tick,
        is_outdated: bool,
    },
    Hear {
        number: u8,
        progress: Progress,
    },
    Learn {
        number: u8,
        found: Option<u8>,
        was_lost: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Replica {
    Up,
    Down,
    Frozen { since: Tick, intention: Intention },
}

/// Who made what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Maker {
    /// Curfew.
    Ours,
    /// Somebody, while it was ours: it can't be told apart and goes with ours (S2).
    Meanwhile,
    /// Somebody, while nothing of ours was wanted or in flight: it stands (P4).
    Standing,
}

/// From here on numbers are of operations that somebody else started.
pub(crate) const FOREIGN: u8 = 100;

impl Work {
    pub(crate) fn is_foreign(&self) -> bool {
        self.number >= FOREIGN
    }
}
