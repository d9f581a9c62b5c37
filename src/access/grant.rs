//! A grant: what an approved request gives.
//! `scheduled → provisioning → active → ending → ended`, or `failed`, or `closed_unconfirmed`.
//!
//! Two rules hold everything up (`protocol` T3 and "Grants"): the end only ever moves earlier, and
//! `failed` means certainly no access, so that anything which may have been sent leaves by `ending`.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::id::{AssignmentId, GrantId, RequestId};

/// How long after the first create intent plus the minutes a grant ends at the very latest: the
/// provisional end that stands before Identity Center has confirmed anything (protocol T3).
pub const PROVISIONAL_SLACK: TimeDelta = TimeDelta::minutes(5);

/// How long after its end began a grant that is still there is overdue (protocol G2).
pub const OVERDUE_AFTER: TimeDelta = TimeDelta::minutes(2);

/// A grant as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The request that it fulfils.
    pub request_id: RequestId,
    /// The ledger row that it shares with other grants of the same person, account and permission set.
    pub assignment_id: AssignmentId,
    /// How long access lasts from its confirmation.
    pub granted: TimeDelta,
    /// Longest role session of the permission set.
    pub session: TimeDelta,
    /// When it may start.
    pub start_at: DateTime<Utc>,
    /// Not confirmed by then: it fails (protocol T2).
    pub activate_by: DateTime<Utc>,
    /// When it was reported as overdue.
    pub overdue_at: Option<DateTime<Utc>>,
    /// Where it stands.
    pub state: GrantState,
}

/// What a grant has since it passed its check: a way in, and an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// When the check passed.
    pub provisioning_at: DateTime<Utc>,
    /// When its first create was intended; `None` if nothing was ever sent for it.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it ends. Provisional until active, and never moved later.
    pub ends_at: DateTime<Utc>,
}

/// Where a grant stands, with what is known there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantState {
    /// Approved; the check before the start has not passed yet.
    Scheduled,
    /// The check passed; Identity Center has not confirmed.
    Provisioning(Window),
    /// Identity Center confirmed the assignment.
    Active {
        /// Its window.
        window: Window,
        /// When that was.
        active_at: DateTime<Utc>,
    },
    /// Being taken away. Never goes back.
    Ending {
        /// Its window.
        window: Window,
        /// When it became active, if it did.
        active_at: Option<DateTime<Utc>>,
        /// Since when.
        ending_at: DateTime<Utc>,
        /// Why.
        reason: EndReason,
    },
    /// Was active; Identity Center confirmed that the assignment is gone.
    Ended {
        /// Its window.
        window: Window,
        /// When it became active.
        active_at: DateTime<Utc>,
        /// When the end began.
        ending_at: DateTime<Utc>,
        /// When it was confirmed gone.
        ended_at: DateTime<Utc>,
        /// Why.
        reason: EndReason,
    },
    /// Was never active, and certainly gives no access.
    Failed {
        /// Its window, if its check ever passed.
        window: Option<Window>,
        /// When the end began, if something had been sent.
        ending_at: Option<DateTime<Utc>>,
        /// When it was certain.
        ended_at: DateTime<Utc>,
        /// Why.
        reason: EndReason,
    },
    /// An administrator closed it: nobody can confirm any more that the access is gone, because its
    /// person, permission set or account is. Never called ended (protocol G2).
    ClosedUnconfirmed {
        /// Its window.
        window: Window,
        /// When it became active, if it did.
        active_at: Option<DateTime<Utc>>,
        /// When the end began.
        ending_at: DateTime<Utc>,
        /// When it was closed.
        closed_at: DateTime<Utc>,
        /// Why it was to end.
        reason: EndReason,
    },
}

/// The word for where a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantStatus {
    /// See [`GrantState::Scheduled`].
    Scheduled,
    /// See [`GrantState::Provisioning`].
    Provisioning,
    /// See [`GrantState::Active`].
    Active,
    /// See [`GrantState::Ending`].
    Ending,
    /// See [`GrantState::Ended`].
    Ended,
    /// See [`GrantState::Failed`].
    Failed,
    /// See [`GrantState::ClosedUnconfirmed`].
    ClosedUnconfirmed,
}

impl GrantStatus {
    /// Every status, in the order in which a grant goes through them.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Provisioning,
        Self::Active,
        Self::Ending,
        Self::Ended,
        Self::Failed,
        Self::ClosedUnconfirmed,
    ];

    /// Those of a grant that is not over.
    pub const LIVE: [Self; 4] = [
        Self::Scheduled,
        Self::Provisioning,
        Self::Active,
        Self::Ending,
    ];

    /// The word used in tables, JSON and pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Ending => "ending",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::ClosedUnconfirmed => "closed_unconfirmed",
        }
    }
}

/// Why a grant ends or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Its time is over.
    Due,
    /// The requester ended it.
    Requester,
    /// An approver ended it.
    Approver,
    /// An administrator ended it.
    Administrator,
    /// The identity provider signalled a risk.
    Signal,
    /// Somebody took the assignment away outside Curfew.
    RemovedOutside,
    /// The person had the assignment already, and not from Curfew.
    AlreadyAssigned,
    /// The check before the start, or the directory later, said no.
    NoLongerAllowed,
    /// Identity Center could not or did not confirm it in time.
    ProvisioningFailed,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Due,
        Self::Requester,
        Self::Approver,
        Self::Administrator,
        Self::Signal,
        Self::RemovedOutside,
        Self::AlreadyAssigned,
        Self::NoLongerAllowed,
        Self::ProvisioningFailed,
    ];

    /// The word used in tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Requester => "requester",
            Self::Approver => "approver",
            Self::Administrator => "administrator",
            Self::Signal => "signal",
            Self::RemovedOutside => "removed_outside",
            Self::AlreadyAssigned => "already_assigned",
            Self::NoLongerAllowed => "no_longer_allowed",
            Self::ProvisioningFailed => "provisioning_failed",
        }
    }

    /// As a person reads it, after "ended" or "failed".
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Due => "its time was over",
            Self::Requester => "ended early by the requester",
            Self::Approver => "ended early by an approver",
            Self::Administrator => "ended early by an administrator",
            Self::Signal => "ended by a risk signal",
            Self::RemovedOutside => "somebody removed the assignment outside Curfew",
            Self::AlreadyAssigned => "the person already had this access, not from Curfew",
            Self::NoLongerAllowed => "no longer allowed when it was about to start",
            Self::ProvisioningFailed => "Identity Center did not confirm it",
        }
    }
}

impl std::str::FromStr for EndReason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not an end reason"))
    }
}

/// A transition that this state does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a grant that is {} can't become {wanted}", .from.as_str())]
pub struct NoSuchTransition {
    /// Where it stands.
    pub from: GrantStatus,
    /// What was wanted.
    pub wanted: &'static str,
}

impl Grant {
    /// The word for where it stands.
    #[must_use]
    pub fn status(&self) -> GrantStatus {
        match self.state {
            GrantState::Scheduled => GrantStatus::Scheduled,
            GrantState::Provisioning(_) => GrantStatus::Provisioning,
            GrantState::Active { .. } => GrantStatus::Active,
            GrantState::Ending { .. } => GrantStatus::Ending,
            GrantState::Ended { .. } => GrantStatus::Ended,
            GrantState::Failed { .. } => GrantStatus::Failed,
            GrantState::ClosedUnconfirmed { .. } => GrantStatus::ClosedUnconfirmed,
        }
    }

    /// Its window, once its check has passed.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        match self.state {
            GrantState::Scheduled => None,
            GrantState::Provisioning(window)
            | GrantState::Active { window, .. }
            | GrantState::Ending { window, .. }
            | GrantState::Ended { window, .. }
            | GrantState::ClosedUnconfirmed { window, .. } => Some(window),
            GrantState::Failed { window, .. } => window,
        }
    }

    /// When access was to end, of a grant that is ending: its time, or the moment somebody ended it.
    #[must_use]
    pub fn end_due_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            GrantState::Ending {
                window, ending_at, ..
            } => Some(window.ends_at.min(ending_at)),
            _ => None,
        }
    }

    /// When Identity Center confirmed it.
    #[must_use]
    pub fn active_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            GrantState::Active { active_at, .. } | GrantState::Ended { active_at, .. } => {
                Some(active_at)
            }
            GrantState::Ending { active_at, .. }
            | GrantState::ClosedUnconfirmed { active_at, .. } => active_at,
            _ => None,
        }
    }

    /// When it was confirmed gone, or certain never to have been.
    #[must_use]
    pub fn ended_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            GrantState::Ended { ended_at, .. } | GrantState::Failed { ended_at, .. } => {
                Some(ended_at)
            }
            _ => None,
        }
    }

    /// Why it ends, ended or failed.
    #[must_use]
    pub fn end_reason(&self) -> Option<EndReason> {
        match self.state {
            GrantState::Ending { reason, .. }
            | GrantState::Ended { reason, .. }
            | GrantState::Failed { reason, .. }
            | GrantState::ClosedUnconfirmed { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Has it reached its last state?
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(
            self.state,
            GrantState::Ended { .. }
                | GrantState::Failed { .. }
                | GrantState::ClosedUnconfirmed { .. }
        )
    }

    /// Does it want the assignment to exist (protocol W1)? Call only after [`Self::due`] said none.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        matches!(
            self.state,
            GrantState::Provisioning(_) | GrantState::Active { .. }
        )
    }

    /// The latest end of a role session that may outlive the grant: a session can be opened until
    /// the assignment is gone, and then lasts as long as the permission set says. Not known while it
    /// is being taken away, or was closed: nobody can say when it will be, or was, gone.
    #[must_use]
    pub fn sessions_until(&self) -> Option<DateTime<Utc>> {
        let window = self.window()?;
        window.sent_at.or(self.active_at())?;
        let gone_at = match self.state {
            GrantState::Ending { .. } | GrantState::ClosedUnconfirmed { .. } => return None,
            _ => self.ended_at().unwrap_or(window.ends_at),
        };
        Some(gone_at + self.session)
    }

    /// The end that is due at this time (protocol T2, T3, T4).
    #[must_use]
    pub fn due(&self, now: DateTime<Utc>) -> Option<EndReason> {
        match self.state {
            GrantState::Scheduled if now >= self.activate_by => Some(EndReason::ProvisioningFailed),
            GrantState::Provisioning(window)
                if now >= self.activate_by || now >= window.ends_at =>
            {
                Some(EndReason::ProvisioningFailed)
            }
            GrantState::Active { window, .. } if now >= window.ends_at => Some(EndReason::Due),
            _ => None,
        }
    }

    /// When time next changes what it is.
    #[must_use]
    pub fn deadline(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.state {
            GrantState::Scheduled if now < self.start_at => Some(self.start_at),
            GrantState::Scheduled => Some(self.activate_by),
            GrantState::Provisioning(window) => Some(self.activate_by.min(window.ends_at)),
            GrantState::Active { window, .. } => Some(window.ends_at),
            GrantState::Ending { .. }
            | GrantState::Ended { .. }
            | GrantState::Failed { .. }
            | GrantState::ClosedUnconfirmed { .. } => None,
        }
    }

    /// `scheduled → provisioning`: its check passed. The provisional end stands from here on.
    ///
    /// # Errors
    /// If it is not scheduled.
    pub fn provision(&mut self, now: DateTime<Utc>) -> Result<(), NoSuchTransition> {
        let GrantState::Scheduled = self.state else {
            return Err(self.refuse("provisioning"));
        };
        let ends_at = now + self.granted + PROVISIONAL_SLACK;
        self.state = GrantState::Provisioning(Window {
            provisioning_at: now,
            sent_at: None,
            ends_at,
        });
        Ok(())
    }

    /// A create is about to be sent for it. Only the first time counts.
    ///
    /// # Errors
    /// If it is not provisioning.
    pub fn mark_sent(&mut self, now: DateTime<Utc>) -> Result<(), NoSuchTransition> {
        let GrantState::Provisioning(window) = &mut self.state else {
            return Err(self.refuse("sent"));
        };
        window.sent_at = window.sent_at.or(Some(now));
        Ok(())
    }

    /// `provisioning → active`: Identity Center confirmed. The end only moves earlier.
    ///
    /// # Errors
    /// If it is not provisioning.
    pub fn activate(&mut self, now: DateTime<Utc>) -> Result<(), NoSuchTransition> {
        let GrantState::Provisioning(window) = self.state else {
            return Err(self.refuse("active"));
        };
        let ends_at = window.ends_at.min(now + self.granted);
        self.state = GrantState::Active {
            window: Window { ends_at, ..window },
            active_at: now,
        };
        Ok(())
    }

    /// Starts the end. What was never sent fails at once; everything else goes through `ending`
    /// until it is confirmed gone.
    ///
    /// # Errors
    /// If it is ending or over already.
    pub fn end(&mut self, now: DateTime<Utc>, reason: EndReason) -> Result<(), NoSuchTransition> {
        self.state = match self.state {
            GrantState::Scheduled => GrantState::Failed {
                window: None,
                ending_at: None,
                ended_at: now,
                reason,
            },
            GrantState::Provisioning(window) if window.sent_at.is_none() => GrantState::Failed {
                window: Some(window),
                ending_at: None,
                ended_at: now,
                reason,
            },
            GrantState::Provisioning(window) => GrantState::Ending {
                window,
                active_at: None,
                ending_at: now,
                reason,
            },
            GrantState::Active { window, active_at } => GrantState::Ending {
                window,
                active_at: Some(active_at),
                ending_at: now,
                reason,
            },
            GrantState::Ending { .. }
            | GrantState::Ended { .. }
            | GrantState::Failed { .. }
            | GrantState::ClosedUnconfirmed { .. } => {
                return Err(self.refuse("ending"));
            }
        };
        Ok(())
    }

    /// `ending → ended`, or `failed` if it was never active: Identity Center confirmed that the
    /// assignment is gone.
    ///
    /// # Errors
    /// If it is not ending.
    pub fn confirm_gone(&mut self, now: DateTime<Utc>) -> Result<(), NoSuchTransition> {
        let GrantState::Ending {
            window,
            active_at,
            ending_at,
            reason,
        } = self.state
        else {
            return Err(self.refuse("ended"));
        };
        self.state = match active_at {
            Some(active_at) => GrantState::Ended {
                window,
                active_at,
                ending_at,
                ended_at: now,
                reason,
            },
            None => GrantState::Failed {
                window: Some(window),
                ending_at: Some(ending_at),
                ended_at: now,
                reason,
            },
        };
        Ok(())
    }

    /// `ending → closed_unconfirmed`: whoever closes it has seen that its target is confirmed gone.
    ///
    /// # Errors
    /// If it is not ending.
    pub fn close_unconfirmed(&mut self, now: DateTime<Utc>) -> Result<(), NoSuchTransition> {
        let GrantState::Ending {
            window,
            active_at,
            ending_at,
            reason,
        } = self.state
        else {
            return Err(self.refuse("closed_unconfirmed"));
        };
        self.state = GrantState::ClosedUnconfirmed {
            window,
            active_at,
            ending_at,
            closed_at: now,
            reason,
        };
        Ok(())
    }

    fn refuse(&self, wanted: &'static str) -> NoSuchTransition {
        NoSuchTransition {
            from: self.status(),
            wanted,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
