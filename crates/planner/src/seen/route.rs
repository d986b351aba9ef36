//! Services whose traffic a group routes, and the `EndpointSlice`s by which it does.
//!
//! A slice has at most one endpoint: the leader. The `EndpointSlice` controller of Kubernetes writes
//! none for a Service without a selector, so the group's slice is the only one.

use super::{Owner, RouteProblem};
use crate::{Identity, Millis, Term, Version};

/// A Service that `spec.routing` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRoute {
    /// The name of the Service.
    pub service: String,
    /// Why the group cannot route the Service.
    pub problem: Option<RouteProblem>,
    /// `publishNotReadyAddresses`.
    pub publishes_not_ready: bool,
    /// `clusterIP` is `None`.
    pub headless: bool,
    /// The ports of the Service.
    pub ports: Vec<RoutedPort>,
    /// The slices of the group for the Service, one for each address family of the Service.
    pub slices: Vec<SeenSlice>,
    /// Other slices that name the Service and carry the operator's label. Beside them the group
    /// does not begin to route.
    pub others: Vec<OtherSlice>,
}

/// A slice that names a routed Service, carries the operator's label, and is of another group or of
/// none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherSlice {
    /// Its name.
    pub name: SliceName,
    /// Its UID.
    pub uid: String,
    /// The version at which it was read.
    pub version: Version,
    /// The group that owns it.
    pub owner: Owner,
}

impl SeenRoute {
    /// The group's slices that exist.
    pub fn objects(&self) -> impl Iterator<Item = (&SeenSlice, &SliceObject)> {
        self.slices.iter().filter_map(|slice| Some((slice, slice.object.as_ref()?)))
    }
}

/// The address family of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: &str) -> Self {
        if address.contains(':') { Self::V6 } else { Self::V4 }
    }
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedPort {
    /// Its name. Empty if the Service has one port alone.
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// `appProtocol`.
    pub app_protocol: Option<String>,
    /// The port of the pod.
    pub target: TargetPort,
}

/// The port of a pod that a port of a Service leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// This number.
    Number(u16),
    /// The port of this name. Its number may differ from pod to pod.
    Name(String),
}

/// What an endpoint needs to know of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodNetwork {
    /// The addresses of the pod, one for each address family.
    pub addresses: Vec<String>,
    /// The ports of its containers that have a name.
    pub named_ports: Vec<NamedPort>,
    /// The zone of its node.
    pub zone: Option<String>,
    /// `spec.hostname`.
    pub hostname: Option<String>,
    /// `spec.subdomain`: the Service under which the DNS has the host name.
    pub subdomain: Option<String>,
}

/// A port of a container that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPort {
    /// Its name.
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Its number.
    pub number: u16,
}

/// A slice that the group has, or is to have. Its name is fixed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceName {
    /// Its name.
    pub name: String,
    /// The Service.
    pub service: String,
    /// The address family.
    pub family: Family,
}

/// A slice that the group has, or is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSlice {
    /// Its name.
    pub name: SliceName,
    /// The slice, if it exists and belongs to this group.
    pub object: Option<SliceObject>,
}

/// A slice that exists and belongs to this group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceObject {
    /// Its UID.
    pub uid: String,
    /// The version at which it was read.
    pub version: Version,
    /// The term annotation, if it is a valid term.
    pub term: Option<Term>,
    /// What it routes to.
    pub content: SliceContent,
}

/// What a slice routes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceContent {
    /// The endpoints: the leader, or none. A user may have added others.
    pub endpoints: Vec<Endpoint>,
    /// The ports.
    pub ports: Vec<EndpointPort>,
    /// The Service has no cluster address: kube-proxy ignores the slice.
    pub headless: bool,
}

/// A pod as an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The pod.
    pub pod: Identity,
    /// Its address.
    pub address: String,
    /// Clients may be sent to it.
    pub ready: bool,
    /// The pod is Ready.
    pub serving: bool,
    /// The pod terminates.
    pub terminating: bool,
    /// Its node.
    pub node: Option<String>,
    /// The zone of its node.
    pub zone: Option<String>,
    /// The host name that the DNS has under the name of a headless Service.
    pub hostname: Option<String>,
}

/// A port of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointPort {
    /// The name of the Service's port.
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The number on the pod.
    pub number: u16,
    /// `appProtocol`.
    pub app_protocol: Option<String>,
}

/// The API server refused a write of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRefusal {
    /// When.
    pub at: Millis,
    /// Why, and what to do.
    pub why: String,
}
