//! Low-priority writes keep no failover waiting, and no object is written without end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use election_operator::clock::Clock;
use election_operator::controller::permit::WritePermit;
use election_operator::controller::{self, OperatorOptions, checks::Health};
use election_operator::metrics::Metrics;
use election_operator::planner::plan;
use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use testkit::kind::Kind;
use testkit::random::Random;
use tokio::sync::watch;

use super::api_server::{NAMESPACE, Server};
use super::{Operator, pod};

/// How long a request takes before the API server gets it.
type Latency = fn(&Request<Body>) -> Duration;

fn none(_: &Request<Body>) -> Duration {
    Duration::ZERO
}

fn name(group: usize, pod: usize) -> String {
    format!("g{group}-{pod}")
}

/// So many groups of two pods, without faults.
fn server(groups: usize) -> Server {
    let server = Server::new(Random::new(0));
    server.with(|state| {
        state.test.calm = true;
        for group in 0..groups {
            let app = format!("g{group}");
            state.create(
                Kind::Group,
                json!({
                    "apiVersion": "election-operator.io/v1alpha1", "kind": "ElectionGroup",
                    "metadata": { "name": app, "generation": 1 },
                    "spec": { "selector": { "matchLabels": { "app": app } } },
                }),
            );
            for number in 0..2 {
                let mut pod = pod(&name(group, number));
                pod["metadata"]["labels"]["app"] = json!(app);
                state.create(Kind::Pod, pod);
            }
        }
    });
    server
}

/// An operator whose requests take so long; and the paths of those that write.
fn start(server: &Server, latency: Latency) -> (Operator, Arc<Mutex<Vec<String>>>) {
    let (inner, written) = (server.client(0), Arc::new(Mutex::new(Vec::new())));
    let log = written.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inner, latency) = (inner.clone(), latency(&request));
        if request.method() != Method::GET {
            log.lock().unwrap().push(request.uri().path().to_owned());
        }
        async move {
            tokio::time::sleep(latency).await;
            inner.send(request).await
        }
    });
    let (stop, stopped) = watch::channel(false);
    let options = OperatorOptions {
        planner: plan,
        watching: server.client(0),
        writing: Client::new(service, NAMESPACE),
        namespaces: vec![NAMESPACE.to_owned()],
        permit: WritePermit::always(),
        instance: None,
        metrics: Arc::new(Metrics::default()),
        health: Arc::new(Health::new(Clock::start())),
    };
    (Operator { task: tokio::spawn(controller::run(options, stopped)), _stop: stop }, written)
}

fn leads(server: &Server, pod: &str) -> bool {
    let pod = server.with(|state| state.object(Kind::Pod, pod));
    pod.is_some_and(|pod| pod["metadata"]["labels"]["role"] == "leader")
}

/// The pod of a group that leads, and the other.
fn leader_and_other(server: &Server, group: usize) -> (String, String) {
    let [first, second] = [name(group, 0), name(group, 1)];
    if leads(server, &first) { (first, second) } else { (second, first) }
}

/// Deletes the leaders of these groups; returns how long it takes until each has another.
async fn fail_over(server: &Server, groups: impl Iterator<Item = usize>) -> Duration {
    replace(server, &groups.map(|group| leader_and_other(server, group)).collect::<Vec<_>>()).await
}

async fn replace(server: &Server, lost: &[(String, String)]) -> Duration {
    server.with(|state| lost.iter().for_each(|(leader, _)| state.delete(Kind::Pod, leader)));
    let begun = tokio::time::Instant::now();
    while !lost.iter().all(|(_, other)| leads(server, other)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(begun.elapsed() < Duration::from_secs(120), "there is no other leader");
    }
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_failover_waits_for_none_of_hundreds_of_renewals_its_own_included() {
    let server = server(300);
    let (operator, _) = start(&server, none);
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(operator);
    // After a start each group has a renewal due. They take a second each: 19 s for all.
    let (_operator, _) = start(&server, |request| {
        let is_lease = request.method() == Method::PATCH && request.uri().path().contains("/leases/");
        Duration::from_secs(u64::from(is_lease))
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The Lease of the new leader takes a second, too.
    let took = fail_over(&server, 299..300).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_events_api_that_answers_nothing_keeps_no_failover_waiting() {
    let server = server(100);
    let (_operator, _) = start(&server, |request| {
        let is_event = request.uri().path().contains("/events");
        if is_event { Duration::from_secs(3600) } else { Duration::ZERO }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    let took = fail_over(&server, 0..100).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// The API server ignores the webhook after so long, and drops the write of a client that has hung
/// up by then.
#[tokio::test(start_paused = true)]
async fn behind_a_slow_webhook_there_is_a_failover_in_the_end() {
    let server = server(1);
    let (operator, _) = start(&server, none);
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(operator);
    let (_operator, _) = start(&server, |request| {
        let is_write = request.method() == Method::PATCH || request.method() == Method::PUT;
        Duration::from_secs(if is_write { 6 } else { 0 })
    });
    let took = fail_over(&server, 0..1).await;
    assert!(took < Duration::from_secs(60), "{took:?}");
    let told = server.with(|state| state.test.events.iter().any(|event| event["reason"] == "WriteRefused"));
    assert!(told, "nothing says why it takes so long");
}

#[tokio::test(start_paused = true)]
async fn a_label_that_somebody_undoes_for_ever_is_written_ever_more_rarely() {
    let server = server(1);
    let (_operator, written) = start(&server, none);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (leader, other) = leader_and_other(&server, 0);
    let undone_for = |span: u64| {
        let (server, leader) = (server.clone(), leader.clone());
        async move {
            for _ in 0..span * 100 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                server.with(|state| {
                    let role = &state.object(Kind::Pod, &leader).unwrap()["metadata"]["labels"]["role"];
                    if role == "leader" {
                        state.edit(Kind::Pod, &leader, |pod| {
                            pod["metadata"]["labels"]["role"] = Value::from("follower");
                        });
                    }
                });
            }
        }
    };
    undone_for(60).await;
    let path = format!("/pods/{leader}");
    let count = || written.lock().unwrap().iter().filter(|written| written.ends_with(&path)).count();
    let before = count();
    undone_for(60).await;
    let writes = count() - before;
    assert!((3..=13).contains(&writes), "{writes} writes in a minute");
    let told = server
        .with(|state| state.test.events.iter().filter(|event| event["reason"] == "LabelContested").count());
    assert_eq!(told, 1);
    // It keeps no failover waiting.
    assert!(replace(&server, &[(leader, other)]).await < Duration::from_secs(1));
}
