//! The Lease of a Managed group: renewing, taking, adopting, and leaving it alone.

use super::*;

#[test]
fn the_lease_is_renewed_at_exactly_the_moment_of_the_group() {
    let group = steady();
    let due = renew_at(group.lease.as_ref().unwrap(), &group.group.id, group.group.policy.as_ref().unwrap());
    assert_eq!(plan_group(&group).wake_at(), Some(due));
    assert_eq!(told(&at(&group, Millis(due.0 - 1))), NOTHING);
    assert_eq!(told(&at(&group, due)), ["renew lease a 3"]);
}

/// All renewals of an interval came within one second of it, for as long as the operator ran.
#[test]
fn groups_that_were_created_at_once_do_not_renew_at_once_for_ever() {
    let mut policy = steady().group.policy.unwrap();
    policy.renew = Millis::from_seconds(20);
    let mut renewals = vec![0; 20];
    for number in 0..1_000 {
        let group = Identity::new("group", format!("{number}"));
        let mut lease = lease("a", 1);
        lease.changed_at = NOW;
        for _ in 0..4 {
            let due = renew_at(&lease, &group, &policy);
            let span = due.since(lease.changed_at);
            assert!(span <= policy.renew && span.0 * 2 >= policy.renew.0, "{span:?}");
            lease.changed_at = due;
        }
        assert_eq!(renew_at(&lease, &group, &policy), lease.changed_at + policy.renew, "steady by now");
        renewals[usize::try_from(lease.changed_at.0 % 20_000 / 1_000).unwrap()] += 1;
    }
    assert!(renewals.iter().all(|in_a_second| (20..100).contains(in_a_second)), "{renewals:?}");
}

#[test]
fn a_deleted_or_edited_lease_of_ours_is_written_again_without_a_change_of_leader() {
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
fn a_lease_with_a_foreign_live_holder_is_never_stolen_and_the_leader_stays_as_it_is() {
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
    assert_eq!(plan_group(&group).wake_at(), Some(NOW + Millis(15_000)));
    assert_eq!(told(&at(&group, NOW + Millis(14_999))), NOTHING);
    assert_eq!(told(&at(&group, NOW + Millis(15_000)))[0], "record b 4 [a]");
}

/// `a` leads, and `b` and `c` follow. Another holder has the Lease, so the group elects no pod.
fn refused() -> Snapshot {
    let mut group = steady();
    let lease = group.lease.as_mut().unwrap();
    (lease.content.owner, lease.content.holder) = (Owner::None, Some("somebody".to_owned()));
    settled(group)
}

#[test]
fn a_group_refused_its_lease_releases_the_pods_that_belong_to_another_group_now() {
    let mut group = refused();
    for (name, membership) in [("b", Membership::Deselected), ("c", Membership::ClaimedBy("elder".into()))] {
        pod_mut(&mut group, name).membership = membership;
    }
    for paused in [false, true] {
        policy_mut(&mut group).paused = paused;
        let told = told(&settled(group.clone()));
        assert_eq!(told, NOTHING);
        let released = settle(&mut group.clone());
        let released = released.iter().flat_map(Plan::intents);
        let released: Vec<_> = released
            .filter_map(|intent| match intent {
                Intent::Release(pod, _) => Some(pod.name.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(released, ["b", "c"], "paused: {paused}");
    }
}

#[test]
fn a_group_refused_its_lease_releases_no_leader_label_and_no_pod_that_a_switch_needs() {
    let left = |change: &dyn Fn(&mut Snapshot)| {
        let mut group = refused();
        group.pods.iter_mut().for_each(|pod| pod.membership = Membership::Deselected);
        group.pods.retain(|pod| pod.id.name != "c");
        change(&mut group);
        let plans = settle(&mut group);
        let intents = plans.iter().flat_map(Plan::intents);
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
fn a_group_refused_its_lease_elects_nobody() {
    let mut group = fresh([pod("a")]);
    group.lease = Some(lease("somebody", 9));
    group.lease.as_mut().unwrap().content.owner = Owner::None;
    assert_eq!(told(&group), ["status", "event LeaseHeldByOther"]);
}

/// A Lease without an owner, with an empty or an expired holder.
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
fn a_lease_that_no_group_has_written_is_left_alone_however_free_it_looks() {
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
fn an_unheld_lease_that_a_group_once_wrote_is_adopted_and_its_term_goes_on() {
    for holder in FREE {
        let mut group = unowned(holder, |_| {});
        assert_eq!(told(&group)[0], "record a 10 [*]");
        settle(&mut group);
        let lease = &group.lease.as_ref().unwrap().content;
        assert_eq!((lease.holder.as_deref(), lease.transitions, lease.is_ours()), (Some("a"), 4, true));
    }
}

#[test]
fn a_lease_that_a_user_gives_to_the_group_is_adopted_once_it_is_unheld() {
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
fn a_lease_that_lost_its_owner_reference_gets_it_back_with_the_next_write() {
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
fn a_lease_without_owner_belongs_to_a_group_whose_status_has_a_wrong_name_for_its_leader() {
    let mut group = steady();
    group.lease.as_mut().unwrap().content.owner = Owner::None;
    let record = group.group.status.record.as_mut().unwrap();
    record.leader.as_mut().unwrap().id.name = "edited".to_owned();
    let plan = told(&group);
    assert!(plan.iter().any(|step| step.contains("renew lease a 3")), "{plan:?}");
    settle(&mut group);
    assert_eq!(labelled(&group), ["a"]);
}

#[test]
fn a_lease_of_a_deleted_group_is_taken_over_once_the_deletion_is_confirmed() {
    let mut group = fresh([pod("a"), pod("b")]);
    group.lease = Some(lease("b", 9));
    group.lease.as_mut().unwrap().content.owner = Owner::Vanished(Identity::new("orders", "earlier"));
    assert_eq!(told(&group), ["record a 10 [*]", "list 10"]); // the term goes on
    let record = plan_group(&group);
    apply(&mut group, &record);
    let steps =
        ["confirm group orders gone", "confirm record", "fence b 10, take lease a 10", "promote a 10"];
    assert_eq!(told(&group)[..4], steps);
    settle(&mut group);
    let lease = &group.lease.as_ref().unwrap().content;
    assert_eq!((lease.holder.as_deref(), lease.transitions, lease.is_ours()), (Some("a"), 4, true));
}

#[test]
fn a_lease_of_another_group_that_exists_is_never_stolen() {
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
fn a_lease_counts_as_changed_when_only_its_renew_time_changed() {
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
fn the_lease_of_a_deleted_or_finished_leader_is_not_renewed() {
    let mut group = settled(led("a", 3, [leader("a", 3)]));
    pod_mut(&mut group, "a").phase = PodPhase::Finished;
    settle(&mut group);
    assert_eq!(told(&at(&group, NOW + Millis(60_000))), NOTHING);
    delete(&mut group, "a");
    settle(&mut group);
    assert_eq!(told(&at(&group, NOW + Millis(60_000))), NOTHING);
}

#[test]
fn a_lease_with_a_higher_term_than_the_record_is_not_overwritten_with_a_lower_one() {
    let mut group = steady();
    group.lease = Some(lease("b", 9));
    assert_eq!(told(&group)[..2], ["record a 10 []", "take lease a 10"]);
}

#[test]
fn a_lease_that_only_changes_its_term_keeps_its_transitions() {
    let mut group = steady();
    group.lease.as_mut().unwrap().content.term = None;
    settle(&mut group);
    assert_eq!(group.lease.unwrap().content.transitions, 3);
}
