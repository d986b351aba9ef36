//! Mode Nominated: X1, X3 to X5, and S3 by UID.

use super::{Group, Lease, Mode, Object, Pod, Story, group, pod};

/// The pod `a` with its next UID.
fn recreated(role: &str, term: &str) -> Pod {
    Pod { uid: "a2".into(), ..pod("a", role, term) }
}

impl Story {
    fn nominated() -> Self {
        let group = Group { mode: Mode::Nominated, ..group("u") };
        Self { group, ..Self::default() }.pod("a", "", "").pod("b", "", "").say_group()
    }

    /// The Lease: who holds it, who may take it, in which term.
    fn says(self, holder: &str, nominee: &str, term: u64) -> Self {
        let named = |name: &str, between: &str| match name {
            "" => String::new(),
            name => format!("{name}{between}{name}"),
        };
        let lease =
            Lease { nominee: named(nominee, "/"), term: Some(term), ..super::lease(&named(holder, "_")) };
        self.push(Object::Lease(lease), false, false)
    }

    /// The pod `a` has taken the Lease in term 1 and leads.
    fn taken() -> Self {
        let nominated = Self::nominated().says("", "", 0).record("a", 1).says("", "a", 1);
        nominated.says("a", "", 1).pod("a", "leader", "1")
    }
}

#[test]
fn a_hand_over_through_a_free_lease_breaks_nothing() {
    let asked = Story::taken().record("b", 2).says("a", "b", 2).pod("a", "follower", "2");
    let taken = asked.says("", "b", 2).says("b", "", 2).pod("b", "leader", "2");
    taken.breaks(&[]);
    // The holder renews, ends by itself, and is nominated anew.
    let again = Story::taken().says("a", "", 1).says("", "", 1).record("a", 2).says("", "a", 2);
    again.says("a", "", 2).pod("a", "leader", "2").breaks(&[]);
}

#[test]
fn a_holder_that_ends_without_a_successor_breaks_nothing() {
    let ask = |story: Story| {
        let lease = Lease { nominee: "g/u".into(), term: Some(2), ..super::lease("a_a") };
        story.push(Object::Lease(lease), false, false)
    };
    ask(Story::taken().record("", 2)).breaks(&[]);
    ask(Story::taken()).breaks(&["X4"]);
}

#[test]
fn a_lease_that_passes_from_holder_to_holder_is_found() {
    Story::taken().record("b", 2).says("a", "b", 2).says("b", "", 2).breaks(&["X1"]);
}

#[test]
fn a_take_without_a_nomination_is_found() {
    Story::nominated().says("", "", 0).says("a", "", 0).breaks(&["X3"]);
    let another = Story::nominated().says("", "", 0).record("a", 1).says("", "a", 1);
    another.says("b", "", 1).breaks(&["X3"]);
    let left = Story::nominated().says("", "", 0).record("a", 1).says("", "a", 1);
    left.says("a", "a", 1).breaks(&["X3"]);
}

#[test]
fn a_nomination_of_a_used_term_or_without_a_record_is_found() {
    Story::taken().says("", "", 1).says("", "a", 1).breaks(&["X4"]);
    Story::taken().says("", "", 1).says("", "b", 2).breaks(&["X4"]);
}

#[test]
fn a_lease_that_is_created_for_a_pod_is_found() {
    Story::nominated().record("a", 1).says("", "a", 1).breaks(&["X5"]);
    Story::nominated().record("a", 1).says("a", "", 1).breaks(&["X5"]);
}

#[test]
fn a_promotion_of_a_pod_that_does_not_hold_the_lease_is_found() {
    let free = Story::nominated().says("", "", 0).record("a", 1).says("", "a", 1);
    free.pod("a", "leader", "1").breaks(&["S3.4"]);
    // An earlier pod of that name took it.
    let earlier = Story::taken().gone("a").push(Object::Pod(recreated("", "")), false, false);
    let recorded = earlier.record("a2", 2).push(Object::Pod(recreated("leader", "2")), false, false);
    recorded.breaks(&["S3.4"]);
}

#[test]
fn an_endpoint_before_the_lease_is_held_is_found() {
    let nominated = || Story::nominated().says("", "", 0).record("a", 1).says("", "a", 1).slice(&[], None);
    nominated().slice(&["a"], Some(1)).breaks(&["R3"]);
    nominated().says("a", "", 1).slice(&["a"], Some(1)).breaks(&[]);
}
