//! The local picture of the cluster: what the watches and this process's own writes have told, by namespace, with the
//! local times that judgement needs.
//!
//! It owns: which pods a group selects, which group a change concerns, what is proved to be gone. It never reads or
//! writes the API server, and it judges nothing.
//!
//! Each namespace has a lock of its own, so that what one tenant has much of keeps no other waiting. Who holds one may
//! take that of the nodes, of the ended or of the map of namespaces; never the other way round.

pub mod controller_release;
mod recently_deleted;
pub mod wakes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::Selector;
use kube::{Resource, ResourceExt};
use tokio::sync::watch;

use self::controller_release::ControllerRelease;
use self::recently_deleted::RecentlyDeleted;
use self::wakes::WakeSender;
use crate::api::{Budget, ElectionGroup, Pod, Service};
use crate::clock::Clock;
use crate::convert::{self, CompiledSpec, RoleLabel};
use crate::planner::lease::SeenLease;
use crate::planner::nodes::Heartbeats;
use crate::planner::services::{SeenBudget as BudgetView, SeenService as ServiceView, Warning};
use crate::planner::snapshot::{GonePod, Membership, Owner, Snapshot, Unfenced};
use crate::planner::{Identity, Micros, Millis, Version};

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

/// The API server has answered with an object that is older than one it told of before: its data were restored from a
/// backup. Versions no longer tell what is newer, and nothing of this picture can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{object} is at version {answered}, after version {known} of the same object was seen: the API server's data were \
     restored from an older state; this process ends, to be started again and read everything anew"
)]
pub struct WentBackwards {
    /// Kind, namespace and name.
    pub object: String,
    /// What was known when the question was sent.
    pub known: u64,
    /// What was answered.
    pub answered: u64,
}

/// The picture. Cheap to lock: nothing waits while it is held.
#[derive(Debug)]
pub struct Cache {
    clock: Clock,
    spaces: Mutex<BTreeMap<String, Arc<Mutex<Namespace>>>>,
    nodes: Mutex<Heartbeats>,
    /// Objects that are proved to have ended a short while ago.
    ended: Mutex<RecentlyDeleted>,
    /// Places whose first lists are complete.
    synced: Mutex<BTreeSet<String>>,
    wake: WakeSender,
    backwards: watch::Sender<Option<WentBackwards>>,
}

#[derive(Debug, Default)]
struct Namespace {
    groups: BTreeMap<String, CachedGroup>,
    /// Groups whose newest version cannot be read, by name. Those that could be read before are in `groups`, too.
    unreadable: BTreeMap<String, (Identity, Version)>,
    pods: BTreeMap<String, CachedPod>,
    leases: BTreeMap<String, CachedLease>,
    services: BTreeMap<String, Service>,
    budgets: BTreeMap<String, Budget>,
    /// Groups by one label that every pod of theirs has; those without one under `None`.
    index: HashMap<Option<(String, String)>, BTreeSet<String>>,
    /// Names of groups by UID.
    uids: HashMap<String, String>,
    /// Groups by the name of their Lease.
    leased: HashMap<String, BTreeSet<String>>,
    /// Groups by the UIDs of the pods that their record names.
    recorded: HashMap<String, BTreeSet<String>>,
    /// Leases by the UIDs of the groups that own them.
    owned: HashMap<String, BTreeSet<String>>,
    /// Services by the keys that they select by.
    services_by_key: HashMap<String, BTreeSet<String>>,
    /// Pods by the UID of the group whose mark they carry.
    marked: HashMap<String, BTreeSet<String>>,
    /// Pods that a group selects, by their node.
    nodes: HashMap<String, BTreeSet<String>>,
    /// Groups whose end is proved, by UID, with the label they wrote.
    deleted_groups: HashMap<String, Option<RoleLabel>>,
    /// It was empty and has been taken out of the map: whoever waited for its lock must look again.
    is_left: bool,
}

#[derive(Debug)]
struct CachedGroup {
    object: ElectionGroup,
    spec: CompiledSpec,
    /// The pods it selects, and how much it prefers each.
    pods: BTreeMap<String, i64>,
    gone: BTreeMap<String, GonePod>,
    listed_for: Option<Version>,
    warned: BTreeSet<Warning>,
    record_seen_at: Millis,
    cooldown_from: Millis,
    reported_at: Millis,
    record_is_not_kept: bool,
    learned_at: Millis,
}

#[derive(Debug)]
struct CachedPod {
    pod: Pod,
    groups: BTreeSet<String>,
    seen_at: Millis,
    ready_seen_at: Millis,
    standing_changed_at: Millis,
    release: ControllerRelease,
    learned_at: Millis,
}

#[derive(Debug)]
struct CachedLease {
    object: Lease,
    seen: SeenLease,
    learned_at: Millis,
}

/// Whom a change concerns, in an order that does not depend on chance.
type Woken = BTreeSet<Identity>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_out(index: &mut HashMap<String, BTreeSet<String>>, key: &str, name: &str) {
    if let Some(names) = index.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            index.remove(key);
        }
    }
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
            synced: Mutex::default(),
            wake,
            backwards: watch::Sender::default(),
        }
    }

    /// All first lists of a place, a namespace or (`""`) all of them, are complete: a pod that is new from here on was
    /// not there before.
    pub fn mark_synced(&self, place: &str) {
        lock(&self.synced).insert(place.to_owned());
    }

    fn is_synced(&self, namespace: &str) -> bool {
        let complete = lock(&self.synced);
        complete.contains("") || complete.contains(namespace)
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

    /// A group was seen, at its newest or at an older version.
    pub fn upsert_group(&self, group: ElectionGroup) {
        let namespace = group.namespace().unwrap_or_default();
        let woken = self.with(&namespace, |space, now| {
            let id = convert::identity(&group);
            if self.has_ended(Kind::Group, &namespace, &id) {
                return Woken::new();
            }
            let before = space.identity_of(Kind::Group, &id.name);
            let woken = space.upsert_group(group, now);
            self.note_replaced(space, Kind::Group, &namespace, before, now);
            woken
        });
        self.wake(&namespace, woken);
    }

    /// A group was seen, and this version of it cannot be read: it exists, and that is all that is known.
    pub fn upsert_unreadable_group(&self, namespace: &str, group: &Identity, version: Version) {
        let woken = self.with(namespace, |space, now| {
            if self.has_ended(Kind::Group, namespace, group) {
                return Woken::new();
            }
            space.upsert_unreadable_group(group, version, now)
        });
        self.wake(namespace, woken);
    }

    /// A group's end was seen (`proved`), or a fresh list no longer has it.
    pub fn remove_group(&self, namespace: &str, group: &Identity, proved: bool) {
        let woken = self.with(namespace, |space, now| {
            self.note_end(Kind::Group, namespace, group, proved, now);
            space.remove_group(group, proved)
        });
        self.wake(namespace, woken);
    }

    /// A pod was seen, at its newest or at an older version.
    pub fn upsert_pod(&self, pod: Pod) {
        let namespace = pod.namespace().unwrap_or_default();
        let complete = self.is_synced(&namespace);
        let first_seen_at = |now| if complete { now } else { Millis::default() };
        let woken = self.with(&namespace, |space, now| {
            let id = convert::identity(&pod);
            if self.has_ended(Kind::Pod, &namespace, &id) {
                return Woken::new(); // it was still under way when the pod's end was told
            }
            let before = space.identity_of(Kind::Pod, &id.name);
            let woken = space.upsert_pod(pod, now, first_seen_at(now));
            self.note_replaced(space, Kind::Pod, &namespace, before, now);
            woken
        });
        self.wake(&namespace, woken);
    }

    /// A pod is gone: `proved` by its DELETED event or by an answer of the API server, or else merely missing from a
    /// fresh list.
    pub fn remove_pod(&self, namespace: &str, pod: &Identity, proved: bool) {
        let woken = self.with(namespace, |space, now| {
            self.note_end(Kind::Pod, namespace, pod, proved, now);
            space.remove_pod(pod, proved, now)
        });
        self.wake(namespace, woken);
    }

    /// A Lease was seen. `own`: this process wrote it just now.
    pub fn upsert_lease(&self, lease: Lease, own: bool) {
        let namespace = lease.namespace().unwrap_or_default();
        let woken = self.with(&namespace, |space, now| space.upsert_lease(lease, own, now));
        self.wake(&namespace, woken);
    }

    /// A Lease is gone.
    pub fn remove_lease(&self, namespace: &str, lease: &Identity) {
        let woken = self.with(namespace, |space, _| space.remove_lease(lease));
        self.wake(namespace, woken);
    }

    /// The API server has no Lease of this name.
    pub fn remove_lease_named(&self, namespace: &str, name: &str) {
        if let Some(known) = self.lease(namespace, name) {
            self.remove_lease(namespace, &convert::identity(&known));
        }
    }

    /// A Service was seen.
    pub fn upsert_service(&self, service: Service) {
        let namespace = service.namespace().unwrap_or_default();
        let woken = self.with(&namespace, |space, _| space.upsert_service(service));
        self.wake(&namespace, woken);
    }

    /// A Service is gone.
    pub fn remove_service(&self, namespace: &str, service: &Identity) {
        self.with(namespace, |space, _| space.remove_service(service));
    }

    /// A `PodDisruptionBudget` was seen.
    pub fn upsert_budget(&self, budget: Budget) {
        let namespace = budget.namespace().unwrap_or_default();
        let woken = self.with(&namespace, |space, _| space.upsert_budget(budget));
        self.wake(&namespace, woken);
    }

    /// A `PodDisruptionBudget` is gone.
    pub fn remove_budget(&self, namespace: &str, budget: &Identity) {
        self.with(namespace, |space, _| {
            space.budgets.retain(|_, known| convert::identity(known) != *budget);
            space.groups.values_mut().for_each(|group| group.forget_warnings(budget));
        });
    }

    /// This was said.
    pub fn note_warned(&self, group: &GroupRef, warning: Warning) {
        self.with(&group.namespace, |space, _| {
            if let Some(entry) = space.group_mut(&group.id) {
                entry.warned.insert(warning);
            }
        });
    }

    /// The API server does not keep this group's record as it is written: without it nothing may be promoted, until the
    /// spec is edited or this process starts anew.
    pub fn note_record_not_kept(&self, group: &GroupRef) {
        self.with(&group.namespace, |space, _| {
            if let Some(entry) = space.group_mut(&group.id) {
                entry.record_is_not_kept = true;
            }
        });
    }

    /// A node's Lease was seen, which it renews every `interval`; returns whether it is a sign of life. A node that comes
    /// back may make its pods eligible.
    pub fn hear_node(&self, node: &str, version: Version, interval: Millis) -> bool {
        let Some(silence) = lock(&self.nodes).hear(node, version, interval, self.clock.now()) else {
            return false;
        };
        if silence > Millis::default() {
            for (namespace, space) in self.spaces(None) {
                let missed = lock(&space).missed(node, silence);
                self.wake(&namespace, missed);
            }
        }
        true
    }

    /// The watch of the nodes' Leases has failed: no node can be heard for now.
    pub fn lose_nodes(&self) {
        lock(&self.nodes).lose();
    }

    /// A fresh list has exactly these nodes.
    pub fn keep_nodes(&self, listed: &BTreeSet<String>) {
        lock(&self.nodes).keep(listed, self.clock.now());
    }

    /// A node is gone, or at least its Lease: it is silent from now on.
    pub fn remove_node(&self, node: &str) {
        lock(&self.nodes).forget(node, self.clock.now());
    }

    /// All pods of the group were listed after its version `known`.
    pub fn note_listed(&self, group: &GroupRef, known: Version) {
        self.with(&group.namespace, |space, _| {
            if let Some(entry) = space.group_mut(&group.id) {
                entry.listed_for = Some(known);
            }
        });
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

    /// UID and version of an object, as they are known now: to be compared with what is answered to a question that is
    /// sent after this.
    #[must_use]
    pub fn version_of(&self, kind: Kind, namespace: &str, name: &str) -> Option<(String, Version)> {
        self.look(namespace, |space| space.version_of(kind, name)).map(|(uid, version, _)| (uid, version))
    }

    /// What the API server answers to a GET or a write is its newest state. One that is older than what was `known` of
    /// the same object before the request was sent tells that versions went backwards.
    pub fn check_answer<K>(&self, known: Option<&(String, Version)>, answer: &K)
    where
        K: Resource<DynamicType = ()>,
    {
        let (id, answered) = (convert::identity(answer), convert::version(answer));
        if let Some((uid, known)) = known
            && *uid == id.uid
            && *known > answered
        {
            let namespace = answer.namespace().unwrap_or_default();
            let kind = K::kind(&()).to_lowercase();
            let object = format!("{kind} {namespace}/{}", id.name);
            let error = WentBackwards { object, known: known.0, answered: answered.0 };
            self.backwards.send_if_modified(|first| first.is_none() && first.replace(error).is_none());
        }
    }

    /// The same for an object of a list that was asked for after the moment `begun`: what was known before then.
    pub fn check_listed<K>(&self, kind: Kind, object: &K, begun: Millis)
    where
        K: Resource<DynamicType = ()>,
    {
        let namespace = object.namespace().unwrap_or_default();
        let known = self.look(&namespace, |space| space.version_of(kind, &object.name_any()));
        let known = known.filter(|(_, _, learned_at)| *learned_at < begun);
        self.check_answer(known.map(|(uid, version, _)| (uid, version)).as_ref(), object);
    }

    /// Waits until versions have gone backwards, which they never should.
    pub async fn until_backwards(&self) -> WentBackwards {
        let mut backwards = self.backwards.subscribe();
        // The sender lives as long as this.
        let found = backwards.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match found {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }

    /// The selector of a group, if it has a valid one.
    #[must_use]
    pub fn selector(&self, group: &GroupRef) -> Option<Selector> {
        self.look(&group.namespace, |space| space.group(&group.id)?.spec.selector().cloned())
    }

    /// How many groups and candidates there are. A pod that several groups select is a candidate of the oldest alone.
    pub fn count(&self) -> (usize, usize) {
        self.spaces(None).into_iter().fold((0, 0), |(groups, pods), (_, space)| {
            let space = lock(&space);
            let candidates = space.pods.values().filter(|pod| pod.is_candidate()).count();
            (groups + space.groups.len(), pods + candidates)
        })
    }

    /// The group as last seen, if it is there.
    #[must_use]
    pub fn group(&self, group: &GroupRef) -> Option<ElectionGroup> {
        self.look(&group.namespace, |space| Some(space.group(&group.id)?.object.clone()))
    }

    /// The Lease as last seen.
    #[must_use]
    pub fn lease(&self, namespace: &str, name: &str) -> Option<Lease> {
        self.look(namespace, |space| Some(space.leases.get(name)?.object.clone()))
    }

    /// The pod as last seen.
    #[must_use]
    pub fn pod(&self, namespace: &str, pod: &Identity) -> Option<Pod> {
        self.look(namespace, |space| {
            let entry = space.pods.get(&pod.name)?;
            (entry.pod.metadata.uid.as_ref() == Some(&pod.uid)).then(|| entry.pod.clone())
        })
    }

    /// The value that a pod's role label had before it was marked, if its controller has let it go since.
    #[must_use]
    pub fn role_to_give_back(&self, namespace: &str, pod: &Identity) -> Option<String> {
        self.look(namespace, |space| {
            let entry = space.pods.get(&pod.name)?;
            let same = entry.pod.uid().as_deref() == Some(&pod.uid);
            entry.release.value_before().filter(|_| same).map(str::to_owned)
        })
    }

    /// The label that a group writes, or wrote: known if it was ever seen here.
    #[must_use]
    pub fn role_label(&self, group: &GroupRef) -> Option<RoleLabel> {
        self.look(&group.namespace, |space| match space.group(&group.id) {
            Some(group) => Some(group.spec.role.clone()),
            None => space.deleted_groups.get(&group.id.uid).cloned().flatten(),
        })
    }

    /// Forgets a vanished group about which nothing is left to do.
    pub fn forget_deleted(&self, group: &GroupRef) {
        self.with(&group.namespace, |space, _| space.deleted_groups.remove(&group.id.uid));
    }

    /// Everything a plan for `group` is made from.
    #[must_use]
    pub fn view(&self, group: &GroupRef) -> GroupView {
        let wall = self.clock.wall();
        self.with(&group.namespace, |space, now| space.view(group, now, wall, &self.nodes))
    }
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

impl Namespace {
    fn is_empty(&self) -> bool {
        let watched = [self.groups.len(), self.pods.len(), self.leases.len()];
        let warned_of = [self.services.len(), self.budgets.len()];
        let is_watched = watched != [0; 3] || warned_of != [0; 2];
        !is_watched && self.deleted_groups.is_empty() && self.unreadable.is_empty()
    }

    fn known(&self, kind: Kind) -> Vec<Identity> {
        match kind {
            Kind::Group => {
                let unread = self.unreadable.iter().filter(|(name, _)| !self.groups.contains_key(*name));
                let groups = self.groups.values().map(CachedGroup::id);
                groups.chain(unread.map(|(_, (id, _))| id.clone())).collect()
            }
            Kind::Pod => self.pods.values().map(|entry| convert::identity(&entry.pod)).collect(),
            Kind::Service => self.services.values().map(convert::identity).collect(),
            Kind::Budget => self.budgets.values().map(convert::identity).collect(),
            Kind::Lease => self.leases.values().map(|entry| convert::identity(&entry.object)).collect(),
        }
    }

    /// UID and version of an object, and when it was learned. Of Services and budgets no version is kept.
    fn version_of(&self, kind: Kind, name: &str) -> Option<(String, Version, Millis)> {
        let of = |metadata: &ObjectMeta, version, at| Some((metadata.uid.clone()?, version, at));
        match kind {
            Kind::Group => {
                let entry = self.groups.get(name)?;
                of(&entry.object.metadata, convert::version(&entry.object), entry.learned_at)
            }
            Kind::Pod => {
                let entry = self.pods.get(name)?;
                of(&entry.pod.metadata, convert::version(&entry.pod), entry.learned_at)
            }
            Kind::Lease => {
                let entry = self.leases.get(name)?;
                of(&entry.object.metadata, convert::version(&entry.object), entry.learned_at)
            }
            Kind::Service | Kind::Budget => None,
        }
    }

    fn uid_of(&self, kind: Kind, name: &str) -> Option<String> {
        self.version_of(kind, name).map(|(uid, ..)| uid)
    }

    /// The object that has this name, as far as is known.
    fn identity_of(&self, kind: Kind, name: &str) -> Option<Identity> {
        self.uid_of(kind, name).map(|uid| Identity::new(name, uid))
    }

    fn group(&self, id: &Identity) -> Option<&CachedGroup> {
        self.groups.get(&id.name).filter(|group| group.is(id))
    }

    fn group_mut(&mut self, id: &Identity) -> Option<&mut CachedGroup> {
        self.groups.get_mut(&id.name).filter(|group| group.is(id))
    }

    fn patience(&self, group: &str) -> Option<Millis> {
        self.groups.get(group)?.spec.node_patience()
    }

    fn ids<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Woken {
        names.into_iter().filter_map(|name| self.groups.get(name).map(CachedGroup::id)).collect()
    }

    fn groups_of_lease(&self, lease: &str) -> Woken {
        self.ids(self.leased.get(lease).into_iter().flatten())
    }

    /// The groups for which a node was silent on which they have pods.
    fn missed(&self, node: &str, silence: Millis) -> Woken {
        let pods = self.nodes.get(node).into_iter().flatten().filter_map(|name| self.pods.get(name));
        let mut groups = self.ids(pods.flat_map(|entry| &entry.groups));
        groups.retain(|id| self.patience(&id.name).is_some_and(|patience| patience <= silence));
        groups
    }

    fn upsert_service(&mut self, service: Service) -> Woken {
        let id = convert::identity(&service);
        let before = self.services.get(&id.name);
        if before.is_some_and(|before| before.spec == service.spec && convert::identity(before) == id) {
            return Woken::new();
        }
        if let Some(before) = before.map(convert::identity) {
            self.remove_service(&before);
        }
        let concerned = self.groups.values_mut().filter_map(|group| {
            group.forget_warnings(&id);
            group.spec.may_be_selected_by(&service).then(|| group.id())
        });
        let woken = concerned.collect();
        for key in service.spec.selector.iter().flat_map(BTreeMap::keys) {
            self.services_by_key.entry(key.clone()).or_default().insert(id.name.clone());
        }
        self.services.insert(id.name, service);
        woken
    }

    fn upsert_budget(&mut self, budget: Budget) -> Woken {
        let id = convert::identity(&budget);
        let before = self.budgets.get(&id.name);
        if before.is_some_and(|before| before.spec == budget.spec && convert::identity(before) == id) {
            return Woken::new();
        }
        let concerned = self.groups.values_mut().filter_map(|group| {
            group.forget_warnings(&id);
            group.spec.may_be_guarded_by(&budget).then(|| group.id())
        });
        let woken = concerned.collect();
        self.budgets.insert(id.name, budget);
        woken
    }

    fn remove_service(&mut self, id: &Identity) {
        let Some(known) = self.services.get(&id.name).filter(|known| convert::identity(*known) == *id) else {
            return;
        };
        for key in known.spec.selector.iter().flat_map(BTreeMap::keys) {
            take_out(&mut self.services_by_key, key, &id.name);
        }
        self.services.remove(&id.name);
        self.groups.values_mut().for_each(|group| group.forget_warnings(id));
    }

    fn upsert_group(&mut self, object: ElectionGroup, now: Millis) -> Woken {
        let id = convert::identity(&object);
        let version = convert::version(&object);
        let known = self.groups.get(&id.name);
        let unreadable = self.unreadable.get(&id.name).map(|(_, version)| *version);
        let known_version = known.map(|known| convert::version(&known.object)).max(unreadable);
        if known_version.is_some_and(|known| known >= version) {
            return Woken::new();
        }
        self.unreadable.remove(&id.name);
        if known.is_some_and(|known| known.is(&id) && known.object.spec == object.spec) {
            self.update_group(&id.name, object, now);
            return Woken::from([id]);
        }
        self.enter_group(object, &id, now)
    }

    /// The same group at a newer version, its spec unchanged.
    fn update_group(&mut self, name: &str, object: ElectionGroup, now: Millis) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.object.status == object.status {
            group.update(object, now);
            return;
        }
        let before = group.recorded();
        group.update(object, now);
        let after = group.recorded();
        self.note_recorded(name, &before, &after);
    }

    fn note_recorded(&mut self, name: &str, before: &[Identity], after: &[Identity]) {
        for pod in before {
            take_out(&mut self.recorded, &pod.uid, name);
        }
        for pod in after {
            self.recorded.entry(pod.uid.clone()).or_default().insert(name.to_owned());
        }
    }

    /// A group that is new, or whose spec is.
    fn enter_group(&mut self, object: ElectionGroup, id: &Identity, now: Millis) -> Woken {
        let mut woken = Woken::from([id.clone()]);
        let replaced = self.groups.get(&id.name).map(CachedGroup::id).filter(|known| known.uid != id.uid);
        if let Some(replaced) = replaced {
            woken.extend(self.remove_group(&replaced, true));
        }
        let parsed = CompiledSpec::new(&object);
        let group = match self.unindex(&id.name) {
            Some(before) => before.respecified(object, parsed, now),
            None => CachedGroup::new(object, parsed, now),
        };
        woken.extend(self.index_group(id, group, now));
        if self.uids.insert(id.uid.clone(), id.name.clone()).is_none() {
            woken.extend(self.concerned_by(&id.uid));
        }
        woken
    }

    /// Enters a group into all indexes; returns whom it concerns that it selects what it does.
    fn index_group(&mut self, id: &Identity, mut group: CachedGroup, now: Millis) -> Woken {
        for key in group.spec.index_keys() {
            self.index.entry(key.clone()).or_default().insert(id.name.clone());
        }
        self.leased.entry(group.spec.lease_name.clone()).or_default().insert(id.name.clone());
        self.note_recorded(&id.name, &[], &group.recorded());
        group.pods.clear();
        let mut changed = Vec::new();
        for (name, entry) in &mut self.pods {
            let was_selected = entry.groups.contains(&id.name);
            if group.spec.selects(&entry.pod) {
                group.pods.insert(name.clone(), group.spec.weight(&entry.pod));
                entry.groups.insert(id.name.clone());
            } else if was_selected {
                entry.groups.remove(&id.name);
            }
            if was_selected != entry.groups.contains(&id.name) {
                entry.standing_changed_at = now;
                changed.push(name.clone());
            }
        }
        self.groups.insert(id.name.clone(), group);
        let concerned = changed.into_iter().flat_map(|pod| self.changed_hands(&pod));
        concerned.collect()
    }

    /// Takes a group out of the indexes but those of its pods, which still know its name.
    fn unindex(&mut self, name: &str) -> Option<CachedGroup> {
        let group = self.groups.remove(name)?;
        for key in group.spec.index_keys() {
            if let Some(names) = self.index.get_mut(key) {
                names.remove(name);
                if names.is_empty() {
                    self.index.remove(key);
                }
            }
        }
        take_out(&mut self.leased, &group.spec.lease_name, name);
        self.note_recorded(name, &group.recorded(), &[]);
        Some(group)
    }

    /// Other groups than before select this pod; returns whom that concerns.
    fn changed_hands(&mut self, pod: &str) -> Woken {
        let Some(entry) = self.pods.get(pod) else { return Woken::new() };
        if let Some(node) = &entry.pod.spec.node_name {
            if entry.groups.is_empty() {
                take_out(&mut self.nodes, node, pod);
            } else {
                self.nodes.entry(node.clone()).or_default().insert(pod.to_owned());
            }
        }
        self.concerned(entry)
    }

    /// The groups that select a pod, and the one whose mark it carries.
    fn concerned(&self, entry: &CachedPod) -> Woken {
        self.ids(&entry.groups).into_iter().chain(self.marker(&entry.pod)).collect()
    }

    /// Whom it concerns that there is a group of this UID, or no more: those that see its mark on a pod, and those whose
    /// Lease it owns.
    fn concerned_by(&self, uid: &str) -> Woken {
        let marked = self.marked.get(uid).into_iter().flatten().filter_map(|pod| self.pods.get(pod));
        let of_pods = marked.flat_map(|entry| {
            let recorded = entry.pod.metadata.uid.as_ref().and_then(|uid| self.recorded.get(uid));
            self.ids(entry.groups.iter().chain(recorded.into_iter().flatten()))
        });
        let owned = self.owned.get(uid).into_iter().flatten();
        of_pods.chain(owned.flat_map(|lease| self.groups_of_lease(lease))).collect()
    }

    fn upsert_unreadable_group(&mut self, id: &Identity, version: Version, now: Millis) -> Woken {
        let known = self.groups.get(&id.name);
        let known_version = known.map(|known| convert::version(&known.object));
        let unreadable = self.unreadable.get(&id.name).map(|(_, version)| *version);
        if known_version.max(unreadable).is_some_and(|known| known >= version) {
            return Woken::new();
        }
        let mut woken = Woken::from([id.clone()]);
        let others = known.map(CachedGroup::id).into_iter();
        let others = others.chain(self.unreadable.get(&id.name).map(|(id, _)| id.clone()));
        for other in others.filter(|known| known.uid != id.uid).collect::<Woken>() {
            woken.extend(self.remove_group(&other, true));
        }
        if let Some(group) = self.groups.get_mut(&id.name) {
            group.learned_at = now;
        }
        self.unreadable.insert(id.name.clone(), (id.clone(), version));
        if self.uids.insert(id.uid.clone(), id.name.clone()).is_none() {
            woken.extend(self.concerned_by(&id.uid));
        }
        woken
    }

    fn remove_group(&mut self, id: &Identity, proved: bool) -> Woken {
        let name = &id.name;
        let mut woken = Woken::from([id.clone()]);
        if proved {
            self.deleted_groups.entry(id.uid.clone()).or_insert(None);
        }
        if self.unreadable.get(name).is_some_and(|(unreadable, _)| unreadable == id) {
            self.unreadable.remove(name);
        }
        // A newer group of that name may have been seen already.
        if self.group(id).is_some()
            && let Some(group) = self.unindex(name)
        {
            for pod in group.pods.keys() {
                if let Some(entry) = self.pods.get_mut(pod) {
                    entry.groups.remove(name);
                }
                woken.extend(self.changed_hands(pod));
            }
            if proved {
                self.deleted_groups.insert(id.uid.clone(), Some(group.spec.role));
            }
        }
        // A mark may have told this UID with another name.
        if self.uids.get(&id.uid) == Some(name) {
            self.uids.remove(&id.uid);
            woken.extend(self.concerned_by(&id.uid));
        }
        woken
    }

    /// The groups whose selector matches.
    fn selecting(&self, pod: &Pod) -> BTreeSet<String> {
        let keyed = pod.labels().iter().filter_map(|(k, v)| self.index.get(&Some((k.clone(), v.clone()))));
        let names = keyed.chain(self.index.get(&None)).flatten();
        let matching =
            names.filter(|name| self.groups.get(*name).is_some_and(|group| group.spec.selects(pod)));
        matching.cloned().collect()
    }

    /// The group whose mark a pod carries, by its present name if it exists.
    fn marker(&self, pod: &Pod) -> Option<Identity> {
        let mark = convert::owner(pod)?;
        let name = self.uids.get(&mark.uid);
        Some(name.map_or_else(|| mark.clone(), |name| Identity::new(name.clone(), mark.uid.clone())))
    }

    fn upsert_pod(&mut self, pod: Pod, now: Millis, first_seen_at: Millis) -> Woken {
        let id = convert::identity(&pod);
        let mut woken = Woken::new();
        if let Some(known) = self.pods.get(&id.name) {
            if convert::version(&known.pod) >= convert::version(&pod) {
                return woken;
            }
            let known = convert::identity(&known.pod);
            if known.uid != id.uid {
                // A newer pod has this name: the older one is gone.
                woken.extend(self.remove_pod(&known, true, now));
            }
        }
        let groups = self.selecting(&pod);
        let gone =
            |name: &String| self.groups.get(name).is_some_and(|group| group.gone.contains_key(&id.uid));
        if groups.iter().any(gone) {
            return woken; // an event that was still under way when the API server said that the pod is gone
        }
        let before = self.pods.remove(&id.name);
        let marker = convert::owner(&pod).and_then(|mark| self.groups.get(self.uids.get(&mark.uid)?));
        let key = marker.map(|marker| marker.spec.role.key.as_str());
        let seen = before.as_ref().map(|before| (&before.pod, &before.release));
        let custody = ControllerRelease::next(seen, &pod, key, now);
        let entry = CachedPod {
            release: custody,
            ..CachedPod::new(pod, groups, before.as_ref(), now, first_seen_at)
        };
        if before.as_ref().is_none_or(|before| !convert::same_but_version(&before.pod, &entry.pod)) {
            woken.extend(before.iter().flat_map(|before| self.unlink(&id.name, before)));
            woken.extend(self.link(&id.name, &entry));
        }
        self.pods.insert(id.name, entry);
        woken
    }

    fn remove_pod(&mut self, pod: &Identity, proved: bool, now: Millis) -> Woken {
        let known = self.pods.get(&pod.name).filter(|known| convert::identity(&known.pod).uid == pod.uid);
        let was_terminating = known.is_some_and(|known| known.pod.is_terminating());
        let entry = if known.is_some() { self.pods.remove(&pod.name) } else { None };
        let woken = entry.map(|entry| self.unlink(&pod.name, &entry)).unwrap_or_default();
        if proved {
            let gone = GonePod { at: now, was_terminating };
            let recorded = self.ids(self.recorded.get(&pod.uid).into_iter().flatten());
            for id in recorded.iter().chain(&woken) {
                if let Some(group) = self.group_mut(id) {
                    group.note_gone(&pod.uid, gone);
                }
            }
        }
        woken
    }

    /// Enters a pod into the lists of its groups; returns whom it concerns.
    fn link(&mut self, name: &str, entry: &CachedPod) -> Woken {
        for group in &entry.groups {
            if let Some(group) = self.groups.get_mut(group) {
                group.pods.insert(name.to_owned(), group.spec.weight(&entry.pod));
            }
        }
        if let Some(node) = entry.pod.spec.node_name.as_ref().filter(|_| !entry.groups.is_empty()) {
            self.nodes.entry(node.clone()).or_default().insert(name.to_owned());
        }
        if let Some(marker) = convert::owner(&entry.pod) {
            self.marked.entry(marker.uid).or_default().insert(name.to_owned());
        }
        self.concerned(entry)
    }

    /// The reverse of [`Namespace::link`].
    fn unlink(&mut self, name: &str, entry: &CachedPod) -> Woken {
        for group in &entry.groups {
            if let Some(group) = self.groups.get_mut(group) {
                group.pods.remove(name);
            }
        }
        if let Some(node) = &entry.pod.spec.node_name {
            take_out(&mut self.nodes, node, name);
        }
        if let Some(marker) = convert::owner(&entry.pod) {
            take_out(&mut self.marked, &marker.uid, name);
        }
        self.concerned(entry)
    }

    fn upsert_lease(&mut self, object: Lease, own: bool, now: Millis) -> Woken {
        let name = object.name_any();
        let record = convert::lease_record(&object);
        let known = self.leases.get_mut(&name);
        if known.as_ref().is_some_and(|known| {
            let version = known.seen.content.version;
            version > record.version || (version == record.version && !own)
        }) {
            return Woken::new();
        }
        let mut seen = match known {
            Some(known) if known.seen.content.uid == record.uid => {
                let mut seen = known.seen.clone();
                seen.note(record, now);
                seen
            }
            _ => SeenLease::first_seen(record, now),
        };
        seen.change_was_seen |= own;
        let entry = CachedLease { object, seen, learned_at: now };
        let before = self.leases.remove(&name);
        self.note_owners(before.as_ref(), Some(&entry));
        let mut woken = self.groups_of_lease(&name);
        if let Some(before) = &before {
            woken.retain(|id| {
                self.groups.get(&id.name).is_some_and(|group| group.is_woken_by(&before.seen, &entry.seen))
            });
        }
        self.leases.insert(name, entry);
        woken
    }

    fn remove_lease(&mut self, lease: &Identity) -> Woken {
        // A newer Lease of that name may have been seen already.
        let is_known =
            self.leases.get(&lease.name).is_some_and(|known| convert::identity(&known.object) == *lease);
        if is_known {
            let before = self.leases.remove(&lease.name);
            self.note_owners(before.as_ref(), None);
        }
        self.groups_of_lease(&lease.name)
    }

    fn note_owners(&mut self, before: Option<&CachedLease>, after: Option<&CachedLease>) {
        for (uid, lease) in before.into_iter().flat_map(CachedLease::owned) {
            take_out(&mut self.owned, &uid, &lease);
        }
        for (uid, lease) in after.into_iter().flat_map(CachedLease::owned) {
            self.owned.entry(uid).or_default().insert(lease);
        }
    }

    fn view(&self, group: &GroupRef, now: Millis, wall: Micros, nodes: &Mutex<Heartbeats>) -> GroupView {
        if self.unreadable.get(&group.id.name).is_some_and(|(unreadable, _)| *unreadable == group.id) {
            return GroupView::Unreadable;
        }
        match self.group(&group.id) {
            Some(known) => GroupView::Present(Box::new(self.snapshot(known, now, wall, nodes))),
            None => self.deleted(&group.id),
        }
    }

    fn deleted(&self, group: &Identity) -> GroupView {
        let marked = self.marked.get(&group.uid).into_iter().flatten();
        let orphans = marked.filter_map(|name| self.pods.get(name)).filter(|entry| entry.groups.is_empty());
        let pods = orphans.map(|entry| (convert::identity(&entry.pod), convert::version(&entry.pod)));
        GroupView::Deleted { pods: pods.collect(), proved: self.deleted_groups.contains_key(&group.uid) }
    }

    fn snapshot(
        &self,
        group: &CachedGroup,
        now: Millis,
        wall: Micros,
        nodes: &Mutex<Heartbeats>,
    ) -> Snapshot {
        let id = group.id();
        let marked = self.marked.get(&id.uid).into_iter().flatten();
        let recorded = group.recorded().into_iter().filter_map(|id| self.pods.get_key_value(&id.name));
        let mut names: BTreeSet<&String> = group.pods.keys().chain(marked).collect();
        names.extend(recorded.map(|(name, _)| name));
        let pods = names.into_iter().filter_map(|name| Some((name, self.pods.get(name)?)));
        let pods = pods.map(|(name, entry)| {
            let weight = group.pods.get(name).copied();
            let weight = weight.unwrap_or_else(|| group.spec.weight(&entry.pod));
            let mut pod = group.spec.pod_of_weight(&entry.pod, weight);
            pod.membership = self.membership(group, entry);
            pod.owner = self.owner_of(&id, convert::owner(&entry.pod));
            pod.seen_at = entry.seen_at;
            pod.ready_seen_at = entry.ready_seen_at;
            pod.standing_changed_at = entry.standing_changed_at;
            pod.released_by_controller = entry.release.is_released();
            pod
        });
        let mut pods: Vec<_> = pods.collect();
        if let Some(patience) = group.spec.node_patience() {
            let mut nodes = lock(nodes);
            nodes.look(now);
            for pod in &mut pods {
                let node = pod.node.as_ref();
                pod.node_silent_from = node.and_then(|node| nodes.silent_from(node, patience));
            }
        }
        let lease = self.leases.get(&group.spec.lease_name).map(|lease| {
            let mut seen = lease.seen.clone();
            seen.content.owner = self.owner_of(&id, convert::owners(&lease.object));
            seen
        });
        let mut seen = group.spec.group(&group.object);
        if group.record_is_not_kept {
            seen.policy = Err(convert::record_not_kept());
        }
        let snapshot = Snapshot {
            now,
            wall,
            pods,
            group: seen,
            gone: group.gone.clone(),
            lease,
            listed_for: group.listed_for,
            services: self.services_of(group),
            budgets: self.budgets_of(group),
            warned: group.warned.clone(),
            record_seen_at: group.record_seen_at,
            cooldown_from: group.cooldown_from,
            reported_at: group.reported_at,
        };
        snapshot.without_unlikely_terms()
    }

    /// The Services that select by the group's role label.
    fn services_of(&self, group: &CachedGroup) -> Vec<ServiceView> {
        let pods = || group.pods.keys().filter_map(|name| self.pods.get(name)).map(|entry| &entry.pod);
        let services = self.services_by_key.get(&group.spec.role.key).into_iter().flatten();
        let services = services.filter_map(|name| self.services.get(name));
        let views = services.filter_map(|service| {
            let view = group.spec.service(service, pods())?;
            Some(ServiceView { other_group: self.other_group_of(group, service), ..view })
        });
        views.collect()
    }

    /// Another group that has pods, all of whose leaders or followers the Service selects.
    fn other_group_of(&self, group: &CachedGroup, service: &Service) -> Option<String> {
        if !group.spec.is_all_that_selects(service) {
            return None;
        }
        let own = group.id().name;
        let mut others = self.groups.iter().filter(|(name, other)| **name != own && !other.pods.is_empty());
        others.find(|(_, other)| other.spec.is_all_that_selects(service)).map(|(name, _)| name.clone())
    }

    /// The budgets that guard the group's leader alone.
    fn budgets_of(&self, group: &CachedGroup) -> Vec<BudgetView> {
        let pods = || group.pods.keys().filter_map(|name| self.pods.get(name)).map(|entry| &entry.pod);
        self.budgets.values().filter_map(|budget| group.spec.budget(budget, pods())).collect()
    }

    fn membership(&self, group: &CachedGroup, entry: &CachedPod) -> Membership {
        let age = |name: &String| {
            let created = self.groups.get(name).map(|g| g.object.creation_timestamp().map(|t| t.0));
            (created, name.clone())
        };
        let name = group.object.name_any();
        if !entry.groups.contains(&name) {
            return Membership::Deselected;
        }
        match entry.groups.iter().min_by_key(|name| age(name)) {
            Some(oldest) if *oldest != name => Membership::ClaimedBy(oldest.clone()),
            _ => Membership::Selected,
        }
    }

    /// What the groups that an object names are to this one. One that exists counts before one that does not.
    fn owner_of(&self, group: &Identity, named: impl IntoIterator<Item = Identity>) -> Owner {
        let marks = named.into_iter().map(|id| match self.uids.get(&id.uid) {
            _ if id.uid == group.uid => Owner::Ours,
            Some(name) => Owner::Other(Identity::new(name.clone(), id.uid)),
            None => Owner::Vanished(id),
        });
        let rank = |mark: &Owner| match mark {
            Owner::Ours => 0,
            Owner::Other(_) => 1,
            Owner::Vanished(_) => 2,
            Owner::None => 3,
        };
        marks.min_by_key(rank).unwrap_or_default()
    }
}

fn term(group: &ElectionGroup) -> Option<i64> {
    group.status.as_ref().and_then(|status| status.term)
}

impl CachedGroup {
    fn new(object: ElectionGroup, parsed: CompiledSpec, now: Millis) -> Self {
        Self {
            object,
            spec: parsed,
            pods: BTreeMap::new(),
            gone: BTreeMap::new(),
            listed_for: None,
            warned: BTreeSet::new(),
            record_seen_at: now,
            cooldown_from: Millis::default(),
            reported_at: Millis::default(),
            record_is_not_kept: false,
            learned_at: now,
        }
    }

    /// The same group with another spec.
    fn respecified(self, object: ElectionGroup, parsed: CompiledSpec, now: Millis) -> Self {
        let same_term = term(&self.object) == term(&object);
        let (record_seen_at, cooldown_from) =
            if same_term { (self.record_seen_at, self.cooldown_from) } else { (now, now) };
        let Self { gone, listed_for, warned, .. } = self;
        let new = Self::new(object, parsed, now);
        // An edited spec is a change like any other: what waits for quiet counts from it.
        Self { gone, listed_for, warned, record_seen_at, cooldown_from, reported_at: now, ..new }
    }

    fn id(&self) -> Identity {
        convert::identity(&self.object)
    }

    fn is(&self, id: &Identity) -> bool {
        let metadata = &self.object.metadata;
        metadata.uid.as_ref() == Some(&id.uid) && metadata.name.as_ref() == Some(&id.name)
    }

    /// The same group at a newer version, its spec unchanged.
    fn update(&mut self, object: ElectionGroup, now: Millis) {
        if term(&self.object) != term(&object) {
            (self.record_seen_at, self.cooldown_from) = (now, now);
        }
        if self.object.status != object.status {
            self.reported_at = now;
        }
        self.object = object;
        self.learned_at = now;
    }

    /// The Lease says something new to this group, more than that the recorded leader goes on to hold it. The leader of a
    /// paused group need not be the holder.
    fn is_woken_by(&self, before: &SeenLease, after: &SeenLease) -> bool {
        let Some(default_duration) = self.spec.observed_duration() else { return true };
        let led = self.object.status.as_ref().is_some_and(|status| status.leader.is_some());
        !led || self.object.spec.paused || !after.renews(before, default_duration)
    }

    /// A Service or a budget has changed or is gone: what was said of it does not count any more.
    fn forget_warnings(&mut self, object: &Identity) {
        self.warned.retain(|warning| warning.object.uid != object.uid);
    }

    /// The pods that the record names.
    fn recorded(&self) -> Vec<Identity> {
        let record = convert::record(&self.object);
        let Some(record) = record else { return Vec::new() };
        let unfenced = match record.unfenced {
            Unfenced::All => Vec::new(),
            Unfenced::Pods(pods) => pods,
        };
        unfenced.into_iter().chain(record.leader.map(|leader| leader.id)).collect()
    }

    /// Remembers that a pod is gone: as long as the record names it, or for a while.
    fn note_gone(&mut self, uid: &str, gone: GonePod) {
        const KEPT: usize = 100;
        if self.gone.len() >= KEPT {
            let recorded = self.recorded();
            self.gone.retain(|uid, _| recorded.iter().any(|id| id.uid == *uid));
        }
        self.gone.entry(uid.to_owned()).or_insert(gone);
    }
}

impl CachedLease {
    /// UIDs of the groups that own it, each with its name.
    fn owned(&self) -> impl Iterator<Item = (String, String)> {
        convert::owners(&self.object).map(|owner| (owner.uid, self.object.name_any()))
    }
}

impl CachedPod {
    /// A group counts it as one of its candidates.
    fn is_candidate(&self) -> bool {
        !self.groups.is_empty() && !self.pod.is_finished() && !self.pod.is_terminating()
    }

    /// `first_seen_at`: what counts if the pod was not known before.
    fn new(
        pod: Pod,
        groups: BTreeSet<String>,
        before: Option<&Self>,
        now: Millis,
        first_seen_at: Millis,
    ) -> Self {
        // The time tells a flip that fell between two looks.
        let readiness = |pod: &Pod| (pod.is_ready(), pod.ready_since());
        let ready = before.filter(|before| readiness(&before.pod) == readiness(&pod));
        let unfit = before.filter(|before| {
            convert::standing(&before.pod) == convert::standing(&pod) && before.groups == groups
        });
        Self {
            seen_at: before.map_or(first_seen_at, |before| before.seen_at),
            ready_seen_at: match (before, ready) {
                (_, Some(same)) => same.ready_seen_at,
                // Whoever was Ready before this process looked has been so for long, as far as anybody knows.
                (None, None) if pod.is_ready() => first_seen_at,
                _ => now,
            },
            standing_changed_at: unfit.map_or(now, |before| before.standing_changed_at),
            learned_at: now,
            pod,
            groups,
            release: ControllerRelease::default(),
        }
    }
}
