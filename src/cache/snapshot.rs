//! The snapshot of one group, from which a plan is made.

use std::collections::BTreeSet;
use std::sync::Mutex;

use kube::ResourceExt;

use super::cached_group::CachedGroup;
use super::cached_pod::CachedPod;
use super::namespace::Namespace;
use super::{GroupRef, lock};
use crate::convert;
use crate::planner::nodes::Heartbeats;
use crate::planner::seen::{GroupView, Membership, Owner, SeenLease, Snapshot};
use crate::planner::{Identity, Micros, Millis, ownership};

impl Namespace {
    pub(super) fn view(
        &self,
        group: &GroupRef,
        moment: (Millis, Micros),
        listed: bool,
        nodes: &Mutex<Heartbeats>,
        followed: Option<SeenLease>,
    ) -> GroupView {
        if self.unreadable.get(&group.id.name).is_some_and(|(unreadable, _)| *unreadable == group.id) {
            return GroupView::Unreadable;
        }
        match self.group(&group.id) {
            Some(known) => {
                GroupView::Present(Box::new(self.snapshot(known, moment, listed, nodes, followed)))
            }
            None => self.deleted(&group.id, moment.0),
        }
    }

    fn deleted(&self, group: &Identity, now: Millis) -> GroupView {
        let owned = self.pods_by_owner.get(&group.uid).into_iter().flatten();
        let orphans = owned.filter_map(|name| self.pods.get(name)).filter(|entry| entry.groups.is_empty());
        let pods = orphans.map(|entry| (convert::identity(&entry.pod), convert::version(&entry.pod)));
        let deleted_at = self.deleted_groups.get(&group.uid).map(|deleted| deleted.at);
        GroupView::Deleted { group: group.clone(), pods: pods.collect(), deleted_at, now }
    }

    fn snapshot(
        &self,
        group: &CachedGroup,
        (now, wall): (Millis, Micros),
        listed: bool,
        nodes: &Mutex<Heartbeats>,
        followed: Option<SeenLease>,
    ) -> Snapshot {
        let id = group.id();
        let owned = self.pods_by_owner.get(&id.uid).into_iter().flatten();
        let recorded = group.recorded().into_iter().filter_map(|id| self.pods.get_key_value(&id.name));
        let mut names: BTreeSet<&String> = group.pods.keys().chain(owned).collect();
        names.extend(recorded.map(|(name, _)| name));
        let pods = names.into_iter().filter_map(|name| Some((name, self.pods.get(name)?)));
        let pods = pods.map(|(name, entry)| {
            let weight = group.pods.get(name).copied();
            let weight = weight.unwrap_or_else(|| group.spec.weight(&entry.pod));
            let mut pod = group.spec.pod_of_weight(&entry.pod, weight);
            pod.membership = self.membership(group, entry);
            pod.owner = self.owner_of(&id, convert::owner(&entry.pod));
            pod.seen_at = entry.seen_at;
            pod.ready_seen_at = entry.ready_seen_at;
            pod.standing_changed_at = entry.standing_changed_at;
            pod.released_by_controller = entry.release.is_released();
            pod
        });
        let mut pods: Vec<_> = pods.collect();
        if let Some(patience) = group.spec.node_patience() {
            let mut nodes = lock(nodes);
            let look = nodes.look(now);
            for pod in &mut pods {
                let node = pod.node.as_ref();
                pod.node_silent_from = node.and_then(|node| look.silent_from(node, patience));
            }
        }
        let own_lease = self.leases.get(&group.spec.lease_name).map(|lease| {
            let mut seen = lease.seen.clone();
            seen.content.owner = self.owner_of(&id, convert::owners(&lease.object));
            seen
        });
        let lease = if group.spec.lease_namespace.is_some() { followed } else { own_lease };
        let mut seen = group.spec.group(&group.object);
        if seen.status.pods.is_empty() {
            seen.status.pods.clone_from(&group.cut_pods);
        }
        if group.record_is_not_kept {
            seen.policy = Err(convert::record_not_kept());
        }
        let (routes, unrouted) = self.routes_of(group, listed);
        let snapshot = Snapshot {
            now,
            wall,
            pods,
            group: seen,
            gone: group.gone.clone(),
            lease,
            listed_for: group.listed_for,
            routes,
            unrouted,
            route_refusal: group.route_refusal.clone(),
            services: self.services_of(group),
            budgets: self.budgets_of(group),
            warned: group.warned.clone(),
            record_seen_at: group.record_seen_at,
            cooldown_from: group.cooldown_from,
            reported_at: group.reported_at,
            reported_by_other: group.own_report != Some(group.reported_version),
        };
        snapshot.without_unlikely_terms()
    }

    fn membership(&self, group: &CachedGroup, pod: &CachedPod) -> Membership {
        let created = |name: &String| {
            let other = self.groups.get(name)?;
            Some(other.object.creation_timestamp().map(|time| time.0))
        };
        let selecting = pod.groups.iter().map(|name| (created(name), name.as_str()));
        ownership::membership(&group.object.name_any(), selecting)
    }

    pub(super) fn owner_of(&self, group: &Identity, named: impl IntoIterator<Item = Identity>) -> Owner {
        ownership::owner_of(group, named, |uid| self.group_names.get(uid).map(String::as_str))
    }
}
