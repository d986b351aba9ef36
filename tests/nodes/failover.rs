//! The leader changes while a client of the Service asks 200 times a second.

use kube::api::DeleteParams;

use crate::cluster::{Cluster, OPERATOR, say};
use crate::traffic::{Change, Connections, Traffic, now};
use crate::world::{World, name, node};

/// A file of `examples/` that has a group, and the Service of its leader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Example {
    file: &'static str,
    /// The group, which has the name of its pods' label `app`.
    pub(crate) app: &'static str,
    service: &'static str,
}

/// The Service selects by the label.
pub(crate) const LABELLED: Example = Example { file: "orders.yaml", app: "orders", service: "orders-leader" };
/// The operator routes the Service.
pub(crate) const ROUTED: Example =
    Example { file: "routing.yaml", app: "billing", service: "billing-active" };

/// An example with a leader, and a client on another node than it.
pub(crate) struct Run {
    test: &'static str,
    example: Example,
    pub(crate) world: World,
    pub(crate) traffic: Traffic,
    pub(crate) leader: String,
    node: String,
}

impl Run {
    async fn start(test: &'static str, example: Example) -> Option<Self> {
        Some(Self::start_in(World::new(test).await?, test, example).await)
    }

    pub(crate) async fn start_in(world: World, test: &'static str, example: Example) -> Self {
        world.example(example.file);
        world.until_ready(&format!("app={}", example.app), 3).await;
        let leader = world.until_leader(example.app, &[]).await;
        let elsewhere = world.other_nodes(&node(&leader)).await;
        let elsewhere = elsewhere.first().expect("another node");
        let traffic = Traffic::start(&world, example.service, elsewhere, Connections::New).await;
        traffic.until_only(&name(&leader)).await;
        Self { test, example, world, traffic, leader: name(&leader), node: node(&leader) }
    }

    /// Orders a switchover as a user does, and gives back the pod that it names.
    async fn switch(&mut self) -> String {
        let app = self.example.app;
        let others = self.world.until_ready(&format!("app={app},role!=leader"), 2).await;
        let target = name(&others[0]);
        let annotation = format!("election-operator.io/switchover={target}");
        let cause = now();
        self.world.kubectl(&["annotate", "electiongroup", app, &annotation]);
        assert_eq!(self.judge(cause).await, target);
        target
    }

    /// Deletes the leader's pod. The `StatefulSet` makes a pod of that name, which follows.
    async fn delete(&mut self) {
        let app = self.example.app;
        let cause = now();
        let deleted = self.world.pods().delete(&self.leader, &DeleteParams::default()).await;
        deleted.expect("it can be deleted");
        let new = self.judge(cause).await;
        self.world.until_ready(&format!("app={app}"), 3).await;
        assert_eq!(name(&self.world.until_leader(app, &[]).await), new);
    }

    /// Waits for the new leader, judges what the client sees, and prints it.
    async fn judge(&mut self, cause: u64) -> String {
        let new = self.world.until_leader(self.example.app, &[&self.leader]).await;
        let (old, new) = (self.leader.clone(), name(&new));
        let change = Change { cause, detected: cause, labelled: now(), old, new: new.clone() };
        let figures = self.traffic.judge(&change).await;
        say(&format!("{}: {} → {new}: {figures}", self.test, self.leader));
        self.leader.clone_from(&new);
        new
    }

    /// Prints what the client has lost since then, and gives back how many requests that were.
    ///
    /// # Panics
    /// If the leader has moved.
    pub(crate) async fn losses_under_one_leader(&self, since: u64) -> usize {
        self.traffic.catch_up().await;
        let (requests, failed, gap) = self.traffic.losses(since);
        let Self { test, example, .. } = self;
        say(&format!(
            "{test}, {}: {failed} of {requests} requests failed, longest gap {} ms",
            example.file,
            gap / 1000
        ));
        assert_eq!(name(&self.world.until_leader(example.app, &[]).await), self.leader);
        self.traffic.until_only(&self.leader).await;
        failed
    }
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn switchover() {
    let Some(mut run) = Run::start("switchover", LABELLED).await else { return };
    run.switch().await;
    run.world.finish().await;
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn leader_is_deleted() {
    let Some(mut run) = Run::start("leader_is_deleted", LABELLED).await else { return };
    run.delete().await;
    run.world.finish().await;
}

/// The short run on real nodes that `make test` has.
#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn routed_leader_is_switched_and_deleted() {
    let Some(mut run) = Run::start("routed_leader_is_switched_and_deleted", ROUTED).await else { return };
    run.switch().await;
    run.delete().await;
    run.world.finish().await;
}

/// The old leader goes on serving on a node that is cut off. When the node is back, it does not lead again.
#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn node_is_lost() {
    let Some(mut run) = Run::start("node_is_lost", LABELLED).await else { return };
    let operators = format!("operator on {:?}", operators(&run.world));
    let Some(cut) = Cluster::cut(&run.node) else {
        say("skipped node_is_lost: ELECTION_OPERATOR_NODES_CUT and _MEND are not set: see docs/nodes.md");
        return run.world.finish().await;
    };
    let cause = now();
    say(&format!("node_is_lost: {} with {} is cut off; {operators}", run.node, run.leader));
    let new = run.judge(cause).await;
    drop(cut);
    run.world.until_node_ready(&run.node).await;
    run.world.until_ready("app=orders", 3).await;
    assert_eq!(name(&run.world.until_leader("orders", &[]).await), new);
    run.traffic.until_only(&new).await;
    run.world.finish().await;
}

/// A user replaces every pod of the operator. No leader moves.
#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn operator_is_replaced() {
    let Some(run) = Run::start("operator_is_replaced", LABELLED).await else { return };
    let before = now();
    let operator = format!("deployment/{OPERATOR}");
    run.world.cluster.kubectl(&["--namespace", OPERATOR, "rollout", "restart", &operator]);
    run.world.until_operator_complete();
    run.losses_under_one_leader(before).await;
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
