//! What holds for the plan of any snapshot: S1 to S5, L1, L2, exact wake-ups, and independence of
//! the order of pods.

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod leader;
mod nominated;
mod protocol;
mod report;
#[path = "../support/mod.rs"]
mod support;
mod values;
mod wake_ups;

use planner::eligibility::{ineligibility, ranked};
use planner::leader_problem;
use planner::observed_mode::holder;
use planner::plan::{Fact, Intent, Plan, PodWrite};
use planner::plan_group;
use planner::refusal::refusal;
use planner::seen::{
    ElectionMode, GroupPolicy, LeaderRecord, Membership, Owner, PodPhase, Role, SeenPod, Snapshot, Unfenced,
};
use planner::seen::{LeaseContent, SeenLease};
use planner::{Identity, Millis, Term, Version};
use proptest::prelude::*;
use support::arbitrary::{leases, snapshots, universe};
use support::nominated::{companions_act, every_snapshot, nominated_snapshots};
use support::{NOW, apply};

/// A failing case becomes a named test in `tests/decisions`, not an opaque file of seeds.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(500);
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

fn policy_of(snapshot: &Snapshot) -> Option<&GroupPolicy> {
    snapshot.group.policy.as_ref().ok()
}

fn is_foreign(pod: &SeenPod) -> bool {
    matches!(pod.owner, Owner::Other(_))
}

/// The pods that S1 counts: those that this group owns or selects. A pod that another existing
/// group owns is not counted. Nor is a pod that an older group selects and this group does not own.
fn is_of_this_group(pod: &SeenPod) -> bool {
    !is_foreign(pod) && (pod.membership == Membership::Selected || pod.owner == Owner::Ours)
}

fn labelled(snapshot: &Snapshot) -> Vec<&Identity> {
    let pods = snapshot.pods.iter().filter(|pod| pod.role == Role::Leader && is_of_this_group(pod));
    pods.map(|pod| &pod.id).collect()
}

fn is_observed(snapshot: &Snapshot) -> bool {
    policy_of(snapshot).is_some_and(|policy| policy.mode == ElectionMode::Observed)
}

/// Each intent of the plan with the snapshot before it; the intents of a step in two orders.
fn walks(snapshot: &Snapshot) -> Vec<Vec<(Snapshot, Intent)>> {
    let plan = plan_group(snapshot);
    let walk = |backwards: bool| {
        let mut view = snapshot.clone();
        let mut seen = Vec::new();
        for step in plan.steps() {
            let mut intents = step.intents.clone();
            if backwards {
                intents.reverse();
            }
            for intent in intents {
                let before = view.clone();
                view.project(&intent);
                seen.push((before, intent));
            }
        }
        seen
    };
    vec![walk(false), walk(true)]
}

/// Plans and applies until a plan is empty, and returns the number of plans.
fn settle(snapshot: &mut Snapshot) -> Result<usize, TestCaseError> {
    for plans in 0..6 {
        let next = plan_group(snapshot);
        if next.steps().is_empty() {
            return Ok(plans);
        }
        apply(snapshot, &next);
    }
    Err(TestCaseError::fail(format!("never comes to rest: {:#?}", plan_group(snapshot))))
}

/// All intents of the snapshot's plan.
fn intents_of(snapshot: &Snapshot) -> Vec<Intent> {
    plan_group(snapshot).into_steps().into_iter().flat_map(|step| step.intents).collect()
}

#[test]
fn the_generated_identities_have_different_uids() {
    let mut uids: Vec<_> = universe().into_iter().map(|id| id.uid).collect();
    uids.dedup();
    assert_eq!(uids.len(), universe().len());
}
