//! Worlds of Nominated mode in which every invariant holds.

use super::worlds::holds_if;
use super::*;

#[test]
fn a_new_group_that_nominates_breaks_no_invariant() {
    let new = World { settled: false, terms: 2, ..nominated() };
    holds("nominated, new group", new);
    holds("nominated, new group, Lease deleted", World { lease_deleted: 1, operators: 1, ..new });
    holds_if(1, "nominated, new group, two operators, Lease deleted", World { lease_deleted: 1, ..new });
    holds_if(1, "nominated, new group, late write", World { late: 1, ..new });
}

#[test]
fn a_leader_that_fails_breaks_no_invariant_of_the_lease() {
    let unready = World { unready: 1, ..nominated() };
    holds("nominated, not Ready", unready);
    holds("nominated, not Ready, one operator, three terms", World { operators: 1, terms: 4, ..unready });
    holds("nominated, not Ready, silent", World { silent: true, ..unready });
    holds("nominated, not Ready, renewed", World { renewed: 1, ..unready });
    holds("nominated, not Ready, late write", World { late: 1, terms: 2, ..unready });
    holds_if(1, "nominated, not Ready twice, late write", World { unready: 2, late: 1, ..nominated() });
}

#[test]
fn a_deleted_lease_of_nominees_breaks_no_invariant() {
    let deleted = World { lease_deleted: 1, ..nominated() };
    holds("nominated, Lease deleted", deleted);
    holds("nominated, Lease deleted, not Ready, one operator", World { unready: 1, operators: 1, ..deleted });
    holds("nominated, Lease deleted, recreated", World { pods_deleted: 1, operators: 1, ..deleted });
    holds_if(1, "nominated, Lease deleted, not Ready", World { unready: 1, ..deleted });
    holds_if(1, "nominated, Lease deleted, late write", World { late: 1, ..deleted });
}

#[test]
fn pods_that_end_or_are_deleted_by_force_break_no_invariant_of_the_lease() {
    holds("nominated, recreated by force", World { pods_deleted: 1, ..nominated() });
    holds("nominated, ended and recreated", World { ended: 1, pods_deleted: 1, ..nominated() });
    holds_if(
        1,
        "nominated, recreated by force, late write",
        World { pods_deleted: 1, late: 1, ..nominated() },
    );
    holds_if(
        1,
        "nominated, recreated by force, not Ready",
        World { pods_deleted: 1, unready: 1, ..nominated() },
    );
}

#[test]
fn a_lost_record_breaks_no_invariant_of_the_lease() {
    let emptied = World { emptied: 1, ..nominated() };
    holds("nominated, status emptied", emptied);
    holds("nominated, status emptied, recreated", World { pods_deleted: 1, operators: 1, ..emptied });
    holds("nominated, status emptied, Lease deleted", World { lease_deleted: 1, operators: 1, ..emptied });
    holds_if(
        1,
        "nominated, status emptied, Lease deleted, two operators",
        World { lease_deleted: 1, ..emptied },
    );
    holds_if(1, "nominated, status emptied, not Ready", World { unready: 1, ..emptied });
}

#[test]
fn another_duration_breaks_no_invariant_of_the_lease() {
    let shortened = World { minute: true, shortened: 1, ..nominated() };
    holds("nominated, shortened, not Ready", World { unready: 1, ..shortened });
    holds("nominated, shortened, Lease deleted", World { lease_deleted: 1, ..shortened });
    let one = World { operators: 1, late: 1, ..shortened };
    holds("nominated, shortened, Lease deleted, not Ready", World { lease_deleted: 1, unready: 1, ..one });
}
