//! Nominated mode: the conditions of each write of the Lease, and that a group comes to a leader.

use planner::nominated_mode::{self, Tenure};
use planner::plan::{NominationAction, NominationWrite};
use planner::seen::{RecordedLease, SeenRoute};

use super::*;

fn nomination_writes(snapshot: &Snapshot) -> Vec<(Snapshot, NominationWrite)> {
    let steps = walks(snapshot).concat().into_iter();
    steps
        .filter_map(|(view, intent)| match intent {
            Intent::WriteNomination(write) => Some((view, write)),
            _ => None,
        })
        .collect()
}

fn longest(view: &Snapshot) -> Option<u32> {
    view.group.status.recorded_lease.as_ref().map(|lease: &RecordedLease| lease.longest_seconds)
}

fn holds(view: &Snapshot) -> bool {
    view.record().is_some_and(|record| nominated_mode::tenure(view, record) == Tenure::Held)
}

proptest! {
    #![proptest_config(config())]

    /// A nomination is conditional on the version that the plan saw of the recorded Lease, names the
    /// recorded leader, and has a higher term than the Lease. So it is made once.
    #[test]
    fn a_nomination_is_that_of_the_record_in_the_recorded_lease(snapshot in nominated_snapshots()) {
        for (view, write) in nomination_writes(&snapshot) {
            let Some(nomination) = write.action.nomination() else { continue };
            let (lease, record) = (view.lease.as_ref().unwrap(), view.record().unwrap());
            let recorded = view.group.status.recorded_lease.as_ref().unwrap();
            prop_assert_eq!(&write.base, &Some((recorded.uid.clone(), lease.content.version)));
            prop_assert_eq!(&lease.content.uid, &recorded.uid);
            let leader = record.leader_id().map_or(&view.group.id.uid, |leader| &leader.uid);
            prop_assert_eq!(&nomination.nominee.uid, leader);
            prop_assert_eq!(nomination.term, record.term);
            prop_assert_eq!(nomination.duration_seconds, recorded.duration_seconds);
            prop_assert!(lease.content.term < Some(nomination.term), "{lease:?}");
        }
    }

    /// A creation grants nothing. A holder is cleared only after its duration, or when its pod is
    /// proved to have ended.
    #[test]
    fn a_holder_is_cleared_only_when_its_work_is_over(snapshot in nominated_snapshots()) {
        for (view, write) in nomination_writes(&snapshot) {
            let Some(lease) = &view.lease else {
                prop_assert_eq!((&write.action, write.base), (&NominationAction::Create, None));
                continue;
            };
            let Some(holder) = lease.holder().filter(|_| write.action.clears()) else { continue };
            let default = longest(&view).map(|seconds| Millis::from_seconds(seconds.into())).unwrap();
            let has_expired = view.now >= lease.valid_until(default);
            let ended = |uid: &str| view.gone.get(uid).is_some_and(|gone| gone.had_ended)
                || view.pods.iter().any(|pod| pod.id.uid == uid && pod.ended);
            let uid = holder.rsplit_once('_').unwrap().1;
            prop_assert!(has_expired || ended(uid), "{lease:?}");
        }
    }

    /// No record names a Lease of another UID within the longest duration that a holder may count
    /// on, and none lowers that duration.
    #[test]
    fn a_lease_is_recorded_after_its_quarantine(snapshot in nominated_snapshots()) {
        for (view, intent) in walks(&snapshot).concat() {
            let Intent::WriteStatus(status) = &intent else { continue };
            let (before, after) = (&view.group.status.recorded_lease, &status.recorded_lease);
            let Some(after) = after.as_ref() else { continue };
            if before.as_ref().is_none_or(|before| before.uid != after.uid) {
                let lease = view.lease.as_ref().unwrap();
                let seconds = longest(&view).unwrap_or(policy_of(&view).unwrap().lease_duration_seconds);
                prop_assert_eq!(&lease.content.uid, &after.uid);
                prop_assert!(view.now >= lease.uid_seen_at + Millis::from_seconds(seconds.into()));
            }
            let is_report = view.record().map(|r| r.term) == status.record.as_ref().map(|r| r.term);
            let lowers = Some(after.longest_seconds) < longest(&view);
            prop_assert!(!lowers || (is_report && holds(&view)), "{before:?} {after:?}");
        }
    }

    /// A pod gets label and endpoint only after it was seen to hold the Lease in the record's term.
    #[test]
    fn only_the_holder_in_the_records_term_serves(snapshot in nominated_snapshots()) {
        for (view, intent) in walks(&snapshot).concat() {
            let serves = match &intent {
                Intent::Promote(_) => true,
                Intent::Route(write) => !write.content.endpoints.is_empty(),
                _ => false,
            };
            prop_assert!(!serves || holds(&view), "{intent:?}");
        }
    }

    /// Nothing but a nomination asks a holder to end: a leader that holds the Lease is left alone.
    #[test]
    fn a_healthy_holder_is_left_alone(mut snapshot in nominated_snapshots()) {
        let Some(policy) = policy_of(&snapshot).cloned() else { return Ok(()) };
        snapshot.group.switchover = None;
        let is_valid = snapshot.lease.as_ref().is_some_and(|lease| {
            lease.is_held(nominated_mode::longest(&snapshot, &policy), snapshot.now)
        });
        let leader = snapshot.leader_id().and_then(|leader| snapshot.pod(leader));
        let is_fit = leader.is_some_and(|pod| ineligibility(pod, Millis(0), snapshot.now).is_none());
        if !holds(&snapshot) || !is_valid || !is_fit || policy.failback_after.is_some() {
            return Ok(());
        }
        // A mark above the record makes a new record.
        let tampered = snapshot.highest_term() > snapshot.record().unwrap().term;
        let writes = nomination_writes(&snapshot);
        prop_assert!(tampered || writes.is_empty() || claims_term(&snapshot), "{writes:?}");
    }

    /// L1, with companions that do what they are asked to: at rest an eligible pod leads. S4 on the
    /// way: between their steps the group rests.
    #[test]
    fn with_companions_an_eligible_pod_is_enough_for_a_labelled_leader(snapshot in nominated_snapshots()) {
        if !leader::moves_freely(&snapshot) {
            return Ok(());
        }
        let mut view = snapshot;
        for _ in 0..8 {
            settle(&mut view)?;
            while companions_act(&mut view) {
                settle(&mut view)?;
            }
            if view.pods.iter().any(|pod| pod.role == Role::Leader) && holds(&view) {
                break;
            }
            let Some(wake_at) = plan_group(&view).wake_at() else { break };
            view = view.later(wake_at);
        }
        let policy = policy_of(&view).unwrap();
        if ranked(&view, policy).is_empty() {
            return Ok(());
        }
        let leader = view.leader_id().cloned();
        prop_assert!(holds(&view), "{:#?}", view);
        prop_assert_eq!(labelled(&view), leader.iter().collect::<Vec<_>>());
        let is_free = |route: &&SeenRoute| route.problem.is_none() && route.others.is_empty();
        let routes = view.routes.iter().filter(|_| view.route_refusal.is_none()).filter(is_free);
        let endpoints = routes.flat_map(SeenRoute::objects).flat_map(|(_, slice)| &slice.content.endpoints);
        for endpoint in endpoints {
            prop_assert_eq!(Some(&endpoint.pod.uid), leader.as_ref().map(|leader| &leader.uid));
        }
    }
}

/// Another pod carries the leader label with the record's term, or the leader's label is of a
/// higher term.
fn claims_term(view: &Snapshot) -> bool {
    let record = view.record().unwrap();
    view.pods.iter().any(|pod| pod.role == Role::Leader && pod.term >= Some(record.term))
}
