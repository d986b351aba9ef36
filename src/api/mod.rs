//! The API of users and API server: the `ElectionGroup`, the names on pods, and the objects as they
//! are watched.
//!
//! This module owns the shape of the data, its defaults, and the rules that the API server
//! enforces. It judges nothing. It knows no client, no clock and no other module of this crate.

mod budget;
mod crd;
mod field_owners;
mod group;
mod lease;
mod lenient;
mod node_lease;
mod pod;
mod read;
mod schema;
mod selector;
mod service;
mod slim_group;
mod status;

pub use budget::{Budget, BudgetSpec};
pub use crd::{PrintCrdError, crd, crd_yaml};
pub use field_owners::FieldOwners;
pub use group::{
    ElectionGroup, ElectionGroupSpec, Failback, FailoverSpec, LeaseSpec, Mode, Preference, RoleLabelSpec,
    WhenNoCandidate,
};
pub use lease::Lease;
pub use node_lease::{NodeLease, NodeLeaseSpec};
pub use pod::{Controller, Phase, Pod, PodSpec, PodStatus, ReadyCondition};
pub use read::{ReadObject, Slim, Unreadable};
pub use service::{Service, ServiceSpec};
pub use slim_group::SlimGroup;
pub use status::{Change, ElectionGroupStatus, Leader};

/// On a pod, written by the operator: `<name>/<uid>` of the group that owns the pod.
pub const GROUP_ANNOTATION: &str = "election-operator.io/group";
/// On a pod and on a Lease, written by the operator: the term of the last write.
pub const TERM_ANNOTATION: &str = "election-operator.io/term";
/// On a pod, written by users: an integer that is added to the pod's weight.
pub const PRIORITY_ANNOTATION: &str = "election-operator.io/priority";
/// On a pod, written by users: `"true"` makes it ineligible.
pub const EXCLUDE_ANNOTATION: &str = "election-operator.io/exclude";
/// On a pod, written by users: the identity under which it holds its Lease (Observed).
pub const IDENTITY_ANNOTATION: &str = "election-operator.io/identity";
/// On a Lease that no group has written, written by users: the name of the group that may take it.
pub const ADOPT_ANNOTATION: &str = "election-operator.io/adopt";
/// On an `ElectionGroup`, written by users: the pod to switch over to, once.
pub const SWITCHOVER_ANNOTATION: &str = "election-operator.io/switchover";
