//! Nobody can lead, and groups that are told not to move.

use serde_json::{Value, json};
use testkit::feed::What;
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{World, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn without_a_candidate_the_label_is_kept() {
    let world = World::new("nobody-keep").await;
    let _operator = world.elected(&["a"], json!({})).await;
    world.set_ready("a", false).await;
    let group = world.until(Kind::Group, "orders", "not Ready", |group| group.has("Ready", "False")).await;
    assert!(group.has("CandidatesAvailable", "False"), "{group:#}");
    assert_eq!((group.text("/status/leader/name"), group.number("/status/eligible")), ("a", 0));
    world.until_event("orders", "NoCandidate").await;
    assert_eq!(world.role("a").await.as_deref(), Some("leader"));
    world.set_ready("a", true).await;
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(group.number("/status/term"), 1);
    assert_eq!(world.finish().await.steps().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn without_a_candidate_the_label_is_cleared_if_asked_and_comes_back() {
    let world = World::new("nobody-clear").await;
    let _operator = world.elected(&["a"], json!({ "failover": { "whenNoCandidate": "Clear" } })).await;
    world.set_ready("a", false).await;
    world.until_role("a", "follower").await;
    let cleared = world
        .until(Kind::Group, "orders", "without a leader", |group| {
            group.has("LeaderElected", "False") && group.at("/status/leader").is_null()
        })
        .await;
    assert!(cleared.has("Ready", "False"), "{cleared:#}");
    eventually("no endpoint", async || world.endpoints().await.is_empty().then_some(())).await;

    world.set_ready("a", true).await;
    let group = world.until_led_by("orders", "a").await;
    assert!(group.number("/status/term") > cleared.number("/status/term"), "{group:#}");
    assert_eq!(group.text("/status/history/0/reason"), "Recovered", "{group:#}");
    world.until_event("orders", "Recovered").await;
    world.until_endpoint("a").await;
    let steps: Vec<_> = world.finish().await.steps().into_iter().map(|step| step.what).collect();
    assert_eq!(steps, [What::Gained, What::Lost, What::Gained]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_next_pod_leads_after_the_last_one_was_deleted() {
    let world = World::new("nobody-deleted").await;
    let _operator = world.elected(&["a"], json!({})).await;
    world.delete(Kind::Pod, "a").await;
    let group =
        world.until(Kind::Group, "orders", "empty", |group| group.number("/status/candidates") == 0).await;
    assert!(!group.has("Ready", "True"), "{group:#}");
    world.until_event("orders", "NoCandidate").await;
    world.pod("b").await;
    let group = world.until_led_by("orders", "b").await;
    assert!(group.number("/status/term") > 1, "{group:#}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_paused_group_keeps_its_lease() {
    let world = World::new("paused-lease").await;
    let spec = json!({ "paused": false, "lease": { "durationSeconds": 3, "renewSeconds": 1 } });
    let _operator = world.elected(&["a", "b"], spec).await;
    world.patch(Kind::Group, "orders", json!({ "spec": { "paused": true } })).await;
    world
        .until(Kind::Group, "orders", "Paused", |group| group.condition("Ready").text("/reason") == "Paused")
        .await;
    let lease = world.get(Kind::Lease, "orders").await.unwrap();
    let renewed = |now: &Value| now.text("/spec/renewTime") > lease.text("/spec/renewTime");
    world.until(Kind::Lease, "orders", "renewed", renewed).await;
    // Emptied by somebody, the record is written again for the pod that carries the label.
    let emptied = world.patch_status(Kind::Group, "orders", json!({ "status": null })).await;
    world.recorder.forgive(emptied["metadata"]["resourceVersion"].as_str());
    world
        .until(Kind::Group, "orders", "recorded again", |group| group.text("/status/leader/name") == "a")
        .await;
    assert_eq!(world.finish().await.leaders(), ["a"]);
}
