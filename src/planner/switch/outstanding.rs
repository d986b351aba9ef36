//! The writes that the present record still needs.

use super::fence::{fences, may_be_fenced, promotion};
use super::lease::lease_write;
use super::tidy::{MAX_LOW_PRIORITY_WRITES, is_claimed, must_release, wants_follower_label};
use crate::planner::plan::Intent;
use crate::planner::seen::{GroupPolicy, LeaderRecord, Owner, Role, SeenPod, Snapshot, Unfenced};

/// Pods that these writes are about.
fn unsettled<'a>(view: &'a Snapshot, policy: &GroupPolicy, record: &LeaderRecord) -> Vec<&'a SeenPod> {
    let leader = record.leader_id();
    let is_to_tidy =
        |pod: &&SeenPod| must_release(pod, policy, leader) || wants_follower_label(view, pod, leader);
    let mut pods = fences(view, record);
    pods.extend(promotion(view, record));
    pods.extend(view.pods.iter().filter(is_to_tidy));
    pods
}

/// The term of the record is not high enough: a pod or Lease to be written has a higher one (*not
/// above*), or a pod that does not lead carries the leader label with this one.
pub(super) fn is_overtaken(view: &Snapshot, policy: &GroupPolicy) -> bool {
    let Some(record) = view.record() else { return false };
    let claims_current_term = |pod: &&SeenPod| {
        let labelled = pod.role == Role::Leader && may_be_fenced(pod);
        labelled && record.leader_id() != Some(&pod.id) && pod.term >= Some(record.term)
    };
    let above = |pod: &&SeenPod| pod.term > Some(record.term);
    let lease_is_above =
        view.term_of_lease() > Some(record.term) && lease_write(view, policy, record).is_some();
    lease_is_above
        || view.pods.iter().any(|pod| claims_current_term(&pod))
        || unsettled(view, policy, record).iter().any(above)
}

/// Confirms the deletion of the groups that pods, or the Lease, are to be taken over from.
pub(super) fn vanished_owners(view: &Snapshot, policy: &GroupPolicy, record: &LeaderRecord) -> Vec<Intent> {
    let lease = lease_write(view, policy, record).and(view.lease.as_ref());
    let pods = unsettled(view, policy, record).into_iter().map(|pod| &pod.owner);
    let owners = pods.chain(lease.map(|lease| &lease.content.owner)).filter_map(|owner| match owner {
        Owner::Vanished(owner) => Some(owner.clone()),
        _ => None,
    });
    let mut owners: Vec<_> = owners.collect();
    owners.sort();
    owners.dedup();
    owners.into_iter().map(Intent::ConfirmGroupGone).collect()
}

/// Pods to release while the operator refuses the group: another group may wait for them. A pod
/// that an older group has is always released. Apart from that the leader stays, and so does a pod
/// that carries the leader label or that an unfinished switch names. An invalid spec deselects no
/// pod.
pub(super) fn releasable_while_refused(view: &Snapshot) -> Vec<Intent> {
    let (Ok(policy), Some(record)) = (&view.group.policy, view.record()) else {
        return Vec::new();
    };
    if is_overtaken(view, policy) {
        return Vec::new();
    }
    let leader = record.leader_id();
    let unfenced = |pod: &SeenPod| match &record.unfenced {
        Unfenced::All => true,
        Unfenced::Pods(pods) => pods.contains(&pod.id),
    };
    let in_use = |pod: &SeenPod| leader == Some(&pod.id) || pod.role == Role::Leader || unfenced(pod);
    let needed = |pod: &SeenPod| in_use(pod) && !is_claimed(pod);
    let released = view.pods.iter().filter(|pod| must_release(pod, policy, leader) && !needed(pod));
    let releases = released.map(|pod| Intent::Release(pod.id.clone(), pod.version));
    releases.take(MAX_LOW_PRIORITY_WRITES).collect()
}
