//! How a record is written to a Lease and read from it, and client-go's tests of its lock.

use std::collections::BTreeMap;

use lease_elector::decisions::record::RecordWrite;
use lease_elector::decisions::time::{Nanos, WallMicros};
use lease_elector::decisions::{Answer, LeaseRequest};
use lease_elector::lease_client::{LeaseClient, fill_record, read_record};
use serde_json::{Map, Value, json};

use crate::clock::TestClock;
use crate::server::{Fault, LEASE, NAMESPACE, Server};
use crate::support::*;

fn client(server: &Server, labels: &[(&str, &str)]) -> LeaseClient {
    let labels: BTreeMap<_, _> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    LeaseClient::new(server.client(0, &TestClock::new()), NAMESPACE, LEASE, labels)
}

fn write(holder: &str) -> RecordWrite {
    RecordWrite {
        holder: holder.to_owned(),
        seconds: 15,
        acquire_time: WallMicros(1_767_225_600_000_000),
        renew_time: WallMicros(1_767_225_600_123_400),
        transitions: 3,
    }
}

async fn call(lease: &mut LeaseClient, request: LeaseRequest) -> Answer {
    let reply = lease.send(&request).await;
    lease.take(&request, reply).0
}

async fn update(lease: &mut LeaseClient, server: &Server) -> Answer {
    let on = server.lease()["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    call(lease, LeaseRequest::Update { on, write: write(ME) }).await
}

#[tokio::test(start_paused = true)]
async fn lease_spec_to_leader_election_record_round_trip() {
    let mut spec = Map::new();
    fill_record(&mut spec, &write("foo"));
    let lease = |spec: &Map<String, Value>| json!({ "metadata": { "uid": "u" }, "spec": spec });
    let record = read_record(&lease(&spec)).unwrap();
    let again = RecordWrite {
        holder: record.holder.clone(),
        seconds: i32::try_from(record.duration.0 / 1_000_000_000).unwrap(),
        acquire_time: record.acquire_time.unwrap(),
        renew_time: record.renew_time.unwrap(),
        transitions: record.transitions,
    };
    assert_eq!(again, write("foo"));
    let mut second = Map::new();
    fill_record(&mut second, &again);
    assert_eq!((&second, read_record(&lease(&second)).unwrap()), (&spec, record));
}

#[tokio::test(start_paused = true)]
async fn times_have_six_decimals_in_utc() {
    let mut spec = Map::new();
    fill_record(&mut spec, &write("foo"));
    assert_eq!(spec["acquireTime"], "2026-01-01T00:00:00.000000Z");
    assert_eq!(spec["renewTime"], "2026-01-01T00:00:00.123400Z");
}

#[tokio::test(start_paused = true)]
async fn get_error_of_a_missing_lease_is_not_found() {
    let server = Server::new();
    assert_eq!(call(&mut client(&server, &[]), LeaseRequest::Get).await, Answer::Missing);
}

#[tokio::test(start_paused = true)]
async fn a_404_that_does_not_name_the_lease_is_no_proof_that_it_is_gone() {
    let server = Server::new();
    server.put(json!({}));
    server.fault("get", 1, Fault::refuse(404));
    assert_eq!(call(&mut client(&server, &[]), LeaseRequest::Get).await, Answer::Unknown);
}

#[tokio::test(start_paused = true)]
async fn get_reads_all_seven_fields() {
    let server = Server::new();
    server.with(|state| state.coordinated = true);
    let spec = json!({
        "holderIdentity": "bing", "leaseDurationSeconds": 7, "leaseTransitions": 5,
        "acquireTime": "2026-01-01T00:00:00.000001Z", "renewTime": "2026-01-01T00:00:00.000002Z",
        "strategy": "OldestEmulationVersion", "preferredHolder": "bong",
    });
    server.put(spec.clone());
    let Answer::Found(record) = call(&mut client(&server, &[]), LeaseRequest::Get).await else {
        panic!("not found")
    };
    assert_eq!((record.holder.as_str(), record.duration.0, record.transitions), ("bing", 7_000_000_000, 5));
    assert_eq!(record.renew_time.unwrap().0 - record.acquire_time.unwrap().0, 1);
    assert_eq!(serde_json::from_str::<Value>(&record.content).unwrap(), spec);
}

#[tokio::test(start_paused = true)]
async fn nulls_read_as_zero() {
    let spec = json!({ "holderIdentity": null, "leaseDurationSeconds": null, "renewTime": null });
    let record = read_record(&json!({ "metadata": { "uid": "u" }, "spec": spec })).unwrap();
    assert_eq!((record.holder.as_str(), record.duration.0, record.renew_time), ("", 0, None));
    assert!(read_record(&json!({ "metadata": {} })).is_some());
}

#[tokio::test(start_paused = true)]
async fn create_error_of_a_second_create_is_a_conflict() {
    let server = Server::new();
    let mut lease = client(&server, &[]);
    assert!(matches!(call(&mut lease, LeaseRequest::Create(write(ME))).await, Answer::Written(_)));
    assert_eq!(call(&mut lease, LeaseRequest::Create(write(ME))).await, Answer::Conflict);
}

#[tokio::test(start_paused = true)]
async fn update_error_before_get_or_create() {
    let server = Server::new();
    let mut lease = client(&server, &[]);
    let request = LeaseRequest::Update { on: "1".to_owned(), write: write(ME) };
    let reply = lease.send(&request).await;
    let (answer, failure) = lease.take(&request, reply);
    assert_eq!(answer, Answer::Refused);
    assert_eq!(failure.unwrap().message, "lease not initialized, call get or create first");
    assert!(server.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn describe_is_namespace_and_name() {
    assert_eq!(client(&Server::new(), &[]).to_string(), "foo/bar");
}

#[tokio::test(start_paused = true)]
async fn update_with_nil_labels_on_lease() {
    let server = Server::new();
    server.put(json!({}));
    server.edit(|lease| lease["metadata"]["labels"] = Value::Null);
    let mut lease = client(&server, &[("own", "1")]);
    call(&mut lease, LeaseRequest::Get).await;
    assert!(matches!(update(&mut lease, &server).await, Answer::Written(_)));
    assert_eq!(server.lease()["metadata"]["labels"], json!({ "own": "1" }));
}

#[tokio::test(start_paused = true)]
async fn update_with_nil_labels_on_lease_lock() {
    let server = Server::new();
    server.put(json!({}));
    server.edit(|lease| lease["metadata"]["labels"] = json!({ "foreign": "1" }));
    let mut lease = client(&server, &[]);
    call(&mut lease, LeaseRequest::Get).await;
    assert!(matches!(update(&mut lease, &server).await, Answer::Written(_)));
    assert_eq!(server.lease()["metadata"]["labels"], json!({ "foreign": "1" }));
}

#[tokio::test(start_paused = true)]
async fn label_update_sets_the_own_key_back_and_keeps_the_foreign_one() {
    let server = Server::new();
    server.put(json!({}));
    server.edit(|lease| lease["metadata"]["labels"] = json!({ "foreign": "1", "own": "changed" }));
    let mut lease = client(&server, &[("own", "1")]);
    call(&mut lease, LeaseRequest::Get).await;
    update(&mut lease, &server).await;
    assert_eq!(server.lease()["metadata"]["labels"], json!({ "foreign": "1", "own": "1" }));
}

#[tokio::test(start_paused = true)]
async fn create_writes_the_labels_and_zero_transitions() {
    let server = Server::new();
    let config =
        lease_elector::ElectorConfig { labels: [("own".to_owned(), "1".to_owned())].into(), ..config() };
    let mut run = start(&server, config);
    run.until(true).await;
    assert_eq!(server.lease()["metadata"]["labels"], json!({ "own": "1" }));
    let spec = server.lease()["spec"].clone();
    assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&json!("baz"), &json!(15)));
    assert_eq!((&spec["leaseTransitions"], &spec["acquireTime"]), (&json!(0), &spec["renewTime"]));
}

#[tokio::test(start_paused = true)]
async fn fields_that_the_elector_does_not_own_are_kept_in_every_write() {
    let server = Server::new();
    server.with(|state| state.coordinated = true);
    server
        .put(json!({ "strategy": "example.com/own", "preferredHolder": "bong", "future": { "field": [1] } }));
    server.edit(|lease| {
        lease["metadata"]["annotations"] = json!({ "note": "keep" });
        lease["metadata"]["finalizers"] = json!(["example.com/f"]);
        lease["metadata"]["managedFields"] = json!([{ "manager": "m" }]);
    });
    let before = server.lease();
    let mut run = start(&server, config());
    run.until(true).await;
    after(seconds(12)).await;
    run.stop();
    run.ended().await;
    let states = server.with(|state| state.history.clone());
    assert!(states.len() >= 6, "acquired, renewed twice, released");
    for lease in states.iter().skip(2) {
        for field in ["strategy", "preferredHolder", "future"] {
            assert_eq!(lease["spec"][field], before["spec"][field]);
        }
        for field in ["annotations", "finalizers", "managedFields", "uid", "creationTimestamp"] {
            assert_eq!(lease["metadata"][field], before["metadata"][field], "{field}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_keeps_acquire_time_and_transitions_and_changes_renew_time() {
    let server = Server::new();
    let mut run = start(&server, config());
    run.until(true).await;
    let first = server.lease()["spec"].clone();
    after(seconds(6)).await;
    let second = server.lease()["spec"].clone();
    assert_eq!(
        (&first["acquireTime"], &first["leaseTransitions"]),
        (&second["acquireTime"], &second["leaseTransitions"])
    );
    assert_ne!(first["renewTime"], second["renewTime"]);
}

#[tokio::test(start_paused = true)]
async fn a_release_empties_the_holder_and_keeps_transitions() {
    let server = Server::new();
    server.put(json!({ "leaseTransitions": 6 }));
    let mut run = start(&server, config());
    run.until(true).await;
    after(seconds(3)).await;
    run.stop();
    run.ended().await;
    let spec = server.lease()["spec"].clone();
    assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&json!(""), &json!(1)));
    assert_eq!((&spec["leaseTransitions"], &spec["acquireTime"]), (&json!(7), &spec["renewTime"]));
}

#[tokio::test(start_paused = true)]
async fn transitions_go_on_after_a_deletion() {
    let server = Server::new();
    server.put(json!({ "holderIdentity": "bing", "leaseDurationSeconds": 15, "leaseTransitions": 4 }));
    let mut run = start(&server, config());
    after(seconds(1)).await;
    server.delete();
    run.until(true).await;
    assert_eq!(server.transitions(), 5);
}

#[tokio::test(start_paused = true)]
async fn put_of_a_deleted_lease_with_uid_does_not_create_it_again() {
    let server = Server::new();
    let mut lease = client(&server, &[]);
    call(&mut lease, LeaseRequest::Create(write(ME))).await;
    let on = server.lease()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    server.delete();
    assert_eq!(call(&mut lease, LeaseRequest::Update { on, write: write(ME) }).await, Answer::Conflict);
    assert_eq!(server.lease(), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_zero_asks_for_no_particular_pause() {
    let server = Server::new();
    server.fault("get", 1, Fault::busy(429, 0)).fault("get", 2, Fault::busy(429, 3));
    let mut lease = client(&server, &[]);
    assert_eq!(call(&mut lease, LeaseRequest::Get).await, Answer::Busy(None));
    assert_eq!(call(&mut lease, LeaseRequest::Get).await, Answer::Busy(Some(Nanos::from_seconds(3))));
}

#[tokio::test(start_paused = true)]
async fn answers_fall_into_classes() {
    let server = Server::new();
    let mut lease = client(&server, &[]);
    let nanos = lease_elector::Nanos::from_seconds;
    let cases = [
        (Fault::refuse(401), Answer::Refused),
        (Fault::refuse(403), Answer::Refused),
        (Fault::refuse(400), Answer::Refused),
        (Fault::refuse(422), Answer::Refused),
        (Fault::refuse(405), Answer::Refused),
        (Fault::refuse(409), Answer::Conflict),
        (Fault::refuse(429), Answer::Busy(None)),
        (Fault::busy(429, 3), Answer::Busy(Some(nanos(3)))),
        (Fault::busy(503, 2), Answer::Busy(Some(nanos(2)))),
        (Fault::refuse(500), Answer::Unknown),
        (Fault::refuse(504), Answer::Unknown),
        (Fault::reset(), Answer::Unknown),
        // The namespace does not exist.
        (Fault::refuse(404), Answer::Refused),
    ];
    for (nth, (fault, answer)) in cases.into_iter().enumerate() {
        server.fault("create", nth + 1, fault.clone());
        assert_eq!(call(&mut lease, LeaseRequest::Create(write(ME))).await, answer, "{fault:?}");
    }
}
