//! Histories of a group's slice.

use super::Story;
use crate::judge::{Endpoint, Object, Slice};

impl Story {
    /// The group's slice routes to these pods in this term, if it has one.
    pub(super) fn slice(self, pods: &[&str], term: Option<u64>) -> Self {
        self.push(Object::Slice(slice("s", pods, term)), false, false)
    }

    fn users_slice(self, pods: &[&str], term: Option<u64>) -> Self {
        self.push(Object::Slice(slice("s", pods, term)), false, true)
    }

    /// A user deletes the slice, and an operator creates it anew.
    fn slice_again(self) -> Self {
        let deleted = self.push(Object::Slice(slice("s", &[], None)), true, true);
        deleted.push(Object::Slice(slice("s2", &[], None)), false, false)
    }
}

fn slice(uid: &str, pods: &[&str], term: Option<u64>) -> Slice {
    let to = |pod: &&str| Endpoint { pod: (*pod).to_owned(), ready: true, ..Endpoint::default() };
    Slice {
        name: "g-ipv4".into(),
        uid: uid.into(),
        group: "u".into(),
        service: "g".into(),
        family: "IPv4".into(),
        term,
        endpoints: pods.iter().map(to).collect(),
    }
}

#[test]
fn a_slice_that_follows_the_record_breaks_nothing() {
    let story = Story::led().slice(&[], None).slice(&["a"], Some(1)).record("b", 2).slice(&["b"], Some(2));
    let story = story.record("", 3).slice(&[], Some(3));
    story.breaks(&[]);
    assert_eq!(story.judge.routes(), 2);
}

#[test]
fn a_slice_with_two_endpoints_is_found_unless_a_user_wrote_it() {
    let routed = || Story::led().slice(&[], None).record("b", 1);
    routed().slice(&["a", "b"], Some(1)).breaks(&["R1"]);
    let users = routed().users_slice(&["a", "c"], Some(1));
    users.breaks(&[]);
    // What an operator leaves of it is the operator's.
    let left = users.slice(&["a", "c"], Some(1));
    left.breaks(&["R1", "R3"]);
    // One endpoint with two addresses is two.
    let two = serde_json::json!({ "endpoints": [{ "addresses": ["10.0.0.1", "10.0.0.2"] }] });
    assert_eq!(Slice::read(&two).endpoints.len(), 2);
}

#[test]
fn two_slices_of_one_service_and_family_with_endpoints_are_found_unless_a_user_wrote_one() {
    let routed = || Story::led().slice(&[], None).slice(&["a"], Some(1));
    let other = |pods: &[&str]| Slice { group: "gone".into(), ..slice("other", pods, Some(4)) };
    let found = |other: Slice, by_user| {
        let story = Story::led().slice(&[], None).push(Object::Slice(other), false, by_user);
        story.slice(&["a"], Some(1)).found()
    };
    routed().push(Object::Slice(other(&[])), false, false).slice(&["a"], Some(1)).breaks(&[]);
    assert!(found(other(&["z"]), false).iter().any(|law| law == "R1"));
    assert_eq!(found(other(&["z"]), true), [""; 0]);
    assert_eq!(found(Slice { service: "other".into(), ..other(&[]) }, false), [""; 0]);
    let six = Slice { family: "IPv6".into(), ..other(&["z"]) };
    assert!(found(six, false).iter().all(|law| law != "R1"));
    let gone =
        routed().push(Object::Slice(other(&[])), false, false).push(Object::Slice(other(&[])), true, false);
    gone.slice(&["a"], Some(1)).breaks(&[]);
}

#[test]
fn a_slice_that_is_created_with_an_endpoint_is_found() {
    Story::led().slice(&["a"], Some(1)).breaks(&["R2"]);
    Story::led().users_slice(&["a"], Some(1)).breaks(&[]);
}

#[test]
fn a_route_to_another_than_a_recorded_leader_is_found() {
    let routed = || Story::led().slice(&[], None);
    routed().slice(&["b"], Some(1)).breaks(&["R3"]);
    routed().slice(&["a"], None).breaks(&["R3"]);
    // It comes before its record.
    routed().slice(&["b"], Some(2)).record("b", 2).breaks(&["R3"]);
    // Its term is of another record.
    routed().record("b", 2).slice(&["a"], Some(2)).breaks(&["R3"]);
    routed().users_slice(&["b"], Some(9)).breaks(&[]);
}

/// The operator that recorded `a` stalls before its route.
#[test]
fn a_late_route_is_excused_until_the_next_route_and_no_longer() {
    let recorded = || Story::led().slice(&[], None).record("b", 2);
    recorded().slice(&["a"], Some(1)).slice(&["b"], Some(2)).breaks(&[]);
    recorded().slice(&["b"], Some(2)).slice(&["a"], Some(1)).breaks(&["R4"]);
    recorded().slice(&["b"], Some(2)).slice(&["b"], None).breaks(&["R3", "R4"]);
    // The new slice has no term to compare with, and the wrong pod is its only endpoint.
    recorded()
        .slice(&["b"], Some(2))
        .slice_again()
        .push(Object::Slice(slice("s2", &["a"], Some(1))), false, false)
        .breaks(&["R4"]);
}

#[test]
fn a_term_that_a_user_wrote_over_binds_as_the_slice_has_it() {
    let raised = || Story::led().slice(&[], None).users_slice(&["b"], Some(9));
    raised().slice(&["a"], Some(1)).breaks(&["R4"]);
    raised().record("a", 10).slice(&["a"], Some(10)).breaks(&[]);
    let routed = || Story::led().slice(&[], None).record("a", 5).slice(&["a"], Some(5));
    routed().users_slice(&["a"], None).record("b", 6).slice(&["b"], Some(6)).breaks(&[]);
    routed().users_slice(&["a"], None).slice(&["a"], Some(1)).breaks(&["R4"]);
    // The user emptied the record, and deleted the slice.
    let mut emptied = routed();
    (emptied.group.leader, emptied.group.term) = (String::new(), None);
    let emptied = emptied.user_says_group().slice_again().record("b", 1);
    emptied.push(Object::Slice(slice("s2", &["b"], Some(1))), false, false).breaks(&[]);
}

#[test]
fn a_slice_that_no_operator_manages_is_not_judged() {
    let other = Slice { group: String::new(), ..slice("s", &["b", "c"], Some(7)) };
    Story::led().push(Object::Slice(other), false, false).breaks(&[]);
}

#[test]
fn a_service_is_routed_when_slice_record_and_report_agree() {
    let is_routed = |story: &Story| story.judge.present.is_routed("g", "g");
    let mut story = Story::led().slice(&[], None);
    assert!(story.judge.present.is_not_routed("g", "g"));
    story.group.routed = true;
    let story = story.say_group();
    assert!(is_routed(&story).is_err() && !story.judge.present.is_not_routed("g", "g"));
    let story = story.slice(&["a"], Some(1));
    assert_eq!(is_routed(&story), Ok(()));
    let story = story.record("b", 2);
    assert!(is_routed(&story).unwrap_err().contains("as recorded"));
    let other = Slice { group: String::new(), ..slice("other", &["b"], Some(2)) };
    let story = story.slice(&["b"], Some(2)).push(Object::Slice(other), false, true);
    assert!(is_routed(&story).is_err(), "another writer's slice is beside it");
}
