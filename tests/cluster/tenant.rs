//! A tenant with the role `edit` in one namespace does its worst there, while the group of another
//! namespace goes on failing over.
//!
//! How long that takes is printed, measured by label patches made at the same time, and is no verdict:
//! the verdict is that each failover ends, that no two pods lead, that the operator keeps within
//! the memory the chart grants it, and that it gets ready again after a restart. `make hostile`
//! runs all of it and shows the figures.

mod account;
mod neighbour;

use std::net::TcpStream;
use std::time::Instant;

use futures::{StreamExt, stream};
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use testkit::feed::{GROUP, TERM};
use testkit::json::{At, merged};
use testkit::kind::Kind;

use crate::harness::{Operator, World, eventually};
pub(crate) use account::Tenant;
use neighbour::{Neighbour, assert_memory, fail_over, leader};

/// Later than any time that most programs can hold.
const LATE: &str = "9999-12-31T23:59:59Z";

/// Not far below what an object may have in annotations.
const LARGE_BYTES: usize = 250 * 1024;

/// Of so many objects that the API server itself would be what is measured, were they any larger.
const LARGE_BYTES_OF_MANY: usize = 100 * 1024;

/// How many requests the tenant has under way at once.
const AT_ONCE: usize = 16;

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
    neighbour.all_ratios.clear();

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
