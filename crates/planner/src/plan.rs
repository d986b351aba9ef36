//! A plan: the writes that lead from a snapshot to the wanted state, in their order. Types only.

use super::names::event_reason;
use super::seen::{GroupStatus, LeaderChange, SliceContent, SliceName, Warning};
use super::{Identity, Micros, Millis, Term, Version};

/// What to do now, or when to plan again if nothing happens before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The steps, one after the other. A step begins when everything in the step before has
    /// succeeded. Plan again after them.
    Write(Vec<Step>),
    /// The state is as wanted. The moment is the earliest at which the plan changes by itself, if
    /// it does.
    Sleep(Option<Millis>),
}

/// Intents that run in parallel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// How long ago the API server must have answered the last fence when this step begins.
    pub after_fence: Millis,
    /// What to do, all at once.
    pub intents: Vec<Intent>,
}

impl Step {
    /// A step that begins as soon as the step before is done.
    pub(super) fn of(intents: impl IntoIterator<Item = Intent>) -> Self {
        Self { after_fence: Millis::default(), intents: intents.into_iter().collect() }
    }
}

/// One request to the API server, or one Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Writes the status, the record and the report, conditional on the version of the group.
    WriteStatus(Box<GroupStatus>),
    /// Confirms a fact by a live read. Fails if it is none.
    Confirm(Fact),
    /// Lists the pods of the namespace afresh, for the record of this term. The applier stores the
    /// group version it held when the list began in `Snapshot::listed_for`: the version that this
    /// plan's own write of the status produced, if there was one.
    ListPods(Term),
    /// Takes the leader label from a pod, or the right of an operator with an earlier record to
    /// give it.
    Fence(PodWrite),
    /// Gives the leader label to a pod.
    Promote(PodWrite),
    /// Gives the follower label to a pod.
    LabelFollower(PodWrite),
    /// Takes what the operator wrote away from a pod, conditional on UID and version.
    Release(Identity, Version),
    /// Writes the Lease.
    WriteLease(LeaseWrite),
    /// Writes the Lease of a Nominated group.
    WriteNomination(NominationWrite),
    /// Replaces what a slice routes to, by one write.
    Route(Box<RouteWrite>),
    /// Creates a slice without endpoints. The flag: the Service is headless.
    CreateSlice(SliceName, bool),
    /// Deletes a slice of this group, or one that a deleted group has left, conditional on UID and
    /// version.
    DeleteSlice(SliceName, String, Version),
    /// Removes the switchover request, conditional on the version of the group.
    DropSwitchover,
    /// Announces that a change of leader is complete: Event, log line, metrics.
    AnnounceChange(LeaderChange),
    /// Publishes an Event.
    PublishEvent(EventDraft),
    /// Publishes an Event about a Service or a budget. The operator does not repeat it.
    WarnOnce(Warning, EventDraft),
}

/// What the cache may not know, and only the API server can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A pod is deleted.
    PodGone(Identity),
    /// Another group is deleted.
    GroupGone(Identity),
    /// Another group exists.
    GroupExists(Identity),
    /// A pod is deleted, or still at the version that was seen.
    PodUnchanged(Identity, Version),
    /// This group still exists, and that its record still names this leader (the same
    /// UID) in this term. The applier reads it after the versions of the pods were read.
    Record {
        /// The group.
        group: Identity,
        /// The leader that the record must name.
        leader: Option<Identity>,
        /// The term that its record must have.
        term: Term,
    },
    /// The Lease is still at the version that was seen. While a watch stalls, the
    /// holder may renew the Lease or hand it on.
    Lease {
        /// The Lease's name.
        name: String,
        /// UID and version as seen. None if there was no Lease.
        seen: Option<(String, Version)>,
    },
    /// A node was not heard: the watch of its heartbeats may be stalled.
    NodeSilent(String),
    /// No slice but those of this group names a Service.
    NoOtherSlices {
        /// This group.
        group: Identity,
        /// The Service.
        service: String,
    },
}

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
    Nominate(Nomination),
    /// It loses a holder whose work has ended, and gets another nominee.
    ClearAndNominate(Nomination),
    /// It loses a holder whose work has ended. The nominee stays.
    Clear,
}

/// Who may take the Lease next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nomination {
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
    pub const fn nomination(&self) -> Option<&Nomination> {
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

impl Intent {
    /// The intent only tells something. No other intent depends on it.
    #[must_use]
    pub const fn is_announcement(&self) -> bool {
        matches!(self, Self::AnnounceChange(_) | Self::PublishEvent(_) | Self::WarnOnce(..))
    }

    /// The intent changes an object.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        matches!(
            self,
            Self::WriteStatus(_)
                | Self::Fence(_)
                | Self::Promote(_)
                | Self::LabelFollower(_)
                | Self::Release(..)
                | Self::WriteLease(_)
                | Self::WriteNomination(_)
                | Self::Route(_)
                | Self::CreateSlice(..)
                | Self::DeleteSlice(..)
                | Self::DropSwitchover
        )
    }

    /// Low priority. A late renewal has two more chances; follower labels and Events do not move
    /// traffic.
    #[must_use]
    pub const fn is_low_priority(&self) -> bool {
        match self {
            Self::WriteLease(write) => matches!(write.action, LeaseAction::Renew),
            Self::LabelFollower(_) | Self::Release(..) | Self::CreateSlice(..) | Self::DeleteSlice(..) => {
                true
            }
            _ => self.is_announcement(),
        }
    }
}

impl Plan {
    /// A plan with these steps. Without any, nothing is left to do.
    #[must_use]
    pub fn of(steps: Vec<Step>) -> Self {
        if steps.is_empty() { Self::Sleep(None) } else { Self::Write(steps) }
    }

    /// The steps. None while the group sleeps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        match self {
            Self::Write(steps) => steps,
            Self::Sleep(_) => &[],
        }
    }

    /// The steps, to be changed or kept.
    #[must_use]
    pub fn into_steps(self) -> Vec<Step> {
        match self {
            Self::Write(steps) => steps,
            Self::Sleep(_) => Vec::new(),
        }
    }

    /// The moment at which the plan changes by itself. None while there are steps.
    #[must_use]
    pub const fn wake_at(&self) -> Option<Millis> {
        match self {
            Self::Write(_) => None,
            Self::Sleep(moment) => *moment,
        }
    }

    /// All intents, step by step.
    pub fn intents(&self) -> impl Iterator<Item = &Intent> {
        self.steps().iter().flat_map(|step| &step.intents)
    }

    /// The number of requests, if all of them are of low priority. None if a request is urgent, or
    /// if there is no request.
    #[must_use]
    pub fn low_priority_requests(&self) -> Option<usize> {
        let requests = self.intents().filter(|intent| !intent.is_announcement()).count();
        (requests > 0 && self.intents().all(Intent::is_low_priority)).then_some(requests)
    }

    /// The urgent part of a plan that has an urgent write; any other plan as it is. Low priority
    /// work is planned anew after it, so that it gives way to news. Announcements stay: each is
    /// planned only once. Work before an urgent step is urgent, too.
    #[must_use]
    pub fn urgent_part(self) -> Self {
        if !self.intents().any(|intent| intent.is_write() && !intent.is_low_priority()) {
            return self;
        }
        let mut steps = self.into_steps();
        let from = low_priority_from(&steps);
        for step in steps.iter_mut().skip(from) {
            step.intents.retain(Intent::is_announcement);
        }
        steps.retain(|step| !step.intents.is_empty());
        Self::Write(steps)
    }
}

/// The index of the first step after the last urgent one.
#[must_use]
pub fn low_priority_from(steps: &[Step]) -> usize {
    let urgent = |step: &Step| step.intents.iter().any(|intent| !intent.is_low_priority());
    steps.iter().rposition(urgent).map_or(0, |last| last + 1)
}
