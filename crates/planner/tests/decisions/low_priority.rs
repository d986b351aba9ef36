//! Low-priority intents wait for the next plan while something urgent is due.

use super::*;

fn urgent_steps(group: &Snapshot) -> Vec<Step> {
    plan_group(group).urgent_part().into_steps()
}

#[test]
fn low_priority_intents_are_left_to_the_next_plan_while_others_are_urgent() {
    let mut group = steady();
    group.pods.push(pod("d"));
    unready(&mut group, "a");
    let steps = urgent_steps(&group);
    let follows = |step: &Step| step.intents.iter().any(|intent| matches!(intent, Intent::LabelFollower(_)));
    assert!(!steps.iter().any(follows), "{steps:#?}");
    let said = |intent: &Intent| matches!(intent, Intent::AnnounceChange(_));
    assert!(steps.last().unwrap().intents.iter().any(said), "what is said once is not lost: {steps:#?}");
    settle(&mut group);
    assert_eq!(group.pod(&id("d")).unwrap().role, Role::Follower);
}

#[test]
fn a_plan_of_low_priority_intents_alone_stays_whole() {
    let mut group = steady();
    group.pods.push(pod("d"));
    group = at(&group, NOW + Millis(5_000));
    group.reported_at = group.now; // so a new count is low priority, too
    let plan = plan_group(&group);
    assert_eq!((plan.low_priority_requests(), plan.clone().urgent_part()), (Some(2), plan));
}

/// The Lease keeps its holder and gets a new term. Even so, the promotion waits for that write
/// (S3).
#[test]
fn a_renewal_stays_in_the_plan_if_a_promotion_needs_it() {
    let mut group = steady();
    *pod_mut(&mut group, "a") = with(follower("a", 9), |_| ());
    let steps = urgent_steps(&group);
    let renews = |step: &Step| {
        step.intents
            .iter()
            .any(|intent| matches!(intent, Intent::WriteLease(write) if write.action == LeaseAction::Renew))
    };
    let promotes = |step: &Step| step.intents.iter().any(|intent| matches!(intent, Intent::Promote(_)));
    let (lease, promotion) = (steps.iter().position(renews), steps.iter().position(promotes));
    assert!(lease.is_some() && lease < promotion, "{steps:#?}");
}
