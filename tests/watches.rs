//! The watches, against an API server that falls silent or refuses. The clock is virtual.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test: what cannot be is a failure"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use election_operator::cache::wakes::wakes;
use election_operator::cache::{Cache, GroupRef, GroupView, Kind};
use election_operator::clock::Clock;
use election_operator::controller::checks::Health;
use election_operator::controller::permit::WritePermit;
use election_operator::controller::requests::Requests;
use election_operator::controller::watches::{self, LiveReader};
use election_operator::metrics::Metrics;
use election_operator::planner::{Identity, Millis, Term, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

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
    /// Is away from the tenth second to the seventieth after that moment.
    Restarting(Clock, Millis),
    /// Has one object of each kind that is as odd as the API server lets it be, and one that is not.
    Odd,
}

/// An object with an entry of `managedFields` whose time is later than any that Rust's libraries can hold: the API
/// server takes it from whoever writes.
fn odd(name: &str, namespace: &str) -> Value {
    let entry = json!({ "manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "time": "9999-12-31T23:59:59Z", "fieldsV1": {} });
    json!({ "metadata": { "name": name, "namespace": namespace, "uid": format!("{name}-uid"),
        "resourceVersion": "6", "managedFields": [entry] } })
}

fn plain(name: &str, namespace: &str) -> Value {
    let mut object = odd(name, namespace);
    object["metadata"]["managedFields"] = json!([]);
    object
}

fn group(mut object: Value, spec: &Value) -> Value {
    object["spec"] = spec.clone();
    object
}

/// What there is of a kind.
fn odd_objects(path: &str) -> Vec<Value> {
    let spec = json!({ "selector": { "matchLabels": { "app": "orders" } } });
    match path {
        path if path.ends_with("electiongroups") => vec![
            group(odd("odd", "shop"), &spec),
            group(plain("unreadable", "shop"), &json!({ "selector": 7 })),
            group(plain("plain", "shop"), &spec),
        ],
        path if path.contains("kube-node-lease") => {
            vec![odd("odd", "kube-node-lease"), plain("plain", "kube-node-lease")]
        }
        _ => vec![odd("odd", "shop"), plain("plain", "shop")],
    }
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

fn is_watch(uri: &http::Uri) -> bool {
    uri.query().is_some_and(|query| query.contains("watch=true"))
}

impl Server {
    fn answer(self, uri: &http::Uri) -> http::Response<Answer> {
        let refused = json!({ "kind": "Status", "code": 403, "reason": "Forbidden", "message": "no" });
        match self {
            Self::WithNode => status(200, &node_leases()),
            Self::Restarting(..) if is_watch(uri) => {
                let ended = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
                let end = async move {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    ended
                };
                http::Response::new(StreamBody::new(futures::stream::once(end)).boxed_unsync())
            }
            Self::Odd if !is_watch(uri) => {
                let mut list = list(uri.path());
                list["items"] = json!(odd_objects(uri.path()));
                status(200, &list)
            }
            Self::Refusing if uri.path().ends_with("services") => status(403, &refused),
            _ if is_watch(uri) => {
                let never = futures::stream::pending();
                http::Response::new(StreamBody::new(never).boxed_unsync())
            }
            _ => status(200, &list(uri.path())),
        }
    }

    fn is_away(self) -> bool {
        let Self::Restarting(clock, begun) = self else { return false };
        (Millis::from_seconds(10)..Millis::from_seconds(70)).contains(&clock.now().since(begun))
    }

    fn client(self, log: impl Fn(String) + Send + Sync + 'static) -> Client {
        let answer = move |request: http::Request<Body>| {
            log(request.uri().to_string());
            let answer = if self.is_away() {
                Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
            } else {
                Ok(self.answer(request.uri()))
            };
            async move { answer }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    /// The requests of all watches in a virtual minute.
    async fn asked_in_a_minute(self) -> Vec<String> {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let client = self.client(move |uri| log.lock().unwrap().push(uri));
        let clock = Clock::start();
        let (wake, _woken) = wakes();
        let (store, health) = (Cache::new(clock, wake), Health::new(clock));
        let watches = watches::watch(client, None, Arc::new(store), Arc::new(health));
        assert!(tokio::time::timeout(Duration::from_secs(60), watches).await.is_err());
        asked.lock().unwrap().clone()
    }
}

fn names(store: &Cache, kind: Kind) -> Vec<String> {
    store.known(kind, None).into_iter().map(|(_, id)| id.name).collect()
}

#[tokio::test(start_paused = true)]
async fn one_object_that_cannot_be_read_hides_no_other_of_its_kind() {
    let client = Server::Odd.client(|_| ());
    let clock = Clock::start();
    let (wake, _woken) = wakes();
    let (store, health) = (Arc::new(Cache::new(clock, wake)), Arc::new(Health::new(clock)));
    let watches = watches::watch(client.clone(), None, store.clone(), health.clone());
    let nodes = watches::watch_nodes(client, store.clone(), health.clone());
    let both = async { futures::join!(watches, nodes) };
    assert!(tokio::time::timeout(Duration::from_secs(5), Box::pin(both)).await.is_err());
    for kind in [Kind::Pod, Kind::Lease, Kind::Service] {
        assert_eq!(names(&store, kind), ["odd", "plain"], "{kind:?}");
    }
    assert_eq!(names(&store, Kind::Group), ["odd", "plain", "unreadable"]);
    let unreadable =
        GroupRef { namespace: "shop".to_owned(), id: Identity::new("unreadable", "unreadable-uid") };
    assert!(matches!(store.view(&unreadable), GroupView::Unreadable), "it is there, and is not served");
    for name in ["odd", "plain"] {
        let group = GroupRef { namespace: "shop".to_owned(), id: Identity::new(name, format!("{name}-uid")) };
        assert!(matches!(store.view(&group), GroupView::Present(_)), "{name}");
        assert!(!store.hear_node(name, Version(6), Millis::from_seconds(10)), "the node {name} was heard");
    }
    let told = health.readiness().unwrap();
    let line = "watch electiongroups.election-operator.io: shop/unreadable cannot be read: invalid type: integer `7`";
    assert!(told.lines().any(|told| told.starts_with(line)), "{told}");
    let metrics = Metrics::default();
    metrics.ask_watches_with(move || health.watches());
    let told = metrics.encode().unwrap();
    for line in [
        "election_operator_unreadable_objects{kind=\"electiongroups\"} 1",
        "election_operator_unreadable_objects{kind=\"pods\"} 0",
        "election_operator_watch_silent_seconds{kind=\"nodeleases\"} 5.0",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}\n{told}");
    }
}

/// All failovers wait for them.
#[tokio::test(start_paused = true)]
async fn watches_are_back_within_a_second_after_the_api_server_however_long_it_was_away() {
    let clock = Clock::start();
    let begun = clock.now();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let server = Server::Restarting(clock, begun);
    let client = server.client(move |uri| log.lock().unwrap().push((clock.now().since(begun), uri)));
    let (wake, _called) = wakes();
    let (store, health) = (Cache::new(clock, wake), Health::new(clock));
    let watches = watches::watch(client, None, Arc::new(store), Arc::new(health));
    assert!(tokio::time::timeout(Duration::from_secs(75), watches).await.is_err());
    for kind in ["pods", "leases", "electiongroups", "services"] {
        let asked = asked.lock().unwrap();
        let of_kind = || asked.iter().filter(|(_, uri)| uri.split('?').next().unwrap().ends_with(kind));
        let tries = of_kind().filter(|(at, _)| (10_000..70_000).contains(&at.0)).count();
        assert!((50..150).contains(&tries), "{kind}: {tries} tries in a minute");
        let back = of_kind().map(|(at, _)| at.0).find(|at| *at >= 70_000).unwrap();
        assert!(back <= 71_000, "{kind}: {back}");
    }
}

/// Each object may be as large as the API server takes it.
#[tokio::test(start_paused = true)]
async fn no_list_asks_for_more_than_a_hundred_objects_at_once() {
    for list in Server::Silent.asked_in_a_minute().await.iter().filter(|uri| !uri.contains("watch=true")) {
        assert!(list.contains("limit=100"), "{list}");
    }
}

fn asker(answer: impl Fn(&http::Uri) -> Value + Clone + Send + Sync + 'static) -> (Arc<Cache>, LiveReader) {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let answer = status(200, &answer(request.uri()));
        async move { Ok::<_, std::io::Error>(answer) }
    });
    let clock = Clock::start();
    let (wake, _called) = wakes();
    let store = Arc::new(Cache::new(clock, wake));
    let health = Arc::new(Health::new(clock));
    let requests = Requests::new(Client::new(service, "default"), WritePermit::always(), health);
    (store.clone(), LiveReader::new(requests, store))
}

#[tokio::test]
async fn who_wrote_a_label_is_read_whenever_it_was() {
    let (_, asker) = asker(|_| {
        let mut pod = odd("p", "shop");
        let fields = &mut pod["metadata"]["managedFields"][0];
        fields["manager"] = json!("election-operator");
        fields["fieldsV1"] = json!({ "f:metadata": { "f:labels": { "f:role": {} } } });
        pod
    });
    let labels = asker.labels_written_on("shop", &Identity::new("p", "p-uid")).await.unwrap();
    assert_eq!(labels, ["role"]);
}

#[tokio::test]
async fn a_group_is_asked_for_and_found_whoever_wrote_its_fields_and_when() {
    let (_, asker) =
        asker(|_| group(odd("g", "shop"), &json!({ "selector": { "matchLabels": { "app": "x" } } })));
    let id = GroupRef { namespace: "shop".to_owned(), id: Identity::new("g", "g-uid") };
    asker.confirm_group_exists(&id).await.unwrap();
}

#[tokio::test]
async fn a_group_that_cannot_be_read_is_not_taken_for_gone() {
    let (store, asker) = asker(|_| group(plain("g", "shop"), &json!({ "selector": 7 })));
    let id = GroupRef { namespace: "shop".to_owned(), id: Identity::new("g", "g-uid") };
    let error = asker.confirm_group_gone(&id).await.unwrap_err();
    assert_eq!(error.to_string(), "electiongroup shop/g is still there");
    assert!(matches!(store.view(&id), GroupView::Unreadable), "known by now, and not asked for again");
    asker.confirm_group_exists(&id).await.unwrap();
    let error = asker.confirm_record(&id, None, Term::new(1).unwrap()).await.unwrap_err();
    assert!(error.to_string().starts_with("electiongroup shop/g cannot be read: invalid type"), "{error}");
    let earlier = GroupRef { id: Identity::new("g", "earlier"), ..id };
    asker.confirm_group_gone(&earlier).await.unwrap();
}

/// Its name is another pod's by now, and whether that one can be read does not matter.
#[tokio::test]
async fn a_pod_is_gone_also_if_who_has_its_name_cannot_be_read() {
    let (_, asker) = asker(|_| {
        let mut pod = plain("p", "shop");
        pod["metadata"]["labels"] = json!({ "more": "x".repeat(70_000) });
        pod
    });
    let earlier = Identity::new("p", "earlier");
    asker.confirm_pod_gone("shop", &earlier).await.unwrap();
    asker.confirm_pod_unchanged("shop", &earlier, Version(3)).await.unwrap();
    let present = Identity::new("p", "p-uid");
    for error in [
        asker.confirm_pod_gone("shop", &present).await.unwrap_err(),
        asker.confirm_pod_unchanged("shop", &present, Version(6)).await.unwrap_err(),
    ] {
        assert!(!error.is_stale(), "asked for without a pause: {error}");
        assert!(error.to_string().starts_with("pod shop/p cannot be read: it is too large"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_older_than_what_was_known_tells_that_versions_went_backwards() {
    let (store, asker) = asker(|_| plain("p", "shop"));
    let mut known = plain("p", "shop");
    known["metadata"]["resourceVersion"] = json!("7");
    store.upsert_pod(serde_json::from_value(known).unwrap());
    asker.read_pod("shop", &Identity::new("p", "p-uid")).await.unwrap();
    let found = tokio::time::timeout(Duration::from_secs(1), store.until_backwards()).await.unwrap();
    assert_eq!((found.object.as_str(), found.known, found.answered), ("pod shop/p", 7, 6));
}

/// An address of more than 64 KiB cannot even be sent, and proxies take less.
#[tokio::test]
async fn pods_of_a_group_with_a_long_selector_are_listed_without_it() {
    let uris = Arc::new(Mutex::new(Vec::new()));
    let log = uris.clone();
    let (store, asker) = asker(move |uri| {
        log.lock().unwrap().push(uri.to_string());
        let mut pod = plain("p", "shop");
        pod["metadata"]["labels"] = json!({ "app": "v7" });
        let mut list = list(uri.path());
        list["items"] = json!([pod, plain("other", "shop")]);
        list
    });
    let id = GroupRef { namespace: "shop".to_owned(), id: Identity::new("g", "g-uid") };
    for (many, selects) in [(10, true), (9000, false)] {
        let values: Vec<_> = (0..many).map(|number| format!("v{number}")).collect();
        let expression = json!({ "key": "app", "operator": "In", "values": values });
        let mut object =
            group(plain("g", "shop"), &json!({ "selector": { "matchExpressions": [expression] } }));
        object["metadata"]["resourceVersion"] = json!((10 + many).to_string());
        store.upsert_group(serde_json::from_value(object).unwrap());
        asker.list_pods(&id, Version(1)).await.unwrap();
        let uri = uris.lock().unwrap().pop().unwrap();
        assert_eq!(uri.contains("labelSelector"), selects, "{uri}");
        let GroupView::Present(seen) = store.view(&id) else { panic!("it is there") };
        let pods: Vec<_> = seen.pods.iter().map(|pod| pod.id.name.as_str()).collect();
        assert_eq!((pods, seen.listed_for), (vec!["p"], Some(Version(1))));
    }
}

/// It may carry the leader label.
#[tokio::test]
async fn a_list_with_a_pod_that_cannot_be_read_proves_nothing() {
    let (store, asker) = asker(|uri| {
        let mut pod = plain("p", "shop");
        pod["metadata"]["labels"] = json!({ "app": "x", "more": "x".repeat(70_000) });
        let mut list = list(uri.path());
        list["items"] = json!([pod]);
        list
    });
    let id = GroupRef { namespace: "shop".to_owned(), id: Identity::new("g", "g-uid") };
    let object = group(plain("g", "shop"), &json!({ "selector": { "matchLabels": { "app": "x" } } }));
    store.upsert_group(serde_json::from_value(object).unwrap());
    let error = asker.list_pods(&id, Version(1)).await.unwrap_err();
    assert!(error.to_string().starts_with("pod shop/p cannot be read: it is too large"), "{error}");
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
    let (wake, _woken) = wakes();
    let clock = Clock::start();
    let store = Arc::new(Cache::new(clock, wake));
    store.hear_node("north", Version(5), Millis::from_seconds(10));
    let client =
        Server::WithNode.client(|uri| assert!(uri.contains("fieldSelector=metadata.name%3Dnorth"), "{uri}"));
    let requests = Requests::new(client, WritePermit::always(), Arc::new(Health::new(clock)));
    let asker = LiveReader::new(requests, store);
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
    let (wake, _woken) = wakes();
    let store = Arc::new(Cache::new(clock, wake));
    let group = json!({
        "metadata": { "name": "db", "namespace": "shop", "uid": "db-uid", "resourceVersion": "1" },
        "spec": { "selector": { "matchLabels": { "app": "db" } }, "failover": { "nodeSilentSeconds": 20 } },
    });
    store.upsert_group(serde_json::from_value(group).unwrap());
    for node in ["a", "b", "c"] {
        let metadata = json!({ "name": node, "namespace": "shop", "uid": node, "resourceVersion": "2", "labels": { "app": "db" } });
        store.upsert_pod(
            serde_json::from_value(json!({ "metadata": metadata, "spec": { "nodeName": node } })).unwrap(),
        );
    }
    let answer =
        move |request: http::Request<Body>| std::future::ready(restarting(clock, begun, request.uri()));
    let client = Client::new(tower::service_fn(answer), "default");
    tokio::spawn(watches::watch_nodes(client, store.clone(), Arc::new(Health::new(clock))));
    let group = GroupRef { namespace: "shop".to_owned(), id: Identity::new("db", "db-uid") };
    for second in 0..50 {
        let GroupView::Present(seen) = store.view(&group) else { panic!("the group is there") };
        let silent: Vec<_> = seen.pods.iter().filter(|pod| pod.node_is_silent(seen.now)).collect();
        assert!(silent.is_empty(), "at {second} s: {silent:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let GroupView::Present(seen) = store.view(&group) else { panic!("the group is there") };
    assert!(seen.pods.iter().all(|pod| pod.node_silent_from.is_some()), "{seen:#?}");
}
