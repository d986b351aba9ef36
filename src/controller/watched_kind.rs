//! The kinds that the operator watches in its scopes, and where their objects go in the cache.
//!
//! A new kind is one more impl here, and one line in [`super::watches`].

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;

use super::checks::Check;
use crate::api::{Budget, EndpointSlice, Lease, Pod, Service, Slim, SlimGroup};
use crate::cache::{Cache, Kind, Scope};
use crate::planner::{Identity, Version};

/// A kind of object with one watch in each scope.
pub(super) trait WatchedKind:
    Slim + Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Send + 'static
{
    /// Its name in the cache.
    const KIND: Kind;
    /// Its watch, as `/readyz` reports it.
    const CHECK: Check;

    /// The object exists.
    fn upsert(self, cache: &Cache);

    /// The object exists, and this version of it cannot be read.
    fn upsert_unreadable(_cache: &Cache, _namespace: &str, _object: &Identity, _version: Version) {}

    /// A list of the scope is complete.
    fn listed(_cache: &Cache, _scope: &Scope) {}

    /// The object was deleted (`proved`), or a fresh list does not have it.
    fn remove(cache: &Cache, namespace: &str, object: &Identity, proved: bool);
}

impl WatchedKind for SlimGroup {
    const KIND: Kind = Kind::Group;
    const CHECK: Check = Check::Groups;

    fn upsert(self, cache: &Cache) {
        cache.upsert_group(self.0);
    }

    fn upsert_unreadable(cache: &Cache, namespace: &str, group: &Identity, version: Version) {
        cache.upsert_unreadable_group(namespace, group, version);
    }

    fn remove(cache: &Cache, namespace: &str, group: &Identity, proved: bool) {
        cache.remove_group(namespace, group, proved);
    }
}

impl WatchedKind for Pod {
    const KIND: Kind = Kind::Pod;
    const CHECK: Check = Check::Pods;

    fn upsert(self, cache: &Cache) {
        cache.upsert_pod(self);
    }

    fn remove(cache: &Cache, namespace: &str, pod: &Identity, proved: bool) {
        cache.remove_pod(namespace, pod, proved);
    }
}

impl WatchedKind for Lease {
    const KIND: Kind = Kind::Lease;
    const CHECK: Check = Check::Leases;

    fn upsert(self, cache: &Cache) {
        cache.upsert_lease(self.into(), false);
    }

    fn remove(cache: &Cache, namespace: &str, lease: &Identity, _proved: bool) {
        cache.remove_lease(namespace, lease);
    }
}

impl WatchedKind for Service {
    const KIND: Kind = Kind::Service;
    const CHECK: Check = Check::Services;

    fn upsert(self, cache: &Cache) {
        cache.upsert_service(self);
    }

    fn remove(cache: &Cache, namespace: &str, service: &Identity, _proved: bool) {
        cache.remove_service(namespace, service);
    }

    fn listed(cache: &Cache, scope: &Scope) {
        cache.mark_listed(Self::KIND, scope);
    }
}

impl WatchedKind for EndpointSlice {
    const KIND: Kind = Kind::Slice;
    const CHECK: Check = Check::Slices;

    fn upsert(self, cache: &Cache) {
        cache.upsert_slice(self);
    }

    fn remove(cache: &Cache, namespace: &str, slice: &Identity, proved: bool) {
        cache.remove_slice(namespace, slice, proved);
    }

    fn listed(cache: &Cache, scope: &Scope) {
        cache.mark_listed(Self::KIND, scope);
    }
}

impl WatchedKind for Budget {
    const KIND: Kind = Kind::Budget;
    const CHECK: Check = Check::Budgets;

    fn upsert(self, cache: &Cache) {
        cache.upsert_budget(self);
    }

    fn remove(cache: &Cache, namespace: &str, budget: &Identity, _proved: bool) {
        cache.remove_budget(namespace, budget);
    }
}
