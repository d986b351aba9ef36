//! Heartbeats of nodes.

use super::*;

/// How often nodes renew their Leases.
const INTERVAL: Millis = Millis::from_seconds(10);

#[tokio::test(start_paused = true)]
async fn a_silent_node_that_is_heard_again_wakes_the_groups_with_pods_on_it() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_pod(pod("p", 2, None));
    for node in ["node", "y", "z"] {
        cache.hear_node(node, Version(1), INTERVAL);
    }
    snapshot(&cache, &reference("a", "a-uid"));
    names(&mut woken);
    tokio::time::advance(Duration::from_secs(36)).await;
    cache.hear_node("node", Version(1), INTERVAL);
    assert!(names(&mut woken).is_empty(), "a known version is no heartbeat");
    cache.hear_node("y", Version(2), INTERVAL);
    assert!(names(&mut woken).is_empty(), "no pod is there");
    cache.hear_node("node", Version(2), INTERVAL);
    assert_eq!(names(&mut woken), ["a/a-uid"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_heartbeat_wakes_only_the_groups_with_less_patience_than_it_took() {
    let (cache, mut woken) = new_cache();
    let mut hasty = serde_json::to_value(group("hasty", "h-uid", 2)).unwrap();
    hasty["spec"]["failover"] = json!({ "nodeSilentSeconds": 15 });
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_group(serde_json::from_value(hasty).unwrap());
    cache.upsert_pod(pod("p", 3, None));
    for group in [reference("a", "a-uid"), reference("hasty", "h-uid")] {
        snapshot(&cache, &group);
    }
    cache.hear_node("node", Version(1), INTERVAL);
    names(&mut woken);
    // One renewal may be lost.
    for (beat, (seconds, expected)) in
        (2..).zip([(20, &[][..]), (25, &["hasty/h-uid"]), (30, &["hasty/h-uid"])])
    {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        cache.hear_node("node", Version(beat), INTERVAL);
        assert_eq!(names(&mut woken), expected);
    }
}
