//! The operator: one task a group, which observes, plans and applies, and sleeps until something happens.
//!
//! Reads are in [`watches`], writes in [`apply`], judgement in [`crate::planner`]. Safety (S1) does not depend on
//! there being one operator: every write is conditional on what it was decided on.

pub mod apply;
pub mod checks;
pub mod error;
pub mod label_contest;
pub mod permit;
pub mod requests;
pub mod watches;

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use kube::runtime::events::Reporter;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use self::apply::Applier;
use self::apply::events::EventQueue;
use self::checks::{Check, Health};
use self::error::{Backoff, Error};
use self::label_contest::Contest;
use self::permit::WritePermit;
use self::requests::{LowPrioritySlot, Requests};
use crate::cache::{self, Cache, GroupRef, GroupView, WentBackwards};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::planner::plan::{self, Plan};
use crate::planner::snapshot::Snapshot;
use crate::planner::{Millis, Term, Version, cleanup};

/// Under this name the API server keeps what this operator wrote.
pub const FIELD_MANAGER: &str = "election-operator";

/// Plans in a row for one group after which it must pause, ever longer: plans that never come to rest mean that somebody
/// undoes every write.
const MAX_PLANS_IN_A_ROW: u32 = 10;

/// The shortest pause after a failure, and how long a request that nobody waits for is waited for all the same.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// How long the Events that are left are waited for in the end.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// What an operator needs.
pub struct OperatorOptions {
    /// Decides what to do: [`crate::planner::plan::plan`], and only tests of the tests give another one.
    pub planner: fn(&Snapshot) -> Plan,
    /// For the watches; may retry by itself.
    pub watching: Client,
    /// For single requests; must not retry by itself.
    pub writing: Client,
    /// The namespaces to look after; empty: all.
    pub namespaces: Vec<String>,
    /// The name of this process in Events.
    pub instance: Option<String>,
    /// Whether it may write.
    pub active: WritePermit,
    /// Where to count.
    pub metrics: Arc<Metrics>,
    /// Where to tell what does not work.
    pub health: Arc<Health>,
}

/// Runs the operator until `stop` changes to true; plans that are being carried out are finished.
///
/// # Errors
/// If it cannot go on: a watch ended, or the versions of the API server's objects went backwards.
pub async fn run(options: OperatorOptions, mut stop: watch::Receiver<bool>) -> Result<(), CannotGoOn> {
    let clock = Clock::start();
    let (wake, mut called) = cache::wakes::wakes();
    let store = Arc::new(Cache::new(clock, wake));
    let health = options.health.clone();
    let active = options.active;
    let requests = Requests::new(options.writing.clone(), active.clone(), health.clone());
    let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: options.instance };
    let metrics = options.metrics.clone();
    let counted = store.clone();
    metrics.count_with(move || counted.count());
    let told = health.clone();
    metrics.ask_watches_with(move || told.watches());
    let (events, telling) = EventQueue::new(requests.clone(), reporter, metrics.clone());
    let mut telling = JoinSet::from_iter([telling]);
    let applier = Applier::new(clock, requests, store.clone(), events, metrics.clone());

    let mut watches = JoinSet::new();
    let everywhere = options.namespaces.is_empty();
    let scopes = options.namespaces.into_iter().map(Some);
    let scopes: Vec<_> = if everywhere { vec![None] } else { scopes.collect() };
    for namespace in &scopes {
        for part in [Check::Groups, Check::Pods, Check::Leases] {
            health.require(part, namespace.as_deref().unwrap_or_default());
        }
    }
    for namespace in scopes {
        watches.spawn(watches::watch(options.watching.clone(), namespace, store.clone(), health.clone()));
    }
    watches.spawn(watches::watch_nodes(options.watching, store.clone(), health.clone()));

    let planner = options.planner;
    let picture = store.clone();
    let desk = Reconciler {
        planner,
        clock,
        store,
        applier,
        active,
        metrics,
        health,
        everywhere,
        stop: stop.clone(),
    };
    let work = async {
        let mut groups =
            Workers { reconciler: Arc::new(desk), members: Arc::default(), tasks: JoinSet::new() };
        loop {
            tokio::select! {
                biased; // A simulated run can be repeated only if no branch is chosen by chance.
                _ = stop.wait_for(|stop| *stop) => break,
                Some(ended) = groups.tasks.join_next() => died(ended),
                group = called.next() => groups.wake(group),
            }
        }
        groups.wake_all();
        while let Some(ended) = groups.tasks.join_next().await {
            died(ended);
        }
    };
    tokio::select! {
        () = work => {
            let _ = tokio::time::timeout(LAST_EVENTS, telling.join_next()).await;
            Ok(())
        }
        found = picture.until_backwards() => Err(found.into()),
        Some(ended) = watches.join_next() => {
            died(ended);
            Err(CannotGoOn::WatchEnded)
        }
    }
}

/// Why the process cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CannotGoOn {
    /// A watch has ended, which none should.
    #[error("a watch has ended, which none should")]
    WatchEnded,
    /// What is newer can no longer be told from what is older.
    #[error(transparent)]
    WentBackwards(#[from] WentBackwards),
}

/// A task that panicked must not leave a process behind that looks alive.
fn died(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// The tasks of all groups, one each.
struct Workers {
    reconciler: Arc<Reconciler>,
    members: Arc<Mutex<Members>>,
    tasks: JoinSet<()>,
}

/// The groups that have a task.
#[derive(Default)]
struct Members {
    calls: BTreeMap<GroupRef, Arc<Notify>>,
    /// How many of them each namespace has.
    in_namespace: HashMap<String, usize>,
}

impl Members {
    fn enter(&mut self, group: GroupRef, call: Arc<Notify>) {
        *self.in_namespace.entry(group.namespace.clone()).or_default() += 1;
        self.calls.insert(group, call);
    }

    /// Takes a group out; true if it was the last one of its namespace.
    fn leave(&mut self, group: &GroupRef) -> bool {
        self.calls.remove(group);
        let Some(left) = self.in_namespace.get_mut(&group.namespace) else { return true };
        *left = left.saturating_sub(1);
        let was_last = *left == 0;
        if was_last {
            self.in_namespace.remove(&group.namespace);
        }
        was_last
    }
}

impl Workers {
    fn wake(&mut self, group: GroupRef) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = members.calls.get(&group) {
            return notify.notify_one();
        }
        let notify = Arc::new(Notify::new());
        members.enter(group.clone(), notify.clone());
        let (desk, members) = (self.reconciler.clone(), self.members.clone());
        self.tasks.spawn(async move {
            desk.serve(&group, &notify).await;
            let mut others = members.lock().unwrap_or_else(PoisonError::into_inner);
            if others.leave(&group) {
                desk.health.forget_requests(&group.namespace);
            }
            drop(others);
            // A call that came while this task was leaving is answered by the next one.
            if !desk.is_stopping() && desk.has_work(&group) {
                desk.store.wake_group(group);
            }
        });
    }

    fn wake_all(&self) {
        for notify in self.members.lock().unwrap_or_else(PoisonError::into_inner).calls.values() {
            notify.notify_one();
        }
    }
}

/// What the task of a group works with.
struct Reconciler {
    planner: fn(&Snapshot) -> Plan,
    clock: Clock,
    store: Arc<Cache>,
    applier: Applier,
    active: WritePermit,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// One watch of each kind for all namespaces, not one for each of them.
    everywhere: bool,
    stop: watch::Receiver<bool>,
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
    async fn serve(&self, group: &GroupRef, notify: &Notify) {
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

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    fn has_work(&self, group: &GroupRef) -> bool {
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
    async fn until(&self, moment: Option<Millis>) {
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
