//! Each rule of Nominated mode is needed: without it the checker finds a violation.

use super::{Rule, World, breaks, nominated};

/// A leader that becomes not Ready: another pod is nominated.
fn moved() -> World {
    World { unready: 1, ..nominated() }
}

/// The same with one operator, and a deleted Lease.
fn deleted() -> World {
    World { operators: 1, lease_deleted: 1, ..nominated() }
}

#[test]
fn without_takes_by_the_nominee_only_the_model_finds_a_violation() {
    breaks(Rule::TakeAsNominee, nominated(), &["X9"]);
    breaks(Rule::TakeAsNominee, deleted(), &["X1"]);
}

#[test]
fn without_takes_of_free_leases_only_the_model_finds_a_violation() {
    breaks(Rule::TakeFree, moved(), &["X1"]);
}

#[test]
fn without_conditional_takes_the_model_finds_a_violation() {
    breaks(Rule::ConditionalTake, World { operators: 1, unready: 2, ..moved() }, &["X1"]);
}

#[test]
fn without_a_take_that_empties_the_nominee_the_model_finds_a_violation() {
    breaks(Rule::EmptyByTake, World { operators: 1, ..moved() }, &["X9"]);
    breaks(Rule::EmptyNominee, World { operators: 1, ..moved() }, &["X9"]);
}

#[test]
fn without_a_release_after_the_end_the_model_finds_a_violation() {
    breaks(Rule::ReleaseAfterEnd, moved(), &["X1"]);
}

#[test]
fn without_conditional_releases_the_model_finds_a_violation() {
    breaks(Rule::ConditionalRelease, World { operators: 1, terms: 3, ..moved() }, &["X1"]);
}

#[test]
fn without_deadlines_that_count_from_the_request_the_model_finds_a_violation() {
    breaks(Rule::CountFromSend, World { operators: 1, unready: 2, ..moved() }, &["X1"]);
}

#[test]
fn without_renewals_that_change_the_lease_the_model_finds_a_violation() {
    breaks(Rule::RenewalChanges, World { renewed: 1, ..moved() }, &["X1"]);
}

#[test]
fn without_dropping_unanswered_takes_the_model_finds_a_violation() {
    breaks(Rule::DropUnanswered, World { operators: 1, unready: 2, ..moved() }, &["X1"]);
}

#[test]
fn without_starts_by_a_take_only_the_model_finds_a_violation() {
    breaks(Rule::StartByTake, moved(), &["X1"]);
}

#[test]
fn without_companions_that_know_their_uid_the_model_finds_a_violation() {
    breaks(Rule::CompanionByUid, World { pods_deleted: 1, ..nominated() }, &["X1"]);
}

#[test]
fn without_proof_that_the_command_of_another_process_has_ended_the_model_finds_a_violation() {
    breaks(Rule::RestartProvesNothing, moved(), &["X1"]);
}

#[test]
fn without_conditional_clears_the_model_finds_a_violation() {
    breaks(
        Rule::ConditionalClear,
        World { operators: 1, crashes: 1, late: 1, unready: 2, ..nominated() },
        &["X1"],
    );
}

#[test]
fn without_proof_that_a_deleted_pod_has_ended_the_model_finds_a_violation() {
    breaks(Rule::DeletionProvesNothing, World { operators: 1, pods_deleted: 1, ..nominated() }, &["X1"]);
}

#[test]
fn without_an_empty_creation_of_the_lease_the_model_finds_a_violation() {
    breaks(Rule::CreateEmpty, deleted(), &["X1", "X9"]);
}

#[test]
fn without_nominations_in_the_recorded_lease_only_the_model_finds_a_violation() {
    breaks(Rule::NominateInRecorded, World { unready: 1, ..deleted() }, &["X1"]);
}

#[test]
fn without_a_quarantine_the_model_finds_a_violation() {
    breaks(Rule::Quarantine, World { unready: 1, ..deleted() }, &["X1"]);
}

#[test]
fn without_a_quarantine_of_the_first_lease_the_model_finds_a_violation() {
    breaks(Rule::QuarantineAtFirst, World { emptied: 1, unready: 1, ..deleted() }, &["X1"]);
}

#[test]
fn without_one_nomination_a_term_the_model_finds_a_violation() {
    breaks(Rule::NominateOnce, nominated(), &["X9"]);
}

#[test]
fn without_rising_terms_of_nominations_the_model_finds_a_violation() {
    breaks(Rule::NominateAbove, moved(), &["X4"]);
}

#[test]
fn without_conditional_nominations_the_model_finds_a_violation() {
    breaks(Rule::ConditionalNomination, moved(), &["X4"]);
}

#[test]
fn without_promotions_of_holders_only_the_model_finds_a_violation() {
    breaks(Rule::PromoteHolder, moved(), &["S3"]);
    breaks(Rule::PromoteHolder, moved(), &["X2"]);
}

#[test]
fn without_promotions_in_the_term_of_the_lease_the_model_finds_a_violation() {
    breaks(Rule::PromoteInTerm, moved(), &["S3"]);
}

#[test]
fn without_keeping_the_longest_duration_the_model_finds_a_violation() {
    let world = World { minute: true, shortened: 1, late: 1, unready: 1, ..deleted() };
    breaks(Rule::KeepLongest, world, &["X1"]);
}
