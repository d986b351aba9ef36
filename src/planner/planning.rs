//! The plan for a snapshot, and the moment at which the next one is due.

use super::plan::{Intent, Plan};
use super::seen::Snapshot;
use super::{Millis, decide, switch};

/// The plan for `snapshot`. Total, and the same for equal snapshots.
#[must_use]
pub fn plan(snapshot: &Snapshot) -> Plan {
    let steps = switch::steps(snapshot);
    if !steps.is_empty() {
        return Plan { steps, wake_at: None };
    }
    let wake_at =
        moments(snapshot).into_iter().find(|moment| !switch::steps(&snapshot.later(*moment)).is_empty());
    Plan { steps, wake_at }
}

/// While a failed plan backs off: the first moment before `pause` ends at which a plan holds other
/// urgent work (renewals included).
#[must_use]
pub fn other_urgent_work_at(snapshot: &Snapshot, pause: Millis) -> Option<Millis> {
    let is_duty = |intent: &Intent| matches!(intent, Intent::WriteLease(_)) || !intent.is_low_priority();
    let duties = |view: &Snapshot| {
        let steps = switch::steps(view).into_iter();
        steps.flat_map(|step| step.intents).filter(is_duty).count()
    };
    let present = duties(snapshot);
    let mut moments = moments(snapshot).into_iter().take_while(|moment| *moment < snapshot.now + pause);
    moments.find(|moment| duties(&snapshot.later(*moment)) != present)
}

/// The moments after now at which anything may change by itself, in their order.
fn moments(snapshot: &Snapshot) -> Vec<Millis> {
    let Ok(policy) = &snapshot.group.policy else {
        return Vec::new();
    };
    let mut moments = decide::moments(snapshot, policy);
    moments.push(snapshot.reported_at + switch::REPORT_PAUSE);
    if let Some(lease) = &snapshot.lease {
        moments.push(lease.changed_at + policy.renew);
        moments.push(lease.valid_until(policy.lease_duration()));
    }
    moments.retain(|moment| *moment > snapshot.now);
    moments.sort_unstable();
    moments.dedup();
    moments
}
