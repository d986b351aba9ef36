//! How a term ends: the reason, and the deadlines that still hold.

use super::time::Nanos;

/// Why a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// No write was acknowledged in time.
    Deadline,
    /// The Lease names another holder, or none.
    Usurped,
    /// The Lease was deleted, or another Lease has its name.
    Deleted,
    /// Another process writes under the same identity.
    DuplicateIdentity,
    /// The operator named the next holder.
    Revoked,
    /// The caller asked the elector to stop.
    Stopped,
    /// Work ended by itself.
    WorkEnded,
}

impl LossReason {
    /// A static text for metrics and Events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Usurped => "usurped",
            Self::Deleted => "deleted",
            Self::DuplicateIdentity => "duplicate_identity",
            Self::Revoked => "revoked",
            Self::Stopped => "stopped",
            Self::WorkEnded => "work_ended",
        }
    }

    /// Whether a person should know of it: the loss was neither requested nor the end of work.
    #[must_use]
    pub const fn is_problem(self) -> bool {
        !matches!(self, Self::Revoked | Self::Stopped | Self::WorkEnded)
    }
}

/// The deadlines of a term, on this process's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// When the newest acknowledged write was sent.
    pub since: Nanos,
    /// Leadership may be claimed before this moment. None: it may no longer be claimed.
    pub claim_until: Option<Nanos>,
    /// Work may run before this moment.
    pub work_until: Nanos,
    /// No rival starts before this moment, less the tolerance for clocks.
    pub held_until: Nanos,
    /// When the Lease has expired.
    pub expires_at: Nanos,
}

/// The loss of leadership. Work may still drain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) reason: LossReason,
    pub(super) at: Nanos,
    /// When the Lease was seen to belong to another holder: the elector no longer writes to it.
    pub(super) seen_at: Option<Nanos>,
}
