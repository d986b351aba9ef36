//! A bounded number of slots for requests, shared fairly.
//!
//! A free slot goes to the most urgent lane that waits, and within a lane to the namespaces in turn.
//! A tenant with a thousand waiting requests delays another tenant's failover by one request at
//! most. Every fourth slot goes to the least urgent lane that waits: renewals and reports never
//! starve.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// What a request is for, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A change of leader: record, live reads, fences, promotion.
    Switch,
    /// The Lease of a leader.
    Lease,
    /// What moves no traffic: reports, follower labels, Events.
    Report,
}

/// Every so many slots, one goes to the least urgent lane first.
const SHARE: u32 = 4;

/// The slots.
#[derive(Clone, Debug)]
pub struct FairSlots(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    free: usize,
    /// How many slots were handed on from one request to the next.
    handed_on: u32,
    switches: Queue,
    leases: Queue,
    reports: Queue,
}

/// The requests of one lane that wait for a slot.
#[derive(Debug, Default)]
struct Queue {
    /// Namespaces with waiting requests, in their turn.
    turns: VecDeque<String>,
    waiting: HashMap<String, VecDeque<oneshot::Sender<RequestSlot>>>,
}

/// The right to have one request in flight. Dropping it hands the slot on.
#[derive(Debug)]
pub struct RequestSlot(Option<Arc<Mutex<State>>>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FairSlots {
    /// That many slots, all free.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: count, ..State::default() })))
    }

    /// Waits for a slot. Dropping the future gives up the place in the queue.
    pub async fn acquire(&self, lane: Lane, namespace: &str) -> RequestSlot {
        let slot = {
            let mut state = lock(&self.0);
            if state.free > 0 {
                state.free -= 1;
                return RequestSlot(Some(self.0.clone()));
            }
            let (sender, slot) = oneshot::channel();
            state.queue(lane).push(namespace, sender);
            slot
        };
        // The sender stays in the queue until a slot is sent.
        slot.await.unwrap_or(RequestSlot(None))
    }
}

impl State {
    const fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Switch => &mut self.switches,
            Lane::Lease => &mut self.leases,
            Lane::Report => &mut self.reports,
        }
    }

    /// The next request to be served.
    fn pop(&mut self) -> Option<oneshot::Sender<RequestSlot>> {
        let lanes = [&mut self.switches, &mut self.leases, &mut self.reports];
        let least_urgent_first = self.handed_on % SHARE == SHARE - 1;
        let next = if least_urgent_first {
            lanes.into_iter().rev().find_map(Queue::pop)
        } else {
            lanes.into_iter().find_map(Queue::pop)
        };
        self.handed_on = self.handed_on.wrapping_add(u32::from(next.is_some()));
        next
    }
}

impl Queue {
    fn push(&mut self, namespace: &str, sender: oneshot::Sender<RequestSlot>) {
        let waiting = self.waiting.entry(namespace.to_owned()).or_default();
        if waiting.is_empty() {
            self.turns.push_back(namespace.to_owned());
        }
        waiting.push_back(sender);
    }

    /// The oldest request of the namespace whose turn it is. Skips requests that were given up.
    fn pop(&mut self) -> Option<oneshot::Sender<RequestSlot>> {
        while let Some(namespace) = self.turns.pop_front() {
            let Some(waiting) = self.waiting.get_mut(&namespace) else { continue };
            let next = std::iter::from_fn(|| waiting.pop_front()).find(|sender| !sender.is_closed());
            if waiting.is_empty() {
                self.waiting.remove(&namespace);
            } else {
                self.turns.push_back(namespace);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        let Some(state) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = lock(&state);
                let next = state.pop();
                state.free += usize::from(next.is_none());
                next
            };
            let Some(next) = next else { return };
            match next.send(Self(Some(state.clone()))) {
                Ok(()) => return,
                // The request was given up in this moment.
                Err(mut slot) => slot.0 = None,
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T>>>) -> Option<T> {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    type Waiting = Pin<Box<dyn Future<Output = RequestSlot>>>;

    fn wait(slots: &FairSlots, lane: Lane, namespace: &'static str) -> Waiting {
        let slots = slots.clone();
        let mut waiting: Waiting = Box::pin(async move { slots.acquire(lane, namespace).await });
        assert!(poll(&mut waiting).is_none(), "no slot is free");
        waiting
    }

    /// Serves all that wait, one after the other. Returns their positions in the order of service.
    fn served(first: RequestSlot, mut waiting: Vec<Waiting>) -> Vec<usize> {
        let mut order = Vec::new();
        let mut slot = Some(first);
        let mut done = vec![false; waiting.len()];
        while order.len() < waiting.len() {
            drop(slot.take());
            for (at, one) in waiting.iter_mut().enumerate() {
                if !done[at]
                    && let Some(got) = poll(one)
                {
                    assert!(slot.is_none(), "there is one slot");
                    done[at] = true;
                    order.push(at);
                    slot = Some(got);
                }
            }
            assert!(slot.is_some(), "a slot was lost: {order:?}");
        }
        order
    }

    async fn full() -> (FairSlots, RequestSlot) {
        let slots = FairSlots::new(1);
        let slot = slots.acquire(Lane::Switch, "a").await;
        (slots, slot)
    }

    #[tokio::test]
    async fn namespaces_are_served_in_turn_however_many_requests_one_has() {
        let (slots, slot) = full().await;
        let mut waiting: Vec<_> = (0..5).map(|_| wait(&slots, Lane::Switch, "flood")).collect();
        waiting.push(wait(&slots, Lane::Switch, "quiet"));
        assert_eq!(served(slot, waiting), [0, 5, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn a_switch_is_served_before_leases_and_reports_which_get_their_share() {
        let (slots, slot) = full().await;
        let lanes = [Lane::Report, Lane::Lease].into_iter().chain([Lane::Switch; 6]);
        let waiting: Vec<_> = lanes.map(|lane| wait(&slots, lane, "a")).collect();
        assert_eq!(served(slot, waiting), [2, 3, 4, 0, 5, 6, 7, 1]);
    }

    #[tokio::test]
    async fn a_request_that_was_given_up_takes_no_slot() {
        let (slots, slot) = full().await;
        let given_up = wait(&slots, Lane::Switch, "a");
        let mut stays = wait(&slots, Lane::Switch, "b");
        drop(given_up);
        drop(slot);
        let slot = poll(&mut stays).unwrap();
        drop(slot);
        // Given up between the moment it got the slot and the moment it would have seen that.
        let slot = slots.acquire(Lane::Switch, "a").await;
        let late = wait(&slots, Lane::Switch, "a");
        drop(slot);
        drop(late);
        let mut again: Waiting = Box::pin(async move { slots.acquire(Lane::Report, "c").await });
        assert!(poll(&mut again).is_some(), "the slot is free again");
    }
}
