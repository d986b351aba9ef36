//! Services that cannot work are warned of.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::world::Kind;
use crate::harness::{At, World};

fn service(name: &str, role: &str, not_ready: bool) -> Value {
    let selector = json!({ "app": "orders", "role": role });
    let spec =
        json!({ "selector": selector, "ports": [{ "port": 80 }], "publishNotReadyAddresses": not_ready });
    json!({ "metadata": { "name": name }, "spec": spec })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
