//! Who is chosen, and that a healthy leader is left alone.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World};

fn labelled(key: &str, value: &str) -> Value {
    json!({ "metadata": { "labels": { key: value } } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_stays_when_pods_come_and_go() {
    let world = World::new("sticky-scale").await;
    let _operator = world.elected(&["m", "n"], json!({})).await;
    // Names before and after it, a candidate in trouble, a candidate gone.
    world.pods(&["a", "z"]).await;
    for name in ["a", "z"] {
        world.until_role(name, "follower").await;
    }
    world.set_ready("n", false).await;
    world.delete(Kind::Pod, "z").await;
    world
        .until(Kind::Group, "orders", "with two of three", |group| group.number("/status/eligible") == 2)
        .await;
    world.set_ready("n", true).await;
    let group =
        world.until(Kind::Group, "orders", "with three", |group| group.number("/status/eligible") == 3).await;
    assert_eq!((group.text("/status/leader/name"), group.number("/status/term")), ("m", 1));
    assert_eq!(world.finish().await.steps().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_stays_when_the_operator_is_restarted() {
    let world = World::new("sticky-restart").await;
    let mut operator = world.elected(&["a", "b"], json!({})).await;
    world.until_quiet(Duration::from_millis(500)).await;
    let before = world.recorder.journal().all().filter(|revision| revision.kind != Kind::Lease).count();
    assert!(operator.terminate().await.success());
    for _ in 0..3 {
        let mut operator = Operator::start(&world).await;
        let lease = world.get(Kind::Lease, "orders").await.unwrap();
        let renewed = |now: &Value| now.text("/spec/renewTime") > lease.text("/spec/renewTime");
        world.until(Kind::Lease, "orders", "renewed", renewed).await;
        operator.kill();
    }
    let journal = world.finish().await;
    // Nothing but the Lease was written.
    let after = journal.all().filter(|revision| revision.kind != Kind::Lease).count();
    assert_eq!(before, after, "{journal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_candidate_must_have_been_ready_for_as_long_as_asked() {
    let world = World::new("sticky-min-ready").await;
    let _operator = world.elected(&["a"], json!({ "failover": { "minReadySeconds": 4 } })).await;
    world.pod("b").await;
    world.until_role("b", "follower").await;
    world.set_ready("a", false).await;
    world.until_led_by("orders", "b").await;
    let journal = world.finish().await;
    let ready = journal.of(Kind::Pod).find(|pod| pod.name() == "b" && pod.is_ready()).unwrap().seen;
    let steps = journal.steps();
    let waited = steps.last().unwrap().seen.duration_since(ready);
    // Kubernetes writes down only the second in which a pod became Ready.
    assert!(waited >= Duration::from_secs(3), "{waited:?}");
    assert!(waited <= Duration::from_secs(10), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_that_is_gone_is_replaced_though_nobody_has_been_ready_for_long() {
    let world = World::new("sticky-young").await;
    let _operator = world.elected(&["m"], json!({ "failover": { "minReadySeconds": 3600 } })).await;
    world.pod("n").await;
    world.until_role("n", "follower").await;
    // A leader that is still there waits for somebody who has been Ready for an hour.
    world.set_ready("m", false).await;
    let unready = |group: &Value| group.number("/status/eligible") == 0;
    world.until(Kind::Group, "orders", "without anybody eligible", unready).await;
    assert_eq!(world.role("m").await.as_deref(), Some("leader"));
    world.delete(Kind::Pod, "m").await;
    world.until_led_by("orders", "n").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_newest_revision_of_the_workload_is_preferred() {
    let world = World::new("sticky-revision").await;
    world.service().await;
    for (name, revision) in [("a", "v1"), ("b", "v1"), ("z", "v2")] {
        world.pod_with(name, labelled("controller-revision-hash", revision)).await;
        // Creation times have seconds: the newest pod must be the newest beyond doubt.
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({})).await;
    world.until_led_by("orders", "z").await;
    world.delete(Kind::Pod, "z").await;
    world.until_led_by("orders", "a").await;
    world.finish().await;
}
