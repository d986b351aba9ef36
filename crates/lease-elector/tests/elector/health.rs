//! The health check, which follows client-go's adaptor, and the metrics.

use lease_elector::ElectorConfig;
use lease_elector::HealthCheck;
use serde_json::json;

use crate::clock::TestClock;
use crate::server::{Fault, Server};
use crate::support::*;

/// Settings with a lease duration of a minute.
fn minute() -> ElectorConfig {
    ElectorConfig {
        lease_duration: seconds(60),
        renew_deadline: seconds(40),
        retry_period: seconds(10),
        identity: "healthTest".to_owned(),
        ..config()
    }
}

async fn held_for(span: std::time::Duration) -> Result<(), String> {
    let server = Server::new();
    let mut run = start_with(&server, minute(), TestClock::new(), Work::Ignores);
    run.until(true).await;
    // The machine slept, and no task has run since.
    run.clock.suspend(span);
    run.health.check(HealthCheck::TOLERANCE).map_err(|error| error.to_string())
}

#[tokio::test(start_paused = true)]
async fn call_check_when_leader_elector_is_not_yet_set() {
    assert_eq!(HealthCheck::default().check(HealthCheck::TOLERANCE), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn call_check_when_the_lease_is_far_expired() {
    let error = held_for(seconds(3600)).await.unwrap_err();
    assert_eq!(error, "failed election to renew leadership on lease bar");
}

#[tokio::test(start_paused = true)]
async fn call_check_when_the_lease_is_far_expired_but_held_by_another_server() {
    let server = Server::new();
    server.put(json!({ "holderIdentity": "otherServer", "leaseDurationSeconds": 60 }));
    let run = start_with(&server, minute(), TestClock::new(), Work::Ignores);
    after(seconds(1)).await;
    run.clock.suspend(seconds(3600));
    assert_eq!(run.health.check(HealthCheck::TOLERANCE), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn call_check_when_the_lease_is_not_expired() {
    assert_eq!(held_for(seconds(0)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn call_check_when_the_lease_is_expired_but_inside_the_timeout() {
    assert_eq!(held_for(seconds(61)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_tolerance_is_strict() {
    assert_eq!(held_for(seconds(80)).await, Ok(()));
    assert!(held_for(seconds(80) + std::time::Duration::from_nanos(1)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_elector_is_healthy_again_once_work_has_ended() {
    let server = Server::new();
    let mut run = start_with(&server, minute(), TestClock::new(), Work::Ignores);
    run.until(true).await;
    run.clock.suspend(seconds(3600));
    assert!(run.health.check(HealthCheck::TOLERANCE).is_err());
    after(millis(1)).await;
    assert_eq!(run.health.check(HealthCheck::TOLERANCE), Ok(()));
}

#[test]
fn check_method_race() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::new();
        let config = ElectorConfig {
            lease_duration: seconds(3),
            renew_deadline: seconds(2),
            retry_period: millis(5),
            renew_period: Some(millis(5)),
            ..config()
        };
        let mut run = start(&server, config);
        let health = run.health.clone();
        let hammer = std::thread::spawn(move || (0..200_000).all(|_| health.check(seconds(1)).is_ok()));
        run.until(true).await;
        // The Lease is renewed once a second.
        while server.calls().len() < 4 {
            tokio::task::yield_now().await;
        }
        run.stop();
        run.ended().await;
        assert!(hammer.join().unwrap());
    });
}

#[tokio::test(start_paused = true)]
async fn the_metrics_follow_an_elector_from_start_to_stop() {
    let server = Server::new();
    server.fault("update", 2, Fault::refuse(409)).fault("update", 4, Fault::swallowed());
    let mut run = start(&server, config());
    run.until(true).await;
    after(seconds(30)).await;
    let bar = |name: &str| format!("leader_election_{name}");
    assert_eq!(run.metric(&bar("transitions_total{name=\"bar\"}")), Some(1.0));
    assert_eq!(run.metric(&bar("slowpath_total{name=\"bar\"}")), Some(1.0));
    assert_eq!(run.metric(&bar("errors_total{name=\"bar\",class=\"conflict\"}")), Some(1.0));
    assert_eq!(run.metric(&bar("errors_total{name=\"bar\",class=\"timeout\"}")), Some(1.0));
    assert!(run.metric(&bar("renew_duration_seconds_count{name=\"bar\",result=\"ok\"}")).unwrap() >= 5.0);
    let remaining = run.metric(&bar("deadline_remaining_seconds{name=\"bar\"}")).unwrap();
    assert!((2.0..=10.0).contains(&remaining), "{remaining}");
    run.stop();
    run.ended().await;
    assert_eq!(run.metric(&bar("lost_total{name=\"bar\",reason=\"stopped\"}")), Some(1.0));
    assert_eq!(run.metric(&bar("deadline_remaining_seconds{name=\"bar\"}")), Some(0.0));
    assert_eq!(run.metric(&bar("transitions_total{name=\"bar\"}")), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn a_state_taken_before_the_clock_was_given_follows_that_clock() {
    let (server, clock) = (Server::new(), TestClock::new());
    let client = server.client(0, &clock);
    let elector = lease_elector::LeaderElector::with_clients(client.clone(), client, minute()).unwrap();
    let (mut state, health) = (elector.view(), elector.health());
    let elector = elector.with_clock(std::sync::Arc::new(clock.clone()));
    let run = tokio::spawn(elector.run(std::future::pending(), |_| std::future::pending::<()>()));
    state.wait_for(lease_elector::LeaderView::is_leader).await.unwrap();
    clock.suspend(seconds(3600));
    assert!(!state.borrow().is_leader());
    assert!(health.check(HealthCheck::TOLERANCE).is_err());
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_program_s_observer_ends_the_run_with_its_text() {
    let (server, clock) = (Server::new(), TestClock::new());
    let client = server.client(0, &clock);
    let elector = lease_elector::LeaderElector::with_clients(client.clone(), client, config())
        .unwrap()
        .with_clock(std::sync::Arc::new(clock.clone()))
        .on_notice(|_| panic!("no such table"));
    let error = elector.run(std::future::pending(), |_| std::future::pending::<()>()).await.unwrap_err();
    assert!(error.to_string().contains("no such table"), "{error}");
}
