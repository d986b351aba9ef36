//! Observed mode: which pod holds the Lease, and what that makes of the record.
//!
//! The pods elect, so their word counts: whoever holds a valid Lease is the leader, Ready or not, terminating or not
//! (a Service leaves such a pod out by itself). Only a pod that cannot hold anything does not count: one that ended, and
//! one that this group does not have. This module never asks for a write of the Lease.

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
    /// There is one, which nobody holds.
    Free,
    /// It was not renewed for as long as it is valid.
    Expired(String),
    /// Its holder is none of the group's pods.
    Unknown(String),
    /// Its holder may be either of two pods.
    Ambiguous(String),
    /// It was last written before the pod of this name was there: an earlier pod of that name held it (S5).
    Outdated(String),
}

impl NoHolder {
    /// The reason of the condition that says so.
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
/// Why there is none.
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

/// The pod that an identity means. The first of these rules that fits any pod decides:
///
/// 1. it is the pod's name, or begins with it and `_`;
/// 2. it is, or begins with, what the pod's annotation says;
/// 3. it begins with the pod's name and `-` or `_`: of several such names with the longest;
/// 4. the pod uses the network of its node, and it is the node's name, or begins with it and `_` or `-`.
///
/// Many programs append to their host name what is new with each start.
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

/// The pods with the longest of the names that the identity is, or that it continues with `-` or `_`.
fn longest<'a>(named: impl Iterator<Item = (&'a SeenPod, &'a str)>, identity: &str) -> Vec<&'a SeenPod> {
    let continues = |name: &str| {
        let rest = identity.strip_prefix(name).filter(|_| !name.is_empty());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    };
    let fitting: Vec<_> = named.filter(|(_, name)| continues(name)).collect();
    let most = fitting.iter().map(|(_, name)| name.len()).max();
    fitting.into_iter().filter(|(_, name)| Some(name.len()) == most).map(|(pod, _)| pod).collect()
}

/// Of this group, and not at its end.
fn could_hold(pod: &SeenPod) -> bool {
    pod.membership == Membership::Selected
        && !matches!(pod.owner, Owner::Other(_))
        && pod.phase != PodPhase::Finished
}

fn is_recorded(snapshot: &Snapshot, pod: &SeenPod) -> bool {
    snapshot.leader_id().is_some_and(|leader| leader.uid == pod.id.uid)
}

/// An operator that saw the Lease earlier has recorded that it ran out, and nobody has renewed it since: without this two
/// operators, one of which came late, would take the label away and give it back in turn.
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

/// The change that makes the record follow the Lease, if it does not.
#[must_use]
pub fn follow_lease(snapshot: &Snapshot, policy: &GroupPolicy) -> Option<NewLeader> {
    match (holder(snapshot, policy), snapshot.leader_id()) {
        (Ok(pod), Some(leader)) if pod.id.uid == leader.uid => None,
        (Ok(pod), _) => Some(taken(snapshot, pod)),
        (Err(nobody), Some(leader)) => Some(lost(snapshot, policy, leader, &nobody)),
        (Err(_), None) => None,
    }
}

/// When the present holder was first seen to hold the Lease.
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
    // The Lease of a group without a leader may be held for long: what is new is the group, or that it has none.
    let since = if snapshot.leader_id().is_none() { snapshot.record_seen_at } else { Millis::default() };
    let detected_at = snapshot.wall_at(changed_at(snapshot).max(pod.seen_at).max(since));
    NewLeader { to: Some(pod.id.clone()), reason, detected_at }
}

/// The label is taken away even if the pod cannot be reached any more, and though nobody follows yet.
fn lost(snapshot: &Snapshot, policy: &GroupPolicy, leader: &Identity, nobody: &NoHolder) -> NewLeader {
    let problem = leader_problem(snapshot, policy, leader).filter(|problem| {
        use Reason::{LeaderDeleted, LeaderDeselected, LeaderFinished, LeaderRecreated, LeaderTerminating};
        matches!(
            problem.reason,
            LeaderDeleted | LeaderDeselected | LeaderFinished | LeaderRecreated | LeaderTerminating
        )
    });
    let expired_at = |lease: &SeenLease| lease.valid_until(policy.lease_duration());
    let (reason, seen_at) = match (problem, nobody) {
        (Some(problem), _) => (problem.reason, problem.seen_at),
        (None, NoHolder::Expired(_)) => {
            (Reason::LeaseExpired, snapshot.lease.as_ref().map_or(snapshot.now, expired_at))
        }
        (None, _) => (Reason::HolderChanged, changed_at(snapshot)),
    };
    NewLeader { to: None, reason, detected_at: snapshot.wall_at(seen_at) }
}
