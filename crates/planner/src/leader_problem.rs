//! The problem of the recorded leader, if it has one.

use super::eligibility::ranked;
use super::nominated_mode::Tenure;
use super::reason::Reason;
use super::seen::{ElectionMode, GroupPolicy, Membership, Owner, PodPhase, SeenPod, Snapshot};
use super::{Identity, Millis, nominated_mode};

/// How long a nominee is waited for, at least, once all other pods were silent.
const NEXT_ROUND: Millis = Millis::from_seconds(60);

/// Why the recorded leader is to be replaced, and from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderProblem {
    /// The reason of the change.
    pub reason: Reason,
    /// When this operator first saw the problem.
    pub seen_at: Millis,
    /// When the leader may be replaced: the patience of the group has ended.
    pub due: Millis,
}

/// The problem of the recorded leader, whether or not it is due: the one that is due first.
#[must_use]
pub fn leader_problem(snapshot: &Snapshot, policy: &GroupPolicy, leader: &Identity) -> Option<LeaderProblem> {
    // Of those that are due, a silent nominee comes last: it may have no successor.
    let rank =
        |problem: &LeaderProblem| (problem.due.max(snapshot.now), problem.reason == Reason::NomineeSilent);
    problems(snapshot, policy, leader).into_iter().min_by_key(rank)
}

/// All problems of the recorded leader, whether or not they are due.
#[must_use]
pub(super) fn problems(snapshot: &Snapshot, policy: &GroupPolicy, leader: &Identity) -> Vec<LeaderProblem> {
    let Some(pod) = snapshot.pod(leader) else {
        return vec![absence(snapshot, leader)];
    };
    let at_once =
        |reason| vec![LeaderProblem { reason, seen_at: pod.standing_changed_at, due: Millis::default() }];
    let after = |reason, seen_at: Millis, patience| {
        let due = (seen_at + patience).max(snapshot.cooldown_from + policy.cooldown);
        LeaderProblem { reason, seen_at, due }
    };
    // This group cannot write a leader that another group owns: such a leader counts as not
    // selected.
    let owned_by_other = matches!(pod.owner, Owner::Other(_));
    match pod {
        _ if pod.membership != Membership::Selected || owned_by_other => at_once(Reason::LeaderDeselected),
        _ if pod.terminating => at_once(Reason::LeaderTerminating),
        _ if pod.phase == PodPhase::Finished => at_once(Reason::LeaderFinished),
        _ if pod.excluded || pod.of_job => at_once(Reason::LeaderExcluded),
        _ => {
            let unready = !pod.ready || pod.phase != PodPhase::Running;
            let unready = unready.then(|| after(Reason::LeaderNotReady, pod.ready_seen_at, policy.not_ready));
            let silent = pod.node_silent_from.map(|from| after(Reason::NodeSilent, from, Millis::default()));
            let lease = loss_of_lease(snapshot, policy);
            unready.into_iter().chain(silent).chain(lease).collect()
        }
    }
}

/// The pod of the leader is not in the cache.
fn absence(snapshot: &Snapshot, leader: &Identity) -> LeaderProblem {
    let namesake = snapshot.pods.iter().any(|pod| pod.id.name == leader.name && pod.id.uid != leader.uid);
    let gone = snapshot.gone.get(&leader.uid);
    let reason = match gone {
        _ if namesake => Reason::LeaderRecreated,
        Some(gone) if gone.was_terminating => Reason::LeaderTerminating,
        _ => Reason::LeaderDeleted,
    };
    LeaderProblem { reason, seen_at: gone.map_or(snapshot.now, |gone| gone.at), due: Millis::default() }
}

/// Why the Lease takes the lead from the recorded leader, and from when on.
fn loss_of_lease(view: &Snapshot, policy: &GroupPolicy) -> Option<LeaderProblem> {
    let record = view.record().filter(|_| policy.mode == ElectionMode::Nominated)?;
    let lease = view.lease.as_ref()?;
    let at = |reason, seen_at, due| Some(LeaderProblem { reason, seen_at, due });
    match nominated_mode::tenure(view, record) {
        Tenure::OfNoRecord => at(
            Reason::Recovered,
            lease.uid_seen_at,
            nominated_mode::quarantine_ends(view, policy).unwrap_or_default(),
        ),
        Tenure::AwaitingNominee => {
            let due = lease.nominee_seen_at + patience_with_nominee(view, policy);
            at(Reason::NomineeSilent, lease.nominee_seen_at, due)
        }
        Tenure::Held => {
            let expiry = lease.valid_until(nominated_mode::longest(view, policy));
            at(Reason::LeaseExpired, expiry, expiry)
        }
        Tenure::Ended => at(Reason::LeaseReleased, lease.changed_at, Millis::default()),
        Tenure::Overtaken | Tenure::NotNominated | Tenure::AwaitingRelease => None,
    }
}

/// How long the nominee may leave the free Lease untaken. Silent pods are tried again, but rarely:
/// each try is a change of leader.
fn patience_with_nominee(view: &Snapshot, policy: &GroupPolicy) -> Millis {
    let is_other = |pod: &SeenPod| view.leader_id().is_some_and(|leader| leader.uid != pod.id.uid);
    let is_untried = |pod: &SeenPod| is_other(pod) && !nominated_mode::is_silent(view, pod);
    let has_untried = ranked(view, policy).into_iter().any(is_untried);
    if has_untried { policy.nominee_timeout } else { policy.nominee_timeout.max(NEXT_ROUND) }
}
