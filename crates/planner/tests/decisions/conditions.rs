//! What the conditions and the history in the status say.

use super::*;

#[test]
fn leader_elected_is_false_unless_the_leaders_pod_carries_label_owner_and_term() {
    let foreign = || Owner::Other(Identity::new("older", "older-uid"));
    let missing: [&dyn Fn(&mut SeenPod); 3] = [
        &|pod| (pod.phase, pod.role) = (PodPhase::Finished, Role::Absent),
        &|pod| pod.owner = foreign(),
        &|pod| (pod.phase, pod.term) = (PodPhase::Finished, Some(term(2))),
    ];
    for change in missing {
        let mut group = steady();
        policy_mut(&mut group).paused = true;
        change(pod_mut(&mut group, "a"));
        settle(&mut group);
        assert_eq!(says(&group, "LeaderElected"), (false, "Switching".into()));
    }
}

#[test]
fn the_conditions_of_a_steady_group_are_all_true_for_its_generation() {
    let group = steady();
    let all: Vec<_> = group.group.status.conditions.iter().map(|c| (c.kind.as_str(), c.holds)).collect();
    let kinds = ["Accepted", "CandidatesAvailable", "LeaderElected", "Ready"];
    assert_eq!(all, kinds.map(|kind| (kind, true)));
    assert!(group.group.status.conditions.iter().all(|c| c.generation == Some(1)));
    let status = &group.group.status;
    assert_eq!((status.candidates, status.eligible, status.lease.as_deref()), (3, 3, Some("orders")));
    assert_eq!(status.observed_generation, Some(1));
}

#[test]
fn a_condition_keeps_its_time_while_only_reason_and_message_change() {
    let mut group = steady();
    let then = condition(&group, "Ready").changed_at_seconds;
    group = at(&group, NOW + Millis(60_000));
    policy_mut(&mut group).paused = true;
    group.group.generation = 2;
    settle(&mut group);
    let ready = condition(&group, "Ready");
    assert_eq!(
        (ready.changed_at_seconds, ready.reason.as_str(), ready.generation),
        (then, "Paused", Some(2))
    );
    unready(&mut group, "a");
    settle(&mut group);
    assert_eq!(condition(&group, "Ready").changed_at_seconds, then + 60);
}

#[test]
fn a_ready_leader_counts_as_eligible() {
    let young = with(pod("a"), |p| p.ready_seen_at = NOW);
    let mut group = fresh([young]);
    policy_mut(&mut group).min_ready = Millis::from_seconds(30);
    let plans = settle(&mut group);
    assert_eq!((says(&group, "Ready").0, group.group.status.eligible), (true, 1));
    assert_eq!(events(&plans), ["FirstElection"]);
}

#[test]
fn the_conditions_say_why_a_policy_cannot_be_served_and_nothing_is_touched() {
    let mut group = steady();
    let refusal = Refusal { reason: "InvalidSelector", message: "bad".to_owned() };
    group.group.policy = Err(refusal);
    delete(&mut group, "a");
    assert_eq!(told(&group), ["status", "event InvalidSelector"]);
    settle(&mut group);
    assert_eq!(says(&group, "Accepted"), (false, "InvalidSelector".into()));
    assert!(!says(&group, "Ready").0);
    assert_eq!(plan_group(&group).wake_at(), None);
}

#[test]
fn the_history_is_newest_first_and_no_longer_than_its_limit() {
    let mut group = steady();
    policy_mut(&mut group).history_limit = 2;
    for name in ["b", "c", "a"] {
        group.group.switchover = Some(name.to_owned());
        settle(&mut group);
    }
    let leaders: Vec<_> = group.group.status.history.iter().filter_map(|c| c.leader.as_deref()).collect();
    assert_eq!(leaders, ["a", "c"]);
}
