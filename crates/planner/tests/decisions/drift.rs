//! Labels and annotations that differ from the record are repaired.

use super::*;

#[test]
fn follower_labels_are_given_by_the_dozen_so_that_a_failover_waits_for_no_more() {
    let mut group = steady();
    group.pods.extend((0..100).map(|number| pod(&format!("n{number:02}"))));
    let given = |group: &Snapshot| {
        let steps = plan_group(group).into_steps();
        steps.last().map_or(0, |step| {
            step.intents.iter().filter(|intent| matches!(intent, Intent::LabelFollower(_))).count()
        })
    };
    assert_eq!(given(&group), MAX_LOW_PRIORITY_WRITES);
    for left in [
        100 - MAX_LOW_PRIORITY_WRITES,
        100 - 2 * MAX_LOW_PRIORITY_WRITES,
        100 - 3 * MAX_LOW_PRIORITY_WRITES,
        0,
    ] {
        plan_group(&group).intents().for_each(|intent| group.project(intent));
        assert_eq!(given(&group), left.min(MAX_LOW_PRIORITY_WRITES));
    }
}

fn plan_of_deleted(pods: &[(Identity, Version)], deleted_at: Option<Millis>, now: Millis) -> Plan {
    planner::plan(&GroupView::Deleted { group: support::group_id(), pods: pods.to_vec(), deleted_at, now })
}

/// All groups share the request slots. Thus no group waits until the thousand pods of a deleted
/// group are released.
#[test]
fn the_pods_of_a_deleted_group_are_released_by_the_dozen_until_none_is_left() {
    for deleted_at in [None, Some(Millis(0))] {
        let mut left: Vec<_> = (0..100).map(|number| (id(&format!("n{number}")), Version(1))).collect();
        for rounds in 0.. {
            let steps = plan_of_deleted(&left, deleted_at, NOW).into_steps();
            if steps.is_empty() {
                assert_eq!((rounds, left.len()), (100_usize.div_ceil(MAX_LOW_PRIORITY_WRITES), 0));
                break;
            }
            let asks = steps[0].intents == [Intent::Confirm(Fact::GroupGone(support::group_id()))];
            let proved = deleted_at.is_some();
            assert_eq!((asks, steps.len()), (!proved, if proved { 1 } else { 2 }));
            let cleaned = &steps.last().unwrap().intents;
            assert!(cleaned.len() <= MAX_LOW_PRIORITY_WRITES, "{}", cleaned.len());
            left.retain(|(pod, version)| !cleaned.contains(&Intent::Release(pod.clone(), *version)));
        }
    }
}

/// `kubectl replace --force`, or a change of a field that cannot be changed.
#[test]
fn the_pods_of_a_deleted_group_wait_a_moment_for_a_group_that_is_created_again() {
    let left = [(id("a"), Version(1))];
    let plan = |now| plan_of_deleted(&left, Some(NOW), now);
    let due = NOW + RECREATED_WITHIN;
    assert_eq!(plan(NOW), Plan::Sleep(Some(due)));
    assert_eq!(plan(due).steps()[0].intents, [Intent::Release(id("a"), Version(1))]);
    assert_eq!(plan_of_deleted(&[], Some(NOW), NOW), Plan::Sleep(None), "nothing is left");
}

#[test]
fn a_missing_or_wrong_leader_label_is_given_back() {
    for role in [Role::Absent, Role::Follower, Role::Other] {
        let mut group = steady();
        pod_mut(&mut group, "a").role = role;
        assert_eq!(told(&group), ["confirm record", "promote a 3", "event LabelRepaired"]);
    }
}

#[test]
fn a_missing_owner_or_term_is_given_back() {
    let changes: [fn(&mut SeenPod); 3] =
        [|p| p.owner = Owner::None, |p| p.term = None, |p| p.term = Some(term(1))];
    for change in changes {
        let mut group = steady();
        change(pod_mut(&mut group, "a"));
        assert_eq!(told(&group), ["confirm record", "promote a 3"]);
    }
}

#[test]
fn a_copied_label_is_taken_away_and_demotion_comes_first() {
    let mut group = steady();
    pod_mut(&mut group, "b").role = Role::Leader;
    pod_mut(&mut group, "a").role = Role::Absent;
    unready(&mut group, "b");
    assert_eq!(told(&group)[0], "record a 4 []"); // b carries the label with the term of the record
    settle(&mut group);
    assert_eq!(labelled(&group), ["a"]);
}

#[test]
fn a_label_lost_after_a_complete_change_is_told_as_repaired() {
    let mut group = steady();
    delete(&mut group, "a");
    settle(&mut group);
    pod_mut(&mut group, "b").role = Role::Absent;
    assert_eq!(told(&group), ["confirm record", "promote b 4", "event LabelRepaired"]);
}

#[test]
fn a_leader_deselected_before_it_had_an_owner_is_fenced_all_the_same() {
    let mut group = fresh([with(pod("a"), |p| p.membership = Membership::Deselected), pod("b")]);
    group.group.status.record = Some(LeaderRecord { unfenced: Unfenced::All, ..record("a", 1) });
    let plans = settle(&mut group);
    let mut intents = plans.iter().flat_map(Plan::intents);
    let fenced = |intent: &Intent| matches!(intent, Intent::Fence(write) if write.pod == id("a"));
    assert!(intents.any(fenced), "{plans:#?}");
    assert_eq!(labelled(&group), ["b"]);
}

#[test]
fn a_label_value_changed_in_the_spec_is_written_and_is_no_repair() {
    let mut group = steady();
    group.group.generation += 1;
    pod_mut(&mut group, "a").role = Role::Other;
    assert_eq!(told(&group), ["confirm record", "promote a 3", "status"]);
}

#[test]
fn a_label_copied_without_its_term_needs_no_new_record() {
    let mut group = steady();
    let copy = pod_mut(&mut group, "b");
    (copy.role, copy.term, copy.owner) = (Role::Leader, None, Owner::None);
    assert_eq!(told(&group), ["fence b 3", "event LabelRepaired"]);
}

#[test]
fn a_label_baked_into_a_template_is_taken_from_a_new_pod() {
    let mut group = steady();
    group.pods.push(with(pod("d"), |p| p.role = Role::Leader));
    assert_eq!(told(&group), ["fence d 3", "status", "event LabelRepaired"]);
}

#[test]
fn a_new_pod_gets_the_follower_label_and_a_finished_or_terminating_one_does_not() {
    let mut group = steady();
    group.pods.push(pod("d"));
    assert_eq!(told(&group), ["status", "follower d 3"]);
    for change in [(|p| p.phase = PodPhase::Finished) as fn(&mut SeenPod), |p| p.terminating = true] {
        let mut group = steady();
        group.pods.push(with(pod("d"), change));
        assert!(!told(&group).join(",").contains("follow"));
    }
}

#[test]
fn where_followers_have_no_label_only_those_that_carry_one_are_written() {
    let mut group = steady();
    policy_mut(&mut group).followers_are_labelled = false;
    assert_eq!(told(&group), ["follower b 3, follower c 3"]);
    settle(&mut group);
    assert_eq!(group.pods.iter().filter(|pod| pod.role == Role::Absent).count(), 2);
}

#[test]
fn a_pod_that_is_no_longer_selected_is_released() {
    let mut group = steady();
    pod_mut(&mut group, "b").membership = Membership::Deselected;
    assert_eq!(told(&group), ["status", "release b"]);
}

#[test]
fn a_leader_that_cannot_be_labelled_is_not_announced_as_repaired() {
    let mut group = settled(led("a", 3, [leader("a", 3)]));
    let finished = pod_mut(&mut group, "a");
    (finished.phase, finished.role) = (PodPhase::Finished, Role::Absent);
    settle(&mut group); // must come to rest
    assert_eq!(told(&group), NOTHING);
}

#[test]
fn a_renamed_leader_in_the_status_is_still_the_pod_of_that_uid() {
    let mut group = steady();
    let leader = group.group.status.record.as_mut().unwrap().leader.as_mut().unwrap();
    leader.id.name = "b".to_owned();
    assert_eq!(told(&group), ["status"]);
    settle(&mut group);
    assert_eq!(group.leader_id(), Some(&id("a")));
}
