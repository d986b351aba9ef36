//! A healthy leader stays (L2).

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
fn a_leader_absent_from_the_cache_is_confirmed_gone_before_anything_else() {
    let mut group = steady();
    group.pods.retain(|pod| pod.id.name != "a");
    assert_eq!(told(&group)[..2], ["confirm pod a gone", "record b 4 []"]);
}
