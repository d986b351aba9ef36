//! A candidate: how long it waits, what wakes it, which records it believes, and how it treats
//! errors.

use std::time::Duration;

use lease_elector::ElectorConfig;
use lease_elector::SameIdentity;
use serde_json::{Value, json};

use crate::clock::TestClock;
use crate::server::{Fault, Server};
use crate::support::*;

fn held(holder: &str, duration: u64) -> Value {
    json!({
        "holderIdentity": holder, "leaseDurationSeconds": duration,
        "acquireTime": "2020-01-01T00:00:00.000000Z", "renewTime": "2020-01-01T00:00:00.000000Z",
    })
}

fn watching() -> ElectorConfig {
    ElectorConfig { watch: true, ..config() }
}

/// How long the elector takes to lead.
async fn time_to_lead(run: &mut Run) -> Duration {
    let start = tokio::time::Instant::now();
    run.until(true).await;
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_free_or_missing_lease_is_taken_at_once() {
    for spec in [None, Some(json!({})), Some(held("", 15)), Some(json!({ "holderIdentity": null }))] {
        let server = Server::new();
        if let Some(spec) = spec {
            server.put(spec);
        }
        assert!(time_to_lead(&mut start(&server, config())).await < millis(2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_lease_is_waited_for_the_holder_s_whole_duration_however_old_it_says_it_is() {
    for duration in [4, 15, 60] {
        let server = Server::new();
        server.put(held("bing", duration));
        let time = time_to_lead(&mut start(&server, watching())).await;
        assert!(time >= seconds(duration) && time < seconds(duration) + millis(5), "{time:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_renewal_seen_starts_the_wait_again_and_a_label_edit_does_not() {
    let server = Server::new();
    server.put(held("bing", 15));
    let run = start(&server, watching());
    for nth in 1..10 {
        after(seconds(10)).await;
        assert!(!run.leads());
        server.edit(|lease| lease["spec"]["renewTime"] = json!(format!("2020-01-01T00:00:00.00000{nth}Z")));
    }
    after(seconds(14)).await;
    assert!(!run.leads());
    server.edit(|lease| lease["metadata"]["labels"] = json!({ "a": "b" }));
    after(millis(1010)).await;
    assert!(run.leads());
}

#[tokio::test(start_paused = true)]
async fn a_release_is_taken_one_watch_event_and_one_write_later() {
    let server = Server::new();
    server.put(held("bing", 15));
    let mut run = start(&server, watching());
    after(seconds(2)).await;
    server.forget_calls();
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!(""));
    assert!(time_to_lead(&mut run).await < millis(2));
    assert_eq!(server.calls(), ["update"], "on the version seen, without a read");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_answered_with_a_creation_at_once() {
    let server = Server::new();
    server.put(held("bing", 15));
    let mut run = start(&server, watching());
    after(seconds(2)).await;
    server.forget_calls();
    server.delete();
    assert!(time_to_lead(&mut run).await < millis(2));
    assert_eq!(server.calls(), ["create"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_candidates_one_wins_and_the_other_reads_and_waits() {
    let server = Server::new();
    server.put(held("bing", 15));
    let one = start(&server, ElectorConfig { identity: "one".to_owned(), ..watching() });
    let two = start(&server, ElectorConfig { identity: "two".to_owned(), ..watching() });
    after(seconds(2)).await;
    server.forget_calls();
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!(""));
    after(seconds(1)).await;
    assert_eq!(i32::from(one.leads()) + i32::from(two.leads()), 1);
    assert_eq!(server.calls(), ["update", "update", "get"]);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_reads_every_third_of_the_lease_with_a_watch_and_at_jittered_retry_periods_without() {
    let server = Server::new();
    server.put(held("bing", 3600));
    let watched = start(&server, watching());
    after(seconds(61)).await;
    assert_eq!(server.calls().len(), 13, "one at once, then every 5 s");
    drop(watched);
    server.forget_calls();
    let _polling = start(&server, config());
    after(seconds(600)).await;
    let times = server.with(|state| state.times.clone());
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (millis(2000)..=millis(4402)).contains(gap)), "{gaps:?}");
    assert!(
        gaps.iter().any(|gap| *gap < millis(2600)) && gaps.iter().any(|gap| *gap > millis(3800)),
        "{gaps:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_candidate_without_its_watch_still_leads_by_polling() {
    let server = Server::new();
    server.put(held("bing", 15));
    server.with(|state| state.watch_refused = true);
    let mut run = start(&server, watching());
    after(seconds(5)).await;
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!(""));
    assert!(time_to_lead(&mut run).await <= millis(4402));
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_covered_by_reads() {
    let server = Server::new();
    server.put(held("bing", 15));
    let mut run = start(&server, watching());
    after(seconds(3)).await;
    server.with(|state| state.watch_stalled = true);
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!(""));
    assert!(time_to_lead(&mut run).await <= seconds(5));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_or_refused_watch_is_opened_again() {
    let server = Server::new();
    server.put(held("bing", 3600));
    let run = start(&server, watching());
    after(seconds(1)).await;
    server.drop_watches();
    after(seconds(4)).await;
    assert_eq!(server.with(|state| state.watches), 2);
    server.publish(
        "ERROR",
        &json!({ "kind": "Status", "code": 410, "message": "too old", "reason": "Expired" }),
    );
    after(seconds(4)).await;
    assert_eq!(server.with(|state| state.watches), 3);
    server.delete();
    after(millis(1)).await;
    assert!(run.leads());
}

#[tokio::test(start_paused = true)]
async fn a_replayed_event_is_no_news() {
    let server = Server::new();
    server.put(held("", 15));
    let free = server.lease();
    server.put(held("bing", 15));
    let run = start(&server, watching());
    after(seconds(1)).await;
    server.forget_calls();
    server.publish("MODIFIED", &free);
    server.publish("DELETED", &free);
    after(seconds(1)).await;
    assert_eq!(server.calls(), Vec::<&str>::new());
    assert!(!run.leads());
}

#[tokio::test(start_paused = true)]
async fn a_held_record_with_the_own_name_from_another_process_is_waited_for() {
    let server = Server::new();
    server.put(held(ME, 15));
    let mut run = start(&server, watching());
    assert!(time_to_lead(&mut run).await >= seconds(15));
    assert_eq!(server.transitions(), 1);
}

#[tokio::test(start_paused = true)]
async fn reclaim_takes_the_own_record_at_once_and_keeps_transitions_and_acquire_time() {
    let server = Server::new();
    server.put(held(ME, 15));
    let mut run = start(&server, ElectorConfig { same_identity: SameIdentity::Reclaim, ..watching() });
    assert!(time_to_lead(&mut run).await < millis(2));
    assert_eq!(server.transitions(), 0);
    assert_eq!(server.lease()["spec"]["acquireTime"], "2020-01-01T00:00:00.000000Z");
}

#[tokio::test(start_paused = true)]
async fn two_processes_with_one_identity_do_not_alternate() {
    let server = Server::new();
    let first = start(&server, watching());
    after(seconds(1)).await;
    let second = start(&server, watching());
    after(seconds(300)).await;
    assert!(first.leads() && !second.leads());
    assert_eq!(server.transitions(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_acquiring_write_whose_answer_was_lost_is_found_by_the_next_read() {
    for fault in [Fault::lost_answer(), Fault::commit_then(500), Fault::commit_then(409)] {
        let server = Server::new();
        server.put(held("", 15));
        server.fault("update", 1, fault);
        let mut run = start(&server, config());
        assert!(time_to_lead(&mut run).await < seconds(8));
        let active = run.active.borrow().clone().unwrap();
        assert!(active.valid_for() <= seconds(10), "counted from when it was sent");
        assert_eq!((server.transitions(), active.token().transitions), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_acquiring_write_found_too_late_is_no_term_but_is_taken_again() {
    let server = Server::new();
    server.fault("create", 1, Fault::lost_answer());
    let mut run = start(&server, config());
    after(seconds(1)).await;
    server.outage(true);
    after(seconds(12)).await;
    assert_eq!(server.holder(), ME);
    server.outage(false);
    run.until(true).await;
    assert_eq!(run.lines(), ["new baz", "started 1", "work starts"]);
}

#[tokio::test(start_paused = true)]
async fn an_elector_leads_only_by_its_own_write_not_by_finding_its_name() {
    let server = Server::new();
    server.put(held(ME, 15));
    let run = start(&server, watching());
    after(seconds(14)).await;
    assert!(!run.leads());
}

#[tokio::test(start_paused = true)]
async fn refusals_are_surfaced_and_backed_off_from_up_to_a_minute() {
    let server = Server::new();
    server.always("get", Some(Fault::refuse(403)));
    let mut run = start(&server, config());
    after(seconds(3600)).await;
    assert_eq!(run.state.borrow().problem(), Some("forbidden"));
    let times = server.with(|state| state.times.clone());
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] < seconds(5) && gaps.last().unwrap() <= &millis(60_002), "{gaps:?}");
    assert!((55..80).contains(&gaps.len()), "{}", gaps.len());
    server.always("get", None);
    assert!(time_to_lead(&mut run).await <= seconds(61));
    assert_eq!(run.state.borrow().problem(), None);
}

#[tokio::test(start_paused = true)]
async fn a_refused_candidate_is_not_driven_by_events() {
    let server = Server::new();
    server.put(held("", 15));
    server.always("update", Some(Fault::refuse(403)));
    let _run = start(&server, watching());
    after(seconds(1)).await;
    server.forget_calls();
    for nth in 0..20 {
        server.edit(|lease| lease["metadata"]["labels"] = json!({ "a": nth.to_string() }));
        after(millis(10)).await;
    }
    assert_eq!(server.calls(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_over_is_shown_no_more() {
    let server = Server::new();
    server.put(held("bing", 3600));
    server.fault("get", 1, Fault::refuse(403));
    let run = start(&server, config());
    after(seconds(1)).await;
    assert_eq!(run.state.borrow().problem(), Some("forbidden"));
    after(seconds(5)).await;
    assert_eq!(run.state.borrow().problem(), None);
}

#[tokio::test(start_paused = true)]
async fn a_missing_namespace_is_surfaced() {
    let server = Server::new();
    server.always("create", Some(Fault::refuse(404)));
    let run = start(&server, config());
    after(seconds(1)).await;
    assert_eq!(run.state.borrow().problem(), Some("not_found"));
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_when_it_says() {
    let server = Server::new();
    server.fault("get", 1, Fault::busy(429, 9)).fault("get", 2, Fault::busy(503, 1));
    let mut run = start(&server, config());
    run.until(true).await;
    let times = server.with(|state| state.times.clone());
    assert_eq!(times[1] - times[0], seconds(9));
    assert!(times[2] - times[1] >= seconds(2), "no sooner than usual");
}

#[tokio::test(start_paused = true)]
async fn new_holders_are_told_once_each() {
    let server = Server::new();
    server.put(held("bing", 15));
    let mut run = start(&server, watching());
    after(seconds(2)).await;
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!("bong"));
    after(seconds(6)).await;
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!(""));
    run.until(true).await;
    run.stop();
    run.ended().await;
    let told: Vec<_> = run.lines().into_iter().filter(|line| line.starts_with("new")).collect();
    assert_eq!(told, ["new bing", "new bong", "new ", "new baz", "new "]);
}

#[tokio::test(start_paused = true)]
async fn a_standby_shows_no_holder_that_it_knows_expired() {
    let server = Server::new();
    server.put(held("bing", 15));
    server.always("update", Some(Fault::refuse(403)));
    let run = start(&server, config());
    after(seconds(14)).await;
    assert_eq!(run.state.borrow().holder(), Some("bing"));
    after(seconds(2)).await;
    assert_eq!(run.state.borrow().holder(), None);
    assert_eq!(run.state.borrow().recorded_holder(), Some("bing"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_network_shows_itself_no_longer_than_its_deadline() {
    let server = Server::new();
    let mut run = start_with(&server, config(), TestClock::new(), Work::Ignores);
    run.until(true).await;
    assert_eq!(run.state.borrow().holder(), Some(ME));
    server.outage(true);
    after(millis(9999)).await;
    assert_eq!(run.state.borrow().holder(), Some(ME));
    after(millis(1)).await;
    assert_eq!(run.state.borrow().holder(), None);
}
