//! The switch protocol: which writes, in which order.
//!
//! To make pod Q the leader:
//!
//! 1. **record** Q with a higher term in the status of the group;
//! 2. at once **fence** every pod that an operator with an earlier record may still promote, and
//!    (Managed mode) make the **Lease** name Q;
//! 3. **promote** Q;
//! 4. report.
//!
//! Every write is conditional on the version it was decided on, so the late write of a stalled
//! operator fails (S1). Every prefix of the steps leaves at most one leader label.
//!
//! Two rules hold for every write to a pod.
//!
//! *Not above*: the operator does not write a pod whose term is above that of the record. A record
//! with a still higher term comes first. Its write fails if the operator was merely out of date.
//!
//! *Not another's*: the operator does not write a pod that another existing group owns. Before it
//! takes a pod over from a deleted group, live reads confirm two things: first that the other group
//! is deleted, then that the record of this group still stands. A later record confirms that the
//! other group exists. If it does, an operator that learns later of the deletion sees the later
//! record.

mod fence;
mod lease;
mod outstanding;
mod record;
mod tidy;

use super::decide::{self, Decision, NewLeader, SwitchoverVerdict};
use super::plan::{EventDraft, Intent, Step};
use super::seen::{GroupPolicy, GroupStatus, LeaderChange, LeaderRecord, Snapshot, Unfenced};
use super::{Millis, refusal, report, services};

pub use self::fence::{ENDPOINT_GAP, READY_ENDPOINT_GAP};
pub use self::record::FRESH;
pub use self::tidy::MAX_LOW_PRIORITY_WRITES;

/// How long a report of nothing but new counts waits after the last report. Pods that come and go
/// by the dozen cost one write a second, not one each.
pub const REPORT_PAUSE: Millis = Millis(1000);

/// The steps from `snapshot` to the wanted state. None if the group is there.
#[must_use]
pub fn steps(snapshot: &Snapshot) -> Vec<Step> {
    let mut draft = Draft {
        status_before: snapshot.group.status.clone(),
        projected: snapshot.clone(),
        steps: Vec::new(),
        change: None,
        event_drafts: Vec::new(),
    };
    record::rename(&mut draft.projected);
    match &snapshot.group.policy {
        Ok(policy) if refusal::refusal(snapshot, policy).is_none() => draft.elect(policy),
        _ => draft.refuse(),
    }
    draft.steps
}

/// The plan so far, and the snapshot as it will be after it.
struct Draft {
    /// The status as it was when the plan began.
    status_before: GroupStatus,
    projected: Snapshot,
    steps: Vec<Step>,
    change: Option<LeaderChange>,
    event_drafts: Vec<EventDraft>,
}

impl Draft {
    fn push(&mut self, after_fence: Millis, intents: Vec<Intent>) {
        if intents.is_empty() {
            return;
        }
        for intent in &intents {
            self.projected.project(intent);
        }
        self.steps.push(Step { after_fence, intents });
    }

    fn elect(&mut self, policy: &GroupPolicy) {
        let mut request = decide::switchover_verdict(&self.projected, policy);
        let decision = decide::decide(&self.projected, policy);
        // List first. A second record with `unfenced: *` would lose sight of the current leader if
        // this group neither owns nor selects it, and another operator may still promote it.
        if matches!(decision, Decision::Change(_)) && self.must_list() {
            return;
        }
        match decision {
            Decision::Change(change) => {
                self.confirm_before_change(policy, &change);
                self.record(&change);
                request = match request {
                    SwitchoverVerdict::Grant(_) if self.change.is_none() => {
                        SwitchoverVerdict::Refuse("the terms are used up".to_owned())
                    }
                    SwitchoverVerdict::Done => SwitchoverVerdict::Refuse(format!(
                        "its pod was lost on the way: {}",
                        change.reason.as_str()
                    )),
                    request => request,
                };
            }
            Decision::Keep if outstanding::is_overtaken(&self.projected, policy) => self.record_again(),
            Decision::Keep => {}
        }
        if self.must_list() {
            return;
        }
        // A record that is still overtaken means that the terms are used up. The report says so,
        // and no pod is written.
        if !outstanding::is_overtaken(&self.projected, policy) {
            self.settle(policy);
        }
        self.finish(policy, request);
    }

    /// Never changes the leader on missing knowledge (L2): live reads come first.
    fn confirm_before_change(&mut self, policy: &GroupPolicy, change: &NewLeader) {
        self.push(Millis::default(), record::confirm_before(&self.projected, policy, change));
    }

    /// Step 1 for a change of leader.
    fn record(&mut self, new: &NewLeader) {
        if let Some((status, change)) = record::of(&self.projected, new) {
            self.change = Some(change);
            self.write_record(status);
        }
    }

    /// Step 1 for the same leader: a term above that of the record is in the way.
    fn record_again(&mut self) {
        if let Some(status) = record::again(&self.projected) {
            self.write_record(status);
        }
    }

    fn write_record(&mut self, status: GroupStatus) {
        let before = self.projected.group.status.clone();
        self.projected.group.status = status;
        let status = report::status(&self.projected);
        self.projected.group.status = before;
        self.push(Millis::default(), vec![Intent::WriteStatus(Box::new(status))]);
    }

    /// Without an earlier record, only a list made after the record tells which pods to fence.
    fn must_list(&mut self) -> bool {
        let Some(record) = self.projected.record() else {
            return false;
        };
        let listed = self.projected.listed_for == Some(self.projected.group.version);
        let needed = record.unfenced == Unfenced::All && !listed;
        if needed {
            let list = Intent::ListPods(record.term);
            self.push(Millis::default(), vec![list]);
        }
        needed
    }

    /// Steps 2 and 3: labels and Lease follow the record.
    fn settle(&mut self, policy: &GroupPolicy) {
        let Some(record) = self.projected.record().cloned() else {
            return;
        };
        let takes_over = self.take_over(policy, &record);
        self.note_repairs(&record);
        let fenced = fence::fences(&self.projected, &record);
        let gap = fenced.iter().filter_map(|pod| fence::endpoint_gap(pod)).max().unwrap_or_default();
        let mut intents: Vec<_> =
            fenced.into_iter().map(|pod| Intent::Fence(fence::write_to(pod, record.term))).collect();
        intents.extend(fence::unconfirmed(&self.projected, &record));
        intents.extend(lease::lease_write(&self.projected, policy, &record).map(Intent::WriteLease));
        if fence::promotion(&self.projected, &record).is_some() && !takes_over && !self.wrote_status() {
            intents.push(record::confirm(&self.projected, &record));
        }
        self.push(Millis::default(), intents);
        let promoted = fence::promotion(&self.projected, &record);
        let promote = promoted.map(|pod| Intent::Promote(fence::write_to(pod, record.term)));
        self.push(gap, promote.into_iter().collect());
    }

    /// Before pods are taken over from groups that seem to be deleted, live reads confirm the
    /// deletions, and then the record. The record is read even by the plan that wrote it: a later
    /// record may have found those groups there.
    fn take_over(&mut self, policy: &GroupPolicy, record: &LeaderRecord) -> bool {
        let intents = outstanding::vanished_owners(&self.projected, policy, record);
        let takes_over = !intents.is_empty();
        self.push(Millis::default(), intents);
        if takes_over {
            self.push(Millis::default(), vec![record::confirm(&self.projected, record)]);
        }
        takes_over
    }

    /// This plan has written the status.
    fn wrote_status(&self) -> bool {
        let mut intents = self.steps.iter().flat_map(|step| &step.intents);
        intents.any(|intent| matches!(intent, Intent::WriteStatus(_)))
    }

    /// Step 4: the answer to a request, the report, then the low-priority writes and the
    /// announcements.
    fn finish(&mut self, policy: &GroupPolicy, request: SwitchoverVerdict) {
        self.answer(request);
        let mut status = report::status(&self.projected);
        let settled = !outstanding::is_overtaken(&self.projected, policy);
        if let Some(record) = status.record.as_mut().filter(|_| settled) {
            record.unfenced = Unfenced::NONE;
        }
        let completed = report::complete(&mut status, &self.projected, self.change.take());
        self.report(status);
        let mut last: Vec<_> = completed.map(Intent::AnnounceChange).into_iter().collect();
        if settled {
            last.extend(tidy::tidying(&self.projected, policy));
        }
        last.extend(services::warnings(&self.projected));
        self.announce(last);
    }

    /// The operator cannot serve the group. It reports why, and writes only pods that the group no
    /// longer has or should not have. It also removes a request: the user does not expect it any
    /// more when the group is served again.
    fn refuse(&mut self) {
        let request = self
            .projected
            .group
            .policy
            .as_ref()
            .map(|policy| decide::switchover_verdict(&self.projected, policy));
        if self.projected.group.switchover.is_some() && request != Ok(SwitchoverVerdict::Done) {
            let (_, reason, _) = report::accepted(&self.projected);
            self.answer(SwitchoverVerdict::Refuse(format!("the group is not served: {reason}")));
        }
        let mut last = outstanding::releasable_while_refused(&self.projected);
        last.extend(refusal::undo(&self.projected));
        // The report tells the state after these writes, and the reason from before them.
        let mut after = self.projected.clone();
        after.group.status = report::status(&self.projected);
        for intent in &last {
            after.project(intent);
        }
        self.report(report::status(&after));
        self.announce(last);
    }

    /// Writes `status` if it says something new.
    fn report(&mut self, status: GroupStatus) {
        self.event_drafts.extend(report::event_drafts(&self.status_before, &status));
        let before = if self.wrote_status() { &self.projected.group.status } else { &self.status_before };
        let recently = self.projected.now < self.projected.reported_at + REPORT_PAUSE;
        if status == *before || (recently && report::differ_in_counts_only(before, &status)) {
            return;
        }
        self.push(Millis::default(), vec![Intent::WriteStatus(Box::new(status))]);
    }

    /// The last step, with Events.
    fn announce(&mut self, mut last: Vec<Intent>) {
        last.extend(self.event_drafts.drain(..).map(Intent::PublishEvent));
        self.push(Millis::default(), last);
    }

    /// Removes a request that is fulfilled or refused. It comes before the report: the report
    /// closes the change by which a fulfilled request differs from a new one.
    fn answer(&mut self, request: SwitchoverVerdict) {
        match request {
            SwitchoverVerdict::None => return,
            SwitchoverVerdict::Grant(_) | SwitchoverVerdict::Done => {}
            SwitchoverVerdict::Refuse(why) => {
                let note = format!("the switchover request was refused and removed: {why}");
                let reason = EventDraft::REFUSED.to_owned();
                self.event_drafts.push(EventDraft { reason, warning: true, note, pod: None });
            }
        }
        self.push(Millis::default(), vec![Intent::DropSwitchover]);
    }

    /// A label that a user or another program changed is an Event, not a change of leader.
    fn note_repairs(&mut self, record: &LeaderRecord) {
        let newest = self.projected.group.status.history.first();
        let switching = newest.is_some_and(|c| c.term == record.term && c.labelled_at.is_none());
        // After an edit of the spec, labels differ because the user ordered it.
        let edited = self.status_before.observed_generation != Some(self.projected.group.generation);
        if switching || edited || self.change.is_some() {
            return;
        }
        self.event_drafts = fence::repairs(&self.projected, record);
    }
}
