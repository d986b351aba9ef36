//! The record in the status: terms, unfenced pods, and what happens when it is lost.

use super::*;

#[test]
fn a_record_that_an_operator_left_behind_is_finished_from_where_it_stands() {
    let mut group = steady();
    let mut next = record("b", 4);
    next.unfenced = Unfenced::Pods(vec![id("a")]);
    group.group.status.record = Some(next);
    unready(&mut group, "a");
    assert_eq!(told(&group)[..2], ["confirm record, fence a 4, take lease b 4", "3 ms; promote b 4"]);
    *pod_mut(&mut group, "a") = with(follower("a", 4), |p| p.ready = false);
    assert_eq!(told(&group)[..2], ["confirm record, take lease b 4", "promote b 4"]);
}

#[test]
fn a_record_hands_its_unfenced_pods_on_unless_they_are_fenced_or_gone() {
    let mut group = steady();
    group.pods.extend([follower("d", 4), follower("e", 3), leader("f", 3)]);
    let mut next = record("b", 4);
    next.unfenced = Unfenced::Pods(["a", "d", "e", "f", "g", "h"].map(id).to_vec());
    group.gone.insert(id("g").uid, GonePod { at: NOW, was_terminating: false, had_ended: false });
    group.group.status.record = Some(next);
    unready(&mut group, "a");
    pod_mut(&mut group, "b").terminating = true;
    pod_mut(&mut group, "c").weight = 1;
    // a still leads; d is fenced; e and f are not; g is gone; the cache lacks h, which proves
    // nothing
    assert_eq!(told(&group)[0], "record c 5 [a b e f h]");
    assert_eq!(
        told(&group)[1],
        "confirm pod h gone, fence a 5, fence b 5, fence e 5, fence f 5, take lease c 5"
    );
}

#[test]
fn a_first_record_leaves_every_pod_unfenced_and_the_next_one_names_them_from_a_list() {
    let mut group = fresh([pod("a"), pod("b")]);
    let mut first = record("a", 1);
    first.unfenced = Unfenced::All;
    group.group.status.record = Some(first);
    assert_eq!(told(&group), ["list 1"]);
    pod_mut(&mut group, "a").terminating = true;
    assert_eq!(told(&group), ["list 1"]);
    group.listed_for = Some(group.group.version);
    assert_eq!(told(&group)[..2], ["record b 2 [a]", "fence a 2, take lease b 2"]);
}

#[test]
fn an_unfenced_pod_absent_from_the_cache_is_confirmed_gone_before_the_promotion() {
    let mut group = steady();
    let mut next = record("b", 4);
    next.unfenced = Unfenced::Pods(vec![id("z")]);
    group.group.status.record = Some(next);
    unready(&mut group, "a");
    assert_eq!(
        told(&group)[..2],
        ["confirm pod z gone, confirm record, fence a 4, take lease b 4", "3 ms; promote b 4"]
    );
}

#[test]
fn an_emptied_record_is_made_again_for_the_pod_that_carries_the_label() {
    let mut group = steady();
    group.group.status = planner::seen::GroupStatus::default();
    pod_mut(&mut group, "b").weight = 100;
    assert_eq!(told(&group), ["record a 4 [*]", "list 4"]);
    let plans = settle(&mut group);
    assert_eq!((labelled(&group), events(&plans)), (vec!["a"], vec!["Recovered".to_owned()]));
}

#[test]
fn an_emptied_record_takes_its_term_from_pods_and_lease() {
    let mut group = fresh([follower("a", 8)]);
    assert_eq!(told(&group)[0], "record a 9 [*]");
    group.lease = Some(lease("a", 20));
    assert_eq!(told(&group)[0], "record a 21 [*]");
}

#[test]
fn a_record_that_names_an_unknown_leader_keeps_its_term_and_the_labelled_leader() {
    let mut group = steady();
    group.group.status.record = None;
    group.group.status.lost_term = Some(term(40));
    pod_mut(&mut group, "b").weight = 100;
    assert_eq!(told(&group), ["record a 41 [*]", "list 41"]);
    settle(&mut group);
    assert_eq!((labelled(&group), group.group.status.lost_term), (vec!["a"], None));
}

#[test]
fn a_record_that_a_user_changed_is_followed() {
    let mut group = steady();
    let leader = group.group.status.record.as_mut().unwrap().leader.as_mut().unwrap();
    leader.id = id("b");
    settle(&mut group);
    assert_eq!(labelled(&group), ["b"]);
    assert_eq!(group.record().unwrap().term, term(4));
}

#[test]
fn the_record_is_made_again_with_a_higher_term_before_a_pod_above_it_is_written() {
    let mut group = steady();
    *pod_mut(&mut group, "b") = leader("b", 9);
    assert_eq!(
        told(&group)[..2],
        ["record a 10 [a]".replace("[a]", "[]"), "fence b 10, renew lease a 10".into()]
    );
}

#[test]
fn the_record_stays_while_a_pod_above_it_needs_no_write() {
    let mut group = steady();
    *pod_mut(&mut group, "b") = follower("b", 9);
    assert_eq!(told(&group), NOTHING);
}

#[test]
fn the_record_names_its_leader_again_when_a_second_pod_carries_the_label_of_its_term() {
    let mut group = steady();
    *pod_mut(&mut group, "b") = leader("b", 3);
    assert_eq!(told(&group)[0], "record a 4 []");
    assert_eq!(told(&group)[1], "fence b 4, renew lease a 4");
}

#[test]
fn no_record_is_made_when_the_terms_are_used_up_and_the_condition_says_so() {
    let mut group = steady();
    *pod_mut(&mut group, "b") = with(leader("b", 3), |p| p.term = Some(Term::MAX));
    let plans = settle(&mut group);
    assert_eq!(events(&plans), ["TermExhausted"]);
    assert_eq!(says(&group, "Accepted"), (false, "TermExhausted".into()));
    assert_eq!(labelled(&group), ["a", "b"]);
}

#[test]
fn a_record_at_the_last_term_says_so_too() {
    let mut group = steady();
    group.group.status.record.as_mut().unwrap().term = Term::MAX;
    unready(&mut group, "a");
    settle(&mut group);
    assert_eq!(says(&group, "Accepted"), (false, "TermExhausted".into()));
}

#[test]
fn a_pod_of_another_group_with_the_last_term_does_not_matter() {
    let mut group = steady();
    let foreign = Owner::Other(Identity::new("x", "x"));
    group.pods.push(with(pod("d"), |p| (p.owner, p.term) = (foreign, Some(Term::MAX))));
    settle(&mut group);
    assert_eq!(says(&group, "Accepted"), (true, "Accepted".into()));
}
