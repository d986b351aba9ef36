//! The local picture of the cluster: what the watches and this process's own writes have told, by namespace, with the
//! local times that judgement needs.
//!
//! It owns: which pods a group selects, which group a change concerns, what is proved to be gone. It never reads or
//! writes the API server, and it judges nothing.
//!
//! Each namespace has a lock of its own, so that what one tenant has much of keeps no other waiting. Who holds one may
//! take that of the nodes, of the ended or of the map of namespaces; never the other way round.

mod cached_group;
pub mod controller_release;
mod groups;
mod leases;
mod namespace;
mod nodes;
mod pods;
mod recently_deleted;
mod scope;
mod services;
mod snapshot;
mod versions;
pub mod wakes;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use self::namespace::{Namespace, Woken};
use self::recently_deleted::RecentlyDeleted;
pub use self::scope::Scope;
use self::scope::SyncedScopes;
pub use self::versions::WentBackwards;
use self::wakes::WakeSender;
use crate::clock::Clock;
use crate::planner::nodes::Heartbeats;
use crate::planner::snapshot::Snapshot;
use crate::planner::{Identity, Millis, Version};

/// One group, for as long as it or its marks exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupRef {
    /// Its namespace.
    pub namespace: String,
    /// Name and UID.
    pub id: Identity,
}

impl fmt::Display for GroupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "electiongroup {}/{}", self.namespace, self.id.name)
    }
}

/// What there is to do for a group.
#[derive(Debug)]
pub enum GroupView {
    /// It exists.
    Present(Box<Snapshot>),
    /// It exists, and what it asks for cannot be read: it is left as it is.
    Unreadable,
    /// It is gone, or seems to be; these pods still carry its mark, and no other group selects them.
    Deleted {
        /// The pods to clean.
        pods: Vec<(Identity, Version)>,
        /// Its deletion was seen or answered.
        proved: bool,
    },
}

/// The kinds of objects that the picture is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `ElectionGroup`.
    Group,
    /// `Pod`.
    Pod,
    /// `Lease`.
    Lease,
    /// `Service`.
    Service,
    /// `PodDisruptionBudget`.
    Budget,
}

/// The picture. Cheap to lock: nothing waits while it is held.
#[derive(Debug)]
pub struct Cache {
    clock: Clock,
    spaces: Mutex<BTreeMap<String, Arc<Mutex<Namespace>>>>,
    nodes: Mutex<Heartbeats>,
    /// Objects that are proved to have ended a short while ago.
    ended: Mutex<RecentlyDeleted>,
    synced: watch::Sender<SyncedScopes>,
    wake: WakeSender,
    backwards: watch::Sender<Option<WentBackwards>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    /// An empty picture; `wake` gets every group that a change may concern.
    #[must_use]
    pub fn new(clock: Clock, wake: WakeSender) -> Self {
        Self {
            clock,
            spaces: Mutex::default(),
            nodes: Mutex::default(),
            ended: Mutex::default(),
            synced: watch::Sender::default(),
            wake,
            backwards: watch::Sender::default(),
        }
    }

    /// All first lists of a scope are complete: what is seen later in it is new.
    pub fn mark_synced(&self, scope: impl Into<Scope>) {
        self.synced.send_if_modified(|synced| synced.insert(scope.into()));
    }

    /// Waits until all first lists that cover a namespace are complete.
    pub async fn wait_synced(&self, namespace: &str) {
        // The sender lives as long as the cache.
        let _ = self.synced.subscribe().wait_for(|synced| synced.covers(namespace)).await;
    }

    fn is_synced(&self, namespace: &str) -> bool {
        self.synced.borrow().covers(namespace)
    }

    /// Works on one namespace, which exists here only as long as there is something in it.
    fn with<T>(&self, namespace: &str, f: impl FnOnce(&mut Namespace, Millis) -> T) -> T {
        loop {
            let space = lock(&self.spaces).entry(namespace.to_owned()).or_default().clone();
            let mut space = lock(&space);
            if space.is_left {
                continue;
            }
            let result = f(&mut space, self.clock.now());
            if space.is_empty() {
                space.is_left = true;
                lock(&self.spaces).remove(namespace);
            }
            return result;
        }
    }

    /// Looks at one namespace.
    fn look<T>(&self, namespace: &str, f: impl FnOnce(&Namespace) -> Option<T>) -> Option<T> {
        let space = lock(&self.spaces).get(namespace)?.clone();
        let space = lock(&space);
        f(&space)
    }

    /// The namespaces that are here now: `wanted`, or all.
    fn spaces(&self, wanted: Option<&str>) -> Vec<(String, Arc<Mutex<Namespace>>)> {
        let spaces = lock(&self.spaces);
        let spaces = spaces.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name));
        spaces.map(|(name, space)| (name.clone(), space.clone())).collect()
    }

    /// Wakes a group.
    pub fn wake_group(&self, group: GroupRef) {
        self.wake.wake(group);
    }

    fn wake(&self, namespace: &str, groups: Woken) {
        for id in groups {
            self.wake_group(GroupRef { namespace: namespace.to_owned(), id });
        }
    }

    /// The moment, on the clock by which everything here is dated.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// This object ended a short while ago: what is still said of it was said before.
    fn has_ended(&self, kind: Kind, namespace: &str, object: &Identity) -> bool {
        lock(&self.ended).has(&(kind, namespace.to_owned(), object.clone()))
    }

    /// An object whose name another one has by now has ended.
    fn note_replaced(
        &self,
        space: &Namespace,
        kind: Kind,
        namespace: &str,
        before: Option<Identity>,
        now: Millis,
    ) {
        let Some(before) = before else { return };
        let is_replaced = space.uid_of(kind, &before.name).is_some_and(|uid| uid != before.uid);
        self.note_end(kind, namespace, &before, is_replaced, now);
    }

    fn note_end(&self, kind: Kind, namespace: &str, object: &Identity, proved: bool, now: Millis) {
        if proved {
            lock(&self.ended).note((kind, namespace.to_owned(), object.clone()), now);
        }
    }

    /// Namespace and identity of the objects of one kind in `namespace`, or in all.
    #[must_use]
    pub fn known(&self, kind: Kind, namespace: Option<&str>) -> Vec<(String, Identity)> {
        let spaces = self.spaces(namespace).into_iter();
        let known = spaces.flat_map(|(name, space)| {
            let known = lock(&space).known(kind);
            known.into_iter().map(move |id| (name.clone(), id))
        });
        known.collect()
    }

    /// How many groups and candidates there are. A pod that several groups select is a candidate of the oldest alone.
    pub fn count(&self) -> (usize, usize) {
        self.spaces(None).into_iter().fold((0, 0), |(groups, pods), (_, space)| {
            let space = lock(&space);
            let candidates = space.pods.values().filter(|pod| pod.is_candidate()).count();
            (groups + space.groups.len(), pods + candidates)
        })
    }

    /// Everything a plan for `group` is made from.
    #[must_use]
    pub fn view(&self, group: &GroupRef) -> GroupView {
        let wall = self.clock.wall();
        self.with(&group.namespace, |space, now| space.view(group, now, wall, &self.nodes))
    }
}
