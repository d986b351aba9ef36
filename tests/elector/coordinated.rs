//! The API server picks the holder: the elector never creates the Lease nor takes it, and keeps a `LeaseCandidate`.

use std::time::Duration;

use election_operator::ElectorConfig;
use election_operator::election::elector::policy::{Picked, Policy};
use election_operator::election::elector::record::Sight;
use election_operator::elector::lease::read_record;
use election_operator::elector::{ConfigError, Coordinated, Ending, LossReason};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::TestClock;
use crate::random::Random;
use crate::server::{Fault, Server};
use crate::support::*;

fn picking() -> Server {
    let server = Server::new();
    server.with(|state| state.coordinated = true);
    server
}

fn config() -> ElectorConfig {
    ElectorConfig {
        coordinated: Some(Coordinated::new("1.30.0", "1.30.0")),
        watch: true,
        ..crate::support::config()
    }
}

fn held(holder: &str) -> Value {
    json!({ "holderIdentity": holder, "strategy": "OldestEmulationVersion" })
}

fn single(server: &Server, sight: Sight) -> Single {
    Single::with_policy(server, Policy { picked: Picked::ByServer, ..policy() }, sight)
}

fn time(candidate: &Value, key: &str) -> Timestamp {
    candidate["spec"][key].as_str().unwrap().parse().unwrap()
}

async fn leading(server: &Server, config: ElectorConfig, how: Work) -> Run {
    let mut run = start_with(server, config, TestClock::new(), how);
    after(seconds(1)).await;
    server.pick(ME);
    run.until(true).await;
    server.forget_calls();
    run
}

/// client-go's `TestTryCoordinatedRenew`, "don't acquire from led, acked object".
#[tokio::test(start_paused = true)]
async fn try_coordinated_renew_dont_acquire_from_led_acked_object() {
    let server = picking();
    server.put(held("bing"));
    let mut sight = Sight::default();
    sight.changed_at = THOUSAND_HOURS + THOUSAND_HOURS;
    let mut single = single(&server, sight);
    assert!(!single.attempt().await);
    assert_eq!(server.calls(), ["get"]);
    assert_eq!((single.core.sight().holder(), server.transitions()), ("bing", 0));
    assert_eq!(single.holders(), ["bing"]);
}

/// client-go's `TestTryCoordinatedRenew`, "renew already acquired object".
#[tokio::test(start_paused = true)]
async fn try_coordinated_renew_renew_already_acquired_object() {
    let server = picking();
    server.put(held("baz"));
    let mut sight = Sight::default();
    sight.observe(read_record(&server.lease()), THOUSAND_HOURS + THOUSAND_HOURS);
    let mut single = single(&server, sight);
    assert!(single.attempt().await);
    assert_eq!(server.calls(), ["get", "update"]);
    assert_eq!((single.core.sight().holder(), server.transitions()), ("baz", 0));
    assert_eq!(server.lease()["spec"]["strategy"], "OldestEmulationVersion");
}

/// client-go's `TestLeaseCandidateCreation`.
#[tokio::test(start_paused = true)]
async fn lease_candidate_creation() {
    let server = picking();
    let run = start(&server, config());
    after(seconds(1)).await;
    let candidate = server.candidate(ME);
    let spec = &candidate["spec"];
    let said = (&spec["leaseName"], &spec["binaryVersion"], &spec["emulationVersion"], &spec["strategy"]);
    let strategy = json!("OldestEmulationVersion");
    assert_eq!(said, (&json!("bar"), &json!("1.30.0"), &json!("1.30.0"), &strategy));
    let wall = election_operator::clock::Time::wall(&run.clock).0;
    assert!(wall - time(&candidate, "renewTime").as_microsecond() < 10_000_000);
}

/// client-go's `TestLeaseCandidateAck`; also without a watch, and when the server's clock is ahead.
#[tokio::test(start_paused = true)]
async fn lease_candidate_ack() {
    for watch_refused in [false, true] {
        let server = picking();
        server.with(|state| state.watch_refused = watch_refused);
        let _run = start(&server, config());
        after(seconds(20)).await;
        for ping in ["2026-01-01T00:00:20.000000Z", "2026-01-01T01:00:00.000000Z"] {
            server.edit_candidate(ME, |candidate| candidate["spec"]["future"] = json!(ping));
            server.ping(ME, ping);
            after(seconds(3)).await;
            let candidate = server.candidate(ME);
            assert!(time(&candidate, "renewTime") >= time(&candidate, "pingTime"), "{candidate}");
            assert_eq!(candidate["spec"]["future"], ping, "what it does not own stays");
        }
        let writes = server.candidate_writes();
        assert_eq!(writes.len(), 3, "one at the start, and one for each ping: {writes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_candidate_is_refreshed_every_five_minutes_and_made_anew_when_it_is_gone() {
    let server = picking();
    let _run = start(&server, config());
    after(seconds(901)).await;
    let writes = server.candidate_writes();
    let gaps: Vec<_> = writes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 3);
    assert!(gaps.iter().all(|gap| (seconds(300)..seconds(301)).contains(gap)), "{gaps:?}");
    server.with(|state| state.delete_candidate(ME));
    after(seconds(1)).await;
    assert_eq!(server.candidate(ME)["spec"]["leaseName"], "bar");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_the_feature_is_asked_again_and_nobody_leads() {
    let server = Server::new();
    let run = start(&server, config());
    after(seconds(60)).await;
    assert!(!run.leads());
    assert_eq!(server.lease(), Value::Null);
    server.with(|state| state.coordinated = true);
    after(seconds(3)).await;
    assert_eq!(server.candidate(ME)["spec"]["leaseName"], "bar", "it was switched on");
}

#[tokio::test(start_paused = true)]
async fn a_refused_lease_candidate_is_told_once_and_counted_each_time() {
    for (code, class) in [(404, "not_found"), (403, "forbidden")] {
        let server = picking();
        server.with(|state| {
            state.coordinated = code != 404;
            state.candidates_refused = Some(code).filter(|code| *code != 404);
        });
        let run = start(&server, config());
        after(seconds(60)).await;
        assert_eq!(run.state.borrow().trouble(), Some(class));
        let counted = run.metric(&format!("leader_election_errors_total{{name=\"bar\",class=\"{class}\"}}"));
        assert!(counted.unwrap() > 10.0, "{counted:?}");
        let warnings = server.with(|state| state.events.clone());
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0]["reason"], "LeaseCandidateRefused");
        server.with(|state| {
            state.coordinated = true;
            state.candidates_refused = None;
        });
        after(seconds(3)).await;
        assert_eq!(run.state.borrow().trouble(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn no_lease_a_free_one_and_another_s_expired_one_are_the_server_s_to_give() {
    for watch in [true, false] {
        let server = picking();
        let mut run = start(&server, ElectorConfig { watch, ..config() });
        for spec in
            [None, Some(held("")), Some(json!({ "holderIdentity": "bing", "leaseDurationSeconds": 3 }))]
        {
            if let Some(spec) = spec {
                server.put(spec);
            }
            server.forget_calls();
            after(seconds(60)).await;
            assert!(server.calls().iter().all(|verb| *verb == "get"), "{:?}", server.calls());
            assert!((8..=30).contains(&server.calls().len()), "{:?}", server.calls());
        }
        server.pick(ME);
        run.until(true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn named_by_the_server_it_leads_one_watch_event_and_one_write_later() {
    let server = picking();
    server.put(json!({ "holderIdentity": "", "leaseTransitions": 7 }));
    let mut run = start(&server, config());
    after(seconds(1)).await;
    server.forget_calls();
    let start = tokio::time::Instant::now();
    server.pick(ME);
    run.until(true).await;
    assert!(start.elapsed() < millis(2));
    assert_eq!(server.calls(), ["update"], "on the version seen");
    assert_eq!(server.transitions(), 7, "the server's to count");
    assert_eq!(server.lease()["spec"]["strategy"], "OldestEmulationVersion");
    assert_eq!(server.lease()["spec"]["leaseDurationSeconds"], 15);
}

#[tokio::test(start_paused = true)]
async fn every_renewal_looks_first_and_keeps_acquire_time_transitions_and_strategy() {
    let server = picking();
    let _run = leading(&server, config(), Work::Ignores).await;
    let first = server.lease()["spec"].clone();
    after(seconds(16)).await;
    assert_eq!(server.calls(), ["get", "update", "get", "update", "get", "update"]);
    let last = server.lease()["spec"].clone();
    for field in ["acquireTime", "leaseTransitions", "strategy", "holderIdentity"] {
        assert_eq!(first[field], last[field], "{field}");
    }
    assert_ne!(first["renewTime"], last["renewTime"]);
}

#[tokio::test(start_paused = true)]
async fn one_failed_or_slow_request_is_not_a_loss() {
    for verb in ["get", "update"] {
        for fault in [Fault::refuse(500), Fault::swallowed(), Fault::lost_answer(), Fault::refuse(409)] {
            let server = picking();
            let run = leading(&server, config(), Work::Ignores).await;
            let once = std::sync::Mutex::new(Some(fault));
            server.with(|state| {
                state.judge = Some(Box::new(move |_, called| {
                    let mut once = once.lock().unwrap();
                    if called == verb { once.take().unwrap_or_default() } else { Fault::default() }
                }));
            });
            after(seconds(60)).await;
            assert!(
                run.leads() && !run.lines().iter().any(|line| line.starts_with("lost")),
                "{:?}",
                run.lines()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_preferred_holder_ends_the_term_work_drains_renewed_and_then_the_lease_is_given_back() {
    for watch in [true, false] {
        let server = picking();
        let config = ElectorConfig { watch, once: true, ..config() };
        let mut run = leading(&server, config, Work::Drains(seconds(12))).await;
        let start = tokio::time::Instant::now();
        server.prefer("bing");
        run.until(false).await;
        assert!(
            start.elapsed() < if watch { millis(3) } else { millis(5003) },
            "seen, or at the next renewal"
        );
        server.forget_calls();
        after(seconds(11)).await;
        assert_eq!(server.holder(), ME);
        assert!(server.calls().contains(&"update"), "renewed while work drains");
        assert_eq!(run.ended().await.ending, Ending::Lost(LossReason::EndOfTerm));
        assert_eq!(server.holder(), "");
        let lines = run.lines();
        let end = ["lost end_of_term", "work ended", "new ", "released", "stopped"];
        assert_eq!(lines[lines.len() - end.len()..], end);
        let warned = server.events().iter().any(|event| event.starts_with("Warning"));
        assert!(!warned, "nothing is wrong");
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_end_of_its_term_it_does_not_take_what_it_did_not_give_back() {
    let server = picking();
    let config = ElectorConfig { release_on_stop: false, ..config() };
    let mut run = leading(&server, config, Work::Drains(millis(0))).await;
    server.prefer("bing");
    run.until(false).await;
    server.forget_calls();
    after(seconds(20)).await;
    assert!(server.calls().iter().all(|verb| *verb == "get"), "the server can pick now");
    // It does not if it has changed its mind: the Lease names its choice.
    run.until(true).await;
    run.until(false).await;
    assert_eq!(run.lines().iter().filter(|line| *line == "lost end_of_term").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_holder_picked_by_the_server_is_lost_on_sight() {
    let server = picking();
    let config = ElectorConfig { once: true, ..config() };
    let mut run = leading(&server, config, Work::Ignores).await;
    server.pick("bing");
    assert_eq!(run.ended().await.ending, Ending::Lost(LossReason::Usurped));
    assert_eq!(server.holder(), "bing");
}

/// The server does not touch an expired Lease that names its choice already.
#[tokio::test(start_paused = true)]
async fn an_expired_lease_that_still_names_it_is_its_to_renew() {
    let server = picking();
    let mut run = leading(&server, config(), Work::Drains(millis(0))).await;
    server.outage(true);
    run.until(false).await;
    after(seconds(60)).await;
    assert!(!run.leads());
    server.outage(false);
    run.until(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_process_of_its_name_renews_is_not_taken() {
    let server = picking();
    let first = leading(&server, config(), Work::Ignores).await;
    let second = start(&server, config());
    after(seconds(120)).await;
    assert!(first.leads() && !second.leads());
}

#[test]
fn an_identity_must_be_a_name_of_a_lease_candidate() {
    let with = |identity: &str| ElectorConfig { identity: identity.to_owned(), ..config() }.validate();
    assert_eq!(with(&election_operator::elector::default_identity().unwrap()), Ok(()));
    for bad in ["a b", "a/b", ".", "..", &"a".repeat(254)] {
        assert_eq!(with(bad), Err(ConfigError::IdentityNoName), "{bad}");
    }
    assert_eq!(with(""), Err(ConfigError::NoIdentity));
}

/// As the server does it: a holder for a free or expired Lease, a preferred one for a held Lease.
fn elect(server: &Server, now: i64, choice: &str) {
    let lease = server.lease();
    let spec = &lease["spec"];
    let renewed =
        spec["renewTime"].as_str().map_or(0, |text| text.parse::<Timestamp>().unwrap().as_microsecond());
    let expired = renewed + spec["leaseDurationSeconds"].as_i64().unwrap_or(0) * 1_000_000 < now;
    let holder = server.holder();
    if holder.is_empty() || expired && holder != choice {
        server.pick(choice);
        let time = Timestamp::from_microsecond(now).unwrap();
        server.edit(|lease| lease["spec"]["renewTime"] = json!(format!("{time:.6}")));
    } else if holder != choice {
        server.prefer(choice);
    }
}

fn works(run: &Run) -> bool {
    let lines = run.lines();
    let last = |text: &str| lines.iter().rposition(|line| line == text);
    last("work starts").is_some_and(|start| last("work ended").is_none_or(|end| end < start))
}

#[tokio::test(start_paused = true)]
async fn whatever_the_server_picks_never_two_work_and_in_the_end_its_choice_leads() {
    for seed in 0..30 {
        let server = picking();
        let names = ["a", "b", "c"];
        let mut random = Random::new(seed);
        let mut runs = names.map(|name| {
            let config = ElectorConfig { identity: name.to_owned(), ..config() };
            start_with(&server, config, TestClock::new(), Work::Drains(seconds(random.below(14))))
        });
        let mut choice = "a";
        for _ in 0..120 {
            match random.below(10) {
                0 | 1 => choice = names[usize::try_from(random.below(3)).unwrap()],
                2 => server.outage(true),
                3 => server.drop_watches(),
                _ => server.outage(false),
            }
            for _ in 0..random.below(60) {
                after(millis(100)).await;
                elect(&server, election_operator::clock::Time::wall(&runs[0].clock).0, choice);
                assert!(runs.iter().filter(|run| works(run)).count() <= 1, "seed {seed}");
            }
        }
        server.outage(false);
        for _ in 0..600 {
            after(Duration::from_millis(100)).await;
            elect(&server, election_operator::clock::Time::wall(&runs[0].clock).0, choice);
        }
        let chosen = runs.iter_mut().zip(names).find(|(_, name)| *name == choice).unwrap().0;
        assert!(chosen.leads(), "seed {seed}: {}", server.lease());
    }
}
