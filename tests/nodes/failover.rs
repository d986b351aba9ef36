//! The leader changes while a client of the Service asks 200 times a second.

use kube::api::DeleteParams;

use crate::cluster::{Cluster, OPERATOR, say};
use crate::traffic::{Change, Connections, Traffic, now};
use crate::world::{World, eventually, name, node};

/// `examples/orders.yaml` with a leader, and a client on another node than it.
struct Run {
    test: &'static str,
    world: World,
    traffic: Traffic,
    leader: String,
    node: String,
}

impl Run {
    async fn start(test: &'static str) -> Option<Self> {
        let world = World::new(test).await?;
        world.example("orders.yaml");
        world.until_ready("app=orders", 3).await;
        let leader = world.until_leader("orders", &[]).await;
        let elsewhere = world.other_nodes(&node(&leader)).await;
        let elsewhere = elsewhere.first().expect("another node");
        let traffic = Traffic::start(&world, "orders-leader", elsewhere, Connections::New).await;
        traffic.until_only(&name(&leader)).await;
        Some(Self { test, world, traffic, leader: name(&leader), node: node(&leader) })
    }

    /// Waits for the new leader, judges what the client sees, and prints it.
    async fn judge(&self, cause: u64) -> String {
        let new = self.world.until_leader("orders", &[&self.leader]).await;
        let change = Change { cause, labelled: now(), old: self.leader.clone(), new: name(&new) };
        let figures = self.traffic.judge(&change).await;
        say(&format!("{}: {} → {}: {figures}", self.test, self.leader, name(&new)));
        name(&new)
    }
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn switchover() {
    let Some(run) = Run::start("switchover").await else { return };
    let others = run.world.until_ready("app=orders,role!=leader", 2).await;
    let target = name(&others[0]);
    let annotation = format!("election-operator.io/switchover={target}");
    let cause = now();
    run.world.kubectl(&["annotate", "electiongroup", "orders", &annotation]);
    assert_eq!(run.judge(cause).await, target);
    run.world.finish().await;
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn leader_is_deleted() {
    let Some(run) = Run::start("leader_is_deleted").await else { return };
    let cause = now();
    run.world.pods().delete(&run.leader, &DeleteParams::default()).await.expect("it can be deleted");
    let new = run.judge(cause).await;
    // The StatefulSet makes a pod of the old name, which follows.
    run.world.until_ready("app=orders", 3).await;
    assert_eq!(name(&run.world.until_leader("orders", &[]).await), new);
    run.world.finish().await;
}

/// The old leader goes on serving on a node that is cut off. When the node is back, it does not lead again.
#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn node_is_lost() {
    let Some(run) = Run::start("node_is_lost").await else { return };
    let operators = format!("operator on {:?}", operators(&run.world));
    let Some(cut) = Cluster::cut(&run.node) else {
        say("skipped node_is_lost: ELECTION_OPERATOR_NODES_CUT and _MEND are not set: see docs/nodes.md");
        return run.world.finish().await;
    };
    let cause = now();
    say(&format!("node_is_lost: {} with {} is cut off; {operators}", run.node, run.leader));
    let new = run.judge(cause).await;
    drop(cut);
    eventually("the node is Ready again", async || {
        run.world.other_nodes("").await.contains(&run.node).then_some(())
    })
    .await;
    run.world.until_ready("app=orders", 3).await;
    assert_eq!(name(&run.world.until_leader("orders", &[]).await), new);
    run.traffic.until_only(&new).await;
    run.world.finish().await;
}

/// A user replaces every pod of the operator. No leader moves.
#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn operator_is_replaced() {
    let Some(run) = Run::start("operator_is_replaced").await else { return };
    let before = now();
    let operator = format!("deployment/{OPERATOR}");
    run.world.cluster.kubectl(&["--namespace", OPERATOR, "rollout", "restart", &operator]);
    run.world.cluster.kubectl(&["--namespace", OPERATOR, "rollout", "status", &operator, "--timeout=120s"]);
    run.traffic.catch_up().await;
    let (requests, failed, gap) = run.traffic.losses(before);
    say(&format!(
        "operator_is_replaced: {failed} of {requests} requests failed, longest gap {} ms",
        gap / 1000
    ));
    assert_eq!(name(&run.world.until_leader("orders", &[]).await), run.leader);
    run.traffic.until_only(&run.leader).await;
    run.world.finish().await;
}

/// The nodes that the operator's replicas are on.
fn operators(world: &World) -> Vec<String> {
    let nodes = world.cluster.kubectl(&[
        "--namespace",
        OPERATOR,
        "get",
        "pods",
        "--output",
        "jsonpath={.items[*].spec.nodeName}",
    ]);
    nodes.split_whitespace().map(str::to_owned).collect()
}
