//! The condition `Routed`.

use super::conditions::Finding;
use crate::names::condition_reason;
use crate::route;
use crate::seen::{OtherSlice, Owner, SliceName, SliceObject, Snapshot};

/// Whether the slices of `spec.routing` route to the leader. None if the group routes no Service.
pub(super) fn routed(view: &Snapshot) -> Option<Finding> {
    let services: Vec<_> = view.routes.iter().map(|route| route.service.as_str()).collect();
    if services.is_empty() {
        return None;
    }
    let problem = view.routes.iter().find_map(|route| Some((&route.service, route.problem.as_ref()?)));
    if let Some((service, problem)) = problem {
        return Some((false, problem.reason(), format!("Service {service} {problem}")));
    }
    if let Some(other) = route::obstacle(view) {
        return Some(waits_for(other));
    }
    if let Some(refusal) = route::refusal(view) {
        return Some((false, condition_reason::ROUTING_REFUSED, refusal.why.clone()));
    }
    Some(endpoints_of(view, &services.join(", ")))
}

/// Another slice of the Service must go first.
fn waits_for(other: &OtherSlice) -> Finding {
    let SliceName { name, service, .. } = &other.name;
    let (reason, whose) = match &other.owner {
        Owner::Other(group) => {
            (condition_reason::ROUTE_PENDING, format!("of group {}, which the operator deletes", group.name))
        }
        Owner::Vanished(group) => {
            (condition_reason::ROUTE_PENDING, format!("of the deleted group {}", group.name))
        }
        Owner::Ours | Owner::None => {
            (condition_reason::ROUTING_REFUSED, "which belongs to no group: delete it".to_owned())
        }
    };
    (false, reason, format!("Service {service} still has the EndpointSlice {name} {whose}"))
}

fn endpoints_of(view: &Snapshot, services: &str) -> Finding {
    let slices = view.routes.iter().flat_map(|route| &route.slices);
    let objects: Option<Vec<_>> = slices.map(|slice| slice.object.as_ref()).collect();
    let term = view.record().map(|record| record.term);
    let is_current = |object: &&SliceObject| {
        let has_endpoint = !object.content.endpoints.is_empty();
        object.term == term || (object.term < term && !has_endpoint)
    };
    let follow = |objects: &Vec<&SliceObject>| objects.iter().all(is_current) && !route::lags(view);
    let Some(objects) = objects.filter(follow) else {
        let message = format!("the EndpointSlices of Service {services} do not follow the leader yet");
        return (false, condition_reason::ROUTE_PENDING, message);
    };
    let mut endpoints = objects.iter().flat_map(|object| &object.content.endpoints);
    let Some(endpoint) = endpoints.find(|endpoint| endpoint.ready) else {
        let message = format!("Service {services} has no endpoint that is ready");
        return (false, condition_reason::NO_READY_ENDPOINT, message);
    };
    (true, condition_reason::ROUTED, format!("Service {services} reaches pod {}", endpoint.pod.name))
}
