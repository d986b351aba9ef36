//! What went wrong in the elector and its commands, and must not again.

use crate::elsewhere::Lesson;

/// What went wrong, and the tests that would show it.
pub(crate) const ELECTOR: &[Lesson] = &[
    (
        "a log line without a reader aborted the process, or blocked it",
        &[
            "elect::the_operator_goes_on_and_ends_well_without_a_reader_of_its_log",
            "elect::elect_ends_its_command_well_without_a_reader_of_its_output",
            "elect::every_command_ends_well_without_a_reader",
            "lib::whoever_tells_waits_for_no_reader_and_what_has_no_room_is_lost",
            "architecture::nothing_prints_but_lines",
        ],
    ),
    ("lines of `elect` and of its command were torn", &["lib::each_line_is_one_write"]),
    (
        "refused credentials were sent for ever",
        &[
            "elect::a_token_that_is_refused_is_read_again_from_the_kubeconfig",
            "elect::a_plugin_s_token_without_an_expiry_is_asked_for_again_when_it_is_refused",
            "elect::an_authority_that_is_replaced_in_place_is_read_again_when_it_does_not_know_the_server",
            "elect::certificates_that_are_refused_and_cannot_be_read_again_are_told",
        ],
    ),
    (
        "a client certificate from an authority that the server did not know any more was not read again",
        &["elect::a_client_certificate_that_is_replaced_in_place_is_read_again_when_the_old_one_is_refused"],
    ),
    (
        "a proxy in a kubeconfig or in the environment ended in an error",
        &[
            "elect::a_kubeconfig_s_proxy_is_used_whatever_its_kind",
            "elect::the_environment_s_proxy_is_not_used_for_an_api_server_on_this_host",
            "lib::no_proxy_spares_the_api_server_and_not_the_proxy",
        ],
    ),
    (
        "an empty `KUBECONFIG` was a file that cannot be read",
        &["elect::an_empty_kubeconfig_variable_or_flag_is_not_set"],
    ),
    (
        "customary timings (6/4/2, 15/10/5, 10/8/2) were refused",
        &[
            "elector::customary_settings_are_accepted",
            "elector::a_limit_is_told_to_others_well_before_the_old_one_ends",
        ],
    ),
    (
        "short timings lost leadership although nothing was wrong",
        &[
            "elector::no_accepted_timing_loses_leadership_on_a_healthy_server",
            "elector::b6_each_renewal_is_of_another_second_so_that_it_counts_for_every_rival",
        ],
    ),
    (
        "an API server that is slow for every request cost leadership again and again",
        &[
            "elector::a_server_that_takes_three_seconds_for_each_answer_has_a_leader_that_stays",
            "elector::a_server_that_becomes_slow_keeps_its_leader",
            "elector::a_slow_server_s_lease_is_given_back",
        ],
    ),
    (
        "one failed request of a clean stop left the Lease to run out",
        &[
            "elector::one_failed_request_of_a_clean_stop_does_not_keep_the_lease",
            "elector::a_stop_after_an_unanswered_acquiring_write_survives_a_failed_request_too",
        ],
    ),
    (
        "a process that had lost its leadership still said that it led",
        &["elector::after_a_loss_the_elector_s_own_record_does_not_show_it_as_the_leader"],
    ),
    (
        "`Retry-After: 0` was answered by requests without a pause",
        &["elector::a_retry_after_of_zero_asks_for_no_particular_pause"],
    ),
    (
        "an alarm that was late showed the next term as lost",
        &["lib::an_alarm_that_is_late_does_not_count_the_next_term_as_lost"],
    ),
    (
        "a panic in the program's observer ended the run without its text",
        &["elector::a_panic_in_the_program_s_observer_ends_the_run_with_its_text"],
    ),
    (
        "a state taken before the clock was given never changed",
        &["elector::a_state_taken_before_the_clock_was_given_follows_that_clock"],
    ),
    (
        "a suspend made a renewal late by the whole suspend",
        &["lib::a_suspend_makes_a_renewal_late_by_little_more_than_a_second"],
    ),
    (
        "processes that the command had started ran on when the guard was killed",
        &["elect::if_its_guard_is_killed_all_of_the_command_is_killed_and_the_lease_given_back_then"],
    ),
    (
        "the Lease was released, and the next command started, before the last process had ended",
        &[
            "elect::the_lease_is_kept_as_long_as_a_process_cannot_be_killed",
            "elect::the_next_command_waits_for_the_last_process_of_the_one_before",
        ],
    ),
    (
        "a signal to all processes of a service killed the command instead of letting it end",
        &[
            "elect::sigterm_to_all_of_its_processes_lets_the_command_end_well",
            "elect::a_signal_to_end_gives_the_command_time_to_end_well_though_it_is_the_guard_that_gets_it",
        ],
    ),
    (
        "for process 1 at a terminal, one Ctrl-C counted twice",
        &[
            "elect::at_a_terminal_one_ctrl_c_counts_once",
            "lib::only_the_same_signal_to_end_again_and_soon_is_an_echo",
        ],
    ),
    (
        "SIGQUIT was not heard, and SIGHUP and SIGUSR1 killed the command instead of reaching it",
        &[
            "elect::process_1_passes_every_signal_on",
            "elect::signals_that_are_not_for_it_are_passed_on_to_the_command",
            "elect::at_every_signal_to_end_the_lease_is_given_back",
        ],
    ),
    (
        "a process left behind by an ending command got no SIGTERM, and held the Lease for the whole grace period",
        &["elect::a_process_left_to_the_guard_while_the_command_ends_gets_sigterm_too"],
    ),
    (
        "a process group that had got the number of an ended one was signalled",
        &["lib::a_group_of_the_head_s_number_is_a_stranger_s_when_the_head_has_ended_and_no_child_is_in_it"],
    ),
    (
        "with `--restart`, a command that cannot run here held the leadership for ever and was tried without end",
        &[
            "elect::with_restart_a_command_that_cannot_run_here_ends_the_term",
            "lib::pauses_double_up_to_a_minute",
        ],
    ),
    (
        "the command and `elect` were killed together, because both had the pod's 30 s",
        &["lib::the_command_is_killed_before_the_pod_is"],
    ),
    (
        "another elector led before the application could have learned of the loss",
        &["elect::the_lease_is_kept_for_a_while_after_the_application_could_hear_of_the_loss"],
    ),
    (
        "`:4040`, `localhost:4040` and `-id=1`, as Go's programs take them, were refused",
        &[
            "lib::addresses_are_written_as_in_go_too",
            "lib::one_dash_is_enough_for_a_flag_that_exists_and_only_before_the_command",
        ],
    ),
    (
        "`watch` told an expiry when only its own connection had died",
        &["elect::a_connection_that_died_without_a_word_is_no_expiry"],
    ),
];
