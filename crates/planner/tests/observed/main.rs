//! The rules of Observed mode, as tables: the pods hold the Lease, and the label follows it.

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod a_leader_that_is_gone;
#[path = "../support/mod.rs"]
mod support;
mod the_holder;
mod the_label;
mod the_operator;

use support::tables::*;

/// The pods' Lease, renewed just now for 15 s.
fn held_by(holder: &str) -> SeenLease {
    let record = LeaseContent {
        uid: "lease-uid".to_owned(),
        version: Version(50),
        owner: Owner::None,
        holder: Some(holder.to_owned()),
        duration_seconds: Some(15),
        transitions: 3,
        term: None,
        adopt: None,
        times: (Some(1), Some(2)),
        ..LeaseContent::default()
    };
    SeenLease { change_was_seen: true, ..SeenLease::first_seen(record, NOW) }
}

/// A group created just now; of its pods, `holder` holds the Lease.
fn new_group(holder: &str, pods: impl IntoIterator<Item = SeenPod>) -> Snapshot {
    let mut group = fresh(pods);
    policy_mut(&mut group).mode = ElectionMode::Observed;
    group.lease = Some(held_by(holder));
    group
}

/// `a` holds the Lease and is labelled in term 3; no write is due.
fn steady() -> Snapshot {
    let mut group = new_group("a", [leader("a", 3), follower("b", 3), follower("c", 3)]);
    group.group.status.record = Some(record("a", 3));
    Snapshot { reported_at: LONG_AGO, ..settled(group) }
}

/// The holder renews the Lease at this moment, with `change`.
fn renew(group: &mut Snapshot, change: impl FnOnce(&mut LeaseContent)) {
    let lease = group.lease.as_mut().expect("a Lease");
    let mut record = lease.content.clone();
    record.version.0 += 1;
    record.times.1 = record.times.1.map(|time| time + 1);
    change(&mut record);
    lease.note(record, group.now);
}

fn hand_to(group: &mut Snapshot, holder: &str) {
    renew(group, |lease| lease.holder = Some(holder.to_owned()));
}

/// The labelled pods at rest, the newest reason in the history, and the reason of `LeaderElected`.
fn outcome(mut group: Snapshot) -> (String, String, String) {
    settle(&mut group);
    let status = &group.group.status;
    let reason = status.history.first().map(|change| change.reason.clone()).unwrap_or_default();
    let elected = status.conditions.iter().find(|c| c.kind == "LeaderElected").unwrap();
    (labelled(&group).join(" "), reason, elected.reason.clone())
}

fn says(label: &str, reason: &str, condition: &str) -> (String, String, String) {
    (label.to_owned(), reason.to_owned(), condition.to_owned())
}
