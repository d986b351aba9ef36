//! What is taken away when it is no longer wanted, also afterwards.

use serde_json::{Value, json};
use testkit::feed::{GROUP, TERM};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World};

fn is_clean(pod: &Value) -> bool {
    let (labels, annotations) = (pod.at("/metadata/labels"), pod.at("/metadata/annotations"));
    labels["role"].is_null() && annotations[GROUP].is_null() && annotations[TERM].is_null()
}

async fn until_clean(world: &World, pods: &[&str]) {
    for pod in pods {
        world.until(Kind::Pod, pod, "without any mark", is_clean).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_deleted_group_leaves_nothing_behind() {
    let world = World::new("cleanup").await;
    let own =
        json!({ "metadata": { "labels": { "tier": "db" }, "annotations": { "acme.example/note": "kept" } } });
    world.pod_with("a", own).await;
    world.pod("b").await;
    let _operator = Operator::start(&world).await;
    let group = world.group("orders", json!({})).await;
    assert!(group.at("/metadata/finalizers").is_null(), "{group:#}");
    world.until_led_by("orders", "a").await;
    world.until_role("b", "follower").await;
    world.delete(Kind::Group, "orders").await;
    until_clean(&world, &["a", "b"]).await;
    let pod = world.get(Kind::Pod, "a").await.unwrap();
    assert_eq!(pod.at("/metadata/labels"), &json!({ "app": "orders", "tier": "db" }));
    assert_eq!(pod.at("/metadata/annotations"), &json!({ "acme.example/note": "kept" }));
    world.until(Kind::Lease, "orders", "gone with its owner", Value::is_null).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn what_was_deleted_while_the_operator_was_down_is_cleaned_up_when_it_starts() {
    let world = World::new("cleanup-down").await;
    let mut operator = world.elected(&["a", "b"], json!({})).await;
    world.until_role("b", "follower").await;
    operator.kill();
    world.delete(Kind::Group, "orders").await;
    world.until(Kind::Lease, "orders", "gone with its owner", Value::is_null).await;
    assert_eq!(world.role("a").await.as_deref(), Some("leader"), "labels stay while nobody is there");
    let _operator = Operator::start(&world).await;
    until_clean(&world, &["a", "b"]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn pods_deselected_while_the_operator_was_down_are_cleaned_up_when_it_starts() {
    let world = World::new("cleanup-deselected").await;
    let mut operator = world.elected(&["a", "b", "c"], json!({})).await;
    for name in ["b", "c"] {
        world.until_role(name, "follower").await;
    }
    operator.kill();
    for name in ["a", "c"] {
        world.patch(Kind::Pod, name, json!({ "metadata": { "labels": { "app": "retired" } } })).await;
    }
    let _operator = Operator::start(&world).await;
    let group = world.until_led_by("orders", "b").await;
    assert_eq!(group.text("/status/history/0/reason"), "LeaderDeselected", "{group:#}");
    until_clean(&world, &["a", "c"]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_follower_that_is_no_longer_selected_is_let_go() {
    let world = World::new("cleanup-follower").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    world.until_role("c", "follower").await;
    world.patch(Kind::Pod, "c", json!({ "metadata": { "labels": { "app": "retired" } } })).await;
    until_clean(&world, &["c"]).await;
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(group.number("/status/term"), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_group_recreated_under_its_name_takes_over_with_a_higher_term() {
    let world = World::new("cleanup-again").await;
    let mut operator = world.elected(&["a", "b"], json!({})).await;
    world.until_role("b", "follower").await;
    operator.kill();
    world.delete(Kind::Group, "orders").await;
    let again = world.group("orders", json!({})).await;
    let _operator = Operator::start(&world).await;
    let group = world.until(Kind::Group, "orders", "Ready", |group| group.has("Ready", "True")).await;
    assert!(group.number("/status/term") > 1, "{group:#}");
    let leader = group.text("/status/leader/name").to_owned();
    let pod = world.until_role(&leader, "leader").await;
    let uid = again.text("/metadata/uid");
    assert_eq!(pod.at("/metadata/annotations")[GROUP], format!("orders/{uid}"));
    // Nor does it wait until the garbage collector has taken the Lease that the other has left, held by its leader.
    let journal = world.finish().await;
    assert!(!journal.of(Kind::Group).any(|group| group.object.has("Accepted", "False")), "{journal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_changed_selector_moves_the_marks() {
    let world = World::new("cleanup-selector").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    let other = json!({ "metadata": { "labels": { "app": "other" } } });
    world.pod_with("x", other).await;
    let selector = json!({ "spec": { "selector": { "matchLabels": { "app": "other" } } } });
    world.patch(Kind::Group, "orders", selector).await;
    let group = world.until_led_by("orders", "x").await;
    assert_eq!(group.text("/status/history/0/reason"), "LeaderDeselected", "{group:#}");
    until_clean(&world, &["a", "b"]).await;
    world.finish().await;
}
