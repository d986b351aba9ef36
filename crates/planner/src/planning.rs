//! The plan for a group, and the moment at which the next one is due.

use super::order::keeps_order;
use super::plan::{Intent, Plan};
use super::seen::{GroupView, Snapshot};
use super::{Millis, cleanup, decide, report, route, switch};

/// The plan for a group, present or deleted. Total, and the same for equal views.
#[must_use]
pub fn plan(view: &GroupView) -> Plan {
    match view {
        GroupView::Present(snapshot) => plan_group(snapshot),
        // The next version may be readable, and wakes the worker.
        GroupView::Unreadable => Plan::Sleep(None),
        GroupView::Deleted { group, pods, deleted_at, now } => cleanup::plan(group, pods, *deleted_at, *now),
    }
}

/// The plan for a group that exists.
#[must_use]
pub fn plan_group(snapshot: &Snapshot) -> Plan {
    let steps = switch::steps(snapshot);
    if steps.is_empty() {
        return Plan::Sleep(wake_at(snapshot));
    }
    debug_assert!(keeps_order(&steps, snapshot), "out of order: {steps:#?} for {snapshot:#?}");
    Plan::Write(steps)
}

/// The first moment at which a plan has steps, though nothing happens until then.
fn wake_at(snapshot: &Snapshot) -> Option<Millis> {
    moments(snapshot).into_iter().find(|moment| !switch::steps(&snapshot.later(*moment)).is_empty())
}

/// While a failed plan backs off: the first moment before `pause` ends at which a plan holds other
/// urgent work (renewals included).
#[must_use]
pub fn other_urgent_work_at(view: &GroupView, pause: Millis) -> Option<Millis> {
    let GroupView::Present(snapshot) = view else { return None };
    let present = urgent_work(snapshot);
    let mut moments = moments(snapshot).into_iter().take_while(|moment| *moment < snapshot.now + pause);
    moments.find(|moment| !is_same_work(&urgent_work(&snapshot.later(*moment)), &present))
}

fn urgent_work(snapshot: &Snapshot) -> Vec<Intent> {
    let is_urgent = |intent: &Intent| matches!(intent, Intent::WriteLease(_)) || !intent.is_low_priority();
    let intents = switch::steps(snapshot).into_iter().flat_map(|step| step.intents);
    intents.filter(is_urgent).collect()
}

fn is_same_work(one: &[Intent], other: &[Intent]) -> bool {
    let is_same = |one: &Intent, other: &Intent| match (one, other) {
        // The report has the times of its plan, which always differ: the work is the record.
        (Intent::WriteStatus(one), Intent::WriteStatus(other)) => report::is_same_record(one, other),
        _ => one == other,
    };
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
}

/// The moments after now at which anything may change by itself, in their order.
fn moments(snapshot: &Snapshot) -> Vec<Millis> {
    let policy = snapshot.group.policy.as_ref().ok();
    let mut moments = policy.map(|policy| decide::moments(snapshot, policy)).unwrap_or_default();
    moments.push(snapshot.reported_at + switch::REPORT_PAUSE);
    moments.extend(snapshot.route_refusal.as_ref().map(|refusal| refusal.at + route::ROUTE_RETRY));
    if let Some((policy, lease)) = policy.zip(snapshot.lease.as_ref()) {
        moments.push(switch::renew_at(lease, &snapshot.group.id, policy));
        moments.push(lease.valid_until(policy.lease_duration()));
    }
    moments.retain(|moment| *moment > snapshot.now);
    moments.sort_unstable();
    moments.dedup();
    moments
}
