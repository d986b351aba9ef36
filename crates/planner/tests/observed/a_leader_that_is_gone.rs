//! The leader's pod is deleted, finished, deselected or recreated.

use super::*;

#[test]
fn a_deleted_leader_is_given_up_though_its_lease_is_still_valid_or_even_renewed() {
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
fn a_leader_absent_from_the_cache_is_confirmed_gone_before_it_is_given_up() {
    let mut group = steady();
    group.pods.retain(|pod| pod.id.name != "a");
    assert_eq!(told(&group)[..2], ["confirm lease, confirm pod a gone", "record nobody 4 []"]);
}

#[test]
fn the_reason_says_what_was_seen_of_the_leaders_end() {
    let mut group = steady();
    delete(&mut group, "a");
    group.gone.insert(id("a").uid, GonePod { at: NOW, was_terminating: true, had_ended: false });
    assert_eq!(outcome(group).1, "LeaderTerminating");
    let table: [(&str, fn(&mut SeenPod)); 2] = [
        ("LeaderFinished", |p| p.phase = PodPhase::Finished),
        ("LeaderDeselected", |p| p.membership = Membership::Deselected),
    ];
    for (reason, problem) in table {
        let mut group = steady();
        problem(pod_mut(&mut group, "a"));
        assert_eq!(outcome(group), says("", reason, "UnknownHolder"));
    }
}

/// S5. The Lease still names `a`, but the deleted pod of that name wrote it.
#[test]
fn a_recreated_pod_inherits_nothing_before_it_renews_the_lease() {
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
fn a_recreated_pod_that_existed_before_the_operator_started_is_labelled() {
    let mut group = steady();
    delete(&mut group, "a");
    group.pods.push(recreated(pod("a")));
    assert_eq!(outcome(group), says("a", "LeaderRecreated", "Elected"));
}
