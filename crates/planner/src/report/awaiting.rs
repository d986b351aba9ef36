//! Why no pod leads yet: what the Lease says of it, where the pods hold it.

use super::conditions::Finding;
use crate::names::condition_reason;
use crate::nominated_mode::{self, Tenure};
use crate::observed_mode;
use crate::refusal::refusal;
use crate::seen::{ElectionMode, LeaderRecord, Snapshot};

/// The reasons of `LeaderElected` while a change is under way.
pub(super) const REASONS: [&str; 4] = [
    condition_reason::SWITCHING,
    condition_reason::LEASE_QUARANTINED,
    condition_reason::AWAITING_RELEASE,
    condition_reason::AWAITING_NOMINEE,
];

/// The record names no leader.
pub(super) fn no_leader(view: &Snapshot) -> Finding {
    let no_leader = || (false, condition_reason::NO_LEADER, "no pod leads".to_owned());
    let Ok(policy) = &view.group.policy else { return no_leader() };
    if policy.mode == ElectionMode::Observed
        && let Err(no_holder) = observed_mode::holder(view, policy)
    {
        return (false, no_holder.reason(), format!("no pod leads: {no_holder}"));
    }
    let waits = !nominated_mode::may_record(view, policy) && refusal(view, policy).is_none();
    if waits { quarantined(view) } else { no_leader() }
}

/// The recorded leader waits for the Lease (Nominated). None: it holds it.
pub(super) fn lease(view: &Snapshot, record: &LeaderRecord, pod: &str) -> Option<Finding> {
    if !nominated_mode::applies(view) {
        return None;
    }
    let term = record.term;
    let awaits = |what: &str| format!("pod {pod} is to lead in term {term}, {what}");
    let is_free = view.lease.as_ref().is_none_or(|lease| lease.content.is_free());
    match nominated_mode::tenure(view, record) {
        Tenure::Held => None,
        Tenure::OfNoRecord => Some(quarantined(view)),
        Tenure::Ended => {
            let message = format!("pod {pod} released the Lease, and no pod was nominated since");
            Some((false, condition_reason::LEASE_NOT_HELD, message))
        }
        _ if is_free => {
            let what = "once its companion takes the Lease";
            Some((false, condition_reason::AWAITING_NOMINEE, awaits(what)))
        }
        _ => {
            let holder = view.lease.as_ref().and_then(|lease| lease.holder()).unwrap_or_default();
            let what = format!("once {holder:.253} releases the Lease");
            Some((false, condition_reason::AWAITING_RELEASE, awaits(&what)))
        }
    }
}

/// The message names a span and no moment: operators know different ones.
fn quarantined(view: &Snapshot) -> Finding {
    let policy = view.group.policy.as_ref().ok();
    let seconds = policy.map_or(0, |policy| nominated_mode::longest(view, policy).0 / 1000);
    let name = policy.map(|policy| policy.lease_name.as_str()).unwrap_or_default();
    let message = format!(
        "Lease {name} is new: no pod is nominated in it before {seconds} s have passed, for so long the work of an \
         earlier holder may run on"
    );
    (false, condition_reason::LEASE_QUARANTINED, message)
}
