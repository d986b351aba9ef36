//! How leadership ends: draining, releasing the Lease, and the obstacles of a clean stop.

use std::sync::Arc;

use lease_elector::ElectorConfig;
use lease_elector::{Ending, LossReason};
use serde_json::json;
use tokio::sync::Notify;

use crate::leading::{DRAIN_AT_ONCE, leading};
use crate::server::{Fault, Server};
use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_term_is_told_in_order() {
    let server = Server::new();
    let mut run = leading(&server, config(), DRAIN_AT_ONCE).await;
    run.stop();
    let ended = run.ended().await;
    assert_eq!((ended.ending, ended.output), (Ending::Stopped, Some("done")));
    let order =
        ["new baz", "started 0", "work starts", "lost stopped", "work ended", "new ", "released", "stopped"];
    assert_eq!(run.lines(), order);
}

#[tokio::test(start_paused = true)]
async fn an_elector_that_never_led_never_stops_leading() {
    let server = Server::new();
    server.put(json!({ "holderIdentity": "bing", "leaseDurationSeconds": 15 }));
    let mut run = start(&server, config());
    after(seconds(3)).await;
    run.stop();
    assert_eq!(run.ended().await.output, None);
    assert_eq!(run.lines(), ["new bing"]);
    assert!(server.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_leader_renews_while_work_drains_and_releases_the_lease_then() {
    let server = Server::new();
    let mut run = leading(&server, config(), Work::Drains(seconds(20))).await;
    let stopped = tokio::time::Instant::now();
    run.stop();
    after(millis(10)).await;
    assert!(!run.leads(), "a stop ends the claim");
    assert_eq!(server.holder(), "baz");
    assert_eq!(run.ended().await.output, Some("done"));
    assert_eq!(stopped.elapsed(), seconds(20));
    let calls = server.calls();
    assert!(calls.iter().filter(|verb| **verb == "update").count() >= 4, "{calls:?}");
    assert_eq!(calls[calls.len() - 2..], ["get", "update"]);
    assert_eq!(server.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_drain_in_time_is_dropped_and_then_the_lease_is_released() {
    let server = Server::new();
    let mut run = leading(&server, config(), Work::Ignores).await;
    let stopped = tokio::time::Instant::now();
    run.stop();
    assert_eq!(run.ended().await.output, None);
    assert_eq!(stopped.elapsed(), seconds(30), "the drain time-out");
    let lines = run.lines();
    assert_eq!(lines[lines.len() - 5..], ["work dropped", "work ended", "new ", "released", "stopped"]);
}

#[tokio::test(start_paused = true)]
async fn work_is_dropped_before_a_rival_may_start() {
    let server = Server::new();
    let mut run = leading(&server, config(), Work::Ignores).await;
    let acquired = tokio::time::Instant::now();
    server.outage(true);
    run.until(false).await;
    assert_eq!(run.active.borrow().as_ref().unwrap().abort_in(), millis(4700));
    while !run.lines().contains(&"work dropped".to_owned()) {
        after(millis(1)).await;
    }
    assert!((millis(14_700)..=millis(14_701)).contains(&acquired.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn renewals_after_the_deadline_prolong_the_drain_not_the_term() {
    let server = Server::new();
    let mut run = leading(&server, config(), Work::Drains(seconds(20))).await;
    server.outage(true);
    run.until(false).await;
    server.outage(false);
    after(seconds(3)).await;
    assert!(!run.leads());
    assert!(run.active.borrow().as_ref().unwrap().abort_in() > seconds(10), "renewed, so work has longer");
    after(seconds(18)).await;
    let lines = run.lines();
    let expected = ["lost deadline", "work ended", "new ", "released", "stopped"];
    assert_eq!(lines[3..8], expected);
}

#[tokio::test(start_paused = true)]
async fn an_expired_lease_is_not_released_but_ages_out() {
    let server = Server::new();
    let mut run = leading(&server, ElectorConfig { once: true, ..config() }, Work::Ignores).await;
    server.outage(true);
    after(seconds(16)).await;
    assert_eq!(run.ended().await.ending, Ending::Lost(LossReason::Deadline));
    assert_eq!(server.holder(), "baz");
    assert!(!run.lines().contains(&"released".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_release_never_changes_another_s_record() {
    let server = Server::new();
    let gate = Arc::new(Notify::new());
    let mut run = leading(&server, config(), DRAIN_AT_ONCE).await;
    // The read before the release still shows the own record. Before the release is written,
    // another elector takes the Lease.
    server.fault("update", 1, Fault::gated(&gate));
    run.stop();
    after(millis(50)).await;
    server.edit(|lease| {
        lease["spec"]["holderIdentity"] = json!("bing");
        lease["spec"]["leaseTransitions"] = json!(1);
    });
    gate.notify_one();
    run.ended().await;
    assert_eq!(server.holder(), "bing");
    assert_eq!(server.calls(), ["get", "update", "get"]);
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_by_itself_ends_the_run_after_a_release() {
    let server = Server::new();
    let mut run = leading(&server, config(), Work::Ends(seconds(7))).await;
    let ended = run.ended().await;
    assert_eq!((ended.ending, ended.output), (Ending::WorkEnded, Some("done")));
    assert_eq!(server.holder(), "");
    assert!(run.lines().contains(&"lost work_ended".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_acquiring_write_is_under_way_gives_the_lease_back() {
    let server = Server::new();
    let gate = Arc::new(Notify::new());
    server.fault("create", 1, Fault::gated(&gate));
    let mut run = start(&server, config());
    after(millis(10)).await;
    run.stop();
    after(millis(10)).await;
    gate.notify_one();
    assert_eq!(run.ended().await.ending, Ending::Stopped);
    assert_eq!(server.holder(), "");
    assert_eq!(run.lines(), ["new baz", "new ", "released"], "no term, so nothing starts or stops");
    assert!(server.events().is_empty());
}

/// The answer to the write that takes the Lease is lost. A stop must give the Lease back all the
/// same.
async fn given_back_by_a_stop_after_3_seconds(server: &Server) {
    let mut run = start(server, config());
    after(seconds(3)).await;
    assert_eq!(server.holder(), "baz");
    run.stop();
    run.ended().await;
    assert_eq!(server.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn a_stop_after_an_unanswered_acquiring_write_gives_the_lease_back() {
    let server = Server::new();
    server.fault("create", 1, Fault::lost_answer());
    given_back_by_a_stop_after_3_seconds(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_drops_work_and_claims_nothing() {
    let server = Server::new();
    let mut run = leading(&server, config(), Work::Ignores).await;
    run.task.abort();
    after(millis(1)).await;
    assert!(!run.leads());
    assert!(!run.active.borrow().as_ref().unwrap().is_leader());
    assert!(run.lines().contains(&"work dropped".to_owned()));
    assert_eq!(run.metric("leader_election_master_status"), Some(0.0));
    run.until(false).await;
}

#[tokio::test(start_paused = true)]
async fn one_failed_request_of_a_clean_stop_does_not_keep_the_lease() {
    let refusals = [Fault::refuse(500), Fault::busy(429, 1), Fault::refuse(401)];
    let faults = refusals.into_iter().chain([Fault::reset(), Fault::swallowed()]).collect::<Vec<_>>();
    for (verb, fault) in ["get", "update"].into_iter().flat_map(|verb| faults.iter().map(move |f| (verb, f)))
    {
        let server = Server::new();
        let mut run = leading(&server, config(), DRAIN_AT_ONCE).await;
        let (gets, updates) = (2, 1);
        server.fault(verb, if verb == "get" { gets } else { updates }, fault.clone());
        let stopped = tokio::time::Instant::now();
        run.stop();
        run.ended().await;
        assert_eq!(server.holder(), "", "{verb} {fault:?}");
        assert!(run.lines().contains(&"released".to_owned()), "{verb} {fault:?}: {:?}", run.lines());
        assert!(stopped.elapsed() < seconds(8), "{verb} {fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_whose_answer_got_lost_is_one() {
    let server = Server::new();
    let mut run = leading(&server, config(), DRAIN_AT_ONCE).await;
    server.fault("update", 1, Fault::lost_answer());
    run.stop();
    run.ended().await;
    assert_eq!(server.calls(), ["get", "update", "get"]);
    assert!(run.lines().contains(&"released".to_owned()), "{:?}", run.lines());
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_does_not_try_for_ever_and_never_after_the_lease_has_run_out() {
    let server = Server::new();
    let mut run = leading(&server, config(), DRAIN_AT_ONCE).await;
    server.outage(true);
    let stopped = tokio::time::Instant::now();
    run.stop();
    run.ended().await;
    assert!(stopped.elapsed() <= millis(7510), "three request time-outs: {:?}", stopped.elapsed());
    assert_eq!(server.holder(), "baz");
}

#[tokio::test(start_paused = true)]
async fn a_stop_after_an_unanswered_acquiring_write_survives_a_failed_request_too() {
    let server = Server::new();
    server.fault("create", 1, Fault::lost_answer()).fault("get", 2, Fault::refuse(500));
    given_back_by_a_stop_after_3_seconds(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_rights_that_are_missing() {
    for fault in [Fault::refuse(403), Fault::busy(429, 60), Fault::swallowed()] {
        let server = Server::new();
        server.fault("create", 1, Fault::lost_answer());
        let mut run = start(&server, config());
        after(seconds(3)).await;
        server.always("get", Some(fault.clone()));
        after(seconds(60)).await;
        let stopped = tokio::time::Instant::now();
        run.stop();
        assert_eq!(run.ended().await.ending, Ending::Stopped);
        assert!(stopped.elapsed() < seconds(16), "{fault:?}: {:?}", stopped.elapsed());
    }
}
