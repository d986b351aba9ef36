//! A namespace with groups, their Services and their pods, and what happens to them.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::kind::Kind;
use testkit::world::{create_namespace, readiness};

use crate::cluster::Cluster;

/// Pods of each group.
pub(crate) const PODS: usize = 3;
pub(crate) const GROUP_LABEL: &str = "app";
pub(crate) const SWITCHOVER: &str = "election-operator.io/switchover";
/// The pod whose label is patched for comparison.
pub(crate) const YARDSTICK: &str = "yardstick";
/// On every namespace of this process.
const OWNER_LABEL: &str = "election-operator-bench";
/// Keeps a terminating pod there.
const FINALIZER: &str = "election-operator.io/bench";
/// Objects made at once.
const AT_ONCE: usize = 8;

/// How a Service follows the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// It selects by the label.
    Label,
    /// The operator writes its slice.
    Slice,
}

/// One namespace. Its pods are bare, put on nodes by name: nothing but this bench brings them back.
pub(crate) struct World {
    pub(crate) namespace: String,
    pods: Api<Pod>,
    services: Api<Service>,
    groups: Api<DynamicObject>,
    nodes: Vec<String>,
    /// Under the operator's account.
    yardstick: Api<Pod>,
    measured: Pod,
}

impl World {
    pub(crate) async fn new(cluster: &Cluster, name: &str) -> Self {
        let client = cluster.admin_client().await;
        let namespace = format!("bench-{name}-{}", std::process::id());
        let labels = json!({ OWNER_LABEL: std::process::id().to_string() });
        create_namespace(&client, &namespace, &labels).await;
        let nodes: Api<Node> = Api::all(client.clone());
        let nodes = nodes.list(&ListParams::default()).await.expect("nodes can be listed");
        let nodes: Vec<_> = nodes.iter().map(ResourceExt::name_any).collect();
        assert!(!nodes.is_empty(), "the cluster has no nodes");
        let pods = Api::namespaced(client.clone(), &namespace);
        let measured = create(&pods, pod(YARDSTICK, "none", &nodes[0])).await;
        Self {
            pods,
            services: Api::namespaced(client.clone(), &namespace),
            groups: Kind::Group.api(&client, &namespace),
            nodes,
            yardstick: Api::namespaced(cluster.operator_client().await, &namespace),
            measured,
            namespace,
        }
    }

    /// Makes groups of a mode, each with its Service and pods.
    pub(crate) async fn populate(&self, names: &[String], mode: &str) {
        self.populate_by(names, mode, Route::Label).await;
    }

    /// The same, with Services that follow in one of two ways.
    pub(crate) async fn populate_by(&self, names: &[String], mode: &str, route: Route) {
        let one = async |name: &String| {
            let mut group = json!({
                "apiVersion": "election-operator.io/v1alpha1",
                "kind": "ElectionGroup",
                "metadata": { "name": name },
                "spec": { "mode": mode, "selector": { "matchLabels": { GROUP_LABEL: name } } },
            });
            let mut service = json!({
                "metadata": { "name": name },
                // Headless: a cluster's range of Service addresses is small. One slice: without a
                // selector a headless Service is dual-stack by default.
                "spec": { "clusterIP": "None", "ipFamilyPolicy": "SingleStack", "ports": [{ "port": 80 }] },
            });
            match route {
                Route::Label => service["spec"]["selector"] = json!({ GROUP_LABEL: name, "role": "leader" }),
                Route::Slice => group["spec"]["routing"] = json!({ "services": [name] }),
            }
            create(&self.services, service).await;
            for ordinal in 0..PODS {
                self.create_pod(&format!("{name}-{ordinal}"), name).await;
            }
            create(&self.groups, group).await;
        };
        stream::iter(names).for_each_concurrent(AT_ONCE, one).await;
    }

    pub(crate) async fn create_pod(&self, name: &str, group: &str) {
        let node = name.bytes().map(usize::from).sum::<usize>() % self.nodes.len();
        create(&self.pods, pod(name, group, &self.nodes[node])).await;
    }

    /// Pods of no group. Waits until each of them runs.
    pub(crate) async fn add_bystanders(&self, count: usize) {
        let name = |number| format!("bystander-{number}");
        let one = async |number: usize| self.create_pod(&name(number), "none").await;
        stream::iter(0..count).for_each_concurrent(AT_ONCE, one).await;
        let pending = ListParams::default().fields("status.phase=Pending").limit(1);
        while !self.pods.list(&pending).await.expect("pods can be listed").items.is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Deletes a pod, which is gone at once.
    pub(crate) async fn delete(&self, name: &str) {
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.pods.delete(name, &at_once).await.expect("the pod can be deleted");
    }

    /// Deletes a pod that stays, as one whose containers take their time to stop, until it is let
    /// go. The grace is zero because kwok, other than a kubelet, would at once shorten any other,
    /// and so write the pod in passing.
    pub(crate) async fn terminate(&self, name: &str) {
        self.set_finalizers(name, &[FINALIZER]).await;
        self.delete(name).await;
    }

    /// Ends the stay of a terminating pod.
    pub(crate) async fn let_go(&self, name: &str) {
        self.set_finalizers(name, &[]).await;
    }

    async fn set_finalizers(&self, name: &str, finalizers: &[&str]) {
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
        let patched = self.pods.patch(name, &PatchParams::default(), &patch).await;
        patched.expect("the pod can be patched");
    }

    /// Makes a pod Ready or not, as its kubelet would.
    pub(crate) async fn set_ready(&self, name: &str, ready: bool) {
        let patch = Patch::Strategic(json!({ "status": { "conditions": readiness(ready) } }));
        let patched = self.pods.patch_status(name, &PatchParams::default(), &patch).await;
        patched.expect("the pod's status can be patched");
    }

    /// Asks for a switch to a pod.
    pub(crate) async fn ask_to_switch(&self, group: &str, pod: &str) {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { SWITCHOVER: pod } } }));
        let patched = self.groups.patch(group, &PatchParams::default(), &patch).await;
        patched.expect("the group can be patched");
    }

    /// How long one label PATCH takes: the form of the operator's own, on a pod of no group.
    pub(crate) async fn time_patch(&mut self, term: usize) -> Duration {
        let role = if term.is_multiple_of(2) { "one" } else { "other" };
        let patch = Patch::Merge(json!({ "metadata": {
            "uid": self.measured.uid(),
            "resourceVersion": self.measured.resource_version(),
            "labels": { "role": role },
            "annotations": {
                "election-operator.io/bench-group": "yardstick/00000000-0000-0000-0000-000000000000",
                "election-operator.io/bench-term": term.to_string(),
            },
        }}));
        let params = PatchParams { field_manager: Some("bench".to_owned()), ..PatchParams::default() };
        let start = Instant::now();
        let patched = self.yardstick.patch(YARDSTICK, &params, &patch).await;
        let took = start.elapsed();
        match patched {
            Ok(patched) => self.measured = patched,
            // kwok has written its status in between: measured all the same, it was a whole
            // request.
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                self.measured = self.yardstick.get(YARDSTICK).await.expect("the pod can be read");
            }
            Err(error) => panic!("the yardstick cannot be patched: {error}"),
        }
        took
    }
}

/// Waits until all namespaces of this process are gone.
pub(crate) async fn until_gone(client: &Client) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let ours = ListParams::default().labels(&format!("{OWNER_LABEL}={}", std::process::id()));
    while !namespaces.list(&ours).await.expect("namespaces can be listed").items.is_empty() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Deletes all namespaces of this process.
pub(crate) async fn remove_all(client: &Client) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let ours = ListParams::default().labels(&format!("{OWNER_LABEL}={}", std::process::id()));
    for namespace in namespaces.list(&ours).await.expect("namespaces can be listed") {
        let name = namespace.name_any();
        let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
        let all = pods.list(&ListParams::default()).await.expect("pods can be listed");
        for pod in all.iter().filter(|pod| !pod.finalizers().is_empty()) {
            let free = Patch::Merge(json!({ "metadata": { "finalizers": [] } }));
            let _ = pods.patch(&pod.name_any(), &PatchParams::default(), &free).await;
        }
        let _ = namespaces.delete(&name, &DeleteParams::default()).await;
    }
}

fn pod(name: &str, group: &str, node: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": { GROUP_LABEL: group } },
        "spec": { "nodeName": node, "containers": [{ "name": "main", "image": "none" }] },
    })
}

async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).expect("the object is well formed");
    api.create(&PostParams::default(), &object).await.expect("the object can be made")
}
