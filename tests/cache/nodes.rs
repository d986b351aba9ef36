//! Heartbeats of nodes.

use super::*;

/// How often nodes renew their Leases.
const INTERVAL: Millis = Millis::from_seconds(10);

#[tokio::test(start_paused = true)]
async fn a_silent_node_that_is_heard_again_wakes_the_groups_with_pods_on_it() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 2, None));
    for node in ["node", "y", "z"] {
        store.hear_node(node, Version(1), INTERVAL);
    }
    snapshot(&store, &reference("a", "a-uid"));
    names(&mut woken);
    tokio::time::advance(Duration::from_secs(36)).await;
    store.hear_node("node", Version(1), INTERVAL);
    assert!(names(&mut woken).is_empty(), "a known version is no heartbeat");
    store.hear_node("y", Version(2), INTERVAL);
    assert!(names(&mut woken).is_empty(), "no pod is there");
    store.hear_node("node", Version(2), INTERVAL);
    assert_eq!(names(&mut woken), ["a/a-uid"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_heartbeat_wakes_only_the_groups_with_less_patience_than_it_took() {
    let (store, mut woken) = store();
    let mut hasty = serde_json::to_value(group("hasty", "h-uid", 2)).unwrap();
    hasty["spec"]["failover"] = json!({ "nodeSilentSeconds": 15 });
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_group(serde_json::from_value(hasty).unwrap());
    store.upsert_pod(pod("p", 3, None));
    for group in [reference("a", "a-uid"), reference("hasty", "h-uid")] {
        snapshot(&store, &group);
    }
    store.hear_node("node", Version(1), INTERVAL);
    names(&mut woken);
    // A renewal may be lost.
    for (beat, (seconds, expected)) in
        (2..).zip([(20, &[][..]), (25, &["hasty/h-uid"]), (30, &["hasty/h-uid"])])
    {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        store.hear_node("node", Version(beat), INTERVAL);
        assert_eq!(names(&mut woken), expected);
    }
}
