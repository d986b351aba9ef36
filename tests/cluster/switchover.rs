//! A switch that a user asks for.

use serde_json::{Value, json};

use crate::harness::world::Kind;
use crate::harness::{At, World, eventually};

async fn ask(world: &World, pod: &str) {
    let request = json!({ "metadata": { "annotations": { "election-operator.io/switchover": pod } } });
    world.patch(Kind::Group, "orders", request).await;
}

async fn until_removed(world: &World) {
    let request = "/metadata/annotations/election-operator.io~1switchover";
    world.until(Kind::Group, "orders", "without the request", |group| group.at(request).is_null()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_moves_the_leader_once_and_is_removed() {
    let world = World::new("switchover").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    ask(&world, "c").await;
    world.until_led_by("orders", "c").await;
    world.until_event("orders", "Switchover").await;
    until_removed(&world).await;
    world.until_role("a", "follower").await;
    world.until_endpoint("c").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impossible_request_is_refused_and_removed() {
    let world = World::new("switchover-refused").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    ask(&world, "nobody").await;
    world.until_event("orders", "SwitchoverRefused").await;
    until_removed(&world).await;
    world.until_led_by("orders", "a").await;
    world.finish().await;
}

/// The note of the Event that refuses a request.
async fn refusal(world: &World, pod: &str, what: &str) {
    ask(world, pod).await;
    until_removed(world).await;
    eventually(&format!("a refusal that says {what:?}"), async || {
        let events = world.events("orders", "SwitchoverRefused").await;
        events.iter().any(|event| event.text("/note").contains(what)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_impossible_request_is_refused_with_its_own_reason() {
    let world = World::new("switchover-reasons").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    world.set_ready("b", false).await;
    let one_less = |group: &Value| group.number("/status/eligible") == 2;
    world.until(Kind::Group, "orders", "with two eligible", one_less).await;
    refusal(&world, "d", "the group has no pod d").await;
    refusal(&world, "b", "pod b is not eligible: it is not Ready").await;
    refusal(&world, "a", "pod a already is the leader").await;
    world.patch(Kind::Group, "orders", json!({ "spec": { "paused": true } })).await;
    world.until_condition("orders", "Ready", "True", "Paused").await;
    refusal(&world, "c", "the group is paused").await;
    assert_eq!(world.finish().await.leaders(), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_requests_at_once_the_later_one_counts_in_the_end() {
    let world = World::new("switchover-two").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    ask(&world, "b").await;
    ask(&world, "c").await;
    until_removed(&world).await;
    world.until_led_by("orders", "c").await;
    world.until_endpoint("c").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_lost_on_the_way_leaves_a_group_with_a_leader() {
    let world = World::new("switchover-lost").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    ask(&world, "c").await;
    world.delete(Kind::Pod, "c").await;
    until_removed(&world).await;
    let led = |group: &Value| {
        group.has("Ready", "True")
            && group.number("/status/candidates") == 2
            && ["a", "b"].contains(&group.text("/status/leader/name"))
    };
    let group = world.until(Kind::Group, "orders", "led by a pod that is there", led).await;
    world.until_endpoint(group.text("/status/leader/name")).await;
    world.finish().await;
}
