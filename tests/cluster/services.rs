//! Services: those that cannot work are warned of, those that work stay so when they come under a group (cut-over.md).

use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt;
use kube::api::{ListParams, WatchParams};
use kube::core::WatchEvent;
use serde_json::{Value, json};
use testkit::feed::Journal;
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::wait::PATIENCE;
use crate::harness::world::{SERVICE, ready_endpoints};
use crate::harness::{Operator, World};

fn service(name: &str, role: &str, not_ready: bool) -> Value {
    let selector = json!({ "app": "orders", "role": role });
    let spec =
        json!({ "selector": selector, "ports": [{ "port": 80 }], "publishNotReadyAddresses": not_ready });
    json!({ "metadata": { "name": name }, "spec": spec })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_service_that_can_never_match_or_ignores_readiness_is_told_of_on_the_group() {
    let world = World::new("services").await;
    world.create(Kind::Service, service("old", "primary", false)).await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    let event = world.until_event("orders", "ServiceNeverMatches").await;
    assert!(event.text("/note").starts_with("Service old "), "{event:#}");
    world.create(Kind::Service, service("eager", "leader", true)).await;
    let event = world.until_event("orders", "ServiceReachesNotReady").await;
    assert!(event.text("/note").starts_with("Service eager "), "{event:#}");
    // Another plan says it no second time, and nothing of the Service that is as it should be.
    world.delete(Kind::Pod, "a").await;
    world.until_led_by("orders", "b").await;
    world.until_quiet(Duration::from_secs(1)).await;
    for reason in ["ServiceNeverMatches", "ServiceReachesNotReady"] {
        let events = world.events("orders", reason).await;
        assert!(matches!(&events[..], [event] if event.at("/series").is_null()), "{events:#?}");
    }
    world.finish().await;
}

/// The version of the endpoints, from which on they can be followed.
async fn version_of_endpoints(world: &World) -> String {
    let list = world.api(Kind::EndpointSlice).list(&ListParams::default()).await.unwrap();
    list.metadata.resource_version.unwrap()
}

/// Who could take requests at each revision of the endpoints from `version` on, until it is `last`.
async fn endpoints_until(world: &World, version: &str, last: &[&str]) -> Vec<Vec<String>> {
    let slices = world.api(Kind::EndpointSlice);
    let mut stream = pin!(slices.watch(&WatchParams::default(), version).await.unwrap());
    let mut seen: Vec<Vec<String>> = Vec::new();
    while seen.last().is_none_or(|pods| pods != last) {
        let event = tokio::time::timeout(PATIENCE, stream.try_next()).await.unwrap().unwrap();
        match event.expect("the watch goes on") {
            WatchEvent::Added(slice) | WatchEvent::Modified(slice) => {
                seen.push(ready_endpoints(&[serde_json::to_value(slice).unwrap()]));
            }
            WatchEvent::Deleted(_) => seen.push(Vec::new()),
            other => panic!("{other:?}"),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_live_service_comes_under_a_group_and_out_again_without_a_moment_with_no_endpoint() {
    let world = World::new("cut-over").await;
    let all = ["a", "b", "c"];
    world.pods(&all).await;
    let spec = json!({ "selector": { "app": "orders" }, "ports": [{ "port": 80 }] });
    let version = version_of_endpoints(&world).await;
    world.create(Kind::Service, json!({ "metadata": { "name": SERVICE }, "spec": spec })).await;
    endpoints_until(&world, &version, &all).await;
    let version = version_of_endpoints(&world).await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({})).await;
    world.until_led_by("orders", "a").await;
    for follower in ["b", "c"] {
        world.until_role(follower, "follower").await;
    }
    let select = |role: Value| json!({ "spec": { "selector": { "role": role } } });
    world.patch(Kind::Service, SERVICE, select(json!("leader"))).await;
    let mut seen = endpoints_until(&world, &version, &["a"]).await;
    let version = version_of_endpoints(&world).await;
    world.patch(Kind::Service, SERVICE, select(Value::Null)).await;
    seen.extend(endpoints_until(&world, &version, &all).await);
    assert!(seen.iter().all(|pods| pods.iter().any(|pod| pod == "a")), "{seen:?}");
    assert_eq!(world.finish().await.leaders(), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_pod_that_was_labelled_by_hand_keeps_its_label_when_the_group_comes() {
    let world = World::with("cut-over-role", Journal::of_label("role", "primary")).await;
    world.pods(&["a", "b", "c"]).await;
    for (pod, role) in [("a", "replica"), ("b", "primary"), ("c", "replica")] {
        let labelled =
            world.patch(Kind::Pod, pod, json!({ "metadata": { "labels": { "role": role } } })).await;
        world.recorder.forgive(labelled["metadata"]["resourceVersion"].as_str());
    }
    world.create(Kind::Service, service(SERVICE, "primary", false)).await;
    world.until_endpoint("b").await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({ "roleLabel": { "leader": "primary", "follower": "replica" } })).await;
    world.until_led_by("orders", "b").await;
    world.until_endpoint("b").await;
    let steps = world.finish().await.steps();
    assert!(matches!(&steps[..], [by_hand] if by_hand.pod == "b"), "{steps:?}");
}
