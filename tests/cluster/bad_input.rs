//! What the API server refuses, with a message that names the field.

use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn what_cannot_work_is_refused_by_the_api_server() {
    let world = World::new("bad-input").await;
    let requirement = |operator| json!({ "key": "app", "operator": operator });
    let cases: Vec<(&str, Value)> = vec![
        ("spec.selector", json!({ "selector": null })),
        ("spec.selector", json!({ "selector": { "matchLabels": null } })),
        ("spec.selector", json!({ "selector": { "matchLabels": null, "matchExpressions": [] } })),
        (
            "spec.selector.matchExpressions",
            json!({ "selector": { "matchExpressions": [requirement("Near")] } }),
        ),
        ("spec.selector.matchLabels", json!({ "selector": { "matchLabels": { "role": "follower" } } })),
        (
            "spec.selector.matchExpressions",
            json!({ "selector": { "matchExpressions": [{ "key": "role", "operator": "Exists" }] } }),
        ),
        ("spec.mode", json!({ "mode": "Elsewhere" })),
        ("spec.lease.name", json!({ "lease": { "name": "Not_A_Name" } })),
        ("spec.lease.name", json!({ "lease": { "name": "" } })),
        ("spec.lease.namespace", json!({ "lease": { "namespace": "kube-system" } })),
        ("spec.lease.namespace", json!({ "mode": "Observed", "lease": { "namespace": "kube-node-lease" } })),
        ("spec.lease.namespace", json!({ "mode": "Observed", "lease": { "namespace": "not.a.name" } })),
        ("spec.lease.durationSeconds", json!({ "lease": { "durationSeconds": 2, "renewSeconds": 1 } })),
        ("spec.lease.durationSeconds", json!({ "lease": { "durationSeconds": 86_401 } })),
        ("spec.lease.renewSeconds", json!({ "lease": { "renewSeconds": 0 } })),
        ("spec.lease.renewSeconds", json!({ "lease": { "renewSeconds": -5 } })),
        ("renewSeconds", json!({ "lease": { "durationSeconds": 10, "renewSeconds": 5 } })),
        ("renewSeconds", json!({ "lease": { "renewSeconds": 30 } })),
        ("spec.lease.durationSeconds", json!({ "lease": { "durationSeconds": "15" } })),
        ("spec.roleLabel.key", json!({ "roleLabel": { "key": "" } })),
        ("spec.roleLabel.key", json!({ "roleLabel": { "key": "not a key" } })),
        ("spec.roleLabel.key", json!({ "roleLabel": { "key": "a/b/c" } })),
        ("spec.roleLabel.key", json!({ "roleLabel": { "key": "x".repeat(64) } })),
        ("spec.roleLabel.key", json!({ "roleLabel": { "key": "kubernetes.io/role" } })),
        ("spec.roleLabel.key", json!({ "roleLabel": { "key": "statefulset.kubernetes.io/pod-name" } })),
        ("spec.roleLabel.key", json!({ "roleLabel": { "key": "node.k8s.io/x" } })),
        ("spec.roleLabel.key", json!({ "roleLabel": { "key": "pod-template-hash" } })),
        ("spec.roleLabel.key", json!({ "roleLabel": { "key": "job-name" } })),
        ("spec.roleLabel.leader", json!({ "roleLabel": { "leader": "" } })),
        ("spec.roleLabel.leader", json!({ "roleLabel": { "leader": "not a value" } })),
        ("spec.roleLabel.leader", json!({ "roleLabel": { "leader": "x".repeat(64) } })),
        ("spec.roleLabel.follower", json!({ "roleLabel": { "follower": "-" } })),
        ("follower", json!({ "roleLabel": { "leader": "same", "follower": "same" } })),
        ("follower", json!({ "roleLabel": { "leader": "follower" } })),
        ("spec.failover.notReadySeconds", json!({ "failover": { "notReadySeconds": -1 } })),
        ("spec.failover.nodeSilentSeconds", json!({ "failover": { "nodeSilentSeconds": -1 } })),
        ("spec.failover.nodeSilentSeconds", json!({ "failover": { "nodeSilentSeconds": 14 } })),
        ("spec.failover.minReadySeconds", json!({ "failover": { "minReadySeconds": -1 } })),
        ("spec.failover.cooldownSeconds", json!({ "failover": { "cooldownSeconds": -1 } })),
        ("spec.failover.whenNoCandidate", json!({ "failover": { "whenNoCandidate": "Perhaps" } })),
        (
            "weight",
            json!({ "preference": [{ "selector": { "matchLabels": { "a": "b" } }, "weight": 1001 }] }),
        ),
        (
            "weight",
            json!({ "preference": [{ "selector": { "matchLabels": { "a": "b" } }, "weight": -1001 }] }),
        ),
        (
            "spec.preference",
            json!({ "preference": [{ "selector": { "matchLabels": { "role": "follower" } }, "weight": 1 }] }),
        ),
        (
            "spec.preference",
            json!({
                "roleLabel": { "key": "primary" },
                "preference": [
                    { "selector": { "matchLabels": { "role": "a" } }, "weight": 1 },
                    { "selector": { "matchExpressions": [{ "key": "primary", "operator": "Exists" }] }, "weight": 1 },
                ],
            }),
        ),
        ("spec.failback", json!({ "failback": "Often" })),
        ("spec.historyLimit", json!({ "historyLimit": 51 })),
        ("spec.historyLimit", json!({ "historyLimit": -1 })),
        ("spec.paused", json!({ "paused": "yes" })),
    ];
    let mut wrong = Vec::new();
    for (number, (field, spec)) in cases.into_iter().enumerate() {
        match world.try_create(Kind::Group, World::group_body(&format!("case-{number}"), &spec)).await {
            Ok(_) => wrong.push(format!("{spec} is accepted")),
            Err(error) if !error.to_string().contains(field) => {
                wrong.push(format!("{spec} is refused without naming {field}: {error}"));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn what_cannot_change_is_refused_by_the_api_server() {
    let world = World::new("bad-change").await;
    world.group("plain", json!({})).await;
    world.group("named", json!({ "lease": { "name": "lock" } })).await;
    let observed = json!({ "mode": "Observed", "lease": { "namespace": "kube-system" } });
    world.group("observed", observed).await;
    let cases = [
        ("mode", "plain", json!({ "mode": "Observed" })),
        ("lease.name", "plain", json!({ "lease": { "name": "other" } })),
        ("lease.name", "named", json!({ "lease": { "name": "other" } })),
        ("lease.name", "named", json!({ "lease": { "name": null } })),
        ("lease.name", "named", json!({ "lease": null })),
        ("lease.namespace", "observed", json!({ "lease": { "namespace": "default" } })),
        ("lease.namespace", "observed", json!({ "lease": { "namespace": null } })),
        ("key", "plain", json!({ "roleLabel": { "key": "other" } })),
        ("leader", "plain", json!({ "roleLabel": { "leader": "follower", "follower": "leader" } })),
        ("leader", "plain", json!({ "roleLabel": { "leader": "follower", "follower": "replica" } })),
        ("selector", "plain", json!({ "selector": { "matchLabels": null } })),
    ];
    let mut wrong = Vec::new();
    for (field, name, spec) in cases {
        match world.try_patch(Kind::Group, name, json!({ "spec": spec })).await {
            Ok(_) => wrong.push(format!("{name}: {spec} is accepted")),
            Err(error) if !error.to_string().contains(field) => {
                wrong.push(format!("{name}: {spec} is refused without naming {field}: {error}"));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What may change, can.
    let allowed =
        json!({ "spec": { "lease": { "durationSeconds": 30 }, "roleLabel": { "leader": "primary" } } });
    world.patch(Kind::Group, "named", allowed).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn defaults_are_those_of_the_documentation() {
    let world = World::new("bad-defaults").await;
    let group = world.group("orders", json!({})).await;
    let expected = json!({
        "selector": { "matchLabels": { "app": "orders" } },
        "mode": "Managed",
        "lease": {},
        "roleLabel": { "key": "role", "leader": "leader", "follower": "follower" },
        "routing": { "services": [] },
        "failover": {
            "notReadySeconds": 0,
            "nodeSilentSeconds": 35,
            "minReadySeconds": 0,
            "cooldownSeconds": 0,
            "nomineeSeconds": 5,
            "whenNoCandidate": "Keep",
        },
        "failback": "Never",
        "failbackQuietSeconds": 60,
        "paused": false,
        "historyLimit": 10,
    });
    let mut spec = group.at("/spec").clone();
    let preference = spec.as_object_mut().unwrap().remove("preference");
    assert!(preference.is_none_or(|list| list == json!([])));
    assert_eq!(spec, expected);
    // No operator serves the namespace: to kstatus a group without a status would be ready.
    let ready = group.at("/status/conditions/0");
    assert_eq!((ready.text("/type"), ready.text("/status")), ("Ready", "Unknown"));
    world.finish().await;
}

/// Who may write a group may also say who wrote its fields and when: later, say, than any time that can be held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_group_with_a_time_that_cannot_be_held_is_served_like_any_other() {
    let world = World::new("bad-time").await;
    let operator = world.elected(&["a", "b"], json!({})).await;
    world.kubectl(&["annotate", "electiongroup", "orders", "note=b"]).await;
    let patch = json!([
        { "op": "replace", "path": "/metadata/managedFields/0/time", "value": "9999-12-31T23:59:59Z" },
        { "op": "replace", "path": "/metadata/annotations/note", "value": "c" },
    ]);
    let patch = patch.to_string();
    world.kubectl(&["patch", "electiongroup", "orders", "--type=json", "-p", &patch]).await;
    let group =
        world.kubectl(&["get", "electiongroup", "orders", "--show-managed-fields", "-o", "json"]).await;
    assert!(group.contains("9999-12-31T23:59:59Z"), "{group}");
    drop(operator);
    let _operator = Operator::start(&world).await;
    world.delete(Kind::Pod, "a").await;
    world.until_role("b", "leader").await;
    // The recorder reads groups whole, as anybody would: this one it cannot.
    world.finish_without_verdict();
}
