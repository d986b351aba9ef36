//! Which nodes are silent, judged by heartbeats seen on the local clock.
//!
//! Silence of most nodes at once means that this process was cut off, not they: then everybody's silence counts from
//! the last such moment on, so that nodes that are heard again one after the other lose no leader.

use std::collections::{BTreeMap, BTreeSet};

use super::{Millis, Version};

/// When each node was last heard.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats {
    heard: BTreeMap<String, (Version, Millis)>,
    /// For each patience in use: the last moment at which most nodes had been silent for so long.
    cut_off_at: BTreeMap<Millis, Millis>,
}

impl Heartbeats {
    /// A node's heartbeat was seen. A version that is known already, as in a fresh list, is no sign of life. Returns
    /// whether the node had been silent for somebody's patience.
    pub fn hear(&mut self, node: &str, version: Version, now: Millis) -> bool {
        if self.heard.get(node).is_some_and(|(known, _)| *known >= version) {
            return false;
        }
        for patience in self.cut_off_at.keys().copied().collect::<Vec<_>>() {
            self.look(patience, now);
        }
        let before = self.heard.insert(node.to_owned(), (version, now));
        let shortest = self.cut_off_at.keys().next().copied();
        before.zip(shortest).is_some_and(|((_, heard), patience)| heard + patience <= now)
    }

    /// A node is gone.
    pub fn forget(&mut self, node: &str) {
        self.heard.remove(node);
    }

    /// A fresh list has exactly these nodes.
    pub fn keep(&mut self, nodes: &BTreeSet<String>) {
        self.heard.retain(|node, _| nodes.contains(node));
    }

    /// Notes whether most nodes are silent now; to be called before [`Heartbeats::silent_from`].
    pub fn look(&mut self, patience: Millis, now: Millis) {
        let silent = self.heard.values().filter(|(_, heard)| *heard + patience <= now).count();
        let cut_off_at = self.cut_off_at.entry(patience).or_default();
        if silent * 2 > self.heard.len() {
            *cut_off_at = now;
        }
    }

    /// The moment from which `node` counts as silent, unless it is heard before. None for a node never heard.
    #[must_use]
    pub fn silent_from(&self, node: &str, patience: Millis) -> Option<Millis> {
        let (_, heard) = *self.heard.get(node)?;
        let cut_off_at = self.cut_off_at.get(&patience).copied().unwrap_or_default();
        Some(heard.max(cut_off_at) + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Millis = Millis(20_000);

    fn heard_at(now: u64, nodes: &[&str]) -> Heartbeats {
        let mut beats = Heartbeats::default();
        for node in nodes {
            beats.hear(node, Version(1), Millis(now));
        }
        beats
    }

    fn is_silent(beats: &mut Heartbeats, node: &str, now: u64) -> bool {
        beats.look(PATIENCE, Millis(now));
        beats.silent_from(node, PATIENCE).is_some_and(|from| from <= Millis(now))
    }

    #[test]
    fn a_node_is_silent_after_the_patience_and_heard_again_at_once() {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        for node in ["a", "b"] {
            beats.hear(node, Version(2), Millis(15_000));
        }
        assert!(!is_silent(&mut beats, "c", 19_999));
        assert!(is_silent(&mut beats, "c", 20_000));
        assert!(beats.hear("c", Version(2), Millis(25_000)));
        assert!(!is_silent(&mut beats, "c", 25_000));
    }

    #[test]
    fn a_known_version_in_a_fresh_list_is_no_sign_of_life() {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        for node in ["a", "b"] {
            beats.hear(node, Version(2), Millis(15_000));
        }
        assert!(!beats.hear("c", Version(1), Millis(19_000)));
        assert!(is_silent(&mut beats, "c", 20_000));
    }

    #[test]
    fn most_nodes_silent_at_once_silences_nobody_and_counting_starts_afresh() {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        assert!(!is_silent(&mut beats, "c", 40_000));
        beats.hear("a", Version(2), Millis(41_000));
        beats.hear("b", Version(2), Millis(42_000));
        assert!(!is_silent(&mut beats, "c", 42_000));
        beats.hear("a", Version(3), Millis(51_000));
        beats.hear("b", Version(3), Millis(52_000));
        assert!(!is_silent(&mut beats, "c", 61_999));
        assert!(is_silent(&mut beats, "c", 62_000));
    }

    #[test]
    fn a_node_never_heard_is_not_silent() {
        assert_eq!(heard_at(0, &["a"]).silent_from("b", PATIENCE), None);
    }
}
