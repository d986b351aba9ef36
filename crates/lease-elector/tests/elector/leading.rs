//! A leader: renewals, the deadline, and loss on sight.

use std::sync::Arc;

use lease_elector::ElectorConfig;
use lease_elector::{Ending, LossReason};
use serde_json::json;
use tokio::sync::Notify;

use crate::clock::TestClock;
use crate::server::{Fault, Server};
use crate::support::*;

pub const DRAIN_AT_ONCE: Work = Work::Drains(std::time::Duration::ZERO);

pub async fn leading(server: &Server, config: ElectorConfig, how: Work) -> Run {
    let mut run = start_with(server, config, TestClock::new(), how);
    run.until(true).await;
    server.forget_calls();
    run
}

#[tokio::test(start_paused = true)]
async fn a_leader_renews_once_every_renew_period_and_reads_nothing() {
    let server = Server::new();
    let _run = leading(&server, config(), DRAIN_AT_ONCE).await;
    after(seconds(60)).await;
    let calls = server.calls();
    assert!(calls.iter().all(|verb| *verb == "update"), "{calls:?}");
    assert!((12..=14).contains(&calls.len()), "{} in a minute", calls.len());
}

#[tokio::test(start_paused = true)]
async fn leadership_is_lost_at_the_deadline_after_the_newest_acknowledged_write_was_sent() {
    let server = Server::new();
    let mut run = leading(&server, config(), DRAIN_AT_ONCE).await;
    let acquired = tokio::time::Instant::now();
    server.outage(true);
    run.until(false).await;
    assert_eq!(acquired.elapsed(), seconds(10));
    after(millis(1)).await;
    assert!(run.lines().contains(&"lost deadline".to_owned()));
    assert!(!run.active.borrow().as_ref().unwrap().is_leader());
}

#[tokio::test(start_paused = true)]
async fn two_tries_fit_before_the_deadline_the_first_with_more_time() {
    let server = Server::new();
    let _run = leading(&server, config(), Work::Ignores).await;
    let start = server.with(|state| state.calls.len());
    server.outage(true);
    after(seconds(10) - millis(1)).await;
    assert_eq!(server.with(|state| state.calls.len()) - start, 2);
    let times = server.with(|state| state.times.clone());
    assert!(times[1] - times[0] >= millis(3750), "{times:?}");
    assert!(times[1] <= seconds(10) - millis(1249), "the last try has some time: {times:?}");
}

#[tokio::test(start_paused = true)]
async fn one_slow_request_is_not_a_loss() {
    let server = Server::new();
    server.fault("update", 1, Fault::swallowed()).fault("update", 4, Fault::slow_request(seconds(6)));
    let run = leading(&server, config(), DRAIN_AT_ONCE).await;
    after(seconds(60)).await;
    assert!(run.leads());
    assert_eq!(run.lines(), ["new baz", "started 0", "work starts"]);
}

#[tokio::test(start_paused = true)]
async fn slow_headers_and_slow_bodies_are_both_timed_out() {
    let server = Server::new();
    let no_body = Fault { reply: crate::server::Reply::NoBody, ..Fault::default() };
    server.fault("update", 2, no_body).fault("update", 5, Fault::slow_reply(seconds(20)));
    let run = leading(&server, config(), DRAIN_AT_ONCE).await;
    after(seconds(60)).await;
    assert!(run.leads());
    assert_eq!(run.metric("leader_election_errors_total{name=\"bar\",class=\"timeout\"}"), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn a_409_after_a_committed_write_is_its_acknowledgement() {
    let server = Server::new();
    server.fault("update", 1, Fault::commit_then(409));
    let run = leading(&server, config(), DRAIN_AT_ONCE).await;
    after(seconds(30)).await;
    assert!(run.leads());
    assert_eq!(server.calls()[..3], ["update", "get", "update"]);
}

#[tokio::test(start_paused = true)]
async fn a_timed_out_put_that_was_committed_is_seen_at_the_next_conflict() {
    let server = Server::new();
    server.fault("update", 1, Fault::lost_answer());
    let run = leading(&server, config(), DRAIN_AT_ONCE).await;
    after(seconds(30)).await;
    assert!(run.leads());
    assert_eq!(server.calls()[..4], ["update", "update", "get", "update"]);
}

#[tokio::test(start_paused = true)]
async fn a_committed_write_is_acknowledged_by_a_read_as_of_when_it_was_sent() {
    let server = Server::new();
    // The write is committed and its answer fails. After that, reads succeed and writes do not.
    server.fault("update", 1, Fault::commit_then(500));
    server.always("update", Some(Fault::refuse(500)));
    let mut run = leading(&server, config(), DRAIN_AT_ONCE).await;
    run.until(false).await;
    // The write was sent 4.5 to 5 s after the first.
    let times = server.with(|state| state.times.clone());
    assert!(times[0] >= millis(4500) && times[0] <= seconds(5));
    assert_eq!(server.with(|s| s.started_ago()), times[0] + seconds(10));
}

#[tokio::test(start_paused = true)]
async fn a_usurped_lease_is_lost_on_sight_and_never_written_again() {
    let server = Server::new();
    let mut run = leading(&server, ElectorConfig { once: true, ..config() }, Work::Ignores).await;
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!("bing"));
    let usurped = tokio::time::Instant::now();
    run.until(false).await;
    assert!(usurped.elapsed() <= seconds(5), "at the next renewal: {:?}", usurped.elapsed());
    let lost = tokio::time::Instant::now();
    assert_eq!(run.ended().await.ending, Ending::Lost(LossReason::Usurped));
    assert_eq!(lost.elapsed(), seconds(1), "work that ignores the loss has a second");
    assert_eq!(server.holder(), "bing");
    assert_eq!(server.calls(), ["update", "get"], "neither renewed nor released");
    assert!(run.lines().contains(&"work dropped".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_blanked_lease_is_lost_on_sight() {
    let server = Server::new();
    let mut run = leading(&server, ElectorConfig { once: true, ..config() }, DRAIN_AT_ONCE).await;
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!(null));
    assert_eq!(run.ended().await.ending, Ending::Lost(LossReason::Usurped));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_lost_on_sight_and_made_anew_with_more_transitions() {
    let server = Server::new();
    let run = leading(&server, config(), DRAIN_AT_ONCE).await;
    server.delete();
    after(seconds(6)).await;
    assert!(run.leads());
    assert!(run.lines().contains(&"lost deleted".to_owned()));
    assert!(run.lines().contains(&"started 1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_recreated_lease_is_not_the_same_even_with_the_own_name() {
    let server = Server::new();
    let mut run = leading(&server, ElectorConfig { once: true, ..config() }, DRAIN_AT_ONCE).await;
    let spec = server.lease()["spec"].clone();
    server.delete();
    server.put(spec);
    assert_eq!(run.ended().await.ending, Ending::Lost(LossReason::Deleted));
}

#[tokio::test(start_paused = true)]
async fn a_second_process_with_the_same_identity_is_reported() {
    let server = Server::new();
    let mut run = leading(&server, ElectorConfig { once: true, ..config() }, DRAIN_AT_ONCE).await;
    server.edit(|lease| lease["spec"]["renewTime"] = json!("2027-01-01T00:00:00.000000Z"));
    assert_eq!(run.ended().await.ending, Ending::Lost(LossReason::DuplicateIdentity));
    let warning = "Warning LeadershipLost baz lost leadership: duplicate_identity".to_owned();
    assert!(server.events().contains(&warning));
    let reason = "leader_election_lost_total{name=\"bar\",reason=\"duplicate_identity\"}";
    assert_eq!(run.metric(reason), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_label_edit_costs_a_read_and_nothing_else() {
    let server = Server::new();
    let run = leading(&server, config(), DRAIN_AT_ONCE).await;
    server.edit(|lease| lease["metadata"]["labels"] = json!({ "a": "b" }));
    after(seconds(6)).await;
    assert_eq!(server.calls(), ["update", "get", "update"]);
    assert!(run.leads());
    assert_eq!(server.lease()["metadata"]["labels"], json!({ "a": "b" }));
}

#[tokio::test(start_paused = true)]
async fn the_leader_watches_and_reads_before_it_believes() {
    let server = Server::new();
    let mut run =
        leading(&server, ElectorConfig { watch: true, once: true, ..config() }, DRAIN_AT_ONCE).await;
    after(millis(100)).await;
    let mut stale = server.lease();
    stale["spec"]["holderIdentity"] = json!("bing");
    stale["metadata"]["resourceVersion"] = json!("90");
    server.publish("MODIFIED", &stale);
    after(millis(100)).await;
    assert_eq!(server.calls(), Vec::<&str>::new(), "an old event is no news");
    stale["metadata"]["resourceVersion"] = json!("999");
    server.publish("MODIFIED", &stale);
    after(millis(100)).await;
    assert_eq!(server.calls(), ["get"]);
    assert!(run.leads(), "the read shows that it is not so");
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!("bing"));
    assert_eq!(run.ended().await.ending, Ending::Lost(LossReason::Usurped));
    assert_eq!(server.calls(), ["get", "get"]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_s_own_renewals_on_its_watch_cost_nothing() {
    let server = Server::new();
    let _run = leading(&server, ElectorConfig { watch: true, ..config() }, DRAIN_AT_ONCE).await;
    after(seconds(30)).await;
    assert!(server.calls().iter().all(|verb| *verb == "update"));
}

#[tokio::test(start_paused = true)]
async fn an_elector_stands_again_after_a_loss_and_may_retake_its_own_record_at_once() {
    let server = Server::new();
    let mut run = leading(&server, ElectorConfig { release_on_stop: false, ..config() }, DRAIN_AT_ONCE).await;
    server.outage(true);
    run.until(false).await;
    server.outage(false);
    let back = tokio::time::Instant::now();
    run.until(true).await;
    assert!(back.elapsed() < seconds(8), "not a whole lease duration");
    assert_eq!(server.transitions(), 1);
    assert!(run.lines().contains(&"started 1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_term_is_known_by_uid_transitions_and_version() {
    let server = Server::new();
    server.put(json!({ "leaseTransitions": 41 }));
    let run = leading(&server, config(), DRAIN_AT_ONCE).await;
    let acquired = server.lease()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    after(seconds(12)).await;
    let active = run.active.borrow().clone().unwrap();
    let term = active.token();
    assert_eq!((term.uid.as_str(), term.transitions), ("bar-1", 42));
    assert_eq!(term.acquired_version, acquired);
    assert_eq!((active.identity(), active.lease()), ("baz", ("foo", "bar")));
}

#[tokio::test(start_paused = true)]
async fn busy_answers_are_retried_when_they_ask_to_be() {
    let server = Server::new();
    server.fault("update", 1, Fault::busy(429, 1)).fault("update", 3, Fault::busy(503, 60));
    let run = leading(&server, config(), DRAIN_AT_ONCE).await;
    after(seconds(20)).await;
    assert!(run.leads());
    let times = server.with(|state| state.times.clone());
    assert_eq!(times[1] - times[0], seconds(1), "Retry-After");
    assert_eq!(times[3] - times[2], seconds(2), "too long: the next tick");
}

#[tokio::test(start_paused = true)]
async fn a_refused_leader_tries_up_to_the_deadline_and_says_so() {
    let server = Server::new();
    let mut run = leading(&server, config(), DRAIN_AT_ONCE).await;
    server.always("update", Some(Fault::refuse(403)));
    run.until(false).await;
    assert_eq!(run.state.borrow().problem(), Some("forbidden"));
    assert!(server.calls().iter().filter(|verb| **verb == "update").count() >= 3);
    let refused = server.events().into_iter().filter(|event| event.starts_with("Warning LeaseRefused"));
    assert_eq!(refused.count(), 1, "told once");
}

#[tokio::test(start_paused = true)]
async fn wall_clock_jumps_change_nothing() {
    let server = Server::new();
    let run = leading(&server, config(), DRAIN_AT_ONCE).await;
    for jump in [-86_400, 3, -4, 86_400 * 365, -5] {
        run.clock.jump_wall(jump);
        after(seconds(7)).await;
        assert!(run.leads());
    }
    let renewals = server.with(|state| state.history.clone());
    let mut times: Vec<_> =
        renewals.iter().map(|lease| lease["spec"]["renewTime"].to_string()[..20].to_owned()).collect();
    let count = times.len();
    times.dedup();
    assert_eq!(times.len(), count, "each renewal shows in whole seconds");
}

#[tokio::test(start_paused = true)]
async fn suspend_ends_the_term_at_once_on_waking() {
    let server = Server::new();
    let mut run = leading(&server, ElectorConfig { once: true, ..config() }, Work::Ignores).await;
    let active = run.active.borrow().clone().unwrap();
    let asleep = tokio::time::Instant::now();
    run.clock.suspend(seconds(3600));
    assert!(!active.is_leader(), "also before anything has run");
    assert_eq!(run.ended().await.ending, Ending::Lost(LossReason::Deadline));
    assert!(asleep.elapsed() < millis(10), "work was dropped at once");
    assert_eq!(server.calls(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn work_that_wakes_up_after_its_time_does_not_run_on() {
    let (server, clock, diary) = (Server::new(), TestClock::new(), Diary::default());
    let client = server.client(0, &clock);
    let once = ElectorConfig { once: true, ..config() };
    let elector = lease_elector::LeaderElector::with_clients(client.clone(), client, once)
        .unwrap()
        .with_clock(Arc::new(clock.clone()));
    let mut state = elector.view();
    let (doorbell, notes) = (Arc::new(Notify::new()), diary.clone());
    let rung = doorbell.clone();
    let run = tokio::spawn(elector.run(std::future::pending(), move |_| {
        let (rung, notes) = (rung.clone(), notes.clone());
        async move {
            rung.notified().await;
            notes.note("worked");
        }
    }));
    state.wait_for(lease_elector::LeaderView::is_leader).await.unwrap();
    after(millis(1)).await;
    // The machine slept: now work and its deadline are due, work first.
    doorbell.notify_one();
    clock.suspend(seconds(15));
    after(millis(1)).await;
    assert_eq!(diary.lines(), Vec::<String>::new());
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_the_elector_s_own_record_does_not_show_it_as_the_leader() {
    let server = Server::new();
    let mut run = leading(&server, config(), DRAIN_AT_ONCE).await;
    server.outage(true);
    run.until(false).await;
    for _ in 0..60 {
        assert_eq!(run.state.borrow().holder(), None);
        assert_eq!(run.state.borrow().recorded_holder(), Some("baz"));
        after(millis(100)).await;
    }
    // A record of another process with the same name belongs to that process.
    let server = Server::new();
    server.put(json!({ "holderIdentity": ME, "leaseDurationSeconds": 15 }));
    let run = start(&server, config());
    after(seconds(1)).await;
    assert_eq!(run.state.borrow().holder(), Some(ME));
    assert!(!run.leads());
}
