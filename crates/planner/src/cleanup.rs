//! The steps after a group is deleted.

use super::plan::{Fact, Intent, Step};
use super::switch::MAX_LOW_PRIORITY_WRITES;
use super::{Identity, Version};

/// Releases `pods`: those that the deleted group `group` owns and that no other group selects. A
/// group that selects a pod takes it over itself, without a moment in between. Large groups take
/// several plans: the caller calls again until no pod is left.
///
/// `proved`: the operator saw the deletion of the group. Otherwise a live read confirms it first.
pub(super) fn steps(group: &Identity, pods: &[(Identity, Version)], proved: bool) -> Vec<Step> {
    let pods = pods.iter().take(MAX_LOW_PRIORITY_WRITES);
    let releases: Vec<_> = pods.map(|(pod, version)| Intent::Release(pod.clone(), *version)).collect();
    if releases.is_empty() {
        return Vec::new();
    }
    let confirm = (!proved).then(|| Step::of([Intent::Confirm(Fact::GroupGone(group.clone()))]));
    confirm.into_iter().chain([Step::of(releases)]).collect()
}
