//! What is left to do for a group that is gone.

use super::plan::{Intent, Plan, Step};
use super::switch::MAX_LOW_PRIORITY_WRITES;
use super::{Identity, Millis, Version};

/// Takes the marks of the vanished group `group` from `pods`: those that carry its mark and that no other group
/// selects (who selects them takes them over, without a moment in between). Not from all of thousands at once: whoever
/// carries this out asks again, until nothing is left.
///
/// `proved`: the group's deletion was seen. Otherwise the API server is asked first.
#[must_use]
pub fn clean_up(group: &Identity, pods: &[(Identity, Version)], proved: bool) -> Plan {
    let pods = pods.iter().take(MAX_LOW_PRIORITY_WRITES);
    let unmark: Vec<_> = pods.map(|(pod, version)| Intent::Release(pod.clone(), *version)).collect();
    if unmark.is_empty() {
        return Plan::default();
    }
    let step = |intents| Step { after_fence: Millis::default(), intents };
    let ask = (!proved).then(|| step(vec![Intent::ConfirmGroupGone(group.clone())]));
    Plan { steps: ask.into_iter().chain([step(unmark)]).collect(), wake_at: None }
}
