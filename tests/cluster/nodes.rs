//! Nodes that fall silent. The nodes here are the test's own: it writes their Leases, as kubelets do, or does not.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::harness::json::merged;
use crate::harness::world::{Kind, unique};
use crate::harness::{At, World};

/// How long a node may be silent. Longer than the 10 s at which the simulated nodes renew.
const PATIENCE: u64 = 13;

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

    fn leases(&self) -> Api<kube::core::DynamicObject> {
        Kind::Lease.api(&self.world.client, "kube-node-lease")
    }

    async fn remove_those_of_earlier_runs(&self) {
        for lease in self.leases().list(&ListParams::default()).await.unwrap() {
            let name = lease.metadata.name.unwrap_or_default();
            if name.starts_with("silent-") {
                let _ = self.leases().delete(&name, &DeleteParams::default()).await;
            }
        }
    }

    /// The heartbeat of one node.
    async fn beat(&self, node: &str) {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": node },
            "spec": { "holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": now },
        });
        let params = PatchParams::apply("kubelet").force();
        self.leases().patch(node, &params, &Patch::Apply(&lease)).await.expect("a node Lease can be written");
    }

    async fn beat_all(&self, nodes: &[String]) {
        for node in nodes {
            self.beat(node).await;
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

/// One test, as the silence of one node and that of most nodes would disturb each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_node_loses_the_leader_unless_most_nodes_are_silent() {
    let world = World::new("node-silent").await;
    let nodes = Nodes::new(&world, 9).await;
    let ours = nodes.names[0].clone();
    nodes.beat(&ours).await;
    pod_on(&world, "a", &ours).await;
    let spec = json!({ "failover": { "nodeSilentSeconds": PATIENCE } });
    let _operator = crate::harness::Operator::start(&world).await;
    world.group("orders", spec).await;
    world.until_led_by("orders", "a").await;
    world.pod("b").await;

    // Only this node falls silent.
    let group = world.until_led_by("orders", "b").await;
    assert_eq!(newest_reason(&group), "NodeSilent");
    nodes.beat_all(&nodes.names[1..]).await;
    nodes.beat(&ours).await;
    world.until(Kind::Group, "orders", "with two eligible", |g| g.number("/status/eligible") == 2).await;
    let request = json!({ "metadata": { "annotations": { "election-operator.io/switchover": "a" } } });
    world.patch(Kind::Group, "orders", request).await;
    world.until_led_by("orders", "a").await;

    // Now it and eight others do, of fourteen: it is the operator that hears nothing. Nothing happens, for as long as it
    // would have taken and then some: an event to wait for there is not.
    tokio::time::sleep(Duration::from_secs(PATIENCE + 3)).await;
    assert_eq!(world.role("a").await.as_deref(), Some("leader"));

    // When the others are heard again, the silence of this one counts from then.
    nodes.beat_all(&nodes.names[1..]).await;
    let group = world.until_led_by("orders", "b").await;
    assert_eq!(newest_reason(&group), "NodeSilent");
    nodes.remove().await;
    assert_eq!(world.finish().await.leaders(), ["a", "b", "a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
