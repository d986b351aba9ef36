//! A pod: its state, and what its annotations and labels say.

use super::route::PodNetwork;
use crate::{Identity, Millis, Term, Version};

/// A pod as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, as the API server tells them")]
pub struct SeenPod {
    /// Name and UID.
    pub id: Identity,
    /// The version at which the pod was read.
    pub version: Version,
    /// When this operator first saw the pod. Zero if the pod was there before the operator started.
    pub seen_at: Millis,
    /// The identity under which the pod holds a Lease, if its annotation names one (Observed).
    pub identity: Option<String>,
    /// Whether the group may use the pod.
    pub membership: Membership,
    /// What the role label says.
    pub role: Role,
    /// The value of the role label, if this group never writes that value.
    pub other_role: Option<String>,
    /// The pod's controller released it, right after an operator gave it another role label.
    pub released_by_controller: bool,
    /// The term annotation, if it is a valid term.
    pub term: Option<Term>,
    /// Which group owns the pod, by its group annotation.
    pub owner: Owner,
    /// `status.phase`.
    pub phase: PodPhase,
    /// The phase is final, and each container ended for a reason that the kubelet knows: no process
    /// of the pod is left.
    pub ended: bool,
    /// The Ready condition.
    pub ready: bool,
    /// When this operator first saw the present value of the Ready condition. Zero if the pod was
    /// Ready before the operator started.
    pub ready_seen_at: Millis,
    /// The Ready condition's own time, in seconds since the Unix epoch. Compared only with that of
    /// other pods.
    pub ready_since_seconds: Option<i64>,
    /// The pod has a deletion time.
    pub terminating: bool,
    /// When this operator last saw one of these facts change: terminating, finished, excluded,
    /// selected. Readiness has its own time, `ready_seen_at`.
    pub standing_changed_at: Millis,
    /// The pod has the condition `DisruptionTarget`: an eviction is near.
    pub disrupted: bool,
    /// A user excluded the pod by annotation.
    pub excluded: bool,
    /// A Job owns the pod: it runs to its end, and serves no clients.
    pub of_job: bool,
    /// A user annotation with a meaningless value, as `key=value`. The report names it.
    pub ignored: Option<String>,
    /// Preference: the sum of matching weights and of the own priority of the pod.
    pub weight: i64,
    /// The workload revision that the pod belongs to.
    pub revision: Option<String>,
    /// Creation time, in seconds since the Unix epoch. Compared only with that of other pods.
    pub created_seconds: i64,
    /// The node that the pod runs on.
    pub node: Option<String>,
    /// The pod uses the network of its node, so its host name is that of the node.
    pub host_network: bool,
    /// The moment from which the node counts as silent, unless a heartbeat comes before.
    pub node_silent_from: Option<Millis>,
    /// The IP address of the pod.
    pub ip: Option<String>,
    /// What an endpoint needs. Empty in a group that routes no Service.
    pub network: PodNetwork,
}

impl SeenPod {
    /// No group owns the pod, and it carries the role label with a value of another writer.
    #[must_use]
    pub fn has_role_of_other(&self) -> bool {
        self.owner == Owner::None && self.other_role.is_some()
    }

    /// The group selects the pod, no Job owns it, and it neither finished nor terminates.
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
    /// The group selects the pod, and no older group does.
    Selected,
    /// The group selects the pod, but the older group of this name has it.
    ClaimedBy(String),
    /// The group does not select the pod, or does so no more.
    Deselected,
}

/// What a pod's role label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// There is no role label.
    Absent,
    /// The leader's value.
    Leader,
    /// The follower's value.
    Follower,
    /// Any other value.
    Other,
}

/// Which group owns an object: the `group` annotation of a pod, the ownerReference of a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Owner {
    /// No group.
    #[default]
    None,
    /// This group, by UID.
    Ours,
    /// Another group that exists. This group never writes such a pod.
    Other(Identity),
    /// A group that is not in the cache. It may be deleted: confirm that by a live read before this
    /// group takes the object over.
    Vanished(Identity),
}

/// The phase of a pod, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PodPhase {
    /// Pending or unknown.
    NotRunning,
    /// Running.
    Running,
    /// Succeeded or Failed: it never runs again.
    Finished,
}

/// What is known of a pod that is proved to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GonePod {
    /// When this operator learnt of the deletion.
    pub at: Millis,
    /// The operator saw the pod terminating before.
    pub was_terminating: bool,
    /// The operator saw the pod [ended](SeenPod::ended) before.
    pub had_ended: bool,
}
