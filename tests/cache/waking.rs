//! Which groups a change wakes.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pod_wakes_the_groups_that_select_it_and_no_other() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    let mut other = group("b", "b-uid", 2);
    other.spec.selector.match_labels = Some([("app".to_owned(), "other".to_owned())].into());
    cache.upsert_group(other);
    names(&mut woken);
    cache.upsert_pod(pod("p", 3, None));
    assert_eq!(names(&mut woken), ["a/a-uid"]);
}

#[tokio::test(start_paused = true)]
async fn an_update_without_a_difference_wakes_no_group() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_pod(pod("p", 3, None));
    names(&mut woken);
    cache.upsert_pod(pod("p", 4, None));
    cache.upsert_pod(pod("p", 2, Some("a/a-uid")));
    assert!(names(&mut woken).is_empty());
    let version = snapshot(&cache, &reference("a", "a-uid")).pods.first().map(|pod| pod.version);
    assert_eq!(version, Some(Version(4)));
}

fn group_of(app: &str, name: &str, version: u64) -> ElectionGroup {
    let mut group = group(name, &format!("{name}-uid"), version);
    group.spec.selector.match_labels = Some([("app".to_owned(), app.to_owned())].into());
    group
}

fn pod_of(app: &str, name: &str, version: u64) -> Pod {
    let mut pod = pod(name, version, None);
    pod.metadata.labels = Some([("app".to_owned(), app.to_owned())].into());
    pod
}

/// How many groups were woken: a count says more than a time.
fn calls(woken: &mut WakeReceiver) -> usize {
    std::iter::from_fn(|| woken.try_next()).count()
}

#[tokio::test(start_paused = true)]
async fn a_new_edited_or_deleted_group_wakes_none_of_hundreds_that_it_does_not_concern() {
    let (cache, mut woken) = new_cache();
    let name = |number: u64| format!("g{number:03}");
    let mut count = 0;
    for number in 0..300 {
        cache.upsert_group(group_of(&name(number), &name(number), number + 1));
        cache.upsert_pod(pod_of(&name(number), &format!("p{number}"), number + 1));
        count += calls(&mut woken);
    }
    assert_eq!(count, 300, "each wakes itself; its pod wakes it again before it has been looked at");
    cache.upsert_group(group_of("other", "g007", 1000));
    assert_eq!(names(&mut woken), ["g007/g007-uid"], "an edit");
    cache.remove_group("shop", &Identity::new("g008", "g008-uid"), true);
    assert_eq!(names(&mut woken), ["g008/g008-uid"], "a deletion");
}

#[tokio::test(start_paused = true)]
async fn a_group_wakes_the_groups_with_which_it_shares_or_shared_a_pod() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(group_of("x", "old", 1));
    cache.upsert_group(group_of("y", "other", 2));
    cache.upsert_pod(pod_of("x", "p", 3));
    names(&mut woken);
    cache.upsert_group(group_of("x", "young", 4));
    assert_eq!(names(&mut woken), ["old/old-uid", "young/young-uid"], "it shares a pod");
    cache.upsert_group(group_of("z", "young", 5));
    assert_eq!(names(&mut woken), ["old/old-uid", "young/young-uid"], "it shared one");
    cache.upsert_group(group_of("x", "young", 6));
    names(&mut woken);
    cache.remove_group("shop", &Identity::new("old", "old-uid"), false);
    assert_eq!(names(&mut woken), ["old/old-uid", "young/young-uid"], "its pod is the other's now");
}

#[tokio::test(start_paused = true)]
async fn a_new_or_deleted_group_wakes_the_groups_whose_pods_or_lease_it_owns() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(group_of("orders", "marked", 1));
    cache.upsert_pod(pod("p", 2, Some("m/m-uid")));
    let mut recorded = serde_json::to_value(group_of("elsewhere", "recorded", 3)).unwrap();
    recorded["status"] = json!({ "term": 1, "leader": { "name": "p", "uid": "p-uid" } });
    cache.upsert_group(serde_json::from_value(recorded).unwrap());
    cache.upsert_group(group_of("else", "leased", 4));
    let owner = json!([{ "apiVersion": "election-operator.io/v1alpha1", "kind": "ElectionGroup",
        "name": "m", "uid": "m-uid" }]);
    let metadata = json!({
        "name": "leased", "namespace": "shop", "uid": "l", "resourceVersion": "5", "ownerReferences": owner,
    });
    cache.upsert_lease(serde_json::from_value(json!({ "metadata": metadata })).unwrap(), false);
    cache.upsert_group(group_of("none", "stranger", 6));
    names(&mut woken);
    let concerned = ["leased/leased-uid", "m/m-uid", "marked/marked-uid", "recorded/recorded-uid"];
    cache.upsert_group(group_of("nothing", "m", 7));
    assert_eq!(names(&mut woken), concerned);
    cache.remove_group("shop", &Identity::new("m", "m-uid"), true);
    assert_eq!(names(&mut woken), concerned);
    cache.remove_lease("shop", &Identity::new("leased", "l"));
    names(&mut woken);
    cache.upsert_unreadable_group("shop", &Identity::new("m", "again"), Version(9));
    assert_eq!(names(&mut woken), ["m/again"], "another group");
}
