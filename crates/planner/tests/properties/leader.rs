//! L1 and L2, in both modes; paused and refused groups; failback.

use super::*;

/// The operator serves the group and may move its leader.
pub(crate) fn moves_freely(snapshot: &Snapshot) -> bool {
    let served = policy_of(snapshot).is_some_and(|p| !p.paused && refusal(snapshot, p).is_none());
    let blocked = snapshot.overlapped_by().is_some() || snapshot.labelled_by_another().is_some();
    served && !blocked && snapshot.highest_term().get() < 1 << 52
}

proptest! {
    #![proptest_config(config())]

    /// L2, without failback, which has a property of its own.
    #[test]
    fn a_healthy_leader_is_moved_only_on_request(mut snapshot in snapshots()) {
        if let Ok(policy) = &mut snapshot.group.policy {
            policy.failback_after = None;
        }
        let Some((policy, leader)) = policy_of(&snapshot).zip(snapshot.leader_id()) else { return Ok(()) };
        let healthy = snapshot.pod(leader).is_some_and(|pod| {
            if is_observed(&snapshot) {
                return holder(&snapshot, policy).is_ok_and(|holder| holder.id.uid == leader.uid);
            }
            let disrupted = SeenPod { disrupted: false, ..pod.clone() };
            ineligibility(&disrupted, Millis(0), snapshot.now).is_none()
        });
        let claimed = |pod: &SeenPod| matches!(pod.membership, Membership::ClaimedBy(_));
        if healthy || (policy.paused && !snapshot.pod(leader).is_some_and(claimed)) {
            let mut after = snapshot.clone();
            after.group.switchover = None;
            settle(&mut after)?;
            prop_assert_eq!(&after.leader_id().unwrap().uid, &leader.uid);
        }
    }

    /// L1. A leader without a problem, or with one that is not yet due, keeps the label. Its pod
    /// must be able to carry it.
    #[test]
    fn an_eligible_pod_is_enough_for_a_labelled_leader(snapshot in snapshots()) {
        if !moves_freely(&snapshot) || is_observed(&snapshot) {
            return Ok(());
        }
        let mut after = snapshot.clone();
        settle(&mut after)?;
        let policy = policy_of(&snapshot).unwrap();
        if ranked(&after, policy).is_empty() {
            return Ok(());
        }
        let leader = after.leader_id().unwrap();
        let pending = leader_problem(&after, policy, leader).is_some_and(|problem| problem.due > after.now);
        let settled = after.pods.iter().find(|pod| pod.id == *leader).is_some_and(|pod| {
            pod.role == Role::Leader && pod.owner == Owner::Ours && pod.term == after.record().map(|r| r.term)
        });
        prop_assert!(settled, "pending: {pending}");
        prop_assert_eq!(labelled(&after), [leader]);
    }

    /// L1, Observed mode. At rest exactly the holder is labelled; without a holder, no pod is.
    #[test]
    fn the_holder_of_the_lease_carries_the_label_and_no_other_pod(snapshot in snapshots()) {
        if !moves_freely(&snapshot) || !is_observed(&snapshot) {
            return Ok(());
        }
        let mut after = snapshot.clone();
        settle(&mut after)?;
        let holder = holder(&after, policy_of(&snapshot).unwrap()).ok().map(|pod| pod.id.clone());
        prop_assert_eq!(after.leader_id(), holder.as_ref());
        if after.record().is_some() {
            prop_assert_eq!(labelled(&after), holder.iter().collect::<Vec<_>>());
        }
    }

    /// Observed mode. The operator does not write even the term, not even on a Lease that the group
    /// owns.
    #[test]
    fn an_observed_lease_is_never_written(snapshot in snapshots()) {
        if is_observed(&snapshot) {
            let is_lease_write = |intent: &Intent| matches!(intent, Intent::WriteLease(_));
            let written = intents_of(&snapshot).into_iter().find(is_lease_write);
            prop_assert_eq!(written, None);
        }
    }

    /// Observed mode. A renewal in time causes no write and no live read. It only moves the
    /// wake-up. A paused group is excepted: its leader need not be the holder, so a renewal may
    /// change its report.
    #[test]
    fn a_renewal_changes_no_plan(snapshot in snapshots(), span in 1..3000u64) {
        let mut before = snapshot;
        settle(&mut before)?;
        let Some((policy, lease)) = policy_of(&before).zip(before.lease.clone()) else { return Ok(()) };
        let quiet = plan_group(&before).wake_at().is_none_or(|wake_at| wake_at > before.now + Millis(span));
        let mut renewed = lease.clone();
        let content =
            LeaseContent { version: Version(51), times: (None, Some(4)), ..lease.content.clone() };
        renewed.note(content, before.now + Millis(span));
        let led = is_observed(&before) && !policy.paused && before.leader_id().is_some();
        if led && quiet && renewed.renews(&lease, policy.lease_duration()) {
            let after = Snapshot { lease: Some(renewed), ..before.later(before.now + Millis(span)) };
            prop_assert_eq!(format!("{:#?}", plan_group(&after).steps()), "[]");
        }
    }

    /// A failback goes to a pod of strictly higher weight, while every pod is Ready, and only once.
    #[test]
    fn a_group_fails_back_to_a_more_preferred_pod_only(snapshot in every_snapshot()) {
        for (view, intent) in walks(&snapshot).concat() {
            let Intent::WriteStatus(status) = &intent else { continue };
            let newest = status.history.first().filter(|change| change.reason == "Failback");
            let Some(newest) = newest.filter(|_| status.record != view.group.status.record) else { continue };
            let recorded = status.record.as_ref().map(|record| record.term);
            if Some(newest.term) != recorded || view.record().is_none() {
                continue;
            }
            let weight = |id: Option<&Identity>| view.pod(id.unwrap()).unwrap().weight;
            let next = status.record.as_ref().and_then(LeaderRecord::leader_id);
            if next != view.leader_id() {
                prop_assert!(weight(next) > weight(view.leader_id()));
                let mut candidates = view.pods.iter().filter(|pod| pod.is_candidate());
                prop_assert!(candidates.all(|pod| pod.ready && !pod.terminating));
                prop_assert!(policy_of(&view).unwrap().failback_after.is_some() && !is_observed(&view));
            }
        }
    }

    /// At rest no pod of a served group but the leader has the label, paused or not.
    #[test]
    fn at_rest_only_the_recorded_leader_is_labelled(snapshot in every_snapshot()) {
        let served = policy_of(&snapshot).is_some_and(|p| refusal(&snapshot, p).is_none());
        let mut after = snapshot;
        settle(&mut after)?;
        if served && after.record().is_some() && after.highest_term().get() < 1 << 52 {
            let others = labelled(&after).into_iter().filter(|id| after.leader_id() != Some(id));
            prop_assert_eq!(others.count(), 0);
        }
    }

    /// A paused group never names another leader, never takes its leader's label, and never elects.
    #[test]
    fn a_paused_group_moves_nothing(snapshot in snapshots()) {
        if !policy_of(&snapshot).is_some_and(|policy| policy.paused) {
            return Ok(());
        }
        let mut after = snapshot.clone();
        settle(&mut after)?;
        let uid = |s: &Snapshot| s.leader_id().map(|id| id.uid.clone());
        let leader = snapshot.leader_id().and_then(|leader| snapshot.pod(leader));
        if leader.is_some_and(|pod| matches!(pod.membership, Membership::ClaimedBy(_))) {
            // The group releases its leader and elects no other.
            prop_assert!(uid(&after).is_none() || uid(&after) == uid(&snapshot));
        } else if snapshot.record().is_some() {
            prop_assert_eq!(uid(&after), uid(&snapshot));
        } else {
            let carried = |id: &Identity| snapshot.pod(id).unwrap().role == Role::Leader;
            prop_assert!(after.leader_id().is_none_or(carried));
        }
    }

    /// A refused group writes neither the Lease nor a pod that it may still need. With an invalid
    /// spec it writes no pod at all. It does answer switchover requests.
    #[test]
    fn a_refused_group_only_reports_and_releases(snapshot in snapshots()) {
        if policy_of(&snapshot).is_some_and(|policy| refusal(&snapshot, policy).is_none()) {
            return Ok(());
        }
        for (before, intent) in walks(&snapshot).concat() {
            let pod = match &intent {
                Intent::Release(pod, _) if policy_of(&snapshot).is_some() => before.pod(pod).unwrap(),
                _ => {
                    let requested = before.group.switchover.is_some();
                    let says = matches!(intent, Intent::WriteStatus(_) | Intent::PublishEvent(_));
                    let lets_go = matches!(intent, Intent::DeleteSlice(..));
                    prop_assert!(says || lets_go || (requested && intent == Intent::DropSwitchover), "{:?}", intent);
                    continue;
                }
            };
            prop_assert_eq!(&pod.owner, &Owner::Ours);
            // A label that the pod's controller selects by is taken back from any pod.
            if !pod.released_by_controller {
                prop_assert!(pod.membership != Membership::Selected);
                let in_use = pod.role == Role::Leader || before.leader_id() == Some(&pod.id);
                // Pods of an older group are released, even the leader.
                prop_assert!(!in_use || matches!(pod.membership, Membership::ClaimedBy(_)));
            }
            prop_assert!(pod.term <= before.record().map(|record| record.term));
        }
    }
}
