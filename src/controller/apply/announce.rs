//! What the applier says: log line, metric and Events.

use std::time::Duration;

use kube::Resource;

use super::{Applier, PlanRun};
use crate::cache::GroupRef;
use crate::controller::error::Error;
use crate::planner::Identity;
use crate::planner::plan::EventDraft;
use crate::planner::reason::Reason;
use crate::planner::snapshot::LeaderChange;

impl Applier {
    /// An Event that says why the plans for `group` cannot be carried out: status, which is written before, tells only what
    /// is to be.
    pub fn announce_refusal(&self, group: &GroupRef, error: &Error) {
        let note = format!("{error}; it is tried again, and what comes after it waits");
        let notice = EventDraft { reason: "WriteRefused".to_owned(), warning: true, note, pod: None };
        self.announce(group, &notice, "Report", true);
    }

    /// An Event that says that somebody changes the label of a pod as often as it is written.
    pub fn announce_contest(&self, group: &GroupRef, pod: &Identity) {
        let name = &pod.name;
        let note = format!(
            "the role label of pod {name} is changed back as often as it is written, by a webhook or another controller \
             (its managedFields tell which): it is written ever more rarely, every 10 s in the end"
        );
        let pod = Some(name.clone());
        let notice = EventDraft { reason: "LabelContested".to_owned(), warning: true, note, pod };
        self.announce(group, &notice, "Report", true);
    }

    /// `by_itself`: it is not counted as a repeat of an Event like it.
    pub(super) fn announce(&self, group: &GroupRef, notice: &EventDraft, action: &str, by_itself: bool) {
        if let Some(object) = self.store.group(group) {
            self.events.leave(group, object.object_ref(&()), notice, action, by_itself);
        }
    }
}

impl PlanRun<'_> {
    /// The one log line, metric and Event of a change.
    pub(super) fn announce_change(&self, change: &LeaderChange) {
        let LeaderChange { term, leader, previous, reason, .. } = change;
        let took = self.applier.clock.wall().0.saturating_sub(change.detected_at.0);
        let took = Duration::from_micros(u64::try_from(took).unwrap_or_default());
        // The reason may come from a status that somebody edited.
        let label = Reason::parse(reason).map_or("Other", Reason::as_str);
        self.applier.metrics.leader_changed(label, took.as_secs_f64());
        let (new, old) = (leader.as_deref().unwrap_or("none"), previous.as_deref().unwrap_or("none"));
        let (namespace, group) = (&self.group.namespace, &self.group.id.name);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%namespace, %group, leader = new, previous = old, %term, reason, took_ms, "leader changed");
        let note = match (leader, previous) {
            (Some(leader), Some(previous)) => format!("pod {leader} leads in term {term}, after {previous}"),
            (Some(leader), None) => format!("pod {leader} leads in term {term}"),
            (None, Some(previous)) => format!("no pod leads in term {term}, after {previous}"),
            (None, None) => format!("no pod leads in term {term}"),
        };
        let notice = EventDraft { reason: reason.clone(), warning: false, note, pod: leader.clone() };
        self.applier.announce(self.group, &notice, "Elect", true);
    }
}
