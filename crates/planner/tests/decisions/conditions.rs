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

/// Name, rank and reason of each pod in the status.
fn pod_reports(group: &Snapshot) -> Vec<(&str, Option<usize>, &str)> {
    let pods = group.group.status.pods.iter();
    pods.map(|pod| (pod.name.as_str(), pod.rank, pod.reason.as_str())).collect()
}

#[test]
fn the_status_says_which_pod_comes_next_and_what_the_others_lack() {
    let mut group = steady();
    pod_mut(&mut group, "a").excluded = true;
    pod_mut(&mut group, "b").weight = -1;
    settle(&mut group);
    assert_eq!(
        pod_reports(&group),
        [("c", Some(1), "Eligible"), ("b", Some(2), "Eligible"), ("a", None, "Excluded")]
    );
    unready(&mut group, "b");
    let mut group = at(&group, NOW + Millis(60_000));
    settle(&mut group);
    assert_eq!(
        pod_reports(&group),
        [("c", Some(1), "Eligible"), ("a", None, "Excluded"), ("b", None, "NotReady")]
    );
}

/// A pod that starts is `NotReady` from its appearance on: that it runs by now is not worth a write.
#[test]
fn a_pod_that_starts_costs_one_report_when_it_appears_and_one_when_it_is_ready() {
    let mut group = steady();
    let starting = with(pod("d"), |p| (p.phase, p.ready) = (PodPhase::NotRunning, false));
    group.pods.push(starting);
    let mut group = at(&group, NOW + Millis(60_000));
    let reports = |group: &Snapshot| told(group).iter().filter(|word| *word == "status").count();
    assert_eq!(reports(&group), 1);
    settle(&mut group);
    assert_eq!(pod_reports(&group).last(), Some(&("d", None, "NotReady")));
    let mut group = at(&group, NOW + Millis(90_000));
    pod_mut(&mut group, "d").phase = PodPhase::Running;
    assert_eq!(reports(&group), 0);
    pod_mut(&mut group, "d").ready = true;
    assert_eq!(reports(&group), 1);
}

#[test]
fn at_most_sixteen_pods_are_named_the_most_preferred_first() {
    let pods = (0..40).map(|n| with(pod(&format!("p{n:02}")), |p| p.weight = n));
    let mut group = fresh(pods.collect::<Vec<_>>());
    settle(&mut group);
    let names: Vec<_> = pod_reports(&group).iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, (24..40).rev().map(|n| format!("p{n}")).collect::<Vec<_>>());
}

#[test]
fn a_refused_group_is_stalled_until_it_is_served_and_a_switch_is_reconciling_until_it_is_done() {
    let kinds = |group: &Snapshot| -> Vec<_> {
        let all = group.group.status.conditions.iter().map(|c| c.kind.clone());
        all.filter(|kind| kind == "Stalled" || kind == "Reconciling").collect()
    };
    let mut group = steady();
    assert_eq!(kinds(&group), Vec::<String>::new());
    let policy = group.group.policy.clone();
    group.group.policy = Err(Refusal { reason: "InvalidSelector", message: "bad".to_owned() });
    settle(&mut group);
    assert_eq!(says(&group, "Stalled"), (true, "InvalidSelector".into()));
    group.group.policy = policy;
    settle(&mut group);
    assert_eq!(kinds(&group), Vec::<String>::new());
    delete(&mut group, "a");
    let mut intents = plan_group(&group).into_steps().into_iter().flat_map(|step| step.intents);
    let record = intents.find(|intent| matches!(intent, Intent::WriteStatus(_))).unwrap();
    group.project(&record);
    assert_eq!(says(&group, "Reconciling"), (true, "Switching".into()));
    settle(&mut group);
    assert_eq!(kinds(&group), Vec::<String>::new());
}

#[test]
fn an_unfit_leader_says_until_when_it_stays_and_time_alone_changes_nothing_of_it() {
    let mut group = steady();
    policy_mut(&mut group).not_ready = Millis::from_seconds(30);
    unready(&mut group, "a");
    settle(&mut group);
    let expected = "pod a leads, but it is not Ready; it is replaced once another pod is eligible, 30 s after this at the \
                    earliest (notReadySeconds)";
    assert_eq!(condition(&group, "Ready").message, expected);
    let lasting = at(&group, group.now + Millis(20_000));
    assert!(!told(&lasting).contains(&"status".to_owned()), "{:?}", told(&lasting));
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
