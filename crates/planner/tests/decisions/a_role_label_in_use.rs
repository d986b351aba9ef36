//! The role label already belongs to the application or to a controller: the group is refused.

use planner::seen::ElectionMode;

use super::*;

fn worker(name: &str) -> SeenPod {
    with(pod(name), |p| (p.role, p.other_role) = (Role::Other, Some("worker".to_owned())))
}

#[test]
fn a_role_label_in_use_refuses_the_group_before_anything_is_written() {
    let mut group = fresh([pod("a"), worker("b"), worker("c")]);
    assert_eq!(told(&group), ["status", "event RoleLabelInUse"]);
    settle(&mut group);
    assert_eq!(says(&group, "Accepted"), (false, "RoleLabelInUse".into()));
    assert_eq!(says(&group, "Ready"), (false, "RoleLabelInUse".into()));
    let message = "pod b carries role=worker, which this group never writes: remove the label, or recreate the \
                   group with another roleLabel.key";
    assert_eq!(condition(&group, "Accepted").message, message);
    assert!(group.pods.iter().all(|pod| pod.owner == Owner::None));
}

/// One tenant's pod does not stop a group that runs: the pod could not lead, and is not written.
#[test]
fn a_role_label_in_use_on_a_pod_that_a_running_group_does_not_need_makes_that_pod_ineligible_alone() {
    let mut group = steady();
    group.pods.push(worker("d"));
    unready(&mut group, "a");
    unready(&mut group, "c");
    let steps = told(&group);
    assert_eq!(steps[0], "record b 4 [a]");
    settle(&mut group);
    assert_eq!(labelled(&group), ["b"]);
    let reports = &group.group.status.pods;
    assert!(reports.iter().any(|pod| pod.name == "d" && pod.reason == "RoleLabelInUse"), "{reports:?}");
    unready(&mut group, "b");
    settle(&mut group);
    assert_eq!(labelled(&group), ["b"], "no other could lead");
    let d = pod_mut(&mut group, "d");
    assert_eq!((d.role, d.owner.clone()), (Role::Other, Owner::None));
}

#[test]
fn a_role_label_in_use_on_a_pod_that_the_record_names_leaves_the_leader_as_it_is_and_moves_nothing() {
    let named: [fn(&mut Snapshot); 3] = [
        |g| *g = with_record(g, "a", Unfenced::Pods(vec![id("d")])),
        |g| *g = with_record(g, "a", Unfenced::All),
        |g| *g = with_record(g, "d", Unfenced::NONE),
    ];
    for (row, change) in named.into_iter().enumerate() {
        let mut group = steady();
        group.pods.push(worker("d"));
        change(&mut group);
        pod_mut(&mut group, "a").ready = false;
        assert_eq!(told(&group), ["status", "event RoleLabelInUse"], "row {row}");
        settle(&mut group);
        assert_eq!(labelled(&group), ["a"]);
    }
}

fn with_record(group: &Snapshot, leader: &str, unfenced: Unfenced) -> Snapshot {
    let mut group = group.clone();
    group.group.status.record = Some(LeaderRecord { unfenced, ..record(leader, 3) });
    group
}

#[test]
fn a_role_label_in_use_where_the_pods_elect_refuses_the_group() {
    let mut group = steady();
    policy_mut(&mut group).mode = ElectionMode::Observed;
    group.pods.push(worker("d"));
    assert!(told(&group).contains(&"event RoleLabelInUse".to_owned()), "the pod may hold the Lease");
}

#[test]
fn a_role_label_is_not_in_use_with_the_groups_own_values_or_on_an_owned_ending_or_deselected_pod() {
    let table: [fn(&mut SeenPod); 5] = [
        |p| (p.role, p.other_role) = (Role::Follower, None),
        |p| p.owner = Owner::Ours,
        |p| p.phase = PodPhase::Finished,
        |p| p.terminating = true,
        |p| p.membership = Membership::Deselected,
    ];
    for (row, change) in table.into_iter().enumerate() {
        let group = fresh([pod("a"), with(worker("b"), change)]);
        assert_eq!(told(&group)[0], "record a 1 [*]", "row {row}");
    }
}

fn released_by_controller(name: &str) -> Snapshot {
    let mut group = steady();
    pod_mut(&mut group, name).released_by_controller = true;
    group
}

#[test]
fn a_role_label_that_a_controller_uses_is_given_back_at_the_first_pod_that_it_releases() {
    let mut group = released_by_controller("b");
    group.pods.push(pod("d"));
    assert_eq!(told(&group), ["status", "event RoleLabelInUse, release b"]);
    settle(&mut group);
    assert_eq!(labelled(&group), ["a"]);
    let told = &condition(&group, "Accepted").message;
    assert!(told.starts_with("pod b was given the label role and its controller let it go"), "{told}");
    assert_eq!(pod_mut(&mut group, "d").owner, Owner::None);
}

#[test]
fn a_role_label_that_a_controller_uses_is_not_tried_on_a_second_pod_until_the_spec_changes() {
    let mut group = released_by_controller("a");
    settle(&mut group);
    assert_eq!(labelled(&group), Vec::<&str>::new());
    group.pods.retain(|pod| pod.id.name != "a");
    group.pods.push(pod("d"));
    settle(&mut group);
    assert_eq!(pod_mut(&mut group, "d").owner, Owner::None);
    assert_eq!(says(&group, "Accepted"), (false, "RoleLabelInUse".into()));
    group.group.generation += 1;
    assert_eq!(labelled(&settled(group)), ["b"]);
}

#[test]
fn a_role_label_that_is_given_back_is_not_in_the_way_of_pods_that_an_older_group_has() {
    let mut group = released_by_controller("b");
    pod_mut(&mut group, "b").role = Role::Leader;
    let claimed = Membership::ClaimedBy("elder".to_owned());
    pod_mut(&mut group, "c").membership = claimed;
    assert_eq!(told(&group), ["status", "event RoleLabelInUse, release b, release c"]);
}
