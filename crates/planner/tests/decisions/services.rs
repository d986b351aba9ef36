//! Warnings about Services and disruption budgets that cannot work with the group.

use super::*;
use planner::seen::{SeenBudget, SeenService};

fn service(role: Role, publishes_not_ready: bool) -> SeenService {
    SeenService { id: id("web"), role, value: "primary".to_owned(), publishes_not_ready, other_group: None }
}

#[test]
fn a_service_that_cannot_work_is_warned_of_once() {
    let table: [(Role, bool, &[&str]); 6] = [
        (Role::Leader, false, &[]),
        (Role::Follower, false, &[]),
        (Role::Follower, true, &[]),
        (Role::Other, false, &["event ServiceNeverMatches"]),
        (Role::Other, true, &["event ServiceNeverMatches"]),
        (Role::Leader, true, &["event ServiceReachesNotReady"]),
    ];
    for (role, publishes_not_ready, warned) in table {
        let mut group = steady();
        group.services = vec![service(role, publishes_not_ready)];
        assert_eq!(told(&group), warned);
        settle(&mut group);
        assert_eq!(told(&group), NOTHING);
        assert_eq!(labelled(&group), ["a"]);
    }
}

#[test]
fn a_service_that_reaches_the_pods_of_another_group_is_warned_of() {
    for (role, expected) in [
        (Role::Leader, "event ServiceReachesOtherGroup"),
        (Role::Follower, "event ServiceReachesOtherGroup"),
        (Role::Other, "event ServiceNeverMatches"),
    ] {
        let mut group = steady();
        group.services = vec![SeenService { other_group: Some("stock".to_owned()), ..service(role, false) }];
        assert_eq!(told(&group), [expected]);
    }
}

#[test]
fn a_budget_that_keeps_the_leader_from_being_evicted_is_warned_of_once() {
    let mut group = steady();
    group.budgets = vec![SeenBudget { id: id("pdb"), keeps_a_single_pod: false }];
    assert_eq!(told(&group), NOTHING);
    group.budgets = vec![SeenBudget { id: id("pdb"), keeps_a_single_pod: true }];
    assert_eq!(told(&group), ["event DisruptionBudgetKeepsLeader"]);
    settle(&mut group);
    assert_eq!(told(&group), NOTHING);
}

#[test]
fn a_warning_names_the_service_and_what_it_selects() {
    let mut group = steady();
    group.services = vec![service(Role::Other, false)];
    let plan = plan_group(&group);
    let [Intent::WarnOnce(_, notice)] = &plan.steps()[0].intents[..] else { panic!("{plan:?}") };
    assert!(notice.note.starts_with("Service web selects") && notice.note.contains("\"primary\""));
}
