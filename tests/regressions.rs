//! What went wrong in other operators and label scripts, and must not here: one named test for each, at the least
//! powerful level that shows it. Those in other files are listed with their place.
//!
//! | what went wrong elsewhere | test |
//! |---|---|
//! | an ex-leader that is not Ready keeps its label | `decisions`: `reasons::each_trouble_of_the_leader_has_its_own`; `cluster`: `a_leader_that_is_not_ready_is_replaced_at_once` |
//! | a terminating leader blocks labelling | `decisions`: the same; `cluster`: `a_terminating_leader_is_replaced_while_it_is_still_there` |
//! | a pod that cannot be reached is skipped and keeps its label | `cluster`: `a_silent_node_loses_the_leader_unless_most_nodes_are_silent`, `a_pod_that_cannot_be_reached_keeps_the_label_…`; `observed`: `the_label::goes_exactly_when_…` |
//! | a wrong label is never repaired | `decisions`: `drift::a_missing_or_wrong_leader_label_is_given_back`, `drift::a_copied_label_is_taken_away_…` |
//! | a selector that is too broad labels a foreign pod | [`a_pod_that_meets_only_a_part_of_the_selector_is_left_alone`]; `decisions`: `overlap::writes_nothing_on_pods_of_the_older_group` |
//! | the label is copied from a pod template | `decisions`: `drift::a_label_baked_into_a_template_is_taken_from_a_new_pod`; `cluster`: `a_leader_label_in_the_template_leaves_one_leader` |
//! | the same name, another UID | `decisions`: `reasons::a_recreated_leader_does_not_inherit_the_label_as_such`; `observed`: `a_leader_that_is_gone::leaves_nothing_to_a_pod_of_its_name_…` |
//! | a stale event after a failover strips the right leader | [`an_event_from_before_a_failover_changes_nothing_after_it`] |
//! | the label is lost when a container restarts, and no event follows | [`a_label_lost_while_a_container_restarts_is_given_back_by_that_very_plan`] |
//! | the preferred candidate is deleted in the middle of an election | [`a_candidate_deleted_in_the_middle_of_its_election_makes_way_for_the_next`] |
//! | a 409 although the own write landed | [`a_record_that_landed_though_the_answer_was_a_conflict_is_not_made_again`]; `simulation`: `CommitThen(409)` in every seed |
//! | a 403 for a moment, while the API server is upgraded | `cluster`: `a_missing_right_to_write_is_named_and_its_return_is_noticed`, and the same for reading |
//! | the Lease is deleted while it is held | `decisions`: `the_lease::of_ours_that_was_deleted_or_edited_…`; `cluster`: `a_deleted_lease_is_written_again_without_a_change_of_leader`, `a_lease_that_is_deleted_takes_the_label_with_it_…` |
//! | renewals are starved by a burst of work | [`a_renewal_comes_before_the_labels_of_hundreds_of_new_pods`] |
//! | clocks that are minutes or hours apart | [`skewed_clocks_of_others_change_no_plan`], [`skewed_clocks_of_others_do_not_age_a_lease`] |
//! | a hot loop from the own writes of the Lease | [`the_own_renewal_is_no_news_when_the_watch_brings_it_back`]; `cluster`: `a_minute_of_quiet_costs_twelve_renewals_and_nothing_else` |
//! | an outage of the operator is followed by a needless election | `decisions`: `sticky::a_restart_renews_the_lease_and_nothing_else`; `cluster`: `an_outage_longer_than_the_lease_moves_nothing` |
//! | a mere cordon of a node moves its leader | `cluster`: `a_cordoned_node_keeps_its_leader` |
//! | a status value is left over from an interrupted switch | `decisions`: `the_record::that_an_operator_left_behind_is_finished_from_where_it_stands`, [`what_an_interrupted_switch_left_in_the_status_is_gone_after_the_next_plan`] |
//!
//! What went wrong here, and must not again. `lib`: the unit tests of the library.
//!
//! | what went wrong here | test |
//! |---|---|
//! | a pod with the mark of a group that is gone counted as fenced: a late promotion of it landed beside the next leader | `decisions`: `marks::of_another_group_count_as_a_fence_only_if_that_group_exists_after_the_record`; `model`: `pods_that_another_group_marks_for_a_while`, `without::asking_for_the_group_that_marked_it`, `without::asking_for_the_record_after_the_group_that_marked_it` |
//! | a mark with the UID of a group in another namespace, forged or copied with its pod, made the operator take that group for ended | `cache`: `the_end_of_a_group_is_that_of_its_namespace_and_name_only`, `what_is_not_there_under_another_name_or_in_another_namespace_has_not_ended`; `cluster`: `tenant::forged_marks_and_terms_near_the_maximum_stop_no_group` |
//! | an object that cannot be read kept other groups of its namespace from electing | `watches`: `a_group_that_cannot_be_read_is_not_taken_for_gone`, `a_pod_is_gone_also_if_who_has_its_name_cannot_be_read` |
//! | a refused group wrote its report once more after it had given marks back | `properties`: `a_plan_leaves_nothing_to_do` |
//! | a failover waited for its group's own renewal or follower label in a shared queue, up to a minute | `simulation`: `queues::a_failover_waits_for_none_of_hundreds_of_renewals_its_own_included`; `decisions`: `what_can_wait::is_left_to_the_next_plan_…`, `what_can_wait::does_not_if_something_urgent_comes_after_it` |
//! | an Events API that was away stopped failovers | `simulation`: `queues::an_events_api_that_answers_nothing_keeps_no_failover_waiting` |
//! | behind a slow webhook there was never a failover, and nothing said why | `simulation`: `queues::behind_a_slow_webhook_there_is_a_failover_in_the_end`; `lib`: `request::…::an_answer_that_takes_long_is_waited_for_longer_each_time_until_it_comes` |
//! | a label that somebody else undoes was written as fast as it was undone | `simulation`: `queues::a_label_that_somebody_undoes_for_ever_is_written_ever_more_rarely`; `lib`: `contest::…::a_pod_that_was_written_five_times_within_a_minute_in_one_term_is_contested` |
//! | a fence that was never sent, as the group was not known for a moment, counted as done | `writing`: `a_fence_that_was_never_sent_does_not_count_as_done` |
//! | a record that the API server changed while it stored it (an earlier CRD, a webhook) was promoted on | `writing`: `a_record_that_the_api_server_does_not_keep_promotes_nobody` |
//! | a paused or refused group kept its leader on a pod of an older group, which promoted a second one | `decisions`: `overlap::takes_a_leader_from_a_paused_group_too`, `overlap::takes_a_leader_from_a_group_that_is_refused` |
//! | a pod was promoted beside a leader label under another group's mark, a forged one, say | `decisions`: `marks::of_another_group_beside_the_leader_label_hold_the_promotion_back` |
//! | a version that is no number made a write unconditional | `lib`: `a_version_that_no_write_can_be_conditional_on_is_none`; `writing`: `nothing_is_written_without_a_condition` |
//! | one annotation, on a pod or a Lease, used up all terms of a group | `cache`: `a_term_that_somebody_wrote_by_hand_is_none_if_no_operator_can_have_come_that_far` |
//! | a role label that the application or its controller uses was overwritten | `decisions`: `a_role_label_in_use::refuses_the_group_before_anything_is_written`; `cluster`: `a_deployment_that_selects_a_role_of_its_own_loses_no_pod` |
//! | a controller that selects by the role label made pods without end | `decisions`: `a_role_label_in_use::by_a_controller_is_given_back_at_the_first_pod_that_it_lets_go`, `a_role_label_in_use::by_a_controller_is_not_tried_with_a_second_pod_until_the_spec_is_another`; `simulation`: `a_controller_that_selects_by_the_role_label_does_not_make_pods_without_end`; `cluster`: `a_deployment_that_selects_the_followers_loses_one_pod` |
//! | the API server accepted the role key of a controller, a silence below two heartbeats, and a leader's value that was the followers' before | `cluster`: `what_cannot_work_is_refused_by_the_api_server`, `what_cannot_change_is_refused_by_the_api_server` |
//! | a Managed group took the Lease by which a program elects, once it was released | `decisions`: `the_lease::that_no_group_has_written_is_left_alone_however_free_it_looks`; `cluster`: `a_lease_that_no_group_has_written_is_left_to_whoever_elects_by_it` |
//! | the own Lease without its owner reference was somebody else's, and its term did not count | `decisions`: `the_lease::whose_owner_reference_was_lost_gets_it_back_with_the_next_write_of_its_holders_group`, `the_lease::that_a_group_once_wrote_and_nobody_holds_is_adopted_and_its_term_goes_on` |
//! | a Job's pod became leader | `decisions`: `pods_of_jobs::are_no_candidates_and_get_no_label`; `cache`: `a_pod_of_a_job_is_a_candidate_only_if_it_says_so` |
//! | a pod that had finished, and that an older group selects, too, held a whole group up | `decisions`: `overlap::of_a_pod_that_ends_holds_nothing_up` |
//! | a budget refused every drain of the leader's node, and nothing told why | `decisions`: `services::and_budgets_that_keep_the_leader_from_being_evicted_are_warned_of_once`; `cache`: `a_budget_concerns_the_group_whose_leader_alone_it_guards` |
//! | a Service reached the leaders of two groups, and nothing told so | `decisions`: `services::that_reach_the_pods_of_another_group_are_warned_of`; `cache`: `a_service_of_nothing_but_the_role_reaches_the_other_group_that_has_pods` |
//! | the revision that Argo Rollouts writes did not count | `cache`: `the_revision_of_a_rollout_counts_as_one` |
//! | a holder named `<pod>-<anything>`, or by its node, was unknown | `observed`: `is_the_pod_with_the_longest_name_that_it_continues`, `of_a_pod_on_the_network_of_its_node_may_be_the_nodes_name` |
//! | one lost heartbeat of a node moved its healthy leader | `lib`: `one_lost_renewal_is_no_silence_whatever_the_patience` |
//! | a node that renews more rarely than most lost its leader again and again | `lib`: `a_node_that_renews_more_rarely_is_not_silent_sooner_than_it_says` |
//! | of nodes that fall silent together the first lost its leader | `lib`: `nodes_that_fall_silent_together_are_most_nodes_before_the_first_of_them_is_due`, `most_nodes_late_at_once_silences_nobody_and_counting_starts_afresh` |
//! | a restart of the operator switched failovers off for `minReadySeconds` and `cooldownSeconds` | `cache`: `what_was_there_before_the_process_looked_has_been_so_for_long` |
//! | a leader that was gone was not replaced until some pod had `minReadySeconds` | `decisions`: `candidates::a_leader_that_is_gone_or_going_is_replaced_though_nobody_has_min_ready_seconds` |
//! | a leader that was Ready again was replaced on old news of a stalled watch | `decisions`: `failover::from_a_leader_that_was_seen_not_ready_a_while_ago_asks_whether_it_still_is` |
//! | an edit of the spec made a group fail back at once | `cache`: `an_edited_spec_begins_the_quiet_time_anew` |
//! | one group with a time that cannot be held stopped the operator for all | `watches`: `one_object_that_cannot_be_read_hides_no_other_of_its_kind`, `a_group_is_asked_for_and_found_whoever_wrote_its_fields_and_when`, `who_wrote_a_label_is_read_whenever_it_was`; `cluster`: `a_group_with_a_time_that_cannot_be_held_is_served_like_any_other` |
//! | an object that cannot be read was taken for gone | `cache`: `a_group_that_cannot_be_read_any_more_exists_and_is_left_alone`, `a_group_that_could_never_be_read_keeps_its_pods_until_it_is_gone`; `watches`: `a_group_that_cannot_be_read_is_not_taken_for_gone`, `a_list_with_a_pod_that_cannot_be_read_proves_nothing` |
//! | what one tenant wrote into annotations filled the memory | `lib`: `an_annotation_takes_no_more_memory_than_one_that_means_something`, `what_is_too_large_is_told_and_not_kept`; `watches`: `no_list_asks_for_more_than_a_hundred_objects_at_once` |
//! | each group that came, changed or went made all groups of its namespace look | `cache`: `a_group_that_is_new_edited_or_gone_wakes_none_of_hundreds_that_it_does_not_concern`; `lib`: `a_group_waits_once_and_comes_in_its_turn` |
//! | a deleted group, or pod, came back with an answer that was late | `cache`: `a_group_that_is_proved_gone_does_not_come_back_with_a_late_answer`, `a_pod_that_no_group_selects_does_not_come_back_after_its_end`, `what_has_lost_its_name_to_a_newer_one_does_not_come_back_when_that_is_gone` |
//! | what was said of an earlier group of a name counted for the present one | `cache`: `what_is_said_of_an_earlier_group_of_a_name_does_not_count_for_the_present_one` |
//! | after a restore of etcd each group asked ten times a second, and believed no answer | `simulation`: `an_operator_ends_when_the_api_server_comes_back_with_an_older_state`; `cache`: `a_list_older_than_what_was_known_before_it_tells_that_versions_went_backwards`; `watches`: `an_answer_older_than_what_was_known_tells_that_versions_went_backwards` |
//! | a selector of some 64 KiB made a list that no server takes: nobody was ever elected | `watches`: `pods_of_a_group_with_a_long_selector_are_listed_without_it` |
//! | after a long outage of the API server watches came back late | `watches`: `watches_are_back_within_a_second_after_the_api_server_however_long_it_was_away` |
//! | a renewal wrote the whole Lease, with what others had put into it | `writing`: `a_renewal_sends_what_it_changes_and_leaves_the_rest_of_the_lease_alone`, `whoever_else_owns_a_lease_that_is_taken_goes_on_to_own_it` |
//! | a Lease that was there already was an error, not news | `writing`: `a_lease_that_is_there_already_is_looked_at_and_planned_for_anew` |
//! | an Event with a long note that is not ASCII was refused and lost | `lib`: `a_note_is_cut_by_bytes_between_two_characters` |
//! | idle clients could use up the memory of the operator, or of `elect` | `lib`: `a_connection_that_sends_no_request_is_closed`, `any_number_of_connections_keeps_nobody_from_an_answer` |
//! | whoever asked for metrics in a loop held failovers up | `lib`: `the_stock_is_counted_once_a_second_however_often_it_is_asked_for` |
//! | `/readyz` told namespaces and rights to anybody who asked | `lib`: `what_is_missing_is_told_only_if_asked_for` |
//! | probes failed where pods have IPv6 addresses only | `image`: `the_chart_lets_the_operator_listen_on_addresses_of_both_kinds`; `lib`: `everywhere_means_both_kinds_of_addresses` |
//! | a line that nobody could read aborted the process, and one that nobody read blocked it | `elect`: `without_a_reader_of_its_log_it_goes_on_and_ends_well`, `without_a_reader_of_its_output_it_ends_as_well_as_with_one`, `every_command_ends_well_though_nobody_reads`; `lib`: `whoever_tells_waits_for_no_reader_and_what_has_no_room_is_lost`; `architecture`: `nothing_prints_but_lines` |
//! | lines of `elect` and of its command were torn | `lib`: `each_line_is_one_write` |
//! | credentials that were refused were sent for ever | `elect`: `a_token_that_is_refused_is_read_again_from_the_kubeconfig`, `a_plugin_s_token_without_an_expiry_is_asked_for_again_when_it_is_refused` |
//! | a proxy, in a kubeconfig or the environment, ended in an error | `elect`: `a_kubeconfig_s_proxy_is_used_whatever_its_kind`, `the_environment_s_proxy_is_not_used_for_an_api_server_on_this_host`; `lib`: `no_proxy_spares_the_api_server_and_not_the_proxy` |
//! | an empty `KUBECONFIG` was a file that cannot be read | `elect`: `an_empty_kubeconfig_variable_or_flag_is_not_set` |
//! | customary timings (6/4/2, 15/10/5, 10/8/2) were refused | `elector`: `customary_settings_are_accepted`, `a_limit_is_told_to_others_well_before_the_old_one_ends` |
//! | short timings lost leadership with nothing wrong | `elector`: `no_accepted_timing_loses_leadership_on_a_healthy_server`, `b6_each_renewal_is_of_another_second_so_that_it_counts_for_every_rival` |
//! | an API server that is slow for every request cost leadership again and again | `elector`: `a_server_that_takes_three_seconds_for_each_answer_has_a_leader_that_stays`, `a_server_that_becomes_slow_keeps_its_leader`, `a_slow_server_s_lease_is_given_back` |
//! | one failed request of a clean stop left the Lease to run out | `elector`: `one_failed_request_of_a_clean_stop_does_not_keep_the_lease`, `a_stop_after_an_unanswered_acquiring_write_survives_a_failed_request_too` |
//! | a process that had lost its leadership told that it led | `elector`: `its_own_record_makes_nobody_take_it_for_the_leader_after_a_loss` |
//! | `Retry-After: 0` was answered by requests without a pause | `elector`: `a_retry_after_of_zero_asks_for_no_particular_pause` |
//! | an alarm that was late showed the next term as lost | `lib`: `an_alarm_that_is_late_does_not_count_the_next_term_as_lost` |
//! | a panic in the program's observer ended the run without its text | `elector`: `a_panic_in_the_program_s_observer_ends_the_run_with_its_text` |
//! | who asked for the state before the clock was given heard nothing | `elector`: `who_asked_before_the_clock_was_given_hears_of_it_all_the_same` |
//! | a suspend made a renewal late by all of it | `lib`: `a_suspend_makes_a_renewal_late_by_little_more_than_a_second` |
//! | what the command had started ran on when the guard was killed | `elect`: `if_its_guard_is_killed_all_of_the_command_is_killed_and_the_lease_given_back_then` |
//! | the Lease was given back, and the next command started, while processes of the last one were there | `elect`: `the_lease_is_kept_as_long_as_a_process_cannot_be_killed`, `the_next_command_waits_for_the_last_process_of_the_one_before` |
//! | a signal to all processes of a service killed the command instead of letting it end | `elect`: `sigterm_to_all_of_its_processes_lets_the_command_end_well`, `a_signal_to_end_gives_the_command_time_to_end_well_though_it_is_the_guard_that_gets_it` |
//! | as process 1 at a terminal, one Ctrl-C counted twice | `elect`: `at_a_terminal_one_ctrl_c_counts_once`; `lib`: `only_the_same_signal_to_end_again_and_soon_is_an_echo` |
//! | SIGQUIT was not heard, and SIGHUP and SIGUSR1 killed the command instead of reaching it | `elect`: `process_1_passes_every_signal_on`, `signals_that_are_not_for_it_are_passed_on_to_the_command`, `at_every_signal_to_end_the_lease_is_given_back` |
//! | what a command that ends leaves behind got no SIGTERM, and held the Lease for the whole grace period | `elect`: `who_is_left_to_the_guard_while_the_command_ends_gets_sigterm_too` |
//! | a group of processes that had got the number of an ended one was signalled | `lib`: `a_group_of_the_head_s_number_is_a_stranger_s_when_the_head_has_ended_and_no_child_is_in_it` |
//! | a command that cannot run here held the leadership for ever with `--restart`, and was tried without end | `elect`: `with_restart_a_command_that_cannot_run_here_ends_the_term`; `lib`: `pauses_double_up_to_a_minute` |
//! | command and `elect` were killed together, as both had the pod's 30 s | `lib`: `the_command_is_killed_before_the_pod_is` |
//! | another led before the application could have heard that it does not any more | `elect`: `the_lease_is_kept_for_a_while_after_the_application_could_hear_of_the_loss` |
//! | `:4040`, `localhost:4040` and `-id=1`, as Go's programs take them, were refused | `lib`: `addresses_are_written_as_in_go_too`, `one_dash_is_enough_for_a_flag_that_exists_and_only_before_the_command` |
//! | `watch` told an expiry when its own connection had died | `elect`: `a_connection_that_died_without_a_word_is_no_expiry` |

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use election_operator::api::{ElectionGroup, Pod as ApiPod};
use election_operator::cache::wakes::{WakeReceiver, wakes};
use election_operator::cache::{Cache, GroupRef, GroupView};
use election_operator::clock::Clock;
use election_operator::planner::plan::{Intent, plan};
use election_operator::planner::snapshot::{Role, Snapshot, Unfenced};
use election_operator::planner::{Identity, Millis};
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};
use support::{
    NOW, apply, delete, follower, id, labelled, leader, lease, pod, pod_mut, policy_mut, record, settle,
    settled, steady, told, unready, with,
};

/// A local picture with the group `a` (UID `g`) over `app: orders, tier: db`, led by `x` in term 2.
fn picture() -> (Cache, WakeReceiver) {
    let (wake, woken) = wakes();
    let store = Cache::new(Clock::start(), wake);
    let group = json!({
        "metadata": { "name": "a", "namespace": "shop", "uid": "g", "resourceVersion": "1", "generation": 1 },
        "spec": { "selector": { "matchLabels": { "app": "orders", "tier": "db" } } },
        "status": { "term": 2, "leader": { "name": "x", "uid": "x-uid" } },
    });
    store.upsert_group(serde_json::from_value::<ElectionGroup>(group).unwrap());
    (store, woken)
}

fn snapshot(store: &Cache) -> Snapshot {
    let group = GroupRef { namespace: "shop".to_owned(), id: Identity::new("a", "g") };
    match store.view(&group) {
        GroupView::Present(snapshot) => *snapshot,
        other => panic!("the group is there: {other:?}"),
    }
}

fn seen_pod(name: &str, version: u64, labels: &Value, of_term: u64) -> ApiPod {
    let annotations =
        json!({ "election-operator.io/group": "a/g", "election-operator.io/term": of_term.to_string() });
    let annotations = if of_term > 0 { annotations } else { json!({}) };
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("{name}-uid"), "resourceVersion": version.to_string(),
            "labels": labels, "annotations": annotations,
        },
        "spec": { "nodeName": "node" },
        "status": { "phase": "Running", "conditions": ready },
    }))
    .unwrap()
}

fn seen_lease(version: u64) -> Lease {
    serde_json::from_value(json!({
        "metadata": { "name": "a", "namespace": "shop", "uid": "l", "resourceVersion": version.to_string() },
        "spec": { "holderIdentity": "x", "leaseDurationSeconds": 15 },
    }))
    .unwrap()
}

fn count(woken: &mut WakeReceiver) -> usize {
    std::iter::from_fn(|| woken.try_next()).count()
}

fn pods_written(snapshot: &Snapshot) -> Vec<String> {
    let steps = plan(snapshot).steps;
    let intents = steps.iter().flat_map(|step| &step.intents);
    let pods = intents.filter_map(|intent| match intent {
        Intent::Fence(write) | Intent::Promote(write) | Intent::LabelFollower(write) => {
            Some(write.pod.name.clone())
        }
        Intent::Release(pod, _) => Some(pod.name.clone()),
        _ => None,
    });
    pods.collect()
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_meets_only_a_part_of_the_selector_is_left_alone() {
    let (store, _woken) = picture();
    let leads = json!({ "app": "orders", "tier": "db", "role": "leader" });
    store.upsert_pod(seen_pod("x", 2, &leads, 2));
    store.upsert_pod(seen_pod("cache", 3, &json!({ "app": "orders", "tier": "cache", "role": "leader" }), 0));
    store.upsert_pod(seen_pod("other", 4, &json!({ "app": "billing", "tier": "db" }), 0));
    let seen = snapshot(&store);
    assert_eq!(seen.pods.len(), 1);
    assert_eq!(pods_written(&seen), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_event_from_before_a_failover_changes_nothing_after_it() {
    let (store, mut woken) = picture();
    let labels = |role: &str| json!({ "app": "orders", "tier": "db", "role": role });
    // After the failover from `w` to `x`, as the operator's own writes told it.
    store.upsert_pod(seen_pod("x", 12, &labels("leader"), 2));
    store.upsert_pod(seen_pod("w", 11, &labels("follower"), 2));
    count(&mut woken);
    // What a slow watch still brings: the world before it.
    store.upsert_pod(seen_pod("w", 5, &labels("leader"), 1));
    store.upsert_pod(seen_pod("x", 6, &labels("follower"), 1));
    assert_eq!(count(&mut woken), 0);
    let seen = snapshot(&store);
    assert_eq!(labelled(&seen), ["x"]);
    assert_eq!(pods_written(&seen), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_own_renewal_is_no_news_when_the_watch_brings_it_back() {
    let (store, mut woken) = picture();
    store.upsert_lease(seen_lease(3), true);
    count(&mut woken);
    store.upsert_lease(seen_lease(3), false);
    assert_eq!(count(&mut woken), 0);
    assert!(snapshot(&store).lease.unwrap().change_was_seen);
}

#[test]
fn a_label_lost_while_a_container_restarts_is_given_back_by_that_very_plan() {
    let mut group = steady();
    policy_mut(&mut group).not_ready = Millis::from_seconds(30);
    let restarting = pod_mut(&mut group, "a");
    (restarting.role, restarting.ready, restarting.ready_seen_at) = (Role::Absent, false, NOW);
    assert_eq!(told(&group)[..2], ["ask record", "promote a 3"]);
    assert_eq!(labelled(&settled(group)), ["a"]);
}

#[test]
fn a_candidate_deleted_in_the_middle_of_its_election_makes_way_for_the_next() {
    let mut group = steady();
    unready(&mut group, "a");
    let election = plan(&group);
    for steps in 1..=2 {
        let mut interrupted = group.clone();
        for intent in election.steps[..steps].iter().flat_map(|step| &step.intents) {
            interrupted.project(intent);
        }
        delete(&mut interrupted, "b");
        settle(&mut interrupted);
        assert_eq!(labelled(&interrupted), ["c"], "after {steps} steps");
        assert_eq!(interrupted.record().unwrap().term.get(), 5);
    }
}

#[test]
fn a_record_that_landed_though_the_answer_was_a_conflict_is_not_made_again() {
    let mut group = steady();
    unready(&mut group, "a");
    let lost_answer = &plan(&group).steps[0].intents[0];
    group.project(lost_answer);
    // The look that follows a conflict shows the record: this plan goes on with it.
    assert_eq!(told(&group)[..2], ["ask record, fence a 4, take lease b 4", "3 ms; promote b 4"]);
}

#[test]
fn a_renewal_comes_before_the_labels_of_hundreds_of_new_pods() {
    let mut group = steady();
    group.pods.extend((0..200).map(|number| pod(&format!("new-{number}"))));
    let due = group.later(NOW + Millis::from_seconds(5));
    let steps = plan(&due).steps;
    assert!(matches!(&steps[0].intents[..], [Intent::WriteLease(_)]), "{:?}", steps[0]);
    assert!(
        steps.last().unwrap().intents.iter().all(|intent| matches!(intent, Intent::LabelFollower(_))),
        "{steps:?}"
    );
    assert!(settled(due).pods.iter().skip(1).all(|pod| pod.role == Role::Follower));
}

/// The clocks of nodes and API server: pods' creation and readiness, the times of the Lease.
fn skewed(group: &Snapshot, seconds: i64) -> Snapshot {
    let mut skewed = group.clone();
    for pod in &mut skewed.pods {
        pod.created_seconds += seconds;
        pod.ready_since_seconds = pod.ready_since_seconds.map(|since| since + seconds);
    }
    if let Some(lease) = &mut skewed.lease {
        let shift = |time: Option<i64>| time.map(|time| time + seconds * 1_000_000);
        lease.content.times = (shift(lease.content.times.0), shift(lease.content.times.1));
    }
    skewed
}

#[test]
fn skewed_clocks_of_others_change_no_plan() {
    let mut failing = steady();
    pod_mut(&mut failing, "a").ready = false;
    for seconds in [-86_400, -3 * 3600, -120, -1, 1, 90, 7200, 86_400 * 365] {
        for group in [steady(), failing.clone(), steady().later(NOW + Millis(5_000))] {
            let (ours, theirs) = (plan(&group), plan(&skewed(&group, seconds)));
            assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{seconds} s");
        }
        // One node alone: no healthy leader moves.
        let mut group = steady();
        let since = &mut pod_mut(&mut group, "b").ready_since_seconds;
        *since = since.map(|since| since + seconds);
        assert_eq!(told(&group), [""; 0]);
    }
}

#[test]
fn skewed_clocks_of_others_do_not_age_a_lease() {
    for seconds in [-86_400, -120, 7200] {
        let mut foreign = with_foreign_lease();
        foreign = skewed(&foreign, seconds);
        let until = foreign.lease.as_ref().unwrap().valid_until(Millis(0));
        assert_eq!(until, NOW + Millis::from_seconds(15));
    }
}

fn with_foreign_lease() -> Snapshot {
    let mut group = steady();
    group.lease = Some(lease("somebody", 1));
    group
}

#[test]
fn what_an_interrupted_switch_left_in_the_status_is_gone_after_the_next_plan() {
    let mut group = steady();
    let mut left = record("b", 4);
    left.unfenced = Unfenced::Pods(vec![id("a")]);
    group.group.status.record = Some(left);
    group.pods = vec![follower("a", 4), leader("b", 4), with(follower("c", 4), |_| ())];
    let next = plan(&group);
    apply(&mut group, &next);
    assert_eq!(group.record().unwrap().unfenced, Unfenced::NONE);
    assert_eq!(labelled(&group), ["b"]);
}
