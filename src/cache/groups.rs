//! Groups: which exist, and which pods each of them selects.

use kube::ResourceExt;
use kube::core::Selector;

use super::cached_group::CachedGroup;
use super::namespace::{Namespace, Woken, take_out};
use super::{Cache, GroupRef, Kind};
use crate::api::ElectionGroup;
use crate::convert::{self, CompiledSpec, RoleLabel};
use crate::planner::{Identity, Millis, Version};

impl Cache {
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

    /// The API server does not keep this group's record as it is written: without it nothing may be promoted, until the
    /// spec is edited or this process starts anew.
    pub fn note_record_not_kept(&self, group: &GroupRef) {
        self.with(&group.namespace, |space, _| {
            if let Some(entry) = space.group_mut(&group.id) {
                entry.record_is_not_kept = true;
            }
        });
    }

    /// All pods of the group were listed after its version `known`.
    pub fn note_listed(&self, group: &GroupRef, known: Version) {
        self.with(&group.namespace, |space, _| {
            if let Some(entry) = space.group_mut(&group.id) {
                entry.listed_for = Some(known);
            }
        });
    }

    /// The selector of a group, if it has a valid one.
    #[must_use]
    pub fn selector(&self, group: &GroupRef) -> Option<Selector> {
        self.look(&group.namespace, |space| space.group(&group.id)?.spec.selector().cloned())
    }

    /// The group as last seen, if it is there.
    #[must_use]
    pub fn group(&self, group: &GroupRef) -> Option<ElectionGroup> {
        self.look(&group.namespace, |space| Some(space.group(&group.id)?.object.clone()))
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
}

impl Namespace {
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
}
