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
//! A plain `cargo test` looks at the first states of each world only. `MODEL_SCALE=0` (`make model`) explores each world
//! to its end; 1 and 2 enlarge the bounds.

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;
#[path = "model/mod.rs"]
mod switch;

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};
use switch::{Old, Rule, Switch, World};

/// How many states of each world are explored without `MODEL_SCALE`: those that the fewest steps lead to.
const QUICK: usize = 20_000;

/// How much larger than usual the bounds are. `None`: a quick look.
fn scale() -> Option<u8> {
    std::env::var("MODEL_SCALE").ok().and_then(|scale| scale.parse().ok())
}

/// Explores everything within the bounds, or its beginning, and finds nothing wrong.
fn holds(name: &str, world: World) {
    let no_limit = 0;
    let states = if scale().is_none() { QUICK } else { no_limit };
    let checker = Switch::new(world, None).checker().threads(2).target_state_count(states);
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

/// A world only for those who asked for larger bounds.
fn holds_if(least: u8, name: &str, world: World) {
    if scale().is_some_and(|scale| scale >= least) {
        holds(name, world);
    }
}

#[test]
fn a_new_group() {
    holds("new group, crash", World { crashes: 1, ..new_group() });
    holds("new group, status emptied", World { emptied: 1, late: 0, ..new_group() });
    holds_if(1, "new group, status emptied, late write", World { emptied: 1, ..new_group() });
    holds_if(1, "new group, not Ready", World { unready: 1, ..new_group() });
    holds_if(1, "new group, pod recreated", World { pods_deleted: 1, ..new_group() });
    holds_if(1, "new group, marked by another", World { captured: 1, ..new_group() });
    let world = World { captured: 1, other_is_unknown: true, late: 0, ..new_group() };
    holds("new group, marked by another that is not known yet", world);
    holds_if(1, "new group, deleted", World { group_deleted: 1, late: 0, ..new_group() });
    holds_if(2, "new group, tampered and emptied", World { tampered: 1, emptied: 1, ..new_group() });
    holds_if(2, "new group, deselected twice", World { deselected: 2, late: 0, ..new_group() });
}

#[test]
fn a_leader_that_fails_and_comes_back() {
    holds("not Ready twice", World { unready: 2, late: 0, ..led_group() });
    holds_if(1, "not Ready twice, crash", World { unready: 2, crashes: 1, ..led_group() });
    holds_if(1, "not Ready, three operators", World { operators: 3, unready: 1, late: 0, ..led_group() });
    holds_if(
        2,
        "not Ready twice, three operators",
        World { operators: 3, unready: 2, late: 0, ..led_group() },
    );
    holds_if(2, "not Ready three times, crash", World { unready: 3, crashes: 1, terms: 4, ..led_group() });
}

#[test]
fn pods_that_are_recreated_under_their_name() {
    holds("recreated, crash", World { pods_deleted: 1, crashes: 1, ..led_group() });
    holds_if(1, "recreated, not Ready", World { pods_deleted: 1, unready: 1, ..led_group() });
    holds_if(1, "recreated twice", World { pods_deleted: 2, late: 0, ..led_group() });
}

#[test]
fn pods_that_are_deselected_and_selected_again() {
    holds("deselected, crash", World { deselected: 1, crashes: 1, late: 0, terms: 2, ..led_group() });
    holds_if(1, "deselected, not Ready", World { deselected: 1, unready: 1, late: 0, ..led_group() });
    holds_if(1, "deselected and selected again", World { deselected: 2, late: 0, terms: 2, ..led_group() });
    holds_if(
        1,
        "deselected and selected again, three terms",
        World { deselected: 2, late: 0, ..led_group() },
    );
    holds_if(1, "deselected and selected again, late write", World { deselected: 2, ..led_group() });
    holds_if(
        2,
        "deselected and selected again, crash",
        World { deselected: 2, crashes: 1, late: 0, ..led_group() },
    );
}

#[test]
fn pods_that_the_selector_lets_go() {
    holds("new group, selector edited", World { reselected: 1, late: 0, ..new_group() });
    holds("selector edited, not Ready", World { reselected: 1, unready: 1, late: 0, ..led_group() });
    holds_if(1, "new group, selector edited, late write", World { reselected: 1, ..new_group() });
    holds_if(1, "selector edited twice", World { reselected: 2, ..led_group() });
    holds_if(1, "observed, selector edited", World { reselected: 1, renewed: 1, ..observed() });
    holds_if(2, "new group, selector edited twice", World { reselected: 2, late: 0, ..new_group() });
}

#[test]
fn pods_that_another_group_marks_for_a_while() {
    let world = World { captured: 1, deselected: 1, late: 0, ..led_group() };
    holds("marked by another group", world);
    holds("marked by another group that is deleted", other_group_is_deleted());
    let unknown = World { other_is_unknown: true, ..other_group_is_deleted() };
    holds_if(1, "marked by another group that is not known yet and deleted", unknown);
    let new = World { other_deleted: 1, late: 0, ..new_group() };
    let captured = World { captured: 1, other_is_unknown: true, ..new };
    holds("new group, marked by another that is not known yet and deleted", captured);
    holds(
        "new group, marked by another that is deleted, status emptied",
        World { begins_captured: true, emptied: 1, ..new },
    );
    holds_if(
        1,
        "marked by another group that is deleted, late write",
        World { late: 1, ..other_group_is_deleted() },
    );
    holds_if(2, "marked by another group, deselected twice", World { deselected: 2, ..world });
}

#[test]
fn a_lease_that_a_user_deletes() {
    holds(
        "Lease deleted, not Ready",
        World { lease_deleted: 1, unready: 1, late: 0, lease_lags: true, ..led_group() },
    );
    holds_if(
        1,
        "Lease deleted, late write",
        World { lease_deleted: 1, unready: 1, lease_lags: true, ..led_group() },
    );
}

#[test]
fn a_status_that_a_user_empties() {
    holds("status emptied, not Ready", World { emptied: 1, unready: 1, late: 0, ..led_group() });
    holds_if(1, "status emptied, not Ready, late write", World { emptied: 1, unready: 1, ..led_group() });
    holds_if(1, "status emptied twice, not Ready", World { emptied: 2, unready: 1, ..led_group() });
}

#[test]
fn labels_that_a_user_changes() {
    holds("tampered, not Ready", World { tampered: 1, unready: 1, late: 0, ..led_group() });
    holds_if(1, "tampered, not Ready, late write", World { tampered: 1, unready: 1, ..led_group() });
    holds_if(1, "tampered twice, not Ready", World { tampered: 2, unready: 1, ..led_group() });
}

#[test]
fn a_group_that_is_deleted_and_created_again() {
    holds("group recreated", World { group_deleted: 1, late: 0, ..led_group() });
    holds_if(1, "group recreated, late write", World { group_deleted: 1, ..led_group() });
    holds_if(2, "group recreated, not Ready", World { group_deleted: 1, unready: 1, late: 0, ..led_group() });
    holds_if(2, "group recreated twice", World { group_deleted: 2, late: 0, ..led_group() });
}

/// A pod is marked by another group, which is deleted: the mark stays.
fn other_group_is_deleted() -> World {
    World { begins_captured: true, other_deleted: 1, unready: 2, late: 0, ..led_group() }
}

/// Observed mode: a group whose pod holds the Lease, as both operators have seen.
fn observed() -> World {
    World { observed: true, late: 0, ..led_group() }
}

#[test]
fn a_lease_that_the_pods_hand_on() {
    let new = World { observed: true, handed: 1, late: 0, ..new_group() };
    holds("observed, new group, handed on", new);
    holds("observed, handed on, crash", World { handed: 1, crashes: 1, late: 1, ..observed() });
    holds("observed, handed on twice, late write", World { handed: 2, late: 1, ..observed() });
    holds("observed, handed on, renewed", World { handed: 1, renewed: 1, ..observed() });
    holds("observed, handed on, three operators", World { operators: 3, handed: 1, ..observed() });
    holds_if(1, "observed, handed on three times", World { handed: 3, terms: 4, ..observed() });
    holds_if(1, "observed, handed on twice, crash", World { handed: 2, crashes: 1, ..observed() });
}

#[test]
fn a_lease_of_the_pods_that_runs_out_or_is_deleted() {
    holds("observed, run out, renewed", World { lapses: 1, renewed: 1, ..observed() });
    holds("observed, run out, crash", World { lapses: 1, crashes: 1, late: 1, ..observed() });
    holds("observed, run out, renewed, crash", World { lapses: 1, renewed: 1, crashes: 1, ..observed() });
    holds("observed, run out, handed on", World { lapses: 1, handed: 1, ..observed() });
    holds("observed, Lease deleted", World { lease_deleted: 1, handed: 1, late: 1, ..observed() });
    holds("observed, run out, tampered", World { lapses: 1, tampered: 1, ..observed() });
    holds_if(1, "observed, run out, emptied", World { lapses: 1, emptied: 1, ..observed() });
    holds("observed, run out twice", World { lapses: 2, renewed: 1, terms: 4, ..observed() });
    holds("observed, run out, holder recreated", World { lapses: 1, pods_deleted: 1, ..observed() });
}

#[test]
fn a_lease_of_pods_that_something_happens_to() {
    holds("observed, holder recreated", World { pods_deleted: 1, handed: 1, ..observed() });
    holds("observed, holder recreated, renewed", World { pods_deleted: 1, renewed: 1, ..observed() });
    let renewed = World { pods_deleted: 1, handed: 1, renewed: 1, ..observed() };
    holds("observed, holder recreated, renewed, handed on, one operator", World { operators: 1, ..renewed });
    holds_if(1, "observed, holder recreated, renewed, handed on", World { terms: 2, ..renewed });
    holds("observed, emptied", World { emptied: 1, handed: 1, ..observed() });
    holds("observed, tampered", World { tampered: 1, handed: 1, ..observed() });
    holds("observed, deselected", World { deselected: 1, renewed: 1, ..observed() });
    holds_if(1, "observed, deselected, handed on", World { deselected: 1, handed: 1, ..observed() });
    holds_if(1, "observed, group recreated", World { group_deleted: 1, handed: 1, ..observed() });
    holds_if(
        2,
        "observed, holder recreated, handed on twice",
        World { pods_deleted: 1, handed: 2, ..observed() },
    );
}

mod without {
    use super::{Old, Rule, World, breaks, led_group, new_group, observed, other_group_is_deleted, scale};

    #[test]
    fn a_conditional_record() {
        breaks(Rule::ConditionalRecord, new_group(), &["S1", "S2"]);
    }

    #[test]
    fn fences() {
        breaks(Rule::Fence, World { unready: 1, ..led_group() }, &["S1"]);
    }

    #[test]
    fn fences_in_observed_mode() {
        breaks(Rule::Fence, World { handed: 1, ..observed() }, &["S1"]);
    }

    #[test]
    fn asking_for_the_lease_of_the_pods() {
        breaks(Rule::AskForLease, World { renewed: 1, ..observed() }, &["L2"]);
        breaks(Rule::AskForLease, World { handed: 1, ..observed() }, &["L2"]);
        breaks(
            Rule::AskForLease,
            World { pods_deleted: 1, handed: 1, renewed: 1, terms: 2, ..observed() },
            &["S3"],
        );
    }

    #[test]
    fn fences_before_the_promotion() {
        breaks(Rule::FenceBeforePromotion, World { unready: 1, ..led_group() }, &["S1"]);
    }

    #[test]
    fn a_conditional_promotion() {
        breaks(Rule::ConditionalPromotion, World { unready: 1, ..new_group() }, &["S1"]);
    }

    #[test]
    fn inheriting_the_unfenced() {
        breaks(
            Rule::InheritUnfenced,
            World {
                pods_deleted: 1,
                terms: 4,
                old_copy: Some((1, Old::NotReady)),
                recreated: true,
                late: 0,
                ..led_group()
            },
            &["S1"],
        );
    }

    #[test]
    fn everybody_unfenced_at_first() {
        breaks(
            Rule::EverybodyUnfenced,
            World { emptied: 1, old_copy: Some((0, Old::NotReady)), ..new_group() },
            &["S1"],
        );
    }

    #[test]
    fn a_list_after_the_record() {
        breaks(
            Rule::ListAfterRecord,
            World { emptied: 1, old_copy: Some((0, Old::Absent)), ..new_group() },
            &["S1"],
        );
    }

    #[test]
    fn identity_by_uid() {
        breaks(Rule::IdentityByUid, World { pods_deleted: 1, ..led_group() }, &["S5"]);
    }

    #[test]
    fn proof_that_a_pod_is_gone() {
        breaks(
            Rule::ProofOfGone,
            World { pods_deleted: 1, crashes: 1, unready: 1, ..led_group() },
            &["S1", "L2"],
        );
    }

    #[test]
    fn the_rule_not_above() {
        let world = World { tampered: 1, unready: 1, lease_lags: true, ..led_group() };
        breaks(Rule::NotAbove, world, &["S2"]);
    }

    #[test]
    fn recording_again() {
        breaks(Rule::RecordAgain, World { tampered: 1, ..led_group() }, &["S2", "L1"]);
    }

    #[test]
    fn the_rule_not_anothers() {
        breaks(Rule::NotAnothers, World { captured: 1, ..new_group() }, &["not another's"]);
    }

    #[test]
    fn asking_for_the_other_group() {
        let world = World { captured: 1, other_is_unknown: true, ..new_group() };
        breaks(Rule::AskForOtherGroup, world, &["not another's"]);
    }

    #[test]
    fn asking_for_the_record() {
        breaks(Rule::AskForRecord, World { captured: 1, ..new_group() }, &["S1"]);
    }

    #[test]
    fn asking_for_a_pod_that_another_group_marked() {
        breaks(Rule::AskForTaken, World { captured: 1, ..new_group() }, &["S1"]);
    }

    #[test]
    fn asking_for_the_group_that_marked_it() {
        let new =
            World { other_deleted: 1, begins_captured: true, emptied: 1, late: 0, terms: 3, ..new_group() };
        breaks(Rule::AskForOwner, new, &["S1"]);
        // A third of a quick look would be spent here.
        if scale().is_some() {
            breaks(Rule::AskForOwner, other_group_is_deleted(), &["S1"]);
        }
    }

    #[test]
    fn asking_for_the_record_after_the_group_that_marked_it() {
        let world = World { captured: 1, other_is_unknown: true, other_deleted: 1, late: 0, ..new_group() };
        breaks(Rule::RecordAfterOwner, world, &["S1"]);
    }

    #[test]
    fn the_lease_before_the_promotion() {
        breaks(Rule::LeaseBeforePromotion, new_group(), &["S3"]);
    }

    #[test]
    fn a_conditional_lease() {
        breaks(Rule::ConditionalLease, World { unready: 2, ..led_group() }, &["S2"]);
    }
}
