//! What a plan does to the API server, request by request, where the answers are the story.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test: what cannot be is a failure"
)]

use std::sync::{Arc, Mutex};

use election_operator::api::{ElectionGroup, Pod};
use election_operator::clock::Clock;
use election_operator::controller::active::Active;
use election_operator::controller::apply::Applier;
use election_operator::controller::error::Error;
use election_operator::controller::health::Health;
use election_operator::controller::request::Requests;
use election_operator::controller::store::{GroupRef, Observed, Store};
use election_operator::controller::wakes::wakes;
use election_operator::election::plan::{Intent, LeaseTurn, LeaseWrite, PodWrite, Step, plan};
use election_operator::election::snapshot::Snapshot;
use election_operator::election::{Identity, Millis, Term, Version};
use election_operator::metrics::Metrics;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::runtime::events::Reporter;
use serde_json::{Value, json};

/// A request: method, path, body.
type Request = (String, String, Value);

/// An operator's store and what writes for it, against an API server that answers each request as `answer` says.
struct Bench {
    store: Arc<Store>,
    applier: Applier,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Bench {
    fn new(answer: impl Fn(&Store, &Request) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let clock = Clock::start();
        let store = Arc::new(Store::new(clock, wakes().0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, log, known) = (Arc::new(answer), requests.clone(), store.clone());
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (answer, log, known) = (answer.clone(), log.clone(), known.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let request = (parts.method.to_string(), parts.uri.path().to_owned(), body);
                let (code, body) = answer(&known, &request);
                log.lock().unwrap().push(request);
                let body = Body::from(body.to_string().into_bytes());
                Ok::<_, std::io::Error>(http::Response::builder().status(code).body(body).unwrap())
            }
        });
        let client = Client::new(service, "default");
        let requests_of = Requests::new(client, Active::always(), Arc::new(Health::new(clock)));
        let reporter = Reporter { controller: "test".to_owned(), instance: None };
        let applier = Applier::new(clock, requests_of, store.clone(), reporter, Arc::new(Metrics::default()));
        Self { store, applier, requests }
    }

    async fn apply(&self, steps: &[Step]) -> Result<(), Error> {
        self.applier.apply(&group_ref(), Version(1), steps).await
    }

    /// Plans for the group as it is known, and applies.
    async fn plan_and_apply(&self) -> Result<(), Error> {
        let snapshot = self.snapshot();
        self.applier.apply(&group_ref(), snapshot.group.version, &plan(&snapshot).steps).await
    }

    fn snapshot(&self) -> Snapshot {
        match self.store.observe(&group_ref()) {
            Observed::Group(snapshot) => *snapshot,
            other => panic!("the group is there: {other:?}"),
        }
    }

    fn told(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let last = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        requests.iter().map(|(method, path, _)| format!("{method} {}", last(path))).collect()
    }
}

fn group_ref() -> GroupRef {
    GroupRef { namespace: "shop".to_owned(), id: Identity::new("orders", "group-uid") }
}

fn group() -> Value {
    json!({
        "apiVersion": "election-operator.io/v1alpha1", "kind": "ElectionGroup",
        "metadata": {
            "name": "orders", "namespace": "shop", "uid": "group-uid", "resourceVersion": "1", "generation": 1
        },
        "spec": { "selector": { "matchLabels": { "app": "orders" } } },
    })
}

fn see_group(store: &Store) {
    store.see_group(serde_json::from_value::<ElectionGroup>(group()).unwrap());
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("{name}-uid"), "resourceVersion": "5",
            "labels": { "app": "orders" },
        },
        "spec": { "nodeName": "node" },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

fn see_pod(store: &Store, name: &str) {
    store.see_pod(serde_json::from_value::<Pod>(pod(name)).unwrap());
}

fn write_to(name: &str) -> PodWrite {
    let pod = Identity::new(name, format!("{name}-uid"));
    PodWrite { pod, version: Version(5), term: Term::new(2).unwrap() }
}

fn step(intents: Vec<Intent>) -> Step {
    Step { after_fence: Millis(0), intents }
}

#[tokio::test]
async fn a_fence_that_was_never_sent_does_not_count_as_done() {
    let bench = Bench::new(|store, (method, path, _)| {
        // The watch brings the group back just when the Lease is written.
        see_group(store);
        assert_eq!((method.as_str(), path.rsplit('/').next()), ("POST", Some("leases")));
        let metadata = json!({ "name": "orders", "namespace": "shop", "uid": "l", "resourceVersion": "9" });
        (201, json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata }))
    });
    see_pod(&bench.store, "p");
    see_pod(&bench.store, "q");
    let lease = LeaseWrite {
        name: "orders".to_owned(),
        base: None,
        turn: LeaseTurn::Take,
        holder: Some("q".to_owned()),
        term: Term::new(2).unwrap(),
        duration_seconds: 15,
        transitions: 0,
    };
    let steps = [
        step(vec![Intent::Fence(write_to("p")), Intent::WriteLease(lease)]),
        step(vec![Intent::Promote(write_to("q"))]),
    ];
    let error = bench.apply(&steps).await.unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    assert_eq!(bench.told(), ["POST leases"]);
}

#[tokio::test]
async fn a_record_that_the_api_server_does_not_keep_promotes_nobody() {
    // A CRD of an earlier release prunes the list of those who are not fenced.
    let bench = Bench::new(|_, (method, path, body)| {
        assert_eq!((method.as_str(), path.rsplit('/').next()), ("PUT", Some("status")));
        let mut group = body.clone();
        group["metadata"]["resourceVersion"] = json!("2");
        group["status"]["unfenced"] = json!([]);
        (200, group)
    });
    see_group(&bench.store);
    see_pod(&bench.store, "p");
    see_pod(&bench.store, "q");
    let error = bench.plan_and_apply().await.unwrap_err();
    assert!(matches!(error, Error::NotKept { .. }), "{error}");
    assert_eq!(bench.told(), ["PUT status"]);
    let refused = bench.snapshot().group.policy.unwrap_err();
    assert_eq!(refused.reason, "RecordNotKept");
    // Nothing but the report follows.
    let next: Vec<_> = plan(&bench.snapshot()).steps.into_iter().flat_map(|step| step.intents).collect();
    let says = |intent: &Intent| matches!(intent, Intent::WriteStatus(_) | Intent::Announce(_));
    assert!(next.iter().all(says), "{next:?}");
}
