//! What every plan keeps, for any snapshot: S1 to S5, L1, L2, exact wake-ups, and the same plan whatever the order.

// Helpers of a test crate may panic: a failed expectation is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use election_operator::planner::decide::leader_problem;
use election_operator::planner::eligibility::{ineligibility, ranked};
use election_operator::planner::lease::{LeaseContent, SeenLease};
use election_operator::planner::observed_mode::holder;
use election_operator::planner::plan::{Intent, Plan, PodWrite, plan};
use election_operator::planner::refusal::refusal;
use election_operator::planner::snapshot::{
    ElectionMode, GroupPolicy, LeaderRecord, Membership, Owner, PodPhase, Role, SeenPod, Snapshot, Unfenced,
};
use election_operator::planner::{Identity, Millis, Term, Version};
use proptest::prelude::*;
use support::arbitrary::{leases, snapshots, universe};
use support::{NOW, apply};

/// A failing case becomes a named test in `decisions.rs`, not an opaque file of seeds.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(500);
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

fn policy_of(snapshot: &Snapshot) -> Option<&GroupPolicy> {
    snapshot.group.policy.as_ref().ok()
}

fn is_foreign(pod: &SeenPod) -> bool {
    matches!(pod.owner, Owner::Other(_))
}

/// S1 counts these: what another living group marked, or merely is selected by an older one, belongs to that one.
fn is_of_this_group(pod: &SeenPod) -> bool {
    !is_foreign(pod) && (pod.membership == Membership::Selected || pod.owner == Owner::Ours)
}

fn labelled(snapshot: &Snapshot) -> Vec<&Identity> {
    let pods = snapshot.pods.iter().filter(|pod| pod.role == Role::Leader && is_of_this_group(pod));
    pods.map(|pod| &pod.id).collect()
}

fn is_observed(snapshot: &Snapshot) -> bool {
    policy_of(snapshot).is_some_and(|policy| policy.mode == ElectionMode::Observed)
}

/// The group is served, and nothing holds its leader where it is.
fn moves_freely(snapshot: &Snapshot) -> bool {
    let served = policy_of(snapshot).is_some_and(|p| !p.paused && refusal(snapshot, p).is_none());
    let blocked = snapshot.overlapped_by().is_some() || snapshot.labelled_by_another().is_some();
    served && !blocked && snapshot.highest_term().get() < 1 << 52
}

fn asks_for_a_list(plan: &Plan) -> bool {
    plan.steps.iter().flat_map(|step| &step.intents).any(|intent| matches!(intent, Intent::ListPods(_)))
}

/// The snapshot before each intent of the plan, with the intent; the intents of one step in two orders.
fn walks(snapshot: &Snapshot) -> Vec<Vec<(Snapshot, Intent)>> {
    let plan = plan(snapshot);
    let walk = |backwards: bool| {
        let mut view = snapshot.clone();
        let mut seen = Vec::new();
        for step in &plan.steps {
            let mut intents = step.intents.clone();
            if backwards {
                intents.reverse();
            }
            for intent in intents {
                let before = view.clone();
                view.project(&intent);
                seen.push((before, intent));
            }
        }
        seen
    };
    vec![walk(false), walk(true)]
}

/// Plans and applies until a plan is empty; how many plans that took.
fn settle(snapshot: &mut Snapshot) -> Result<usize, TestCaseError> {
    for plans in 0..6 {
        let next = plan(snapshot);
        if next.steps.is_empty() {
            return Ok(plans);
        }
        apply(snapshot, &next);
    }
    Err(TestCaseError::fail(format!("never comes to rest: {:#?}", plan(snapshot))))
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

/// All intents of the plan.
fn asked(snapshot: &Snapshot) -> Vec<Intent> {
    plan(snapshot).steps.into_iter().flat_map(|step| step.intents).collect()
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
    fn no_write_changes_nothing(snapshot in snapshots()) {
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

    /// L2. What a group that fails back does is told below.
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

    /// L1. Who is not in trouble, or still has patience, keeps the label if it can carry it.
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
        let pending = leader_problem(&after, policy, leader).is_some_and(|trouble| trouble.due > after.now);
        let settled = after.pods.iter().find(|pod| pod.id == *leader).is_some_and(|pod| {
            pod.role == Role::Leader && pod.owner == Owner::Ours && pod.term == after.record().map(|r| r.term)
        });
        prop_assert!(settled, "pending: {pending}");
        prop_assert_eq!(labelled(&after), [leader]);
    }

    /// L1, Observed mode. Exactly the holder is labelled at rest, and nobody where there is none.
    #[test]
    fn the_holder_of_the_lease_carries_the_label_and_nobody_else(snapshot in snapshots()) {
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

    /// Observed mode. Not even the annotation of the term, not even if the Lease is owned by the group.
    #[test]
    fn an_observed_lease_is_never_written(snapshot in snapshots()) {
        if is_observed(&snapshot) {
            let written = asked(&snapshot).into_iter().find(|intent| matches!(intent, Intent::WriteLease(_)));
            prop_assert_eq!(written, None);
        }
    }

    /// Observed mode. A renewal in time is worth neither a write nor a question, and moves the wake-up. Only to a paused
    /// group it may be news, whose leader need not be the holder.
    #[test]
    fn a_renewal_changes_no_plan(snapshot in snapshots(), span in 1..3000u64) {
        let mut before = snapshot;
        settle(&mut before)?;
        let Some((policy, lease)) = policy_of(&before).zip(before.lease.clone()) else { return Ok(()) };
        let quiet = plan(&before).wake_at.is_none_or(|wake_at| wake_at > before.now + Millis(span));
        let mut renewed = lease.clone();
        renewed.note(LeaseContent { version: Version(51), times: (None, Some(4)), ..lease.content.clone() }, before.now + Millis(span));
        if is_observed(&before) && !policy.paused && before.leader_id().is_some() && quiet && renewed.renews(&lease, policy.lease_duration()) {
            let after = Snapshot { lease: Some(renewed), ..before.later(before.now + Millis(span)) };
            prop_assert_eq!(format!("{:#?}", plan(&after).steps), "[]");
        }
    }

    /// A failback goes to a pod of strictly higher weight, when every pod is Ready, and never twice.
    #[test]
    fn a_group_fails_back_to_a_more_preferred_pod_only(snapshot in snapshots()) {
        for (view, intent) in walks(&snapshot).concat() {
            let Intent::WriteStatus(status) = &intent else { continue };
            let newest = status.history.first().filter(|change| change.reason == "Failback");
            let Some(newest) = newest.filter(|_| status.record != view.group.status.record) else { continue };
            if Some(newest.term) != status.record.as_ref().map(|record| record.term) || view.record().is_none() {
                continue;
            }
            let weight = |id: Option<&Identity>| view.pod(id.unwrap()).unwrap().weight;
            let next = status.record.as_ref().and_then(LeaderRecord::leader_id);
            if next != view.leader_id() {
                prop_assert!(weight(next) > weight(view.leader_id()));
                prop_assert!(view.pods.iter().filter(|pod| pod.is_candidate()).all(|pod| pod.ready && !pod.terminating));
                prop_assert!(policy_of(&view).unwrap().failback_after.is_some() && !is_observed(&view));
            }
        }
    }

    /// Nobody of the group but the leader is left with the label when a served group is at rest, paused or not.
    #[test]
    fn at_rest_only_the_recorded_leader_is_labelled(snapshot in snapshots()) {
        let served = policy_of(&snapshot).is_some_and(|p| refusal(&snapshot, p).is_none());
        let mut after = snapshot;
        settle(&mut after)?;
        if served && after.record().is_some() && after.highest_term().get() < 1 << 52 {
            let others = labelled(&after).into_iter().filter(|id| after.leader_id() != Some(id));
            prop_assert_eq!(others.count(), 0);
        }
    }

    /// Three things a paused group never does: name another leader, take its label, elect.
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
            // It is let go, and nobody else leads.
            prop_assert!(uid(&after).is_none() || uid(&after) == uid(&snapshot));
        } else if snapshot.record().is_some() {
            prop_assert_eq!(uid(&after), uid(&snapshot));
        } else {
            let carried = |id: &Identity| snapshot.pod(id).unwrap().role == Role::Leader;
            prop_assert!(after.leader_id().is_none_or(carried));
        }
    }

    /// A refused group touches neither the Lease nor a pod that it may need; a spec that says nothing, no pod at all. It
    /// answers requests.
    #[test]
    fn a_refused_group_only_says_so_and_lets_go(snapshot in snapshots()) {
        if policy_of(&snapshot).is_some_and(|policy| refusal(&snapshot, policy).is_none()) {
            return Ok(());
        }
        for (before, intent) in walks(&snapshot).concat() {
            let pod = match &intent {
                Intent::Release(pod, _) if policy_of(&snapshot).is_some() => before.pod(pod).unwrap(),
                _ => {
                    let asked = before.group.switchover.is_some();
                    let says = matches!(intent, Intent::WriteStatus(_) | Intent::PublishEvent(_));
                    prop_assert!(says || (asked && intent == Intent::DropSwitchover), "{:?}", intent);
                    continue;
                }
            };
            prop_assert_eq!(&pod.owner, &Owner::Ours);
            // What a controller selects by is taken back from whoever it is.
            if !pod.released_by_controller {
                prop_assert!(pod.membership != Membership::Selected);
                let in_use = pod.role == Role::Leader || before.leader_id() == Some(&pod.id);
                // What an older group has goes, the leader included.
                prop_assert!(!in_use || matches!(pod.membership, Membership::ClaimedBy(_)));
            }
            prop_assert!(pod.term <= before.record().map(|record| record.term));
        }
    }

    /// Ready holds exactly when one eligible pod carries the label, is the recorded holder, and no other carries it.
    #[test]
    fn the_summary_is_true_exactly_when_it_should_be(snapshot in snapshots()) {
        let served = policy_of(&snapshot).is_some_and(|p| refusal(&snapshot, p).is_none());
        let mut view = snapshot;
        settle(&mut view)?;
        let ready = view.group.status.conditions.iter().find(|c| c.kind == "Ready").unwrap().holds;
        let exhausted = view.highest_term().get() >= 1 << 52;
        if served && !exhausted {
            let fit = |id: &Identity| ineligibility(view.pod(id).unwrap(), Millis(0), view.now).is_none();
            // here a pod that another group labelled counts, too: the user's Service selects it
            let seen = |pod: &&SeenPod| pod.membership == Membership::Selected || pod.owner == Owner::Ours;
            let all = view.pods.iter().filter(seen).filter(|pod| pod.role == Role::Leader);
            let one = all.map(|pod| &pod.id).eq(view.leader_id());
            let expected = one && view.leader_id().is_some_and(fit);
            prop_assert_eq!(ready, expected, "{:#?}", view.group.status.conditions);
        } else {
            prop_assert!(!ready || policy_of(&view).is_some());
        }
    }

    /// The counts are right, but for a second when nothing else is to be said.
    #[test]
    fn the_report_is_true_when_it_had_time(snapshot in snapshots()) {
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

    /// A change of leader is announced exactly once, in the plan that completes it.
    #[test]
    fn each_change_is_announced_once(snapshot in snapshots()) {
        let mut view = snapshot;
        view.group.status.history.clear();
        let mut announced = Vec::new();
        let before = view.record().map(|record| (record.leader_id().map(|id| id.uid.clone()), record.term));
        for _ in 0..4 {
            let next = plan(&view);
            for intent in next.steps.iter().flat_map(|step| &step.intents) {
                if let Intent::AnnounceChange(change) = intent {
                    announced.push(change.term);
                }
            }
            apply(&mut view, &next);
        }
        let after = view.record().map(|record| (record.leader_id().map(|id| id.uid.clone()), record.term));
        let changed = before.map(|b| b.0) != after.clone().map(|a| a.0);
        let completed = after.as_ref().is_some_and(|(uid, term)| match uid {
            Some(uid) => view.pods.iter().any(|p| p.id.uid == *uid && p.role == Role::Leader && p.term == Some(*term)),
            None => true,
        });
        prop_assert!(!changed || !completed || announced.last() == after.map(|a| a.1).as_ref(), "{:?}", announced);
        announced.dedup();
        prop_assert!(announced.len() <= 2);
    }

    /// The wake-up is the first moment at which the plan is not empty any more: just before it still is, and where
    /// there is no wake-up it stays empty.
    #[test]
    fn a_wake_up_is_neither_late_nor_early(snapshot in snapshots(), samples in prop::collection::vec(0..100_000u64, 8)) {
        let mut view = snapshot;
        for _ in 0..3 {
            settle(&mut view)?;
            let wake_at = plan(&view).wake_at;
            let near = (0..12).map(|at| at * 1000).chain([1, 2, 3, 999, 3_600_000, 3_700_000, 9_000_000]);
            let ends = wake_at.into_iter().map(|at| Millis(at.0 - 1));
            let later = near.chain(samples.iter().copied()).map(|span| view.now + Millis(span)).chain(ends);
            for moment in later.filter(|moment| wake_at.is_none_or(|wake_at| *moment < wake_at)) {
                let missed = plan(&view.later(moment)).steps;
                prop_assert!(missed.is_empty(), "at {:?}, before {:?}: {:#?}", moment, wake_at, missed);
            }
            let Some(wake_at) = wake_at else { break };
            prop_assert!(wake_at > view.now);
            view = view.later(wake_at);
            prop_assert!(!plan(&view).steps.is_empty());
        }
    }

    /// No moment is asked for while there is something to do.
    #[test]
    fn a_plan_has_steps_or_a_wake_up(snapshot in snapshots()) {
        let plan = plan(&snapshot);
        prop_assert!(plan.steps.is_empty() || plan.wake_at.is_none());
        prop_assert!(plan.steps.iter().all(|step| !step.intents.is_empty()));
    }

    /// The order is total, ranks exactly who is fit, and who is not in it has no say in it.
    #[test]
    fn preference_is_a_total_order(
        (snapshot, pods) in snapshots().prop_flat_map(|s| (Just(s.clone()), Just(s.pods).prop_shuffle())), out in 0..4usize
    ) {
        let Some(policy) = policy_of(&snapshot) else { return Ok(()) };
        let names = |s: &Snapshot| ranked(s, policy).into_iter().map(|pod| pod.id.clone()).collect::<Vec<_>>();
        let first = names(&snapshot);
        let mut shuffled = Snapshot { pods, ..snapshot.clone() };
        prop_assert_eq!(&first, &names(&shuffled));
        let fit = |min_ready| snapshot.pods.iter().filter(|p| ineligibility(p, min_ready, snapshot.now).is_none()).count();
        let stays = |leader| snapshot.pod(leader).is_some_and(|pod| !pod.terminating && pod.phase != PodPhase::Finished);
        let led = snapshot.record().is_some_and(|record| record.leader_id().is_none_or(stays));
        let nobody_is_left = !led && fit(policy.min_ready) == 0;
        prop_assert_eq!(first.len(), if nobody_is_left { fit(Millis(0)) } else { fit(policy.min_ready) });
        if let Some(id) = first.get(out).filter(|_| first.len() > 1) {
            shuffled.pods.iter_mut().find(|pod| pod.id == *id).unwrap().excluded = true;
            let without: Vec<_> = first.iter().filter(|other| *other != id).cloned().collect();
            prop_assert_eq!(without, names(&shuffled));
        }
    }

    /// A Lease runs out its own duration after the last change of its content that was seen, and nothing else counts.
    #[test]
    fn an_observed_lease_ages_by_what_was_seen(
        first in leases(),
        looks in prop::collection::vec((leases(), 0..20_000u64, any::<bool>()), 0..6),
        fallback in 0..30_000u64,
    ) {
        let mut observed = SeenLease::first_seen(first.content.clone(), NOW);
        let (mut changed_at, mut last, mut now) = (NOW, first.content, NOW);
        for (look, span, same) in looks {
            now = now + Millis(span);
            let relabelled = LeaseContent { version: Version(99), term: None, owner: Owner::None, ..last.clone() };
            let record = if same { relabelled } else { look.content };
            let content = |r: &LeaseContent| (r.holder.clone(), r.duration_seconds, r.transitions, r.times);
            if content(&record) != content(&last) {
                changed_at = now;
            }
            observed.note(record.clone(), now);
            last = record;
            prop_assert_eq!((&observed.content, observed.changed_at), (&last, changed_at));
            let seconds = last.duration_seconds.map(|s| u64::try_from(s).unwrap_or(0) * 1000);
            let until = Millis(changed_at.0 + seconds.unwrap_or(fallback));
            prop_assert_eq!(observed.valid_until(Millis(fallback)), until);
            let held = last.holder.as_ref().is_some_and(|holder| !holder.is_empty());
            for at in [now, Millis(until.0.saturating_sub(1)), until, until + Millis(1)] {
                prop_assert_eq!(observed.is_held(Millis(fallback), at), held && at < until);
            }
        }
    }

    #[test]
    fn odd_lease_contents_never_panic(
        holder in of_any_text(), duration in any::<Option<i32>>(), transitions in any::<i32>(),
        times in any::<(Option<i64>, Option<i64>)>(), now in any::<u64>(), snapshot in snapshots(),
    ) {
        let record = LeaseContent {
            holder, duration_seconds: duration, transitions, times, owner: Owner::Ours, ..LeaseContent::default()
        };
        let lease = SeenLease { content: record, changed_at: Millis(now), change_was_seen: true };
        prop_assert!(lease.valid_until(Millis(now)) >= Millis(now));
        let _ = plan(&Snapshot { lease: Some(lease), now: Millis(now), ..snapshot });
    }

    #[test]
    fn whatever_a_clock_says_there_is_a_plan(snapshot in snapshots(), now in any::<u64>(), wall in any::<i64>()) {
        let wall = election_operator::planner::Micros(wall);
        let mut view = Snapshot { now: Millis(now), wall, ..snapshot };
        let _ = plan(&view);
        view = view.later(Millis(u64::MAX));
        let _ = plan(&view);
    }

    #[test]
    fn a_text_is_a_term_exactly_if_it_is_a_plain_number_up_to_2_to_the_53(text in ".{0,20}", number in any::<u64>()) {
        let expected = Some(number).filter(|number| *number <= 1 << 53);
        prop_assert_eq!(Term::parse(&number.to_string()).map(Term::get), expected);
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        prop_assert!(digits || Term::parse(&text).is_none());
        prop_assert_eq!(Term::parse(&format!("-{number}")), None);
        prop_assert_eq!(Term::parse(&format!("+{number}")), None);
    }

    #[test]
    fn an_identity_survives_its_text(name in "[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", uid in "[a-z0-9-]{1,36}", text in ".{0,20}") {
        let id = Identity::new(name, uid);
        prop_assert_eq!(Identity::parse(&id.to_string()), Some(id));
        if let Some(parsed) = Identity::parse(&text) {
            prop_assert_eq!(parsed.to_string(), text);
        }
    }
}

fn of_any_text() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), ".{0,30}".prop_map(Some), Just(Some("x".repeat(10_000)))]
}

#[test]
fn the_little_world_has_no_two_of_one_uid() {
    let mut uids: Vec<_> = universe().into_iter().map(|id| id.uid).collect();
    uids.dedup();
    assert_eq!(uids.len(), universe().len());
}
