//! Which failpoints there are, which life reaches each, and what happens there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};

use super::lives::Life;
use super::process::Fault;

/// One fault at one place of one life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) life: Life,
    pub(super) point: &'static str,
    /// At which time that it is passed, from one.
    pub(super) hit: u32,
    pub(super) fault: Fault,
    /// Thawed only when all is over, and not as soon as the replacement has acted.
    pub(super) thaws_late: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            life, point, hit, ..
        } = self;
        let what = match (self.fault, self.thaws_late) {
            (Fault::Kill, _) => "killed",
            (Fault::Freeze, false) => "frozen",
            (Fault::Freeze, true) => "frozen to the end",
        };
        write!(f, "{what} at {point} ({hit}) in {life:?}")
    }
}

/// Which life reaches which places. The long lives come first, so that none is waited for alone.
const REACHED_BY: &[(Life, &[&str])] = &[
    (
        Life::Overdue,
        &["engine.overdue.uncommitted", "engine.overdue.committed"],
    ),
    (
        Life::Doubtful,
        &[
            "engine.target.before",
            "engine.target.answered",
            "engine.target.uncommitted",
            "engine.target.committed",
        ],
    ),
    (
        Life::Crowd,
        &[
            "engine.look_at_many.before",
            "engine.look_at_many.answered",
            "engine.look_at_many.postponed",
        ],
    ),
    (
        Life::LostCreate,
        &[
            "engine.no_answer.uncommitted",
            "engine.no_answer.committed",
            "engine.find_lost.before",
            "engine.find_lost.listed",
            "engine.find_lost.answered",
            "engine.find_lost.uncommitted",
            "engine.find_lost.committed",
        ],
    ),
    (
        Life::Unanswered,
        &["engine.offer.uncommitted", "engine.offer.committed"],
    ),
    (
        Life::EndOfAll,
        &[
            "broker.end_everything.uncommitted",
            "broker.end_everything.committed",
            "broker.end_ordered.uncommitted",
            "broker.end_ordered.committed",
        ],
    ),
    (
        Life::LostDelete,
        &["engine.abandon.uncommitted", "engine.abandon.committed"],
    ),
    (
        Life::NotAllowed,
        &[
            "engine.retry.uncommitted",
            "engine.retry.committed",
            "engine.check.failing",
            "engine.check.failed",
        ],
    ),
    (
        Life::Disabled,
        &[
            "broker.end_disabled.uncommitted",
            "broker.end_disabled.committed",
        ],
    ),
    (
        Life::Jump,
        &["engine.jump.uncommitted", "engine.jump.committed"],
    ),
    (
        Life::Due,
        &["engine.end.uncommitted", "engine.end.committed"],
    ),
    (
        Life::Join,
        &["engine.join.uncommitted", "engine.join.committed"],
    ),
    (
        Life::Hurry,
        &["broker.hurry.uncommitted", "broker.hurry.committed"],
    ),
    (
        Life::TakeOver,
        &[
            "engine.lease.before",
            "engine.lease.compared",
            "engine.lease.taking",
            "engine.lease.taken",
        ],
    ),
    (Life::Stop, &["engine.stop.before", "engine.stop.given_up"]),
    (
        Life::WhileActive,
        &[
            "engine.lease.renewing",
            "engine.lease.renewed",
            "directory.copy.before",
            "directory.copy.answered",
            "directory.copy.uncommitted",
            "directory.copy.committed",
        ],
    ),
    (
        Life::EndedByHand,
        &[
            "aws.permit.passed",
            "broker.decide.answered",
            "broker.decide.before",
            "broker.decide.committed",
            "broker.decide.uncommitted",
            "broker.end.committed",
            "broker.end.uncommitted",
            "broker.submit.committed",
            "broker.submit.judged",
            "broker.submit.uncommitted",
            "change.commit.after",
            "change.commit.before",
            "directory.evidence.answered",
            "engine.activate.committed",
            "engine.activate.uncommitted",
            "engine.answer.committed",
            "engine.answer.uncommitted",
            "engine.ask.answered",
            "engine.ask.before",
            "engine.ask.committed",
            "engine.ask.locked",
            "engine.check.answered",
            "engine.check.before",
            "engine.create.answered",
            "engine.create.committed",
            "engine.create.uncommitted",
            "engine.delete.answered",
            "engine.delete.committed",
            "engine.delete.uncommitted",
            "engine.finish.committed",
            "engine.finish.uncommitted",
            "engine.look.answered",
            "engine.look.before",
            "engine.look.committed",
            "engine.look.uncommitted",
            "engine.rest.committed",
            "engine.rest.uncommitted",
            "engine.step.locked",
        ],
    ),
    (
        Life::Paused,
        &[
            "broker.pause.uncommitted",
            "broker.pause.committed",
            "broker.resume.uncommitted",
            "broker.resume.committed",
        ],
    ),
    (
        Life::Lapse,
        &["broker.lapse.uncommitted", "broker.lapse.committed"],
    ),
    (
        Life::Cancel,
        &["broker.cancel.uncommitted", "broker.cancel.committed"],
    ),
    (Life::Refused, &["broker.refuse.uncommitted"]),
];

/// Places that a life passes again and again, where it matters when: also these times.
const ALSO_AT: &[(&str, &[u32])] = &[
    // The delete's, too.
    ("aws.permit.passed", &[2]),
    ("engine.answer.uncommitted", &[2]),
    ("engine.step.locked", &[4]),
    ("change.commit.before", &[5, 9]),
    ("change.commit.after", &[5, 9]),
];

/// Places after which something may still be sent: thawed there both soon and when all is over.
const MAY_SEND_LATE: &[&str] = &[
    "aws.permit.passed",
    "engine.create.committed",
    "engine.delete.committed",
    "broker.submit.uncommitted",
];

/// The variable by which whoever looks for what went wrong chooses cases.
const ONLY: &str = "CURFEW_CRASH_CASES";

/// The cases to try.
pub(super) fn chosen() -> VecDeque<Case> {
    let only = std::env::var(ONLY).unwrap_or_default();
    let mut cases = cases();
    cases.retain(|case| case.to_string().contains(&only));
    cases
}

/// Every case, in the order in which they are begun.
fn cases() -> VecDeque<Case> {
    let mut cases = VecDeque::new();
    for (life, points) in REACHED_BY {
        for point in *points {
            let also = ALSO_AT.iter().find(|(name, _)| name == point);
            let hits = also.map_or(&[][..], |(_, hits)| hits);
            for hit in [1].iter().chain(hits) {
                let case = |fault, thaws_late| Case {
                    life: *life,
                    point,
                    hit: *hit,
                    fault,
                    thaws_late,
                };
                cases.push_back(case(Fault::Kill, false));
                cases.push_back(case(Fault::Freeze, false));
                if MAY_SEND_LATE.contains(point) {
                    cases.push_back(case(Fault::Freeze, true));
                }
            }
        }
    }
    cases
}

/// Files and functions of engine and broker that commit with no failpoint, and why no life goes through them.
const NOT_VISITED: &[(&str, &str)] = &[
    (
        "broker/close.rs",
        "five minutes between two looks for a target",
    ),
    (
        "broker/disabled.rs: cancel_disabled",
        "the next copy of the directory does it again",
    ),
    (
        "broker/disabled.rs: sign_out_disabled",
        "the next copy of the directory does it again",
    ),
    ("broker/end_session.rs", "no access depends on it"),
    ("broker/export.rs", "no access depends on it"),
    ("broker/identities.rs", "no access depends on it"),
    ("broker/policy.rs", "before the service takes requests"),
    ("broker/provider_logout.rs", "no access depends on it"),
    ("broker/recovery.rs", "only after a database lost commits"),
    ("broker/sign_in.rs", "no access depends on it"),
    ("engine/recovery.rs", "only after a database lost commits"),
    ("engine/sweep.rs", "only after a database lost commits"),
];

/// Every source file under this folder of `src`: its name from there, and its text.
fn sources(under: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("src");
    let mut found = Vec::new();
    walk(&root.join(under), &mut found);
    let named = found.into_iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        (name, std::fs::read_to_string(&path).unwrap())
    });
    named.collect()
}

/// The failpoints of the product, as its code names them, and how often each name occurs.
pub(super) fn named() -> BTreeMap<String, usize> {
    let mut named = BTreeMap::new();
    for (file, source) in sources("") {
        for part in source.split("fail_point!(").skip(1) {
            let name = part.trim_start().strip_prefix('"');
            let name = name.and_then(|rest| rest.split('"').next());
            let name = name.unwrap_or_else(|| panic!("{file}: a name must be a literal"));
            *named.entry(name.to_owned()).or_default() += 1;
        }
    }
    named
}

/// A function that commits or asks AWS names a failpoint, or its file says why not.
pub(super) fn stand_beside_every_effect() {
    const EFFECTS: &[&str] = &[
        ".commit()",
        ".commit_bookkeeping()",
        ".identity_center\n",
        ".identity_center.",
    ];
    let mut forgotten = Vec::new();
    let mut without = BTreeSet::new();
    for (file, source) in sources("engine").into_iter().chain(sources("broker")) {
        let source = source.split("#[cfg(test)]").next().unwrap();
        for body in source.split("fn ").skip(1) {
            let has_effect = EFFECTS.iter().any(|effect| body.contains(effect));
            if !has_effect || body.contains("fail_point!(") {
                continue;
            }
            let name = format!("{file}: {}", body.split(['(', '<']).next().unwrap());
            if !NOT_VISITED.iter().any(|(of, _)| *of == file || *of == name) {
                forgotten.push(name.clone());
            }
            without.extend([file.clone(), name]);
        }
    }
    assert!(forgotten.is_empty(), "no failpoint in {forgotten:?}");
    for (file, why) in NOT_VISITED {
        assert!(
            without.contains(*file),
            "{file} is visited now, so not {why:?}"
        );
    }
}

pub(super) fn are_told_apart_and_reached() {
    let named = named();
    assert!(named.len() > 50, "only {} failpoints", named.len());
    for (name, count) in &named {
        assert_eq!(*count, 1, "{name} names {count} places");
    }
    let visited = |fault| -> BTreeSet<String> {
        let cases = cases().into_iter().filter(|case| case.fault == fault);
        cases.map(|case| case.point.to_owned()).collect()
    };
    let named: BTreeSet<String> = named.into_keys().collect();
    for fault in [Fault::Kill, Fault::Freeze] {
        let visited = visited(fault);
        let forgotten: Vec<_> = named.difference(&visited).collect();
        assert!(forgotten.is_empty(), "no life reaches {forgotten:?}");
        let gone: Vec<_> = visited.difference(&named).collect();
        assert!(gone.is_empty(), "the code has no {gone:?}");
    }
}
