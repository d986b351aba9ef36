//! What a client waits for: the cause, and the first answer of the new leader. `make bench-nodes`.
//!
//! Three ways to have one pod that answers, with the same application: an `ElectionGroup` and its label, the same with an
//! application that serves for two seconds after SIGTERM, and a Deployment of one replica. Each cause is done
//! `ELECTION_OPERATOR_NODES_RUNS` times (default 5), while one client opens new connections and one keeps its own.

use kube::api::DeleteParams;

use crate::cluster::{say, variable};
use crate::traffic::{Change, Connections, Figures, Traffic, now};
use crate::world::{World, name, node};

/// What is done to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Switchover,
    Deleted,
    ForceDeleted,
    NotReady,
    Crashed,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::Deleted => "deleted",
            Self::ForceDeleted => "force-deleted",
            Self::NotReady => "not Ready",
            Self::Crashed => "crashed",
        }
    }

    /// Does it, and says since when.
    async fn happens(self, world: &World, leader: &str, other: &str) -> u64 {
        let before = now();
        match self {
            Self::Switchover => {
                world.switch_to("orders", other).await;
            }
            Self::Deleted | Self::ForceDeleted => {
                let how = DeleteParams {
                    grace_period_seconds: (self == Self::ForceDeleted).then_some(0),
                    ..DeleteParams::default()
                };
                world.pods().delete(leader, &how).await.expect("it can be deleted");
            }
            Self::NotReady => return signal(world, leader, "USR1").unwrap_or(before),
            Self::Crashed => return signal(world, leader, "TERM").unwrap_or(before),
        }
        before
    }

    /// Makes the old leader well again.
    fn ends(self, world: &World, leader: &str) {
        if self == Self::NotReady {
            signal(world, leader, "USR1");
        }
    }
}

/// Sends a signal to the application, and says when it was sent. It may take `kubectl exec` with it.
fn signal(world: &World, pod: &str, signal: &str) -> Option<u64> {
    let arguments = ["--namespace", &world.namespace, "exec", pod, "--", "/kit", "signal", signal];
    world.cluster.kubectl_prints(&arguments).trim().parse().ok()
}

/// One way to have a leader: the objects, as YAML, and how the leader is found.
struct Way {
    title: &'static str,
    objects: String,
    replicas: usize,
    leaders: &'static str,
    causes: &'static [Cause],
}

/// The objects of `examples/orders.yaml`, with the image that has the means to misbehave.
fn orders(arguments: &str) -> String {
    let path = format!("{}/examples/orders.yaml", env!("CARGO_MANIFEST_DIR"));
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

/// The same application as a Deployment of one replica, which nobody elects.
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

fn ways() -> [Way; 3] {
    const ALL: &[Cause] =
        &[Cause::Switchover, Cause::Deleted, Cause::ForceDeleted, Cause::NotReady, Cause::Crashed];
    let elected = "app=orders,role=leader";
    [
        Way { title: "labels", objects: orders(""), replicas: 3, leaders: elected, causes: ALL },
        Way {
            title: "labels, leader serves 2 s after SIGTERM",
            objects: orders(", --delay-shutdown=2"),
            replicas: 3,
            leaders: elected,
            causes: &[Cause::Switchover, Cause::Deleted],
        },
        Way {
            title: "Deployment of one replica",
            objects: SINGLE.to_owned(),
            replicas: 1,
            leaders: "app=orders",
            causes: &[Cause::Deleted, Cause::ForceDeleted],
        },
    ]
}

/// One change of the leader, seen by both clients.
async fn once(world: &World, way: &Way, cause: Cause, clients: [&Traffic; 2]) -> [Figures; 2] {
    world.until_ready("app=orders", way.replicas).await;
    let old = name(&world.until_only_ready(way.leaders, &[]).await);
    clients[0].until_only(&old).await;
    // Not at a fixed time after the last change: kube-proxy counts its second from there.
    tokio::time::sleep(std::time::Duration::from_millis(2000 + now() % 1000)).await;
    let pods = world.pods_with("app=orders").await;
    let other = pods.iter().map(name).find(|name| *name != old).unwrap_or_default();
    let since = cause.happens(world, &old, &other).await;
    let new = name(&world.until_only_ready(way.leaders, &[&old]).await);
    let change = Change { cause: since, labelled: now(), old: old.clone(), new };
    let fresh = clients[0].judge(&change).await;
    let kept = clients[1].figures(&change);
    cause.ends(world, &old);
    [fresh, kept]
}

/// The middle and the greatest, in milliseconds or as a number.
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

const HEADER: &str = "\
| way: cause (runs); p50 / max | cause → label seen, ms | cause → first answer of the new leader, ms | longest gap, ms \
| failed | old leader answered, begun after the label | kept: longest gap, ms | kept: failed \
| kept: old leader answered after the new one |
|---|---|---|---|---|---|---|---|---|";

#[tokio::test]
#[ignore = "needs real nodes, and minutes: make bench-nodes"]
async fn what_a_client_waits_for() {
    let runs =
        variable("RUNS").map_or(5, |runs| runs.parse().expect("ELECTION_OPERATOR_NODES_RUNS is a number"));
    let mut rows = Vec::new();
    for way in ways() {
        let Some(world) = World::new("what_a_client_waits_for").await else { return };
        world.apply(&way.objects);
        world.until_ready("app=orders", way.replicas).await;
        let leader = world.until_only_ready(way.leaders, &[]).await;
        let place = world.other_nodes(&node(&leader)).await.pop().expect("another node");
        let fresh = Traffic::start(&world, "orders-leader", &place, Connections::New).await;
        let kept = Traffic::start(&world, "orders-leader", &place, Connections::Kept).await;
        for cause in way.causes {
            let mut figures = Vec::new();
            for _ in 0..runs {
                let both = once(&world, &way, *cause, [&fresh, &kept]).await;
                say(&format!("{}: {}: {}", way.title, cause.name(), both[0]));
                figures.push(both);
            }
            rows.push(row(way.title, *cause, &figures));
        }
        world.finish().await;
    }
    say(&format!("\n{HEADER}\n{}", rows.join("\n")));
}
