//! Which pod the `holderIdentity` of the Lease names.

use super::*;

#[test]
fn the_holder_is_labelled_by_the_same_protocol_but_for_the_lease() {
    let mut group = new_group("b", [pod("a"), pod("b"), pod("c")]);
    assert_eq!(told(&group), ["confirm lease", "record b 1 [*]", "list 1"]);
    let first = plan_group(&group);
    support::apply(&mut group, &first);
    assert_eq!(
        told(&group),
        ["confirm record, fence a 1, fence c 1", "promote b 1", "status", "change FirstElection"]
    );
}

#[test]
fn the_holder_is_detected_no_earlier_than_the_group_existed_or_lost_its_leader() {
    let mut new = new_group("a", [pod("a")]).later(seconds(9));
    new.record_seen_at = seconds(8);
    let mut cleared = new.clone();
    cleared.group.status.record = Some(LeaderRecord { leader: None, ..record("a", 3) });
    for mut group in [new, cleared] {
        settle(&mut group);
        assert_eq!(group.group.status.history[0].detected_at, Micros(WALL.0 + 8_000_000));
    }
}

#[test]
fn the_holder_is_found_by_name_then_by_what_is_before_an_underscore_then_by_annotation() {
    let named = |name: &str, identity: &str| with(pod(name), |p| p.identity = Some(identity.to_owned()));
    let table = [
        ("b", "b"),
        ("b_8f0c", "b"),
        ("b_", "b"),
        ("b_8f_0c", "b"),
        ("worker-7", "c"),
        // controller-runtime and kube-scheduler on the host network: a new UUID at each start.
        ("worker-7_8f0c", "c"),
        ("worker-7_8f_0c", "c"),
        // The first rule that matches decides.
        ("a", "a"),
        ("a_1", "a"),
    ];
    for (identity, expected) in table {
        let pods = [pod("a"), named("b", "a"), named("c", "worker-7")];
        let outcome = outcome(new_group(identity, pods));
        assert_eq!(outcome, says(expected, "FirstElection", "Elected"), "{identity}");
    }
}

#[test]
fn the_holder_is_the_pod_with_the_longest_name_that_the_identity_continues() {
    let pods = || ["orders", "orders-7c9f", "orders-7c9f-x2"].map(pod);
    for (identity, expected) in [
        ("orders-7c9f-x2", "orders-7c9f-x2"),
        ("orders-7c9f-x2-external-controller", "orders-7c9f-x2"),
        ("orders-7c9f-x2_5d1e", "orders-7c9f-x2"),
        ("orders-7c9f-other", "orders-7c9f"),
        ("orders-7c9f-x20", "orders-7c9f"),
        ("orders-leader", "orders"),
    ] {
        let outcome = outcome(new_group(identity, pods()));
        assert_eq!(outcome, says(expected, "FirstElection", "Elected"), "{identity}");
    }
}

#[test]
fn the_identity_of_a_pod_on_the_host_network_may_be_its_nodes_name() {
    let on = |name: &str, node: &str| {
        with(pod(name), |p| (p.host_network, p.node) = (true, Some(node.to_owned())))
    };
    for (identity, expected) in [("n1", "a"), ("n1_5d1e", "a"), ("n1-external", "a"), ("n1-b_5d1e", "b")] {
        let group = new_group(identity, [on("a", "n1"), on("b", "n1-b"), pod("c")]);
        assert_eq!(outcome(group), says(expected, "FirstElection", "Elected"), "{identity}");
    }
    let group = new_group("n1_5d1e", [on("a", "n1"), on("b", "n1")]);
    assert_eq!(outcome(group), says("", "", "AmbiguousHolder"));
    let elsewhere = with(pod("a"), |p| p.node = Some("n1".to_owned()));
    assert_eq!(outcome(new_group("n1_5d1e", [elsewhere])), says("", "", "UnknownHolder"));
}

#[test]
fn an_identity_that_is_no_pod_of_the_group_or_may_be_two_names_no_holder() {
    let twin = |name: &str| with(pod(name), |p| p.identity = Some("twin".to_owned()));
    for identity in ["d", "_b", "B", "xb", "b.shop", "b8f0c", "node-1"] {
        let group = new_group(identity, [pod("a"), pod("b")]);
        assert_eq!(outcome(group), says("", "", "UnknownHolder"), "{identity}");
    }
    let group = new_group("twin", [twin("a"), twin("b")]);
    assert_eq!(outcome(group), says("", "", "AmbiguousHolder"));
    let group = new_group("twin_8f0c", [twin("a"), twin("b")]);
    assert_eq!(outcome(group), says("", "", "AmbiguousHolder"));
    let ended = with(twin("a"), |p| p.phase = PodPhase::Finished);
    assert_eq!(outcome(new_group("twin", [ended, twin("b")])).0, "b");
}

#[test]
fn a_pod_that_is_deselected_finished_or_of_another_group_is_no_holder() {
    let table: [fn(&mut SeenPod); 3] = [
        |p| p.membership = Membership::Deselected,
        |p| p.owner = Owner::Other(id("other")),
        |p| p.phase = PodPhase::Finished,
    ];
    for problem in table {
        let group = new_group("b", [pod("a"), with(pod("b"), problem)]);
        assert_eq!(outcome(group), says("", "", "UnknownHolder"));
    }
}

#[test]
fn the_holder_keeps_the_label_while_it_renews_whatever_else_happens_to_it() {
    let table: [fn(&mut SeenPod); 6] = [
        |p| p.ready = false,
        |p| p.terminating = true,
        |p| p.excluded = true,
        |p| p.disrupted = true,
        |p| p.node_silent_from = Some(NOW),
        |p| p.weight = -1000,
    ];
    for problem in table {
        let mut group = steady();
        problem(pod_mut(&mut group, "a"));
        settle(&mut group);
        assert_eq!((labelled(&group), group.record().unwrap().term.get()), (vec!["a"], 3));
    }
}

#[test]
fn a_holder_that_is_not_ready_makes_the_group_not_ready_and_the_condition_says_why() {
    let mut group = steady();
    pod_mut(&mut group, "a").ready = false;
    settle(&mut group);
    let ready = group.group.status.conditions.iter().find(|c| c.kind == "Ready").unwrap();
    assert_eq!((ready.holds, ready.reason.as_str()), (false, "LeaderUnfit"));
}

#[test]
fn the_holder_is_labelled_even_if_it_is_not_ready() {
    let unready = with(pod("b"), |p| p.ready = false);
    assert_eq!(outcome(new_group("b", [pod("a"), unready])).0, "b");
}

#[test]
fn a_fresh_operator_labels_the_holder_at_once_and_counts_the_lease_from_then() {
    let mut group = new_group("a", [pod("a"), pod("b")]);
    let first_look = SeenLease::first_seen(held_by("a").content, NOW);
    group.lease = Some(first_look);
    settle(&mut group);
    assert_eq!((labelled(&group), plan_group(&group).wake_at()), (vec!["a"], Some(seconds(15))));
}
