//! A tenant with the role `edit` in one namespace does its worst there, while the group of another
//! namespace goes on failing over.
//!
//! How long that takes is printed, measured by label patches of the test itself, and is no verdict:
//! the verdict is that each failover ends, that no two pods lead, that the operator keeps within
//! the memory the chart grants it, and that it gets ready again after a restart. `make hostile`
//! runs all of it and shows the figures.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Client, Resource};
use serde_json::{Value, json};
use testkit::feed::{GROUP, Journal, TERM, What};
use testkit::json::At;
use testkit::json::merged;
use testkit::kind::Kind;

use crate::harness::cluster::Cluster;
use crate::harness::world::unique;
use crate::harness::{Operator, World, eventually};

/// Later than any time that most programs can hold.
const LATE: &str = "9999-12-31T23:59:59Z";

/// Not far below what an object may have in annotations.
const LARGE_BYTES: usize = 250 * 1024;

/// Of so many objects that the API server itself would be what is measured, were they any larger.
const LARGE_BYTES_OF_MANY: usize = 100 * 1024;

/// How many requests the tenant has under way at once.
const AT_ONCE: usize = 16;

/// Who has the role `edit` in a namespace of its own, and no other right.
#[derive(Clone)]
pub(crate) struct Tenant {
    namespace: String,
    pub(crate) client: Client,
}

impl Tenant {
    /// One with a namespace of its own, which goes when `Home` is dropped.
    async fn new(neighbour: &World, name: &str) -> (Self, Home) {
        let home = Home(unique(name));
        neighbour.kubectl(&["create", "namespace", &home.0]).await;
        (Self::of(neighbour, &home.0).await, home)
    }

    /// One in a namespace that is there. `admin` only lends its rights.
    pub(crate) async fn of(admin: &World, namespace: &str) -> Self {
        let kubectl = async |arguments: &[&str]| {
            admin.kubectl(&[&["--namespace", namespace], arguments].concat()).await
        };
        kubectl(&["create", "serviceaccount", "tenant"]).await;
        let account = format!("--serviceaccount={namespace}:tenant");
        kubectl(&["create", "rolebinding", "tenant", "--clusterrole=edit", &account]).await;
        let token = kubectl(&["create", "token", "tenant"]).await;
        let client = Cluster::find().client_with_token(token.trim()).await;
        let tenant = Self { namespace: namespace.to_owned(), client };
        // The API server has heard of the binding, and of what the chart adds to the role.
        eventually("the rights of the tenant", async || tenant.get(Kind::Group, "").await.ok()).await;
        tenant
    }

    /// Gets the right to write over what the operator writes on pods.
    pub(crate) async fn may_label(&self, admin: &World) {
        let kubectl = async |arguments: &[&str]| {
            admin.kubectl(&[&["--namespace", &self.namespace], arguments].concat()).await
        };
        let role = ["--verb=label", "--resource=electiongroups.election-operator.io"];
        kubectl(&[&["create", "role", "labels"], &role[..]].concat()).await;
        let account = format!("--serviceaccount={}:tenant", self.namespace);
        kubectl(&["create", "rolebinding", "labels", "--role=labels", &account]).await;
    }

    async fn create(&self, kind: Kind, object: Value) -> kube::Result<DynamicObject> {
        let api = kind.api(&self.client, &self.namespace);
        api.create(&PostParams::default(), &kind.object(object)).await
    }

    async fn patch(&self, kind: Kind, name: &str, patch: Value) -> kube::Result<DynamicObject> {
        let api = kind.api(&self.client, &self.namespace);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    fn path(&self, kind: Kind, name: &str) -> String {
        format!("{}/{name}", DynamicObject::url_path(&kind.resource(), Some(&self.namespace)))
    }

    /// An object as it is, also where it holds what the types of Kubernetes' objects cannot. No
    /// name: all of them.
    async fn get(&self, kind: Kind, name: &str) -> kube::Result<Value> {
        let path = self.path(kind, name);
        self.client.request(http::Request::get(path.trim_end_matches('/')).body(Vec::new()).unwrap()).await
    }

    /// Lets an object with an annotation `note` say that its fields were written at a time that
    /// cannot be held.
    async fn date_late(&self, kind: Kind, name: &str) {
        // A change of nothing but times would be dropped.
        let patch = json!([
            { "op": "replace", "path": "/metadata/managedFields/0/time", "value": LATE },
            { "op": "replace", "path": "/metadata/annotations/note", "value": "late" },
        ]);
        // What the writer itself owns gets the time of the server.
        let request = http::Request::patch(format!("{}?fieldManager=late", self.path(kind, name)))
            .header("content-type", "application/json-patch+json")
            .body(patch.to_string().into_bytes());
        let written: Value = self.client.request(request.unwrap()).await.unwrap();
        let times = written.list("/metadata/managedFields").iter().map(|entry| entry.text("/time"));
        assert!(times.clone().any(|time| time == LATE), "{kind:?}: {:?}", times.collect::<Vec<_>>());
    }

    /// Creates as many as it can at once; each must be accepted.
    async fn flood(&self, kind: Kind, objects: impl Iterator<Item = Value>) {
        let all = stream::iter(objects).map(|object| self.create(kind, object));
        let mut all = all.buffer_unordered(AT_ONCE);
        while let Some(created) = all.next().await {
            created.expect("a tenant can create it");
        }
    }
}

/// A namespace without a recorder: what a tenant writes there is too much, or nothing that can be read.
struct Home(String);

impl Drop for Home {
    fn drop(&mut self) {
        let cluster = Cluster::find();
        let _ = std::process::Command::new(&cluster.kubectl)
            .arg("--kubeconfig")
            .arg(&cluster.admin)
            .args(["delete", "namespace", &self.0, "--wait=false"])
            .stdout(std::process::Stdio::null())
            .status();
    }
}

/// Another namespace, with a group `orders` of three pods.
struct Neighbour {
    world: World,
    /// How long each failover took since the figures were told, from the event of the cause to that
    /// of the new label.
    failovers: Vec<Duration>,
    /// How long each label PATCH took meanwhile.
    patches: Vec<Duration>,
    /// All failovers but those before anything happened, measured by patches of the same moment.
    ratios: Vec<f64>,
}

impl Neighbour {
    async fn new(name: &str) -> Self {
        let world = World::new(name).await;
        world.pods(&["a", "b", "c"]).await;
        world.pod_with("yardstick", json!({ "metadata": { "labels": { "app": "yardstick" } } })).await;
        world.group("orders", json!({})).await;
        Self { world, failovers: Vec::new(), patches: Vec::new(), ratios: Vec::new() }
    }

    /// An operator that looks after this namespace and that of the tenant.
    fn operator(&self, tenant: &Tenant) -> Operator {
        let namespaces = [&*self.world.namespace, &*tenant.namespace];
        Operator::spawn_for(&self.world, &Cluster::find().operator, &namespaces)
    }

    async fn fail_over(&mut self) {
        self.failovers.push(fail_over(&self.world).await);
        let role = if self.patches.len().is_multiple_of(2) { "one" } else { "other" };
        let patch =
            json!({ "metadata": { "labels": { "role": role }, "annotations": { "test/role": role } } });
        let start = Instant::now();
        self.world.patch(Kind::Pod, "yardstick", patch).await;
        self.patches.push(start.elapsed());
    }

    async fn fail_over_times(&mut self, times: usize, what: &str) {
        for _ in 0..times {
            self.fail_over().await;
        }
        self.tell(what);
    }

    /// One failover after the other until `work` is done, and some at least.
    async fn fail_over_during(&mut self, what: &str, work: impl Future<Output = ()> + Send + 'static) {
        let start = Instant::now();
        let work = tokio::spawn(work);
        while !work.is_finished() || self.failovers.len() < 10 {
            self.fail_over().await;
        }
        work.await.unwrap();
        self.tell(&format!("{what}, {:.0} s", start.elapsed().as_secs_f64()));
    }

    /// Prints the figures since the last time.
    fn tell(&mut self, what: &str) {
        let millis = |durations: Vec<Duration>| -> Vec<f64> {
            durations.iter().map(|duration| 1000.0 * duration.as_secs_f64()).collect()
        };
        let failovers = millis(std::mem::take(&mut self.failovers));
        let patch = percentile(&millis(std::mem::take(&mut self.patches)), 50);
        let ratios: Vec<f64> = failovers.iter().map(|failover| failover / patch).collect();
        println!(
            "{what}: {} failovers in {:.1} / {:.1} PATCHes (p50 / p99), {:.0} / {:.0} ms; a PATCH took {patch:.1} ms",
            ratios.len(),
            percentile(&ratios, 50),
            percentile(&ratios, 99),
            percentile(&failovers, 50),
            percentile(&failovers, 99),
        );
        self.ratios.extend(ratios);
    }

    /// Everybody has been looked after, and the operator has kept within its bounds.
    async fn finish(self, operator: &Operator) {
        assert_memory(operator);
        if !self.ratios.is_empty() {
            println!(
                "all {} failovers: {:.1} / {:.1} PATCHes (p50 / p99)",
                self.ratios.len(),
                percentile(&self.ratios, 50),
                percentile(&self.ratios, 99),
            );
        }
        self.world.finish().await;
    }
}

/// Who leads, and since which revision.
fn leader(journal: &Journal) -> Option<(String, u64, Instant)> {
    let last = journal.steps().pop().filter(|step| step.what == What::Gained)?;
    Some((last.pod, last.number, last.seen))
}

/// The leader gets not Ready, and is well again when another one leads. Returns how long that took.
async fn fail_over(world: &World) -> Duration {
    let (old, since, _) = world.recorder.until("a leader", leader).await;
    let patched = world.set_ready(&old, false).await;
    let version: u64 = patched.text("/metadata/resourceVersion").parse().unwrap();
    let what = format!("another leader than {old} in {}", world.namespace);
    let new = |journal: &Journal| {
        let cause = journal.of(Kind::Pod).rfind(|revision| revision.number == version)?.seen;
        let (_, number, seen) = leader(journal)?;
        (number > since).then(|| seen.saturating_duration_since(cause))
    };
    let took = world.recorder.until(&what, new).await;
    world.set_ready(&old, true).await;
    took
}

/// The value that so many percent of these are not above.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or_default()
}

/// What the chart allows the operator.
fn memory_limit_bytes() -> u64 {
    let values = include_str!("../../charts/election-operator/values.yaml");
    let mut lines = values.lines().skip_while(|line| *line != "  limits:");
    let memory = lines.find_map(|line| line.trim().strip_prefix("memory: ")?.strip_suffix("Mi"));
    memory.and_then(|mib| mib.parse::<u64>().ok()).expect("the chart limits the memory, in Mi") << 20
}

fn assert_memory(operator: &Operator) {
    let (peak, limit) = (operator.peak_memory_bytes(), memory_limit_bytes());
    println!("memory of the operator: at most {} MiB of {} MiB", peak >> 20, limit >> 20);
    assert!(peak < limit, "{peak} bytes, of {limit}");
}

/// An object with an annotation `key` of so many bytes.
fn large(name: String, key: &str, bytes: usize) -> Value {
    json!({ "metadata": { "name": name, "annotations": { key: "x".repeat(bytes) } } })
}

/// With an annotation that can be changed.
fn noted(body: Value) -> Value {
    merged(body, &json!({ "metadata": { "annotations": { "note": "early" } } }))
}

/// A selector of many requirements, which all pods with these labels meet, and only at their end.
fn expensive(app: &str) -> Value {
    let values: Vec<String> = (0..20).map(|number| format!("{app}-is-not-{number}")).collect();
    let requirement = |number| json!({ "key": format!("k{number}"), "operator": "NotIn", "values": values });
    json!({ "matchExpressions": (0..4).map(requirement).collect::<Vec<_>>() })
}

/// Fails with everything that was accepted, or refused with another code.
#[track_caller]
fn assert_refused(outcomes: Vec<(&str, u16, kube::Result<DynamicObject>)>) {
    let wrong = outcomes.into_iter().filter_map(|(what, wanted, outcome)| match outcome {
        Err(kube::Error::Api(status)) if status.code == wanted => None,
        Err(error) => Some(format!("{what}: {error}")),
        Ok(_) => Some(format!("{what} is accepted")),
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_tenant_can_write_no_status_and_nothing_of_anybody_else() {
    let neighbour = Neighbour::new("tenant-rights").await;
    let (tenant, _home) = Tenant::new(&neighbour.world, "tenant-rights").await;
    let operator = neighbour.operator(&tenant);
    operator.ready().await;
    tenant.create(Kind::Pod, World::pod_body("x")).await.unwrap();
    tenant.create(Kind::Group, World::group_body("orders", &json!({}))).await.unwrap();
    let led = |group: &Value| group.number("/status/term") == 1 && group.has("Ready", "True");
    let status = eventually("a leader", async || {
        let group = tenant.get(Kind::Group, "orders").await.unwrap();
        led(&group).then(|| group.at("/status").clone())
    })
    .await;

    let forged =
        json!({ "status": { "term": 1_000, "leader": { "name": "y", "uid": "y" }, "unfenced": [] } });
    let of_tenant = |kind: Kind| kind.api(&tenant.client, &tenant.namespace);
    let of_neighbour = |kind: Kind| kind.api(&tenant.client, &neighbour.world.namespace);
    let of_operator = Kind::Lease.api(&tenant.client, "election-operator");
    let of_nodes = Kind::Lease.api(&tenant.client, "kube-node-lease");
    let (params, forged) = (PatchParams::default(), Patch::Merge(forged));
    let held = Patch::Merge(json!({ "spec": { "holderIdentity": "tenant" } }));
    let note = Patch::Merge(json!({ "metadata": { "annotations": { TERM: "1000" } } }));
    assert_refused(vec![
        ("a group's status", 403, of_tenant(Kind::Group).patch_status("orders", &params, &forged).await),
        ("a pod's status", 403, of_tenant(Kind::Pod).patch_status("x", &params, &note).await),
        ("a neighbour's group", 403, of_neighbour(Kind::Group).patch("orders", &params, &note).await),
        ("a neighbour's pod", 403, of_neighbour(Kind::Pod).patch("a", &params, &note).await),
        ("a neighbour's Lease", 403, of_neighbour(Kind::Lease).patch("orders", &params, &held).await),
        ("the operators' Lease", 403, of_operator.patch("election-operator", &params, &held).await),
        ("a node's Lease", 403, of_nodes.patch("node-000000", &params, &held).await),
    ]);
    // A status beside the spec is no status.
    of_tenant(Kind::Group).patch("orders", &params, &forged).await.unwrap();
    assert_eq!(tenant.get(Kind::Group, "orders").await.unwrap().at("/status"), &status);
    neighbour.finish(&operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn groups_that_trick_with_the_role_label_or_cost_too_much_are_refused_to_a_tenant() {
    let world = World::new("tenant-tricks").await;
    let tenant = Tenant::of(&world, &world.namespace).await;
    let preferences = |selector: Value, count| json!({ "preference": vec![json!({ "selector": selector, "weight": 1 }); count] });
    let values = |count: usize| (0..count).map(|number| format!("v{number}")).collect::<Vec<_>>();
    let requirement = |count| json!({ "key": "a", "operator": "In", "values": values(count) });
    let selector =
        |requirements, count| json!({ "matchExpressions": vec![requirement(count); requirements] });
    let mut outcomes = Vec::new();
    for (what, spec) in [
        ("a key of the selector", json!({ "roleLabel": { "key": "app" } })),
        (
            "a key in an expression",
            json!({ "selector": { "matchExpressions": [{ "key": "role", "operator": "Exists" }] } }),
        ),
        ("a key of a preference", preferences(json!({ "matchLabels": { "role": "leader" } }), 1)),
        ("a key of Kubernetes", json!({ "roleLabel": { "key": "apps.kubernetes.io/pod-index" } })),
        ("a key of a Deployment", json!({ "roleLabel": { "key": "pod-template-hash" } })),
        ("a key of a Job", json!({ "roleLabel": { "key": "batch.kubernetes.io/job-name" } })),
        ("one value for both", json!({ "roleLabel": { "leader": "x", "follower": "x" } })),
        ("too many preferences", preferences(json!({ "matchLabels": { "a": "b" } }), 33)),
        ("too many requirements", preferences(selector(33, 1), 1)),
        ("too many values", preferences(selector(1, 65), 1)),
        ("no selector", json!({ "selector": { "matchLabels": null } })),
    ] {
        outcomes.push((what, 422, tenant.create(Kind::Group, World::group_body("trick", &spec)).await));
    }
    tenant.create(Kind::Group, World::group_body("orders", &json!({}))).await.unwrap();
    for (what, role_label) in [
        ("another key", json!({ "key": "other" })),
        ("values that change places", json!({ "leader": "follower", "follower": "leader" })),
        ("the leader's value for followers", json!({ "leader": "first", "follower": "leader" })),
        ("the followers' value for leaders", json!({ "leader": "follower", "follower": "second" })),
    ] {
        let patch = json!({ "spec": { "roleLabel": role_label } });
        outcomes.push((what, 422, tenant.patch(Kind::Group, "orders", patch).await));
    }
    assert_refused(outcomes);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn times_that_cannot_be_held_stop_nobody_after_a_restart() {
    let mut neighbour = Neighbour::new("tenant-late").await;
    let (tenant, _home) = Tenant::new(&neighbour.world, "tenant-late").await;
    let operator = neighbour.operator(&tenant);
    operator.ready().await;
    neighbour.fail_over_times(5, "before").await;
    for name in ["late", "orders"] {
        let lease = json!({ "metadata": { "name": name } });
        let group = World::group_body(name, &json!({ "paused": name == "late" }));
        let of_kinds = [(Kind::Lease, lease), (Kind::Pod, World::pod_body(name)), (Kind::Group, group)];
        for (kind, body) in of_kinds {
            tenant.create(kind, noted(body)).await.unwrap();
            if name == "late" {
                tenant.date_late(kind, name).await;
            }
        }
    }
    neighbour.fail_over_times(5, "while such times are written").await;
    assert_memory(&operator);
    drop(operator);
    let operator = neighbour.operator(&tenant);
    operator.ready().await;
    neighbour.fail_over_times(5, "after a restart").await;
    // The group itself is served, too.
    eventually("word of the group with such a time", async || {
        let group = tenant.get(Kind::Group, "late").await.unwrap();
        (!group.condition("Ready").is_null()).then_some(())
    })
    .await;
    neighbour.finish(&operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn forged_marks_and_terms_near_the_maximum_stop_no_group() {
    let mut neighbour = Neighbour::new("tenant-forged-by").await;
    let home = World::new("tenant-forged").await;
    let tenant = Tenant::of(&home, &home.namespace).await;
    tenant.may_label(&home).await;
    let operator = neighbour.operator(&tenant);
    home.pods(&["a", "b", "c"]).await;
    tenant.create(Kind::Group, World::group_body("orders", &json!({}))).await.unwrap();
    let other = World::group_body("other", &json!({ "selector": { "matchLabels": { "app": "none" } } }));
    let other = tenant.create(Kind::Group, other).await.unwrap().metadata.uid.unwrap();
    let foreign = neighbour.world.get(Kind::Group, "orders").await.unwrap().text("/metadata/uid").to_owned();
    operator.ready().await;
    neighbour.fail_over_times(5, "before").await;
    for annotations in [
        json!({ GROUP: format!("other/{other}") }),
        json!({ GROUP: format!("orders/{foreign}") }),
        json!({ GROUP: "orders/no-uid" }),
        json!({ TERM: "9007199254740991" }),
        json!({ TERM: "9223372036854775807" }),
        json!({ GROUP: format!("other/{other}"), TERM: "9007199254740990" }),
        json!({ TERM: "-1" }),
    ] {
        let patch = json!({ "metadata": { "annotations": annotations } });
        let leader = home.recorder.until("a leader", |journal| Some(leader(journal)?.0)).await;
        let forged = eventually("the right to forge marks counts", async || {
            tenant.patch(Kind::Pod, &leader, patch.clone()).await.ok()
        })
        .await;
        home.recorder.forgive(forged.metadata.resource_version.as_deref());
        if !annotations[TERM].is_null() {
            tenant.patch(Kind::Lease, "orders", patch).await.unwrap();
        }
        let took = fail_over(&home).await;
        println!("with {annotations}: another leader after {} ms", took.as_millis());
        neighbour.fail_over().await;
    }
    neighbour.tell("while marks are forged");
    let group = home.get(Kind::Group, "orders").await.unwrap();
    assert!(group.number("/status/term") < 1_000, "{group:#}");
    home.finish().await;
    neighbour.finish(&operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn idle_connections_on_the_http_port_keep_no_failover_and_no_probe_waiting() {
    let mut neighbour = Neighbour::new("tenant-idle").await;
    let (tenant, _home) = Tenant::new(&neighbour.world, "tenant-idle").await;
    let operator = neighbour.operator(&tenant);
    operator.ready().await;
    neighbour.fail_over_times(5, "before").await;
    let address = operator.http_addr().unwrap();
    let idle: Vec<TcpStream> = (0..1_000).filter_map(|_| TcpStream::connect(address).ok()).collect();
    assert!(idle.len() > 500, "only {} connections", idle.len());
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = eventually("an answer beside idle connections", async || operator.get(path).await).await;
        assert_eq!(answer.0, 200, "{path}");
    }
    neighbour.fail_over_times(10, "with idle connections").await;
    drop(idle);
    neighbour.finish(&operator).await;
}

/// Everything that is large or many, one on top of the other, and a restart in the middle of all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "serves the whole cluster and fills it: `make hostile`, and `make cluster` after the other tests"]
async fn a_flood_of_one_tenant_takes_no_failover_and_no_memory_from_the_others() {
    let mut neighbour = Neighbour::new("tenant-flooded").await;
    let (tenant, _home) = Tenant::new(&neighbour.world, "tenant-flood").await;
    let operator = Operator::spawn_everywhere();
    operator.ready().await;
    neighbour.fail_over_times(20, "before").await;
    neighbour.ratios.clear();

    let by = tenant.clone();
    let leases = async move {
        by.flood(Kind::Lease, (0..500).map(|number| large(format!("l{number}"), "note", LARGE_BYTES))).await;
    };
    neighbour.fail_over_during("500 large Leases", leases).await;
    assert_memory(&operator);

    let by = tenant.clone();
    let groups = async move {
        let spec = json!({ "spec": { "selector": { "matchLabels": { "app": "none" } } } });
        let key = "kubectl.kubernetes.io/last-applied-configuration";
        let group = |number| merged(large(format!("g{number}"), key, LARGE_BYTES_OF_MANY), &spec);
        by.flood(Kind::Group, (0..1_000).map(group)).await;
    };
    neighbour.fail_over_during("1,000 large groups", groups).await;
    assert_memory(&operator);

    let by = tenant.clone();
    let pods = async move {
        // They wait for ever, so nobody else has work with them.
        let spec = json!({ "spec": {
            "schedulingGates": [{ "name": "tests.election-operator.io/never" }],
            "containers": [{ "name": "app", "image": "app" }],
        } });
        let pod = |number| merged(large(format!("p{number}"), "election-operator.io/x", LARGE_BYTES), &spec);
        by.flood(Kind::Pod, (0..100).map(pod)).await;
    };
    neighbour.fail_over_during("100 large pods", pods).await;
    assert_memory(&operator);

    let by = tenant.clone();
    let churn = async move { churn_among_expensive_preferences(&by).await };
    neighbour.fail_over_during("expensive preferences", churn).await;
    assert_memory(&operator);

    for (kind, body) in [
        (Kind::Lease, json!({ "metadata": { "name": "late" } })),
        (
            Kind::Group,
            World::group_body("late", &json!({ "selector": { "matchLabels": { "app": "none" } } })),
        ),
    ] {
        tenant.create(kind, noted(body)).await.unwrap();
        tenant.date_late(kind, "late").await;
    }
    drop(operator);
    let start = Instant::now();
    let operator = Operator::spawn_everywhere();
    let address = eventually("the port of the operator", async || operator.http_addr()).await;
    let idle: Vec<TcpStream> = (0..500).filter_map(|_| TcpStream::connect(address).ok()).collect();
    // Lost while nobody could see it.
    fail_over(&neighbour.world).await;
    operator.ready().await;
    println!("restart: {:.1} s until it is ready and has replaced a leader", start.elapsed().as_secs_f64());
    let by = tenant.clone();
    let churn = async move { relabel(&by, 10).await };
    neighbour.fail_over_during("after a restart, with idle connections", churn).await;
    drop(idle);
    neighbour.finish(&operator).await;
}

const APPS: usize = 6;
const PODS_OF_APP: usize = 10;

/// Groups that weigh each pod by much, and pods that never look the same for long.
async fn churn_among_expensive_preferences(tenant: &Tenant) {
    let app = |number: usize| format!("x{}", number % APPS);
    let pod = |number: usize| {
        let metadata = json!({ "metadata": { "labels": { "app": app(number) } } });
        merged(World::pod_body(&format!("x{number}")), &metadata)
    };
    tenant.flood(Kind::Pod, (0..APPS * PODS_OF_APP).map(pod)).await;
    let group = |number: usize| {
        let app = app(number);
        let preference = vec![json!({ "selector": expensive(&app), "weight": 1 }); 32];
        let selector = json!({ "matchLabels": { "app": app } });
        let spec = json!({ "selector": selector, "preference": preference, "failback": "WhenSteady" });
        World::group_body(&format!("x{number}"), &spec)
    };
    tenant.flood(Kind::Group, (0..APPS).map(group)).await;
    relabel(tenant, 10).await;
}

/// Changes a label of each of these pods so many times.
async fn relabel(tenant: &Tenant, times: usize) {
    for time in 0..times {
        let patches = stream::iter(0..APPS * PODS_OF_APP).map(|number| async move {
            let patch = json!({ "metadata": { "labels": { "k0": format!("t{time}") } } });
            tenant.patch(Kind::Pod, &format!("x{number}"), patch).await
        });
        let mut patches = patches.buffer_unordered(AT_ONCE);
        while let Some(patched) = patches.next().await {
            patched.expect("a tenant can label its pods");
        }
    }
}
