//! A pod, and what its annotations and labels say.

use crate::planner::{Identity, Millis, Term, Version};

/// A pod as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, as the API server tells them")]
pub struct SeenPod {
    /// Name and UID.
    pub id: Identity,
    /// The version this was read at.
    pub version: Version,
    /// When this process first saw it; zero if it was there before the process looked.
    pub seen_at: Millis,
    /// The identity under which it holds a Lease, if its annotation names one (Observed).
    pub identity: Option<String>,
    /// Whether the group may use it.
    pub membership: Membership,
    /// What its role label says.
    pub role: Role,
    /// The value of its role label, where this group never writes that.
    pub other_role: Option<String>,
    /// Its controller has let it go, just after an operator gave it another role label.
    pub released_by_controller: bool,
    /// Its term annotation, where it is a term.
    pub term: Option<Term>,
    /// Whose mark it carries.
    pub owner: Owner,
    /// `status.phase`.
    pub phase: PodPhase,
    /// The Ready condition.
    pub ready: bool,
    /// When this process first saw the present value of the Ready condition; zero if the pod was Ready before the process
    /// looked.
    pub ready_seen_at: Millis,
    /// The Ready condition's own time, seconds since the Unix epoch: compared with that of other pods only.
    pub ready_since_seconds: Option<i64>,
    /// It has a deletion time.
    pub terminating: bool,
    /// When this process first saw the deletion time, the end, the exclusion or the deselection, what makes it unfit
    /// other than not being Ready; or that this was over.
    pub standing_changed_at: Millis,
    /// It has the condition `DisruptionTarget`.
    pub disrupted: bool,
    /// It is marked as excluded.
    pub excluded: bool,
    /// A Job owns it: it runs to its end, and serves nobody.
    pub of_job: bool,
    /// An annotation of a user, with its value, that means nothing.
    pub ignored: Option<String>,
    /// Preference: the sum of matching weights and its own priority.
    pub weight: i64,
    /// The workload revision it belongs to.
    pub revision: Option<String>,
    /// Creation time, seconds since the Unix epoch: compared with that of other pods only.
    pub created_seconds: i64,
    /// The node it runs on.
    pub node: Option<String>,
    /// Its host name is that of its node.
    pub host_network: bool,
    /// From this moment on the node counts as silent, unless it is heard before.
    pub node_silent_from: Option<Millis>,
    /// Its address.
    pub ip: Option<String>,
}

impl SeenPod {
    /// Selected by this group, free for it, no Job's, and neither finished nor being deleted.
    #[must_use]
    pub fn is_candidate(&self) -> bool {
        let ends = self.of_job || self.phase == PodPhase::Finished || self.terminating;
        self.membership == Membership::Selected && !ends
    }

    /// The node counts as silent at that moment.
    #[must_use]
    pub fn node_is_silent(&self, at: Millis) -> bool {
        self.node_silent_from.is_some_and(|from| from <= at)
    }
}

/// Whether a group may use a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    /// Selected, and no older group selects it.
    Selected,
    /// Selected, but the older group of this name has it.
    ClaimedBy(String),
    /// Not selected (any more).
    Deselected,
}

/// What a pod's role label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// No label.
    Absent,
    /// The leader's value.
    Leader,
    /// The follower's value.
    Follower,
    /// Some other value.
    Other,
}

/// Which group has put its mark on an object: the `group` annotation of a pod, the ownerReference of a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Owner {
    /// None.
    #[default]
    None,
    /// This group's, by UID.
    Ours,
    /// Of another group that exists: such a pod is never written.
    Other(Identity),
    /// Of a group that is not seen here: it may be gone, ask before taking the object over.
    Vanished(Identity),
}

/// A pod's phase, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PodPhase {
    /// Pending or unknown.
    NotRunning,
    /// Running.
    Running,
    /// Succeeded or Failed: it never runs again.
    Finished,
}

/// What is known of a pod that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GonePod {
    /// When this process learnt of it.
    pub at: Millis,
    /// It was seen terminating before.
    pub was_terminating: bool,
}
