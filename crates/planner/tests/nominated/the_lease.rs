//! The Lease by its UID: quarantine, durations, owners.

use super::*;

/// The Lease of the steady group is deleted, and made anew by the operator at that moment.
fn replaced(group: &mut Snapshot, uid: &str) {
    group.lease = Some(SeenLease::first_seen(free_lease(uid), group.now));
}

#[test]
fn a_lease_of_another_uid_is_in_quarantine_and_the_leader_serves_no_more() {
    let mut group = steady();
    group.lease = None;
    assert_eq!(told(&group), ["create lease"]);
    replaced(&mut group, "second");
    let told_now = story(&mut group);
    assert_eq!(told_now, ["confirm lease", "fence a 3", "event LeaseQuarantined"]);
    assert_eq!(reason(&group, "Ready"), "LeaseQuarantined");
    assert_eq!(plan_group(&group).wake_at(), Some(seconds(15)));
    group.now = seconds(15);
    assert_eq!(told(&group)[..3], ["confirm lease", "record a 4 []", "nominate a 4"]);
    story(&mut group);
    assert_eq!(newest_reason(&group), "Recovered");
    take(&mut group, "a");
    assert_eq!(labelled(&settled(group)), ["a"]);
}

#[test]
fn nothing_is_recorded_in_the_quarantine_though_the_leader_is_gone() {
    let mut group = steady();
    replaced(&mut group, "second");
    story(&mut group);
    delete(&mut group, "a");
    let told_now = story(&mut group);
    assert!(
        !told_now.iter().any(|line| line.contains("record") || line.contains("nominate")),
        "{told_now:?}"
    );
    assert_eq!(told(&at(&group, seconds(15)))[..2], ["confirm lease", "record b 4 []"]);
}

#[test]
fn a_record_never_lowers_the_longest_duration_and_the_leader_seen_to_hold_does() {
    let mut group = steady();
    policy_mut(&mut group).lease_duration_seconds = 60;
    group.group.switchover = Some("b".to_owned());
    story(&mut group);
    assert_eq!(longest(&group), 60);
    policy_mut(&mut group).lease_duration_seconds = 3;
    group.group.switchover = Some("c".to_owned());
    story(&mut group);
    assert_eq!((longest(&group), group.lease.as_ref().unwrap().content.nominated_seconds), (60, Some(3)));
    let mut deleted = group.clone();
    replaced(&mut deleted, "second");
    assert_eq!(plan_group(&settled(deleted)).wake_at(), Some(seconds(60)));
    release(&mut group);
    take(&mut group, "c");
    story(&mut group);
    assert_eq!(longest(&group), 3);
}

#[test]
fn the_nominations_duration_is_that_of_the_record() {
    let mut group = steady();
    group.group.status.record = Some(record("b", 4));
    group.group.status.recorded_lease.as_mut().unwrap().duration_seconds = 40;
    story(&mut group);
    assert_eq!(group.lease.as_ref().unwrap().content.nominated_seconds, Some(40));
}

/// Another operator nominated from a record that is lost.
#[test]
fn a_term_above_the_records_or_a_foreign_nominee_in_it_makes_the_record_anew() {
    let table: [(&str, fn(&mut LeaseContent)); 2] = [
        ("record a 8 []", |lease| lease.term = Some(term(7))),
        ("record a 4 []", |lease| lease.nominee = Some(id("c"))),
    ];
    for (expected, edit) in table {
        let mut group = steady();
        write(&mut group, edit);
        assert_eq!(told(&group)[0], expected);
        let told = story(&mut group);
        assert!(told.iter().any(|line| line.contains("nominate a")), "{told:?}");
    }
}

#[test]
fn no_term_is_nominated_twice() {
    let mut group = steady();
    group.group.switchover = Some("b".to_owned());
    story(&mut group);
    release(&mut group);
    take(&mut group, "b");
    release(&mut group);
    let told = story(&mut group);
    assert!(told.iter().any(|line| line.contains("nominate a 5")), "{told:?}");
}

#[test]
fn the_free_lease_of_another_group_is_left_alone() {
    let mut group = new_group([pod("a")]);
    let owner = Owner::Other(Identity::new("bills", "2"));
    group.lease.as_mut().unwrap().content.owner = owner;
    story(&mut group);
    assert_eq!(reason(&group, "Accepted"), "LeaseHeldByOther");
    let later = settled(at(&group, seconds(600)));
    assert_eq!(later.group.status, group.group.status);
    assert_eq!(told(&at(&group, seconds(600))), NOTHING);
}

#[test]
fn a_lease_that_no_group_ever_wrote_is_left_alone() {
    let mut group = new_group([pod("a")]);
    group.lease.as_mut().unwrap().content.owner = Owner::None;
    story(&mut group);
    assert_eq!(reason(&group, "Accepted"), "LeaseNotOurs");
}

/// A restore from a backup drops the owner; the UID then is another one.
#[test]
fn the_recorded_lease_stays_ours_without_its_owner() {
    let mut group = steady();
    write(&mut group, |lease| lease.owner = Owner::None);
    assert_eq!(story(&mut group), NOTHING);
    group.group.switchover = Some("b".to_owned());
    story(&mut group);
    assert_eq!(group.lease.as_ref().unwrap().content.owner, Owner::Ours);
}

#[test]
fn a_lease_is_taken_over_from_a_group_once_its_deletion_is_confirmed() {
    let mut group = new_group([pod("a")]);
    group.lease.as_mut().unwrap().content.owner = Owner::Vanished(Identity::new("old", "0"));
    group = at(&settled(group), seconds(15));
    let told = story(&mut group);
    let confirmed = told.iter().position(|line| line == "confirm group old gone").expect("confirmed");
    let nominated = told.iter().position(|line| line.contains("nominate a 1")).expect("nominated");
    assert!(confirmed < nominated, "{told:?}");
}

/// The status was emptied. The Lease is old, so nothing else can be held.
#[test]
fn a_lost_record_asks_the_holder_to_end_and_does_not_clear_it() {
    let mut group = steady();
    group.group.status = planner::seen::GroupStatus::default();
    let told = story(&mut group);
    assert_eq!(told[..3], ["confirm lease", "record a 4 [*]", "list 4"]);
    assert!(told.iter().any(|line| line.ends_with(", nominate a 4")), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("clear")), "{told:?}");
}
