//! Labels and releases of low priority.

use super::fence::write_to;
use crate::Identity;
use crate::plan::Intent;
use crate::seen::{GroupPolicy, LeaderRecord, Membership, Owner, Role, SeenPod, Snapshot};

/// How many low-priority writes one plan has: a failover of the same group never waits for a
/// thousand.
pub const MAX_LOW_PRIORITY_WRITES: usize = 32;

/// The pod lacks the follower label, or a deleted group owns it.
pub(super) fn wants_follower_label(view: &Snapshot, pod: &SeenPod, leader: Option<&Identity>) -> bool {
    let may = pod.is_candidate() && leader != Some(&pod.id);
    match pod.owner {
        Owner::Other(_) => false,
        Owner::Vanished(_) => may,
        Owner::Ours | Owner::None => may && pod.role != view.follower_role() && !pod.has_role_of_other(),
    }
}

/// This group owns the pod, and no longer has it. A paused group leaves its leader alone, unless an
/// older group has it.
pub(super) fn must_release(pod: &SeenPod, policy: &GroupPolicy, leader: Option<&Identity>) -> bool {
    let stays = policy.paused && leader == Some(&pod.id) && !is_claimed(pod);
    pod.membership != Membership::Selected && pod.owner == Owner::Ours && !stays
}

/// An older group has the pod.
const fn is_claimed(pod: &SeenPod) -> bool {
    matches!(pod.membership, Membership::ClaimedBy(_))
}

/// Follower labels to give, and pods to release.
pub(super) fn tidying(view: &Snapshot, policy: &GroupPolicy) -> Vec<Intent> {
    let leader = view.leader_id();
    let released = view.pods.iter().filter(|pod| must_release(pod, policy, leader));
    let mut intents: Vec<_> = released.map(|pod| Intent::Release(pod.id.clone(), pod.version)).collect();
    if let Some(record) = view.record() {
        let followers = view.pods.iter().filter(|pod| wants_follower_label(view, pod, leader));
        intents.extend(followers.map(|pod| Intent::LabelFollower(write_to(pod, record.term))));
    }
    intents.truncate(MAX_LOW_PRIORITY_WRITES);
    intents
}

/// Pods to release while the operator refuses the group: another group may wait for them. A pod
/// that an older group has is always released. Apart from that the leader stays, and so does a pod
/// that carries the leader label or that an unfinished switch names.
pub(super) fn releases_while_refused(
    view: &Snapshot,
    policy: &GroupPolicy,
    record: &LeaderRecord,
) -> Vec<Intent> {
    let leader = record.leader_id();
    let in_use = |pod: &SeenPod| record.names(&pod.id) || pod.role == Role::Leader;
    let needed = |pod: &SeenPod| in_use(pod) && !is_claimed(pod);
    let pods = view.pods.iter().filter(|pod| must_release(pod, policy, leader) && !needed(pod));
    let releases = pods.map(|pod| Intent::Release(pod.id.clone(), pod.version));
    releases.take(MAX_LOW_PRIORITY_WRITES).collect()
}
