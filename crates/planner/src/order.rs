//! The order that every plan keeps, checked on the plan itself in debug builds.

use super::Identity;
use super::nominated_mode::{self, Serving};
use super::plan::{Fact, Intent, NominationAction, NominationWrite, PodWrite, RouteWrite, Step};
use super::seen::{ElectionMode, Endpoint, LeaderRecord, Membership, Owner, Role, Snapshot, Unfenced};

/// The plan keeps S1 to S3, as far as a plan shows them: record before fence before promotion, and
/// a promotion only after a record that the plan wrote or confirmed.
///
/// A step may rely on the steps before it, never on its own intents: they run in parallel.
pub(super) fn keeps_order(steps: &[Step], snapshot: &Snapshot) -> bool {
    let has_empty_step = steps.iter().any(|step| step.intents.is_empty());
    !has_empty_step && records_are_in_order(steps, snapshot) && pods_are_in_order(steps, snapshot)
}

fn pods_are_in_order(steps: &[Step], snapshot: &Snapshot) -> bool {
    let mut intents = steps.iter().flat_map(|step| &step.intents);
    let is_free = |intent: &Intent| {
        let is_bound = matches!(intent, Intent::Route(_) | Intent::WriteNomination(_));
        !is_bound && pod_write(intent).is_none()
    };
    if intents.all(is_free) {
        return true;
    }
    let mut view = snapshot.clone();
    let mut record_is_known = false;
    for step in steps {
        if !step.intents.iter().all(|intent| is_in_order(intent, &view, record_is_known)) {
            return false;
        }
        record_is_known |= step.intents.iter().any(|intent| tells_record(intent, &view));
        step.intents.iter().for_each(|intent| view.project(intent));
    }
    true
}

/// A name may be corrected on the way (S5).
fn uid(id: Option<&Identity>) -> Option<&str> {
    id.map(|id| id.uid.as_str())
}

const fn pod_write(intent: &Intent) -> Option<&PodWrite> {
    match intent {
        Intent::Fence(write) | Intent::Promote(write) | Intent::LabelFollower(write) => Some(write),
        _ => None,
    }
}

/// The record is the present one when this intent succeeds.
fn tells_record(intent: &Intent, view: &Snapshot) -> bool {
    match intent {
        Intent::WriteStatus(status) => status.record.is_some(),
        Intent::Confirm(Fact::Record { leader, term, .. }) => view
            .record()
            .is_some_and(|record| record.term == *term && uid(record.leader_id()) == uid(leader.as_ref())),
        _ => false,
    }
}

/// `view` is the snapshot at the beginning of the intent's step.
fn is_in_order(intent: &Intent, view: &Snapshot, record_is_known: bool) -> bool {
    if let Intent::Route(write) = intent {
        return record_is_known && may_route(write, view);
    }
    if let Intent::WriteNomination(write) = intent {
        return may_nominate(write, view);
    }
    let Some(write) = pod_write(intent) else { return true };
    let Some(record) = view.record() else { return false };
    let is_promotion = matches!(intent, Intent::Promote(_));
    let leads = uid(record.leader_id()) == Some(&write.pod.uid);
    let serves = nominated_mode::serving(view, record, None) == Serving::Yes;
    let is_own_fence = leads && !serves && matches!(intent, Intent::Fence(_));
    let allowed = (leads == is_promotion || is_own_fence)
        && keeps_the_two_rules(write, view)
        && write.term == record.term;
    allowed && (!is_promotion || (record_is_known && may_promote(write, view, record)))
}

/// At most one endpoint (R1): the recorded leader in its term (R3), and *not above* (R4).
fn may_route(write: &RouteWrite, view: &Snapshot) -> bool {
    let Some(record) = view.record() else { return false };
    let leads = |endpoint: &Endpoint| Some(endpoint.pod.uid.as_str()) == uid(record.leader_id());
    let seen = view.slices().find(|slice| slice.uid == write.uid);
    let is_above = seen.is_none_or(|slice| slice.term > Some(write.term) || slice.version != write.version);
    let endpoints = &write.content.endpoints;
    let serves = nominated_mode::serving(view, record, None) == Serving::Yes;
    let may_serve = endpoints.is_empty() || serves;
    endpoints.len() <= 1 && may_serve && endpoints.iter().all(leads) && write.term == record.term && !is_above
}

/// *Not above*, *not another's*, and conditional on the version that was seen.
fn keeps_the_two_rules(write: &PodWrite, view: &Snapshot) -> bool {
    view.pod(&write.pod).is_some_and(|pod| {
        let owned_by_other = matches!(pod.owner, Owner::Other(_));
        pod.term <= Some(write.term) && !owned_by_other && pod.version == write.version
    })
}

/// No other pod carries the leader label (S1), none may get it from an operator with an earlier
/// record, and in Managed mode the Lease names the pod (S3).
fn may_promote(write: &PodWrite, view: &Snapshot, record: &LeaderRecord) -> bool {
    let mut others = view.pods.iter().filter(|pod| pod.id.uid != write.pod.uid);
    let is_sole = others.all(|pod| {
        let is_ours = pod.membership == Membership::Selected || pod.owner == Owner::Ours;
        pod.role != Role::Leader || !is_ours
    });
    let serves = nominated_mode::serving(view, record, None) == Serving::Yes;
    is_sole && all_are_fenced(write, view, record) && serves && lease_names(write, view)
}

fn all_are_fenced(write: &PodWrite, view: &Snapshot, record: &LeaderRecord) -> bool {
    let Unfenced::Pods(pods) = &record.unfenced else {
        return view.listed_for == Some(view.group.version);
    };
    pods.iter().filter(|id| id.uid != write.pod.uid).all(|id| match view.pod(id) {
        None => view.gone.contains_key(&id.uid),
        Some(pod) => match pod.owner {
            // Live reads of the step before confirm that the other group still owns the pod.
            Owner::Other(_) => true,
            _ => pod.role != Role::Leader && pod.owner == Owner::Ours && pod.term >= Some(record.term),
        },
    })
}

fn lease_names(write: &PodWrite, view: &Snapshot) -> bool {
    let is_named = view.lease.as_ref().is_some_and(|lease| {
        lease.holder() == Some(write.pod.name.as_str()) && lease.content.term == Some(write.term)
    });
    !has_mode(view, ElectionMode::Managed) || is_named
}

/// The term of the record never falls, and a new leader has a new term (S2). A new record comes
/// before every write of a pod. In Observed mode a live read of the Lease comes before a new leader
/// (S3).
fn records_are_in_order<'a>(steps: &'a [Step], snapshot: &'a Snapshot) -> bool {
    let mut record = snapshot.record();
    let mut pods_are_written = false;
    let mut lease_is_confirmed = !has_mode(snapshot, ElectionMode::Observed);
    for intent in steps.iter().flat_map(|step| &step.intents) {
        pods_are_written |= pod_write(intent).is_some();
        lease_is_confirmed |= matches!(intent, Intent::Confirm(Fact::Lease { .. }));
        let Intent::WriteStatus(status) = intent else { continue };
        let next = status.record.as_ref();
        let leader = |record: Option<&'a LeaderRecord>| uid(record.and_then(LeaderRecord::leader_id));
        let same_leader = leader(record) == leader(next);
        let may_be_new = !pods_are_written && (same_leader || lease_is_confirmed);
        let is_in_order = match (record.map(|record| record.term), next.map(|next| next.term)) {
            (None, None) => true,
            (None, Some(next)) => may_be_new && next > snapshot.highest_term(),
            (Some(_), None) => false,
            (Some(term), Some(next)) if next == term => same_leader,
            (Some(term), Some(next)) => may_be_new && next > term,
        };
        if !is_in_order {
            return false;
        }
        record = next;
    }
    true
}

fn has_mode(snapshot: &Snapshot, mode: ElectionMode) -> bool {
    snapshot.group.policy.as_ref().is_ok_and(|policy| policy.mode == mode)
}

/// A nomination names the record's leader, in a term above the Lease's, in the Lease that the
/// record names. A holder goes only when its work is over.
fn may_nominate(write: &NominationWrite, view: &Snapshot) -> bool {
    let Ok(policy) = &view.group.policy else { return false };
    let (Some(lease), Some(record)) = (nominated_mode::of_record(view), view.record()) else {
        return write.action == NominationAction::Create && view.lease.is_none();
    };
    let is_right = write.action.nomination().is_none_or(|nomination| {
        let leader = record.leader_id().unwrap_or(&view.group.id);
        let rises = lease.content.term < Some(nomination.term);
        rises && nomination.term == record.term && nomination.nominee.uid == leader.uid
    });
    is_right && (!write.action.clears() || nominated_mode::is_over(view, policy, lease))
}
