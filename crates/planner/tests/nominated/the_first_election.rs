//! From the creation of a group to its first leader.

use super::*;

#[test]
fn the_lease_comes_first_free_and_without_a_nominee() {
    let mut group = new_group([pod("a")]);
    group.lease = None;
    assert_eq!(told(&group), ["create lease"]);
    policy_mut(&mut group).paused = true;
    assert_eq!(told(&group), ["create lease"], "a creation grants nothing");
}

/// A group that is deleted and applied again has an empty status and no marks on its pods, while
/// the command of the earlier leader runs on.
#[test]
fn no_pod_is_nominated_before_the_duration_has_passed_since_the_lease_was_first_seen() {
    let group = settled(new_group([pod("a"), pod("b")]));
    assert_eq!(reason(&group, "LeaderElected"), "LeaseQuarantined");
    assert_eq!(reason(&group, "Reconciling"), "LeaseQuarantined");
    assert!(group.group.status.record.is_none());
    assert_eq!(plan_group(&group).wake_at(), Some(seconds(15)));
    assert_eq!(told(&at(&group, Millis(seconds(15).0 - 1))), NOTHING);
    assert_eq!(told(&at(&group, seconds(15)))[..2], ["confirm lease", "record a 1 [*]"]);
}

#[test]
fn a_nominee_is_promoted_once_it_was_seen_to_hold_the_lease() {
    let mut group = at(&settled(new_group([pod("a"), pod("b")])), seconds(15));
    let told = story(&mut group);
    assert_eq!(told[..3], ["confirm lease", "record a 1 [*]", "list 1"]);
    assert!(told.contains(&"fence b 1, nominate a 1".to_owned()), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("promote")), "{told:?}");
    assert_eq!(reason(&group, "LeaderElected"), "AwaitingNominee");
    take(&mut group, "a");
    assert_eq!(story(&mut group), ["confirm record", "promote a 1", "change FirstElection"]);
    assert_eq!((labelled(&group), reason(&group, "Ready")), (vec!["a"], "LeaderReady"));
    assert_eq!(group.group.status.recorded_lease.as_ref().unwrap().uid, "lease-uid");
}

#[test]
fn a_pod_that_carries_the_label_from_an_earlier_tool_loses_it_until_it_holds_the_lease() {
    let labelled_before = with(pod("b"), |pod| pod.role = Role::Leader);
    let mut group = at(&settled(new_group([pod("a"), labelled_before])), seconds(15));
    let told = story(&mut group);
    assert!(told.contains(&"fence a 1, fence b 1, nominate b 1".to_owned()), "{told:?}");
    assert_eq!(labelled(&group), Vec::<&str>::new());
    take(&mut group, "b");
    assert_eq!(labelled(&settled(group)), ["b"]);
}

#[test]
fn a_switchover_that_is_asked_for_in_the_quarantine_waits_for_its_end() {
    let mut group = settled(new_group([pod("a"), pod("b")]));
    group.group.switchover = Some("b".to_owned());
    assert_eq!(told(&group), NOTHING);
    group.now = seconds(15);
    assert!(story(&mut group).contains(&"fence a 1, nominate b 1".to_owned()));
    assert_eq!(group.group.switchover, None);
}
