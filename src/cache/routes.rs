//! The Services that groups route, and the `EndpointSlice`s by which they do.

use kube::ResourceExt;

use super::cached_group::CachedGroup;
use super::namespace::{Namespace, Woken, take_out};
use super::{Cache, GroupRef, Kind, Scope, lock};
use crate::api::EndpointSlice;
use crate::convert;
use crate::planner::seen::{OtherSlice, RouteProblem, RouteRefusal, SeenRoute, SeenSlice};
use crate::planner::{Identity, Millis};

/// One slice in the cache.
#[derive(Debug)]
pub(super) struct CachedSlice {
    pub(super) object: EndpointSlice,
    /// When the cache got this version of the object.
    pub(super) learned_at: Millis,
}

impl Cache {
    /// A watch or an answer has this slice, at its newest or at an older version.
    pub fn upsert_slice(&self, slice: EndpointSlice) {
        let namespace = slice.namespace().unwrap_or_default();
        let woken = self.change(&namespace, |space, now| {
            let id = convert::identity(&slice);
            if self.is_deleted(Kind::Slice, &namespace, &id) {
                return Woken::new(); // the event or answer was sent before the deletion
            }
            space.upsert_slice(slice, now)
        });
        self.wake(&namespace, woken);
    }

    /// A slice was deleted, or a fresh list does not have it.
    pub fn remove_slice(&self, namespace: &str, slice: &Identity, proved: bool) {
        let woken = self.change(namespace, |space, now| {
            self.note_deleted(Kind::Slice, namespace, slice, proved, now);
            space.remove_slice(slice)
        });
        self.wake(namespace, woken);
    }

    /// The first list of Services or of slices in this scope is complete. Before, a Service or a
    /// slice that the cache lacks may exist.
    pub fn mark_listed(&self, kind: Kind, scope: &Scope) {
        let is_new = lock(&self.listed).entry(kind).or_default().insert(scope.clone());
        if !is_new {
            return;
        }
        for (name, space) in self.namespaces(scope.namespace()) {
            let routing = lock(&space)
                .groups
                .values()
                .filter(|group| group.spec.routes())
                .map(CachedGroup::id)
                .collect();
            self.wake(&name, routing);
        }
    }

    /// The lists that routing needs are complete.
    pub(super) fn routes_are_listed(&self, namespace: &str) -> bool {
        let listed = lock(&self.listed);
        [Kind::Service, Kind::Slice]
            .iter()
            .all(|kind| listed.get(kind).is_some_and(|scopes| scopes.covers(namespace)))
    }

    /// The cache has a slice of this name that belongs to the group.
    #[must_use]
    pub fn owns_slice(&self, group: &GroupRef, slice: &str) -> bool {
        let owner = |space: &Namespace| {
            let slice = &space.slices.get(slice)?.object;
            Some(convert::owner_of_slice(slice) == Some(&group.id.uid))
        };
        self.read(&group.namespace, owner).unwrap_or_default()
    }

    /// The API server refused (or took) a write of a slice of this group.
    pub fn note_route_refusal(&self, group: &GroupRef, why: Option<String>) {
        self.change(&group.namespace, |space, now| {
            if let Some(entry) = space.group_mut(&group.id) {
                entry.route_refusal = why.map(|why| RouteRefusal { at: now, why });
            }
        });
    }
}

impl Namespace {
    fn upsert_slice(&mut self, slice: EndpointSlice, now: Millis) -> Woken {
        let id = convert::identity(&slice);
        let known = self.slices.get(&id.name).map(|entry| &entry.object);
        if known.is_some_and(|known| convert::version(known) >= convert::version(&slice)) {
            return Woken::new();
        }
        let mut woken =
            known.map(convert::identity).map(|known| self.remove_slice(&known)).unwrap_or_default();
        let service = convert::purpose(&slice).service;
        woken.extend(self.concerned_by_slice(&slice, &service));
        if let Some(owner) = convert::owner_of_slice(&slice) {
            self.slices_by_owner.entry(owner.to_owned()).or_default().insert(id.name.clone());
        }
        self.slices_by_service.entry(service).or_default().insert(id.name.clone());
        self.slices.insert(id.name, CachedSlice { object: slice, learned_at: now });
        woken
    }

    fn remove_slice(&mut self, id: &Identity) -> Woken {
        let is_known = self.slices.get(&id.name).is_some_and(|known| convert::identity(&known.object) == *id);
        // One that another of this name has replaced is gone already.
        let Some(slice) = is_known.then(|| self.slices.remove(&id.name)).flatten() else {
            return Woken::new();
        };
        let service = convert::purpose(&slice.object).service;
        take_out(&mut self.slices_by_service, &service, &id.name);
        if let Some(owner) = convert::owner_of_slice(&slice.object) {
            take_out(&mut self.slices_by_owner, owner, &id.name);
        }
        self.concerned_by_slice(&slice.object, &service)
    }

    /// The group that owns a slice, and those that route its Service: they wait until it is gone.
    fn concerned_by_slice(&self, slice: &EndpointSlice, service: &str) -> Woken {
        let owner = convert::owner_of_slice(slice).and_then(|owner| self.group_names.get(owner));
        self.ids(owner).into_iter().chain(self.groups_routing(service)).collect()
    }

    /// The groups that route a Service that this group routes, or has a slice for.
    pub(super) fn rivals(&self, group: &CachedGroup) -> Woken {
        let owned = self.slices_by_owner.get(&group.id().uid).into_iter().flatten();
        let slices = owned.filter_map(|name| self.slices.get(name));
        let services = slices.map(|slice| convert::purpose(&slice.object).service);
        let services = services.chain(group.spec.routed_services().iter().cloned());
        services.flat_map(|service| self.groups_routing(&service)).collect()
    }

    /// The groups that route a Service.
    pub(super) fn groups_routing(&self, service: &str) -> Woken {
        self.ids(self.groups_by_service.get(service).into_iter().flatten())
    }

    /// The Services that a group routes with its slices for them, and its other slices.
    pub(super) fn routes_of(&self, group: &CachedGroup, listed: bool) -> (Vec<SeenRoute>, Vec<SeenSlice>) {
        let mut own = self.slices_owned_by(&group.id());
        let routes = group.spec.routed_services().iter().map(|name| {
            let mut route = convert::route(&group.id(), name, self.services.get(name));
            for slice in &mut route.slices {
                let found = own.iter().position(|found| found.name == slice.name);
                if let Some(at) = found {
                    *slice = own.swap_remove(at);
                }
            }
            if !listed {
                route.problem = Some(RouteProblem::NotListed);
            } else if let Some(older) = self.older_group_routing(group, name) {
                route.problem = Some(RouteProblem::ClaimedBy(older));
            }
            route.others = self.other_slices(&group.id(), name);
            if route.problem == Some(RouteProblem::NotFound) {
                route.slices.retain(|slice| slice.object.is_some());
            }
            route
        });
        let routes = routes.collect();
        (routes, if listed { own } else { Vec::new() })
    }

    /// The slices of other groups, or of none, that name a Service.
    fn other_slices(&self, group: &Identity, service: &str) -> Vec<OtherSlice> {
        let names = self.slices_by_service.get(service).into_iter().flatten();
        let slices = names.filter_map(|name| Some(&self.slices.get(name)?.object));
        let others = slices.filter(|slice| convert::owner_of_slice(slice) != Some(&group.uid));
        let seen = others.map(|slice| OtherSlice {
            name: convert::purpose(slice),
            uid: slice.uid().unwrap_or_default(),
            version: convert::version(slice),
            owner: self.owner_of(group, convert::owners(slice).take(1)),
        });
        seen.collect()
    }

    fn slices_owned_by(&self, group: &Identity) -> Vec<SeenSlice> {
        let names = self.slices_by_owner.get(&group.uid).into_iter().flatten();
        let slices = names.filter_map(|name| Some(&self.slices.get(name)?.object));
        let seen = slices.map(|slice| SeenSlice {
            name: convert::purpose(slice),
            object: Some(convert::slice_object(slice)),
        });
        seen.collect()
    }

    /// The oldest group that routes the Service, if it is another one.
    fn older_group_routing(&self, group: &CachedGroup, service: &str) -> Option<String> {
        let names = self.groups_by_service.get(service)?;
        let age = |name: &String| {
            let other = self.groups.get(name)?;
            Some((other.object.creation_timestamp().map(|time| time.0), name.clone()))
        };
        let (_, oldest) = names.iter().filter_map(age).min()?;
        (oldest != group.id().name).then_some(oldest)
    }
}
