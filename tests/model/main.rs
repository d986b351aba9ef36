//! The switch protocol, explored state by state: the real planner, run by two operators that both believe to be
//! active, against an API server of compare-and-swap objects.
//!
//! Each operator has a cache that lags behind by any number of versions, object by object. Its writes are in flight
//! for any time, arrive after it gave up or crashed, or never. The world around does what worlds do, each within a
//! budget ([`World`]): pods get not Ready, vanish and come back under their name, are deselected, the Lease and the
//! group are deleted, the status is emptied, labels are tampered with, another group marks a pod for a while. In Observed
//! mode the pods hand the Lease on, renew it (seen or not), or let it run out.
//!
//! Checked in every state: S1 to S5 and L2. L1: from every state in which nothing is in flight, an operator that has
//! seen everything leads the group to rest within a few plans, and if a pod is eligible, then one is labelled: in Observed
//! mode the holder, or nobody if the Lease has run out.
//!
//! Each rule of the protocol can be switched off ([`Rule`]); the checker must then find a counterexample.
//!
//! `MODEL_SCALE=1` (or 2) enlarges the bounds.

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

mod api_server;
mod objects;
mod operator;
mod operator_state;
mod planned_requests;
mod reduce;
mod seen_snapshot;
mod state;
#[path = "../support/mod.rs"]
mod support;
mod switch;
mod without;
mod world;
mod worlds;

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};
use switch::Switch;
use world::{Old, Rule, World};

/// How much larger than usual the bounds are.
fn scale() -> u8 {
    std::env::var("MODEL_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(0)
}

/// Explores everything within the bounds and finds nothing wrong.
fn holds(name: &str, world: World) {
    let checker = Switch::new(world, None).checker().threads(2);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("{name}: {} states, depth {}", checker.unique_state_count(), checker.max_depth());
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        let story: Vec<_> =
            path.into_vec().into_iter().map(|(state, action)| switch::story(&state, action)).collect();
        panic!("{name}: {property} breaks: {}", story.concat());
    }
}

/// Without `rule` one of `expected` breaks.
fn breaks(rule: Rule, world: World, expected: &[&'static str]) {
    let wanted = expected.iter().copied().collect::<BTreeSet<_>>();
    let checker = Switch::new(world, Some(rule)).checker().threads(2);
    let checker = checker.finish_when(HasDiscoveries::AnyOf(wanted.clone())).spawn_bfs().join();
    let found: BTreeSet<_> = checker.discoveries().into_keys().collect();
    println!("without {rule:?}: {found:?} break, {} states", checker.unique_state_count());
    assert!(!found.is_disjoint(&wanted), "nothing needs {rule:?} within these bounds");
}

/// A new group: two operators that know nothing yet.
fn new_group() -> World {
    World { operators: 2, terms: 2, late: 1, ..World::default() }
}

/// A group with a leader that both operators have seen.
fn led_group() -> World {
    World { settled: true, terms: 3, ..new_group() }
}

/// A pod is marked by another group, which is deleted: the mark stays.
fn other_group_is_deleted() -> World {
    World { begins_captured: true, other_deleted: 1, unready: 2, late: 0, ..led_group() }
}

/// Observed mode: a group whose pod holds the Lease, as both operators have seen.
fn observed() -> World {
    World { observed: true, late: 0, ..led_group() }
}
