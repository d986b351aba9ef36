//! The series of each group.

use std::sync::Arc;
use std::time::Instant;

use election_operator::api::ElectionGroup;
use election_operator::cache::Cache;
use election_operator::cache::wakes::wakes;
use election_operator::clock::Clock;
use election_operator::controller::group_figures::group_figures;
use election_operator::metrics::Metrics;
use election_operator::planner::Identity;
use serde_json::{Value, json};

fn group(namespace: &str, name: &str, status: &Value) -> ElectionGroup {
    serde_json::from_value(json!({
        "apiVersion": "election-operator.io/v1alpha1",
        "kind": "ElectionGroup",
        "metadata": {
            "namespace": namespace, "name": name, "uid": format!("{namespace}-{name}"), "resourceVersion": "7",
        },
        "spec": { "selector": { "matchLabels": { "app": name } } },
        "status": status,
    }))
    .unwrap()
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    let time = "2026-11-21T01:02:03Z";
    json!({ "type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": time })
}

fn led() -> Value {
    json!({
        "term": 7,
        "leader": { "name": "orders-1", "uid": "u", "since": "2026-11-21T01:02:03.500000Z" },
        "candidates": 3,
        "eligible": 2,
        "conditions": [condition("Accepted", "True", "Accepted"), condition("Ready", "True", "LeaderReady")],
    })
}

fn cache() -> Arc<Cache> {
    Arc::new(Cache::new(Clock::start(), wakes().0))
}

/// What a scrape tells of groups in this cache, a line each.
fn told(metrics: Metrics, cache: &Arc<Cache>) -> Vec<String> {
    let known = cache.clone();
    metrics.groups_from(move || known.map_groups(group_figures));
    let text = metrics.encode().unwrap();
    let lines = text.lines().filter(|line| line.starts_with("election_operator_group_"));
    lines.map(ToOwned::to_owned).collect()
}

#[test]
fn a_group_has_the_series_that_its_status_says() {
    let cache = cache();
    cache.upsert_group(group("shop", "orders", &led()));
    let of = "namespace=\"shop\",group=\"orders\"";
    let expected = [
        format!("info{{mode=\"Managed\",reason=\"LeaderReady\",{of}}} 1"),
        format!("leader_info{{pod=\"orders-1\",{of}}} 1"),
        format!("ready{{{of}}} 1"),
        format!("candidates{{{of}}} 3"),
        format!("eligible{{{of}}} 2"),
        format!("term{{{of}}} 7"),
        format!("last_change_timestamp_seconds{{{of}}} 1795222923.5"),
        format!("paused{{{of}}} 0"),
    ];
    let expected = expected.map(|line| format!("election_operator_group_{line}"));
    assert_eq!(told(Metrics::default().with_group_series(), &cache), expected);
}

#[test]
fn a_refused_group_tells_why_and_a_group_without_status_that_it_is_not_ready() {
    let cache = cache();
    let conditions =
        [condition("Accepted", "False", "LeaseNotOurs"), condition("Ready", "False", "LeaseNotOurs")];
    cache.upsert_group(group("shop", "orders", &json!({ "conditions": conditions })));
    cache.upsert_group(group("shop", "young", &Value::Null));
    let lines = told(Metrics::default().with_group_series(), &cache);
    let refused: Vec<_> = lines.iter().filter(|line| line.contains("_refused")).collect();
    let expected =
        "election_operator_group_refused{namespace=\"shop\",group=\"orders\",reason=\"LeaseNotOurs\"} 1";
    assert_eq!(refused, [expected]);
    for name in ["orders", "young"] {
        let line = format!("election_operator_group_ready{{namespace=\"shop\",group=\"{name}\"}} 0");
        assert!(lines.contains(&line), "{line}\n{lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains("leader_info") || line.contains("last_change")));
}

#[test]
fn the_series_of_a_group_go_with_it() {
    let cache = cache();
    cache.upsert_group(group("shop", "orders", &led()));
    cache.upsert_group(group("shop", "sales", &led()));
    cache.remove_group("shop", &Identity::new("orders", "shop-orders"), true);
    let lines = told(Metrics::default().with_group_series(), &cache);
    assert!(
        !lines.iter().any(|line| line.contains("orders\"") && line.contains("group=\"orders\"")),
        "{lines:#?}"
    );
    assert!(lines.iter().any(|line| line.contains("group=\"sales\"")), "{lines:#?}");
}

#[test]
fn one_flag_switches_the_series_of_groups_off() {
    let cache = cache();
    cache.upsert_group(group("shop", "orders", &led()));
    assert_eq!(told(Metrics::default(), &cache), Vec::<String>::new());
}

/// Prints what a scrape of many groups costs. It judges no time.
#[test]
fn a_scrape_of_ten_thousand_groups_has_them_all() {
    let cache = cache();
    for number in 0..10_000 {
        cache.upsert_group(group(&format!("team-{}", number % 100), &format!("orders-{number}"), &led()));
    }
    let begun = Instant::now();
    let lines = told(Metrics::default().with_group_series(), &cache);
    let bytes: usize = lines.iter().map(String::len).sum();
    println!("10,000 groups: {} lines, {bytes} bytes, {:?}", lines.len(), begun.elapsed());
    assert_eq!(lines.len(), 80_000);
}
