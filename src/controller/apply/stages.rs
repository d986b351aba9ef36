//! When each phase of a failover was done, for the metric that tells where the time goes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::metrics::{FailoverPhase, Metrics};
use crate::planner::Micros;
use crate::planner::plan::Intent;
use crate::planner::seen::LeaderChange;

/// When the API server gave the last answer of each phase of one plan.
#[derive(Debug, Default)]
pub(super) struct Stages(Mutex<Answered>);

#[derive(Clone, Copy, Debug, Default)]
struct Answered {
    record: Option<Micros>,
    fence: Option<Micros>,
    route: Option<Micros>,
    label: Option<Micros>,
}

impl Stages {
    /// The API server has answered this write.
    pub(super) fn note(&self, intent: &Intent, now: Micros) {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match intent {
            // The report comes later, and is no record.
            Intent::WriteStatus(_) if answered.record.is_none() => answered.record = Some(now),
            Intent::Fence(_) => answered.fence = Some(now),
            Intent::Route(_) => answered.route = Some(now),
            Intent::Promote(_) => answered.label = Some(now),
            _ => {}
        }
    }

    /// Counts the phases of a change that this plan made from its record to its label. A change
    /// that another plan began has no such times.
    pub(super) fn count(&self, change: &LeaderChange, metrics: &Metrics) {
        let answered = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(record), Some(label)) = (answered.record, answered.label) else { return };
        let span = |phase, from: Micros, to: Micros| {
            let micros = u64::try_from(to.0.saturating_sub(from.0)).unwrap_or_default();
            metrics.phase_done(phase, Duration::from_micros(micros).as_secs_f64());
        };
        span(FailoverPhase::Detect, change.detected_at, change.elected_at);
        span(FailoverPhase::Record, change.elected_at, record);
        for (phase, end) in [(FailoverPhase::Fence, answered.fence), (FailoverPhase::Route, answered.route)] {
            if let Some(end) = end {
                span(phase, record, end);
            }
        }
        span(FailoverPhase::Label, answered.fence.unwrap_or(record), label);
    }
}
