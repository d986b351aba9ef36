//! The figures of a group, for metrics: what its spec and its status say, and no more.

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::{ElectionGroup, ElectionGroupStatus, Mode};
use crate::metrics::groups::GroupFigures;
use crate::planner::names::condition;

/// The figures of a group.
#[must_use]
pub fn group_figures(group: &ElectionGroup) -> GroupFigures {
    let none = ElectionGroupStatus::default();
    let status = group.status.as_ref().unwrap_or(&none);
    let find = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
    GroupFigures {
        namespace: group.namespace().unwrap_or_default(),
        group: group.name_any(),
        mode: match group.spec.mode {
            Mode::Managed => "Managed",
            Mode::Observed => "Observed",
            Mode::Nominated => "Nominated",
        },
        reason: find(condition::READY).map(|ready| ready.reason.clone()).unwrap_or_default(),
        ready: find(condition::READY).is_some_and(|c| c.status == "True"),
        leader: status.leader.as_ref().map(|leader| leader.name.clone()).filter(|name| !name.is_empty()),
        candidates: status.candidates.unwrap_or_default().into(),
        eligible: status.eligible.unwrap_or_default().into(),
        term: status.term.unwrap_or_default(),
        last_change_seconds: last_change(status).map(seconds),
        refused: find(condition::ACCEPTED).filter(|c| c.status == "False").map(|c| c.reason.clone()),
        paused: group.is_paused(),
    }
}

/// `spec.historyLimit` may be 0: then the leader tells since when it leads.
fn last_change(status: &ElectionGroupStatus) -> Option<Timestamp> {
    let of_history = status.history.first().and_then(|change| change.elected_at.as_ref());
    let of_leader = status.leader.as_ref().and_then(|leader| leader.since.as_ref());
    of_history.or(of_leader).map(|time| time.0)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970")]
fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}
