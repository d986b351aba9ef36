//! What the applier sends, and what it makes of the answer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test: what cannot be is a failure"
)]

use std::sync::{Arc, Mutex};

use election_operator::api::{ElectionGroup, Lease, Pod};
use election_operator::cache::wakes::wakes;
use election_operator::cache::{Cache, GroupRef};
use election_operator::clock::Clock;
use election_operator::controller::apply::Applier;
use election_operator::controller::apply::events::EventQueue;
use election_operator::controller::checks::Health;
use election_operator::controller::error::Error;
use election_operator::controller::permit::WritePermit;
use election_operator::controller::requests::Requests;
use election_operator::metrics::Metrics;
use election_operator::planner::plan::{Intent, LeaseAction, LeaseWrite, PodWrite, Step};
use election_operator::planner::plan_group;
use election_operator::planner::seen::{CandidateReport, GroupStatus, GroupView, Snapshot};
use election_operator::planner::{Identity, Millis, Term, Version};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::runtime::events::Reporter;
use serde_json::{Value, json};

/// A request that was sent: verb and path, then the body.
type Sent = (String, Value);

/// The applier of an operator, with its cache and an API server that answers by a function.
struct Setup {
    cache: Arc<Cache>,
    applier: Applier,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Setup {
    /// The cache has the group already.
    fn before(answer: fn(&str) -> (u16, Value)) -> Self {
        let setup = Self::in_view_of(move |_, (what, _)| answer(what));
        setup.cache.upsert_group(serde_json::from_value(group()).unwrap());
        setup
    }

    /// The cache is empty. Answers may depend on the body, and may change the cache.
    fn in_view_of(answer: impl Fn(&Cache, &Sent) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let clock = Clock::start();
        let cache = Arc::new(Cache::new(clock, wakes().0));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (answer, log, known) = (Arc::new(answer), sent.clone(), cache.clone());
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (answer, log, known) = (answer.clone(), log.clone(), known.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let what = format!("{} {}", parts.method, parts.uri.path());
                let sent = (what, serde_json::from_slice(&body).unwrap_or_default());
                let (code, answer) = answer(&known, &sent);
                log.lock().unwrap().push(sent);
                let body = Body::from(answer.to_string().into_bytes());
                Ok::<_, std::io::Error>(http::Response::builder().status(code).body(body).unwrap())
            }
        });
        let health = Arc::new(Health::new(clock));
        let requests = Requests::new(Client::new(service, "default"), WritePermit::always(), health);
        let reporter = Reporter { controller: "test".to_owned(), instance: None };
        let metrics = Arc::new(Metrics::default());
        let (events, _) = EventQueue::new(requests.clone(), reporter, metrics.clone());
        let applier = Applier::new(clock, requests, cache.clone(), events, metrics);
        Self { cache, applier, sent }
    }

    async fn carry_out(&self, intent: Intent) -> Result<(), Error> {
        self.apply(&[step(vec![intent])]).await
    }

    async fn apply(&self, steps: &[Step]) -> Result<(), Error> {
        self.applier.apply(&group_ref(), Version(5), steps, None).await
    }

    fn snapshot(&self) -> Snapshot {
        match self.cache.view(&group_ref()) {
            GroupView::Present(snapshot) => *snapshot,
            other => panic!("the group is there: {other:?}"),
        }
    }

    fn see_pod(&self, name: &str) {
        let ready = json!([{ "type": "Ready", "status": "True" }]);
        let pod = json!({
            "metadata": {
                "name": name, "namespace": "shop", "uid": format!("{name}-uid"), "resourceVersion": "5",
                "labels": { "app": "orders" },
            },
            "spec": { "nodeName": "node" },
            "status": { "phase": "Running", "conditions": ready },
        });
        self.cache.upsert_pod(serde_json::from_value::<Pod>(pod).unwrap());
    }

    fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    fn verbs(&self) -> Vec<String> {
        self.sent().into_iter().map(|(what, _)| what).collect()
    }
}

fn group_ref() -> GroupRef {
    GroupRef { namespace: "shop".to_owned(), id: Identity::new("orders", "orders-uid") }
}

fn step(intents: Vec<Intent>) -> Step {
    Step { after_fence: Millis::default(), intents }
}

fn write_to(name: &str) -> PodWrite {
    let pod = Identity::new(name, format!("{name}-uid"));
    PodWrite { pod, version: Version(5), term: Term::new(2).unwrap() }
}

fn group() -> Value {
    json!({
        "apiVersion": "election-operator.io/v1alpha1", "kind": "ElectionGroup",
        "metadata": { "name": "orders", "namespace": "shop", "uid": "orders-uid", "resourceVersion": "5" },
        "spec": { "selector": { "matchLabels": { "app": "orders" } } },
    })
}

/// A `managedFields` entry with a time later than any library here can represent.
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

fn lease_write(base: Option<u64>, turn: LeaseAction) -> Intent {
    Intent::WriteLease(LeaseWrite {
        name: "orders".to_owned(),
        base: base.map(|version| ("l".to_owned(), Version(version))),
        action: turn,
        holder: (turn != LeaseAction::Release).then(|| Identity::new("a", "uid-a")),
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

/// The API server keeps all other fields of the object, whatever the body says of them.
#[tokio::test(start_paused = true)]
async fn a_status_is_written_with_its_condition_and_nothing_of_others() {
    let setup = Setup::before(accepting);
    setup.carry_out(Intent::WriteStatus(Box::default())).await.unwrap();
    let sent = setup.sent();
    let [(what, body)] = &sent[..] else { panic!("{sent:#?}") };
    assert_eq!(what, "PUT /apis/election-operator.io/v1alpha1/namespaces/shop/electiongroups/orders/status");
    let metadata =
        json!({ "name": "orders", "namespace": "shop", "uid": "orders-uid", "resourceVersion": "5" });
    assert_eq!(body["metadata"], metadata);
    assert_eq!(
        (&body["apiVersion"], &body["kind"], &body["spec"]["selector"]["matchLabels"]["app"]),
        (&json!("election-operator.io/v1alpha1"), &json!("ElectionGroup"), &json!("orders"))
    );
    let version = setup.cache.group(&group_ref()).unwrap().metadata.resource_version;
    assert_eq!(version.as_deref(), Some("8"), "the answer was read in spite of its odd time");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_sends_what_it_changes_and_leaves_the_rest_of_the_lease_alone() {
    let setup = Setup::before(accepting);
    let seen: Lease = serde_json::from_value(lease(7)).unwrap();
    setup.cache.upsert_lease(seen.into(), false);
    setup.carry_out(lease_write(Some(7), LeaseAction::Renew)).await.unwrap();
    let sent = setup.sent();
    let [(what, body)] = &sent[..] else { panic!("{sent:#?}") };
    assert_eq!(what, "PATCH /apis/coordination.k8s.io/v1/namespaces/shop/leases/orders");
    let annotations = json!({ "election-operator.io/term": "2", "election-operator.io/holder-uid": "uid-a" });
    assert_eq!(body["metadata"], json!({ "uid": "l", "resourceVersion": "7", "annotations": annotations }));
    let mut spec = body["spec"].clone();
    assert!(spec.as_object_mut().unwrap().remove("renewTime").is_some());
    assert_eq!(spec, json!({ "holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 3 }));
}

/// A pod that is recreated under its name must not read the Lease of the pod before as its own.
#[tokio::test(start_paused = true)]
async fn a_lease_names_the_uid_of_its_holder_from_its_creation_to_its_release() {
    let setup = Setup::before(accepting);
    setup.carry_out(lease_write(None, LeaseAction::Take)).await.unwrap();
    for (version, action) in [(7, LeaseAction::Take), (9, LeaseAction::Renew), (11, LeaseAction::Release)] {
        setup.cache.upsert_lease(serde_json::from_value::<Lease>(lease(version)).unwrap().into(), false);
        setup.carry_out(lease_write(Some(version), action)).await.unwrap();
    }
    let sent = setup.sent();
    let told = sent.iter().map(|(_, body)| {
        let uid = &body["metadata"]["annotations"]["election-operator.io/holder-uid"];
        (body["spec"]["holderIdentity"].as_str().unwrap(), uid.as_str())
    });
    let held = ("a", Some("uid-a"));
    assert_eq!(told.collect::<Vec<_>>(), [held, held, held, ("", None)]);
}

#[tokio::test(start_paused = true)]
async fn other_owners_of_a_lease_that_is_taken_go_on_to_own_it() {
    let setup = Setup::before(accepting);
    let mut foreign = lease(7);
    foreign["metadata"]["ownerReferences"][1]["uid"] = json!("an-earlier-group");
    foreign["metadata"]["ownerReferences"][0]["controller"] = json!(true);
    let seen: Lease = serde_json::from_value(foreign).unwrap();
    setup.cache.upsert_lease(seen.into(), false);
    setup.carry_out(lease_write(Some(7), LeaseAction::Take)).await.unwrap();
    let body = &setup.sent()[0].1;
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

/// The watch of Leases may deliver it half a minute later.
#[tokio::test(start_paused = true)]
async fn a_lease_that_exists_already_is_read_and_planned_for_anew() {
    let setup = Setup::before(|what| match what {
        what if what.starts_with("POST") => status(409, "AlreadyExists"),
        _ => (200, lease(7)),
    });
    let error = setup.carry_out(lease_write(None, LeaseAction::Take)).await.unwrap_err();
    assert!(error.is_stale(), "{error}");
    assert!(setup.cache.lease("shop", "orders").is_some(), "{:?}", setup.verbs());
}

/// A PATCH with a UID gets this answer once another object has the name.
#[tokio::test(start_paused = true)]
async fn a_lease_recreated_under_its_name_is_read() {
    let setup = Setup::before(|what| match what {
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
    setup.cache.upsert_lease(seen.into(), false);
    let error = setup.carry_out(lease_write(Some(7), LeaseAction::Renew)).await.unwrap_err();
    assert!(error.is_stale(), "{error}");
    assert_eq!(setup.cache.lease("shop", "orders").unwrap().metadata.uid.as_deref(), Some("other"));
}

/// The API server does not treat version 0 as a condition.
#[tokio::test(start_paused = true)]
async fn nothing_is_written_without_a_condition() {
    let setup = Setup::before(accepting);
    let metadata = json!({ "name": "a", "namespace": "shop", "uid": "a-uid", "labels": { "app": "orders" } });
    let pod = json!({ "metadata": metadata });
    setup.cache.upsert_pod(serde_json::from_value::<Pod>(pod).unwrap());
    let write =
        PodWrite { pod: Identity::new("a", "a-uid"), version: Version(0), term: Term::new(1).unwrap() };
    let error = setup.carry_out(Intent::Promote(write)).await.unwrap_err();
    assert!(matches!(error, Error::NoVersion { .. }), "{error}");
    assert!(setup.sent().is_empty(), "{:?}", setup.verbs());
}

#[tokio::test(start_paused = true)]
async fn a_fence_that_was_never_sent_does_not_count_as_done() {
    let setup = Setup::in_view_of(|cache, _| {
        // The watch delivers the group again just when the Lease is written.
        cache.upsert_group(serde_json::from_value::<ElectionGroup>(group()).unwrap());
        (201, lease(9))
    });
    setup.see_pod("p");
    setup.see_pod("q");
    let steps = [
        step(vec![Intent::Fence(write_to("p")), lease_write(None, LeaseAction::Take)]),
        step(vec![Intent::Promote(write_to("q"))]),
    ];
    let error = setup.apply(&steps).await.unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    assert_eq!(setup.verbs(), ["POST /apis/coordination.k8s.io/v1/namespaces/shop/leases"]);
}

/// A CRD of an earlier release prunes the list of unfenced pods.
#[tokio::test(start_paused = true)]
async fn a_record_that_the_api_server_does_not_keep_promotes_no_pod() {
    let setup = Setup::in_view_of(|_, (what, body)| {
        assert!(what.ends_with("/orders/status"), "{what}");
        let mut group = body.clone();
        group["metadata"]["resourceVersion"] = json!("6");
        group["status"]["unfenced"] = json!([]);
        (200, group)
    });
    setup.cache.upsert_group(serde_json::from_value(group()).unwrap());
    setup.see_pod("p");
    setup.see_pod("q");
    let error = setup.apply(plan_group(&setup.snapshot()).steps()).await.unwrap_err();
    assert!(matches!(error, Error::NotKept { .. }), "{error}");
    assert_eq!(setup.sent().len(), 1, "{:?}", setup.verbs());
    assert_eq!(setup.snapshot().group.policy.unwrap_err().reason, "RecordNotKept");
    // Only the report follows.
    let next: Vec<_> =
        plan_group(&setup.snapshot()).into_steps().into_iter().flat_map(|step| step.intents).collect();
    let says = |intent: &Intent| matches!(intent, Intent::WriteStatus(_) | Intent::PublishEvent(_));
    assert!(next.iter().all(says), "{next:?}");
}

/// A CRD of an earlier release prunes what the status says of single pods. The operator must not
/// write it again and again.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_crd_cuts_from_the_status_counts_as_told() {
    let report = CandidateReport { name: "a".to_owned(), rank: Some(1), reason: "Eligible".to_owned() };
    let pods = vec![report];
    let setup = Setup::in_view_of(|_, (_, body)| {
        let mut group = body.clone();
        assert_eq!(group["status"]["pods"], json!([{ "name": "a", "rank": 1, "reason": "Eligible" }]));
        group["metadata"]["resourceVersion"] = json!("6");
        group["status"]["pods"] = json!([]);
        (200, group)
    });
    setup.cache.upsert_group(serde_json::from_value(group()).unwrap());
    let status = GroupStatus { pods: pods.clone(), ..setup.snapshot().group.status };
    setup.carry_out(Intent::WriteStatus(Box::new(status))).await.unwrap();
    assert_eq!(setup.snapshot().group.status.pods, pods);
}
