//! What one namespace has, with its indexes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Kind;
use super::cached_group::CachedGroup;
use super::leases::CachedLease;
use super::pods::CachedPod;
use crate::api::{Budget, Pod, Service};
use crate::convert::{self, RoleLabel};
use crate::planner::{Identity, Millis, Version};

/// Whom a change concerns, in an order that does not depend on chance.
pub(super) type Woken = BTreeSet<Identity>;

#[derive(Debug, Default)]
pub(super) struct Namespace {
    pub(super) groups: BTreeMap<String, CachedGroup>,
    /// Groups whose newest version cannot be read, by name. Those that could be read before are in `groups`, too.
    pub(super) unreadable: BTreeMap<String, (Identity, Version)>,
    pub(super) pods: BTreeMap<String, CachedPod>,
    pub(super) leases: BTreeMap<String, CachedLease>,
    pub(super) services: BTreeMap<String, Service>,
    pub(super) budgets: BTreeMap<String, Budget>,
    /// Groups by one label that every pod of theirs has; those without one under `None`.
    pub(super) index: HashMap<Option<(String, String)>, BTreeSet<String>>,
    /// Names of groups by UID.
    pub(super) uids: HashMap<String, String>,
    /// Groups by the name of their Lease.
    pub(super) leased: HashMap<String, BTreeSet<String>>,
    /// Groups by the UIDs of the pods that their record names.
    pub(super) recorded: HashMap<String, BTreeSet<String>>,
    /// Leases by the UIDs of the groups that own them.
    pub(super) owned: HashMap<String, BTreeSet<String>>,
    /// Services by the keys that they select by.
    pub(super) services_by_key: HashMap<String, BTreeSet<String>>,
    /// Pods by the UID of the group whose mark they carry.
    pub(super) marked: HashMap<String, BTreeSet<String>>,
    /// Pods that a group selects, by their node.
    pub(super) nodes: HashMap<String, BTreeSet<String>>,
    /// Groups whose end is proved, by UID, with the label they wrote.
    pub(super) deleted_groups: HashMap<String, Option<RoleLabel>>,
    /// It was empty and has been taken out of the map: whoever waited for its lock must look again.
    pub(super) is_left: bool,
}

pub(super) fn take_out(index: &mut HashMap<String, BTreeSet<String>>, key: &str, name: &str) {
    if let Some(names) = index.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            index.remove(key);
        }
    }
}

impl Namespace {
    pub(super) fn is_empty(&self) -> bool {
        let watched = [self.groups.len(), self.pods.len(), self.leases.len()];
        let warned_of = [self.services.len(), self.budgets.len()];
        let is_watched = watched != [0; 3] || warned_of != [0; 2];
        !is_watched && self.deleted_groups.is_empty() && self.unreadable.is_empty()
    }

    pub(super) fn known(&self, kind: Kind) -> Vec<Identity> {
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

    pub(super) fn group(&self, id: &Identity) -> Option<&CachedGroup> {
        self.groups.get(&id.name).filter(|group| group.is(id))
    }

    pub(super) fn group_mut(&mut self, id: &Identity) -> Option<&mut CachedGroup> {
        self.groups.get_mut(&id.name).filter(|group| group.is(id))
    }

    pub(super) fn patience(&self, group: &str) -> Option<Millis> {
        self.groups.get(group)?.spec.node_patience()
    }

    pub(super) fn ids<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Woken {
        names.into_iter().filter_map(|name| self.groups.get(name).map(CachedGroup::id)).collect()
    }

    pub(super) fn groups_of_lease(&self, lease: &str) -> Woken {
        self.ids(self.leased.get(lease).into_iter().flatten())
    }

    pub(super) fn note_recorded(&mut self, name: &str, before: &[Identity], after: &[Identity]) {
        for pod in before {
            take_out(&mut self.recorded, &pod.uid, name);
        }
        for pod in after {
            self.recorded.entry(pod.uid.clone()).or_default().insert(name.to_owned());
        }
    }

    /// The group whose mark a pod carries, by its present name if it exists.
    pub(super) fn marker(&self, pod: &Pod) -> Option<Identity> {
        let mark = convert::owner(pod)?;
        let name = self.uids.get(&mark.uid);
        Some(name.map_or_else(|| mark.clone(), |name| Identity::new(name.clone(), mark.uid.clone())))
    }

    /// The groups that select a pod, and the one whose mark it carries.
    pub(super) fn concerned(&self, entry: &CachedPod) -> Woken {
        self.ids(&entry.groups).into_iter().chain(self.marker(&entry.pod)).collect()
    }

    /// Whom it concerns that there is a group of this UID, or no more: those that see its mark on a pod, and those whose
    /// Lease it owns.
    pub(super) fn concerned_by(&self, uid: &str) -> Woken {
        let marked = self.marked.get(uid).into_iter().flatten().filter_map(|pod| self.pods.get(pod));
        let of_pods = marked.flat_map(|entry| {
            let recorded = entry.pod.metadata.uid.as_ref().and_then(|uid| self.recorded.get(uid));
            self.ids(entry.groups.iter().chain(recorded.into_iter().flatten()))
        });
        let owned = self.owned.get(uid).into_iter().flatten();
        of_pods.chain(owned.flat_map(|lease| self.groups_of_lease(lease))).collect()
    }
}
