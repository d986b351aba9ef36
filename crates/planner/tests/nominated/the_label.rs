//! Label and endpoint follow the Lease.

use super::support::routes::{routed, slice_object};
use super::*;

/// `a` holds the Lease in term 3, with label and endpoint.
fn serving() -> Snapshot {
    let group = steady();
    let object = slice_object(group.pods.iter().find(|pod| pod.id.name == "a"), Some(3));
    let group = settled(routed(group, Some(object)));
    Snapshot { reported_at: LONG_AGO, ..group }
}

#[test]
fn the_endpoint_goes_with_the_nomination_and_comes_with_the_take() {
    let mut group = serving();
    group.group.switchover = Some("b".to_owned());
    let told = story(&mut group);
    assert_eq!(told[..2], ["record b 4 [a]", "fence a 4, nominate b 4, route active to nothing 4"]);
    release(&mut group);
    assert_eq!(story(&mut group), NOTHING);
    take(&mut group, "b");
    let told = story(&mut group);
    assert_eq!(told[..3], ["confirm record", "route active to b 4", "promote b 4"], "{told:?}");
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
