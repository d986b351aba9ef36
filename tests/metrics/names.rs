//! Alerts, dashboard and documentation name only metrics that there are.

use std::collections::BTreeSet;
use std::convert::Infallible;

use election_operator::elector::{ElectorConfig, LeaderElector};
use election_operator::http::exposition::classic;
use election_operator::metrics::groups::GroupFigures;
use election_operator::metrics::{Metrics, WatchFigures, process};
use kube::Client;
use kube::client::Body;

use crate::read;

/// A full scrape of the operator, in the classic format.
fn scrape() -> String {
    let service = tower::service_fn(async |_: http::Request<Body>| {
        Ok::<_, Infallible>(http::Response::new(Body::from(Vec::new())))
    });
    let client = || Client::new(service, "ops");
    let elector =
        LeaderElector::with_clients(client(), client(), ElectorConfig::new("ops", "operator", "a")).unwrap();
    let metrics = Metrics::with(|registry| {
        elector.metrics().register(registry);
        process::register(registry);
    });
    let metrics = metrics.with_group_series();
    metrics.leader_changed("LeaderDeleted", 0.02);
    metrics.reconciled("ok", 0.01);
    metrics.wrote("status", "ok");
    metrics.count_with(|| (1, 3));
    metrics
        .watch_figures_from(|| vec![WatchFigures { kind: "pods", unreadable: 0, silent_seconds: Some(1.0) }]);
    let refused = Some("LeaseNotOurs".to_owned());
    metrics.groups_from(move || {
        let group =
            GroupFigures { leader: refused.clone(), refused: refused.clone(), ..GroupFigures::default() };
        vec![GroupFigures { last_change_seconds: Some(1.0), ..group }]
    });
    classic(&metrics.encode().unwrap()).unwrap()
}

/// The names of the samples in a scrape.
fn printed() -> BTreeSet<String> {
    let text = scrape();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

/// The names of metrics of this program in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = ["election_operator_", "leader_election_", "process_"];
    words
        .filter(|word| ours.iter().any(|prefix| word.starts_with(prefix) && word.len() > prefix.len()))
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test]
async fn alerts_and_dashboard_name_only_metrics_that_are_printed() {
    let printed = printed();
    for file in ["alerts.yaml", "dashboard.json"] {
        let named = named(&read(&format!("charts/election-operator/files/{file}")));
        assert!(named.len() > 5, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&printed).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "{file}; printed are {printed:#?}");
    }
}

#[tokio::test]
async fn the_page_on_operations_tells_every_metric_of_the_operator() {
    let told = read("docs/operations.md");
    let text = scrape();
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let ours = families.filter(|name| name.starts_with("election_operator_") || name.starts_with("process_"));
    let untold: Vec<_> = ours.filter(|name| !told.contains(&format!("`{name}"))).collect();
    assert_eq!(untold, Vec::<&str>::new());
}

#[tokio::test]
async fn a_process_tells_its_memory_its_cpu_its_files_and_its_start() {
    let text = scrape();
    for name in [
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        assert!(value.is_some_and(|value| value >= 0.0), "{name}: {value:?}\n{text}");
    }
}
