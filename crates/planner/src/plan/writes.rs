//! What single intents of a plan write. Types only.

use crate::names::event_reason;

use crate::seen::{SliceContent, SliceName};
use crate::{Identity, Micros, Term, Version};

/// A write to one pod, conditional on UID and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodWrite {
    /// The pod.
    pub pod: Identity,
    /// The version of the pod that the write was decided on.
    pub version: Version,
    /// The term to write.
    pub term: Term,
}

/// A write of what a slice routes to, conditional on UID and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteWrite {
    /// The slice.
    pub slice: SliceName,
    /// Its UID.
    pub uid: String,
    /// The version of the slice that the write was decided on.
    pub version: Version,
    /// The term to write.
    pub term: Term,
    /// What the slice routes to afterwards.
    pub content: SliceContent,
    /// When this operator saw the cause of the change of leader.
    pub detected_at: Option<Micros>,
}

/// A write of the Lease. Conditional on UID and version, if there is a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseWrite {
    /// The Lease's name.
    pub name: String,
    /// UID and version of the Lease that the write was decided on. None creates the Lease.
    pub base: Option<(String, Version)>,
    /// What happens to the Lease.
    pub action: LeaseAction,
    /// The pod that holds it afterwards. The Lease names its UID, too: a name can be used again.
    pub holder: Option<Identity>,
    /// The term to write.
    pub term: Term,
    /// `leaseDurationSeconds` afterwards.
    pub duration_seconds: u32,
    /// `leaseTransitions` afterwards.
    pub transitions: i32,
}

/// What happens to a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseAction {
    /// It gets a new holder, or its first: acquire time and renew time are new.
    Take,
    /// It keeps its holder: only the renew time is new.
    Renew,
    /// It loses its holder.
    Release,
}

/// A write of the Lease of a Nominated group. Conditional on UID and version, if there is a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NominationWrite {
    /// The Lease's name.
    pub name: String,
    /// UID and version of the Lease that the write was decided on. None creates the Lease.
    pub base: Option<(String, Version)>,
    /// What happens to the Lease.
    pub action: NominationAction,
}

/// What happens to the Lease of a Nominated group. Times and durations of a holder stay as they
/// are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NominationAction {
    /// It comes to be, free and without a nominee: no pod takes it.
    Create,
    /// It gets another nominee, which asks its holder to end.
    Nominate(NewNomination),
    /// It loses a holder whose work has ended, and gets another nominee.
    ClearAndNominate(NewNomination),
    /// It loses a holder whose work has ended. The nominee stays.
    Clear,
}

/// Who may take the Lease next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNomination {
    /// The pod. The group itself asks a holder to end without a successor.
    pub nominee: Identity,
    /// The term of the nomination, above that of the Lease.
    pub term: Term,
    /// The duration that the nominee takes the Lease with.
    pub duration_seconds: u32,
}

impl NominationAction {
    /// The new nomination.
    #[must_use]
    pub const fn nomination(&self) -> Option<&NewNomination> {
        match self {
            Self::Nominate(nomination) | Self::ClearAndNominate(nomination) => Some(nomination),
            Self::Create | Self::Clear => None,
        }
    }

    /// The Lease is free afterwards.
    #[must_use]
    pub const fn clears(&self) -> bool {
        !matches!(self, Self::Nominate(_))
    }
}

/// An Event on the group, before it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    /// Its reason.
    pub reason: String,
    /// The Event has the type Warning, not Normal.
    pub warning: bool,
    /// Its note.
    pub note: String,
    /// The pod that the Event is about, if any. Repeated Events about one pod are counted as one.
    pub pod: Option<String>,
}

impl EventDraft {
    /// The Event answers a request of a user. Each answer is an Event of its own.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.reason == event_reason::SWITCHOVER_REFUSED
    }
}
