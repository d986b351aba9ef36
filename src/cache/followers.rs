//! Groups that follow a Lease of another namespace (`lease.namespace`).
//!
//! The namespace of the Lease knows these groups, so that a change of the Lease wakes them. The
//! holder of one namespace's lock must not take another's: what a change of a group means for the
//! other namespace is noted, and done afterwards.

use std::collections::{BTreeSet, HashMap};

use super::cached_group::CachedGroup;
use super::namespace::Namespace;
use super::{Cache, GroupRef};
use crate::planner::Identity;
use crate::planner::ownership::{self, LeaseInterest};
use crate::planner::seen::SeenLease;

/// A Lease in a namespace, by name.
type LeaseName = (String, String);

/// Which groups of other namespaces follow the Leases of one namespace.
#[derive(Debug, Default)]
pub(super) struct Followers {
    /// Groups of other namespaces, by the name of the Lease here.
    here: HashMap<String, BTreeSet<GroupRef>>,
    /// A group of this namespace follows a Lease elsewhere, or does not any more.
    changes: Vec<(LeaseName, Identity, bool)>,
}

impl Followers {
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty()
    }

    /// A group of this namespace is there, or is not any more.
    pub(super) fn note(&mut self, group: &CachedGroup, follows: bool) {
        if let Some(namespace) = &group.spec.lease_namespace {
            let lease = (namespace.clone(), group.spec.lease_name.clone());
            self.changes.push((lease, group.id(), follows));
        }
    }

    fn change(&mut self, lease: &str, group: &GroupRef, follows: bool) {
        let groups = self.here.entry(lease.to_owned()).or_default();
        if follows {
            groups.insert(group.clone());
        } else {
            groups.remove(group);
        }
        if groups.is_empty() {
            self.here.remove(lease);
        }
    }

    /// The groups of other namespaces that follow this Lease.
    pub(super) fn of(&self, lease: &str) -> Vec<GroupRef> {
        self.here.get(lease).into_iter().flatten().cloned().collect()
    }

    pub(super) fn take_changes(&mut self) -> Vec<(LeaseName, Identity, bool)> {
        std::mem::take(&mut self.changes)
    }
}

impl Cache {
    /// Tells other namespaces which groups follow their Leases.
    pub(super) fn tell_followers(&self, namespace: &str, changes: Vec<(LeaseName, Identity, bool)>) {
        for ((of_lease, lease), id, follows) in changes {
            let group = GroupRef { namespace: namespace.to_owned(), id };
            self.change(&of_lease, |space, _| space.followers.change(&lease, &group, follows));
        }
    }

    /// Wakes the groups of other namespaces that a change of their Lease concerns. None: it is
    /// gone, or new.
    pub(super) fn wake_followers(&self, followers: Vec<GroupRef>, change: Option<(&SeenLease, &SeenLease)>) {
        for group in followers {
            let interest = |space: &Namespace| Some(space.group(&group.id)?.lease_interest());
            let is_concerned = |interest: LeaseInterest| {
                change.is_none_or(|(before, after)| ownership::lease_wakes(interest, before, after))
            };
            if self.read(&group.namespace, interest).is_some_and(is_concerned) {
                self.wake_group(group);
            }
        }
    }

    /// The Lease of another namespace that a group follows.
    pub(super) fn followed_lease(&self, group: &GroupRef) -> Option<SeenLease> {
        let lease = |space: &Namespace| {
            let spec = &space.group(&group.id)?.spec;
            Some((spec.lease_namespace.clone()?, spec.lease_name.clone()))
        };
        let (namespace, name) = self.read(&group.namespace, lease)?;
        self.read(&namespace, |space| Some(space.leases.get(&name)?.seen.clone()))
    }

    /// The namespace of a group's Lease, if it is another one than that of the group.
    #[must_use]
    pub fn other_lease_namespace(&self, group: &GroupRef) -> Option<String> {
        self.read(&group.namespace, |space| space.group(&group.id)?.spec.lease_namespace.clone())
    }
}
