//! The switch protocol: which writes, in which order.
//!
//! To make Q leader: **record** Q with a higher term, in the group's status; then in parallel **fence** every pod that
//! an earlier operator may still be about to promote and (Managed mode) make the **Lease** name Q; then **promote** Q;
//! then report. Every write is conditional on the version it was decided on, so a stalled operator's late write fails (S1), and
//! every prefix of the steps leaves at most one leader label.
//!
//! Two rules for every write to a pod. *Not above*: a pod whose term is above the record's is not written; a record
//! with a still higher term comes first, and fails if this process was merely out of date. *Not another's*: a pod with
//! the mark of another group that exists is not written, and before a pod is taken over from a group that is gone, the
//! API server is asked about both groups: first about the other one, then about this one's record. A record that follows
//! asks whether the other group exists. If it does, whoever is told later that it is gone sees the later record.

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

/// How long a report of nothing but other counts waits after the report before: pods that come and go by the dozen
/// cost one write a second, not one each.
pub const REPORT_PAUSE: Millis = Millis(1000);

/// The steps from `snapshot` to where the group should be; none if it is there.
#[must_use]
pub fn steps(snapshot: &Snapshot) -> Vec<Step> {
    let mut draft = Draft {
        status_before: snapshot.group.status.clone(),
        projected: snapshot.clone(),
        steps: Vec::new(),
        change: None,
        notices: Vec::new(),
    };
    record::rename(&mut draft.projected);
    match &snapshot.group.policy {
        Ok(policy) if refusal::refusal(snapshot, policy).is_none() => draft.elect(policy),
        _ => draft.refuse(),
    }
    draft.steps
}

/// The plan so far, and the group as it will be after it.
struct Draft {
    /// The status as it was when the plan began.
    status_before: GroupStatus,
    projected: Snapshot,
    steps: Vec<Step>,
    change: Option<LeaderChange>,
    notices: Vec<EventDraft>,
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
        // With another `*` the leader so far would be forgotten if it was not marked yet and is not selected any more,
        // though an operator may be about to promote it.
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
        // Still overtaken: the terms are used up. The report says so, and nothing is written on a pod.
        if !outstanding::is_overtaken(&self.projected, policy) {
            self.settle(policy);
        }
        self.finish(policy, request);
    }

    /// What is merely not known here changes nothing (L2): the API server is asked before.
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

    /// Step 1 for the same leader: something with a higher term than the record's is in the way.
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

    /// Without an earlier record, whom to fence is known only from a list made after the record.
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

    /// Steps 2 and 3: make labels and Lease follow the record.
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

    /// Before pods are taken over from groups that seem to be gone, the API server is asked for these and, once they are
    /// known to be gone, for the record: also by the plan that wrote it, since a later record may have found them there.
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

    /// Step 4: the answer to a request, the report, then the labels that nobody waits for, and what is to be said.
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

    /// The group cannot be served: say so, and touch nothing but pods that it no longer has, or should not have. A request is not left lying
    /// until it can, when nobody expects it any more.
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
        // It tells how the group is when these have lost their marks, and why before they do.
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
        self.notices.extend(report::notices(&self.status_before, &status));
        let before = if self.wrote_status() { &self.projected.group.status } else { &self.status_before };
        let recently = self.projected.now < self.projected.reported_at + REPORT_PAUSE;
        if status == *before || (recently && report::differ_in_counts_only(before, &status)) {
            return;
        }
        self.push(Millis::default(), vec![Intent::WriteStatus(Box::new(status))]);
    }

    /// The last step, with Events.
    fn announce(&mut self, mut last: Vec<Intent>) {
        last.extend(self.notices.drain(..).map(Intent::PublishEvent));
        self.push(Millis::default(), last);
    }

    /// A request is removed once it is fulfilled or refused; before the report, which closes the change that tells a
    /// fulfilled one from a new one.
    fn answer(&mut self, request: SwitchoverVerdict) {
        match request {
            SwitchoverVerdict::None => return,
            SwitchoverVerdict::Grant(_) | SwitchoverVerdict::Done => {}
            SwitchoverVerdict::Refuse(why) => {
                let note = format!("the switchover request was refused and removed: {why}");
                let reason = EventDraft::REFUSED.to_owned();
                self.notices.push(EventDraft { reason, warning: true, note, pod: None });
            }
        }
        self.push(Millis::default(), vec![Intent::DropSwitchover]);
    }

    /// Labels that somebody else changed are an Event, not a change of leader.
    fn note_repairs(&mut self, record: &LeaderRecord) {
        let newest = self.projected.group.status.history.first();
        let switching = newest.is_some_and(|c| c.term == record.term && c.labelled_at.is_none());
        // The label of an edited spec differs by its user's order.
        let edited = self.status_before.observed_generation != Some(self.projected.group.generation);
        if switching || edited || self.change.is_some() {
            return;
        }
        self.notices = fence::repairs(&self.projected, record);
    }
}
