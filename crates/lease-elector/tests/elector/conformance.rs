//! client-go's own tests of `tryAcquireOrRenew` and release, under names close to the originals.
//! They have the same local state, the same server, the same calls and the same outcome.
//!
//! The other tests of client-go are elsewhere. `TestLeaderElectionConfigValidation` is in
//! `settings`. The health checker's and `TestCheckMethodRace` are in `health`. Those of the lock
//! and the record's round trip are in `wire`. Coordinated leader election is left out.

use lease_elector::Nanos;
use lease_elector::decisions::ElectorEvent;
use lease_elector::decisions::record::ObservedRecord;
use serde_json::{Value, json};

use crate::server::{Fault, Server};
use crate::support::*;

fn held(holder: &str) -> Value {
    json!({ "holderIdentity": holder })
}

fn assert_is(server: &Server, single: &Single, calls: &[&str], holder: &str, transitions: i64) {
    assert_eq!(server.calls(), calls);
    assert_eq!(single.core.observed().holder(), holder);
    assert_eq!(server.transitions(), transitions);
    assert_eq!(single.holders().last(), Some(&holder));
}

/// The local state: the elector saw `holder` at `changed_at`, exactly as the server has it.
fn acked(server: &Server, holder: &str, changed_at: Nanos) -> ObservedRecord {
    let mut observed = ObservedRecord::default();
    let lease = server.lease();
    let record = lease_elector::lease_client::read_record(&lease).unwrap();
    assert_eq!(record.holder, holder);
    observed.note(Some(record), changed_at);
    observed
}

#[tokio::test(start_paused = true)]
async fn acquire_from_no_object() {
    let server = Server::new();
    let mut single = Single::new(&server, ObservedRecord::default());
    assert!(single.attempt().await);
    assert_is(&server, &single, &["get", "create"], "baz", 0);
}

#[tokio::test(start_paused = true)]
async fn acquire_from_object_without_annotations() {
    let server = Server::new();
    server.put(json!({}));
    let mut single = Single::new(&server, ObservedRecord::default());
    assert!(single.attempt().await);
    assert_is(&server, &single, &["get", "update"], "baz", 1);
}

#[tokio::test(start_paused = true)]
async fn acquire_from_led_object_with_the_lease_duration_seconds() {
    let server = Server::new();
    server.put(json!({ "holderIdentity": "bing", "leaseDurationSeconds": 3 }));
    let mut single = Single::new(&server, ObservedRecord::default());
    assert!(!single.attempt().await);
    assert_eq!(server.calls(), ["get"]);
    server.forget_calls();
    single.now = single.now + Nanos::from_seconds(3);
    assert!(single.attempt().await);
    assert_is(&server, &single, &["get", "update"], "baz", 1);
    assert_eq!(single.holders(), ["bing", "baz"]);
}

#[tokio::test(start_paused = true)]
async fn acquire_from_unled_object() {
    let server = Server::new();
    server.put(held(""));
    let mut single = Single::new(&server, ObservedRecord::default());
    assert!(single.attempt().await);
    assert_is(&server, &single, &["get", "update"], "baz", 1);
}

#[tokio::test(start_paused = true)]
async fn acquire_from_led_unacked_object() {
    let server = Server::new();
    server.put(held("bing"));
    let observed = acked(&server, "bing", Nanos::from_seconds(1));
    let mut single = Single::new(&server, observed);
    assert!(single.attempt().await);
    assert_is(&server, &single, &["get", "update"], "baz", 1);
}

#[tokio::test(start_paused = true)]
async fn acquire_from_empty_led_acked_object() {
    let server = Server::new();
    server.put(held(""));
    let observed = acked(&server, "", THOUSAND_HOURS + THOUSAND_HOURS);
    let mut single = Single::new(&server, observed);
    assert!(single.attempt().await);
    assert_is(&server, &single, &["get", "update"], "baz", 1);
}

#[tokio::test(start_paused = true)]
async fn dont_acquire_from_led_acked_object() {
    let server = Server::new();
    server.put(held("bing"));
    let mut observed = ObservedRecord::default();
    observed.changed_at = THOUSAND_HOURS + THOUSAND_HOURS;
    let mut single = Single::new(&server, observed);
    assert!(!single.attempt().await);
    assert_is(&server, &single, &["get"], "bing", 0);
}

#[tokio::test(start_paused = true)]
async fn renew_already_acquired_object() {
    let server = Server::new();
    server.put(held("baz"));
    let observed = acked(&server, "baz", THOUSAND_HOURS + THOUSAND_HOURS);
    let mut single = Single::new(&server, observed);
    assert!(single.attempt().await);
    assert_eq!(server.calls(), ["get", "update"]);
    assert_eq!((single.core.observed().holder(), server.transitions()), ("baz", 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_is_valid_up_to_its_duration_and_not_at_it() {
    let server = Server::new();
    server.put(json!({ "holderIdentity": "bing", "leaseDurationSeconds": 3 }));
    let mut single = Single::new(&server, ObservedRecord::default());
    assert!(!single.attempt().await);
    single.now = single.now + Nanos(3_000_000_000 - 1);
    assert!(!single.attempt().await);
    // Tries are at least a retry period apart.
    single.now = single.now + Nanos::from_seconds(1);
    assert!(single.attempt().await);
}

#[tokio::test(start_paused = true)]
async fn release_acquired_lock_from_no_object() {
    let server = Server::new();
    server.put(held("baz"));
    let mut single = Single::new(&server, ObservedRecord::default());
    assert!(single.attempt().await);
    single.step(ElectorEvent::Stop).await;
    single.step(ElectorEvent::WorkEnded).await;
    assert_is(&server, &single, &["get", "update", "get", "update"], "", 0);
    assert_eq!(single.holders(), ["baz", ""]);
    assert_eq!(server.lease()["spec"]["holderIdentity"], "");
    assert_eq!(server.lease()["spec"]["leaseDurationSeconds"], 1);
}

#[tokio::test(start_paused = true)]
async fn release_method_calls_get() {
    let server = Server::new();
    let mut single = Single::new(&server, ObservedRecord::default());
    assert!(single.attempt().await);
    server.forget_calls();
    single.step(ElectorEvent::Stop).await;
    single.step(ElectorEvent::WorkEnded).await;
    assert_eq!(server.calls(), ["get", "update"]);
}

#[tokio::test(start_paused = true)]
async fn release_retries_on_conflict() {
    let server = Server::new();
    let mut single = Single::new(&server, ObservedRecord::default());
    assert!(single.attempt().await);
    server.forget_calls();
    server.fault("update", 1, Fault::refuse(409));
    single.step(ElectorEvent::Stop).await;
    single.step(ElectorEvent::WorkEnded).await;
    assert_eq!(server.calls(), ["get", "update", "get", "update"]);
    assert!(single.notes.contains(&"released".to_owned()));
    assert_eq!(server.holder(), "");
}

/// A broken answer: client-go gets the same from a cancelled context.
fn cancelled() -> Fault {
    Fault::reset()
}

#[tokio::test(start_paused = true)]
async fn release_acquired_lock_on_cancellation_of_update() {
    let server = Server::new();
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    server.fault("update", 1, cancelled()).fault("update", 3, cancelled());
    server.fault("update", 4, Fault::gated_reset(&gate));
    let mut run = start(&server, short_config());
    while server.calls().iter().filter(|verb| **verb == "update").count() < 4 {
        after(millis(10)).await;
    }
    run.stop();
    after(millis(10)).await;
    gate.notify_one();
    run.ended().await;
    let calls = ["get", "create", "update", "get", "update", "update", "get", "update", "get", "update"];
    assert_eq!(server.calls(), calls);
    assert_eq!(server.holder(), "");
    let events = ["Normal LeaderElection baz became leader", "Normal LeaderElection baz stopped leading"];
    assert_eq!(server.events(), events);
}

#[tokio::test(start_paused = true)]
async fn release_acquired_lock_on_cancellation_of_get() {
    let server = Server::new();
    for nth in [1, 3, 5, 7, 9] {
        server.fault("update", nth, cancelled());
    }
    for nth in 4..20 {
        server.fault("get", nth, cancelled());
    }
    let mut run = start(&server, short_config());
    // The GETs of the slow path fail, too. The term ends at the deadline or by the stop, whichever
    // is first.
    after(millis(2500)).await;
    run.stop();
    run.ended().await;
    // The Lease is not released and expires.
    assert_eq!(server.holder(), "baz");
    let events = ["Normal LeaderElection baz became leader", "Normal LeaderElection baz stopped leading"];
    assert_eq!(server.events(), events);
}

#[tokio::test(start_paused = true)]
async fn exercise_fast_path_after_lock_acquired() {
    let server = Server::new();
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    server.fault("update", 2, Fault::gated(&gate));
    let mut run = start(&server, lease_elector::ElectorConfig { release_on_stop: false, ..short_config() });
    while server.calls().len() < 4 {
        after(millis(10)).await;
    }
    run.stop();
    after(millis(10)).await;
    gate.notify_one();
    run.ended().await;
    assert_eq!(server.calls(), ["get", "create", "update", "update"]);
}

#[tokio::test(start_paused = true)]
async fn fallback_to_slow_path_after_fast_path_fails() {
    let server = Server::new();
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    server.fault("update", 2, Fault::refuse(409)).fault("update", 4, Fault::gated(&gate));
    let mut run = start(&server, lease_elector::ElectorConfig { release_on_stop: false, ..short_config() });
    while server.calls().len() < 7 {
        after(millis(10)).await;
    }
    run.stop();
    after(millis(10)).await;
    gate.notify_one();
    run.ended().await;
    assert_eq!(server.calls(), ["get", "create", "update", "update", "get", "update", "update"]);
    assert_eq!(run.metric("leader_election_slowpath_total"), Some(1.0));
}

/// `leaselock_test`: one Event names the identity and what happened.
#[tokio::test(start_paused = true)]
async fn record_event_success() {
    let server = Server::new();
    let mut run = start(&server, short_config());
    run.until(true).await;
    after(millis(10)).await;
    assert_eq!(server.events(), ["Normal LeaderElection baz became leader"]);
}

/// `leaselock_test`: if Events cannot be stored, nothing else fails.
#[tokio::test(start_paused = true)]
async fn record_event_nil_recorder() {
    let server = Server::new();
    server.with(|state| state.keeps_no_events = true);
    let mut run = start(&server, short_config());
    run.until(true).await;
    after(millis(5000)).await;
    assert!(run.leads());
    run.stop();
    run.ended().await;
    assert_eq!(server.holder(), "");
    assert_eq!(server.events(), Vec::<String>::new());
}
