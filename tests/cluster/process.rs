//! The process: how it starts, answers and ends.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn sigterm_ends_it_soon_and_well() {
    let world = World::new("process-term").await;
    let mut operator = world.elected(&["a", "b"], json!({})).await;
    let start = Instant::now();
    let status = operator.terminate().await;
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(
        world.role("a").await.as_deref(),
        Some("leader"),
        "an end of the operator is none of the leader"
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn it_answers_probes_and_tells_its_figures() {
    let world = World::new("process-http").await;
    let operator = world.elected(&["a", "b"], json!({})).await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(operator.get(path).await.unwrap().0, 200, "{path}");
    }
    assert_eq!(operator.get("/nothing").await.unwrap().0, 404);
    // Counted when it has been reported.
    eventually("the change of leader in the metrics", async || {
        let (code, text) = operator.get("/metrics").await?;
        (code == 200 && text.contains("# TYPE") && text.contains("FirstElection")).then_some(())
    })
    .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn it_logs_one_line_for_each_change_of_leader() {
    let world = World::new("process-log").await;
    let operator = world.elected(&["a", "b"], json!({})).await;
    world.delete(Kind::Pod, "a").await;
    world.until_led_by("orders", "b").await;
    world.until_event("orders", "LeaderTerminating").await;
    let log = operator.log_lines();
    let lines: Vec<_> = log.iter().filter(|line| line.text("/level") == "INFO").collect();
    let of = |reason: &str| lines.iter().filter(|line| line.to_string().contains(reason)).count();
    assert_eq!((of("FirstElection"), of("LeaderTerminating")), (1, 1), "{}", operator.log());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn it_looks_after_the_given_namespaces_only() {
    let world = World::new("process-own").await;
    let other = World::new("process-other").await;
    let _operator = world.elected(&["a"], json!({})).await;
    other.pod("a").await;
    other.group("orders", json!({})).await;
    world.delete(Kind::Pod, "a").await;
    world.pod("b").await;
    world.until_led_by("orders", "b").await;
    let group = other.get(Kind::Group, "orders").await.unwrap();
    assert!(group.has("Ready", "Unknown") && group.at("/status/leader").is_null(), "{group:#}");
    // Its own operator serves it.
    let _operator = Operator::start(&other).await;
    other.until_led_by("orders", "a").await;
    world.finish().await;
    other.finish().await;
}
