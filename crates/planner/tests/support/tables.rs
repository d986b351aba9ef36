//! What the tables of the rules have in common, whichever mode they are of.
#![allow(unused_imports)] // each test crate uses a part of this

pub use planner::decide::{SwitchoverVerdict, switchover_verdict};
pub use planner::plan::{Fact, Intent};
pub use planner::seen::{
    ElectionMode, GonePod, LeaderRecord, LeaseContent, Membership, Owner, PodPhase, Role, SeenLease, SeenPod,
    Snapshot,
};
pub use planner::{Identity, Micros, Millis, Version, plan_group};

pub use super::{
    LONG_AGO, NOW, WALL, apply, delete, follower, fresh, id, labelled, leader, lease, led, pod, pod_mut,
    policy_mut, record, recreated, settle, settled, steady, term, told, unready, with,
};

/// A plan in words that has none.
pub const NOTHING: [&str; 0] = [];

/// So long after the beginning of the test.
pub fn seconds(span: u64) -> Millis {
    Millis(NOW.0 + span * 1000)
}

/// The same group at that moment, with nothing seen since.
pub fn at(group: &Snapshot, moment: Millis) -> Snapshot {
    group.later(moment)
}
