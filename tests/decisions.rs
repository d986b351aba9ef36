//! What the planner does, rule by rule of the design, as tables: a small group, and its plan in words.

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

use election_operator::planner::cleanup::clean_up;
use election_operator::planner::decide::{SwitchoverVerdict, moments, switchover_verdict};
use election_operator::planner::eligibility::ranked;
use election_operator::planner::lease::{LeaseContent, SeenLease};
use election_operator::planner::plan::{Intent, LeaseAction, Plan, Step, plan};
use election_operator::planner::snapshot::{
    Condition, GonePod, LeaderRecord, Membership, Owner, PodPhase, Refusal, Role, SeenPod, Snapshot, Stamp,
    Unfenced,
};
use election_operator::planner::switch::MAX_LOW_PRIORITY_WRITES;
use election_operator::planner::{Identity, Micros, Millis, Term, Version};
use support::{
    LONG_AGO, NOW, WALL, apply, delete, follower, fresh, id, labelled, leader, lease, led, pod, pod_mut,
    policy_mut, record, recreated, settle, settled, steady, term, told, unready, with,
};

const NOTHING: [&str; 0] = [];

fn condition<'a>(snapshot: &'a Snapshot, kind: &str) -> &'a Condition {
    let conditions = &snapshot.group.status.conditions;
    conditions.iter().find(|c| c.kind == kind).unwrap_or_else(|| panic!("no condition {kind}"))
}

fn says(snapshot: &Snapshot, kind: &str) -> (bool, String) {
    let condition = condition(snapshot, kind);
    (condition.holds, condition.reason.clone())
}

/// The Events of all plans, in their order.
fn events(plans: &[Plan]) -> Vec<String> {
    let intents = plans.iter().flat_map(|plan| &plan.steps).flat_map(|step| &step.intents);
    let events = intents.filter_map(|intent| match intent {
        Intent::AnnounceChange(change) => Some(change.reason.clone()),
        Intent::PublishEvent(notice) => Some(notice.reason.clone()),
        _ => None,
    });
    events.collect()
}

/// Who is labelled and why, once all is done; with the newest entry of the history.
fn outcome(mut snapshot: Snapshot) -> (String, String) {
    settle(&mut snapshot);
    let newest = snapshot.group.status.history.first().expect("a change is in the history").clone();
    assert_eq!(labelled(&snapshot), newest.leader.iter().map(String::as_str).collect::<Vec<_>>());
    (labelled(&snapshot).join(" "), newest.reason)
}

fn at(snapshot: &Snapshot, moment: Millis) -> Snapshot {
    snapshot.later(moment)
}

mod first_election {
    use super::*;

    #[test]
    fn records_lists_fences_everybody_and_only_then_promotes() {
        let mut group = fresh([pod("a"), pod("b"), pod("c")]);
        assert_eq!(told(&group), ["record a 1 [*]", "list 1"]);
        let plans = settle(&mut group);
        assert_eq!(plans.len(), 2);
        assert_eq!((labelled(&group).join(" "), says(&group, "Ready").0), ("a".into(), true));
        assert_eq!(group.group.status.record.as_ref().unwrap().unfenced, Unfenced::NONE);
    }

    #[test]
    fn says_which_annotation_of_a_pod_was_ignored() {
        let mut group = fresh([pod("a"), pod("b")]);
        pod_mut(&mut group, "b").ignored = Some("election-operator.io/exclude=yes".to_owned());
        settle(&mut group);
        let told = "at least one pod is eligible; pod b: election-operator.io/exclude=yes means nothing and is ignored";
        assert_eq!(condition(&group, "CandidatesAvailable").message, told);
    }

    #[test]
    fn after_the_list_fences_and_lease_go_in_parallel_before_the_promotion() {
        let mut group = fresh([pod("a"), pod("b"), pod("c")]);
        support::apply(&mut group.clone(), &plan(&group));
        let first = plan(&group);
        support::apply(&mut group, &first);
        assert_eq!(
            told(&group),
            [
                "ask record, fence b 1, fence c 1, take lease a 1",
                "promote a 1",
                "status",
                "change FirstElection"
            ]
        );
    }

    #[test]
    fn waits_for_an_eligible_pod_and_says_so_in_its_conditions() {
        let unready = with(pod("a"), |p| p.ready = false);
        let mut group = fresh([unready]);
        assert_eq!(told(&group), ["status"]);
        settle(&mut group);
        assert_eq!(says(&group, "CandidatesAvailable"), (false, "NoneEligible".into()));
        assert!(!says(&group, "Ready").0);
        assert_eq!((group.group.status.candidates, group.group.status.eligible), (1, 0));
        assert_eq!(told(&group), NOTHING);
    }

    #[test]
    fn keeps_the_one_pod_that_already_carries_the_leader_label() {
        let by_hand = with(pod("b"), |p| p.role = Role::Leader);
        assert_eq!(told(&fresh([pod("a"), by_hand.clone(), pod("c")]))[0], "record b 1 [*]");
        let another = with(pod("c"), |p| p.role = Role::Leader);
        assert_eq!(told(&fresh([pod("a"), by_hand, another]))[0], "record a 1 [*]");
    }

    #[test]
    fn is_over_for_a_group_without_pods() {
        let mut group = fresh([]);
        settle(&mut group);
        assert_eq!(says(&group, "CandidatesAvailable"), (false, "NoPods".into()));
        assert_eq!(plan(&group).wake_at, None);
    }

    #[test]
    fn with_no_history_kept_is_announced_all_the_same() {
        let mut group = fresh([pod("a")]);
        policy_mut(&mut group).history_limit = 0;
        assert_eq!(events(&settle(&mut group)), ["FirstElection"]);
        assert_eq!(group.group.status.history, []);
    }
}

mod reasons {
    use super::*;

    fn changed(change: impl FnOnce(&mut Snapshot)) -> (String, String) {
        let mut group = steady();
        group.now = NOW + Millis(1);
        change(&mut group);
        outcome(group)
    }

    #[test]
    fn each_trouble_of_the_leader_has_its_own() {
        let table: [(&str, fn(&mut SeenPod)); 7] = [
            ("LeaderTerminating", |p| p.terminating = true),
            ("LeaderFinished", |p| p.phase = PodPhase::Finished),
            ("LeaderNotReady", |p| p.ready = false),
            ("NodeSilent", |p| p.node_silent_from = Some(NOW)),
            ("LeaderExcluded", |p| p.excluded = true),
            ("LeaderExcluded", |p| p.of_job = true),
            ("LeaderDeselected", |p| p.membership = Membership::Deselected),
        ];
        for (reason, trouble) in table {
            let outcome = changed(|group| trouble(pod_mut(group, "a")));
            assert_eq!(outcome, ("b".into(), reason.into()));
        }
    }

    #[test]
    fn a_node_that_was_not_heard_is_asked_for_before_it_loses_its_leader() {
        let mut group = steady();
        *pod_mut(&mut group, "a") = with(leader("a", 3), |p| {
            (p.node, p.node_silent_from) = (Some("north".to_owned()), Some(NOW));
        });
        assert_eq!(told(&group)[..2], ["ask node north", "record b 4 [a]"]);
    }

    #[test]
    fn a_deleted_leader_is_replaced_without_a_question_when_its_deletion_was_seen() {
        let mut group = steady();
        delete(&mut group, "a");
        assert_eq!(
            told(&group),
            ["record b 4 []", "take lease b 4", "promote b 4", "status", "change LeaderDeleted"]
        );
    }

    #[test]
    fn a_leader_that_was_terminating_before_it_was_gone_says_so() {
        let gone = GonePod { at: NOW, was_terminating: true };
        let outcome = changed(|group| {
            delete(group, "a");
            group.gone.insert(id("a").uid, gone);
        });
        assert_eq!(outcome, ("b".into(), "LeaderTerminating".into()));
    }

    #[test]
    fn a_recreated_leader_does_not_inherit_the_label_as_such() {
        let mut group = steady();
        delete(&mut group, "a");
        let unready = with(recreated(pod("a")), |p| p.ready = false);
        group.pods.push(unready);
        assert_eq!(outcome(group), ("b".into(), "LeaderRecreated".into()));
    }

    #[test]
    fn a_recreated_sole_pod_is_elected_under_its_new_identity() {
        let mut group = settled(led("a", 3, [leader("a", 3)]));
        delete(&mut group, "a");
        group.pods.push(recreated(pod("a")));
        let mut after = group.clone();
        settle(&mut after);
        assert_eq!(after.leader_id().unwrap().uid, "a-uid-2");
        assert_eq!(outcome(group), ("a".into(), "LeaderRecreated".into()));
    }

    #[test]
    fn times_tell_when_it_was_seen_elected_and_labelled() {
        let mut group = steady();
        group = at(&group, NOW + Millis(2_000));
        *pod_mut(&mut group, "a") =
            with(leader("a", 3), |p| (p.ready, p.ready_seen_at) = (false, NOW + Millis(500)));
        settle(&mut group);
        let change = &group.group.status.history[0];
        assert_eq!(change.detected_at, Micros(WALL.0 + 500_000));
        assert_eq!(change.elected_at, Micros(WALL.0 + 2_000_000));
        assert_eq!(change.labelled_at, Some(Stamp::At(Micros(WALL.0 + 2_000_000))));
        assert_eq!((change.previous.as_deref(), change.leader.as_deref()), (Some("a"), Some("b")));
        assert_eq!(change.term, term(4));
    }

    /// A group of pods that are Ready for long, created 400 ms ago; and the same group, led by nobody since then.
    fn unled() -> [Snapshot; 2] {
        let mut new = fresh([pod("a")]);
        new.record_seen_at = Millis(NOW.0 - 400);
        let mut cleared = new.clone();
        cleared.group.status.record = Some(LeaderRecord { leader: None, ..record("a", 4) });
        [new, cleared]
    }

    /// When the cause of the newest change was seen, in milliseconds before the first moment of the tests.
    fn detected_before(mut group: Snapshot) -> i64 {
        settle(&mut group);
        (WALL.0 - group.group.status.history[0].detected_at.0) / 1000
    }

    #[test]
    fn a_group_without_a_leader_gets_one_because_of_what_changed_last() {
        for group in unled() {
            let with = |change: fn(&mut SeenPod)| {
                let mut group = group.clone();
                change(pod_mut(&mut group, "a"));
                detected_before(group)
            };
            assert_eq!(with(|_| ()), 400, "the group itself, or the loss of its leader");
            assert_eq!(with(|p| p.ready_seen_at = Millis(NOW.0 - 300)), 300);
            assert_eq!(with(|p| p.standing_changed_at = Millis(NOW.0 - 200)), 200, "it was excluded, say");
        }
    }

    #[test]
    fn a_group_that_reported_that_nobody_is_eligible_gets_a_leader_because_somebody_is() {
        for mut group in unled() {
            group.pods.iter_mut().for_each(|pod| pod.ready = false);
            group = at(&settled(group), NOW + Millis(600));
            let first = pod_mut(&mut group, "a");
            (first.ready, first.ready_seen_at) = (true, NOW + Millis(500));
            assert_eq!(detected_before(group), -500);
        }
    }

    #[test]
    fn a_group_that_was_held_back_gets_a_leader_because_it_is_no_longer() {
        for mut paused in unled() {
            policy_mut(&mut paused).paused = true;
            settle(&mut paused);
            policy_mut(&mut paused).paused = false;
            assert_eq!(detected_before(at(&paused, NOW + Millis(600))), -600);
        }
        for mut waiting in unled() {
            waiting.lease = Some(lease("somebody", 9));
            waiting.lease.as_mut().unwrap().content.owner = Owner::None;
            settle(&mut waiting);
            waiting.lease = None;
            assert_eq!(detected_before(at(&waiting, NOW + Millis(600))), -600);
        }
    }

    #[test]
    fn a_leader_in_two_troubles_is_replaced_when_the_first_patience_ends() {
        let mut group = steady();
        policy_mut(&mut group).not_ready = Millis::from_seconds(600);
        *pod_mut(&mut group, "a") = with(leader("a", 3), |p| {
            (p.ready, p.ready_seen_at) = (false, NOW);
            p.node_silent_from = Some(NOW + Millis(20_000));
        });
        settle(&mut group);
        let silent = at(&group, NOW + Millis(20_000));
        assert_eq!(outcome(silent), ("b".into(), "NodeSilent".into()));
    }
}

mod failover {
    use super::*;

    #[test]
    fn of_a_ready_leader_keeps_ten_milliseconds_between_demotion_and_promotion() {
        let mut group = steady();
        pod_mut(&mut group, "a").excluded = true;
        assert_eq!(
            told(&group),
            [
                "record b 4 [a]",
                "fence a 4, take lease b 4",
                "10 ms; promote b 4",
                "status",
                "change LeaderExcluded"
            ]
        );
    }

    #[test]
    fn of_an_endpoint_that_was_not_ready_any_more_keeps_three() {
        for (reason, change) in [
            ("LeaderNotReady", (|pod| (pod.ready, pod.ready_seen_at) = (false, NOW)) as fn(&mut SeenPod)),
            ("LeaderTerminating", |pod| pod.terminating = true),
        ] {
            let mut group = steady();
            change(pod_mut(&mut group, "a"));
            let told = told(&group);
            assert_eq!(told[..3], ["record b 4 [a]", "fence a 4, take lease b 4", "3 ms; promote b 4"]);
            assert_eq!(told[3..], ["status".to_owned(), format!("change {reason}")]);
        }
    }

    #[test]
    fn of_a_pod_that_is_gone_keeps_no_gap() {
        let mut group = steady();
        group.pods.retain(|pod| pod.id != id("a"));
        group.gone.insert(id("a").uid, GonePod { at: NOW, was_terminating: true });
        assert_eq!(told(&group)[..3], ["record b 4 []", "take lease b 4", "promote b 4"]);
    }

    #[test]
    fn waits_for_not_ready_seconds_to_the_millisecond() {
        let mut group = steady();
        policy_mut(&mut group).not_ready = Millis::from_seconds(3);
        (pod_mut(&mut group, "a").ready, pod_mut(&mut group, "a").ready_seen_at) = (false, NOW);
        settle(&mut group);
        assert_eq!(plan(&group).wake_at, Some(NOW + Millis(3_000)));
        assert_eq!(told(&at(&group, NOW + Millis(2_999))), NOTHING);
        assert_eq!(told(&at(&group, NOW + Millis(3_000)))[..2], ["ask same a", "record b 4 [a]"]);
    }

    #[test]
    fn from_a_leader_that_was_seen_not_ready_a_while_ago_asks_whether_it_still_is() {
        let mut group = steady();
        unready(&mut group, "a");
        assert_eq!(told(&at(&group, NOW + Millis(1_000)))[0], "record b 4 [a]");
        assert_eq!(told(&at(&group, NOW + Millis(1_001)))[..2], ["ask same a", "record b 4 [a]"]);
    }

    #[test]
    fn waits_for_the_cooldown_if_the_leader_still_exists() {
        let mut group = steady();
        policy_mut(&mut group).cooldown = Millis::from_seconds(4);
        (group.record_seen_at, group.cooldown_from) = (NOW, NOW);
        unready(&mut group, "a");
        settle(&mut group);
        assert_eq!(plan(&group).wake_at, Some(NOW + Millis(4_000)));
        assert_eq!(told(&at(&group, NOW + Millis(4_000)))[..2], ["ask same a", "record b 4 [a]"]);
        pod_mut(&mut group, "a").terminating = true;
        assert_eq!(told(&group)[0], "record b 4 [a]");
        delete(&mut group, "a");
        assert_eq!(told(&group)[0], "record b 4 []");
    }

    #[test]
    fn keeps_the_label_where_it_is_when_nobody_is_eligible() {
        let mut group = steady();
        for name in ["a", "b", "c"] {
            unready(&mut group, name);
        }
        assert_eq!(told(&group), ["status", "event NoCandidate"]);
        let plans = settle(&mut group);
        assert_eq!(events(&plans), ["NoCandidate"]);
        assert_eq!(
            (labelled(&group).join(" "), says(&group, "Ready")),
            ("a".into(), (false, "LeaderUnfit".into()))
        );
        assert_eq!(says(&group, "LeaderElected"), (true, "Elected".into()));
    }

    #[test]
    fn clears_the_label_when_nobody_is_eligible_and_the_policy_says_so() {
        let mut group = steady();
        policy_mut(&mut group).clear_without_candidate = true;
        for name in ["a", "b", "c"] {
            unready(&mut group, name);
        }
        assert_eq!(told(&group)[..2], ["record nobody 4 [a]", "fence a 4, release lease - 4"]);
        let mut plans = settle(&mut group);
        let mut said = events(&plans);
        said.sort();
        assert_eq!(said, ["LeaderNotReady", "NoCandidate"]);
        assert_eq!((labelled(&group).len(), says(&group, "LeaderElected")), (0, (false, "NoLeader".into())));

        pod_mut(&mut group, "a").ready = true;
        plans = settle(&mut group);
        assert_eq!(events(&plans), ["Recovered"]);
        assert_eq!(labelled(&group), ["a"]);
        assert_eq!(group.record().unwrap().term, term(5));
    }

    #[test]
    fn says_no_candidate_only_once() {
        let mut group = steady();
        for name in ["a", "b", "c"] {
            unready(&mut group, name);
        }
        settle(&mut group);
        pod_mut(&mut group, "c").terminating = true; // another reason why nobody is eligible
        assert_eq!(events(&settle(&mut group)), NOTHING);
        pod_mut(&mut group, "b").ready = true;
        settle(&mut group);
        unready(&mut group, "b");
        assert_eq!(events(&settle(&mut group)), ["NoCandidate"]);
    }

    #[test]
    fn from_a_deselected_leader_happens_even_if_nobody_follows() {
        let mut group = steady();
        pod_mut(&mut group, "a").membership = Membership::Deselected;
        for name in ["b", "c"] {
            unready(&mut group, name);
        }
        assert_eq!(
            told(&group),
            [
                "record nobody 4 [a]",
                "fence a 4, release lease - 4",
                "status",
                "change LeaderDeselected, event NoCandidate, unmark a"
            ]
        );
    }
}

mod sticky {
    use super::*;

    #[test]
    fn a_healthy_leader_stays_whatever_happens_to_others() {
        let table: [fn(&mut Snapshot); 6] = [
            |g| g.pods.push(with(pod("aa"), |p| p.weight = 1000)),
            |g| pod_mut(g, "b").weight = 1000,
            |g| pod_mut(g, "b").ready = false,
            |g| delete(g, "b"),
            |g| g.pods.push(with(pod("d"), |p| (p.revision, p.created_seconds) = (Some("new".into()), 900))),
            |g| (pod_mut(g, "a").weight, pod_mut(g, "a").ready_seen_at) = (-1000, NOW),
        ];
        for change in table {
            let mut group = steady();
            change(&mut group);
            let plans = settle(&mut group);
            assert_eq!((labelled(&group), events(&plans)), (vec!["a"], vec![]));
            assert_eq!(group.record().unwrap().term, term(3));
        }
    }

    #[test]
    fn a_restart_renews_the_lease_and_nothing_else() {
        let mut group = steady();
        let record = group.lease.take().unwrap().content;
        group.lease = Some(SeenLease::first_seen(record, NOW));
        (group.record_seen_at, group.cooldown_from) = (NOW, NOW);
        group.pods.iter_mut().for_each(|pod| pod.ready_seen_at = NOW);
        policy_mut(&mut group).min_ready = Millis(0);
        assert_eq!(told(&group), ["renew lease a 3"]);
    }

    #[test]
    fn a_leader_is_not_subject_to_min_ready_seconds() {
        let mut group = steady();
        policy_mut(&mut group).min_ready = Millis::from_seconds(60);
        pod_mut(&mut group, "a").ready_seen_at = NOW;
        settle(&mut group);
        assert_eq!(labelled(&group), ["a"]);
        assert!(says(&group, "Ready").0);
    }

    #[test]
    fn a_leader_that_is_merely_absent_from_the_cache_is_asked_for_before_anything_else() {
        let mut group = steady();
        group.pods.retain(|pod| pod.id.name != "a");
        assert_eq!(told(&group)[..2], ["ask pod a", "record b 4 []"]);
    }
}

mod candidates {
    use super::*;

    #[test]
    fn what_makes_a_pod_ineligible() {
        let table: [fn(&mut SeenPod); 11] = [
            |p| p.membership = Membership::Deselected,
            |p| p.membership = Membership::ClaimedBy("older".into()),
            |p| p.owner = Owner::Other(Identity::new("x", "x")),
            |p| p.phase = PodPhase::Finished,
            |p| p.phase = PodPhase::NotRunning,
            |p| p.ready = false,
            |p| p.terminating = true,
            |p| p.disrupted = true,
            |p| p.excluded = true,
            |p| p.node_silent_from = Some(NOW),
            |p| p.ready_seen_at = Millis(NOW.0 - 29_999),
        ];
        for change in table {
            let mut group = fresh([with(pod("a"), change), with(leader("z", 1), |p| p.ready = false)]);
            group.group.status.record = Some(record("z", 1)); // not the first election
            policy_mut(&mut group).min_ready = Millis::from_seconds(30);
            assert_eq!(ranked(&group, group.group.policy.as_ref().unwrap()).len(), 0, "{:?}", group.pods);
        }
    }

    /// With a plan for each of them, a large group that waits for its first pod would take seconds of a processor.
    #[test]
    fn that_cannot_lead_anyway_is_not_looked_at_again_when_its_node_may_fall_silent() {
        let from = Some(NOW + Millis(10_000));
        let pod = |name, ready| with(pod(name), |pod| (pod.ready, pod.node_silent_from) = (ready, from));
        let looked_at = |ready| {
            let group = fresh([pod("a", ready)]);
            let policy = group.group.policy.as_ref().unwrap();
            moments(&group, policy)
        };
        assert_eq!((looked_at(false), looked_at(true)), (vec![], vec![NOW + Millis(10_000)]));
    }

    #[test]
    fn min_ready_seconds_count_from_when_it_was_seen_ready() {
        let mut group = steady();
        policy_mut(&mut group).min_ready = Millis::from_seconds(30);
        unready(&mut group, "a");
        (pod_mut(&mut group, "b").ready_seen_at, pod_mut(&mut group, "c").ready_seen_at) = (NOW, NOW);
        group.lease = group.lease.map(|lease| SeenLease { changed_at: NOW + Millis(29_000), ..lease });
        settle(&mut group);
        assert_eq!(labelled(&group), ["a"]);
        assert_eq!(plan(&group).wake_at, Some(NOW + Millis(30_000)));
        assert_eq!(told(&at(&group, NOW + Millis(30_000)))[..2], ["ask same a", "record b 4 [a]"]);
    }

    #[test]
    fn a_leader_that_is_gone_or_going_is_replaced_though_nobody_has_min_ready_seconds() {
        let table: [fn(&mut Snapshot); 3] = [
            |g| delete(g, "a"),
            |g| pod_mut(g, "a").terminating = true,
            |g| pod_mut(g, "a").phase = PodPhase::Finished,
        ];
        for change in table {
            let mut group = steady();
            policy_mut(&mut group).min_ready = Millis::from_seconds(600);
            for name in ["b", "c"] {
                pod_mut(&mut group, name).ready_seen_at = NOW;
            }
            change(&mut group);
            settle(&mut group);
            assert_eq!(labelled(&group), ["b"]);
        }
    }

    #[test]
    fn the_first_election_does_not_wait_for_min_ready_seconds_if_nobody_has_them() {
        let young = |name| with(pod(name), |p| p.ready_seen_at = NOW);
        let mut group = fresh([young("a"), young("b")]);
        policy_mut(&mut group).min_ready = Millis::from_seconds(30);
        assert_eq!(told(&group)[0], "record a 1 [*]");
        group.pods[1].ready_seen_at = LONG_AGO;
        assert_eq!(told(&group)[0], "record b 1 [*]");
    }

    #[test]
    fn order_is_weight_then_newest_revision_then_ready_longest_then_name() {
        let pods = [
            with(pod("f"), |p| (p.revision, p.created_seconds) = (Some("old".into()), 100)),
            with(pod("e"), |p| (p.revision, p.created_seconds) = (Some("new".into()), 900)),
            with(pod("d"), |p| {
                (p.revision, p.created_seconds, p.ready_since_seconds) = (Some("new".into()), 800, Some(999));
            }),
            with(pod("c"), |p| p.weight = 1),
            with(pod("a"), |p| p.weight = -1),
            with(pod("b"), |p| (p.revision, p.created_seconds) = (Some("old".into()), 100)),
        ];
        let group = fresh(pods);
        let ranked = ranked(&group, group.group.policy.as_ref().unwrap());
        let names: Vec<_> = ranked.iter().map(|pod| pod.id.name.as_str()).collect();
        assert_eq!(names, ["c", "d", "e", "b", "f", "a"]);
    }

    #[test]
    fn the_newest_revision_is_that_of_the_youngest_pod_even_if_it_is_not_eligible() {
        let revised = |name, revision: &str, created| {
            with(pod(name), |p| (p.revision, p.created_seconds) = (Some(revision.to_owned()), created))
        };
        let starting = with(revised("c", "new", 900), |p| p.ready = false);
        let group = fresh([revised("a", "old", 100), revised("b", "new", 800), starting]);
        assert_eq!(told(&group)[0], "record b 1 [*]");
        let tie = fresh([revised("a", "7c", 100), revised("b", "7d", 100)]);
        assert_eq!(told(&tie)[0], "record b 1 [*]");
    }
}

mod the_lease {
    use super::*;

    #[test]
    fn is_renewed_at_exactly_the_renew_interval() {
        let group = steady();
        assert_eq!(plan(&group).wake_at, Some(NOW + Millis(5_000)));
        assert_eq!(told(&at(&group, NOW + Millis(4_999))), NOTHING);
        assert_eq!(told(&at(&group, NOW + Millis(5_000))), ["renew lease a 3"]);
    }

    #[test]
    fn of_ours_that_was_deleted_or_edited_is_written_again_without_a_change_of_leader() {
        let table: [(&str, fn(&mut Option<SeenLease>)); 6] = [
            ("take lease a 3", |l| *l = None),
            ("take lease a 3", |l| l.as_mut().unwrap().content.holder = Some("b".into())),
            ("take lease a 3", |l| l.as_mut().unwrap().content.holder = None),
            ("take lease a 3", |l| l.as_mut().unwrap().content.holder = Some(String::new())),
            ("renew lease a 3", |l| l.as_mut().unwrap().content.duration_seconds = Some(60)),
            ("renew lease a 3", |l| l.as_mut().unwrap().content.duration_seconds = None),
        ];
        for (expected, edit) in table {
            let mut group = steady();
            edit(&mut group.lease);
            assert_eq!(told(&group), [expected]);
        }
    }

    #[test]
    fn with_a_foreign_live_holder_is_never_stolen_and_the_leader_stays_as_it_is() {
        let mut group = steady();
        group.lease.as_mut().unwrap().content.owner = Owner::None;
        group.lease.as_mut().unwrap().content.holder = Some("somebody".to_owned());
        pod_mut(&mut group, "a").terminating = true;
        assert_eq!(told(&group), ["status", "event LeaseHeldByOther"]);
        settle(&mut group);
        assert_eq!(says(&group, "Accepted"), (false, "LeaseHeldByOther".into()));
        assert_eq!(says(&group, "Ready"), (false, "LeaseHeldByOther".into()));
        let ready = &condition(&group, "Ready").message;
        assert!(ready.ends_with("; pod a leads, but it is terminating"), "{ready}");
        assert_eq!(labelled(&group), ["a"]);
        assert_eq!(plan(&group).wake_at, Some(NOW + Millis(15_000)));
        assert_eq!(told(&at(&group, NOW + Millis(14_999))), NOTHING);
        assert_eq!(told(&at(&group, NOW + Millis(15_000)))[0], "record b 4 [a]");
    }

    /// `a` leads, `b` and `c` follow, but somebody else holds the Lease, so that nothing is elected.
    fn refused() -> Snapshot {
        let mut group = steady();
        let lease = group.lease.as_mut().unwrap();
        (lease.content.owner, lease.content.holder) = (Owner::None, Some("somebody".to_owned()));
        settled(group)
    }

    #[test]
    fn with_a_foreign_live_holder_keeps_no_pod_from_the_group_that_has_it_now() {
        let mut group = refused();
        for (name, membership) in
            [("b", Membership::Deselected), ("c", Membership::ClaimedBy("elder".into()))]
        {
            pod_mut(&mut group, name).membership = membership;
        }
        for paused in [false, true] {
            policy_mut(&mut group).paused = paused;
            let told = told(&settled(group.clone()));
            assert_eq!(told, NOTHING);
            let unmarked = settle(&mut group.clone());
            let unmarked = unmarked.iter().flat_map(|plan| &plan.steps).flat_map(|step| &step.intents);
            let unmarked: Vec<_> = unmarked
                .filter_map(|intent| match intent {
                    Intent::Release(pod, _) => Some(pod.name.as_str()),
                    _ => None,
                })
                .collect();
            assert_eq!(unmarked, ["b", "c"], "paused: {paused}");
        }
    }

    #[test]
    fn with_a_foreign_live_holder_lets_go_neither_of_a_label_nor_of_what_a_switch_still_needs() {
        let left = |change: &dyn Fn(&mut Snapshot)| {
            let mut group = refused();
            group.pods.iter_mut().for_each(|pod| pod.membership = Membership::Deselected);
            group.pods.retain(|pod| pod.id.name != "c");
            change(&mut group);
            let plans = settle(&mut group);
            let intents = plans.iter().flat_map(|plan| &plan.steps).flat_map(|step| &step.intents);
            intents.filter(|intent| matches!(intent, Intent::Release(..))).count()
        };
        assert_eq!(left(&|_| ()), 1, "all but the leader");
        assert_eq!(left(&|g| pod_mut(g, "b").role = Role::Leader), 0, "it may be the one that serves");
        let with_unfenced = |unfenced| LeaderRecord { unfenced, ..record("a", 4) };
        assert_eq!(left(&|g| g.group.status.record = Some(record("a", 4))), 1);
        assert_eq!(left(&|g| g.group.status.record = Some(with_unfenced(Unfenced::Pods(vec![id("b")])))), 0);
        assert_eq!(left(&|g| g.group.status.record = Some(with_unfenced(Unfenced::All))), 0);
        assert_eq!(left(&|g| pod_mut(g, "b").term = Some(term(5))), 0, "not above");
        assert_eq!(left(&|g| g.group.status.record = None), 0, "its term is told by nothing else");
    }

    #[test]
    fn with_a_foreign_live_holder_lets_nobody_be_elected() {
        let mut group = fresh([pod("a")]);
        group.lease = Some(lease("somebody", 9));
        group.lease.as_mut().unwrap().content.owner = Owner::None;
        assert_eq!(told(&group), ["status", "event LeaseHeldByOther"]);
    }

    /// A Lease without an owner, which nobody holds, or which ran out.
    fn unowned(holder: Option<&str>, change: impl FnOnce(&mut LeaseContent)) -> Snapshot {
        let mut group = fresh([pod("a")]);
        let mut seen = SeenLease { changed_at: LONG_AGO, ..lease("", 9) };
        (seen.content.owner, seen.content.holder) = (Owner::None, holder.map(str::to_owned));
        change(&mut seen.content);
        group.lease = Some(seen);
        group
    }

    const FREE: [Option<&str>; 3] = [None, Some(""), Some("host_1234")];

    #[test]
    fn that_no_group_has_written_is_left_alone_however_free_it_looks() {
        for holder in FREE {
            for adopt in [None, Some("other".to_owned())] {
                let mut group = unowned(holder, |lease| (lease.term, lease.adopt) = (None, adopt));
                assert_eq!(told(&group), ["status", "event LeaseNotOurs"]);
                settle(&mut group);
                assert_eq!(says(&group, "Accepted"), (false, "LeaseNotOurs".into()));
                let message = &condition(&group, "Accepted").message;
                assert!(message.contains("mode: Observed") && message.contains("adopt=orders"), "{message}");
                assert_eq!(labelled(&group), Vec::<&str>::new());
                group.lease = None;
                assert_eq!(labelled(&settled(group)), ["a"]);
            }
        }
    }

    #[test]
    fn that_a_group_once_wrote_and_nobody_holds_is_adopted_and_its_term_goes_on() {
        for holder in FREE {
            let mut group = unowned(holder, |_| {});
            assert_eq!(told(&group)[0], "record a 10 [*]");
            settle(&mut group);
            let lease = &group.lease.as_ref().unwrap().content;
            assert_eq!((lease.holder.as_deref(), lease.transitions, lease.is_ours()), (Some("a"), 4, true));
        }
    }

    #[test]
    fn that_a_user_gives_to_the_group_is_adopted_once_nobody_holds_it() {
        let give = |lease: &mut LeaseContent| {
            (lease.term, lease.adopt) = (None, Some("orders".to_owned()));
        };
        for holder in FREE {
            let group = settled(unowned(holder, give));
            assert!(group.lease.as_ref().unwrap().content.is_ours());
            assert_eq!(labelled(&group), ["a"]);
        }
        let mut held = unowned(Some("host_1234"), give);
        held.lease.as_mut().unwrap().changed_at = NOW;
        assert_eq!(told(&held), ["status", "event LeaseHeldByOther"]);
    }

    #[test]
    fn whose_owner_reference_was_lost_gets_it_back_with_the_next_write_of_its_holders_group() {
        let mut group = steady();
        group.lease.as_mut().unwrap().content.owner = Owner::None;
        assert_eq!(told(&group), ["renew lease a 3"]);
        settle(&mut group);
        let lease = &group.lease.as_ref().unwrap().content;
        assert_eq!((lease.is_ours(), lease.transitions), (true, 3));
        group.lease.as_mut().unwrap().content.owner = Owner::None;
        pod_mut(&mut group, "a").ready = false;
        assert_eq!(labelled(&settled(group)), ["b"], "and is no reason to wait");
    }

    #[test]
    fn that_a_group_left_behind_is_taken_over_once_that_group_is_known_to_be_gone() {
        let mut group = fresh([pod("a"), pod("b")]);
        group.lease = Some(lease("b", 9));
        group.lease.as_mut().unwrap().content.owner = Owner::Vanished(Identity::new("orders", "earlier"));
        assert_eq!(told(&group), ["record a 10 [*]", "list 10"]); // its term goes on
        let record = plan(&group);
        apply(&mut group, &record);
        let steps = ["ask group orders", "ask record", "fence b 10, take lease a 10", "promote a 10"];
        assert_eq!(told(&group)[..4], steps);
        settle(&mut group);
        let lease = &group.lease.as_ref().unwrap().content;
        assert_eq!((lease.holder.as_deref(), lease.transitions, lease.is_ours()), (Some("a"), 4, true));
    }

    #[test]
    fn of_another_group_that_exists_is_never_stolen() {
        let mut group = fresh([pod("a")]);
        group.lease = Some(lease("a", 9));
        group.lease.as_mut().unwrap().content.owner = Owner::Other(Identity::new("older", "o"));
        assert_eq!(told(&group), ["status", "event LeaseHeldByOther"]);
        settle(&mut group);
        let message = &condition(&group, "Accepted").message;
        assert_eq!(
            message,
            "Lease orders belongs to group older: recreate one of the two with another lease.name"
        );
    }

    #[test]
    fn counts_as_changed_when_only_its_renew_time_changed() {
        let mut observed = lease("x", 1);
        let mut again = observed.content.clone();
        again.times.1 = Some(99);
        observed.note(again, NOW + Millis(7));
        assert_eq!(observed.valid_until(Millis(0)), NOW + Millis(15_007));
        let mut relabelled = observed.content.clone();
        (relabelled.version.0, relabelled.term) = (999, None);
        observed.note(relabelled, NOW + Millis(9_000));
        assert_eq!(observed.valid_until(Millis(0)), NOW + Millis(15_007));
    }

    #[test]
    fn of_a_leader_that_is_gone_or_finished_is_not_renewed() {
        let mut group = settled(led("a", 3, [leader("a", 3)]));
        pod_mut(&mut group, "a").phase = PodPhase::Finished;
        settle(&mut group);
        assert_eq!(told(&at(&group, NOW + Millis(60_000))), NOTHING);
        delete(&mut group, "a");
        settle(&mut group);
        assert_eq!(told(&at(&group, NOW + Millis(60_000))), NOTHING);
    }

    #[test]
    fn with_a_higher_term_than_the_record_is_not_overwritten_with_a_lower_one() {
        let mut group = steady();
        group.lease = Some(lease("b", 9));
        assert_eq!(told(&group)[..2], ["record a 10 []", "take lease a 10"]);
    }

    #[test]
    fn that_only_changes_its_term_keeps_its_transitions() {
        let mut group = steady();
        group.lease.as_mut().unwrap().content.term = None;
        settle(&mut group);
        assert_eq!(group.lease.unwrap().content.transitions, 3);
    }
}

mod what_can_wait {
    use super::*;

    fn told_urgently(group: &Snapshot) -> Vec<Step> {
        plan(group).urgent_part().steps
    }

    #[test]
    fn is_left_to_the_next_plan_if_somebody_waits_for_this_one() {
        let mut group = steady();
        group.pods.push(pod("d"));
        unready(&mut group, "a");
        let steps = told_urgently(&group);
        let follows =
            |step: &Step| step.intents.iter().any(|intent| matches!(intent, Intent::LabelFollower(_)));
        assert!(!steps.iter().any(follows), "{steps:#?}");
        let said = |intent: &Intent| matches!(intent, Intent::AnnounceChange(_));
        assert!(steps.last().unwrap().intents.iter().any(said), "what is said once is not lost: {steps:#?}");
        settle(&mut group);
        assert_eq!(group.pod(&id("d")).unwrap().role, Role::Follower);
    }

    #[test]
    fn comes_by_itself_if_nobody_waits_for_anything() {
        let mut group = steady();
        group.pods.push(pod("d"));
        group = at(&group, NOW + Millis(5_000));
        group.reported_at = group.now; // the new count waits, too
        let plan = plan(&group);
        assert_eq!((plan.low_priority_requests(), plan.clone().urgent_part()), (Some(2), plan));
    }

    /// The Lease keeps its holder, and only its term is new: still nobody is promoted before it has that (S3).
    #[test]
    fn does_not_if_something_urgent_comes_after_it() {
        let mut group = steady();
        *pod_mut(&mut group, "a") = with(follower("a", 9), |_| ());
        let steps = told_urgently(&group);
        let renews = |step: &Step| {
            step.intents.iter().any(
                |intent| matches!(intent, Intent::WriteLease(write) if write.action == LeaseAction::Renew),
            )
        };
        let promotes = |step: &Step| step.intents.iter().any(|intent| matches!(intent, Intent::Promote(_)));
        let (lease, promotion) = (steps.iter().position(renews), steps.iter().position(promotes));
        assert!(lease.is_some() && lease < promotion, "{steps:#?}");
    }
}

mod paused {
    use super::*;

    fn paused() -> Snapshot {
        let mut group = steady();
        policy_mut(&mut group).paused = true;
        settled(group)
    }

    #[test]
    fn says_so_in_the_reason_of_ready() {
        assert_eq!(says(&paused(), "Ready"), (true, "Paused".into()));
    }

    #[test]
    fn moves_nothing_not_even_to_no_leader() {
        let table: [fn(&mut Snapshot); 4] = [
            |g| delete(g, "a"),
            |g| pod_mut(g, "a").terminating = true,
            |g| pod_mut(g, "a").membership = Membership::Deselected,
            |g| policy_mut(g).clear_without_candidate = true,
        ];
        for change in table {
            let mut group = paused();
            change(&mut group);
            unready(&mut group, "b");
            let before = labelled(&group).join(" ");
            settle(&mut group);
            assert_eq!((labelled(&group).join(" "), group.record().unwrap().term), (before, term(3)));
        }
    }

    #[test]
    fn does_not_say_that_nobody_is_eligible_when_it_is_the_pause_that_holds() {
        let mut group = paused();
        delete(&mut group, "a");
        settle(&mut group);
        let elected = condition(&group, "LeaderElected");
        assert_eq!((elected.holds, elected.reason.as_str()), (false, "LeaderGone"));
        assert_eq!(elected.message, "pod a is gone, and nothing moves while paused");
    }

    #[test]
    fn elects_nobody() {
        let mut group = fresh([pod("a")]);
        policy_mut(&mut group).paused = true;
        settle(&mut group);
        assert_eq!((labelled(&group).len(), group.record()), (0, None));
    }

    #[test]
    fn renews_and_repairs() {
        let mut group = paused();
        assert_eq!(told(&at(&group, NOW + Millis(5_000))), ["renew lease a 3"]);
        pod_mut(&mut group, "a").role = Role::Absent;
        assert_eq!(told(&group), ["ask record", "promote a 3", "event LabelRepaired"]);
    }

    #[test]
    fn records_the_labelled_pod_again_when_the_status_was_emptied() {
        let mut group = paused();
        group.group.status.record = None;
        assert_eq!(told(&group), ["record a 4 [*]", "list 4"]);
        settle(&mut group);
        assert_eq!(labelled(&group), ["a"]);
    }

    #[test]
    fn leaves_a_deselected_leader_without_label_alone() {
        let mut group = paused();
        let leader = pod_mut(&mut group, "a");
        (leader.membership, leader.role) = (Membership::Deselected, Role::Absent);
        settle(&mut group); // must come to rest
        assert_eq!(labelled(&group).len(), 0);
    }
}

mod overlap {
    use super::*;

    fn claimed(name: &str) -> Snapshot {
        let mut group = steady();
        pod_mut(&mut group, name).membership = Membership::ClaimedBy("older".into());
        group
    }

    #[test]
    fn lets_go_of_exactly_the_pods_that_the_older_group_claims() {
        let mut group = claimed("b");
        assert_eq!(told(&group), ["status", "event OverlappingSelector, unmark b"]);
        settle(&mut group);
        assert_eq!(says(&group, "Accepted"), (false, "OverlappingSelector".into()));
        assert_eq!(labelled(&group), ["a"]);
    }

    #[test]
    fn of_a_pod_that_ends_holds_nothing_up() {
        let ends: [fn(&mut SeenPod); 2] = [|p| p.phase = PodPhase::Finished, |p| p.terminating = true];
        for end in ends {
            let mut group = claimed("b");
            end(pod_mut(&mut group, "b"));
            pod_mut(&mut group, "a").ready = false;
            settle(&mut group);
            assert_eq!((labelled(&group), says(&group, "Accepted").0), (vec!["c"], true));
        }
    }

    #[test]
    fn gives_up_a_leader_that_the_older_group_claims_and_elects_no_other() {
        let mut group = claimed("a");
        assert_eq!(
            told(&group),
            [
                "record nobody 4 [a]",
                "fence a 4, release lease - 4",
                "status",
                "change LeaderDeselected, event OverlappingSelector, unmark a"
            ]
        );
        settle(&mut group);
        assert_eq!(told(&group), NOTHING);
    }

    #[test]
    fn takes_a_leader_from_a_paused_group_too() {
        let mut group = claimed("a");
        policy_mut(&mut group).paused = true;
        settle(&mut group);
        assert_eq!(labelled(&group), [""; 0]);
        assert_eq!(group.leader_id(), None);
        assert_eq!(group.pod(&id("a")).map(|pod| &pod.owner), Some(&Owner::None));
        assert_eq!(told(&group), NOTHING);
    }

    #[test]
    fn takes_a_leader_from_a_group_that_is_refused() {
        let mut group = claimed("a");
        let lease = &mut group.lease.as_mut().unwrap().content;
        (lease.owner, lease.holder) = (Owner::None, Some("somebody".into()));
        assert_eq!(told(&group), ["status", "event LeaseHeldByOther, unmark a"]);
    }

    #[test]
    fn without_a_leader_is_the_reason_why_it_is_not_ready_and_no_claimed_pod_is_said_to_be_missing() {
        let mut group = claimed("a");
        for name in ["b", "c"] {
            pod_mut(&mut group, name).membership = Membership::ClaimedBy("older".into());
        }
        settle(&mut group);
        assert_eq!(says(&group, "LeaderElected"), (false, "NoLeader".into()));
        assert_eq!(says(&group, "Ready"), (false, "OverlappingSelector".into()));
        let why = "group older is older and selects pod a too: narrow one of the selectors; no pod leads";
        assert_eq!(condition(&group, "Ready").message, why);
        let others = "pod a: it belongs to another group; pod b: it belongs to another group; pod c: it belongs to \
                      another group";
        assert_eq!(condition(&group, "CandidatesAvailable").message, others);
    }

    #[test]
    fn moves_nothing_as_long_as_it_lasts() {
        let mut group = claimed("b");
        settle(&mut group);
        unready(&mut group, "a");
        settle(&mut group);
        assert_eq!((labelled(&group), group.record().unwrap().term), (vec!["a"], term(3)));
    }

    #[test]
    fn writes_nothing_on_pods_of_the_older_group() {
        let foreign = Owner::Other(Identity::new("older", "older-uid"));
        for mark in [foreign, Owner::None] {
            let mut group = claimed("b");
            let pod = pod_mut(&mut group, "b");
            (pod.owner, pod.role, pod.term) = (mark, Role::Leader, Some(term(99)));
            settle(&mut group);
            assert_eq!(labelled(&group), ["a", "b"]);
        }
    }

    #[test]
    fn does_not_take_the_label_from_a_recorded_leader_without_a_record() {
        let mut group = claimed("b");
        pod_mut(&mut group, "a").membership = Membership::Deselected;
        assert_eq!(told(&group)[0], "record nobody 4 [a]");
    }

    #[test]
    fn records_the_labelled_pod_again_when_the_status_was_emptied() {
        let mut group = settled(claimed("b"));
        group.group.status.record = None;
        assert_eq!(told(&group)[0], "record a 4 [*]");
    }
}

mod drift {
    use super::*;

    #[test]
    fn follower_labels_are_given_by_the_dozen_so_that_a_failover_waits_for_no_more() {
        let mut group = steady();
        group.pods.extend((0..100).map(|number| pod(&format!("n{number:02}"))));
        let given = |group: &Snapshot| {
            let steps = plan(group).steps;
            steps.last().map_or(0, |step| {
                step.intents.iter().filter(|intent| matches!(intent, Intent::LabelFollower(_))).count()
            })
        };
        assert_eq!(given(&group), MAX_LOW_PRIORITY_WRITES);
        for left in [
            100 - MAX_LOW_PRIORITY_WRITES,
            100 - 2 * MAX_LOW_PRIORITY_WRITES,
            100 - 3 * MAX_LOW_PRIORITY_WRITES,
            0,
        ] {
            plan(&group).steps.iter().flat_map(|step| &step.intents).for_each(|intent| group.project(intent));
            assert_eq!(given(&group), left.min(MAX_LOW_PRIORITY_WRITES));
        }
    }

    /// All groups share the slots for requests: none waits until the thousand pods of one that is gone are clean.
    #[test]
    fn the_pods_of_a_vanished_group_are_cleaned_by_the_dozen_until_none_is_left() {
        for proved in [false, true] {
            let mut left: Vec<_> = (0..100).map(|number| (id(&format!("n{number}")), Version(1))).collect();
            for rounds in 0.. {
                let steps = clean_up(&support::group_id(), &left, proved).steps;
                if steps.is_empty() {
                    assert_eq!((rounds, left.len()), (100_usize.div_ceil(MAX_LOW_PRIORITY_WRITES), 0));
                    break;
                }
                let asks = steps[0].intents == [Intent::ConfirmGroupGone(support::group_id())];
                assert_eq!((asks, steps.len()), (!proved, if proved { 1 } else { 2 }));
                let cleaned = &steps.last().unwrap().intents;
                assert!(cleaned.len() <= MAX_LOW_PRIORITY_WRITES, "{}", cleaned.len());
                left.retain(|(pod, version)| !cleaned.contains(&Intent::Release(pod.clone(), *version)));
            }
        }
    }

    #[test]
    fn a_missing_or_wrong_leader_label_is_given_back() {
        for role in [Role::Absent, Role::Follower, Role::Other] {
            let mut group = steady();
            pod_mut(&mut group, "a").role = role;
            assert_eq!(told(&group), ["ask record", "promote a 3", "event LabelRepaired"]);
        }
    }

    #[test]
    fn a_missing_mark_or_term_is_given_back() {
        let changes: [fn(&mut SeenPod); 3] =
            [|p| p.owner = Owner::None, |p| p.term = None, |p| p.term = Some(term(1))];
        for change in changes {
            let mut group = steady();
            change(pod_mut(&mut group, "a"));
            assert_eq!(told(&group), ["ask record", "promote a 3"]);
        }
    }

    #[test]
    fn a_copied_label_is_taken_away_and_demotion_comes_first() {
        let mut group = steady();
        pod_mut(&mut group, "b").role = Role::Leader;
        pod_mut(&mut group, "a").role = Role::Absent;
        unready(&mut group, "b");
        assert_eq!(told(&group)[0], "record a 4 []"); // b carries the label with the term of the record
        settle(&mut group);
        assert_eq!(labelled(&group), ["a"]);
    }

    #[test]
    fn a_label_lost_once_the_change_is_complete_is_told() {
        let mut group = steady();
        delete(&mut group, "a");
        settle(&mut group);
        pod_mut(&mut group, "b").role = Role::Absent;
        assert_eq!(told(&group), ["ask record", "promote b 4", "event LabelRepaired"]);
    }

    #[test]
    fn a_leader_deselected_before_anybody_marked_it_is_fenced_all_the_same() {
        let mut group = fresh([with(pod("a"), |p| p.membership = Membership::Deselected), pod("b")]);
        group.group.status.record = Some(LeaderRecord { unfenced: Unfenced::All, ..record("a", 1) });
        let plans = settle(&mut group);
        let mut intents = plans.iter().flat_map(|plan| &plan.steps).flat_map(|step| &step.intents);
        let fenced = |intent: &Intent| matches!(intent, Intent::Fence(write) if write.pod == id("a"));
        assert!(intents.any(fenced), "{plans:#?}");
        assert_eq!(labelled(&group), ["b"]);
    }

    #[test]
    fn a_label_that_an_edited_spec_names_otherwise_is_written_and_no_repair() {
        let mut group = steady();
        group.group.generation += 1;
        pod_mut(&mut group, "a").role = Role::Other;
        assert_eq!(told(&group), ["ask record", "promote a 3", "status"]);
    }

    #[test]
    fn a_label_copied_without_its_term_needs_no_new_record() {
        let mut group = steady();
        let copy = pod_mut(&mut group, "b");
        (copy.role, copy.term, copy.owner) = (Role::Leader, None, Owner::None);
        assert_eq!(told(&group), ["fence b 3", "event LabelRepaired"]);
    }

    #[test]
    fn a_label_baked_into_a_template_is_taken_from_a_new_pod() {
        let mut group = steady();
        group.pods.push(with(pod("d"), |p| p.role = Role::Leader));
        assert_eq!(told(&group), ["fence d 3", "status", "event LabelRepaired"]);
    }

    #[test]
    fn a_new_pod_gets_the_follower_label_and_a_finished_or_terminating_one_does_not() {
        let mut group = steady();
        group.pods.push(pod("d"));
        assert_eq!(told(&group), ["status", "follow d 3"]);
        for change in [(|p| p.phase = PodPhase::Finished) as fn(&mut SeenPod), |p| p.terminating = true] {
            let mut group = steady();
            group.pods.push(with(pod("d"), change));
            assert!(!told(&group).join(",").contains("follow"));
        }
    }

    #[test]
    fn followers_without_a_label_are_left_alone_unless_they_carry_one() {
        let mut group = steady();
        policy_mut(&mut group).followers_are_labelled = false;
        assert_eq!(told(&group), ["follow b 3, follow c 3"]);
        settle(&mut group);
        assert_eq!(group.pods.iter().filter(|pod| pod.role == Role::Absent).count(), 2);
    }

    #[test]
    fn a_pod_that_is_no_longer_selected_loses_exactly_what_was_written_on_it() {
        let mut group = steady();
        pod_mut(&mut group, "b").membership = Membership::Deselected;
        assert_eq!(told(&group), ["status", "unmark b"]);
    }

    #[test]
    fn a_leader_that_cannot_be_labelled_is_not_announced_as_repaired() {
        let mut group = settled(led("a", 3, [leader("a", 3)]));
        let finished = pod_mut(&mut group, "a");
        (finished.phase, finished.role) = (PodPhase::Finished, Role::Absent);
        settle(&mut group); // must come to rest
        assert_eq!(told(&group), NOTHING);
    }

    #[test]
    fn a_renamed_leader_in_the_status_is_still_the_pod_of_that_uid() {
        let mut group = steady();
        let leader = group.group.status.record.as_mut().unwrap().leader.as_mut().unwrap();
        leader.id.name = "b".to_owned();
        assert_eq!(told(&group), ["status"]);
        settle(&mut group);
        assert_eq!(group.leader_id(), Some(&id("a")));
    }
}

mod the_record {
    use super::*;

    #[test]
    fn that_an_operator_left_behind_is_finished_from_where_it_stands() {
        let mut group = steady();
        let mut next = record("b", 4);
        next.unfenced = Unfenced::Pods(vec![id("a")]);
        group.group.status.record = Some(next);
        unready(&mut group, "a");
        assert_eq!(told(&group)[..2], ["ask record, fence a 4, take lease b 4", "3 ms; promote b 4"]);
        *pod_mut(&mut group, "a") = with(follower("a", 4), |p| p.ready = false);
        assert_eq!(told(&group)[..2], ["ask record, take lease b 4", "promote b 4"]);
    }

    #[test]
    fn hands_its_unfenced_pods_on_unless_they_are_fenced_or_gone() {
        let mut group = steady();
        group.pods.extend([follower("d", 4), follower("e", 3), leader("f", 3)]);
        let mut next = record("b", 4);
        next.unfenced = Unfenced::Pods(["a", "d", "e", "f", "g", "h"].map(id).to_vec());
        group.gone.insert(id("g").uid, GonePod { at: NOW, was_terminating: false });
        group.group.status.record = Some(next);
        unready(&mut group, "a");
        pod_mut(&mut group, "b").terminating = true;
        pod_mut(&mut group, "c").weight = 1;
        // a leads still; d is fenced; e and f are not; g is gone; h is not in the cache, which proves nothing
        assert_eq!(told(&group)[0], "record c 5 [a b e f h]");
        assert_eq!(told(&group)[1], "ask pod h, fence a 5, fence b 5, fence e 5, fence f 5, take lease c 5");
    }

    #[test]
    fn without_one_before_it_leaves_everybody_unfenced_and_the_next_one_names_them_from_a_list() {
        let mut group = fresh([pod("a"), pod("b")]);
        let mut first = record("a", 1);
        first.unfenced = Unfenced::All;
        group.group.status.record = Some(first);
        assert_eq!(told(&group), ["list 1"]);
        pod_mut(&mut group, "a").terminating = true;
        assert_eq!(told(&group), ["list 1"]);
        group.listed_for = Some(group.group.version);
        assert_eq!(told(&group)[..2], ["record b 2 [a]", "fence a 2, take lease b 2"]);
    }

    #[test]
    fn of_unproved_absence_is_asked_about_before_the_promotion() {
        let mut group = steady();
        let mut next = record("b", 4);
        next.unfenced = Unfenced::Pods(vec![id("z")]);
        group.group.status.record = Some(next);
        unready(&mut group, "a");
        assert_eq!(
            told(&group)[..2],
            ["ask pod z, ask record, fence a 4, take lease b 4", "3 ms; promote b 4"]
        );
    }

    #[test]
    fn that_was_emptied_is_made_again_for_the_pod_that_carries_the_label() {
        let mut group = steady();
        group.group.status = election_operator::planner::snapshot::GroupStatus::default();
        pod_mut(&mut group, "b").weight = 100;
        assert_eq!(told(&group), ["record a 4 [*]", "list 4"]);
        let plans = settle(&mut group);
        assert_eq!((labelled(&group), events(&plans)), (vec!["a"], vec!["Recovered".to_owned()]));
    }

    #[test]
    fn that_was_emptied_takes_its_term_from_pods_and_lease() {
        let mut group = fresh([follower("a", 8)]);
        assert_eq!(told(&group)[0], "record a 9 [*]");
        group.lease = Some(lease("a", 20));
        assert_eq!(told(&group)[0], "record a 21 [*]");
    }

    #[test]
    fn that_names_an_unknown_leader_keeps_its_term_and_the_leader_that_is_labelled() {
        let mut group = steady();
        group.group.status.record = None;
        group.group.status.lost_term = Some(term(40));
        pod_mut(&mut group, "b").weight = 100;
        assert_eq!(told(&group), ["record a 41 [*]", "list 41"]);
        settle(&mut group);
        assert_eq!((labelled(&group), group.group.status.lost_term), (vec!["a"], None));
    }

    #[test]
    fn that_a_user_changed_is_followed() {
        let mut group = steady();
        let leader = group.group.status.record.as_mut().unwrap().leader.as_mut().unwrap();
        leader.id = id("b");
        settle(&mut group);
        assert_eq!(labelled(&group), ["b"]);
        assert_eq!(group.record().unwrap().term, term(4));
    }

    #[test]
    fn is_made_again_with_a_higher_term_before_a_pod_above_it_is_written() {
        let mut group = steady();
        *pod_mut(&mut group, "b") = leader("b", 9);
        assert_eq!(
            told(&group)[..2],
            ["record a 10 [a]".replace("[a]", "[]"), "fence b 10, renew lease a 10".into()]
        );
    }

    #[test]
    fn stays_while_a_pod_above_it_needs_no_write() {
        let mut group = steady();
        *pod_mut(&mut group, "b") = follower("b", 9);
        assert_eq!(told(&group), NOTHING);
    }

    #[test]
    fn names_its_leader_again_when_a_second_pod_carries_the_label_of_its_term() {
        let mut group = steady();
        *pod_mut(&mut group, "b") = leader("b", 3);
        assert_eq!(told(&group)[0], "record a 4 []");
        assert_eq!(told(&group)[1], "fence b 4, renew lease a 4");
    }

    #[test]
    fn is_not_made_when_the_terms_are_used_up_and_the_condition_says_so() {
        let mut group = steady();
        *pod_mut(&mut group, "b") = with(leader("b", 3), |p| p.term = Some(Term::MAX));
        let plans = settle(&mut group);
        assert_eq!(events(&plans), ["TermExhausted"]);
        assert_eq!(says(&group, "Accepted"), (false, "TermExhausted".into()));
        assert_eq!(labelled(&group), ["a", "b"]);
    }

    #[test]
    fn that_is_itself_at_the_last_term_says_so_too() {
        let mut group = steady();
        group.group.status.record.as_mut().unwrap().term = Term::MAX;
        unready(&mut group, "a");
        settle(&mut group);
        assert_eq!(says(&group, "Accepted"), (false, "TermExhausted".into()));
    }

    #[test]
    fn of_another_group_with_the_last_term_does_not_matter() {
        let mut group = steady();
        let foreign = Owner::Other(Identity::new("x", "x"));
        group.pods.push(with(pod("d"), |p| (p.owner, p.term) = (foreign, Some(Term::MAX))));
        settle(&mut group);
        assert_eq!(says(&group, "Accepted"), (true, "Accepted".into()));
    }
}

mod proofs {
    use super::*;

    #[test]
    fn a_promotion_by_the_plan_that_records_needs_no_question() {
        let mut group = steady();
        *pod_mut(&mut group, "b") = pod("b");
        unready(&mut group, "a");
        assert_eq!(told(&group)[..3], ["record b 4 [a]", "fence a 4, take lease b 4", "3 ms; promote b 4"]);
    }

    #[test]
    fn a_promotion_by_a_later_plan_asks_for_the_record_whatever_the_pods_mark_says() {
        let marks = [pod("b"), with(follower("b", 3), |p| p.term = None), follower("b", 3), follower("b", 4)];
        for next in marks {
            let mut group = steady();
            group.group.status.record = Some(record("b", 4));
            unready(&mut group, "a");
            *pod_mut(&mut group, "b") = next;
            assert_eq!(told(&group)[0], "ask record, fence a 4, take lease b 4");
        }
    }

    #[test]
    fn a_list_counts_for_the_version_of_the_group_that_it_was_made_for() {
        let mut group = fresh([pod("a")]);
        let mut first = record("a", 1);
        first.unfenced = Unfenced::All;
        group.group.status.record = Some(first);
        group.listed_for = Some(Version(group.group.version.0 - 1));
        assert_eq!(told(&group), ["list 1"]);
        group.listed_for = Some(group.group.version);
        assert_eq!(told(&group)[..2], ["ask record, take lease a 1", "promote a 1"]);
    }
}

mod marks {
    use super::*;

    #[test]
    fn of_another_group_that_exists_are_never_written_over() {
        let foreign = Owner::Other(Identity::new("x", "x"));
        for role in [Role::Absent, Role::Follower] {
            let mut group = steady();
            group.pods.push(with(follower("d", 99), |p| (p.owner, p.role) = (foreign.clone(), role)));
            let before = group.pods[3].clone();
            settle(&mut group);
            assert_eq!(group.pods[3], before);
        }
    }

    #[test]
    fn of_another_group_on_the_leader_make_it_deselected() {
        let mut group = steady();
        pod_mut(&mut group, "a").owner = Owner::Other(Identity::new("x", "x"));
        pod_mut(&mut group, "a").role = Role::Absent;
        assert_eq!(
            told(&group)[..3],
            ["record b 4 [a]", "ask same a, ask there x, take lease b 4", "promote b 4"]
        );
    }

    #[test]
    fn of_another_group_beside_the_leader_label_hold_the_promotion_back() {
        let mut group = steady();
        pod_mut(&mut group, "a").owner = Owner::Other(Identity::new("x", "x"));
        assert_eq!(
            told(&group)[..3],
            ["record b 4 [a]", "ask same a, ask there x, take lease b 4", "status"]
        );
        settle(&mut group);
        assert_eq!(labelled(&group), ["a"]);
        assert_eq!(says(&group, "Ready"), (false, "SecondLabel".into()));
        let waits = "pod b is to lead in term 4, once group x has taken the leader label from pod a, which carries its \
                     mark";
        assert_eq!(condition(&group, "Ready").message, waits);
        pod_mut(&mut group, "a").owner = Owner::None; // that group lets it go, or its user takes the mark away
        assert_eq!(told(&group)[..2], ["ask record, fence a 4", "10 ms; promote b 4"]);
        settle(&mut group);
        assert_eq!(labelled(&group), ["b"]);
    }

    #[test]
    fn of_another_group_count_as_a_fence_only_if_that_group_exists_after_the_record() {
        let foreign = Owner::Other(Identity::new("x", "x"));
        let mut group = fresh([pod("a"), with(pod("b"), |p| p.owner = foreign)]);
        let first = plan(&group);
        support::apply(&mut group, &first);
        assert_eq!(told(&group)[..2], ["ask record, ask there x, take lease a 1", "promote a 1"]);
    }

    #[test]
    fn of_a_vanished_group_are_taken_over_after_asking_for_both() {
        let orphaned = Owner::Vanished(Identity::new("old", "old-uid"));
        let mut group =
            fresh([with(pod("a"), |p| (p.owner, p.role) = (orphaned.clone(), Role::Leader)), pod("b")]);
        assert_eq!(told(&group), ["record a 1 [*]", "list 1"]);
        let first = plan(&group);
        support::apply(&mut group, &first);
        assert_eq!(
            told(&group)[..4],
            ["ask group old", "ask record", "fence b 1, take lease a 1", "promote a 1"]
        );
        group.pods[0].role = Role::Absent;
        group.pods[1].owner = orphaned;
        assert_eq!(told(&group)[..2], ["ask group old", "ask record"]);
    }

    #[test]
    fn of_the_previous_life_of_the_group_count_for_the_term() {
        let orphaned = Owner::Vanished(Identity::new("orders", "earlier-uid"));
        let mut group = fresh([with(follower("a", 8), |p| p.owner = orphaned)]);
        assert_eq!(told(&group)[0], "record a 9 [*]");
        settle(&mut group);
        assert_eq!(labelled(&group), ["a"]);
    }

    #[test]
    fn of_a_pod_that_stays_alone_ask_nothing() {
        let orphaned = Owner::Vanished(Identity::new("old", "old-uid"));
        let mut group = steady();
        group.pods.push(with(pod("d"), |p| (p.owner, p.terminating) = (orphaned, true)));
        assert!(!told(&group).join(",").contains("ask"));
    }
}

mod switchover {
    use super::*;

    fn asked(name: &str) -> Snapshot {
        let mut group = steady();
        group.group.switchover = Some(name.to_owned());
        group
    }

    #[test]
    fn of_a_group_without_a_leader_says_who_is_elected() {
        let mut group = fresh([pod("a"), pod("b")]);
        group.group.switchover = Some("b".to_owned());
        assert_eq!(told(&group), ["record b 1 [*]", "list 1"]);
        settle(&mut group);
        assert_eq!((labelled(&group), group.group.switchover.is_none()), (vec!["b"], true));
        assert_eq!(group.group.status.history[0].reason, "Switchover");
    }

    #[test]
    fn stays_behind_the_fence_for_as_long_as_the_one_that_needs_it_longest() {
        let mut group = asked("c");
        let copied = pod_mut(&mut group, "b");
        (copied.role, copied.ready) = (Role::Leader, false);
        assert_eq!(told(&group)[1..3], ["fence a 4, fence b 4, take lease c 4", "10 ms; promote c 4"]);
    }

    #[test]
    fn of_a_group_that_is_not_served_is_refused_and_not_done_when_it_is_served_again() {
        let mut unparsed = asked("c");
        let message = "spec.selector: nonsense".to_owned();
        unparsed.group.policy = Err(Refusal { reason: "InvalidSelector", message });
        let mut held = asked("c");
        let lease = &mut held.lease.as_mut().unwrap().content;
        (lease.owner, lease.holder) = (Owner::None, Some("somebody".to_owned()));
        for (group, reason) in [(unparsed, "InvalidSelector"), (held, "LeaseHeldByOther")] {
            assert_eq!(told(&group)[0], "drop request", "{reason}");
            let mut refused = group.clone();
            let plans = settle(&mut refused);
            let notes = plans.iter().flat_map(|plan| &plan.steps).flat_map(|step| &step.intents);
            let note = notes.filter_map(|intent| match intent {
                Intent::PublishEvent(notice) if notice.is_answer() => Some(notice.note.clone()),
                _ => None,
            });
            let text =
                format!("the switchover request was refused and removed: the group is not served: {reason}");
            assert_eq!(note.collect::<Vec<_>>(), [text]);
            assert_eq!(labelled(&refused), ["a"]);
        }
    }

    #[test]
    fn to_an_eligible_pod_is_done_once_and_the_request_removed() {
        let mut group = asked("c");
        assert_eq!(
            told(&group),
            [
                "record c 4 [a]",
                "fence a 4, take lease c 4",
                "10 ms; promote c 4",
                "drop request",
                "status",
                "change Switchover"
            ]
        );
        let plans = settle(&mut group);
        assert_eq!((labelled(&group), plans.len()), (vec!["c"], 1));
        assert_eq!(group.group.switchover, None);
        assert_eq!(group.group.status.history[0].reason, "Switchover");
    }

    #[test]
    fn that_was_half_done_is_finished_and_not_refused() {
        for limit in [10, 0] {
            let mut group = steady();
            policy_mut(&mut group).history_limit = limit;
            unready(&mut group, "a");
            settle(&mut group);
            assert_eq!((labelled(&group), group.group.status.history.len()), (vec!["b"], limit.min(1)));
            group.group.switchover = Some("c".to_owned());
            let whole = plan(&group);
            group.project(&whole.steps[0].intents[0]);
            let plans = settle(&mut group);
            assert_eq!(events(&plans), ["Switchover"], "history limit {limit}");
            assert_eq!((labelled(&group), &group.group.switchover), (vec!["c"], &None));
        }
    }

    #[test]
    fn whose_target_is_lost_half_way_leaves_the_leader_to_who_is_there() {
        let table: [(fn(&mut Snapshot), &[&str]); 3] = [
            (|g| delete(g, "c"), &["LeaderDeleted", "SwitchoverRefused"]),
            (|g| pod_mut(g, "c").ready = false, &["LeaderNotReady", "SwitchoverRefused"]),
            (|g| pod_mut(g, "c").terminating = true, &["LeaderTerminating", "SwitchoverRefused"]),
        ];
        for (loss, expected) in table {
            for steps in 1..=3 {
                let mut group = asked("c");
                let whole = plan(&group);
                for intent in whole.steps[..steps].iter().flat_map(|step| &step.intents) {
                    group.project(intent);
                }
                loss(&mut group);
                let plans = settle(&mut group);
                assert_eq!(events(&plans), *expected, "after {steps} steps");
                assert_eq!((labelled(&group), &group.group.switchover), (vec!["a"], &None));
            }
        }
    }

    #[test]
    fn that_another_replaces_half_way_gives_way_to_it() {
        for steps in 1..=3 {
            let mut group = asked("c");
            let whole = plan(&group);
            for intent in whole.steps[..steps].iter().flat_map(|step| &step.intents) {
                group.project(intent);
            }
            group.group.switchover = Some("b".to_owned());
            settle(&mut group);
            assert_eq!((labelled(&group), &group.group.switchover), (vec!["b"], &None));
            assert_eq!(group.record().unwrap().term, term(5));
        }
    }

    #[test]
    fn that_cannot_be_is_refused_with_an_event_and_removed_and_nothing_else_changes() {
        let table: [(&str, fn(&mut Snapshot)); 7] = [
            ("a", |_| ()),
            ("nobody", |_| ()),
            ("b", |g| pod_mut(g, "b").ready = false),
            ("b", |g| pod_mut(g, "b").terminating = true),
            ("b", |g| pod_mut(g, "b").excluded = true),
            ("b", |g| policy_mut(g).paused = true),
            ("b", |g| pod_mut(g, "c").membership = Membership::ClaimedBy("older".into())),
        ];
        for (name, change) in table {
            let mut group = steady();
            change(&mut group);
            settle(&mut group);
            group.group.switchover = Some(name.to_owned());
            assert_eq!(told(&group), ["drop request", "event SwitchoverRefused"]);
            settle(&mut group);
            assert_eq!((labelled(&group), &group.group.switchover), (vec!["a"], &None));
        }
    }

    #[test]
    fn to_a_pod_that_leads_by_an_earlier_switchover_is_refused_like_any_other() {
        let mut group = asked("c");
        settle(&mut group);
        group.group.switchover = Some("c".to_owned());
        assert_eq!(told(&group), ["drop request", "event SwitchoverRefused"]);
    }

    #[test]
    fn without_a_term_left_is_refused() {
        let mut group = asked("c");
        group.group.status.record.as_mut().unwrap().term = Term::MAX;
        pod_mut(&mut group, "a").term = Some(Term::MAX);
        group.lease.as_mut().unwrap().content.term = Some(Term::MAX);
        let said = events(&settle(&mut group));
        assert!(said.contains(&"SwitchoverRefused".to_owned()), "{said:?}");
    }

    #[test]
    fn names_the_newest_pod_of_that_name() {
        let mut group = asked("c");
        group.pods.push(recreated(pod("c")));
        let policy = group.group.policy.clone().unwrap();
        assert_eq!(switchover_verdict(&group, &policy), SwitchoverVerdict::Grant(recreated(pod("c")).id));
    }
}

mod conditions {
    use super::*;

    #[test]
    fn tell_of_a_leader_only_what_its_pod_carries() {
        let foreign = || Owner::Other(Identity::new("older", "older-uid"));
        let missing: [&dyn Fn(&mut SeenPod); 3] = [
            &|pod| (pod.phase, pod.role) = (PodPhase::Finished, Role::Absent),
            &|pod| pod.owner = foreign(),
            &|pod| (pod.phase, pod.term) = (PodPhase::Finished, Some(term(2))),
        ];
        for change in missing {
            let mut group = steady();
            policy_mut(&mut group).paused = true;
            change(pod_mut(&mut group, "a"));
            settle(&mut group);
            assert_eq!(says(&group, "LeaderElected"), (false, "Switching".into()));
        }
    }

    #[test]
    fn of_a_steady_group_are_all_true_for_its_generation() {
        let group = steady();
        let all: Vec<_> = group.group.status.conditions.iter().map(|c| (c.kind.as_str(), c.holds)).collect();
        let kinds = ["Accepted", "CandidatesAvailable", "LeaderElected", "Ready"];
        assert_eq!(all, kinds.map(|kind| (kind, true)));
        assert!(group.group.status.conditions.iter().all(|c| c.generation == Some(1)));
        let status = &group.group.status;
        assert_eq!((status.candidates, status.eligible, status.lease.as_deref()), (3, 3, Some("orders")));
        assert_eq!(status.observed_generation, Some(1));
    }

    #[test]
    fn keep_their_time_while_only_reason_and_message_change() {
        let mut group = steady();
        let then = condition(&group, "Ready").changed_at_seconds;
        group = at(&group, NOW + Millis(60_000));
        policy_mut(&mut group).paused = true;
        group.group.generation = 2;
        settle(&mut group);
        let ready = condition(&group, "Ready");
        assert_eq!(
            (ready.changed_at_seconds, ready.reason.as_str(), ready.generation),
            (then, "Paused", Some(2))
        );
        unready(&mut group, "a");
        settle(&mut group);
        assert_eq!(condition(&group, "Ready").changed_at_seconds, then + 60);
    }

    #[test]
    fn count_as_eligible_whoever_leads_ready() {
        let young = with(pod("a"), |p| p.ready_seen_at = NOW);
        let mut group = fresh([young]);
        policy_mut(&mut group).min_ready = Millis::from_seconds(30);
        let plans = settle(&mut group);
        assert_eq!((says(&group, "Ready").0, group.group.status.eligible), (true, 1));
        assert_eq!(events(&plans), ["FirstElection"]);
    }

    #[test]
    fn of_a_policy_that_cannot_be_served_say_why_and_nothing_is_touched() {
        let mut group = steady();
        let refusal = Refusal { reason: "InvalidSelector", message: "bad".to_owned() };
        group.group.policy = Err(refusal);
        delete(&mut group, "a");
        assert_eq!(told(&group), ["status", "event InvalidSelector"]);
        settle(&mut group);
        assert_eq!(says(&group, "Accepted"), (false, "InvalidSelector".into()));
        assert!(!says(&group, "Ready").0);
        assert_eq!(plan(&group).wake_at, None);
    }

    #[test]
    fn history_is_newest_first_and_no_longer_than_its_limit() {
        let mut group = steady();
        policy_mut(&mut group).history_limit = 2;
        for name in ["b", "c", "a"] {
            group.group.switchover = Some(name.to_owned());
            settle(&mut group);
        }
        let leaders: Vec<_> = group.group.status.history.iter().filter_map(|c| c.leader.as_deref()).collect();
        assert_eq!(leaders, ["a", "c"]);
    }
}

mod a_failback {
    use super::*;

    /// `a` leads, `b` is preferred, and both have been as they are for long; the record is of this moment.
    fn led_by_the_less_preferred() -> Snapshot {
        let mut group = steady();
        policy_mut(&mut group).failback_after = Some(Millis::from_seconds(60));
        // Every node will be silent one day if it is not heard before.
        group.pods.iter_mut().for_each(|pod| pod.node_silent_from = Some(NOW + Millis::from_seconds(7200)));
        pod_mut(&mut group, "b").weight = 1;
        group.record_seen_at = NOW;
        group
    }

    fn in_seconds(span: u64) -> Millis {
        NOW + Millis::from_seconds(span)
    }

    #[test]
    fn happens_once_the_group_has_been_quiet_for_so_long() {
        let mut group = led_by_the_less_preferred();
        settle(&mut group);
        let quiet = |group: &Snapshot| {
            let renewed = Snapshot { lease: Some(lease("a", 3)), ..group.clone() };
            let renewed = at(&renewed, in_seconds(59));
            let mut lease = renewed.lease.clone().unwrap();
            lease.changed_at = renewed.now;
            Snapshot { lease: Some(lease), ..renewed }
        };
        let group = quiet(&group);
        assert_eq!(told(&group), NOTHING);
        assert_eq!(plan(&group).wake_at, Some(in_seconds(60)));
        let due = at(&group, in_seconds(60));
        assert_eq!(told(&due)[..2], ["record b 4 [a]", "fence a 4, take lease b 4"]);
        assert_eq!(outcome(due), ("b".into(), "Failback".into()));
    }

    #[test]
    fn does_not_happen_unless_it_is_asked_for() {
        let mut group = led_by_the_less_preferred();
        policy_mut(&mut group).failback_after = None;
        group = settled(at(&group, in_seconds(3600)));
        assert_eq!(labelled(&group), ["a"]);
    }

    #[test]
    fn counts_from_the_last_change_of_record_status_or_pod() {
        let table: [fn(&mut Snapshot); 4] = [
            |g| g.record_seen_at = NOW + Millis(7_000),
            |g| g.reported_at = NOW + Millis(7_000),
            |g| pod_mut(g, "c").ready_seen_at = NOW + Millis(7_000),
            |g| pod_mut(g, "c").standing_changed_at = NOW + Millis(7_000),
        ];
        for change in table {
            let mut group = led_by_the_less_preferred();
            change(&mut group);
            let before = settled(at(&group, in_seconds(66)));
            let due = settled(at(&group, in_seconds(67)));
            assert_eq!((labelled(&before), labelled(&due)), (vec!["a"], vec!["b"]));
        }
    }

    #[test]
    fn waits_until_every_pod_is_ready_and_stays() {
        let table: [(&str, fn(&mut SeenPod)); 4] = [
            ("c", |p| p.ready = false),
            ("c", |p| p.terminating = true),
            ("b", |p| p.excluded = true),
            ("b", |p| p.node_silent_from = Some(LONG_AGO)),
        ];
        for (name, trouble) in table {
            let mut group = led_by_the_less_preferred();
            trouble(pod_mut(&mut group, name));
            group = settled(at(&group, in_seconds(3600)));
            assert_eq!(labelled(&group), ["a"]);
        }
        let mut group = led_by_the_less_preferred();
        pod_mut(&mut group, "c").phase = PodPhase::Finished;
        unready(&mut group, "c");
        assert_eq!(
            labelled(&settled(at(&group, in_seconds(60)))),
            ["b"],
            "a finished pod is none to wait for"
        );
    }

    #[test]
    fn is_for_a_higher_weight_only_and_not_for_what_decides_between_equals() {
        let mut group = led_by_the_less_preferred();
        let b = pod_mut(&mut group, "b");
        (b.weight, b.revision, b.ready_since_seconds) = (0, Some("newest".into()), Some(1));
        group = settled(at(&group, in_seconds(3600)));
        assert_eq!(labelled(&group), ["a"]);
    }

    #[test]
    fn keeps_the_cooldown_and_waits_while_paused() {
        let mut group = led_by_the_less_preferred();
        policy_mut(&mut group).cooldown = Millis::from_seconds(90);
        assert_eq!(labelled(&settled(at(&group, in_seconds(89)))), ["a"]);
        assert_eq!(labelled(&settled(at(&group, in_seconds(90)))), ["b"]);
        policy_mut(&mut group).paused = true;
        assert_eq!(labelled(&settled(at(&group, in_seconds(3600)))), ["a"]);
    }
}

mod services {
    use super::*;
    use election_operator::planner::services::{SeenBudget, SeenService};

    fn service(role: Role, publishes_not_ready: bool) -> SeenService {
        SeenService {
            id: id("web"),
            role,
            value: "primary".to_owned(),
            publishes_not_ready,
            other_group: None,
        }
    }

    #[test]
    fn that_cannot_work_are_warned_of_once() {
        let table: [(Role, bool, &[&str]); 6] = [
            (Role::Leader, false, &[]),
            (Role::Follower, false, &[]),
            (Role::Follower, true, &[]),
            (Role::Other, false, &["event ServiceNeverMatches"]),
            (Role::Other, true, &["event ServiceNeverMatches"]),
            (Role::Leader, true, &["event ServiceReachesNotReady"]),
        ];
        for (role, publishes_not_ready, warned) in table {
            let mut group = steady();
            group.services = vec![service(role, publishes_not_ready)];
            assert_eq!(told(&group), warned);
            settle(&mut group);
            assert_eq!(told(&group), NOTHING);
            assert_eq!(labelled(&group), ["a"]);
        }
    }

    #[test]
    fn that_reach_the_pods_of_another_group_are_warned_of() {
        for (role, expected) in [
            (Role::Leader, "event ServiceReachesOtherGroup"),
            (Role::Follower, "event ServiceReachesOtherGroup"),
            (Role::Other, "event ServiceNeverMatches"),
        ] {
            let mut group = steady();
            group.services =
                vec![SeenService { other_group: Some("stock".to_owned()), ..service(role, false) }];
            assert_eq!(told(&group), [expected]);
        }
    }

    #[test]
    fn and_budgets_that_keep_the_leader_from_being_evicted_are_warned_of_once() {
        let mut group = steady();
        group.budgets = vec![SeenBudget { id: id("pdb"), keeps_a_single_pod: false }];
        assert_eq!(told(&group), NOTHING);
        group.budgets = vec![SeenBudget { id: id("pdb"), keeps_a_single_pod: true }];
        assert_eq!(told(&group), ["event DisruptionBudgetKeepsLeader"]);
        settle(&mut group);
        assert_eq!(told(&group), NOTHING);
    }

    #[test]
    fn are_named_with_what_they_select() {
        let mut group = steady();
        group.services = vec![service(Role::Other, false)];
        let plan = plan(&group);
        let [Intent::WarnOnce(_, notice)] = &plan.steps[0].intents[..] else { panic!("{plan:?}") };
        assert!(notice.note.starts_with("Service web selects") && notice.note.contains("\"primary\""));
    }
}

mod a_role_label_in_use {
    use super::*;

    fn worker(name: &str) -> SeenPod {
        with(pod(name), |p| (p.role, p.other_role) = (Role::Other, Some("worker".to_owned())))
    }

    #[test]
    fn refuses_the_group_before_anything_is_written() {
        let mut group = fresh([pod("a"), worker("b"), worker("c")]);
        assert_eq!(told(&group), ["status", "event RoleLabelInUse"]);
        settle(&mut group);
        assert_eq!(says(&group, "Accepted"), (false, "RoleLabelInUse".into()));
        assert_eq!(says(&group, "Ready"), (false, "RoleLabelInUse".into()));
        let message = "pod b carries role=worker, which this group never writes: remove the label, or recreate the \
                       group with another roleLabel.key";
        assert_eq!(condition(&group, "Accepted").message, message);
        assert!(group.pods.iter().all(|pod| pod.owner == Owner::None));
    }

    #[test]
    fn leaves_the_leader_as_it_is_and_moves_nothing() {
        let mut group = steady();
        group.pods.push(worker("d"));
        pod_mut(&mut group, "a").ready = false;
        assert_eq!(told(&group), ["status", "event RoleLabelInUse"]);
        settle(&mut group);
        assert_eq!(labelled(&group), ["a"]);
        group.pods.retain(|pod| pod.id.name != "d");
        assert_eq!(labelled(&settled(group)), ["b"]);
    }

    #[test]
    fn is_no_label_of_the_groups_own_values_nor_one_that_somebody_changed_nor_one_of_a_pod_that_ends() {
        let table: [fn(&mut SeenPod); 5] = [
            |p| (p.role, p.other_role) = (Role::Follower, None),
            |p| p.owner = Owner::Ours,
            |p| p.phase = PodPhase::Finished,
            |p| p.terminating = true,
            |p| p.membership = Membership::Deselected,
        ];
        for (row, change) in table.into_iter().enumerate() {
            let group = fresh([pod("a"), with(worker("b"), change)]);
            assert_eq!(told(&group)[0], "record a 1 [*]", "row {row}");
        }
    }

    fn let_go(name: &str) -> Snapshot {
        let mut group = steady();
        pod_mut(&mut group, name).released_by_controller = true;
        group
    }

    #[test]
    fn by_a_controller_is_given_back_at_the_first_pod_that_it_lets_go() {
        let mut group = let_go("b");
        group.pods.push(pod("d"));
        assert_eq!(told(&group), ["status", "event RoleLabelInUse, unmark b"]);
        settle(&mut group);
        assert_eq!(labelled(&group), ["a"]);
        let told = &condition(&group, "Accepted").message;
        assert!(told.starts_with("pod b was given the label role and its controller let it go"), "{told}");
        assert_eq!(pod_mut(&mut group, "d").owner, Owner::None);
    }

    #[test]
    fn by_a_controller_is_not_tried_with_a_second_pod_until_the_spec_is_another() {
        let mut group = let_go("a");
        settle(&mut group);
        assert_eq!(labelled(&group), Vec::<&str>::new());
        group.pods.retain(|pod| pod.id.name != "a");
        group.pods.push(pod("d"));
        settle(&mut group);
        assert_eq!(pod_mut(&mut group, "d").owner, Owner::None);
        assert_eq!(says(&group, "Accepted"), (false, "RoleLabelInUse".into()));
        group.group.generation += 1;
        assert_eq!(labelled(&settled(group)), ["b"]);
    }
}

mod pods_of_jobs {
    use super::*;

    #[test]
    fn are_no_candidates_and_get_no_label() {
        let job = |name| with(pod(name), |p| p.of_job = true);
        let mut group = steady();
        group.pods.push(job("j"));
        assert_eq!(told(&group), NOTHING);
        let mut alone = fresh([job("j")]);
        settle(&mut alone);
        assert!(labelled(&alone).is_empty() && alone.group.status.candidates == 0);
        let why = "pod j: it is a Job's, and has not the annotation election-operator.io/exclude: \"false\"";
        assert_eq!(condition(&alone, "CandidatesAvailable").message, why);
    }
}
