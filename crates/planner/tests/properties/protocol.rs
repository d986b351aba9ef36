//! S1 to S5: the order and the conditions of the writes.

use super::*;

fn lists_pods(plan: &Plan) -> bool {
    plan.intents().any(|intent| matches!(intent, Intent::ListPods(_)))
}

/// No operator with an earlier record can still promote the pod: its annotations show that, or it
/// is gone.
fn is_harmless(view: &Snapshot, id: &Identity, term: Term) -> bool {
    let Some(pod) = view.pod(id) else {
        return view.gone.contains_key(&id.uid);
    };
    pod.role != Role::Leader && pod.owner == Owner::Ours && pod.term >= Some(term)
}

fn named_leader(view: &Snapshot, write: &PodWrite) -> bool {
    let Some(record) = view.record() else { return false };
    record.leader_id().is_some_and(|leader| leader.uid == write.pod.uid) && record.term == write.term
}

/// The plan writes the record itself, or confirms that it is the current one.
fn confirms_the_record(snapshot: &Snapshot, record: &LeaderRecord) -> bool {
    let uid = |id: Option<&Identity>| id.map(|id| id.uid.clone());
    let expected = (uid(record.leader_id()), record.term);
    intents_of(snapshot).iter().any(|intent| match intent {
        Intent::WriteStatus(status) => {
            status.record.as_ref().is_some_and(|record| (uid(record.leader_id()), record.term) == expected)
        }
        Intent::Confirm(Fact::Record { group, leader, term }) => {
            group == &snapshot.group.id && (uid(leader.as_ref()), *term) == expected
        }
        _ => false,
    })
}

/// The plan has proved by a list, or confirms, that the pod is unchanged. It also confirms that the
/// group that owns the pod exists.
fn is_proved_owned_by_another(snapshot: &Snapshot, pod: &SeenPod, listed: bool) -> bool {
    let Owner::Other(owner) = &pod.owner else { return false };
    let intents = intents_of(snapshot);
    let same = listed || intents.contains(&Intent::Confirm(Fact::PodUnchanged(pod.id.clone(), pod.version)));
    same && intents.contains(&Intent::Confirm(Fact::GroupExists(owner.clone())))
}

/// A slice of the group is not there, or may get its first endpoint.
fn may_be_filled(view: &Snapshot) -> bool {
    let slices = || view.routes.iter().flat_map(|route| &route.slices);
    slices().any(|slice| slice.object.as_ref().is_none_or(|object| object.term.is_none()))
}

/// The plan confirms the fact, and the record in a later step.
fn confirms_the_record_after(snapshot: &Snapshot, fact: &Intent) -> bool {
    let steps = plan_group(snapshot).into_steps();
    let step = |asks: &dyn Fn(&Intent) -> bool| steps.iter().position(|step| step.intents.iter().any(asks));
    let first = step(&|intent| intent == fact);
    first.is_some() && first < step(&|intent| matches!(intent, Intent::Confirm(Fact::Record { .. })))
}

/// The plan as text, with the intents of each step in a fixed order.
fn normalised(plan: Plan) -> String {
    let wake_at = plan.wake_at();
    let mut steps = plan.into_steps();
    for step in &mut steps {
        step.intents.sort_by_key(|intent| format!("{intent:?}"));
    }
    format!("{wake_at:?}: {steps:#?}")
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_plan_does_not_depend_on_the_order_of_pods(
        (snapshot, pods) in every_snapshot().prop_flat_map(|s| (Just(s.clone()), Just(s.pods).prop_shuffle()))
    ) {
        let shuffled = Snapshot { pods, ..snapshot.clone() };
        prop_assert_eq!(normalised(plan_group(&snapshot)), normalised(plan_group(&shuffled)));
    }

    /// S4. Only a list of pods brings news: the next plan acts on what it shows, and then all is
    /// done. A slice gets its first endpoint by a plan of its own. The report of a write that was
    /// refused before, and succeeds now, follows in the next plan. One more exception: without a quiet
    /// time, failback takes a switchover to a less preferred pod back in the next plan.
    #[test]
    fn a_plan_leaves_nothing_to_do(snapshot in snapshots()) {
        let mut view = snapshot.clone();
        let first = plan_group(&view);
        let plans = settle(&mut view)?;
        let exhausted = snapshot.highest_term().get() >= 1 << 52;
        let at_once = policy_of(&snapshot).is_some_and(|policy| policy.failback_after == Some(Millis(0)));
        let taken_back = at_once && snapshot.group.switchover.is_some();
        let deletes = first.intents().any(|intent| matches!(intent, Intent::DeleteSlice(..)));
        let retries = snapshot.route_refusal.is_some() && deletes;
        if lists_pods(&first) || may_be_filled(&snapshot) || exhausted || taken_back || retries {
            prop_assert!(plans <= 4, "{} plans", plans);
        } else {
            let mut after = snapshot.clone();
            apply(&mut after, &first);
            prop_assert_eq!(format!("{:#?}", plan_group(&after).steps()), "[]");
        }
    }

    /// S4. Every write changes the object that it writes.
    #[test]
    fn every_write_changes_something(snapshot in every_snapshot()) {
        for (before, intent) in walks(&snapshot).concat() {
            let mut after = before.clone();
            after.project(&intent);
            let confirms_or_says = matches!(
                intent,
                Intent::Confirm(_)
                    | Intent::PublishEvent(_)
                    | Intent::AnnounceChange(_)
            );
            prop_assert!(confirms_or_says || after != before, "{intent:?}");
            if let Intent::WriteStatus(status) = &intent {
                prop_assert_ne!(&**status, &before.group.status);
            }
        }
    }

    /// S1. Every prefix of a plan keeps it. Where a user has broken S1, the plan mends it before
    /// any promotion.
    #[test]
    fn every_prefix_leaves_at_most_one_leader_label(snapshot in every_snapshot()) {
        let kept = labelled(&snapshot).len() <= 1;
        for (mut view, intent) in walks(&snapshot).concat() {
            view.project(&intent);
            let labelled = labelled(&view);
            prop_assert!(!kept || labelled.len() <= 1, "{labelled:?} after {intent:?}");
            if let Intent::Promote(write) = &intent {
                prop_assert_eq!(labelled, [&write.pod]);
            }
        }
    }

    /// S1, S3, S5. Fences, confirmations and the Lease come before the promotion.
    #[test]
    fn a_promotion_comes_last_and_as_recorded(snapshot in snapshots()) {
        for (view, intent) in walks(&snapshot).concat() {
            let Intent::Promote(write) = &intent else { continue };
            prop_assert!(named_leader(&view, write), "{:?} is not recorded", write);
            let pod = view.pod(&write.pod).unwrap();
            if !is_observed(&view) {
                let lease = &view.lease.as_ref().unwrap().content;
                let named = (lease.holder.as_ref(), lease.term, lease.is_ours());
                prop_assert_eq!(named, (Some(&pod.id.name), Some(write.term), true));
            }
            // The pods to be fenced: by the record at the beginning, or by the record that the plan
            // makes.
            let record = view.record().unwrap();
            let unfenced = match &record.unfenced {
                Unfenced::Pods(pods) => pods.clone(),
                Unfenced::All => {
                    prop_assert_eq!(view.listed_for, Some(view.group.version));
                    view.pods.iter().map(|pod| pod.id.clone()).collect()
                }
            };
            let listed = record.unfenced == Unfenced::All;
            for id in unfenced.iter().filter(|id| id.uid != write.pod.uid) {
                // A pod of another group may keep its leader label: that group is responsible for
                // it.
                let led = |pod: &SeenPod| pod.role == Role::Leader && pod.membership == Membership::Selected;
                let pod = view.pod(id).filter(|pod| is_foreign(pod) && !led(pod));
                let taken = pod.is_some_and(|pod| is_proved_owned_by_another(&snapshot, pod, listed));
                prop_assert!(taken || is_harmless(&view, id, write.term), "{id} may still be promoted");
            }
            let beside = |pod: &&SeenPod| pod.role == Role::Leader && pod.membership == Membership::Selected;
            let beside = view.pods.iter().find(|pod| beside(pod) && pod.id.uid != write.pod.uid);
            prop_assert_eq!(beside, None, "another selected pod carries the label");
            prop_assert!(confirms_the_record(&snapshot, record));
        }
    }

    /// Not above, not another's, and conditional on the version that the plan saw.
    #[test]
    fn a_write_to_a_pod_keeps_the_two_rules(snapshot in every_snapshot()) {
        for (view, intent) in walks(&snapshot).concat() {
            let (id, version, term) = match &intent {
                Intent::Fence(write) | Intent::Promote(write) | Intent::LabelFollower(write) => {
                    (&write.pod, write.version, Some(write.term))
                }
                Intent::Release(id, version) => (id, *version, view.record().map(|record| record.term)),
                _ => continue,
            };
            let pod = view.pod(id).unwrap();
            prop_assert_eq!((&pod.id, pod.version), (id, version));
            prop_assert!(!is_foreign(pod), "{intent:?} on {pod:?}");
            prop_assert!(term.is_none() || pod.term <= term, "{intent:?} on {pod:?}");
            if let Owner::Vanished(owner) = &pod.owner {
                prop_assert!(confirms_the_record_after(&snapshot, &Intent::Confirm(Fact::GroupGone(owner.clone()))));
            }
        }
    }

    /// R1, R3, R4, R5. A slice gets one endpoint at most, the recorded leader, by a conditional write
    /// that never lowers its term, and after a record that the plan wrote or confirmed.
    #[test]
    fn a_slice_routes_to_the_recorded_leader_alone(snapshot in every_snapshot()) {
        for (view, intent) in walks(&snapshot).concat() {
            let Intent::Route(write) = &intent else { continue };
            let record = view.record().unwrap();
            let pods: Vec<_> = write.content.endpoints.iter().map(|endpoint| &endpoint.pod.uid).collect();
            prop_assert!(pods.is_empty() || pods == [&record.leader_id().unwrap().uid], "{write:?}");
            let seen = view.slices().find(|slice| slice.uid == write.uid).unwrap();
            prop_assert!(seen.term <= Some(write.term) && write.term == record.term, "{write:?}");
            prop_assert_eq!(seen.version, write.version);
            prop_assert!(confirms_the_record(&snapshot, record), "{write:?}");
        }
    }

    /// R2. A slice is created without endpoints, and only where the group may route.
    #[test]
    fn a_slice_is_created_only_for_a_service_without_a_problem(snapshot in every_snapshot()) {
        for (view, intent) in walks(&snapshot).concat() {
            let Intent::CreateSlice(slice, _) = &intent else { continue };
            let route = view.routes.iter().find(|route| route.service == slice.service).unwrap();
            prop_assert_eq!(&route.problem, &None);
        }
    }

    /// R1 of a Service, R7. A slice gets its first endpoint beside no slice that is not the group's
    /// own: none that the cache knows, and none that a live read of this plan finds.
    #[test]
    fn a_slice_is_filled_for_the_first_time_only_where_no_other_slice_is(snapshot in snapshots()) {
        for (view, intent) in walks(&snapshot).concat() {
            let Intent::Route(write) = &intent else { continue };
            let seen = view.slices().find(|slice| slice.uid == write.uid).unwrap();
            if seen.term.is_some() {
                continue;
            }
            let service = write.slice.service.clone();
            let route = view.routes.iter().find(|route| route.service == service).unwrap();
            prop_assert_eq!(&route.others, &[]);
            let fact = Intent::Confirm(Fact::NoOtherSlices { group: view.group.id.clone(), service });
            let intents = intents_of(&snapshot);
            let at = |wanted: &Intent| intents.iter().position(|intent| intent == wanted);
            let (looks, routes) = (at(&fact), at(&intent));
            prop_assert!(looks.is_some() && looks < routes, "{intents:?}");
        }
    }

    /// S2. A record that names another leader also has a higher term than everything seen.
    #[test]
    fn the_term_never_falls(snapshot in every_snapshot()) {
        for (view, intent) in walks(&snapshot).concat() {
            let Intent::WriteStatus(status) = &intent else { continue };
            let (before, after) = (view.record(), status.record.as_ref());
            prop_assert!(before.map(|r| r.term) <= after.map(|r| r.term));
            let lost = view.group.status.lost_term;
            prop_assert!(after.map_or(status.lost_term == lost, |record| Some(record.term) > lost));
            let uid = |record: Option<&LeaderRecord>| {
                record.and_then(LeaderRecord::leader_id).map(|id| id.uid.clone())
            };
            if uid(before) != uid(after) {
                prop_assert!(after.map(|r| r.term) > Some(view.highest_term()) || before.is_none());
                prop_assert!(after.map(|r| r.term) > before.map(|r| r.term));
            }
        }
    }

    /// S2. The term of the Lease never falls either.
    #[test]
    fn the_term_of_the_lease_never_falls(snapshot in snapshots()) {
        for (view, intent) in walks(&snapshot).concat() {
            let (Intent::WriteLease(write), Some(lease)) = (&intent, &view.lease) else { continue };
            let lower = lease.content.term > Some(write.term);
            prop_assert!(!(lower && view.term_of_lease().is_some()), "{lease:?} {write:?}");
            prop_assert_eq!(&write.base, &Some((lease.content.uid.clone(), lease.content.version)));
        }
    }
}
