//! What went wrong in other operators or in this project, and must not go wrong here (again). Each
//! lesson has tests at the least powerful level that shows it.
//!
//! The tables [`ELSEWHERE`], [`OPERATOR`], [`ELECTOR`] and [`CLIENT_GO`] name these tests. The
//! tests in this file belong nowhere else.

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod client_go;
mod elector;
mod elsewhere;
mod operator;
#[path = "../../crates/planner/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use client_go::CLIENT_GO;
use election_operator::api::{ElectionGroup, Pod as ApiPod};
use election_operator::cache::wakes::{WakeReceiver, wakes};
use election_operator::cache::{Cache, GroupRef};
use election_operator::clock::Clock;
use election_operator::planner::plan::Intent;
use election_operator::planner::plan_group;
use election_operator::planner::seen::GroupView;
use election_operator::planner::seen::{Role, Snapshot, Unfenced};
use election_operator::planner::{Identity, Millis};
use elector::ELECTOR;
use elsewhere::ELSEWHERE;
use k8s_openapi::api::coordination::v1::Lease;
use operator::OPERATOR;
use serde_json::{Value, json};
use support::{
    NOW, apply, delete, follower, id, labelled, leader, lease, pod, pod_mut, policy_mut, record, settle,
    settled, steady, told, unready, with,
};

/// A cache with the group `a` (UID `g`) over `app: orders, tier: db`, led by `x` in term 2.
fn led_cache() -> (Cache, WakeReceiver) {
    let (wake, woken) = wakes();
    let cache = Cache::new(Clock::start(), wake);
    let group = json!({
        "metadata": { "name": "a", "namespace": "shop", "uid": "g", "resourceVersion": "1", "generation": 1 },
        "spec": { "selector": { "matchLabels": { "app": "orders", "tier": "db" } } },
        "status": { "term": 2, "leader": { "name": "x", "uid": "x-uid" } },
    });
    cache.upsert_group(serde_json::from_value::<ElectionGroup>(group).unwrap());
    (cache, woken)
}

fn snapshot(cache: &Cache) -> Snapshot {
    let group = GroupRef { namespace: "shop".to_owned(), id: Identity::new("a", "g") };
    match cache.view(&group) {
        GroupView::Present(snapshot) => *snapshot,
        other => panic!("the group is there: {other:?}"),
    }
}

fn seen_pod(name: &str, version: u64, labels: &Value, of_term: u64) -> ApiPod {
    let annotations =
        json!({ "election-operator.io/group": "a/g", "election-operator.io/term": of_term.to_string() });
    let annotations = if of_term > 0 { annotations } else { json!({}) };
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("{name}-uid"),
            "resourceVersion": version.to_string(),
            "labels": labels, "annotations": annotations,
        },
        "spec": { "nodeName": "node" },
        "status": { "phase": "Running", "conditions": ready },
    }))
    .unwrap()
}

fn seen_lease(version: u64) -> Lease {
    serde_json::from_value(json!({
        "metadata": { "name": "a", "namespace": "shop", "uid": "l", "resourceVersion": version.to_string() },
        "spec": { "holderIdentity": "x", "leaseDurationSeconds": 15 },
    }))
    .unwrap()
}

fn count(woken: &mut WakeReceiver) -> usize {
    std::iter::from_fn(|| woken.try_next()).count()
}

fn pods_written(snapshot: &Snapshot) -> Vec<String> {
    let steps = plan_group(snapshot).into_steps();
    let intents = steps.iter().flat_map(|step| &step.intents);
    let pods = intents.filter_map(|intent| match intent {
        Intent::Fence(write) | Intent::Promote(write) | Intent::LabelFollower(write) => {
            Some(write.pod.name.clone())
        }
        Intent::Release(pod, _) => Some(pod.name.clone()),
        _ => None,
    });
    pods.collect()
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_meets_only_a_part_of_the_selector_is_left_alone() {
    let (cache, _woken) = led_cache();
    let leads = json!({ "app": "orders", "tier": "db", "role": "leader" });
    cache.upsert_pod(seen_pod("x", 2, &leads, 2));
    cache.upsert_pod(seen_pod("cache", 3, &json!({ "app": "orders", "tier": "cache", "role": "leader" }), 0));
    cache.upsert_pod(seen_pod("other", 4, &json!({ "app": "billing", "tier": "db" }), 0));
    let seen = snapshot(&cache);
    assert_eq!(seen.pods.len(), 1);
    assert_eq!(pods_written(&seen), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_event_from_before_a_failover_changes_nothing_after_it() {
    let (cache, mut woken) = led_cache();
    let labels = |role: &str| json!({ "app": "orders", "tier": "db", "role": role });
    // The state after the failover from `w` to `x`, as the operator's own writes returned it.
    cache.upsert_pod(seen_pod("x", 12, &labels("leader"), 2));
    cache.upsert_pod(seen_pod("w", 11, &labels("follower"), 2));
    count(&mut woken);
    // A slow watch still delivers the state before it.
    cache.upsert_pod(seen_pod("w", 5, &labels("leader"), 1));
    cache.upsert_pod(seen_pod("x", 6, &labels("follower"), 1));
    assert_eq!(count(&mut woken), 0);
    let seen = snapshot(&cache);
    assert_eq!(labelled(&seen), ["x"]);
    assert_eq!(pods_written(&seen), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_operators_own_renewal_wakes_no_group_when_the_watch_brings_it_back() {
    let (cache, mut woken) = led_cache();
    cache.upsert_lease(seen_lease(3), true);
    count(&mut woken);
    cache.upsert_lease(seen_lease(3), false);
    assert_eq!(count(&mut woken), 0);
    assert!(snapshot(&cache).lease.unwrap().change_was_seen);
}

#[test]
fn a_label_lost_while_a_container_restarts_is_given_back_by_that_very_plan() {
    let mut group = steady();
    policy_mut(&mut group).not_ready = Millis::from_seconds(30);
    let restarting = pod_mut(&mut group, "a");
    (restarting.role, restarting.ready, restarting.ready_seen_at) = (Role::Absent, false, NOW);
    assert_eq!(told(&group)[..2], ["confirm record", "promote a 3"]);
    assert_eq!(labelled(&settled(group)), ["a"]);
}

#[test]
fn a_candidate_deleted_in_the_middle_of_its_election_makes_way_for_the_next() {
    let mut group = steady();
    unready(&mut group, "a");
    let election = plan_group(&group);
    for steps in 1..=2 {
        let mut interrupted = group.clone();
        for intent in election.steps()[..steps].iter().flat_map(|step| &step.intents) {
            interrupted.project(intent);
        }
        delete(&mut interrupted, "b");
        settle(&mut interrupted);
        assert_eq!(labelled(&interrupted), ["c"], "after {steps} steps");
        assert_eq!(interrupted.record().unwrap().term.get(), 5);
    }
}

#[test]
fn a_record_that_landed_though_the_answer_was_a_conflict_is_not_made_again() {
    let mut group = steady();
    unready(&mut group, "a");
    let switch = plan_group(&group);
    let lost_answer = &switch.steps()[0].intents[0];
    group.project(lost_answer);
    // The live read after a conflict shows the record, and this plan goes on with it.
    assert_eq!(told(&group)[..2], ["confirm record, fence a 4, take lease b 4", "3 ms; promote b 4"]);
}

#[test]
fn a_renewal_comes_before_the_labels_of_hundreds_of_new_pods() {
    let mut group = steady();
    group.pods.extend((0..200).map(|number| pod(&format!("new-{number}"))));
    let due = group.later(NOW + Millis::from_seconds(5));
    let steps = plan_group(&due).into_steps();
    assert!(matches!(&steps[0].intents[..], [Intent::WriteLease(_)]), "{:?}", steps[0]);
    assert!(
        steps.last().unwrap().intents.iter().all(|intent| matches!(intent, Intent::LabelFollower(_))),
        "{steps:?}"
    );
    assert!(settled(due).pods.iter().skip(1).all(|pod| pod.role == Role::Follower));
}

/// The snapshot with the clocks of nodes and API server shifted: creation and readiness of pods,
/// times of the Lease.
fn skewed(group: &Snapshot, seconds: i64) -> Snapshot {
    let mut skewed = group.clone();
    for pod in &mut skewed.pods {
        pod.created_seconds += seconds;
        pod.ready_since_seconds = pod.ready_since_seconds.map(|since| since + seconds);
    }
    if let Some(lease) = &mut skewed.lease {
        let shift = |time: Option<i64>| time.map(|time| time + seconds * 1_000_000);
        lease.content.times = (shift(lease.content.times.0), shift(lease.content.times.1));
    }
    skewed
}

#[test]
fn skewed_clocks_of_others_change_no_plan() {
    let mut failing = steady();
    pod_mut(&mut failing, "a").ready = false;
    for seconds in [-86_400, -3 * 3600, -120, -1, 1, 90, 7200, 86_400 * 365] {
        for group in [steady(), failing.clone(), steady().later(NOW + Millis(5_000))] {
            let (ours, theirs) = (plan_group(&group), plan_group(&skewed(&group, seconds)));
            assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{seconds} s");
        }
        // With the clock of one node shifted, no healthy leader moves.
        let mut group = steady();
        let since = &mut pod_mut(&mut group, "b").ready_since_seconds;
        *since = since.map(|since| since + seconds);
        // The status may tell another order of preference.
        assert!(told(&group).iter().all(|word| word == "status"), "{:?}", told(&group));
    }
}

#[test]
fn skewed_clocks_of_others_do_not_age_a_lease() {
    for seconds in [-86_400, -120, 7200] {
        let mut foreign = with_foreign_lease();
        foreign = skewed(&foreign, seconds);
        let until = foreign.lease.as_ref().unwrap().valid_until(Millis(0));
        assert_eq!(until, NOW + Millis::from_seconds(15));
    }
}

fn with_foreign_lease() -> Snapshot {
    let mut group = steady();
    group.lease = Some(lease("somebody", 1));
    group
}

#[test]
fn what_an_interrupted_switch_left_in_the_status_is_gone_after_the_next_plan() {
    let mut group = steady();
    let mut left = record("b", 4);
    left.unfenced = Unfenced::Pods(vec![id("a")]);
    group.group.status.record = Some(left);
    group.pods = vec![follower("a", 4), leader("b", 4), with(follower("c", 4), |_| ())];
    let next = plan_group(&group);
    apply(&mut group, &next);
    assert_eq!(group.record().unwrap().unfenced, Unfenced::NONE);
    assert_eq!(labelled(&group), ["b"]);
}

/// The source files below a folder, or the one file.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| sources(&path)).collect()
}

/// The text of a test binary, or of the library.
fn text_of(binary: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The unit tests of a crate are beside its code, those of its binaries in its folder `tests`.
    let crates =
        [".", "crates/planner", "crates/lease-elector", "crates/testkit"].map(|path| root.join(path));
    let folders = crates.into_iter().map(|root| match binary {
        "lib" => root.join("src"),
        binary => root.join("tests").join(binary),
    });
    let files: Vec<_> = folders.flat_map(|folder| [folder.with_extension("rs"), folder]).collect();
    let files = files.iter().map(|path| sources(path)).collect::<Vec<_>>().concat();
    assert!(!files.is_empty(), "there is no test binary {binary}");
    files.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect()
}

#[test]
fn every_test_that_a_lesson_names_exists() {
    let mut texts = BTreeMap::new();
    for (lesson, tests) in [ELSEWHERE, OPERATOR, ELECTOR, CLIENT_GO].concat() {
        assert!(!tests.is_empty(), "no test: {lesson}");
        for test in tests {
            let (binary, name) = test.split_once("::").unwrap();
            let text = texts.entry(binary).or_insert_with(|| text_of(binary));
            assert!(text.contains(&format!("fn {name}(")), "there is no test {test}: {lesson}");
        }
    }
}
