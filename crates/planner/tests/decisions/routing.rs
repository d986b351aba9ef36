//! Services in `spec.routing`: one write moves the traffic, as soon as the record allows it.

use super::support::routes::{
    SERVICE, content, endpoint, other_slice, routed, slice, slice_name, slice_object, steady_and_routed,
};
use super::*;
use planner::seen::{
    Family, NamedPort, RouteProblem, RouteRefusal, SeenRoute, SeenSlice, SliceContent, TargetPort,
};
use planner::switch::ROUTE_RETRY;

fn route_of(group: &mut Snapshot) -> &mut SeenRoute {
    &mut group.routes[0]
}

/// What the plans write into the slice in the end.
fn final_content(group: &Snapshot) -> SliceContent {
    let after = settled(group.clone());
    after.routes[0].slices[0].object.clone().expect("the slice exists").content
}

fn routed_condition(group: &Snapshot) -> (bool, String, String) {
    let after = settled(group.clone());
    let found = after.group.status.conditions.into_iter().find(|condition| condition.kind == "Routed");
    found.map(|found| (found.holds, found.reason, found.message)).expect("the group has the condition")
}

#[test]
fn the_route_follows_the_record_beside_fence_and_lease_and_no_promotion_waits_for_a_gap() {
    let mut group = steady_and_routed();
    unready(&mut group, "a");
    assert_eq!(
        told(&group),
        [
            "record b 4 [a]",
            "fence a 4, route active to b 4, take lease b 4",
            "promote b 4",
            "status",
            "change LeaderNotReady"
        ]
    );
    let change = &settled(group).group.status.history[0];
    assert_eq!((change.routed_at, change.labelled_at), (Some(Stamp::At(WALL)), Some(Stamp::At(WALL))));
}

#[test]
fn a_slice_is_created_empty_and_filled_by_the_next_plan_after_a_look_at_record_and_other_slices() {
    let mut group = routed(steady(), None);
    assert_eq!(told(&group), ["status", "create slice of active"]);
    let plan = plan_group(&group);
    plan.intents().for_each(|intent| group.project(intent));
    assert_eq!(
        told(&group),
        ["confirm no other slices of active, confirm record", "route active to a 3", "status"]
    );
}

/// A slice that names the Service and is of this owner, and the group's own, created and not routed yet.
fn beside(owner: Owner) -> Snapshot {
    let mut group = routed(steady(), Some(slice_object(None, None)));
    route_of(&mut group).others = vec![other_slice(owner)];
    group
}

#[test]
fn a_slice_of_another_group_is_waited_for_and_its_deletion_lets_the_group_go_on() {
    for (owner, reason) in
        [(Owner::Other(Identity::new("younger", "y")), "Pending"), (Owner::None, "RoutingRefused")]
    {
        let group = beside(owner);
        assert_eq!(told(&group), ["status"], "no live read and no write");
        assert_eq!(routed_condition(&group).1, reason);
        let mut after = settled(group);
        let later = told(&after.later(after.now + ROUTE_RETRY));
        assert!(!later.iter().any(|step| step.contains("confirm")), "an event wakes it: {later:?}");
        route_of(&mut after).others.clear();
        assert!(told(&after).contains(&"route active to a 3".to_owned()), "{:?}", told(&after));
        assert_eq!(routed_condition(&after).1, "Routed");
    }
}

/// The older group waits for it.
#[test]
fn a_refused_group_lets_go_of_a_service_that_an_older_group_routes() {
    let mut group = steady_and_routed();
    let lease = group.lease.as_mut().unwrap();
    (lease.content.owner, lease.content.term) = (Owner::Other(Identity::new("other", "o")), None);
    route_of(&mut group).problem = Some(RouteProblem::ClaimedBy("elder".to_owned()));
    let steps = told(&group);
    assert!(steps.contains(&"event LeaseHeldByOther".to_owned()), "{steps:?}");
    assert_eq!(steps.last().unwrap(), "delete slice of active");
}

#[test]
fn what_a_deleted_group_left_is_deleted_once_a_live_read_proves_that_the_group_is_gone() {
    let group = beside(Owner::Vanished(Identity::new("former", "f")));
    assert_eq!(
        told(&group),
        ["confirm group former gone", "delete slice of active", "status"],
        "the garbage collector may take its time"
    );
    let after = settled(group);
    assert_eq!(routed_condition(&after).1, "Routed");
}

#[test]
fn a_group_that_routes_already_does_not_mind_the_slice_of_another() {
    let mut group = steady_and_routed();
    route_of(&mut group).others = beside(Owner::Other(Identity::new("younger", "y"))).routes.remove(0).others;
    assert_eq!(told(&group), Vec::<String>::new());
    unready(&mut group, "a");
    assert_eq!(told(&group)[1], "fence a 4, route active to b 4, take lease b 4");
}

#[test]
fn a_slice_that_never_had_an_endpoint_is_left_alone_until_there_is_a_leader() {
    let mut group = routed(fresh([]), Some(slice_object(None, None)));
    group.routes[0].others.clear();
    let after = settled(group);
    let object = after.routes[0].slices[0].object.as_ref().unwrap();
    assert_eq!(object.term, None, "a term says that the group has looked for other slices");
    assert_eq!(routed_condition(&after).1, "NoReadyEndpoint");
}

#[test]
fn a_first_election_creates_the_slice_after_all_that_labels_need() {
    let mut group = routed(fresh([pod("a")]), None);
    let mut steps = Vec::new();
    while !plan_group(&group).steps().is_empty() {
        steps.extend(told(&group));
        plan_group(&group).intents().for_each(|intent| group.project(intent));
    }
    let at = |word: &str| steps.iter().position(|step| step.contains(word)).unwrap();
    assert!(at("promote") < at("create slice") && at("create slice") < at("route"), "{steps:?}");
    assert_eq!(final_content(&group).endpoints[0].pod, id("a"));
}

#[test]
fn the_endpoint_follows_the_readiness_of_a_leader_that_nobody_can_replace() {
    let mut group = steady_and_routed();
    for name in ["b", "c"] {
        pod_mut(&mut group, name).excluded = true;
    }
    let mut group = settled(group);
    unready(&mut group, "a");
    assert_eq!(told(&group)[..2], ["confirm record", "route active to a not ready 3"]);
    assert_eq!(routed_condition(&group).1, "NoReadyEndpoint");
    route_of(&mut group).publishes_not_ready = true;
    let content = final_content(&group);
    assert!(
        content.endpoints[0].ready && !content.endpoints[0].serving,
        "as publishNotReadyAddresses demands"
    );
}

#[test]
fn a_leader_that_terminates_is_replaced_by_one_write_and_never_marked_before() {
    let mut group = steady_and_routed();
    pod_mut(&mut group, "a").terminating = true;
    let steps = told(&group);
    assert_eq!(steps[1], "fence a 4, route active to b 4, take lease b 4");
    assert_eq!(steps.iter().filter(|step| step.contains("route")).count(), 1, "{steps:?}");
}

#[test]
fn a_group_that_clears_its_leader_routes_to_nothing() {
    let mut group = steady_and_routed();
    policy_mut(&mut group).clear_without_candidate = true;
    for name in ["a", "b", "c"] {
        pod_mut(&mut group, name).excluded = true;
    }
    assert_eq!(told(&group)[1], "fence a 4, release lease - 4, route active to nothing 4");
}

#[test]
fn a_leader_that_is_gone_without_a_successor_is_no_endpoint() {
    let mut group = steady_and_routed();
    for name in ["b", "c"] {
        pod_mut(&mut group, name).excluded = true;
    }
    let group = settled(group);
    let mut gone = group;
    delete(&mut gone, "a");
    assert_eq!(told(&gone)[..2], ["confirm record", "route active to nothing 3"]);
    assert_eq!(final_content(&gone), content(None));
}

#[test]
fn a_leader_that_the_cache_lacks_is_an_endpoint_until_a_live_read_proves_that_it_is_gone() {
    let mut group = steady_and_routed();
    group.pods.retain(|pod| pod.id.name != "a");
    for name in ["b", "c"] {
        pod_mut(&mut group, name).excluded = true;
    }
    assert_eq!(told(&group)[..3], ["confirm record", "confirm pod a gone", "route active to nothing 3"]);
    assert!(!told(&settled(group)).iter().any(|step| step.contains("confirm")), "one read is enough");
}

#[test]
fn endpoints_that_a_user_edited_are_written_again() {
    let pods = steady().pods;
    let two = SliceContent { endpoints: pods[..2].iter().map(endpoint).collect(), ..content(Some(&pods[0])) };
    let mut wrong = content(Some(&pods[1]));
    wrong.endpoints[0].address = "10.9.9.9".to_owned();
    for edited in [two, wrong, content(None)] {
        let mut group = steady_and_routed();
        let object = route_of(&mut group).slices[0].object.as_mut().unwrap();
        object.content = edited;
        assert_eq!(told(&group)[..2], ["confirm record", "route active to a 3"]);
    }
}

#[test]
fn a_slice_of_a_higher_term_makes_the_group_record_again() {
    let mut group = steady_and_routed();
    let b = group.pods[1].clone();
    route_of(&mut group).slices[0].object = Some(slice_object(Some(&b), Some(9)));
    let steps = told(&group);
    assert_eq!(steps[0], "record a 10 []");
    assert!(steps[1].contains("route active to a 10"), "{steps:?}");
}

#[test]
fn a_named_port_has_the_number_of_the_leaders_container_and_a_missing_one_is_left_out() {
    let mut group = steady_and_routed();
    unready(&mut group, "a");
    let port = |name: &str, protocol: &str, number| NamedPort {
        name: name.to_owned(),
        protocol: protocol.to_owned(),
        number,
    };
    pod_mut(&mut group, "b").network.named_ports = vec![port("http", "UDP", 1), port("http", "TCP", 9090)];
    let route = route_of(&mut group);
    let mut admin = route.ports[0].clone();
    (admin.name, admin.target) = ("admin".to_owned(), TargetPort::Name("admin".to_owned()));
    let mut fixed = route.ports[0].clone();
    (fixed.name, fixed.target) = ("fixed".to_owned(), TargetPort::Number(7));
    route.ports.extend([admin, fixed]);
    let ports: Vec<_> =
        final_content(&group).ports.into_iter().map(|port| (port.name, port.number)).collect();
    assert_eq!(ports, [("fixed".to_owned(), 7), ("http".to_owned(), 9090)]);
}

/// As the `EndpointSlice` controller does it: the DNS answers `<hostname>.<service>` then.
#[test]
fn an_endpoint_has_the_host_name_of_a_pod_whose_subdomain_is_the_service() {
    for (subdomain, expected) in [(Some(SERVICE), Some("a")), (Some("orders"), None), (None, None)] {
        let mut group = steady_and_routed();
        let network = &mut pod_mut(&mut group, "a").network;
        (network.hostname, network.subdomain) = (Some("a".to_owned()), subdomain.map(str::to_owned));
        assert_eq!(final_content(&group).endpoints[0].hostname.as_deref(), expected);
    }
}

#[test]
fn each_address_family_of_the_service_has_a_slice_of_its_own() {
    let mut group = steady_and_routed();
    for pod in &mut group.pods {
        pod.network.addresses.push("2001:db8::1".to_owned());
    }
    let six = SeenSlice { name: slice_name(SERVICE, Family::V6), object: Some(slice_object(None, None)) };
    route_of(&mut group).slices.push(six);
    let after = settled(group);
    let addresses: Vec<_> = after.slices().map(|slice| slice.content.endpoints[0].address.clone()).collect();
    assert_eq!(addresses[1], "2001:db8::1");
    assert!(addresses[0].starts_with("10."), "{addresses:?}");
}

#[test]
fn a_service_that_kubernetes_routes_gets_no_slice_and_loses_the_one_it_has() {
    for problem in
        [RouteProblem::HasSelector, RouteProblem::ExternalName, RouteProblem::ClaimedBy("elder".to_owned())]
    {
        let mut group = steady_and_routed();
        route_of(&mut group).problem = Some(problem.clone());
        let steps = told(&group);
        assert_eq!(steps, ["status", "delete slice of active"], "{problem:?}");
        let (holds, reason, _) = routed_condition(&group);
        assert_eq!((holds, reason.as_str()), (false, problem.reason()));
    }
}

#[test]
fn a_service_that_is_missing_keeps_the_slice_of_the_present_leader_and_of_no_other() {
    let mut group = steady_and_routed();
    route_of(&mut group).problem = Some(RouteProblem::NotFound);
    assert_eq!(told(&group), ["status"]);
    unready(&mut group, "a");
    assert_eq!(final_content(&group), content(None));
    assert_eq!(routed_condition(&group).1, "ServiceNotFound");
}

#[test]
fn nothing_is_routed_before_the_first_lists_are_complete() {
    let mut group = steady_and_routed();
    route_of(&mut group).problem = Some(RouteProblem::NotListed);
    unready(&mut group, "a");
    let steps = told(&group);
    assert!(!steps.iter().any(|step| step.contains("route") || step.contains("slice")), "{steps:?}");
    assert!(steps.contains(&"3 ms; promote b 4".to_owned()), "labels do not wait: {steps:?}");
}

#[test]
fn slices_that_no_service_needs_any_more_are_deleted() {
    let mut group = steady();
    group.unrouted = vec![slice("former", Some(slice_object(None, Some(3))))];
    assert_eq!(told(&group), ["delete slice of former"]);
    assert!(settled(group).unrouted.is_empty());
}

#[test]
fn a_refused_write_of_a_slice_is_told_and_tried_again_later_and_labels_do_not_wait() {
    let mut group = steady_and_routed();
    let refused = RouteRefusal { at: NOW, why: "endpointslices is forbidden".to_owned() };
    group.route_refusal = Some(refused);
    unready(&mut group, "a");
    let steps = told(&group);
    assert!(!steps.iter().any(|step| step.contains("route")), "{steps:?}");
    assert!(steps.contains(&"promote b 4".to_owned()), "{steps:?}");
    let (_, reason, message) = routed_condition(&group);
    assert_eq!((reason.as_str(), message.as_str()), ("RoutingRefused", "endpointslices is forbidden"));
    let later = settled(group).later(NOW + ROUTE_RETRY);
    assert!(told(&later).iter().any(|step| step.contains("route active to b 4")), "{:?}", told(&later));
}

/// The write was done though its answer was lost, or another operator did it.
#[test]
fn a_refusal_is_not_told_once_the_slice_follows_the_record_all_the_same() {
    let refused = |group: Snapshot| {
        let why = "patch endpointslice: no answer within 3 s".to_owned();
        Snapshot { route_refusal: Some(RouteRefusal { at: NOW, why }), ..group }
    };
    let done = refused(steady_and_routed());
    assert_eq!(told(&done), Vec::<String>::new(), "it says Routed=True, and stays so");
    let to_do = [refused(routed(steady(), None)), refused(routed(steady(), Some(slice_object(None, None))))];
    for group in to_do {
        assert_eq!(routed_condition(&group).1, "RoutingRefused");
    }
}

#[test]
fn a_paused_group_moves_nothing_and_repairs_its_slice() {
    let mut group = steady_and_routed();
    policy_mut(&mut group).paused = true;
    let mut group = settled(group);
    unready(&mut group, "a");
    assert!(told(&group).contains(&"route active to a not ready 3".to_owned()), "{:?}", told(&group));
}

#[test]
fn a_group_that_routes_nothing_does_not_have_the_condition() {
    let mut group = steady_and_routed();
    let mut left = route_of(&mut group).slices.remove(0);
    group.routes.clear();
    left.name = slice_name("active", Family::V4);
    group.unrouted = vec![left];
    let after = settled(group);
    assert!(after.group.status.conditions.iter().all(|condition| condition.kind != "Routed"));
}
