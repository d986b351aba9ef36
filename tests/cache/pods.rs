//! Pods: what the cache keeps of them, since when, and for how long.

use super::*;

/// The group `g`, led by `a` in term 3.
fn led_group(version: u64) -> ElectionGroup {
    let mut led = group("g", "g-uid", version);
    led.status =
        serde_json::from_value(json!({ "term": 3, "leader": { "name": "a", "uid": "a-uid" } })).unwrap();
    led
}

#[test]
fn a_term_written_by_hand_does_not_count_if_no_operator_can_have_reached_it() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(led_group(1));
    for (version, of, counts) in
        [(2, (1_u64 << 32) + 3, true), (3, (1 << 32) + 4, false), (4, (1 << 53) - 1, false)]
    {
        let mut seen = pod("b", version, Some("g/g-uid"));
        let annotations = seen.metadata.annotations.as_mut().unwrap();
        annotations.insert("election-operator.io/term".to_owned(), of.to_string());
        cache.upsert_pod(seen);
        let highest = snapshot(&cache, &reference("g", "g-uid")).highest_term().get();
        assert_eq!(highest, if counts { of } else { 3 });
    }
}

#[test]
fn what_existed_before_the_operator_started_counts_as_old() {
    let (cache, _woken) = new_cache();
    let mut led = led_group(1);
    led.spec.failover.min_ready_seconds = 86_400;
    led.spec.failover.cooldown_seconds = 86_400;
    cache.upsert_group(led);
    let mut leader = pod("a", 1, Some("g/g-uid"));
    leader.status.ready = None;
    cache.upsert_pod(leader);
    cache.upsert_pod(pod("b", 2, None));
    let seen = snapshot(&cache, &reference("g", "g-uid"));
    let policy = seen.group.policy.as_ref().unwrap();
    let eligible: Vec<_> = ranked(&seen, policy).iter().map(|pod| pod.id.name.clone()).collect();
    assert_eq!(eligible, ["b"]);
    let due = leader_problem(&seen, policy, &Identity::new("a", "a-uid")).unwrap().due;
    assert!(due <= seen.now, "the leader has outlived its cooldown: {due:?}");
    // Pods that become Ready from now on have to wait.
    cache.mark_synced(Scope::Namespace("shop".to_owned()));
    cache.upsert_pod(pod("c", 3, None));
    let seen = snapshot(&cache, &reference("g", "g-uid"));
    assert_eq!(ranked(&seen, seen.group.policy.as_ref().unwrap()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_proved_gone_does_not_come_back_with_a_late_event() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_pod(pod("p", 3, None));
    cache.remove_pod("shop", &Identity::new("p", "p-uid"), true);
    cache.upsert_pod(pod("p", 4, None));
    assert!(snapshot(&cache, &reference("a", "a-uid")).pods.is_empty());
}

/// An answer about the pod was still under way when the watch delivered its deletion.
#[tokio::test(start_paused = true)]
async fn a_pod_that_is_proved_gone_does_not_come_back_after_an_update_of_its_group() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_pod(pod("p", 3, None));
    cache.remove_pod("shop", &Identity::new("p", "p-uid"), true);
    cache.upsert_group(group("a", "a-uid", 6));
    cache.upsert_pod(pod("p", 4, None));
    assert!(snapshot(&cache, &reference("a", "a-uid")).pods.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_new_only_if_the_first_lists_were_complete_before_it() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_pod(pod("p", 3, None));
    cache.mark_synced(Scope::Cluster);
    tokio::time::advance(Duration::from_secs(1)).await;
    cache.upsert_pod(pod("q", 4, None));
    cache.upsert_pod(pod("p", 5, Some("a/a-uid")));
    let seen = snapshot(&cache, &reference("a", "a-uid"));
    let since: Vec<_> = seen.pods.iter().map(|pod| (pod.id.name.as_str(), pod.seen_at)).collect();
    assert_eq!(since, [("p", Millis(0)), ("q", seen.now)]);
}

/// Otherwise the history would say that the pod could have led for days.
#[tokio::test(start_paused = true)]
async fn a_pod_that_an_edited_selector_selects_counts_as_changed_just_now() {
    let (cache, _woken) = new_cache();
    let mut narrow = group("a", "a-uid", 1);
    narrow.spec.selector.match_labels = Some([("app".to_owned(), "other".to_owned())].into());
    cache.upsert_group(narrow);
    cache.upsert_pod(pod("p", 2, None));
    tokio::time::advance(Duration::from_secs(86_400)).await;
    cache.upsert_group(group("a", "a-uid", 3));
    let seen = snapshot(&cache, &reference("a", "a-uid"));
    assert_eq!(seen.pods.first().map(|pod| pod.standing_changed_at), Some(seen.now));
}

#[test]
fn an_annotation_without_a_meaning_is_kept_for_the_status() {
    let group = CompiledSpec::new(&group("orders", "1", 1));
    let cases = [
        ("exclude", "true", None),
        ("exclude", "false", None),
        ("exclude", "yes", Some("election-operator.io/exclude=yes")),
        ("priority", "-5", None),
        ("priority", "high", Some("election-operator.io/priority=high")),
    ];
    for (name, value, expected) in cases {
        let mut pod = pod("a", 1, None);
        let annotation = (format!("election-operator.io/{name}"), value.to_owned());
        pod.metadata.annotations = Some([annotation].into());
        assert_eq!(group.pod(&pod).ignored.as_deref(), expected);
    }
}

fn owned_by(mut pod: Pod, kind: &str, exclude: Option<&str>) -> Pod {
    let owner =
        json!([{ "apiVersion": "batch/v1", "kind": kind, "name": "o", "uid": "o", "controller": true }]);
    let metadata = json!({ "metadata": { "name": "x", "ownerReferences": owner } });
    pod.controller = serde_json::from_value::<Pod>(metadata).unwrap().controller;
    let exclude = exclude.map(|value| ("election-operator.io/exclude".to_owned(), value.to_owned()));
    pod.metadata.annotations.get_or_insert_default().extend(exclude);
    pod
}

#[test]
fn a_pod_of_a_job_is_a_candidate_only_if_it_says_so() {
    let group = CompiledSpec::new(&group("orders", "1", 1));
    let cases =
        [("Job", None, true), ("Job", Some("false"), false), ("Job", Some("no"), true), ("Set", None, false)];
    for (kind, exclude, expected) in cases {
        assert_eq!(
            group.pod(&owned_by(pod("a", 1, None), kind, exclude)).of_job,
            expected,
            "{kind} {exclude:?}"
        );
    }
}

#[test]
fn the_revision_of_a_rollout_counts_as_one() {
    let group = CompiledSpec::new(&group("orders", "1", 1));
    for key in ["controller-revision-hash", "pod-template-hash", "rollouts-pod-template-hash"] {
        let mut pod = pod("a", 1, None);
        pod.metadata.labels.get_or_insert_default().insert(key.to_owned(), "h".to_owned());
        assert_eq!(group.pod(&pod).revision.as_deref(), Some("h"), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_its_controller_releases_after_the_label_says_so_until_the_group_releases_it() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    let role = |pod: Pod, value: &str| {
        let mut pod = pod;
        pod.metadata.labels.get_or_insert_default().insert("role".to_owned(), value.to_owned());
        pod
    };
    let is_released = || snapshot(&cache, &reference("a", "a-uid")).pods[0].released_by_controller;
    cache.upsert_pod(owned_by(role(pod("p", 2, None), "follower"), "Set", None));
    cache.upsert_pod(owned_by(role(pod("p", 3, Some("a/a-uid")), "leader"), "Set", None));
    assert!(!is_released());
    cache.upsert_pod(role(pod("p", 4, Some("a/a-uid")), "leader"));
    assert!(is_released());
    let id = Identity::new("p", "p-uid");
    assert_eq!(cache.role_to_give_back("shop", &id).as_deref(), Some("follower"));
    cache.upsert_pod(role(pod("p", 5, None), "follower"));
    assert!(!is_released());
}

/// The late answer is that to the operator's own release of the pod.
#[tokio::test(start_paused = true)]
async fn a_pod_that_no_group_selects_does_not_come_back_after_its_end() {
    let (cache, _woken) = new_cache();
    cache.upsert_pod(pod("p", 3, None));
    cache.remove_pod("shop", &Identity::new("p", "p-uid"), true);
    cache.upsert_pod(pod("p", 4, None));
    assert!(cache.known(Kind::Pod, None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_preference_counts_as_soon_as_the_pod_or_the_spec_changes() {
    let (cache, _woken) = new_cache();
    let preferring = |zone: &str, version: u64| {
        let mut group = serde_json::to_value(group("a", "a-uid", version)).unwrap();
        group["spec"]["preference"] =
            json!([{ "selector": { "matchLabels": { "zone": zone } }, "weight": 7 }]);
        serde_json::from_value(group).unwrap()
    };
    let zoned = |zone: &str, version: u64| {
        let mut pod = pod("p", version, None);
        pod.metadata.labels =
            Some([("app", "orders"), ("zone", zone)].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        pod
    };
    let weight = || snapshot(&cache, &reference("a", "a-uid")).pods[0].weight;
    cache.upsert_pod(zoned("north", 1));
    cache.upsert_group(preferring("north", 2));
    assert_eq!(weight(), 7);
    cache.upsert_pod(zoned("south", 3));
    assert_eq!(weight(), 0);
    cache.upsert_group(preferring("south", 4));
    assert_eq!(weight(), 7);
    cache.upsert_group(preferring("west", 5));
    assert_eq!(weight(), 0);
    cache.upsert_pod(zoned("west", 6));
    assert_eq!(weight(), 7);
}
