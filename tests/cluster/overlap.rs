//! Groups that disturb each other, or try to.

use serde_json::{Value, json};
use testkit::feed::GROUP;
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World};

fn tiers() -> Value {
    json!({ "selector": { "matchLabels": { "app": null, "tier": "db" } } })
}

fn in_tier() -> Value {
    json!({ "metadata": { "labels": { "tier": "db" } } })
}

async fn two_groups_over_the_same_pods(world: &World) {
    for name in ["a", "b"] {
        world.pod_with(name, in_tier()).await;
    }
    world.group("orders", json!({})).await;
    world.until_led_by("orders", "a").await;
    // Creation times have seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    world.group("younger", tiers()).await;
    let group = world.until_condition("younger", "Accepted", "False", "OverlappingSelector").await;
    assert!(group.condition("Accepted").text("/message").contains("orders"), "{group:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_older_group_has_the_pods_and_the_younger_one_says_why_it_has_none() {
    let world = World::new("overlap").await;
    let _operator = Operator::start(&world).await;
    two_groups_over_the_same_pods(&world).await;
    let younger = world.get(Kind::Group, "younger").await.unwrap();
    assert!(younger.at("/status/leader").is_null() && !younger.has("Ready", "True"), "{younger:#}");
    assert!(world.get(Kind::Lease, "younger").await.is_none(), "nothing is written for a refused group");
    // The older one goes on as if nothing was.
    world.delete(Kind::Pod, "a").await;
    let older = world.until_led_by("orders", "b").await;
    assert_eq!(older.number("/status/term"), 2);
    let uid = older.text("/metadata/uid");
    let pod = world.get(Kind::Pod, "b").await.unwrap();
    assert_eq!(pod.at("/metadata/annotations")[GROUP], format!("orders/{uid}"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_younger_group_takes_over_when_the_older_one_is_gone() {
    let world = World::new("overlap-ends").await;
    let _operator = Operator::start(&world).await;
    two_groups_over_the_same_pods(&world).await;
    world.delete(Kind::Group, "orders").await;
    let group = world.until(Kind::Group, "younger", "Ready", |group| group.has("Ready", "True")).await;
    assert!(group.has("Accepted", "True"), "{group:#}");
    let leader = group.text("/status/leader/name").to_owned();
    world.until_role(&leader, "leader").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_younger_group_that_led_lets_go_of_what_the_older_one_claims() {
    let world = World::new("overlap-claimed").await;
    let _operator = Operator::start(&world).await;
    // The older group selects nothing yet.
    world.group("orders", json!({})).await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    for name in ["a", "b"] {
        world.pod_with(name, json!({ "metadata": { "labels": { "app": "other", "tier": "db" } } })).await;
    }
    world.group("younger", tiers()).await;
    world.until_led_by("younger", "a").await;
    for name in ["a", "b"] {
        world.patch(Kind::Pod, name, json!({ "metadata": { "labels": { "app": "orders" } } })).await;
    }
    world.until_condition("younger", "Accepted", "False", "OverlappingSelector").await;
    let group = world.until(Kind::Group, "orders", "Ready", |group| group.has("Ready", "True")).await;
    let leader = group.text("/status/leader/name").to_owned();
    let pod = world.until_role(&leader, "leader").await;
    let uid = group.text("/metadata/uid");
    assert_eq!(pod.at("/metadata/annotations")[GROUP], format!("orders/{uid}"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn one_bad_group_does_not_disturb_another() {
    let world = World::new("overlap-bad").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    let bad = json!([{ "key": "app", "operator": "In", "values": [] }]);
    let body = json!({
        "metadata": { "name": "bad" },
        "spec": { "selector": { "matchExpressions": bad } },
    });
    // Whoever refuses it, it must be refused.
    if world.try_create(Kind::Group, body).await.is_ok() {
        let group = world.until_condition("bad", "Accepted", "False", "InvalidSelector").await;
        assert!(group.condition("Accepted").text("/message").contains("app"), "{group:#}");
        assert!(world.get(Kind::Lease, "bad").await.is_none());
    }
    world.delete(Kind::Pod, "a").await;
    world.until_led_by("orders", "b").await;
    world.finish().await;
}
