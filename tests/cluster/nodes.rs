//! Nodes that fall silent. The nodes here are the test's own: it writes their Leases, as kubelets do, or does not.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::feed::What;
use testkit::json::At;
use testkit::json::merged;
use testkit::kind::Kind;
use testkit::world::micro_time;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use crate::harness::world::unique;
use crate::harness::{Operator, World};

/// The silence of most nodes, which one test is about, would disturb the others.
static MOST_NODES: RwLock<()> = RwLock::const_new(());

/// How long a node may be silent: two and a half of the intervals at which the simulated nodes renew, the least that
/// counts.
const PATIENCE: u64 = 25;

/// Nodes of the test's own, by their Leases alone, but for the first: that one has an object and can have pods.
struct Nodes<'a> {
    world: &'a World,
    names: Vec<String>,
}

impl<'a> Nodes<'a> {
    async fn new(world: &'a World, count: usize) -> Self {
        let names: Vec<_> = (0..count).map(|_| unique("silent")).collect();
        let nodes = Self { world, names };
        nodes.remove_those_of_earlier_runs().await;
        let node = json!({ "metadata": { "name": nodes.names[0] } });
        let api: Api<Node> = Api::all(world.client.clone());
        api.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        nodes
    }

    fn leases(&self) -> Api<DynamicObject> {
        leases(&self.world.client)
    }

    async fn remove_those_of_earlier_runs(&self) {
        for lease in self.leases().list(&ListParams::default()).await.unwrap() {
            let name = lease.metadata.name.unwrap_or_default();
            if name.starts_with("silent-") {
                let _ = self.leases().delete(&name, &DeleteParams::default()).await;
            }
        }
    }

    async fn beat_all(&self, nodes: &[String]) {
        for node in nodes {
            beat(&self.world.client, node).await;
        }
    }

    /// Beats for these nodes as kubelets do, for ever.
    async fn keep_beating(&self, nodes: &[String]) -> Infallible {
        loop {
            self.beat_all(nodes).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    async fn remove(self) {
        for name in &self.names {
            let _ = self.leases().delete(name, &DeleteParams::default()).await;
        }
        let nodes: Api<Node> = Api::all(self.world.client.clone());
        let _ = nodes.delete(&self.names[0], &DeleteParams::default()).await;
    }
}

fn leases(client: &Client) -> Api<DynamicObject> {
    Kind::Lease.api(client, "kube-node-lease")
}

/// The heartbeat of one node.
async fn beat(client: &Client, node: &str) {
    let now = micro_time();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": node },
        "spec": { "holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": now },
    });
    let params = PatchParams::apply("kubelet").force();
    leases(client).patch(node, &params, &Patch::Apply(&lease)).await.expect("a node Lease can be written");
}

/// What a kubelet does for its node, so that the control plane takes it for one. Nobody else's pods come to this node.
struct Kubelet {
    client: Client,
    node: String,
    heart: JoinHandle<()>,
}

impl Kubelet {
    async fn start(world: &World) -> Self {
        let (client, node) = (world.client.clone(), unique("kubelet"));
        let heart = Self::report(&client, &node).await;
        Self { client, node, heart }
    }

    /// Registers the node, says that it is Ready, and renews its Lease every 10 s.
    async fn report(client: &Client, name: &str) -> JoinHandle<()> {
        let nodes: Api<Node> = Api::all(client.clone());
        let node = json!({ "metadata": { "name": name }, "spec": { "unschedulable": true } });
        // It is there already if only its kubelet was away.
        let _ = nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await;
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let ready = json!({
            "type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        });
        let status = Patch::Strategic(json!({ "status": { "conditions": [ready] } }));
        nodes.patch_status(name, &PatchParams::default(), &status).await.expect("a node can be reported on");
        beat(client, name).await;
        let (client, name) = (client.clone(), name.to_owned());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(10)).await;
                beat(&client, &name).await;
            }
        })
    }

    /// Renews the Lease for the last time.
    async fn fall_silent(&self) -> Instant {
        self.heart.abort();
        beat(&self.client, &self.node).await;
        Instant::now()
    }

    async fn come_back(&mut self) {
        self.heart = Self::report(&self.client, &self.node).await;
    }

    /// The machine is taken out of the cluster.
    async fn delete(&self) {
        self.heart.abort();
        let nodes: Api<Node> = Api::all(self.client.clone());
        let _ = nodes.delete(&self.node, &DeleteParams::default()).await;
        let _ = leases(&self.client).delete(&self.node, &DeleteParams::default()).await;
    }
}

/// A pod on a node that nobody simulates: the test reports for it, too.
async fn pod_on(world: &World, name: &str, node: &str) {
    let body = merged(World::pod_body(name), &json!({ "spec": { "nodeName": node } }));
    world.create(Kind::Pod, body).await;
    let status =
        json!({ "status": { "phase": "Running", "podIP": "10.9.0.1", "podIPs": [{ "ip": "10.9.0.1" }] } });
    world.patch_status(Kind::Pod, name, status).await;
    world.set_ready(name, true).await;
}

fn newest_reason(group: &Value) -> &str {
    group.text("/status/history/0/reason")
}

/// `a` leads, on a node of the test's own, and `b` follows.
async fn led_on(world: &World, node: &str) -> Operator {
    pod_on(world, "a", node).await;
    let operator = Operator::start(world).await;
    world.group("orders", json!({})).await;
    world.until_led_by("orders", "a").await;
    world.pod("b").await;
    world.until_role("b", "follower").await;
    operator
}

/// With the defaults of this operator and of Kubernetes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_silent_node_loses_the_leader_long_before_kubernetes_calls_its_pods_not_ready() {
    let _beside_others = MOST_NODES.read().await;
    let world = World::new("node-flip").await;
    let mut kubelet = Kubelet::start(&world).await;
    let _operator = led_on(&world, &kubelet.node).await;
    let last_sign = kubelet.fall_silent().await;
    let group = world.until_led_by("orders", "b").await;
    assert_eq!(newest_reason(&group), "NodeSilent");
    world.until(Kind::Pod, "a", "not Ready, says Kubernetes", |pod| pod.has("Ready", "False")).await;

    // Heard again, the node can have the leader again, and not before.
    world.set_ready("a", true).await;
    let request = json!({ "metadata": { "annotations": { "election-operator.io/switchover": "a" } } });
    world.patch(Kind::Group, "orders", request).await;
    let refusal = world.until_event("orders", "SwitchoverRefused").await;
    assert!(refusal.text("/note").ends_with("pod a is not eligible: its node is silent"), "{refusal:#}");
    kubelet.come_back().await;
    world.until_eligible(2).await;
    kubelet.delete().await;

    let journal = world.finish().await;
    let moved = journal.steps().into_iter().rfind(|step| step.what == What::Gained).unwrap();
    let flipped =
        journal.of(Kind::Pod).find(|pod| pod.name() == "a" && pod.object.has("Ready", "False")).unwrap();
    let after = |moment: Instant| moment.duration_since(last_sign).as_secs_f64();
    println!(
        "after the last renewal of the node: new leader {:.1} s, not Ready {:.1} s",
        after(moved.seen),
        after(flipped.seen)
    );
    assert!(moved.pod == "b" && moved.number < flipped.number, "{journal}");
    assert_eq!(journal.leaders(), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_deleted_node_loses_the_leader_as_a_silent_one_does_and_can_have_it_when_it_is_back() {
    let _beside_others = MOST_NODES.read().await;
    let world = World::new("node-deleted").await;
    let mut kubelet = Kubelet::start(&world).await;
    let _operator = led_on(&world, &kubelet.node).await;
    kubelet.delete().await;
    let group = world.until_led_by("orders", "b").await;
    assert_eq!(newest_reason(&group), "NodeSilent");
    world.until_eligible(1).await;
    kubelet.come_back().await;
    world.until_eligible(2).await;
    kubelet.delete().await;
    assert_eq!(world.finish().await.leaders(), ["a", "b"]);
}

/// One test, as the silence of one node and that of most nodes would disturb each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_silent_node_loses_the_leader_unless_most_nodes_are_silent() {
    let _alone = MOST_NODES.write().await;
    let world = World::new("node-silent").await;
    let nodes = Nodes::new(&world, 9).await;
    let ours = nodes.names[0].clone();
    beat(&world.client, &ours).await;
    pod_on(&world, "a", &ours).await;
    let spec = json!({ "failover": { "nodeSilentSeconds": PATIENCE } });
    let _operator = Operator::start(&world).await;
    world.group("orders", spec).await;
    world.until_led_by("orders", "a").await;
    world.pod("b").await;

    // Only this node falls silent.
    let group = world.until_led_by("orders", "b").await;
    assert_eq!(newest_reason(&group), "NodeSilent");
    nodes.beat_all(&nodes.names[1..]).await;
    beat(&world.client, &ours).await;
    world.until(Kind::Group, "orders", "with two eligible", |g| g.number("/status/eligible") == 2).await;
    let request = json!({ "metadata": { "annotations": { "election-operator.io/switchover": "a" } } });
    world.patch(Kind::Group, "orders", request).await;
    world.until_led_by("orders", "a").await;

    // Now it and eight others do, of fourteen: it is the operator that hears nothing. Nothing happens, for as long as it
    // would have taken and then some: an event to wait for there is not.
    tokio::time::sleep(Duration::from_secs(PATIENCE + 3)).await;
    assert_eq!(world.role("a").await.as_deref(), Some("leader"));

    // When the others are heard again, the silence of this one counts from then.
    let group = tokio::select! {
        group = world.until_led_by("orders", "b") => group,
        never = nodes.keep_beating(&nodes.names[1..]) => match never {},
    };
    assert_eq!(newest_reason(&group), "NodeSilent");
    nodes.remove().await;
    assert_eq!(world.finish().await.leaders(), ["a", "b", "a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_cordoned_node_keeps_its_leader() {
    let world = World::new("node-cordon").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    let pod = world.get(Kind::Pod, "a").await.unwrap();
    let node = pod.text("/spec/nodeName");
    world.kubectl(&["cordon", node]).await;
    // The label of a new pod shows that the operator has seen what came before.
    world.pod("c").await;
    world.until_role("c", "follower").await;
    world.kubectl(&["uncordon", node]).await;
    assert_eq!(world.finish().await.leaders(), ["a"]);
}
