//! How a term ends: why, and until when what still holds.

use super::time::Nanos;

/// Why a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossReason {
    /// No write was acknowledged in time.
    Deadline,
    /// The Lease names somebody else, or nobody.
    Usurped,
    /// The Lease is gone, or is another one.
    Deleted,
    /// Another process writes under the same identity.
    DuplicateIdentity,
    /// Stopped on request.
    Stopped,
    /// Work ended by itself.
    WorkEnded,
}

impl LossReason {
    /// A static text, for metrics and Events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Usurped => "usurped",
            Self::Deleted => "deleted",
            Self::DuplicateIdentity => "duplicate_identity",
            Self::Stopped => "stopped",
            Self::WorkEnded => "work_ended",
        }
    }

    /// Neither planned nor end of work: somebody should know.
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        !matches!(self, Self::Stopped | Self::WorkEnded)
    }
}

/// Until when what holds, on this process's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// When the newest acknowledged write was sent.
    pub since: Nanos,
    /// Leadership may be claimed before this moment; none: not at all any more.
    pub claim_until: Option<Nanos>,
    /// Work may run before this moment.
    pub work_until: Nanos,
    /// No rival starts before this moment, less the clocks' tolerance.
    pub held_until: Nanos,
}

/// The end of a claim to lead. Work may still be draining.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) reason: LossReason,
    pub(super) at: Nanos,
    /// When the Lease was seen to be another's: nothing is written to it any more.
    pub(super) seen_at: Option<Nanos>,
}
