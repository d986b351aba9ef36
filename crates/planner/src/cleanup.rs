//! The plan for a deleted group.

use super::plan::{Fact, Intent, Plan, Step};
use super::switch::MAX_LOW_PRIORITY_WRITES;
use super::{Identity, Millis, Version};

/// For so long the pods of a deleted group keep their labels. A group that is created again takes
/// them over as they are: no leader moves, and no Service is empty meanwhile.
pub const RECREATED_WITHIN: Millis = Millis::from_seconds(3);

/// Releases `pods`: those that the deleted group `group` owns and that no other group selects. A
/// group that selects a pod takes it over itself, without a moment in between. Large groups take
/// several plans: the caller calls again until no pod is left.
///
/// `deleted_at`: when the operator saw the deletion of the group. Otherwise a live read confirms it
/// first.
pub(super) fn plan(
    group: &Identity,
    pods: &[(Identity, Version)],
    deleted_at: Option<Millis>,
    now: Millis,
) -> Plan {
    let pods = pods.iter().take(MAX_LOW_PRIORITY_WRITES);
    let releases: Vec<_> = pods.map(|(pod, version)| Intent::Release(pod.clone(), *version)).collect();
    if releases.is_empty() {
        return Plan::Sleep(None);
    }
    let due = deleted_at.map(|deleted_at| deleted_at + RECREATED_WITHIN).filter(|due| *due > now);
    if due.is_some() {
        return Plan::Sleep(due);
    }
    let confirm = deleted_at.is_none().then(|| Step::of([Intent::Confirm(Fact::GroupGone(group.clone()))]));
    Plan::Write(confirm.into_iter().chain([Step::of(releases)]).collect())
}
