use serde_json::{Value, json};

use super::*;

/// Three seconds: a third is one, and 63 % are 1.89 s.
const DURATION: u64 = 3;

fn ms(millis: u64) -> Nanos {
    Nanos(millis * 1_000_000)
}

/// A Lease of mode Managed in term 7, or in this one.
fn managed(version: u32, holder: &str, uid: &str, term: u32) -> LeaseSight {
    let notes =
        json!({ "election-operator.io/term": term.to_string(), "election-operator.io/holder-uid": uid });
    sight(version, holder, &notes, 0)
}

/// A Lease that pods renew by themselves.
fn observed(version: u32, holder: &str, renewal: u32) -> LeaseSight {
    sight(version, holder, &json!({}), renewal)
}

fn sight(version: u32, holder: &str, notes: &Value, renewal: u32) -> LeaseSight {
    let renewed_at = format!("2001-01-01T00:00:{renewal:02}.000000Z");
    let lease = json!({
        "metadata": { "uid": "l", "resourceVersion": version.to_string(), "annotations": notes },
        "spec": { "holderIdentity": holder, "leaseDurationSeconds": DURATION, "renewTime": renewed_at },
    });
    LeaseSight::of(&lease).unwrap()
}

fn mine(version: u32) -> LeaseSight {
    managed(version, "a", "u", 7)
}

fn found(sight: LeaseSight) -> LeaseRead {
    LeaseRead::Found(Box::new(sight))
}

fn follower(on_doubt: OnDoubt) -> Follower {
    Follower::new(FollowedPod { name: "a".to_owned(), uid: "u".to_owned(), identity: None }, on_doubt)
}

/// A read that was sent and answered.
fn read(follower: &mut Follower, sent_at: Nanos, answer: LeaseRead, now: Nanos) {
    follower.sent(sent_at);
    follower.answered(sent_at, answer, now);
}

/// One that leads since a read that was sent at 10 s, and answered a second later.
fn leader(on_doubt: OnDoubt) -> Follower {
    let mut follower = follower(on_doubt);
    read(&mut follower, ms(10_000), found(mine(1)), ms(11_000));
    assert!(follower.role(ms(11_000)).leads);
    follower
}

#[test]
fn a_claim_counts_from_the_moment_before_the_read_was_sent() {
    let role = leader(OnDoubt::Stop).role(ms(11_000));
    assert_eq!((role.is_confirmed, role.until, role.term), (true, ms(12_940), Some(7)));
    assert_eq!((role.leader.as_str(), role.tenure, role.version.as_str()), ("a", 1, "1"));
}

#[test]
fn the_watch_begins_no_claim_and_asks_for_a_read() {
    let mut follower = follower(OnDoubt::Stop);
    read(&mut follower, ms(0), found(managed(1, "b", "v", 6)), ms(1));
    assert!(follower.read_at() > ms(1));
    follower.watched(mine(2), false, ms(500));
    assert!(!follower.role(ms(500)).leads);
    assert_eq!(follower.read_at(), Nanos(0));
    read(&mut follower, ms(500), found(mine(2)), ms(510));
    assert!(follower.role(ms(510)).leads);
}

#[test]
fn the_watch_prolongs_no_claim_and_ends_one() {
    let mut leads = leader(OnDoubt::Stop);
    leads.watched(mine(2), false, ms(11_500));
    assert_eq!(leads.role(ms(11_500)).until, ms(12_940));
    for (sight, is_deleted) in [(managed(3, "b", "v", 8), false), (mine(3), true)] {
        let mut leads = leader(OnDoubt::Continue);
        leads.watched(sight, is_deleted, ms(11_500));
        let role = leads.role(ms(11_500));
        assert_eq!((role.leads, role.is_confirmed, role.loss), (false, false, WhyLost::Moved));
        assert_eq!(role.until, ms(12_940), "until then its work must have ended");
    }
}

#[test]
fn what_is_older_than_what_was_seen_counts_for_nothing() {
    let mut leads = leader(OnDoubt::Stop);
    leads.watched(managed(0, "b", "v", 6), false, ms(11_500));
    assert!(leads.role(ms(11_500)).leads, "a replayed event");

    let mut follower = follower(OnDoubt::Stop);
    follower.sent(ms(0));
    follower.watched(managed(9, "b", "v", 8), false, ms(1));
    follower.answered(ms(0), found(mine(8)), ms(2));
    assert!(!follower.role(ms(2)).leads, "an answer that was overtaken");
    assert_eq!(follower.read_at(), Nanos(0), "another read tells");
    follower.watched(managed(10, "b", "v", 8), true, ms(3));
    read(&mut follower, ms(0), found(mine(8)), ms(4));
    assert!(!follower.role(ms(4)).leads, "an answer from before the deletion");
}

#[test]
fn only_a_leader_reads_again_and_again() {
    assert_eq!(leader(OnDoubt::Stop).read_at(), ms(11_000));
    let mut follower = follower(OnDoubt::Stop);
    read(&mut follower, ms(10_000), LeaseRead::Missing, ms(10_001));
    assert_eq!(follower.read_at(), Nanos::MAX, "there is no Lease");
    follower.watched(observed(1, "", 0), false, ms(11_000));
    assert_eq!(follower.read_at(), Nanos::MAX, "nobody holds it");
    for (version, at) in [(2, 12_000), (3, 13_000), (4, 14_000)] {
        follower.watched(observed(version, "b", version), false, ms(at));
        assert_eq!(follower.read_at(), ms(at + 3000), "only if no renewal is seen");
    }
    read(&mut follower, ms(17_000), found(observed(4, "b", 4)), ms(17_001));
    assert_eq!(follower.read_at(), ms(20_000), "not more often than once in its duration");
    follower.watch_began();
    assert_eq!(follower.read_at(), Nanos(0), "something may have been missed");
}

#[test]
fn a_leader_that_is_not_confirmed_stops_in_time_to_drain() {
    let mut leads = leader(OnDoubt::Stop);
    assert_eq!(leads.wake_at(ms(11_000)), ms(11_890));
    read(&mut leads, ms(11_000), LeaseRead::Failed, ms(11_300));
    assert_eq!(leads.read_at(), ms(11_500), "after a pause");
    leads.wake(ms(11_889));
    assert!(leads.role(ms(11_889)).leads);
    leads.wake(ms(11_890));
    let role = leads.role(ms(11_890));
    assert_eq!((role.leads, role.loss, role.until), (false, WhyLost::Unconfirmed, ms(12_940)));
    // Once it is confirmed, that is another tenure.
    read(&mut leads, ms(12_000), found(mine(1)), ms(12_001));
    let role = leads.role(ms(12_001));
    assert_eq!((role.leads, role.tenure, role.is_still(1)), (true, 2, false));
}

#[test]
fn in_doubt_a_leader_may_go_on_unconfirmed_until_it_is_told_otherwise() {
    let mut leads = leader(OnDoubt::Continue);
    read(&mut leads, ms(11_000), LeaseRead::Failed, ms(11_300));
    assert_eq!(leads.wake_at(ms(11_300)), ms(12_940));
    for (at, is_confirmed) in [(12_939, true), (12_940, false), (1_000_000, false)] {
        leads.wake(ms(at));
        let role = leads.role(ms(at));
        assert_eq!((role.leads, role.is_confirmed, role.tenure), (true, is_confirmed, 1), "{at}");
    }
    let mut confirmed = leader(OnDoubt::Continue);
    read(&mut confirmed, ms(2_000_000), found(mine(1)), ms(2_000_001));
    let role = confirmed.role(ms(2_000_001));
    assert_eq!((role.is_confirmed, role.tenure), (true, 1));
    read(&mut leads, ms(2_000_000), LeaseRead::Missing, ms(2_000_001));
    assert!(!leads.role(ms(2_000_001)).leads);
}

#[test]
fn a_new_term_is_another_tenure_also_if_nobody_led_in_between() {
    let mut leads = leader(OnDoubt::Stop);
    read(&mut leads, ms(11_000), found(mine(1)), ms(11_001));
    assert_eq!(leads.role(ms(11_001)).tenure, 1);
    leads.watched(managed(5, "a", "u", 9), false, ms(11_100));
    assert!(!leads.role(ms(11_100)).leads, "the term that it led in is over");
    assert_eq!(leads.read_at(), Nanos(0));
    read(&mut leads, ms(11_100), found(managed(5, "a", "u", 9)), ms(11_200));
    let role = leads.role(ms(11_200));
    assert_eq!((role.leads, role.tenure, role.term, role.version.as_str()), (true, 2, Some(9), "5"));
}

#[test]
fn a_lease_that_pods_renew_counts_only_while_they_do() {
    let mut follower = follower(OnDoubt::Stop);
    read(&mut follower, ms(10_000), found(observed(1, "a_1", 0)), ms(10_000));
    for (sent_at, until) in [(11_000, 13_000), (12_000, 13_000)] {
        read(&mut follower, ms(sent_at), found(observed(1, "a_1", 0)), ms(sent_at));
        assert_eq!(follower.role(ms(sent_at)).until, ms(until), "the API server confirms a stale claim");
    }
    assert_eq!(follower.wake_at(ms(12_000)), ms(12_550));
    read(&mut follower, ms(12_400), found(observed(2, "a_1", 1)), ms(12_401));
    assert_eq!(follower.role(ms(12_401)).until, ms(15_340), "it was renewed");
    read(&mut follower, ms(15_500), found(observed(2, "a_1", 1)), ms(15_500));
    let role = follower.role(ms(15_500));
    assert_eq!((role.leads, role.leader.as_str(), role.term), (false, "", None));
}

/// The operator renews it: without an operator the leader stays, and nobody else is elected.
#[test]
fn a_lease_that_the_operator_renews_counts_also_while_it_does_not() {
    let mut leads = leader(OnDoubt::Stop);
    for at in (11..100).map(|second| ms(second * 1000)) {
        read(&mut leads, at, found(mine(1)), at);
        leads.wake(at);
    }
    let role = leads.role(ms(99_000));
    assert_eq!((role.leads, role.is_confirmed, role.tenure), (true, true, 1));
}

#[test]
fn a_lease_without_a_duration_has_the_usual_one() {
    let mut lease = mine(1);
    lease.record.duration = Nanos(0);
    let mut follower = follower(OnDoubt::Stop);
    read(&mut follower, ms(10_000), found(lease), ms(10_000));
    assert_eq!((follower.role(ms(10_000)).until, follower.read_at()), (ms(24_700), ms(15_000)));
}

#[test]
fn the_last_role_is_that_of_no_leader() {
    let mut leads = leader(OnDoubt::Continue);
    leads.stop();
    let role = leads.role(ms(11_000));
    assert_eq!((role.leads, role.stage, role.loss), (false, Progress::Last, WhyLost::Stopped));
    leads.answered(ms(11_000), found(mine(1)), ms(11_001));
    assert!(!leads.role(ms(11_001)).leads, "an answer that comes afterwards");
}
