//! What a rolling update costs: one change of leader, two if the leader is replaced before any new pod is Ready.

use serde_json::{Value, json};
use testkit::feed::{Journal, Revision};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World};

/// The pods count as available after a second, so that the new ones are younger than the old by the seconds in which
/// Kubernetes writes down a creation.
fn workload(more: Value) -> Value {
    let template = json!({
        "metadata": { "labels": { "app": "orders" } },
        "spec": { "terminationGracePeriodSeconds": 0, "containers": [{ "name": "app", "image": "app:1" }] },
    });
    let spec = json!({
        "replicas": 5,
        "minReadySeconds": 1,
        "selector": { "matchLabels": { "app": "orders" } },
        "template": template,
    });
    json!({ "metadata": { "name": "orders" }, "spec": testkit::json::merged(spec, &more) })
}

/// Five pods, all available, and an operator.
async fn five(world: &World, kind: Kind, resource: &str, spec: Value) -> Operator {
    world.create(kind, workload(spec)).await;
    world.kubectl(&["rollout", "status", resource, "--timeout=60s"]).await;
    Operator::start(world).await
}

/// Replaces all pods, and returns what was seen of it once the group is complete again.
async fn roll_out(world: World, resource: &str) -> Journal {
    world.kubectl(&["set", "image", resource, "app=app:2"]).await;
    world.kubectl(&["rollout", "status", resource, "--timeout=60s"]).await;
    let complete = |group: &Value| {
        let five = group.number("/status/candidates") == 5 && group.number("/status/eligible") == 5;
        five && group.has("Ready", "True")
    };
    world.until(Kind::Group, "orders", "complete again", complete).await;
    for pod in world.list(Kind::Pod).await {
        assert_eq!(pod.text("/spec/containers/0/image"), "app:2", "{pod:#}");
    }
    world.finish().await
}

/// The old pods in the order in which they were replaced, told by the deletion of each. (A controller that does not see
/// its own deletion yet may delete the new pod of that name, too.)
fn replaced(journal: &Journal) -> Vec<String> {
    let mut uids = Vec::new();
    let mut names = Vec::new();
    let old = |pod: &&Revision| pod.object.text("/spec/containers/0/image") == "app:1";
    for pod in journal.of(Kind::Pod).filter(old).filter(|pod| pod.is_deleted() || pod.is_terminating()) {
        if !uids.contains(&pod.uid()) {
            uids.push(pod.uid());
            names.push(pod.name().to_owned());
        }
    }
    names
}

/// Makes the pod the leader by request, if it is not yet.
async fn lead(world: &World, pod: &str) {
    world.group("orders", json!({})).await;
    let ready = |group: &Value| group.has("Ready", "True");
    let group = world.until(Kind::Group, "orders", "Ready", ready).await;
    if group.text("/status/leader/name") != pod {
        let request = json!({ "metadata": { "annotations": { "election-operator.io/switchover": pod } } });
        world.patch(Kind::Group, "orders", request).await;
    }
    let leads = |journal: &Journal| journal.leaders().last().is_some_and(|last| last == pod).then_some(());
    world.recorder.until(&format!("{pod} labelled"), leads).await;
}

/// Rolls out a `StatefulSet`, which replaces the highest number first, and returns who led from `leader` on. Its pods come
/// one after the other: with the other policy some versions of Kubernetes leave out `minReadySeconds`
/// (kubernetes/kubernetes#119234).
async fn stateful_set_led_by(world: &str, leader: &str) -> Vec<String> {
    let world = World::new(world).await;
    let spec = json!({ "serviceName": "orders" });
    let _operator = five(&world, Kind::StatefulSet, "statefulset/orders", spec).await;
    lead(&world, leader).await;
    let before = world.recorder.journal().leaders().len();
    let journal = roll_out(world, "statefulset/orders").await;
    assert_eq!(replaced(&journal), ["orders-4", "orders-3", "orders-2", "orders-1", "orders-0"]);
    journal.leaders().split_off(before - 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn of_five_costs_one_change_if_the_leader_is_replaced_last() {
    let leaders = stateful_set_led_by("rollout-last", "orders-0").await;
    // The first to be new has been Ready longest.
    assert_eq!(leaders, ["orders-0", "orders-4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn of_five_costs_one_change_if_the_leader_is_replaced_second() {
    let leaders = stateful_set_led_by("rollout-second", "orders-3").await;
    assert_eq!(leaders, ["orders-3", "orders-4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn of_five_costs_two_changes_if_the_leader_is_replaced_first() {
    let leaders = stateful_set_led_by("rollout-first", "orders-4").await;
    // In between, an old pod had to lead: none was new.
    assert!(
        matches!(&leaders[..], [first, _, last] if first == "orders-4" && last == "orders-4"),
        "{leaders:?}"
    );
}

/// Rolls out a Deployment of this strategy that replaces its leader first, or last, and returns who led.
async fn deployment(world: &str, strategy: Value, leader_first: bool) -> Vec<String> {
    let world = World::new(world).await;
    let spec = json!({ "strategy": { "rollingUpdate": strategy } });
    let _operator = five(&world, Kind::Deployment, "deployment/orders", spec).await;
    world.group("orders", json!({})).await;
    let ready = |group: &Value| group.has("Ready", "True");
    let group = world.until(Kind::Group, "orders", "Ready", ready).await;
    let leader = group.text("/status/leader/name");
    let cost = if leader_first { "-1" } else { "1" };
    let cost =
        json!({ "metadata": { "annotations": { "controller.kubernetes.io/pod-deletion-cost": cost } } });
    world.patch(Kind::Pod, leader, cost).await;
    let journal = roll_out(world, "deployment/orders").await;
    let replaced = replaced(&journal);
    let place = replaced.iter().position(|pod| pod == leader);
    assert_eq!((place, replaced.len()), (Some(if leader_first { 0 } else { 4 }), 5), "{replaced:?}");
    journal.leaders()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn of_a_deployment_costs_one_change_if_the_leader_is_replaced_last() {
    let in_place = json!({ "maxSurge": 0, "maxUnavailable": 1 });
    let leaders = deployment("rollout-deployment", in_place, false).await;
    assert_eq!(leaders.len(), 2, "{leaders:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn of_a_deployment_costs_two_changes_if_the_leader_is_replaced_first() {
    let in_place = json!({ "maxSurge": 0, "maxUnavailable": 1 });
    let leaders = deployment("rollout-deployment-first", in_place, true).await;
    assert_eq!(leaders.len(), 3, "{leaders:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn of_a_deployment_costs_one_change_if_a_new_pod_is_there_before_the_leader_goes() {
    let surge = json!({ "maxSurge": 1, "maxUnavailable": 0 });
    let leaders = deployment("rollout-surge", surge, true).await;
    assert_eq!(leaders.len(), 2, "{leaders:?}");
}
