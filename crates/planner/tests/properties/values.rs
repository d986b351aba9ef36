//! The order of candidates, the age of a Lease, and texts that become values.

use super::*;

fn of_any_text() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), ".{0,30}".prop_map(Some), Just(Some("x".repeat(10_000)))]
}

proptest! {
    #![proptest_config(config())]

    /// The order is total and ranks exactly the eligible pods. Other pods do not influence it.
    #[test]
    fn preference_is_a_total_order(
        (snapshot, pods) in snapshots().prop_flat_map(|s| (Just(s.clone()), Just(s.pods).prop_shuffle())),
        out in 0..4usize,
    ) {
        let Some(policy) = policy_of(&snapshot) else { return Ok(()) };
        let names = |snapshot: &Snapshot| {
            ranked(snapshot, policy).into_iter().map(|pod| pod.id.clone()).collect::<Vec<_>>()
        };
        let first = names(&snapshot);
        let mut shuffled = Snapshot { pods, ..snapshot.clone() };
        prop_assert_eq!(&first, &names(&shuffled));
        let eligible = |min_ready| {
            let is_eligible = |pod: &&SeenPod| ineligibility(pod, min_ready, snapshot.now).is_none();
            snapshot.pods.iter().filter(is_eligible).count()
        };
        let stays = |leader| {
            snapshot.pod(leader).is_some_and(|pod| !pod.terminating && pod.phase != PodPhase::Finished)
        };
        let led = snapshot.record().is_some_and(|record| record.leader_id().is_none_or(stays));
        let none_is_left = !led && eligible(policy.min_ready) == 0;
        let min_ready = if none_is_left { Millis(0) } else { policy.min_ready };
        prop_assert_eq!(first.len(), eligible(min_ready));
        if let Some(id) = first.get(out).filter(|_| first.len() > 1) {
            shuffled.pods.iter_mut().find(|pod| pod.id == *id).unwrap().excluded = true;
            let without: Vec<_> = first.iter().filter(|other| *other != id).cloned().collect();
            prop_assert_eq!(without, names(&shuffled));
        }
    }

    /// A Lease expires its own duration after the last change of its content that was seen. Nothing
    /// else counts.
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
            let relabelled =
                LeaseContent { version: Version(99), term: None, owner: Owner::None, ..last.clone() };
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
            holder,
            duration_seconds: duration,
            transitions,
            times,
            owner: Owner::Ours,
            ..LeaseContent::default()
        };
        let lease = SeenLease { change_was_seen: true, ..SeenLease::first_seen(record, Millis(now)) };
        prop_assert!(lease.valid_until(Millis(now)) >= Millis(now));
        let _ = plan_group(&Snapshot { lease: Some(lease), now: Millis(now), ..snapshot });
    }

    #[test]
    fn whatever_a_clock_says_there_is_a_plan(
        snapshot in snapshots(),
        now in any::<u64>(),
        wall in any::<i64>(),
    ) {
        let wall = planner::Micros(wall);
        let mut view = Snapshot { now: Millis(now), wall, ..snapshot };
        let _ = plan_group(&view);
        view = view.later(Millis(u64::MAX));
        let _ = plan_group(&view);
    }

    #[test]
    fn a_text_is_a_term_exactly_if_it_is_a_plain_number_up_to_2_to_the_53(
        text in ".{0,20}",
        number in any::<u64>(),
    ) {
        let expected = Some(number).filter(|number| *number <= 1 << 53);
        prop_assert_eq!(Term::parse(&number.to_string()).map(Term::get), expected);
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        prop_assert!(digits || Term::parse(&text).is_none());
        prop_assert_eq!(Term::parse(&format!("-{number}")), None);
        prop_assert_eq!(Term::parse(&format!("+{number}")), None);
    }

    #[test]
    fn an_identity_survives_its_text(
        name in "[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?",
        uid in "[a-z0-9-]{1,36}",
        text in ".{0,20}",
    ) {
        let id = Identity::new(name, uid);
        prop_assert_eq!(Identity::parse(&id.to_string()), Some(id));
        if let Some(parsed) = Identity::parse(&text) {
            prop_assert_eq!(parsed.to_string(), text);
        }
    }
}
