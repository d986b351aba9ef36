//! What the status says, and what is announced.

use std::collections::BTreeSet;

use planner::report::{MAX_PODS, is_mere};
use planner::switch::REPORT_PAUSE;

use super::*;

proptest! {
    #![proptest_config(config())]

    /// Ready holds exactly when one pod alone carries the label, is eligible, and is the recorded
    /// leader.
    #[test]
    fn ready_is_true_exactly_when_the_recorded_leader_alone_is_labelled_and_eligible(
        snapshot in snapshots()
    ) {
        let served = policy_of(&snapshot).is_some_and(|p| refusal(&snapshot, p).is_none());
        let mut view = snapshot;
        settle(&mut view)?;
        let ready = view.group.status.conditions.iter().find(|c| c.kind == "Ready").unwrap().holds;
        let exhausted = view.highest_term().get() >= 1 << 52;
        if served && !exhausted {
            let eligible =
                |id: &Identity| ineligibility(view.pod(id).unwrap(), Millis(0), view.now).is_none();
            // A pod labelled by another group counts here, because the user's Service selects it.
            let seen = |pod: &&SeenPod| pod.membership == Membership::Selected || pod.owner == Owner::Ours;
            let all = view.pods.iter().filter(seen).filter(|pod| pod.role == Role::Leader);
            let one = all.map(|pod| &pod.id).eq(view.leader_id());
            let expected = one && view.leader_id().is_some_and(eligible);
            prop_assert_eq!(ready, expected, "{:#?}", view.group.status.conditions);
        } else {
            prop_assert!(!ready || policy_of(&view).is_some());
        }
    }

    /// The counts are right a second later: counts alone cause no earlier write.
    #[test]
    fn the_counts_in_the_status_are_right_after_a_second(snapshot in snapshots()) {
        let mut view = snapshot;
        settle(&mut view)?;
        let mut view = view.later(view.now + Millis(1000));
        settle(&mut view)?;
        let Some(policy) = policy_of(&view) else { return Ok(()) };
        let candidates = view.pods.iter().filter(|pod| {
            let ends = pod.phase == PodPhase::Finished || pod.terminating || pod.of_job;
            pod.membership == Membership::Selected && !ends
        });
        prop_assert_eq!(view.group.status.candidates, candidates.count());
        prop_assert_eq!(view.group.status.observed_generation, Some(1));
        prop_assert!(view.group.status.history.len() <= policy.history_limit.max(1));
        let status = &view.group.status;
        prop_assert!(status.record.as_ref().is_none_or(|record| record.unfenced.is_empty())
            || refusal(&view, policy).is_some() || view.highest_term().get() >= 1 << 52);
    }

    /// Two operators that see different things would else undo each other's report without end.
    #[test]
    fn a_mere_report_waits_for_a_second_after_one_of_another_operator(snapshot in snapshots()) {
        let view = Snapshot { reported_at: snapshot.now, reported_by_other: true, ..snapshot };
        if let Some(Intent::WriteStatus(status)) = intents_of(&view).first() {
            prop_assert!(!is_mere(&view.group.status, status), "{status:#?}");
        }
        let later = view.later(view.now + REPORT_PAUSE);
        let own = Snapshot { reported_by_other: false, ..later.clone() };
        prop_assert_eq!(intents_of(&later), intents_of(&own));
    }

    /// A refused group is Stalled, a change under way is Reconciling, and no group is both. Both are
    /// there only while they are True.
    #[test]
    fn a_group_is_stalled_exactly_while_it_is_refused(snapshot in snapshots()) {
        let mut view = snapshot;
        for _ in 0..4 {
            let next = plan_group(&view);
            apply(&mut view, &next);
            let find = |kind: &str| view.group.status.conditions.iter().find(|c| c.kind == kind);
            let Some(accepted) = find("Accepted").filter(|_| view.group.status.observed_generation.is_some())
                else { continue };
            let (stalled, reconciling) = (find("Stalled"), find("Reconciling"));
            prop_assert_eq!(stalled.map(|c| &c.reason), (!accepted.holds).then_some(&accepted.reason));
            prop_assert!(stalled.is_none() || reconciling.is_none());
            prop_assert!(stalled.into_iter().chain(reconciling).all(|condition| condition.holds));
            prop_assert!(reconciling.is_none() || find("Ready").is_some_and(|ready| !ready.holds));
        }
    }

    /// The status names at most so many candidates: those that could lead in their order, then the
    /// others with what they lack. Nothing of that is written again without a change.
    #[test]
    fn the_status_says_of_each_candidate_whether_it_could_lead(snapshot in snapshots()) {
        let mut view = snapshot;
        settle(&mut view)?;
        let mut view = view.later(view.now + Millis(1000));
        settle(&mut view)?;
        let Some(policy) = policy_of(&view) else { return Ok(()) };
        let status = &view.group.status;
        let count = |reason: fn(&str) -> bool| status.pods.iter().filter(|pod| reason(&pod.reason)).count();
        let eligible = count(|reason| reason == "Eligible");
        prop_assert!(eligible <= status.eligible);
        prop_assert_eq!(status.pods.len(), status.candidates.min(MAX_PODS));
        let ranks: Vec<_> = status.pods.iter().map_while(|pod| pod.rank).collect();
        let last = if policy.mode == ElectionMode::Managed { eligible } else { 0 };
        prop_assert_eq!(ranks, (1..=last).collect::<Vec<_>>());
        let names: BTreeSet<_> = status.pods.iter().map(|pod| &pod.name).collect();
        let is_named = |pod: &&SeenPod| names.contains(&pod.id.name);
        prop_assert!(view.pods.iter().filter(|pod| pod.is_candidate()).all(|pod| is_named(&pod)));
        if policy.mode == ElectionMode::Managed && policy.min_ready == Millis::default() {
            let best = ranked(&view, policy).first().map(|pod| pod.id.name.clone());
            prop_assert_eq!(status.pods.first().filter(|pod| pod.rank.is_some()).map(|pod| pod.name.clone()), best);
        }
    }

    /// A change of leader is announced exactly once, in the plan that completes it.
    #[test]
    fn each_change_is_announced_once(snapshot in snapshots()) {
        let mut view = snapshot;
        view.group.status.history.clear();
        let mut announced = Vec::new();
        let before = view.record().map(|record| (record.leader_id().map(|id| id.uid.clone()), record.term));
        for _ in 0..4 {
            let next = plan_group(&view);
            for intent in next.intents() {
                if let Intent::AnnounceChange(change) = intent {
                    announced.push(change.term);
                }
            }
            apply(&mut view, &next);
        }
        let after = view.record().map(|record| (record.leader_id().map(|id| id.uid.clone()), record.term));
        let changed = before.map(|b| b.0) != after.clone().map(|a| a.0);
        let completed = after.as_ref().is_some_and(|(uid, term)| match uid {
            Some(uid) => {
                let leads = |pod: &SeenPod| pod.role == Role::Leader && pod.term == Some(*term);
                view.pods.iter().any(|pod| pod.id.uid == *uid && leads(pod))
            }
            None => true,
        });
        let newest = after.map(|a| a.1);
        prop_assert!(!changed || !completed || announced.last() == newest.as_ref(), "{:?}", announced);
        announced.dedup();
        prop_assert!(announced.len() <= 2);
    }
}
