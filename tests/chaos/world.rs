//! A namespace with groups and their pods, and what users, kubelets and the electors of pods do in
//! it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use testkit::feed::{Feed, Journal, Revision};
use testkit::judge::{Judge, Object, Pod};
use testkit::kind::Kind;
use testkit::random::Random;
use testkit::world::{create_namespace, micro_time, readiness};

use crate::control_plane;

/// How long anything may take before it counts as not happening.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What the Leases of the pods say of themselves.
pub(crate) const LEASE_SECONDS: u64 = 2;

/// Pods of each group.
pub(crate) const PODS: u64 = 3;

/// Who writes what the test writes, as the API server tells it.
pub(crate) const AUTHOR: &str = "chaos";

/// What this feed follows beside the usual.
const SLICES: &[Kind] = &[Kind::EndpointSlice];

/// A Lease and a slice of the test's own, to know what has arrived.
const MARK: &str = "mark";

/// What the test itself writes over an operator's marks has this, so that each such write is a
/// revision of its own.
pub(crate) const TAMPERED: &str = "tests.election-operator.io/tampered";

/// Keeps a terminating pod there.
const FINALIZER: &str = "tests.election-operator.io/chaos";

/// How many groups are of which mode. The others are Managed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shares {
    pub(crate) observed: u64,
    pub(crate) nominated: u64,
}

/// One namespace, followed from its beginning.
pub(crate) struct World {
    pub(crate) namespace: String,
    pub(crate) feed: Feed,
    pub(crate) pods: Api<DynamicObject>,
    pub(crate) groups: Api<DynamicObject>,
    pub(crate) leases: Api<DynamicObject>,
    pub(crate) slices: Api<DynamicObject>,
    services: Api<DynamicObject>,
    namespaces: Api<Namespace>,
    /// Name and spec.
    pub(crate) all: Vec<(String, Value)>,
}

impl World {
    /// A new namespace with that many groups; their specs differ.
    pub(crate) async fn new(name: &str, groups: u64, shares: Shares, random: &mut Random) -> Self {
        let world = Self::empty(name, specs(groups, shares, random)).await;
        world.create_lease(MARK, &json!({})).await.expect("a Lease can be made");
        world.create_slice(MARK).await.expect("a slice can be made");
        for (group, spec) in &world.all {
            if let Some(service) = service(spec) {
                world.create_service(service).await.expect("a Service can be made");
            }
            for ordinal in 0..PODS {
                world.create_pod(&format!("{group}-{ordinal}")).await.expect("a pod can be made");
            }
            world.create_group(group, spec).await.expect("a group can be made");
        }
        world
    }

    async fn empty(name: &str, all: Vec<(String, Value)>) -> Self {
        let client = control_plane::admin().await;
        while !control_plane::is_ready(&client).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let namespace = format!("{name}-{}", std::process::id());
        create_namespace(&client, &namespace, &json!({})).await;
        Self {
            feed: Feed::start_with(SLICES, &client, &namespace, Journal::default(), PATIENCE).await,
            pods: Kind::Pod.api(&client, &namespace),
            groups: Kind::Group.api(&client, &namespace),
            leases: Kind::Lease.api(&client, &namespace),
            slices: Kind::EndpointSlice.api(&client, &namespace),
            services: Kind::Service.api(&client, &namespace),
            namespaces: Api::all(client),
            all,
            namespace,
        }
    }

    /// The groups whose pods elect.
    pub(crate) fn observed(&self) -> Vec<String> {
        self.of_mode("Observed")
    }

    /// The groups whose pods are nominated.
    pub(crate) fn nominated(&self) -> Vec<String> {
        self.of_mode("Nominated")
    }

    fn of_mode(&self, mode: &str) -> Vec<String> {
        let all = self.all.iter().filter(|(_, spec)| spec["mode"] == mode);
        all.map(|(name, _)| name.clone()).collect()
    }

    pub(crate) async fn create_pod(&self, name: &str) -> kube::Result<DynamicObject> {
        let node = name.bytes().map(u32::from).sum::<u32>() % 5;
        let app = name.split('-').next();
        let pod = json!({
            "metadata": {
                "name": name,
                "labels": { "app": app },
                "annotations": { "election-operator.io/identity": identity(name) },
            },
            "spec": {
                "nodeName": format!("node-00000{node}"),
                "terminationGracePeriodSeconds": 0,
                "containers": [{ "name": "app", "image": "app" }],
            },
        });
        self.pods.create(&PostParams::default(), &Kind::Pod.object(pod)).await
    }

    pub(crate) async fn create_group(&self, name: &str, spec: &Value) -> kube::Result<DynamicObject> {
        let group = json!({ "metadata": { "name": name }, "spec": spec });
        self.groups.create(&PostParams::default(), &Kind::Group.object(group)).await
    }

    /// The Lease as a holder writes it that has just taken it. An empty `holder` has just let it go.
    pub(crate) async fn give_lease(&self, name: &str, holder: &str) -> kube::Result<DynamicObject> {
        let now = micro_time();
        let seconds = if holder.is_empty() { 1 } else { LEASE_SECONDS };
        let spec = json!({
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds,
            "acquireTime": now,
            "renewTime": now,
        });
        match merge(&self.leases, name, json!({ "spec": spec })).await {
            Err(kube::Error::Api(status)) if status.code == 404 => self.create_lease(name, &spec).await,
            other => other,
        }
    }

    async fn create_lease(&self, name: &str, spec: &Value) -> kube::Result<DynamicObject> {
        create_lease(&self.leases, name, spec).await
    }

    async fn create_slice(&self, name: &str) -> kube::Result<DynamicObject> {
        let slice = json!({ "metadata": { "name": name }, "addressType": "IPv4", "endpoints": [] });
        self.slices.create(&PostParams::default(), &Kind::EndpointSlice.object(slice)).await
    }

    /// A Service without a selector.
    async fn create_service(&self, name: &str) -> kube::Result<DynamicObject> {
        let service = json!({
            "metadata": { "name": name },
            "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
        });
        self.services.create(&PostParams::default(), &Kind::Service.object(service)).await
    }

    /// Lets a pod report that it is Ready, or not.
    pub(crate) async fn set_ready(&self, pod: &str, ready: bool) -> kube::Result<DynamicObject> {
        let conditions = readiness(ready);
        // kwok forgets a pod now and then when the API server is restarted: then it would not be
        // Running, either.
        let status = if ready {
            json!({ "phase": "Running", "conditions": conditions })
        } else {
            json!({ "conditions": conditions })
        };
        let patch = Patch::Strategic(json!({ "status": status }));
        self.pods.patch_status(pod, &PatchParams::default(), &patch).await
    }

    /// Makes a pod stay, terminating, when it is deleted; or lets it go.
    pub(crate) async fn hold(&self, pod: &str, hold: bool) -> kube::Result<DynamicObject> {
        let finalizers = if hold { json!([FINALIZER]) } else { Value::Null };
        merge(&self.pods, pod, json!({ "metadata": { "finalizers": finalizers } })).await
    }

    /// Takes the role label from a pod that no operator has marked: a user put it there, and beside
    /// a value that the group never writes it is refused, as it must be.
    pub(crate) async fn take_back_label(&self, pod: &str) -> kube::Result<()> {
        let seen = self.pods.get(pod).await?;
        let read = Pod::read(&serde_json::to_value(&seen).expect("an object is JSON"));
        if !is_role_alone(&read) {
            return Ok(());
        }
        let version = seen.metadata.resource_version;
        let patch = json!({ "metadata": { "resourceVersion": version, "labels": { "role": null } } });
        merge(&self.pods, pod, patch).await.map(|_| ())
    }

    /// Deletes a pod: at once, or as its kubelet would, with a moment of terminating.
    pub(crate) async fn delete_pod(&self, pod: &str, at_once: bool) -> kube::Result<()> {
        let grace = u32::from(!at_once);
        let params = DeleteParams { grace_period_seconds: Some(grace), ..DeleteParams::default() };
        self.pods.delete(pod, &params).await.map(|_| ())
    }

    pub(crate) async fn ask_to_switch(&self, group: &str, pod: &str) -> kube::Result<DynamicObject> {
        let patch = json!({ "metadata": { "annotations": { "election-operator.io/switchover": pod } } });
        merge(&self.groups, group, patch).await
    }

    /// Every revision up to now that was not taken before. `note` is merged into a pod, a group, a
    /// Lease and a slice, to know when everything before has arrived.
    pub(crate) async fn take(&self, note: &Value) -> Vec<Arc<Revision>> {
        let pods = self.feed.look().present().pods().map(|pod| pod.name.clone()).collect();
        let pod = self.mark(&self.pods, pods, note).await;
        let group =
            self.mark(&self.groups, self.all.iter().map(|(name, _)| name.clone()).collect(), note).await;
        let lease = self.mark(&self.leases, vec![MARK.to_owned()], note).await;
        let slice = self.mark(&self.slices, vec![MARK.to_owned()], note).await;
        let written =
            [(Kind::Pod, pod), (Kind::Group, group), (Kind::Lease, lease), (Kind::EndpointSlice, slice)];
        self.feed.take_until(written).await
    }

    /// Puts revisions before the judge. `tampered` tells in which of them the test itself wrote
    /// over an operator's marks.
    pub(crate) fn show(
        &self,
        revisions: &[Arc<Revision>],
        judge: &mut Judge,
        tampered: impl Fn(u64) -> bool,
    ) {
        let start = self.feed.look().start();
        for facts in revisions.iter().filter_map(|revision| revision.facts(start)) {
            let by_user = match &facts.object {
                Object::Lease(lease) => lease.is_written_by(AUTHOR),
                _ => tampered(facts.number),
            };
            judge.see(&facts, by_user);
        }
    }

    /// Merges into the first of these that is there.
    async fn mark(&self, api: &Api<DynamicObject>, names: Vec<String>, note: &Value) -> u64 {
        for name in names {
            if let Ok(written) = merge(api, &name, note.clone()).await {
                return version(&written);
            }
        }
        panic!("there is nothing left in {}", self.namespace)
    }

    /// Removes the namespace; what is in it goes with it.
    pub(crate) async fn end(self) {
        self.namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .expect("a namespace can be deleted");
    }
}

/// Whether a pod carries a role that no operator has put there.
pub(crate) fn is_role_alone(pod: &Pod) -> bool {
    !pod.label("role").is_empty() && pod.group.is_empty()
}

/// Merges into an object.
pub(crate) async fn merge(api: &Api<DynamicObject>, name: &str, patch: Value) -> kube::Result<DynamicObject> {
    let params = PatchParams { field_manager: Some(AUTHOR.to_owned()), ..PatchParams::default() };
    api.patch(name, &params, &Patch::Merge(patch)).await
}

pub(crate) async fn create_lease(
    leases: &Api<DynamicObject>,
    name: &str,
    spec: &Value,
) -> kube::Result<DynamicObject> {
    let lease = json!({ "metadata": { "name": name }, "spec": spec });
    let params = PostParams { field_manager: Some(AUTHOR.to_owned()), ..PostParams::default() };
    leases.create(&params, &Kind::Lease.object(lease)).await
}

/// An identity besides its name under which a pod may hold a Lease. The last pod of a group has one
/// of its own, the others share one: who is meant cannot be known.
pub(crate) fn identity(pod: &str) -> String {
    let (group, ordinal) = pod.split_once('-').expect("a pod of a group");
    let last = ordinal == (PODS - 1).to_string();
    if last { format!("{group}-alias") } else { format!("{group}-twin") }
}

pub(crate) fn version(object: &DynamicObject) -> u64 {
    let version = object.metadata.resource_version.as_deref().unwrap_or_default();
    version.parse().expect("an object of the store has a version")
}

/// Names and specs of groups; which of them are those whose pods elect is left to chance.
fn specs(groups: u64, mut left: Shares, random: &mut Random) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for number in 0..groups {
        let drawn = random.below(groups - number);
        let mode = if drawn < left.observed {
            left.observed -= 1;
            "Observed"
        } else if drawn < left.observed + left.nominated {
            left.nominated -= 1;
            "Nominated"
        } else {
            "Managed"
        };
        all.push((format!("g{number}"), spec(number, mode, random)));
    }
    all
}

/// Half of the groups, and all that nominate, have a Lease that any longer stall outlives; in
/// Observed mode that is what counts where the Lease itself says nothing.
fn spec(number: u64, mode: &str, random: &mut Random) -> Value {
    let is_short = number.is_multiple_of(2) || mode == "Nominated";
    let lease = if is_short { json!({ "durationSeconds": 3, "renewSeconds": 1 }) } else { json!({}) };
    let follower = if random.below(3) == 0 { "" } else { "follower" };
    let nobody = if random.below(2) == 0 { "Clear" } else { "Keep" };
    let services = if number.is_multiple_of(2) { vec![format!("g{number}-leader")] } else { Vec::new() };
    json!({
        "selector": { "matchLabels": { "app": format!("g{number}") } },
        "mode": mode,
        "lease": lease,
        "roleLabel": { "follower": follower },
        "failover": { "whenNoCandidate": nobody, "nomineeSeconds": 2 },
        "routing": { "services": services },
    })
}

/// The Service that a group of this spec routes, if it does.
pub(crate) fn service(spec: &Value) -> Option<&str> {
    spec["routing"]["services"][0].as_str()
}
