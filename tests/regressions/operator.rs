//! What went wrong in the operator of this project, and must not again.

use crate::elsewhere::Lesson;

/// What went wrong, and the tests that would show it.
pub(crate) const OPERATOR: &[Lesson] = &[
    (
        "a pod owned by a deleted group counted as fenced, and a late promotion of it landed beside the next leader",
        &[
            "decisions::another_owner_counts_as_a_fence_only_if_that_group_exists_after_the_record",
            "model::pods_that_another_group_owns_for_a_while_break_no_invariant",
            "model::without_confirming_that_the_owner_exists_the_model_finds_a_violation",
            "model::without_confirming_the_record_after_the_owner_the_model_finds_a_violation",
        ],
    ),
    (
        "an owner annotation, forged or copied from another namespace, made the operator take that group for deleted",
        &[
            "cache::a_deletion_counts_for_its_namespace_and_name_only",
            "cache::an_object_missing_under_another_name_or_namespace_is_not_deleted",
            "cluster::forged_marks_and_terms_near_the_maximum_stop_no_group",
        ],
    ),
    (
        "an unreadable object kept other groups of its namespace from electing",
        &[
            "watches::an_unreadable_group_is_not_taken_for_deleted",
            "watches::a_pod_is_gone_also_if_the_present_pod_of_its_name_is_unreadable",
        ],
    ),
    (
        "a refused group wrote its report once more after it had released pods",
        &["properties::a_plan_leaves_nothing_to_do"],
    ),
    (
        "a failover waited for its group's own renewal or follower label in a shared queue, up to a minute",
        &[
            "simulation::a_failover_waits_for_none_of_hundreds_of_renewals_its_own_included",
            "decisions::low_priority_intents_are_left_to_the_next_plan_while_others_are_urgent",
            "decisions::a_renewal_stays_in_the_plan_if_a_promotion_needs_it",
        ],
    ),
    (
        "an unavailable Events API stopped failovers",
        &["simulation::an_events_api_that_answers_nothing_keeps_no_failover_waiting"],
    ),
    (
        "behind a slow webhook there was never a failover, and no message said why",
        &[
            "simulation::behind_a_slow_webhook_there_is_a_failover_in_the_end",
            "lib::an_answer_that_takes_long_is_waited_for_longer_each_time_until_it_comes",
        ],
    ),
    (
        "a label that another program undoes was written as fast as it was undone",
        &[
            "simulation::a_label_that_somebody_undoes_for_ever_is_written_ever_more_rarely",
            "lib::a_pod_that_was_written_five_times_within_a_minute_in_one_term_is_contested",
        ],
    ),
    (
        "a fence that was never sent counted as done, because the group was unknown for a moment",
        &["writing::a_fence_that_was_never_sent_does_not_count_as_done"],
    ),
    (
        "a pod was promoted on a record that the API server had changed while it stored it (an earlier CRD, a webhook)",
        &["writing::a_record_that_the_api_server_does_not_keep_promotes_no_pod"],
    ),
    (
        "a paused or refused group kept its leader on a pod of an older group, which promoted a second one",
        &[
            "decisions::an_overlap_takes_the_leader_from_a_paused_group_too",
            "decisions::an_overlap_takes_the_leader_from_a_refused_group_too",
        ],
    ),
    (
        "a pod was promoted beside a leader label that another, perhaps forged, owner annotation protects",
        &["decisions::a_leader_label_on_a_pod_owned_by_another_group_holds_the_promotion_back"],
    ),
    (
        "a resource version that is no number made a write unconditional",
        &[
            "lib::a_version_that_no_write_can_be_conditional_on_is_none",
            "writing::nothing_is_written_without_a_condition",
        ],
    ),
    (
        "one annotation, on a pod or a Lease, used up all terms of a group",
        &["cache::a_term_written_by_hand_does_not_count_if_no_operator_can_have_reached_it"],
    ),
    (
        "a role label that the application or its controller uses was overwritten",
        &[
            "decisions::a_role_label_in_use_refuses_the_group_before_anything_is_written",
            "cluster::a_deployment_that_selects_a_role_of_its_own_loses_no_pod",
        ],
    ),
    (
        "a controller that selects by the role label created pods without end",
        &[
            "decisions::a_role_label_that_a_controller_uses_is_given_back_at_the_first_pod_that_it_releases",
            "decisions::a_role_label_that_a_controller_uses_is_not_tried_on_a_second_pod_until_the_spec_changes",
            "simulation::a_controller_that_selects_by_the_role_label_does_not_make_pods_without_end",
            "cluster::a_deployment_that_selects_the_followers_loses_one_pod",
        ],
    ),
    (
        "the API server accepted role keys of controllers, a silence below two heartbeats, and the followers' former value for the leader",
        &[
            "cluster::what_cannot_work_is_refused_by_the_api_server",
            "cluster::what_cannot_change_is_refused_by_the_api_server",
        ],
    ),
    (
        "a Managed group took the Lease of a program that elects by it, once that program had released it",
        &[
            "decisions::a_lease_that_no_group_has_written_is_left_alone_however_free_it_looks",
            "cluster::a_lease_that_no_group_has_written_is_left_to_whoever_elects_by_it",
        ],
    ),
    (
        "the own Lease without its owner reference counted as foreign, and its term did not count",
        &[
            "decisions::a_lease_that_lost_its_owner_reference_gets_it_back_with_the_next_write",
            "decisions::an_unheld_lease_that_a_group_once_wrote_is_adopted_and_its_term_goes_on",
        ],
    ),
    (
        "a Job's pod became leader",
        &[
            "decisions::pods_of_a_job_are_no_candidates_and_get_no_label",
            "cache::a_pod_of_a_job_is_a_candidate_only_if_it_says_so",
        ],
    ),
    (
        "a finished pod, selected by an older group too, held a whole group up",
        &["decisions::an_overlap_in_a_pod_that_ends_holds_nothing_up"],
    ),
    (
        "a disruption budget refused every drain of the leader's node, and no message said why",
        &[
            "decisions::a_budget_that_keeps_the_leader_from_being_evicted_is_warned_of_once",
            "cache::a_budget_concerns_the_group_whose_leader_alone_it_guards",
        ],
    ),
    (
        "a Service reached the leaders of two groups, and no message said so",
        &[
            "decisions::a_service_that_reaches_the_pods_of_another_group_is_warned_of",
            "cache::a_service_of_nothing_but_the_role_reaches_the_other_group_that_has_pods",
        ],
    ),
    (
        "the revision that Argo Rollouts writes did not count",
        &["cache::the_revision_of_a_rollout_counts_as_one"],
    ),
    (
        "a Lease in another namespace than the pods could not be followed",
        &[
            "cache::a_lease_in_another_namespace_is_followed_as_one_in_the_own_would_be",
            "cache::a_lease_in_a_namespace_that_is_not_served_refuses_the_group",
            "watches::a_lease_in_another_namespace_is_read_there",
            "cluster::what_cannot_work_is_refused_by_the_api_server",
        ],
    ),
    (
        "a holder named `<pod>-<anything>`, or by its node, was unknown",
        &[
            "observed::the_holder_is_the_pod_with_the_longest_name_that_the_identity_continues",
            "observed::the_identity_of_a_pod_on_the_host_network_may_be_its_nodes_name",
        ],
    ),
    (
        "one lost heartbeat of a node moved its healthy leader",
        &["lib::one_lost_renewal_is_no_silence_whatever_the_patience"],
    ),
    (
        "a node that renews more rarely than most lost its leader again and again",
        &["lib::a_node_that_renews_more_rarely_is_not_silent_sooner_than_it_says"],
    ),
    (
        "of nodes that fell silent together, the first one due lost its leader",
        &[
            "lib::nodes_that_fall_silent_together_are_most_nodes_before_the_first_of_them_is_due",
            "lib::most_nodes_late_at_once_silences_nobody_and_counting_starts_afresh",
            "lib::two_of_three_nodes_that_fall_silent_together_keep_their_leaders",
        ],
    ),
    (
        "a restart of the operator stopped failovers for `minReadySeconds` and `cooldownSeconds`",
        &["cache::what_existed_before_the_operator_started_counts_as_old"],
    ),
    (
        "a deleted leader was not replaced before a pod had `minReadySeconds`",
        &["decisions::a_deleted_or_terminating_leader_is_replaced_though_no_pod_has_min_ready_seconds"],
    ),
    (
        "a leader that was Ready again was replaced, because a stalled watch said otherwise",
        &["decisions::a_leader_seen_not_ready_a_while_ago_is_confirmed_before_its_failover"],
    ),
    (
        "an edit of the spec made a group fail back at once",
        &["cache::an_edited_spec_begins_the_quiet_time_anew"],
    ),
    (
        "one group with a time out of range stopped the operator for all",
        &[
            "watches::an_unreadable_object_hides_no_other_of_its_kind",
            "watches::a_live_read_finds_a_group_whoever_wrote_its_fields_and_when",
            "watches::the_field_manager_of_a_label_is_read_whenever_it_wrote",
            "cluster::a_group_with_a_time_that_cannot_be_held_is_served_like_any_other",
        ],
    ),
    (
        "an unreadable object was taken for deleted",
        &[
            "cache::a_group_that_cannot_be_read_any_more_exists_and_is_left_alone",
            "cache::a_group_that_could_never_be_read_keeps_its_pods_until_it_is_gone",
            "watches::an_unreadable_group_is_not_taken_for_deleted",
            "watches::a_list_with_an_unreadable_pod_proves_nothing",
        ],
    ),
    (
        "the annotations of one tenant filled the operator's memory",
        &[
            "lib::an_annotation_takes_no_more_memory_than_one_that_means_something",
            "lib::what_is_too_large_is_told_and_not_kept",
            "watches::no_list_asks_for_more_than_a_hundred_objects_at_once",
        ],
    ),
    (
        "each new, changed or deleted group woke all groups of its namespace",
        &[
            "cache::a_new_edited_or_deleted_group_wakes_none_of_hundreds_that_it_does_not_concern",
            "lib::a_group_waits_once_and_comes_in_its_turn",
        ],
    ),
    (
        "each new or edited group was matched with all pods of its namespace",
        &[
            "lib::only_the_pods_with_the_label_are_matched_with_a_group",
            "cache::a_group_has_exactly_the_pods_that_its_selector_matches",
        ],
    ),
    (
        "each look at a group went through all Services and budgets with its role label's key",
        &[
            "lib::a_group_has_its_own_services_alone_whichever_came_first",
            "lib::a_group_has_the_budgets_of_its_role_label_whichever_came_first",
        ],
    ),
    (
        "each heartbeat and each look at a group went through all late nodes, under one lock",
        &["lib::a_late_node_is_sorted_once_and_not_at_each_look"],
    ),
    (
        "a group that was deleted and created again left its Service without a leader, and moved the leader",
        &[
            "decisions::the_pods_of_a_deleted_group_wait_a_moment_for_a_group_that_is_created_again",
            "simulation::a_group_that_is_created_again_finds_its_labels_and_its_leader",
        ],
    ),
    (
        "a deleted group or pod came back with a late answer",
        &[
            "cache::a_group_proved_deleted_does_not_come_back_with_a_late_answer",
            "cache::a_pod_that_no_group_selects_does_not_come_back_after_its_end",
            "cache::an_object_replaced_under_its_name_does_not_come_back_when_the_newer_one_is_deleted",
        ],
    ),
    (
        "notes on an earlier group of a name counted for the present one",
        &["cache::notes_on_an_earlier_group_of_a_name_do_not_count_for_the_present_one"],
    ),
    (
        "after a restore of etcd each group read ten times a second, and believed no answer",
        &[
            "simulation::an_operator_ends_when_the_api_server_comes_back_with_an_older_state",
            "cache::a_list_older_than_the_copies_before_it_tells_that_versions_went_backwards",
            "watches::a_live_read_older_than_the_copy_tells_that_versions_went_backwards",
        ],
    ),
    (
        "a selector of some 64 KiB made a list that no server accepts, so no pod was ever elected",
        &["watches::pods_of_a_group_with_a_long_selector_are_listed_without_it"],
    ),
    (
        "after a long outage of the API server the watches came back late",
        &["watches::watches_are_back_within_a_second_after_the_api_server_however_long_it_was_away"],
    ),
    (
        "a renewal wrote the whole Lease, with the fields of others",
        &[
            "writing::a_renewal_sends_what_it_changes_and_leaves_the_rest_of_the_lease_alone",
            "writing::other_owners_of_a_lease_that_is_taken_go_on_to_own_it",
        ],
    ),
    (
        "an existing Lease was an error, where it should have been read",
        &["writing::a_lease_that_exists_already_is_read_and_planned_for_anew"],
    ),
    (
        "an Event with a long note that is not ASCII was refused and lost",
        &["lib::a_note_is_cut_by_bytes_between_two_characters"],
    ),
    (
        "the Events of a group with a name of more than 236 characters were refused and lost",
        &["lib::an_event_of_a_group_with_a_long_name_has_a_name_that_is_allowed"],
    ),
    (
        "idle clients could use up the memory of the operator, or of `elect`",
        &[
            "lib::a_connection_that_sends_no_request_is_closed",
            "lib::any_number_of_connections_keeps_nobody_from_an_answer",
        ],
    ),
    (
        "a client that asked for metrics in a loop held failovers up",
        &["lib::the_stock_is_counted_once_a_second_however_often_it_is_asked_for"],
    ),
    (
        "`/readyz` told namespaces and rights to every client",
        &["lib::what_is_missing_is_told_only_if_asked_for"],
    ),
    (
        "the operator asked for the smallest share of the CPU of a busy node",
        &["chart::the_operator_has_more_than_the_smallest_share_of_a_busy_node"],
    ),
    (
        "thousands of groups that were seen first at once renewed their Leases at once for ever",
        &["decisions::groups_that_were_created_at_once_do_not_renew_at_once_for_ever"],
    ),
    (
        "a slice went on routing to a leader that was deleted while the operator restarted",
        &[
            "decisions::a_leader_that_the_cache_lacks_is_an_endpoint_until_a_live_read_proves_that_it_is_gone",
            "model::a_service_that_a_group_routes_breaks_no_invariant",
        ],
    ),
    (
        "two groups routed one Service at once: an older one began to name it, or a deleted one had left its slice",
        &[
            "cache::a_slice_of_another_group_is_seen_until_its_deletion_which_wakes_who_waits",
            "decisions::a_slice_of_another_group_is_waited_for_and_its_deletion_lets_the_group_go_on",
            "decisions::what_a_deleted_group_left_is_deleted_once_a_live_read_proves_that_the_group_is_gone",
            "model::without_a_look_for_other_slices_after_the_creation_the_model_finds_a_violation",
            "properties::a_slice_is_filled_for_the_first_time_only_where_no_other_slice_is",
            "simulation::a_broken_operator_that_routes_is_found_out",
        ],
    ),
    (
        "nothing woke a group whose Service an older group had routed until then",
        &[
            "cache::a_group_that_begins_or_ceases_to_name_a_service_wakes_the_others_that_name_it",
            "cache::what_a_deleted_group_left_has_a_vanished_owner_and_wakes_the_group_that_it_keeps_waiting",
        ],
    ),
    (
        "two operators that saw different things wrote the status against each other a thousand times a second",
        &[
            "properties::a_mere_report_waits_for_a_second_after_one_of_another_operator",
            "simulation::two_operators_keep_the_invariants_whatever_happens_to_them",
        ],
    ),
    (
        "one pod with a role label of another writer kept a running group from failing over",
        &[
            "decisions::a_role_label_in_use_on_a_pod_that_a_running_group_does_not_need_makes_that_pod_ineligible_alone",
        ],
    ),
    (
        "probes failed where pods have IPv6 addresses only",
        &[
            "chart::the_chart_lets_the_operator_listen_on_addresses_of_both_kinds",
            "lib::everywhere_means_both_kinds_of_addresses",
        ],
    ),
];
