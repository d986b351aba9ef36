//! `mode: Nominated`: the operator names who may take the Lease. The tests write what it writes.

mod holding;
mod outage;

use std::time::Duration;

use lease_elector::{ActiveTerm, ElectorConfig, Ending, HealthCheck};
use serde_json::{Value, json};
use testkit::json::At;

use crate::leading::{DRAIN_AT_ONCE, leading};
use crate::server::{Fault, LEASE, NAMESPACE, Reply, Server};
use crate::support::*;

const ME: &str = "orders-1_u1";
const OWN: &str = "orders-1/u1";
const OTHER: &str = "orders-2/u2";
const DURATION: u64 = 15;

/// One at the start, and one each time a watch has ended after its longest life of five minutes.
const READS_AN_HOUR: usize = 13;

fn nominated() -> ElectorConfig {
    // As `elect` has it: work drains for as long as it needs.
    let drain_timeout = Duration::MAX;
    ElectorConfig { drain_timeout, ..ElectorConfig::nominated(NAMESPACE, LEASE, "orders-1", "u1") }
}

fn annotate(lease: &mut Value, nominee: &str, term: u64, duration: u64) {
    lease["metadata"]["annotations"] = json!({
        "election-operator.io/nominee": nominee,
        "election-operator.io/term": term.to_string(),
        "election-operator.io/duration": duration.to_string(),
        "example.com/own": "stays",
    });
}

/// The operator names the next holder, whether the Lease is held or not.
fn nominate(server: &Server, nominee: &str, term: u64) {
    server.edit(|lease| annotate(lease, nominee, term, DURATION));
}

/// An API server with a free Lease, as the operator creates it.
fn server() -> Server {
    let server = Server::new();
    server.put(json!({}));
    nominate(&server, "", 0);
    server
}

/// A pod that was nominated in term 7 and has taken the Lease.
async fn holding(server: &Server, how: Work) -> Run {
    nominate(server, OWN, 7);
    leading(server, nominated(), how).await
}

fn nominee(lease: &Value) -> Value {
    lease["metadata"]["annotations"]["election-operator.io/nominee"].clone()
}

fn writes(server: &Server) -> usize {
    server.calls().iter().filter(|verb| **verb != "get").count()
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_does_not_nominate_this_pod_is_never_written_and_hardly_read() {
    let held = json!({
        "holderIdentity": "orders-2_u2", "leaseDurationSeconds": 3, "leaseTransitions": 1,
        "acquireTime": "2020-01-01T00:00:00.000000Z", "renewTime": "2020-01-01T00:00:00.000000Z",
    });
    let cases = [
        (json!({}), Some(""), 15),
        (json!({}), Some(OTHER), 15),
        (json!({}), Some("orders-1/u0"), 15),
        (json!({}), Some(ME), 15),
        (json!({}), Some(OWN), 0),
        (held.clone(), Some(OWN), 15),
        (held, Some(""), 15),
        (json!({}), None, 15),
    ];
    for (spec, nominee, duration) in cases {
        let server = Server::new();
        server.put(spec.clone());
        if let Some(nominee) = nominee {
            server.edit(|lease| annotate(lease, nominee, 7, duration));
        }
        let run = start(&server, nominated());
        after(seconds(3600)).await;
        assert!(!run.leads());
        assert_eq!(writes(&server), 0, "{spec} {nominee:?} {duration}");
        assert!(server.calls().len() <= READS_AN_HOUR, "{spec} {nominee:?}: {:?}", server.calls());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_does_not_exist_is_waited_for_and_never_created() {
    let server = Server::new();
    let mut run = start(&server, nominated());
    after(seconds(3600)).await;
    assert!(server.calls().iter().all(|verb| *verb == "get"));
    assert!(server.calls().len() <= READS_AN_HOUR, "{:?}", server.calls());
    server.put(json!({}));
    nominate(&server, OWN, 1);
    run.until(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_nomination_is_taken_by_one_write_on_the_version_seen() {
    let server = server();
    let mut run = start(&server, nominated());
    after(seconds(60)).await;
    server.forget_calls();
    server.edit(|lease| {
        lease["spec"] = json!({ "leaseDurationSeconds": 60, "leaseTransitions": 4 });
        annotate(lease, OWN, 7, 30);
    });
    let start = tokio::time::Instant::now();
    run.until(true).await;
    assert!(start.elapsed() < millis(5));
    assert_eq!(server.calls(), ["update"]);
    let lease = server.lease();
    let (spec, annotations) = (&lease["spec"], &lease["metadata"]["annotations"]);
    assert_eq!((spec["holderIdentity"].as_str(), spec["leaseTransitions"].as_i64()), (Some(ME), Some(5)));
    assert_eq!(spec["leaseDurationSeconds"], 30);
    assert_eq!(annotations["election-operator.io/nominee"], "");
    assert_eq!(annotations["election-operator.io/term"], "7");
    assert_eq!(annotations["election-operator.io/duration"], "30");
    assert_eq!(annotations["example.com/own"], "stays");
    let active = run.active.borrow().clone().unwrap();
    assert_eq!((active.number(), active.token().nomination), (Some(7), Some(7)));
    assert_eq!(run.state.borrow().term(), 7);
    assert_eq!(server.events(), Vec::<String>::new(), "a pod has no right to create Events");
}

#[tokio::test(start_paused = true)]
async fn the_lease_brings_the_duration_that_all_deadlines_follow_from() {
    for duration in [3, 15, 60] {
        let server = server();
        server.edit(|lease| annotate(lease, OWN, 7, duration));
        let mut run = leading(&server, nominated(), Work::Ignores).await;
        let lasts = |share: f64| seconds(duration).mul_f64(share);
        after(lasts(10.0)).await;
        let renewals = server.calls().len();
        assert!((30..=34).contains(&renewals), "{renewals} renewals in ten times {duration} s");
        let last = server.with(|state| state.times.last().copied().unwrap());
        server.outage(true);
        run.until(false).await;
        let taken = server.with(|state| state.started_ago()) - last;
        assert!(taken.abs_diff(lasts(0.63)) <= millis(2), "{duration} s: lost after {taken:?}");
        while !run.lines().contains(&"work dropped".to_owned()) {
            after(millis(1)).await;
        }
        let dropped = server.with(|state| state.started_ago()) - last;
        assert!(dropped.abs_diff(lasts(0.98)) <= millis(2), "{duration} s: dropped after {dropped:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_nominee_in_a_held_lease_ends_the_term_whoever_it_names() {
    for named in [OTHER, OWN, "orders-1/u0"] {
        let server = server();
        let mut run = holding(&server, Work::Drains(seconds(40))).await;
        after(seconds(2)).await;
        nominate(&server, named, 8);
        run.until(false).await;
        assert!(run.lines().contains(&"lost revoked".to_owned()), "{:?}", run.lines());
        let renewed = |server: &Server| server.lease().text("/spec/renewTime").to_owned();
        let at_the_loss = renewed(&server);
        after(seconds(39)).await;
        assert_eq!(server.holder(), ME, "it is held while work drains");
        assert!(renewed(&server) > at_the_loss, "and renewed");
        assert_eq!(nominee(&server.lease()), named);
        assert!(!run.leads());
        let held = server.lease();
        after(seconds(1) + millis(1)).await;
        let history = server.with(|state| state.history.clone());
        let released = history.iter().rfind(|lease| lease.text("/spec/holderIdentity").is_empty()).unwrap();
        let mut expected = held["spec"].clone();
        expected["holderIdentity"] = json!("");
        expected["renewTime"] = released["spec"]["renewTime"].clone();
        assert_eq!(released["spec"], expected, "a release touches the holder only");
        assert_eq!(released["metadata"]["annotations"], held["metadata"]["annotations"]);
        after(seconds(1)).await;
        assert_eq!(run.leads(), named == OWN, "a new nomination is a new term");
        if named == OWN {
            assert_eq!(run.active.borrow().as_ref().unwrap().number(), Some(8));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_holder_releases_within_milliseconds_of_the_nomination() {
    let server = server();
    let mut run = holding(&server, DRAIN_AT_ONCE).await;
    after(seconds(2)).await;
    server.forget_calls();
    nominate(&server, OTHER, 8);
    let start = tokio::time::Instant::now();
    while !server.holder().is_empty() {
        after(millis(1)).await;
    }
    assert!(start.elapsed() <= millis(5), "{:?}", start.elapsed());
    run.stop();
    assert_eq!(run.ended().await.ending, Ending::Stopped);
}

/// The answer to the take gets lost, whether it was carried out or not.
#[tokio::test(start_paused = true)]
async fn no_work_runs_on_a_take_whose_answer_was_lost() {
    let faults = [
        Fault::lost_answer(),
        Fault::commit_then(504),
        Fault::commit_then(409),
        Fault { reply: Reply::Reset, ..Fault::default() },
        Fault::slow_reply(seconds(20)),
    ];
    for fault in faults {
        let server = server();
        nominate(&server, OWN, 7);
        server.fault("update", 1, fault.clone());
        let run = start(&server, nominated());
        after(seconds(60)).await;
        assert_eq!(server.holder(), "", "{fault:?}");
        assert!(nominee(&server.lease()) == "", "the take was carried out: {fault:?}");
        assert!(!run.lines().iter().any(|line| line.contains("work")), "{:?}", run.lines());
        assert_eq!(server.transitions(), 1);
        nominate(&server, OWN, 8);
        after(seconds(1)).await;
        assert!(run.leads());
        assert_eq!(run.active.borrow().as_ref().unwrap().number(), Some(8));
    }
}

#[tokio::test(start_paused = true)]
async fn a_take_that_was_never_carried_out_is_sent_again() {
    for fault in [Fault::swallowed(), Fault::refuse(500), Fault::refuse(403), Fault::busy(429, 1)] {
        let server = server();
        nominate(&server, OWN, 7);
        server.fault("update", 1, fault.clone());
        let mut run = start(&server, nominated());
        run.until(true).await;
        assert_eq!(run.active.borrow().as_ref().map(ActiveTerm::number), Some(Some(7)), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_back_a_take_whose_answer_was_lost() {
    let server = server();
    nominate(&server, OWN, 7);
    server.fault("update", 1, Fault::lost_answer());
    let mut run = start(&server, nominated());
    after(seconds(1)).await;
    assert_eq!(server.holder(), ME);
    run.stop();
    assert_eq!(run.ended().await.ending, Ending::Stopped);
    assert_eq!(server.holder(), "");
    assert!(!run.lines().contains(&"work starts".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_companion_gives_back_what_its_predecessor_took() {
    let server = server();
    let run = holding(&server, Work::Ignores).await;
    // The process is killed, and its work with it.
    drop(run);
    server.forget_calls();
    let mut again = start(&server, nominated());
    after(millis(10)).await;
    assert_eq!(server.calls(), ["get", "update"]);
    assert_eq!((server.holder().as_str(), server.transitions()), ("", 1));
    after(seconds(60)).await;
    assert!(!again.leads());
    nominate(&server, OWN, 8);
    again.until(true).await;
    assert_eq!(again.active.borrow().as_ref().unwrap().number(), Some(8));
    assert_eq!(server.transitions(), 2);
}

#[tokio::test(start_paused = true)]
async fn giving_back_is_tried_until_it_succeeds() {
    let server = server();
    drop(holding(&server, Work::Ignores).await);
    server.always("update", Some(Fault::refuse(403)));
    let _again = start(&server, nominated());
    after(seconds(600)).await;
    assert_eq!(server.holder(), ME);
    assert!(server.calls().len() < 60, "with growing pauses: {}", server.calls().len());
    server.always("update", None);
    after(seconds(61)).await;
    assert_eq!(server.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_giving_back_of_what_a_predecessor_took() {
    let server = server();
    drop(holding(&server, Work::Ignores).await);
    server.always("update", Some(Fault::refuse(500)));
    let mut again = start(&server, nominated());
    after(millis(10)).await;
    again.stop();
    after(seconds(1)).await;
    server.always("update", None);
    assert_eq!(again.ended().await.ending, Ending::Stopped);
    assert_eq!(server.holder(), "");
}

/// Work that was dropped at the end of the Lease may have left something that still runs.
#[tokio::test(start_paused = true)]
async fn a_lease_whose_work_went_on_to_its_end_is_left_to_the_operator() {
    let server = server();
    let mut run = holding(&server, Work::Ignores).await;
    server.outage(true);
    run.until(false).await;
    after(seconds(10)).await;
    assert!(run.lines().contains(&"work dropped".to_owned()), "{:?}", run.lines());
    server.outage(false);
    server.forget_calls();
    after(seconds(600)).await;
    assert_eq!((server.holder().as_str(), writes(&server)), (ME, 0));
    server.edit(|lease| {
        lease["spec"]["holderIdentity"] = json!("");
        annotate(lease, OWN, 8, DURATION);
    });
    run.until(true).await;
    assert_eq!(run.active.borrow().as_ref().unwrap().number(), Some(8));
}

#[tokio::test(start_paused = true)]
async fn each_renewal_is_later_than_the_last_whatever_the_wall_clock_does() {
    let server = server();
    let run = holding(&server, DRAIN_AT_ONCE).await;
    for jump in [0, -3600, 7200, -7200, 0] {
        run.clock.jump_wall(jump);
        after(seconds(30)).await;
    }
    assert!(run.leads());
    let history = server.with(|state| state.history.clone());
    let renewed: Vec<_> = history.iter().map(|lease| lease.text("/spec/renewTime")).collect();
    let renewed: Vec<_> = renewed.into_iter().filter(|time| !time.is_empty()).collect();
    assert!(renewed.len() > 20 && renewed.is_sorted_by(|a, b| a < b), "{renewed:?}");
    assert!(
        history.iter().skip(4).all(|lease| lease["spec"]["acquireTime"] == history[4]["spec"]["acquireTime"])
    );
}

#[tokio::test(start_paused = true)]
async fn another_lease_of_the_name_is_not_the_one_that_was_taken() {
    let server = server();
    let mut run = holding(&server, DRAIN_AT_ONCE).await;
    let held = server.lease();
    server.delete();
    server.put(held["spec"].clone());
    run.until(false).await;
    after(millis(10)).await;
    assert!(run.lines().contains(&"lost deleted".to_owned()), "{:?}", run.lines());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_ends_the_term_and_the_next_one_is_taken_when_nominated() {
    let server = server();
    let mut run = holding(&server, DRAIN_AT_ONCE).await;
    server.delete();
    run.until(false).await;
    after(seconds(60)).await;
    assert_eq!(server.lease(), Value::Null, "a companion creates no Lease");
    server.put(json!({}));
    nominate(&server, "", 7);
    after(seconds(60)).await;
    assert!(!run.leads());
    nominate(&server, OWN, 8);
    run.until(true).await;
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_by_itself_ends_the_run_after_the_release() {
    let server = server();
    let mut run = holding(&server, Work::Ends(seconds(20))).await;
    let ended = run.ended().await;
    assert_eq!((ended.ending, ended.output), (Ending::WorkEnded, Some("done")));
    assert_eq!((server.holder().as_str(), nominee(&server.lease())), ("", json!("")));
}

#[tokio::test(start_paused = true)]
async fn health_waits_for_the_duration_that_the_lease_has() {
    let server = server();
    server.edit(|lease| annotate(lease, OWN, 7, 60));
    let run = leading(&server, nominated(), Work::Ignores).await;
    run.clock.suspend(seconds(79));
    assert_eq!(run.health.check(HealthCheck::TOLERANCE), Ok(()));
    run.clock.suspend(seconds(2));
    assert!(run.health.check(HealthCheck::TOLERANCE).is_err());
}
