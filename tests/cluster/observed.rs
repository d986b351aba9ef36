//! Groups whose pods elect among themselves: real client-go electors hold the Lease, the label follows it.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::feed::What;
use testkit::json::At;
use testkit::kind::Kind;
use testkit::world::micro_time;

use crate::harness::holder::Holder;
use crate::harness::{Operator, World, eventually};

/// How long a Lease of these tests lasts.
const SECONDS: u32 = 4;

/// Pods `a`, `b`, `c` of which `a`'s process holds the Lease, an operator that follows it, a Service.
async fn followed(world: &World) -> (Operator, Holder) {
    world.service().await;
    world.pods(&["a", "b", "c"]).await;
    let operator = Operator::start(world).await;
    let holder = hold(world, "a").await;
    world.group("orders", json!({ "mode": "Observed" })).await;
    world.until_led_by("orders", "a").await;
    (operator, holder)
}

/// Starts the elector of a pod and waits until it holds the Lease.
async fn hold(world: &World, identity: &str) -> Holder {
    let holder = Holder::start(world, identity, SECONDS);
    until_held_by(world, identity).await;
    holder
}

async fn until_held_by(world: &World, identity: &str) {
    world
        .until(Kind::Lease, "orders", &format!("held by {identity}"), |lease| {
            lease.text("/spec/holderIdentity") == identity
        })
        .await;
}

async fn until_nobody_leads(world: &World, reason: &str) -> Value {
    let told = |group: &Value| {
        group.condition("LeaderElected").text("/reason") == reason && group.at("/status/unfenced").is_null()
    };
    let group = world.until(Kind::Group, "orders", &format!("without a leader: {reason}"), told).await;
    let labelled = world.list(Kind::Pod).await;
    assert!(!labelled.iter().any(|pod| pod.text("/metadata/labels/role") == "leader"), "{group:#}");
    group
}

fn newest_reason(group: &Value) -> String {
    group.text("/status/history/0/reason").to_owned()
}

/// What the operator asked for; the electors use the administrator's rights.
async fn requests_of_the_operator(world: &World, mark: crate::harness::audit::Mark) -> Vec<String> {
    let requests = world.requests_since(mark).await;
    let single = requests.iter().filter(|request| request.verb != "watch" && request.resource != "events");
    single.map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_released_lease_hands_the_label_to_the_next_holder() {
    let world = World::new("observed-release").await;
    let (_operator, a) = followed(&world).await;
    world.until_endpoint("a").await;
    let _others = [Holder::start(&world, "b", SECONDS), Holder::start(&world, "c_5d1f", SECONDS)];
    let mark = world.mark().await;
    a.signal("TERM");
    let group = world
        .until(Kind::Group, "orders", "led by another", |group| {
            group.has("Ready", "True") && group.text("/status/leader/name") != "a"
        })
        .await;
    let holder = world.get(Kind::Lease, "orders").await.unwrap();
    let holder = holder.text("/spec/holderIdentity").split('_').next().unwrap().to_owned();
    assert_eq!(group.text("/status/leader/name"), holder);
    assert!(["HolderChanged", "Recovered"].contains(&newest_reason(&group).as_str()), "{group:#}");
    world.until_role("a", "follower").await;
    world.until_endpoint(&holder).await;
    let requests = requests_of_the_operator(&world, mark).await;
    let leases: Vec<_> = requests.iter().filter(|request| request.contains("leases")).collect();
    assert!(!leases.is_empty() && leases.iter().all(|request| request.contains(": get ")), "{requests:#?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_killed_holder_loses_the_label_when_its_lease_has_run_out() {
    let world = World::new("observed-killed").await;
    let (_operator, a) = followed(&world).await;
    drop(a);
    let group = until_nobody_leads(&world, "LeaseExpired").await;
    assert_eq!(newest_reason(&group), "LeaseExpired");
    world.until_role("a", "follower").await;
    let journal = world.finish().await;
    let renewed = journal.of(Kind::Lease).next_back().unwrap().seen;
    let lost = journal.steps().into_iter().rfind(|step| step.what == What::Lost).unwrap().seen;
    assert!(lost.duration_since(renewed) >= Duration::from_secs(u64::from(SECONDS) - 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_holder_that_was_frozen_and_goes_on_never_makes_two_labels() {
    let world = World::new("observed-frozen").await;
    let (_operator, a) = followed(&world).await;
    let b = Holder::start(&world, "b", SECONDS);
    a.signal("STOP");
    world.until_led_by("orders", "b").await;
    a.signal("CONT");
    // The one that woke up has lost, whether it knows already or not; what `b` releases anybody may take, it too.
    let _c = Holder::start(&world, "c", SECONDS);
    b.signal("TERM");
    let of_another = |lease: &Value| !["b", ""].contains(&lease.text("/spec/holderIdentity"));
    let lease = world.until(Kind::Lease, "orders", "held by another", of_another).await;
    let next = lease.text("/spec/holderIdentity");
    world.until_led_by("orders", next).await;
    assert_eq!(world.finish().await.leaders(), ["a", "b", next]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn renewals_cost_the_operator_nothing() {
    let world = World::new("observed-steady").await;
    let (_operator, _a) = followed(&world).await;
    world.until_event("orders", "FirstElection").await;
    world.until_quiet(Duration::from_secs(2)).await;
    let mark = world.mark().await;
    let renewals = |world: &World| world.recorder.journal().of(Kind::Lease).count();
    let before = renewals(&world);
    // More than two durations: no expiry is asked about, either.
    eventually("twenty-five renewals", async || (renewals(&world) >= before + 25).then_some(())).await;
    assert_eq!(requests_of_the_operator(&world, mark).await, [""; 0]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_lease_that_is_deleted_takes_the_label_with_it_until_it_is_held_again() {
    let world = World::new("observed-deleted").await;
    let (_operator, a) = followed(&world).await;
    a.signal("STOP");
    world.delete(Kind::Lease, "orders").await;
    until_nobody_leads(&world, "LeaseMissing").await;
    a.signal("CONT");
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(newest_reason(&group), "Recovered");
    world.finish().await;
}

/// S5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_pod_of_the_holders_name_leads_only_after_it_has_renewed_the_lease_itself() {
    let world = World::new("observed-recreated").await;
    world.pods(&["a", "b"]).await;
    let _operator = Operator::start(&world).await;
    let holder = Holder::start(&world, "a", 60);
    world.group("orders", json!({ "mode": "Observed" })).await;
    world.until_led_by("orders", "a").await;
    drop(holder);
    world.delete(Kind::Pod, "a").await;
    until_nobody_leads(&world, "UnknownHolder").await;
    let pod = world.pod("a").await;
    until_nobody_leads(&world, "OutdatedHolder").await;
    let _holder = Holder::start(&world, "a", 60);
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(group.text("/status/leader/uid"), pod.text("/metadata/uid"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn an_identity_that_is_no_pods_name_is_found_by_annotation() {
    let world = World::new("observed-identity").await;
    world.pods(&["a", "b"]).await;
    let _operator = Operator::start(&world).await;
    let _holder = hold(&world, "worker.example").await;
    world.group("orders", json!({ "mode": "Observed" })).await;
    until_nobody_leads(&world, "UnknownHolder").await;
    let identity =
        json!({ "metadata": { "annotations": { "election-operator.io/identity": "worker.example" } } });
    world.patch(Kind::Pod, "b", identity).await;
    world.until_led_by("orders", "b").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_terminating_holder_keeps_the_label_while_it_holds_the_lease() {
    let world = World::new("observed-terminating").await;
    let (_operator, a) = followed(&world).await;
    world.hold("a").await;
    world.delete(Kind::Pod, "a").await;
    world.until_condition("orders", "Ready", "False", "LeaderUnfit").await;
    assert_eq!(world.role("a").await.as_deref(), Some("leader"));
    let _b = Holder::start(&world, "b", SECONDS);
    a.signal("TERM");
    world.until_led_by("orders", "b").await;
    world.release("a").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_paused_group_does_not_follow_the_lease_and_a_restarted_operator_keeps_the_leader() {
    let world = World::new("observed-paused").await;
    let (mut operator, a) = followed(&world).await;
    operator.kill();
    let operator = Operator::start(&world).await;
    world.patch(Kind::Group, "orders", json!({ "spec": { "paused": true } })).await;
    world.until_condition("orders", "Ready", "True", "Paused").await;
    let b = Holder::start(&world, "b", SECONDS);
    a.signal("TERM");
    until_held_by(&world, "b").await;
    world
        .patch(
            Kind::Group,
            "orders",
            json!({ "metadata": { "annotations": {
        "election-operator.io/switchover": "b" } } }),
        )
        .await;
    let refusal = world.until_event("orders", "SwitchoverRefused").await;
    assert!(refusal.text("/note").contains("Observed"), "{refusal:#}");
    assert_eq!(world.role("a").await.as_deref(), Some("leader"));
    world.patch(Kind::Group, "orders", json!({ "spec": { "paused": false } })).await;
    world.until_led_by("orders", "b").await;
    assert_eq!(world.recorder.journal().leaders(), ["a", "b"]);
    drop((operator, b));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_paused_group_stays_ready_and_labelled_when_the_lease_runs_out_and_follows_it_afterwards() {
    let world = World::new("observed-paused-expiry").await;
    let (_operator, a) = followed(&world).await;
    world.patch(Kind::Group, "orders", json!({ "spec": { "paused": true } })).await;
    world.until_condition("orders", "Ready", "True", "Paused").await;
    drop(a);
    let says = |group: &Value, what: &str| {
        let ready = group.condition("Ready");
        ready.text("/reason") == "Paused" && ready.text("/message").ends_with(what)
    };
    let ran_out = |group: &Value| says(group, "; the Lease ran out, which a held");
    let group = world.until(Kind::Group, "orders", "told that the Lease ran out", ran_out).await;
    assert!(group.has("Ready", "True") && group.has("LeaderElected", "True"), "{group:#}");
    let b = Holder::start(&world, "b", SECONDS);
    let held = |group: &Value| says(group, "; pod b holds the Lease");
    let group = world.until(Kind::Group, "orders", "told that b holds the Lease", held).await;
    assert!(group.has("Ready", "True"), "{group:#}");
    world.until_endpoint("a").await;
    drop(b);
    world.until(Kind::Group, "orders", "told of the end", |group| says(group, "which b held")).await;
    world.patch(Kind::Group, "orders", json!({ "spec": { "paused": false } })).await;
    until_nobody_leads(&world, "LeaseExpired").await;
    assert_eq!(world.finish().await.leaders(), ["a"]);
}

/// Writes the Lease as an elector of any kind may.
async fn write_lease(world: &World, mut spec: Value) {
    spec["renewTime"] = json!(micro_time());
    world.patch(Kind::Lease, "orders", json!({ "spec": spec })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn every_form_of_a_holder_and_of_a_duration_is_understood() {
    let world = World::new("observed-forms").await;
    world.pods(&["a", "b"]).await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({ "mode": "Observed", "lease": { "durationSeconds": 3 } })).await;
    until_nobody_leads(&world, "LeaseMissing").await;
    let spec = json!({ "holderIdentity": "b_5d1f", "leaseDurationSeconds": 3600 });
    world.create(Kind::Lease, json!({ "metadata": { "name": "orders" }, "spec": spec })).await;
    let group = world.until_led_by("orders", "b").await;
    assert_eq!(newest_reason(&group), "FirstElection");
    write_lease(&world, json!({ "holderIdentity": "a" })).await;
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(newest_reason(&group), "HolderChanged");

    for released in [Value::Null, json!("")] {
        write_lease(&world, json!({ "holderIdentity": released })).await;
        let group = until_nobody_leads(&world, "LeaseNotHeld").await;
        assert_eq!(newest_reason(&group), "HolderChanged");
        write_lease(&world, json!({ "holderIdentity": "a" })).await;
        let group = world.until_led_by("orders", "a").await;
        assert_eq!(newest_reason(&group), "Recovered");
    }

    write_lease(&world, json!({ "holderIdentity": "twin" })).await;
    until_nobody_leads(&world, "UnknownHolder").await;
    let identity =
        |of: Value| json!({ "metadata": { "annotations": { "election-operator.io/identity": of } } });
    for pod in ["a", "b"] {
        world.patch(Kind::Pod, pod, identity(json!("twin"))).await;
    }
    until_nobody_leads(&world, "AmbiguousHolder").await;
    world.patch(Kind::Pod, "b", identity(Value::Null)).await;
    world.until_led_by("orders", "a").await;

    // The group's duration where the Lease has none, and the Lease's new one where it was changed.
    for duration in [Value::Null, json!(1)] {
        write_lease(&world, json!({ "leaseDurationSeconds": duration })).await;
        let group = until_nobody_leads(&world, "LeaseExpired").await;
        assert_eq!(newest_reason(&group), "LeaseExpired");
        write_lease(&world, json!({ "leaseDurationSeconds": 3600 })).await;
        world.until_led_by("orders", "a").await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_pod_that_is_gone_leads_no_more_though_its_lease_is_renewed() {
    let world = World::new("observed-gone").await;
    let (_operator, _a) = followed(&world).await;
    world.delete(Kind::Pod, "a").await;
    let group = until_nobody_leads(&world, "UnknownHolder").await;
    assert!(["LeaderDeleted", "LeaderTerminating"].contains(&newest_reason(&group).as_str()), "{group:#}");
    let renewals = |world: &World| world.recorder.journal().of(Kind::Lease).count();
    let before = renewals(&world);
    eventually("five renewals", async || (renewals(&world) >= before + 5).then_some(())).await;
    let told = world.until_condition("orders", "LeaderElected", "False", "UnknownHolder").await;
    assert_eq!(told.number("/status/term"), group.number("/status/term"));
    assert_eq!(world.finish().await.leaders(), ["a"]);
}

/// Nothing runs in the pods of these tests, so none can be asked; this one is not even Ready any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_pod_that_cannot_be_reached_keeps_the_label_for_as_long_as_its_lease_lasts_and_no_longer() {
    let world = World::new("observed-unreachable").await;
    let (_operator, a) = followed(&world).await;
    world.set_ready("a", false).await;
    world.until_condition("orders", "Ready", "False", "LeaderUnfit").await;
    assert_eq!(world.role("a").await.as_deref(), Some("leader"));
    drop(a);
    let group = until_nobody_leads(&world, "LeaseExpired").await;
    assert_eq!(newest_reason(&group), "LeaseExpired");
    world.finish().await;
}
