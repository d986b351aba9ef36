//! A paused group renews and repairs, but moves nothing.

use super::*;

fn paused() -> Snapshot {
    let mut group = steady();
    policy_mut(&mut group).paused = true;
    settled(group)
}

#[test]
fn a_paused_group_says_so_in_the_reason_of_ready() {
    assert_eq!(says(&paused(), "Ready"), (true, "Paused".into()));
}

#[test]
fn a_paused_group_moves_nothing_not_even_to_no_leader() {
    let table: [fn(&mut Snapshot); 4] = [
        |g| delete(g, "a"),
        |g| pod_mut(g, "a").terminating = true,
        |g| pod_mut(g, "a").membership = Membership::Deselected,
        |g| policy_mut(g).clear_without_candidate = true,
    ];
    for change in table {
        let mut group = paused();
        change(&mut group);
        unready(&mut group, "b");
        let before = labelled(&group).join(" ");
        settle(&mut group);
        assert_eq!((labelled(&group).join(" "), group.record().unwrap().term), (before, term(3)));
    }
}

#[test]
fn a_paused_group_without_its_leader_blames_the_pause() {
    let mut group = paused();
    delete(&mut group, "a");
    settle(&mut group);
    let elected = condition(&group, "LeaderElected");
    assert_eq!((elected.holds, elected.reason.as_str()), (false, "LeaderGone"));
    assert_eq!(elected.message, "pod a is gone, and nothing moves while paused");
}

#[test]
fn a_paused_group_elects_nobody() {
    let mut group = fresh([pod("a")]);
    policy_mut(&mut group).paused = true;
    settle(&mut group);
    assert_eq!((labelled(&group).len(), group.record()), (0, None));
}

#[test]
fn a_paused_group_renews_and_repairs() {
    let mut group = paused();
    assert_eq!(told(&at(&group, NOW + Millis(5_000))), ["renew lease a 3"]);
    pod_mut(&mut group, "a").role = Role::Absent;
    assert_eq!(told(&group), ["confirm record", "promote a 3", "event LabelRepaired"]);
}

#[test]
fn a_paused_group_records_the_labelled_pod_again_when_the_status_was_emptied() {
    let mut group = paused();
    group.group.status.record = None;
    assert_eq!(told(&group), ["record a 4 [*]", "list 4"]);
    settle(&mut group);
    assert_eq!(labelled(&group), ["a"]);
}

#[test]
fn a_paused_group_leaves_a_deselected_leader_without_label_alone() {
    let mut group = paused();
    let leader = pod_mut(&mut group, "a");
    (leader.membership, leader.role) = (Membership::Deselected, Role::Absent);
    settle(&mut group); // must come to rest
    assert_eq!(labelled(&group).len(), 0);
}
