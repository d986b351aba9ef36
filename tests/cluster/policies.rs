//! What the chart's admission policies refuse: to the operator's own token, and to users.

use kube::Client;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::cluster;
use testkit::feed::{GROUP, TERM};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::cluster::Cluster;
use crate::harness::{World, eventually};
use crate::tenant::Tenant;

/// A write by somebody, and what the refusal must say; none: it is allowed.
async fn judged(client: &Client, world: &World, writes: Vec<(Kind, &str, Value, Option<&str>)>) {
    for (kind, name, patch, refusal) in writes {
        let api = kind.api(client, &world.namespace);
        let written = api.patch(name, &PatchParams::default(), &Patch::Strategic(&patch)).await;
        match (written, refusal) {
            (Ok(_), None) => {}
            (Err(kube::Error::Api(status)), Some(refusal)) => {
                assert_eq!(status.code, 403, "{kind:?} {name} {patch}: {status:?}");
                assert!(status.message.contains(refusal), "{kind:?} {name} {patch}: {}", status.message);
            }
            (written, refusal) => panic!("{kind:?} {name} {patch}: {written:?}, not {refusal:?}"),
        }
    }
}

fn metadata(metadata: Value) -> Value {
    json!({ "metadata": metadata })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_stolen_token_of_the_operator_starts_no_image_and_takes_no_lease_of_others() {
    let world = World::new("policies-token").await;
    world.pods(&["a"]).await;
    // The garbage collector deletes what has an owner that does not exist.
    let group = world.group("x", json!({})).await.text("/metadata/uid").to_owned();
    let owner = |kind: &str| {
        let version = if kind == "ElectionGroup" { "election-operator.io/v1alpha1" } else { "v1" };
        json!([{ "apiVersion": version, "kind": kind, "name": "x", "uid": group }])
    };
    let lease = |name: &str, metadata: Value| {
        let mut lease = json!({ "metadata": { "name": name }, "spec": { "holderIdentity": "somebody" } });
        json_patch(&mut lease["metadata"], metadata);
        lease
    };
    world.create(Kind::Lease, lease("foreign", json!({}))).await;
    world
        .create(
            Kind::Lease,
            lease("adopted", json!({ "annotations": { "election-operator.io/adopt": "orders" } })),
        )
        .await;
    world.create(Kind::Lease, lease("left", json!({ "annotations": { TERM: "3" } }))).await;

    let operator = cluster::client(&Cluster::find().operator).await;
    let image = json!({ "spec": { "containers": [{ "name": "app", "image": "evil" }] } });
    let take = |metadata: Value| json!({ "metadata": metadata, "spec": { "holderIdentity": "a" } });
    let ours = json!({ "ownerReferences": owner("ElectionGroup") });
    judged(
        &operator,
        &world,
        vec![
            (Kind::Pod, "a", image, Some("may not change the spec")),
            (Kind::Pod, "a", metadata(json!({ "finalizers": ["example.com/x"] })), Some("finalizers")),
            (Kind::Pod, "a", metadata(json!({ "ownerReferences": owner("Pod") })), Some("ownerReferences")),
            (
                Kind::Pod,
                "a",
                metadata(json!({ "annotations": { "example.com/x": "y" } })),
                Some("annotations election-operator.io/"),
            ),
            (Kind::Pod, "a", metadata(json!({ "annotations": { TERM: "1" } })), None),
            (Kind::Pod, "a", metadata(json!({ "labels": { "role": "follower" } })), None),
            (Kind::Lease, "foreign", take(json!({})), Some("only Leases that an ElectionGroup owns")),
            (Kind::Lease, "foreign", take(ours.clone()), Some("may not take a Lease")),
            (Kind::Lease, "adopted", take(ours.clone()), None),
            (Kind::Lease, "adopted", take(json!({})), None),
            (Kind::Lease, "left", take(ours.clone()), None),
        ],
    )
    .await;

    let created = |name: &str, metadata: Value| Kind::Lease.object(lease(name, metadata));
    let leases = Kind::Lease.api(&operator, &world.namespace);
    let refused = leases.create(&PostParams::default(), &created("new", json!({}))).await.unwrap_err();
    assert!(refused.to_string().contains("an ElectionGroup owns"), "{refused}");
    leases.create(&PostParams::default(), &created("new", ours.clone())).await.unwrap();
    let heartbeats = Kind::Lease.api(&operator, "kube-node-lease");
    let refused = heartbeats.create(&PostParams::default(), &created(&world.namespace, ours)).await;
    assert!(refused.unwrap_err().to_string().contains("an ElectionGroup owns"));
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn users_without_the_right_can_move_no_leader_by_hand_and_everything_else_of_their_pods() {
    let world = World::new("policies-users").await;
    let operator = world.elected(&["a", "b"], json!({})).await;
    let tenant = Tenant::of(&world, &world.namespace).await;
    let role = |role: Value| metadata(json!({ "labels": { "role": role } }));
    let mark = |key: &str, value: Value| metadata(json!({ "annotations": { key: value } }));
    let (label, marks) = ("lacks the right to \"label\"", "only the election operator writes");
    judged(
        &tenant.client,
        &world,
        vec![
            (Kind::Pod, "b", role(json!("leader")), Some(label)),
            (Kind::Pod, "b", role(Value::Null), Some("for the ElectionGroup orders/")),
            (Kind::Pod, "a", role(json!("follower")), Some(label)),
            (Kind::Pod, "a", mark(TERM, json!("1000")), Some(marks)),
            (Kind::Pod, "a", mark(GROUP, Value::Null), Some(marks)),
            (Kind::Pod, "a", metadata(json!({ "labels": { "tier": "one" } })), None),
            (Kind::Pod, "a", mark("election-operator.io/priority", json!("7")), None),
        ],
    )
    .await;
    // A pod that no operator has marked is its owner's alone.
    world.pod_with("other", json!({ "metadata": { "labels": { "app": "other" } } })).await;
    judged(&tenant.client, &world, vec![(Kind::Pod, "other", role(json!("main")), None)]).await;

    tenant.may_label(&world).await;
    eventually("the right counts", async || {
        let api = Kind::Pod.api(&tenant.client, &world.namespace);
        let patch = Patch::Merge(role(json!("king")));
        api.patch("b", &PatchParams::default(), &patch).await.ok()
    })
    .await;
    world.until_role("b", "follower").await;
    drop(operator);
    world.finish().await;
}

fn json_patch(target: &mut Value, patch: Value) {
    for (key, value) in patch.as_object().unwrap() {
        target[key] = value.clone();
    }
}
