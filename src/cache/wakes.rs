//! Groups that are to be looked at, each once, in the order in which they were first called.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::GroupRef;

#[derive(Debug, Default)]
struct WokenGroups {
    order: VecDeque<GroupRef>,
    groups: BTreeSet<GroupRef>,
}

#[derive(Debug, Default)]
struct WakeQueue {
    waiting: Mutex<WokenGroups>,
    called: Notify,
}

impl WakeQueue {
    fn lock(&self) -> MutexGuard<'_, WokenGroups> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls groups.
#[derive(Clone, Debug)]
pub struct WakeSender(Arc<WakeQueue>);

/// Gets the groups that were called.
#[derive(Debug)]
pub struct WakeReceiver(Arc<WakeQueue>);

/// A queue of groups: one that waits in it already is not entered again, so it is never longer than there are groups.
#[must_use]
pub fn wakes() -> (WakeSender, WakeReceiver) {
    let shared = Arc::new(WakeQueue::default());
    (WakeSender(shared.clone()), WakeReceiver(shared))
}

impl WakeSender {
    /// This group is to be looked at.
    pub fn wake(&self, group: GroupRef) {
        let mut waiting = self.0.lock();
        if waiting.groups.insert(group.clone()) {
            waiting.order.push_back(group);
            self.0.called.notify_one();
        }
    }
}

impl WakeReceiver {
    /// The next group, if one waits.
    pub fn try_next(&mut self) -> Option<GroupRef> {
        let mut waiting = self.0.lock();
        let group = waiting.order.pop_front()?;
        waiting.groups.remove(&group);
        Some(group)
    }

    /// The next group, as soon as one is called.
    pub async fn next(&mut self) -> GroupRef {
        loop {
            if let Some(group) = self.try_next() {
                return group;
            }
            self.0.called.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::Identity;

    fn group(name: &str) -> GroupRef {
        GroupRef { namespace: "shop".to_owned(), id: Identity::new(name, "uid") }
    }

    #[tokio::test]
    async fn a_group_waits_once_and_comes_in_its_turn() {
        let (wake, mut called) = wakes();
        for name in ["b", "a", "b", "b"] {
            wake.wake(group(name));
        }
        assert_eq!(called.next().await, group("b"));
        wake.wake(group("b"));
        assert_eq!((called.try_next(), called.try_next()), (Some(group("a")), Some(group("b"))));
        assert_eq!(called.try_next(), None);
    }
}
