//! When each phase of a change of leader was done, for the metric that tells where the time goes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::metrics::{FailoverPhase, Metrics};
use crate::planner::Micros;
use crate::planner::plan::Intent;

/// When the API server gave the last answer of each phase of one plan.
#[derive(Debug)]
pub(super) struct Stages {
    /// When the plan began.
    began: Micros,
    answered: Mutex<Answered>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Answered {
    record: Option<Recorded>,
    fence: Option<Micros>,
    route: Option<Micros>,
    label: Option<Micros>,
    /// When the change was decided whose end the plan announced.
    announced: Option<Micros>,
}

/// A change of leader that the plan has recorded.
#[derive(Clone, Copy, Debug)]
struct Recorded {
    detected_at: Micros,
    elected_at: Micros,
    at: Micros,
}

impl Stages {
    pub(super) fn new(began: Micros) -> Self {
        Self { began, answered: Mutex::default() }
    }

    /// The API server has answered this write. `records`: it was the write of a new record.
    pub(super) fn note(&self, intent: &Intent, records: bool, now: Micros) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        match intent {
            Intent::WriteStatus(status) if records => {
                answered.record = status.history.first().map(|change| Recorded {
                    detected_at: change.detected_at,
                    elected_at: change.elected_at,
                    at: now,
                });
            }
            Intent::Fence(_) => answered.fence = Some(now),
            Intent::Route(_) => answered.route = Some(now),
            Intent::Promote(_) => answered.label = Some(now),
            Intent::AnnounceChange(change) => answered.announced = Some(change.elected_at),
            _ => {}
        }
    }

    /// Counts the phases of a change that this plan made.
    pub(super) fn count(&self, nominates: bool, metrics: &Metrics) {
        for (phase, span) in self.phases(nominates) {
            metrics.phase_done(phase, span.as_secs_f64());
        }
    }

    /// The phases of a change that one plan made from its record to its label. Where the group
    /// nominates, one plan records and nominates, and another one labels once the nominee has taken
    /// the Lease. Of other changes that another plan began, the times are not known here.
    fn phases(&self, nominates: bool) -> Vec<(FailoverPhase, Duration)> {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let span = |phase, from: Micros, to: Micros| {
            let micros = u64::try_from(to.0.saturating_sub(from.0)).unwrap_or_default();
            (phase, Duration::from_micros(micros))
        };
        let (mut phases, from) = match (answered.record, answered.announced) {
            (Some(record), _) if nominates || answered.label.is_some() => {
                let detect = span(FailoverPhase::Detect, record.detected_at, record.elected_at);
                (vec![detect, span(FailoverPhase::Record, record.elected_at, record.at)], record.at)
            }
            (None, Some(elected_at)) if nominates => {
                (vec![span(FailoverPhase::Take, elected_at, self.began)], self.began)
            }
            _ => return Vec::new(),
        };
        let label_from = answered.fence.unwrap_or(from);
        phases.extend(answered.fence.map(|end| span(FailoverPhase::Fence, from, end)));
        phases.extend(answered.route.map(|end| span(FailoverPhase::Route, from, end)));
        phases.extend(answered.label.map(|end| span(FailoverPhase::Label, label_from, end)));
        phases
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::plan::PodWrite;
    use crate::planner::seen::{GroupStatus, LeaderChange};
    use crate::planner::{Identity, Term, Version};

    fn change() -> LeaderChange {
        LeaderChange {
            term: Term::new(4).unwrap(),
            leader: Some("b".to_owned()),
            previous: Some("a".to_owned()),
            reason: "NotReady".to_owned(),
            detected_at: Micros(1_000),
            elected_at: Micros(3_000),
            labelled_at: None,
            routed_at: None,
        }
    }

    fn status() -> Intent {
        Intent::WriteStatus(Box::new(GroupStatus { history: vec![change()], ..GroupStatus::default() }))
    }

    fn write() -> PodWrite {
        PodWrite { pod: Identity::new("a", "a-uid"), version: Version(7), term: Term::new(4).unwrap() }
    }

    fn told(stages: &Stages, nominates: bool) -> Vec<(&'static str, u128)> {
        let phases = stages.phases(nominates).into_iter();
        phases.map(|(phase, span)| (phase.as_str(), span.as_millis())).collect()
    }

    #[test]
    fn one_plan_makes_all_of_a_managed_change() {
        let stages = Stages::new(Micros(2_000));
        stages.note(&status(), true, Micros(8_000));
        stages.note(&Intent::Fence(write()), false, Micros(12_000));
        assert_eq!(told(&stages, false), [], "it may end here");
        stages.note(&Intent::Promote(write()), false, Micros(15_000));
        stages.note(&status(), false, Micros(19_000));
        stages.note(&Intent::AnnounceChange(change()), false, Micros(20_000));
        assert_eq!(told(&stages, false), [("detect", 2), ("record", 5), ("fence", 4), ("label", 3)]);
    }

    #[test]
    fn two_plans_make_a_nominated_change_and_the_pod_takes_the_lease_in_between() {
        let first = Stages::new(Micros(2_000));
        first.note(&status(), true, Micros(8_000));
        first.note(&Intent::Fence(write()), false, Micros(12_000));
        assert_eq!(told(&first, true), [("detect", 2), ("record", 5), ("fence", 4)]);
        let second = Stages::new(Micros(103_000));
        second.note(&Intent::Promote(write()), false, Micros(106_000));
        second.note(&status(), false, Micros(109_000));
        assert_eq!(told(&second, true), [], "a label that is given back is no change");
        second.note(&Intent::AnnounceChange(change()), false, Micros(110_000));
        assert_eq!(told(&second, true), [("take", 100), ("label", 3)]);
        assert_eq!(told(&second, false), [], "another plan began it");
    }
}
