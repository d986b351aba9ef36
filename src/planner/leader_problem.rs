//! What is wrong with the recorded leader.

use super::reason::Reason;
use super::seen::{GroupPolicy, Membership, Owner, PodPhase, Snapshot};
use super::{Identity, Millis};

/// What is wrong with the recorded leader, and from when on it is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderProblem {
    /// Why it is to be replaced.
    pub reason: Reason,
    /// When this process first saw it.
    pub seen_at: Millis,
    /// When patience ends.
    pub due: Millis,
}

/// What is wrong with the recorded leader, whether or not it is time to act on it.
#[must_use]
pub fn leader_problem(snapshot: &Snapshot, policy: &GroupPolicy, leader: &Identity) -> Option<LeaderProblem> {
    let Some(pod) = snapshot.pod(leader) else {
        return Some(absence(snapshot, leader));
    };
    let at_once = |reason| LeaderProblem { reason, seen_at: pod.standing_changed_at, due: Millis::default() };
    let after = |reason, seen_at: Millis, patience| {
        let due = (seen_at + patience).max(snapshot.cooldown_from + policy.cooldown);
        LeaderProblem { reason, seen_at, due }
    };
    // A leader that another group marked cannot be written by this one: it counts as not selected.
    let foreign = matches!(pod.owner, Owner::Other(_));
    match pod {
        _ if pod.membership != Membership::Selected || foreign => Some(at_once(Reason::LeaderDeselected)),
        _ if pod.terminating => Some(at_once(Reason::LeaderTerminating)),
        _ if pod.phase == PodPhase::Finished => Some(at_once(Reason::LeaderFinished)),
        _ if pod.excluded || pod.of_job => Some(at_once(Reason::LeaderExcluded)),
        _ => {
            let unready = !pod.ready || pod.phase != PodPhase::Running;
            let unready = unready.then(|| after(Reason::LeaderNotReady, pod.ready_seen_at, policy.not_ready));
            let silent = pod.node_silent_from.map(|from| after(Reason::NodeSilent, from, Millis::default()));
            unready.into_iter().chain(silent).min_by_key(|problem| problem.due)
        }
    }
}

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
