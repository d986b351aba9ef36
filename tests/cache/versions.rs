//! Resource versions that go backwards: the API server was restored from an older state.

use super::*;

fn slice(uid: &str, version: u64) -> EndpointSlice {
    let metadata =
        json!({ "name": "s", "namespace": "shop", "uid": uid, "resourceVersion": version.to_string() });
    serde_json::from_value(json!({ "metadata": metadata, "addressType": "IPv4", "endpoints": [] })).unwrap()
}

/// The versions, known and answered, of the first object that went backwards, if one did.
async fn backwards(cache: &Cache) -> Option<(u64, u64)> {
    let found = tokio::time::timeout(Duration::ZERO, cache.until_backwards()).await.ok()?;
    Some((found.known, found.answered))
}

#[tokio::test(start_paused = true)]
async fn an_answer_older_than_the_copy_before_the_live_read_tells_that_versions_went_backwards() {
    let (cache, _woken) = new_cache();
    cache.upsert_pod(pod("p", 9, None));
    let known = || cache.version_of(Kind::Pod, "shop", "p");
    cache.check_answer(known().as_ref(), &pod("p", 9, None));
    let mut recreated = pod("p", 3, None);
    recreated.metadata.uid = Some("other".to_owned());
    cache.check_answer(known().as_ref(), &recreated);
    let before = known();
    cache.upsert_pod(pod("p", 12, None));
    cache.check_answer(before.as_ref(), &pod("p", 10, None));
    assert_eq!(backwards(&cache).await, None, "the watch has overtaken the answer");
    cache.check_answer(known().as_ref(), &pod("p", 11, None));
    assert_eq!(backwards(&cache).await, Some((12, 11)));
}

#[tokio::test(start_paused = true)]
async fn a_list_older_than_the_copies_before_it_tells_that_versions_went_backwards() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 9));
    let begun = cache.now();
    cache.check_listed(Kind::Group, &group("a", "a-uid", 5), begun);
    assert_eq!(backwards(&cache).await, None, "it may have been learned after the list was asked for");
    tokio::time::advance(Duration::from_millis(1)).await;
    cache.check_listed(Kind::Group, &group("a", "a-uid", 9), cache.now());
    assert_eq!(backwards(&cache).await, None);
    cache.check_listed(Kind::Group, &group("a", "a-uid", 5), cache.now());
    assert_eq!(backwards(&cache).await, Some((9, 5)));
}

/// The operator writes the slice while a list of slices is under way.
#[tokio::test(start_paused = true)]
async fn a_list_of_slices_that_an_own_write_has_overtaken_tells_nothing() {
    let slice = |version| slice("s-uid", version);
    let (cache, _woken) = new_cache();
    tokio::time::advance(Duration::from_millis(1)).await;
    cache.upsert_slice(slice(5));
    tokio::time::advance(Duration::from_millis(1)).await;
    let begun = cache.now();
    cache.upsert_slice(slice(9));
    cache.check_listed(Kind::Slice, &slice(5), begun);
    assert_eq!(backwards(&cache).await, None);
    tokio::time::advance(Duration::from_millis(1)).await;
    cache.check_listed(Kind::Slice, &slice(5), cache.now());
    assert_eq!(backwards(&cache).await, Some((9, 5)));
}

#[tokio::test(start_paused = true)]
async fn a_late_deletion_of_a_slice_leaves_the_next_one_of_its_name() {
    let (cache, _woken) = new_cache();
    let known = || cache.version_of(Kind::Slice, "shop", "s").map(|(uid, _)| uid);
    cache.upsert_slice(slice("next", 9));
    cache.remove_slice("shop", &Identity::new("s", "earlier"), true);
    assert_eq!(known().as_deref(), Some("next"));
    cache.remove_slice("shop", &Identity::new("s", "next"), true);
    assert_eq!(known(), None);
}
