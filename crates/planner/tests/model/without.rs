//! Each rule of the protocol is needed: without it the checker finds a violation.

use super::{
    Old, Rule, World, breaks, led_group, new_group, observed, other_group_is_deleted, routed, scale,
};

#[test]
fn without_conditional_records_the_model_finds_a_violation() {
    breaks(Rule::ConditionalRecord, new_group(), &["S1", "S2"]);
}

#[test]
fn without_fences_the_model_finds_a_violation() {
    breaks(Rule::Fence, World { unready: 1, ..led_group() }, &["S1"]);
}

#[test]
fn without_fences_in_observed_mode_the_model_finds_a_violation() {
    breaks(Rule::Fence, World { handed: 1, ..observed() }, &["S1"]);
}

#[test]
fn without_confirming_the_lease_of_the_pods_the_model_finds_a_violation() {
    breaks(Rule::ConfirmLease, World { renewed: 1, ..observed() }, &["L2"]);
    breaks(Rule::ConfirmLease, World { handed: 1, ..observed() }, &["L2"]);
    breaks(
        Rule::ConfirmLease,
        World { pods_deleted: 1, handed: 1, renewed: 1, terms: 2, ..observed() },
        &["S3"],
    );
}

#[test]
fn without_fences_before_the_promotion_the_model_finds_a_violation() {
    breaks(Rule::FenceBeforePromotion, World { unready: 1, ..led_group() }, &["S1"]);
}

#[test]
fn without_conditional_promotions_the_model_finds_a_violation() {
    breaks(Rule::ConditionalPromotion, World { unready: 1, ..new_group() }, &["S1"]);
}

#[test]
fn without_inheriting_unfenced_pods_the_model_finds_a_violation() {
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
fn without_every_pod_unfenced_at_first_the_model_finds_a_violation() {
    breaks(
        Rule::EveryPodUnfenced,
        World { emptied: 1, old_copy: Some((0, Old::NotReady)), ..new_group() },
        &["S1"],
    );
}

#[test]
fn without_a_list_after_the_record_the_model_finds_a_violation() {
    breaks(
        Rule::ListAfterRecord,
        World { emptied: 1, old_copy: Some((0, Old::Absent)), ..new_group() },
        &["S1"],
    );
}

#[test]
fn without_identity_by_uid_the_model_finds_a_violation() {
    breaks(Rule::IdentityByUid, World { pods_deleted: 1, ..led_group() }, &["S5"]);
}

#[test]
fn without_proof_that_a_pod_is_gone_the_model_finds_a_violation() {
    breaks(
        Rule::ProofOfGone,
        World { pods_deleted: 1, crashes: 1, unready: 1, ..led_group() },
        &["S1", "L2"],
    );
}

#[test]
fn without_the_rule_not_above_the_model_finds_a_violation() {
    let world = World { tampered: 1, unready: 1, lease_lags: true, ..led_group() };
    breaks(Rule::NotAbove, world, &["S2"]);
}

#[test]
fn without_recording_again_the_model_finds_a_violation() {
    breaks(Rule::RecordAgain, World { tampered: 1, ..led_group() }, &["S2", "L1"]);
}

#[test]
fn without_the_rule_not_anothers_the_model_finds_a_violation() {
    breaks(Rule::NotAnothers, World { captured: 1, ..new_group() }, &["not another's"]);
}

#[test]
fn without_confirming_that_the_owner_is_deleted_the_model_finds_a_violation() {
    let world = World { captured: 1, other_is_unknown: true, ..new_group() };
    breaks(Rule::ConfirmOwnerGone, world, &["not another's"]);
}

#[test]
fn without_confirming_the_record_the_model_finds_a_violation() {
    breaks(Rule::ConfirmRecord, World { captured: 1, ..new_group() }, &["S1"]);
}

#[test]
fn without_confirming_a_pod_of_another_group_the_model_finds_a_violation() {
    breaks(Rule::ConfirmPodUnchanged, World { captured: 1, ..new_group() }, &["S1"]);
}

#[test]
fn without_confirming_that_the_owner_exists_the_model_finds_a_violation() {
    let new = World { other_deleted: 1, begins_captured: true, emptied: 1, late: 0, terms: 3, ..new_group() };
    breaks(Rule::ConfirmOwnerExists, new, &["S1"]);
    // A third of a quick look would be spent here.
    if scale().is_some() {
        breaks(Rule::ConfirmOwnerExists, other_group_is_deleted(), &["S1"]);
    }
}

#[test]
fn without_confirming_the_record_after_the_owner_the_model_finds_a_violation() {
    let world = World { captured: 1, other_is_unknown: true, other_deleted: 1, late: 0, ..new_group() };
    breaks(Rule::RecordAfterOwner, world, &["S1"]);
}

#[test]
fn without_the_lease_before_the_promotion_the_model_finds_a_violation() {
    breaks(Rule::LeaseBeforePromotion, new_group(), &["S3"]);
}

#[test]
fn without_conditional_leases_the_model_finds_a_violation() {
    breaks(Rule::ConditionalLease, World { unready: 2, ..led_group() }, &["S2"]);
}

#[test]
fn without_an_empty_creation_of_the_slice_the_model_finds_a_violation() {
    breaks(Rule::EmptyCreation, World { slice_deleted: 2, unready: 1, ..routed() }, &["R4"]);
}

#[test]
fn without_conditional_routes_the_model_finds_a_violation() {
    breaks(Rule::ConditionalRoute, World { unready: 2, ..routed() }, &["R4"]);
}

#[test]
fn without_the_record_before_the_route_the_model_finds_a_violation() {
    breaks(Rule::RecordBeforeRoute, World { unready: 1, ..routed() }, &["R3"]);
}

#[test]
fn without_confirming_the_record_before_a_route_the_model_finds_a_violation() {
    breaks(Rule::ConfirmRecordBeforeRoute, World { slice_deleted: 1, unready: 1, ..routed() }, &["R4"]);
}

#[test]
fn without_a_look_for_other_slices_the_model_finds_a_violation() {
    breaks(Rule::LookForOthers, World { rivals: 1, settled: false, ..routed() }, &["R1"]);
}

#[test]
fn without_a_look_for_other_slices_after_the_creation_the_model_finds_a_violation() {
    breaks(Rule::LookAfterCreation, World { rivals: 1, settled: false, ..routed() }, &["R1"]);
}

#[test]
fn without_the_rule_not_above_on_slices_the_model_finds_a_violation() {
    breaks(Rule::NotAboveOnSlices, World { slice_raised: 1, unready: 1, terms: 4, ..routed() }, &["R4"]);
}
