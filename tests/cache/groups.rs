//! Groups: deleted, recreated under their name, and unreadable ones.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_late_deletion_of_an_older_group_leaves_the_newer_one_of_its_name_alone() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "old", 1));
    cache.upsert_group(group("a", "new", 5));
    cache.remove_group("shop", &Identity::new("a", "old"), true);
    snapshot(&cache, &reference("a", "new"));
    assert!(matches!(cache.view(&reference("a", "old")), GroupView::Deleted { deleted_at: Some(_), .. }));
}

/// Annotations can be forged. The cache must learn nothing about a group from a deletion in another
/// namespace or under another name.
#[tokio::test(start_paused = true)]
async fn a_deletion_counts_for_its_namespace_and_name_only() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.remove_group("elsewhere", &Identity::new("a", "a-uid"), true);
    cache.remove_group("shop", &Identity::new("forged", "a-uid"), true);
    cache.remove_pod("shop", &Identity::new("a", "a-uid"), true);
    cache.upsert_group(group("a", "a-uid", 2));
    assert_eq!(snapshot(&cache, &reference("a", "a-uid")).group.version, Version(2));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_group_is_woken_again_when_the_last_other_group_releases_its_pods() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_group(group("b", "b-uid", 2));
    cache.upsert_pod(pod("p", 3, Some("a/a-uid")));
    cache.remove_group("shop", &Identity::new("a", "a-uid"), true);
    let left = |name: &str, uid: &str| match cache.view(&reference(name, uid)) {
        GroupView::Deleted { pods, .. } => pods.len(),
        other => panic!("{name} is gone: {other:?}"),
    };
    assert_eq!(left("a", "a-uid"), 0, "b may take the pod over");
    names(&mut woken);
    cache.remove_group("shop", &Identity::new("b", "b-uid"), true);
    assert_eq!(names(&mut woken), ["a/a-uid", "b/b-uid"]);
    assert_eq!(left("a", "a-uid"), 1);
}

#[tokio::test(start_paused = true)]
async fn candidates_are_counted_as_each_group_counts_them() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    let mut finished = pod("finished", 3, None);
    finished.status.phase = Phase::Succeeded;
    let mut leaving = pod("leaving", 4, None);
    leaving.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    for pod in [pod("p", 5, None), finished, leaving] {
        cache.upsert_pod(pod);
    }
    assert_eq!(cache.count(), (1, 1));
    cache.upsert_group(group("b", "b-uid", 6));
    assert_eq!(cache.count(), (2, 1), "the pods are the older group's");
    cache.remove_group("shop", &Identity::new("a", "a-uid"), true);
    assert_eq!(cache.count(), (1, 1));
    cache.remove_group("shop", &Identity::new("b", "b-uid"), true);
    assert_eq!(cache.count(), (0, 0));
}

/// Otherwise an operator that has just started would delay its first report.
#[tokio::test(start_paused = true)]
async fn a_report_from_before_the_start_counts_as_old() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("orders", "1", 1));
    let seen = snapshot(&cache, &reference("orders", "1"));
    assert!(seen.reported_at + REPORT_PAUSE <= seen.now);
}

#[tokio::test(start_paused = true)]
async fn an_edited_spec_begins_the_quiet_time_anew() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    tokio::time::advance(Duration::from_secs(100)).await;
    let mut edited = group("a", "a-uid", 2);
    edited.spec.failback_quiet_seconds = 90;
    cache.upsert_group(edited);
    let seen = snapshot(&cache, &reference("a", "a-uid"));
    assert_eq!(seen.reported_at, seen.now);
}

fn is_there(cache: &Cache, group: &GroupRef) -> bool {
    !matches!(cache.view(group), GroupView::Deleted { .. })
}

/// The API server stored the report, then the group was deleted. The watch delivered the deletion
/// before the report's answer came.
#[tokio::test(start_paused = true)]
async fn a_group_proved_deleted_does_not_come_back_with_a_late_answer() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.remove_group("shop", &Identity::new("a", "a-uid"), true);
    cache.forget_deleted(&reference("a", "a-uid"));
    names(&mut woken);
    cache.upsert_group(group("a", "a-uid", 2));
    cache.upsert_unreadable_group("shop", &Identity::new("a", "a-uid"), Version(3));
    assert!(!is_there(&cache, &reference("a", "a-uid")));
    assert!(names(&mut woken).is_empty());
    cache.upsert_group(group("a", "another", 4));
    assert!(is_there(&cache, &reference("a", "another")), "a new group of its name");
}

/// Pods restored into another namespace still name the group that they were copied from. A live
/// read there finds no such group, which says nothing about the original. The same holds for a
/// record whose name a user has edited.
#[tokio::test(start_paused = true)]
async fn an_object_missing_under_another_name_or_namespace_is_not_deleted() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_pod(pod("p", 2, None));
    cache.remove_group("copy-of-shop", &Identity::new("a", "a-uid"), true);
    cache.remove_pod("copy-of-shop", &Identity::new("p", "p-uid"), true);
    cache.remove_pod("shop", &Identity::new("edited", "p-uid"), true);
    cache.upsert_group(group("a", "a-uid", 3));
    cache.upsert_pod(pod("p", 4, None));
    let seen = snapshot(&cache, &reference("a", "a-uid"));
    assert_eq!((seen.group.version, seen.pods[0].version), (Version(3), Version(4)));
}

#[tokio::test(start_paused = true)]
async fn an_object_replaced_under_its_name_does_not_come_back_when_the_newer_one_is_deleted() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "old", 1));
    cache.upsert_group(group("a", "new", 3));
    cache.remove_group("shop", &Identity::new("a", "new"), true);
    cache.upsert_group(group("a", "old", 2));
    assert!(!is_there(&cache, &reference("a", "old")));
    let mut newer = pod("p", 6, None);
    newer.metadata.uid = Some("newer".to_owned());
    cache.upsert_pod(pod("p", 4, None));
    cache.upsert_pod(newer);
    cache.remove_pod("shop", &Identity::new("p", "newer"), true);
    cache.upsert_pod(pod("p", 5, None));
    assert!(cache.known(Kind::Pod, None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_cannot_be_read_any_more_exists_and_is_left_alone() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_pod(pod("p", 2, Some("a/a-uid")));
    cache.upsert_group(group("b", "b-uid", 3));
    cache.upsert_unreadable_group("shop", &Identity::new("a", "a-uid"), Version(5));
    let view = || cache.view(&reference("a", "a-uid"));
    assert!(matches!(view(), GroupView::Unreadable));
    cache.upsert_group(group("a", "a-uid", 4));
    assert!(matches!(view(), GroupView::Unreadable), "an older version");
    let owner = |cache: &Cache| snapshot(cache, &reference("b", "b-uid")).pods[0].owner.clone();
    assert_eq!(owner(&cache), Owner::Other(Identity::new("a", "a-uid")), "no group takes its pod over");
    assert_eq!(cache.known(Kind::Group, None).len(), 2);
    names(&mut woken);
    cache.upsert_group(group("a", "a-uid", 6));
    assert_eq!(names(&mut woken), ["a/a-uid"], "it can be read again");
    snapshot(&cache, &reference("a", "a-uid"));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_could_never_be_read_keeps_its_pods_until_it_is_gone() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(group("b", "b-uid", 3));
    cache.upsert_pod(pod("p", 2, Some("a/a-uid")));
    names(&mut woken);
    cache.upsert_unreadable_group("shop", &Identity::new("a", "a-uid"), Version(5));
    assert_eq!(names(&mut woken), ["a/a-uid", "b/b-uid"]);
    let owner = |cache: &Cache| snapshot(cache, &reference("b", "b-uid")).pods[0].owner.clone();
    assert_eq!(owner(&cache), Owner::Other(Identity::new("a", "a-uid")));
    assert_eq!(cache.known(Kind::Group, None).len(), 2, "a list without it tells that it is gone");
    cache.remove_group("shop", &Identity::new("a", "a-uid"), true);
    assert_eq!(owner(&cache), Owner::Vanished(Identity::new("a", "a-uid")));
    assert_eq!(names(&mut woken), ["a/a-uid", "b/b-uid"]);
}

#[tokio::test(start_paused = true)]
async fn notes_on_an_earlier_group_of_a_name_do_not_count_for_the_present_one() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "new", 5));
    let old = reference("a", "old");
    cache.note_listed(&old, Version(4));
    cache.note_warned(
        &old,
        Warning { object: Identity::new("web", "s"), problem: SelectionProblem::NeverMatches },
    );
    let seen = snapshot(&cache, &reference("a", "new"));
    assert_eq!((seen.listed_for, seen.warned.len()), (None, 0));
    assert!(cache.selector(&old).is_none());
}

/// An annotation changes no spec, so that no edit is noticed.
#[tokio::test(start_paused = true)]
async fn a_group_is_paused_by_annotation_and_woken_by_its_removal() {
    let (cache, mut woken) = new_cache();
    let paused = |version, value: &str| {
        let mut group = group("a", "a-uid", version);
        let annotation = ("election-operator.io/paused".to_owned(), value.to_owned());
        group.metadata.annotations = Some([annotation].into());
        group
    };
    let is_paused = || snapshot(&cache, &reference("a", "a-uid")).group.policy.unwrap().paused;
    cache.upsert_group(group("a", "a-uid", 1));
    assert!(!is_paused());
    cache.upsert_group(paused(2, "true"));
    assert!(is_paused());
    cache.upsert_group(paused(3, "maybe"));
    assert!(!is_paused());
    names(&mut woken);
    cache.upsert_group(paused(4, "true"));
    assert_eq!(names(&mut woken), ["a/a-uid"]);
}

#[tokio::test(start_paused = true)]
async fn the_status_of_an_unserved_group_is_to_the_planner_as_none() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    let mut unserved = group("b", "b-uid", 2);
    unserved.status = Some(unserved_status());
    cache.upsert_group(unserved);
    let status = |name: &str, uid: &str| snapshot(&cache, &reference(name, uid)).group.status;
    assert_eq!(status("b", "b-uid"), status("a", "a-uid"));
}
