//! Pods: which groups select each of them, and since when their facts hold.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::cached_pod::CachedPod;
use super::controller_release::ControllerRelease;
use super::namespace::{Namespace, Woken, take_out};
use super::{Cache, Kind};
use crate::api::Pod;
use crate::convert;
use crate::planner::seen::GonePod;
use crate::planner::{Identity, Millis};

impl Cache {
    /// A watch or an answer has this pod, at its newest or at an older version.
    pub fn upsert_pod(&self, pod: Pod) {
        let namespace = pod.namespace().unwrap_or_default();
        let is_synced = self.is_synced(&namespace);
        let first_seen_at = |now| if is_synced { now } else { Millis::default() };
        let woken = self.change(&namespace, |space, now| {
            let id = convert::identity(&pod);
            if self.is_deleted(Kind::Pod, &namespace, &id) {
                return Woken::new(); // the event or answer was sent before the deletion
            }
            let before = space.identity_of(Kind::Pod, &id.name);
            let woken = space.upsert_pod(pod, now, first_seen_at(now));
            self.note_replaced(space, Kind::Pod, &namespace, before, now);
            woken
        });
        self.wake(&namespace, woken);
    }

    /// A pod was deleted, or a fresh list does not have it. The deletion is `proved` by a DELETED
    /// event or by an answer of the API server.
    pub fn remove_pod(&self, namespace: &str, pod: &Identity, proved: bool) {
        let woken = self.change(namespace, |space, now| {
            self.note_deleted(Kind::Pod, namespace, pod, proved, now);
            space.remove_pod(pod, proved, now)
        });
        self.wake(namespace, woken);
    }

    /// The pod as last seen.
    #[must_use]
    pub fn pod(&self, namespace: &str, pod: &Identity) -> Option<Pod> {
        self.read(namespace, |space| {
            let entry = space.pods.get(&pod.name)?;
            (entry.pod.metadata.uid.as_ref() == Some(&pod.uid)).then(|| entry.pod.clone())
        })
    }

    /// The value that a pod's role label had before the operator wrote it, if the pod's controller
    /// has released the pod since.
    #[must_use]
    pub fn role_to_give_back(&self, namespace: &str, pod: &Identity) -> Option<String> {
        self.read(namespace, |space| {
            let entry = space.pods.get(&pod.name)?;
            let same = entry.pod.uid().as_deref() == Some(&pod.uid);
            entry.release.value_before().filter(|_| same).map(str::to_owned)
        })
    }
}

impl Namespace {
    /// The groups whose selector matches the pod.
    fn selecting(&self, pod: &Pod) -> BTreeSet<String> {
        let keyed =
            pod.labels().iter().filter_map(|(k, v)| self.groups_by_label.get(&Some((k.clone(), v.clone()))));
        let names = keyed.chain(self.groups_by_label.get(&None)).flatten();
        let matching =
            names.filter(|name| self.groups.get(*name).is_some_and(|group| group.spec.selects(pod)));
        matching.cloned().collect()
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
                // A newer pod has this name: the older one is deleted.
                woken.extend(self.remove_pod(&known, true, now));
            }
        }
        let groups = self.selecting(&pod);
        let is_gone =
            |name: &String| self.groups.get(name).is_some_and(|group| group.gone.contains_key(&id.uid));
        if groups.iter().any(is_gone) {
            return woken; // the event was sent before the API server proved the deletion
        }
        let before = self.pods.remove(&id.name);
        let owner = convert::owner(&pod).and_then(|owner| self.groups.get(self.group_names.get(&owner.uid)?));
        let role_key = owner.map(|owner| owner.spec.role.key.as_str());
        let seen = before.as_ref().map(|before| (&before.pod, &before.release));
        let release = ControllerRelease::next(seen, &pod, role_key, now);
        let entry = CachedPod::new(pod, groups, before.as_deref(), now, first_seen_at);
        let entry = Box::new(CachedPod { release, ..entry });
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
        let had_ended = known.is_some_and(|known| known.pod.has_ended());
        let entry = if known.is_some() { self.pods.remove(&pod.name) } else { None };
        let woken = entry.map(|entry| self.unlink(&pod.name, &entry)).unwrap_or_default();
        if proved {
            let gone = GonePod { at: now, was_terminating, had_ended };
            let recorded = self.ids(self.groups_by_recorded_pod.get(&pod.uid).into_iter().flatten());
            for id in recorded.iter().chain(&woken) {
                if let Some(group) = self.group_mut(id) {
                    group.note_gone(&pod.uid, gone);
                }
            }
        }
        woken
    }

    /// Enters a pod into the indexes. Returns the groups that it concerns.
    fn link(&mut self, name: &str, entry: &CachedPod) -> Woken {
        self.pods_by_label.enter(name, entry.pod.labels());
        for group in &entry.groups {
            if let Some(group) = self.groups.get_mut(group) {
                group.pods.insert(name.to_owned(), group.spec.weight(&entry.pod));
            }
        }
        if let Some(node) = entry.pod.spec.node_name.as_ref().filter(|_| !entry.groups.is_empty()) {
            self.pods_by_node.entry(node.clone()).or_default().insert(name.to_owned());
        }
        if let Some(owner) = convert::owner(&entry.pod) {
            self.pods_by_owner.entry(owner.uid).or_default().insert(name.to_owned());
        }
        self.concerned_by_pod(entry)
    }

    /// The reverse of [`Namespace::link`].
    fn unlink(&mut self, name: &str, entry: &CachedPod) -> Woken {
        self.pods_by_label.leave(name, entry.pod.labels());
        for group in &entry.groups {
            if let Some(group) = self.groups.get_mut(group) {
                group.pods.remove(name);
            }
        }
        if let Some(node) = &entry.pod.spec.node_name {
            take_out(&mut self.pods_by_node, node, name);
        }
        if let Some(owner) = convert::owner(&entry.pod) {
            take_out(&mut self.pods_by_owner, &owner.uid, name);
        }
        self.concerned_by_pod(entry)
    }
}
