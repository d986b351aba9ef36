//! The switch protocol, explored state by state. Operators run the real planner, each believes that
//! it is active, and the API server has objects with compare-and-swap.
//!
//! The cache of an operator lags behind by any number of versions, object by object. Its writes
//! stay in flight for any time. They arrive after it gave up or crashed, or never.
//!
//! The world acts within a budget ([`World`]). Pods become not Ready, are deleted, recreated under
//! their name, and deselected. Users delete the Lease and the group, empty the status and change
//! labels. Another group takes a pod over for a while. In Observed mode the pods hand the Lease on,
//! renew it (seen or not), or let it expire. Users delete, empty and edit the slice of a routed
//! Service, and the other group may have a slice for it, too.
//!
//! In Nominated mode each pod has a companion ([`companion`]), also after its pod was deleted by
//! force. Companions take the Lease, start and end COMMAND, renew and release, die and start again.
//! Time is an axiom: an operator has seen a record of the Lease for so long only after every COMMAND
//! that relies on it, or on an older one, has ended. `tests/clock_rates.rs` of the elector has the
//! arithmetic behind that.
//!
//! The checker verifies S1 to S5, L2, R1, R3, R4 and X1 to X9 in every state. It verifies L1 from every state
//! without a request in flight: an operator that has seen everything comes to rest within a few
//! plans. At rest an eligible pod is labelled, if there is one. In Observed mode the holder is
//! labelled, or no pod if the Lease has expired. The leader is the endpoint of a routed Service.
//! In Nominated mode the leader holds the Lease, and its COMMAND works in the term of the record.
//!
//! Each rule of the protocol can be left out ([`Rule`]). The checker must then find a violation.
//!
//! A plain `cargo test` explores the first states of each world only. `MODEL_SCALE=0` (`make model`)
//! explores each world to its end. 1 and 2 enlarge the bounds.

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
mod companion;
mod nominated;
mod nominated_without;
mod nominated_worlds;
mod objects;
mod operator;
mod operator_state;
mod planned_requests;
mod reduce;
mod seen_snapshot;
mod slice;
mod state;
mod story;
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

/// How many states of each world a quick look explores: those that the fewest steps lead to.
const QUICK: usize = 20_000;

/// How far the bounds are enlarged: 0, 1 or 2. `None` is a quick look.
fn scale() -> Option<u8> {
    std::env::var("MODEL_SCALE").ok().and_then(|scale| scale.parse().ok())
}

/// Explores every state within the bounds, or the first ones, and fails on a violation.
fn holds(name: &str, world: World) {
    let no_limit = 0;
    holds_up_to(if scale().is_none() { QUICK } else { no_limit }, name, world);
}

/// Explores so many states at least, those that the fewest steps lead to; all of them if that is
/// zero.
fn holds_up_to(states: usize, name: &str, world: World) {
    let checker = Switch::new(world, None).checker().threads(2).target_state_count(states);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("{name}: {} states, depth {}", checker.unique_state_count(), checker.max_depth());
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        let story: Vec<_> =
            path.into_vec().into_iter().map(|(state, action)| story::story(&state, action)).collect();
        panic!("{name}: {property} breaks: {}", story.concat());
    }
}

/// Explores without `rule`, and fails unless a property of `expected` is violated.
fn breaks(rule: Rule, world: World, expected: &[&'static str]) {
    let wanted = expected.iter().copied().collect::<BTreeSet<_>>();
    let checker = Switch::new(world, Some(rule)).checker().threads(2);
    let checker = checker.finish_when(HasDiscoveries::AnyOf(wanted.clone())).spawn_bfs().join();
    let found: BTreeSet<_> = checker.discoveries().into_keys().collect();
    println!("without {rule:?}: {found:?} break, {} states", checker.unique_state_count());
    assert!(!found.is_disjoint(&wanted), "nothing needs {rule:?} within these bounds");
}

/// A new group and two operators that know nothing yet.
fn new_group() -> World {
    World { operators: 2, terms: 2, late: 1, ..World::default() }
}

/// A group whose leader both operators have seen.
fn led_group() -> World {
    World { settled: true, terms: 3, ..new_group() }
}

/// Another group owns a pod and is deleted; its annotation stays.
fn other_group_is_deleted() -> World {
    World { begins_captured: true, other_deleted: 1, unready: 2, late: 0, ..led_group() }
}

/// A led group that routes a Service by a slice.
fn routed() -> World {
    World { routed: true, terms: 2, late: 0, ..led_group() }
}

/// Observed mode: a pod holds the Lease, and both operators have seen that.
fn observed() -> World {
    World { observed: true, late: 0, ..led_group() }
}

/// Nominated mode: a pod holds the Lease and works, and both operators have seen that.
fn nominated() -> World {
    World { nominated: true, late: 0, ..led_group() }
}
