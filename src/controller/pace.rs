//! How fast the worker of one group may plan again.

use std::time::Duration;

use super::backoff::Backoff;
use super::error::Error;
use crate::cache::GroupRef;

/// The first pause of each back-off.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause: a write that is still needed is tried again after it at the latest.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The shortest pause after a failure. A low-priority request is also waited for this long.
pub(super) const MIN_PAUSE: Duration = Duration::from_millis(100);

/// The worker pauses, ever longer, after more plans in a row than these. Plans that never come to
/// rest mean that another writer undoes every write.
const MAX_PLANS_IN_A_ROW: u32 = 10;

/// After so many refusals in a row an Event tells the user. They take one to three seconds.
const REFUSALS_BEFORE_EVENT: u32 = 6;

/// After so many time-outs in a row an Event tells the user. One takes longer than a refusal.
const TIMEOUTS_BEFORE_EVENT: u32 = 2;

/// The pace of retries of one group.
#[derive(Debug)]
pub(super) struct Pace {
    /// While plans fail.
    failures: Backoff,
    /// While plans succeed and the group does not come to rest.
    unrest: Backoff,
    /// While another writer changes a role label back.
    contest: Backoff,
    /// Plans carried out since the group was last at rest, without those of low priority.
    plans_in_a_row: u32,
}

impl Pace {
    pub(super) fn new(group: &GroupRef) -> Self {
        let backoff = || Backoff::new(group, FIRST_PAUSE);
        Self { failures: backoff(), unrest: backoff(), contest: backoff(), plans_in_a_row: 0 }
    }

    /// The group needs no write.
    pub(super) const fn note_rest(&mut self) {
        self.plans_in_a_row = 0;
        self.failures.reset();
        self.unrest.reset();
    }

    /// The worker is about to carry out a plan.
    pub(super) fn note_plan(&mut self, is_low_priority: bool) {
        self.plans_in_a_row += u32::from(!is_low_priority);
    }

    /// The pause after a plan that failed, and whether an Event should tell the user: once, as soon
    /// as the failure has lasted for seconds.
    pub(super) fn after_failure(&mut self, error: &Error) -> (Duration, bool) {
        let pause = self.failures.pause(LONGEST_PAUSE);
        let tries = self.failures.tries();
        let should_tell = match error {
            Error::TimedOut { .. } => tries == TIMEOUTS_BEFORE_EVENT,
            error => error.is_refusal() && tries == REFUSALS_BEFORE_EVENT,
        };
        (pause, should_tell)
    }

    /// The pause after a plan that wrote a contested label, and whether it is the first of them.
    pub(super) fn after_contest(&mut self) -> (Duration, bool) {
        let is_first = self.contest.tries() == 0;
        (self.contest.pause(LONGEST_PAUSE), is_first)
    }

    /// No label of the group is contested any more.
    pub(super) const fn note_no_contest(&mut self) {
        self.contest.reset();
    }

    /// The pause after a plan that succeeded, if the group does not come to rest.
    pub(super) fn after_unrest(&mut self) -> Option<Duration> {
        let is_restless = self.plans_in_a_row > MAX_PLANS_IN_A_ROW;
        is_restless.then(|| self.unrest.pause(LONGEST_PAUSE).max(MIN_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::Identity;

    fn pace() -> Pace {
        Pace::new(&GroupRef { namespace: "shop".to_owned(), id: Identity::new("orders", "1") })
    }

    #[test]
    fn an_event_tells_once_of_the_second_time_out_and_of_the_sixth_refusal() {
        let told_at = |error: &Error| {
            let mut pace = pace();
            let told = (1..=20).filter(|_| pace.after_failure(error).1);
            told.collect::<Vec<_>>()
        };
        let timed_out = Error::TimedOut { verb: "patch", object: "pod a".to_owned(), seconds: 3 };
        assert_eq!(told_at(&timed_out), [2]);
        assert_eq!(told_at(&Error::NotKept { object: "group orders".to_owned() }), [6]);
        assert_eq!(told_at(&Error::NotActive), Vec::<i32>::new());
    }

    #[test]
    fn a_group_that_does_not_come_to_rest_pauses_from_the_eleventh_plan_on() {
        let mut pace = pace();
        for _ in 0..10 {
            pace.note_plan(false);
            assert_eq!(pace.after_unrest(), None);
        }
        pace.note_plan(true);
        assert_eq!(pace.after_unrest(), None, "a plan of low priority does not count");
        pace.note_plan(false);
        assert!(pace.after_unrest() >= Some(MIN_PAUSE));
        pace.note_rest();
        pace.note_plan(false);
        assert_eq!(pace.after_unrest(), None);
    }
}
