//! An older group selects some of the same pods.

use super::*;

fn claimed(name: &str) -> Snapshot {
    let mut group = steady();
    pod_mut(&mut group, name).membership = Membership::ClaimedBy("older".into());
    group
}

#[test]
fn a_group_releases_exactly_the_pods_that_the_older_group_claims() {
    let mut group = claimed("b");
    assert_eq!(told(&group), ["status", "event OverlappingSelector, release b"]);
    settle(&mut group);
    assert_eq!(says(&group, "Accepted"), (false, "OverlappingSelector".into()));
    assert_eq!(labelled(&group), ["a"]);
}

#[test]
fn an_overlap_in_a_pod_that_ends_holds_nothing_up() {
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
fn a_group_gives_up_a_leader_that_the_older_group_claims_and_elects_no_other() {
    let mut group = claimed("a");
    assert_eq!(
        told(&group),
        [
            "record nobody 4 [a]",
            "fence a 4, release lease - 4",
            "status",
            "change LeaderDeselected, event OverlappingSelector, release a"
        ]
    );
    settle(&mut group);
    assert_eq!(told(&group), NOTHING);
}

#[test]
fn an_overlap_takes_the_leader_from_a_paused_group_too() {
    let mut group = claimed("a");
    policy_mut(&mut group).paused = true;
    settle(&mut group);
    assert_eq!(labelled(&group), [""; 0]);
    assert_eq!(group.leader_id(), None);
    assert_eq!(group.pod(&id("a")).map(|pod| &pod.owner), Some(&Owner::None));
    assert_eq!(told(&group), NOTHING);
}

#[test]
fn an_overlap_takes_the_leader_from_a_refused_group_too() {
    let mut group = claimed("a");
    let lease = &mut group.lease.as_mut().unwrap().content;
    (lease.owner, lease.holder) = (Owner::None, Some("somebody".into()));
    assert_eq!(told(&group), ["status", "event LeaseHeldByOther, release a"]);
}

#[test]
fn an_overlap_is_why_a_leaderless_group_is_not_ready_and_claimed_pods_are_not_called_missing() {
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
fn an_overlap_moves_nothing_as_long_as_it_lasts() {
    let mut group = claimed("b");
    settle(&mut group);
    unready(&mut group, "a");
    settle(&mut group);
    assert_eq!((labelled(&group), group.record().unwrap().term), (vec!["a"], term(3)));
}

#[test]
fn nothing_is_written_on_pods_of_the_older_group() {
    let foreign = Owner::Other(Identity::new("older", "older-uid"));
    for owner in [foreign, Owner::None] {
        let mut group = claimed("b");
        let pod = pod_mut(&mut group, "b");
        (pod.owner, pod.role, pod.term) = (owner, Role::Leader, Some(term(99)));
        settle(&mut group);
        assert_eq!(labelled(&group), ["a", "b"]);
    }
}

#[test]
fn an_overlap_takes_no_label_from_the_leader_without_a_record() {
    let mut group = claimed("b");
    pod_mut(&mut group, "a").membership = Membership::Deselected;
    assert_eq!(told(&group)[0], "record nobody 4 [a]");
}

#[test]
fn an_overlapped_group_records_the_labelled_pod_again_when_the_status_was_emptied() {
    let mut group = settled(claimed("b"));
    group.group.status.record = None;
    assert_eq!(told(&group)[0], "record a 4 [*]");
}
