//! The rules of Nominated mode, as tables: the operator nominates, and the pod takes the Lease.

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod a_short_lease;
mod a_silent_nominee;
#[path = "../support/mod.rs"]
mod support;
mod the_first_election;
mod the_label;
mod the_lease;
mod the_next_leader;

use planner::seen::RecordedLease;
use support::tables::*;

/// A group created just now, with a Lease that the operator has just created.
fn new_group(pods: impl IntoIterator<Item = SeenPod>) -> Snapshot {
    let mut group = fresh(pods);
    policy_mut(&mut group).mode = ElectionMode::Nominated;
    group.lease = Some(SeenLease::first_seen(free_lease("lease-uid"), NOW));
    group
}

fn free_lease(uid: &str) -> LeaseContent {
    LeaseContent { uid: uid.to_owned(), version: Version(50), owner: Owner::Ours, ..LeaseContent::default() }
}

/// `a` holds the Lease in term 3, with the label; no write is due.
fn steady() -> Snapshot {
    let mut group = new_group([leader("a", 3), follower("b", 3), follower("c", 3)]);
    group.group.status.record = Some(record("a", 3));
    let recorded = RecordedLease { uid: "lease-uid".to_owned(), duration_seconds: 15, longest_seconds: 15 };
    group.group.status.recorded_lease = Some(recorded);
    let content = LeaseContent { term: Some(term(3)), ..free_lease("lease-uid") };
    group.lease = Some(SeenLease::first_seen(content, LONG_AGO));
    take(&mut group, "a");
    Snapshot { reported_at: LONG_AGO, ..settled(group) }
}

/// This operator sees a write of the Lease.
fn write(group: &mut Snapshot, change: impl FnOnce(&mut LeaseContent)) {
    let lease = group.lease.as_mut().expect("a Lease");
    let mut content = lease.content.clone();
    content.version.0 += 1;
    change(&mut content);
    lease.note(content, group.now);
}

/// The pod's companion takes the Lease. Its own rules are those of the companion, not of this test.
fn take(group: &mut Snapshot, name: &str) {
    let holder = format!("{name}_{}", id(name).uid);
    write(group, |lease| {
        lease.holder = Some(holder);
        lease.nominee = None;
        lease.duration_seconds = Some(15);
        lease.transitions += 1;
        lease.times = (lease.times.1.map(|time| time + 1), lease.times.1.map(|time| time + 1).or(Some(1)));
    });
}

fn renew(group: &mut Snapshot) {
    write(group, |lease| lease.times.1 = lease.times.1.map(|time| time + 1).or(Some(1)));
}

/// The holder's companion releases the Lease.
fn release(group: &mut Snapshot) {
    write(group, |lease| lease.holder = Some(String::new()));
}

/// Plans until the group rests, and returns the plans in words, without those of the status alone.
fn story(group: &mut Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..9 {
        let told = told(group);
        if told.is_empty() {
            return lines;
        }
        lines.extend(told.into_iter().filter(|line| line != "status"));
        apply(group, &plan_group(group));
    }
    panic!("never comes to rest: {lines:?}");
}

/// The reason of a condition.
fn reason<'a>(group: &'a Snapshot, kind: &str) -> &'a str {
    let conditions = &group.group.status.conditions;
    &conditions.iter().find(|condition| condition.kind == kind).expect("the condition").reason
}

fn newest_reason(group: &Snapshot) -> &str {
    &group.group.status.history.first().expect("a change").reason
}

fn longest(group: &Snapshot) -> u32 {
    group.group.status.recorded_lease.as_ref().expect("a recorded Lease").longest_seconds
}
