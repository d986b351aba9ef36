//! The write of the Lease (Managed).

use crate::planner::plan::{LeaseAction, LeaseWrite};
use crate::planner::seen::{ElectionMode, GroupPolicy, LeaderRecord, Owner, PodPhase, SeenLease, Snapshot};

/// The write that makes the Lease name the leader, or renews it, if one is due. None ever in
/// Observed mode.
pub(super) fn lease_write(
    view: &Snapshot,
    policy: &GroupPolicy,
    record: &LeaderRecord,
) -> Option<LeaseWrite> {
    if policy.mode == ElectionMode::Observed {
        return None;
    }
    let lease = view.lease.as_ref();
    // The ownerReference may have been lost. The term tells that this group wrote the Lease.
    let stripped =
        |lease: &SeenLease| lease.content.owner == Owner::None && lease.content.term == Some(record.term);
    let ours = lease.filter(|lease| lease.content.is_ours() || stripped(lease));
    let transitions = lease.map_or(0, |lease| lease.content.transitions);
    let write = |action, holder: Option<&str>, transitions| LeaseWrite {
        name: policy.lease_name.clone(),
        base: lease.map(|lease| (lease.content.uid.clone(), lease.content.version)),
        action,
        holder: holder.map(str::to_owned),
        term: record.term,
        duration_seconds: policy.lease_duration_seconds,
        transitions,
    };
    let Some(leader) = record.leader_id() else {
        let held = ours.is_some_and(|lease| lease.holder().is_some());
        return held.then(|| write(LeaseAction::Release, None, transitions));
    };
    // The Lease lives as long as the leader can come back: a deleted or finished pod does not
    // renew.
    view.pod(leader).filter(|pod| pod.phase != PodPhase::Finished)?;
    let named = ours.filter(|lease| {
        lease.holder() == Some(leader.name.as_str()) && lease.content.term == Some(record.term)
    });
    let Some(named) = named else {
        // A pod that is recreated under its name is a new holder, though the text is the same.
        let newest = view.group.status.history.first();
        let is_change = newest.is_some_and(|change| change.term == record.term);
        let same_holder =
            !is_change && ours.is_some_and(|lease| lease.holder() == Some(leader.name.as_str()));
        let (action, transitions) = match lease {
            None => (LeaseAction::Take, 0),
            Some(_) if same_holder => (LeaseAction::Renew, transitions),
            Some(_) => (LeaseAction::Take, transitions.saturating_add(1)),
        };
        return Some(write(action, Some(&leader.name), transitions));
    };
    let due =
        !named.content.is_ours() || !named.change_was_seen || named.changed_at + policy.renew <= view.now;
    let same_duration = named.content.duration_seconds == i32::try_from(policy.lease_duration_seconds).ok();
    (due || !same_duration).then(|| write(LeaseAction::Renew, Some(&leader.name), transitions))
}
