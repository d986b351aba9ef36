//! What the status tells people: counts, conditions, history; and the Events that go with it.

use super::eligibility::ineligibility;
use super::plan::EventDraft;
use super::refusal::refusal;
use super::snapshot::{
    Condition, ElectionMode, GroupPolicy, GroupStatus, LeaderChange, LeaderRecord, Membership, Owner,
    PodPhase, Role, SeenPod, Snapshot, Stamp,
};
use super::{Micros, Millis, Term, observed_mode};

/// The condition types, in the order in which they are shown.
const ACCEPTED: &str = "Accepted";
const CANDIDATES_AVAILABLE: &str = "CandidatesAvailable";
const LEADER_ELECTED: &str = "LeaderElected";
const READY: &str = "Ready";

/// The reason of `Ready` while a group is paused.
const PAUSED: &str = "Paused";

/// A condition's value: holds, reason, message.
type Finding = (bool, &'static str, String);

/// The status that reports `view`; the record in it is `view`'s.
#[must_use]
pub fn status(view: &Snapshot) -> GroupStatus {
    let mut status = view.group.status.clone();
    status.observed_generation = Some(view.group.generation);
    let accepted = accepted(view);
    let Ok(policy) = &view.group.policy else {
        let (_, reason, message) = accepted.clone();
        set(&mut status, view, ACCEPTED, accepted);
        set(&mut status, view, READY, (false, reason, message));
        return status;
    };
    status.lease = Some(policy.lease_name.clone());
    status.candidates = view.pods.iter().filter(|pod| pod.is_candidate()).count();
    status.eligible = view.pods.iter().filter(|pod| could_lead(view, policy, pod)).count();
    keep_history(&mut status, policy);
    refresh_leader(&mut status, view);
    let available = with_ignored(view, available(view, policy, status.eligible));
    let ready = ready(view, policy, &accepted);
    set(&mut status, view, ACCEPTED, accepted);
    set(&mut status, view, CANDIDATES_AVAILABLE, available);
    set(&mut status, view, LEADER_ELECTED, elected(view));
    set(&mut status, view, READY, ready);
    status
}

/// Whatever the limit, a change that is not complete yet is kept: it is announced once it is. So is the one since which
/// nobody leads: it tells other operators that a Lease has run out (Observed mode).
fn keep_history(status: &mut GroupStatus, policy: &GroupPolicy) {
    let nobody_leads = status.record.as_ref().is_some_and(|record| record.leader.is_none());
    let open = status.history.first().is_some_and(|change| change.labelled_at.is_none());
    let needed = open || (nobody_leads && policy.mode == ElectionMode::Observed);
    status.history.truncate(policy.history_limit.max(usize::from(needed)));
}

/// `failover.minReadySeconds` is for those who do not lead yet.
fn could_lead(view: &Snapshot, policy: &GroupPolicy, pod: &SeenPod) -> bool {
    let leads = view.leader_id().is_some_and(|leader| leader.uid == pod.id.uid);
    let min_ready = if leads { Millis::default() } else { policy.min_ready };
    ineligibility(pod, min_ready, view.now).is_none()
}

/// Marks the change of the present term as complete, if it is, and returns it. `change` is the one that this plan
/// itself makes; otherwise an earlier process may have left one in the history.
pub fn complete(
    status: &mut GroupStatus,
    view: &Snapshot,
    change: Option<LeaderChange>,
) -> Option<LeaderChange> {
    let record = view.record()?;
    let settled = record.leader.is_none() || labelled_leader(view, record).is_some();
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

/// When it was written, the group was refused or paused.
#[must_use]
pub fn is_held_back(status: &GroupStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|c| (c.kind == ACCEPTED && !c.holds) || (c.kind == READY && c.reason == PAUSED))
}

/// Nothing but the numbers of candidates and eligible pods differs.
#[must_use]
pub fn differ_in_counts_only(before: &GroupStatus, after: &GroupStatus) -> bool {
    let GroupStatus { candidates, eligible, .. } = *before;
    GroupStatus { candidates, eligible, ..after.clone() } == *before
}

/// Events: the group is refused, or has just lost its last eligible pod.
#[must_use]
pub fn notices(before: &GroupStatus, after: &GroupStatus) -> Vec<EventDraft> {
    let find = |status: &GroupStatus, kind: &str| status.conditions.iter().find(|c| c.kind == kind).cloned();
    let fell = |kind: &str| {
        let now = find(after, kind).filter(|condition| !condition.holds)?;
        let was = find(before, kind).filter(|was| !was.holds && was.reason == now.reason);
        was.is_none().then_some(now)
    };
    let refused =
        fell(ACCEPTED).map(|c| EventDraft { reason: c.reason, warning: true, note: c.message, pod: None });
    let nobody = fell(CANDIDATES_AVAILABLE)
        .filter(|_| find(before, CANDIDATES_AVAILABLE).is_some_and(|was| was.holds))
        .map(|c| EventDraft { reason: "NoCandidate".to_owned(), warning: true, note: c.message, pod: None });
    refused.into_iter().chain(nobody).collect()
}

/// Node and address of the leader, which may be learnt after the election.
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

/// Whether the group is served, and why not.
pub(super) fn accepted(view: &Snapshot) -> Finding {
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
            claimed(view).unwrap_or_default()
        );
        return (false, "OverlappingSelector", message);
    }
    if view.highest_term() == Term::MAX {
        let message = format!(
            "the highest possible term {} is used up: remove the annotation {} from {}",
            Term::MAX,
            "election-operator.io/term",
            exhausted(view)
        );
        return (false, "TermExhausted", message);
    }
    (true, "Accepted", "the group is served".to_owned())
}

/// What carries the highest term; the status first, which takes it on from the others.
fn exhausted(view: &Snapshot) -> String {
    let last = |term: Option<Term>| term == Some(Term::MAX);
    let pods = view.pods.iter().filter(|pod| last(pod.term) && !matches!(pod.owner, Owner::Other(_)));
    if last(view.record().map(|record| record.term)) {
        return "every pod and the Lease, and status.term with it".to_owned();
    }
    pods.map(|pod| &pod.id.name).min().map_or_else(|| "the Lease".to_owned(), |pod| format!("pod {pod}"))
}

fn claimed(view: &Snapshot) -> Option<&str> {
    let claimed = view.pods.iter().filter(|pod| {
        let ends = pod.phase == PodPhase::Finished || pod.terminating;
        matches!(pod.membership, Membership::ClaimedBy(_)) && !ends
    });
    claimed.map(|pod| pod.id.name.as_str()).min()
}

fn available(view: &Snapshot, policy: &GroupPolicy, eligible: usize) -> Finding {
    if eligible > 0 {
        return (true, "PodsEligible", "at least one pod is eligible".to_owned());
    }
    let matched = |pod: &&SeenPod| matches!(pod.membership, Membership::Selected | Membership::ClaimedBy(_));
    let mut pods: Vec<_> = view.pods.iter().filter(matched).collect();
    pods.sort_by(|a, b| a.id.cmp(&b.id));
    let why = |pod: &&SeenPod| {
        let unfit = ineligibility(pod, policy.min_ready, view.now)?;
        Some(format!("pod {}: {unfit}", pod.id.name))
    };
    let reasons: Vec<_> = pods.iter().filter_map(why).take(3).collect();
    if reasons.is_empty() {
        return (false, "NoPods", "the selector matches no pod".to_owned());
    }
    (false, "NoneEligible", reasons.join("; "))
}

/// Tells of an annotation that was meant to say who can lead, and does not.
fn with_ignored(view: &Snapshot, (holds, reason, message): Finding) -> Finding {
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
fn labelled_leader<'a>(view: &'a Snapshot, record: &LeaderRecord) -> Option<&'a SeenPod> {
    let labelled = |pod: &&SeenPod| {
        pod.role == Role::Leader && pod.owner == Owner::Ours && pod.term == Some(record.term)
    };
    view.pod(record.leader_id()?).filter(labelled)
}

fn elected(view: &Snapshot) -> Finding {
    let Some((record, leader)) = view.record().and_then(|record| Some((record, record.leader_id()?))) else {
        return nobody(view);
    };
    let name = &leader.name;
    if view.pod(leader).is_none() {
        let paused = view.group.policy.as_ref().is_ok_and(|policy| policy.paused);
        let why = if paused { "nothing moves while paused" } else { "no other is eligible yet" };
        return (false, "LeaderGone", format!("pod {name} is gone, and {why}"));
    }
    if labelled_leader(view, record).is_some() {
        return (true, "Elected", format!("pod {name} leads in term {}", record.term));
    }
    let waits = view.labelled_by_another().map(|(pod, group)| {
        let pod = &pod.id.name;
        format!(
            ", once group {} has taken the leader label from pod {pod}, which carries its mark",
            group.name
        )
    });
    let waits = waits.unwrap_or_default();
    (false, "Switching", format!("pod {name} is to lead in term {}{waits}", record.term))
}

/// Nobody leads; in Observed mode the Lease says why.
fn nobody(view: &Snapshot) -> Finding {
    let observed = view.group.policy.as_ref().ok().filter(|policy| policy.mode == ElectionMode::Observed);
    match observed.and_then(|policy| observed_mode::holder(view, policy).err()) {
        Some(nobody) => (false, nobody.reason(), format!("no pod leads: {nobody}")),
        None => (false, "NoLeader", "no pod leads".to_owned()),
    }
}

/// A group that is not served tells in the summary why not: nothing else can be mended before.
fn ready(view: &Snapshot, policy: &GroupPolicy, (served, refusal, why): &Finding) -> Finding {
    let (holds, reason, message) = leader_is_ready(view);
    if policy.paused {
        let ignored = ignored(view, policy).map(|lease| format!("; {lease}")).unwrap_or_default();
        return (holds, PAUSED, format!("paused: nothing moves; {message}{ignored}"));
    }
    if !holds && !served {
        return (false, refusal, format!("{why}; {message}"));
    }
    (holds, reason, message)
}

/// What the Lease of a paused group says that the label does not follow (Observed). No reason not to be Ready: the label
/// stays by order.
fn ignored(view: &Snapshot, policy: &GroupPolicy) -> Option<String> {
    let leader = view.leader_id().filter(|_| policy.mode == ElectionMode::Observed)?;
    match observed_mode::holder(view, policy) {
        Ok(pod) if pod.id.uid == leader.uid => None,
        Ok(pod) => Some(format!("pod {} holds the Lease", pod.id.name)),
        Err(nobody) => Some(nobody.to_string()),
    }
}

fn leader_is_ready(view: &Snapshot) -> Finding {
    let (elected, reason, message) = elected(view);
    let leader = view.leader_id().and_then(|leader| view.pod(leader));
    let Some(leader) = leader.filter(|_| elected) else {
        let reason = if view.labelled_by_another().is_some() { "SecondLabel" } else { reason };
        return (false, reason, message);
    };
    let others = view.pods.iter().filter(|pod| {
        let of_this_group = pod.membership == Membership::Selected || pod.owner == Owner::Ours;
        pod.role == Role::Leader && of_this_group && pod.id.uid != leader.id.uid
    });
    if let Some(other) = others.map(|pod| &pod.id.name).min() {
        return (false, "SecondLabel", format!("pod {other} carries the leader label, too"));
    }
    match ineligibility(leader, Millis::default(), view.now) {
        Some(unfit) => (false, "LeaderUnfit", format!("pod {} leads, but {unfit}", leader.id.name)),
        None => (true, "LeaderReady", message),
    }
}
