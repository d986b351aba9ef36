//! A namespace of its own for each test, and what a user or a cluster does in it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::feed::{Feed, Journal};
use testkit::json::{At, merged};
use testkit::kind::Kind;
use testkit::world::{create_namespace, readiness};

use super::audit::{self, Mark, Request};
use super::cluster::Cluster;
use super::wait::{PATIENCE, eventually};

/// The Service that every world has: what a client of the leader would use.
pub(crate) const SERVICE: &str = "orders-leader";

/// A namespace, recorded from its beginning, that is deleted in the end.
pub(crate) struct World {
    pub(crate) namespace: String,
    pub(crate) client: Client,
    pub(crate) recorder: Feed,
    finished: bool,
}

impl World {
    /// An empty namespace. `name` says which test it belongs to.
    pub(crate) async fn new(name: &str) -> Self {
        Self::with(name, Journal::default()).await
    }

    /// An empty namespace, recorded in this journal.
    pub(crate) async fn with(name: &str, journal: Journal) -> Self {
        let client = Cluster::find().client().await;
        let namespace = unique(name);
        create_namespace(&client, &namespace, &json!({})).await;
        let recorder = Feed::start(&client, &namespace, journal, PATIENCE).await;
        Self { namespace, client, recorder, finished: false }
    }

    /// Ends the test: everything has been seen, and nothing broke an invariant.
    pub(crate) async fn finish(mut self) -> Journal {
        self.recorder.catch_up().await;
        let journal = self.recorder.journal();
        let violations = journal.violations();
        assert!(violations.is_empty(), "{violations:#?}");
        self.finished = true;
        journal
    }

    /// Ends a test that is about something else than the invariants.
    pub(crate) fn finish_without_verdict(mut self) {
        self.finished = true;
    }

    pub(crate) fn api(&self, kind: Kind) -> Api<DynamicObject> {
        kind.api(&self.client, &self.namespace)
    }

    // Objects in general.

    pub(crate) async fn create(&self, kind: Kind, object: Value) -> Value {
        match self.try_create(kind, object).await {
            Ok(object) => object,
            Err(error) => panic!("{kind:?} is refused: {error}"),
        }
    }

    pub(crate) async fn try_create(&self, kind: Kind, object: Value) -> kube::Result<Value> {
        self.api(kind).create(&PostParams::default(), &kind.object(object)).await.map(value)
    }

    pub(crate) async fn get(&self, kind: Kind, name: &str) -> Option<Value> {
        self.api(kind).get_opt(name).await.expect("the object can be read").map(value)
    }

    pub(crate) async fn list(&self, kind: Kind) -> Vec<Value> {
        let list = self.api(kind).list(&ListParams::default()).await.expect("the objects can be listed");
        list.items.into_iter().map(value).collect()
    }

    /// Merges into an object.
    pub(crate) async fn patch(&self, kind: Kind, name: &str, patch: Value) -> Value {
        self.try_patch(kind, name, patch).await.expect("the object can be changed")
    }

    pub(crate) async fn try_patch(&self, kind: Kind, name: &str, patch: Value) -> kube::Result<Value> {
        self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(value)
    }

    pub(crate) async fn patch_status(&self, kind: Kind, name: &str, patch: Value) -> Value {
        let patch = if kind == Kind::Pod { Patch::Strategic(patch) } else { Patch::Merge(patch) };
        let patched = self.api(kind).patch_status(name, &PatchParams::default(), &patch).await;
        value(patched.expect("the status can be changed"))
    }

    /// Asks for a deletion and does not wait for it.
    pub(crate) async fn delete(&self, kind: Kind, name: &str) {
        self.api(kind).delete(name, &DeleteParams::default()).await.expect("the object can be deleted");
    }

    /// Waits until the object, or its absence, is as `wanted`.
    pub(crate) async fn until(
        &self,
        kind: Kind,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let wanted = |object: Option<&DynamicObject>| {
            wanted(&object.map_or(Value::Null, |object| serde_json::to_value(object).unwrap_or_default()))
        };
        let waiting = await_condition(self.api(kind), name, wanted);
        if let Ok(found) = tokio::time::timeout(PATIENCE, waiting).await {
            return found.expect("the object can be watched").map_or(Value::Null, value);
        }
        let last = self.get(kind, name).await.unwrap_or_default();
        panic!("not within {PATIENCE:?}: {kind:?} {name} {what}; it is {last:#}")
    }

    // Pods.

    /// The body of a bare pod of the application `orders`, put on a node by hand.
    pub(crate) fn pod_body(name: &str) -> Value {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let node = NUMBER.fetch_add(1, Ordering::Relaxed) % 5;
        json!({
            "metadata": { "name": name, "labels": { "app": "orders" } },
            "spec": {
                "nodeName": format!("node-00000{node}"),
                "terminationGracePeriodSeconds": 0,
                "containers": [{ "name": "app", "image": "app" }],
            },
        })
    }

    /// Creates a bare pod and waits until it is Ready.
    pub(crate) async fn pod(&self, name: &str) -> Value {
        self.pod_with(name, json!({})).await
    }

    /// Creates a bare pod that differs from the usual one and waits until it is Ready.
    pub(crate) async fn pod_with(&self, name: &str, patch: Value) -> Value {
        self.create(Kind::Pod, merged(Self::pod_body(name), &patch)).await;
        self.until(Kind::Pod, name, "Ready", |pod| pod.has("Ready", "True")).await
    }

    /// Creates bare pods, one after the other, and waits until they are Ready.
    pub(crate) async fn pods(&self, names: &[&str]) {
        for name in names {
            self.pod(name).await;
        }
    }

    /// Lets a pod report that it is Ready, or not, from this moment on.
    pub(crate) async fn set_ready(&self, name: &str, ready: bool) -> Value {
        self.patch_status(Kind::Pod, name, json!({ "status": { "conditions": readiness(ready) } })).await
    }

    /// Makes a pod stay, terminating, when it is deleted.
    pub(crate) async fn hold(&self, name: &str) {
        self.patch(
            Kind::Pod,
            name,
            json!({ "metadata": { "finalizers": ["tests.election-operator.io/hold"] } }),
        )
        .await;
    }

    /// Lets a held pod go.
    pub(crate) async fn release(&self, name: &str) {
        self.patch(Kind::Pod, name, json!({ "metadata": { "finalizers": null } })).await;
    }

    /// The role label of a pod that exists.
    pub(crate) async fn role(&self, name: &str) -> Option<String> {
        let pod = self.get(Kind::Pod, name).await.unwrap_or_else(|| panic!("there is no pod {name}"));
        pod.at("/metadata/labels/role").as_str().map(str::to_owned)
    }

    /// Waits until a pod carries this role.
    pub(crate) async fn until_role(&self, name: &str, role: &str) -> Value {
        self.until(Kind::Pod, name, &format!("with role={role}"), |pod| {
            pod.text("/metadata/labels/role") == role
        })
        .await
    }

    // Workloads and Services.

    /// The Service that selects the leader.
    pub(crate) async fn service(&self) {
        let spec = json!({ "selector": { "app": "orders", "role": "leader" }, "ports": [{ "port": 80 }] });
        self.create(Kind::Service, json!({ "metadata": { "name": SERVICE }, "spec": spec })).await;
    }

    /// The names of the pods behind the Service that can take requests, sorted.
    pub(crate) async fn endpoints(&self) -> Vec<String> {
        let mut slices = self.list(Kind::EndpointSlice).await;
        slices.retain(|slice| slice.text("/metadata/labels/kubernetes.io~1service-name") == SERVICE);
        ready_endpoints(&slices)
    }

    /// Waits until exactly this pod is behind the Service.
    pub(crate) async fn until_endpoint(&self, pod: &str) {
        eventually(&format!("{pod} as the only endpoint"), async || {
            (self.endpoints().await == [pod]).then_some(())
        })
        .await;
    }

    /// A `StatefulSet` of the application `orders`, all pods at once.
    pub(crate) async fn stateful_set(&self, replicas: u32, patch: Value) -> Value {
        let template = json!({
            "metadata": { "labels": { "app": "orders" } },
            "spec": { "terminationGracePeriodSeconds": 0, "containers": [{ "name": "app", "image": "app" }] },
        });
        let body = json!({
            "metadata": { "name": "orders" },
            "spec": {
                "replicas": replicas,
                "serviceName": "orders",
                "podManagementPolicy": "Parallel",
                "selector": { "matchLabels": { "app": "orders" } },
                "template": template,
            },
        });
        let created = self.create(Kind::StatefulSet, merged(body, &patch)).await;
        self.until(Kind::StatefulSet, "orders", "with all pods Ready", |set| {
            set.number("/status/readyReplicas") == i64::from(replicas)
        })
        .await;
        created
    }

    // Groups.

    /// The body of the group `orders` of the application `orders`, with `spec` over it.
    pub(crate) fn group_body(name: &str, spec: &Value) -> Value {
        let usual = json!({ "selector": { "matchLabels": { "app": "orders" } } });
        json!({ "metadata": { "name": name }, "spec": merged(usual, spec) })
    }

    /// Creates an `ElectionGroup`.
    pub(crate) async fn group(&self, name: &str, spec: Value) -> Value {
        self.create(Kind::Group, Self::group_body(name, &spec)).await
    }

    /// Waits until the group is Ready with this leader.
    pub(crate) async fn until_led_by(&self, group: &str, pod: &str) -> Value {
        self.until(Kind::Group, group, &format!("Ready and led by {pod}"), |object| {
            object.has("Ready", "True") && object.text("/status/leader/name") == pod
        })
        .await
    }

    /// Waits until the group `orders` says that so many pods could lead.
    pub(crate) async fn until_eligible(&self, pods: i64) {
        let count = |group: &Value| group.number("/status/eligible") == pods;
        self.until(Kind::Group, "orders", &format!("with {pods} eligible"), count).await;
    }

    /// Waits until a condition of the group has this status and reason.
    pub(crate) async fn until_condition(&self, group: &str, kind: &str, status: &str, reason: &str) -> Value {
        self.until(Kind::Group, group, &format!("with {kind}={status}, {reason}"), |object| {
            object.has(kind, status) && object.condition(kind).text("/reason") == reason
        })
        .await
    }

    /// The usual beginning: a Service, pods, a group `orders` over them, an operator that has made
    /// the first one leader.
    pub(crate) async fn elected(&self, pods: &[&str], spec: Value) -> super::Operator {
        self.service().await;
        self.pods(pods).await;
        let operator = super::Operator::start(self).await;
        self.group("orders", spec).await;
        self.until_led_by("orders", pods[0]).await;
        operator
    }

    /// The Events on a group with this reason.
    pub(crate) async fn events(&self, group: &str, reason: &str) -> Vec<Value> {
        let mut events = self.list(Kind::Event).await;
        events.retain(|event| {
            event.text("/regarding/kind") == "ElectionGroup"
                && event.text("/regarding/name") == group
                && event.text("/reason") == reason
        });
        events
    }

    /// Waits for an Event on the group.
    pub(crate) async fn until_event(&self, group: &str, reason: &str) -> Value {
        eventually(&format!("an Event {reason} on {group}"), async || {
            self.events(group, reason).await.into_iter().next()
        })
        .await
    }

    // The rest.

    /// What kubectl prints, with the administrator's rights, in this namespace.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        let cluster = Cluster::find();
        let output = tokio::process::Command::new(&cluster.kubectl)
            .arg("--kubeconfig")
            .arg(&cluster.admin)
            .args(["--namespace", &self.namespace])
            .args(arguments)
            .output()
            .await
            .expect("kubectl can be run");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?} failed: {error}");
        String::from_utf8(output.stdout).expect("kubectl prints text")
    }

    /// Marks the present moment in the API server's record of requests.
    pub(crate) async fn mark(&self) -> Mark {
        audit::mark(&self.client).await
    }

    /// What service accounts asked for in this namespace since the mark.
    pub(crate) async fn requests_since(&self, mark: Mark) -> Vec<Request> {
        let mut requests = audit::requests_since(&self.client, mark).await;
        requests.retain(|request| request.namespace == self.namespace);
        requests
    }

    /// Waits until the operator has written nothing but renewals for a while: what it had to do is
    /// done.
    pub(crate) async fn until_quiet(&self, quiet: Duration) {
        let busy = |journal: &Journal| {
            journal.all().rfind(|revision| revision.kind != Kind::Lease).map(|revision| revision.number)
        };
        let (mut last, mut since) = (None, Instant::now());
        eventually("quiet", async || {
            let now = busy(&self.recorder.journal());
            if now != last {
                (last, since) = (now, Instant::now());
            }
            (since.elapsed() >= quiet).then_some(())
        })
        .await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        if panicking {
            eprintln!("--- every revision in {} ---\n{}", self.namespace, self.recorder.journal());
        }
        if std::env::var_os("ELECTION_OPERATOR_TEST_KEEP").is_none() {
            let cluster = Cluster::find();
            let _ = std::process::Command::new(&cluster.kubectl)
                .arg("--kubeconfig")
                .arg(&cluster.admin)
                .args(["delete", "namespace", &self.namespace, "--wait=false"])
                .stdout(std::process::Stdio::null())
                .status();
        }
        assert!(panicking || self.finished, "a test must end with world.finish()");
    }
}

/// The names of the pods in these `EndpointSlices` that can take requests, sorted.
pub(crate) fn ready_endpoints(slices: &[Value]) -> Vec<String> {
    let endpoints = slices.iter().flat_map(|slice| slice.list("/endpoints"));
    let ready = endpoints.filter(|endpoint| endpoint.at("/conditions/ready").as_bool() == Some(true));
    let mut pods: Vec<String> = ready.map(|endpoint| endpoint.text("/targetRef/name").to_owned()).collect();
    pods.sort();
    pods
}

/// A name that no other test, process or run has.
pub(crate) fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_millis();
    format!("{name}-{:x}-{:x}-{number}", std::process::id(), now & 0xfff_ffff)
}

fn value(object: DynamicObject) -> Value {
    serde_json::to_value(object).expect("an object is JSON")
}
