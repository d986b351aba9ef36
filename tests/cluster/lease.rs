//! Leases that somebody else holds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;
use testkit::world::micro_time;

use crate::harness::{Operator, World};

async fn foreign_lease(world: &World, holder: &str, seconds: u32) -> Value {
    let spec = json!({
        "holderIdentity": holder,
        "leaseDurationSeconds": seconds,
        "acquireTime": micro_time(),
        "renewTime": micro_time(),
        "leaseTransitions": 5,
    });
    // A user lets the group have it once it is free.
    let metadata = json!({ "name": "orders", "annotations": { "election-operator.io/adopt": "orders" } });
    world.create(Kind::Lease, json!({ "metadata": metadata, "spec": spec })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_lease_that_no_group_has_written_is_left_to_whoever_elects_by_it() {
    let world = World::new("lease-not-ours").await;
    world.pods(&["a", "b"]).await;
    let free = json!({ "holderIdentity": "", "leaseDurationSeconds": 1 });
    world.create(Kind::Lease, json!({ "metadata": { "name": "orders" }, "spec": free })).await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({})).await;
    world.until_condition("orders", "Accepted", "False", "LeaseNotOurs").await;
    let adopt = json!({ "metadata": { "annotations": { "election-operator.io/adopt": "orders" } } });
    world.patch(Kind::Lease, "orders", adopt).await;
    world.until_led_by("orders", "a").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_lease_with_a_live_holder_is_never_stolen() {
    let world = World::new("lease-foreign").await;
    world.pods(&["a", "b"]).await;
    foreign_lease(&world, "somebody", 4).await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({})).await;
    let group = world.until_condition("orders", "Accepted", "False", "LeaseHeldByOther").await;
    assert!(group.condition("Accepted").text("/message").contains("somebody"), "{group:#}");
    // Renewed, it lives for longer than its first duration.
    let start = Instant::now();
    let mut version = String::new();
    while start.elapsed() < Duration::from_secs(7) {
        let lease =
            world.patch(Kind::Lease, "orders", json!({ "spec": { "renewTime": micro_time() } })).await;
        assert_eq!(lease.text("/spec/holderIdentity"), "somebody");
        lease.text("/metadata/resourceVersion").clone_into(&mut version);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lease = world.get(Kind::Lease, "orders").await.unwrap();
        assert_eq!(lease.text("/metadata/resourceVersion"), version, "nobody else has written it");
    }
    let last = Instant::now();
    assert!(world.recorder.journal().steps().is_empty());

    // No longer renewed, it is adopted; not before it has expired.
    world.until_led_by("orders", "a").await;
    assert!(last.elapsed() >= Duration::from_secs(2), "adopted after {:?}", last.elapsed());
    let lease = world.get(Kind::Lease, "orders").await.unwrap();
    assert_eq!((lease.text("/spec/holderIdentity"), lease.number("/spec/leaseTransitions")), ("a", 6));
    assert!(!lease.text("/metadata/ownerReferences/0/uid").is_empty(), "{lease:#}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_released_lease_is_adopted_at_once() {
    let world = World::new("lease-released").await;
    world.pods(&["a", "b"]).await;
    foreign_lease(&world, "", 3600).await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({})).await;
    world.until_led_by("orders", "a").await;
    let lease = world.get(Kind::Lease, "orders").await.unwrap();
    assert_eq!(lease.number("/spec/leaseTransitions"), 6, "{lease:#}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_holder_that_lets_go_makes_way() {
    let world = World::new("lease-let-go").await;
    world.pods(&["a", "b"]).await;
    foreign_lease(&world, "somebody", 3600).await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({})).await;
    world.until_condition("orders", "Accepted", "False", "LeaseHeldByOther").await;
    world.patch(Kind::Lease, "orders", json!({ "spec": { "holderIdentity": "" } })).await;
    world.until_led_by("orders", "a").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_stays_as_it_is_while_somebody_else_holds_the_lease() {
    let world = World::new("lease-stolen").await;
    let operator = world.elected(&["a", "b"], json!({})).await;
    drop(operator);
    world.delete(Kind::Lease, "orders").await;
    foreign_lease(&world, "somebody", 3600).await;
    let _operator = Operator::start(&world).await;
    world.until_condition("orders", "Accepted", "False", "LeaseHeldByOther").await;
    assert_eq!(world.role("a").await.as_deref(), Some("leader"));
    let lease = world.get(Kind::Lease, "orders").await.unwrap();
    assert_eq!(lease.text("/spec/holderIdentity"), "somebody");
    assert_eq!(world.finish().await.steps().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_lease_that_two_groups_name_belongs_to_one_of_them_until_that_is_gone() {
    let world = World::new("lease-shared").await;
    let _operator = world.elected(&["a"], json!({})).await;
    world.pod_with("x", json!({ "metadata": { "labels": { "app": "other" } } })).await;
    let other = json!({ "selector": { "matchLabels": { "app": "other" } }, "lease": { "name": "orders" } });
    let other = world.group("other", other).await;
    let group = world.until_condition("other", "Accepted", "False", "LeaseHeldByOther").await;
    assert!(group.condition("Accepted").text("/message").contains("belongs to group orders"), "{group:#}");
    let request = json!({ "metadata": { "annotations": { "election-operator.io/switchover": "x" } } });
    world.patch(Kind::Group, "other", request).await;
    let refusal = world.until_event("other", "SwitchoverRefused").await;
    assert!(refusal.text("/note").contains("LeaseHeldByOther"), "{refusal:#}");

    world.delete(Kind::Group, "orders").await;
    world.until_led_by("other", "x").await;
    let held = |lease: &Value| lease.text("/spec/holderIdentity") == "x";
    let lease = world.until(Kind::Lease, "orders", "held by x", held).await;
    let owners = lease.at("/metadata/ownerReferences").as_array().unwrap();
    assert_eq!(
        owners.iter().map(|owner| owner.text("/uid")).collect::<Vec<_>>(),
        [other.text("/metadata/uid")]
    );
    world.finish().await;
}
