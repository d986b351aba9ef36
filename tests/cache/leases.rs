//! Which changes of a Lease wake its group in Observed mode.

use super::*;

/// A group in Observed mode, led by `leader`, or by no pod.
fn observed_group(version: u64, leader: Option<&str>) -> ElectionGroup {
    let mut group = serde_json::to_value(group("a", "a-uid", version)).unwrap();
    group["spec"]["mode"] = json!("Observed");
    if let Some(leader) = leader {
        let leader = json!({ "name": leader, "uid": format!("{leader}-uid") });
        group["status"] = json!({ "term": 1, "leader": leader });
    }
    serde_json::from_value(group).unwrap()
}

fn lease(holder: &str, version: u64) -> Lease {
    let time = format!("2026-01-01T00:00:00.{version:06}Z");
    let metadata =
        json!({ "name": "a", "namespace": "shop", "uid": "l", "resourceVersion": version.to_string() });
    let spec = json!({ "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": time });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_renewal_in_time_by_the_recorded_leader_wakes_no_group_and_moves_the_expiry() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(observed_group(1, Some("p")));
    cache.upsert_lease(lease("p", 2), false);
    names(&mut woken);
    tokio::time::advance(Duration::from_secs(14)).await;
    cache.upsert_lease(lease("p", 3), false);
    assert!(names(&mut woken).is_empty());
    let seen = snapshot(&cache, &reference("a", "a-uid"));
    assert_eq!(seen.lease.map(|lease| lease.changed_at), Some(seen.now));
}

#[tokio::test(start_paused = true)]
async fn any_other_change_of_a_lease_wakes_the_group() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(observed_group(1, Some("p")));
    cache.upsert_lease(lease("p", 2), false);
    names(&mut woken);
    cache.upsert_lease(lease("q", 3), false);
    assert_eq!(names(&mut woken), ["a/a-uid"], "another holder");
    cache.upsert_lease(lease("", 4), false);
    assert_eq!(names(&mut woken), ["a/a-uid"], "a release");
    cache.upsert_lease(lease("p", 5), false);
    names(&mut woken);
    tokio::time::advance(Duration::from_secs(15)).await;
    cache.upsert_lease(lease("p", 6), false);
    assert_eq!(names(&mut woken), ["a/a-uid"], "a renewal that came too late");
    cache.upsert_group(observed_group(7, None));
    names(&mut woken);
    cache.upsert_lease(lease("p", 8), false);
    assert_eq!(names(&mut woken), ["a/a-uid"], "a renewal while no pod leads");
    let mut paused = observed_group(9, Some("p"));
    paused.spec.paused = true;
    cache.upsert_group(paused);
    names(&mut woken);
    cache.upsert_lease(lease("p", 10), false);
    assert_eq!(names(&mut woken), ["a/a-uid"], "a renewal while the group is paused");
    cache.remove_lease("shop", &Identity::new("a", "l"));
    assert_eq!(names(&mut woken), ["a/a-uid"], "its deletion");
}
