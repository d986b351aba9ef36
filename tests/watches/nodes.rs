//! Heartbeats of nodes, while the API server is away or a watch stalls.

use super::*;

#[tokio::test]
async fn a_node_that_was_heard_while_its_watch_was_stalled_is_not_silent() {
    let (wake, _woken) = wakes();
    let clock = Clock::start();
    let cache = Arc::new(Cache::new(clock, wake));
    cache.hear_node("north", Version(5), Millis::from_seconds(10));
    let client =
        Server::WithNode.client(|uri| assert!(uri.contains("fieldSelector=metadata.name%3Dnorth"), "{uri}"));
    let requests = Requests::new(client, WritePermit::always(), Arc::new(Health::new(clock)));
    let reader = LiveReader::new(requests, cache);
    reader.confirm_node_silent("north").await.unwrap_err();
    // The first live read has brought the heartbeat. A second one brings no newer version.
    reader.confirm_node_silent("north").await.unwrap();
}

/// When each node renews its Lease, in seconds. From 9 s to 31 s the API server is away, and no
/// node can renew.
const BEATS: [(&str, u64); 6] = [("a", 0), ("b", 4), ("c", 8), ("a", 34), ("b", 35), ("c", 36)];

fn node_lease(node: &str, version: u64) -> Value {
    json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": node, "namespace": "kube-node-lease", "resourceVersion": version.to_string() } })
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
    let cache = Arc::new(Cache::new(clock, wake));
    let group = json!({
        "metadata": { "name": "db", "namespace": "shop", "uid": "db-uid", "resourceVersion": "1" },
        "spec": { "selector": { "matchLabels": { "app": "db" } }, "failover": { "nodeSilentSeconds": 20 } },
    });
    cache.upsert_group(serde_json::from_value(group).unwrap());
    for node in ["a", "b", "c"] {
        let metadata = json!({
            "name": node, "namespace": "shop", "uid": node, "resourceVersion": "2",
            "labels": { "app": "db" },
        });
        cache.upsert_pod(
            serde_json::from_value(json!({ "metadata": metadata, "spec": { "nodeName": node } })).unwrap(),
        );
    }
    let answer =
        move |request: http::Request<Body>| std::future::ready(restarting(clock, begun, request.uri()));
    let client = Client::new(tower::service_fn(answer), "default");
    tokio::spawn(watches::watch_nodes(client, cache.clone(), Arc::new(Health::new(clock))));
    let group = GroupRef { namespace: "shop".to_owned(), id: Identity::new("db", "db-uid") };
    for second in 0..50 {
        let GroupView::Present(seen) = cache.view(&group) else { panic!("the group is there") };
        let silent: Vec<_> = seen.pods.iter().filter(|pod| pod.node_is_silent(seen.now)).collect();
        assert!(silent.is_empty(), "at {second} s: {silent:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let GroupView::Present(seen) = cache.view(&group) else { panic!("the group is there") };
    assert!(seen.pods.iter().all(|pod| pod.node_silent_from.is_some()), "{seen:#?}");
}
