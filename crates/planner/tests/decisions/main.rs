//! The rules of the planner, each as a small group and its plan in words.

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod a_failback;
mod a_role_label_in_use;
mod candidates;
mod conditions;
mod drift;
mod failover;
mod first_election;
mod live_reads;
mod low_priority;
mod overlap;
mod owners;
mod paused;
mod pods_of_jobs;
mod reasons;
mod routing;
mod services;
mod sticky;
#[path = "../support/mod.rs"]
mod support;
mod switchover;
mod the_lease;
mod the_record;

use planner::decide::moments;
use planner::eligibility::ranked;
use planner::plan::{LeaseAction, Plan, Step};
use planner::seen::{Condition, GroupView, Refusal, Stamp, Unfenced};
use planner::switch::{MAX_LOW_PRIORITY_WRITES, renew_at};
use planner::{RECREATED_WITHIN, Term};
use support::tables::*;

fn condition<'a>(snapshot: &'a Snapshot, kind: &str) -> &'a Condition {
    let conditions = &snapshot.group.status.conditions;
    conditions.iter().find(|c| c.kind == kind).unwrap_or_else(|| panic!("no condition {kind}"))
}

fn says(snapshot: &Snapshot, kind: &str) -> (bool, String) {
    let condition = condition(snapshot, kind);
    (condition.holds, condition.reason.clone())
}

/// The reasons of all Events that the plans publish, in order.
fn events(plans: &[Plan]) -> Vec<String> {
    let intents = plans.iter().flat_map(Plan::intents);
    let events = intents.filter_map(|intent| match intent {
        Intent::AnnounceChange(change) => Some(change.reason.clone()),
        Intent::PublishEvent(notice) => Some(notice.reason.clone()),
        _ => None,
    });
    events.collect()
}

/// The labelled pods at rest, and the reason of the newest change in the history.
fn outcome(mut snapshot: Snapshot) -> (String, String) {
    settle(&mut snapshot);
    let newest = snapshot.group.status.history.first().expect("a change is in the history").clone();
    assert_eq!(labelled(&snapshot), newest.leader.iter().map(String::as_str).collect::<Vec<_>>());
    (labelled(&snapshot).join(" "), newest.reason)
}
