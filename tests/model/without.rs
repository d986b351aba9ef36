//! Without any one rule of the protocol, the checker finds an invariant broken.

use super::{Old, Rule, World, breaks, led_group, new_group, observed, other_group_is_deleted};

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
    breaks(Rule::AskForOwner, other_group_is_deleted(), &["S1"]);
    let new = World { other_deleted: 1, begins_captured: true, emptied: 1, late: 0, terms: 3, ..new_group() };
    breaks(Rule::AskForOwner, new, &["S1"]);
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
