//! Which changes of a Lease wake its group in Observed mode, and where the Lease is.

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

fn in_system(mut lease: Lease) -> Lease {
    lease.metadata.namespace = Some("system".to_owned());
    lease
}

/// The pods hold the Lease `a` in the namespace `system`.
fn follower_of_another_namespace(version: u64, leader: Option<&str>) -> ElectionGroup {
    let mut group = observed_group(version, leader);
    group.spec.lease.namespace = Some("system".to_owned());
    group
}

#[tokio::test(start_paused = true)]
async fn a_lease_in_another_namespace_is_followed_as_one_in_the_own_would_be() {
    let (cache, mut woken) = new_cache();
    let holder = || snapshot(&cache, &reference("a", "a-uid")).lease.and_then(|lease| lease.content.holder);
    cache.upsert_lease(lease("stranger", 1), false);
    cache.upsert_lease(in_system(lease("p", 2)), false);
    cache.upsert_group(follower_of_another_namespace(3, Some("p")));
    assert_eq!(holder().as_deref(), Some("p"), "it was there before the group");
    names(&mut woken);
    cache.upsert_lease(in_system(lease("p", 4)), false);
    cache.upsert_lease(lease("stranger", 5), false);
    assert!(names(&mut woken).is_empty(), "a renewal, and a Lease of the own namespace");
    cache.upsert_lease(in_system(lease("q", 6)), false);
    assert_eq!((names(&mut woken), holder().as_deref()), (vec!["a/a-uid".to_owned()], Some("q")));
    cache.remove_lease("system", &Identity::new("a", "l"));
    assert_eq!((names(&mut woken), holder()), (vec!["a/a-uid".to_owned()], None));
    cache.upsert_lease(in_system(lease("p", 7)), false);
    assert_eq!((names(&mut woken), holder().as_deref()), (vec!["a/a-uid".to_owned()], Some("p")));
    cache.remove_group("shop", &Identity::new("a", "a-uid"), true);
    names(&mut woken);
    cache.upsert_lease(in_system(lease("q", 8)), false);
    assert!(names(&mut woken).is_empty(), "the group is deleted");
}

#[tokio::test(start_paused = true)]
async fn a_lease_in_a_namespace_that_is_not_served_refuses_the_group() {
    for (served, reason) in
        [(vec![], None), (vec!["shop", "system"], None), (vec!["shop"], Some("LeaseNamespaceNotServed"))]
    {
        let (wake, _woken) = wakes();
        let served: Vec<_> = served.into_iter().map(str::to_owned).collect();
        let cache = Cache::new(Clock::start(), wake).serving(&served);
        cache.upsert_group(follower_of_another_namespace(1, None));
        let refusal = snapshot(&cache, &reference("a", "a-uid")).group.policy.err();
        assert_eq!(refusal.map(|refusal| refusal.reason), reason, "{served:?}");
    }
    let (cache, _woken) = new_cache();
    let mut own = observed_group(1, None);
    own.spec.lease.namespace = Some("shop".to_owned());
    cache.upsert_group(own);
    cache.upsert_lease(lease("p", 2), false);
    assert!(snapshot(&cache, &reference("a", "a-uid")).lease.is_some(), "that is its own namespace");
}

fn nominated_lease(uid: &str, holder: &str, nominee: &str, version: u64) -> Lease {
    let mut object = lease(holder, version);
    object.metadata.uid = Some(uid.to_owned());
    let annotations = [("nominee", nominee), ("duration", "20"), ("term", "3")];
    let annotations =
        annotations.map(|(key, value)| (format!("election-operator.io/{key}"), value.to_owned()));
    object.metadata.annotations = Some(annotations.into());
    object
}

/// A nomination changes the version and not the holder's record, so its clock goes on.
#[tokio::test(start_paused = true)]
async fn a_nomination_wakes_the_group_and_does_not_renew_the_lease() {
    let (cache, mut woken) = new_cache();
    let mut group = observed_group(1, Some("p"));
    group.spec.mode = election_operator::api::Mode::Nominated;
    cache.upsert_group(group);
    cache.upsert_lease(nominated_lease("l", "p_p-uid", "", 2), false);
    let seen = || snapshot(&cache, &reference("a", "a-uid")).lease.unwrap();
    let (began, pause) = (seen().changed_at, Duration::from_secs(5));
    names(&mut woken);
    tokio::time::advance(pause).await;
    let mut nominated = nominated_lease("l", "p_p-uid", "q/q-uid", 3);
    nominated.spec = nominated_lease("l", "p_p-uid", "", 2).spec;
    cache.upsert_lease(nominated.clone(), false);
    assert_eq!(names(&mut woken), ["a/a-uid"]);
    assert_eq!((seen().changed_at, seen().nominee_seen_at), (began, began + Millis(5_000)));
    assert_eq!(seen().content.nominee, Some(Identity::new("q", "q-uid")));
    assert_eq!(seen().content.nominated_seconds, Some(20));
    tokio::time::advance(pause).await;
    nominated.spec.as_mut().unwrap().holder_identity = Some(String::new());
    nominated.metadata.resource_version = Some("4".to_owned());
    cache.upsert_lease(nominated, false);
    assert_eq!(seen().nominee_seen_at, began + Millis(10_000), "free from now on");
    assert_eq!(seen().uid_seen_at, began);
    tokio::time::advance(pause).await;
    cache.upsert_lease(nominated_lease("m", "", "garbage", 5), false);
    assert_eq!(seen().uid_seen_at, began + Millis(15_000), "another Lease");
    assert!(seen().content.nominee.is_some(), "a text that names no pod is no empty text");
}
