//! Owner annotations of other groups on pods: which are respected, and which are taken over.

use super::*;

#[test]
fn a_pod_owned_by_another_group_that_exists_is_never_written() {
    let foreign = Owner::Other(Identity::new("x", "x"));
    for role in [Role::Absent, Role::Follower] {
        let mut group = steady();
        group.pods.push(with(follower("d", 99), |p| (p.owner, p.role) = (foreign.clone(), role)));
        let before = group.pods[3].clone();
        settle(&mut group);
        assert_eq!(group.pods[3], before);
    }
}

#[test]
fn a_leader_owned_by_another_group_counts_as_deselected() {
    let mut group = steady();
    pod_mut(&mut group, "a").owner = Owner::Other(Identity::new("x", "x"));
    pod_mut(&mut group, "a").role = Role::Absent;
    assert_eq!(
        told(&group)[..3],
        ["record b 4 [a]", "confirm group x exists, confirm pod a unchanged, take lease b 4", "promote b 4"]
    );
}

#[test]
fn a_leader_label_on_a_pod_owned_by_another_group_holds_the_promotion_back() {
    let mut group = steady();
    pod_mut(&mut group, "a").owner = Owner::Other(Identity::new("x", "x"));
    assert_eq!(
        told(&group)[..3],
        ["record b 4 [a]", "confirm group x exists, confirm pod a unchanged, take lease b 4", "status"]
    );
    settle(&mut group);
    assert_eq!(labelled(&group), ["a"]);
    assert_eq!(says(&group, "Ready"), (false, "SecondLabel".into()));
    let waits = "pod b is to lead in term 4, once group x has taken the leader label from pod a, which carries its \
                 mark";
    assert_eq!(condition(&group, "Ready").message, waits);
    pod_mut(&mut group, "a").owner = Owner::None; // released by that group, or by a user
    assert_eq!(told(&group)[..2], ["confirm record, fence a 4", "10 ms; promote b 4"]);
    settle(&mut group);
    assert_eq!(labelled(&group), ["b"]);
}

#[test]
fn another_owner_counts_as_a_fence_only_if_that_group_exists_after_the_record() {
    let foreign = Owner::Other(Identity::new("x", "x"));
    let mut group = fresh([pod("a"), with(pod("b"), |p| p.owner = foreign)]);
    let first = plan_group(&group);
    support::apply(&mut group, &first);
    assert_eq!(told(&group)[..2], ["confirm group x exists, confirm record, take lease a 1", "promote a 1"]);
}

#[test]
fn a_pod_owned_by_a_deleted_group_is_taken_over_after_group_and_record_are_confirmed() {
    let orphaned = Owner::Vanished(Identity::new("old", "old-uid"));
    let mut group =
        fresh([with(pod("a"), |p| (p.owner, p.role) = (orphaned.clone(), Role::Leader)), pod("b")]);
    assert_eq!(told(&group), ["record a 1 [*]", "list 1"]);
    let first = plan_group(&group);
    support::apply(&mut group, &first);
    assert_eq!(
        told(&group)[..4],
        ["confirm group old gone", "confirm record", "fence b 1, take lease a 1", "promote a 1"]
    );
    group.pods[0].role = Role::Absent;
    group.pods[1].owner = orphaned;
    assert_eq!(told(&group)[..2], ["confirm group old gone", "confirm record"]);
}

#[test]
fn annotations_from_before_the_group_was_recreated_count_for_the_term() {
    let orphaned = Owner::Vanished(Identity::new("orders", "earlier-uid"));
    let mut group = fresh([with(follower("a", 8), |p| p.owner = orphaned)]);
    assert_eq!(told(&group)[0], "record a 9 [*]");
    settle(&mut group);
    assert_eq!(labelled(&group), ["a"]);
}

#[test]
fn a_pod_that_needs_no_write_causes_no_live_read() {
    let orphaned = Owner::Vanished(Identity::new("old", "old-uid"));
    let mut group = steady();
    group.pods.push(with(pod("d"), |p| (p.owner, p.terminating) = (orphaned, true)));
    assert!(!told(&group).join(",").contains("confirm"));
}
