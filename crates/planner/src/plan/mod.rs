//! A plan: the writes that lead from a snapshot to the wanted state, in their order. Types only.

mod writes;

use super::seen::{GroupStatus, LeaderChange, SliceName, Warning};
use super::{Identity, Millis, Term, Version};

pub use writes::{
    EventDraft, LeaseAction, LeaseWrite, NewNomination, NominationAction, NominationWrite, PodWrite,
    RouteWrite,
};

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
