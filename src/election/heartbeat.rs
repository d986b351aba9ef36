//! Which nodes are silent, judged by heartbeats seen on the local clock.
//!
//! Silence of most nodes at once means that this process was cut off, not they: then everybody's silence counts from
//! the last such moment on, so that nodes that are heard again one after the other lose no leader. The same where the
//! watch that tells of them fails: an API server that is away for half of the patience lets no node renew its Lease, and
//! when it is back, those that were due first would count as silent, and be fewer than half.

use std::collections::{BTreeMap, BTreeSet};

use super::{Millis, Version};

/// How long a node that is gone is remembered: longer than the longest patience, a day.
const REMEMBERED: Millis = Millis::from_seconds(2 * 86_400);

/// How many times its patience a node may be silent until it counts no more among those that could be heard: nodes that
/// are deleted before their kubelet has ended leave Leases for good (kubernetes/kubernetes#109777).
const LEFT_BEHIND: u64 = 10;

/// When each node was last heard.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats {
    heard: BTreeMap<String, (Version, Millis)>,
    /// When nodes were last heard that are gone. Their pods may still be there: Kubernetes takes most of a minute to find
    /// that a pod's node does not exist.
    gone: BTreeMap<String, Millis>,
    /// For each patience in use: the last moment at which most nodes had been silent for so long.
    cut_off_at: BTreeMap<Millis, Millis>,
    /// The watch has failed, and nobody was heard since.
    is_deaf: bool,
    /// The last moment of which that is known.
    deaf_until: Millis,
}

impl Heartbeats {
    /// A node's heartbeat was seen. Returns for how long the node had not been heard; none if this is no sign of life: a
    /// version that is known already, as in a fresh list.
    pub fn hear(&mut self, node: &str, version: Version, now: Millis) -> Option<Millis> {
        if self.heard.get(node).is_some_and(|(known, _)| *known >= version) {
            return None;
        }
        for patience in self.cut_off_at.keys().copied().collect::<Vec<_>>() {
            self.look(patience, now);
        }
        self.note_deafness(now);
        self.is_deaf = false;
        let silence = self.last_heard(node).map_or(Millis::default(), |heard| now.since(heard));
        self.heard.insert(node.to_owned(), (version, now));
        self.gone.remove(node);
        Some(silence)
    }

    /// The watch has failed: from now on nobody can be heard, until somebody is.
    pub const fn lose(&mut self) {
        self.is_deaf = true;
    }

    fn note_deafness(&mut self, now: Millis) {
        if self.is_deaf {
            self.deaf_until = now;
        }
    }

    /// Some patience in use is no longer than this silence.
    #[must_use]
    pub fn concerns_somebody(&self, silence: Millis) -> bool {
        self.cut_off_at.keys().next().is_some_and(|shortest| *shortest <= silence)
    }

    /// Nobody has any other patience (any more).
    pub fn keep_patiences(&mut self, in_use: &BTreeSet<Millis>) {
        self.cut_off_at.retain(|patience, _| in_use.contains(patience));
    }

    /// A node is gone: it will not be heard, and it counts no more among those that could be.
    pub fn forget(&mut self, node: &str, now: Millis) {
        if let Some((_, heard)) = self.heard.remove(node) {
            self.gone.insert(node.to_owned(), heard);
        }
        self.gone.retain(|_, heard| *heard + REMEMBERED > now);
    }

    /// A fresh list has exactly these nodes.
    pub fn keep(&mut self, nodes: &BTreeSet<String>, now: Millis) {
        let gone: Vec<_> = self.heard.keys().filter(|node| !nodes.contains(*node)).cloned().collect();
        for node in gone {
            self.forget(&node, now);
        }
    }

    fn last_heard(&self, node: &str) -> Option<Millis> {
        self.heard.get(node).map(|(_, heard)| *heard).or_else(|| self.gone.get(node).copied())
    }

    /// Notes whether most nodes are silent now; to be called before [`Heartbeats::silent_from`].
    pub fn look(&mut self, patience: Millis, now: Millis) {
        self.note_deafness(now);
        let left_behind = Millis(patience.0.saturating_mul(LEFT_BEHIND));
        let heard = self.heard.values().map(|(_, heard)| now.since(*heard));
        let (mut counted, mut silent) = (0, 0);
        for silence in heard.filter(|silence| *silence < left_behind) {
            counted += 1;
            silent += u32::from(silence >= patience);
        }
        let nobody = counted == 0 && !self.heard.is_empty();
        let cut_off_at = self.cut_off_at.entry(patience).or_default();
        if silent * 2 > counted || nobody {
            *cut_off_at = now;
        }
    }

    /// The moment from which `node` counts as silent, unless it is heard before. None for a node never heard.
    #[must_use]
    pub fn silent_from(&self, node: &str, patience: Millis) -> Option<Millis> {
        let heard = self.last_heard(node)?;
        let cut_off_at = self.cut_off_at.get(&patience).copied().unwrap_or_default();
        Some(heard.max(cut_off_at).max(self.deaf_until) + patience)
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
        assert_eq!(beats.hear("c", Version(2), Millis(25_000)), Some(Millis(25_000)));
        assert!(!is_silent(&mut beats, "c", 25_000));
    }

    #[test]
    fn a_known_version_in_a_fresh_list_is_no_sign_of_life() {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        for node in ["a", "b"] {
            beats.hear(node, Version(2), Millis(15_000));
        }
        assert_eq!(beats.hear("c", Version(1), Millis(19_000)), None);
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
    fn a_node_that_is_gone_counts_as_silent_from_when_it_would_have_anyway() {
        for gone_from_a_list in [false, true] {
            let mut beats = heard_at(0, &["a", "b", "c"]);
            if gone_from_a_list {
                beats.keep(&["a", "b"].map(str::to_owned).into(), Millis(5_000));
            } else {
                beats.forget("c", Millis(5_000));
            }
            for node in ["a", "b"] {
                beats.hear(node, Version(2), Millis(15_000));
            }
            assert!(!is_silent(&mut beats, "c", 19_999));
            assert!(is_silent(&mut beats, "c", 20_000));
            // Back, with a Lease of its own again.
            assert_eq!(beats.hear("c", Version(3), Millis(25_000)), Some(Millis(25_000)));
            assert!(!is_silent(&mut beats, "c", 25_000));
        }
    }

    #[test]
    fn nodes_that_are_gone_are_no_part_of_most_nodes() {
        let mut beats = heard_at(0, &["a", "b", "c", "d", "e"]);
        for node in ["c", "d", "e"] {
            beats.forget(node, Millis(5_000));
        }
        beats.hear("a", Version(2), Millis(15_000));
        assert!(is_silent(&mut beats, "b", 20_000), "one of two is not most");
    }

    #[test]
    fn leases_that_nodes_have_left_behind_are_no_part_of_most_nodes() {
        let mut beats = heard_at(0, &["a", "b", "c", "left", "over", "for", "good"]);
        for second in (10..400).step_by(10) {
            for node in ["a", "b"] {
                beats.hear(node, Version(second), Millis::from_seconds(second));
            }
            if second < 300 {
                beats.hear("c", Version(second), Millis::from_seconds(second));
            }
        }
        assert!(is_silent(&mut beats, "c", 400_000));
        assert!(!is_silent(&mut beats, "a", 400_000));
    }

    #[test]
    fn a_process_that_was_stopped_for_long_takes_itself_for_cut_off() {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        assert!(!is_silent(&mut beats, "c", 3_600_000));
        beats.hear("a", Version(2), Millis(3_600_001));
        assert!(!is_silent(&mut beats, "c", 3_600_002));
    }

    #[test]
    fn a_node_that_is_gone_is_forgotten_in_the_end() {
        let mut beats = heard_at(0, &["a", "b"]);
        beats.forget("a", Millis(0));
        beats.forget("b", REMEMBERED);
        assert_eq!(beats.silent_from("a", PATIENCE), None);
    }

    #[test]
    fn a_patience_that_nobody_has_any_more_concerns_nobody() {
        let mut beats = heard_at(0, &["a"]);
        for patience in [5_000, 20_000] {
            beats.look(Millis(patience), Millis(0));
        }
        assert!(beats.concerns_somebody(Millis(10_000)));
        beats.keep_patiences(&[Millis(20_000)].into());
        assert!(!beats.concerns_somebody(Millis(10_000)));
    }

    #[test]
    fn a_node_never_heard_is_not_silent() {
        assert_eq!(heard_at(0, &["a"]).silent_from("b", PATIENCE), None);
    }
}
