//! The cache: which groups a change wakes, and which late updates it ignores.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test: what cannot be is a failure"
)]

mod groups;
mod leases;
mod nodes;
mod pods;
mod routes;
mod selection;
mod services;
mod versions;
mod waking;

use std::time::Duration;

use election_operator::api::{Budget, ElectionGroup, EndpointSlice, Phase, Pod, Service, unserved_status};
use election_operator::cache::wakes::{WakeReceiver, wakes};
use election_operator::cache::{Cache, GroupRef, Kind, Scope};
use election_operator::clock::Clock;
use election_operator::convert::CompiledSpec;
use election_operator::planner::eligibility::ranked;
use election_operator::planner::leader_problem;
use election_operator::planner::seen::GroupView;
use election_operator::planner::seen::{Owner, Snapshot};
use election_operator::planner::seen::{SelectionProblem, Warning};
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

fn pod(name: &str, version: u64, owner: Option<&str>) -> Pod {
    let annotations = match owner {
        Some(group) => json!({ "election-operator.io/group": group, "election-operator.io/term": "1" }),
        None => json!({}),
    };
    let metadata = json!({
        "name": name, "namespace": "shop", "uid": format!("{name}-uid"),
        "resourceVersion": version.to_string(),
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

fn new_cache() -> (Cache, WakeReceiver) {
    let (wake, woken) = wakes();
    (Cache::new(Clock::start(), wake), woken)
}

fn names(woken: &mut WakeReceiver) -> Vec<String> {
    let mut names: Vec<_> =
        std::iter::from_fn(|| woken.try_next()).map(|group| group.id.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

fn snapshot(cache: &Cache, group: &GroupRef) -> Snapshot {
    match cache.view(group) {
        GroupView::Present(snapshot) => *snapshot,
        other => panic!("{group}: {other:?}"),
    }
}
