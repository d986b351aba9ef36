//! The tasks of all groups, one each.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::reconcile::Reconciler;
use crate::cache::GroupRef;

/// The tasks of all groups, one each.
pub(super) struct Workers {
    pub(super) reconciler: Arc<Reconciler>,
    pub(super) members: Arc<Mutex<Members>>,
    pub(super) tasks: JoinSet<()>,
}

/// The groups that have a task.
#[derive(Default)]
pub(super) struct Members {
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
    pub(super) fn leave(&mut self, group: &GroupRef) -> bool {
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
    pub(super) fn wake(&mut self, group: GroupRef) {
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

    pub(super) fn wake_all(&self) {
        for notify in self.members.lock().unwrap_or_else(PoisonError::into_inner).calls.values() {
            notify.notify_one();
        }
    }
}
