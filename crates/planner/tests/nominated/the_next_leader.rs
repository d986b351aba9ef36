//! From one leader to the next.

use super::*;

fn asked_for(name: &str) -> Snapshot {
    let mut group = steady();
    group.group.switchover = Some(name.to_owned());
    group
}

#[test]
fn a_steady_group_needs_no_write_and_wakes_when_its_lease_would_expire() {
    let group = steady();
    assert_eq!((told(&group), labelled(&group)), (NOTHING.map(str::to_owned).to_vec(), vec!["a"]));
    assert_eq!(plan_group(&group).wake_at(), Some(seconds(15)));
}

/// L4: nothing is heard of the holder, because the API server is away, or the operator was.
#[test]
fn silence_for_less_than_the_duration_moves_nothing() {
    for started_at in [0, 1, 8, 3600] {
        let mut group = steady();
        if started_at > 0 {
            let content = group.lease.as_ref().expect("a Lease").content.clone();
            let gone = std::collections::BTreeMap::new();
            let lease = Some(SeenLease::first_seen(content, seconds(started_at)));
            group = Snapshot { now: seconds(started_at), gone, lease, ..group };
        }
        let expiry = seconds(started_at + 15);
        for hundreds in 0..150 {
            let now = Millis(seconds(started_at).0 + hundreds * 100);
            assert_eq!(told(&at(&group, now)), NOTHING, "{started_at} s, and {hundreds}00 ms");
        }
        assert_eq!(plan_group(&group).wake_at(), Some(expiry));
        assert_ne!(told(&at(&group, expiry)), NOTHING);
    }
}

#[test]
fn a_switchover_fences_and_nominates_at_once_and_promotes_after_release_and_take() {
    let mut group = asked_for("b");
    let told = story(&mut group);
    assert_eq!(told[..2], ["record b 4 [a]", "fence a 4, nominate b 4"], "{told:?}");
    assert_eq!(reason(&group, "LeaderElected"), "AwaitingRelease");
    renew(&mut group);
    assert_eq!(story(&mut group), NOTHING, "the holder drains");
    release(&mut group);
    assert_eq!(story(&mut group), NOTHING, "the companion takes by itself");
    assert_eq!(reason(&group, "LeaderElected"), "AwaitingNominee");
    take(&mut group, "b");
    assert_eq!(story(&mut group), ["confirm record", "promote b 4", "change Switchover"]);
    assert_eq!(labelled(&group), ["b"]);
    assert_eq!(newest_reason(&group), "Switchover");
}

#[test]
fn the_clock_of_a_holder_starts_with_its_last_renewal_and_not_with_a_nomination() {
    let mut group = asked_for("b");
    group.now = seconds(10);
    story(&mut group);
    assert_eq!(told(&at(&group, Millis(seconds(15).0 - 1))), NOTHING);
    assert_eq!(told(&at(&group, seconds(15)))[0], "clear lease");
    group.now = seconds(14);
    renew(&mut group);
    assert_eq!(told(&at(&group, Millis(seconds(29).0 - 1))), NOTHING);
    assert_eq!(told(&at(&group, seconds(29)))[0], "clear lease");
}

/// The holder's own duration counts, whatever the spec says now.
#[test]
fn an_edit_of_the_spec_shortens_no_tenure() {
    let mut group = asked_for("b");
    write(&mut group, |lease| lease.duration_seconds = Some(60));
    policy_mut(&mut group).lease_duration_seconds = 3;
    story(&mut group);
    assert_eq!(told(&at(&group, Millis(seconds(60).0 - 1))), NOTHING);
    assert_eq!(told(&at(&group, seconds(60)))[0], "clear lease");
}

#[test]
fn the_proved_end_of_the_holders_pod_frees_the_lease_and_its_deletion_alone_does_not() {
    let gone = |had_ended| {
        move |group: &mut Snapshot| {
            delete(group, "a");
            group.gone.insert(id("a").uid, GonePod { at: NOW, was_terminating: true, had_ended });
        }
    };
    let table: [(&str, bool, Box<dyn Fn(&mut Snapshot)>); 4] = [
        ("its containers ended", true, Box::new(|group| pod_mut(group, "a").ended = true)),
        ("it is gone, and had ended", true, Box::new(gone(true))),
        ("it is gone, unproved", false, Box::new(gone(false))),
        ("the phase alone", false, Box::new(|group| pod_mut(group, "a").phase = PodPhase::Finished)),
    ];
    for (case, is_proof, change) in table {
        let mut group = asked_for("b");
        story(&mut group);
        change(&mut group);
        let clears = told(&group).iter().any(|line| line == "clear lease");
        assert_eq!(clears, is_proof, "{case}");
    }
}

#[test]
fn the_end_of_an_earlier_pod_of_the_holders_name_proves_nothing() {
    let mut group = asked_for("b");
    story(&mut group);
    let mut earlier = with(follower("a", 2), |pod| pod.ended = true);
    earlier.id.uid.push_str("-0");
    group.pods.push(earlier);
    assert!(!told(&group).iter().any(|line| line == "clear lease"));
}

/// A crash with its companion: nothing releases the Lease.
#[test]
fn a_lease_that_runs_out_takes_its_holder_off_and_names_the_next_in_one_write() {
    let group = at(&steady(), seconds(15));
    let told = told(&group);
    assert_eq!(told[..3], ["confirm lease", "record b 4 [a]", "clear and nominate b 4, fence a 4"]);
    let mut group = group;
    story(&mut group);
    assert_eq!(newest_reason(&group), "LeaseExpired");
    take(&mut group, "b");
    assert_eq!(labelled(&settled(group)), ["b"]);
}

#[test]
fn a_leader_that_releases_by_itself_makes_way_for_another_pod() {
    let mut group = steady();
    release(&mut group);
    assert_eq!(told(&group)[..2], ["record b 4 [a]", "fence a 4, nominate b 4"]);
    story(&mut group);
    assert_eq!(newest_reason(&group), "LeaseReleased");
}

/// Each start of a command has a term of its own.
#[test]
fn a_leader_that_releases_by_itself_is_nominated_anew_if_it_is_the_only_one() {
    let table: [(bool, fn(&mut Snapshot)); 2] =
        [(false, |group| release(group)), (true, |group| group.now = seconds(15))];
    for (is_expired, lose) in table {
        let mut group = steady();
        group.pods.retain(|pod| pod.id.name == "a");
        lose(&mut group);
        let expected =
            if is_expired { "clear and nominate a 4, fence a 4" } else { "fence a 4, nominate a 4" };
        let told = story(&mut group);
        assert!(told.iter().any(|line| line == expected), "{told:?}");
        assert_eq!(labelled(&group), Vec::<&str>::new());
        take(&mut group, "a");
        assert_eq!(labelled(&settled(group)), ["a"]);
    }
}

#[test]
fn a_leader_that_released_and_is_not_ready_waits_until_it_is() {
    let mut group = steady();
    group.pods.retain(|pod| pod.id.name == "a");
    unready(&mut group, "a");
    release(&mut group);
    let told = story(&mut group);
    assert!(told.contains(&"fence a 3".to_owned()), "{told:?}");
    assert_eq!(reason(&group, "LeaderElected"), "LeaseNotHeld");
    pod_mut(&mut group, "a").ready = true;
    assert!(story(&mut group).contains(&"nominate a 4".to_owned()));
}

#[test]
fn another_leader_is_nominated_while_the_earlier_nominee_still_waits() {
    let mut group = asked_for("b");
    story(&mut group);
    delete(&mut group, "b");
    pod_mut(&mut group, "a").excluded = true;
    let told = story(&mut group);
    assert!(told.contains(&"nominate c 5".to_owned()), "{told:?}");
    assert_eq!(group.lease.as_ref().unwrap().changed_at, NOW, "the holder's clock goes on");
}

#[test]
fn a_pod_that_holds_the_lease_beside_the_record_is_asked_to_end() {
    let mut group = steady();
    take(&mut group, "c");
    assert_eq!(told(&group)[..2], ["record b 4 [a]", "fence a 4, nominate b 4"]);
}

#[test]
fn a_paused_group_nominates_no_pod() {
    let mut group = steady();
    policy_mut(&mut group).paused = true;
    release(&mut group);
    delete(&mut group, "a");
    let told = story(&mut group);
    assert!(!told.iter().any(|line| line.contains("nominate") || line.contains("record ")), "{told:?}");
    assert_eq!(told_later(&group), NOTHING);
}

fn told_later(group: &Snapshot) -> Vec<String> {
    told(&at(group, seconds(600)))
}

#[test]
fn a_group_without_a_leader_asks_the_holder_to_end_and_names_no_pod() {
    let mut group = steady();
    policy_mut(&mut group).clear_without_candidate = true;
    for name in ["a", "b", "c"] {
        unready(&mut group, name);
    }
    let told = story(&mut group);
    assert!(told.contains(&"fence a 4, nominate orders 4".to_owned()), "{told:?}");
    let nominee = group.lease.as_ref().unwrap().content.nominee.clone();
    assert!(group.pods.iter().all(|pod| Some(&pod.id) != nominee.as_ref()));
    release(&mut group);
    assert_eq!(story(&mut group), NOTHING);
    pod_mut(&mut group, "c").ready = true;
    assert!(story(&mut group).contains(&"nominate c 5".to_owned()));
}

#[test]
fn pods_that_an_older_group_claims_are_let_go() {
    let mut group = steady();
    pod_mut(&mut group, "a").membership = Membership::ClaimedBy("elder".to_owned());
    let told = story(&mut group);
    assert!(told.iter().any(|line| line.contains("nominate orders 4")), "{told:?}");
    assert_eq!(labelled(&group), Vec::<&str>::new());
}

#[test]
fn a_group_fails_back_to_the_preferred_pod() {
    let mut group = steady();
    pod_mut(&mut group, "c").weight = 10;
    policy_mut(&mut group).failback_after = Some(Millis(0));
    let told = story(&mut group);
    assert!(told.contains(&"fence a 4, nominate c 4".to_owned()), "{told:?}");
    assert_eq!(newest_reason(&group), "Failback");
}

#[test]
fn a_pod_with_a_foreign_role_that_the_record_does_not_name_stops_no_group() {
    let mut group = steady();
    group.pods.push(with(pod("d"), |d| (d.role, d.other_role) = (Role::Other, Some("worker".to_owned()))));
    unready(&mut group, "a");
    let told = story(&mut group);
    assert_eq!(told[0], "record b 4 [a]");
    assert!(group.group.status.pods.iter().any(|pod| pod.name == "d" && pod.reason == "RoleLabelInUse"));
}
