//! Worlds of Nominated mode in which every invariant holds. Two operators make them large.

use super::worlds::holds_if;
use super::*;

/// How far a large world is explored without enlarged bounds: so many steps, and a third as many
/// states.
const FAR: usize = 300_000;

/// All of a large world with enlarged bounds, else its first part.
fn holds_far(name: &str, world: World) {
    if scale() == Some(0) {
        holds_up_to(FAR, name, world);
    } else {
        holds(name, world);
    }
}

fn alone() -> World {
    World { operators: 1, ..nominated() }
}

#[test]
fn a_new_group_that_nominates_breaks_no_invariant() {
    let new = World { settled: false, terms: 2, ..alone() };
    holds("nominated, new group, Lease deleted", World { lease_deleted: 1, ..new });
    holds("nominated, new group, silent", World { silent: true, ..new });
    holds_far("nominated, new group, two operators", World { operators: 2, ..new });
    holds_if(1, "nominated, new group, late write", World { operators: 2, late: 1, ..new });
}

#[test]
fn a_leader_that_fails_breaks_no_invariant_of_the_lease() {
    let unready = World { unready: 1, ..alone() };
    holds("nominated, not Ready, crash", World { late: 1, crashes: 1, ..unready });
    holds("nominated, not Ready twice", World { unready: 2, ..alone() });
    holds("nominated, not Ready, silent", World { silent: true, ..unready });
    holds("nominated, not Ready, renewed", World { renewed: 1, ..unready });
    holds_far("nominated, not Ready, two operators", World { operators: 2, ..unready });
    let silent = World { operators: 2, silent: true, late: 1, ..unready };
    holds_far("nominated, not Ready, silent, two operators, late write", silent);
}

#[test]
fn an_endpoint_that_stays_until_the_take_breaks_no_invariant() {
    let routed = World { routed: true, unready: 1, ..alone() };
    holds_far("nominated, routed, not Ready", routed);
    holds_far("nominated, routed, recreated", World { unready: 0, pods_deleted: 1, ..routed });
    holds_far("nominated, routed, not Ready, two operators", World { operators: 2, ..routed });
}

#[test]
fn a_deleted_lease_of_nominees_breaks_no_invariant() {
    let deleted = World { lease_deleted: 1, ..alone() };
    holds("nominated, Lease deleted, not Ready", World { unready: 1, ..deleted });
    holds_far("nominated, Lease deleted, recreated", World { pods_deleted: 1, ..deleted });
    holds_far("nominated, Lease deleted, two operators", World { operators: 2, ..deleted });
    let late = World { operators: 2, late: 1, unready: 1, ..deleted };
    holds_far("nominated, Lease deleted, not Ready, two operators, late write", late);
}

#[test]
fn pods_that_end_or_are_deleted_by_force_break_no_invariant_of_the_lease() {
    let recreated = World { pods_deleted: 1, ..alone() };
    holds("nominated, recreated by force", recreated);
    holds_far("nominated, ended and recreated", World { ended: 1, ..recreated });
    holds_far("nominated, recreated by force, two operators", World { operators: 2, ..recreated });
}

#[test]
fn a_lost_record_breaks_no_invariant_of_the_lease() {
    let emptied = World { emptied: 1, ..alone() };
    holds("nominated, status emptied, Lease deleted", World { lease_deleted: 1, ..emptied });
    holds_far("nominated, group recreated", World { group_deleted: 1, ..alone() });
    holds_far("nominated, status emptied, recreated by force", World { pods_deleted: 1, ..emptied });
    holds_far("nominated, status emptied, two operators", World { operators: 2, ..emptied });
    let deleted = World { lease_deleted: 1, ..emptied };
    holds_far("nominated, status emptied, Lease deleted, two operators", World { operators: 2, ..deleted });
    let recreated = World { group_deleted: 1, late: 1, ..nominated() };
    holds_far("nominated, group recreated, two operators, late write", recreated);
}

#[test]
fn another_duration_breaks_no_invariant_of_the_lease() {
    let shortened = World { minute: true, shortened: 1, ..alone() };
    holds("nominated, shortened, not Ready", World { unready: 1, ..shortened });
    let deleted = World { lease_deleted: 1, ..shortened };
    holds_far("nominated, shortened, Lease deleted, not Ready", World { unready: 1, late: 1, ..deleted });
    holds_far("nominated, shortened, Lease deleted, two operators", World { operators: 2, ..deleted });
}
