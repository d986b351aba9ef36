//! `spec.failover`: when a leader is replaced.

#![expect(unreachable_pub, reason = "the derive of KubeSchema copies each type into a function")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{number, schema};

/// When a leader is replaced.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy)]
pub struct FailoverSpec {
    /// For how many seconds a leader may be not Ready, counted from when the operator saw it,
    /// before it is replaced. For example `5`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub not_ready_seconds: u32,

    /// After how many seconds without a sign of its node (a renewal of the node's Lease) a leader
    /// is replaced, and not before the node has missed two renewals: a kubelet renews every quarter
    /// of its Lease's duration, 10 s by default. 0: do not look at nodes; else at least 15. Each 10
    /// s more forgive one more lost renewal. For example `45`.
    #[serde(default = "number::<35>")]
    #[schemars(range(min = 0, max = 86_400))]
    #[x_kube(validation = Rule::new("self == 0 || self >= 15")
        .message("must be 0, or at least 15: a node is heard every 10 s"))]
    pub node_silent_seconds: u32,

    /// For how many seconds a pod must have been Ready before it can lead. If no pod has been, it
    /// does not count at the first election, nor after a leader that is gone or terminating. For
    /// example `10`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub min_ready_seconds: u32,

    /// The least number of seconds between two replacements of a leader that still exists, against
    /// flapping readiness. A deleted or terminating leader is always replaced at once. For example
    /// `60`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub cooldown_seconds: u32,

    /// For how many seconds a nominee may leave a free Lease untaken before the next pod is
    /// nominated. Nominated mode. For example `10`.
    #[serde(default = "number::<5>")]
    #[schemars(range(min = 1, max = 300))]
    pub nominee_seconds: u32,

    /// What happens to the label of a leader that must be replaced when no other pod can lead:
    /// `Keep` it where it is, or `Clear` it. For example `Clear`, where no leader is better than
    /// one that is not Ready.
    #[serde(default)]
    pub when_no_candidate: WhenNoCandidate,
}

/// What to do when nobody can lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum WhenNoCandidate {
    /// The label stays where it is.
    #[default]
    Keep,
    /// Nobody carries the label.
    Clear,
}

impl Default for FailoverSpec {
    fn default() -> Self {
        Self {
            not_ready_seconds: 0,
            node_silent_seconds: number::<35>(),
            min_ready_seconds: 0,
            cooldown_seconds: 0,
            nominee_seconds: number::<5>(),
            when_no_candidate: WhenNoCandidate::Keep,
        }
    }
}
