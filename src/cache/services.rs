//! Services and `PodDisruptionBudget`s: the planner warns of those that do not suit a group.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;

use super::cached_group::CachedGroup;
use super::namespace::{Namespace, Woken, take_out};
use super::{Cache, GroupRef};
use crate::api::{Budget, Service};
use crate::convert::{self, CompiledSpec};
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
            space.groups.values_mut().for_each(|group| {
                group.budgets.remove(&budget.name);
                group.forget_warnings(budget);
            });
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
            let may_be_selected = group.spec.may_be_selected_by(&service);
            may_be_selected.then(|| {
                group.services.insert(id.name.clone());
                group.id()
            })
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
            group.budgets.remove(&id.name);
            group.spec.may_be_guarded_by(&budget).then(|| {
                group.budgets.insert(id.name.clone());
                group.id()
            })
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
        self.groups.values_mut().for_each(|group| {
            group.services.remove(&id.name);
            group.forget_warnings(id);
        });
    }

    /// The Services that may select pods of a group with this spec by the role label.
    pub(super) fn services_for(&self, spec: &CompiledSpec) -> BTreeSet<String> {
        let services = self.services_by_key.get(&spec.role.key).into_iter().flatten();
        let may_select =
            |name: &&String| self.services.get(*name).is_some_and(|service| spec.may_be_selected_by(service));
        services.filter(may_select).cloned().collect()
    }

    /// The budgets that select by the role label of a group with this spec.
    pub(super) fn budgets_for(&self, spec: &CompiledSpec) -> BTreeSet<String> {
        let budgets = self.budgets.iter().filter(|(_, budget)| spec.may_be_guarded_by(budget));
        budgets.map(|(name, _)| name.clone()).collect()
    }

    /// The Services that select pods of the group by its role label.
    pub(super) fn services_of(&self, group: &CachedGroup) -> Vec<SeenService> {
        let pods = || group.pods.keys().filter_map(|name| self.pods.get(name)).map(|entry| &entry.pod);
        let services = group.services.iter().filter_map(|name| self.services.get(name));
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
        let budgets = group.budgets.iter().filter_map(|name| self.budgets.get(name));
        budgets.filter_map(|budget| group.spec.budget(budget, pods())).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use kube::core::ObjectMeta;
    use serde_json::json;

    use super::*;
    use crate::api::ElectionGroup;
    use crate::planner::Millis;

    fn metadata(name: &str) -> ObjectMeta {
        let uid = Some(format!("{name}-uid"));
        ObjectMeta { name: Some(name.to_owned()), uid, ..ObjectMeta::default() }
    }

    fn group(app: &str) -> ElectionGroup {
        let spec = json!({ "selector": { "matchLabels": { "app": app } } });
        let mut group = ElectionGroup::new(app, serde_json::from_value(spec).unwrap());
        group.metadata = metadata(app);
        group.metadata.resource_version = Some("1".to_owned());
        group
    }

    fn leader_service(app: &str) -> Service {
        let spec = json!({ "selector": { "app": app, "role": "leader" } });
        serde_json::from_value(json!({ "metadata": metadata(app), "spec": spec })).unwrap()
    }

    fn leader_budget(app: &str) -> Budget {
        let spec = json!({ "selector": { "matchLabels": { "role": "leader" } }, "minAvailable": 1 });
        serde_json::from_value(json!({ "metadata": metadata(app), "spec": spec })).unwrap()
    }

    /// All of them have the default role label. A look at one group would take as long as there are
    /// groups.
    #[test]
    fn a_group_has_its_own_services_alone_whichever_came_first() {
        let mut space = Namespace::default();
        for number in 0..300 {
            space.upsert_service(leader_service(&number.to_string()));
        }
        for number in 100..400 {
            space.upsert_group(group(&number.to_string()), Millis::default());
        }
        for number in 300..400 {
            space.upsert_service(leader_service(&number.to_string()));
        }
        for group in space.groups.values() {
            assert_eq!(group.services, BTreeSet::from([group.id().name]));
        }
        space.remove_service(&Identity::new("100", "100-uid"));
        assert_eq!(space.groups["100"].services, BTreeSet::new());
    }

    #[test]
    fn a_group_has_the_budgets_of_its_role_label_whichever_came_first() {
        let mut space = Namespace::default();
        space.upsert_budget(leader_budget("before"));
        space.upsert_group(group("a"), Millis::default());
        space.upsert_budget(leader_budget("after"));
        assert_eq!(space.groups["a"].budgets.len(), 2);
        let mut other = leader_budget("before");
        other.spec.selector.as_mut().unwrap().match_labels =
            Some([("app".to_owned(), "a".to_owned())].into());
        space.upsert_budget(other);
        assert_eq!(space.groups["a"].budgets, BTreeSet::from(["after".to_owned()]));
    }
}
