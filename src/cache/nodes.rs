//! Nodes, by their heartbeats.

use std::collections::BTreeSet;

use super::namespace::{Namespace, Woken};
use super::{Cache, lock};
use crate::planner::{Millis, Version};

impl Cache {
    /// A node's Lease was seen, which it renews every `interval`; returns whether it is a sign of life. A node that comes
    /// back may make its pods eligible.
    pub fn hear_node(&self, node: &str, version: Version, interval: Millis) -> bool {
        let Some(silence) = lock(&self.nodes).hear(node, version, interval, self.clock.now()) else {
            return false;
        };
        if silence > Millis::default() {
            for (namespace, space) in self.spaces(None) {
                let missed = lock(&space).missed(node, silence);
                self.wake(&namespace, missed);
            }
        }
        true
    }

    /// The watch of the nodes' Leases has failed: no node can be heard for now.
    pub fn lose_nodes(&self) {
        lock(&self.nodes).lose();
    }

    /// A fresh list has exactly these nodes.
    pub fn keep_nodes(&self, listed: &BTreeSet<String>) {
        lock(&self.nodes).keep(listed, self.clock.now());
    }

    /// A node is gone, or at least its Lease: it is silent from now on.
    pub fn remove_node(&self, node: &str) {
        lock(&self.nodes).forget(node, self.clock.now());
    }
}

impl Namespace {
    /// The groups for which a node was silent on which they have pods.
    fn missed(&self, node: &str, silence: Millis) -> Woken {
        let pods = self.nodes.get(node).into_iter().flatten().filter_map(|name| self.pods.get(name));
        let mut groups = self.ids(pods.flat_map(|entry| &entry.groups));
        groups.retain(|id| self.patience(&id.name).is_some_and(|patience| patience <= silence));
        groups
    }
}
