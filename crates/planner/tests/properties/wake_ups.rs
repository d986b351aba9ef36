//! The moment at which the planner has to run again.

use super::*;

proptest! {
    #![proptest_config(config())]

    /// The wake-up is the first moment with a plan that is not empty. Just before it, the plan is
    /// still empty. Without a wake-up it stays empty.
    #[test]
    fn a_wake_up_is_neither_late_nor_early(
        snapshot in every_snapshot(),
        samples in prop::collection::vec(0..100_000u64, 8),
    ) {
        let mut view = snapshot;
        for _ in 0..3 {
            settle(&mut view)?;
            let wake_at = plan_group(&view).wake_at();
            let near = (0..12).map(|at| at * 1000).chain([1, 2, 3, 999, 3_600_000, 3_700_000, 9_000_000]);
            let ends = wake_at.into_iter().map(|at| Millis(at.0 - 1));
            let later = near.chain(samples.iter().copied()).map(|span| view.now + Millis(span)).chain(ends);
            for moment in later.filter(|moment| wake_at.is_none_or(|wake_at| *moment < wake_at)) {
                let missed = plan_group(&view.later(moment)).into_steps();
                prop_assert!(missed.is_empty(), "at {:?}, before {:?}: {:#?}", moment, wake_at, missed);
            }
            let Some(wake_at) = wake_at else { break };
            prop_assert!(wake_at > view.now);
            view = view.later(wake_at);
            prop_assert!(!plan_group(&view).steps().is_empty());
        }
    }

    #[test]
    fn a_plan_that_writes_has_steps_and_no_step_is_empty(snapshot in every_snapshot()) {
        if let Plan::Write(steps) = plan_group(&snapshot) {
            prop_assert!(!steps.is_empty());
            prop_assert!(steps.iter().all(|step| !step.intents.is_empty()));
        }
    }
}
