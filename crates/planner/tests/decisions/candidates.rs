//! Which pods are eligible, and in which order they would lead.

use super::*;

#[test]
fn what_makes_a_pod_ineligible() {
    let table: [fn(&mut SeenPod); 11] = [
        |p| p.membership = Membership::Deselected,
        |p| p.membership = Membership::ClaimedBy("older".into()),
        |p| p.owner = Owner::Other(Identity::new("x", "x")),
        |p| p.phase = PodPhase::Finished,
        |p| p.phase = PodPhase::NotRunning,
        |p| p.ready = false,
        |p| p.terminating = true,
        |p| p.disrupted = true,
        |p| p.excluded = true,
        |p| p.node_silent_from = Some(NOW),
        |p| p.ready_seen_at = Millis(NOW.0 - 29_999),
    ];
    for change in table {
        let mut group = fresh([with(pod("a"), change), with(leader("z", 1), |p| p.ready = false)]);
        group.group.status.record = Some(record("z", 1)); // not the first election
        policy_mut(&mut group).min_ready = Millis::from_seconds(30);
        assert_eq!(ranked(&group, group.group.policy.as_ref().unwrap()).len(), 0, "{:?}", group.pods);
    }
}

/// Each such wake-up would cost a plan. A large group that waits for its first pod would need
/// seconds of processor time.
#[test]
fn an_ineligible_pod_causes_no_wake_up_when_its_node_may_fall_silent() {
    let from = Some(NOW + Millis(10_000));
    let pod = |name, ready| with(pod(name), |pod| (pod.ready, pod.node_silent_from) = (ready, from));
    let wake_ups = |ready| {
        let group = fresh([pod("a", ready)]);
        let policy = group.group.policy.as_ref().unwrap();
        moments(&group, policy)
    };
    assert_eq!((wake_ups(false), wake_ups(true)), (vec![], vec![NOW + Millis(10_000)]));
}

#[test]
fn min_ready_seconds_count_from_when_the_pod_was_seen_ready() {
    let mut group = steady();
    policy_mut(&mut group).min_ready = Millis::from_seconds(30);
    unready(&mut group, "a");
    (pod_mut(&mut group, "b").ready_seen_at, pod_mut(&mut group, "c").ready_seen_at) = (NOW, NOW);
    group.lease = group.lease.map(|lease| SeenLease { changed_at: NOW + Millis(29_000), ..lease });
    settle(&mut group);
    assert_eq!(labelled(&group), ["a"]);
    assert_eq!(plan_group(&group).wake_at(), Some(NOW + Millis(30_000)));
    assert_eq!(told(&at(&group, NOW + Millis(30_000)))[..2], ["confirm pod a unchanged", "record b 4 [a]"]);
}

#[test]
fn a_deleted_or_terminating_leader_is_replaced_though_no_pod_has_min_ready_seconds() {
    let table: [fn(&mut Snapshot); 3] = [
        |g| delete(g, "a"),
        |g| pod_mut(g, "a").terminating = true,
        |g| pod_mut(g, "a").phase = PodPhase::Finished,
    ];
    for change in table {
        let mut group = steady();
        policy_mut(&mut group).min_ready = Millis::from_seconds(600);
        for name in ["b", "c"] {
            pod_mut(&mut group, name).ready_seen_at = NOW;
        }
        change(&mut group);
        settle(&mut group);
        assert_eq!(labelled(&group), ["b"]);
    }
}

#[test]
fn the_first_election_does_not_wait_for_min_ready_seconds_if_no_pod_has_them() {
    let young = |name| with(pod(name), |p| p.ready_seen_at = NOW);
    let mut group = fresh([young("a"), young("b")]);
    policy_mut(&mut group).min_ready = Millis::from_seconds(30);
    assert_eq!(told(&group)[0], "record a 1 [*]");
    group.pods[1].ready_seen_at = LONG_AGO;
    assert_eq!(told(&group)[0], "record b 1 [*]");
}

#[test]
fn candidates_are_ordered_by_weight_then_newest_revision_then_ready_longest_then_name() {
    let pods = [
        with(pod("f"), |p| (p.revision, p.created_seconds) = (Some("old".into()), 100)),
        with(pod("e"), |p| (p.revision, p.created_seconds) = (Some("new".into()), 900)),
        with(pod("d"), |p| {
            (p.revision, p.created_seconds, p.ready_since_seconds) = (Some("new".into()), 800, Some(999));
        }),
        with(pod("c"), |p| p.weight = 1),
        with(pod("a"), |p| p.weight = -1),
        with(pod("b"), |p| (p.revision, p.created_seconds) = (Some("old".into()), 100)),
    ];
    let group = fresh(pods);
    let ranked = ranked(&group, group.group.policy.as_ref().unwrap());
    let names: Vec<_> = ranked.iter().map(|pod| pod.id.name.as_str()).collect();
    assert_eq!(names, ["c", "d", "e", "b", "f", "a"]);
}

#[test]
fn the_newest_revision_is_that_of_the_youngest_pod_even_if_it_is_not_eligible() {
    let revised = |name, revision: &str, created| {
        with(pod(name), |p| (p.revision, p.created_seconds) = (Some(revision.to_owned()), created))
    };
    let starting = with(revised("c", "new", 900), |p| p.ready = false);
    let group = fresh([revised("a", "old", 100), revised("b", "new", 800), starting]);
    assert_eq!(told(&group)[0], "record b 1 [*]");
    let tie = fresh([revised("a", "7c", 100), revised("b", "7d", 100)]);
    assert_eq!(told(&tie)[0], "record b 1 [*]");
}
