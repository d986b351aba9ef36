//! A group and its parsed spec.

use super::status::GroupStatus;
use crate::{Identity, Millis, Version};

/// The `ElectionGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenGroup {
    /// Name and UID.
    pub id: Identity,
    /// The version this was read at.
    pub version: Version,
    /// `metadata.generation`.
    pub generation: i64,
    /// The parsed spec, or why the operator cannot serve it.
    pub policy: Result<GroupPolicy, Refusal>,
    /// `status` as last read.
    pub status: GroupStatus,
    /// The name of the pod that a switchover request asks for.
    pub switchover: Option<String>,
}

/// The spec, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPolicy {
    /// Who elects.
    pub mode: ElectionMode,
    /// The name of the Lease, as `<namespace>/<name>` if that is not the group's namespace.
    pub lease_name: String,
    /// `lease.durationSeconds`.
    pub lease_duration_seconds: u32,
    /// `lease.renewSeconds`.
    pub renew: Millis,
    /// `roleLabel.key`.
    pub role_key: String,
    /// Followers carry a label too: `roleLabel.follower` is not empty.
    pub followers_are_labelled: bool,
    /// `failover.notReadySeconds`.
    pub not_ready: Millis,
    /// `failover.nomineeSeconds`.
    pub nominee_timeout: Millis,
    /// `failover.minReadySeconds`.
    pub min_ready: Millis,
    /// `failover.cooldownSeconds`.
    pub cooldown: Millis,
    /// `failover.whenNoCandidate` is `Clear`.
    pub clear_without_candidate: bool,
    /// `failbackQuietSeconds`, if `failback` is `WhenSteady`.
    pub failback_after: Option<Millis>,
    /// `paused`.
    pub paused: bool,
    /// `historyLimit`.
    pub history_limit: usize,
}

/// Who elects the leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ElectionMode {
    /// The operator elects, and owns the Lease.
    #[default]
    Managed,
    /// The pods elect, and one of them holds the Lease. The operator never writes that Lease.
    Observed,
    /// The operator elects, and nominates the leader in the Lease. The pod takes the Lease and runs
    /// its work only while it holds it.
    Nominated,
}

impl GroupPolicy {
    /// The Lease's duration as a span.
    #[must_use]
    pub fn lease_duration(&self) -> Millis {
        Millis::from_seconds(u64::from(self.lease_duration_seconds))
    }
}

/// Why the operator does not serve a group: reason and message of `Accepted=False`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// One of the reasons of the condition `Accepted`.
    pub reason: &'static str,
    /// The problem with the offending value, and what the user should do.
    pub message: String,
}
