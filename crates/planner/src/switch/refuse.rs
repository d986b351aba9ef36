//! The plan for a group that the operator refuses to serve.

use super::outstanding::Outstanding;
use super::{Draft, slices, tidy};
use crate::decide::{self, SwitchoverVerdict};
use crate::plan::{Intent, Step};
use crate::seen::{GroupPolicy, Snapshot};
use crate::{refusal, report};

impl Draft {
    /// The operator cannot serve the group. It reports why, and writes only pods and slices that
    /// the group no longer has or should not have. It also removes a request: the user does not
    /// expect it any more when the group is served again.
    pub(super) fn refuse(&mut self, policy: Option<&GroupPolicy>) {
        let verdict = policy.map(|policy| decide::switchover_verdict(&self.projected, policy));
        if self.projected.group.switchover.is_some() && verdict != Some(SwitchoverVerdict::Done) {
            let (_, reason, _) = report::accepted(&self.projected);
            self.answer(SwitchoverVerdict::Refuse(format!("the group is not served: {reason}")));
        }
        // The report tells the state after these writes, and the reason from before them.
        let mut after = self.projected.clone();
        let mut last: Vec<_> = refusal::undo(&self.projected).collect();
        for intent in &last {
            after.project(intent);
        }
        // What the first ones undo may be in the way of the others.
        let releases = policy.map(|policy| releases_while_refused(&after, policy)).unwrap_or_default();
        after.group.status = report::status(&self.projected);
        for intent in &releases {
            after.project(intent);
        }
        last.extend(releases);
        self.report(report::status(&after));
        self.announce(last);
        let deletions = Step::of(slices::deletions(&self.projected));
        self.push(deletions);
    }
}

/// No pod is written while the record is overtaken (*not above*), nor without a record.
fn releases_while_refused(view: &Snapshot, policy: &GroupPolicy) -> Vec<Intent> {
    match Outstanding::of(view, policy) {
        Some(writes) if !writes.is_overtaken => tidy::releases_while_refused(view, policy, writes.record),
        _ => Vec::new(),
    }
}
