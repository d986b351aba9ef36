//! Several operators, of which one is active at a time.

use std::time::Duration;

use serde_json::json;
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World, eventually};

/// A Lease that runs out soon.
const QUICK: [&str; 3] = [
    "--leader-elect-lease-duration=3s",
    "--leader-elect-renew-deadline=2s",
    "--leader-elect-retry-period=500ms",
];

/// The Lease of the operators.
const LEASE: &str = "election-operator";

async fn active(operator: &Operator) {
    operator.until_readyz("active", |code, text| code == 200 && text.contains("\nactive")).await;
}

async fn standing_by(operator: &Operator) {
    operator.until_readyz("standing by", |code, text| code == 200 && text.contains("standing by for ")).await;
}

/// An active replica, another one that stands by, and an elected group.
async fn two(name: &str) -> (World, Operator, Operator) {
    let world = World::new(name).await;
    let first = Operator::spawn_replica(&world, &QUICK);
    active(&first).await;
    let second = Operator::spawn_replica(&world, &QUICK);
    standing_by(&second).await;
    for pod in ["a", "b"] {
        world.pod(pod).await;
    }
    world.group("orders", json!({})).await;
    world.until_led_by("orders", "a").await;
    (world, first, second)
}

/// No change of leader happened, and the leader's Lease never had time to run out.
async fn nothing_moved(world: &World) {
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(group.at("/status/term"), &json!(1), "{group:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_other_takes_over_at_once_when_the_active_one_is_told_to_end() {
    let (world, mut first, second) = two("replicas-term").await;
    let status = first.terminate().await;
    assert!(status.success(), "{status}");
    active(&second).await;
    let version =
        world.get(Kind::Lease, "orders").await.unwrap().text("/metadata/resourceVersion").to_owned();
    world
        .until(Kind::Lease, "orders", "renewed by the other", |lease| {
            lease.text("/metadata/resourceVersion") != version
        })
        .await;
    nothing_moved(&world).await;
    world.delete(Kind::Pod, "a").await;
    let group = world.until_led_by("orders", "b").await;
    // Each Event tells which of the two it is from.
    let mut replicas = Vec::new();
    for reason in ["FirstElection", group.text("/status/history/0/reason")] {
        let event = world.until_event("orders", reason).await;
        replicas.push(event.text("/reportingInstance").to_owned());
    }
    assert!(replicas.iter().all(|name| name.starts_with("operator-")), "{replicas:?}");
    assert_ne!(replicas[0], replicas[1]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_other_takes_over_when_the_lease_of_a_killed_one_has_run_out() {
    let (world, mut first, second) = two("replicas-kill").await;
    first.kill();
    active(&second).await;
    nothing_moved(&world).await;
    world.delete(Kind::Pod, "a").await;
    world.until_led_by("orders", "b").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn one_that_stands_by_writes_nothing() {
    let (world, mut first, second) = two("replicas-idle").await;
    first.freeze();
    world.delete(Kind::Pod, "a").await;
    // The other sees it and plans, but the frozen one's Lease is not its own yet.
    standing_by(&second).await;
    let group = world.get(Kind::Group, "orders").await.unwrap();
    let led_by_gone = group.text("/status/leader/name") == "a";
    active(&second).await;
    world.until_led_by("orders", "b").await;
    first.thaw();
    let status = first.ended().await;
    assert!(led_by_gone, "nobody was active: {group:#}");
    assert!(!status.success(), "{status}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn one_that_has_lost_its_lease_says_so_and_ends() {
    let (world, mut first, second) = two("replicas-lost").await;
    world.patch(Kind::Lease, LEASE, json!({ "spec": { "holderIdentity": "somebody" } })).await;
    let status = first.ended().await;
    assert_eq!(status.code(), Some(1), "{status}");
    assert!(first.log().contains("lost the Lease"), "{}", first.log());
    active(&second).await;
    nothing_moved(&world).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn metrics_tell_who_is_active() {
    let (world, first, second) = two("replicas-metrics").await;
    for (operator, leads) in [(&first, 1), (&second, 0)] {
        let (_, text) = operator.get("/metrics").await.unwrap();
        let line = format!("leader_election_master_status{{name=\"{LEASE}\"}} {leads}");
        assert!(text.contains(&line), "{text}");
    }
    world.finish().await;
}

/// Replicas are replaced one after the other, as a Deployment does, while leaders fail all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn no_failover_is_lost_or_doubled_by_rolling_restarts() {
    const FAILOVERS: u64 = 200;
    let (world, first, second) = two("replicas-roll").await;
    let mut replicas = std::collections::VecDeque::from([first, second]);
    let failing = async {
        for term in 2..FAILOVERS + 2 {
            let (leader, next) = if term % 2 == 0 { ("a", "b") } else { ("b", "a") };
            world.set_ready(leader, false).await;
            let group = world
                .until(Kind::Group, "orders", "led by the other", |group| {
                    group.text("/status/leader/name") == next && group.has("Ready", "True")
                })
                .await;
            assert_eq!(group.at("/status/term"), &json!(term), "one change for each failure: {group:#}");
            world.set_ready(leader, true).await;
            eventually("a follower that could lead", async || {
                let group = world.get(Kind::Group, "orders").await?;
                (group.at("/status/eligible") == &json!(2)).then_some(())
            })
            .await;
        }
    };
    let rolling = async {
        loop {
            let next = Operator::spawn_replica(&world, &QUICK);
            next.ready().await;
            replicas.push_back(next);
            let mut oldest = replicas.pop_front().unwrap();
            let status = oldest.terminate().await;
            assert!(status.success(), "{status}\n{}", oldest.log());
        }
    };
    tokio::select! {
        () = failing => {}
        () = rolling => {}
    }
    world.until_quiet(Duration::from_secs(1)).await;
    world.finish().await;
}
