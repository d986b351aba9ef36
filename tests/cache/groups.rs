//! Groups: deleted, recreated under their name, and unreadable ones.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_late_deletion_of_an_older_group_leaves_the_newer_one_of_its_name_alone() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "old", 1));
    store.upsert_group(group("a", "new", 5));
    store.remove_group("shop", &Identity::new("a", "old"), true);
    snapshot(&store, &reference("a", "new"));
    assert!(matches!(store.view(&reference("a", "old")), GroupView::Deleted { proved: true, .. }));
}

/// Who marks a pod with the UID of a group elsewhere, or with another name, learns and proves nothing about that group.
#[tokio::test(start_paused = true)]
async fn a_deletion_counts_for_its_namespace_and_name_only() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.remove_group("elsewhere", &Identity::new("a", "a-uid"), true);
    store.remove_group("shop", &Identity::new("forged", "a-uid"), true);
    store.remove_pod("shop", &Identity::new("a", "a-uid"), true);
    store.upsert_group(group("a", "a-uid", 2));
    assert_eq!(snapshot(&store, &reference("a", "a-uid")).group.version, Version(2));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_group_is_woken_again_when_the_last_other_group_releases_its_pods() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_group(group("b", "b-uid", 2));
    store.upsert_pod(pod("p", 3, Some("a/a-uid")));
    store.remove_group("shop", &Identity::new("a", "a-uid"), true);
    let left = |name: &str, uid: &str| match store.view(&reference(name, uid)) {
        GroupView::Deleted { pods, .. } => pods.len(),
        other => panic!("{name} is gone: {other:?}"),
    };
    assert_eq!(left("a", "a-uid"), 0, "b may take the pod over");
    names(&mut woken);
    store.remove_group("shop", &Identity::new("b", "b-uid"), true);
    assert_eq!(names(&mut woken), ["a/a-uid", "b/b-uid"]);
    assert_eq!(left("a", "a-uid"), 1);
}

#[tokio::test(start_paused = true)]
async fn candidates_are_counted_as_each_group_counts_them() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    let mut finished = pod("finished", 3, None);
    finished.status.phase = Phase::Succeeded;
    let mut leaving = pod("leaving", 4, None);
    leaving.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    for pod in [pod("p", 5, None), finished, leaving] {
        store.upsert_pod(pod);
    }
    assert_eq!(store.count(), (1, 1));
    store.upsert_group(group("b", "b-uid", 6));
    assert_eq!(store.count(), (2, 1), "the pods are the older group's");
    store.remove_group("shop", &Identity::new("a", "a-uid"), true);
    assert_eq!(store.count(), (1, 1));
    store.remove_group("shop", &Identity::new("b", "b-uid"), true);
    assert_eq!(store.count(), (0, 0));
}

/// Otherwise an operator that has just started would hold back what it has to report.
#[tokio::test(start_paused = true)]
async fn a_report_from_before_the_start_counts_as_old() {
    let (store, _woken) = store();
    store.upsert_group(group("orders", "1", 1));
    let seen = snapshot(&store, &reference("orders", "1"));
    assert!(seen.reported_at + REPORT_PAUSE <= seen.now);
}

#[tokio::test(start_paused = true)]
async fn an_edited_spec_begins_the_quiet_time_anew() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    tokio::time::advance(Duration::from_secs(100)).await;
    let mut edited = group("a", "a-uid", 2);
    edited.spec.failback_quiet_seconds = 90;
    store.upsert_group(edited);
    let seen = snapshot(&store, &reference("a", "a-uid"));
    assert_eq!(seen.reported_at, seen.now);
}

fn is_there(store: &Cache, group: &GroupRef) -> bool {
    !matches!(store.view(group), GroupView::Deleted { .. })
}

/// Its report was committed, the group deleted, and the watch told of it before the report's answer came.
#[tokio::test(start_paused = true)]
async fn a_group_proved_deleted_does_not_come_back_with_a_late_answer() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.remove_group("shop", &Identity::new("a", "a-uid"), true);
    store.forget_deleted(&reference("a", "a-uid"));
    names(&mut woken);
    store.upsert_group(group("a", "a-uid", 2));
    store.upsert_unreadable_group("shop", &Identity::new("a", "a-uid"), Version(3));
    assert!(!is_there(&store, &reference("a", "a-uid")));
    assert!(names(&mut woken).is_empty());
    store.upsert_group(group("a", "another", 4));
    assert!(is_there(&store, &reference("a", "another")), "a new group of its name");
}

/// Pods restored into another namespace still carry the mark of the group that they were copied from: asked for there, it
/// is gone. The same for a record whose name somebody has edited.
#[tokio::test(start_paused = true)]
async fn an_object_missing_under_another_name_or_namespace_is_not_deleted() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 2, None));
    store.remove_group("copy-of-shop", &Identity::new("a", "a-uid"), true);
    store.remove_pod("copy-of-shop", &Identity::new("p", "p-uid"), true);
    store.remove_pod("shop", &Identity::new("edited", "p-uid"), true);
    store.upsert_group(group("a", "a-uid", 3));
    store.upsert_pod(pod("p", 4, None));
    let seen = snapshot(&store, &reference("a", "a-uid"));
    assert_eq!((seen.group.version, seen.pods[0].version), (Version(3), Version(4)));
}

#[tokio::test(start_paused = true)]
async fn an_object_replaced_under_its_name_does_not_come_back_when_the_newer_one_is_deleted() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "old", 1));
    store.upsert_group(group("a", "new", 3));
    store.remove_group("shop", &Identity::new("a", "new"), true);
    store.upsert_group(group("a", "old", 2));
    assert!(!is_there(&store, &reference("a", "old")));
    let mut newer = pod("p", 6, None);
    newer.metadata.uid = Some("newer".to_owned());
    store.upsert_pod(pod("p", 4, None));
    store.upsert_pod(newer);
    store.remove_pod("shop", &Identity::new("p", "newer"), true);
    store.upsert_pod(pod("p", 5, None));
    assert!(store.known(Kind::Pod, None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_cannot_be_read_any_more_exists_and_is_left_alone() {
    let (store, mut woken) = store();
    store.upsert_group(group("a", "a-uid", 1));
    store.upsert_pod(pod("p", 2, Some("a/a-uid")));
    store.upsert_group(group("b", "b-uid", 3));
    store.upsert_unreadable_group("shop", &Identity::new("a", "a-uid"), Version(5));
    let observed = || store.view(&reference("a", "a-uid"));
    assert!(matches!(observed(), GroupView::Unreadable));
    store.upsert_group(group("a", "a-uid", 4));
    assert!(matches!(observed(), GroupView::Unreadable), "an older version");
    let mark = |store: &Cache| snapshot(store, &reference("b", "b-uid")).pods[0].owner.clone();
    assert_eq!(mark(&store), Owner::Other(Identity::new("a", "a-uid")), "nobody takes its pod over");
    assert_eq!(store.known(Kind::Group, None).len(), 2);
    names(&mut woken);
    store.upsert_group(group("a", "a-uid", 6));
    assert_eq!(names(&mut woken), ["a/a-uid"], "it can be read again");
    snapshot(&store, &reference("a", "a-uid"));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_could_never_be_read_keeps_its_pods_until_it_is_gone() {
    let (store, mut woken) = store();
    store.upsert_group(group("b", "b-uid", 3));
    store.upsert_pod(pod("p", 2, Some("a/a-uid")));
    names(&mut woken);
    store.upsert_unreadable_group("shop", &Identity::new("a", "a-uid"), Version(5));
    assert_eq!(names(&mut woken), ["a/a-uid", "b/b-uid"]);
    let mark = |store: &Cache| snapshot(store, &reference("b", "b-uid")).pods[0].owner.clone();
    assert_eq!(mark(&store), Owner::Other(Identity::new("a", "a-uid")));
    assert_eq!(store.known(Kind::Group, None).len(), 2, "a list without it tells that it is gone");
    store.remove_group("shop", &Identity::new("a", "a-uid"), true);
    assert_eq!(mark(&store), Owner::Vanished(Identity::new("a", "a-uid")));
    assert_eq!(names(&mut woken), ["a/a-uid", "b/b-uid"]);
}

#[tokio::test(start_paused = true)]
async fn notes_on_an_earlier_group_of_a_name_do_not_count_for_the_present_one() {
    let (store, _woken) = store();
    store.upsert_group(group("a", "new", 5));
    let old = reference("a", "old");
    store.note_listed(&old, Version(4));
    store.note_warned(
        &old,
        Warning { object: Identity::new("web", "s"), problem: SelectionProblem::NeverMatches },
    );
    let seen = snapshot(&store, &reference("a", "new"));
    assert_eq!((seen.listed_for, seen.warned.len()), (None, 0));
    assert!(store.selector(&old).is_none());
}
