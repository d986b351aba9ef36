//! Label and endpoint follow the Lease.

use super::support::routes::{routed, slice_object};
use super::*;
use planner::nominated_mode::TAKE;

/// `a` holds the Lease in term 3, with label and endpoint.
fn serving() -> Snapshot {
    let group = steady();
    let object = slice_object(group.pods.iter().find(|pod| pod.id.name == "a"), Some(3));
    let group = settled(routed(group, Some(object)));
    Snapshot { reported_at: LONG_AGO, ..group }
}

/// `b` is recorded and nominated; `a` still works, and the operator has written what it can.
fn draining(group: Snapshot) -> Snapshot {
    let mut group = group;
    group.group.switchover = Some("b".to_owned());
    let told = story(&mut group);
    assert_eq!(told[..2], ["record b 4 [a]", "fence a 4, nominate b 4"], "{told:?}");
    group
}

fn endpoints(group: &Snapshot) -> Vec<&str> {
    let object = group.routes[0].slices[0].object.as_ref().expect("a slice");
    object.content.endpoints.iter().map(|endpoint| &*endpoint.pod.name).collect()
}

#[test]
fn one_write_takes_the_endpoint_from_the_earlier_leader_and_gives_it_to_the_one_that_took_the_lease() {
    let mut group = draining(serving());
    assert_eq!((endpoints(&group), reason(&group, "Routed")), (vec!["a"], "Pending"));
    pod_mut(&mut group, "a").terminating = true;
    assert_eq!(
        story(&mut group),
        NOTHING,
        "a change of nothing but conditions would cost kube-proxy's second"
    );
    release(&mut group);
    unready(&mut group, "a");
    assert_eq!(story(&mut group), NOTHING, "the take is near");
    take(&mut group, "b");
    let told = story(&mut group);
    assert_eq!(told[..3], ["confirm record", "route active to b 4", "promote b 4"], "{told:?}");
    assert_eq!((endpoints(&group), reason(&group, "Routed")), (vec!["b"], "Routed"));
}

#[test]
fn a_leader_nominated_anew_keeps_its_endpoint() {
    let mut group = serving();
    group.pods.retain(|pod| pod.id.name == "a");
    release(&mut group);
    let told = story(&mut group);
    assert!(told.contains(&"fence a 4, nominate a 4".to_owned()), "{told:?}");
    assert_eq!((endpoints(&group), reason(&group, "Routed")), (vec!["a"], "Pending"));
    take(&mut group, "a");
    let told = story(&mut group);
    assert!(told.contains(&"route active to a 4".to_owned()), "{told:?}");
}

/// Clients would wait for an answer that never comes, or would reach a pod that is none of theirs.
#[test]
fn an_earlier_leader_that_is_not_sound_loses_its_endpoint_before_the_take() {
    let table: [(&str, fn(&mut Snapshot)); 8] = [
        ("it is not Ready, and works on", |group| unready(group, "a")),
        ("its node is silent", |group| pod_mut(group, "a").node_silent_from = Some(NOW)),
        ("it has finished", |group| pod_mut(group, "a").phase = PodPhase::Finished),
        ("it is gone", |group| delete(group, "a")),
        ("it has another address", |group| {
            pod_mut(group, "a").network.addresses = vec!["10.1.1.1".to_owned()];
        }),
        ("another pod works", |group| write(group, |lease| lease.holder = Some("c_c-uid".to_owned()))),
        ("who works is unknown", |group| write(group, |lease| lease.holder = Some("c".to_owned()))),
        ("the Lease is another one", |group| write(group, |lease| lease.uid = "other".to_owned())),
    ];
    for (case, change) in table {
        let mut group = draining(serving());
        change(&mut group);
        let told = story(&mut group);
        assert!(told.iter().any(|line| line.contains("route active to nothing")), "{case}: {told:?}");
        assert_eq!(endpoints(&group), Vec::<&str>::new(), "{case}");
    }
}

/// It leaves the group's view once it is released.
#[test]
fn a_leader_that_is_not_selected_any_more_loses_its_endpoint_at_once() {
    let mut group = serving();
    pod_mut(&mut group, "a").membership = Membership::Deselected;
    assert_eq!(told(&group)[1], "fence a 4, nominate b 4, route active to nothing 4");
}

/// The companion of the nominee is dead, or there is none.
#[test]
fn a_take_that_does_not_come_takes_the_endpoint_from_the_earlier_leader() {
    let mut group = draining(serving());
    release(&mut group);
    assert_eq!(story(&mut group), NOTHING);
    let late = group.now + TAKE;
    assert_eq!(plan_group(&group).wake_at(), Some(late));
    group.now = late;
    assert_eq!(story(&mut group), ["confirm record", "route active to nothing 4"]);
    take(&mut group, "b");
    story(&mut group);
    assert_eq!(endpoints(&group), ["b"]);
}

#[test]
fn an_operator_wakes_when_the_node_of_a_leader_that_drains_gets_silent() {
    let mut group = draining(serving());
    let silent_from = group.now + Millis(700);
    let a = pod_mut(&mut group, "a");
    (a.terminating, a.node_silent_from) = (true, Some(silent_from));
    story(&mut group);
    assert_eq!(plan_group(&group).wake_at(), Some(silent_from));
}

#[test]
fn without_a_leader_to_come_the_endpoint_goes_at_once() {
    let mut group = serving();
    policy_mut(&mut group).clear_without_candidate = true;
    for name in ["a", "b", "c"] {
        unready(&mut group, name);
    }
    let told = story(&mut group);
    assert!(told.contains(&"fence a 4, nominate orders 4, route active to nothing 4".to_owned()), "{told:?}");
}

#[test]
fn a_released_lease_takes_label_and_endpoint_away_though_no_pod_can_follow() {
    let mut group = serving();
    for name in ["a", "b", "c"] {
        unready(&mut group, name);
    }
    story(&mut group);
    release(&mut group);
    let told = story(&mut group);
    assert!(told.contains(&"fence a 3, route active to nothing 3".to_owned()), "{told:?}");
}

/// Its watch of the Lease lags behind that of the group and the pods.
#[test]
fn an_operator_with_an_old_copy_of_the_lease_takes_neither_label_nor_endpoint() {
    let present = serving();
    let older: [fn(&mut LeaseContent); 3] = [
        |lease| (lease.holder, lease.term) = (Some("b_b-uid".to_owned()), Some(term(2))),
        |lease| (lease.holder, lease.nominee) = (Some("b_b-uid".to_owned()), Some(id("a"))),
        |lease| (lease.holder, lease.nominee) = (None, Some(id("a"))),
    ];
    for edit in older {
        let mut group = present.clone();
        edit(&mut group.lease.as_mut().unwrap().content);
        let told = told(&group);
        let takes = |line: &String| line.contains("fence") || line.contains("route");
        assert!(!told.iter().any(takes), "{told:?}");
    }
}

#[test]
fn a_label_of_an_earlier_term_is_no_proof() {
    let mut group = steady();
    pod_mut(&mut group, "a").term = Some(term(2));
    write(&mut group, |lease| (lease.holder, lease.nominee) = (None, Some(id("a"))));
    assert_eq!(told(&group)[0], "fence a 3");
}

#[test]
fn a_label_that_a_user_took_away_is_given_back() {
    let mut group = steady();
    pod_mut(&mut group, "a").role = Role::Absent;
    assert_eq!(told(&group), ["confirm record", "promote a 3", "event LabelRepaired"]);
}
