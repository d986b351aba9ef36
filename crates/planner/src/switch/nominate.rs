//! The write of the Lease (Nominated).

use crate::nominated_mode::{Tenure, is_over, of_record, tenure};
use crate::plan::{Intent, NewNomination, NominationAction, NominationWrite};
use crate::seen::{ElectionMode, GroupPolicy, LeaderRecord, PodPhase, SeenLease, Snapshot};

/// The creation of a Lease that is not there. It grants nothing: a pod is nominated later.
pub(super) fn creation(view: &Snapshot, policy: &GroupPolicy) -> Option<Intent> {
    let is_missing = policy.mode == ElectionMode::Nominated && view.lease.is_none();
    is_missing.then(|| Intent::WriteNomination(write(policy, None, NominationAction::Create)))
}

/// The write that brings the Lease to the record's leader: a nomination, or the end of a holder
/// whose work has ended.
pub(super) fn nomination_write(
    view: &Snapshot,
    policy: &GroupPolicy,
    record: &LeaderRecord,
) -> Option<NominationWrite> {
    let lease = of_record(view).filter(|_| policy.mode == ElectionMode::Nominated)?;
    let action = match record.leader_id() {
        None => withdrawal(view, policy, record, lease),
        Some(_) => action(view, policy, record, lease),
    };
    action.map(|action| write(policy, Some(lease), action))
}

fn write(policy: &GroupPolicy, lease: Option<&SeenLease>, action: NominationAction) -> NominationWrite {
    let base = lease.map(|lease| (lease.content.uid.clone(), lease.content.version));
    NominationWrite { name: policy.lease_name.clone(), base, action }
}

fn action(
    view: &Snapshot,
    policy: &GroupPolicy,
    record: &LeaderRecord,
    lease: &SeenLease,
) -> Option<NominationAction> {
    match tenure(view, record) {
        Tenure::NotNominated => {
            let leader = record.leader_id().and_then(|leader| view.pod(leader))?;
            let may_take = leader.phase != PodPhase::Finished;
            may_take.then(|| nominate(view, policy, record, lease))?
        }
        Tenure::AwaitingRelease if is_over(view, policy, lease) => Some(NominationAction::Clear),
        _ => None,
    }
}

/// No pod leads: a holder is asked to end, and a nominee must not take the Lease any more.
fn withdrawal(
    view: &Snapshot,
    policy: &GroupPolicy,
    record: &LeaderRecord,
    lease: &SeenLease,
) -> Option<NominationAction> {
    let is_idle = lease.content.is_free() && lease.content.nominee.is_none();
    let is_done = lease.content.term == Some(record.term);
    if is_idle || is_done { None } else { nominate(view, policy, record, lease) }
}

/// Nominates the leader, or the group itself, which no pod is.
fn nominate(
    view: &Snapshot,
    policy: &GroupPolicy,
    record: &LeaderRecord,
    lease: &SeenLease,
) -> Option<NominationAction> {
    let nominee = record.leader_id().unwrap_or(&view.group.id).clone();
    let duration_seconds = view.group.status.recorded_lease.as_ref()?.duration_seconds;
    let nomination = NewNomination { nominee, term: record.term, duration_seconds };
    let is_expired = !lease.content.is_free() && is_over(view, policy, lease);
    Some(if is_expired {
        NominationAction::ClearAndNominate(nomination)
    } else {
        NominationAction::Nominate(nomination)
    })
}
