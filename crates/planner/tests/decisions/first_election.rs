//! The first election of a new group.

use super::*;

#[test]
fn a_first_election_records_lists_and_fences_before_it_promotes() {
    let mut group = fresh([pod("a"), pod("b"), pod("c")]);
    assert_eq!(told(&group), ["record a 1 [*]", "list 1"]);
    let plans = settle(&mut group);
    assert_eq!(plans.len(), 2);
    assert_eq!((labelled(&group).join(" "), says(&group, "Ready").0), ("a".into(), true));
    assert_eq!(group.group.status.record.as_ref().unwrap().unfenced, Unfenced::NONE);
}

#[test]
fn a_condition_names_a_pod_annotation_that_is_ignored() {
    let mut group = fresh([pod("a"), pod("b")]);
    pod_mut(&mut group, "b").ignored = Some("election-operator.io/exclude=yes".to_owned());
    settle(&mut group);
    let told =
        "at least one pod is eligible; pod b: election-operator.io/exclude=yes means nothing and is ignored";
    assert_eq!(condition(&group, "CandidatesAvailable").message, told);
}

#[test]
fn after_the_list_fences_and_lease_go_in_parallel_before_the_promotion() {
    let mut group = fresh([pod("a"), pod("b"), pod("c")]);
    support::apply(&mut group.clone(), &plan_group(&group));
    let first = plan_group(&group);
    support::apply(&mut group, &first);
    assert_eq!(
        told(&group),
        [
            "confirm record, fence b 1, fence c 1, take lease a 1",
            "promote a 1",
            "status",
            "change FirstElection"
        ]
    );
}

#[test]
fn a_new_group_waits_for_an_eligible_pod_and_its_conditions_say_so() {
    let unready = with(pod("a"), |p| p.ready = false);
    let mut group = fresh([unready]);
    assert_eq!(told(&group), ["status"]);
    settle(&mut group);
    assert_eq!(says(&group, "CandidatesAvailable"), (false, "NoneEligible".into()));
    assert!(!says(&group, "Ready").0);
    assert_eq!((group.group.status.candidates, group.group.status.eligible), (1, 0));
    assert_eq!(told(&group), NOTHING);
}

#[test]
fn a_first_election_keeps_the_one_pod_that_already_carries_the_leader_label() {
    let by_hand = with(pod("b"), |p| p.role = Role::Leader);
    assert_eq!(told(&fresh([pod("a"), by_hand.clone(), pod("c")]))[0], "record b 1 [*]");
    let another = with(pod("c"), |p| p.role = Role::Leader);
    assert_eq!(told(&fresh([pod("a"), by_hand, another]))[0], "record a 1 [*]");
}

#[test]
fn a_group_without_pods_elects_nobody_and_sleeps() {
    let mut group = fresh([]);
    settle(&mut group);
    assert_eq!(says(&group, "CandidatesAvailable"), (false, "NoPods".into()));
    assert_eq!(plan_group(&group).wake_at(), None);
}

#[test]
fn a_first_election_is_announced_though_no_history_is_kept() {
    let mut group = fresh([pod("a")]);
    policy_mut(&mut group).history_limit = 0;
    assert_eq!(events(&settle(&mut group)), ["FirstElection"]);
    assert_eq!(group.group.status.history, []);
}
