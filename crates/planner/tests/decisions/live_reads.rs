//! What a plan confirms by live reads before it promotes.

use super::*;

#[test]
fn a_promotion_by_the_plan_that_records_needs_no_live_read() {
    let mut group = steady();
    *pod_mut(&mut group, "b") = pod("b");
    unready(&mut group, "a");
    assert_eq!(told(&group)[..3], ["record b 4 [a]", "fence a 4, take lease b 4", "3 ms; promote b 4"]);
}

#[test]
fn a_promotion_by_a_later_plan_confirms_the_record_whatever_the_pods_annotations_say() {
    let pods = [pod("b"), with(follower("b", 3), |p| p.term = None), follower("b", 3), follower("b", 4)];
    for next in pods {
        let mut group = steady();
        group.group.status.record = Some(record("b", 4));
        unready(&mut group, "a");
        *pod_mut(&mut group, "b") = next;
        assert_eq!(told(&group)[0], "confirm record, fence a 4, take lease b 4");
    }
}

#[test]
fn a_list_counts_for_the_version_of_the_group_that_it_was_made_for() {
    let mut group = fresh([pod("a")]);
    let mut first = record("a", 1);
    first.unfenced = Unfenced::All;
    group.group.status.record = Some(first);
    group.listed_for = Some(Version(group.group.version.0 - 1));
    assert_eq!(told(&group), ["list 1"]);
    group.listed_for = Some(group.group.version);
    assert_eq!(told(&group)[..2], ["confirm record, take lease a 1", "promote a 1"]);
}
