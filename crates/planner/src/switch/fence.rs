//! The pods that must lose the leader label, and the pod that gets it.

use std::collections::BTreeSet;

use crate::nominated_mode::{self, Serving};
use crate::plan::{Fact, Intent, PodWrite};
use crate::seen::{LeaderRecord, Membership, Owner, PodPhase, Role, SeenPod, Snapshot, Unfenced};
use crate::{Millis, Term};

/// How far a promotion stays behind the fence of a pod that was a ready endpoint. Closer than that,
/// the `EndpointSlice` controller finds its own cache stale, and sometimes retries only a second
/// later.
pub const READY_ENDPOINT_GAP: Millis = Millis(10);

/// The same for a pod that was an endpoint, but not a ready one: that controller expects its
/// removal.
pub const ENDPOINT_GAP: Millis = Millis(3);

pub(super) fn write_to(pod: &SeenPod, term: Term) -> PodWrite {
    PodWrite { pod: pod.id.clone(), version: pod.version, term }
}

/// How far a promotion must stay behind the fence of this pod, if the pod is an endpoint.
pub(super) fn endpoint_gap(pod: &SeenPod) -> Option<Millis> {
    let gap = if pod.ready && !pod.terminating { READY_ENDPOINT_GAP } else { ENDPOINT_GAP };
    (pod.role == Role::Leader).then_some(gap)
}

/// No operator with an earlier record can promote the pod any more. A stale read proves this as
/// well, since terms only rise.
pub(super) fn is_fenced(pod: &SeenPod, term: Term) -> bool {
    pod.role != Role::Leader && pod.owner == Owner::Ours && pod.term >= Some(term)
}

/// Another existing group owns the pod: this group never writes it. That may change, since the
/// other group may release the pod.
const fn belongs_to_other(pod: &SeenPod) -> bool {
    matches!(pod.owner, Owner::Other(_))
}

/// The pod is of this group, and no other existing group owns it.
pub(super) fn may_be_fenced(pod: &SeenPod) -> bool {
    let of_this_group = pod.membership == Membership::Selected || pod.owner == Owner::Ours;
    of_this_group && !matches!(pod.owner, Owner::Other(_))
}

/// Pods that must lose the leader label, or that an operator with an earlier record may still
/// promote.
pub(super) fn fences<'a>(view: &'a Snapshot, record: &LeaderRecord) -> Vec<&'a SeenPod> {
    let named = |pod: &SeenPod| match &record.unfenced {
        Unfenced::All => pod.membership != Membership::Deselected || pod.owner == Owner::Ours,
        Unfenced::Pods(pods) => pods.contains(&pod.id),
    };
    let leads = |pod: &SeenPod| record.leader_id() == Some(&pod.id);
    let serves_no_more = |pod: &SeenPod| {
        let is_out = nominated_mode::serving(view, record, pod.term) == Serving::No;
        pod.role == Role::Leader && may_be_fenced(pod) && is_out
    };
    let pods = view.pods.iter();
    pods.filter(|pod| {
        if leads(pod) {
            return serves_no_more(pod);
        }
        let unfenced = named(pod) && !is_fenced(pod, record.term) && !belongs_to_other(pod);
        unfenced || (pod.role == Role::Leader && may_be_fenced(pod))
    })
    .collect()
}

/// Live reads about unfenced pods that the cache does not have, or that another group owns there.
/// The cache alone proves neither. A pod of another group must be unchanged, and that group must
/// exist. Then no operator has confirmed yet that it may take the pod over, and an operator that
/// confirms it later reads the record.
pub(super) fn unconfirmed(view: &Snapshot, record: &LeaderRecord) -> Vec<Intent> {
    let leader = record.leader_id();
    let (mut live_reads, mut of_other_groups) = (Vec::new(), Vec::new());
    match &record.unfenced {
        // All pods were listed after the record.
        Unfenced::All => {
            of_other_groups.extend(
                view.pods
                    .iter()
                    .filter(|pod| pod.membership != Membership::Deselected && belongs_to_other(pod)),
            );
        }
        Unfenced::Pods(pods) => {
            for id in pods.iter().filter(|id| leader != Some(*id)) {
                match view.pod(id) {
                    Some(pod) if belongs_to_other(pod) => of_other_groups.push(pod),
                    None if !view.gone.contains_key(&id.uid) => {
                        live_reads.push(Intent::Confirm(Fact::PodGone(id.clone())));
                    }
                    _ => {}
                }
            }
            let unchanged = of_other_groups
                .iter()
                .map(|pod| Intent::Confirm(Fact::PodUnchanged(pod.id.clone(), pod.version)));
            live_reads.extend(unchanged);
        }
    }
    let owners = of_other_groups.into_iter().filter_map(|pod| match &pod.owner {
        Owner::Other(owner) if leader != Some(&pod.id) => Some(owner.clone()),
        _ => None,
    });
    live_reads.extend(
        owners.collect::<BTreeSet<_>>().into_iter().map(|group| Intent::Confirm(Fact::GroupExists(group))),
    );
    live_reads
}

/// The leader's pod, if its label, owner or term differs from the record. The pod stays without a
/// label beside one that only another group can take away: no label is better than two (S1).
pub(super) fn promotion<'a>(view: &'a Snapshot, record: &LeaderRecord) -> Option<&'a SeenPod> {
    let pod = view.pod(record.leader_id()?)?;
    let done = pod.role == Role::Leader && pod.owner == Owner::Ours && pod.term == Some(record.term);
    let possible = pod.membership == Membership::Selected
        && pod.phase != PodPhase::Finished
        && !matches!(pod.owner, Owner::Other(_))
        && view.labelled_by_another().is_none();
    let serves = nominated_mode::serving(view, record, pod.term) == Serving::Yes;
    (possible && serves && !done).then_some(pod)
}
