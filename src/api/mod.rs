//! The API of users and API server: the `ElectionGroup`, the names on pods, and the objects as they
//! are watched.
//!
//! This module owns the shape of the data, its defaults, and the rules that the API server
//! enforces. It judges nothing. It knows no client, no clock and no other module of this crate.
//! Names that the planner spells as well come from there.

mod budget;
mod crd;
mod endpoint_slice;
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
pub use crd::{CRD_YAML, crd};
pub use endpoint_slice::{EndpointSlice, HEADLESS_LABEL, MANAGED_BY, MANAGED_BY_LABEL, SERVICE_NAME_LABEL};
pub use field_owners::FieldOwners;
pub use group::{
    ElectionGroup, ElectionGroupSpec, Failback, FailoverSpec, LeaseSpec, Mode, Preference, RoleLabelSpec,
    RoutingSpec, WhenNoCandidate,
};
pub use lease::Lease;
pub use node_lease::{NodeLease, NodeLeaseSpec};
pub use pod::{ContainerPort, Controller, Phase, Pod, PodSpec, PodStatus, ReadyCondition};
pub use read::{ReadObject, Slim, Unreadable};
pub use service::{Service, ServicePort, ServiceSpec};
pub use slim_group::SlimGroup;
pub use status::{Candidate, Change, ElectionGroupStatus, Leader, unserved_status};

/// Annotations that the planner names, too.
pub use crate::planner::names::{ADOPT_ANNOTATION, EXCLUDE_ANNOTATION, IDENTITY_ANNOTATION, TERM_ANNOTATION};

/// On a pod, written by the operator: `<name>/<uid>` of the group that owns the pod.
pub const GROUP_ANNOTATION: &str = "election-operator.io/group";
/// Annotation of the Lease of a Nominated group: the pod that may take it, as `<name>/<uid>`. Empty
/// if there is none.
pub const NOMINEE_ANNOTATION: &str = "election-operator.io/nominee";
/// Annotation of the Lease of a Nominated group: the seconds for which the nominee takes it.
pub const DURATION_ANNOTATION: &str = "election-operator.io/duration";
/// On a pod, written by users: an integer that is added to the pod's weight.
pub const PRIORITY_ANNOTATION: &str = "election-operator.io/priority";
/// On a Lease of mode Managed, written by the operator: the UID of the pod that `holderIdentity`
/// names.
pub const HOLDER_UID_ANNOTATION: &str = "election-operator.io/holder-uid";
/// On an `ElectionGroup`, written by users: `true` pauses it, as `spec.paused` does.
pub const PAUSED_ANNOTATION: &str = "election-operator.io/paused";
/// On an `ElectionGroup`, written by users: the pod to switch over to, once.
pub const SWITCHOVER_ANNOTATION: &str = "election-operator.io/switchover";
