//! Heartbeats of nodes, and the groups that miss them.

use std::collections::BTreeSet;

use super::namespace::{Namespace, Woken};
use super::{Cache, lock};
use crate::planner::{Millis, Version};

impl Cache {
    /// A watch or a list has a node's Lease, which the node renews every `interval`. True if it is
    /// a sign of life.
    ///
    /// A node that comes back may make its pods eligible: their groups are woken.
    pub fn hear_node(&self, node: &str, version: Version, interval: Millis) -> bool {
        let Some(silence) = lock(&self.nodes).hear(node, version, interval, self.clock.now()) else {
            return false;
        };
        if silence > Millis::default() {
            for (namespace, space) in self.namespaces(None) {
                let groups = lock(&space).groups_missing(node, silence);
                self.wake(&namespace, groups);
            }
        }
        true
    }

    /// The watch of the node Leases has failed: no node can be heard for now.
    pub fn lose_nodes(&self) {
        lock(&self.nodes).lose();
    }

    /// A fresh list has exactly these nodes.
    pub fn keep_nodes(&self, listed: &BTreeSet<String>) {
        lock(&self.nodes).keep(listed, self.clock.now());
    }

    /// A node Lease was deleted: the node is silent from now on.
    pub fn remove_node(&self, node: &str) {
        lock(&self.nodes).forget(node, self.clock.now());
    }
}

impl Namespace {
    /// The groups that have pods on a node and counted it as silent.
    fn groups_missing(&self, node: &str, silence: Millis) -> Woken {
        let pods = self.pods_by_node.get(node).into_iter().flatten().filter_map(|name| self.pods.get(name));
        let mut groups = self.ids(pods.flat_map(|entry| &entry.groups));
        groups.retain(|id| self.node_patience(&id.name).is_some_and(|patience| patience <= silence));
        groups
    }
}
