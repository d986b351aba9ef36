//! Failback: a group moves back to a pod of higher weight, once it has been quiet.

use super::*;

/// `a` leads, though `b` has the higher weight. Both have been Ready for long; the record is new.
fn led_by_the_less_preferred() -> Snapshot {
    let mut group = steady();
    policy_mut(&mut group).failback_after = Some(Millis::from_seconds(60));
    // A node counts as silent one day unless the operator hears it before.
    group.pods.iter_mut().for_each(|pod| pod.node_silent_from = Some(NOW + Millis::from_seconds(7200)));
    pod_mut(&mut group, "b").weight = 1;
    group.record_seen_at = NOW;
    group
}

fn in_seconds(span: u64) -> Millis {
    NOW + Millis::from_seconds(span)
}

#[test]
fn a_failback_happens_once_the_group_has_been_quiet_for_long_enough() {
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
    assert_eq!(plan_group(&group).wake_at(), Some(in_seconds(60)));
    let due = at(&group, in_seconds(60));
    assert_eq!(told(&due)[..2], ["record b 4 [a]", "fence a 4, take lease b 4"]);
    assert_eq!(outcome(due), ("b".into(), "Failback".into()));
}

#[test]
fn a_failback_does_not_happen_unless_the_spec_asks_for_it() {
    let mut group = led_by_the_less_preferred();
    policy_mut(&mut group).failback_after = None;
    group = settled(at(&group, in_seconds(3600)));
    assert_eq!(labelled(&group), ["a"]);
}

#[test]
fn the_quiet_time_counts_from_the_last_change_of_record_status_or_pod() {
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
fn a_failback_waits_until_every_pod_is_ready_and_stays() {
    let table: [(&str, fn(&mut SeenPod)); 4] = [
        ("c", |p| p.ready = false),
        ("c", |p| p.terminating = true),
        ("b", |p| p.excluded = true),
        ("b", |p| p.node_silent_from = Some(LONG_AGO)),
    ];
    for (name, problem) in table {
        let mut group = led_by_the_less_preferred();
        problem(pod_mut(&mut group, name));
        group = settled(at(&group, in_seconds(3600)));
        assert_eq!(labelled(&group), ["a"]);
    }
    let mut group = led_by_the_less_preferred();
    pod_mut(&mut group, "c").phase = PodPhase::Finished;
    unready(&mut group, "c");
    assert_eq!(labelled(&settled(at(&group, in_seconds(60)))), ["b"], "a finished pod is none to wait for");
}

#[test]
fn a_failback_is_for_a_higher_weight_only_and_not_for_what_decides_between_equals() {
    let mut group = led_by_the_less_preferred();
    let b = pod_mut(&mut group, "b");
    (b.weight, b.revision, b.ready_since_seconds) = (0, Some("newest".into()), Some(1));
    group = settled(at(&group, in_seconds(3600)));
    assert_eq!(labelled(&group), ["a"]);
}

#[test]
fn a_failback_keeps_the_cooldown_and_waits_while_paused() {
    let mut group = led_by_the_less_preferred();
    policy_mut(&mut group).cooldown = Millis::from_seconds(90);
    assert_eq!(labelled(&settled(at(&group, in_seconds(89)))), ["a"]);
    assert_eq!(labelled(&settled(at(&group, in_seconds(90)))), ["b"]);
    policy_mut(&mut group).paused = true;
    assert_eq!(labelled(&settled(at(&group, in_seconds(3600)))), ["a"]);
}
