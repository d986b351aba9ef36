//! Which pod leads if there is a choice, and when the choice is made again: weights, cooldown, failback, pause.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::recorder::{Journal, What};
use crate::harness::world::Kind;
use crate::harness::{At, Operator, World};

fn newest_reason(group: &Value) -> &str {
    group.text("/status/history/0/reason")
}

/// Pods in zone `x` are worth 10.
fn prefers_x() -> Value {
    json!({ "preference": [{ "selector": { "matchLabels": { "zone": "x" } }, "weight": 10 }] })
}

fn in_x() -> Value {
    json!({ "metadata": { "labels": { "zone": "x" } } })
}

fn annotated(key: &str, value: &str) -> Value {
    json!({ "metadata": { "annotations": { format!("election-operator.io/{key}"): value } } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weight_priority_and_exclusion_decide_who_leads_next() {
    let world = World::new("choice-weight").await;
    world.pods(&["a", "b"]).await;
    world.pod_with("c", in_x()).await;
    let _operator = Operator::start(&world).await;
    world.group("orders", prefers_x()).await;
    world.until_led_by("orders", "c").await;
    // No reason to move: a healthy leader stays.
    world.patch(Kind::Pod, "b", annotated("priority", "100")).await;
    world.delete(Kind::Pod, "c").await;
    world.until_led_by("orders", "b").await;
    world.pod_with("d", in_x()).await;
    world.patch(Kind::Pod, "d", annotated("exclude", "true")).await;
    world.until_role("d", "follower").await;
    world.patch(Kind::Pod, "b", annotated("exclude", "true")).await;
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(newest_reason(&group), "LeaderExcluded");
    assert_eq!(world.finish().await.leaders(), ["c", "b", "a"]);
}

/// The time between the last two promotions.
fn last_gap(journal: &Journal) -> Duration {
    let mut gained = journal.steps().into_iter().filter(|step| step.what == What::Gained).rev();
    let (last, before) = (gained.next().unwrap(), gained.next().unwrap());
    last.seen.duration_since(before.seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cooldown_holds_a_leader_that_is_not_ready_and_none_that_is_gone() {
    let world = World::new("choice-cooldown").await;
    let _operator = world.elected(&["a", "b", "c"], json!({ "failover": { "cooldownSeconds": 6 } })).await;
    world.set_ready("a", false).await;
    world.until_led_by("orders", "b").await;
    // Both are written a moment after the record from which the cooldown counts.
    assert!(last_gap(&world.recorder.journal()) >= Duration::from_millis(5500));
    world.patch(Kind::Group, "orders", json!({ "spec": { "failover": { "cooldownSeconds": 3600 } } })).await;
    world.delete(Kind::Pod, "b").await;
    world.until_led_by("orders", "c").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preferred_pod_leads_again_once_the_group_is_steady() {
    let world = World::new("choice-failback").await;
    world.pod("a").await;
    world.pod_with("c", in_x()).await;
    let mut spec = prefers_x();
    (spec["failback"], spec["failbackQuietSeconds"]) = (json!("WhenSteady"), json!(3));
    let _operator = Operator::start(&world).await;
    world.group("orders", spec).await;
    world.until_led_by("orders", "c").await;
    world.set_ready("c", false).await;
    world.until_led_by("orders", "a").await;
    let ready = world.set_ready("c", true).await;
    let group = world.until_led_by("orders", "c").await;
    assert_eq!(newest_reason(&group), "Failback");
    let journal = world.finish().await;
    let number: u64 = ready.text("/metadata/resourceVersion").parse().unwrap();
    let ready = journal.of(Kind::Pod).find(|pod| pod.number == number).unwrap().seen;
    assert!(journal.steps().last().unwrap().seen.duration_since(ready) >= Duration::from_millis(2900));
    assert_eq!(journal.leaders(), ["c", "a", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_lost_during_a_pause_is_replaced_by_who_is_best_after_it() {
    let world = World::new("choice-pause").await;
    let _operator = world.elected(&["a", "b"], prefers_x()).await;
    world.patch(Kind::Group, "orders", json!({ "spec": { "paused": true } })).await;
    world.until_condition("orders", "Ready", "True", "Paused").await;
    world.delete(Kind::Pod, "a").await;
    world.until_condition("orders", "LeaderElected", "False", "LeaderGone").await;
    world.pod_with("c", in_x()).await;
    world.until_role("c", "follower").await;
    assert_eq!(world.recorder.journal().leaders(), ["a"]);
    world.patch(Kind::Group, "orders", json!({ "spec": { "paused": false } })).await;
    world.until_led_by("orders", "c").await;
    world.finish().await;
}

/// Updates the five pods of a `StatefulSet`, highest number first, and returns who led, in order.
async fn roll_out(world: &World) -> Vec<String> {
    world.kubectl(&["set", "image", "statefulset/orders", "app=app:2"]).await;
    world.kubectl(&["rollout", "status", "statefulset/orders", "--timeout=60s"]).await;
    let complete = |group: &Value| group.has("Ready", "True") && group.number("/status/eligible") == 5;
    world.until(Kind::Group, "orders", "complete again", complete).await;
    world.recorder.journal().leaders()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_of_five_costs_one_change_if_the_leader_is_the_last_to_be_replaced() {
    let world = World::new("choice-rollout").await;
    world.stateful_set(5, json!({})).await;
    let _operator = Operator::start(&world).await;
    let first = json!({ "preference": [{ "weight": 1, "selector": {
        "matchLabels": { "statefulset.kubernetes.io/pod-name": "orders-0" } } }] });
    world.group("orders", first).await;
    world.until_led_by("orders", "orders-0").await;
    let leaders = roll_out(&world).await;
    assert_eq!(leaders.len(), 2, "{leaders:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_of_five_costs_two_changes_if_the_leader_is_the_first_to_be_replaced() {
    let world = World::new("choice-rollout-first").await;
    world.stateful_set(5, json!({})).await;
    let _operator = Operator::start(&world).await;
    world
        .group(
            "orders",
            json!({ "preference": [{ "weight": 1, "selector": {
        "matchLabels": { "statefulset.kubernetes.io/pod-name": "orders-4" } } }] }),
        )
        .await;
    world.until_led_by("orders", "orders-4").await;
    world.patch(Kind::Group, "orders", json!({ "spec": { "preference": [] } })).await;
    let leaders = roll_out(&world).await;
    assert!((2..=3).contains(&leaders.len()), "{leaders:?}");
    world.finish().await;
}
