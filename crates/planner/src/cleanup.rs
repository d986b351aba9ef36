//! The plan for a deleted group.

use super::plan::{Fact, Intent, Plan, Step};
use super::switch::MAX_LOW_PRIORITY_WRITES;
use super::{Identity, Version};

/// Releases `pods`: those that the deleted group `group` owns and that no other group selects. A
/// group that selects a pod takes it over itself, without a moment in between. Large groups take
/// several plans: the caller calls again until no pod is left.
///
/// `proved`: the operator saw the deletion of the group. Otherwise a live read confirms it first.
#[must_use]
pub fn plan(group: &Identity, pods: &[(Identity, Version)], proved: bool) -> Plan {
    let pods = pods.iter().take(MAX_LOW_PRIORITY_WRITES);
    let releases: Vec<_> = pods.map(|(pod, version)| Intent::Release(pod.clone(), *version)).collect();
    if releases.is_empty() {
        return Plan::default();
    }
    let confirm = (!proved).then(|| Step::of([Intent::Confirm(Fact::GroupGone(group.clone()))]));
    Plan { steps: confirm.into_iter().chain([Step::of(releases)]).collect(), wake_at: None }
}
