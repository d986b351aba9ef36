//! The local picture: whom a change wakes, and what late news may not undo.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: what cannot be is a failure")]

use std::time::Duration;

use election_operator::api::{ElectionGroup, Pod};
use election_operator::clock::Clock;
use election_operator::controller::store::{GroupRef, Observed, Store};
use election_operator::election::snapshot::Snapshot;
use election_operator::election::{Identity, Version};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

fn group(name: &str, uid: &str, version: u64) -> ElectionGroup {
    let metadata = json!({
        "name": name, "namespace": "shop", "uid": uid, "resourceVersion": version.to_string(),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    });
    let spec = json!({ "selector": { "matchLabels": { "app": "orders" } } });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
}

fn pod(name: &str, version: u64, marked_by: Option<&str>) -> Pod {
    let annotations = match marked_by {
        Some(group) => json!({ "election-operator.io/group": group, "election-operator.io/term": "1" }),
        None => json!({}),
    };
    let metadata = json!({
        "name": name, "namespace": "shop", "uid": format!("{name}-uid"), "resourceVersion": version.to_string(),
        "labels": { "app": "orders" }, "annotations": annotations,
    });
    let ready = json!({ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" });
    let status = json!({ "phase": "Running", "conditions": [ready] });
    serde_json::from_value(json!({ "metadata": metadata, "spec": { "nodeName": "node" }, "status": status }))
        .unwrap()
}

fn reference(name: &str, uid: &str) -> GroupRef {
    GroupRef { namespace: "shop".to_owned(), id: Identity::new(name, uid) }
}

fn store() -> (Store, UnboundedReceiver<GroupRef>) {
    let (wake, woken) = unbounded_channel();
    (Store::new(Clock::start(), wake), woken)
}

fn names(woken: &mut UnboundedReceiver<GroupRef>) -> Vec<String> {
    let mut names: Vec<_> =
        std::iter::from_fn(|| woken.try_recv().ok()).map(|group| group.id.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

fn snapshot(store: &Store, group: &GroupRef) -> Snapshot {
    match store.observe(group) {
        Observed::Group(snapshot) => *snapshot,
        Observed::Vanished { .. } => panic!("{group} is there"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_wakes_the_groups_that_select_it_and_no_other() {
    let (store, mut woken) = store();
    store.see_group(group("a", "a-uid", 1));
    let mut other = group("b", "b-uid", 2);
    other.spec.selector.match_labels = Some([("app".to_owned(), "other".to_owned())].into());
    store.see_group(other);
    names(&mut woken);
    store.see_pod(pod("p", 3, None));
    assert_eq!(names(&mut woken), ["a/a-uid"]);
}

#[tokio::test(start_paused = true)]
async fn news_without_a_difference_wake_nobody() {
    let (store, mut woken) = store();
    store.see_group(group("a", "a-uid", 1));
    store.see_pod(pod("p", 3, None));
    names(&mut woken);
    store.see_pod(pod("p", 4, None));
    store.see_pod(pod("p", 2, Some("a/a-uid")));
    assert!(names(&mut woken).is_empty());
    let version = snapshot(&store, &reference("a", "a-uid")).pods.first().map(|pod| pod.version);
    assert_eq!(version, Some(Version(4)));
}

#[tokio::test(start_paused = true)]
async fn the_late_deletion_of_an_older_group_leaves_the_newer_one_of_its_name_alone() {
    let (store, _woken) = store();
    store.see_group(group("a", "old", 1));
    store.see_group(group("a", "new", 5));
    store.forget_group("shop", &Identity::new("a", "old"), true);
    snapshot(&store, &reference("a", "new"));
    assert!(matches!(store.observe(&reference("a", "old")), Observed::Vanished { proved: true, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_vanished_group_is_woken_again_when_the_last_other_group_lets_go_of_its_pods() {
    let (store, mut woken) = store();
    store.see_group(group("a", "a-uid", 1));
    store.see_group(group("b", "b-uid", 2));
    store.see_pod(pod("p", 3, Some("a/a-uid")));
    store.forget_group("shop", &Identity::new("a", "a-uid"), true);
    let left = |name: &str, uid: &str| match store.observe(&reference(name, uid)) {
        Observed::Vanished { pods, .. } => pods.len(),
        Observed::Group(_) => panic!("{name} is gone"),
    };
    assert_eq!(left("a", "a-uid"), 0, "b may take the pod over");
    names(&mut woken);
    store.forget_group("shop", &Identity::new("b", "b-uid"), true);
    assert_eq!(names(&mut woken), ["a/a-uid", "b/b-uid"]);
    assert_eq!(left("a", "a-uid"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_proved_gone_does_not_come_back_with_a_late_event() {
    let (store, _woken) = store();
    store.see_group(group("a", "a-uid", 1));
    store.see_pod(pod("p", 3, None));
    store.forget_pod("shop", &Identity::new("p", "p-uid"), true);
    store.see_pod(pod("p", 4, None));
    assert!(snapshot(&store, &reference("a", "a-uid")).pods.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_that_is_heard_again_wakes_the_groups() {
    let (store, mut woken) = store();
    store.see_group(group("a", "a-uid", 1));
    for node in ["x", "y", "z"] {
        store.hear_node(node, Version(1));
    }
    snapshot(&store, &reference("a", "a-uid"));
    names(&mut woken);
    tokio::time::advance(Duration::from_secs(21)).await;
    store.hear_node("x", Version(1));
    assert!(names(&mut woken).is_empty(), "a known version is no heartbeat");
    store.hear_node("x", Version(2));
    assert_eq!(names(&mut woken), ["a/a-uid"]);
}
