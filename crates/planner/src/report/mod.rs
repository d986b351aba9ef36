//! What the status tells people: counts, conditions, history; and the Events that go with it.

mod awaiting;
mod conditions;
mod pods;
mod routes;

use self::conditions::Finding;
use super::eligibility::{self, Ineligible};
use super::names::{condition, condition_reason, event_reason};
use super::plan::EventDraft;
use super::seen::{
    Condition, ElectionMode, GroupPolicy, GroupStatus, LeaderChange, SeenPod, Snapshot, Stamp,
};
use super::{Micros, Millis, nominated_mode};

pub(super) use self::conditions::accepted;
pub use self::pods::MAX_PODS;

/// The status that reports `view`. The record in it is that of `view`.
#[must_use]
pub fn status(view: &Snapshot) -> GroupStatus {
    let mut status = view.group.status.clone();
    status.observed_generation = Some(view.group.generation);
    let accepted = accepted(view);
    let kstatus = conditions::kstatus(view, &accepted);
    let Ok(policy) = &view.group.policy else {
        let (_, reason, message) = accepted.clone();
        set(&mut status, view, condition::ACCEPTED, accepted);
        set(&mut status, view, condition::READY, (false, reason, message));
        set_kstatus(&mut status, view, kstatus);
        return status;
    };
    status.lease = Some(policy.lease_name.clone());
    nominated_mode::report(&mut status, view);
    status.candidates = view.pods.iter().filter(|pod| pod.is_candidate()).count();
    status.eligible = view.pods.iter().filter(|pod| lack(view, policy, pod).is_none()).count();
    status.pods = pods::reports(view, policy);
    keep_history(&mut status, policy);
    refresh_leader(&mut status, view);
    let available = conditions::with_ignored(view, conditions::available(view, policy, status.eligible));
    let ready = conditions::ready(view, policy, &accepted);
    set(&mut status, view, condition::ACCEPTED, accepted);
    set(&mut status, view, condition::CANDIDATES_AVAILABLE, available);
    set(&mut status, view, condition::LEADER_ELECTED, conditions::elected(view));
    match routes::routed(view) {
        Some(routed) => set(&mut status, view, condition::ROUTED, routed),
        None => status.conditions.retain(|known| known.kind != condition::ROUTED),
    }
    set(&mut status, view, condition::READY, ready);
    set_kstatus(&mut status, view, kstatus);
    status
}

/// The conditions that kstatus knows. They are there only while they are True.
fn set_kstatus(status: &mut GroupStatus, view: &Snapshot, found: [(&'static str, Option<Finding>); 2]) {
    for (kind, finding) in found {
        match finding {
            Some(finding) => set(status, view, kind, finding),
            None => status.conditions.retain(|condition| condition.kind != kind),
        }
    }
}

/// Cuts the history to its limit, but keeps the newest change if the operator still needs it. A
/// change that is not complete is announced later. A change to no leader tells other operators that
/// a Lease ran out (Observed).
fn keep_history(status: &mut GroupStatus, policy: &GroupPolicy) {
    let is_leaderless = status.record.as_ref().is_some_and(|record| record.leader.is_none());
    let open = status.history.first().is_some_and(|change| change.labelled_at.is_none());
    let needed = open || (is_leaderless && policy.mode == ElectionMode::Observed);
    status.history.truncate(policy.history_limit.max(usize::from(needed)));
}

/// What the pod lacks to lead. `failover.minReadySeconds` does not apply to the present leader.
fn lack(view: &Snapshot, policy: &GroupPolicy, pod: &SeenPod) -> Option<Ineligible> {
    let leads = view.leader_id().is_some_and(|leader| leader.uid == pod.id.uid);
    let min_ready = if leads { Millis::default() } else { policy.min_ready };
    eligibility::lack(view, pod, min_ready)
}

/// Marks the change of the present term as complete, if it is, and returns it. `change` is the
/// change that this plan makes. Without one, an earlier process may have left a change open in the
/// history.
pub fn complete(
    status: &mut GroupStatus,
    view: &Snapshot,
    change: Option<LeaderChange>,
) -> Option<LeaderChange> {
    let record = view.record()?;
    let settled = record.leader.is_none() || conditions::labelled_leader(view, record).is_some();
    let open = |change: &LeaderChange| change.term == record.term && change.labelled_at.is_none();
    let newest = status.history.first_mut().filter(|change| open(change));
    let mut completed = change.or_else(|| newest.as_deref().cloned()).filter(|_| settled)?;
    completed.labelled_at = Some(Stamp::WhenWritten);
    if let Some(newest) = newest {
        newest.labelled_at = Some(Stamp::WhenWritten);
    }
    if let Ok(policy) = &view.group.policy {
        keep_history(status, policy);
    }
    Some(completed)
}

/// Notes in the change of the present term that the slices follow it, if they do.
pub fn stamp_route(status: &mut GroupStatus, view: &Snapshot) {
    let follows = routes::routed(view).is_some_and(|(holds, ..)| holds);
    let term = view.record().map(|record| record.term).filter(|_| follows);
    let newest = status.history.first_mut().filter(|change| Some(change.term) == term);
    if let Some(newest) = newest.filter(|change| change.routed_at.is_none()) {
        newest.routed_at = Some(Stamp::WhenWritten);
    }
}

/// The two differ in nothing but candidates: their numbers, and what is said of each.
#[must_use]
pub fn differ_in_counts_only(before: &GroupStatus, after: &GroupStatus) -> bool {
    let GroupStatus { candidates, eligible, .. } = *before;
    GroupStatus { candidates, eligible, pods: before.pods.clone(), ..after.clone() } == *before
}

/// `after` tells of the same record and the same changes as `before`. Only people read the rest.
#[must_use]
pub fn is_mere(before: &GroupStatus, after: &GroupStatus) -> bool {
    is_same_record(before, after) && before.history == after.history
}

/// Both have the same leader, term and unfenced pods.
#[must_use]
pub fn is_same_record(one: &GroupStatus, other: &GroupStatus) -> bool {
    match (&one.record, &other.record) {
        (Some(one), Some(other)) => {
            (one.leader_id(), one.term, &one.unfenced) == (other.leader_id(), other.term, &other.unfenced)
        }
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// Events: the operator refuses the group, or serves one with a short Lease (Nominated); or the
/// group has just lost its last eligible pod, or its Lease (Nominated).
#[must_use]
pub fn event_drafts(view: &Snapshot, before: &GroupStatus, after: &GroupStatus) -> Vec<EventDraft> {
    let find = |status: &GroupStatus, kind: &str| status.conditions.iter().find(|c| c.kind == kind).cloned();
    let fell = |kind: &str| {
        let now = find(after, kind).filter(|condition| !condition.holds)?;
        let was = find(before, kind).filter(|was| !was.holds && was.reason == now.reason);
        was.is_none().then_some(now)
    };
    let refused = fell(condition::ACCEPTED).map(|c| warning(&c.reason, c.message));
    let short_lease = find(after, condition::ACCEPTED)
        .filter(|now| {
            now.holds && find(before, condition::ACCEPTED).is_none_or(|was| was.message != now.message)
        })
        .and_then(|_| conditions::short_lease(view.group.policy.as_ref().ok()?))
        .map(|short| warning(event_reason::SHORT_LEASE, short));
    let no_candidate = fell(condition::CANDIDATES_AVAILABLE)
        .filter(|_| find(before, condition::CANDIDATES_AVAILABLE).is_some_and(|was| was.holds))
        .map(|c| warning(event_reason::NO_CANDIDATE, c.message));
    let lost_lease = fell(condition::LEADER_ELECTED)
        .filter(|c| before.record.is_some() && c.reason == condition_reason::LEASE_QUARANTINED)
        .map(|c| warning(event_reason::LEASE_QUARANTINED, c.message));
    refused.into_iter().chain(short_lease).chain(no_candidate).chain(lost_lease).collect()
}

fn warning(reason: &str, note: String) -> EventDraft {
    EventDraft { reason: reason.to_owned(), warning: true, note, pod: None }
}

/// Node and address of the leader: the operator may learn them after the election.
fn refresh_leader(status: &mut GroupStatus, view: &Snapshot) {
    let Some(leader) = status.record.as_mut().and_then(|record| record.leader.as_mut()) else {
        return;
    };
    if let Some(pod) = view.pod(&leader.id) {
        leader.id.name.clone_from(&pod.id.name);
        leader.node.clone_from(&pod.node);
        leader.ip.clone_from(&pod.ip);
    }
}

fn set(status: &mut GroupStatus, view: &Snapshot, kind: &str, (holds, reason, message): Finding) {
    let now = seconds(view.wall);
    let before = status.conditions.iter_mut().find(|condition| condition.kind == kind);
    let changed_at_seconds = match &before {
        Some(before) if before.holds == holds => before.changed_at_seconds,
        _ => now,
    };
    let (kind, reason) = (kind.to_owned(), reason.to_owned());
    let generation = Some(view.group.generation);
    let after = Condition { kind, holds, reason, message, generation, changed_at_seconds };
    match before {
        Some(before) => *before = after,
        None => status.conditions.push(after),
    }
}

const fn seconds(moment: Micros) -> i64 {
    moment.0.div_euclid(1_000_000)
}
