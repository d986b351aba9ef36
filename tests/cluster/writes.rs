//! What it costs, counted by the API server.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::World;
use crate::harness::audit::Request;

/// A Lease that needs no renewal while the writes of one switch are counted.
fn long_lease() -> Value {
    json!({ "lease": { "durationSeconds": 3600, "renewSeconds": 1700 } })
}

/// What the operator wrote in one failover from `a` to `b`, and that it read nothing.
async fn writes_of_a_failover(world: &World, strike: impl AsyncFnOnce(&World)) -> Vec<Request> {
    for follower in ["b", "c"] {
        world.until_role(follower, "follower").await;
    }
    world.until_event("orders", "FirstElection").await;
    world.until_quiet(Duration::from_secs(1)).await;
    let mark = world.mark().await;
    strike(world).await;
    world.until_led_by("orders", "b").await;
    world.until_quiet(Duration::from_secs(2)).await;
    let requests = world.requests_since(mark).await;
    assert!(
        !requests.iter().any(|request| matches!(request.verb.as_str(), "get" | "list")),
        "{}",
        lines(&requests)
    );
    let writes: Vec<_> = requests.into_iter().filter(Request::is_write).collect();
    let in_vain = |request: &&Request| request.code >= 300 && request.name != "a";
    assert!(!writes.iter().any(|request| in_vain(&request)), "{}", lines(&writes));
    writes
}

fn lines(requests: &[Request]) -> String {
    requests.iter().map(|request| format!("{request}\n")).collect()
}

fn count(requests: &[Request]) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for request in requests {
        *counts.entry(request.what()).or_default() += 1;
    }
    counts.into_iter().collect()
}

/// Record; then fence and Lease; then promotion; then status and Event.
fn assert_three_in_sequence(writes: &[Request]) {
    let nth = |what: &str, name: &str, number: usize| -> &Request {
        let mut found: Vec<_> =
            writes.iter().filter(|request| request.what() == what && request.name == name).collect();
        found.sort_by_key(|request| request.received);
        found[number]
    };
    let record = nth("update electiongroups/status", "orders", 0);
    let report = nth("update electiongroups/status", "orders", 1);
    let lease = nth("patch leases", "orders", 0);
    let promotion = nth("patch pods", "b", 0);
    let fences: Vec<_> =
        writes.iter().filter(|request| request.what() == "patch pods" && request.name != "b").collect();
    for second in fences.into_iter().chain([lease]) {
        assert!(record.answered <= second.received, "{}", lines(writes));
        assert!(second.answered <= promotion.received, "{}", lines(writes));
    }
    assert!(promotion.answered <= report.received, "{}", lines(writes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_failover_from_a_deleted_leader_costs_five_writes_and_an_event() {
    let world = World::new("writes-deleted").await;
    let _operator = world.elected(&["a", "b", "c"], long_lease()).await;
    let writes = writes_of_a_failover(&world, async |world| world.delete(Kind::Pod, "a").await).await;
    // Whether the fence still finds the pod is a matter of milliseconds.
    let writes: Vec<_> = writes.into_iter().filter(|request| request.code < 300).collect();
    let fenced = writes.iter().filter(|request| request.name == "a").count();
    assert!(fenced <= 1, "{}", lines(&writes));
    let expected = [
        ("create events", 1),
        ("patch leases", 1),
        ("patch pods", 1 + fenced),
        ("update electiongroups/status", 2),
    ];
    assert_eq!(count(&writes), expected.map(|(what, times)| (what.to_owned(), times)), "{}", lines(&writes));
    assert_three_in_sequence(&writes);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_failover_from_a_leader_that_is_not_ready_costs_five_writes_and_an_event() {
    let world = World::new("writes-unready").await;
    let _operator = world.elected(&["a", "b", "c"], long_lease()).await;
    let writes = writes_of_a_failover(&world, async |world| {
        world.set_ready("a", false).await;
    })
    .await;
    let expected =
        [("create events", 1), ("patch leases", 1), ("patch pods", 2), ("update electiongroups/status", 2)];
    assert_eq!(count(&writes), expected.map(|(what, times)| (what.to_owned(), times)), "{}", lines(&writes));
    assert_three_in_sequence(&writes);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_minute_of_quiet_costs_twelve_renewals_and_nothing_else() {
    let world = World::new("writes-steady").await;
    let lease = json!({ "lease": { "durationSeconds": 15, "renewSeconds": 5 } });
    let _operator = world.elected(&["a", "b", "c"], lease).await;
    world.until_event("orders", "FirstElection").await;
    world.until_quiet(Duration::from_secs(2)).await;
    let mark = world.mark().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut requests = world.requests_since(mark).await;
    // A watch that ended and is taken up again is no read.
    requests.retain(|request| request.verb != "watch");
    let (renewals, others): (Vec<_>, Vec<_>) =
        requests.into_iter().partition(|request| request.what() == "patch leases");
    assert!(others.is_empty(), "{}", lines(&others));
    assert!((11..=13).contains(&renewals.len()), "{}", lines(&renewals));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn changes_that_change_no_plan_cause_no_write() {
    let world = World::new("writes-noise").await;
    let _operator = world.elected(&["a", "b"], long_lease()).await;
    world.until_role("b", "follower").await;
    world.until_event("orders", "FirstElection").await;
    world.until_quiet(Duration::from_secs(1)).await;
    let mark = world.mark().await;
    for number in 0..20 {
        let noise = json!({ "metadata": { "annotations": { "acme.example/noise": number.to_string() } } });
        for (kind, name) in [(Kind::Pod, "a"), (Kind::Pod, "b"), (Kind::Group, "orders")] {
            world.patch(kind, name, noise.clone()).await;
        }
    }
    world.pod_with("other", json!({ "metadata": { "labels": { "app": "other" } } })).await;
    world.until_quiet(Duration::from_secs(2)).await;
    let mut requests = world.requests_since(mark).await;
    requests.retain(|request| request.verb != "watch");
    assert!(requests.is_empty(), "{}", lines(&requests));
    let group = world.get(Kind::Group, "orders").await.unwrap();
    assert!(group.has("Ready", "True"), "{group:#}");
    world.finish().await;
}
