//! Services in `spec.routing`: the operator writes their endpoints, as a client of the API server sees them.

use std::pin::pin;

use futures::TryStreamExt;
use jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchParams};
use kube::core::WatchEvent;
use serde_json::{Value, json};
use testkit::cluster;
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::cluster::Cluster;
use crate::harness::wait::PATIENCE;
use crate::harness::world::ready_endpoints;
use crate::harness::{Operator, World, eventually};

const ACTIVE: &str = "active";

/// A Service without a selector, with a port by name.
fn service(name: &str) -> Value {
    let ports = json!([{ "name": "http", "port": 80, "targetPort": "web" }]);
    json!({ "metadata": { "name": name }, "spec": { "ports": ports } })
}

fn routing(services: &[&str]) -> Value {
    json!({ "routing": { "services": services } })
}

/// A pod whose container names its port.
async fn pods(world: &World, names: &[&str]) {
    for name in names {
        let container =
            json!({ "name": "app", "image": "app", "ports": [{ "name": "web", "containerPort": 8080 }] });
        world.pod_with(name, json!({ "spec": { "containers": [container] } })).await;
    }
}

/// The group `orders` over pods `a`, `b`, which routes the Service and has its first leader `a`.
async fn routed(world: &World) -> Operator {
    world.create(Kind::Service, service(ACTIVE)).await;
    pods(world, &["a", "b"]).await;
    let operator = Operator::start(world).await;
    world.group("orders", routing(&[ACTIVE])).await;
    world.until_led_by("orders", "a").await;
    until_routed(world, "a").await;
    operator
}

async fn until_routed(world: &World, pod: &str) {
    let message = format!("Service {ACTIVE} reaches pod {pod}");
    world
        .until(Kind::Group, "orders", &format!("routed to {pod}"), |group| {
            group.has("Routed", "True") && group.condition("Routed").text("/message") == message
        })
        .await;
}

/// The slices of the operator.
async fn slices(world: &World) -> Vec<Value> {
    let mut slices = world.list(Kind::EndpointSlice).await;
    slices.retain(|slice| {
        slice.text("/metadata/labels/endpointslice.kubernetes.io~1managed-by") == "election-operator.io"
    });
    slices
}

async fn the_slice(world: &World) -> Value {
    let slices = slices(world).await;
    let [slice] = &slices[..] else { panic!("one slice, not {slices:#?}") };
    slice.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_failover_moves_the_endpoint_by_one_write() {
    let world = World::new("routing").await;
    let _operator = routed(&world).await;
    let slice = the_slice(&world).await;
    let group = world.get(Kind::Group, "orders").await.unwrap();
    let pod = world.get(Kind::Pod, "a").await.unwrap();
    assert_eq!(slice.at("/metadata/ownerReferences/0/uid"), group.at("/metadata/uid"));
    assert_eq!(slice.text("/metadata/labels/kubernetes.io~1service-name"), ACTIVE);
    assert_eq!(slice.at("/endpoints/0/addresses"), &json!([pod.text("/status/podIP")]));
    assert_eq!(slice.at("/endpoints/0/targetRef/uid"), pod.at("/metadata/uid"));
    assert_eq!(slice.at("/endpoints/0/nodeName"), pod.at("/spec/nodeName"));
    assert_eq!(slice.at("/ports"), &json!([{ "name": "http", "port": 8080, "protocol": "TCP" }]));

    let version = slice.text("/metadata/resourceVersion").to_owned();
    world.set_ready("a", false).await;
    world.until_led_by("orders", "b").await;
    until_routed(&world, "b").await;
    let api = world.api(Kind::EndpointSlice);
    let mut changes = pin!(api.watch(&WatchParams::default(), &version).await.unwrap());
    let first = tokio::time::timeout(PATIENCE, changes.try_next()).await.unwrap().unwrap();
    let Some(WatchEvent::Modified(first)) = first else { panic!("{first:?}") };
    let first = serde_json::to_value(first).unwrap();
    assert_eq!(ready_endpoints(std::slice::from_ref(&first)), ["b"], "no write in between: {first:#}");
    let trigger = "/metadata/annotations/endpoints.kubernetes.io~1last-change-trigger-time";
    let change = world.get(Kind::Group, "orders").await.unwrap().at("/status/history/0").clone();
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!(time(first.text(trigger)), time(change.text("/detectedAt")));
    assert!(change.text("/routedAt") >= change.text("/detectedAt"), "{change:#}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_slice_that_a_user_deletes_or_edits_is_made_right_again() {
    let world = World::new("routing-drift").await;
    let _operator = routed(&world).await;
    let slice = the_slice(&world).await;
    let name = slice.text("/metadata/name");
    let is_right = |slice: &Value| {
        ready_endpoints(std::slice::from_ref(slice)) == ["a"] && slice.list("/endpoints").len() == 1
    };
    world.delete(Kind::EndpointSlice, name).await;
    let uid = slice.at("/metadata/uid");
    world
        .until(Kind::EndpointSlice, name, "made anew, with the leader", |new| {
            new.at("/metadata/uid") != uid && is_right(new)
        })
        .await;
    let other = json!({ "addresses": ["10.9.9.9"], "conditions": { "ready": true } });
    let first = slice.at("/endpoints/0");
    for endpoints in [json!([first, other]), json!([other]), json!([])] {
        world.patch(Kind::EndpointSlice, name, json!({ "endpoints": endpoints })).await;
        world.until(Kind::EndpointSlice, name, "with the leader alone", is_right).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_service_that_cannot_be_routed_is_named_and_disturbs_nothing_else() {
    let world = World::new("routing-refused").await;
    pods(&world, &["a", "b"]).await;
    let _operator = Operator::start(&world).await;
    world.group("orders", routing(&[ACTIVE])).await;
    world.until_led_by("orders", "a").await;
    world.until_condition("orders", "Routed", "False", "ServiceNotFound").await;

    let mut selecting = service(ACTIVE);
    selecting["spec"]["selector"] = json!({ "app": "orders" });
    world.create(Kind::Service, selecting).await;
    world.until_condition("orders", "Routed", "False", "ServiceHasSelector").await;
    assert!(slices(&world).await.is_empty());
    world.until_led_by("orders", "a").await;

    // Kubernetes leaves its endpoints behind when the selector goes.
    eventually("the endpoints of Kubernetes", async || {
        (!world.list(Kind::EndpointSlice).await.is_empty()).then_some(())
    })
    .await;
    world.patch(Kind::Service, ACTIVE, json!({ "spec": { "selector": null } })).await;
    let group = world.until_condition("orders", "Routed", "False", "RoutingRefused").await;
    let message = group.condition("Routed").text("/message").to_owned();
    assert!(
        message.contains(&format!("delete --ignore-not-found endpoints/{ACTIVE} endpointslices/")),
        "{message}"
    );

    // The failover of the label does not wait for the endpoints.
    world.set_ready("a", false).await;
    world.until_led_by("orders", "b").await;

    world.kubectl(&["delete", "--ignore-not-found", "endpoints", ACTIVE]).await;
    let all = ListParams::default();
    world.api(Kind::EndpointSlice).delete_collection(&DeleteParams::default(), &all).await.unwrap();
    until_routed(&world, "b").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_slice_of_another_writer_with_the_name_of_the_own_one_is_left_alone_and_named() {
    let world = World::new("routing-name").await;
    pods(&world, &["a"]).await;
    let _operator = Operator::start(&world).await;
    let group = world.group("orders", routing(&[ACTIVE])).await;
    world.until_condition("orders", "Routed", "False", "ServiceNotFound").await;
    let uid: String = group.text("/metadata/uid").chars().take(8).collect();
    let name = format!("{ACTIVE}-{uid}-ipv4");
    let foreign = json!({ "metadata": { "name": name }, "addressType": "IPv4", "endpoints": [] });
    let foreign = world.create(Kind::EndpointSlice, foreign).await;
    world.create(Kind::Service, service(ACTIVE)).await;
    let group = world.until_condition("orders", "Routed", "False", "RoutingRefused").await;
    let message = group.condition("Routed").text("/message").to_owned();
    assert!(message.contains(&name) && message.contains("does not belong to this group"), "{message}");
    let left = world.get(Kind::EndpointSlice, &name).await.unwrap();
    assert_eq!(left.at("/metadata/resourceVersion"), foreign.at("/metadata/resourceVersion"));
    world.delete(Kind::EndpointSlice, &name).await;
    until_routed(&world, "a").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn of_two_groups_that_route_one_service_the_older_one_has_it() {
    let world = World::new("routing-two").await;
    let _operator = routed(&world).await;
    world.pod_with("other", json!({ "metadata": { "labels": { "app": "other" } } })).await;
    let mut spec = routing(&[ACTIVE]);
    spec["selector"] = json!({ "matchLabels": { "app": "other" } });
    // A creation time has whole seconds, and the name decides between equals.
    world.create(Kind::Group, json!({ "metadata": { "name": "younger" }, "spec": spec })).await;
    let group = world.until_condition("younger", "Routed", "False", "ServiceOfOtherGroup").await;
    assert!(group.condition("Routed").text("/message").contains("orders"), "{group:#}");
    world.until_led_by("younger", "other").await;
    assert_eq!(ready_endpoints(&slices(&world).await), ["a"]);

    // It has it once the older one lets it go, which takes its own slice away.
    world.patch(Kind::Group, "orders", json!({ "spec": { "routing": { "services": [] } } })).await;
    eventually("the other group's pod as the only endpoint", async || {
        (ready_endpoints(&slices(&world).await) == ["other"]).then_some(())
    })
    .await;
    the_slice(&world).await;
    world
        .until(Kind::Group, "orders", "without the condition", |group| group.condition("Routed").is_null())
        .await;

    // It takes it back, and waits until the slice of the other group is gone.
    world.patch(Kind::Group, "orders", json!({ "spec": { "routing": { "services": [ACTIVE] } } })).await;
    eventually("the older group's pod as the only endpoint again", async || {
        (ready_endpoints(&slices(&world).await) == ["a"]).then_some(())
    })
    .await;
    world.until_condition("younger", "Routed", "False", "ServiceOfOtherGroup").await;
    the_slice(&world).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_stolen_token_of_the_operator_writes_no_endpoints_but_the_one_of_its_own_slices() {
    let world = World::new("routing-token").await;
    let _operator = routed(&world).await;
    let own = the_slice(&world).await;
    let foreign = json!({
        "metadata": { "name": "foreign", "labels": { "kubernetes.io/service-name": "shop" } },
        "addressType": "IPv4", "endpoints": [],
    });
    world.create(Kind::EndpointSlice, foreign.clone()).await;
    let client = cluster::client(&Cluster::find().operator).await;
    let api = Kind::EndpointSlice.api(&client, &world.namespace);
    let refusal = async |name: &str, patch: Value| {
        let written = api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        written.unwrap_err().to_string()
    };
    let endpoint = json!({ "addresses": ["10.9.9.9"] });
    let only_own = "only EndpointSlices that it made";
    let told = refusal("foreign", json!({ "endpoints": [endpoint] })).await;
    assert!(told.contains(only_own), "{told}");
    let name = own.text("/metadata/name");
    let told = refusal(name, json!({ "endpoints": [endpoint, endpoint] })).await;
    assert!(told.contains("put one endpoint into it"), "{told}");
    let lower = json!({ "metadata": { "annotations": { "election-operator.io/term": "0" } } });
    let told = refusal(name, lower).await;
    assert!(told.contains("may not lower the term"), "{told}");
    let mut filled = own.clone();
    let renamed = json!({ "name": "filled", "resourceVersion": null, "uid": null });
    renamed.as_object().unwrap().iter().for_each(|(key, value)| filled["metadata"][key] = value.clone());
    let created = api.create(&PostParams::default(), &Kind::EndpointSlice.object(filled)).await;
    let told = created.unwrap_err().to_string();
    assert!(told.contains("without endpoints"), "{told}");
    let deleted = api.delete("foreign", &DeleteParams::default()).await;
    let told = deleted.unwrap_err().to_string();
    assert!(told.contains(only_own), "{told}");
    world.finish().await;
}
