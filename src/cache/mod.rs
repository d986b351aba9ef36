//! The cache: the newest known state of the cluster, with the local times that the planner needs.
//!
//! Watches and the answers to this process's own requests fill it. It knows which pods a group
//! selects, which groups a change concerns, and which objects are proved to be deleted. It never
//! reads or writes the API server. The rules that judge are in [`crate::planner`].
//!
//! Each namespace has its own lock, so that a large tenant delays no other one. The holder of a
//! namespace's lock may take the lock of the nodes, of the deleted objects, or of the map of
//! namespaces. The reverse order is forbidden.

mod cached_group;
mod cached_lease;
mod cached_pod;
pub mod controller_release;
mod followers;
mod groups;
mod leases;
mod namespace;
mod nodes;
mod pods;
mod pods_by_label;
mod recently_deleted;
mod routes;
mod scope;
mod services;
mod snapshot;
mod versions;
pub mod wakes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use self::namespace::{Namespace, Woken};
use self::recently_deleted::RecentlyDeleted;
pub use self::scope::Scope;
use self::scope::SyncedScopes;
pub use self::versions::WentBackwards;
use self::wakes::WakeSender;
use crate::api::ElectionGroup;
use crate::clock::Clock;
use crate::convert;
use crate::planner::nodes::Heartbeats;
use crate::planner::seen::GroupView;
use crate::planner::{Identity, Millis};

/// One group, for as long as it exists or owns a pod.
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

/// The kinds of objects in the cache.
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
    /// `EndpointSlice`.
    Slice,
}

/// The cache. Its locks are cheap: no task waits for anything else while it holds one.
#[derive(Debug)]
pub struct Cache {
    clock: Clock,
    namespaces: Mutex<BTreeMap<String, Arc<Mutex<Namespace>>>>,
    nodes: Mutex<Heartbeats>,
    /// Objects that were deleted a short while ago, by proof.
    deleted: Mutex<RecentlyDeleted>,
    synced: watch::Sender<SyncedScopes>,
    /// The scopes whose first list of a kind is complete, for kinds that serving groups does not
    /// need.
    listed: Mutex<HashMap<Kind, SyncedScopes>>,
    wake: WakeSender,
    backwards: watch::Sender<Option<WentBackwards>>,
    /// The namespaces that the operator serves. None: all.
    served: Option<BTreeSet<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    /// An empty cache. `wake` gets each group that a change may concern.
    #[must_use]
    pub fn new(clock: Clock, wake: WakeSender) -> Self {
        Self {
            clock,
            namespaces: Mutex::default(),
            nodes: Mutex::default(),
            deleted: Mutex::default(),
            synced: watch::Sender::default(),
            listed: Mutex::default(),
            wake,
            backwards: watch::Sender::default(),
            served: None,
        }
    }

    /// The operator serves these namespaces only. None of them: all.
    #[must_use]
    pub fn serving(self, namespaces: &[String]) -> Self {
        let served = Some(namespaces.iter().cloned().collect()).filter(|_| !namespaces.is_empty());
        Self { served, ..self }
    }

    /// The operator serves this namespace.
    #[must_use]
    pub fn serves(&self, namespace: &str) -> bool {
        self.served.as_ref().is_none_or(|served| served.contains(namespace))
    }

    /// All first lists of a scope are complete: what is seen later in it is new.
    pub fn mark_synced(&self, scope: Scope) {
        self.synced.send_if_modified(|synced| synced.insert(scope));
    }

    /// Waits until all first lists that cover a namespace are complete.
    pub async fn wait_synced(&self, namespace: &str) {
        // The sender lives as long as the cache.
        let _ = self.synced.subscribe().wait_for(|synced| synced.covers(namespace)).await;
    }

    fn is_synced(&self, namespace: &str) -> bool {
        self.synced.borrow().covers(namespace)
    }

    /// Changes one namespace, under its lock. An empty namespace leaves the map.
    fn change<T>(&self, namespace: &str, f: impl FnOnce(&mut Namespace, Millis) -> T) -> T {
        loop {
            let entry = lock(&self.namespaces).entry(namespace.to_owned()).or_default().clone();
            let mut entry = lock(&entry);
            if entry.is_removed {
                continue;
            }
            let result = f(&mut entry, self.clock.now());
            let followers = entry.followers.take_changes();
            if entry.is_empty() {
                entry.is_removed = true;
                lock(&self.namespaces).remove(namespace);
            }
            drop(entry);
            self.tell_followers(namespace, followers);
            return result;
        }
    }

    /// Reads one namespace, under its lock.
    fn read<T>(&self, namespace: &str, f: impl FnOnce(&Namespace) -> Option<T>) -> Option<T> {
        let entry = lock(&self.namespaces).get(namespace)?.clone();
        let entry = lock(&entry);
        f(&entry)
    }

    /// The namespaces that have objects: `wanted`, or all.
    fn namespaces(&self, wanted: Option<&str>) -> Vec<(String, Arc<Mutex<Namespace>>)> {
        let all = lock(&self.namespaces);
        let found = all.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name));
        found.map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }

    /// Wakes the worker of a group.
    pub fn wake_group(&self, group: GroupRef) {
        self.wake.wake(group);
    }

    fn wake(&self, namespace: &str, groups: Woken) {
        for id in groups {
            self.wake_group(GroupRef { namespace: namespace.to_owned(), id });
        }
    }

    /// Now, by the clock of all times in the cache.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// This object was deleted a short while ago: ignore what a late event or answer says of it.
    fn is_deleted(&self, kind: Kind, namespace: &str, object: &Identity) -> bool {
        lock(&self.deleted).has(&(kind, namespace.to_owned(), object.clone()))
    }

    /// An object is deleted if its name belongs to another object by now.
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
        self.note_deleted(kind, namespace, &before, is_replaced, now);
    }

    fn note_deleted(&self, kind: Kind, namespace: &str, object: &Identity, proved: bool, now: Millis) {
        if proved {
            lock(&self.deleted).note((kind, namespace.to_owned(), object.clone()), now);
        }
    }

    /// Namespace and identity of the objects of one kind in `namespace`, or in all namespaces.
    #[must_use]
    pub fn known(&self, kind: Kind, namespace: Option<&str>) -> Vec<(String, Identity)> {
        let namespaces = self.namespaces(namespace).into_iter();
        let known = namespaces.flat_map(|(name, space)| {
            let known = lock(&space).known(kind);
            known.into_iter().map(move |id| (name.clone(), id))
        });
        known.collect()
    }

    /// How many groups and candidates there are. A pod counts once, even if several groups select
    /// it.
    pub fn count(&self) -> (usize, usize) {
        self.namespaces(None).into_iter().fold((0, 0), |(groups, pods), (_, space)| {
            let space = lock(&space);
            let candidates = space.pods.values().filter(|pod| pod.is_candidate()).count();
            (groups + space.groups.len(), pods + candidates)
        })
    }

    /// What `f` makes of each group. Unreadable groups are left out, unless an older version could
    /// be read.
    pub fn map_groups<T>(&self, f: impl Fn(&ElectionGroup) -> T) -> Vec<T> {
        let namespaces = self.namespaces(None).into_iter();
        let mapped = namespaces.flat_map(|(_, space)| {
            let space = lock(&space);
            space.groups.values().map(|group| f(&group.object)).collect::<Vec<_>>()
        });
        mapped.collect()
    }

    /// All that a plan for `group` is made from.
    #[must_use]
    pub fn view(&self, group: &GroupRef) -> GroupView {
        let wall = self.clock.wall();
        let listed = self.routes_are_listed(&group.namespace);
        let followed = self.followed_lease(group);
        let mut view = self.change(&group.namespace, |space, now| {
            space.view(group, (now, wall), listed, &self.nodes, followed)
        });
        if let GroupView::Present(snapshot) = &mut view
            && let Some(namespace) = self.other_lease_namespace(group)
            && !self.serves(&namespace)
        {
            snapshot.group.policy = Err(convert::lease_not_served(&namespace));
        }
        view
    }
}
