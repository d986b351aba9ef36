//! The leader label follows the Lease: handed on, released, expired, deleted.

use super::*;

#[test]
fn the_label_follows_a_lease_that_is_handed_on_demotion_first() {
    let mut group = steady();
    hand_to(&mut group, "b");
    assert_eq!(
        told(&group),
        [
            "confirm lease",
            "record b 4 [a]",
            "fence a 4",
            "10 ms; promote b 4",
            "status",
            "change HolderChanged"
        ]
    );
    assert_eq!(outcome(group), says("b", "HolderChanged", "Elected"));
}

#[test]
fn the_label_goes_exactly_when_the_lease_expires_and_a_live_read_shows_no_renewal() {
    let group = steady();
    assert_eq!(told(&group), NOTHING);
    assert_eq!(plan_group(&group).wake_at(), Some(seconds(15)));
    let expired = group.later(seconds(15));
    assert_eq!(
        told(&expired),
        ["confirm lease", "record nobody 4 [a]", "fence a 4", "status", "change LeaseExpired"]
    );
    assert_eq!(outcome(expired), says("", "LeaseExpired", "LeaseExpired"));
}

#[test]
fn the_label_goes_at_once_when_the_lease_is_released_or_deleted_or_held_by_a_stranger() {
    let table: [(&str, fn(&mut Snapshot)); 4] = [
        ("LeaseNotHeld", |group| hand_to(group, "")),
        ("LeaseNotHeld", |group| renew(group, |lease| lease.holder = None)),
        ("UnknownHolder", |group| hand_to(group, "somebody")),
        ("LeaseMissing", |group| group.lease = None),
    ];
    for (condition, change) in table {
        let mut group = steady();
        change(&mut group);
        assert_eq!(told(&group)[..3], ["confirm lease", "record nobody 4 [a]", "fence a 4"]);
        assert_eq!(outcome(group), says("", "HolderChanged", condition));
    }
}

#[test]
fn the_label_stays_through_renewals_and_each_moves_the_expiry() {
    let mut group = steady();
    for at in [2, 4, 6] {
        group = group.later(seconds(at));
        renew(&mut group, |_| {});
        assert_eq!(told(&group), NOTHING);
        assert_eq!(plan_group(&group).wake_at(), Some(seconds(at + 15)));
    }
}

#[test]
fn the_label_stays_for_the_duration_of_the_lease_or_that_of_the_group_where_it_has_none() {
    for (duration, until) in [(Some(15), 15), (Some(40), 40), (None, 9), (Some(1), 1)] {
        let mut group = steady();
        policy_mut(&mut group).lease_duration_seconds = 9;
        renew(&mut group, |lease| lease.duration_seconds = duration);
        settle(&mut group);
        assert_eq!(plan_group(&group).wake_at(), Some(seconds(until)), "{duration:?}");
    }
}

#[test]
fn the_label_goes_at_once_with_a_duration_that_is_never_valid() {
    let mut group = steady();
    renew(&mut group, |lease| lease.duration_seconds = Some(0));
    assert_eq!(outcome(group), says("", "LeaseExpired", "LeaseExpired"));
}

#[test]
fn the_label_stays_when_the_lease_is_created_again_by_its_holder() {
    let mut group = steady();
    let record = LeaseContent { uid: "another".to_owned(), version: Version(90), ..held_by("a").content };
    group.now = NOW + Millis(5);
    group.lease = Some(SeenLease::first_seen(record, group.now));
    assert_eq!(told(&group), NOTHING);
}

/// Another operator saw the Lease earlier and recorded its expiry. This operator's copy of the
/// Lease still looks valid.
#[test]
fn a_label_that_another_operator_took_at_expiry_is_not_given_back_before_the_lease_changes() {
    let mut told_by_another = steady().later(seconds(15));
    settle(&mut told_by_another);
    let mut group = told_by_another.later(seconds(16));
    group.lease.as_mut().unwrap().changed_at = seconds(14);
    assert_eq!(told(&settled(group.clone())), NOTHING);
    assert_eq!(outcome(group.clone()), says("", "LeaseExpired", "LeaseExpired"));
    hand_to(&mut group, "b");
    assert_eq!(outcome(group.clone()), says("b", "Recovered", "Elected"));
    hand_to(&mut group, "a");
    assert_eq!(outcome(group), says("a", "Recovered", "Elected"));
}

#[test]
fn a_label_taken_at_expiry_is_not_given_back_by_a_fresh_operator_before_the_lease_changes() {
    let mut group = settled(steady().later(seconds(15)));
    let lease = group.lease.as_ref().unwrap().content.clone();
    // The two first lists may arrive in either order.
    for (record_seen_at, changed_at) in [(16, 17), (17, 16)] {
        group.record_seen_at = seconds(record_seen_at);
        group.lease = Some(SeenLease::first_seen(lease.clone(), seconds(changed_at)));
        let mut group = group.later(seconds(18));
        assert_eq!(outcome(group.clone()), says("", "LeaseExpired", "LeaseExpired"));
        renew(&mut group, |_| {});
        assert_eq!(outcome(group), says("a", "Recovered", "Elected"));
    }
}

#[test]
fn a_label_taken_at_expiry_is_not_given_back_though_no_history_is_kept() {
    let mut group = steady().later(seconds(15));
    policy_mut(&mut group).history_limit = 0;
    group = settled(group).later(seconds(16));
    // For another operator the Lease still looks valid.
    (group.lease.as_mut().unwrap().changed_at, group.record_seen_at) = (seconds(14), seconds(15));
    assert_eq!(outcome(group.clone()), says("", "LeaseExpired", "LeaseExpired"));
    renew(&mut group, |_| {});
    assert_eq!(outcome(group), says("a", "", "Elected"));
}

#[test]
fn a_label_taken_at_expiry_is_not_given_back_because_the_record_was_made_again() {
    let mut group = settled(steady().later(seconds(15)));
    let copied = pod_mut(&mut group, "b");
    (copied.role, copied.term) = (Role::Leader, Some(term(4)));
    // For another operator the Lease still looks valid: it saw the last renewal later, but before
    // the record.
    group.lease.as_mut().unwrap().changed_at = seconds(14);
    group.record_seen_at = seconds(15);
    assert_eq!(told(&group)[..2], ["record nobody 5 []", "fence b 5"]);
    assert_eq!(outcome(group), says("", "LeaseExpired", "LeaseExpired"));
}

/// Another operator has moved the label with the Lease, and this operator has an older copy.
/// Without the live read this one would move the label back, the other forth again, and so on.
#[test]
fn the_label_moves_only_after_a_live_read_confirms_the_copy_of_the_lease() {
    let mut group = steady();
    group.group.status.record = Some(record("b", 4));
    let pods = [follower("a", 4), leader("b", 4), follower("c", 3)];
    group.pods = pods.to_vec();
    for lease in [group.lease.clone(), None] {
        group.lease = lease;
        let seen = group.lease.as_ref().map(|lease| (lease.content.uid.clone(), lease.content.version));
        let confirmation = Intent::Confirm(Fact::Lease { name: "orders".to_owned(), seen });
        assert_eq!(plan_group(&group).steps()[0].intents, [confirmation]);
        assert!(told(&group)[1].starts_with("record "), "{:?}", told(&group));
    }
}

#[test]
fn the_label_comes_back_when_the_holder_renews_an_expired_lease() {
    let mut group = settled(steady().later(seconds(15)));
    group = group.later(seconds(20));
    renew(&mut group, |_| {});
    assert_eq!(told(&group)[..2], ["confirm lease", "record a 5 []"]);
    assert_eq!(outcome(group), says("a", "Recovered", "Elected"));
}

#[test]
fn the_label_is_repaired_like_in_managed_mode() {
    let mut group = steady();
    pod_mut(&mut group, "b").role = Role::Leader;
    pod_mut(&mut group, "b").term = None;
    assert_eq!(told(&group), ["fence b 3", "event LabelRepaired"]);
}

#[test]
fn after_a_lost_record_the_label_moves_to_the_holder() {
    let mut group = steady();
    group.group.status.record = None;
    assert_eq!(outcome(group.clone()), says("a", "Recovered", "Elected"));
    hand_to(&mut group, "b");
    assert_eq!(outcome(group), says("b", "HolderChanged", "Elected"));
}
