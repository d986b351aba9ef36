//! The local picture: whom a change wakes, and what late news may not undo.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test: what cannot be is a failure"
)]

use std::time::Duration;

use election_operator::api::{Budget, ElectionGroup, Phase, Pod, Service};
use election_operator::cache::wakes::{WakeReceiver, wakes};
use election_operator::cache::{Cache, GroupRef, GroupView, Kind};
use election_operator::clock::Clock;
use election_operator::convert::CompiledSpec;
use election_operator::planner::decide::leader_problem;
use election_operator::planner::eligibility::ranked;
use election_operator::planner::services::{SelectionProblem, Warning};
use election_operator::planner::snapshot::{Owner, Snapshot};
use election_operator::planner::switch::REPORT_PAUSE;
use election_operator::planner::{Identity, Millis, Version};
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;

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

fn store() -> (Cache, WakeReceiver) {
    let (wake, woken) = wakes();
    (Cache::new(Clock::start(), wake), woken)
}

/// The group, led by `a` in term 3.
fn led_group(version: u64) -> ElectionGroup {
    let mut led = group("g", "g-uid", version);
    led.status =
        serde_json::from_value(json!({ "term": 3, "leader": { "name": "a", "uid": "a-uid" } })).unwrap();
    led
}

#[test]
fn a_term_that_somebody_wrote_by_hand_is_none_if_no_operator_can_have_come_that_far() {
    let (store, _woken) = store();
    store.upsert_group(led_group(1));
    for (version, of, counts) in
        [(2, (1_u64 << 32) + 3, true), (3, (1 << 32) + 4, false), (4, (1 << 53) - 1, false)]
    {
        let mut seen = pod("b", version, Some("g/g-uid"));
        let annotations = seen.metadata.annotations.as_mut().unwrap();
        annotations.insert("election-operator.io/term".to_owned(), of.to_string());
        store.upsert_pod(seen);
        let highest = snapshot(&store, &reference("g", "g-uid")).highest_term().get();
        assert_eq!(highest, if counts { of } else { 3 });
    }
}

#[test]
fn what_was_there_before_the_process_looked_has_been_so_for_long() {
    let (store, _woken) = store();
    let mut led = led_group(1);
    led.spec.failover.min_ready_seconds = 86_400;
    led.spec.failover.cooldown_seconds = 86_400;
    store.upsert_group(led);
    let mut leader = pod("a", 1, Some("g/g-uid"));
    leader.status.ready = None;
    store.upsert_pod(leader);
    store.upsert_pod(pod("b", 2, None));
    let seen = snapshot(&store, &reference("g", "g-uid"));
    let policy = seen.group.policy.as_ref().unwrap();
    let eligible: Vec<_> = ranked(&seen, policy).iter().map(|pod| pod.id.name.clone()).collect();
    assert_eq!(eligible, ["b"]);
    let due = leader_problem(&seen, policy, &Identity::new("a", "a-uid")).unwrap().due;
    assert!(due <= seen.now, "the leader has outlived its cooldown: {due:?}");
    // Who gets Ready from now on has to wait.
    store.mark_synced("shop");
    store.upsert_pod(pod("c", 3, None));
    let seen = snapshot(&store, &reference("g", "g-uid"));
    assert_eq!(ranked(&seen, seen.group.policy.as_ref().unwrap()).len(), 1);
}

fn names(woken: &mut WakeReceiver) -> Vec<String> {
    let mut names: Vec<_> =
        std::iter::from_fn(|| woken.try_next()).map(|group| group.id.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

fn snapshot(store: &Cache, group: &GroupRef) -> Snapshot {
    match store.view(group) {
        GroupView::Present(snapshot) => *snapshot,
        other => panic!("{group}: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_wakes_the_groups_that_select_it_and_no_other() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    let mut other = group("b", "b-uid", 2);
    other.spec.selector.match_labels = Some([("app".to_owned(), "other".to_owned())].into());
    store.upsert_group(other);
    names(&mut woken);
    store.upsert_pod(pod("p", 3, None));
    assert_eq!(names(&mut woken), ["a/a-uid"]);
}

#[tokio::test(start_paused = true)]
async fn news_without_a_difference_wake_nobody() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 3, None));
    names(&mut woken);
    store.upsert_pod(pod("p", 4, None));
    store.upsert_pod(pod("p", 2, Some("a/a-uid")));
    assert!(names(&mut woken).is_empty());
    let version = snapshot(&store, &reference("a", "a-uid")).pods.first().map(|pod| pod.version);
    assert_eq!(version, Some(Version(4)));
}

#[tokio::test(start_paused = true)]
async fn the_late_deletion_of_an_older_group_leaves_the_newer_one_of_its_name_alone() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "old", 1));
    store.upsert_group(group("a", "new", 5));
    store.remove_group("shop", &Identity::new("a", "old"), true);
    snapshot(&store, &reference("a", "new"));
    assert!(matches!(store.view(&reference("a", "old")), GroupView::Deleted { proved: true, .. }));
}

/// Who marks a pod with the UID of a group elsewhere, or with another name, learns and proves nothing about that group.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_group_is_that_of_its_namespace_and_name_only() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.remove_group("elsewhere", &Identity::new("a", "a-uid"), true);
    store.remove_group("shop", &Identity::new("forged", "a-uid"), true);
    store.remove_pod("shop", &Identity::new("a", "a-uid"), true);
    store.upsert_group(group("a", "a-uid", 2));
    assert_eq!(snapshot(&store, &reference("a", "a-uid")).group.version, Version(2));
}

#[tokio::test(start_paused = true)]
async fn a_vanished_group_is_woken_again_when_the_last_other_group_lets_go_of_its_pods() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_group(group("b", "b-uid", 2));
    store.upsert_pod(pod("p", 3, Some("a/a-uid")));
    store.remove_group("shop", &Identity::new("a", "a-uid"), true);
    let left = |name: &str, uid: &str| match store.view(&reference(name, uid)) {
        GroupView::Deleted { pods, .. } => pods.len(),
        other => panic!("{name} is gone: {other:?}"),
    };
    assert_eq!(left("a", "a-uid"), 0, "b may take the pod over");
    names(&mut woken);
    store.remove_group("shop", &Identity::new("b", "b-uid"), true);
    assert_eq!(names(&mut woken), ["a/a-uid", "b/b-uid"]);
    assert_eq!(left("a", "a-uid"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_proved_gone_does_not_come_back_with_a_late_event() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 3, None));
    store.remove_pod("shop", &Identity::new("p", "p-uid"), true);
    store.upsert_pod(pod("p", 4, None));
    assert!(snapshot(&store, &reference("a", "a-uid")).pods.is_empty());
}

/// Its answer was still under way when the watch told that the pod is gone.
#[tokio::test(start_paused = true)]
async fn a_pod_that_is_proved_gone_does_not_come_back_after_other_news_of_its_group() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 3, None));
    store.remove_pod("shop", &Identity::new("p", "p-uid"), true);
    store.upsert_group(group("a", "a-uid", 6));
    store.upsert_pod(pod("p", 4, None));
    assert!(snapshot(&store, &reference("a", "a-uid")).pods.is_empty());
}

/// How often nodes renew their Leases.
const INTERVAL: Millis = Millis::from_seconds(10);

#[tokio::test(start_paused = true)]
async fn a_silent_node_that_is_heard_again_wakes_the_groups_with_pods_on_it() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 2, None));
    for node in ["node", "y", "z"] {
        store.hear_node(node, Version(1), INTERVAL);
    }
    snapshot(&store, &reference("a", "a-uid"));
    names(&mut woken);
    tokio::time::advance(Duration::from_secs(36)).await;
    store.hear_node("node", Version(1), INTERVAL);
    assert!(names(&mut woken).is_empty(), "a known version is no heartbeat");
    store.hear_node("y", Version(2), INTERVAL);
    assert!(names(&mut woken).is_empty(), "no pod is there");
    store.hear_node("node", Version(2), INTERVAL);
    assert_eq!(names(&mut woken), ["a/a-uid"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_heartbeat_wakes_nobody_but_who_has_less_patience_than_it_took() {
    let (store, mut woken) = store();
    let mut hasty = serde_json::to_value(group("hasty", "h-uid", 2)).unwrap();
    hasty["spec"]["failover"] = json!({ "nodeSilentSeconds": 15 });
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_group(serde_json::from_value(hasty).unwrap());
    store.upsert_pod(pod("p", 3, None));
    for group in [reference("a", "a-uid"), reference("hasty", "h-uid")] {
        snapshot(&store, &group);
    }
    store.hear_node("node", Version(1), INTERVAL);
    names(&mut woken);
    // A renewal may be lost.
    for (beat, (seconds, expected)) in
        (2..).zip([(20, &[][..]), (25, &["hasty/h-uid"]), (30, &["hasty/h-uid"])])
    {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        store.hear_node("node", Version(beat), INTERVAL);
        assert_eq!(names(&mut woken), expected);
    }
}

/// A group whose pods hold the Lease, led by `leader` or nobody.
fn observed_group(version: u64, leader: Option<&str>) -> ElectionGroup {
    let mut group = serde_json::to_value(group("a", "a-uid", version)).unwrap();
    group["spec"]["mode"] = json!("Observed");
    if let Some(leader) = leader {
        let leader = json!({ "name": leader, "uid": format!("{leader}-uid") });
        group["status"] = json!({ "term": 1, "leader": leader });
    }
    serde_json::from_value(group).unwrap()
}

fn lease(holder: &str, version: u64) -> Lease {
    let time = format!("2026-01-01T00:00:00.{version:06}Z");
    let metadata =
        json!({ "name": "a", "namespace": "shop", "uid": "l", "resourceVersion": version.to_string() });
    let spec = json!({ "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": time });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_renewal_in_time_by_the_recorded_leader_wakes_nobody_and_moves_the_expiry() {
    let (store, mut woken) = store();
    store.upsert_group(observed_group(1, Some("p")));
    store.upsert_lease(lease("p", 2), false);
    names(&mut woken);
    tokio::time::advance(Duration::from_secs(14)).await;
    store.upsert_lease(lease("p", 3), false);
    assert!(names(&mut woken).is_empty());
    let seen = snapshot(&store, &reference("a", "a-uid"));
    assert_eq!(seen.lease.map(|lease| lease.changed_at), Some(seen.now));
}

#[tokio::test(start_paused = true)]
async fn any_other_news_of_a_lease_wakes_the_group() {
    let (store, mut woken) = store();
    store.upsert_group(observed_group(1, Some("p")));
    store.upsert_lease(lease("p", 2), false);
    names(&mut woken);
    store.upsert_lease(lease("q", 3), false);
    assert_eq!(names(&mut woken), ["a/a-uid"], "another holder");
    store.upsert_lease(lease("", 4), false);
    assert_eq!(names(&mut woken), ["a/a-uid"], "a release");
    store.upsert_lease(lease("p", 5), false);
    names(&mut woken);
    tokio::time::advance(Duration::from_secs(15)).await;
    store.upsert_lease(lease("p", 6), false);
    assert_eq!(names(&mut woken), ["a/a-uid"], "a renewal that came too late");
    store.upsert_group(observed_group(7, None));
    names(&mut woken);
    store.upsert_lease(lease("p", 8), false);
    assert_eq!(names(&mut woken), ["a/a-uid"], "a renewal while nobody leads");
    let mut paused = observed_group(9, Some("p"));
    paused.spec.paused = true;
    store.upsert_group(paused);
    names(&mut woken);
    store.upsert_lease(lease("p", 10), false);
    assert_eq!(names(&mut woken), ["a/a-uid"], "a renewal while the group is paused");
    store.remove_lease("shop", &Identity::new("a", "l"));
    assert_eq!(names(&mut woken), ["a/a-uid"], "its deletion");
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_new_only_if_the_first_lists_were_complete_before_it() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 3, None));
    store.mark_synced("");
    tokio::time::advance(Duration::from_secs(1)).await;
    store.upsert_pod(pod("q", 4, None));
    store.upsert_pod(pod("p", 5, Some("a/a-uid")));
    let seen = snapshot(&store, &reference("a", "a-uid"));
    let since: Vec<_> = seen.pods.iter().map(|pod| (pod.id.name.as_str(), pod.seen_at)).collect();
    assert_eq!(since, [("p", Millis(0)), ("q", seen.now)]);
}

/// Else its election would be told as if it had been possible for days.
#[tokio::test(start_paused = true)]
async fn a_pod_that_a_changed_selector_selects_has_changed_for_its_group_just_now() {
    let (store, _woken) = store();
    let mut narrow = group("a", "a-uid", 1);
    narrow.spec.selector.match_labels = Some([("app".to_owned(), "other".to_owned())].into());
    store.upsert_group(narrow);
    store.upsert_pod(pod("p", 2, None));
    tokio::time::advance(Duration::from_secs(86_400)).await;
    store.upsert_group(group("a", "a-uid", 3));
    let seen = snapshot(&store, &reference("a", "a-uid"));
    assert_eq!(seen.pods.first().map(|pod| pod.standing_changed_at), Some(seen.now));
}

#[tokio::test(start_paused = true)]
async fn candidates_are_counted_as_each_group_counts_them() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    let mut finished = pod("finished", 3, None);
    finished.status.phase = Phase::Succeeded;
    let mut leaving = pod("leaving", 4, None);
    leaving.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    for pod in [pod("p", 5, None), finished, leaving] {
        store.upsert_pod(pod);
    }
    assert_eq!(store.count(), (1, 1));
    store.upsert_group(group("b", "b-uid", 6));
    assert_eq!(store.count(), (2, 1), "the pods are the older group's");
    store.remove_group("shop", &Identity::new("a", "a-uid"), true);
    assert_eq!(store.count(), (1, 1));
    store.remove_group("shop", &Identity::new("b", "b-uid"), true);
    assert_eq!(store.count(), (0, 0));
}

fn service(selector: serde_json::Value, version: u64) -> Service {
    let metadata =
        json!({ "name": "web", "namespace": "shop", "uid": "s", "resourceVersion": version.to_string() });
    serde_json::from_value(json!({ "metadata": metadata, "spec": { "selector": selector } })).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_service_concerns_the_group_whose_role_label_and_pods_it_selects() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 3, None));
    names(&mut woken);
    let values = || {
        let seen = snapshot(&store, &reference("a", "a-uid")).services.into_iter();
        seen.map(|service| service.value).collect::<Vec<_>>()
    };
    store.upsert_service(service(json!({ "app": "orders" }), 4));
    store.upsert_service(service(json!({ "app": "other", "role": "leader" }), 5));
    assert!(values().is_empty());
    assert!(names(&mut woken).is_empty(), "a Service of another application");
    store.upsert_service(service(json!({ "app": "orders", "role": "primary" }), 6));
    assert_eq!((names(&mut woken), values()), (vec!["a/a-uid".to_owned()], vec!["primary".to_owned()]));
    let warning = Warning { object: Identity::new("web", "s"), problem: SelectionProblem::NeverMatches };
    store.note_warned(&reference("a", "a-uid"), warning.clone());
    store.upsert_service(service(json!({ "app": "orders", "role": "primary" }), 7));
    assert!(names(&mut woken).is_empty(), "nothing that matters has changed");
    assert!(snapshot(&store, &reference("a", "a-uid")).warned.contains(&warning));
    store.upsert_service(service(json!({ "app": "orders", "role": "main" }), 8));
    assert!(snapshot(&store, &reference("a", "a-uid")).warned.is_empty(), "said of what it was before");
    store.remove_service("shop", &Identity::new("web", "s"));
    assert!(values().is_empty());
}

/// Otherwise an operator that has just started would hold back what it has to report.
#[tokio::test(start_paused = true)]
async fn what_a_group_said_before_the_start_was_said_long_ago() {
    let (store, _woken) = store();
    store.upsert_group(group("orders", "1", 1));
    let seen = snapshot(&store, &reference("orders", "1"));
    assert!(seen.reported_at + REPORT_PAUSE <= seen.now);
}

#[test]
fn an_annotation_that_means_nothing_is_kept_to_be_told() {
    let group = CompiledSpec::new(&group("orders", "1", 1));
    let cases = [
        ("exclude", "true", None),
        ("exclude", "false", None),
        ("exclude", "yes", Some("election-operator.io/exclude=yes")),
        ("priority", "-5", None),
        ("priority", "high", Some("election-operator.io/priority=high")),
    ];
    for (name, value, expected) in cases {
        let mut pod = pod("a", 1, None);
        let annotation = (format!("election-operator.io/{name}"), value.to_owned());
        pod.metadata.annotations = Some([annotation].into());
        assert_eq!(group.pod(&pod).ignored.as_deref(), expected);
    }
}

fn owned_by(mut pod: Pod, kind: &str, exclude: Option<&str>) -> Pod {
    let owner =
        json!([{ "apiVersion": "batch/v1", "kind": kind, "name": "o", "uid": "o", "controller": true }]);
    let metadata = json!({ "metadata": { "name": "x", "ownerReferences": owner } });
    pod.controller = serde_json::from_value::<Pod>(metadata).unwrap().controller;
    let exclude = exclude.map(|value| ("election-operator.io/exclude".to_owned(), value.to_owned()));
    pod.metadata.annotations.get_or_insert_default().extend(exclude);
    pod
}

#[test]
fn a_pod_of_a_job_is_a_candidate_only_if_it_says_so() {
    let group = CompiledSpec::new(&group("orders", "1", 1));
    let cases =
        [("Job", None, true), ("Job", Some("false"), false), ("Job", Some("no"), true), ("Set", None, false)];
    for (kind, exclude, expected) in cases {
        assert_eq!(
            group.pod(&owned_by(pod("a", 1, None), kind, exclude)).of_job,
            expected,
            "{kind} {exclude:?}"
        );
    }
}

#[test]
fn the_revision_of_a_rollout_counts_as_one() {
    let group = CompiledSpec::new(&group("orders", "1", 1));
    for key in ["controller-revision-hash", "pod-template-hash", "rollouts-pod-template-hash"] {
        let mut pod = pod("a", 1, None);
        pod.metadata.labels.get_or_insert_default().insert(key.to_owned(), "h".to_owned());
        assert_eq!(group.pod(&pod).revision.as_deref(), Some("h"), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_edited_spec_begins_the_quiet_time_anew() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    tokio::time::advance(Duration::from_secs(100)).await;
    let mut edited = group("a", "a-uid", 2);
    edited.spec.failback_quiet_seconds = 90;
    store.upsert_group(edited);
    let seen = snapshot(&store, &reference("a", "a-uid"));
    assert_eq!(seen.reported_at, seen.now);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_its_controller_lets_go_after_the_label_is_told_until_it_is_unmarked() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    let role = |pod: Pod, value: &str| {
        let mut pod = pod;
        pod.metadata.labels.get_or_insert_default().insert("role".to_owned(), value.to_owned());
        pod
    };
    let is_let_go = || snapshot(&store, &reference("a", "a-uid")).pods[0].released_by_controller;
    store.upsert_pod(owned_by(role(pod("p", 2, None), "follower"), "Set", None));
    store.upsert_pod(owned_by(role(pod("p", 3, Some("a/a-uid")), "leader"), "Set", None));
    assert!(!is_let_go());
    store.upsert_pod(role(pod("p", 4, Some("a/a-uid")), "leader"));
    assert!(is_let_go());
    let id = Identity::new("p", "p-uid");
    assert_eq!(store.role_to_give_back("shop", &id).as_deref(), Some("follower"));
    store.upsert_pod(role(pod("p", 5, None), "follower"));
    assert!(!is_let_go());
}

#[tokio::test(start_paused = true)]
async fn a_service_of_nothing_but_the_role_reaches_the_other_group_that_has_pods() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 3, None));
    let other = || {
        let seen = snapshot(&store, &reference("a", "a-uid"));
        seen.services.into_iter().map(|service| service.other_group).collect::<Vec<_>>()
    };
    store.upsert_service(service(json!({ "role": "leader" }), 4));
    assert_eq!(other(), [None]);
    let mut second = group("b", "b-uid", 5);
    second.spec.selector.match_labels = Some([("app".to_owned(), "stock".to_owned())].into());
    store.upsert_group(second);
    assert_eq!(other(), [None], "it has no pods");
    let mut stock = pod("q", 6, None);
    stock.metadata.labels = Some([("app".to_owned(), "stock".to_owned())].into());
    store.upsert_pod(stock);
    assert_eq!(other(), [Some("b".to_owned())]);
    store.upsert_service(service(json!({ "role": "leader", "app": "orders" }), 7));
    assert_eq!(other(), [None]);
}

#[tokio::test(start_paused = true)]
async fn a_budget_concerns_the_group_whose_leader_alone_it_guards() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 3, None));
    names(&mut woken);
    let budget = |selector: serde_json::Value| -> Budget {
        let metadata = json!({ "name": "db", "namespace": "shop", "uid": "b" });
        let spec = json!({ "selector": selector, "minAvailable": 1 });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    };
    let guarded = || !snapshot(&store, &reference("a", "a-uid")).budgets.is_empty();
    let role = |operator: &str, values: &[&str]| json!({ "matchExpressions": [{ "key": "role", "operator": operator, "values": values }] });
    for (selector, expected) in [
        (json!({ "matchLabels": { "app": "orders" } }), false),
        (json!({ "matchLabels": { "app": "orders", "role": "leader" } }), true),
        (json!({ "matchLabels": { "app": "other", "role": "leader" } }), false),
        (json!({ "matchLabels": { "app": "orders", "role": "follower" } }), false),
        (role("In", &["leader", "follower"]), false),
        (role("NotIn", &["follower"]), true),
        (json!({ "matchLabels": { "role": "leader" } }), true),
    ] {
        store.upsert_budget(budget(selector.clone()));
        assert_eq!(guarded(), expected, "{selector}");
    }
    assert_eq!(names(&mut woken).last().map(String::as_str), Some("a/a-uid"));
    store.remove_budget("shop", &Identity::new("db", "b"));
    assert!(!guarded());
}

fn is_there(store: &Cache, group: &GroupRef) -> bool {
    !matches!(store.view(group), GroupView::Deleted { .. })
}

/// Its report was committed, the group deleted, and the watch told of it before the report's answer came.
#[tokio::test(start_paused = true)]
async fn a_group_that_is_proved_gone_does_not_come_back_with_a_late_answer() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.remove_group("shop", &Identity::new("a", "a-uid"), true);
    store.forget_deleted(&reference("a", "a-uid"));
    names(&mut woken);
    store.upsert_group(group("a", "a-uid", 2));
    store.upsert_unreadable_group("shop", &Identity::new("a", "a-uid"), Version(3));
    assert!(!is_there(&store, &reference("a", "a-uid")));
    assert!(names(&mut woken).is_empty());
    store.upsert_group(group("a", "another", 4));
    assert!(is_there(&store, &reference("a", "another")), "a new group of its name");
}

/// Pods restored into another namespace still carry the mark of the group that they were copied from: asked for there, it
/// is gone. The same for a record whose name somebody has edited.
#[tokio::test(start_paused = true)]
async fn what_is_not_there_under_another_name_or_in_another_namespace_has_not_ended() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 2, None));
    store.remove_group("copy-of-shop", &Identity::new("a", "a-uid"), true);
    store.remove_pod("copy-of-shop", &Identity::new("p", "p-uid"), true);
    store.remove_pod("shop", &Identity::new("edited", "p-uid"), true);
    store.upsert_group(group("a", "a-uid", 3));
    store.upsert_pod(pod("p", 4, None));
    let seen = snapshot(&store, &reference("a", "a-uid"));
    assert_eq!((seen.group.version, seen.pods[0].version), (Version(3), Version(4)));
}

/// The answer to the write that took away its marks.
#[tokio::test(start_paused = true)]
async fn a_pod_that_no_group_selects_does_not_come_back_after_its_end() {
    let (store, _woken) = store();
    store.upsert_pod(pod("p", 3, None));
    store.remove_pod("shop", &Identity::new("p", "p-uid"), true);
    store.upsert_pod(pod("p", 4, None));
    assert!(store.known(Kind::Pod, None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_has_lost_its_name_to_a_newer_one_does_not_come_back_when_that_is_gone() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "old", 1));
    store.upsert_group(group("a", "new", 3));
    store.remove_group("shop", &Identity::new("a", "new"), true);
    store.upsert_group(group("a", "old", 2));
    assert!(!is_there(&store, &reference("a", "old")));
    let mut newer = pod("p", 6, None);
    newer.metadata.uid = Some("newer".to_owned());
    store.upsert_pod(pod("p", 4, None));
    store.upsert_pod(newer);
    store.remove_pod("shop", &Identity::new("p", "newer"), true);
    store.upsert_pod(pod("p", 5, None));
    assert!(store.known(Kind::Pod, None).is_empty());
}

fn group_of(app: &str, name: &str, version: u64) -> ElectionGroup {
    let mut group = group(name, &format!("{name}-uid"), version);
    group.spec.selector.match_labels = Some([("app".to_owned(), app.to_owned())].into());
    group
}

fn pod_of(app: &str, name: &str, version: u64) -> Pod {
    let mut pod = pod(name, version, None);
    pod.metadata.labels = Some([("app".to_owned(), app.to_owned())].into());
    pod
}

/// Counted, as a time would tell little.
fn calls(woken: &mut WakeReceiver) -> usize {
    std::iter::from_fn(|| woken.try_next()).count()
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_new_edited_or_gone_wakes_none_of_hundreds_that_it_does_not_concern() {
    let (store, mut woken) = store();
    let name = |number: u64| format!("g{number:03}");
    let mut count = 0;
    for number in 0..300 {
        store.upsert_group(group_of(&name(number), &name(number), number + 1));
        store.upsert_pod(pod_of(&name(number), &format!("p{number}"), number + 1));
        count += calls(&mut woken);
    }
    assert_eq!(count, 300, "each wakes itself; its pod wakes it again before it has been looked at");
    store.upsert_group(group_of("other", "g007", 1000));
    assert_eq!(names(&mut woken), ["g007/g007-uid"], "an edit");
    store.remove_group("shop", &Identity::new("g008", "g008-uid"), true);
    assert_eq!(names(&mut woken), ["g008/g008-uid"], "a deletion");
}

#[tokio::test(start_paused = true)]
async fn a_group_wakes_those_with_which_it_shares_or_shared_a_pod() {
    let (store, mut woken) = store();
    store.upsert_group(group_of("x", "old", 1));
    store.upsert_group(group_of("y", "other", 2));
    store.upsert_pod(pod_of("x", "p", 3));
    names(&mut woken);
    store.upsert_group(group_of("x", "young", 4));
    assert_eq!(names(&mut woken), ["old/old-uid", "young/young-uid"], "it shares a pod");
    store.upsert_group(group_of("z", "young", 5));
    assert_eq!(names(&mut woken), ["old/old-uid", "young/young-uid"], "it shared one");
    store.upsert_group(group_of("x", "young", 6));
    names(&mut woken);
    store.remove_group("shop", &Identity::new("old", "old-uid"), false);
    assert_eq!(names(&mut woken), ["old/old-uid", "young/young-uid"], "its pod is the other's now");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_comes_or_goes_wakes_those_whose_pods_carry_its_mark_and_whose_lease_it_owns() {
    let (store, mut woken) = store();
    store.upsert_group(group_of("orders", "marked", 1));
    store.upsert_pod(pod("p", 2, Some("m/m-uid")));
    let mut recorded = serde_json::to_value(group_of("elsewhere", "recorded", 3)).unwrap();
    recorded["status"] = json!({ "term": 1, "leader": { "name": "p", "uid": "p-uid" } });
    store.upsert_group(serde_json::from_value(recorded).unwrap());
    store.upsert_group(group_of("else", "leased", 4));
    let owner = json!([{ "apiVersion": "election-operator.io/v1alpha1", "kind": "ElectionGroup",
        "name": "m", "uid": "m-uid" }]);
    let metadata = json!({ "name": "leased", "namespace": "shop", "uid": "l", "resourceVersion": "5", "ownerReferences": owner });
    store.upsert_lease(serde_json::from_value(json!({ "metadata": metadata })).unwrap(), false);
    store.upsert_group(group_of("none", "stranger", 6));
    names(&mut woken);
    let concerned = ["leased/leased-uid", "m/m-uid", "marked/marked-uid", "recorded/recorded-uid"];
    store.upsert_group(group_of("nothing", "m", 7));
    assert_eq!(names(&mut woken), concerned);
    store.remove_group("shop", &Identity::new("m", "m-uid"), true);
    assert_eq!(names(&mut woken), concerned);
    store.remove_lease("shop", &Identity::new("leased", "l"));
    names(&mut woken);
    store.upsert_unreadable_group("shop", &Identity::new("m", "again"), Version(9));
    assert_eq!(names(&mut woken), ["m/again"], "another group");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_cannot_be_read_any_more_exists_and_is_left_alone() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 2, Some("a/a-uid")));
    store.upsert_group(group("b", "b-uid", 3));
    store.upsert_unreadable_group("shop", &Identity::new("a", "a-uid"), Version(5));
    let observed = || store.view(&reference("a", "a-uid"));
    assert!(matches!(observed(), GroupView::Unreadable));
    store.upsert_group(group("a", "a-uid", 4));
    assert!(matches!(observed(), GroupView::Unreadable), "an older version");
    let mark = |store: &Cache| snapshot(store, &reference("b", "b-uid")).pods[0].owner.clone();
    assert_eq!(mark(&store), Owner::Other(Identity::new("a", "a-uid")), "nobody takes its pod over");
    assert_eq!(store.known(Kind::Group, None).len(), 2);
    names(&mut woken);
    store.upsert_group(group("a", "a-uid", 6));
    assert_eq!(names(&mut woken), ["a/a-uid"], "it can be read again");
    snapshot(&store, &reference("a", "a-uid"));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_could_never_be_read_keeps_its_pods_until_it_is_gone() {
    let (store, mut woken) = store();
    store.upsert_group(group("b", "b-uid", 3));
    store.upsert_pod(pod("p", 2, Some("a/a-uid")));
    names(&mut woken);
    store.upsert_unreadable_group("shop", &Identity::new("a", "a-uid"), Version(5));
    assert_eq!(names(&mut woken), ["a/a-uid", "b/b-uid"]);
    let mark = |store: &Cache| snapshot(store, &reference("b", "b-uid")).pods[0].owner.clone();
    assert_eq!(mark(&store), Owner::Other(Identity::new("a", "a-uid")));
    assert_eq!(store.known(Kind::Group, None).len(), 2, "a list without it tells that it is gone");
    store.remove_group("shop", &Identity::new("a", "a-uid"), true);
    assert_eq!(mark(&store), Owner::Vanished(Identity::new("a", "a-uid")));
    assert_eq!(names(&mut woken), ["a/a-uid", "b/b-uid"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_an_earlier_group_of_a_name_does_not_count_for_the_present_one() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "new", 5));
    let old = reference("a", "old");
    store.note_listed(&old, Version(4));
    store.note_warned(
        &old,
        Warning { object: Identity::new("web", "s"), problem: SelectionProblem::NeverMatches },
    );
    let seen = snapshot(&store, &reference("a", "new"));
    assert_eq!((seen.listed_for, seen.warned.len()), (None, 0));
    assert!(store.selector(&old).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_preference_counts_as_soon_as_the_pod_or_the_spec_is_another() {
    let (store, _woken) = store();
    let preferring = |zone: &str, version: u64| {
        let mut group = serde_json::to_value(group("a", "a-uid", version)).unwrap();
        group["spec"]["preference"] =
            json!([{ "selector": { "matchLabels": { "zone": zone } }, "weight": 7 }]);
        serde_json::from_value(group).unwrap()
    };
    let zoned = |zone: &str, version: u64| {
        let mut pod = pod("p", version, None);
        pod.metadata.labels =
            Some([("app", "orders"), ("zone", zone)].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        pod
    };
    let weight = || snapshot(&store, &reference("a", "a-uid")).pods[0].weight;
    store.upsert_pod(zoned("north", 1));
    store.upsert_group(preferring("north", 2));
    assert_eq!(weight(), 7);
    store.upsert_pod(zoned("south", 3));
    assert_eq!(weight(), 0);
    store.upsert_group(preferring("south", 4));
    assert_eq!(weight(), 7);
    store.upsert_group(preferring("west", 5));
    assert_eq!(weight(), 0);
    store.upsert_pod(zoned("west", 6));
    assert_eq!(weight(), 7);
}

/// What went backwards by now, if anything did.
async fn backwards(store: &Cache) -> Option<(u64, u64)> {
    let found = tokio::time::timeout(Duration::ZERO, store.until_backwards()).await.ok()?;
    Some((found.known, found.answered))
}

#[tokio::test(start_paused = true)]
async fn an_answer_older_than_what_was_known_before_the_question_tells_that_versions_went_backwards() {
    let (store, _woken) = store();
    store.upsert_pod(pod("p", 9, None));
    let known = || store.version_of(Kind::Pod, "shop", "p");
    store.check_answer(known().as_ref(), &pod("p", 9, None));
    let mut recreated = pod("p", 3, None);
    recreated.metadata.uid = Some("other".to_owned());
    store.check_answer(known().as_ref(), &recreated);
    let before = known();
    store.upsert_pod(pod("p", 12, None));
    store.check_answer(before.as_ref(), &pod("p", 10, None));
    assert_eq!(backwards(&store).await, None, "the watch has overtaken the answer");
    store.check_answer(known().as_ref(), &pod("p", 11, None));
    assert_eq!(backwards(&store).await, Some((12, 11)));
}

#[tokio::test(start_paused = true)]
async fn a_list_older_than_what_was_known_before_it_tells_that_versions_went_backwards() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 9));
    let begun = store.now();
    store.check_listed(Kind::Group, &group("a", "a-uid", 5), begun);
    assert_eq!(backwards(&store).await, None, "it may have been learned after the list was asked for");
    tokio::time::advance(Duration::from_millis(1)).await;
    store.check_listed(Kind::Group, &group("a", "a-uid", 9), store.now());
    assert_eq!(backwards(&store).await, None);
    store.check_listed(Kind::Group, &group("a", "a-uid", 5), store.now());
    assert_eq!(backwards(&store).await, Some((9, 5)));
}
