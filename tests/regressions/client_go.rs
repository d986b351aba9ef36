//! The defects of client-go in `docs/elector.md`, and the tests that the elector has none of them.

use crate::elsewhere::Lesson;

/// The defects, in the order of that table.
pub(crate) const CLIENT_GO: &[Lesson] = &[
    (
        "B1: releases on what it saw last, so a resumed leader blanks its successor's record",
        &[
            "elector::b1_a_resumed_leader_does_not_blank_its_successor_s_record",
            "elector::b1_a_stopping_leader_does_not_blank_a_record_that_it_has_not_seen_yet",
            "elector::a_release_never_changes_another_s_record",
        ],
    ),
    ("B2: accepts settings that let two lead", &["elector::b2_settings_that_let_two_lead_are_refused"]),
    (
        "B3: counts from the answer, so a slow reply prolongs the claim",
        &[
            "elector::b3_a_slow_reply_does_not_prolong_the_claim",
            "elector::b3_a_slow_reply_to_a_renewal_does_not_prolong_the_claim_either",
        ],
    ),
    (
        "B4: takes a record of another holder for a failed renewal, and leads on",
        &["elector::a_usurped_lease_is_lost_on_sight_and_never_written_again"],
    ),
    ("B5: releases before work has ended", &["elector::b5_nobody_starts_before_the_old_work_has_ended"]),
    (
        "B6: compares whole seconds, so renewals within one second are not seen",
        &["elector::b6_each_renewal_is_of_another_second_so_that_it_counts_for_every_rival"],
    ),
    ("B7: `IsLeader` never expires", &["elector::b7_leadership_is_false_after_the_run_and_bounded_in_it"]),
    (
        "B8: the gauge may stay 1 after the end",
        &["elector::b8_the_gauge_is_cleared_whenever_leadership_ends"],
    ),
    (
        "B9: calls `OnStoppedLeading` without having led",
        &[
            "elector::an_elector_that_never_led_never_stops_leading",
            "elector::a_stop_while_the_acquiring_write_is_under_way_gives_the_lease_back",
        ],
    ),
    (
        "B10: polls",
        &[
            "elector::a_release_is_taken_one_watch_event_and_one_write_later",
            "elector::b10_a_crashed_leader_is_replaced_one_lease_duration_after_its_last_sign",
        ],
    ),
    (
        "B11: one slow request can use up the time to the deadline",
        &["elector::one_slow_request_is_not_a_loss"],
    ),
    (
        "B12: shares a rate limiter with the program",
        &["elector::b12_a_swamped_client_of_the_program_does_not_delay_renewals"],
    ),
    (
        "B13: writes once every retry period",
        &["elector::a_leader_renews_once_every_renew_period_and_reads_nothing"],
    ),
    (
        "B14: two processes with the same identity both lead",
        &[
            "elector::a_second_process_with_the_same_identity_is_reported",
            "elector::two_processes_with_one_identity_do_not_alternate",
        ],
    ),
    (
        "B15: its clock stops in suspend, and it has no fencing token",
        &[
            "elector::suspend_ends_the_term_at_once_on_waking",
            "elector::a_term_is_known_by_uid_transitions_and_version",
            "elector::an_elector_stands_again_after_a_loss_and_may_retake_its_own_record_at_once",
        ],
    ),
    ("B16: a lost Lease ends the election", &["elector::b16_a_blip_is_followed_by_another_election"]),
    (
        "B17: publishes core/v1 Events without a reason",
        &["elector::b17_events_are_of_the_present_api_and_say_why"],
    ),
    ("B18: has no jitter in renewals", &["elector::b18_electors_of_one_process_do_not_write_in_step"]),
];
