//! Contested pods: another writer changes their role label back as often as the operator writes it.
//!
//! Such a writer is a controller that owns the label, or a webhook that undoes the write. This file
//! only counts writes; the caller gives the time.

use std::collections::HashMap;

use crate::planner::plan::{Intent, Plan};
use crate::planner::{Identity, Millis, Term};

/// Only writes within this time count.
const WINDOW: Millis = Millis::from_seconds(60);

/// This many writes to one pod in one term are more than repairs.
const OFTEN: usize = 5;

/// The times of the writes to each pod of a group in the present term.
#[derive(Debug, Default)]
pub struct Contest {
    term: Option<Term>,
    written: HashMap<String, Vec<Millis>>,
}

impl Contest {
    /// The contested pod that `plan` writes once more in this `term`.
    ///
    /// None if the plan has other work that must not wait, a change of leader above all.
    #[must_use]
    pub fn contested<'a>(&self, term: Option<Term>, plan: &'a Plan, now: Millis) -> Option<&'a Identity> {
        let often = |pod: &Identity| {
            self.term == term && self.written.get(&pod.uid).is_some_and(|moments| is_often(moments, now))
        };
        let changes_leader = |intent: &Intent| match intent {
            Intent::WriteStatus(status) => status.record.as_ref().map(|record| record.term) != term,
            Intent::WriteLease(_) | Intent::WriteNomination(_) | Intent::DropSwitchover => true,
            _ => false,
        };
        if plan.intents().any(changes_leader) || !plan.intents().filter_map(written_pod).all(often) {
            return None;
        }
        plan.intents().find_map(written_pod)
    }

    /// No pod is contested any more.
    #[must_use]
    pub fn is_over(&self, now: Millis) -> bool {
        !self.written.values().any(|moments| is_often(moments, now))
    }

    /// The applier is about to carry out `plan`.
    pub fn note(&mut self, term: Option<Term>, plan: &Plan, now: Millis) {
        if self.term != term {
            *self = Self { term, written: HashMap::new() };
        }
        for moments in self.written.values_mut() {
            moments.retain(|moment| *moment + WINDOW > now);
        }
        self.written.retain(|_, moments| !moments.is_empty());
        for pod in plan.intents().filter_map(written_pod) {
            self.written.entry(pod.uid.clone()).or_default().push(now);
        }
    }
}

fn is_often(moments: &[Millis], now: Millis) -> bool {
    moments.iter().filter(|moment| **moment + WINDOW > now).count() >= OFTEN
}

const fn written_pod(intent: &Intent) -> Option<&Identity> {
    match intent {
        Intent::Fence(write) | Intent::Promote(write) | Intent::LabelFollower(write) => Some(&write.pod),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::Version;
    use crate::planner::plan::{PodWrite, Step};

    fn promotion(name: &str) -> Plan {
        let (pod, term) = (Identity::new(name, name), Term::default());
        let intents = vec![Intent::Promote(PodWrite { pod, version: Version(1), term })];
        Plan::Write(vec![Step { intents, ..Step::default() }])
    }

    fn written(times: u64) -> Contest {
        let mut contest = Contest::default();
        (0..times).for_each(|at| contest.note(None, &promotion("a"), Millis(at)));
        contest
    }

    #[test]
    fn a_pod_that_was_written_five_times_within_a_minute_in_one_term_is_contested() {
        let is_contested =
            |contest: &Contest, name, now| contest.contested(None, &promotion(name), Millis(now)).is_some();
        assert!(!is_contested(&written(4), "a", 5));
        assert!(is_contested(&written(5), "a", 5));
        assert!(!is_contested(&written(5), "b", 5));
        assert!(is_contested(&written(5), "a", 59_999) && !is_contested(&written(5), "a", 60_000));
        assert_eq!(written(5).contested(Term::new(1), &promotion("a"), Millis(5)), None, "another term");
        let both = ["a", "b"].into_iter().flat_map(|name| promotion(name).into_steps());
        let both = Plan::Write(both.collect());
        assert_eq!(written(5).contested(None, &both, Millis(5)), None, "the plan has more to do");
    }
}
