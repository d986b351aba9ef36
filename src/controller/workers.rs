//! The workers: one task for each group that exists, or of which something is left to clean up.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::reconcile::{Context, Reconciler};
use super::resume_panic;
use crate::cache::GroupRef;
use crate::cache::wakes::WakeReceiver;

/// All workers.
pub(super) struct Workers {
    context: Arc<Context>,
    roster: Arc<Mutex<Roster>>,
    tasks: JoinSet<()>,
}

/// The groups that have a worker.
#[derive(Default)]
struct Roster {
    notifies: BTreeMap<GroupRef, Arc<Notify>>,
    /// How many of them each namespace has.
    in_namespace: HashMap<String, usize>,
}

impl Roster {
    fn enter(&mut self, group: GroupRef, notify: Arc<Notify>) {
        *self.in_namespace.entry(group.namespace.clone()).or_default() += 1;
        self.notifies.insert(group, notify);
    }

    /// Takes a group out; true if it was the last one of its namespace.
    fn leave(&mut self, group: &GroupRef) -> bool {
        self.notifies.remove(group);
        let Some(left) = self.in_namespace.get_mut(&group.namespace) else { return true };
        *left = left.saturating_sub(1);
        let was_last = *left == 0;
        if was_last {
            self.in_namespace.remove(&group.namespace);
        }
        was_last
    }
}

fn lock(roster: &Mutex<Roster>) -> MutexGuard<'_, Roster> {
    roster.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Workers {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context, roster: Arc::default(), tasks: JoinSet::new() }
    }

    /// Wakes the worker of each woken group until the stop, and lets all workers finish their
    /// plans.
    pub(super) async fn run(mut self, mut woken: WakeReceiver) {
        let mut stop = self.context.stop.clone();
        loop {
            tokio::select! {
                biased; // A simulated run can be repeated only if no branch is chosen by chance.
                _ = stop.wait_for(|stop| *stop) => break,
                Some(ended) = self.tasks.join_next() => resume_panic(ended),
                group = woken.next() => self.wake(group),
            }
        }
        self.wake_all();
        while let Some(ended) = self.tasks.join_next().await {
            resume_panic(ended);
        }
    }

    /// Wakes the worker of a group, or starts one.
    fn wake(&mut self, group: GroupRef) {
        let mut roster = lock(&self.roster);
        if let Some(notify) = roster.notifies.get(&group) {
            return notify.notify_one();
        }
        let notify = Arc::new(Notify::new());
        roster.enter(group.clone(), notify.clone());
        let (context, roster) = (self.context.clone(), self.roster.clone());
        self.tasks.spawn(async move {
            Reconciler::new(context.clone(), group.clone(), notify).run().await;
            let mut others = lock(&roster);
            if others.leave(&group) {
                context.health.forget_requests(&group.namespace);
            }
            drop(others);
            // A call during the last round of this worker is answered by the next worker.
            if !context.is_stopping() && context.needs_worker(&group) {
                context.cache.wake_group(group);
            }
        });
    }

    fn wake_all(&self) {
        for notify in lock(&self.roster).notifies.values() {
            notify.notify_one();
        }
    }
}
