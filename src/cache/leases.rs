//! Leases: their content, and since when it holds.

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;

use super::Cache;
use super::cached_group::CachedGroup;
use super::cached_lease::CachedLease;
use super::namespace::{Namespace, Woken, take_out};
use crate::convert;
use crate::planner::seen::SeenLease;
use crate::planner::{Identity, Millis, ownership};

impl Cache {
    /// A watch or an answer has this Lease. `own`: this process has just written it.
    pub fn upsert_lease(&self, lease: Lease, own: bool) {
        let namespace = lease.namespace().unwrap_or_default();
        let name = lease.name_any();
        let (woken, followers, before, after) = self.change(&namespace, |space, now| {
            let seen = |space: &Namespace| space.leases.get(&name).map(|lease| lease.seen.clone());
            let before = seen(space);
            let woken = space.upsert_lease(lease, own, now);
            (woken, space.followers.of(&name), before, seen(space))
        });
        self.wake(&namespace, woken);
        if before != after {
            self.wake_followers(followers, before.as_ref().zip(after.as_ref()));
        }
    }

    /// A Lease was deleted.
    pub fn remove_lease(&self, namespace: &str, lease: &Identity) {
        let (woken, followers) =
            self.change(namespace, |space, _| (space.remove_lease(lease), space.followers.of(&lease.name)));
        self.wake(namespace, woken);
        self.wake_followers(followers, None);
    }

    /// The API server has no Lease of this name.
    pub fn remove_lease_named(&self, namespace: &str, name: &str) {
        if let Some(known) = self.lease(namespace, name) {
            self.remove_lease(namespace, &convert::identity(&known));
        }
    }

    /// The Lease as last seen.
    #[must_use]
    pub fn lease(&self, namespace: &str, name: &str) -> Option<Lease> {
        self.read(namespace, |space| Some(space.leases.get(name)?.object.clone()))
    }
}

impl Namespace {
    fn upsert_lease(&mut self, object: Lease, own: bool, now: Millis) -> Woken {
        let name = object.name_any();
        let content = convert::lease_content(&object);
        let known = self.leases.get_mut(&name);
        if known.as_ref().is_some_and(|known| {
            let version = known.seen.content.version;
            version > content.version || (version == content.version && !own)
        }) {
            return Woken::new();
        }
        let mut seen = match known {
            Some(known) if known.seen.content.uid == content.uid => {
                let mut seen = known.seen.clone();
                seen.note(content, now);
                seen
            }
            _ => SeenLease::first_seen(content, now),
        };
        seen.change_was_seen |= own;
        let entry = CachedLease { object, seen, learned_at: now };
        let before = self.leases.remove(&name);
        self.note_owners(before.as_ref(), Some(&entry));
        let mut woken = self.groups_of_lease(&name);
        if let Some(before) = &before {
            woken.retain(|id| {
                let group = self.groups.get(&id.name).map(CachedGroup::lease_interest);
                group.is_some_and(|group| ownership::lease_wakes(group, &before.seen, &entry.seen))
            });
        }
        self.leases.insert(name, entry);
        woken
    }

    fn remove_lease(&mut self, lease: &Identity) -> Woken {
        // The cache may already have a newer Lease of this name.
        let is_known =
            self.leases.get(&lease.name).is_some_and(|known| convert::identity(&known.object) == *lease);
        if is_known {
            let before = self.leases.remove(&lease.name);
            self.note_owners(before.as_ref(), None);
        }
        self.groups_of_lease(&lease.name)
    }

    fn note_owners(&mut self, before: Option<&CachedLease>, after: Option<&CachedLease>) {
        for (uid, lease) in before.into_iter().flat_map(CachedLease::owners) {
            take_out(&mut self.leases_by_owner, &uid, &lease);
        }
        for (uid, lease) in after.into_iter().flat_map(CachedLease::owners) {
            self.leases_by_owner.entry(uid).or_default().insert(lease);
        }
    }
}
