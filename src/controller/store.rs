//! The local picture of the cluster: what the watches and this process's own writes have told, by namespace, with the
//! local times that judgement needs.
//!
//! It owns: which pods a group selects, which group a change concerns, what is proved to be gone. It never reads or
//! writes the API server, and it judges nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::core::Selector;
use tokio::sync::mpsc;

use super::custody::Custody;
use super::translate::{self, ParsedGroup, RoleLabel};
use crate::api::{Budget, ElectionGroup, Pod, Service};
use crate::clock::Clock;
use crate::election::heartbeat::Heartbeats;
use crate::election::observed::ObservedLease;
use crate::election::services::{Budget as BudgetView, Service as ServiceView, Warning};
use crate::election::snapshot::{Gone, Mark, Membership, Snapshot, Unfenced};
use crate::election::{Identity, Micros, Millis, Version};

/// One group, for as long as it or its marks exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
pub enum Observed {
    /// It exists.
    Group(Box<Snapshot>),
    /// It is gone, or seems to be; these pods still carry its mark, and no other group selects them.
    Vanished {
        /// The pods to clean.
        pods: Vec<(Identity, Version)>,
        /// Its deletion was seen or answered.
        proved: bool,
    },
}

/// The picture. Cheap to lock: nothing waits while it is held.
#[derive(Debug)]
pub struct Store {
    clock: Clock,
    world: Mutex<BTreeMap<String, Namespace>>,
    nodes: Mutex<Heartbeats>,
    /// Places whose first lists are complete.
    complete: Mutex<BTreeSet<String>>,
    wake: mpsc::UnboundedSender<GroupRef>,
}

#[derive(Debug, Default)]
struct Namespace {
    groups: BTreeMap<String, Group>,
    pods: BTreeMap<String, PodEntry>,
    leases: BTreeMap<String, LeaseEntry>,
    services: BTreeMap<String, Service>,
    budgets: BTreeMap<String, Budget>,
    /// Groups by one label that every pod of theirs has; those without one under `None`.
    index: HashMap<Option<(String, String)>, BTreeSet<String>>,
    /// Names of groups by UID.
    uids: HashMap<String, String>,
    /// Pods by the UID of the group whose mark they carry.
    marked: HashMap<String, BTreeSet<String>>,
    /// Groups whose end is proved, by UID, with the label they wrote.
    buried: HashMap<String, Option<RoleLabel>>,
}

#[derive(Debug)]
struct Group {
    object: ElectionGroup,
    parsed: ParsedGroup,
    pods: BTreeSet<String>,
    gone: BTreeMap<String, Gone>,
    listed_for: Option<Version>,
    warned: BTreeSet<Warning>,
    record_seen_at: Millis,
    cooldown_from: Millis,
    reported_at: Millis,
    record_is_not_kept: bool,
}

#[derive(Debug)]
struct PodEntry {
    pod: Pod,
    groups: BTreeSet<String>,
    seen_at: Millis,
    ready_seen_at: Millis,
    unfit_seen_at: Millis,
    custody: Custody,
}

#[derive(Debug)]
struct LeaseEntry {
    object: Lease,
    seen: ObservedLease,
}

impl Store {
    /// An empty picture; `wake` gets every group that a change may concern.
    #[must_use]
    pub fn new(clock: Clock, wake: mpsc::UnboundedSender<GroupRef>) -> Self {
        Self { clock, world: Mutex::default(), nodes: Mutex::default(), complete: Mutex::default(), wake }
    }

    /// All first lists of a place, a namespace or (`""`) all of them, are complete: a pod that is new from here on was
    /// not there before.
    pub fn completed(&self, place: &str) {
        self.complete.lock().unwrap_or_else(PoisonError::into_inner).insert(place.to_owned());
    }

    fn is_complete(&self, namespace: &str) -> bool {
        let complete = self.complete.lock().unwrap_or_else(PoisonError::into_inner);
        complete.contains("") || complete.contains(namespace)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Namespace>> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on one namespace, which exists here only as long as there is something in it.
    fn with<T>(&self, namespace: &str, f: impl FnOnce(&mut Namespace, Millis) -> T) -> T {
        let now = self.clock.now();
        let mut world = self.lock();
        let mut space = world.remove(namespace).unwrap_or_default();
        let result = f(&mut space, now);
        if !space.is_empty() {
            world.insert(namespace.to_owned(), space);
        }
        result
    }

    /// Wakes a group.
    pub fn call(&self, group: GroupRef) {
        // The receiver lives as long as the operator.
        let _ = self.wake.send(group);
    }

    fn wake(&self, namespace: &str, groups: impl IntoIterator<Item = Identity>) {
        for id in groups {
            self.call(GroupRef { namespace: namespace.to_owned(), id });
        }
    }

    /// A group was seen, at its newest or at an older version.
    pub fn see_group(&self, group: ElectionGroup) {
        let namespace = group.namespace().unwrap_or_default();
        let woken = self.with(&namespace, |space, now| space.see_group(group, now));
        self.wake(&namespace, woken);
    }

    /// A group's end was seen (`proved`), or a fresh list no longer has it.
    pub fn forget_group(&self, namespace: &str, group: &Identity, proved: bool) {
        let woken = self.with(namespace, |space, _| space.forget_group(group, proved));
        self.wake(namespace, woken);
    }

    /// A pod was seen, at its newest or at an older version.
    pub fn see_pod(&self, pod: Pod) {
        let namespace = pod.namespace().unwrap_or_default();
        let complete = self.is_complete(&namespace);
        let first_seen_at = |now| if complete { now } else { Millis::default() };
        let woken = self.with(&namespace, |space, now| space.see_pod(pod, now, first_seen_at(now)));
        self.wake(&namespace, woken);
    }

    /// A pod is gone: `proved` by its DELETED event or by an answer of the API server, or else merely missing from a
    /// fresh list.
    pub fn forget_pod(&self, namespace: &str, pod: &Identity, proved: bool) {
        let woken = self.with(namespace, |space, now| space.forget_pod(pod, proved, now));
        self.wake(namespace, woken);
    }

    /// A Lease was seen. `own`: this process wrote it just now.
    pub fn see_lease(&self, lease: Lease, own: bool) {
        let namespace = lease.namespace().unwrap_or_default();
        let woken = self.with(&namespace, |space, now| space.see_lease(lease, own, now));
        self.wake(&namespace, woken);
    }

    /// A Lease is gone.
    pub fn forget_lease(&self, namespace: &str, lease: &Identity) {
        let woken = self.with(namespace, |space, _| {
            // A newer Lease of that name may have been seen already.
            space.leases.retain(|_, known| translate::identity(&known.object) != *lease);
            space.groups_of_lease(&lease.name)
        });
        self.wake(namespace, woken);
    }

    /// The API server has no Lease of this name.
    pub fn forget_lease_named(&self, namespace: &str, name: &str) {
        if let Some(known) = self.lease(namespace, name) {
            self.forget_lease(namespace, &translate::identity(&known));
        }
    }

    /// A Service was seen.
    pub fn see_service(&self, service: Service) {
        let namespace = service.namespace().unwrap_or_default();
        let woken = self.with(&namespace, |space, _| space.see_service(service));
        self.wake(&namespace, woken);
    }

    /// A Service is gone.
    pub fn forget_service(&self, namespace: &str, service: &Identity) {
        self.with(namespace, |space, _| {
            space.services.retain(|_, known| translate::identity(known) != *service);
            space.groups.values_mut().for_each(|group| group.forget_warnings(service));
        });
    }

    /// A `PodDisruptionBudget` was seen.
    pub fn see_budget(&self, budget: Budget) {
        let namespace = budget.namespace().unwrap_or_default();
        let woken = self.with(&namespace, |space, _| space.see_budget(budget));
        self.wake(&namespace, woken);
    }

    /// A `PodDisruptionBudget` is gone.
    pub fn forget_budget(&self, namespace: &str, budget: &Identity) {
        self.with(namespace, |space, _| {
            space.budgets.retain(|_, known| translate::identity(known) != *budget);
            space.groups.values_mut().for_each(|group| group.forget_warnings(budget));
        });
    }

    /// This was said.
    pub fn note_warned(&self, group: &GroupRef, warning: Warning) {
        self.with(&group.namespace, |space, _| {
            if let Some(entry) = space.groups.get_mut(&group.id.name) {
                entry.warned.insert(warning);
            }
        });
    }

    /// The API server does not keep this group's record as it is written: without it nothing may be promoted, until the
    /// spec is edited or this process starts anew.
    pub fn note_record_not_kept(&self, group: &GroupRef) {
        self.with(&group.namespace, |space, _| {
            if let Some(entry) = space.groups.get_mut(&group.id.name).filter(|entry| entry.id() == group.id) {
                entry.record_is_not_kept = true;
            }
        });
    }

    fn nodes(&self) -> MutexGuard<'_, Heartbeats> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node's Lease was seen, which it renews every `interval`; returns whether it is a sign of life. A node that comes
    /// back may make its pods eligible.
    pub fn hear_node(&self, node: &str, version: Version, interval: Millis) -> bool {
        let mut nodes = self.nodes();
        let Some(silence) = nodes.hear(node, version, interval, self.clock.now()) else {
            return false;
        };
        if silence > Millis::default() {
            for (namespace, space) in &*self.lock() {
                self.wake(namespace, space.missed(node, silence));
            }
        }
        true
    }

    /// The watch of the nodes' Leases has failed: no node can be heard for now.
    pub fn lose_nodes(&self) {
        self.nodes().lose();
    }

    /// A fresh list has exactly these nodes.
    pub fn keep_nodes(&self, listed: &BTreeSet<String>) {
        self.nodes().keep(listed, self.clock.now());
    }

    /// A node is gone, or at least its Lease: it is silent from now on.
    pub fn forget_node(&self, node: &str) {
        self.nodes().forget(node, self.clock.now());
    }

    /// All pods of the group were listed after its version `known`.
    pub fn note_listed(&self, group: &GroupRef, known: Version) {
        self.with(&group.namespace, |space, _| {
            if let Some(entry) = space.groups.get_mut(&group.id.name) {
                entry.listed_for = Some(known);
            }
        });
    }

    /// Namespace and identity of the objects of one kind in `namespace`, or in all.
    #[must_use]
    pub fn known(&self, kind: Kind, namespace: Option<&str>) -> Vec<(String, Identity)> {
        let world = self.lock();
        let spaces = world.iter().filter(|(name, _)| namespace.is_none_or(|wanted| wanted == *name));
        spaces.flat_map(|(name, space)| space.known(kind).into_iter().map(|id| (name.clone(), id))).collect()
    }

    /// The selector of a group, if it has a valid one.
    #[must_use]
    pub fn selector(&self, group: &GroupRef) -> Option<Selector> {
        let world = self.lock();
        world.get(&group.namespace)?.groups.get(&group.id.name)?.parsed.selector().cloned()
    }

    /// How many groups and candidates there are. A pod that several groups select is a candidate of the oldest alone.
    pub fn count(&self) -> (usize, usize) {
        let world = self.lock();
        let candidates = |space: &Namespace| space.pods.values().filter(|pod| pod.is_candidate()).count();
        world
            .values()
            .fold((0, 0), |(groups, pods), space| (groups + space.groups.len(), pods + candidates(space)))
    }

    /// The group as last seen, if it is there.
    #[must_use]
    pub fn group(&self, group: &GroupRef) -> Option<ElectionGroup> {
        let world = self.lock();
        let entry = world.get(&group.namespace)?.groups.get(&group.id.name)?;
        (entry.object.uid().as_deref() == Some(&group.id.uid)).then(|| entry.object.clone())
    }

    /// The Lease as last seen.
    #[must_use]
    pub fn lease(&self, namespace: &str, name: &str) -> Option<Lease> {
        Some(self.lock().get(namespace)?.leases.get(name)?.object.clone())
    }

    /// The pod as last seen.
    #[must_use]
    pub fn pod(&self, namespace: &str, pod: &Identity) -> Option<Pod> {
        let world = self.lock();
        let entry = world.get(namespace)?.pods.get(&pod.name)?;
        (entry.pod.uid().as_deref() == Some(&pod.uid)).then(|| entry.pod.clone())
    }

    /// The value that a pod's role label had before it was marked, if its controller has let it go since.
    #[must_use]
    pub fn role_to_give_back(&self, namespace: &str, pod: &Identity) -> Option<String> {
        let world = self.lock();
        let entry = world.get(namespace)?.pods.get(&pod.name)?;
        let same = entry.pod.uid().as_deref() == Some(&pod.uid);
        entry.custody.value_before().filter(|_| same).map(str::to_owned)
    }

    /// The label that a group writes, or wrote: known if it was ever seen here.
    #[must_use]
    pub fn role_label(&self, group: &GroupRef) -> Option<RoleLabel> {
        let world = self.lock();
        let space = world.get(&group.namespace)?;
        let living =
            space.groups.get(&group.id.name).filter(|g| g.object.uid().as_deref() == Some(&group.id.uid));
        match living {
            Some(group) => Some(group.parsed.role.clone()),
            None => space.buried.get(&group.id.uid).cloned().flatten(),
        }
    }

    /// Forgets a vanished group about which nothing is left to do.
    pub fn settle_vanished(&self, group: &GroupRef) {
        self.with(&group.namespace, |space, _| space.buried.remove(&group.id.uid));
    }

    /// Everything a plan for `group` is made from.
    #[must_use]
    pub fn observe(&self, group: &GroupRef) -> Observed {
        let mut nodes = self.nodes();
        let wall = self.clock.wall();
        self.with(&group.namespace, |space, now| space.observe(group, now, wall, &mut nodes))
    }
}

/// The kinds of objects that the picture is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        watched == [0; 3] && warned_of == [0; 2] && self.buried.is_empty()
    }

    fn known(&self, kind: Kind) -> Vec<Identity> {
        match kind {
            Kind::Group => self.groups.values().map(Group::id).collect(),
            Kind::Pod => self.pods.values().map(|entry| translate::identity(&entry.pod)).collect(),
            Kind::Service => self.services.values().map(translate::identity).collect(),
            Kind::Budget => self.budgets.values().map(translate::identity).collect(),
            Kind::Lease => self.leases.values().map(|entry| translate::identity(&entry.object)).collect(),
        }
    }

    fn ids<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Vec<Identity> {
        names.into_iter().filter_map(|name| self.groups.get(name).map(Group::id)).collect()
    }

    fn groups_of_lease(&self, lease: &str) -> Vec<Identity> {
        let groups = self.groups.values().filter(|group| group.parsed.lease_name == lease);
        groups.map(Group::id).collect()
    }

    /// The groups for which a node was silent on which they have pods.
    fn missed(&self, node: &str, silence: Millis) -> Vec<Identity> {
        let is_there = |name: &String| {
            self.pods.get(name).is_some_and(|entry| entry.pod.spec.node_name.as_deref() == Some(node))
        };
        let groups = self.groups.values().filter(|group| {
            group.parsed.node_patience().is_some_and(|patience| patience <= silence)
                && group.pods.iter().any(is_there)
        });
        groups.map(Group::id).collect()
    }

    fn see_service(&mut self, service: Service) -> Vec<Identity> {
        let id = translate::identity(&service);
        let before = self.services.get(&id.name);
        if before.is_some_and(|before| before.spec == service.spec && translate::identity(before) == id) {
            return Vec::new();
        }
        let concerned = self.groups.values_mut().filter_map(|group| {
            group.forget_warnings(&id);
            group.parsed.may_be_selected_by(&service).then(|| group.id())
        });
        let woken = concerned.collect();
        self.services.insert(id.name, service);
        woken
    }

    fn see_budget(&mut self, budget: Budget) -> Vec<Identity> {
        let id = translate::identity(&budget);
        let before = self.budgets.get(&id.name);
        if before.is_some_and(|before| before.spec == budget.spec && translate::identity(before) == id) {
            return Vec::new();
        }
        let concerned = self.groups.values_mut().filter_map(|group| {
            group.forget_warnings(&id);
            group.parsed.may_be_guarded_by(&budget).then(|| group.id())
        });
        let woken = concerned.collect();
        self.budgets.insert(id.name, budget);
        woken
    }

    fn see_group(&mut self, object: ElectionGroup, now: Millis) -> Vec<Identity> {
        let id = translate::identity(&object);
        let known = self.groups.get(&id.name);
        let same = known.filter(|known| translate::identity(&known.object) == id);
        if known.is_some_and(|known| translate::version(&known.object) >= translate::version(&object)) {
            return Vec::new();
        }
        if same.is_some_and(|known| known.object.spec == object.spec) {
            if let Some(group) = self.groups.get_mut(&id.name) {
                group.update(object, now);
            }
            return vec![id];
        }
        let notes = same.map(|same| {
            let same_term = term(&same.object) == term(&object);
            let (record_seen_at, cooldown_from) =
                if same_term { (same.record_seen_at, same.cooldown_from) } else { (now, now) };
            (same.gone.clone(), same.listed_for, record_seen_at, cooldown_from, same.warned.clone(), now)
        });
        let replaced = self.groups.get(&id.name).map(Group::id).filter(|known| known.uid != id.uid);
        let mut woken = replaced.map(|replaced| self.forget_group(&replaced, true)).unwrap_or_default();
        self.unindex(&id.name);
        let parsed = ParsedGroup::new(&object);
        for key in parsed.index_keys() {
            self.index.entry(key.clone()).or_default().insert(id.name.clone());
        }
        // An edited spec is a change like any other: what waits for quiet counts from it.
        let (gone, listed_for, record_seen_at, cooldown_from, warned, reported_at) = notes.unwrap_or((
            BTreeMap::new(),
            None,
            now,
            Millis::default(),
            BTreeSet::new(),
            Millis::default(),
        ));
        let mut group = Group {
            object,
            parsed,
            pods: BTreeSet::new(),
            gone,
            listed_for,
            warned,
            record_seen_at,
            cooldown_from,
            reported_at,
            record_is_not_kept: false,
        };
        for (name, entry) in &mut self.pods {
            let changed = if group.parsed.selects(&entry.pod) {
                group.pods.insert(name.clone());
                entry.groups.insert(id.name.clone())
            } else {
                entry.groups.remove(&id.name)
            };
            if changed {
                entry.unfit_seen_at = now;
            }
        }
        self.uids.insert(id.uid, id.name.clone());
        self.groups.insert(id.name, group);
        // Who selects what may have changed for every group of the namespace, those that are gone included.
        woken.extend(self.groups.values().map(Group::id));
        woken.extend(self.orphans());
        woken
    }

    /// Groups that are gone and whose marks are still there.
    fn orphans(&self) -> Vec<Identity> {
        let gone = self.marked.iter().filter(|(uid, _)| !self.uids.contains_key(*uid));
        let pods = gone.filter_map(|(_, pods)| self.pods.get(pods.first()?));
        pods.filter_map(|entry| translate::mark(&entry.pod)).collect()
    }

    fn unindex(&mut self, name: &str) {
        self.index.retain(|_, groups| {
            groups.remove(name);
            !groups.is_empty()
        });
    }

    fn forget_group(&mut self, id: &Identity, proved: bool) -> Vec<Identity> {
        let name = &id.name;
        if proved {
            self.buried.entry(id.uid.clone()).or_insert(None);
        }
        // A newer group of that name may have been seen already.
        if self.groups.get(name).is_none_or(|known| known.id() != *id) {
            return vec![id.clone()];
        }
        let Some(group) = self.groups.remove(name) else {
            return Vec::new();
        };
        self.unindex(name);
        self.uids.remove(&id.uid);
        for pod in &group.pods {
            if let Some(entry) = self.pods.get_mut(pod) {
                entry.groups.remove(name);
            }
        }
        if proved {
            self.buried.insert(id.uid.clone(), Some(group.parsed.role));
        }
        let mut woken = vec![id.clone()];
        woken.extend(self.groups.values().map(Group::id));
        woken.extend(self.orphans());
        woken
    }

    /// The groups whose selector matches.
    fn selecting(&self, pod: &Pod) -> BTreeSet<String> {
        let keyed = pod.labels().iter().filter_map(|(k, v)| self.index.get(&Some((k.clone(), v.clone()))));
        let names = keyed.chain(self.index.get(&None)).flatten();
        let matching =
            names.filter(|name| self.groups.get(*name).is_some_and(|group| group.parsed.selects(pod)));
        matching.cloned().collect()
    }

    /// The group whose mark a pod carries, by its present name if it exists.
    fn marker(&self, pod: &Pod) -> Option<Identity> {
        let mark = translate::mark(pod)?;
        let name = self.uids.get(&mark.uid);
        Some(name.map_or_else(|| mark.clone(), |name| Identity::new(name.clone(), mark.uid.clone())))
    }

    fn see_pod(&mut self, pod: Pod, now: Millis, first_seen_at: Millis) -> Vec<Identity> {
        let id = translate::identity(&pod);
        let mut woken = Vec::new();
        if let Some(known) = self.pods.get(&id.name) {
            if translate::version(&known.pod) >= translate::version(&pod) {
                return woken;
            }
            let known = translate::identity(&known.pod);
            if known.uid != id.uid {
                // A newer pod has this name: the older one is gone.
                woken.extend(self.forget_pod(&known, true, now));
            }
        }
        let groups = self.selecting(&pod);
        let gone =
            |name: &String| self.groups.get(name).is_some_and(|group| group.gone.contains_key(&id.uid));
        if groups.iter().any(gone) {
            return woken; // an event that was still under way when the API server said that the pod is gone
        }
        let before = self.pods.remove(&id.name);
        let marker = translate::mark(&pod).and_then(|mark| self.groups.get(self.uids.get(&mark.uid)?));
        let key = marker.map(|marker| marker.parsed.role.key.as_str());
        let seen = before.as_ref().map(|before| (&before.pod, &before.custody));
        let custody = Custody::next(seen, &pod, key, now);
        let entry = PodEntry { custody, ..PodEntry::new(pod, groups, before.as_ref(), now, first_seen_at) };
        if before.as_ref().is_none_or(|before| !translate::same_but_version(&before.pod, &entry.pod)) {
            woken.extend(before.iter().flat_map(|before| self.unlink(&id.name, before)));
            woken.extend(self.link(&id.name, &entry));
            woken.sort();
            woken.dedup();
        }
        self.pods.insert(id.name, entry);
        woken
    }

    fn forget_pod(&mut self, pod: &Identity, proved: bool, now: Millis) -> Vec<Identity> {
        let known = self.pods.get(&pod.name).filter(|known| translate::identity(&known.pod).uid == pod.uid);
        let was_terminating = known.is_some_and(|known| known.pod.is_terminating());
        let entry = if known.is_some() { self.pods.remove(&pod.name) } else { None };
        let woken = entry.map(|entry| self.unlink(&pod.name, &entry)).unwrap_or_default();
        if proved {
            let gone = Gone { at: now, was_terminating };
            for group in
                self.groups.values_mut().filter(|group| group.may_name(pod) || woken.contains(&group.id()))
            {
                group.bury(&pod.uid, gone);
            }
        }
        woken
    }

    /// Enters a pod into the lists of its groups; returns whom it concerns.
    fn link(&mut self, name: &str, entry: &PodEntry) -> Vec<Identity> {
        for group in &entry.groups {
            if let Some(group) = self.groups.get_mut(group) {
                group.pods.insert(name.to_owned());
            }
        }
        let marker = self.marker(&entry.pod);
        if let Some(marker) = &marker {
            self.marked.entry(marker.uid.clone()).or_default().insert(name.to_owned());
        }
        self.ids(&entry.groups).into_iter().chain(marker).collect()
    }

    /// The reverse of [`Namespace::link`].
    fn unlink(&mut self, name: &str, entry: &PodEntry) -> Vec<Identity> {
        for group in &entry.groups {
            if let Some(group) = self.groups.get_mut(group) {
                group.pods.remove(name);
            }
        }
        let marker = self.marker(&entry.pod);
        if let Some(marker) = &marker
            && let Some(pods) = self.marked.get_mut(&marker.uid)
        {
            pods.remove(name);
            if pods.is_empty() {
                self.marked.remove(&marker.uid);
            }
        }
        self.ids(&entry.groups).into_iter().chain(marker).collect()
    }

    fn see_lease(&mut self, object: Lease, own: bool, now: Millis) -> Vec<Identity> {
        let name = object.name_any();
        let record = translate::lease_record(&object);
        let known = self.leases.get_mut(&name);
        if known.as_ref().is_some_and(|known| {
            let version = known.seen.record.version;
            version > record.version || (version == record.version && !own)
        }) {
            return Vec::new();
        }
        let mut seen = match known {
            Some(known) if known.seen.record.uid == record.uid => {
                let mut seen = known.seen.clone();
                seen.observe(record, now);
                seen
            }
            _ => ObservedLease::first_look(record, now),
        };
        seen.change_was_seen |= own;
        let entry = LeaseEntry { object, seen };
        let before = self.leases.insert(name.clone(), entry);
        let mut woken = self.groups_of_lease(&name);
        if let Some((before, after)) = before.zip(self.leases.get(&name)) {
            woken.retain(|id| {
                self.groups.get(&id.name).is_some_and(|group| group.is_news(&before.seen, &after.seen))
            });
        }
        woken
    }

    fn observe(&self, group: &GroupRef, now: Millis, wall: Micros, nodes: &mut Heartbeats) -> Observed {
        match self.groups.get(&group.id.name).filter(|known| known.id() == group.id) {
            Some(known) => Observed::Group(Box::new(self.snapshot(known, now, wall, nodes))),
            None => self.vanished(&group.id),
        }
    }

    fn vanished(&self, group: &Identity) -> Observed {
        let marked = self.marked.get(&group.uid).into_iter().flatten();
        let orphans = marked.filter_map(|name| self.pods.get(name)).filter(|entry| entry.groups.is_empty());
        let pods = orphans.map(|entry| (translate::identity(&entry.pod), translate::version(&entry.pod)));
        Observed::Vanished { pods: pods.collect(), proved: self.buried.contains_key(&group.uid) }
    }

    fn snapshot(&self, group: &Group, now: Millis, wall: Micros, nodes: &mut Heartbeats) -> Snapshot {
        let id = group.id();
        let marked = self.marked.get(&id.uid).into_iter().flatten();
        let recorded = group.recorded().into_iter().filter_map(|id| self.pods.get_key_value(&id.name));
        let mut names: BTreeSet<&String> = group.pods.iter().chain(marked).collect();
        names.extend(recorded.map(|(name, _)| name));
        let patience = group.parsed.node_patience();
        nodes.look(now);
        let pods = names.into_iter().filter_map(|name| self.pods.get(name)).map(|entry| {
            let mut pod = group.parsed.pod(&entry.pod);
            pod.membership = self.membership(group, entry);
            pod.mark = self.whose(&id, translate::mark(&entry.pod));
            pod.seen_at = entry.seen_at;
            pod.ready_seen_at = entry.ready_seen_at;
            pod.unfit_seen_at = entry.unfit_seen_at;
            pod.let_go = entry.custody.is_let_go();
            pod.node_silent_from = pod
                .node
                .as_ref()
                .zip(patience)
                .and_then(|(node, patience)| nodes.silent_from(node, patience));
            pod
        });
        let lease = self.leases.get(&group.parsed.lease_name).map(|lease| {
            let mut seen = lease.seen.clone();
            seen.record.owner = self.whose(&id, translate::owners(&lease.object));
            seen
        });
        let mut seen = group.parsed.group(&group.object);
        if group.record_is_not_kept {
            seen.policy = Err(translate::record_not_kept());
        }
        let snapshot = Snapshot {
            now,
            wall,
            pods: pods.collect(),
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
    fn services_of(&self, group: &Group) -> Vec<ServiceView> {
        let pods = || group.pods.iter().filter_map(|name| self.pods.get(name)).map(|entry| &entry.pod);
        let views = self.services.values().filter_map(|service| {
            let view = group.parsed.service(service, pods())?;
            Some(ServiceView { other_group: self.other_group_of(group, service), ..view })
        });
        views.collect()
    }

    /// Another group that has pods, all of whose leaders or followers the Service selects.
    fn other_group_of(&self, group: &Group, service: &Service) -> Option<String> {
        if !group.parsed.is_all_that_selects(service) {
            return None;
        }
        let own = group.id().name;
        let mut others = self.groups.iter().filter(|(name, other)| **name != own && !other.pods.is_empty());
        others.find(|(_, other)| other.parsed.is_all_that_selects(service)).map(|(name, _)| name.clone())
    }

    /// The budgets that guard the group's leader alone.
    fn budgets_of(&self, group: &Group) -> Vec<BudgetView> {
        let pods = || group.pods.iter().filter_map(|name| self.pods.get(name)).map(|entry| &entry.pod);
        self.budgets.values().filter_map(|budget| group.parsed.budget(budget, pods())).collect()
    }

    fn membership(&self, group: &Group, entry: &PodEntry) -> Membership {
        let age = |name: &String| {
            let created = self.groups.get(name).map(|g| g.object.creation_timestamp().map(|t| t.0));
            (created, name.clone())
        };
        let name = group.id().name;
        if !entry.groups.contains(&name) {
            return Membership::Deselected;
        }
        match entry.groups.iter().min_by_key(|name| age(name)) {
            Some(oldest) if *oldest != name => Membership::ClaimedBy(oldest.clone()),
            _ => Membership::Selected,
        }
    }

    /// What the groups that an object names are to this one. One that exists counts before one that does not.
    fn whose(&self, group: &Identity, named: impl IntoIterator<Item = Identity>) -> Mark {
        let marks = named.into_iter().map(|id| match self.uids.get(&id.uid) {
            _ if id.uid == group.uid => Mark::Ours,
            Some(name) => Mark::Foreign(Identity::new(name.clone(), id.uid)),
            None => Mark::Orphaned(id),
        });
        let rank = |mark: &Mark| match mark {
            Mark::Ours => 0,
            Mark::Foreign(_) => 1,
            Mark::Orphaned(_) => 2,
            Mark::Absent => 3,
        };
        marks.min_by_key(rank).unwrap_or_default()
    }
}

fn term(group: &ElectionGroup) -> Option<i64> {
    group.status.as_ref().and_then(|status| status.term)
}

impl Group {
    fn id(&self) -> Identity {
        translate::identity(&self.object)
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
    }

    /// The Lease says something new to this group, more than that the recorded leader goes on to hold it. The leader of a
    /// paused group need not be the holder.
    fn is_news(&self, before: &ObservedLease, after: &ObservedLease) -> bool {
        let Some(default_duration) = self.parsed.observed_duration() else { return true };
        let led = self.object.status.as_ref().is_some_and(|status| status.leader.is_some());
        !led || self.object.spec.paused || !after.renews(before, default_duration)
    }

    /// A Service or a budget has changed or is gone: what was said of it does not count any more.
    fn forget_warnings(&mut self, object: &Identity) {
        self.warned.retain(|warning| warning.object.uid != object.uid);
    }

    /// The pods that the record names.
    fn recorded(&self) -> Vec<Identity> {
        let record = translate::record(&self.object);
        let Some(record) = record else { return Vec::new() };
        let unfenced = match record.unfenced {
            Unfenced::All => Vec::new(),
            Unfenced::Pods(pods) => pods,
        };
        unfenced.into_iter().chain(record.leader.map(|leader| leader.id)).collect()
    }

    /// Remembers that a pod is gone: as long as the record names it, or for a while.
    fn bury(&mut self, uid: &str, gone: Gone) {
        const KEPT: usize = 100;
        if self.gone.len() >= KEPT {
            let recorded = self.recorded();
            self.gone.retain(|uid, _| recorded.iter().any(|id| id.uid == *uid));
        }
        self.gone.entry(uid.to_owned()).or_insert(gone);
    }

    /// The status may name the pod, as leader or as unfenced.
    fn may_name(&self, pod: &Identity) -> bool {
        let Some(status) = &self.object.status else { return false };
        let leads = status.leader.as_ref().is_some_and(|leader| leader.uid == pod.uid);
        leads || status.unfenced.iter().any(|entry| entry.ends_with(&pod.uid))
    }
}

impl PodEntry {
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
            translate::unfitness(&before.pod) == translate::unfitness(&pod) && before.groups == groups
        });
        Self {
            seen_at: before.map_or(first_seen_at, |before| before.seen_at),
            ready_seen_at: match (before, ready) {
                (_, Some(same)) => same.ready_seen_at,
                // Whoever was Ready before this process looked has been so for long, as far as anybody knows.
                (None, None) if pod.is_ready() => first_seen_at,
                _ => now,
            },
            unfit_seen_at: unfit.map_or(now, |before| before.unfit_seen_at),
            pod,
            groups,
            custody: Custody::default(),
        }
    }
}
