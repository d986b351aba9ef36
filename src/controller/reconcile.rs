//! The task of one group.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::apply::Applier;
use super::checks::Health;
use super::error::{Backoff, Error};
use super::label_contest::Contest;
use super::permit::WritePermit;
use super::requests::LowPrioritySlot;
use crate::cache::{Cache, GroupRef, GroupView};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::planner::plan::{self, Plan};
use crate::planner::snapshot::Snapshot;
use crate::planner::{Millis, Term, Version, cleanup};

/// Plans in a row for one group after which it must pause, ever longer: plans that never come to rest mean that somebody
/// undoes every write.
const MAX_PLANS_IN_A_ROW: u32 = 10;

/// The shortest pause after a failure, and how long a request that nobody waits for is waited for all the same.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// What the task of a group works with.
pub(super) struct Reconciler {
    pub(super) planner: fn(&Snapshot) -> Plan,
    pub(super) clock: Clock,
    pub(super) store: Arc<Cache>,
    pub(super) applier: Applier,
    pub(super) active: WritePermit,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    /// One watch of each kind for all namespaces, not one for each of them.
    pub(super) everywhere: bool,
    pub(super) stop: watch::Receiver<bool>,
}

/// What a look at a group tells.
struct Judged {
    plan: Plan,
    /// The term of the record.
    term: Option<Term>,
    /// The version of the group that the plan was decided on.
    seen: Version,
    /// The group is gone, or seems to be.
    vanished: bool,
}

impl Reconciler {
    /// Observes, plans and applies for one group until it is gone and nothing is left of it, or until the stop.
    pub(super) async fn serve(&self, group: &GroupRef, notify: &Notify) {
        self.wait_synced(group).await;
        let (mut backoff, mut restless, mut contested) =
            (Backoff::new(group), Backoff::new(group), Backoff::new(group));
        let mut contest = Contest::default();
        let mut rounds = 0;
        while !self.is_stopping() {
            let mut sight = self.view_and_plan(group);
            if sight.plan.steps.is_empty() {
                rounds = 0;
                backoff.reset();
                restless.reset();
                if sight.vanished {
                    self.store.forget_deleted(group);
                    return;
                }
                self.rest(notify, sight.plan.wake_at).await;
                continue;
            }
            if !self.active.is_granted() {
                self.wait_until_active(notify).await;
                continue;
            }
            let turn = match sight.plan.low_priority_requests() {
                None => None,
                Some(requests) => {
                    let asked_at = self.clock.now();
                    let Some(turn) = self.turn(group, notify, requests).await else { continue };
                    if self.clock.now() != asked_at {
                        sight = self.view_and_plan(group);
                    }
                    Some(turn).filter(|_| sight.plan.low_priority_requests().is_some())
                }
            };
            let now = self.clock.now();
            let Judged { plan, term, seen, .. } = sight;
            let rival = contest.contested(term, &plan, now).cloned();
            contest.note(term, &plan, now);
            rounds += u32::from(turn.is_none());
            tracing::debug!(%group, seen = seen.0, steps = ?plan.steps, "plan");
            let result = match turn {
                None => self.apply(group, seen, &plan, None).await,
                // What nobody waits for is given up for what somebody does, if it takes long.
                turn @ Some(_) => tokio::select! {
                    biased;
                    result = self.apply(group, seen, &plan, turn) => result,
                    () = self.something_urgent(group, notify, MIN_PAUSE) => continue,
                },
            };
            match (result, rival) {
                (Err(error), _) if !error.is_stale() => {
                    tracing::warn!(%group, %error, "could not carry out a plan; it is tried again");
                    let span = backoff.pause();
                    if backoff.should_report(&error) {
                        self.applier.announce_refusal(group, &error);
                    }
                    self.pause(span, self.other_duties_at(group, span), notify).await;
                }
                (_, Some(rival)) => {
                    if contested.is_new() {
                        self.applier.announce_contest(group, &rival);
                    }
                    self.keep_off(group, notify, &contest, contested.pause()).await;
                }
                (_, None) if rounds > MAX_PLANS_IN_A_ROW => {
                    self.pause(restless.pause().max(MIN_PAUSE), None, notify).await;
                }
                (_, None) if contest.is_over(now) => contested.reset(),
                (_, None) => {}
            }
        }
    }

    /// Waits for the turn of a plan that nobody waits for. None if something urgent has come: nothing has been sent yet.
    async fn turn(&self, group: &GroupRef, notify: &Notify, requests: usize) -> Option<LowPrioritySlot> {
        tokio::select! {
            biased;
            turn = self.applier.low_priority_slot(requests) => Some(turn),
            () = self.something_urgent(group, notify, Duration::ZERO) => None,
        }
    }

    /// Waits until, no sooner than after `pause`, there is something to do for a group that somebody waits for, or until the
    /// stop.
    async fn something_urgent(&self, group: &GroupRef, notify: &Notify, pause: Duration) {
        tokio::time::sleep(pause).await;
        while !self.is_stopping() {
            let Judged { plan, .. } = self.view_and_plan(group);
            if !plan.steps.is_empty() && plan.low_priority_requests().is_none() {
                return;
            }
            self.rest(notify, self.other_duties_at(group, Duration::MAX)).await;
        }
    }

    /// Leaves pods alone that somebody else writes as often; whatever else there is to do cuts it short.
    async fn keep_off(&self, group: &GroupRef, notify: &Notify, contest: &Contest, span: Duration) {
        let mut over = pin!(tokio::time::sleep(span));
        loop {
            let other_duties_at = self.other_duties_at(group, span);
            tokio::select! {
                biased;
                () = &mut over => return,
                () = self.rest(notify, other_duties_at) => {}
            }
            let Judged { plan, term, .. } = self.view_and_plan(group);
            let is_rest = plan.steps.is_empty() || contest.contested(term, &plan, self.clock.now()).is_some();
            if !is_rest || self.is_stopping() {
                return;
            }
        }
    }

    /// Waits until everything of the group's namespace was seen, or until the stop.
    async fn wait_synced(&self, group: &GroupRef) {
        let place = if self.everywhere { "" } else { group.namespace.as_str() };
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            () = self.health.wait_synced(place) => self.store.mark_synced(place),
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Another operator is active: waits for news, for this one's turn, or for the stop, whose call is news, too.
    async fn wait_until_active(&self, notify: &Notify) {
        tokio::select! {
            biased;
            () = notify.notified() => {}
            () = self.active.granted(), if !self.active.was_granted() => {}
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    pub(super) fn has_work(&self, group: &GroupRef) -> bool {
        let sight = self.view_and_plan(group);
        !sight.vanished || !sight.plan.steps.is_empty()
    }

    fn view_and_plan(&self, group: &GroupRef) -> Judged {
        match self.store.view(group) {
            GroupView::Present(snapshot) => {
                let plan = (self.planner)(&snapshot).urgent_part();
                let term = snapshot.record().map(|record| record.term);
                Judged { plan, term, seen: snapshot.group.version, vanished: false }
            }
            // Its next version may be readable, and wakes it.
            GroupView::Unreadable => {
                Judged { plan: Plan::default(), term: None, seen: Version::default(), vanished: false }
            }
            GroupView::Deleted { pods, proved } => {
                let plan = cleanup::clean_up(&group.id, &pods, proved);
                Judged { plan, term: None, seen: Version::default(), vanished: true }
            }
        }
    }

    /// When, within the pause, there is more to do for a group than what has just failed: one write that is refused for
    /// good must not keep the others waiting.
    fn other_duties_at(&self, group: &GroupRef, pause: Duration) -> Option<Millis> {
        let pause = Millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        match self.store.view(group) {
            GroupView::Present(snapshot) => plan::other_urgent_work_at(&snapshot, pause),
            GroupView::Unreadable | GroupView::Deleted { .. } => None,
        }
    }

    async fn apply(
        &self,
        group: &GroupRef,
        seen: Version,
        plan: &Plan,
        turn: Option<LowPrioritySlot>,
    ) -> Result<(), Error> {
        let start = self.clock.now();
        let result = self.applier.apply(group, seen, &plan.steps, turn).await;
        let seconds = Duration::from_millis(self.clock.now().since(start).0).as_secs_f64();
        self.metrics.reconciled(result.as_ref().map_or_else(Error::reason, |()| "ok"), seconds);
        result
    }

    /// Sleeps until somebody calls or the moment has come.
    async fn rest(&self, notify: &Notify, wake_at: Option<Millis>) {
        tokio::select! {
            biased;
            () = notify.notified() => {}
            () = self.until(wake_at) => {}
        }
    }

    /// Sleeps until that moment; for ever, if there is none.
    pub(super) async fn until(&self, moment: Option<Millis>) {
        match moment {
            Some(moment) => self.clock.sleep_until(moment).await,
            None => std::future::pending().await,
        }
    }

    /// Sleeps, unless the process is to stop. News of the group cut it short, and so does the moment, but not below a
    /// breath.
    async fn pause(&self, span: Duration, wake_at: Option<Millis>, notify: &Notify) {
        tokio::time::sleep(span.min(MIN_PAUSE)).await;
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            () = notify.notified() => {}
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.until(wake_at) => {}
            () = tokio::time::sleep(span.saturating_sub(MIN_PAUSE)) => {}
        }
    }
}
