//! Services that a group routes, and its `EndpointSlice`s, both ways.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{
    Endpoint as ApiEndpoint, EndpointConditions, EndpointPort as ApiEndpointPort,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::{is_group, version};
use crate::api::{
    EndpointSlice, HEADLESS_LABEL, MANAGED_BY, MANAGED_BY_LABEL, SERVICE_NAME_LABEL, Service, ServicePort,
    TERM_ANNOTATION,
};
use crate::planner::seen::{
    Endpoint, EndpointPort, Family, RouteProblem, RoutedPort, SeenRoute, SeenSlice, SliceContent, SliceName,
    SliceObject, TargetPort,
};
use crate::planner::{Identity, Term};

/// Characters of a group's UID in the name of a slice.
const UID_PART: usize = 8;

/// The slice of a group for a Service and an address family. The name is the same for ever.
#[must_use]
pub fn slice_name(group: &Identity, service: &str, family: Family) -> SliceName {
    let uid: String = group.uid.chars().take(UID_PART).collect();
    let name = format!("{service}-{uid}-{}", address_type(family).to_lowercase());
    SliceName { name, service: service.to_owned(), family }
}

/// `addressType` of a slice.
#[must_use]
pub const fn address_type(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// A Service that a group routes, without what only the cache knows: claims and slices that exist.
#[must_use]
pub fn route(group: &Identity, name: &str, service: Option<&Service>) -> SeenRoute {
    let mut route = SeenRoute {
        service: name.to_owned(),
        problem: None,
        publishes_not_ready: false,
        headless: false,
        ports: Vec::new(),
        slices: Vec::new(),
        others: Vec::new(),
    };
    let families = service.map_or_else(|| vec![Family::V4, Family::V6], families);
    let slice = |family| SeenSlice { name: slice_name(group, name, family), object: None };
    route.slices = families.into_iter().map(slice).collect();
    let Some(service) = service else {
        route.problem = Some(RouteProblem::NotFound);
        return route;
    };
    let spec = &service.spec;
    if spec.selector.as_ref().is_some_and(|selector| !selector.is_empty()) {
        route.problem = Some(RouteProblem::HasSelector);
    } else if spec.type_.as_deref() == Some("ExternalName") {
        route.problem = Some(RouteProblem::ExternalName);
    }
    route.publishes_not_ready = spec.publish_not_ready_addresses;
    route.headless = spec.cluster_ip.as_deref() == Some("None");
    route.ports = spec.ports.iter().flatten().map(service_port).collect();
    route
}

fn families(service: &Service) -> Vec<Family> {
    let named = service.spec.ip_families.iter().flatten();
    let mut families: Vec<_> =
        named.map(|name| if name == "IPv6" { Family::V6 } else { Family::V4 }).collect();
    families.sort();
    families.dedup();
    if families.is_empty() { vec![Family::V4] } else { families }
}

fn service_port(port: &ServicePort) -> RoutedPort {
    RoutedPort {
        name: port.name.clone().unwrap_or_default(),
        protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
        app_protocol: port.app_protocol.clone(),
        target: match &port.target_port {
            Some(IntOrString::String(name)) => TargetPort::Name(name.clone()),
            Some(IntOrString::Int(number)) if *number != 0 => TargetPort::Number(number_of(*number)),
            _ => TargetPort::Number(number_of(port.port)),
        },
    }
}

fn number_of(number: i32) -> u16 {
    u16::try_from(number).unwrap_or_default()
}

/// The UID of the group that owns a slice.
#[must_use]
pub fn owner_of_slice(slice: &EndpointSlice) -> Option<&str> {
    slice.owner_references().iter().find(|owner| is_group(owner)).map(|owner| owner.uid.as_str())
}

/// The slice is the group's own: the operator made it for this group.
#[must_use]
pub fn owns_slice(group: &Identity, slice: &EndpointSlice) -> bool {
    is_managed(slice) && owner_of_slice(slice) == Some(&group.uid)
}

/// The slice carries the operator's label.
#[must_use]
pub fn is_managed(slice: &EndpointSlice) -> bool {
    slice.labels().get(MANAGED_BY_LABEL).is_some_and(|writer| writer == MANAGED_BY)
}

/// The Service and the family that a slice is for.
#[must_use]
pub fn purpose(slice: &EndpointSlice) -> SliceName {
    SliceName {
        name: slice.name_any(),
        service: slice.labels().get(SERVICE_NAME_LABEL).cloned().unwrap_or_default(),
        family: if slice.address_type == "IPv6" { Family::V6 } else { Family::V4 },
    }
}

/// A slice that exists.
#[must_use]
pub fn slice_object(slice: &EndpointSlice) -> SliceObject {
    let mut ports: Vec<_> = slice.ports.iter().map(endpoint_port).collect();
    ports.sort();
    SliceObject {
        uid: slice.uid().unwrap_or_default(),
        version: version(slice),
        term: slice.annotations().get(TERM_ANNOTATION).and_then(|text| Term::parse(text)),
        content: SliceContent {
            endpoints: slice.endpoints.iter().map(endpoint).collect(),
            ports,
            headless: slice.labels().contains_key(HEADLESS_LABEL),
        },
    }
}

fn endpoint(endpoint: &ApiEndpoint) -> Endpoint {
    let pod = endpoint.target_ref.clone().unwrap_or_default();
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    Endpoint {
        pod: Identity::new(pod.name.unwrap_or_default(), pod.uid.unwrap_or_default()),
        // The operator writes one address. More of them differ from it, and are written over.
        address: endpoint.addresses.join(","),
        ready: conditions.ready.unwrap_or(true),
        serving: conditions.serving.unwrap_or(true),
        terminating: conditions.terminating.unwrap_or(false),
        node: endpoint.node_name.clone(),
        zone: endpoint.zone.clone(),
        hostname: endpoint.hostname.clone(),
    }
}

fn endpoint_port(port: &ApiEndpointPort) -> EndpointPort {
    EndpointPort {
        name: port.name.clone().unwrap_or_default(),
        protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
        number: number_of(port.port.unwrap_or_default()),
        app_protocol: port.app_protocol.clone(),
    }
}

/// The endpoints for the API.
#[must_use]
pub fn api_endpoints(namespace: &str, content: &SliceContent) -> Vec<ApiEndpoint> {
    content.endpoints.iter().map(|endpoint| api_endpoint(namespace, endpoint)).collect()
}

fn api_endpoint(namespace: &str, endpoint: &Endpoint) -> ApiEndpoint {
    let Endpoint { pod, address, ready, serving, terminating, node, zone, hostname } = endpoint.clone();
    ApiEndpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        node_name: node,
        zone,
        hostname,
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(pod.name),
            uid: Some(pod.uid),
            ..ObjectReference::default()
        }),
        ..ApiEndpoint::default()
    }
}

/// The ports for the API.
#[must_use]
pub fn api_ports(content: &SliceContent) -> Vec<ApiEndpointPort> {
    let port = |port: &EndpointPort| {
        let EndpointPort { name, protocol, number, app_protocol } = port.clone();
        ApiEndpointPort {
            name: Some(name),
            protocol: Some(protocol),
            port: Some(i32::from(number)),
            app_protocol,
        }
    };
    content.ports.iter().map(port).collect()
}
