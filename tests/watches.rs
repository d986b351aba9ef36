//! The watches, against an API server that falls silent or refuses. The clock is virtual.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test: what cannot be is a failure"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use election_operator::clock::Clock;
use election_operator::controller::active::Active;
use election_operator::controller::health::Health;
use election_operator::controller::observe::{self, Asker};
use election_operator::controller::request::Requests;
use election_operator::controller::store::{GroupRef, Observed, Store};
use election_operator::election::{Identity, Millis, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

type Answer = UnsyncBoxBody<Bytes, std::io::Error>;

/// An API server: what it answers to each request, by its path and query.
#[derive(Clone, Copy)]
enum Server {
    /// Has nothing, and says nothing after that.
    Silent,
    /// Lets nobody list Services.
    Refusing,
    /// Has the Lease of a node, at version 6.
    WithNode,
}

fn status(code: u16, body: &Value) -> http::Response<Answer> {
    http::Response::builder()
        .status(code)
        .body(Full::from(body.to_string()).map_err(|never| match never {}).boxed_unsync())
        .unwrap()
}

fn list(path: &str) -> Value {
    let (api_version, kind) = match path.rsplit('/').next() {
        Some("pods") => ("v1", "PodList"),
        Some("services") => ("v1", "ServiceList"),
        Some("poddisruptionbudgets") => ("policy/v1", "PodDisruptionBudgetList"),
        Some("leases") => ("coordination.k8s.io/v1", "LeaseList"),
        _ => ("election-operator.io/v1alpha1", "ElectionGroupList"),
    };
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "resourceVersion": "7" }, "items": [] })
}

fn node_leases() -> Value {
    let lease =
        json!({ "metadata": { "name": "north", "namespace": "kube-node-lease", "resourceVersion": "6" } });
    let (api_version, kind) = ("coordination.k8s.io/v1", "LeaseList");
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "resourceVersion": "7" }, "items": [lease] })
}

impl Server {
    fn answer(self, uri: &http::Uri) -> http::Response<Answer> {
        let refused = json!({ "kind": "Status", "code": 403, "reason": "Forbidden", "message": "no" });
        match self {
            Self::WithNode => status(200, &node_leases()),
            Self::Refusing if uri.path().ends_with("services") => status(403, &refused),
            _ if uri.query().is_some_and(|query| query.contains("watch=true")) => {
                let never = futures::stream::pending();
                http::Response::new(StreamBody::new(never).boxed_unsync())
            }
            _ => status(200, &list(uri.path())),
        }
    }

    fn client(self, log: impl Fn(String) + Send + Sync + 'static) -> Client {
        let answer = move |request: http::Request<Body>| {
            log(request.uri().to_string());
            let answer = self.answer(request.uri());
            async move { Ok::<_, std::io::Error>(answer) }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    /// The requests of all watches in a virtual minute.
    async fn asked_in_a_minute(self) -> Vec<String> {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let client = self.client(move |uri| log.lock().unwrap().push(uri));
        let clock = Clock::start();
        let (wake, _woken) = unbounded_channel();
        let (store, health) = (Store::new(clock, wake), Health::new(clock));
        let watches = observe::watch(client, None, Arc::new(store), Arc::new(health));
        assert!(tokio::time::timeout(Duration::from_secs(60), watches).await.is_err());
        asked.lock().unwrap().clone()
    }
}

fn count(asked: &[String], kind: &str, watch: bool) -> usize {
    let path = |uri: &&String| uri.split('?').next().unwrap().ends_with(kind);
    asked.iter().filter(path).filter(|uri| uri.contains("watch=true") == watch).count()
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_server_fell_silent_is_asked_for_again_within_the_minute() {
    let asked = Server::Silent.asked_in_a_minute().await;
    for kind in ["pods", "leases", "electiongroups", "services", "poddisruptionbudgets"] {
        assert_eq!((count(&asked, kind, false), count(&asked, kind, true)), (1, 2), "{kind}: {asked:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_refused_is_asked_for_ever_more_rarely() {
    let asked = Server::Refusing.asked_in_a_minute().await;
    let tries = count(&asked, "services", false);
    assert!((5..=20).contains(&tries), "{tries}");
    assert_eq!(count(&asked, "pods", false), 1);
}

#[tokio::test]
async fn a_node_that_was_heard_while_its_watch_was_stalled_is_not_silent() {
    let (wake, _woken) = unbounded_channel();
    let clock = Clock::start();
    let store = Arc::new(Store::new(clock, wake));
    store.hear_node("north", Version(5), Millis::from_seconds(10));
    let client =
        Server::WithNode.client(|uri| assert!(uri.contains("fieldSelector=metadata.name%3Dnorth"), "{uri}"));
    let requests = Requests::new(client, Active::always(), Arc::new(Health::new(clock)));
    let asker = Asker::new(requests, store);
    asker.confirm_node_silent("north").await.unwrap_err();
    // What was not heard then has been heard now: from here on it says nothing new.
    asker.confirm_node_silent("north").await.unwrap();
}

/// When each node renews its Lease, in seconds: the API server is away from 9 s to 31 s, so nobody can in between.
const BEATS: [(&str, u64); 6] = [("a", 0), ("b", 4), ("c", 8), ("a", 34), ("b", 35), ("c", 36)];

fn node_lease(node: &str, version: u64) -> Value {
    json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": node, "namespace": "kube-node-lease", "resourceVersion": version.to_string() } })
}

/// The heartbeats of nodes on an API server that restarts.
fn restarting(clock: Clock, begun: Millis, uri: &http::Uri) -> std::io::Result<http::Response<Answer>> {
    let at = |second: u64| begun + Millis::from_seconds(second);
    let (down, up) = (at(9), at(31));
    let away = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let now = clock.now();
    if now >= down && now < up {
        return Err(away());
    }
    if !uri.query().is_some_and(|query| query.contains("watch=true")) {
        let items = ["a", "b", "c"].map(|node| node_lease(node, 1));
        let (api_version, kind) = ("coordination.k8s.io/v1", "LeaseList");
        let metadata = json!({ "resourceVersion": "1" });
        let list = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "items": items });
        return Ok(status(200, &list));
    }
    let beats =
        (2..).zip(BEATS).map(move |(version, (node, second))| (at(second), node_lease(node, version)));
    let mut coming: Vec<_> = beats.filter(|(moment, _)| (*moment >= up) == (now >= up)).collect();
    coming.reverse();
    let events = futures::stream::unfold(coming, move |mut coming| async move {
        let Some((moment, lease)) = coming.pop() else {
            clock.sleep_until(if now < down { down } else { Millis(u64::MAX / 2) }).await;
            return Some((Err(away()), coming));
        };
        clock.sleep_until(moment).await;
        let line = format!("{}\n", json!({ "type": "MODIFIED", "object": lease }));
        Some((Ok(http_body::Frame::data(Bytes::from(line))), coming))
    });
    Ok(http::Response::new(StreamBody::new(events).boxed_unsync()))
}

#[tokio::test(start_paused = true)]
async fn no_node_is_silent_because_the_api_server_was_away() {
    let clock = Clock::start();
    let begun = clock.now();
    let (wake, _woken) = unbounded_channel();
    let store = Arc::new(Store::new(clock, wake));
    let group = json!({
        "metadata": { "name": "db", "namespace": "shop", "uid": "db-uid", "resourceVersion": "1" },
        "spec": { "selector": { "matchLabels": { "app": "db" } }, "failover": { "nodeSilentSeconds": 20 } },
    });
    store.see_group(serde_json::from_value(group).unwrap());
    for node in ["a", "b", "c"] {
        let metadata = json!({ "name": node, "namespace": "shop", "uid": node, "resourceVersion": "2", "labels": { "app": "db" } });
        store.see_pod(
            serde_json::from_value(json!({ "metadata": metadata, "spec": { "nodeName": node } })).unwrap(),
        );
    }
    let answer =
        move |request: http::Request<Body>| std::future::ready(restarting(clock, begun, request.uri()));
    let client = Client::new(tower::service_fn(answer), "default");
    tokio::spawn(observe::watch_nodes(client, store.clone(), Arc::new(Health::new(clock))));
    let group = GroupRef { namespace: "shop".to_owned(), id: Identity::new("db", "db-uid") };
    for second in 0..50 {
        let Observed::Group(seen) = store.observe(&group) else { panic!("the group is there") };
        let silent: Vec<_> = seen.pods.iter().filter(|pod| pod.node_is_silent(seen.now)).collect();
        assert!(silent.is_empty(), "at {second} s: {silent:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let Observed::Group(seen) = store.observe(&group) else { panic!("the group is there") };
    assert!(seen.pods.iter().all(|pod| pod.node_silent_from.is_some()), "{seen:#?}");
}
