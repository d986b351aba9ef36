//! Why a leader was replaced, and when the operator detected it.

use super::*;

fn changed(change: impl FnOnce(&mut Snapshot)) -> (String, String) {
    let mut group = steady();
    group.now = NOW + Millis(1);
    change(&mut group);
    outcome(group)
}

#[test]
fn each_leader_problem_has_its_own_reason() {
    let table: [(&str, fn(&mut SeenPod)); 7] = [
        ("LeaderTerminating", |p| p.terminating = true),
        ("LeaderFinished", |p| p.phase = PodPhase::Finished),
        ("LeaderNotReady", |p| p.ready = false),
        ("NodeSilent", |p| p.node_silent_from = Some(NOW)),
        ("LeaderExcluded", |p| p.excluded = true),
        ("LeaderExcluded", |p| p.of_job = true),
        ("LeaderDeselected", |p| p.membership = Membership::Deselected),
    ];
    for (reason, problem) in table {
        let outcome = changed(|group| problem(pod_mut(group, "a")));
        assert_eq!(outcome, ("b".into(), reason.into()));
    }
}

#[test]
fn a_silent_node_is_confirmed_before_it_loses_its_leader() {
    let mut group = steady();
    *pod_mut(&mut group, "a") = with(leader("a", 3), |p| {
        (p.node, p.node_silent_from) = (Some("north".to_owned()), Some(NOW));
    });
    assert_eq!(told(&group)[..2], ["confirm node north silent", "record b 4 [a]"]);
}

#[test]
fn a_deleted_leader_is_replaced_without_a_live_read_when_its_deletion_was_seen() {
    let mut group = steady();
    delete(&mut group, "a");
    assert_eq!(
        told(&group),
        ["record b 4 []", "take lease b 4", "promote b 4", "status", "change LeaderDeleted"]
    );
}

#[test]
fn a_leader_that_terminated_before_its_deletion_is_replaced_for_terminating() {
    let gone = GonePod { at: NOW, was_terminating: true, had_ended: false };
    let outcome = changed(|group| {
        delete(group, "a");
        group.gone.insert(id("a").uid, gone);
    });
    assert_eq!(outcome, ("b".into(), "LeaderTerminating".into()));
}

#[test]
fn a_recreated_leader_does_not_inherit_the_label() {
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
fn a_change_tells_when_it_was_detected_elected_and_labelled() {
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

/// A group created 400 ms ago, with a pod that has been Ready for long. And the same group, without
/// a leader for 400 ms.
fn unled() -> [Snapshot; 2] {
    let mut new = fresh([pod("a")]);
    new.record_seen_at = Millis(NOW.0 - 400);
    let mut cleared = new.clone();
    cleared.group.status.record = Some(LeaderRecord { leader: None, ..record("a", 4) });
    [new, cleared]
}

/// How long before `WALL` the operator detected the newest change, in milliseconds.
fn detected_before(mut group: Snapshot) -> i64 {
    settle(&mut group);
    (WALL.0 - group.group.status.history[0].detected_at.0) / 1000
}

#[test]
fn an_election_of_a_leaderless_group_is_detected_at_its_last_change() {
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
fn an_election_after_no_candidate_is_detected_when_a_pod_became_eligible() {
    for mut group in unled() {
        group.pods.iter_mut().for_each(|pod| pod.ready = false);
        group = at(&settled(group), NOW + Millis(600));
        let first = pod_mut(&mut group, "a");
        (first.ready, first.ready_seen_at) = (true, NOW + Millis(500));
        assert_eq!(detected_before(group), -500);
    }
}

#[test]
fn an_election_after_a_pause_or_a_refusal_is_detected_when_that_ended() {
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
fn a_leader_with_two_problems_is_replaced_when_the_first_becomes_due() {
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
