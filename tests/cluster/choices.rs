//! Which pod leads if there is a choice, and when the choice is made again: weights, cooldown, failback, pause.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::feed::{Journal, What};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World};

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
#[ignore = "needs a control plane: make cluster"]
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
#[ignore = "needs a control plane: make cluster"]
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
#[ignore = "needs a control plane: make cluster"]
async fn a_preferred_pod_leads_again_once_every_pod_is_ready_and_the_group_is_steady() {
    let world = World::new("choice-failback").await;
    world.pods(&["a", "b"]).await;
    world.pod_with("c", in_x()).await;
    let mut spec = prefers_x();
    (spec["failback"], spec["failbackQuietSeconds"]) = (json!("WhenSteady"), json!(3));
    let _operator = Operator::start(&world).await;
    world.group("orders", spec).await;
    world.until_led_by("orders", "c").await;
    world.set_ready("c", false).await;
    world.until_led_by("orders", "a").await;
    world.set_ready("b", false).await;
    world.set_ready("c", true).await;
    world.until_eligible(2).await;
    // One pod is not Ready. Nothing happens, for longer than the quiet time: an event to wait for there is not.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let ready = world.set_ready("b", true).await;
    let group = world.until_led_by("orders", "c").await;
    assert_eq!(newest_reason(&group), "Failback");
    let journal = world.finish().await;
    let number: u64 = ready.text("/metadata/resourceVersion").parse().unwrap();
    let ready = journal.of(Kind::Pod).find(|pod| pod.number == number).unwrap().seen;
    assert!(journal.steps().last().unwrap().seen.duration_since(ready) >= Duration::from_millis(2900));
    assert_eq!(journal.leaders(), ["c", "a", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
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

async fn pause(world: &World, paused: bool) {
    world.patch(Kind::Group, "orders", json!({ "spec": { "paused": paused } })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn an_annotation_pauses_a_group_as_its_spec_does() {
    let world = World::new("choice-pause-annotation").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    let paused =
        |value: Value| json!({ "metadata": { "annotations": { "election-operator.io/paused": value } } });
    world.patch(Kind::Group, "orders", paused(json!("true"))).await;
    world.until_condition("orders", "Ready", "True", "Paused").await;
    world.delete(Kind::Pod, "a").await;
    world.until_condition("orders", "LeaderElected", "False", "LeaderGone").await;
    world.patch(Kind::Group, "orders", paused(Value::Null)).await;
    world.until_led_by("orders", "b").await;
    world.finish().await;
}

fn role(role: Value) -> Value {
    json!({ "metadata": { "labels": { "role": role } } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_pause_repairs_labels_and_lease_and_labels_new_pods() {
    let world = World::new("choice-pause-repair").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    pause(&world, true).await;
    world.until_condition("orders", "Ready", "True", "Paused").await;
    world.patch(Kind::Pod, "a", role(json!("deputy"))).await;
    world.until_role("a", "leader").await;
    let copied = world.patch(Kind::Pod, "b", role(json!("leader"))).await;
    world.recorder.forgive(copied["metadata"]["resourceVersion"].as_str());
    world.until_role("b", "follower").await;
    world.until_event("orders", "LabelRepaired").await;
    world.pod("c").await;
    world.until_role("c", "follower").await;
    let of_a = |lease: &Value| lease.text("/spec/holderIdentity") == "a";
    world.patch(Kind::Lease, "orders", json!({ "spec": { "holderIdentity": "b" } })).await;
    world.until(Kind::Lease, "orders", "of a", of_a).await;
    world.delete(Kind::Lease, "orders").await;
    world.until(Kind::Lease, "orders", "there again", of_a).await;
    let group = world.until_condition("orders", "Ready", "True", "Paused").await;
    assert_eq!(group.list("/status/history").len(), 1, "no change of leader: {group:#}");
    assert_eq!(world.role("a").await.as_deref(), Some("leader"));
    world.finish().await;
}

/// Each is a reason to move, and is acted on only after the pause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_pause_moves_no_leader_whatever_is_wrong_with_it_and_no_label_to_nobody() {
    let world = World::new("choice-pause-keeps").await;
    let clear = json!({ "failover": { "whenNoCandidate": "Clear" } });
    let _operator = world.elected(&["a", "b"], clear).await;
    pause(&world, true).await;
    world.until_condition("orders", "Ready", "True", "Paused").await;
    world.set_ready("a", false).await;
    let unfit = |what: &'static str| {
        move |group: &Value| {
            let ready = group.condition("Ready");
            group.has("Ready", "False") && ready.text("/message").contains(what)
        }
    };
    world.until(Kind::Group, "orders", "with an unready leader", unfit("it is not Ready")).await;
    world.set_ready("a", true).await;
    world.until_condition("orders", "Ready", "True", "Paused").await;
    world.patch(Kind::Pod, "a", annotated("exclude", "true")).await;
    world.until(Kind::Group, "orders", "with an excluded leader", unfit("it is excluded")).await;
    world.set_ready("b", false).await;
    world.until_condition("orders", "CandidatesAvailable", "False", "NoneEligible").await;
    world.patch(Kind::Pod, "a", annotated("exclude", "false")).await;
    world.until_condition("orders", "Ready", "True", "Paused").await;
    world.hold("a").await;
    world.delete(Kind::Pod, "a").await;
    world.until(Kind::Group, "orders", "with a terminating leader", unfit("it is terminating")).await;
    assert_eq!(world.role("a").await.as_deref(), Some("leader"));
    assert_eq!(world.recorder.journal().steps().len(), 1);
    // Decided afresh: by now nobody can lead, and then who is better than `b`.
    pause(&world, false).await;
    world.until_role("a", "follower").await;
    world.until_condition("orders", "Ready", "False", "NoLeader").await;
    world.release("a").await;
    world.set_ready("b", true).await;
    world.until_led_by("orders", "b").await;
    assert_eq!(world.finish().await.leaders(), ["a", "b"]);
}
