//! A switch that a user asks for.

use serde_json::json;

use crate::harness::world::Kind;
use crate::harness::{At, World};

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
