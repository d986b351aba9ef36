//! A short Lease, and what the operator says of it.

use super::*;

fn warnings(group: &mut Snapshot) -> usize {
    story(group).iter().filter(|line| *line == "event ShortLease").count()
}

fn edit(group: &mut Snapshot, seconds: u32) {
    policy_mut(group).lease_duration_seconds = seconds;
}

fn accepted(group: &Snapshot) -> &str {
    let conditions = &group.group.status.conditions;
    &conditions.iter().find(|condition| condition.kind == "Accepted").expect("the condition").message
}

#[test]
fn a_lease_below_ten_seconds_is_warned_of() {
    for (seconds, warned) in [(3, 1), (9, 1), (10, 0), (60, 0)] {
        let mut group = new_group([pod("a"), pod("b")]);
        edit(&mut group, seconds);
        assert_eq!(warnings(&mut group), warned, "{seconds}");
        assert_eq!(accepted(&group).contains("lease.durationSeconds"), warned == 1, "{}", accepted(&group));
    }
}

/// In Managed mode the Lease stops no pod.
#[test]
fn a_short_lease_of_another_mode_is_not_warned_of() {
    let mut group = fresh([pod("a"), pod("b")]);
    edit(&mut group, 3);
    assert_eq!(warnings(&mut group), 0);
    assert_eq!(accepted(&group), "the group is served");
}

#[test]
fn the_warning_comes_once_and_again_with_another_duration() {
    let mut group = steady();
    edit(&mut group, 3);
    assert_eq!(warnings(&mut group), 1);
    assert_eq!(warnings(&mut group), 0, "the status remembers it: another operator does not repeat it");
    edit(&mut group, 5);
    assert_eq!(warnings(&mut group), 1);
    edit(&mut group, 15);
    assert_eq!((warnings(&mut group), accepted(&group)), (0, "the group is served"));
}
