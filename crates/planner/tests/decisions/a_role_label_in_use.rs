//! The role label already belongs to the application or to a controller: the group is refused.

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

#[test]
fn a_role_label_in_use_leaves_the_leader_as_it_is_and_moves_nothing() {
    let mut group = steady();
    group.pods.push(worker("d"));
    pod_mut(&mut group, "a").ready = false;
    assert_eq!(told(&group), ["status", "event RoleLabelInUse"]);
    settle(&mut group);
    assert_eq!(labelled(&group), ["a"]);
    group.pods.retain(|pod| pod.id.name != "d");
    assert_eq!(labelled(&settled(group)), ["b"]);
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
