//! A nominee that leaves the free Lease untaken.

use super::*;

/// `b` is nominated in term 4, and the Lease is free since `NOW`.
fn nominated() -> Snapshot {
    let mut group = steady();
    release(&mut group);
    story(&mut group);
    group
}

fn silent(group: &Snapshot) -> Vec<&str> {
    group.group.status.silent_nominees.iter().map(|id| id.name.as_str()).collect()
}

#[test]
fn a_nominee_that_is_silent_for_too_long_makes_way_for_the_next() {
    let mut group = nominated();
    assert_eq!(plan_group(&group).wake_at(), Some(seconds(5)));
    assert_eq!(told(&at(&group, Millis(seconds(5).0 - 1))), NOTHING);
    group.now = seconds(5);
    assert_eq!(told(&group)[..3], ["confirm lease", "record a 5 [b]", "fence b 5, nominate a 5"]);
    story(&mut group);
    assert_eq!((newest_reason(&group), silent(&group)), ("NomineeSilent", vec!["b"]));
    let report = group.group.status.pods.iter().find(|pod| pod.name == "b").unwrap();
    assert_eq!((report.reason.as_str(), report.rank), ("NoCompanion", None));
    assert_eq!(group.group.status.eligible, 2);
}

#[test]
fn the_time_counts_while_the_lease_is_free_only() {
    let mut group = steady();
    group.group.switchover = Some("b".to_owned());
    story(&mut group);
    group.now = seconds(12);
    renew(&mut group);
    assert_eq!(told(&group), NOTHING);
    release(&mut group);
    assert_eq!(told(&at(&group, Millis(seconds(17).0 - 1))), ["status"]);
    assert_eq!(told(&at(&group, seconds(17)))[..2], ["confirm lease", "record a 5 [b]"]);
}

#[test]
fn when_all_were_silent_they_are_tried_again_in_their_order_one_a_minute() {
    let mut group = nominated();
    for (moment, nominee) in [(5, "a"), (10, "c")] {
        group.now = seconds(moment);
        story(&mut group);
        assert_eq!(group.lease.as_ref().unwrap().content.nominee, Some(id(nominee)));
    }
    assert_eq!(silent(&group), ["b", "a"]);
    for clear in [false, true] {
        policy_mut(&mut group).clear_without_candidate = clear;
        assert_eq!(told(&at(&group, Millis(seconds(70).0 - 1))), NOTHING);
        assert_eq!(plan_group(&at(&group, seconds(20))).wake_at(), Some(seconds(70)));
    }
    for (moment, nominee) in [(70, "b"), (130, "a"), (190, "c"), (250, "b")] {
        group.now = seconds(moment);
        story(&mut group);
        assert_eq!(group.lease.as_ref().unwrap().content.nominee, Some(id(nominee)));
    }
    take(&mut group, "b");
    assert_eq!(labelled(&settled(group)), ["b"]);
}

#[test]
fn a_silent_nominee_without_a_successor_stays_nominated() {
    let mut group = nominated();
    for name in ["a", "c"] {
        delete(&mut group, name);
    }
    group.now = seconds(600);
    assert_eq!(story(&mut group), NOTHING);
    assert_eq!(plan_group(&group).wake_at(), None);
}

#[test]
fn a_silent_pod_is_tried_again_once_it_was_not_ready_or_was_seen_to_hold_the_lease() {
    let mut group = nominated();
    group.now = seconds(5);
    story(&mut group);
    let mut restarted = group.clone();
    unready(&mut restarted, "b");
    story(&mut restarted);
    assert_eq!(silent(&restarted), Vec::<&str>::new());
    let mut late = group.clone();
    take(&mut late, "b");
    story(&mut late);
    assert_eq!(silent(&late), Vec::<&str>::new());
    delete(&mut group, "b");
    story(&mut group);
    assert_eq!(silent(&group), Vec::<&str>::new());
}

/// A pod may have been judged silent wrongly. No leader would be worse than to try it again.
#[test]
fn silent_pods_are_better_than_none_when_a_leader_is_lost() {
    let mut group = nominated();
    group.now = seconds(5);
    story(&mut group);
    take(&mut group, "a");
    story(&mut group);
    delete(&mut group, "c");
    delete(&mut group, "a");
    let told = story(&mut group);
    assert!(told.iter().any(|line| line.contains("record b 6")), "{told:?}");
}

#[test]
fn a_switchover_to_a_silent_pod_is_refused() {
    let mut group = nominated();
    group.now = seconds(5);
    story(&mut group);
    group.group.switchover = Some("b".to_owned());
    let policy = group.group.policy.clone().unwrap();
    let SwitchoverVerdict::Refuse(why) = switchover_verdict(&group, &policy) else { panic!("granted") };
    assert!(why.contains("its companion does not run"), "{why}");
}

#[test]
fn a_restart_of_the_operator_forgets_no_silent_pod() {
    let mut group = nominated();
    group.now = seconds(5);
    story(&mut group);
    take(&mut group, "a");
    story(&mut group);
    pod_mut(&mut group, "b").weight = 10;
    policy_mut(&mut group).failback_after = Some(Millis(0));
    let content = group.lease.as_ref().unwrap().content.clone();
    group.lease = Some(SeenLease::first_seen(content, group.now));
    assert!(!story(&mut group).iter().any(|line| line.contains("record")), "no failback to a silent pod");
}

#[test]
fn the_list_of_silent_pods_has_an_end() {
    let mut status = steady().group.status;
    for number in 0..200 {
        planner::nominated_mode::note_silent(&mut status, &Identity::new("p", number.to_string()));
    }
    assert_eq!(status.silent_nominees.len(), 64);
    assert_eq!(status.silent_nominees.last().unwrap().uid, "199");
}
