//! What went wrong in other operators and label scripts, and must not here.
//!
//! A test is named `binary::name`, without its modules. `lib` means the unit tests in `src`.

/// A fault, and the tests that would show it.
pub(crate) type Lesson = (&'static str, &'static [&'static str]);

/// The faults of others.
pub(crate) const ELSEWHERE: &[Lesson] = &[
    (
        "an ex-leader that is not Ready keeps its label",
        &[
            "decisions::each_leader_problem_has_its_own_reason",
            "cluster::a_leader_that_is_not_ready_is_replaced_at_once",
        ],
    ),
    (
        "a terminating leader blocks labelling",
        &[
            "decisions::each_leader_problem_has_its_own_reason",
            "cluster::a_terminating_leader_is_replaced_while_it_is_still_there",
        ],
    ),
    (
        "a pod that cannot be reached is skipped and keeps its label",
        &[
            "cluster::a_silent_node_loses_the_leader_unless_most_nodes_are_silent",
            "cluster::a_pod_that_cannot_be_reached_keeps_the_label_for_as_long_as_its_lease_lasts_and_no_longer",
            "observed::the_label_goes_exactly_when_the_lease_expires_and_a_live_read_shows_no_renewal",
        ],
    ),
    (
        "a wrong label is never repaired",
        &[
            "decisions::a_missing_or_wrong_leader_label_is_given_back",
            "decisions::a_copied_label_is_taken_away_and_demotion_comes_first",
        ],
    ),
    (
        "a selector that is too broad labels a foreign pod",
        &[
            "regressions::a_pod_that_meets_only_a_part_of_the_selector_is_left_alone",
            "decisions::nothing_is_written_on_pods_of_the_older_group",
        ],
    ),
    (
        "the label is copied from a pod template",
        &[
            "decisions::a_label_baked_into_a_template_is_taken_from_a_new_pod",
            "cluster::a_leader_label_in_the_template_leaves_one_leader",
        ],
    ),
    (
        "the same name, another UID",
        &[
            "decisions::a_recreated_leader_does_not_inherit_the_label",
            "observed::a_recreated_pod_inherits_nothing_before_it_renews_the_lease",
        ],
    ),
    (
        "a stale event after a failover strips the right leader",
        &["regressions::an_event_from_before_a_failover_changes_nothing_after_it"],
    ),
    (
        "the label is lost when a container restarts, and no event follows",
        &["regressions::a_label_lost_while_a_container_restarts_is_given_back_by_that_very_plan"],
    ),
    (
        "the preferred candidate is deleted in the middle of an election",
        &["regressions::a_candidate_deleted_in_the_middle_of_its_election_makes_way_for_the_next"],
    ),
    (
        "an own write landed, though its answer was a 409",
        &[
            "regressions::a_record_that_landed_though_the_answer_was_a_conflict_is_not_made_again",
            "simulation::two_operators_keep_the_invariants_whatever_happens_to_them",
        ],
    ),
    (
        "a 403 for a moment, while the API server is upgraded",
        &[
            "cluster::a_missing_right_to_write_is_named_and_its_return_is_noticed",
            "cluster::a_missing_right_to_read_is_named_and_its_return_is_noticed",
        ],
    ),
    (
        "the Lease is deleted while it is held",
        &[
            "decisions::a_deleted_or_edited_lease_of_ours_is_written_again_without_a_change_of_leader",
            "cluster::a_deleted_lease_is_written_again_without_a_change_of_leader",
            "cluster::a_lease_that_is_deleted_takes_the_label_with_it_until_it_is_held_again",
        ],
    ),
    (
        "renewals are starved by a burst of work",
        &["regressions::a_renewal_comes_before_the_labels_of_hundreds_of_new_pods"],
    ),
    (
        "clocks that are minutes or hours apart",
        &[
            "regressions::skewed_clocks_of_others_change_no_plan",
            "regressions::skewed_clocks_of_others_do_not_age_a_lease",
        ],
    ),
    (
        "the operator's own writes of the Lease wake it in a hot loop",
        &[
            "regressions::the_operators_own_renewal_wakes_no_group_when_the_watch_brings_it_back",
            "cluster::a_minute_of_quiet_costs_twelve_renewals_and_nothing_else",
        ],
    ),
    (
        "an outage of the operator is followed by a needless election",
        &[
            "decisions::a_restart_renews_the_lease_and_nothing_else",
            "cluster::an_outage_longer_than_the_lease_moves_nothing",
        ],
    ),
    ("a mere cordon of a node moves its leader", &["cluster::a_cordoned_node_keeps_its_leader"]),
    (
        "an interrupted switch leaves a value in the status",
        &[
            "decisions::a_record_that_an_operator_left_behind_is_finished_from_where_it_stands",
            "regressions::what_an_interrupted_switch_left_in_the_status_is_gone_after_the_next_plan",
        ],
    ),
];
