//! Why the operator refuses a group whose spec is valid: the group would have to write an object
//! that belongs to another owner.
//!
//! The operator then writes nothing but the status, and takes its own earlier writes back.

use super::names::{ADOPT_ANNOTATION, condition, condition_reason};
use super::plan::Intent;
use super::seen::{
    ElectionMode, GroupPolicy, LeaseClaim, Membership, Owner, PodPhase, Refusal, SeenLease, SeenPod, Snapshot,
};

/// The message's words for a pod that its controller released. The status keeps them longer than
/// the pod and the operator live: the same must not happen to a second pod.
const RELEASED: &str = "its controller let it go";

/// Why the operator cannot serve the group now, if it cannot.
#[must_use]
pub fn refusal(view: &Snapshot, policy: &GroupPolicy) -> Option<Refusal> {
    let label = role_label_in_use(view, policy);
    label
        .map(|message| Refusal { reason: condition_reason::ROLE_LABEL_IN_USE, message })
        .or_else(|| lease(view, policy))
}

/// The operator never overwrites a role label that another program or user gave: a program may read
/// it, a controller may select by it.
fn role_label_in_use(view: &Snapshot, policy: &GroupPolicy) -> Option<String> {
    reported_before(view).or_else(|| released_pod(view, policy)).or_else(|| value_of_other(view, policy))
}

/// The status tells of a released pod, and the spec is still the same.
fn reported_before(view: &Snapshot) -> Option<String> {
    let reported = view.group.status.conditions.iter().find(|condition| {
        let same_spec = condition.generation == Some(view.group.generation);
        condition.kind == condition::ACCEPTED
            && !condition.holds
            && condition.reason == condition_reason::ROLE_LABEL_IN_USE
            && same_spec
    });
    reported.filter(|reported| reported.message.contains(RELEASED)).map(|reported| reported.message.clone())
}

fn released_pod(view: &Snapshot, policy: &GroupPolicy) -> Option<String> {
    let pod = view.pods.iter().filter(|pod| is_released(pod)).map(|pod| &pod.id).min()?;
    let key = &policy.role_key;
    Some(format!(
        "pod {} was given the label {key} and {RELEASED}: it selects by {key}; delete the pod, and recreate the group \
         with another roleLabel.key",
        pod.name
    ))
}

fn is_released(pod: &SeenPod) -> bool {
    pod.released_by_controller && pod.owner == Owner::Ours
}

/// A pod that no group owns has the label with a value that this group never writes.
///
/// A running group goes on without such a pod: it could not lead, and no step needs to write it.
/// A group without a record must fence every pod. Where the pods elect, this one may hold the Lease.
fn value_of_other(view: &Snapshot, policy: &GroupPolicy) -> Option<String> {
    let stays = |pod: &&SeenPod| pod.phase != PodPhase::Finished && !pod.terminating;
    let is_needed = |pod: &&SeenPod| {
        policy.mode == ElectionMode::Observed || view.record().is_none_or(|record| record.names(&pod.id))
    };
    let pods = view.pods.iter().filter(stays).filter(is_needed);
    let pods = pods.filter(|pod| pod.membership == Membership::Selected && pod.has_role_of_other());
    let (pod, value) = pods.filter_map(|pod| Some((&pod.id, pod.other_role.as_ref()?))).min()?;
    let key = &policy.role_key;
    Some(format!(
        "pod {} carries {key}={value}, which this group never writes: remove the label, or recreate the group with \
         another roleLabel.key",
        pod.name
    ))
}

/// Takes the label back from pods that their controllers released. An invalid spec selects no pod.
pub fn undo(view: &Snapshot) -> impl Iterator<Item = Intent> {
    let term = view.record().map(|record| record.term);
    let pods = view.pods.iter().filter(move |pod| {
        // Other plans release a pod that the group does not select any more.
        view.group.policy.is_ok()
            && is_released(pod)
            && pod.membership == Membership::Selected
            && pod.term <= term
    });
    pods.map(|pod| Intent::Release(pod.id.clone(), pod.version))
}

fn lease(view: &Snapshot, policy: &GroupPolicy) -> Option<Refusal> {
    let lease = view.lease.as_ref()?;
    let (reason, message) = match view.lease_claim(policy) {
        LeaseClaim::Ours => return None,
        LeaseClaim::HeldByOther => {
            (condition_reason::LEASE_HELD_BY_OTHER, held_by_other(view, policy, lease))
        }
        LeaseClaim::NeverOurs => (condition_reason::LEASE_NOT_OURS, not_ours(view, policy)),
    };
    Some(Refusal { reason, message })
}

fn held_by_other(view: &Snapshot, policy: &GroupPolicy, lease: &SeenLease) -> String {
    let name = &policy.lease_name;
    if let Owner::Other(owner) = &lease.content.owner {
        return format!(
            "Lease {name} belongs to group {}: recreate one of the two with another lease.name",
            owner.name
        );
    }
    let holder = lease.holder().unwrap_or_default();
    let after_expiry = Snapshot { now: lease.valid_until(policy.lease_duration()), ..view.clone() };
    let advice = if after_expiry.lease_claim(policy) == LeaseClaim::Ours {
        "delete it, wait until it runs out"
    } else {
        "delete it"
    };
    format!(
        "Lease {name} is held by {holder:.253} and does not belong to this group: {advice}, or recreate the group with \
         mode: Observed or another lease.name"
    )
}

fn not_ours(view: &Snapshot, policy: &GroupPolicy) -> String {
    format!(
        "no ElectionGroup has ever written the Lease {}: a program may elect by it. If the pods do, recreate the group \
         with mode: Observed; else delete the Lease, let the group have it by the annotation \
         {ADOPT_ANNOTATION}={} on it, or recreate the group with another lease.name",
        policy.lease_name, view.group.id.name
    )
}
