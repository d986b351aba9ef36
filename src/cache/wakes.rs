//! The queue of groups to wake, each once, in the order in which they were first woken.

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
    woken: Notify,
}

impl WakeQueue {
    fn lock(&self) -> MutexGuard<'_, WokenGroups> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts groups into the queue.
#[derive(Clone, Debug)]
pub struct WakeSender(Arc<WakeQueue>);

/// Takes groups out of the queue.
#[derive(Debug)]
pub struct WakeReceiver(Arc<WakeQueue>);

/// A queue of groups. A group that waits in it is not entered again: the queue is never longer than
/// there are groups.
#[must_use]
pub fn wakes() -> (WakeSender, WakeReceiver) {
    let shared = Arc::new(WakeQueue::default());
    (WakeSender(shared.clone()), WakeReceiver(shared))
}

impl WakeSender {
    /// A change may concern this group.
    pub fn wake(&self, group: GroupRef) {
        let mut waiting = self.0.lock();
        if waiting.groups.insert(group.clone()) {
            waiting.order.push_back(group);
            self.0.woken.notify_one();
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

    /// The next group, as soon as one waits.
    pub async fn next(&mut self) -> GroupRef {
        loop {
            if let Some(group) = self.try_next() {
                return group;
            }
            self.0.woken.notified().await;
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
        let (wake, mut woken) = wakes();
        for name in ["b", "a", "b", "b"] {
            wake.wake(group(name));
        }
        assert_eq!(woken.next().await, group("b"));
        wake.wake(group("b"));
        assert_eq!((woken.try_next(), woken.try_next()), (Some(group("a")), Some(group("b"))));
        assert_eq!(woken.try_next(), None);
    }
}
