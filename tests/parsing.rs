//! Whatever the API server lets users store is read, planned for and written back without a panic; what cannot be
//! served says so; and what was recorded before is never recorded lower.

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use election_operator::api::{ElectionGroupStatus, Lease, Pod, SlimGroup};
use election_operator::cache::wakes::wakes;
use election_operator::cache::{Cache, GroupView, Kind};
use election_operator::clock::Clock;
use election_operator::convert::{self, CompiledSpec};
use election_operator::planner::plan::{Intent, plan};
use election_operator::planner::snapshot::{GroupStatus, Snapshot};
use election_operator::planner::{Identity, Term};
use proptest::collection::{btree_map, vec};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// A failing case becomes a named test, not an opaque file of seeds.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(500);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Texts of annotations, labels and names as nobody expects them.
fn odd_texts() -> impl Strategy<Value = String> {
    let known = select(vec![
        "",
        "*",
        "/",
        "a",
        "b",
        "a/a-uid",
        "b/b-uid",
        "a/",
        "/a",
        "a/b/c",
        "a b/c",
        "../../x/y",
        "a?x=y/z",
        "ä/ö",
        "true",
        "True",
        "0",
        "7",
        "+7",
        "-1",
        " 7",
        "7.0",
        "9007199254740992",
        "9007199254740993",
        "18446744073709551616",
        "2147483647",
        "-2147483648",
        "99999999999",
        "orders/group-uid",
        "orders/other-uid",
        "leader",
        "follower",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => ".{0,20}", 1 => Just("x".repeat(10_000))]
}

/// Every time that the API server reads and writes; the last is later than any that Rust's libraries can hold.
fn times() -> impl Strategy<Value = String> {
    let times = vec![
        "0000-01-01T00:00:00",
        "0001-01-01T00:00:00",
        "1970-01-01T00:00:00",
        "2026-11-21T01:02:03",
        "9999-12-31T23:59:59",
    ];
    (select(times), any::<bool>())
        .prop_map(|(time, micro)| format!("{time}{}Z", if micro { ".000001" } else { "" }))
}

/// Any JSON, nested.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        select(vec![-0.5, 1e300, 2e63]).prop_map(Value::from),
        odd_texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        let object = btree_map(odd_texts(), inner.clone(), 0..4);
        prop_oneof![vec(inner, 0..4).prop_map(Value::from), object.prop_map(|map| map.into_iter().collect())]
    })
}

/// An object with some of these fields.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields = fields
        .into_iter()
        .map(|(name, values)| weighted(0.7, values).prop_map(move |value| Some((name, value?))));
    let object = |fields: Vec<Option<(&str, Value)>>| {
        fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>()
    };
    fields.collect::<Vec<_>>().prop_map(move |fields| Value::from(object(fields))).boxed()
}

fn of_text<S: Strategy<Value = String> + 'static>(texts: S) -> BoxedStrategy<Value> {
    texts.prop_map(Value::from).boxed()
}

fn integers(usual: Vec<i64>) -> BoxedStrategy<Value> {
    let odd = select(vec![0, -1, i64::from(i32::MIN), i64::from(i32::MAX), i64::MIN, i64::MAX]);
    prop_oneof![3 => select(usual), 1 => odd].prop_map(Value::from).boxed()
}

fn metadata(name: &'static str, annotations: &[&'static str]) -> BoxedStrategy<Value> {
    let annotations = annotations.iter().map(|key| (*key, of_text(odd_texts()))).collect();
    let labels = object(vec![
        ("app", select(vec!["orders", "orders", "orders", "other"]).prop_map(Value::from).boxed()),
        ("role", select(vec!["leader", "follower", "king", ""]).prop_map(Value::from).boxed()),
        ("pod-template-hash", of_text(odd_texts())),
    ]);
    let owner =
        json!([{ "apiVersion": "v1", "kind": "X", "name": "x", "uid": "group-uid", "controller": true }]);
    let parts = (object(annotations), labels, weighted(0.5, Just(owner)), of(times()), 1..5000u64);
    parts
        .prop_map(move |(annotations, labels, owners, deleted, version)| {
            json!({
                "name": name,
                "namespace": "shop",
                "uid": format!("{name}-uid"),
                "resourceVersion": version.to_string(),
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "deletionTimestamp": deleted,
                "generation": 1,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": owners,
            })
        })
        .boxed()
}

const MARKS: [&str; 5] = [
    "election-operator.io/group",
    "election-operator.io/term",
    "election-operator.io/priority",
    "election-operator.io/exclude",
    "election-operator.io/identity",
];

fn pods(name: &'static str) -> BoxedStrategy<Value> {
    let condition = object(vec![
        ("status", select(vec!["True", "False", "Unknown", "Tea"]).prop_map(Value::from).boxed()),
        ("lastTransitionTime", prop_oneof![3 => of_text(times()), 1 => Just(Value::Null)].boxed()),
        ("message", of_text(odd_texts())),
    ]);
    let kinds = select(vec!["Ready", "DisruptionTarget", "PodScheduled", "Tea"]);
    let condition = (condition, kinds).prop_map(|(mut condition, kind)| {
        condition["type"] = json!(kind);
        condition
    });
    let status = object(vec![
        (
            "phase",
            select(vec!["Running", "Running", "Running", "Failed", "Pending", "Tea"])
                .prop_map(Value::from)
                .boxed(),
        ),
        ("conditions", vec(condition, 0..4).prop_map(Value::from).boxed()),
        ("podIP", of_text(odd_texts())),
        ("future", anything().boxed()),
    ]);
    let spec = object(vec![("nodeName", of_text(odd_texts())), ("future", anything().boxed())]);
    (metadata(name, &MARKS), spec, status)
        .prop_map(|(metadata, spec, status)| json!({ "metadata": metadata, "spec": spec, "status": status }))
        .boxed()
}

fn leases() -> BoxedStrategy<Value> {
    let spec = object(vec![
        ("holderIdentity", of_text(odd_texts())),
        ("leaseDurationSeconds", select(vec![1, 15, i32::MAX, i32::MIN, 0]).prop_map(Value::from).boxed()),
        ("leaseTransitions", select(vec![0, 1, i32::MAX, i32::MIN]).prop_map(Value::from).boxed()),
        ("acquireTime", of_text(times())),
        ("renewTime", prop_oneof![3 => of_text(times()), 1 => Just(Value::Null)].boxed()),
        ("strategy", of_text(odd_texts())),
        ("future", anything().boxed()),
    ]);
    let spec = prop_oneof![9 => spec, 1 => Just(Value::Null)];
    (metadata("orders", &MARKS), spec)
        .prop_map(|(metadata, spec)| json!({ "metadata": metadata, "spec": spec }))
        .boxed()
}

fn selectors() -> BoxedStrategy<Value> {
    let requirement = object(vec![("values", vec(odd_texts(), 0..3).prop_map(Value::from).boxed())]);
    let operators = select(vec!["In", "NotIn", "Exists", "DoesNotExist", "Tea", ""]);
    let requirement = (requirement, odd_texts(), operators).prop_map(|(mut requirement, key, operator)| {
        requirement["key"] = json!(key);
        requirement["operator"] = json!(operator);
        requirement
    });
    let odd = object(vec![
        ("matchLabels", btree_map(odd_texts(), odd_texts(), 0..3).prop_map(|map| json!(map)).boxed()),
        ("matchExpressions", vec(requirement, 0..3).prop_map(Value::from).boxed()),
    ]);
    prop_oneof![3 => Just(json!({ "matchLabels": { "app": "orders" } })), 1 => odd].boxed()
}

fn specs() -> BoxedStrategy<Value> {
    let numbers = |usual: Vec<u32>| {
        prop_oneof![5 => select(usual), 1 => select(vec![0, 1, u32::MAX])].prop_map(Value::from).boxed()
    };
    let of_names = |names: Vec<&'static str>| select(names).prop_map(Value::from).boxed();
    let lease = object(vec![
        ("durationSeconds", numbers(vec![3, 15, 3600])),
        ("renewSeconds", numbers(vec![1, 5, 1799])),
    ]);
    let role = object(vec![
        ("leader", of_names(vec!["leader", "king"])),
        ("follower", of_names(vec!["follower", ""])),
    ]);
    let failover = object(vec![
        ("notReadySeconds", numbers(vec![0, 86_400])),
        ("nodeSilentSeconds", numbers(vec![0, 20])),
        ("minReadySeconds", numbers(vec![0, 86_400])),
        ("cooldownSeconds", numbers(vec![0, 86_400])),
        ("whenNoCandidate", of_names(vec!["Keep", "Clear"])),
    ]);
    let preference = (selectors(), select(vec![0, 1, -1000, i32::MIN, i32::MAX]))
        .prop_map(|(selector, weight)| json!({ "selector": selector, "weight": weight }));
    let rest = object(vec![
        ("lease", lease),
        ("roleLabel", role),
        ("failover", failover),
        ("preference", vec(preference, 0..3).prop_map(Value::from).boxed()),
        ("mode", of_names(vec!["Managed", "Managed", "Observed"])),
        ("failback", of_names(vec!["Never", "Never", "WhenSteady"])),
        ("paused", any::<bool>().prop_map(Value::from).boxed()),
        ("historyLimit", numbers(vec![0, 10, 50])),
        ("future", anything().boxed()),
    ]);
    (selectors(), rest)
        .prop_map(|(selector, mut spec)| {
            spec["selector"] = selector;
            spec
        })
        .boxed()
}

fn statuses() -> BoxedStrategy<Value> {
    let term = integers(vec![1, 2, 3, 9_007_199_254_740_991, 9_007_199_254_740_992, 9_007_199_254_740_993]);
    let of_uid = select(vec!["a-uid", "b-uid", "gone-uid", ""]).prop_map(Value::from).boxed();
    let leader = object(vec![
        (
            "name",
            prop_oneof![3 => select(vec!["a", "b"]).prop_map(Value::from), 1 => of_text(odd_texts())].boxed(),
        ),
        ("uid", prop_oneof![5 => of_uid, 1 => of_text(odd_texts())].boxed()),
        ("since", of_text(times())),
        ("nodeName", of_text(odd_texts())),
    ]);
    let condition = object(vec![
        ("status", select(vec!["True", "False", "Tea"]).prop_map(Value::from).boxed()),
        ("lastTransitionTime", of_text(times())),
        ("reason", of_text(odd_texts())),
        ("observedGeneration", integers(vec![1])),
    ]);
    let kinds = select(vec!["Ready", "Accepted", "Tea"]);
    let condition = (condition, kinds).prop_map(|(mut condition, kind)| {
        condition["type"] = json!(kind);
        condition
    });
    let change = object(vec![
        ("term", integers(vec![1, 2, 3])),
        ("leader", of_text(odd_texts())),
        ("reason", prop_oneof![Just("Switchover".to_owned()), odd_texts()].prop_map(Value::from).boxed()),
        ("detectedAt", of_text(times())),
        ("electedAt", of_text(times())),
        ("labelledAt", of_text(times())),
    ]);
    object(vec![
        ("term", term),
        ("leader", leader),
        ("unfenced", vec(odd_texts(), 0..3).prop_map(Value::from).boxed()),
        ("observedGeneration", integers(vec![1])),
        ("candidates", integers(vec![2])),
        ("eligible", integers(vec![2])),
        ("conditions", vec(condition, 0..3).prop_map(Value::from).boxed()),
        ("history", vec(change, 0..3).prop_map(Value::from).boxed()),
        ("lease", of_text(odd_texts())),
        ("future", anything().boxed()),
    ])
}

fn groups(name: &'static str) -> BoxedStrategy<Value> {
    let annotations = ["election-operator.io/switchover", "election-operator.io/term"];
    let status = prop_oneof![5 => statuses(), 1 => Just(json!({}))];
    (metadata(name, &annotations), specs(), status)
        .prop_map(|(mut metadata, spec, status)| {
            metadata["uid"] = json!(if metadata["name"] == "orders" { "group-uid" } else { "other-uid" });
            json!({ "metadata": metadata, "spec": spec, "status": status })
        })
        .boxed()
}

/// What an operator sees of these objects.
fn seen(groups: &[Value], pods: &[Value], lease: Option<&Value>) -> Cache {
    let (wake, _woken) = wakes();
    let store = Cache::new(Clock::start(), wake);
    for group in groups {
        let group: SlimGroup =
            serde_json::from_value(group.clone()).expect("a group that the server admits is read");
        store.upsert_group(group.0);
    }
    for pod in pods {
        store.upsert_pod(serde_json::from_value(pod.clone()).expect("a pod that the server admits is read"));
    }
    if let Some(lease) = lease {
        let lease: Lease =
            serde_json::from_value(lease.clone()).expect("a Lease that the server admits is read");
        store.upsert_lease(lease.into(), false);
    }
    store
}

fn snapshots(store: &Cache) -> Vec<Snapshot> {
    let groups = store.known(Kind::Group, None).into_iter();
    let observed =
        groups.map(|(namespace, id)| store.view(&election_operator::cache::GroupRef { namespace, id }));
    let snapshots = observed.filter_map(|observed| match observed {
        GroupView::Present(snapshot) => Some(*snapshot),
        GroupView::Unreadable | GroupView::Deleted { .. } => None,
    });
    snapshots.collect()
}

/// A term that a status holds, whatever else it says.
fn readable_term(group: &Value) -> Option<Term> {
    group["status"]["term"].as_u64().and_then(Term::new)
}

/// The status as it is after it was written and read again.
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
        let store = seen(&objects, &[a, b], lease.as_ref());
        for mut view in snapshots(&store) {
            let group = objects.iter().find(|group| group["metadata"]["name"] == *view.group.id.name).unwrap();
            let floor = readable_term(group);
            for _ in 0..4 {
                let next = plan(&view);
                for intent in next.steps.iter().flat_map(|step| &step.intents) {
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

    /// Whom the operator may have to ask the API server for has a name that can be asked for.
    #[test]
    fn only_what_can_exist_is_asked_for(group in groups("orders"), a in pods("a"), b in pods("b")) {
        let nameable = |id: &Identity| {
            id.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.') && id.name.len() < 254
        };
        for mut view in snapshots(&seen(&[group], &[a, b], None)) {
            for intent in plan(&view).steps.into_iter().flat_map(|step| step.intents) {
                match &intent {
                    Intent::ConfirmPodGone(id)
                    | Intent::ConfirmPodUnchanged(id, _)
                    | Intent::ConfirmGroupExists(id)
                    | Intent::ConfirmGroupGone(id) => {
                        prop_assert!(nameable(id), "{:?}", id);
                    }
                    _ => {}
                }
                view.project(&intent);
            }
        }
    }

    /// A spec that cannot be served says why, with the field, and changes nothing else. It answers requests.
    #[test]
    fn what_cannot_be_served_says_so(group in groups("orders"), a in pods("a"), lease in leases()) {
        for view in snapshots(&seen(&[group], &[a], Some(&lease))) {
            let Err(refusal) = &view.group.policy else { continue };
            prop_assert!(refusal.message.starts_with("spec."), "{}", refusal.message);
            let mut after = view.clone();
            for intent in plan(&view).steps.into_iter().flat_map(|step| step.intents) {
                let says = matches!(intent, Intent::WriteStatus(_) | Intent::PublishEvent(_));
                let answers = view.group.switchover.is_some() && intent == Intent::DropSwitchover;
                prop_assert!(says || answers, "{:?}", intent);
                after.project(&intent);
            }
            let accepted = after.group.status.conditions.iter().find(|condition| condition.kind == "Accepted").unwrap();
            prop_assert_eq!((accepted.holds, &accepted.message), (false, &refusal.message));
        }
    }

    /// Not even what no API server would store brings the process down.
    #[test]
    fn garbage_is_refused_or_read_but_never_fatal(
        whole in anything(), group in groups("orders"), pod in pods("a"), lease in leases(), place in 0..3usize, garbage in anything()
    ) {
        let part = ["metadata", "spec", "status"][place];
        for mut object in [whole, group, pod, lease] {
            if object.is_object() {
                object[part] = garbage.clone();
            }
            let (wake, _woken) = wakes();
            let store = Cache::new(Clock::start(), wake);
            if let Ok(SlimGroup(group)) = serde_json::from_value(object.clone()) {
                store.upsert_group(group);
            }
            if let Ok(pod) = serde_json::from_value::<Pod>(object.clone()) {
                store.upsert_pod(pod);
            }
            if let Ok(lease) = serde_json::from_value::<Lease>(object) {
                store.upsert_lease(lease.into(), false);
            }
            for view in snapshots(&store) {
                let _ = plan(&view);
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
fn unfenced_entries_that_nobody_can_read_mean_everybody() {
    use election_operator::planner::snapshot::Unfenced;
    for entry in ["*", "a", "a b/c", "../x/y", ""] {
        let status = read(group_with(&json!({ "term": 3, "unfenced": ["a/a-uid", entry] })));
        assert_eq!(status.record.unwrap().unfenced, Unfenced::All, "{entry:?}");
    }
}

#[test]
fn a_mark_that_names_no_group_is_no_mark() {
    for mark in ["orders", "a b/c", "../../x/y", "a?x=y/z", "/uid", "orders/"] {
        let metadata = json!({ "name": "a", "annotations": { "election-operator.io/group": mark } });
        let pod: Pod = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        assert_eq!(convert::owner(&pod), None, "{mark:?}");
    }
}

#[test]
fn one_time_that_cannot_be_held_does_not_hide_an_object() {
    let late = "9999-12-31T23:59:59.999999Z";
    let spec = json!({ "holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": late, "acquireTime": "2026-11-21T01:02:03.000000Z" });
    let lease: Lease =
        serde_json::from_value(json!({ "metadata": { "name": "orders" }, "spec": spec })).unwrap();
    let record = convert::lease_record(&lease.into());
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
