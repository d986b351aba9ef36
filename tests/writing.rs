//! What a write sends, and what becomes of its answer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test: what cannot be is a failure"
)]

use std::sync::{Arc, Mutex};

use election_operator::api::{Lease, Pod};
use election_operator::clock::Clock;
use election_operator::controller::active::Active;
use election_operator::controller::apply::Applier;
use election_operator::controller::error::Error;
use election_operator::controller::health::Health;
use election_operator::controller::request::Requests;
use election_operator::controller::store::{GroupRef, Store};
use election_operator::controller::wakes::wakes;
use election_operator::election::plan::{Intent, LeaseTurn, LeaseWrite, PodWrite, Step};
use election_operator::election::{Identity, Millis, Term, Version};
use election_operator::metrics::Metrics;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::runtime::events::Reporter;
use serde_json::{Value, json};

/// A request that was sent: verb and path, and its body.
type Sent = (String, Value);

/// An operator's writing part, before an API server that answers as `answer` says.
struct Desk {
    store: Arc<Store>,
    applier: Applier,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Desk {
    fn before(answer: fn(&str) -> (u16, Value)) -> Self {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let log = sent.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let log = log.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let what = format!("{} {}", parts.method, parts.uri.path());
                let (code, answer) = answer(&what);
                log.lock().unwrap().push((what, serde_json::from_slice(&body).unwrap_or_default()));
                let body = Body::from(answer.to_string().into_bytes());
                Ok::<_, std::io::Error>(http::Response::builder().status(code).body(body).unwrap())
            }
        });
        let clock = Clock::start();
        let (wake, _) = wakes();
        let store = Arc::new(Store::new(clock, wake));
        let health = Arc::new(Health::new(clock));
        let requests = Requests::new(Client::new(service, "default"), Active::always(), health);
        let reporter = Reporter { controller: "test".to_owned(), instance: None };
        let applier = Applier::new(clock, requests, store.clone(), reporter, Arc::new(Metrics::default()));
        store.see_group(serde_json::from_value(group()).unwrap());
        Self { store, applier, sent }
    }

    async fn carry_out(&self, intent: Intent) -> Result<(), Error> {
        let group = GroupRef { namespace: "shop".to_owned(), id: Identity::new("orders", "orders-uid") };
        let step = Step { after_fence: Millis::default(), intents: vec![intent] };
        self.applier.apply(&group, Version(5), &[step]).await
    }

    fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    fn verbs(&self) -> Vec<String> {
        self.sent().into_iter().map(|(what, _)| what).collect()
    }
}

fn group() -> Value {
    json!({
        "apiVersion": "election-operator.io/v1alpha1", "kind": "ElectionGroup",
        "metadata": { "name": "orders", "namespace": "shop", "uid": "orders-uid", "resourceVersion": "5" },
        "spec": { "selector": { "matchLabels": { "app": "orders" } } },
    })
}

/// An entry that says who wrote what at a time that no library here can hold.
fn odd_fields() -> Value {
    json!([{ "manager": "m", "operation": "Update", "time": "9999-12-31T23:59:59Z", "fieldsV1": {} }])
}

fn lease(version: u64) -> Value {
    json!({
        "metadata": {
            "name": "orders", "namespace": "shop", "uid": "l", "resourceVersion": version.to_string(),
            "annotations": { "example.com/note": "mine", "election-operator.io/term": "1" },
            "labels": { "example.com": "x" },
            "ownerReferences": [
                { "apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "c-uid" },
                { "apiVersion": "election-operator.io/v1alpha1", "kind": "ElectionGroup", "name": "orders",
                  "uid": "orders-uid", "controller": true },
            ],
            "managedFields": odd_fields(),
        },
        "spec": {
            "holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 3,
            "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000000Z",
            "strategy": "example.com/kept",
        },
    })
}

fn lease_write(base: Option<u64>, turn: LeaseTurn) -> Intent {
    Intent::WriteLease(LeaseWrite {
        name: "orders".to_owned(),
        base: base.map(|version| ("l".to_owned(), Version(version))),
        turn,
        holder: Some("a".to_owned()),
        term: Term::new(2).unwrap(),
        duration_seconds: 15,
        transitions: 3,
    })
}

fn status(code: u16, reason: &str) -> (u16, Value) {
    let details = json!({ "name": "orders", "kind": "leases" });
    (code, json!({ "kind": "Status", "code": code, "reason": reason, "message": "no", "details": details }))
}

fn accepting(what: &str) -> (u16, Value) {
    let mut answer = if what.contains("/leases/") { lease(8) } else { group() };
    answer["metadata"]["resourceVersion"] = json!("8");
    answer["metadata"]["managedFields"] = odd_fields();
    (200, answer)
}

/// The API server keeps the rest of what it has, whatever the body says of it.
#[tokio::test(start_paused = true)]
async fn a_status_is_written_with_its_condition_and_nothing_of_others() {
    let desk = Desk::before(accepting);
    desk.carry_out(Intent::WriteStatus(Box::default())).await.unwrap();
    let sent = desk.sent();
    let [(what, body)] = &sent[..] else { panic!("{sent:#?}") };
    assert_eq!(what, "PUT /apis/election-operator.io/v1alpha1/namespaces/shop/electiongroups/orders/status");
    let metadata =
        json!({ "name": "orders", "namespace": "shop", "uid": "orders-uid", "resourceVersion": "5" });
    assert_eq!(body["metadata"], metadata);
    assert_eq!(
        (&body["apiVersion"], &body["kind"], &body["spec"]["selector"]["matchLabels"]["app"]),
        (&json!("election-operator.io/v1alpha1"), &json!("ElectionGroup"), &json!("orders"))
    );
    let group = GroupRef { namespace: "shop".to_owned(), id: Identity::new("orders", "orders-uid") };
    let version = desk.store.group(&group).unwrap().metadata.resource_version;
    assert_eq!(version.as_deref(), Some("8"), "the answer was read, whoever wrote which field and when");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_sends_what_it_changes_and_leaves_the_rest_of_the_lease_alone() {
    let desk = Desk::before(accepting);
    let seen: Lease = serde_json::from_value(lease(7)).unwrap();
    desk.store.see_lease(seen.into(), false);
    desk.carry_out(lease_write(Some(7), LeaseTurn::Renew)).await.unwrap();
    let sent = desk.sent();
    let [(what, body)] = &sent[..] else { panic!("{sent:#?}") };
    assert_eq!(what, "PATCH /apis/coordination.k8s.io/v1/namespaces/shop/leases/orders");
    let annotations = json!({ "election-operator.io/term": "2" });
    assert_eq!(body["metadata"], json!({ "uid": "l", "resourceVersion": "7", "annotations": annotations }));
    let mut spec = body["spec"].clone();
    assert!(spec.as_object_mut().unwrap().remove("renewTime").is_some());
    assert_eq!(spec, json!({ "holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 3 }));
}

#[tokio::test(start_paused = true)]
async fn whoever_else_owns_a_lease_that_is_taken_goes_on_to_own_it() {
    let desk = Desk::before(accepting);
    let mut foreign = lease(7);
    foreign["metadata"]["ownerReferences"][1]["uid"] = json!("an-earlier-group");
    foreign["metadata"]["ownerReferences"][0]["controller"] = json!(true);
    let seen: Lease = serde_json::from_value(foreign).unwrap();
    desk.store.see_lease(seen.into(), false);
    desk.carry_out(lease_write(Some(7), LeaseTurn::Take)).await.unwrap();
    let body = &desk.sent()[0].1;
    assert_eq!(
        body["metadata"]["ownerReferences"],
        json!([
            { "apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "c-uid" },
            { "apiVersion": "election-operator.io/v1alpha1", "kind": "ElectionGroup", "name": "orders",
              "uid": "orders-uid", "controller": true },
        ])
    );
    assert!(body["spec"]["acquireTime"].is_string());
}

/// The watch of Leases may tell of it half a minute later.
#[tokio::test(start_paused = true)]
async fn a_lease_that_is_there_already_is_looked_at_and_planned_for_anew() {
    let desk = Desk::before(|what| match what {
        what if what.starts_with("POST") => status(409, "AlreadyExists"),
        _ => (200, lease(7)),
    });
    let error = desk.carry_out(lease_write(None, LeaseTurn::Take)).await.unwrap_err();
    assert!(error.is_news(), "{error}");
    assert!(desk.store.lease("shop", "orders").is_some(), "{:?}", desk.verbs());
}

/// The answer of a PATCH to a UID that the name does not belong to any more.
#[tokio::test(start_paused = true)]
async fn a_lease_whose_name_is_anothers_by_now_is_looked_at() {
    let desk = Desk::before(|what| match what {
        what if what.starts_with("PATCH") => {
            let causes = json!([{ "field": "metadata.uid", "reason": "FieldValueInvalid" }]);
            (
                422,
                json!({ "kind": "Status", "code": 422, "reason": "Invalid", "message": "no",
                "details": { "name": "orders", "causes": causes } }),
            )
        }
        _ => {
            let mut other = lease(9);
            other["metadata"]["uid"] = json!("other");
            (200, other)
        }
    });
    let seen: Lease = serde_json::from_value(lease(7)).unwrap();
    desk.store.see_lease(seen.into(), false);
    let error = desk.carry_out(lease_write(Some(7), LeaseTurn::Renew)).await.unwrap_err();
    assert!(error.is_news(), "{error}");
    assert_eq!(desk.store.lease("shop", "orders").unwrap().metadata.uid.as_deref(), Some("other"));
}

/// To the API server a version of 0 is no condition.
#[tokio::test(start_paused = true)]
async fn nothing_is_written_without_a_condition() {
    let desk = Desk::before(accepting);
    let pod = json!({ "metadata": { "name": "a", "namespace": "shop", "uid": "a-uid", "labels": { "app": "orders" } } });
    desk.store.see_pod(serde_json::from_value::<Pod>(pod).unwrap());
    let write =
        PodWrite { pod: Identity::new("a", "a-uid"), version: Version(0), term: Term::new(1).unwrap() };
    let error = desk.carry_out(Intent::Promote(write)).await.unwrap_err();
    assert!(matches!(error, Error::NoVersion { .. }), "{error}");
    assert!(desk.sent().is_empty(), "{:?}", desk.verbs());
}
