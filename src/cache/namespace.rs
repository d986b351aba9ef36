//! One namespace: its objects, and the indexes that find whom a change concerns.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Kind;
use super::cached_group::CachedGroup;
use super::cached_lease::CachedLease;
use super::cached_pod::CachedPod;
use super::followers::Followers;
use super::pods_by_label::PodsByLabel;
use super::routes::CachedSlice;
use crate::api::{Budget, Pod, Service};
use crate::convert::{self, RoleLabel};
use crate::planner::{Identity, Millis, Version};

/// The groups that a change concerns, in an order that does not depend on chance.
pub(super) type Woken = BTreeSet<Identity>;

/// One namespace. All keys are names of objects in it, unless a comment says otherwise.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    pub(super) groups: BTreeMap<String, CachedGroup>,
    /// Groups whose newest version cannot be read. If an older version could be read, the group is
    /// in `groups`, too.
    pub(super) unreadable: BTreeMap<String, (Identity, Version)>,
    /// Boxed, as half of the places in a tree are empty.
    pub(super) pods: BTreeMap<String, Box<CachedPod>>,
    pub(super) leases: BTreeMap<String, CachedLease>,
    pub(super) services: BTreeMap<String, Service>,
    pub(super) budgets: BTreeMap<String, Budget>,
    /// `EndpointSlice`s of this operator.
    pub(super) slices: BTreeMap<String, CachedSlice>,
    /// Groups by a label that each of their pods has. `None` has the groups without such a label.
    pub(super) groups_by_label: HashMap<Option<(String, String)>, BTreeSet<String>>,
    /// Pods by the labels of `groups_by_label`.
    pub(super) pods_by_label: PodsByLabel,
    /// Names of groups by their UID.
    pub(super) group_names: HashMap<String, String>,
    /// Groups by the name of their Lease, if it is in this namespace.
    pub(super) groups_by_lease: HashMap<String, BTreeSet<String>>,
    /// Groups by the Services that they route.
    pub(super) groups_by_service: HashMap<String, BTreeSet<String>>,
    /// Slices by the UID of the group that owns them.
    pub(super) slices_by_owner: HashMap<String, BTreeSet<String>>,
    /// Slices by the Service that they name.
    pub(super) slices_by_service: HashMap<String, BTreeSet<String>>,
    /// Groups of other namespaces that follow a Lease of this one.
    pub(super) followers: Followers,
    /// Groups by the UIDs of the pods that their record names.
    pub(super) groups_by_recorded_pod: HashMap<String, BTreeSet<String>>,
    /// Leases by the UIDs of the groups that own them.
    pub(super) leases_by_owner: HashMap<String, BTreeSet<String>>,
    /// Services by the label keys that they select by.
    pub(super) services_by_key: HashMap<String, BTreeSet<String>>,
    /// Pods by the UID of the group that owns them.
    pub(super) pods_by_owner: HashMap<String, BTreeSet<String>>,
    /// Pods that a group selects, by their node.
    pub(super) pods_by_node: HashMap<String, BTreeSet<String>>,
    /// Groups whose deletion is proved, by their UID.
    pub(super) deleted_groups: HashMap<String, DeletedGroup>,
    /// The namespace was empty and has left the map. A task that waited for this lock must look for
    /// the namespace again.
    pub(super) is_removed: bool,
}

/// What is left to know of a deleted group.
#[derive(Debug)]
pub(super) struct DeletedGroup {
    /// Its role label, if the group was seen.
    pub(super) role: Option<RoleLabel>,
    /// When the deletion was proved.
    pub(super) at: Millis,
}

/// Removes a name from an index, and its key with the last name.
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
        let others = [self.services.len(), self.budgets.len(), self.slices.len()];
        let is_watched = watched != [0; 3] || others != [0; 3];
        !is_watched
            && self.deleted_groups.is_empty()
            && self.unreadable.is_empty()
            && self.followers.is_empty()
    }

    pub(super) fn known(&self, kind: Kind) -> Vec<Identity> {
        match kind {
            Kind::Group => {
                let unreadable = self.unreadable.iter().filter(|(name, _)| !self.groups.contains_key(*name));
                let groups = self.groups.values().map(CachedGroup::id);
                groups.chain(unreadable.map(|(_, (id, _))| id.clone())).collect()
            }
            Kind::Pod => self.pods.values().map(|entry| convert::identity(&entry.pod)).collect(),
            Kind::Service => self.services.values().map(convert::identity).collect(),
            Kind::Budget => self.budgets.values().map(convert::identity).collect(),
            Kind::Slice => self.slices.values().map(|entry| convert::identity(&entry.object)).collect(),
            Kind::Lease => self.leases.values().map(|entry| convert::identity(&entry.object)).collect(),
        }
    }

    pub(super) fn group(&self, id: &Identity) -> Option<&CachedGroup> {
        self.groups.get(&id.name).filter(|group| group.is(id))
    }

    pub(super) fn group_mut(&mut self, id: &Identity) -> Option<&mut CachedGroup> {
        self.groups.get_mut(&id.name).filter(|group| group.is(id))
    }

    pub(super) fn node_patience(&self, group: &str) -> Option<Millis> {
        self.groups.get(group)?.spec.node_patience()
    }

    pub(super) fn ids<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Woken {
        names.into_iter().filter_map(|name| self.groups.get(name).map(CachedGroup::id)).collect()
    }

    pub(super) fn groups_of_lease(&self, lease: &str) -> Woken {
        self.ids(self.groups_by_lease.get(lease).into_iter().flatten())
    }

    /// The record of a group named the pods `before` and names the pods `after`.
    pub(super) fn note_recorded(&mut self, name: &str, before: &[Identity], after: &[Identity]) {
        for pod in before {
            take_out(&mut self.groups_by_recorded_pod, &pod.uid, name);
        }
        for pod in after {
            self.groups_by_recorded_pod.entry(pod.uid.clone()).or_default().insert(name.to_owned());
        }
    }

    /// The group that owns a pod, by its present name if the group exists.
    fn owner_of_pod(&self, pod: &Pod) -> Option<Identity> {
        let owner = convert::owner(pod)?;
        Some(match self.group_names.get(&owner.uid) {
            Some(name) => Identity::new(name.clone(), owner.uid),
            None => owner,
        })
    }

    /// The groups that a change of a pod concerns: those that select it, and its owner.
    pub(super) fn concerned_by_pod(&self, entry: &CachedPod) -> Woken {
        self.ids(&entry.groups).into_iter().chain(self.owner_of_pod(&entry.pod)).collect()
    }

    /// The groups that the appearance or the deletion of a group with this UID concerns: it owns
    /// one of their pods, or their Lease.
    pub(super) fn concerned_by_group(&self, uid: &str) -> Woken {
        let pods = self.pods_by_owner.get(uid).into_iter().flatten().filter_map(|pod| self.pods.get(pod));
        let of_pods = pods.flat_map(|entry| {
            let recorded =
                entry.pod.metadata.uid.as_ref().and_then(|uid| self.groups_by_recorded_pod.get(uid));
            self.ids(entry.groups.iter().chain(recorded.into_iter().flatten()))
        });
        let leases = self.leases_by_owner.get(uid).into_iter().flatten();
        of_pods.chain(leases.flat_map(|lease| self.groups_of_lease(lease))).collect()
    }
}
