//! Every object that the API server lets users store is read, planned for and written back without
//! a panic. A spec that cannot be served says so. A term is never recorded lower than before.

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod objects;

use election_operator::api::{ElectionGroupStatus, Lease, Pod, SlimGroup};
use election_operator::cache::wakes::wakes;
use election_operator::cache::{Cache, Kind};
use election_operator::clock::Clock;
use election_operator::convert::{self, CompiledSpec};
use election_operator::planner::plan::{Fact, Intent};
use election_operator::planner::plan_group;
use election_operator::planner::seen::GroupView;
use election_operator::planner::seen::{GroupStatus, Snapshot};
use election_operator::planner::{Identity, Term};
use proptest::option::weighted;
use proptest::prelude::*;
use serde_json::{Value, json};

use objects::{anything, groups, leases, pods};

/// A failing case becomes a named test, not an opaque file of seeds.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(500);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The cache of an operator that has seen these objects.
fn seen(groups: &[Value], pods: &[Value], lease: Option<&Value>) -> Cache {
    let (wake, _woken) = wakes();
    let cache = Cache::new(Clock::start(), wake);
    for group in groups {
        let group: SlimGroup =
            serde_json::from_value(group.clone()).expect("a group that the server admits is read");
        cache.upsert_group(group.0);
    }
    for pod in pods {
        cache.upsert_pod(serde_json::from_value(pod.clone()).expect("a pod that the server admits is read"));
    }
    if let Some(lease) = lease {
        let lease: Lease =
            serde_json::from_value(lease.clone()).expect("a Lease that the server admits is read");
        cache.upsert_lease(lease.into(), false);
    }
    cache
}

fn snapshots(cache: &Cache) -> Vec<Snapshot> {
    let groups = cache.known(Kind::Group, None).into_iter();
    let observed =
        groups.map(|(namespace, id)| cache.view(&election_operator::cache::GroupRef { namespace, id }));
    let snapshots = observed.filter_map(|observed| match observed {
        GroupView::Present(snapshot) => Some(*snapshot),
        GroupView::Unreadable | GroupView::Deleted { .. } => None,
    });
    snapshots.collect()
}

/// The term in a status, if it can be read.
fn readable_term(group: &Value) -> Option<Term> {
    group["status"]["term"].as_u64().and_then(Term::new)
}

/// The status after it was written and read again.
fn written_and_read(group: &Value, status: &GroupStatus) -> (ElectionGroupStatus, GroupStatus) {
    let written = convert::api_status(status, election_operator::planner::Micros(7));
    let json = serde_json::to_value(&written).expect("a status can be written");
    let read: ElectionGroupStatus =
        serde_json::from_value(json.clone()).expect("a written status can be read");
    assert_eq!(read, written);
    let mut group = group.clone();
    group["status"] = json;
    let SlimGroup(group) = serde_json::from_value(group).expect("a group with a written status can be read");
    let read = CompiledSpec::new(&group).group(&group).status;
    (written, read)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn odd_objects_are_planned_for_and_written_back(
        group in groups("orders"),
        other in weighted(0.3, groups("other")),
        a in pods("a"),
        b in pods("b"),
        lease in weighted(0.8, leases()),
    ) {
        let objects: Vec<_> = [group].into_iter().chain(other).collect();
        let cache = seen(&objects, &[a, b], lease.as_ref());
        for mut view in snapshots(&cache) {
            let is_its_object = |group: &&Value| group["metadata"]["name"] == *view.group.id.name;
            let group = objects.iter().find(is_its_object).unwrap();
            let floor = readable_term(group);
            for _ in 0..4 {
                let next = plan_group(&view);
                for intent in next.intents() {
                    if let Intent::WriteStatus(status) = intent {
                        let (written, read) = written_and_read(group, status);
                        prop_assert_eq!(&read.record, &status.record);
                        prop_assert_eq!(read.lost_term, status.lost_term);
                        let again = convert::api_status(&read, election_operator::planner::Micros(7));
                        prop_assert_eq!(again, written.clone());
                        let term = written.term.and_then(|term| u64::try_from(term).ok()).and_then(Term::new);
                        prop_assert!(term >= floor, "S2: {:?} after {:?}", term, floor);
                    }
                    view.project(intent);
                }
            }
        }
    }

    /// The operator sends live reads only for names that can exist.
    #[test]
    fn only_objects_that_can_exist_are_read_live(group in groups("orders"), a in pods("a"), b in pods("b")) {
        let nameable = |id: &Identity| {
            id.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.') && id.name.len() < 254
        };
        for mut view in snapshots(&seen(&[group], &[a, b], None)) {
            for intent in plan_group(&view).into_steps().into_iter().flat_map(|step| step.intents) {
                if let Intent::Confirm(
                    Fact::PodGone(id)
                    | Fact::PodUnchanged(id, _)
                    | Fact::GroupExists(id)
                    | Fact::GroupGone(id),
                ) = &intent
                {
                        prop_assert!(nameable(id), "{:?}", id);
                }
                view.project(&intent);
            }
        }
    }

    /// A spec that cannot be served says why and names the field. Nothing else is written, except
    /// that switchover requests are answered.
    #[test]
    fn a_spec_that_cannot_be_served_says_so(group in groups("orders"), a in pods("a"), lease in leases()) {
        for view in snapshots(&seen(&[group], &[a], Some(&lease))) {
            let Err(refusal) = &view.group.policy else { continue };
            prop_assert!(refusal.message.starts_with("spec."), "{}", refusal.message);
            let mut after = view.clone();
            for intent in plan_group(&view).into_steps().into_iter().flat_map(|step| step.intents) {
                let says = matches!(intent, Intent::WriteStatus(_) | Intent::PublishEvent(_));
                let answers = view.group.switchover.is_some() && intent == Intent::DropSwitchover;
                prop_assert!(says || answers, "{:?}", intent);
                after.project(&intent);
            }
            let mut conditions = after.group.status.conditions.iter();
            let accepted = conditions.find(|condition| condition.kind == "Accepted").unwrap();
            prop_assert_eq!((accepted.holds, &accepted.message), (false, &refusal.message));
        }
    }

    /// Garbage that no API server would store does not end the process either.
    #[test]
    fn garbage_is_refused_or_read_but_never_fatal(
        whole in anything(),
        group in groups("orders"),
        pod in pods("a"),
        lease in leases(),
        place in 0..3usize,
        garbage in anything(),
    ) {
        let part = ["metadata", "spec", "status"][place];
        for mut object in [whole, group, pod, lease] {
            if object.is_object() {
                object[part] = garbage.clone();
            }
            let (wake, _woken) = wakes();
            let cache = Cache::new(Clock::start(), wake);
            if let Ok(SlimGroup(group)) = serde_json::from_value(object.clone()) {
                cache.upsert_group(group);
            }
            if let Ok(pod) = serde_json::from_value::<Pod>(object.clone()) {
                cache.upsert_pod(pod);
            }
            if let Ok(lease) = serde_json::from_value::<Lease>(object) {
                cache.upsert_lease(lease.into(), false);
            }
            for view in snapshots(&cache) {
                let _ = plan_group(&view);
            }
        }
    }
}

fn group_with(status: &Value) -> Value {
    json!({
        "metadata": { "name": "orders", "namespace": "shop", "uid": "group-uid", "resourceVersion": "5" },
        "spec": { "selector": { "matchLabels": { "app": "orders" } } },
        "status": status,
    })
}

fn read(group: Value) -> GroupStatus {
    let SlimGroup(group) = serde_json::from_value(group).unwrap();
    CompiledSpec::new(&group).group(&group).status
}

#[test]
fn a_recorded_leader_that_no_pod_can_be_leaves_its_term() {
    for leader in [
        json!({ "name": "a" }),
        json!({ "uid": "a-uid" }),
        json!({}),
        json!({ "name": "a b", "uid": "a-uid" }),
        json!({ "name": "../x", "uid": "a-uid" }),
        json!({ "name": "a/log", "uid": "a-uid" }),
        json!({ "name": "a", "uid": "x/y" }),
    ] {
        let status = read(group_with(&json!({ "term": 41, "leader": leader })));
        assert_eq!((status.record, status.lost_term), (None, Term::new(41)), "{leader}");
    }
}

#[test]
fn unreadable_unfenced_entries_mean_every_pod() {
    use election_operator::planner::seen::Unfenced;
    for entry in ["*", "a", "a b/c", "../x/y", ""] {
        let status = read(group_with(&json!({ "term": 3, "unfenced": ["a/a-uid", entry] })));
        assert_eq!(status.record.unwrap().unfenced, Unfenced::All, "{entry:?}");
    }
}

#[test]
fn a_recorded_lease_without_a_uid_or_a_duration_is_none() {
    let whole =
        json!({ "term": 3, "leaseUID": "l", "leaseDurationSeconds": 20, "longestLeaseDurationSeconds": 9 });
    let lease = read(group_with(&whole)).recorded_lease.unwrap();
    assert_eq!((lease.uid.as_str(), lease.duration_seconds, lease.longest_seconds), ("l", 20, 20));
    for (field, odd) in [
        ("leaseUID", json!("")),
        ("leaseUID", json!(null)),
        ("leaseDurationSeconds", json!(-1)),
        ("leaseDurationSeconds", json!("20")),
        ("longestLeaseDurationSeconds", json!(null)),
    ] {
        let mut status = whole.clone();
        status[field] = odd;
        assert_eq!(read(group_with(&status)).recorded_lease, None, "{field}");
    }
}

#[test]
fn an_owner_annotation_that_names_no_group_names_no_owner() {
    for owner in ["orders", "a b/c", "../../x/y", "a?x=y/z", "/uid", "orders/"] {
        let metadata = json!({ "name": "a", "annotations": { "election-operator.io/group": owner } });
        let pod: Pod = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        assert_eq!(convert::owner(&pod), None, "{owner:?}");
    }
}

#[test]
fn a_time_out_of_range_does_not_hide_an_object() {
    let late = "9999-12-31T23:59:59.999999Z";
    let acquired = "2026-11-21T01:02:03.000000Z";
    let spec = json!({
        "holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": late, "acquireTime": acquired,
    });
    let lease: Lease =
        serde_json::from_value(json!({ "metadata": { "name": "orders" }, "spec": spec })).unwrap();
    let record = convert::lease_content(&lease.into());
    assert_eq!(
        (record.holder.as_deref(), record.duration_seconds, record.times.1),
        (Some("x"), Some(15), None)
    );
    assert!(record.times.0.is_some());
    let conditions =
        json!([{ "type": "Ready", "status": "True", "lastTransitionTime": "9999-12-31T23:59:59Z" }]);
    let pod =
        json!({ "metadata": { "name": "a" }, "status": { "phase": "Running", "conditions": conditions } });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    assert_eq!((pod.is_ready(), pod.ready_since()), (true, None));
}
