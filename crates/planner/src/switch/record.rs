//! The record of who leads: its next content, and the live reads that come before it.

use super::fence::is_fenced;
use crate::new_leader::NewLeader;
use crate::nominated_mode;
use crate::plan::{Fact, Intent};
use crate::reason::Reason;
use crate::seen::{
    ElectionMode, GroupPolicy, GroupStatus, LeaderChange, LeaderRecord, RecordedLeader, Snapshot, Unfenced,
};
use crate::{Identity, Millis, Term};

/// A fact that the watch brought so short a time ago needs no live read: a failover acts on it at
/// once.
pub const FRESH: Millis = Millis(1000);

/// Corrects a name in the record that is not that of the pod with this UID: the status was edited
/// (S5).
pub(super) fn rename(view: &mut Snapshot) {
    let Some(mut record) = view.record().cloned() else {
        return;
    };
    let name_of = |id: &Identity| view.pod(id).map_or_else(|| id.clone(), |pod| pod.id.clone());
    if let Some(leader) = &mut record.leader {
        leader.id = name_of(&leader.id);
    }
    if let Unfenced::Pods(pods) = &mut record.unfenced {
        *pods = pods.iter().map(name_of).collect();
        pods.sort();
    }
    view.group.status.record = Some(record);
}

/// The next record, for a change of leader, with the entry of the history. None if the terms are
/// used up.
pub(super) fn of(view: &Snapshot, new: &NewLeader) -> Option<(GroupStatus, LeaderChange)> {
    let term = view.highest_term().next()?;
    let leader = new.to.as_ref().and_then(|id| view.pod(id)).map(|pod| RecordedLeader {
        id: pod.id.clone(),
        node: pod.node.clone(),
        ip: pod.ip.clone(),
        since: view.wall,
    });
    let previous = view.leader_id().filter(|id| new.to.as_ref() != Some(id));
    let change = LeaderChange {
        term,
        leader: new.to.as_ref().map(|id| id.name.clone()),
        previous: previous.map(|id| id.name.clone()),
        reason: new.reason.as_str().to_owned(),
        detected_at: new.detected_at,
        elected_at: view.wall,
        labelled_at: None,
        routed_at: None,
    };
    let unfenced = next_unfenced(view, new.to.as_ref());
    let mut status = view.group.status.clone();
    status.record = Some(LeaderRecord { leader, term, unfenced });
    status.recorded_lease = nominated_mode::next_lease(view);
    if let Some(silent) = view.leader_id().filter(|_| new.reason == Reason::NomineeSilent) {
        nominated_mode::note_silent(&mut status, silent);
    }
    status.lost_term = None;
    status.history.insert(0, change.clone());
    Some((status, change))
}

/// The next record, for the same leader. None if the terms are used up.
pub(super) fn again(view: &Snapshot) -> Option<GroupStatus> {
    let term = view.highest_term().next()?;
    let leader = view.leader_id().cloned();
    let unfenced = next_unfenced(view, leader.as_ref());
    let mut status = view.group.status.clone();
    status.recorded_lease = nominated_mode::next_lease(view);
    if let Some(record) = &mut status.record {
        record.term = term;
        record.unfenced = unfenced;
    }
    Some(status)
}

/// The list of all pods that must come next, if one must. Without an earlier record, only a list
/// made after the record tells which pods to fence.
pub(super) fn list(view: &Snapshot) -> Option<Intent> {
    let record = view.record()?;
    let listed = view.listed_for == Some(view.group.version);
    (record.unfenced == Unfenced::All && !listed).then_some(Intent::ListPods(record.term))
}

/// The pods that the next record must fence: the leader so far, and those of the present record
/// that may not be fenced yet.
fn next_unfenced(view: &Snapshot, next: Option<&Identity>) -> Unfenced {
    let Some(record) = view.record() else {
        return Unfenced::All;
    };
    let mut pods: Vec<Identity> = match &record.unfenced {
        Unfenced::Pods(pods) => pods.clone(),
        Unfenced::All if view.listed_for == Some(view.group.version) => {
            view.pods.iter().map(|pod| pod.id.clone()).collect()
        }
        Unfenced::All => return Unfenced::All,
    };
    pods.retain(|id| !view.pod(id).is_some_and(|pod| is_fenced(pod, record.term)));
    pods.extend(record.leader_id().cloned());
    pods.retain(|id| next != Some(id) && !view.gone.contains_key(&id.uid));
    pods.sort();
    pods.dedup();
    Unfenced::Pods(pods)
}

/// The live reads before a change: missing knowledge never changes the leader (L2).
pub(super) fn confirm_before(view: &Snapshot, policy: &GroupPolicy, change: &NewLeader) -> Vec<Intent> {
    let live_reads = [
        confirm_leader_gone(view),
        confirm_lease(view, policy, change),
        confirm_node_silent(view, change),
        confirm_leader_not_ready(view, change),
    ];
    live_reads.into_iter().flatten().collect()
}

/// Confirms that a leader that is not in the cache is deleted.
fn confirm_leader_gone(view: &Snapshot) -> Option<Intent> {
    let leader = view.leader_id()?;
    let unknown = view.pod(leader).is_none() && !view.gone.contains_key(&leader.uid);
    unknown.then(|| Intent::Confirm(Fact::PodGone(leader.clone())))
}

/// Confirms that our copy of the Lease is current. With a stale copy we would move the label back
/// to a former holder, or to a pod that only shares its name (Observed, S5). Or we would replace a
/// leader that renews the Lease, or took it, or record a Lease that is deleted (Nominated).
fn confirm_lease(view: &Snapshot, policy: &GroupPolicy, change: &NewLeader) -> Option<Intent> {
    let is_by_lapse = || matches!(change.reason, Reason::LeaseExpired | Reason::NomineeSilent);
    let judges_by_lease = match policy.mode {
        ElectionMode::Managed => false,
        ElectionMode::Observed => true,
        ElectionMode::Nominated => is_by_lapse() || nominated_mode::of_record(view).is_none(),
    };
    let will_record = judges_by_lease && view.highest_term() < Term::MAX;
    will_record.then(|| lease_unchanged(view, policy))
}

/// The live read of the Lease.
pub(super) fn lease_unchanged(view: &Snapshot, policy: &GroupPolicy) -> Intent {
    let lease = view.lease.as_ref();
    let seen = lease.map(|lease| (lease.content.uid.clone(), lease.content.version));
    Intent::Confirm(Fact::Lease { name: policy.lease_name.clone(), seen })
}

/// Confirms that the leader's node is silent: the watch of its heartbeats may be stalled.
fn confirm_node_silent(view: &Snapshot, change: &NewLeader) -> Option<Intent> {
    let silent = change.reason == Reason::NodeSilent && view.highest_term() < Term::MAX;
    let leader = view.leader_id().filter(|_| silent).and_then(|leader| view.pod(leader))?;
    leader.node.clone().map(|node| Intent::Confirm(Fact::NodeSilent(node)))
}

/// Confirms that the leader is still as we saw it when it was not Ready, if that was a while ago.
/// The watch of pods may be stalled since.
fn confirm_leader_not_ready(view: &Snapshot, change: &NewLeader) -> Option<Intent> {
    let unready = change.reason == Reason::LeaderNotReady && view.highest_term() < Term::MAX;
    let leader = view.leader_id().filter(|_| unready).and_then(|leader| view.pod(leader))?;
    let is_old = leader.ready_seen_at + FRESH < view.now;
    is_old.then(|| Intent::Confirm(Fact::PodUnchanged(leader.id.clone(), leader.version)))
}

/// Confirms that the record is the present one, after the versions of the pods were read.
pub(super) fn confirm(view: &Snapshot, record: &LeaderRecord) -> Intent {
    let (group, leader) = (view.group.id.clone(), record.leader_id().cloned());
    Intent::Confirm(Fact::Record { group, leader, term: record.term })
}
