//! The conditions of a group: status, reason and message of each.

use super::awaiting;
use crate::eligibility::{Ineligible, ineligibility, lack};
use crate::names::{TERM_ANNOTATION, condition, condition_reason};
use crate::refusal::refusal;
use crate::seen::{
    ElectionMode, GroupPolicy, LeaderRecord, Membership, Owner, PodPhase, Role, SeenPod, Snapshot,
};
use crate::{Millis, Term, observed_mode};

/// A shorter Lease is warned of.
const SHORT_LEASE_SECONDS: u32 = 10;

/// A condition's value: whether it holds, its reason, its message.
pub(super) type Finding = (bool, &'static str, String);

/// Whether the operator serves the group, and why not.
pub(crate) fn accepted(view: &Snapshot) -> Finding {
    let policy = match &view.group.policy {
        Err(refusal) => return (false, refusal.reason, refusal.message.clone()),
        Ok(policy) => policy,
    };
    if let Some(refusal) = refusal(view, policy) {
        return (false, refusal.reason, refusal.message);
    }
    if let Some(older) = view.overlapped_by() {
        let message = format!(
            "group {older} is older and selects pod {} too: narrow one of the selectors",
            pod_of_older_group(view).unwrap_or_default()
        );
        return (false, condition_reason::OVERLAPPING_SELECTOR, message);
    }
    if view.highest_term() == Term::MAX {
        let message = format!(
            "the highest possible term {} is used up: remove the annotation {TERM_ANNOTATION} from {}",
            Term::MAX,
            carriers_of_last_term(view)
        );
        return (false, condition_reason::TERM_EXHAUSTED, message);
    }
    let short = short_lease(policy).map(|short| format!("; {short}")).unwrap_or_default();
    (true, condition_reason::ACCEPTED, format!("the group is served{short}"))
}

/// What a short duration of the Lease costs (Nominated). A restart of the API server, or a stall of
/// etcd, takes seconds.
pub(super) fn short_lease(policy: &GroupPolicy) -> Option<String> {
    let seconds = policy.lease_duration_seconds;
    let is_short = policy.mode == ElectionMode::Nominated && seconds < SHORT_LEASE_SECONDS;
    is_short.then(|| {
        format!(
            "lease.durationSeconds is {seconds}: an outage of the API server that lasts a quarter of that may stop \
             the leader's command, and one that lasts two thirds does"
        )
    })
}

/// The objects that carry the highest term. The status comes first, since it takes the term on from
/// the others.
fn carriers_of_last_term(view: &Snapshot) -> String {
    let last = |term: Option<Term>| term == Some(Term::MAX);
    let pods = view.pods.iter().filter(|pod| last(pod.term) && !matches!(pod.owner, Owner::Other(_)));
    if last(view.record().map(|record| record.term)) {
        return "every pod and the Lease, and status.term with it".to_owned();
    }
    pods.map(|pod| &pod.id.name).min().map_or_else(|| "the Lease".to_owned(), |pod| format!("pod {pod}"))
}

fn pod_of_older_group(view: &Snapshot) -> Option<&str> {
    let claimed = view.pods.iter().filter(|pod| {
        let ends = pod.phase == PodPhase::Finished || pod.terminating;
        matches!(pod.membership, Membership::ClaimedBy(_)) && !ends
    });
    claimed.map(|pod| pod.id.name.as_str()).min()
}

pub(super) fn available(view: &Snapshot, policy: &GroupPolicy, eligible: usize) -> Finding {
    if eligible > 0 {
        return (true, condition_reason::PODS_ELIGIBLE, "at least one pod is eligible".to_owned());
    }
    let matched = |pod: &&SeenPod| matches!(pod.membership, Membership::Selected | Membership::ClaimedBy(_));
    let mut pods: Vec<_> = view.pods.iter().filter(matched).collect();
    pods.sort_by(|a, b| a.id.cmp(&b.id));
    let why = |pod: &&SeenPod| {
        let ineligible = lack(view, pod, policy.min_ready)?;
        Some(format!("pod {}: {ineligible}", pod.id.name))
    };
    let reasons: Vec<_> = pods.iter().filter_map(why).take(3).collect();
    if reasons.is_empty() {
        return (false, condition_reason::NO_PODS, "the selector matches no pod".to_owned());
    }
    (false, condition_reason::NONE_ELIGIBLE, reasons.join("; "))
}

/// Adds a user annotation that should say which pod can lead, and has a meaningless value.
pub(super) fn with_ignored(view: &Snapshot, (holds, reason, message): Finding) -> Finding {
    let pods = view.pods.iter().filter(|pod| pod.membership == Membership::Selected);
    let ignored = pods.filter_map(|pod| Some((&pod.id, pod.ignored.as_ref()?))).min();
    let message = match ignored {
        Some((pod, annotation)) => {
            format!("{message}; pod {}: {annotation} means nothing and is ignored", pod.name)
        }
        None => message,
    };
    (holds, reason, message)
}

/// The recorded leader, if it carries the leader label of the record's term.
pub(super) fn labelled_leader<'a>(view: &'a Snapshot, record: &LeaderRecord) -> Option<&'a SeenPod> {
    let labelled = |pod: &&SeenPod| {
        pod.role == Role::Leader && pod.owner == Owner::Ours && pod.term == Some(record.term)
    };
    view.pod(record.leader_id()?).filter(labelled)
}

pub(super) fn elected(view: &Snapshot) -> Finding {
    let Some((record, leader)) = view.record().and_then(|record| Some((record, record.leader_id()?))) else {
        return awaiting::no_leader(view);
    };
    let name = &leader.name;
    if view.pod(leader).is_none() {
        let paused = view.group.policy.as_ref().is_ok_and(|policy| policy.paused);
        let why = if paused { "nothing moves while paused" } else { "no other is eligible yet" };
        return (false, condition_reason::LEADER_GONE, format!("pod {name} is gone, and {why}"));
    }
    if labelled_leader(view, record).is_some() {
        return (true, condition_reason::ELECTED, format!("pod {name} leads in term {}", record.term));
    }
    if let Some(finding) = awaiting::lease(view, record, name) {
        return finding;
    }
    let waits = view.labelled_by_another().map(|(pod, group)| {
        let pod = &pod.id.name;
        format!(
            ", once group {} has taken the leader label from pod {pod}, which carries its mark",
            group.name
        )
    });
    let waits = waits.unwrap_or_default();
    (false, condition_reason::SWITCHING, format!("pod {name} is to lead in term {}{waits}", record.term))
}

/// The summary. A refused group tells its refusal here: the user cannot mend anything else before.
pub(super) fn ready(view: &Snapshot, policy: &GroupPolicy, (served, refusal, why): &Finding) -> Finding {
    let (holds, reason, message) = leader_is_ready(view, policy, *served);
    if policy.paused {
        let ignored = ignored_lease(view, policy).map(|lease| format!("; {lease}")).unwrap_or_default();
        return (holds, condition_reason::PAUSED, format!("paused: nothing moves; {message}{ignored}"));
    }
    if !holds && !served {
        return (false, refusal, format!("{why}; {message}"));
    }
    (holds, reason, message)
}

/// The state of the Lease that a paused group does not follow (Observed). It is no reason to be not
/// Ready: the user ordered the label to stay.
fn ignored_lease(view: &Snapshot, policy: &GroupPolicy) -> Option<String> {
    let leader = view.leader_id().filter(|_| policy.mode == ElectionMode::Observed)?;
    match observed_mode::holder(view, policy) {
        Ok(pod) if pod.id.uid == leader.uid => None,
        Ok(pod) => Some(format!("pod {} holds the Lease", pod.id.name)),
        Err(no_holder) => Some(no_holder.to_string()),
    }
}

fn leader_is_ready(view: &Snapshot, policy: &GroupPolicy, served: bool) -> Finding {
    let (elected, reason, message) = elected(view);
    let leader = view.leader_id().and_then(|leader| view.pod(leader));
    let Some(leader) = leader.filter(|_| elected) else {
        let reason =
            if view.labelled_by_another().is_some() { condition_reason::SECOND_LABEL } else { reason };
        return (false, reason, message);
    };
    let others = view.pods.iter().filter(|pod| {
        let of_this_group = pod.membership == Membership::Selected || pod.owner == Owner::Ours;
        pod.role == Role::Leader && of_this_group && pod.id.uid != leader.id.uid
    });
    if let Some(other) = others.map(|pod| &pod.id.name).min() {
        return (false, condition_reason::SECOND_LABEL, format!("pod {other} carries the leader label, too"));
    }
    match ineligibility(leader, Millis::default(), view.now) {
        Some(ineligible) => {
            let may_move = served && !policy.paused;
            let until = if may_move { stays_until(policy, ineligible) } else { String::new() };
            let message = format!("pod {} leads, but {ineligible}{until}", leader.id.name);
            (false, condition_reason::LEADER_UNFIT, message)
        }
        None => (true, condition_reason::LEADER_READY, message),
    }
}

/// Until when an unfit leader stays. It names spans and no moments: operators know different ones,
/// and each would write its own.
fn stays_until(policy: &GroupPolicy, ineligible: Ineligible) -> String {
    if policy.mode == ElectionMode::Observed {
        return "; it leads as long as it holds the Lease".to_owned();
    }
    let seconds = |span: Millis| (span > Millis::default()).then_some(span.0 / 1000);
    let not_ready = matches!(ineligible, Ineligible::NotRunning | Ineligible::NotReady);
    let patience = seconds(policy.not_ready)
        .filter(|_| not_ready)
        .map(|seconds| format!(", {seconds} s after this at the earliest (notReadySeconds)"));
    let cooldown = seconds(policy.cooldown)
        .map(|seconds| format!(", {seconds} s after the last change at the earliest (cooldownSeconds)"));
    let waits: String = patience.into_iter().chain(cooldown).collect();
    format!("; it is replaced once another pod is eligible{waits}")
}

/// `Stalled`: the group is refused, and waits for its user. `Reconciling`: a change is under way.
/// Never both.
pub(super) fn kstatus(
    view: &Snapshot,
    (served, refusal, why): &Finding,
) -> [(&'static str, Option<Finding>); 2] {
    let paused = view.group.policy.as_ref().is_ok_and(|policy| policy.paused);
    let (_, reason, message) = elected(view);
    let is_under_way = *served && !paused && awaiting::REASONS.contains(&reason);
    [
        (condition::STALLED, (!served).then(|| (true, *refusal, why.clone()))),
        (condition::RECONCILING, is_under_way.then_some((true, reason, message))),
    ]
}
