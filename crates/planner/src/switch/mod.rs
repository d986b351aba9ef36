//! The switch protocol: which writes, in which order.
//!
//! To make pod Q the leader:
//!
//! 1. **record** Q with a higher term in the status of the group;
//! 2. in parallel **fence** every pod that an operator with an earlier record may still promote,
//!    (Managed mode) make the **Lease** name Q, and **route** the Services of the group to Q;
//! 3. **promote** Q;
//! 4. report.
//!
//! Every write is conditional on the version it was decided on, so the late write of a stalled
//! operator fails (S1). Every prefix of the steps leaves at most one leader label.
//!
//! Two rules hold for every write to a pod:
//!
//! * *Not above*: the operator does not write a pod whose term is above that of the record. A
//!   record with a still higher term comes first. Its write fails if the operator was merely out of
//!   date.
//! * *Not another's*: the operator does not write a pod that another existing group owns. Before it
//!   takes a pod over from a deleted group, live reads confirm two things: first that the other
//!   group is deleted, then that the record of this group still stands. A later record confirms
//!   that the other group exists. If it does, an operator that learns later of the deletion sees
//!   the later record.

mod fence;
mod lease;
mod nominate;
mod outstanding;
mod record;
mod refuse;
mod slices;
mod tidy;

use self::outstanding::Outstanding;
use super::decide::{self, SwitchoverVerdict};
use super::names::event_reason;
use super::new_leader::NewLeader;
use super::plan::{EventDraft, Intent, Step};
use super::seen::{GroupPolicy, GroupStatus, LeaderChange, Snapshot, Unfenced};
use super::{Millis, refusal, report, services};

pub use self::fence::{ENDPOINT_GAP, READY_ENDPOINT_GAP};
pub use self::lease::renew_at;
pub use self::record::FRESH;
pub use self::tidy::MAX_LOW_PRIORITY_WRITES;
pub use super::route::ROUTE_RETRY;

/// How long a report of nothing but new counts waits after the last report. Pods that come and go
/// by the dozen cost one write a second, not one each. A mere report waits as long after one of
/// another operator: while a watch of one of the two stalls, each would undo what the other says.
pub const REPORT_PAUSE: Millis = Millis(1000);

/// The steps from `snapshot` to the wanted state. None if the group is there.
#[must_use]
pub fn steps(snapshot: &Snapshot) -> Vec<Step> {
    let mut draft = Draft {
        status_before: snapshot.group.status.clone(),
        projected: snapshot.clone(),
        steps: Vec::new(),
        record_written: false,
        change: None,
        event_drafts: Vec::new(),
    };
    record::rename(&mut draft.projected);
    match &snapshot.group.policy {
        Ok(policy) if refusal::refusal(&draft.projected, policy).is_none() => draft.elect(policy),
        policy => draft.refuse(policy.as_ref().ok()),
    }
    draft.steps
}

/// The plan so far, and the snapshot as it will be after it.
struct Draft {
    /// The status as it was when the plan began.
    status_before: GroupStatus,
    projected: Snapshot,
    steps: Vec<Step>,
    /// The plan writes a new record.
    record_written: bool,
    /// The change of leader that the plan makes.
    change: Option<LeaderChange>,
    /// Events for the last step.
    event_drafts: Vec<EventDraft>,
}

impl Draft {
    fn push(&mut self, step: Step) {
        if step.intents.is_empty() {
            return;
        }
        for intent in &step.intents {
            self.projected.project(intent);
        }
        self.steps.push(step);
    }

    fn elect(&mut self, policy: &GroupPolicy) {
        if let Some(creation) = nominate::creation(&self.projected, policy) {
            return self.push(Step::of([creation]));
        }
        let mut verdict = decide::switchover_verdict(&self.projected, policy);
        let new_leader = decide::decide(&self.projected, policy);
        if let Some(new_leader) = &new_leader {
            // List first. A second record with `unfenced: *` would lose sight of the current leader
            // if this group neither owns nor selects it, and another operator may still promote it.
            if let Some(list) = record::list(&self.projected) {
                return self.push(Step::of([list]));
            }
            self.change_leader(policy, new_leader);
            verdict = self.verdict_on_change(verdict, new_leader);
        }
        let mut outstanding = Outstanding::of(&self.projected, policy);
        if new_leader.is_none() && outstanding.as_ref().is_some_and(|writes| writes.is_overtaken) {
            self.record_again();
            outstanding = Outstanding::of(&self.projected, policy);
        }
        if let Some(list) = record::list(&self.projected) {
            return self.push(Step::of([list]));
        }
        // A record that is still overtaken means that the terms are used up. The report says so,
        // and no pod is written.
        let is_overtaken = outstanding.as_ref().is_some_and(|writes| writes.is_overtaken);
        if let Some(outstanding) = outstanding.filter(|_| !is_overtaken) {
            let repairs = self.change.is_none().then(|| outstanding.repairs(&self.status_before));
            let steps = outstanding.steps(self.record_written);
            self.event_drafts.extend(repairs.into_iter().flatten());
            for step in steps {
                self.push(step);
            }
        }
        self.finish(policy, verdict, !is_overtaken);
    }

    /// Step 1 for a change of leader. Live reads come first: missing knowledge never changes the
    /// leader (L2).
    fn change_leader(&mut self, policy: &GroupPolicy, new_leader: &NewLeader) {
        self.push(Step::of(record::confirm_before(&self.projected, policy, new_leader)));
        if let Some((status, change)) = record::of(&self.projected, new_leader) {
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

    /// Writes a record with a new term, and the report with it.
    fn write_record(&mut self, status: GroupStatus) {
        self.projected.group.status = status;
        let status = report::status(&self.projected);
        self.push(Step::of([Intent::WriteStatus(Box::new(status))]));
        self.projected.note_new_term();
        self.record_written = true;
    }

    /// The verdict on a request, once the plan changes the leader.
    fn verdict_on_change(&self, verdict: SwitchoverVerdict, new_leader: &NewLeader) -> SwitchoverVerdict {
        match verdict {
            SwitchoverVerdict::Grant(_) if self.change.is_none() => {
                SwitchoverVerdict::Refuse("the terms are used up".to_owned())
            }
            SwitchoverVerdict::Done => {
                let why = new_leader.reason.as_str();
                SwitchoverVerdict::Refuse(format!("its pod was lost on the way: {why}"))
            }
            verdict => verdict,
        }
    }

    /// Step 4: the answer to a request, the report, then the low-priority writes and the
    /// announcements. `settled`: labels and Lease follow the record.
    fn finish(&mut self, policy: &GroupPolicy, verdict: SwitchoverVerdict, settled: bool) {
        if settled && self.steps.is_empty() {
            for step in slices::first_routes(&self.projected) {
                self.push(step);
            }
        }
        self.answer(verdict);
        let mut status = report::status(&self.projected);
        if let Some(record) = status.record.as_mut().filter(|_| settled) {
            record.unfenced = Unfenced::NONE;
        }
        report::stamp_route(&mut status, &self.projected);
        let completed = report::complete(&mut status, &self.projected, self.change.take());
        self.report(status);
        let mut last: Vec<_> = completed.map(Intent::AnnounceChange).into_iter().collect();
        if settled {
            last.extend(tidy::tidying(&self.projected, policy));
        }
        last.extend(services::warnings(&self.projected));
        self.announce(last);
        for step in slices::upkeep(&self.projected) {
            self.push(step);
        }
    }

    /// Writes `status` if it says something new.
    fn report(&mut self, status: GroupStatus) {
        let before = if self.record_written { &self.projected.group.status } else { &self.status_before };
        let recently = self.projected.now < self.projected.reported_at + REPORT_PAUSE;
        let undoes_another = self.steps.is_empty() && self.projected.reported_by_other;
        let waits = report::differ_in_counts_only(before, &status)
            || (undoes_another && report::is_mere(before, &status));
        if status == *before || (recently && waits) {
            return;
        }
        self.event_drafts.extend(report::event_drafts(&self.projected, &self.status_before, &status));
        self.push(Step::of([Intent::WriteStatus(Box::new(status))]));
    }

    /// The last step, with Events.
    fn announce(&mut self, mut last: Vec<Intent>) {
        last.extend(self.event_drafts.drain(..).map(Intent::PublishEvent));
        self.push(Step::of(last));
    }

    /// Removes a request that is fulfilled or refused. It comes before the report: the report
    /// closes the change by which a fulfilled request differs from a new one.
    fn answer(&mut self, verdict: SwitchoverVerdict) {
        match verdict {
            SwitchoverVerdict::None => return,
            SwitchoverVerdict::Grant(_) | SwitchoverVerdict::Done => {}
            SwitchoverVerdict::Refuse(why) => {
                let note = format!("the switchover request was refused and removed: {why}");
                let reason = event_reason::SWITCHOVER_REFUSED.to_owned();
                self.event_drafts.push(EventDraft { reason, warning: true, note, pod: None });
            }
        }
        self.push(Step::of([Intent::DropSwitchover]));
    }
}
