//! The ledger's row for one person, account and permission set (the "tuple"), the operations that
//! were sent for it, and what Identity Center was last seen to say.

use chrono::{DateTime, TimeDelta, Utc};

use super::id::{AssignmentId, GrantId, OperationId};
use super::person::PersonId;

/// One tuple of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// Its id.
    pub id: AssignmentId,
    /// Whose.
    pub principal_id: PersonId,
    /// The same person as the identity store writes it, for AWS calls.
    pub user_id: String,
    /// Where.
    pub account_id: String,
    /// What.
    pub permission_set_arn: String,
    /// Since when it is ours: from the commit that intended a create until it was confirmed gone
    /// (protocol S2). What is ours will be deleted.
    pub owned_since: Option<DateTime<Utc>>,
    /// Counts operations opened and resolved; a listing counts only if it did not move meanwhile.
    pub revision: i64,
    /// What complete listings say since the last operation.
    pub sight: Option<Sight>,
    /// How many calls in a row did not do what they should.
    pub failures: i32,
    /// Not before then is the next call made.
    pub retry_at: Option<DateTime<Utc>>,
    /// What live looks say of its person, permission set and account, if one of them is gone.
    pub target_gone: Option<TargetGone>,
}

/// What an assignment needs to exist, and what may be gone or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The person was deleted from the identity store.
    Person,
    /// The permission set was deleted.
    PermissionSet,
    /// The account was closed, or left the organization.
    Account,
}

impl Part {
    const ALL: [Self; 3] = [Self::Person, Self::PermissionSet, Self::Account];

    /// The word used in tables and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::PermissionSet => "permission_set",
            Self::Account => "account",
        }
    }

    /// As a sentence says it.
    #[must_use]
    pub fn gone_in_words(self) -> &'static str {
        match self {
            Self::Person => "the person is not in the identity store any more",
            Self::PermissionSet => "the permission set does not exist any more",
            Self::Account => "the account is closed, or not in the organization any more",
        }
    }
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|part| part.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no part of an assignment"))
    }
}

/// How long looks must have said that a target is gone before it counts as confirmed (protocol G2).
pub const GONE_CONFIRMED_AFTER: TimeDelta = TimeDelta::minutes(10);

/// An unbroken run of live looks that found the same part gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TargetGone {
    /// Which.
    pub part: Part,
    /// When the first look of the run began.
    pub first_at: DateTime<Utc>,
    /// When the last one began.
    pub last_at: DateTime<Utc>,
}

impl TargetGone {
    /// The run after one more look; none if everything is there.
    #[must_use]
    pub fn after(before: Option<Self>, found: Option<Part>, at: DateTime<Utc>) -> Option<Self> {
        let part = found?;
        let run = before.filter(|run| run.part == part);
        Some(Self {
            part,
            first_at: run.map_or(at, |run| run.first_at),
            last_at: run.map_or(at, |run| run.last_at.max(at)),
        })
    }

    /// Seen twice, far enough apart.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.last_at - self.first_at >= GONE_CONFIRMED_AFTER
    }
}

/// An unbroken run of complete listings with the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sight {
    /// Was the tuple there?
    pub present: bool,
    /// When the first listing of the run began.
    pub first_at: DateTime<Utc>,
    /// When the last one began.
    pub last_at: DateTime<Utc>,
}

impl Sight {
    /// The run after one more complete listing that began at `began_at`.
    #[must_use]
    pub fn after(before: Option<Self>, present: bool, began_at: DateTime<Utc>) -> Self {
        match before {
            // One that began before the run did tells nothing new.
            Some(run) if began_at < run.last_at => run,
            Some(run) if run.present == present => Self {
                last_at: began_at,
                ..run
            },
            _ => Self {
                present,
                first_at: began_at,
                last_at: began_at,
            },
        }
    }

    /// From the first to the last listing of the run.
    #[must_use]
    pub fn lasted(&self) -> TimeDelta {
        self.last_at - self.first_at
    }
}

/// Create or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// `CreateAccountAssignment`.
    Create,
    /// `DeleteAccountAssignment`.
    Delete,
}

impl OperationKind {
    /// The word used in tables and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
        }
    }
}

/// How an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationStatus {
    /// Committed; being sent, or the answer was not recorded.
    Intended,
    /// Accepted; Identity Center works on it.
    InProgress,
    /// Accepted long ago and never finished.
    Stuck,
    /// Identity Center says it is done.
    Succeeded,
    /// Identity Center says it failed. Proves nothing about what is there (protocol G1).
    Failed,
    /// Definitely not accepted.
    Refused,
    /// No answer, and none will come: it may have had its effect, or may still have it.
    Lost,
    /// No answer came, AWS refuses its signature by now, and Identity Center's own list of
    /// operations shows nothing of it (any more): it can't happen (again).
    Expired,
}

impl OperationStatus {
    const ALL: [Self; 8] = [
        Self::Intended,
        Self::InProgress,
        Self::Stuck,
        Self::Succeeded,
        Self::Failed,
        Self::Refused,
        Self::Lost,
        Self::Expired,
    ];

    /// The word used in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::InProgress => "in_progress",
            Self::Stuck => "stuck",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Expired => "expired",
        }
    }
}

impl std::str::FromStr for OperationStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not the status of an operation"))
    }
}

/// One attempt, committed before it was sent (protocol S4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Create or delete.
    pub kind: OperationKind,
    /// For a create: the grant that it was sent for.
    pub grant_id: Option<GrantId>,
    /// How it stands.
    pub status: OperationStatus,
    /// When it was committed.
    pub intended_at: DateTime<Utc>,
    /// Whoever sent it has recorded the answer by then, or never will.
    pub answer_by: DateTime<Utc>,
    /// From then on AWS refuses its signature: it can't arrive any more.
    pub unresolved_until: DateTime<Utc>,
    /// `RequestId` of the asynchronous operation.
    pub aws_id: Option<String>,
    /// How often its status was asked for.
    pub looks: i32,
    /// When to ask next.
    pub next_look_at: Option<DateTime<Utc>>,
    /// When its outcome was recorded.
    pub resolved_at: Option<DateTime<Utc>>,
}

impl Operation {
    /// An operation that Identity Center lists, and that this create, whose answer was lost, may have
    /// started. It is another row: somebody else may have started it just as well, and then this
    /// create may still arrive.
    #[must_use]
    pub fn found(&self, id: OperationId, aws_id: String, now: DateTime<Utc>) -> Self {
        Self {
            id,
            status: OperationStatus::InProgress,
            intended_at: now,
            aws_id: Some(aws_id),
            next_look_at: Some(now),
            resolved_at: None,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::at;
    use super::*;

    #[test]
    fn a_run_of_listings_grows_while_they_agree_and_starts_anew_when_they_do_not() {
        let run = Sight::after(None, false, at(1));
        let run = Sight::after(Some(run), false, at(31));
        assert_eq!((run.present, run.lasted()), (false, TimeDelta::seconds(30)));
        let turned = Sight::after(Some(run), true, at(40));
        assert_eq!((turned.present, turned.lasted()), (true, TimeDelta::zero()));
    }

    #[test]
    fn a_target_is_gone_for_sure_only_after_two_looks_ten_minutes_apart_that_agree() {
        let gone = |before, part, seconds| TargetGone::after(before, Some(part), at(seconds));
        let first = gone(None, Part::Person, 0);
        assert!(!first.unwrap().is_confirmed());
        assert!(!gone(first, Part::Person, 599).unwrap().is_confirmed());
        assert!(gone(first, Part::Person, 600).unwrap().is_confirmed());
        assert!(
            !gone(first, Part::Account, 600).unwrap().is_confirmed(),
            "of something else the run begins anew"
        );
        assert_eq!(TargetGone::after(first, None, at(600)), None);
    }

    #[test]
    fn a_listing_that_began_earlier_than_the_run_changes_nothing() {
        let run = Sight::after(None, false, at(10));
        assert_eq!(Sight::after(Some(run), true, at(5)), run);
        assert_eq!(
            Sight::after(Some(run), false, at(5)).lasted(),
            TimeDelta::zero()
        );
    }
}
