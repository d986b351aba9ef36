//! Defects of client-go, each with the settings that show it: `b3_…` is B3 of `docs/elector.md`.
//!
//! `tests/regressions/client_go.rs` has the whole list, with the tests in other files.

use std::sync::Arc;

use lease_elector::ElectorConfig;
use serde_json::json;
use tokio::time::Instant;

use crate::clock::TestClock;
use crate::server::{Fault, Server};
use crate::support::*;

fn named(who: &str, config: ElectorConfig) -> ElectorConfig {
    ElectorConfig { identity: who.to_owned(), ..config }
}

#[tokio::test(start_paused = true)]
async fn b1_a_resumed_leader_does_not_blank_its_successor_s_record() {
    let server = Server::new();
    let clock = TestClock::new();
    let mut old = start_with(&server, named("old", config()), clock.clone(), Work::Drains(millis(0)));
    old.until(true).await;
    clock.freeze(true);
    let mut new = start(&server, named("new", config()));
    new.until(true).await;
    old.stop();
    clock.freeze(false);
    old.ended().await;
    assert_eq!(server.holder(), "new");
    assert!(new.leads());
}

#[tokio::test(start_paused = true)]
async fn b1_a_stopping_leader_does_not_blank_a_record_that_it_has_not_seen_yet() {
    let server = Server::new();
    let mut old = start(&server, config());
    old.until(true).await;
    server.edit(|lease| {
        lease["spec"]["holderIdentity"] = json!("new");
        lease["spec"]["leaseTransitions"] = json!(1);
    });
    old.stop();
    old.ended().await;
    assert_eq!(server.holder(), "new");
    assert!(!old.lines().contains(&"released".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn b2_settings_that_let_two_lead_are_refused() {
    let config = ElectorConfig {
        lease_duration: seconds(2),
        renew_deadline: millis(1900),
        retry_period: seconds(1),
        ..config()
    };
    let error = config.validate().unwrap_err().to_string();
    assert_eq!(error, "renewDeadline+retryPeriod/2 must be at most leaseDuration*(1-clockSkew)");
}

#[tokio::test(start_paused = true)]
async fn b3_a_slow_reply_does_not_prolong_the_claim() {
    let server = Server::new();
    server.fault("create", 1, Fault::slow_reply(millis(2400)));
    let sent = Instant::now();
    let mut run = start(&server, config());
    run.until(true).await;
    assert_eq!(sent.elapsed(), millis(2400));
    server.outage(true);
    run.until(false).await;
    assert_eq!(sent.elapsed(), seconds(10), "from when it was sent, not from when it was answered");
}

#[tokio::test(start_paused = true)]
async fn b3_a_slow_reply_to_a_renewal_does_not_prolong_the_claim_either() {
    let server = Server::new();
    server.fault("update", 1, Fault::slow_reply(millis(2400)));
    let mut run = start(&server, config());
    run.until(true).await;
    after(seconds(8)).await;
    server.outage(true);
    run.until(false).await;
    let sent = server.with(|state| state.times.clone())[2];
    assert_eq!(server.with(|state| state.started_ago()), sent + seconds(10));
}

#[tokio::test(start_paused = true)]
async fn b5_nobody_starts_before_the_old_work_has_ended() {
    let server = Server::new();
    let watching = ElectorConfig { watch: true, ..config() };
    let mut old =
        start_with(&server, named("old", watching.clone()), TestClock::new(), Work::Drains(seconds(12)));
    old.until(true).await;
    let mut new = start(&server, named("new", watching));
    after(seconds(1)).await;
    old.stop();
    let stopped = Instant::now();
    new.until(true).await;
    assert!(old.lines().contains(&"work ended".to_owned()));
    assert!((seconds(12)..seconds(13)).contains(&stopped.elapsed()), "{:?}", stopped.elapsed());
}

#[tokio::test(start_paused = true)]
async fn b6_each_renewal_is_of_another_second_so_that_it_counts_for_every_rival() {
    let server = Server::new();
    let often = ElectorConfig {
        lease_duration: seconds(3),
        renew_deadline: millis(2000),
        retry_period: millis(400),
        renew_period: Some(millis(400)),
        request_timeout: Some(millis(200)),
        watch: true,
        ..config()
    };
    let mut leader = start(&server, named("leader", often.clone()));
    leader.until(true).await;
    let candidate = start(&server, named("candidate", often));
    let active = leader.active.borrow().clone().unwrap();
    let mut known: Option<(String, _)> = None;
    for _ in 0..6000 {
        after(millis(10)).await;
        let time = server.lease()["spec"]["renewTime"].as_str().unwrap().to_owned();
        let until = active.valid_until().unwrap();
        if let Some((before, limit)) = known.replace((time.clone(), until))
            && before != time
        {
            assert!(before[..19] != time[..19], "{before} and {time} are one to client-go");
            assert!(until > limit);
        }
    }
    assert!(leader.leads() && !candidate.leads());
}

#[tokio::test(start_paused = true)]
async fn b7_leadership_is_false_after_the_run_and_bounded_in_it() {
    let server = Server::new();
    let mut run = start(&server, ElectorConfig { release_on_stop: false, ..config() });
    run.until(true).await;
    let active = run.active.borrow().clone().unwrap();
    assert_eq!(active.valid_for(), seconds(10));
    run.stop();
    run.ended().await;
    assert_eq!(server.holder(), ME, "the record still names it");
    assert!(!run.leads() && !active.is_leader());
    assert_eq!((active.valid_until(), run.state.borrow().valid_until()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn b8_the_gauge_is_cleared_whenever_leadership_ends() {
    let server = Server::new();
    let mut run = start(&server, config());
    let gauge = "leader_election_master_status{name=\"bar\"}";
    assert_eq!(run.metric(gauge), Some(0.0), "there from the beginning");
    run.until(true).await;
    after(millis(1)).await;
    assert_eq!(run.metric(gauge), Some(1.0));
    run.stop();
    after(millis(1)).await;
    assert_eq!(run.metric(gauge), Some(0.0));
    run.ended().await;
    let mut draining = start_with(&server, config(), TestClock::new(), Work::Ignores);
    draining.until(true).await;
    server.outage(true);
    draining.until(false).await;
    assert_eq!(draining.metric(gauge), Some(0.0), "at the deadline, before work has ended");
    drop(draining);
    server.outage(false);
    let mut dropped = start(&server, config());
    dropped.until(true).await;
    dropped.task.abort();
    after(millis(1)).await;
    assert_eq!(dropped.metric(gauge), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn b10_a_crashed_leader_is_replaced_one_lease_duration_after_its_last_sign() {
    let server = Server::new();
    let watching = ElectorConfig { watch: true, ..config() };
    let mut old = start(&server, named("old", watching.clone()));
    old.until(true).await;
    let mut new = start(&server, named("new", watching));
    after(seconds(20)).await;
    old.task.abort();
    let last = server.with(|state| state.times.clone()).last().copied().unwrap();
    new.until(true).await;
    let took = server.with(|state| state.started_ago()) - last;
    assert!(took >= millis(14_990) - seconds(5) && took <= millis(15_010), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn b12_a_swamped_client_of_the_program_does_not_delay_renewals() {
    let server = Server::new();
    let clock = TestClock::new();
    let swamped = kube::Client::new(
        tower::service_fn(|_: http::Request<kube::client::Body>| async {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>().await
        }),
        "default",
    );
    let config = ElectorConfig { watch: true, ..config() };
    let elector = lease_elector::LeaderElector::with_clients(server.client(0, &clock), swamped, config)
        .unwrap()
        .with_clock(Arc::new(clock));
    let mut state = elector.view();
    let run = tokio::spawn(elector.run(std::future::pending(), |_| std::future::pending::<()>()));
    state.wait_for(lease_elector::LeaderView::is_leader).await.unwrap();
    after(seconds(120)).await;
    assert!(state.borrow().is_leader());
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn b16_a_blip_is_followed_by_another_election() {
    let server = Server::new();
    let mut run = start(&server, config());
    run.until(true).await;
    server.outage(true);
    after(seconds(60)).await;
    assert!(!run.leads() && !run.task.is_finished());
    server.outage(false);
    run.until(true).await;
}

#[tokio::test(start_paused = true)]
async fn b17_events_are_of_the_present_api_and_say_why() {
    let server = Server::new();
    let mut run = start(&server, config());
    run.until(true).await;
    server.outage(true);
    run.until(false).await;
    after(seconds(1)).await;
    assert!(server.events().contains(&"Warning LeadershipLost baz lost leadership: deadline".to_owned()));
    let event = server.with(|state| state.events[0].clone());
    assert_eq!(
        (&event["apiVersion"], &event["action"]),
        (&json!("events.k8s.io/v1"), &json!("LeaderElection"))
    );
    assert_eq!((&event["regarding"]["kind"], &event["regarding"]["uid"]), (&json!("Lease"), &json!("bar-1")));
    for required in ["eventTime", "reportingController", "reportingInstance", "reason", "type", "note"] {
        assert!(event[required].as_str().is_some_and(|text| !text.is_empty()), "{required}");
    }
}

#[tokio::test(start_paused = true)]
async fn b18_electors_of_one_process_do_not_write_in_step() {
    let mut seen = Vec::new();
    for who in ["a", "b", "c"] {
        let server = Server::new();
        let mut run = start(&server, named(who, config()));
        run.until(true).await;
        after(seconds(60)).await;
        let times = server.with(|state| state.times.clone());
        let gaps: Vec<_> = times[1..].windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (millis(4500)..=millis(5001)).contains(gap)), "{gaps:?}");
        seen.push(gaps);
    }
    assert!(seen[0] != seen[1] && seen[1] != seen[2], "{seen:?}");
}
