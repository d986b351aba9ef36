//! Which pods could lead, and in which order they are preferred.

use std::cmp::{Ordering, Reverse};
use std::fmt;

use super::Millis;
use super::snapshot::{Mark, Membership, Phase, Pod, Policy, Snapshot};

/// Why a pod could not lead now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unfit {
    /// The group does not select it.
    NotSelected,
    /// An older group has it, or its mark.
    OtherGroup,
    /// Its containers ended for good.
    Finished,
    /// It is being deleted.
    Terminating,
    /// It is marked as excluded.
    Excluded,
    /// A Job owns it.
    OfJob,
    /// It does not run yet.
    NotRunning,
    /// It is not Ready.
    NotReady,
    /// It is about to be evicted.
    Disrupted,
    /// Its node has not been heard for too long.
    NodeSilent,
    /// It has not been Ready for long enough.
    ReadyTooShort,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSelected => "the group does not select it",
            Self::OtherGroup => "it belongs to another group",
            Self::Finished => "it has finished",
            Self::Terminating => "it is terminating",
            Self::Excluded => "it is excluded by annotation",
            Self::OfJob => {
                "it is a Job's, and has not the annotation election-operator.io/exclude: \"false\""
            }
            Self::NotRunning => "it is not running",
            Self::NotReady => "it is not Ready",
            Self::Disrupted => "it is about to be evicted",
            Self::NodeSilent => "its node is silent",
            Self::ReadyTooShort => "it has not been Ready for failover.minReadySeconds",
        })
    }
}

impl Pod {
    /// Selected by this group, free for it, no Job's, and neither finished nor being deleted.
    #[must_use]
    pub fn is_candidate(&self) -> bool {
        let ends = self.of_job || self.phase == Phase::Finished || self.terminating;
        self.membership == Membership::Selected && !ends
    }

    /// The node counts as silent at that moment.
    #[must_use]
    pub fn node_is_silent(&self, at: Millis) -> bool {
        self.node_silent_from.is_some_and(|from| from <= at)
    }
}

/// Why `pod` cannot lead at `at`, if it cannot; `min_ready` is what the policy asks for, or zero where nobody has it.
#[must_use]
pub fn unfit(pod: &Pod, min_ready: Millis, at: Millis) -> Option<Unfit> {
    let checks = [
        (pod.membership == Membership::Deselected, Unfit::NotSelected),
        (pod.membership != Membership::Selected || matches!(pod.mark, Mark::Foreign(_)), Unfit::OtherGroup),
        (pod.phase == Phase::Finished, Unfit::Finished),
        (pod.terminating, Unfit::Terminating),
        (pod.excluded, Unfit::Excluded),
        (pod.of_job, Unfit::OfJob),
        (pod.phase != Phase::Running, Unfit::NotRunning),
        (!pod.ready, Unfit::NotReady),
        (pod.disrupted, Unfit::Disrupted),
        (pod.node_is_silent(at), Unfit::NodeSilent),
        (at < pod.ready_seen_at + min_ready, Unfit::ReadyTooShort),
    ];
    checks.into_iter().find_map(|(applies, reason)| applies.then_some(reason))
}

/// The pods that could lead now, most preferred first.
///
/// The order is total: weight, then the newest workload revision, then Ready longest, then name, then UID.
#[must_use]
pub fn ranked<'a>(snapshot: &'a Snapshot, policy: &Policy) -> Vec<&'a Pod> {
    let fit = |min_ready| {
        let fit = snapshot.pods.iter().filter(move |pod| unfit(pod, min_ready, snapshot.now).is_none());
        fit.collect::<Vec<_>>()
    };
    let mut candidates = fit(policy.min_ready);
    if candidates.is_empty() && nobody_is_left(snapshot) {
        candidates = fit(Millis::default());
    }
    let newest = newest_revision(&snapshot.pods);
    candidates.sort_by(|a, b| preference(a, b, newest));
    candidates
}

/// Nobody has led yet, or who leads is gone or about to go: a pod that is Ready for a moment only is better than none.
fn nobody_is_left(snapshot: &Snapshot) -> bool {
    let Some(record) = snapshot.record() else { return true };
    let stays = |pod: &Pod| !pod.terminating && pod.phase != Phase::Finished;
    record.leader_id().is_some_and(|leader| !snapshot.pod(leader).is_some_and(stays))
}

/// The revision of the most recently created pod of the group; of several, the one whose text is greatest.
fn newest_revision(pods: &[Pod]) -> Option<&str> {
    let members = pods.iter().filter(|pod| pod.membership == Membership::Selected);
    members
        .filter_map(|pod| Some((pod.created_seconds, pod.revision.as_deref()?)))
        .max()
        .map(|(_, revision)| revision)
}

fn preference(a: &Pod, b: &Pod, newest: Option<&str>) -> Ordering {
    let rank = |pod: &Pod| {
        let is_newest = newest.is_some() && pod.revision.as_deref() == newest;
        (Reverse(pod.weight), Reverse(is_newest), pod.ready_since_seconds.unwrap_or(i64::MAX))
    };
    rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id))
}
