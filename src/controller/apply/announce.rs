//! What the applier announces: log line, metric and Events.

use std::time::Duration;

use kube::Resource;

use super::{Applier, PlanRun};
use crate::cache::GroupRef;
use crate::controller::error::Error;
use crate::planner::Identity;
use crate::planner::plan::EventDraft;
use crate::planner::reason::Reason;
use crate::planner::seen::LeaderChange;

impl Applier {
    /// Publishes why the plans for `group` fail. The status, which the plan writes first, cannot
    /// tell that the later writes fail.
    pub fn announce_refusal(&self, group: &GroupRef, error: &Error) {
        let note = format!("{error}; it is tried again, and what comes after it waits");
        let event = EventDraft { reason: "WriteRefused".to_owned(), warning: true, note, pod: None };
        self.announce(group, &event, "Report", true);
    }

    /// Publishes that another writer changes the role label of a pod as often as the operator.
    pub fn announce_contest(&self, group: &GroupRef, pod: &Identity) {
        let name = &pod.name;
        let note = format!(
            "the role label of pod {name} is changed back as often as it is written, by a webhook or \
             another controller (its managedFields tell which): it is written ever more rarely, \
             every 10 s in the end"
        );
        let pod = Some(name.clone());
        let event = EventDraft { reason: "LabelContested".to_owned(), warning: true, note, pod };
        self.announce(group, &event, "Report", true);
    }

    /// Leaves an Event with the queue. `by_itself`: it never counts as a repeat of a similar Event.
    pub(super) fn announce(&self, group: &GroupRef, event: &EventDraft, action: &str, by_itself: bool) {
        if let Some(object) = self.cache.group(group) {
            self.events.leave(group, object.object_ref(&()), event, action, by_itself);
        }
    }
}

impl PlanRun<'_> {
    /// The one log line, metric and Event of a change.
    pub(super) fn announce_change(&self, change: &LeaderChange) {
        let LeaderChange { term, leader, previous, reason, .. } = change;
        let took = self.applier.clock.wall().0.saturating_sub(change.detected_at.0);
        let took = Duration::from_micros(u64::try_from(took).unwrap_or_default());
        // The reason may come from a status that a user edited.
        let label = Reason::parse(reason).map_or("Other", Reason::as_str);
        self.applier.metrics.leader_changed(label, took.as_secs_f64());
        let (new, old) = (leader.as_deref().unwrap_or("none"), previous.as_deref().unwrap_or("none"));
        let (namespace, group) = (&self.group.namespace, &self.group.id.name);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            %namespace,
            %group,
            leader = new,
            previous = old,
            %term,
            reason,
            took_ms,
            "leader changed"
        );
        let note = match (leader, previous) {
            (Some(leader), Some(previous)) => format!("pod {leader} leads in term {term}, after {previous}"),
            (Some(leader), None) => format!("pod {leader} leads in term {term}"),
            (None, Some(previous)) => format!("no pod leads in term {term}, after {previous}"),
            (None, None) => format!("no pod leads in term {term}"),
        };
        let event = EventDraft { reason: reason.clone(), warning: false, note, pod: leader.clone() };
        self.applier.announce(self.group, &event, "Elect", true);
    }
}
