//! Who should lead, judged from a snapshot; not yet how to get there.

use super::candidate::{Unfit, ranked, unfit};
use super::reason::Reason;
use super::snapshot::{Change, Mark, Membership, Mode, Phase, Pod, Policy, Record, Role, Snapshot};
use super::{Identity, Micros, Millis, holder, report};

/// What to do about the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The record stands.
    Keep,
    /// A new record.
    Change(NewLeader),
}

/// The content of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLeader {
    /// The new leader; none takes the label away.
    pub to: Option<Identity>,
    /// Why.
    pub reason: Reason,
    /// When the cause was first seen.
    pub detected_at: Micros,
}

/// The answer to a switchover request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nobody asked, or what was asked for is being done.
    None,
    /// It can be done: this pod shall lead.
    Grant(Identity),
    /// It has been done.
    Done,
    /// It cannot be done, for this reason.
    Refuse(String),
}

/// What is wrong with the recorded leader, and from when on it is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Why it is to be replaced.
    pub reason: Reason,
    /// When this process first saw it.
    pub seen_at: Millis,
    /// When patience ends.
    pub due: Millis,
}

/// Who should lead now.
#[must_use]
pub fn decide(snapshot: &Snapshot, policy: &Policy) -> Decision {
    let keep_or = |change: Option<NewLeader>| change.map_or(Decision::Keep, Decision::Change);
    if snapshot.overlapped_by().is_some() {
        return keep_or(let_go(snapshot, policy).or_else(|| lost_record(snapshot)));
    }
    if policy.paused {
        return keep_or(lost_record(snapshot));
    }
    if policy.mode == Mode::Observed {
        return keep_or(lost_record(snapshot).or_else(|| holder::follow(snapshot, policy)));
    }
    if let Request::Grant(target) = request(snapshot, policy) {
        return change(Some(target), Reason::Switchover, snapshot.wall_at(snapshot.now));
    }
    match snapshot.record() {
        None => keep_or(lost_record(snapshot).or_else(|| first(snapshot, policy))),
        Some(record) if record.leader.is_none() => keep_or(recover(snapshot, policy)),
        Some(record) => {
            keep_or(replace(snapshot, policy, record).or_else(|| fail_back(snapshot, policy, record)))
        }
    }
}

fn change(to: Option<Identity>, reason: Reason, detected_at: Micros) -> Decision {
    Decision::Change(NewLeader { to, reason, detected_at })
}

/// The leader belongs to an older group, or to none: give it up, even if nobody follows. Nothing else moves during an
/// overlap. A pause holds only what the group has: beside a leader of the older group this one's would be the second.
fn let_go(snapshot: &Snapshot, policy: &Policy) -> Option<NewLeader> {
    let leader = snapshot.pod(snapshot.leader_id()?)?;
    let lost = match leader.membership {
        Membership::Selected => false,
        Membership::ClaimedBy(_) => true,
        Membership::Deselected => !policy.paused,
    };
    lost.then(|| NewLeader {
        to: None,
        reason: Reason::LeaderDeselected,
        detected_at: snapshot.wall_at(leader.unfit_seen_at),
    })
}

/// The record is lost, but a pod still carries label and mark: it stays the leader.
fn lost_record(snapshot: &Snapshot) -> Option<NewLeader> {
    let labelled = |pod: &&Pod| {
        pod.role == Role::Leader && pod.mark == Mark::Ours && pod.membership == Membership::Selected
    };
    let leader = snapshot.pods.iter().filter(labelled).max_by_key(|pod| (pod.term, &pod.id));
    let leader = leader.filter(|_| snapshot.record().is_none())?;
    let detected_at = snapshot.wall_at(snapshot.now);
    Some(NewLeader { to: Some(leader.id.clone()), reason: Reason::Recovered, detected_at })
}

/// Nobody leads yet. A single pod that already carries the leader label (put there by hand or by an earlier tool) is
/// taken before others, so that adding a group to a live Service moves nothing.
fn first(snapshot: &Snapshot, policy: &Policy) -> Option<NewLeader> {
    let candidates = ranked(snapshot, policy);
    let mut labelled = candidates.iter().filter(|pod| pod.role == Role::Leader);
    let sole = labelled.next().filter(|_| labelled.next().is_none());
    let chosen = sole.or_else(|| candidates.first())?;
    let led_before = snapshot.pods.iter().any(|pod| pod.mark == Mark::Ours);
    let reason = if led_before { Reason::Recovered } else { Reason::FirstElection };
    Some(NewLeader { to: Some(chosen.id.clone()), reason, detected_at: awaited(snapshot, chosen) })
}

fn recover(snapshot: &Snapshot, policy: &Policy) -> Option<NewLeader> {
    let chosen = *ranked(snapshot, policy).first()?;
    let detected_at = awaited(snapshot, chosen);
    Some(NewLeader { to: Some(chosen.id.clone()), reason: Reason::Recovered, detected_at })
}

/// When that was first seen for which a group without a leader has waited: an eligible pod, or, where there had long been
/// one, the group itself or the loss of its leader. What held the group back when it last reported has only now ended.
fn awaited(snapshot: &Snapshot, chosen: &Pod) -> Micros {
    let eligible_at = chosen.ready_seen_at.max(chosen.unfit_seen_at);
    let held_back = report::is_held_back(&snapshot.group.status);
    snapshot.wall_at(if held_back { snapshot.now } else { eligible_at.max(snapshot.record_seen_at) })
}

/// Replaces a leader in trouble by the most preferred other pod, or by nobody where the label must not stay.
fn replace(snapshot: &Snapshot, policy: &Policy, record: &Record) -> Option<NewLeader> {
    let leader = record.leader_id()?;
    let trouble = trouble(snapshot, policy, leader).filter(|trouble| trouble.due <= snapshot.now)?;
    let next = ranked(snapshot, policy).into_iter().find(|pod| pod.id.uid != leader.uid);
    let label_may_stay = !policy.clear_without_candidate && trouble.reason != Reason::LeaderDeselected;
    if next.is_none() && label_may_stay {
        return None;
    }
    let detected_at = snapshot.wall_at(trouble.seen_at);
    Some(NewLeader { to: next.map(|pod| pod.id.clone()), reason: trouble.reason, detected_at })
}

/// Moves a healthy leader back to a more preferred pod, once the group is steady.
fn fail_back(snapshot: &Snapshot, policy: &Policy, record: &Record) -> Option<NewLeader> {
    let due = steady_from(snapshot, policy)?.max(snapshot.record_seen_at + policy.cooldown);
    let leader = snapshot.pod(record.leader_id()?)?;
    let best = *ranked(snapshot, policy).first().filter(|best| best.weight > leader.weight)?;
    if due > snapshot.now {
        return None;
    }
    let detected_at = snapshot.wall_at(due);
    Some(NewLeader { to: Some(best.id.clone()), reason: Reason::Failback, detected_at })
}

/// The moment from which a group that fails back counts as steady: every pod is Ready and stays, and neither a pod, nor
/// the record, nor what is reported of the group has changed for `failbackQuietSeconds`.
fn steady_from(snapshot: &Snapshot, policy: &Policy) -> Option<Millis> {
    let quiet = policy.failback_after?;
    let lives =
        |pod: &&Pod| pod.membership == Membership::Selected && pod.phase != Phase::Finished && !pod.of_job;
    let mut pods = snapshot.pods.iter().filter(lives);
    if !pods.clone().all(|pod| pod.ready && !pod.terminating) {
        return None;
    }
    let changed_at = snapshot.record_seen_at.max(snapshot.reported_at);
    let last = pods.by_ref().fold(changed_at, |last, pod| last.max(pod.ready_seen_at).max(pod.unfit_seen_at));
    Some(last + quiet)
}

/// What is wrong with the recorded leader, whether or not it is time to act on it.
#[must_use]
pub fn trouble(snapshot: &Snapshot, policy: &Policy, leader: &Identity) -> Option<Trouble> {
    let Some(pod) = snapshot.pod(leader) else {
        return Some(absence(snapshot, leader));
    };
    let at_once = |reason| Trouble { reason, seen_at: pod.unfit_seen_at, due: Millis::default() };
    let after = |reason, seen_at: Millis, patience| {
        let due = (seen_at + patience).max(snapshot.cooldown_from + policy.cooldown);
        Trouble { reason, seen_at, due }
    };
    // A leader that another group marked cannot be written by this one: it counts as not selected.
    let foreign = matches!(pod.mark, Mark::Foreign(_));
    match pod {
        _ if pod.membership != Membership::Selected || foreign => Some(at_once(Reason::LeaderDeselected)),
        _ if pod.terminating => Some(at_once(Reason::LeaderTerminating)),
        _ if pod.phase == Phase::Finished => Some(at_once(Reason::LeaderFinished)),
        _ if pod.excluded || pod.of_job => Some(at_once(Reason::LeaderExcluded)),
        _ => {
            let unready = !pod.ready || pod.phase != Phase::Running;
            let unready = unready.then(|| after(Reason::LeaderNotReady, pod.ready_seen_at, policy.not_ready));
            let silent = pod.node_silent_from.map(|from| after(Reason::NodeSilent, from, Millis::default()));
            unready.into_iter().chain(silent).min_by_key(|trouble| trouble.due)
        }
    }
}

fn absence(snapshot: &Snapshot, leader: &Identity) -> Trouble {
    let namesake = snapshot.pods.iter().any(|pod| pod.id.name == leader.name && pod.id.uid != leader.uid);
    let gone = snapshot.gone.get(&leader.uid);
    let reason = match gone {
        _ if namesake => Reason::LeaderRecreated,
        Some(gone) if gone.was_terminating => Reason::LeaderTerminating,
        _ => Reason::LeaderDeleted,
    };
    Trouble { reason, seen_at: gone.map_or(snapshot.now, |gone| gone.at), due: Millis::default() }
}

/// Judges a switchover request.
#[must_use]
pub fn request(snapshot: &Snapshot, policy: &Policy) -> Request {
    let Some(name) = &snapshot.group.switchover else {
        return Request::None;
    };
    let refuse = |why: String| Request::Refuse(why);
    let target = snapshot.pods.iter().filter(|pod| &pod.id.name == name).max_by_key(|pod| pod.version);
    let newest = snapshot.group.status.history.first();
    let leads = snapshot.leader_id().is_some_and(|leader| target.is_some_and(|pod| pod.id.uid == leader.uid));
    match target {
        _ if policy.mode == Mode::Observed => {
            refuse("mode is Observed: the pods elect, not the operator".to_owned())
        }
        _ if leads && newest.is_some_and(is_open_switchover) => Request::Done,
        _ if leads => refuse(format!("pod {name} already is the leader")),
        _ if policy.paused => refuse("the group is paused".to_owned()),
        _ if snapshot.overlapped_by().is_some() => {
            refuse("the selector overlaps with an older group".to_owned())
        }
        None => refuse(format!("the group has no pod {name}")),
        Some(pod) => match unfit(pod, policy.min_ready, snapshot.now) {
            None => Request::Grant(pod.id.clone()),
            Some(why) => refuse(format!("pod {name} is not eligible: {why}")),
        },
    }
}

/// A switchover whose labels have not followed yet: the request for it is still there, too.
fn is_open_switchover(change: &Change) -> bool {
    change.reason == Reason::Switchover.as_str() && change.labelled_at.is_none()
}

/// The moments after `snapshot.now` at which a decision may change by itself.
#[must_use]
pub fn moments(snapshot: &Snapshot, policy: &Policy) -> Vec<Millis> {
    let leader = snapshot.leader_id();
    let patience = leader.and_then(|leader| trouble(snapshot, policy, leader)).map(|trouble| trouble.due);
    let ripe = snapshot
        .pods
        .iter()
        .filter(|pod| unfit(pod, policy.min_ready, snapshot.now) == Some(Unfit::ReadyTooShort));
    let ripe = ripe.map(|pod| pod.ready_seen_at + policy.min_ready);
    // Who cannot lead for another reason is none the worse for a silent node; and thousands of pods have a thousand nodes.
    let but_for_its_node =
        |pod: &&Pod| matches!(unfit(pod, policy.min_ready, snapshot.now), None | Some(Unfit::ReadyTooShort));
    let silence = snapshot.pods.iter().filter(but_for_its_node).filter_map(|pod| pod.node_silent_from);
    let steady =
        steady_from(snapshot, policy).map(|from| from.max(snapshot.record_seen_at + policy.cooldown));
    let all = patience.into_iter().chain(ripe).chain(silence).chain(steady);
    all.filter(|moment| *moment > snapshot.now).collect()
}
