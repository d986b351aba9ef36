//! One pod in the cache, and since when its facts hold.

use std::collections::BTreeSet;

use super::controller_release::ControllerRelease;
use crate::api::Pod;
use crate::convert;
use crate::planner::Millis;

/// Fields without a comment are those of the planner's
/// [`SeenPod`](crate::planner::seen::SeenPod).
#[derive(Debug)]
pub(super) struct CachedPod {
    pub(super) pod: Pod,
    /// The groups that select it, by name.
    pub(super) groups: BTreeSet<String>,
    pub(super) seen_at: Millis,
    pub(super) ready_seen_at: Millis,
    pub(super) standing_changed_at: Millis,
    pub(super) release: ControllerRelease,
    /// When the cache got this version of the object.
    pub(super) learned_at: Millis,
}

impl CachedPod {
    /// A group selects it, and it is neither finished nor terminating.
    pub(super) fn is_candidate(&self) -> bool {
        !self.groups.is_empty() && !self.pod.is_finished() && !self.pod.is_terminating()
    }

    /// The entry of a new version of a pod. `first_seen_at` counts if the cache did not have the
    /// pod.
    pub(super) fn new(
        pod: Pod,
        groups: BTreeSet<String>,
        before: Option<&Self>,
        now: Millis,
        first_seen_at: Millis,
    ) -> Self {
        // The time of the condition shows a flip between two versions that the cache has seen.
        let readiness = |pod: &Pod| (pod.is_ready(), pod.ready_since());
        let same_readiness = before.filter(|before| readiness(&before.pod) == readiness(&pod));
        let same_standing = before.filter(|before| {
            convert::standing(&before.pod) == convert::standing(&pod) && before.groups == groups
        });
        Self {
            seen_at: before.map_or(first_seen_at, |before| before.seen_at),
            ready_seen_at: match (before, same_readiness) {
                (_, Some(same)) => same.ready_seen_at,
                // A pod that was Ready before the cache was synced counts as Ready for long.
                (None, None) if pod.is_ready() => first_seen_at,
                _ => now,
            },
            standing_changed_at: same_standing.map_or(now, |before| before.standing_changed_at),
            learned_at: now,
            pod,
            groups,
            release: ControllerRelease::default(),
        }
    }
}
