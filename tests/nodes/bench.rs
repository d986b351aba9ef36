//! From a cause to the first answer of the new leader, as clients see it. `make bench-nodes`.
//!
//! The same application runs in several ways: in an `ElectionGroup` whose Service selects by the label; in
//! one that routes its Service; both again, serving for two seconds after SIGTERM; in mode Nominated, as the
//! command of `elect`; as a Deployment of one replica. Each cause happens `ELECTION_OPERATOR_NODES_RUNS` times
//! (default 5). One client opens new connections, another keeps its own.
//!
//! `ELECTION_OPERATOR_NODES_WAYS` and `ELECTION_OPERATOR_NODES_CAUSES` name what is to be run (default:
//! all): beginnings of titles and of names, with a semicolon between. `ELECTION_OPERATOR_NODES_PICTURE` names
//! a file for the picture (SVG).

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::{say, variable};
use crate::processes;
use crate::traffic::{Change, Connections, Figures, Traffic, now};
use crate::world::{World, name, node};

mod causes;
mod picture;
mod table;
mod ways;

use causes::Cause;
use table::Row;
use ways::Way;

/// Waits until everything is at rest, and gives back the leader.
async fn at_rest(world: &World, way: &Way, client: &Traffic) -> Pod {
    world.until_ready("app=orders", way.replicas).await;
    let leader = world.until_only_ready(way.leaders, &[]).await;
    client.until_only(&name(&leader)).await;
    // kube-proxy counts its second from the last change: the wait must not have a fixed length.
    tokio::time::sleep(std::time::Duration::from_millis(2000 + now() % 1000)).await;
    leader
}

/// The leader, after a switchover to another node if it is on the node of the clients.
async fn leader_elsewhere(world: &World, way: &Way, clients: &Clients) -> Pod {
    let leader = at_rest(world, way, &clients.fresh).await;
    if node(&leader) != clients.place {
        return leader;
    }
    let pods = world.pods_with("app=orders").await;
    let other = pods.iter().find(|pod| node(pod) != clients.place).expect("a pod on another node");
    world.switch_to("orders", &name(other)).await;
    world.until_only_ready(way.leaders, &[&name(&leader)]).await;
    at_rest(world, way, &clients.fresh).await
}

/// The two clients, on one node.
struct Clients {
    fresh: Traffic,
    kept: Traffic,
    place: String,
}

impl Clients {
    async fn start(world: &World, way: &Way) -> Self {
        let leader = world.until_only_ready(way.leaders, &[]).await;
        let place = world.other_nodes(&node(&leader)).await.pop().expect("another node");
        let fresh = Traffic::start(world, way.service, &place, Connections::New).await;
        let kept = Traffic::start(world, way.service, &place, Connections::Kept).await;
        Self { fresh, kept, place }
    }

    async fn end(self) {
        self.fresh.end().await;
        self.kept.end().await;
    }
}

/// One change of the leader, seen by both clients.
async fn once(world: &World, way: &Way, cause: Cause, clients: &Clients) -> [Figures; 2] {
    let leader = match cause {
        Cause::NodeLost => leader_elsewhere(world, way, clients).await,
        _ => at_rest(world, way, &clients.fresh).await,
    };
    let old = name(&leader);
    let pods = world.pods_with("app=orders").await;
    let other = pods.iter().map(name).find(|name| *name != old).unwrap_or_default();
    let done = cause.happens(world, &leader, &other).await;
    let new = name(&world.until_only_ready(way.leaders, &[&old]).await);
    let detected = done.detected.unwrap_or(done.cause);
    let change = Change { cause: done.cause, detected, labelled: now(), old, new };
    let fresh = clients.fresh.judge(&change).await;
    let kept = clients.kept.figures(&change);
    cause.ends(world, &leader, done).await;
    [fresh, kept]
}

/// A rolling update, in which the leader changes once or more.
async fn rolling_update(world: &World, way: &Way, clients: &Clients) -> [Figures; 2] {
    at_rest(world, way, &clients.fresh).await;
    let before = now();
    world.kubectl(&["rollout", "restart", way.workload]);
    world.kubectl(&["rollout", "status", way.workload, "--timeout=120s"]);
    let leader = world.until_only_ready(way.leaders, &[]).await;
    clients.fresh.until_only(&name(&leader)).await;
    clients.fresh.catch_up().await;
    [&clients.fresh, &clients.kept].map(|client| client.losses_alone(before))
}

/// Whether a variable names this, or nothing at all.
fn wanted(name: &str, what: &str) -> bool {
    let wanted = variable(name).unwrap_or_default();
    wanted.split(';').any(|beginning| what.starts_with(beginning.trim()))
}

async fn rows_of(world: &World, way: &Way, runs: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    let causes = way.causes.iter().copied().map(Some).chain([None]);
    for cause in causes.filter(|cause| wanted("CAUSES", cause.map_or("rolling update", Cause::name))) {
        if cause == Some(Cause::NodeLost) && variable("CUT").is_none() {
            say("left out: node lost. ELECTION_OPERATOR_NODES_CUT is not set");
            continue;
        }
        let clients = Clients::start(world, way).await;
        let mut row = Row { way: way.title, cause, figures: Vec::new() };
        for _ in 0..runs {
            row.figures.push(match cause {
                Some(cause) => once(world, way, cause, &clients).await,
                None => rolling_update(world, way, &clients).await,
            });
        }
        clients.end().await;
        say(&format!("{}: {}", way.title, row.line()));
        rows.push(row);
    }
    rows
}

#[tokio::test]
#[ignore = "needs real nodes, and minutes: make bench-nodes"]
async fn what_a_client_waits_for() {
    let runs = variable("RUNS")
        .map_or(5, |runs| runs.parse::<u32>().expect("ELECTION_OPERATOR_NODES_RUNS is a number"));
    let mut rows = Vec::new();
    for way in ways::ways().into_iter().filter(|way| wanted("WAYS", way.title)) {
        let Some(world) = World::new("what_a_client_waits_for").await else { return };
        if way.objects.contains(processes::IMAGE) {
            processes::load_workers_image();
        }
        world.apply(&way.objects);
        world.until_ready("app=orders", way.replicas).await;
        rows.extend(rows_of(&world, &way, runs).await);
        world.finish().await;
    }
    say(&table::tables(&rows));
    if let Some(file) = variable("PICTURE") {
        std::fs::write(file, picture::picture(&rows)).expect("the picture can be written");
    }
}
