//! Groups that route a Service: builders, and arbitrary routes.

use planner::seen::{
    Endpoint, EndpointPort, Family, NamedPort, OtherSlice, PodNetwork, RouteProblem, RouteRefusal,
    RoutedPort, SeenRoute, SeenSlice, SliceContent, SliceName, SliceObject, TargetPort,
};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

pub const SERVICE: &str = "active";

/// An address of the pod that no other pod of a test has.
pub fn address(pod: &Identity) -> String {
    let sum = pod.uid.bytes().fold(0u32, |sum, byte| (sum * 31 + u32::from(byte)) % 250);
    format!("10.1.0.{}", sum + 1)
}

pub fn network(pod: &Identity) -> PodNetwork {
    let http = NamedPort { name: "http".to_owned(), protocol: "TCP".to_owned(), number: 8080 };
    let zone = Some("a".to_owned());
    PodNetwork { addresses: vec![address(pod)], named_ports: vec![http], zone, ..PodNetwork::default() }
}

pub fn endpoint(pod: &SeenPod) -> Endpoint {
    Endpoint {
        pod: pod.id.clone(),
        address: address(&pod.id),
        ready: pod.ready && !pod.terminating,
        serving: pod.ready,
        terminating: pod.terminating,
        node: pod.node.clone(),
        zone: Some("a".to_owned()),
        hostname: None,
    }
}

pub fn endpoint_port() -> EndpointPort {
    let (name, protocol) = ("http".to_owned(), "TCP".to_owned());
    EndpointPort { name, protocol, number: 8080, app_protocol: None }
}

pub fn content(pod: Option<&SeenPod>) -> SliceContent {
    SliceContent {
        endpoints: pod.map(endpoint).into_iter().collect(),
        ports: pod.map(|_| endpoint_port()).into_iter().collect(),
        headless: false,
    }
}

pub fn slice_name(service: &str, family: Family) -> SliceName {
    SliceName { name: format!("{service}-slice-{family:?}"), service: service.to_owned(), family }
}

pub fn slice(service: &str, object: Option<SliceObject>) -> SeenSlice {
    SeenSlice { name: slice_name(service, Family::V4), object }
}

pub fn slice_object(pod: Option<&SeenPod>, of: Option<u64>) -> SliceObject {
    let (uid, version) = ("slice-uid".to_owned(), Version(70));
    SliceObject { uid, version, term: of.map(term), content: content(pod) }
}

pub fn route(service: &str, slices: Vec<SeenSlice>) -> SeenRoute {
    let port = RoutedPort {
        name: "http".to_owned(),
        protocol: "TCP".to_owned(),
        app_protocol: None,
        target: TargetPort::Name("http".to_owned()),
    };
    SeenRoute {
        service: service.to_owned(),
        problem: None,
        publishes_not_ready: false,
        headless: false,
        ports: vec![port],
        slices,
        others: Vec::new(),
    }
}

/// The group routes [`SERVICE`] by this slice.
pub fn routed(mut group: Snapshot, object: Option<SliceObject>) -> Snapshot {
    for pod in &mut group.pods {
        pod.network = network(&pod.id);
    }
    group.routes = vec![route(SERVICE, vec![slice(SERVICE, object)])];
    group
}

/// `a` leads in term 3 and is the endpoint, `b` and `c` follow, and no write is due.
pub fn steady_and_routed() -> Snapshot {
    let group = steady();
    let object = slice_object(group.pods.iter().find(|pod| pod.id.name == "a"), Some(3));
    let group = settled(routed(group, Some(object)));
    Snapshot { reported_at: LONG_AGO, ..group }
}

fn problems() -> impl Strategy<Value = Option<RouteProblem>> {
    let problem = select(vec![
        RouteProblem::NotListed,
        RouteProblem::NotFound,
        RouteProblem::HasSelector,
        RouteProblem::ExternalName,
        RouteProblem::ClaimedBy("elder".to_owned()),
    ]);
    weighted(0.2, problem)
}

fn others() -> impl Strategy<Value = OtherSlice> {
    let (other, former) = (Identity::new("other", "other-uid"), Identity::new("former", "former-uid"));
    let owner = select(vec![Owner::None, Owner::Other(other), Owner::Vanished(former)]);
    owner.prop_map(other_slice)
}

/// A slice of another owner that names [`SERVICE`].
pub fn other_slice(owner: Owner) -> OtherSlice {
    let name = SliceName { service: SERVICE.to_owned(), ..slice_name("other", Family::V4) };
    OtherSlice { name, uid: "other-slice".to_owned(), version: Version(80), owner }
}

fn objects(number: u64, pods: &[SeenPod]) -> impl Strategy<Value = Option<SliceObject>> + use<> {
    let content = prop_oneof![
        2 => Just(content(None)),
        6 => select(pods.to_vec()).prop_map(|pod| content(Some(&pod))),
        1 => Just(SliceContent { endpoints: pods.iter().map(endpoint).collect(), ..content(None) }),
    ];
    let object = (content, of(0u64..7)).prop_map(move |(content, of)| SliceObject {
        uid: format!("slice-{number}"),
        version: Version(70 + number),
        term: of.map(term),
        content,
    });
    weighted(0.85, object)
}

/// What the cache tells of the routes of a group.
#[derive(Clone, Debug)]
pub struct Routes {
    wanted: Vec<SeenRoute>,
    unrouted: Vec<SeenSlice>,
    refusal: Option<RouteRefusal>,
}

impl Routes {
    pub fn enter(self, group: &mut Snapshot) {
        for pod in &mut group.pods {
            pod.network = network(&pod.id);
        }
        (group.routes, group.unrouted, group.route_refusal) = (self.wanted, self.unrouted, self.refusal);
    }
}

/// Routes to the pods of `universe`. Half of the groups have none.
pub fn some_routes(universe: &[Identity]) -> impl Strategy<Value = Routes> + use<> {
    let pods: Vec<_> = universe.iter().map(|id| SeenPod { id: id.clone(), ..pod("a") }).collect();
    let two = (objects(1, &pods), objects(2, &pods), objects(3, &pods), weighted(0.2, others()));
    let flags = (any::<bool>(), any::<bool>(), weighted(0.1, 0u64..12_000));
    (two, problems(), flags).prop_map(|((first, second, left, beside), problem, (routes, both, refused))| {
        if !routes {
            return Routes { wanted: Vec::new(), unrouted: Vec::new(), refusal: None };
        }
        let other = slice_name(SERVICE, Family::V6);
        let mut slices = vec![slice(SERVICE, first)];
        slices.extend(both.then_some(SeenSlice { name: other, object: second }));
        let unrouted = left.filter(|_| both).map(|object| slice("left", Some(object)));
        let refusal = refused.map(|ago| RouteRefusal { at: Millis(NOW.0 - ago), why: "refused".to_owned() });
        let others = beside.into_iter().collect();
        let wanted = vec![SeenRoute { problem, others, ..route(SERVICE, slices) }];
        Routes { wanted, unrouted: unrouted.into_iter().collect(), refusal }
    })
}
