//! Observed mode: which pod holds the Lease, and which record follows from that.
//!
//! The pods elect, so their Lease counts: the holder of a valid Lease is the leader, Ready or not,
//! terminating or not (a Service leaves out such a pod by itself). Only a pod that cannot hold a
//! Lease does not count: a finished pod, and a pod that this group does not have. This module never
//! plans a write of the Lease.

use std::fmt;

use super::leader_problem::leader_problem;
use super::names::{IDENTITY_ANNOTATION, condition_reason};
use super::new_leader::NewLeader;
use super::reason::Reason;
use super::seen::{GroupPolicy, Membership, Owner, PodPhase, SeenLease, SeenPod, Snapshot};
use super::{Identity, Millis};

/// Why no pod is the holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoHolder {
    /// There is no Lease of this name.
    NoLease(String),
    /// There is a Lease without a holder.
    Free,
    /// This holder did not renew the Lease in time.
    Expired(String),
    /// This holder is no pod of the group.
    Unknown(String),
    /// This holder may be either of two pods.
    Ambiguous(String),
    /// The last write of the Lease is older than the pod of this name: an earlier pod of that name
    /// held it (S5).
    Outdated(String),
}

impl NoHolder {
    /// The reason of the condition `LeaderElected`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoLease(_) => condition_reason::LEASE_MISSING,
            Self::Free => condition_reason::LEASE_NOT_HELD,
            Self::Expired(_) => condition_reason::LEASE_EXPIRED,
            Self::Unknown(_) => condition_reason::UNKNOWN_HOLDER,
            Self::Ambiguous(_) => condition_reason::AMBIGUOUS_HOLDER,
            Self::Outdated(_) => condition_reason::OUTDATED_HOLDER,
        }
    }
}

impl fmt::Display for NoHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLease(name) => write!(f, "the Lease {name} is not there"),
            Self::Free => f.write_str("nobody holds the Lease"),
            Self::Expired(holder) => write!(f, "the Lease ran out, which {holder:.253} held"),
            Self::Unknown(holder) => write!(
                f,
                "the Lease is held by {holder:.253}, which is no pod of the group; a pod can name its identity in the \
                 annotation {IDENTITY_ANNOTATION}"
            ),
            Self::Ambiguous(holder) => {
                write!(f, "the Lease is held by {holder:.253}, which may be either of two pods")
            }
            Self::Outdated(pod) => {
                write!(f, "an earlier pod {pod} held the Lease, the present one has not renewed it")
            }
        }
    }
}

/// The pod that holds the Lease now.
///
/// # Errors
/// Why no pod holds it.
pub fn holder<'a>(snapshot: &'a Snapshot, policy: &GroupPolicy) -> Result<&'a SeenPod, NoHolder> {
    let lease = snapshot.lease.as_ref().ok_or_else(|| NoHolder::NoLease(policy.lease_name.clone()))?;
    let identity = lease.holder().ok_or(NoHolder::Free)?;
    if !lease.is_held(policy.lease_duration(), snapshot.now) {
        return Err(NoHolder::Expired(identity.to_owned()));
    }
    let pod = named(snapshot, identity)?;
    if was_given_up(snapshot, pod, lease) {
        return Err(NoHolder::Expired(identity.to_owned()));
    }
    if is_recorded(snapshot, pod) || pod.seen_at <= lease.changed_at {
        return Ok(pod);
    }
    Err(NoHolder::Outdated(pod.id.name.clone()))
}

/// The pod that an identity means. The first rule that matches any pod decides:
///
/// 1. the identity is the pod's name, or begins with it and `_`;
/// 2. it is, or begins with, the value of the pod's annotation;
/// 3. it begins with the pod's name and `-` or `_`; of several such names the longest counts;
/// 4. the pod uses the network of its node, and the identity is the node's name, or begins with it
///    and `_` or `-`.
///
/// Many programs append a text to their host name that changes with each start.
fn named<'a>(snapshot: &'a Snapshot, identity: &str) -> Result<&'a SeenPod, NoHolder> {
    let prefix = identity.split_once('_').map(|(name, _)| name);
    let pods = || snapshot.pods.iter().filter(|pod| could_hold(pod));
    let on_host = || pods().filter(|pod| pod.host_network);
    let rules: [&dyn Fn() -> Vec<&'a SeenPod>; 6] = [
        &|| pods().filter(|pod| pod.id.name == identity).collect(),
        &|| pods().filter(|pod| prefix == Some(pod.id.name.as_str())).collect(),
        &|| pods().filter(|pod| pod.identity.as_deref() == Some(identity)).collect(),
        &|| pods().filter(|pod| prefix.is_some() && pod.identity.as_deref() == prefix).collect(),
        &|| longest(pods().map(|pod| (pod, pod.id.name.as_str())), identity),
        &|| longest(on_host().filter_map(|pod| Some((pod, pod.node.as_deref()?))), identity),
    ];
    match rules.into_iter().map(|rule| rule()).find(|pods| !pods.is_empty()).as_deref() {
        None => Err(NoHolder::Unknown(identity.to_owned())),
        Some([pod]) => Ok(pod),
        Some(_) => Err(NoHolder::Ambiguous(identity.to_owned())),
    }
}

/// The pods with the longest of the names that the identity equals, or continues with `-` or `_`.
fn longest<'a>(named: impl Iterator<Item = (&'a SeenPod, &'a str)>, identity: &str) -> Vec<&'a SeenPod> {
    let continues = |name: &str| {
        let rest = identity.strip_prefix(name).filter(|_| !name.is_empty());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    };
    let matching: Vec<_> = named.filter(|(_, name)| continues(name)).collect();
    let length = matching.iter().map(|(_, name)| name.len()).max();
    matching.into_iter().filter(|(_, name)| Some(name.len()) == length).map(|(pod, _)| pod).collect()
}

/// The pod belongs to this group, and has not finished.
fn could_hold(pod: &SeenPod) -> bool {
    pod.membership == Membership::Selected
        && !matches!(pod.owner, Owner::Other(_))
        && pod.phase != PodPhase::Finished
}

fn is_recorded(snapshot: &Snapshot, pod: &SeenPod) -> bool {
    snapshot.leader_id().is_some_and(|leader| leader.uid == pod.id.uid)
}

/// An operator that saw the Lease earlier recorded its expiry, and the holder has not renewed it
/// since. Without this rule two operators, one of which started late, would take the label away and
/// give it back in turn.
fn was_given_up(snapshot: &Snapshot, pod: &SeenPod, lease: &SeenLease) -> bool {
    let Some(record) = snapshot.record().filter(|record| record.leader.is_none()) else { return false };
    let newest = snapshot.group.status.history.first();
    let given_up = newest.is_some_and(|change| {
        let expired = change.term <= record.term && change.reason == Reason::LeaseExpired.as_str();
        expired && change.previous.as_deref() == Some(pod.id.name.as_str())
    });
    let renewed = lease.change_was_seen && lease.changed_at > snapshot.record_seen_at;
    given_up && !renewed
}

/// The change that makes the record follow the Lease, if the two differ.
#[must_use]
pub fn follow_lease(snapshot: &Snapshot, policy: &GroupPolicy) -> Option<NewLeader> {
    match (holder(snapshot, policy), snapshot.leader_id()) {
        (Ok(pod), Some(leader)) if pod.id.uid == leader.uid => None,
        (Ok(pod), _) => Some(taken(snapshot, pod)),
        (Err(no_holder), Some(leader)) => Some(lost(snapshot, policy, leader, &no_holder)),
        (Err(_), None) => None,
    }
}

/// When this operator first saw the present holder on the Lease.
fn changed_at(snapshot: &Snapshot) -> Millis {
    snapshot.lease.as_ref().map_or(snapshot.now, |lease| lease.changed_at)
}

fn taken(snapshot: &Snapshot, pod: &SeenPod) -> NewLeader {
    let led_before = snapshot.pods.iter().any(|pod| pod.owner == Owner::Ours);
    let reason = match (snapshot.record(), snapshot.leader_id()) {
        (None, _) if !led_before => Reason::FirstElection,
        (_, None) => Reason::Recovered,
        (_, Some(leader)) if leader.name == pod.id.name => Reason::LeaderRecreated,
        _ => Reason::HolderChanged,
    };
    // The Lease of a group without a leader may have been held for long. The group is new then, or
    // it has just lost its leader.
    let since = if snapshot.leader_id().is_none() { snapshot.record_seen_at } else { Millis::default() };
    let detected_at = snapshot.wall_at(changed_at(snapshot).max(pod.seen_at).max(since));
    NewLeader { to: Some(pod.id.clone()), reason, detected_at }
}

/// The leader no longer holds the Lease. The label goes, even if the pod is unreachable and no
/// other pod holds the Lease yet.
fn lost(snapshot: &Snapshot, policy: &GroupPolicy, leader: &Identity, no_holder: &NoHolder) -> NewLeader {
    let problem = leader_problem(snapshot, policy, leader).filter(|problem| {
        use Reason::{LeaderDeleted, LeaderDeselected, LeaderFinished, LeaderRecreated, LeaderTerminating};
        matches!(
            problem.reason,
            LeaderDeleted | LeaderDeselected | LeaderFinished | LeaderRecreated | LeaderTerminating
        )
    });
    let expired_at = |lease: &SeenLease| lease.valid_until(policy.lease_duration());
    let (reason, seen_at) = match (problem, no_holder) {
        (Some(problem), _) => (problem.reason, problem.seen_at),
        (None, NoHolder::Expired(_)) => {
            (Reason::LeaseExpired, snapshot.lease.as_ref().map_or(snapshot.now, expired_at))
        }
        (None, _) => (Reason::HolderChanged, changed_at(snapshot)),
    };
    NewLeader { to: None, reason, detected_at: snapshot.wall_at(seen_at) }
}
