//! From a cause to the first answer of the new leader, as clients see it. `make bench-nodes`.
//!
//! The same application runs in several ways: in an `ElectionGroup` whose Service selects by the label; in
//! one that routes its Service; both again, serving for two seconds after SIGTERM; as a Deployment of one
//! replica. Each cause happens `ELECTION_OPERATOR_NODES_RUNS` times (default 5).
//! `ELECTION_OPERATOR_NODES_WAYS` is the beginning of the titles of the ways to be run (default: all). One
//! client opens new connections, another keeps its own.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams};

use crate::cluster::{say, variable};
use crate::traffic::{Change, Connections, Figures, Traffic, now};
use crate::world::{World, name, node};

/// What is done to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Switchover,
    Deleted,
    ForceDeleted,
    Drained,
    NotReady,
    Crashed,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::Deleted => "deleted",
            Self::ForceDeleted => "force-deleted",
            Self::Drained => "drained",
            Self::NotReady => "not Ready",
            Self::Crashed => "crashed",
        }
    }

    /// Makes it happen, and gives back when it did.
    async fn happens(self, world: &World, leader: &Pod, other: &str) -> u64 {
        if self == Self::Drained {
            world.cluster.kubectl(&["cordon", &node(leader)]);
        }
        let leader = &name(leader);
        let before = now();
        match self {
            Self::Switchover => world.switch_to("orders", other).await,
            Self::Deleted | Self::ForceDeleted => {
                let how = DeleteParams {
                    grace_period_seconds: (self == Self::ForceDeleted).then_some(0),
                    ..DeleteParams::default()
                };
                world.pods().delete(leader, &how).await.expect("it can be deleted");
            }
            Self::Drained => {
                // As `kubectl drain` does, which waits until the pod is deleted.
                let evicted = world.pods().evict(leader, &EvictParams::default()).await;
                evicted.expect("it can be evicted");
            }
            Self::NotReady => {
                signal(world, leader, "USR1");
                // The kubelet's probe fails three times before the pod is not Ready: that is the cause.
                return world.until_not_ready(leader).await;
            }
            Self::Crashed => return signal(world, leader, "TERM").unwrap_or(before),
        }
        before
    }

    /// Makes the old leader's application healthy again, or its node usable.
    fn ends(self, world: &World, leader: &Pod) {
        match self {
            Self::NotReady => drop(signal(world, &name(leader), "USR1")),
            Self::Drained => drop(world.cluster.kubectl(&["uncordon", &node(leader)])),
            Self::Switchover | Self::Deleted | Self::ForceDeleted | Self::Crashed => (),
        }
    }
}

/// Sends a signal to the application, and gives back when. `kubectl exec` may end with the container.
fn signal(world: &World, pod: &str, signal: &str) -> Option<u64> {
    let arguments = ["--namespace", &world.namespace, "exec", pod, "--", "/kit", "signal", signal];
    world.cluster.kubectl_prints(&arguments).trim().parse().ok()
}

/// One way to have a pod that answers.
struct Way {
    title: &'static str,
    objects: String,
    replicas: usize,
    leaders: &'static str,
    /// What the clients ask.
    service: &'static str,
    /// What a rolling update restarts.
    workload: &'static str,
    causes: &'static [Cause],
}

/// The objects of `examples/orders.yaml`, with an image that takes signals on any cluster.
fn labelled(arguments: &str) -> String {
    example("orders.yaml", arguments)
}

/// The same with the routing of `examples/routing.yaml`.
fn routed(arguments: &str) -> String {
    example("routing.yaml", arguments).replace("billing", "orders")
}

/// One more Service with a cluster address over all pods: kube-proxy syncs for its endpoints, too.
const BESIDE: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: orders-all}
spec:
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: http}]
";

fn example(file: &str, arguments: &str) -> String {
    let path = format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the example is there");
    let lines = text.lines().map(|line| match line.trim_start() {
        image if image.starts_with("image: ") => {
            line.replace(&image[7..], "election-operator.io/client:test")
        }
        args if args.starts_with("args: ") => line.replace("8080]", &format!("8080{arguments}]")),
        _ => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

/// The same application as a Deployment of one replica, without an election.
const SINGLE: &str = "
apiVersion: v1
kind: Service
metadata: {name: orders-leader}
spec:
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders}
spec:
  replicas: 1
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec:
      containers:
        - name: orders
          image: election-operator.io/client:test
          args: [netexec, --http-port=8080]
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
";

fn ways() -> [Way; 6] {
    use Cause::{Crashed, Deleted, Drained, ForceDeleted, NotReady, Switchover};
    const ALL: &[Cause] = &[Switchover, Deleted, ForceDeleted, Drained, NotReady, Crashed];
    const DRAINING: &[Cause] = &[Switchover, Deleted, Drained];
    let elected = "app=orders,role=leader";
    [
        Way {
            title: "labels",
            objects: labelled(""),
            replicas: 3,
            leaders: elected,
            service: "orders-leader",
            workload: "statefulset/orders",
            causes: ALL,
        },
        Way {
            title: "labels, leader serves 2 s after SIGTERM",
            objects: labelled(", --delay-shutdown=2"),
            replicas: 3,
            leaders: elected,
            service: "orders-leader",
            workload: "statefulset/orders",
            causes: DRAINING,
        },
        Way {
            title: "routing",
            objects: routed(""),
            replicas: 3,
            leaders: elected,
            service: "orders-active",
            workload: "statefulset/orders",
            causes: ALL,
        },
        Way {
            title: "routing, leader serves 2 s after SIGTERM",
            objects: routed(", --delay-shutdown=2"),
            replicas: 3,
            leaders: elected,
            service: "orders-active",
            workload: "statefulset/orders",
            causes: DRAINING,
        },
        Way {
            title: "routing, and a second Service over the pods",
            objects: routed("") + BESIDE,
            replicas: 3,
            leaders: elected,
            service: "orders-active",
            workload: "statefulset/orders",
            causes: &[Switchover, NotReady, Crashed],
        },
        Way {
            title: "Deployment of one replica",
            objects: SINGLE.to_owned(),
            replicas: 1,
            leaders: "app=orders",
            service: "orders-leader",
            workload: "deployment/orders",
            causes: &[Deleted, ForceDeleted],
        },
    ]
}

/// Waits until everything is at rest, and gives back the leader.
async fn at_rest(world: &World, way: &Way, client: &Traffic) -> Pod {
    world.until_ready("app=orders", way.replicas).await;
    let leader = world.until_only_ready(way.leaders, &[]).await;
    client.until_only(&name(&leader)).await;
    // kube-proxy counts its second from the last change: the wait must not have a fixed length.
    tokio::time::sleep(std::time::Duration::from_millis(2000 + now() % 1000)).await;
    leader
}

/// One change of the leader, seen by both clients.
async fn once(world: &World, way: &Way, cause: Cause, clients: [&Traffic; 2]) -> [Figures; 2] {
    let leader = at_rest(world, way, clients[0]).await;
    let old = name(&leader);
    let pods = world.pods_with("app=orders").await;
    let other = pods.iter().map(name).find(|name| *name != old).unwrap_or_default();
    let since = cause.happens(world, &leader, &other).await;
    let new = name(&world.until_only_ready(way.leaders, &[&old]).await);
    let change = Change { cause: since, labelled: now(), old, new };
    let fresh = clients[0].judge(&change).await;
    let kept = clients[1].figures(&change);
    cause.ends(world, &leader);
    [fresh, kept]
}

/// A rolling update, in which the leader changes once or more: failed requests and the longest gap of both clients.
async fn rolling_update(world: &World, way: &Way, clients: [&Traffic; 2]) -> [(u64, u64); 2] {
    at_rest(world, way, clients[0]).await;
    let before = now();
    world.kubectl(&["rollout", "restart", way.workload]);
    world.kubectl(&["rollout", "status", way.workload, "--timeout=120s"]);
    let leader = world.until_only_ready(way.leaders, &[]).await;
    clients[0].until_only(&name(&leader)).await;
    clients[0].catch_up().await;
    clients.map(|client| {
        let (_, failed, gap) = client.losses(before);
        (failed as u64, gap / 1000)
    })
}

/// p50 and maximum.
fn spread(mut values: Vec<u64>) -> String {
    values.sort_unstable();
    let most = values.last().copied().unwrap_or_default();
    format!("{} / {most}", values.get((values.len() - 1) / 2).copied().unwrap_or_default())
}

fn row(way: &str, cause: Cause, figures: &[[Figures; 2]]) -> String {
    let fresh = |of: fn(&Figures) -> u64| spread(figures.iter().map(|both| of(&both[0])).collect());
    let kept = |of: fn(&Figures) -> u64| spread(figures.iter().map(|both| of(&both[1])).collect());
    format!(
        "| {way}: {} ({}) | {} | {} | {} | {} | {} | {} | {} | {} |",
        cause.name(),
        figures.len(),
        fresh(|one| one.label / 1000),
        fresh(|one| one.answer / 1000),
        fresh(|one| one.gap / 1000),
        fresh(|one| one.failed as u64),
        fresh(|one| one.old_after_label as u64),
        kept(|one| one.gap / 1000),
        kept(|one| one.failed as u64),
        kept(|one| one.old_after_new as u64),
    )
}

fn row_of_updates(way: &str, losses: &[[(u64, u64); 2]]) -> String {
    let of = |client: usize, of: fn(&(u64, u64)) -> u64| {
        spread(losses.iter().map(|both| of(&both[client])).collect())
    };
    format!(
        "| {way}: rolling update ({}) | – | – | {} | {} | – | {} | {} | – |",
        losses.len(),
        of(0, |one| one.1),
        of(0, |one| one.0),
        of(1, |one| one.1),
        of(1, |one| one.0),
    )
}

const HEADER: &str = "\
| way: cause (runs); p50 / max | cause → label seen, ms | cause → first answer of the new leader, ms | longest gap, ms \
| failed | old leader answered, begun after the label | kept: longest gap, ms | kept: failed \
| kept: old leader answered after the new one |
|---|---|---|---|---|---|---|---|---|";

#[tokio::test]
#[ignore = "needs real nodes, and minutes: make bench-nodes"]
async fn what_a_client_waits_for() {
    let runs = variable("RUNS")
        .map_or(5, |runs| runs.parse::<u32>().expect("ELECTION_OPERATOR_NODES_RUNS is a number"));
    let mut rows = Vec::new();
    let wanted = variable("WAYS").unwrap_or_default();
    for way in ways().into_iter().filter(|way| way.title.starts_with(&wanted)) {
        let Some(world) = World::new("what_a_client_waits_for").await else { return };
        world.apply(&way.objects);
        world.until_ready("app=orders", way.replicas).await;
        let leader = world.until_only_ready(way.leaders, &[]).await;
        let place = world.other_nodes(&node(&leader)).await.pop().expect("another node");
        let fresh = Traffic::start(&world, way.service, &place, Connections::New).await;
        let kept = Traffic::start(&world, way.service, &place, Connections::Kept).await;
        for cause in way.causes {
            let mut figures = Vec::new();
            for _ in 0..runs {
                let both = once(&world, &way, *cause, [&fresh, &kept]).await;
                say(&format!("{}: {}: {}", way.title, cause.name(), both[0]));
                figures.push(both);
            }
            rows.push(row(way.title, *cause, &figures));
            say(rows.last().expect("it was added"));
        }
        let mut losses = Vec::new();
        for _ in 0..runs {
            losses.push(rolling_update(&world, &way, [&fresh, &kept]).await);
        }
        rows.push(row_of_updates(way.title, &losses));
        say(rows.last().expect("it was added"));
        world.finish().await;
    }
    say(&format!("\n{HEADER}\n{}", rows.join("\n")));
}
