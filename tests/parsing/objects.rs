//! Objects as odd as the API server lets users store them.

use proptest::collection::{btree_map, vec};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Unexpected texts for annotations, labels and names.
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

/// Times that the API server accepts. The last one is later than Rust's libraries can represent.
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
pub(super) fn anything() -> impl Strategy<Value = Value> {
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

const ANNOTATIONS: [&str; 5] = [
    "election-operator.io/group",
    "election-operator.io/term",
    "election-operator.io/priority",
    "election-operator.io/exclude",
    "election-operator.io/identity",
];

pub(super) fn pods(name: &'static str) -> BoxedStrategy<Value> {
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
    (metadata(name, &ANNOTATIONS), spec, status)
        .prop_map(|(metadata, spec, status)| json!({ "metadata": metadata, "spec": spec, "status": status }))
        .boxed()
}

pub(super) fn leases() -> BoxedStrategy<Value> {
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
    (metadata("orders", &ANNOTATIONS), spec)
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
        ("pods", vec(anything(), 0..3).prop_map(Value::from).boxed()),
        ("future", anything().boxed()),
    ])
}

pub(super) fn groups(name: &'static str) -> BoxedStrategy<Value> {
    let annotations =
        ["election-operator.io/switchover", "election-operator.io/term", "election-operator.io/paused"];
    let status = prop_oneof![5 => statuses(), 1 => Just(json!({}))];
    (metadata(name, &annotations), specs(), status)
        .prop_map(|(mut metadata, spec, status)| {
            metadata["uid"] = json!(if metadata["name"] == "orders" { "group-uid" } else { "other-uid" });
            json!({ "metadata": metadata, "spec": spec, "status": status })
        })
        .boxed()
}
