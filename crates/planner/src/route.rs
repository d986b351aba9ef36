//! The slices that route traffic to the leader, for the Services in `spec.routing`.
//!
//! * **R1** A slice has at most one endpoint, at every revision. So has a Service in each address
//!   family, as far as the operator's slices go.
//! * **R2** There is one slice for each Service and address family. It has a fixed name, and it is
//!   created empty: a creation never routes.
//! * **R3** The endpoint is the leader of a record that existed before, in the slice's term.
//! * **R4** The term of a slice never falls: *not above* holds as for pods.
//! * **R5** Every write is conditional on the UID and the version that were seen.
//! * **R7** A slice gets its first endpoint after a live read, made after its creation, that no
//!   other slice names the Service. Until then the slice has no term.
//!
//! Two groups that name one Service each create a slice, and then look for others. So at least one
//! sees the slice of the other, and waits until it is gone: of a Service and an address family, one
//! slice at most has an endpoint (R1).
//!
//! One write replaces the old leader by the new one. A stalled operator's write is conditional on
//! the version that its successor's write replaced, so it fails. A plan that did not write the
//! record itself confirms the record first: a slice that a user deleted comes back without a term.
//!
//! In Nominated mode the new leader gets the endpoint only once it holds the Lease. Until then the
//! slice is left as it is while the earlier leader works, and for a moment after that. To take the
//! endpoint away first would be one change more, and kube-proxy waits a second between two.

use crate::nominated_mode::{self, Serving};
use crate::plan::{Fact, Intent, RouteWrite};
use crate::seen::{
    Endpoint, EndpointPort, Family, LeaderRecord, Membership, OtherSlice, PodPhase, RouteProblem,
    RouteRefusal, RoutedPort, SeenPod, SeenRoute, SeenSlice, SliceContent, SliceName, SliceObject, Snapshot,
    TargetPort,
};
use crate::{Millis, Term};

/// How long a slice is left alone after the API server refused a write of it.
pub const ROUTE_RETRY: Millis = Millis::from_seconds(10);

/// The API server refused a write a short while ago.
pub(crate) fn is_held_back(view: &Snapshot) -> bool {
    view.route_refusal.as_ref().is_some_and(|refusal| view.now < refusal.at + ROUTE_RETRY)
}

/// The refusal that keeps a write of a slice from being done. A write that another operator did, or
/// that was done though its answer was lost, needs no other: its refusal means nothing any more.
pub(crate) fn refusal(view: &Snapshot) -> Option<&RouteRefusal> {
    view.route_refusal.as_ref().filter(|_| lags(view) || are_incomplete(view))
}

/// A slice does not follow the record yet.
pub(crate) fn lags(view: &Snapshot) -> bool {
    let record = view.record();
    record.is_some_and(|record| [true, false].iter().any(|first| !due(view, record, *first).is_empty()))
}

/// The writes that make the slices follow the record, as far as the group has routed by them.
pub(crate) fn routes(view: &Snapshot, record: &LeaderRecord) -> Vec<RouteWrite> {
    if is_held_back(view) { Vec::new() } else { due(view, record, false) }
}

/// The first writes of slices (`first`), or all others.
pub(crate) fn due(view: &Snapshot, record: &LeaderRecord, first: bool) -> Vec<RouteWrite> {
    let slices = view.routes.iter().flat_map(|route| route.objects().map(move |slice| (route, slice)));
    let slices = slices.filter(|(_, (_, object))| object.term.is_none() == first);
    slices
        .filter_map(|(route, (slice, object))| route_write(view, record, route, &slice.name, object))
        .collect()
}

fn route_write(
    view: &Snapshot,
    record: &LeaderRecord,
    route: &SeenRoute,
    slice: &SliceName,
    object: &SliceObject,
) -> Option<RouteWrite> {
    let content = wanted(view, record, route, slice, object)?;
    let is_unused = object.term.is_none() && is_empty(&content) && is_empty(&object.content);
    let done = is_unused || (object.content == content && object.term == Some(record.term));
    let change = view.group.status.history.first().filter(|change| change.term == record.term);
    (!done).then(|| RouteWrite {
        slice: slice.clone(),
        uid: object.uid.clone(),
        version: object.version,
        term: record.term,
        content,
        detected_at: change.map(|change| change.detected_at),
    })
}

/// What the slice should route to. None: leave it as it is.
fn wanted(
    view: &Snapshot,
    record: &LeaderRecord,
    route: &SeenRoute,
    slice: &SliceName,
    object: &SliceObject,
) -> Option<SliceContent> {
    let serving = nominated_mode::serving(view, record, object.term);
    if serving == Serving::Unknown {
        return None;
    }
    let leader = record.leader_id().filter(|_| serving == Serving::Yes);
    let ports_are_known = match &route.problem {
        None => true,
        // Without its Service the slice routes nothing. An old leader must not come back with it.
        Some(RouteProblem::NotFound) => false,
        Some(_) => return None,
    };
    let empty = SliceContent { headless: object.content.headless, ..SliceContent::default() };
    if serving == Serving::No && ports_are_known && keeps_earlier(view, record, slice.family, object) {
        return None;
    }
    let Some(leader) = leader else { return Some(empty) };
    let Some(pod) = view.pod(leader) else { return Some(empty) };
    if !ports_are_known {
        let same = object.content.endpoints.iter().all(|endpoint| endpoint.pod.uid == leader.uid);
        return if same { None } else { Some(empty) };
    }
    let endpoint = endpoint(pod, route, slice.family);
    let ports = endpoint.as_ref().map(|_| ports(&route.ports, pod)).unwrap_or_default();
    Some(SliceContent { endpoints: endpoint.into_iter().collect(), ports, headless: route.headless })
}

/// The endpoint is an earlier leader, and may stay so until the record's leader holds the Lease.
fn keeps_earlier(view: &Snapshot, record: &LeaderRecord, family: Family, object: &SliceObject) -> bool {
    let [endpoint] = &*object.content.endpoints else { return false };
    let Some(pod) = view.pod(&endpoint.pod) else { return false };
    let is_member = pod.membership == Membership::Selected && pod.phase != PodPhase::Finished;
    let is_as_routed = object.term.is_some() && address(pod, family) == Some(&endpoint.address);
    is_member && is_as_routed && nominated_mode::may_stay_endpoint(view, record, pod)
}

fn is_empty(content: &SliceContent) -> bool {
    content.endpoints.is_empty()
}

/// The pod as an endpoint, as the `EndpointSlice` controller of Kubernetes writes it. None if the
/// pod has no address of the family, or has finished.
fn endpoint(pod: &SeenPod, route: &SeenRoute, family: Family) -> Option<Endpoint> {
    let address = address(pod, family).filter(|_| pod.phase != PodPhase::Finished)?;
    let is_subdomain = pod.network.subdomain.as_ref() == Some(&route.service);
    Some(Endpoint {
        pod: pod.id.clone(),
        address: address.clone(),
        ready: route.publishes_not_ready || (pod.ready && !pod.terminating),
        serving: pod.ready,
        terminating: pod.terminating,
        node: pod.node.clone(),
        zone: pod.network.zone.clone(),
        hostname: pod.network.hostname.clone().filter(|_| is_subdomain),
    })
}

fn address(pod: &SeenPod, family: Family) -> Option<&String> {
    pod.network.addresses.iter().find(|address| Family::of(address) == family)
}

/// The ports of the Service on the pod. A port whose name the pod does not have is left out.
fn ports(ports: &[RoutedPort], pod: &SeenPod) -> Vec<EndpointPort> {
    let number = |port: &RoutedPort| match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => {
            let mut named = pod.network.named_ports.iter();
            named
                .find(|named| named.name == *name && named.protocol == port.protocol)
                .map(|named| named.number)
        }
    };
    let resolved = ports.iter().filter_map(|port| {
        let RoutedPort { name, protocol, app_protocol, .. } = port.clone();
        Some(EndpointPort { name, protocol, number: number(port)?, app_protocol })
    });
    let mut resolved: Vec<_> = resolved.collect();
    resolved.sort();
    resolved
}

/// The live read that must come before routes to nothing: a leader that the cache lacks may be
/// there. After a restart it lacks a leader that was deleted before.
pub(crate) fn unconfirmed(view: &Snapshot, record: &LeaderRecord, routes: &[RouteWrite]) -> Option<Intent> {
    let leader = record.leader_id().filter(|_| !routes.is_empty())?;
    let is_unproved = view.pod(leader).is_none() && !view.gone.contains_key(&leader.uid);
    is_unproved.then(|| Intent::Confirm(Fact::PodGone(leader.clone())))
}

/// A slice to be written has a term above that of the record (*not above*).
pub(crate) fn is_above(view: &Snapshot, writes: &[RouteWrite], term: Term) -> bool {
    let is_above =
        |write: &RouteWrite| view.slices().any(|slice| slice.uid == write.uid && slice.term > Some(term));
    writes.iter().any(is_above)
}

/// The group routes traffic by slices, so no label needs to stay behind another.
pub(crate) fn is_routed_by_slices(view: &Snapshot) -> bool {
    view.routes.iter().any(|route| route.problem.is_none())
}

/// A slice that keeps the group from its first route of a Service.
pub(crate) fn obstacle(view: &Snapshot) -> Option<&OtherSlice> {
    let due = view.record().map(|record| due(view, record, true)).unwrap_or_default();
    let wanting = |route: &&SeenRoute| due.iter().any(|write| write.slice.service == route.service);
    view.routes.iter().filter(wanting).find_map(|route| route.others.first())
}

/// Slices of the group that must go.
pub(crate) fn superfluous(view: &Snapshot) -> impl Iterator<Item = (&SeenSlice, &SliceObject)> {
    let forbidden = view.routes.iter().filter(|route| has_forbidden_slices(route));
    let slices = forbidden.flat_map(|route| &route.slices).chain(&view.unrouted);
    slices.filter_map(|slice| Some((slice, slice.object.as_ref()?)))
}

/// The group lacks a slice, or has one too many.
fn are_incomplete(view: &Snapshot) -> bool {
    view.routes.iter().any(lacks_slices) || superfluous(view).next().is_some()
}

fn has_forbidden_slices(route: &SeenRoute) -> bool {
    route.problem.as_ref().is_some_and(RouteProblem::forbids_slices)
}

/// The group has yet to create a slice for this Service.
pub(crate) fn lacks_slices(route: &SeenRoute) -> bool {
    route.problem.is_none() && route.slices.iter().any(|slice| slice.object.is_none())
}
