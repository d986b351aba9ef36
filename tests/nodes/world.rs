//! A namespace of its own for each test, and a user's commands in it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::json;
use testkit::kind::Kind;
use testkit::world::create_namespace;

use crate::cluster::{Cluster, OPERATOR};

/// How long anything may take before it counts as not happening. Long: this is no test of speed.
const PATIENCE: Duration = Duration::from_secs(180);

/// Asks `probe` again and again until it finds something.
///
/// # Panics
/// If it has found nothing after [`PATIENCE`]; `what` says what was missing.
pub(crate) async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    testkit::wait::eventually(PATIENCE, what, probe).await
}

pub(crate) fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

pub(crate) fn node(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default()
}

pub(crate) fn ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// A namespace that is deleted when the test has passed, and left for inspection when it fails.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
}

impl World {
    /// An empty namespace on a cluster with the operator, or nothing if `test` is skipped.
    pub(crate) async fn new(test: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let cluster = Cluster::find(test).await?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // A name has at most 63 characters.
        let short = test.get(..40).unwrap_or(test).replace('_', "-");
        let namespace = format!("nodes-{short}-{}-{number}", std::process::id());
        create_namespace(&cluster.client, &namespace, &json!({})).await;
        Some(Self { cluster, namespace })
    }

    /// From now on only pods may be made that the Pod Security Standard `restricted` allows.
    pub(crate) fn restrict(&self) {
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        self.cluster.kubectl(&["label", "namespace", &self.namespace, restricted]);
    }

    /// Ends a test that has passed.
    pub(crate) async fn finish(self) {
        let namespaces: Api<Namespace> = Api::all(self.cluster.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.expect("it can be deleted");
    }

    /// `kubectl` in this namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", &self.namespace], arguments].concat())
    }

    /// Applies a file of `examples/` as it is.
    pub(crate) fn example(&self, file: &str) {
        let file = format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"));
        self.kubectl(&["apply", "--filename", &file]);
    }

    /// Applies objects that are written as YAML.
    pub(crate) fn apply(&self, objects: &str) {
        let file = format!("{}/{}.yaml", env!("CARGO_TARGET_TMPDIR"), self.namespace);
        std::fs::write(&file, objects).expect("a file can be written");
        self.kubectl(&["apply", "--filename", &file]);
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    pub(crate) async fn pods_with(&self, labels: &str) -> Vec<Pod> {
        self.pods().list(&ListParams::default().labels(labels)).await.expect("pods can be listed").items
    }

    /// Waits until that many pods with these labels are Ready, and gives them back.
    pub(crate) async fn until_ready(&self, labels: &str, count: usize) -> Vec<Pod> {
        eventually(&format!("{count} Ready pods with {labels}"), async || {
            let pods = self.pods_with(labels).await;
            (pods.len() == count && pods.iter().all(ready)).then_some(pods)
        })
        .await
    }

    /// Waits until exactly one pod of `app` is labelled as the leader, and it is none of those named.
    pub(crate) async fn until_leader(&self, app: &str, not: &[&str]) -> Pod {
        self.until_only_ready(&format!("app={app},role=leader"), not).await
    }

    /// Waits until exactly one pod has these labels, it is Ready, and it is none of those named.
    pub(crate) async fn until_only_ready(&self, labels: &str, not: &[&str]) -> Pod {
        eventually(&format!("one pod with {labels} other than {not:?}"), async || {
            let mut leaders = self.pods_with(labels).await;
            let only =
                leaders.pop().filter(|leader| leaders.is_empty() && !not.contains(&name(leader).as_str()));
            only.filter(ready)
        })
        .await
    }

    fn groups(&self) -> Api<DynamicObject> {
        Kind::Group.api(&self.cluster.client, &self.namespace)
    }

    /// Orders a switchover, as `kubectl annotate` does, without the 100 ms that `kubectl` takes.
    pub(crate) async fn switch_to(&self, group: &str, pod: &str) {
        let order = json!({ "metadata": { "annotations": { "election-operator.io/switchover": pod } } });
        let groups = self.groups();
        let ordered = groups.patch(group, &PatchParams::default(), &Patch::Merge(order)).await;
        ordered.expect("a switchover can be ordered");
    }

    /// Waits until a pod is not Ready, and gives back when that was seen.
    pub(crate) async fn until_not_ready(&self, pod: &str) -> u64 {
        let pods = self.pods();
        eventually(&format!("{pod} is not Ready"), async || {
            let pod = pods.get(pod).await.expect("the pod can be read");
            (!ready(&pod)).then(crate::traffic::now)
        })
        .await
    }

    /// Waits until a condition of a group is True.
    pub(crate) async fn until_condition(&self, group: &str, condition: &str) {
        eventually(&format!("{condition} of {group}"), async || {
            let group = self.groups().get(group).await.expect("the group can be read").data;
            let conditions = group.pointer("/status/conditions")?.as_array()?;
            conditions.iter().any(|one| one["type"] == condition && one["status"] == "True").then_some(())
        })
        .await;
    }

    /// Waits until a group's record names another leader than this pod, and gives back when that was seen.
    pub(crate) async fn until_recorded_other(&self, group: &str, than: &str) -> u64 {
        eventually(&format!("another leader than {than} in the record of {group}"), async || {
            let group = self.groups().get(group).await.expect("the group can be read").data;
            let leader = group.pointer("/status/leader/name")?.as_str()?;
            (leader != than).then(crate::traffic::now)
        })
        .await
    }

    /// The pod of the operator that is active: the one that its Lease names.
    pub(crate) async fn active_operator(&self) -> String {
        let leases: Api<Lease> = Api::namespaced(self.cluster.client.clone(), OPERATOR);
        let pods = self.operators();
        eventually("an active operator", async || {
            let pods = pods.list(&ListParams::default()).await.expect("pods can be listed").items;
            let leases = leases.list(&ListParams::default()).await.expect("Leases can be listed").items;
            let holders: Vec<_> =
                leases.into_iter().filter_map(|lease| lease.spec?.holder_identity).collect();
            let active = |pod: &String| holders.iter().any(|holder| holder.starts_with(pod));
            pods.iter().map(name).find(active)
        })
        .await
    }

    /// The pods of the operator.
    pub(crate) fn operators(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), OPERATOR)
    }

    /// Waits until every replica of the operator is Ready.
    pub(crate) fn until_operator_complete(&self) {
        let deployment = format!("deployment/{OPERATOR}");
        let arguments = ["--namespace", OPERATOR, "rollout", "status", &deployment, "--timeout=120s"];
        self.cluster.kubectl(&arguments);
    }

    /// Waits until a node is Ready.
    pub(crate) async fn until_node_ready(&self, node: &str) {
        eventually(&format!("{node} is Ready"), async || {
            self.other_nodes("").await.iter().any(|ready| ready == node).then_some(())
        })
        .await;
    }

    /// Waits until a pod is terminating, or gone.
    pub(crate) async fn until_ending(pods: &Api<Pod>, pod: &str) {
        eventually(&format!("{pod} is terminating"), async || {
            let pod = pods.get_opt(pod).await.expect("the pod can be read");
            pod.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some()).then_some(())
        })
        .await;
    }

    pub(crate) async fn cluster_ip(&self, service: &str) -> String {
        let services: Api<Service> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let service = services.get(service).await.expect("the Service can be read");
        service.spec.and_then(|spec| spec.cluster_ip).expect("the Service has an address")
    }

    /// The Ready nodes but the one named.
    pub(crate) async fn other_nodes(&self, not: &str) -> Vec<String> {
        let nodes: Api<Node> = Api::all(self.cluster.client.clone());
        let nodes = nodes.list(&ListParams::default()).await.expect("nodes can be listed").items;
        let ready = nodes.into_iter().filter(|node| {
            let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
        });
        ready.filter_map(|node| node.metadata.name).filter(|name| name != not).collect()
    }
}
