//! The reconcile loop of one group: look, plan, apply, and sleep until the next change or moment.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::apply::Applier;
use super::checks::Health;
use super::error::Error;
use super::label_contest::Contest;
use super::pace::{MIN_PAUSE, Pace};
use super::permit::WritePermit;
use super::requests::LowPrioritySlot;
use crate::cache::{Cache, GroupRef};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::planner;
use crate::planner::plan::Plan;
use crate::planner::seen::GroupView;
use crate::planner::{Identity, Millis, Version};

/// What the workers of all groups share.
pub(super) struct Context {
    pub(super) planner: fn(&GroupView) -> Plan,
    pub(super) clock: Clock,
    pub(super) cache: Arc<Cache>,
    pub(super) applier: Applier,
    pub(super) permit: WritePermit,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) stop: watch::Receiver<bool>,
}

/// The worker of one group.
pub(super) struct Reconciler {
    context: Arc<Context>,
    group: GroupRef,
    /// Called when a change may concern the group.
    notify: Arc<Notify>,
    pace: Pace,
    contest: Contest,
}

impl Context {
    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// A group that exists, or of which something is left to clean up, needs a worker.
    pub(super) fn needs_worker(&self, group: &GroupRef) -> bool {
        let (view, plan) = self.view_and_plan(group);
        !is_over(&view, &plan)
    }

    fn view_and_plan(&self, group: &GroupRef) -> (GroupView, Plan) {
        let view = self.cache.view(group);
        let plan = (self.planner)(&view).urgent_part();
        (view, plan)
    }

    /// Sleeps until that moment; for ever, if there is none.
    async fn sleep_until(&self, moment: Option<Millis>) {
        match moment {
            Some(moment) => self.clock.sleep_until(moment).await,
            None => std::future::pending().await,
        }
    }
}

/// The group is deleted, and nothing of it is left to clean up.
fn is_over(view: &GroupView, plan: &Plan) -> bool {
    view.is_deleted() && plan.steps().is_empty() && plan.wake_at().is_none()
}

impl Reconciler {
    pub(super) fn new(context: Arc<Context>, group: GroupRef, notify: Arc<Notify>) -> Self {
        let pace = Pace::new(&group);
        Self { context, group, notify, pace, contest: Contest::default() }
    }

    /// Serves the group until it is deleted and cleaned up, or until the stop.
    pub(super) async fn run(mut self) {
        self.wait_synced().await;
        while !self.context.is_stopping() {
            if self.reconcile().await.is_break() {
                return;
            }
        }
    }

    /// One round: look at the cache, plan, carry the plan out, pause. Breaks if nothing of a
    /// deleted group is left to clean up.
    async fn reconcile(&mut self) -> ControlFlow<()> {
        let (view, plan) = self.view_and_plan();
        if plan.steps().is_empty() {
            return self.rest(&view, &plan).await;
        }
        if !self.context.permit.is_granted() {
            self.wait_for_permit().await;
            return ControlFlow::Continue(());
        }
        let Some((view, plan, slot)) = self.wait_for_slot(view, plan).await else {
            return ControlFlow::Continue(());
        };
        let now = self.context.clock.now();
        let (term, seen) = (view.term(), view.version());
        let contested = self.contest.contested(term, &plan, now).cloned();
        self.contest.note(term, &plan, now);
        self.pace.note_plan(slot.is_some());
        tracing::debug!(group = %self.group, seen = seen.0, steps = ?plan.steps(), "plan");
        if let Some(result) = self.apply_unless_urgent(seen, &plan, slot).await {
            self.settle(result, contested, now).await;
        }
        ControlFlow::Continue(())
    }

    /// The group needs no write: sleeps until a change or the plan's wake-up.
    async fn rest(&mut self, view: &GroupView, plan: &Plan) -> ControlFlow<()> {
        self.pace.note_rest();
        if is_over(view, plan) {
            self.context.cache.forget_deleted(&self.group);
            return ControlFlow::Break(());
        }
        self.wait_for_change(plan.wake_at()).await;
        ControlFlow::Continue(())
    }

    /// Waits for a slot, if the plan is of low priority, and plans again if that took time. None if
    /// urgent work has come: no request was sent yet.
    async fn wait_for_slot(
        &self,
        view: GroupView,
        plan: Plan,
    ) -> Option<(GroupView, Plan, Option<LowPrioritySlot>)> {
        let Some(requests) = plan.low_priority_requests() else { return Some((view, plan, None)) };
        let waits_since = self.context.clock.now();
        let slot = tokio::select! {
            biased;
            slot = self.context.applier.low_priority_slot(requests) => slot,
            () = self.wait_for_urgent_work(Duration::ZERO) => return None,
        };
        let waited = self.context.clock.now() != waits_since;
        let (view, plan) = if waited { self.view_and_plan() } else { (view, plan) };
        let slot = Some(slot).filter(|_| plan.low_priority_requests().is_some());
        Some((view, plan, slot))
    }

    /// Carries the plan out. A plan of low priority gives way to urgent work if it takes long: then
    /// there is no result.
    async fn apply_unless_urgent(
        &self,
        seen: Version,
        plan: &Plan,
        slot: Option<LowPrioritySlot>,
    ) -> Option<Result<(), Error>> {
        match slot {
            None => Some(self.apply(seen, plan, None).await),
            slot @ Some(_) => tokio::select! {
                biased;
                result = self.apply(seen, plan, slot) => Some(result),
                () = self.wait_for_urgent_work(MIN_PAUSE) => None,
            },
        }
    }

    async fn apply(&self, seen: Version, plan: &Plan, slot: Option<LowPrioritySlot>) -> Result<(), Error> {
        let Context { clock, applier, metrics, .. } = &*self.context;
        let start = clock.now();
        let result = applier.apply(&self.group, seen, plan.steps(), slot).await;
        let seconds = Duration::from_millis(clock.now().since(start).0).as_secs_f64();
        metrics.reconciled(result.as_ref().map_or_else(Error::reason, |()| "ok"), seconds);
        result
    }

    /// Pauses for as long as the result of a plan demands. A stale cache was refreshed: plan again
    /// at once.
    async fn settle(&mut self, result: Result<(), Error>, contested: Option<Identity>, now: Millis) {
        match (result, contested) {
            (Err(error), _) if !error.is_stale() => self.pause_after_failure(&error).await,
            (_, Some(pod)) => {
                let (span, is_first) = self.pace.after_contest();
                if is_first {
                    self.context.applier.announce_contest(&self.group, &pod);
                }
                self.leave_contested_pods(span).await;
            }
            (_, None) => {
                if let Some(span) = self.pace.after_unrest() {
                    self.pause(span, None).await;
                } else if self.contest.is_over(now) {
                    self.pace.note_no_contest();
                }
            }
        }
    }

    async fn pause_after_failure(&mut self, error: &Error) {
        tracing::warn!(group = %self.group, %error, "could not carry out a plan; it is tried again");
        let (span, should_tell) = self.pace.after_failure(error);
        if should_tell {
            self.context.applier.announce_refusal(&self.group, error);
        }
        self.pause(span, self.other_urgent_work_at(span)).await;
    }

    /// Leaves pods alone whose label another writer changes as often. Any other work ends the
    /// pause.
    async fn leave_contested_pods(&self, span: Duration) {
        let mut over = pin!(tokio::time::sleep(span));
        loop {
            let other_work_at = self.other_urgent_work_at(span);
            tokio::select! {
                biased;
                () = &mut over => return,
                () = self.wait_for_change(other_work_at) => {}
            }
            let (view, plan) = self.view_and_plan();
            let now = self.context.clock.now();
            let is_idle =
                plan.steps().is_empty() || self.contest.contested(view.term(), &plan, now).is_some();
            if !is_idle || self.context.is_stopping() {
                return;
            }
        }
    }

    /// Waits until the first lists of the namespaces of the group and of its Lease are complete.
    async fn all_synced(&self) {
        let Context { cache, .. } = &*self.context;
        cache.wait_synced(&self.group.namespace).await;
        let other = cache.other_lease_namespace(&self.group).filter(|namespace| cache.serves(namespace));
        if let Some(namespace) = other {
            cache.wait_synced(&namespace).await;
        }
    }

    /// Waits until the first lists that the group needs are complete, or until the stop.
    async fn wait_synced(&self) {
        let mut stop = self.context.stop.clone();
        tokio::select! {
            biased;
            () = self.all_synced() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Another operator may write: waits for a change, for the permit, or for the stop, which also
    /// calls `notify`.
    async fn wait_for_permit(&self) {
        let permit = &self.context.permit;
        tokio::select! {
            biased;
            () = self.notify.notified() => {}
            () = permit.granted(), if !permit.was_granted() => {}
        }
    }

    /// Waits for `pause`, and then until the group has urgent work, or until the stop.
    async fn wait_for_urgent_work(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
        while !self.context.is_stopping() {
            let (_, plan) = self.view_and_plan();
            if !plan.steps().is_empty() && plan.low_priority_requests().is_none() {
                return;
            }
            self.wait_for_change(self.other_urgent_work_at(Duration::MAX)).await;
        }
    }

    /// Sleeps until a change of the group, or until the moment.
    async fn wait_for_change(&self, wake_at: Option<Millis>) {
        tokio::select! {
            biased;
            () = self.notify.notified() => {}
            () = self.context.sleep_until(wake_at) => {}
        }
    }

    /// Sleeps for `span`. The stop, a change of the group and the moment end the pause earlier, but
    /// not before [`MIN_PAUSE`].
    async fn pause(&self, span: Duration, wake_at: Option<Millis>) {
        tokio::time::sleep(span.min(MIN_PAUSE)).await;
        let mut stop = self.context.stop.clone();
        tokio::select! {
            biased;
            () = self.notify.notified() => {}
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.context.sleep_until(wake_at) => {}
            () = tokio::time::sleep(span.saturating_sub(MIN_PAUSE)) => {}
        }
    }

    fn view_and_plan(&self) -> (GroupView, Plan) {
        self.context.view_and_plan(&self.group)
    }

    /// When, within `pause`, the group has other urgent work than the plan that has just failed.
    /// One write that is refused for good must not delay the others.
    fn other_urgent_work_at(&self, pause: Duration) -> Option<Millis> {
        let pause = Millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        planner::other_urgent_work_at(&self.context.cache.view(&self.group), pause)
    }
}
