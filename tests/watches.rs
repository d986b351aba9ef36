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
use election_operator::controller::health::Health;
use election_operator::controller::observe;
use election_operator::controller::store::Store;
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
        Some("leases") => ("coordination.k8s.io/v1", "LeaseList"),
        _ => ("election-operator.io/v1alpha1", "ElectionGroupList"),
    };
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "resourceVersion": "7" }, "items": [] })
}

impl Server {
    fn answer(self, uri: &http::Uri) -> http::Response<Answer> {
        let refused = json!({ "kind": "Status", "code": 403, "reason": "Forbidden", "message": "no" });
        match self {
            Self::Refusing if uri.path().ends_with("services") => status(403, &refused),
            _ if uri.query().is_some_and(|query| query.contains("watch=true")) => {
                let never = futures::stream::pending();
                http::Response::new(StreamBody::new(never).boxed_unsync())
            }
            _ => status(200, &list(uri.path())),
        }
    }

    /// The requests of all watches in a virtual minute.
    async fn asked_in_a_minute(self) -> Vec<String> {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let client = Client::new(
            tower::service_fn(move |request: http::Request<Body>| {
                log.lock().unwrap().push(request.uri().to_string());
                let answer = self.answer(request.uri());
                async move { Ok::<_, std::io::Error>(answer) }
            }),
            "default",
        );
        let clock = Clock::start();
        let (wake, _woken) = unbounded_channel();
        let (store, health) = (Store::new(clock.clone(), wake), Health::new(clock));
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
    for kind in ["pods", "leases", "electiongroups", "services"] {
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
