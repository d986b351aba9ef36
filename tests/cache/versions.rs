//! Resource versions that go backwards: the API server was restored from an older state.

use super::*;

/// What went backwards by now, if anything did.
async fn backwards(store: &Cache) -> Option<(u64, u64)> {
    let found = tokio::time::timeout(Duration::ZERO, store.until_backwards()).await.ok()?;
    Some((found.known, found.answered))
}

#[tokio::test(start_paused = true)]
async fn an_answer_older_than_the_copy_before_the_live_read_tells_that_versions_went_backwards() {
    let (store, _woken) = store();
    store.upsert_pod(pod("p", 9, None));
    let known = || store.version_of(Kind::Pod, "shop", "p");
    store.check_answer(known().as_ref(), &pod("p", 9, None));
    let mut recreated = pod("p", 3, None);
    recreated.metadata.uid = Some("other".to_owned());
    store.check_answer(known().as_ref(), &recreated);
    let before = known();
    store.upsert_pod(pod("p", 12, None));
    store.check_answer(before.as_ref(), &pod("p", 10, None));
    assert_eq!(backwards(&store).await, None, "the watch has overtaken the answer");
    store.check_answer(known().as_ref(), &pod("p", 11, None));
    assert_eq!(backwards(&store).await, Some((12, 11)));
}

#[tokio::test(start_paused = true)]
async fn a_list_older_than_the_copies_before_it_tells_that_versions_went_backwards() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 9));
    let begun = store.now();
    store.check_listed(Kind::Group, &group("a", "a-uid", 5), begun);
    assert_eq!(backwards(&store).await, None, "it may have been learned after the list was asked for");
    tokio::time::advance(Duration::from_millis(1)).await;
    store.check_listed(Kind::Group, &group("a", "a-uid", 9), store.now());
    assert_eq!(backwards(&store).await, None);
    store.check_listed(Kind::Group, &group("a", "a-uid", 5), store.now());
    assert_eq!(backwards(&store).await, Some((9, 5)));
}
