//! Each reason for which a leader is replaced.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::feed::{GROUP, Journal, TERM, What};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World};

/// A change of leader from `a` to `b` in the group `orders`, as everybody should see it.
async fn assert_handed_over(world: &World, reason: &str) {
    let group = world.until_led_by("orders", "b").await;
    let entry = group.at("/status/history/0");
    assert_eq!(entry.text("/reason"), reason, "{group:#}");
    assert_eq!((entry.text("/leader"), entry.text("/previous")), ("b", "a"), "{group:#}");
    assert_eq!(entry.number("/term"), group.number("/status/term"));
    let time = |pointer| -> Timestamp { entry.text(pointer).parse().unwrap() };
    let (detected, elected, labelled) = (time("/detectedAt"), time("/electedAt"), time("/labelledAt"));
    assert!(detected <= elected && elected <= labelled, "{entry:#}");
    assert!(labelled.duration_since(detected).as_secs_f64() < 10.0, "{entry:#}");

    let lease = world.get(Kind::Lease, "orders").await.unwrap();
    assert_eq!(lease.text("/spec/holderIdentity"), "b");
    let event = world.until_event("orders", reason).await;
    assert!(event.text("/note").contains('b'), "{event:#}");
    world.until_endpoint("b").await;
    let steps = world.recorder.until("the new leader", handover).await;
    assert!(steps.0 < steps.1, "the new leader was there at {}, the old one until {}", steps.1, steps.0);
}

/// When `a` ceased to be leader, and when `b` came to be it.
fn handover(journal: &Journal) -> Option<(u64, u64)> {
    let steps = journal.steps();
    let ended = steps.iter().find(|step| step.pod == "a" && step.what != What::Gained)?;
    let began = steps.iter().find(|step| step.pod == "b" && step.what == What::Gained)?;
    Some((ended.number, began.number))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_deleted_leader_is_replaced() {
    let world = World::new("failover-deleted").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    world.delete(Kind::Pod, "a").await;
    // The API server always shows a deletion time first; only who was away at that time finds a pod simply gone.
    assert_handed_over(&world, "LeaderTerminating").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_deleted_while_nobody_looked_is_replaced() {
    let world = World::new("failover-unseen").await;
    let operator = world.elected(&["a", "b", "c"], json!({})).await;
    drop(operator);
    world.delete(Kind::Pod, "a").await;
    world.until(Kind::Pod, "a", "gone", Value::is_null).await;
    let _operator = Operator::start(&world).await;
    assert_handed_over(&world, "LeaderDeleted").await;
    let steps = world.finish().await.steps();
    assert_eq!(steps[1].what, What::Vanished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_terminating_leader_is_replaced_while_it_is_still_there() {
    let world = World::new("failover-terminating").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    world.hold("a").await;
    world.delete(Kind::Pod, "a").await;
    assert_handed_over(&world, "LeaderTerminating").await;
    let old = world.get(Kind::Pod, "a").await.expect("the pod is held");
    assert_eq!(old.text("/metadata/labels/role"), "follower");
    world.release("a").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_recreated_under_its_name_while_nobody_looked_is_another_pod() {
    let world = World::new("failover-recreated").await;
    let operator = world.elected(&["a", "b", "c"], json!({})).await;
    drop(operator);
    let old = world.get(Kind::Pod, "a").await.unwrap();
    world.delete(Kind::Pod, "a").await;
    world.until(Kind::Pod, "a", "gone", Value::is_null).await;
    // Less preferred: Ready times have whole seconds, and of pods that became Ready in the same one the name decides.
    let last = json!({ "metadata": { "annotations": { "election-operator.io/priority": "-1" } } });
    let new = world.pod_with("a", last).await;
    let _operator = Operator::start(&world).await;
    assert_handed_over(&world, "LeaderRecreated").await;
    world.until_role("a", "follower").await;
    let journal = world.finish().await;
    let uids: Vec<_> =
        journal.steps().into_iter().filter(|step| step.pod == "a").map(|step| step.uid).collect();
    assert!(
        uids.iter().all(|uid| uid == old.text("/metadata/uid") && uid != new.text("/metadata/uid")),
        "{uids:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_pod_that_its_statefulset_recreates_does_not_inherit_the_label() {
    let world = World::new("failover-statefulset").await;
    world.service().await;
    world.stateful_set(3, json!({})).await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({})).await;
    let group = world.until(Kind::Group, "orders", "Ready", |group| group.has("Ready", "True")).await;
    let leader = group.text("/status/leader/name").to_owned();
    let uid = group.text("/status/leader/uid").to_owned();
    world.delete(Kind::Pod, &leader).await;
    let group = world
        .until(Kind::Group, "orders", "led by another", |group| {
            group.has("Ready", "True") && group.text("/status/leader/uid") != uid
        })
        .await;
    let next = group.text("/status/leader/name").to_owned();
    world
        .until(Kind::Pod, &leader, "back as a follower", |pod| {
            pod.text("/metadata/uid") != uid && pod.text("/metadata/labels/role") == "follower"
        })
        .await;
    world.until_endpoint(&next).await;
    let journal = world.finish().await;
    assert_eq!(journal.leaders(), [leader.clone(), next.clone()]);
    assert_ne!(leader, next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_failed_leader_is_replaced() {
    let world = World::new("failover-failed").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    world.patch_status(Kind::Pod, "a", json!({ "status": { "phase": "Failed" } })).await;
    assert_handed_over(&world, "LeaderFinished").await;
    let group = world
        .until(Kind::Group, "orders", "with two candidates", |group| group.number("/status/candidates") == 2)
        .await;
    assert_eq!(group.number("/status/eligible"), 2);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_that_is_not_ready_is_replaced_at_once() {
    let world = World::new("failover-unready").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    world.set_ready("a", false).await;
    assert_handed_over(&world, "LeaderNotReady").await;
    let steps = world.finish().await.steps();
    assert_eq!(steps[1].what, What::Lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_may_be_not_ready_for_as_long_as_allowed() {
    let world = World::new("failover-grace").await;
    let _operator = world.elected(&["a", "b", "c"], json!({ "failover": { "notReadySeconds": 3 } })).await;
    // A short trouble is no reason.
    world.set_ready("a", false).await;
    let unready = |group: &Value| group.has("Ready", "False") && group.number("/status/eligible") == 2;
    world.until(Kind::Group, "orders", "not Ready", unready).await;
    world.set_ready("a", true).await;
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(group.number("/status/term"), 1);
    // A longer one is, and it is counted from its own beginning.
    let patched = world.set_ready("a", false).await;
    assert_handed_over(&world, "LeaderNotReady").await;
    let version: u64 = patched.text("/metadata/resourceVersion").parse().unwrap();
    let journal = world.finish().await;
    let began = journal.all().find(|revision| revision.number == version).unwrap().seen;
    let steps = journal.steps();
    let waited = steps[1].seen.duration_since(began);
    assert!(waited >= Duration::from_millis(2900), "replaced after {waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_that_is_no_longer_selected_is_replaced_and_let_go() {
    let world = World::new("failover-deselected").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    world
        .patch(Kind::Pod, "a", json!({ "metadata": { "labels": { "app": "retired", "tier": "kept" } } }))
        .await;
    assert_handed_over(&world, "LeaderDeselected").await;
    let pod = world
        .until(Kind::Pod, "a", "without any mark", |pod| {
            let annotations = pod.at("/metadata/annotations");
            annotations[GROUP].is_null()
                && annotations[TERM].is_null()
                && pod.text("/metadata/labels/role").is_empty()
        })
        .await;
    assert_eq!(pod.at("/metadata/labels"), &json!({ "app": "retired", "tier": "kept" }));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn an_excluded_leader_is_replaced_and_stays_a_follower() {
    let world = World::new("failover-excluded").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    let exclude =
        |value: Value| json!({ "metadata": { "annotations": { "election-operator.io/exclude": value } } });
    world.patch(Kind::Pod, "a", exclude(json!("true"))).await;
    assert_handed_over(&world, "LeaderExcluded").await;
    let group = world
        .until(Kind::Group, "orders", "with one that cannot lead", |group| {
            group.number("/status/eligible") == 2
        })
        .await;
    assert_eq!(group.number("/status/candidates"), 3);
    // Allowed again, it is a candidate; the healthy leader stays.
    world.patch(Kind::Pod, "a", exclude(Value::Null)).await;
    world.until(Kind::Group, "orders", "with three", |group| group.number("/status/eligible") == 3).await;
    let group = world.until_led_by("orders", "b").await;
    assert_eq!(group.number("/status/term"), 2);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn history_is_newest_first_and_no_longer_than_asked() {
    let world = World::new("failover-history").await;
    let _operator = world.elected(&["a", "b", "c", "d"], json!({ "historyLimit": 2 })).await;
    for (old, new) in [("a", "b"), ("b", "c"), ("c", "d")] {
        world.delete(Kind::Pod, old).await;
        world.until_led_by("orders", new).await;
    }
    let group = world.get(Kind::Group, "orders").await.unwrap();
    let history: Vec<_> = group.list("/status/history").iter().map(|entry| entry.text("/leader")).collect();
    assert_eq!(history, ["d", "c"]);
    assert_eq!(group.number("/status/term"), 4);
    world.finish().await;
}
