//! Which pods could lead, and in which order they are preferred.

use std::cmp::{Ordering, Reverse};
use std::fmt;

use super::names::EXCLUDE_ANNOTATION;
use super::seen::{GroupPolicy, Membership, Owner, PodPhase, SeenPod, Snapshot};
use super::{Millis, nominated_mode};

/// Why a pod could not lead now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ineligible {
    /// The group does not select the pod.
    NotSelected,
    /// An older group selects the pod, or another group owns it.
    OtherGroup,
    /// Its containers ended for good.
    Finished,
    /// The pod is being deleted.
    Terminating,
    /// A user excluded the pod.
    Excluded,
    /// A Job owns the pod.
    OfJob,
    /// The pod carries a role label that the group did not write and never writes.
    RoleLabelInUse,
    /// The pod does not run yet.
    NotRunning,
    /// The pod is not Ready.
    NotReady,
    /// An eviction of the pod is near.
    Disrupted,
    /// The node of the pod has not been heard for too long.
    NodeSilent,
    /// The pod has not been Ready for long enough.
    ReadyTooShort,
    /// The pod did not take the Lease when it was nominated.
    NoCompanion,
}

impl Ineligible {
    /// Its name in the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSelected => "NotSelected",
            Self::OtherGroup => "OtherGroup",
            Self::Finished => "Finished",
            Self::Terminating => "Terminating",
            Self::Excluded => "Excluded",
            Self::OfJob => "OfJob",
            Self::RoleLabelInUse => "RoleLabelInUse",
            Self::NotRunning => "NotRunning",
            Self::NotReady => "NotReady",
            Self::Disrupted => "Disrupted",
            Self::NodeSilent => "NodeSilent",
            Self::ReadyTooShort => "ReadyTooShort",
            Self::NoCompanion => "NoCompanion",
        }
    }
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSelected => "the group does not select it",
            Self::OtherGroup => "it belongs to another group",
            Self::Finished => "it has finished",
            Self::Terminating => "it is terminating",
            Self::Excluded => "it is excluded by annotation",
            Self::OfJob => {
                return write!(
                    f,
                    "it is a Job's, and has not the annotation {EXCLUDE_ANNOTATION}: \"false\""
                );
            }
            Self::RoleLabelInUse => "it carries the role label with a value that this group never writes",
            Self::NotRunning => "it is not running",
            Self::NotReady => "it is not Ready",
            Self::Disrupted => "it is about to be evicted",
            Self::NodeSilent => "its node is silent",
            Self::ReadyTooShort => "it has not been Ready for failover.minReadySeconds",
            Self::NoCompanion => {
                "it was nominated and did not take the Lease within failover.nomineeSeconds: \
                 its companion does not run"
            }
        })
    }
}

/// Why `pod` cannot lead at `at`, if it cannot. `min_ready` is `failover.minReadySeconds`; pass
/// zero to leave that rule out.
#[must_use]
pub fn ineligibility(pod: &SeenPod, min_ready: Millis, at: Millis) -> Option<Ineligible> {
    let checks = [
        (pod.membership == Membership::Deselected, Ineligible::NotSelected),
        (
            pod.membership != Membership::Selected || matches!(pod.owner, Owner::Other(_)),
            Ineligible::OtherGroup,
        ),
        (pod.phase == PodPhase::Finished, Ineligible::Finished),
        (pod.terminating, Ineligible::Terminating),
        (pod.excluded, Ineligible::Excluded),
        (pod.of_job, Ineligible::OfJob),
        (pod.has_role_of_other(), Ineligible::RoleLabelInUse),
        (pod.phase != PodPhase::Running, Ineligible::NotRunning),
        (!pod.ready, Ineligible::NotReady),
        (pod.disrupted, Ineligible::Disrupted),
        (pod.node_is_silent(at), Ineligible::NodeSilent),
        (at < pod.ready_seen_at + min_ready, Ineligible::ReadyTooShort),
    ];
    checks.into_iter().find_map(|(applies, reason)| applies.then_some(reason))
}

/// Why `pod` cannot lead now, if it cannot, its silence as a nominee included.
#[must_use]
pub fn lack(snapshot: &Snapshot, pod: &SeenPod, min_ready: Millis) -> Option<Ineligible> {
    let silent = || nominated_mode::is_silent(snapshot, pod).then_some(Ineligible::NoCompanion);
    ineligibility(pod, min_ready, snapshot.now).or_else(silent)
}

/// The pods that could lead now, most preferred first. Nominees that were silent are among them
/// only if there is no other pod.
///
/// The order is total: weight, then the newest workload revision, then Ready longest, then name,
/// then UID.
#[must_use]
pub fn ranked<'a>(snapshot: &'a Snapshot, policy: &GroupPolicy) -> Vec<&'a SeenPod> {
    let eligible = |min_ready| {
        let pods =
            snapshot.pods.iter().filter(move |pod| ineligibility(pod, min_ready, snapshot.now).is_none());
        pods.collect::<Vec<_>>()
    };
    let mut candidates = eligible(policy.min_ready);
    if candidates.is_empty() && waives_min_ready(snapshot) {
        candidates = eligible(Millis::default());
    }
    if candidates.iter().any(|pod| !nominated_mode::is_silent(snapshot, pod)) {
        candidates.retain(|pod| !nominated_mode::is_silent(snapshot, pod));
    }
    let newest = newest_revision(&snapshot.pods);
    candidates.sort_by(|a, b| preference(a, b, newest));
    candidates
}

/// The first `limit` of these pods, most preferred first.
pub(super) fn most_preferred<'a>(
    snapshot: &Snapshot,
    mut pods: Vec<&'a SeenPod>,
    limit: usize,
) -> Vec<&'a SeenPod> {
    let newest = newest_revision(&snapshot.pods);
    let order = |a: &&SeenPod, b: &&SeenPod| preference(a, b, newest);
    if pods.len() > limit {
        pods.select_nth_unstable_by(limit, order);
        pods.truncate(limit);
    }
    pods.sort_unstable_by(order);
    pods
}

/// A pod that only just became Ready is better than no leader: no pod has led yet, or the leader is
/// deleted or about to be.
fn waives_min_ready(snapshot: &Snapshot) -> bool {
    let Some(record) = snapshot.record() else { return true };
    let stays = |pod: &SeenPod| !pod.terminating && pod.phase != PodPhase::Finished;
    record.leader_id().is_some_and(|leader| !snapshot.pod(leader).is_some_and(stays))
}

/// The revision of the group's most recently created pod. Of several, the greatest text.
fn newest_revision(pods: &[SeenPod]) -> Option<&str> {
    let members = pods.iter().filter(|pod| pod.membership == Membership::Selected);
    members
        .filter_map(|pod| Some((pod.created_seconds, pod.revision.as_deref()?)))
        .max()
        .map(|(_, revision)| revision)
}

fn preference(a: &SeenPod, b: &SeenPod, newest: Option<&str>) -> Ordering {
    let rank = |pod: &SeenPod| {
        let is_newest = newest.is_some() && pod.revision.as_deref() == newest;
        (Reverse(pod.weight), Reverse(is_newest), pod.ready_since_seconds.unwrap_or(i64::MAX))
    };
    rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id))
}
