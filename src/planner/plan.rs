//! A plan: the writes that lead from a snapshot to where the group should be, in their order.

use super::names::event_reason;
use super::seen::{GroupStatus, LeaderChange, Warning};
use super::{Identity, Millis, Term, Version};

pub use super::planning::{other_urgent_work_at, plan};

/// What to do now, and when to plan again if nothing happens before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One after the other: a step begins when everything in the one before has succeeded.
    pub steps: Vec<Step>,
    /// The earliest moment at which the plan changes by itself. None while there are steps: plan again after them.
    pub wake_at: Option<Millis>,
}

/// Intents that run in parallel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// How long the last fence must have been answered before.
    pub after_fence: Millis,
    /// What to do, all at once.
    pub intents: Vec<Intent>,
}

/// One request to the API server, or one Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Writes the status, conditional on the version of the group: the record and the report.
    WriteStatus(Box<GroupStatus>),
    /// Asks whether a pod is gone. Fails if it is there.
    ConfirmPodGone(Identity),
    /// Asks whether another group is gone. Fails if it is there.
    ConfirmGroupGone(Identity),
    /// Asks whether another group exists. Fails if it does not.
    ConfirmGroupExists(Identity),
    /// Asks whether a pod is gone or still at the version that was seen. Fails if it has changed.
    ConfirmPodUnchanged(Identity, Version),
    /// Asks whether this group still exists and its record still names this leader (the same UID) in this term. Fails
    /// if not. Asked of the API server, after the pods' versions were read.
    ConfirmRecord {
        /// The group.
        group: Identity,
        /// The leader that its record must name.
        leader: Option<Identity>,
        /// The term that its record must have.
        term: Term,
    },
    /// Asks whether the Lease is still at the version that was seen: it may have been renewed or handed on while a watch
    /// was stalled. Fails if it is not.
    ConfirmLease {
        /// The Lease's name.
        name: String,
        /// UID and version as seen; none, if there was none.
        seen: Option<(String, Version)>,
    },
    /// Asks whether a node was heard after all: the watch that tells it may be stalled. Fails if it was.
    ConfirmNodeSilent(String),
    /// Lists the pods of the namespace afresh, for the record of this term. Whoever makes it notes the group's version
    /// that it knew before (the one that this plan's write of the status produced, if there is one): `listed_for`.
    ListPods(Term),
    /// Takes the leader label from a pod, or the right of an earlier operator to give it.
    Fence(PodWrite),
    /// Gives the leader label.
    Promote(PodWrite),
    /// Gives the follower label.
    LabelFollower(PodWrite),
    /// Takes away what the operator wrote, conditional on UID and version.
    Release(Identity, Version),
    /// Writes the Lease.
    WriteLease(LeaseWrite),
    /// Removes the switchover request, conditional on the version of the group.
    DropSwitchover,
    /// Says that a change of leader is complete: Event, log line, metrics.
    AnnounceChange(LeaderChange),
    /// Emits an Event.
    PublishEvent(EventDraft),
    /// Emits an Event about a Service or a budget, which is not emitted again.
    WarnOnce(Warning, EventDraft),
}

/// A write to one pod, conditional on its UID and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodWrite {
    /// The pod.
    pub pod: Identity,
    /// The version it was decided on.
    pub version: Version,
    /// The term to write.
    pub term: Term,
}

/// A write of the Lease, conditional on UID and version where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseWrite {
    /// The Lease's name.
    pub name: String,
    /// The Lease it was decided on; none creates it.
    pub base: Option<(String, Version)>,
    /// What happens to it.
    pub action: LeaseAction,
    /// Who holds it afterwards.
    pub holder: Option<String>,
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
    /// A new holder, or the first: acquire time and renew time are new.
    Take,
    /// The same holder: only the renew time is new.
    Renew,
    /// Nobody holds it.
    Release,
}

/// An Event on the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    /// Its reason.
    pub reason: String,
    /// Of type Warning, not Normal.
    pub warning: bool,
    /// Its note.
    pub note: String,
    /// The pod it is about, if it is about one: of repeated Events those about one pod are counted in one.
    pub pod: Option<String>,
}

impl EventDraft {
    /// The reason of a refused switchover.
    pub const REFUSED: &str = event_reason::SWITCHOVER_REFUSED;

    /// Somebody asked for something: each answer is an Event of its own.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.reason == Self::REFUSED
    }
}

impl Intent {
    /// It says something, and no plan waits for that.
    #[must_use]
    pub const fn is_announcement(&self) -> bool {
        matches!(self, Self::AnnounceChange(_) | Self::PublishEvent(_) | Self::WarnOnce(..))
    }

    /// It changes an object.
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
                | Self::DropSwitchover
        )
    }

    /// Nobody waits for it: renewals have two more chances, and the label of a follower does not decide who is reached.
    #[must_use]
    pub const fn is_low_priority(&self) -> bool {
        match self {
            Self::WriteLease(write) => matches!(write.action, LeaseAction::Renew),
            Self::LabelFollower(_) | Self::Release(..) => true,
            _ => self.is_announcement(),
        }
    }
}

impl Plan {
    /// How many requests the plan has, if nobody waits for any of them; none, if somebody does, or there are none.
    #[must_use]
    pub fn low_priority_requests(&self) -> Option<usize> {
        let intents = || self.steps.iter().flat_map(|step| &step.intents);
        let requests = intents().filter(|intent| !intent.is_announcement()).count();
        (requests > 0 && intents().all(Intent::is_low_priority)).then_some(requests)
    }

    /// The plan as far as somebody waits for it, if it writes anything of that kind: what can wait is planned anew then, and
    /// gives way to news. What is to be said stays: it is planned once. What comes before something urgent is urgent, too.
    #[must_use]
    pub fn urgent_part(mut self) -> Self {
        let intents = || self.steps.iter().flat_map(|step| &step.intents);
        if !intents().any(|intent| intent.is_write() && !intent.is_low_priority()) {
            return self;
        }
        let from = low_priority_from(&self.steps);
        for step in self.steps.iter_mut().skip(from) {
            step.intents.retain(Intent::is_announcement);
        }
        self.steps.retain(|step| !step.intents.is_empty());
        self
    }
}

/// The number of the first step from which on nobody waits for anything.
#[must_use]
pub fn low_priority_from(steps: &[Step]) -> usize {
    let urgent = |step: &Step| step.intents.iter().any(|intent| !intent.is_low_priority());
    steps.iter().rposition(urgent).map_or(0, |last| last + 1)
}
