//! S1 to S5: the order and the conditions of the writes.

use super::*;

fn asks_for_a_list(plan: &Plan) -> bool {
    plan.steps.iter().flat_map(|step| &step.intents).any(|intent| matches!(intent, Intent::ListPods(_)))
}

/// Nobody with an earlier record can promote the pod any more: known from its own marks, or because it is gone.
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

/// The plan wrote the record itself, or asks whether it still is the present one.
fn knows_the_record(snapshot: &Snapshot, record: &LeaderRecord) -> bool {
    let uid = |id: Option<&Identity>| id.map(|id| id.uid.clone());
    let expected = (uid(record.leader_id()), record.term);
    asked(snapshot).iter().any(|intent| match intent {
        Intent::WriteStatus(status) => {
            status.record.as_ref().is_some_and(|record| (uid(record.leader_id()), record.term) == expected)
        }
        Intent::ConfirmRecord { group, leader, term } => {
            group == &snapshot.group.id && (uid(leader.as_ref()), *term) == expected
        }
        _ => false,
    })
}

/// The pod is as it was seen, by a list or by an answer, and the group that has marked it exists.
fn is_proved_taken(snapshot: &Snapshot, pod: &SeenPod, listed: bool) -> bool {
    let Owner::Other(owner) = &pod.owner else { return false };
    let asked = asked(snapshot);
    let same = listed || asked.contains(&Intent::ConfirmPodUnchanged(pod.id.clone(), pod.version));
    same && asked.contains(&Intent::ConfirmGroupExists(owner.clone()))
}

/// The question is put, and the one for the record in a later step.
fn asks_for_the_record_after(snapshot: &Snapshot, question: &Intent) -> bool {
    let steps = plan(snapshot).steps;
    let step = |asks: &dyn Fn(&Intent) -> bool| steps.iter().position(|step| step.intents.iter().any(asks));
    let first = step(&|intent| intent == question);
    first.is_some() && first < step(&|intent| matches!(intent, Intent::ConfirmRecord { .. }))
}

/// In no particular order, like the intents of a step.
fn normalised(mut plan: Plan) -> String {
    for step in &mut plan.steps {
        step.intents.sort_by_key(|intent| format!("{intent:?}"));
    }
    format!("{plan:#?}")
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_plan_does_not_depend_on_the_order_of_pods(
        (snapshot, pods) in snapshots().prop_flat_map(|s| (Just(s.clone()), Just(s.pods).prop_shuffle()))
    ) {
        let shuffled = Snapshot { pods, ..snapshot.clone() };
        prop_assert_eq!(normalised(plan(&snapshot)), normalised(plan(&shuffled)));
    }

    /// S4. The one question whose answer brings news is the list: what it finds is planned next, and then all is done. A
    /// switchover to a less preferred pod is taken back by the next plan, too, where a failback waits for no quiet time.
    #[test]
    fn a_plan_leaves_nothing_to_do(snapshot in snapshots()) {
        let mut view = snapshot.clone();
        let first = plan(&view);
        let plans = settle(&mut view)?;
        let exhausted = snapshot.highest_term().get() >= 1 << 52;
        let at_once = policy_of(&snapshot).is_some_and(|policy| policy.failback_after == Some(Millis(0)));
        let taken_back = at_once && snapshot.group.switchover.is_some();
        if asks_for_a_list(&first) || exhausted || taken_back {
            prop_assert!(plans <= 3, "{} plans", plans);
        } else {
            let mut after = snapshot.clone();
            apply(&mut after, &first);
            prop_assert_eq!(format!("{:#?}", plan(&after).steps), "[]");
        }
    }

    /// S4.
    #[test]
    fn every_write_changes_something(snapshot in snapshots()) {
        for (before, intent) in walks(&snapshot).concat() {
            let mut after = before.clone();
            after.project(&intent);
            let asks_or_says = matches!(
                intent,
                Intent::ConfirmGroupGone(_)
                    | Intent::ConfirmGroupExists(_)
                    | Intent::ConfirmPodUnchanged(..)
                    | Intent::ConfirmRecord { .. }
                    | Intent::ConfirmLease { .. }
                    | Intent::ConfirmNodeSilent(_)
                    | Intent::PublishEvent(_)
                    | Intent::AnnounceChange(_)
            );
            prop_assert!(asks_or_says || after != before, "{intent:?}");
            if let Intent::WriteStatus(status) = &intent {
                prop_assert_ne!(&**status, &before.group.status);
            }
        }
    }

    /// S1. Every prefix keeps it; and where a user broke it, no promotion happens before it is mended.
    #[test]
    fn every_prefix_leaves_at_most_one_leader_label(snapshot in snapshots()) {
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

    /// S1, S3, S5. Fences, proofs and the Lease come before the promotion.
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
            // what was to be fenced when the plan began, or by the record it makes itself
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
                // The leader label of a pod that this group does not have is its own group's affair.
                let led = |pod: &SeenPod| pod.role == Role::Leader && pod.membership == Membership::Selected;
                let pod = view.pod(id).filter(|pod| is_foreign(pod) && !led(pod));
                let taken = pod.is_some_and(|pod| is_proved_taken(&snapshot, pod, listed));
                prop_assert!(taken || is_harmless(&view, id, write.term), "{id} may still be promoted");
            }
            let beside = |pod: &&SeenPod| pod.role == Role::Leader && pod.membership == Membership::Selected;
            let beside = view.pods.iter().find(|pod| beside(pod) && pod.id.uid != write.pod.uid);
            prop_assert_eq!(beside, None, "another selected pod carries the label");
            prop_assert!(knows_the_record(&snapshot, record));
        }
    }

    /// Not above, not another's, and conditional on the version that was looked at.
    #[test]
    fn a_write_to_a_pod_keeps_the_two_rules(snapshot in snapshots()) {
        for (view, intent) in walks(&snapshot).concat() {
            let (id, version, term) = match &intent {
                Intent::Fence(w) | Intent::Promote(w) | Intent::LabelFollower(w) => (&w.pod, w.version, Some(w.term)),
                Intent::Release(id, version) => (id, *version, view.record().map(|record| record.term)),
                _ => continue,
            };
            let pod = view.pod(id).unwrap();
            prop_assert_eq!((&pod.id, pod.version), (id, version));
            prop_assert!(!is_foreign(pod), "{intent:?} on {pod:?}");
            prop_assert!(term.is_none() || pod.term <= term, "{intent:?} on {pod:?}");
            if let Owner::Vanished(owner) = &pod.owner {
                prop_assert!(asks_for_the_record_after(&snapshot, &Intent::ConfirmGroupGone(owner.clone())));
            }
        }
    }

    /// S2. And a record that names another leader has a higher term than everything seen.
    #[test]
    fn the_term_never_falls(snapshot in snapshots()) {
        for (view, intent) in walks(&snapshot).concat() {
            let Intent::WriteStatus(status) = &intent else { continue };
            let (before, after) = (view.record(), status.record.as_ref());
            prop_assert!(before.map(|r| r.term) <= after.map(|r| r.term));
            let lost = view.group.status.lost_term;
            prop_assert!(after.map_or(status.lost_term == lost, |record| Some(record.term) > lost));
            let uid = |record: Option<&LeaderRecord>| record.and_then(LeaderRecord::leader_id).map(|id| id.uid.clone());
            if uid(before) != uid(after) {
                prop_assert!(after.map(|r| r.term) > Some(view.highest_term()) || before.is_none());
                prop_assert!(after.map(|r| r.term) > before.map(|r| r.term));
            }
        }
    }

    /// S2. Nor does that of its Lease.
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
