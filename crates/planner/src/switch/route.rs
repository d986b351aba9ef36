//! The slices that route traffic to the leader, for the Services in `spec.routing`.
//!
//! * **R1** A slice has at most one endpoint, at every revision.
//! * **R2** There is one slice for each Service and address family. It has a fixed name, and it is
//!   created empty: a creation never routes.
//! * **R3** The endpoint is the leader of a record that existed before, in the slice's term.
//! * **R4** The term of a slice never falls: *not above* holds as for pods.
//! * **R5** Every write is conditional on the UID and the version that were seen.
//! * **R7** No slice of another writer names the Service when the group creates its own.
//!
//! One write replaces the old leader by the new one. A stalled operator's write is conditional on
//! the version that its successor's write replaced, so it fails. A plan that did not write the
//! record itself confirms the record first: a slice that a user deleted comes back without a term.

use crate::nominated_mode::{self, Serving};
use crate::plan::{Fact, Intent, RouteWrite, Step};
use crate::seen::{
    Endpoint, EndpointPort, Family, LeaderRecord, PodPhase, RouteProblem, RouteRefusal, RoutedPort, SeenPod,
    SeenRoute, SeenSlice, SliceContent, SliceObject, Snapshot, TargetPort,
};
use crate::{Millis, Term};

/// How long a slice is left alone after the API server refused a write of it.
pub const ROUTE_RETRY: Millis = Millis::from_seconds(10);

/// The API server refused a write a short while ago.
fn is_held_back(view: &Snapshot) -> bool {
    view.route_refusal.as_ref().is_some_and(|refusal| view.now < refusal.at + ROUTE_RETRY)
}

/// The refusal that keeps a write of a slice from being done. A write that another operator did, or
/// that was done though its answer was lost, needs no other: its refusal means nothing any more.
pub(crate) fn refusal(view: &Snapshot) -> Option<&RouteRefusal> {
    let lags = || view.record().is_some_and(|record| !due(view, record).is_empty());
    let is_incomplete = || view.routes.iter().any(lacks_slices) || superfluous(view).next().is_some();
    view.route_refusal.as_ref().filter(|_| lags() || is_incomplete())
}

/// The writes that make the slices follow the record.
pub(super) fn routes(view: &Snapshot, record: &LeaderRecord) -> Vec<RouteWrite> {
    if is_held_back(view) { Vec::new() } else { due(view, record) }
}

fn due(view: &Snapshot, record: &LeaderRecord) -> Vec<RouteWrite> {
    let slices = view.routes.iter().flat_map(|route| route.slices.iter().map(move |slice| (route, slice)));
    slices.filter_map(|(route, slice)| route_write(view, record, route, slice)).collect()
}

fn route_write(
    view: &Snapshot,
    record: &LeaderRecord,
    route: &SeenRoute,
    slice: &SeenSlice,
) -> Option<RouteWrite> {
    let object = slice.object.as_ref()?;
    let content = wanted(view, record, route, slice, object)?;
    let done = object.content == content && object.term == Some(record.term);
    let change = view.group.status.history.first().filter(|change| change.term == record.term);
    (!done).then(|| RouteWrite {
        slice: slice.name.clone(),
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
    slice: &SeenSlice,
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
    let Some(leader) = leader else { return Some(empty) };
    let Some(pod) = view.pod(leader) else { return Some(empty) };
    if !ports_are_known {
        let same = object.content.endpoints.iter().all(|endpoint| endpoint.pod.uid == leader.uid);
        return if same { None } else { Some(empty) };
    }
    let endpoint = endpoint(pod, route, slice.name.family);
    let ports = endpoint.as_ref().map(|_| ports(&route.ports, pod)).unwrap_or_default();
    Some(SliceContent { endpoints: endpoint.into_iter().collect(), ports, headless: route.headless })
}

/// The pod as an endpoint, as the `EndpointSlice` controller of Kubernetes writes it. None if the
/// pod has no address of the family, or has finished.
fn endpoint(pod: &SeenPod, route: &SeenRoute, family: Family) -> Option<Endpoint> {
    let mut addresses = pod.network.addresses.iter().filter(|address| Family::of(address) == family);
    let address = addresses.next().filter(|_| pod.phase != PodPhase::Finished)?;
    Some(Endpoint {
        pod: pod.id.clone(),
        address: address.clone(),
        ready: route.publishes_not_ready || (pod.ready && !pod.terminating),
        serving: pod.ready,
        terminating: pod.terminating,
        node: pod.node.clone(),
        zone: pod.network.zone.clone(),
    })
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
pub(super) fn unconfirmed(view: &Snapshot, record: &LeaderRecord, routes: &[RouteWrite]) -> Option<Intent> {
    let leader = record.leader_id().filter(|_| !routes.is_empty())?;
    let is_unproved = view.pod(leader).is_none() && !view.gone.contains_key(&leader.uid);
    is_unproved.then(|| Intent::Confirm(Fact::PodGone(leader.clone())))
}

/// A slice to be written has a term above that of the record (*not above*).
pub(super) fn is_above(view: &Snapshot, writes: &[RouteWrite], term: Term) -> bool {
    let is_above =
        |write: &RouteWrite| view.slices().any(|slice| slice.uid == write.uid && slice.term > Some(term));
    writes.iter().any(is_above)
}

/// The group routes traffic by slices, so no label needs to stay behind another.
pub(super) fn is_routed_by_slices(view: &Snapshot) -> bool {
    view.routes.iter().any(|route| route.problem.is_none())
}

/// Slices to delete, and then slices to create, after a live read that no other slice names the
/// Service.
pub(super) fn upkeep(view: &Snapshot) -> Vec<Step> {
    if is_held_back(view) {
        return Vec::new();
    }
    let deletions = superfluous(view)
        .map(|(slice, object)| Intent::DeleteSlice(slice.name.clone(), object.uid.clone(), object.version));
    let deletions = Step::of(deletions);
    let wanting: Vec<_> = view.routes.iter().filter(|route| lacks_slices(route)).collect();
    let alone = wanting.iter().map(|route| Intent::Confirm(Fact::NoOtherSlices(route.service.clone())));
    let missing = wanting.iter().flat_map(|route| {
        let missing = route.slices.iter().filter(|slice| slice.object.is_none());
        missing.map(|slice| Intent::CreateSlice(slice.name.clone(), route.headless))
    });
    vec![deletions, Step::of(alone), Step::of(missing)]
}

/// Slices of the group that must go.
fn superfluous(view: &Snapshot) -> impl Iterator<Item = (&SeenSlice, &SliceObject)> {
    let forbidden = view.routes.iter().filter(|route| has_forbidden_slices(route));
    let slices = forbidden.flat_map(|route| &route.slices).chain(&view.unrouted);
    slices.filter_map(|slice| Some((slice, slice.object.as_ref()?)))
}

fn has_forbidden_slices(route: &SeenRoute) -> bool {
    route.problem.as_ref().is_some_and(RouteProblem::forbids_slices)
}

fn lacks_slices(route: &SeenRoute) -> bool {
    route.problem.is_none() && route.slices.iter().any(|slice| slice.object.is_none())
}
