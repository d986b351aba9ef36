//! Groups: which ones exist, and which pods each of them selects.

use std::collections::BTreeSet;

use kube::ResourceExt;
use kube::core::Selector;

use super::cached_group::CachedGroup;
use super::namespace::{DeletedGroup, Namespace, Woken, take_out};
use super::{Cache, GroupRef, Kind};
use crate::api::{ElectionGroup, Mode};
use crate::convert::{self, CompiledSpec, RoleLabel};
use crate::planner::seen::{CandidateReport, LeaderRecord};
use crate::planner::{Identity, Millis, Version};

impl Cache {
    /// A watch or an answer has this group, at its newest or at an older version.
    pub fn upsert_group(&self, group: ElectionGroup) {
        let namespace = group.namespace().unwrap_or_default();
        let woken = self.change(&namespace, |space, now| {
            let id = convert::identity(&group);
            if self.is_deleted(Kind::Group, &namespace, &id) {
                return Woken::new();
            }
            let before = space.identity_of(Kind::Group, &id.name);
            let woken = space.upsert_group(group, now);
            self.note_replaced(space, Kind::Group, &namespace, before, now);
            woken
        });
        self.wake(&namespace, woken);
    }

    /// A watch or an answer has this group, and this version of it cannot be read.
    pub fn upsert_unreadable_group(&self, namespace: &str, group: &Identity, version: Version) {
        let woken = self.change(namespace, |space, now| {
            if self.is_deleted(Kind::Group, namespace, group) {
                return Woken::new();
            }
            space.upsert_unreadable_group(group, version, now)
        });
        self.wake(namespace, woken);
    }

    /// A group was deleted (`proved`), or a fresh list does not have it.
    pub fn remove_group(&self, namespace: &str, group: &Identity, proved: bool) {
        let woken = self.change(namespace, |space, now| {
            self.note_deleted(Kind::Group, namespace, group, proved, now);
            space.remove_group(group, proved, now)
        });
        self.wake(namespace, woken);
    }

    /// The API server does not keep this group's record as the operator writes it.
    ///
    /// No pod may be promoted without a record (S3). The group is refused until its spec is edited
    /// or this process restarts.
    pub fn note_record_not_kept(&self, group: &GroupRef) {
        self.change(&group.namespace, |space, _| {
            if let Some(entry) = space.group_mut(&group.id) {
                entry.record_is_not_kept = true;
            }
        });
    }

    /// The API server has cut from the status what these reports say of single pods. They count as
    /// told: another write would be cut, too.
    pub fn note_pods_cut(&self, group: &GroupRef, pods: Vec<CandidateReport>) {
        self.change(&group.namespace, |space, _| {
            if let Some(entry) = space.group_mut(&group.id) {
                entry.cut_pods = pods;
            }
        });
    }

    /// This process's report produced this version of the group.
    pub fn note_reported(&self, group: &GroupRef, version: Version) {
        self.change(&group.namespace, |space, _| {
            if let Some(entry) = space.group_mut(&group.id) {
                entry.own_report = Some(version);
            }
        });
    }

    /// All pods of the group were listed after the cache had its version `known`.
    pub fn note_listed(&self, group: &GroupRef, known: Version) {
        self.change(&group.namespace, |space, _| {
            if let Some(entry) = space.group_mut(&group.id) {
                entry.listed_for = Some(known);
            }
        });
    }

    /// The selector of a group, if it has a valid one.
    #[must_use]
    pub fn selector(&self, group: &GroupRef) -> Option<Selector> {
        self.read(&group.namespace, |space| space.group(&group.id)?.spec.selector().cloned())
    }

    /// The group as last seen, if it exists.
    #[must_use]
    pub fn group(&self, group: &GroupRef) -> Option<ElectionGroup> {
        self.read(&group.namespace, |space| Some(space.group(&group.id)?.object.clone()))
    }

    /// The record of the group as last seen.
    #[must_use]
    pub fn record(&self, group: &GroupRef) -> Option<LeaderRecord> {
        self.read(&group.namespace, |space| convert::record(&space.group(&group.id)?.object))
    }

    /// Whether the group is of Nominated mode.
    #[must_use]
    pub fn nominates(&self, group: &GroupRef) -> bool {
        let mode = self.read(&group.namespace, |space| Some(space.group(&group.id)?.object.spec.mode));
        mode == Some(Mode::Nominated)
    }

    /// The role label of a group, or of a deleted group that this process has seen.
    #[must_use]
    pub fn role_label(&self, group: &GroupRef) -> Option<RoleLabel> {
        self.read(&group.namespace, |space| match space.group(&group.id) {
            Some(group) => Some(group.spec.role.clone()),
            None => space.deleted_groups.get(&group.id.uid)?.role.clone(),
        })
    }

    /// Forgets a deleted group of which nothing is left to clean up.
    pub fn forget_deleted(&self, group: &GroupRef) {
        self.change(&group.namespace, |space, _| space.deleted_groups.remove(&group.id.uid));
    }
}

/// The key of the labels of which each pod of the group has one. All of them have one key.
fn index_key(spec: &CompiledSpec) -> Option<&str> {
    spec.index_keys().iter().flatten().map(|(key, _)| key.as_str()).next()
}

impl Namespace {
    pub(super) fn upsert_group(&mut self, object: ElectionGroup, now: Millis) -> Woken {
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

    /// The same group at a newer version, with the same spec.
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

    /// A new group, or one with an edited spec.
    fn enter_group(&mut self, object: ElectionGroup, id: &Identity, now: Millis) -> Woken {
        let mut woken = Woken::from([id.clone()]);
        let replaced = self.groups.get(&id.name).map(CachedGroup::id).filter(|known| known.uid != id.uid);
        if let Some(replaced) = replaced {
            woken.extend(self.remove_group(&replaced, true, now));
        }
        let spec = CompiledSpec::new(&object);
        let group = match self.unindex(&id.name) {
            Some(before) => {
                woken.extend(self.rivals(&before));
                before.respecified(object, spec, now)
            }
            None => CachedGroup::new(object, spec, now),
        };
        woken.extend(self.rivals(&group));
        woken.extend(self.index_group(id, group, now));
        if self.group_names.insert(id.uid.clone(), id.name.clone()).is_none() {
            woken.extend(self.concerned_by_group(&id.uid));
        }
        woken
    }

    /// Enters a group into all indexes. Returns the groups that its selection concerns.
    fn index_group(&mut self, id: &Identity, mut group: CachedGroup, now: Millis) -> Woken {
        for key in group.spec.index_keys() {
            self.groups_by_label.entry(key.clone()).or_default().insert(id.name.clone());
        }
        if group.spec.lease_namespace.is_none() {
            self.groups_by_lease.entry(group.spec.lease_name.clone()).or_default().insert(id.name.clone());
        }
        for service in group.spec.routed_services() {
            self.groups_by_service.entry(service.clone()).or_default().insert(id.name.clone());
        }
        self.followers.note(&group, true);
        self.note_recorded(&id.name, &[], &group.recorded());
        if let Some(key) = index_key(&group.spec) {
            let pods = self.pods.iter().map(|(name, entry)| (name, entry.pod.labels()));
            self.pods_by_label.hold(key, pods);
        }
        group.services = self.services_for(&group.spec);
        group.budgets = self.budgets_for(&group.spec);
        let changed = self.select_pods(id, &mut group, now);
        self.groups.insert(id.name.clone(), group);
        changed.into_iter().flat_map(|pod| self.selectors_changed(&pod)).collect()
    }

    /// Enters a group with a new selector into its pods. Returns the pods that it did not select
    /// before, or does not select now.
    fn select_pods(&mut self, id: &Identity, group: &mut CachedGroup, now: Millis) -> Vec<String> {
        let mut names = self.pods_to_match(&group.spec);
        names.extend(std::mem::take(&mut group.pods).into_keys());
        names.retain(|name| {
            let Some(entry) = self.pods.get_mut(name) else { return false };
            let is_selected = group.spec.selects(&entry.pod);
            let was_selected = if is_selected {
                group.pods.insert(name.clone(), group.spec.weight(&entry.pod));
                !entry.groups.insert(id.name.clone())
            } else {
                entry.groups.remove(&id.name)
            };
            let changes = was_selected != is_selected;
            if changes {
                entry.standing_changed_at = now;
            }
            changes
        });
        names.into_iter().collect()
    }

    /// The pods that the selector may match: those with one of its labels, or all.
    fn pods_to_match(&self, spec: &CompiledSpec) -> BTreeSet<String> {
        let labels = spec.index_keys().iter().map(Option::as_ref).collect::<Option<Vec<_>>>();
        match labels {
            Some(labels) => labels
                .into_iter()
                .flat_map(|(key, value)| self.pods_by_label.with(key, value))
                .cloned()
                .collect(),
            None => self.pods.keys().cloned().collect(),
        }
    }

    /// Takes a group out of the indexes. Its pods still have its name in their lists of groups.
    fn unindex(&mut self, name: &str) -> Option<CachedGroup> {
        let group = self.groups.remove(name)?;
        for key in group.spec.index_keys() {
            if let Some(names) = self.groups_by_label.get_mut(key) {
                names.remove(name);
                if names.is_empty() {
                    self.groups_by_label.remove(key);
                }
            }
        }
        if let Some(key) = index_key(&group.spec) {
            self.pods_by_label.release(key);
        }
        take_out(&mut self.groups_by_lease, &group.spec.lease_name, name);
        for service in group.spec.routed_services() {
            take_out(&mut self.groups_by_service, service, name);
        }
        self.followers.note(&group, false);
        self.note_recorded(name, &group.recorded(), &[]);
        Some(group)
    }

    /// Other groups than before select this pod. Returns the groups that this concerns.
    fn selectors_changed(&mut self, pod: &str) -> Woken {
        let Some(entry) = self.pods.get(pod) else { return Woken::new() };
        if let Some(node) = &entry.pod.spec.node_name {
            if entry.groups.is_empty() {
                take_out(&mut self.pods_by_node, node, pod);
            } else {
                self.pods_by_node.entry(node.clone()).or_default().insert(pod.to_owned());
            }
        }
        self.concerned_by_pod(entry)
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
            woken.extend(self.remove_group(&other, true, now));
        }
        if let Some(group) = self.groups.get_mut(&id.name) {
            group.learned_at = now;
        }
        self.unreadable.insert(id.name.clone(), (id.clone(), version));
        if self.group_names.insert(id.uid.clone(), id.name.clone()).is_none() {
            woken.extend(self.concerned_by_group(&id.uid));
        }
        woken
    }

    fn remove_group(&mut self, id: &Identity, proved: bool, now: Millis) -> Woken {
        let name = &id.name;
        let mut woken = Woken::from([id.clone()]);
        if proved {
            self.deleted_groups.entry(id.uid.clone()).or_insert(DeletedGroup { role: None, at: now });
        }
        if self.unreadable.get(name).is_some_and(|(unreadable, _)| unreadable == id) {
            self.unreadable.remove(name);
        }
        // The cache may already have a newer group of this name.
        if self.group(id).is_some()
            && let Some(group) = self.unindex(name)
        {
            woken.extend(self.rivals(&group));
            for pod in group.pods.keys() {
                if let Some(entry) = self.pods.get_mut(pod) {
                    entry.groups.remove(name);
                }
                woken.extend(self.selectors_changed(pod));
            }
            if let Some(deleted) = self.deleted_groups.get_mut(&id.uid) {
                deleted.role = Some(group.spec.role);
            }
        }
        // An owner annotation may have this UID with another name.
        if self.group_names.get(&id.uid) == Some(name) {
            self.group_names.remove(&id.uid);
            woken.extend(self.concerned_by_group(&id.uid));
        }
        woken
    }
}
