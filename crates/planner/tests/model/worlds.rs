//! Worlds in which every invariant holds.

use super::*;

/// Explores a world only if the bounds are enlarged enough.
pub fn holds_if(least: u8, name: &str, world: World) {
    if scale().is_some_and(|scale| scale >= least) {
        holds(name, world);
    }
}

#[test]
fn a_new_group_breaks_no_invariant() {
    holds("new group, crash", World { crashes: 1, ..new_group() });
    holds("new group, status emptied", World { emptied: 1, late: 0, ..new_group() });
    holds_if(1, "new group, status emptied, late write", World { emptied: 1, ..new_group() });
    holds_if(1, "new group, not Ready", World { unready: 1, ..new_group() });
    holds_if(1, "new group, pod recreated", World { pods_deleted: 1, ..new_group() });
    holds_if(1, "new group, owned by another", World { captured: 1, ..new_group() });
    let world = World { captured: 1, other_is_unknown: true, late: 0, ..new_group() };
    holds("new group, owned by another that is not known yet", world);
    holds_if(1, "new group, deleted", World { group_deleted: 1, late: 0, ..new_group() });
    holds_if(2, "new group, tampered and emptied", World { tampered: 1, emptied: 1, ..new_group() });
    holds_if(2, "new group, deselected twice", World { deselected: 2, late: 0, ..new_group() });
}

#[test]
fn a_leader_that_fails_and_comes_back_breaks_no_invariant() {
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
fn pods_recreated_under_their_name_break_no_invariant() {
    holds("recreated, crash", World { pods_deleted: 1, crashes: 1, ..led_group() });
    holds_if(1, "recreated, not Ready", World { pods_deleted: 1, unready: 1, ..led_group() });
    holds_if(1, "recreated twice", World { pods_deleted: 2, late: 0, ..led_group() });
}

#[test]
fn pods_deselected_and_selected_again_break_no_invariant() {
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
fn an_edited_selector_breaks_no_invariant() {
    holds("new group, selector edited", World { reselected: 1, late: 0, ..new_group() });
    holds("selector edited, not Ready", World { reselected: 1, unready: 1, late: 0, ..led_group() });
    holds_if(1, "new group, selector edited, late write", World { reselected: 1, ..new_group() });
    holds_if(1, "selector edited twice", World { reselected: 2, ..led_group() });
    holds_if(1, "observed, selector edited", World { reselected: 1, renewed: 1, ..observed() });
    holds_if(2, "new group, selector edited twice", World { reselected: 2, late: 0, ..new_group() });
}

#[test]
fn pods_that_another_group_owns_for_a_while_break_no_invariant() {
    let world = World { captured: 1, deselected: 1, late: 0, ..led_group() };
    holds("owned by another group", world);
    holds("owned by another group that is deleted", other_group_is_deleted());
    let unknown = World { other_is_unknown: true, ..other_group_is_deleted() };
    holds_if(1, "owned by another group that is not known yet and deleted", unknown);
    let new = World { other_deleted: 1, late: 0, ..new_group() };
    let captured = World { captured: 1, other_is_unknown: true, ..new };
    holds("new group, owned by another that is not known yet and deleted", captured);
    holds(
        "new group, owned by another that is deleted, status emptied",
        World { begins_captured: true, emptied: 1, ..new },
    );
    holds_if(
        1,
        "owned by another group that is deleted, late write",
        World { late: 1, ..other_group_is_deleted() },
    );
    holds_if(2, "owned by another group, deselected twice", World { deselected: 2, ..world });
}

#[test]
fn a_lease_that_a_user_deletes_breaks_no_invariant() {
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
fn a_status_that_a_user_empties_breaks_no_invariant() {
    holds("status emptied, not Ready", World { emptied: 1, unready: 1, late: 0, ..led_group() });
    holds_if(1, "status emptied, not Ready, late write", World { emptied: 1, unready: 1, ..led_group() });
    holds_if(1, "status emptied twice, not Ready", World { emptied: 2, unready: 1, ..led_group() });
}

#[test]
fn labels_that_a_user_changes_break_no_invariant() {
    holds("tampered, not Ready", World { tampered: 1, unready: 1, late: 0, ..led_group() });
    holds_if(1, "tampered, not Ready, late write", World { tampered: 1, unready: 1, ..led_group() });
    holds_if(1, "tampered twice, not Ready", World { tampered: 2, unready: 1, ..led_group() });
}

#[test]
fn a_recreated_group_breaks_no_invariant() {
    holds("group recreated", World { group_deleted: 1, late: 0, ..led_group() });
    holds_if(1, "group recreated, late write", World { group_deleted: 1, ..led_group() });
    holds_if(2, "group recreated, not Ready", World { group_deleted: 1, unready: 1, late: 0, ..led_group() });
    holds_if(2, "group recreated twice", World { group_deleted: 2, late: 0, ..led_group() });
}

#[test]
fn a_lease_that_the_pods_hand_on_breaks_no_invariant() {
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
fn an_expired_or_deleted_lease_of_the_pods_breaks_no_invariant() {
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
fn changes_of_the_pods_that_hold_the_lease_break_no_invariant() {
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

#[test]
fn a_service_that_a_group_routes_breaks_no_invariant() {
    let new = World { settled: false, ..routed() };
    holds("routed, new group, slice deleted", World { slice_deleted: 1, ..new });
    let unready = World { unready: 1, ..routed() };
    holds("routed, not Ready, slice deleted, late write", World { slice_deleted: 1, late: 1, ..unready });
    holds("routed, not Ready, slice cleared", World { slice_cleared: 1, ..unready });
    holds("routed, not Ready, term of the slice raised", World { slice_raised: 1, terms: 4, ..unready });
    holds("routed, not Ready, status emptied", World { emptied: 1, ..unready });
    holds("routed, not Ready, tampered", World { tampered: 1, ..unready });
    holds("routed, recreated, crash", World { pods_deleted: 1, crashes: 1, ..routed() });
    let alone = World { operators: 1, pods_deleted: 1, crashes: 1, ..unready };
    holds("routed, not Ready, recreated, crash, one operator", alone);
    let observed = World { routed: true, ..observed() };
    holds("observed, routed, handed on, slice deleted", World { handed: 1, slice_deleted: 1, ..observed });
    holds_if(1, "observed, routed, recreated, crash", World { pods_deleted: 1, crashes: 1, ..observed });
    holds("routed, new group, another routes the Service", World { rivals: 1, ..new });
    let deleted = World { rivals: 1, slice_deleted: 1, ..routed() };
    holds("routed, another routes the Service, slice deleted", deleted);
    let unready = World { unready: 1, ..deleted };
    holds_if(1, "routed, another routes the Service, slice deleted, not Ready", unready);
    holds_if(
        1,
        "routed, another routes the Service twice, slice cleared",
        World { rivals: 2, slice_cleared: 1, ..routed() },
    );
    holds_if(1, "routed, new group, status emptied", World { emptied: 1, ..new });
    holds_if(1, "routed, not Ready twice", World { unready: 2, terms: 3, ..routed() });
    holds_if(1, "routed, deselected, slice deleted", World { deselected: 1, slice_deleted: 1, ..routed() });
    holds_if(1, "routed, not Ready, slice deleted twice", World { slice_deleted: 2, ..unready });
    let crash = World { slice_deleted: 1, crashes: 1, late: 1, ..unready };
    holds_if(1, "routed, not Ready, slice deleted, crash", crash);
    holds_if(2, "routed, not Ready, recreated, crash", World { operators: 2, ..alone });
}
