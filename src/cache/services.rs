//! Services and `PodDisruptionBudget`s: the planner warns of those that do not suit a group.

use std::collections::BTreeMap;

use kube::ResourceExt;

use super::cached_group::CachedGroup;
use super::namespace::{Namespace, Woken, take_out};
use super::{Cache, GroupRef};
use crate::api::{Budget, Service};
use crate::convert;
use crate::planner::Identity;
use crate::planner::seen::{SeenBudget, SeenService, Warning};

impl Cache {
    /// A watch has this Service.
    pub fn upsert_service(&self, service: Service) {
        let namespace = service.namespace().unwrap_or_default();
        let woken = self.change(&namespace, |space, _| space.upsert_service(service));
        self.wake(&namespace, woken);
    }

    /// A Service was deleted.
    pub fn remove_service(&self, namespace: &str, service: &Identity) {
        let woken = self.change(namespace, |space, _| {
            space.remove_service(service);
            space.groups_routing(&service.name)
        });
        self.wake(namespace, woken);
    }

    /// A watch has this budget.
    pub fn upsert_budget(&self, budget: Budget) {
        let namespace = budget.namespace().unwrap_or_default();
        let woken = self.change(&namespace, |space, _| space.upsert_budget(budget));
        self.wake(&namespace, woken);
    }

    /// A budget was deleted.
    pub fn remove_budget(&self, namespace: &str, budget: &Identity) {
        self.change(namespace, |space, _| {
            space.budgets.retain(|_, known| convert::identity(known) != *budget);
            space.groups.values_mut().for_each(|group| group.forget_warnings(budget));
        });
    }

    /// The user was warned of this.
    pub fn note_warned(&self, group: &GroupRef, warning: Warning) {
        self.change(&group.namespace, |space, _| {
            if let Some(entry) = space.group_mut(&group.id) {
                entry.warned.insert(warning);
            }
        });
    }
}

impl Namespace {
    fn upsert_service(&mut self, service: Service) -> Woken {
        let id = convert::identity(&service);
        let before = self.services.get(&id.name);
        if before.is_some_and(|before| before.spec == service.spec && convert::identity(before) == id) {
            return Woken::new();
        }
        if let Some(before) = before.map(convert::identity) {
            self.remove_service(&before);
        }
        let concerned = self.groups.values_mut().filter_map(|group| {
            group.forget_warnings(&id);
            group.spec.may_be_selected_by(&service).then(|| group.id())
        });
        let mut woken: Woken = concerned.collect();
        woken.extend(self.groups_routing(&id.name));
        for key in service.spec.selector.iter().flat_map(BTreeMap::keys) {
            self.services_by_key.entry(key.clone()).or_default().insert(id.name.clone());
        }
        self.services.insert(id.name, service);
        woken
    }

    fn upsert_budget(&mut self, budget: Budget) -> Woken {
        let id = convert::identity(&budget);
        let before = self.budgets.get(&id.name);
        if before.is_some_and(|before| before.spec == budget.spec && convert::identity(before) == id) {
            return Woken::new();
        }
        let concerned = self.groups.values_mut().filter_map(|group| {
            group.forget_warnings(&id);
            group.spec.may_be_guarded_by(&budget).then(|| group.id())
        });
        let woken = concerned.collect();
        self.budgets.insert(id.name, budget);
        woken
    }

    fn remove_service(&mut self, id: &Identity) {
        let Some(known) = self.services.get(&id.name).filter(|known| convert::identity(*known) == *id) else {
            return;
        };
        for key in known.spec.selector.iter().flat_map(BTreeMap::keys) {
            take_out(&mut self.services_by_key, key, &id.name);
        }
        self.services.remove(&id.name);
        self.groups.values_mut().for_each(|group| group.forget_warnings(id));
    }

    /// The Services that select pods of the group by its role label.
    pub(super) fn services_of(&self, group: &CachedGroup) -> Vec<SeenService> {
        let pods = || group.pods.keys().filter_map(|name| self.pods.get(name)).map(|entry| &entry.pod);
        let services = self.services_by_key.get(&group.spec.role.key).into_iter().flatten();
        let services = services.filter_map(|name| self.services.get(name));
        let views = services.filter_map(|service| {
            let view = group.spec.service(service, pods())?;
            Some(SeenService { other_group: self.other_group_of(group, service), ..view })
        });
        views.collect()
    }

    /// Another group with pods whose role label is all that the Service selects by.
    fn other_group_of(&self, group: &CachedGroup, service: &Service) -> Option<String> {
        if !group.spec.is_all_that_selects(service) {
            return None;
        }
        let own = group.id().name;
        let mut others = self.groups.iter().filter(|(name, other)| **name != own && !other.pods.is_empty());
        others.find(|(_, other)| other.spec.is_all_that_selects(service)).map(|(name, _)| name.clone())
    }

    /// The budgets that guard the group's leader and no follower.
    pub(super) fn budgets_of(&self, group: &CachedGroup) -> Vec<SeenBudget> {
        let pods = || group.pods.keys().filter_map(|name| self.pods.get(name)).map(|entry| &entry.pod);
        self.budgets.values().filter_map(|budget| group.spec.budget(budget, pods())).collect()
    }
}
