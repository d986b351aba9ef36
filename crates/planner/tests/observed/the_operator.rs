//! What the operator does and says beside the Lease: pause, switchover, no holder.

use super::*;

#[test]
fn a_paused_group_moves_nothing_and_follows_the_lease_afterwards() {
    let mut group = steady();
    policy_mut(&mut group).paused = true;
    settle(&mut group);
    hand_to(&mut group, "b");
    settle(&mut group);
    assert_eq!(labelled(&group), ["a"]);
    let mut expired = group.later(seconds(60));
    settle(&mut expired);
    assert_eq!(labelled(&expired), ["a"]);
    policy_mut(&mut group).paused = false;
    assert_eq!(outcome(group), says("b", "HolderChanged", "Elected"));
}

#[test]
fn a_paused_group_stays_ready_and_says_what_the_lease_says() {
    let table: [(fn(&mut Snapshot), &str); 5] = [
        (|group| hand_to(group, "b"), "; pod b holds the Lease"),
        (|group| hand_to(group, "x"), "; the Lease is held by x, which is no pod of the group; "),
        (|group| hand_to(group, ""), "; nobody holds the Lease"),
        (|group| group.lease = None, "; the Lease orders is not there"),
        (|group| *group = group.later(seconds(15)), "; the Lease ran out, which a held"),
    ];
    for (change, expected) in table {
        let mut group = steady();
        policy_mut(&mut group).paused = true;
        settle(&mut group);
        let ready = |group: &Snapshot| {
            let conditions = &group.group.status.conditions;
            let ready = conditions.iter().find(|c| c.kind == "Ready").unwrap();
            (ready.holds, ready.reason.clone(), ready.message.clone())
        };
        let led = "paused: nothing moves; pod a leads in term 3";
        assert_eq!(ready(&group), (true, "Paused".to_owned(), led.to_owned()));
        assert_eq!(
            plan_group(&group).wake_at(),
            Some(seconds(15)),
            "the moment at which it has something to say"
        );
        change(&mut group);
        assert_eq!(told(&group), ["status"]);
        assert_eq!(outcome(group.clone()), says("a", "", "Elected"));
        settle(&mut group);
        let (holds, reason, message) = ready(&group);
        assert_eq!((holds, reason.as_str()), (true, "Paused"));
        assert!(message.starts_with(&format!("{led}{expected}")), "{message}");
    }
}

#[test]
fn a_switchover_is_refused_in_observed_mode() {
    let mut group = steady();
    group.group.switchover = Some("b".to_owned());
    let policy = group.group.policy.clone().unwrap();
    assert!(
        matches!(switchover_verdict(&group, &policy), SwitchoverVerdict::Refuse(why) if why.contains("Observed"))
    );
    assert_eq!(told(&group), ["drop switchover", "event SwitchoverRefused"]);
}

#[test]
fn no_pod_is_elected_while_the_lease_is_unheld() {
    let mut group = new_group("", [pod("a"), pod("b")]);
    assert_eq!(outcome(group.clone()), says("", "", "LeaseNotHeld"));
    group.lease = None;
    assert_eq!(outcome(group.clone()), says("", "", "LeaseMissing"));
    group.lease = Some(held_by("b"));
    assert_eq!(outcome(group), says("b", "FirstElection", "Elected"));
}

#[test]
fn the_operator_sleeps_until_the_lease_of_a_stranger_expires_only_to_say_so() {
    let mut group = settled(new_group("somebody", [pod("a")]));
    assert_eq!(plan_group(&group).wake_at(), Some(seconds(15)));
    group = settled(group.later(seconds(15)));
    assert_eq!(outcome(group), says("", "", "LeaseExpired"));
}
