//! Groups whose leader the operator nominates: companions, played by plain requests with the pods' own tokens, hold the
//! Lease under the chart's admission policy, and label and record follow it.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::api::PostParams;
use kube::core::DynamicObject;
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::{Value, json};
use testkit::json::{At, merged};
use testkit::kind::Kind;
use testkit::world::micro_time;
use tokio::task::JoinHandle;

use crate::harness::{Operator, World};
use crate::nominations::{COMPANION, Companion, NOMINEE};

/// How long a Lease of these tests lasts.
const SECONDS: i64 = 3;

/// A companion at work. Dropping it ends it without a release, as a crash of its node does.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a companion writes when it sees the Lease so, if anything. `is_due`: a renewal is.
fn answer(companion: &Companion, lease: &Value, is_due: bool) -> Option<Value> {
    let annotation =
        |key: &str| lease.at("/metadata/annotations")[key].as_str().unwrap_or_default().to_owned();
    let (holder, nominee) = (lease.text("/spec/holderIdentity"), annotation(NOMINEE));
    if holder.is_empty() && nominee == companion.nominee() {
        let seconds: i64 = annotation("election-operator.io/duration").parse().unwrap();
        let spec = json!({
            "holderIdentity": companion.holder(), "leaseDurationSeconds": seconds, "acquireTime": micro_time(),
            "renewTime": micro_time(), "leaseTransitions": lease.number("/spec/leaseTransitions") + 1,
        });
        return Some(json!({ "metadata": { "annotations": { NOMINEE: "" } }, "spec": spec }));
    }
    let is_own = holder == companion.holder();
    if is_own && !nominee.is_empty() {
        return Some(json!({ "spec": { "holderIdentity": "" } }));
    }
    (is_own && is_due).then(|| json!({ "spec": { "renewTime": micro_time() } }))
}

/// Takes the Lease when its pod is nominated, renews it, and releases it when another is.
async fn run(companion: Companion, api: Api<DynamicObject>) {
    let mut sights = pin!(watcher(api.clone(), Config::default().fields("metadata.name=orders")));
    let mut beat = tokio::time::interval(Duration::from_millis(500));
    let mut lease = Value::Null;
    loop {
        let is_due = tokio::select! {
            sight = sights.next() => {
                if let Some(Ok(Event::Apply(seen) | Event::InitApply(seen))) = sight {
                    lease = serde_json::to_value(seen).unwrap();
                }
                false
            }
            _ = beat.tick() => true,
        };
        if let Some(change) = answer(&companion, &lease, is_due) {
            let changed = Kind::Lease.object(merged(lease.clone(), &change));
            // A refused write was made on an older sight: the watch brings the next.
            if let Ok(written) = api.replace("orders", &PostParams::default(), &changed).await {
                lease = serde_json::to_value(written).unwrap();
            }
        }
    }
}

async fn start(world: &World, name: &str) -> Running {
    let companion = Companion::new(world, name).await;
    let api = Kind::Lease.api(&companion.client, &world.namespace);
    Running(tokio::spawn(run(companion, api)))
}

/// A namespace with the companions' rights, an operator, and the group.
async fn group(name: &str, spec: Value) -> (World, Operator) {
    let world = World::new(name).await;
    world.kubectl(&["apply", "-f", COMPANION]).await;
    let operator = Operator::start(&world).await;
    let usual = json!({ "mode": "Nominated", "lease": { "durationSeconds": SECONDS } });
    world.group("orders", merged(usual, &spec)).await;
    (world, operator)
}

async fn until_reason(world: &World, reason: &str, leader: &str) -> Value {
    let told = |group: &Value| {
        group.text("/status/history/0/reason") == reason
            && group.text("/status/leader/name") == leader
            && group.has("Ready", "True")
    };
    world.until(Kind::Group, "orders", &format!("led by {leader} for {reason}"), told).await
}

async fn lease(world: &World) -> Value {
    world.get(Kind::Lease, "orders").await.unwrap()
}

/// Waits until the metric of the phases has that many changes, each with the take.
async fn until_counted(operator: &Operator, changes: usize) {
    let counted = |text: &str, phase| {
        let name = "election_operator_failover_phase_seconds_count";
        text.contains(&format!("{name}{{phase=\"{phase}\"}} {changes}\n"))
    };
    loop {
        let (_, text) = operator.get("/metrics").await.unwrap();
        if ["detect", "record", "take", "label"].iter().all(|phase| counted(&text, phase)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_nominated_pod_leads_once_it_holds_the_lease_and_a_switchover_waits_for_its_release() {
    let (world, operator) = group("nominated-switch", json!({})).await;
    let created = world.until(Kind::Lease, "orders", "created", |lease| !lease.is_null()).await;
    assert_eq!(created.at("/metadata/annotations")[NOMINEE], "");
    assert_eq!(created.text("/metadata/ownerReferences/0/name"), "orders");
    let _companions = (start(&world, "a").await, start(&world, "b").await);
    let first = world.until_led_by("orders", "a").await;
    assert_eq!(first.text("/status/leaseUID"), created.text("/metadata/uid"));
    assert_eq!(first.number("/status/longestLeaseDurationSeconds"), SECONDS);
    let asked = json!({ "metadata": { "annotations": { "election-operator.io/switchover": "b" } } });
    world.patch(Kind::Group, "orders", asked).await;
    let second = until_reason(&world, "Switchover", "b").await;
    let held = lease(&world).await;
    assert_eq!(
        held.at("/metadata/annotations")["election-operator.io/term"],
        second.at("/status/term").to_string()
    );
    assert!(held.text("/spec/holderIdentity").starts_with("b_"), "{held:#}");
    assert_eq!(world.role("a").await.as_deref(), Some("follower"));
    until_counted(&operator, 2).await;
    // A restart of the operator moves nothing.
    drop(operator);
    let _operator = Operator::start(&world).await;
    world.until_quiet(Duration::from_secs(2)).await;
    let after = world.get(Kind::Group, "orders").await.unwrap();
    assert_eq!(after.at("/status/term"), second.at("/status/term"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_silent_nominee_makes_way_and_a_lost_companion_is_cleared_after_its_duration() {
    let (world, _operator) = group("nominated-silent", json!({ "failover": { "nomineeSeconds": 1 } })).await;
    world.pod("a").await;
    let first = start(&world, "b").await;
    let group = until_reason(&world, "NomineeSilent", "b").await;
    assert!(group.text("/status/silentNominees/0").starts_with("a/"), "{group:#}");
    assert!(group.list("/status/pods").iter().any(|pod| pod.text("/reason") == "NoCompanion"), "{group:#}");
    let _second = start(&world, "c").await;
    drop(first);
    let group = until_reason(&world, "LeaseExpired", "c").await;
    assert_eq!(group.text("/status/history/0/previous"), "b");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_release_is_followed_by_a_new_term_and_a_deleted_lease_by_a_quarantine() {
    let (world, _operator) = group("nominated-release", json!({})).await;
    let companion = Companion::new(&world, "a").await;
    let api = Kind::Lease.api(&companion.client, &world.namespace);
    let holder = companion.holder();
    let running = Running(tokio::spawn(run(companion, api.clone())));
    let first = world.until_led_by("orders", "a").await;
    // Its command ends: it releases, and another start of it takes the Lease in another term.
    drop(running);
    loop {
        let mut held = serde_json::to_value(api.get("orders").await.unwrap()).unwrap();
        assert_eq!(held.text("/spec/holderIdentity"), holder);
        held["spec"]["holderIdentity"] = json!("");
        if api.replace("orders", &PostParams::default(), &Kind::Lease.object(held)).await.is_ok() {
            break;
        }
    }
    let _companion = start(&world, "b").await;
    let second = world.until_led_by("orders", "b").await;
    assert!(second.number("/status/term") > first.number("/status/term"), "{second:#}");
    assert!(
        second.list("/status/history").iter().any(|change| change.text("/reason") == "LeaseReleased"),
        "{second:#}"
    );
    world.delete(Kind::Lease, "orders").await;
    world.until_event("orders", "LeaseQuarantined").await;
    let third = until_reason(&world, "Recovered", "b").await;
    assert_eq!(third.text("/status/leaseUID"), lease(&world).await.text("/metadata/uid"));
    world.finish().await;
}
