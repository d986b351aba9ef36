//! Groups that route a Service by a slice of their own. In a third of the seeds users edit and
//! delete the Service and the slice, beside all else that happens. In half of these a second group
//! names the Service for a while, and the garbage collector takes its time with what a deleted group
//! leaves.
//!
//! The judge applies R1 to R4. In the end the slice routes to the recorded leader if the Service
//! lets it, and reaches no pod if not.

use election_operator::planner::plan;
use election_operator::planner::plan::{Fact, Intent, Plan, RouteWrite, Step};
use election_operator::planner::seen::{Endpoint, GroupView, Snapshot};
use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;
use testkit::random::Random;

use super::api_server::State;
use super::book::collect_slices;
use super::{Mode, PODS, Planner, World, group, pod, simulate};

pub const SERVICE: &str = "db-leader";
/// The slice that Kubernetes makes for the Service once it has a selector.
const FOREIGN_SLICE: &str = "db-leader-x7k2p";
/// The other group that routes the Service, and its pod.
const RIVAL: &str = "rival";
const RIVALS_POD: &str = "rival-0";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Whether the group of this seed routes a Service.
pub fn routes(seed: u64) -> bool {
    seed % 3 == 1
}

/// Whether there is a second group for the Service of this seed.
pub fn has_rival(seed: u64) -> bool {
    routes(seed) && seed % 2 == 1
}

/// What is left to chance of a Service and its slice. The rest of the seed's history does not
/// depend on it.
pub struct Routing {
    random: Random,
    has_rival: bool,
}

impl Routing {
    pub fn of(seed: u64) -> Option<Self> {
        let random = Random::new(seed ^ 0x005e_1ec7);
        routes(seed).then_some(Self { random, has_rival: has_rival(seed) })
    }
}

impl World {
    /// The Service is there from the beginning, or comes later.
    pub fn begin_routing(&mut self) {
        let Some(Routing { random, .. }) = &mut self.routing else { return };
        if random.below(4) > 0 {
            self.server.with(create_service);
        }
    }

    /// The other group is the older one, until it is created anew.
    pub fn begin_rival(&mut self) {
        let Some(Routing { random, has_rival: true }) = &mut self.routing else { return };
        let names = random.below(2) == 0;
        self.server.with(|state| {
            name_service(state, names);
            let mut pod = pod(RIVALS_POD);
            pod["metadata"]["labels"]["app"] = json!(RIVAL);
            state.create(Kind::Pod, pod);
        });
    }

    /// One thing that happens to the group that routes the Service, too, and to what it leaves.
    fn happen_to_rival(&mut self) {
        let Some(Routing { random, has_rival }) = &mut self.routing else { return };
        let what = if *has_rival { random.below(16) } else { 0 };
        self.server.with(|state| match what {
            0..3 => collect_slices(state),
            3 => state.delete(Kind::Group, RIVAL),
            4..6 => name_service(state, false),
            6..8 => name_service(state, true),
            _ => {}
        });
    }

    /// One thing that users do to the Service or to the slice, at every other moment.
    pub fn happen_to_routing(&mut self) {
        self.happen_to_rival();
        let Some(Routing { random, .. }) = &mut self.routing else { return };
        if random.below(2) == 0 {
            return;
        }
        let what = random.below(14);
        let pod = PODS[usize::try_from(random.below(3)).unwrap()];
        self.server.with(|state| match what {
            0 => state.delete(Kind::Service, SERVICE),
            1..4 => create_service(state),
            4 => give_selector(state),
            5 => take_selector(state),
            6 => state.delete(Kind::EndpointSlice, FOREIGN_SLICE),
            7..9 => with_slice(state, |state, name| state.delete(Kind::EndpointSlice, name)),
            what => with_slice(state, |state, name| tamper(state, name, what, pod)),
        });
    }

    /// Users put right what keeps the Service from being routed; or they leave it so.
    pub fn calm_routing(&mut self) {
        let Some(Routing { random, .. }) = &mut self.routing else { return };
        let end = random.below(6);
        self.server.with(|state| {
            state.delete(Kind::EndpointSlice, FOREIGN_SLICE);
            state.delete(Kind::Group, RIVAL);
            create_service(state);
            take_selector(state);
            match end {
                0 => state.delete(Kind::Service, SERVICE),
                1 => give_selector(state),
                _ => {}
            }
        });
    }
}

fn create_service(state: &mut State) {
    let ports = json!([{ "name": "sql", "port": 5432, "protocol": "TCP", "targetPort": "sql" }]);
    let spec = json!({ "clusterIP": "10.96.0.1", "ipFamilies": ["IPv4"], "ports": ports });
    state.create(Kind::Service, json!({ "metadata": { "name": SERVICE }, "spec": spec }));
}

/// The other group names the Service from now on, or names none.
fn name_service(state: &mut State, names: bool) {
    let services = if names { json!([SERVICE]) } else { json!([]) };
    if state.object(Kind::Group, RIVAL).is_none() {
        let selector = json!({ "matchLabels": { "app": RIVAL } });
        let spec = json!({ "selector": selector, "routing": { "services": services } });
        let mut rival = group(&spec);
        rival["metadata"]["name"] = json!(RIVAL);
        return state.create(Kind::Group, rival);
    }
    state.edit(Kind::Group, RIVAL, |group| {
        group["spec"]["routing"]["services"] = services;
        let generation = group.at("/metadata/generation").as_u64().unwrap_or(0);
        group["metadata"]["generation"] = json!(generation + 1);
    });
}

/// Kubernetes then writes a slice of its own. It stays when the selector goes.
fn give_selector(state: &mut State) {
    if state.object(Kind::Service, SERVICE).is_none() {
        return;
    }
    state.edit(Kind::Service, SERVICE, |service| service["spec"]["selector"] = json!({ "app": "db" }));
    let labels = json!({ SERVICE_NAME: SERVICE, MANAGED_BY: "endpointslice-controller.k8s.io" });
    let slice = json!({
        "metadata": { "name": FOREIGN_SLICE, "labels": labels },
        "addressType": "IPv4",
        "endpoints": PODS.map(|pod| endpoint(state, pod)),
    });
    state.create(Kind::EndpointSlice, slice);
}

fn take_selector(state: &mut State) {
    state.edit(Kind::Service, SERVICE, |service| {
        service["spec"].as_object_mut().unwrap().remove("selector");
    });
}

/// The slice of the group that exists, if it has one.
fn with_slice(state: &mut State, change: impl FnOnce(&mut State, &str)) {
    let group = state.object(Kind::Group, "db").unwrap_or_default();
    let group = group.text("/metadata/uid");
    let own = state.test.judge.present().slices().find(|slice| slice.group == group);
    if let Some(name) = own.map(|slice| slice.name.clone()) {
        change(state, &name);
    }
}

/// A user edits the slice: other endpoints, more of them, another term, other ports.
fn tamper(state: &mut State, name: &str, what: u64, pod: &str) {
    let (other, all) = (endpoint(state, pod), PODS.map(|pod| endpoint(state, pod)));
    let term = |slice: &mut Value, term: Value| {
        slice["metadata"]["annotations"]["election-operator.io/term"] = term;
    };
    state.edit(Kind::EndpointSlice, name, |slice| match what {
        9 => slice["endpoints"] = json!([other]),
        10 => slice["endpoints"] = json!(all),
        // A term on a slice that has none says that the group has looked for other slices.
        11 => {
            let known = slice.text("/metadata/annotations/election-operator.io~1term").parse::<u64>();
            if let Ok(known) = known {
                term(slice, json!((known + 10).to_string()));
            }
        }
        12 => term(slice, json!("seven")),
        _ => slice["ports"] = json!([]),
    });
}

fn endpoint(state: &State, name: &str) -> Value {
    let pod = state.object(Kind::Pod, name).unwrap_or_default();
    let target = json!({ "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"] });
    json!({ "addresses": [address(name)], "conditions": { "ready": true }, "targetRef": target })
}

/// The address of a pod.
pub fn address(pod: &str) -> String {
    format!("10.0.0.{}", number(pod))
}

/// The port of a pod that its Services know by name.
pub fn port(pod: &str) -> u64 {
    5000 + number(pod)
}

fn number(pod: &str) -> u64 {
    pod.bytes().map(u64::from).sum::<u64>() % 250
}

/// L1 of the Service that the group routes, as the Service lets it be: what is missing.
pub fn unsettled(state: &State) -> Option<String> {
    let group = state.object(Kind::Group, "db")?;
    if group.list("/spec/routing/services").is_empty() {
        return None;
    }
    let present = state.test.judge.present();
    let Some(service) = state.object(Kind::Service, SERVICE) else {
        let others = present.slices().flat_map(|slice| &slice.endpoints);
        let other = others.into_iter().find(|to| to.pod != group.text("/status/leader/uid"));
        let told = group.condition("Routed").text("/reason") == "ServiceNotFound";
        return (!told || other.is_some()).then(|| format!("there is no Service: {other:?} {group}"));
    };
    if !service.at("/spec/selector").is_null() {
        let own = present.slices().find(|slice| !slice.group.is_empty());
        let told = group.condition("Routed").text("/reason") == "ServiceHasSelector";
        return (!told || own.is_some()).then(|| format!("the Service has a selector: {own:?} {group}"));
    }
    present.is_routed("db", SERVICE).err().or_else(|| misdirected(state, &group))
}

/// The slice has another address or port than the leader.
fn misdirected(state: &State, group: &Value) -> Option<String> {
    let leader = group.text("/status/leader/name");
    let slices = state.all(Kind::EndpointSlice);
    let wrong = slices.into_iter().find(|slice| {
        let right_port = slice.at("/ports/0/port") == port(leader) && slice.list("/ports").len() == 1;
        slice.text("/endpoints/0/addresses/0") != address(leader) || !right_port
    });
    wrong.map(|slice| format!("{leader} is not reached by {slice}"))
}

/// No pod leads: whether the slice reaches one all the same.
pub fn reaches_a_pod(state: &State) -> bool {
    !state.test.judge.present().is_not_routed("db", SERVICE)
}

/// The plan of an operator that does not route as it should.
fn with_routes(view: &GroupView, change: impl Fn(&Snapshot, &mut RouteWrite)) -> Plan {
    let mut steps = plan(view).into_steps();
    let Some(snapshot) = view.present() else { return Plan::of(steps) };
    for intent in steps.iter_mut().flat_map(|step| &mut step.intents) {
        if let Intent::Route(write) = intent {
            change(snapshot, write);
        }
    }
    Plan::of(steps)
}

fn another(snapshot: &Snapshot, known: &Endpoint) -> Option<Endpoint> {
    let pod = snapshot.pods.iter().find(|pod| pod.id != known.pod)?;
    Some(Endpoint { pod: pod.id.clone(), address: address(&pod.id.name), ..known.clone() })
}

#[test]
fn a_broken_operator_that_routes_is_found_out() {
    let routes_before_it_records: Planner = |view| {
        let mut first = Step::default();
        let mut steps = plan(view).into_steps();
        for step in &mut steps {
            let intents = std::mem::take(&mut step.intents).into_iter();
            let (route, rest) = intents.partition(|intent| matches!(intent, Intent::Route(_)));
            first.intents.extend::<Vec<_>>(route);
            step.intents = rest;
        }
        steps.insert(0, first);
        steps.retain(|step| !step.intents.is_empty());
        Plan::of(steps)
    };
    let routes_to_another_pod: Planner = |view| {
        with_routes(view, |snapshot, write| {
            for endpoint in &mut write.content.endpoints {
                *endpoint = another(snapshot, endpoint).unwrap_or_else(|| endpoint.clone());
            }
        })
    };
    let routes_to_two_pods: Planner = |view| {
        with_routes(view, |snapshot, write| {
            let more = write.content.endpoints.first().and_then(|known| another(snapshot, known));
            write.content.endpoints.extend(more);
        })
    };
    // What an earlier version did: it looked for the slices of other writers alone.
    let minds_no_other_group: Planner = |view| {
        let mut view = view.clone();
        if let GroupView::Present(snapshot) = &mut view {
            snapshot.routes.iter_mut().for_each(|route| route.others.clear());
        }
        let mut steps = plan(&view).into_steps();
        for step in &mut steps {
            step.intents.retain(|intent| !matches!(intent, Intent::Confirm(Fact::NoOtherSlices { .. })));
        }
        steps.retain(|step| !step.intents.is_empty());
        Plan::of(steps)
    };
    // The model has the operator that never asks for the record.
    let broken = [
        (minds_no_other_group, "R1"),
        (routes_before_it_records, "R3"),
        (routes_to_another_pod, "R3"),
        (routes_to_two_pods, "R1"),
    ];
    for (planner, law) in broken {
        let seeds = (0..6000).filter(|seed| routes(*seed));
        let mut failures =
            seeds.filter_map(|seed| Some((seed, simulate(Mode::Managed, seed, planner).result.err()?)));
        let found = failures.find(|(_, failure)| failure.starts_with(law));
        println!("{law}: {found:?}");
        assert!(found.is_some(), "no seed shows that {law} does not hold");
    }
}
