//! The write of the Lease (Managed).

use crate::plan::{LeaseAction, LeaseWrite};
use crate::seen::{ElectionMode, GroupPolicy, LeaderRecord, Owner, PodPhase, SeenLease, Snapshot};
use crate::{Identity, Millis, Term};

/// The write that makes the Lease name the leader, or renews it, if one is due. None in the
/// other modes.
pub(super) fn lease_write(
    view: &Snapshot,
    policy: &GroupPolicy,
    record: &LeaderRecord,
) -> Option<LeaseWrite> {
    if policy.mode != ElectionMode::Managed {
        return None;
    }
    let lease = view.lease.as_ref();
    let ours = lease.filter(|lease| is_ours(lease, record.term));
    let transitions = lease.map_or(0, |lease| lease.content.transitions);
    let write = |action, holder: Option<&Identity>, transitions| LeaseWrite {
        name: policy.lease_name.clone(),
        base: lease.map(|lease| (lease.content.uid.clone(), lease.content.version)),
        action,
        holder: holder.cloned(),
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
    let held = ours.filter(|lease| lease.holder() == Some(&*leader.name));
    if let Some(lease) = held.filter(|lease| lease.content.term == Some(record.term)) {
        return must_renew(lease, view, policy).then(|| write(LeaseAction::Renew, Some(leader), transitions));
    }
    // A pod that is recreated under its name is a new holder, though the text is the same.
    let newest = view.group.status.history.first();
    let is_change = newest.is_some_and(|change| change.term == record.term);
    let (action, transitions) = match lease {
        None => (LeaseAction::Take, 0),
        Some(_) if held.is_some() && !is_change => (LeaseAction::Renew, transitions),
        Some(_) => (LeaseAction::Take, transitions.saturating_add(1)),
    };
    Some(write(action, Some(leader), transitions))
}

/// This group owns the Lease. The ownerReference may have been lost: then the term tells that this
/// group wrote the Lease.
fn is_ours(lease: &SeenLease, term: Term) -> bool {
    lease.content.is_ours() || (lease.content.owner == Owner::None && lease.content.term == Some(term))
}

/// A renewal is due, or the Lease lacks its ownerReference or has another duration. A Lease whose
/// age this operator does not know is renewed at once.
fn must_renew(lease: &SeenLease, view: &Snapshot, policy: &GroupPolicy) -> bool {
    let due = !lease.change_was_seen || renew_at(lease, &view.group.id, policy) <= view.now;
    let same_duration = lease.content.duration_seconds == i32::try_from(policy.lease_duration_seconds).ok();
    due || !lease.content.is_ours() || !same_duration
}

/// When the next renewal is due: `renewSeconds` after the last change, or up to half of them sooner.
///
/// Each group has moments of its own to renew at, `renewSeconds` apart. So thousands of groups that
/// were created in one second, or seen first by a new operator, soon renew one after the other.
#[must_use]
pub fn renew_at(lease: &SeenLease, group: &Identity, policy: &GroupPolicy) -> Millis {
    let period = policy.renew.0.max(1);
    let own = spread(&group.uid) % period;
    let until_own = period - (lease.changed_at.0 % period + period - own) % period;
    let is_soon = until_own * 2 < period;
    lease.changed_at + Millis(if is_soon { until_own + period / 2 } else { until_own })
}

/// A number that differs from UID to UID and is the same everywhere: FNV-1a.
fn spread(uid: &str) -> u64 {
    uid.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
