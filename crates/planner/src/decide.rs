//! Who should lead (Managed, Nominated), judged from a snapshot. [`super::switch`] plans how to get there.

use super::eligibility::{Ineligible, ineligibility, lack, ranked};
use super::reason::Reason;
use super::seen::{
    ElectionMode, GroupPolicy, LeaderChange, LeaderRecord, Membership, Owner, PodPhase, Role, SeenPod,
    Snapshot,
};
use super::{Identity, Micros, Millis, nominated_mode, observed_mode};

use super::leader_problem::{leader_problem, problems};
use super::new_leader::NewLeader;

/// The answer to a switchover request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchoverVerdict {
    /// There is no request.
    None,
    /// The switchover is possible: this pod shall lead.
    Grant(Identity),
    /// The switchover is done.
    Done,
    /// The switchover is impossible, for this reason.
    Refuse(String),
}

/// The next leader, if the record must change.
#[must_use]
pub fn decide(snapshot: &Snapshot, policy: &GroupPolicy) -> Option<NewLeader> {
    let may_record = nominated_mode::may_record(snapshot, policy);
    if snapshot.overlapped_by().is_some() {
        return let_go(snapshot, policy).or_else(|| lost_record(snapshot).filter(|_| may_record));
    }
    if !may_record {
        return None;
    }
    if policy.paused {
        return lost_record(snapshot);
    }
    if policy.mode == ElectionMode::Observed {
        return lost_record(snapshot).or_else(|| observed_mode::follow_lease(snapshot, policy));
    }
    if let SwitchoverVerdict::Grant(target) = switchover_verdict(snapshot, policy) {
        let detected_at = snapshot.wall_at(snapshot.now);
        return Some(NewLeader { to: Some(target), reason: Reason::Switchover, detected_at });
    }
    match snapshot.record() {
        None => lost_record(snapshot).or_else(|| first_leader(snapshot, policy)),
        Some(record) if record.leader.is_none() => recover(snapshot, policy),
        Some(record) => replace(snapshot, policy, record).or_else(|| fail_back(snapshot, policy, record)),
    }
}

/// Gives the leader up if an older group has it or this group no longer selects it, even without a
/// successor. Nothing else moves during an overlap. A pause keeps only the group's own pods: beside
/// the leader of the older group, a kept leader would be the second.
fn let_go(snapshot: &Snapshot, policy: &GroupPolicy) -> Option<NewLeader> {
    let leader = snapshot.pod(snapshot.leader_id()?)?;
    let lost = match leader.membership {
        Membership::Selected => false,
        Membership::ClaimedBy(_) => true,
        Membership::Deselected => !policy.paused,
    };
    lost.then(|| NewLeader {
        to: None,
        reason: Reason::LeaderDeselected,
        detected_at: snapshot.wall_at(leader.standing_changed_at),
    })
}

/// The record is lost, but a pod still carries the leader label and is ours: it stays the leader.
fn lost_record(snapshot: &Snapshot) -> Option<NewLeader> {
    let labelled = |pod: &&SeenPod| {
        pod.role == Role::Leader && pod.owner == Owner::Ours && pod.membership == Membership::Selected
    };
    let leader = snapshot.pods.iter().filter(labelled).max_by_key(|pod| (pod.term, &pod.id));
    let leader = leader.filter(|_| snapshot.record().is_none())?;
    let detected_at = snapshot.wall_at(snapshot.now);
    Some(NewLeader { to: Some(leader.id.clone()), reason: Reason::Recovered, detected_at })
}

/// Elects the first leader. A single pod that already carries the leader label (from a user or an
/// earlier tool) comes before others, so that adding a group to a live Service moves nothing.
fn first_leader(snapshot: &Snapshot, policy: &GroupPolicy) -> Option<NewLeader> {
    let candidates = ranked(snapshot, policy);
    let mut labelled = candidates.iter().filter(|pod| pod.role == Role::Leader);
    let sole = labelled.next().filter(|_| labelled.next().is_none());
    let chosen = sole.or_else(|| candidates.first())?;
    let led_before = snapshot.pods.iter().any(|pod| pod.owner == Owner::Ours);
    let reason = if led_before { Reason::Recovered } else { Reason::FirstElection };
    Some(NewLeader { to: Some(chosen.id.clone()), reason, detected_at: awaited(snapshot, chosen) })
}

/// Elects a leader after a time without one.
fn recover(snapshot: &Snapshot, policy: &GroupPolicy) -> Option<NewLeader> {
    let chosen = *ranked(snapshot, policy).first()?;
    let detected_at = awaited(snapshot, chosen);
    Some(NewLeader { to: Some(chosen.id.clone()), reason: Reason::Recovered, detected_at })
}

/// Since when a leaderless group could have elected: its first eligible pod, or, if there was one
/// all along, the group's creation or its leader's loss. A group that was paused or refused in its
/// last report counts from now.
fn awaited(snapshot: &Snapshot, chosen: &SeenPod) -> Micros {
    let eligible_at = chosen.ready_seen_at.max(chosen.standing_changed_at);
    let held_back = snapshot.group.status.is_held_back();
    snapshot.wall_at(if held_back { snapshot.now } else { eligible_at.max(snapshot.record_seen_at) })
}

/// Replaces a leader with a due problem by the most preferred other pod. Without one, takes the
/// label away if it must not stay.
fn replace(snapshot: &Snapshot, policy: &GroupPolicy, record: &LeaderRecord) -> Option<NewLeader> {
    let leader = record.leader_id()?;
    let problem = leader_problem(snapshot, policy, leader).filter(|problem| problem.due <= snapshot.now)?;
    let next = successor(snapshot, policy, leader, problem.reason);
    let label_may_stay = match problem.reason {
        Reason::LeaderDeselected => false,
        // A nominee that was not seen to hold the Lease has no label.
        Reason::NomineeSilent => true,
        _ => !policy.clear_without_candidate,
    };
    if next.is_none() && label_may_stay {
        return None;
    }
    let detected_at = snapshot.wall_at(problem.seen_at);
    Some(NewLeader { to: next.map(|pod| pod.id.clone()), reason: problem.reason, detected_at })
}

/// The pod that follows a leader with this problem. A leader that only lost its Lease may follow
/// itself, in a new term.
fn successor<'a>(
    snapshot: &'a Snapshot,
    policy: &GroupPolicy,
    leader: &Identity,
    reason: Reason,
) -> Option<&'a SeenPod> {
    let pods = ranked(snapshot, policy);
    let (same, others): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| pod.id.uid == leader.uid);
    let (same, other) = (same.first().copied(), others.first().copied());
    match reason {
        Reason::Recovered => same.or(other),
        Reason::LeaseReleased | Reason::LeaseExpired => other.or(same),
        Reason::NomineeSilent => {
            let untried = other.filter(|pod| !nominated_mode::is_silent(snapshot, pod));
            untried.or_else(|| silent_for_longest(snapshot, policy, leader))
        }
        _ => other,
    }
}

/// The pod that was silent first, of those that could lead otherwise: its companion may be back.
fn silent_for_longest<'a>(
    snapshot: &'a Snapshot,
    policy: &GroupPolicy,
    leader: &Identity,
) -> Option<&'a SeenPod> {
    let others = snapshot.group.status.silent_nominees.iter().filter(|id| id.uid != leader.uid);
    let mut pods = others.filter_map(|id| snapshot.pod(id));
    pods.find(|pod| ineligibility(pod, policy.min_ready, snapshot.now).is_none())
}

/// Moves a healthy leader back to a more preferred pod, once the group is steady.
fn fail_back(snapshot: &Snapshot, policy: &GroupPolicy, record: &LeaderRecord) -> Option<NewLeader> {
    let due = steady_from(snapshot, policy)?.max(snapshot.record_seen_at + policy.cooldown);
    let leader = snapshot.pod(record.leader_id()?)?;
    let best = *ranked(snapshot, policy).first().filter(|best| best.weight > leader.weight)?;
    if due > snapshot.now {
        return None;
    }
    let detected_at = snapshot.wall_at(due);
    Some(NewLeader { to: Some(best.id.clone()), reason: Reason::Failback, detected_at })
}

/// The moment from which the group counts as steady and may fail back. Every pod must be Ready and
/// stay. No pod, record or report may have changed for `failbackQuietSeconds`.
fn steady_from(snapshot: &Snapshot, policy: &GroupPolicy) -> Option<Millis> {
    let quiet = policy.failback_after?;
    let counts = |pod: &&SeenPod| {
        pod.membership == Membership::Selected && pod.phase != PodPhase::Finished && !pod.of_job
    };
    let mut pods = snapshot.pods.iter().filter(counts);
    if !pods.clone().all(|pod| pod.ready && !pod.terminating) {
        return None;
    }
    let changed_at = snapshot.record_seen_at.max(snapshot.reported_at);
    let last =
        pods.by_ref().fold(changed_at, |last, pod| last.max(pod.ready_seen_at).max(pod.standing_changed_at));
    Some(last + quiet)
}

/// Judges a switchover request.
#[must_use]
pub fn switchover_verdict(snapshot: &Snapshot, policy: &GroupPolicy) -> SwitchoverVerdict {
    let Some(name) = &snapshot.group.switchover else {
        return SwitchoverVerdict::None;
    };
    let refuse = |why: String| SwitchoverVerdict::Refuse(why);
    let target = snapshot.pods.iter().filter(|pod| &pod.id.name == name).max_by_key(|pod| pod.version);
    let newest = snapshot.group.status.history.first();
    let leads = snapshot.leader_id().is_some_and(|leader| target.is_some_and(|pod| pod.id.uid == leader.uid));
    match target {
        _ if policy.mode == ElectionMode::Observed => {
            refuse("mode is Observed: the pods elect, not the operator".to_owned())
        }
        _ if leads && newest.is_some_and(is_open_switchover) => SwitchoverVerdict::Done,
        _ if leads => refuse(format!("pod {name} already is the leader")),
        _ if policy.paused => refuse("the group is paused".to_owned()),
        _ if snapshot.overlapped_by().is_some() => {
            refuse("the selector overlaps with an older group".to_owned())
        }
        None => refuse(format!("the group has no pod {name}")),
        Some(pod) => match lack(snapshot, pod, policy.min_ready) {
            // The request waits for the end of the quarantine.
            None if !nominated_mode::may_record(snapshot, policy) => SwitchoverVerdict::None,
            None => SwitchoverVerdict::Grant(pod.id.clone()),
            Some(why) => refuse(format!("pod {name} is not eligible: {why}")),
        },
    }
}

/// A switchover whose labels have not followed yet. Its request is still there, too.
fn is_open_switchover(change: &LeaderChange) -> bool {
    change.reason == Reason::Switchover.as_str() && change.labelled_at.is_none()
}

/// The moments after `snapshot.now` at which a decision may change by itself.
#[must_use]
pub fn moments(snapshot: &Snapshot, policy: &GroupPolicy) -> Vec<Millis> {
    let leader = snapshot.leader_id();
    let problems = leader.map(|leader| problems(snapshot, policy, leader)).unwrap_or_default();
    let problem_due = problems.into_iter().map(|problem| problem.due);
    let ready_too_short = snapshot
        .pods
        .iter()
        .filter(|pod| ineligibility(pod, policy.min_ready, snapshot.now) == Some(Ineligible::ReadyTooShort));
    let ready_long_enough = ready_too_short.map(|pod| pod.ready_seen_at + policy.min_ready);
    // Skip pods that cannot lead anyway: their node needs no wake-up, and a large group would plan
    // once per node.
    let may_lead_but_for_node = |pod: &&SeenPod| {
        matches!(ineligibility(pod, policy.min_ready, snapshot.now), None | Some(Ineligible::ReadyTooShort))
    };
    let node_silences =
        snapshot.pods.iter().filter(may_lead_but_for_node).filter_map(|pod| pod.node_silent_from);
    let steady =
        steady_from(snapshot, policy).map(|from| from.max(snapshot.record_seen_at + policy.cooldown));
    let of_lease = nominated_mode::moments(snapshot, policy);
    let all = problem_due.chain(of_lease).chain(ready_long_enough).chain(node_silences).chain(steady);
    all.filter(|moment| *moment > snapshot.now).collect()
}
