//! Labels, annotations, Leases and status changed behind the operator's back.

use serde_json::{Value, json};
use testkit::feed::TERM;
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::wait::eventually;
use crate::harness::{Operator, World};

fn role(role: Value) -> Value {
    json!({ "metadata": { "labels": { "role": role } } })
}

fn version(object: &Value) -> Option<&str> {
    object["metadata"]["resourceVersion"].as_str()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_missing_leader_label_is_put_back() {
    let world = World::new("drift-missing").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    world.patch(Kind::Pod, "a", role(Value::Null)).await;
    world.until_role("a", "leader").await;
    world.patch(Kind::Pod, "a", role(json!("follower"))).await;
    world.until_role("a", "leader").await;
    world.until_event("orders", "LabelRepaired").await;
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(group.number("/status/history/1/term"), 0, "no change of leader: {group:#}");
    assert_eq!(world.finish().await.leaders(), ["a", "a", "a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_missing_or_wrong_follower_label_is_put_back() {
    let world = World::new("drift-follower").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    world.until_role("b", "follower").await;
    for wrong in [Value::Null, json!("deputy")] {
        world.patch(Kind::Pod, "b", role(wrong)).await;
        world.until_role("b", "follower").await;
    }
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(group.number("/status/term"), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_copied_leader_label_is_taken_away_and_an_event_names_its_pod() {
    let world = World::new("drift-names").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    for pod in ["b", "c"] {
        let copied = world.patch(Kind::Pod, pod, role(json!("leader"))).await;
        world.recorder.forgive(version(&copied));
        world.until_role(pod, "follower").await;
        let note = format!("took the leader label from pod {pod}, which does not lead");
        eventually(&format!("the Event: {note}"), async || {
            let events = world.events("orders", "LabelRepaired").await;
            events.iter().any(|event| event.text("/note") == note).then_some(())
        })
        .await;
    }
    world.until_led_by("orders", "a").await;
    world.until_endpoint("a").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_pod_copied_with_all_its_marks_is_demoted() {
    let world = World::new("drift-clone").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    let leader = world.get(Kind::Pod, "a").await.unwrap();
    let marks = json!({ "metadata": {
        "labels": leader.at("/metadata/labels"),
        "annotations": leader.at("/metadata/annotations"),
    } });
    let mut body = World::pod_body("c");
    testkit::json::merge(&mut body, &marks);
    let copy = world.create(Kind::Pod, body).await;
    world.recorder.forgive(version(&copy));
    world.until_role("c", "follower").await;
    world.until_led_by("orders", "a").await;
    world.until_endpoint("a").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_label_in_the_template_leaves_one_leader() {
    let world = World::new("drift-template").await;
    world.service().await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({})).await;
    let baked = json!({ "spec": { "template": { "metadata": { "labels": { "role": "leader" } } } } });
    world.stateful_set(3, baked).await;
    let one = |group: &Value| group.has("Ready", "True") && group.number("/status/eligible") == 3;
    let group = world.until(Kind::Group, "orders", "Ready", one).await;
    let leader = group.text("/status/leader/name").to_owned();
    for name in ["orders-0", "orders-1", "orders-2"] {
        world.until_role(name, if name == leader { "leader" } else { "follower" }).await;
    }
    world.until_endpoint(&leader).await;
    // The next pod of this template does not become a second leader, either.
    let other = if leader == "orders-0" { "orders-1" } else { "orders-0" };
    let uid = world.get(Kind::Pod, other).await.unwrap().text("/metadata/uid").to_owned();
    world.delete(Kind::Pod, other).await;
    world
        .until(Kind::Pod, other, "back as a follower", |pod| {
            pod.text("/metadata/uid") != uid && pod.text("/metadata/labels/role") == "follower"
        })
        .await;
    world.until_led_by("orders", &leader).await;
    world.until_endpoint(&leader).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_term_raised_by_somebody_is_passed_by() {
    let world = World::new("drift-term").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    // Above every record, on a follower that has to be written when its turn comes.
    let tampered = json!({ "metadata": { "annotations": { TERM: "100" } } });
    world.patch(Kind::Pod, "b", tampered).await;
    world.delete(Kind::Pod, "a").await;
    let group = world.until(Kind::Group, "orders", "led by another", |group| {
        group.has("Ready", "True") && group.text("/status/leader/name") != "a"
    });
    let group = group.await;
    assert!(group.number("/status/term") > 100, "{group:#}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_term_that_is_no_number_is_no_term() {
    let world = World::new("drift-nonsense").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    for (pod, nonsense) in [("b", "-1"), ("c", "99999999999999999999")] {
        world.patch(Kind::Pod, pod, json!({ "metadata": { "annotations": { TERM: nonsense } } })).await;
    }
    world.delete(Kind::Pod, "a").await;
    let group = world.until_led_by("orders", "b").await;
    assert_eq!(group.number("/status/term"), 2, "{group:#}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_deleted_lease_is_written_again_without_a_change_of_leader() {
    let world = World::new("drift-lease-gone").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    let old = world.get(Kind::Lease, "orders").await.unwrap();
    world.delete(Kind::Lease, "orders").await;
    let new = world
        .until(Kind::Lease, "orders", "there again", |lease| {
            !lease.is_null() && lease.text("/metadata/uid") != old.text("/metadata/uid")
        })
        .await;
    assert_eq!(new.text("/spec/holderIdentity"), "a");
    assert!(!new.text("/metadata/ownerReferences/0/uid").is_empty(), "{new:#}");
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(group.number("/status/term"), 1);
    assert_eq!(world.finish().await.steps().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn an_edited_lease_of_ours_is_written_again_without_a_change_of_leader() {
    let world = World::new("drift-lease-edited").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    for holder in ["b", "somebody-else", ""] {
        world.patch(Kind::Lease, "orders", json!({ "spec": { "holderIdentity": holder } })).await;
        world.until(Kind::Lease, "orders", "of a", |lease| lease.text("/spec/holderIdentity") == "a").await;
    }
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(group.number("/status/term"), 1);
    assert_eq!(world.finish().await.steps().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn an_emptied_status_is_recorded_again_for_the_pod_that_carries_the_label() {
    let world = World::new("drift-status").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    world.delete(Kind::Pod, "a").await;
    world.until_led_by("orders", "b").await;
    let emptied = world.patch_status(Kind::Group, "orders", json!({ "status": null })).await;
    world.recorder.forgive(version(&emptied));
    let group = world.until_led_by("orders", "b").await;
    assert!(group.number("/status/term") > 2, "the term never falls: {group:#}");
    assert_eq!(world.role("b").await.as_deref(), Some("leader"));
    assert_eq!(world.finish().await.leaders()[..2], ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_written_into_the_status_is_followed() {
    let world = World::new("drift-leader").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    let b = world.get(Kind::Pod, "b").await.unwrap();
    let leader = json!({ "name": "b", "uid": b.text("/metadata/uid") });
    world.patch_status(Kind::Group, "orders", json!({ "status": { "leader": leader } })).await;
    world.until_role("b", "leader").await;
    world.until_role("a", "follower").await;
    world.until_led_by("orders", "b").await;
    world.finish().await;
}
