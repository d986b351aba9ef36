//! Healthy API servers with short timings, whole seconds and slow answers: arithmetic alone must
//! not end a leadership.

use std::time::Duration;

use lease_elector::ElectorConfig;

use crate::server::{Fault, Server};
use crate::support::*;
use testkit::random::Random;

/// A random timing, mostly a short one: those leave the least room.
fn any_timing(random: &mut Random) -> ElectorConfig {
    let longest = if random.below(3) == 0 { 60 } else { 6 };
    let lease = 1 + random.below(longest);
    let deadline = 1 + random.below(lease * 1000);
    let mut part = |of: u64| (random.below(2) == 0).then(|| millis(1 + random.below(of)));
    ElectorConfig {
        renew_period: part(deadline),
        request_timeout: part(deadline / 2 + 1),
        lease_duration: seconds(lease),
        renew_deadline: millis(deadline),
        retry_period: millis(1 + random.below(deadline)),
        ..config()
    }
}

/// Lets every answer take a random part of `longest`.
fn answers_up_to(server: &Server, longest: Duration, seed: u64) {
    let mut random = Random::new(seed);
    let part = u64::try_from(longest.as_micros()).unwrap() / 2 + 1;
    let mut span = move || Duration::from_micros(random.below(part));
    server.with(|state| {
        state.judge = Some(Box::new(move |_, _| Fault { before: span(), after: span(), ..Fault::default() }));
    });
}

fn leads_for_an_hour(config: &ElectorConfig, seed: u64) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let server = Server::new();
        answers_up_to(&server, config.request_timeout() / 2, seed);
        let mut run = start(&server, config.clone());
        run.until(true).await;
        after(seconds(3600)).await;
        assert_eq!(run.lines(), ["new baz", "started 0", "work starts"], "seed {seed}: {config:?}");
    });
}

#[test]
fn no_accepted_timing_loses_leadership_on_a_healthy_server() {
    let mut random = Random::new(7);
    let accepted = std::iter::repeat_with(|| any_timing(&mut random)).filter(|c| c.validate().is_ok());
    for (seed, config) in (0..).zip(accepted.take(120)) {
        leads_for_an_hour(&config, seed);
    }
}

#[test]
fn customary_short_timings_hold_on_a_healthy_server() {
    for (lease, deadline, retry) in [(15, 2, 1), (4, 2, 1), (6, 3, 1), (6, 4, 2)] {
        let config = ElectorConfig {
            lease_duration: seconds(lease),
            renew_deadline: seconds(deadline),
            retry_period: seconds(retry),
            ..config()
        };
        (0..5).for_each(|seed| leads_for_an_hour(&config, seed));
    }
}

/// Every answer takes `share` of the renew deadline, from the first on. The delay is before or
/// after the request is carried out.
async fn leads_with_answers_of(share: f64, config: &ElectorConfig) {
    let span = config.renew_deadline.mul_f64(share);
    for fault in [Fault::slow_reply(span), Fault::slow_request(span)] {
        let server = Server::new();
        for verb in ["get", "create", "update"] {
            server.always(verb, Some(fault.clone()));
        }
        let mut run = start(&server, config.clone());
        let began = tokio::time::Instant::now();
        run.until(true).await;
        assert!(began.elapsed() < config.lease_duration * 3, "{fault:?}: {:?}", began.elapsed());
        after(seconds(3600)).await;
        assert_eq!(run.lines(), ["new baz", "started 0", "work starts"], "{fault:?}: {config:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_three_seconds_for_each_answer_has_a_leader_that_stays() {
    for share in [0.1, 0.2, 0.3, 0.4, 0.48] {
        leads_with_answers_of(share, &config()).await;
        let example = ElectorConfig { lease_duration: seconds(6), renew_deadline: seconds(4), ..config() };
        leads_with_answers_of(share, &example).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_becomes_slow_keeps_its_leader() {
    for span in [millis(2600), millis(3000), millis(3700)] {
        for fault in [Fault::slow_reply(span), Fault::slow_request(span)] {
            let server = Server::new();
            let mut run = start(&server, config());
            run.until(true).await;
            after(seconds(60)).await;
            for verb in ["get", "create", "update"] {
                server.always(verb, Some(fault.clone()));
            }
            after(seconds(3600)).await;
            assert_eq!(run.lines(), ["new baz", "started 0", "work starts"], "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_s_lease_is_given_back() {
    let server = Server::new();
    for span in [millis(3000), millis(4700)] {
        for verb in ["get", "create", "update"] {
            server.always(verb, Some(Fault::slow_request(span)));
        }
        let mut run = start(&server, config());
        run.until(true).await;
        after(seconds(60)).await;
        run.stop();
        run.ended().await;
        assert_eq!(server.holder(), "", "{span:?}");
    }
}
