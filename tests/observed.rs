//! Observed mode, rule by rule: the pods hold the Lease, the label follows it, as tables.

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod support;

use election_operator::planner::decide::{SwitchoverVerdict, switchover_verdict};
use election_operator::planner::lease::{LeaseContent, SeenLease};
use election_operator::planner::plan::{Intent, plan};
use election_operator::planner::snapshot::{
    ElectionMode, GonePod, LeaderRecord, Membership, Owner, PodPhase, Role, SeenPod, Snapshot,
};
use election_operator::planner::{Micros, Millis, Version};
use support::{
    LONG_AGO, NOW, WALL, delete, follower, fresh, id, labelled, leader, pod, pod_mut, policy_mut, record,
    recreated, settle, settled, term, told, with,
};

const NOTHING: [&str; 0] = [];

/// The Lease of the pods, renewed just now for 15 s.
fn held_by(holder: &str) -> SeenLease {
    let record = LeaseContent {
        uid: "lease-uid".to_owned(),
        version: Version(50),
        owner: Owner::None,
        holder: Some(holder.to_owned()),
        duration_seconds: Some(15),
        transitions: 3,
        term: None,
        adopt: None,
        times: (Some(1), Some(2)),
    };
    SeenLease { content: record, changed_at: NOW, change_was_seen: true }
}

/// A group that was created just now over pods of which `holder` holds the Lease.
fn new_group(holder: &str, pods: impl IntoIterator<Item = SeenPod>) -> Snapshot {
    let mut group = fresh(pods);
    policy_mut(&mut group).mode = ElectionMode::Observed;
    group.lease = Some(held_by(holder));
    group
}

/// `a` holds the Lease and is labelled in term 3; nothing is left to do.
fn steady() -> Snapshot {
    let mut group = new_group("a", [leader("a", 3), follower("b", 3), follower("c", 3)]);
    group.group.status.record = Some(record("a", 3));
    Snapshot { reported_at: LONG_AGO, ..settled(group) }
}

/// The Lease as its holder writes it at this moment.
fn renew(group: &mut Snapshot, change: impl FnOnce(&mut LeaseContent)) {
    let lease = group.lease.as_mut().expect("a Lease");
    let mut record = lease.content.clone();
    record.version.0 += 1;
    record.times.1 = record.times.1.map(|time| time + 1);
    change(&mut record);
    lease.note(record, group.now);
}

fn hand_to(group: &mut Snapshot, holder: &str) {
    renew(group, |lease| lease.holder = Some(holder.to_owned()));
}

fn seconds(span: u64) -> Millis {
    Millis(NOW.0 + span * 1000)
}

/// Who is labelled, the newest reason of the history, and what `LeaderElected` says.
fn outcome(mut group: Snapshot) -> (String, String, String) {
    settle(&mut group);
    let status = &group.group.status;
    let reason = status.history.first().map(|change| change.reason.clone()).unwrap_or_default();
    let elected = status.conditions.iter().find(|c| c.kind == "LeaderElected").unwrap();
    (labelled(&group).join(" "), reason, elected.reason.clone())
}

fn says(label: &str, reason: &str, condition: &str) -> (String, String, String) {
    (label.to_owned(), reason.to_owned(), condition.to_owned())
}

mod the_holder {
    use super::*;

    #[test]
    fn is_labelled_by_the_same_protocol_but_for_the_lease() {
        let mut group = new_group("b", [pod("a"), pod("b"), pod("c")]);
        assert_eq!(told(&group), ["ask lease", "record b 1 [*]", "list 1"]);
        let first = plan(&group);
        support::apply(&mut group, &first);
        assert_eq!(
            told(&group),
            ["ask record, fence a 1, fence c 1", "promote b 1", "status", "change FirstElection"]
        );
    }

    #[test]
    fn is_detected_no_earlier_than_the_group_was_there_or_had_lost_its_leader() {
        let mut new = new_group("a", [pod("a")]).later(seconds(9));
        new.record_seen_at = seconds(8);
        let mut cleared = new.clone();
        cleared.group.status.record = Some(LeaderRecord { leader: None, ..record("a", 3) });
        for mut group in [new, cleared] {
            settle(&mut group);
            assert_eq!(group.group.status.history[0].detected_at, Micros(WALL.0 + 8_000_000));
        }
    }

    #[test]
    fn is_found_by_name_then_by_what_is_before_an_underscore_then_by_annotation() {
        let named = |name: &str, identity: &str| with(pod(name), |p| p.identity = Some(identity.to_owned()));
        let table = [
            ("b", "b"),
            ("b_8f0c", "b"),
            ("b_", "b"),
            ("b_8f_0c", "b"),
            ("worker-7", "c"),
            // controller-runtime and kube-scheduler, in a pod with hostNetwork: the UUID is another one at each start
            ("worker-7_8f0c", "c"),
            ("worker-7_8f_0c", "c"),
            // the first rule that fits decides
            ("a", "a"),
            ("a_1", "a"),
        ];
        for (identity, expected) in table {
            let pods = [pod("a"), named("b", "a"), named("c", "worker-7")];
            let outcome = outcome(new_group(identity, pods));
            assert_eq!(outcome, says(expected, "FirstElection", "Elected"), "{identity}");
        }
    }

    #[test]
    fn is_the_pod_with_the_longest_name_that_it_continues() {
        let pods = || ["orders", "orders-7c9f", "orders-7c9f-x2"].map(pod);
        for (identity, expected) in [
            ("orders-7c9f-x2", "orders-7c9f-x2"),
            ("orders-7c9f-x2-external-controller", "orders-7c9f-x2"),
            ("orders-7c9f-x2_5d1e", "orders-7c9f-x2"),
            ("orders-7c9f-other", "orders-7c9f"),
            ("orders-7c9f-x20", "orders-7c9f"),
            ("orders-leader", "orders"),
        ] {
            let outcome = outcome(new_group(identity, pods()));
            assert_eq!(outcome, says(expected, "FirstElection", "Elected"), "{identity}");
        }
    }

    #[test]
    fn of_a_pod_on_the_network_of_its_node_may_be_the_nodes_name() {
        let on = |name: &str, node: &str| {
            with(pod(name), |p| (p.host_network, p.node) = (true, Some(node.to_owned())))
        };
        for (identity, expected) in [("n1", "a"), ("n1_5d1e", "a"), ("n1-external", "a"), ("n1-b_5d1e", "b")]
        {
            let group = new_group(identity, [on("a", "n1"), on("b", "n1-b"), pod("c")]);
            assert_eq!(outcome(group), says(expected, "FirstElection", "Elected"), "{identity}");
        }
        let group = new_group("n1_5d1e", [on("a", "n1"), on("b", "n1")]);
        assert_eq!(outcome(group), says("", "", "AmbiguousHolder"));
        let elsewhere = with(pod("a"), |p| p.node = Some("n1".to_owned()));
        assert_eq!(outcome(new_group("n1_5d1e", [elsewhere])), says("", "", "UnknownHolder"));
    }

    #[test]
    fn that_is_no_pod_of_the_group_or_may_be_two_is_nobody() {
        let twin = |name: &str| with(pod(name), |p| p.identity = Some("twin".to_owned()));
        for identity in ["d", "_b", "B", "xb", "b.shop", "b8f0c", "node-1"] {
            let group = new_group(identity, [pod("a"), pod("b")]);
            assert_eq!(outcome(group), says("", "", "UnknownHolder"), "{identity}");
        }
        let group = new_group("twin", [twin("a"), twin("b")]);
        assert_eq!(outcome(group), says("", "", "AmbiguousHolder"));
        let group = new_group("twin_8f0c", [twin("a"), twin("b")]);
        assert_eq!(outcome(group), says("", "", "AmbiguousHolder"));
        let ended = with(twin("a"), |p| p.phase = PodPhase::Finished);
        assert_eq!(outcome(new_group("twin", [ended, twin("b")])).0, "b");
    }

    #[test]
    fn that_is_not_selected_or_belongs_to_another_group_is_nobody() {
        let table: [fn(&mut SeenPod); 3] = [
            |p| p.membership = Membership::Deselected,
            |p| p.owner = Owner::Other(id("other")),
            |p| p.phase = PodPhase::Finished,
        ];
        for trouble in table {
            let group = new_group("b", [pod("a"), with(pod("b"), trouble)]);
            assert_eq!(outcome(group), says("", "", "UnknownHolder"));
        }
    }

    #[test]
    fn keeps_the_label_while_it_renews_whatever_else_happens_to_it() {
        let table: [fn(&mut SeenPod); 6] = [
            |p| p.ready = false,
            |p| p.terminating = true,
            |p| p.excluded = true,
            |p| p.disrupted = true,
            |p| p.node_silent_from = Some(NOW),
            |p| p.weight = -1000,
        ];
        for trouble in table {
            let mut group = steady();
            trouble(pod_mut(&mut group, "a"));
            settle(&mut group);
            assert_eq!((labelled(&group), group.record().unwrap().term.get()), (vec!["a"], 3));
        }
    }

    #[test]
    fn that_is_not_ready_makes_the_group_not_ready_and_says_why() {
        let mut group = steady();
        pod_mut(&mut group, "a").ready = false;
        settle(&mut group);
        let ready = group.group.status.conditions.iter().find(|c| c.kind == "Ready").unwrap();
        assert_eq!((ready.holds, ready.reason.as_str()), (false, "LeaderUnfit"));
    }

    #[test]
    fn is_labelled_even_if_it_is_not_ready() {
        let unready = with(pod("b"), |p| p.ready = false);
        assert_eq!(outcome(new_group("b", [pod("a"), unready])).0, "b");
    }

    #[test]
    fn is_labelled_at_once_by_a_fresh_operator_whose_clock_starts_then() {
        let mut group = new_group("a", [pod("a"), pod("b")]);
        let first_look = SeenLease::first_seen(held_by("a").content, NOW);
        group.lease = Some(first_look);
        settle(&mut group);
        assert_eq!((labelled(&group), plan(&group).wake_at), (vec!["a"], Some(seconds(15))));
    }
}

mod the_label {
    use super::*;

    #[test]
    fn follows_a_lease_that_changes_hands_demotion_first() {
        let mut group = steady();
        hand_to(&mut group, "b");
        assert_eq!(
            told(&group),
            [
                "ask lease",
                "record b 4 [a]",
                "fence a 4",
                "10 ms; promote b 4",
                "status",
                "change HolderChanged"
            ]
        );
        assert_eq!(outcome(group), says("b", "HolderChanged", "Elected"));
    }

    #[test]
    fn goes_exactly_when_the_lease_runs_out_and_the_api_server_knows_of_no_renewal() {
        let group = steady();
        assert_eq!(told(&group), NOTHING);
        assert_eq!(plan(&group).wake_at, Some(seconds(15)));
        let expired = group.later(seconds(15));
        assert_eq!(
            told(&expired),
            ["ask lease", "record nobody 4 [a]", "fence a 4", "status", "change LeaseExpired"]
        );
        assert_eq!(outcome(expired), says("", "LeaseExpired", "LeaseExpired"));
    }

    #[test]
    fn goes_at_once_when_the_lease_is_released_or_deleted_or_held_by_a_stranger() {
        let table: [(&str, fn(&mut Snapshot)); 4] = [
            ("LeaseNotHeld", |group| hand_to(group, "")),
            ("LeaseNotHeld", |group| renew(group, |lease| lease.holder = None)),
            ("UnknownHolder", |group| hand_to(group, "somebody")),
            ("LeaseMissing", |group| group.lease = None),
        ];
        for (condition, change) in table {
            let mut group = steady();
            change(&mut group);
            assert_eq!(told(&group)[..3], ["ask lease", "record nobody 4 [a]", "fence a 4"]);
            assert_eq!(outcome(group), says("", "HolderChanged", condition));
        }
    }

    #[test]
    fn stays_through_renewals_and_each_moves_the_moment_at_which_it_goes() {
        let mut group = steady();
        for at in [2, 4, 6] {
            group = group.later(seconds(at));
            renew(&mut group, |_| {});
            assert_eq!(told(&group), NOTHING);
            assert_eq!(plan(&group).wake_at, Some(seconds(at + 15)));
        }
    }

    #[test]
    fn stays_for_the_duration_that_the_lease_says_or_that_of_the_group_where_it_says_none() {
        for (duration, until) in [(Some(15), 15), (Some(40), 40), (None, 9), (Some(1), 1)] {
            let mut group = steady();
            policy_mut(&mut group).lease_duration_seconds = 9;
            renew(&mut group, |lease| lease.duration_seconds = duration);
            settle(&mut group);
            assert_eq!(plan(&group).wake_at, Some(seconds(until)), "{duration:?}");
        }
    }

    #[test]
    fn goes_at_once_with_a_duration_that_is_never_valid() {
        let mut group = steady();
        renew(&mut group, |lease| lease.duration_seconds = Some(0));
        assert_eq!(outcome(group), says("", "LeaseExpired", "LeaseExpired"));
    }

    #[test]
    fn stays_when_the_lease_is_created_again_by_its_holder() {
        let mut group = steady();
        let record = LeaseContent { uid: "another".to_owned(), version: Version(90), ..held_by("a").content };
        group.now = NOW + Millis(5);
        group.lease = Some(SeenLease::first_seen(record, group.now));
        assert_eq!(told(&group), NOTHING);
    }

    /// Another operator recorded it, which saw the Lease earlier: here the Lease still looks alive.
    #[test]
    fn that_was_taken_away_by_somebody_who_knew_better_is_not_given_back_before_the_lease_changes() {
        let mut told_by_another = steady().later(seconds(15));
        settle(&mut told_by_another);
        let mut group = told_by_another.later(seconds(16));
        group.lease.as_mut().unwrap().changed_at = seconds(14);
        assert_eq!(told(&settled(group.clone())), NOTHING);
        assert_eq!(outcome(group.clone()), says("", "LeaseExpired", "LeaseExpired"));
        hand_to(&mut group, "b");
        assert_eq!(outcome(group.clone()), says("b", "Recovered", "Elected"));
        hand_to(&mut group, "a");
        assert_eq!(outcome(group), says("a", "Recovered", "Elected"));
    }

    #[test]
    fn that_was_taken_away_is_not_given_back_by_an_operator_that_starts_afresh_before_the_lease_changes() {
        let mut group = settled(steady().later(seconds(15)));
        let lease = group.lease.as_ref().unwrap().content.clone();
        // Whichever of the first lists comes first.
        for (record_seen_at, changed_at) in [(16, 17), (17, 16)] {
            group.record_seen_at = seconds(record_seen_at);
            group.lease = Some(SeenLease::first_seen(lease.clone(), seconds(changed_at)));
            let mut group = group.later(seconds(18));
            assert_eq!(outcome(group.clone()), says("", "LeaseExpired", "LeaseExpired"));
            renew(&mut group, |_| {});
            assert_eq!(outcome(group), says("a", "Recovered", "Elected"));
        }
    }

    #[test]
    fn that_was_taken_away_is_not_given_back_though_no_history_is_to_be_kept() {
        let mut group = steady().later(seconds(15));
        policy_mut(&mut group).history_limit = 0;
        group = settled(group).later(seconds(16));
        // Another operator, for which the Lease looks alive.
        (group.lease.as_mut().unwrap().changed_at, group.record_seen_at) = (seconds(14), seconds(15));
        assert_eq!(outcome(group.clone()), says("", "LeaseExpired", "LeaseExpired"));
        renew(&mut group, |_| {});
        assert_eq!(outcome(group), says("a", "", "Elected"));
    }

    #[test]
    fn that_was_taken_away_is_not_given_back_because_the_record_was_made_again() {
        let mut group = settled(steady().later(seconds(15)));
        let copied = pod_mut(&mut group, "b");
        (copied.role, copied.term) = (Role::Leader, Some(term(4)));
        // Another operator, for which the Lease looks alive: it saw the last renewal later, but before the record.
        group.lease.as_mut().unwrap().changed_at = seconds(14);
        group.record_seen_at = seconds(15);
        assert_eq!(told(&group)[..2], ["record nobody 5 []", "fence b 5"]);
        assert_eq!(outcome(group), says("", "LeaseExpired", "LeaseExpired"));
    }

    /// Another operator has moved the label with the Lease, and this one has an older copy of the Lease: it would take
    /// the label back, the other one would move it again, and so on.
    #[test]
    fn moves_only_after_the_api_server_has_said_that_the_copy_of_the_lease_is_the_present_one() {
        let mut group = steady();
        group.group.status.record = Some(record("b", 4));
        let pods = [follower("a", 4), leader("b", 4), follower("c", 3)];
        group.pods = pods.to_vec();
        for lease in [group.lease.clone(), None] {
            group.lease = lease;
            let seen = group.lease.as_ref().map(|lease| (lease.content.uid.clone(), lease.content.version));
            let question = Intent::ConfirmLease { name: "orders".to_owned(), seen };
            assert_eq!(plan(&group).steps[0].intents, [question]);
            assert!(told(&group)[1].starts_with("record "), "{:?}", told(&group));
        }
    }

    #[test]
    fn comes_back_when_the_holder_renews_an_expired_lease() {
        let mut group = settled(steady().later(seconds(15)));
        group = group.later(seconds(20));
        renew(&mut group, |_| {});
        assert_eq!(told(&group)[..2], ["ask lease", "record a 5 []"]);
        assert_eq!(outcome(group), says("a", "Recovered", "Elected"));
    }

    #[test]
    fn is_repaired_like_in_managed_mode() {
        let mut group = steady();
        pod_mut(&mut group, "b").role = Role::Leader;
        pod_mut(&mut group, "b").term = None;
        assert_eq!(told(&group), ["fence b 3", "event LabelRepaired"]);
    }

    #[test]
    fn of_a_lost_record_moves_to_the_holder() {
        let mut group = steady();
        group.group.status.record = None;
        assert_eq!(outcome(group.clone()), says("a", "Recovered", "Elected"));
        hand_to(&mut group, "b");
        assert_eq!(outcome(group), says("b", "HolderChanged", "Elected"));
    }
}

mod a_leader_that_is_gone {
    use super::*;

    #[test]
    fn is_given_up_though_its_lease_is_still_valid_or_even_renewed() {
        for renewed in [false, true] {
            let mut group = steady();
            delete(&mut group, "a");
            if renewed {
                renew(&mut group, |_| {});
            }
            assert_eq!(outcome(group), says("", "LeaderDeleted", "UnknownHolder"));
        }
    }

    #[test]
    fn is_asked_for_before_it_is_given_up_if_its_end_was_not_seen() {
        let mut group = steady();
        group.pods.retain(|pod| pod.id.name != "a");
        assert_eq!(told(&group)[..2], ["ask lease, ask pod a", "record nobody 4 []"]);
    }

    #[test]
    fn says_what_was_seen_of_its_end() {
        let mut group = steady();
        delete(&mut group, "a");
        group.gone.insert(id("a").uid, GonePod { at: NOW, was_terminating: true });
        assert_eq!(outcome(group).1, "LeaderTerminating");
        let table: [(&str, fn(&mut SeenPod)); 2] = [
            ("LeaderFinished", |p| p.phase = PodPhase::Finished),
            ("LeaderDeselected", |p| p.membership = Membership::Deselected),
        ];
        for (reason, trouble) in table {
            let mut group = steady();
            trouble(pod_mut(&mut group, "a"));
            assert_eq!(outcome(group), says("", reason, "UnknownHolder"));
        }
    }

    /// S5. The Lease still names `a`, but it was the one before that wrote it.
    #[test]
    fn leaves_nothing_to_a_pod_of_its_name_before_that_one_renews_the_lease() {
        let mut group = steady();
        delete(&mut group, "a");
        group.now = NOW + Millis(500);
        group.pods.push(SeenPod { seen_at: NOW + Millis(400), ..recreated(pod("a")) });
        settle(&mut group);
        assert_eq!(outcome(group.clone()), says("", "LeaderRecreated", "OutdatedHolder"));
        group = group.later(seconds(2));
        renew(&mut group, |_| {});
        assert_eq!(outcome(group.clone()), says("a", "Recovered", "Elected"));
        settle(&mut group);
        assert_eq!(group.leader_id().unwrap().uid, "a-uid-2");
    }

    #[test]
    fn is_followed_by_a_pod_of_its_name_that_was_there_before_the_operator_looked() {
        let mut group = steady();
        delete(&mut group, "a");
        group.pods.push(recreated(pod("a")));
        assert_eq!(outcome(group), says("a", "LeaderRecreated", "Elected"));
    }
}

mod the_operator {
    use super::*;

    #[test]
    fn moves_nothing_while_paused_and_follows_the_lease_afterwards() {
        let mut group = steady();
        policy_mut(&mut group).paused = true;
        settle(&mut group);
        hand_to(&mut group, "b");
        settle(&mut group);
        assert_eq!(labelled(&group), ["a"]);
        let mut expired = group.later(seconds(60));
        settle(&mut expired);
        assert_eq!(labelled(&expired), ["a"]);
        policy_mut(&mut group).paused = false;
        assert_eq!(outcome(group), says("b", "HolderChanged", "Elected"));
    }

    #[test]
    fn stays_ready_while_paused_and_says_what_the_lease_says() {
        let table: [(fn(&mut Snapshot), &str); 5] = [
            (|group| hand_to(group, "b"), "; pod b holds the Lease"),
            (|group| hand_to(group, "x"), "; the Lease is held by x, which is no pod of the group; "),
            (|group| hand_to(group, ""), "; nobody holds the Lease"),
            (|group| group.lease = None, "; the Lease orders is not there"),
            (|group| *group = group.later(seconds(15)), "; the Lease ran out, which a held"),
        ];
        for (change, expected) in table {
            let mut group = steady();
            policy_mut(&mut group).paused = true;
            settle(&mut group);
            let ready = |group: &Snapshot| {
                let conditions = &group.group.status.conditions;
                let ready = conditions.iter().find(|c| c.kind == "Ready").unwrap();
                (ready.holds, ready.reason.clone(), ready.message.clone())
            };
            let led = "paused: nothing moves; pod a leads in term 3";
            assert_eq!(ready(&group), (true, "Paused".to_owned(), led.to_owned()));
            assert_eq!(
                plan(&group).wake_at,
                Some(seconds(15)),
                "the moment at which it has something to say"
            );
            change(&mut group);
            assert_eq!(told(&group), ["status"]);
            assert_eq!(outcome(group.clone()), says("a", "", "Elected"));
            settle(&mut group);
            let (holds, reason, message) = ready(&group);
            assert_eq!((holds, reason.as_str()), (true, "Paused"));
            assert!(message.starts_with(&format!("{led}{expected}")), "{message}");
        }
    }

    #[test]
    fn refuses_a_switchover() {
        let mut group = steady();
        group.group.switchover = Some("b".to_owned());
        let policy = group.group.policy.clone().unwrap();
        assert!(
            matches!(switchover_verdict(&group, &policy), SwitchoverVerdict::Refuse(why) if why.contains("Observed"))
        );
        assert_eq!(told(&group), ["drop request", "event SwitchoverRefused"]);
    }

    #[test]
    fn elects_nobody_while_nobody_holds_the_lease() {
        let mut group = new_group("", [pod("a"), pod("b")]);
        assert_eq!(outcome(group.clone()), says("", "", "LeaseNotHeld"));
        group.lease = None;
        assert_eq!(outcome(group.clone()), says("", "", "LeaseMissing"));
        group.lease = Some(held_by("b"));
        assert_eq!(outcome(group), says("b", "FirstElection", "Elected"));
    }

    #[test]
    fn sleeps_until_the_lease_of_a_stranger_runs_out_only_to_say_so() {
        let mut group = settled(new_group("somebody", [pod("a")]));
        assert_eq!(plan(&group).wake_at, Some(seconds(15)));
        group = settled(group.later(seconds(15)));
        assert_eq!(outcome(group), says("", "", "LeaseExpired"));
    }
}
