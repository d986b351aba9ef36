//! When a leader is replaced, and how long the promotion waits behind the fence.

use super::*;

#[test]
fn a_ready_leader_needs_a_gap_of_ten_milliseconds_between_fence_and_promotion() {
    let mut group = steady();
    pod_mut(&mut group, "a").excluded = true;
    assert_eq!(
        told(&group),
        [
            "record b 4 [a]",
            "fence a 4, take lease b 4",
            "10 ms; promote b 4",
            "status",
            "change LeaderExcluded"
        ]
    );
}

#[test]
fn a_leader_that_was_not_ready_any_more_needs_a_gap_of_three_milliseconds() {
    for (reason, change) in [
        ("LeaderNotReady", (|pod| (pod.ready, pod.ready_seen_at) = (false, NOW)) as fn(&mut SeenPod)),
        ("LeaderTerminating", |pod| pod.terminating = true),
    ] {
        let mut group = steady();
        change(pod_mut(&mut group, "a"));
        let told = told(&group);
        assert_eq!(told[..3], ["record b 4 [a]", "fence a 4, take lease b 4", "3 ms; promote b 4"]);
        assert_eq!(told[3..], ["status".to_owned(), format!("change {reason}")]);
    }
}

#[test]
fn a_deleted_leader_needs_no_gap() {
    let mut group = steady();
    group.pods.retain(|pod| pod.id != id("a"));
    group.gone.insert(id("a").uid, GonePod { at: NOW, was_terminating: true, had_ended: false });
    assert_eq!(told(&group)[..3], ["record b 4 []", "take lease b 4", "promote b 4"]);
}

#[test]
fn a_failover_waits_for_not_ready_seconds_to_the_millisecond() {
    let mut group = steady();
    policy_mut(&mut group).not_ready = Millis::from_seconds(2);
    (pod_mut(&mut group, "a").ready, pod_mut(&mut group, "a").ready_seen_at) = (false, NOW);
    settle(&mut group);
    assert_eq!(plan_group(&group).wake_at(), Some(NOW + Millis(2_000)));
    assert_eq!(told(&at(&group, NOW + Millis(1_999))), NOTHING);
    assert_eq!(told(&at(&group, NOW + Millis(2_000)))[..2], ["confirm pod a unchanged", "record b 4 [a]"]);
}

#[test]
fn a_leader_seen_not_ready_a_while_ago_is_confirmed_before_its_failover() {
    let mut group = steady();
    unready(&mut group, "a");
    assert_eq!(told(&at(&group, NOW + Millis(1_000)))[0], "record b 4 [a]");
    assert_eq!(told(&at(&group, NOW + Millis(1_001)))[..2], ["confirm pod a unchanged", "record b 4 [a]"]);
}

#[test]
fn a_failover_waits_for_the_cooldown_if_the_leader_still_exists() {
    let mut group = steady();
    policy_mut(&mut group).cooldown = Millis::from_seconds(2);
    (group.record_seen_at, group.cooldown_from) = (NOW, NOW);
    unready(&mut group, "a");
    settle(&mut group);
    assert_eq!(plan_group(&group).wake_at(), Some(NOW + Millis(2_000)));
    assert_eq!(told(&at(&group, NOW + Millis(2_000)))[..2], ["confirm pod a unchanged", "record b 4 [a]"]);
    pod_mut(&mut group, "a").terminating = true;
    assert_eq!(told(&group)[0], "record b 4 [a]");
    delete(&mut group, "a");
    assert_eq!(told(&group)[0], "record b 4 []");
}

#[test]
fn the_label_stays_where_it_is_when_no_pod_is_eligible() {
    let mut group = steady();
    for name in ["a", "b", "c"] {
        unready(&mut group, name);
    }
    assert_eq!(told(&group), ["status", "event NoCandidate"]);
    let plans = settle(&mut group);
    assert_eq!(events(&plans), ["NoCandidate"]);
    assert_eq!(
        (labelled(&group).join(" "), says(&group, "Ready")),
        ("a".into(), (false, "LeaderUnfit".into()))
    );
    assert_eq!(says(&group, "LeaderElected"), (true, "Elected".into()));
}

#[test]
fn the_label_is_cleared_when_no_pod_is_eligible_and_the_policy_says_so() {
    let mut group = steady();
    policy_mut(&mut group).clear_without_candidate = true;
    for name in ["a", "b", "c"] {
        unready(&mut group, name);
    }
    assert_eq!(told(&group)[..2], ["record nobody 4 [a]", "fence a 4, release lease - 4"]);
    let mut plans = settle(&mut group);
    let mut said = events(&plans);
    said.sort();
    assert_eq!(said, ["LeaderNotReady", "NoCandidate"]);
    assert_eq!((labelled(&group).len(), says(&group, "LeaderElected")), (0, (false, "NoLeader".into())));

    pod_mut(&mut group, "a").ready = true;
    plans = settle(&mut group);
    assert_eq!(events(&plans), ["Recovered"]);
    assert_eq!(labelled(&group), ["a"]);
    assert_eq!(group.record().unwrap().term, term(5));
}

#[test]
fn the_event_no_candidate_is_published_only_once() {
    let mut group = steady();
    for name in ["a", "b", "c"] {
        unready(&mut group, name);
    }
    settle(&mut group);
    pod_mut(&mut group, "c").terminating = true; // another reason why no pod is eligible
    assert_eq!(events(&settle(&mut group)), NOTHING);
    pod_mut(&mut group, "b").ready = true;
    settle(&mut group);
    unready(&mut group, "b");
    assert_eq!(events(&settle(&mut group)), ["NoCandidate"]);
}

#[test]
fn a_deselected_leader_loses_the_label_even_without_a_successor() {
    let mut group = steady();
    pod_mut(&mut group, "a").membership = Membership::Deselected;
    for name in ["b", "c"] {
        unready(&mut group, name);
    }
    assert_eq!(
        told(&group),
        [
            "record nobody 4 [a]",
            "fence a 4, release lease - 4",
            "status",
            "change LeaderDeselected, event NoCandidate, release a"
        ]
    );
}
