//! Which nodes are silent, judged by heartbeats seen on the local clock.
//!
//! A node renews its Lease four times in that Lease's own duration: every 10 s by default, every 30 s where the kubelet
//! is told to be lazy. It is *late* after one and a quarter of these intervals, and never silent before two and a half.
//!
//! Most nodes late at once means that this process was cut off, or the API server slow, not that they are gone: nobody is
//! silent then, and everybody's silence counts from the last such moment on, so that nodes that are heard again one after
//! the other lose no leader. Lateness is judged, not silence: of nodes that fall silent together the first is due while
//! the others are not yet. The same where the watch that tells of them fails.

use std::collections::{BTreeMap, BTreeSet};

use super::{Millis, Version};

/// How long a node that is gone is remembered: longer than the longest patience, a day.
const REMEMBERED: Millis = Millis::from_seconds(2 * 86_400);

/// After how many of its intervals without a renewal a node counts no more among those that could be heard: nodes that
/// are deleted before their kubelet has ended leave Leases for good (kubernetes/kubernetes#109777).
const LEFT_BEHIND: u64 = 30;

/// How often a node renews its Lease that does not say for how long it is valid.
const USUAL_INTERVAL: Millis = Millis::from_seconds(10);

/// How often a node renews its Lease, by the `leaseDurationSeconds` of that Lease: the kubelet takes a quarter of it.
#[must_use]
pub fn renew_interval(lease_duration_seconds: Option<i32>) -> Millis {
    let seconds = lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.filter(|seconds| *seconds > 0).map_or(USUAL_INTERVAL, |seconds| Millis(seconds * 250))
}

/// The latest sign of life of a node.
#[derive(Clone, Copy, Debug)]
struct Beat {
    at: Millis,
    interval: Millis,
}

impl Beat {
    /// After this moment the next one is late.
    const fn late_after(self) -> Millis {
        Millis(self.at.0.saturating_add(self.interval.0 * 5 / 4))
    }

    /// The shortest silence that can mean anything: two renewals were missed.
    const fn least_silence(self) -> Millis {
        Millis(self.interval.0 * 5 / 2)
    }

    fn is_left_behind(self, now: Millis) -> bool {
        now.since(self.at) >= Millis(self.interval.0 * LEFT_BEHIND)
    }
}

/// When each node was last heard.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats {
    heard: BTreeMap<String, (Version, Beat)>,
    /// The same nodes by the moment after which each is late.
    late_after: BTreeSet<(Millis, String)>,
    /// Nodes that are gone. Their pods may still be there: Kubernetes takes most of a minute to find that a pod's node
    /// does not exist.
    gone: BTreeMap<String, Beat>,
    /// The last moment at which most nodes were late.
    cut_off_at: Millis,
    /// The watch has failed, and nobody was heard since.
    is_deaf: bool,
    /// The last moment of which that is known.
    deaf_until: Millis,
}

impl Heartbeats {
    /// A node's heartbeat was seen; it renews every `interval`. Returns for how long the node had not been heard: zero
    /// if that cannot have counted as silence, none if this is no sign of life: a version that is known already, as in a
    /// fresh list.
    pub fn hear(&mut self, node: &str, version: Version, interval: Millis, now: Millis) -> Option<Millis> {
        if self.heard.get(node).is_some_and(|(known, _)| *known >= version) {
            return None;
        }
        self.look(now);
        self.is_deaf = false;
        let silence = self.last_heard(node).map_or(Millis::default(), |beat| {
            let silence = now.since(beat.at);
            if silence < beat.least_silence() { Millis::default() } else { silence }
        });
        self.remove(node);
        let beat = Beat { at: now, interval };
        self.late_after.insert((beat.late_after(), node.to_owned()));
        self.heard.insert(node.to_owned(), (version, beat));
        self.gone.remove(node);
        Some(silence)
    }

    /// The watch has failed: from now on nobody can be heard, until somebody is.
    pub const fn lose(&mut self) {
        self.is_deaf = true;
    }

    /// A node is gone: it will not be heard, and it counts no more among those that could be.
    pub fn forget(&mut self, node: &str, now: Millis) {
        if let Some(beat) = self.remove(node) {
            self.gone.insert(node.to_owned(), beat);
        }
        self.gone.retain(|_, beat| beat.at + REMEMBERED > now);
    }

    fn remove(&mut self, node: &str) -> Option<Beat> {
        let (_, beat) = self.heard.remove(node)?;
        self.late_after.remove(&(beat.late_after(), node.to_owned()));
        Some(beat)
    }

    /// A fresh list has exactly these nodes.
    pub fn keep(&mut self, nodes: &BTreeSet<String>, now: Millis) {
        let gone: Vec<_> = self.heard.keys().filter(|node| !nodes.contains(*node)).cloned().collect();
        for node in gone {
            self.forget(&node, now);
        }
    }

    fn last_heard(&self, node: &str) -> Option<Beat> {
        self.heard.get(node).map(|(_, beat)| *beat).or_else(|| self.gone.get(node).copied())
    }

    /// Notes whether most nodes are late now; to be called before [`Heartbeats::silent_from`].
    pub fn look(&mut self, now: Millis) {
        if self.is_deaf {
            self.deaf_until = now;
        }
        let (mut late, mut left_behind) = (0, 0);
        for (_, node) in self.late_after.iter().take_while(|(late_after, _)| *late_after < now) {
            let gone_for_good = self.heard.get(node).is_some_and(|(_, beat)| beat.is_left_behind(now));
            *(if gone_for_good { &mut left_behind } else { &mut late }) += 1;
        }
        let counted = self.heard.len() - left_behind;
        let nobody = counted == 0 && left_behind > 0;
        if late * 2 > counted || nobody {
            self.cut_off_at = now;
        }
    }

    /// The moment from which `node` counts as silent, unless it is heard before. None for a node never heard.
    #[must_use]
    pub fn silent_from(&self, node: &str, patience: Millis) -> Option<Millis> {
        let beat = self.last_heard(node)?;
        Some(beat.at.max(self.cut_off_at).max(self.deaf_until) + patience.max(beat.least_silence()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Millis = Millis(35_000);
    const USUAL: Option<i32> = Some(40);

    fn hear(beats: &mut Heartbeats, nodes: &[&str], now: u64) {
        for node in nodes {
            // Versions rise with time.
            beats.hear(node, Version(now + 1), renew_interval(USUAL), Millis(now));
        }
    }

    fn heard_at(now: u64, nodes: &[&str]) -> Heartbeats {
        let mut beats = Heartbeats::default();
        hear(&mut beats, nodes, now);
        beats
    }

    fn is_silent(beats: &mut Heartbeats, node: &str, now: u64) -> bool {
        beats.look(Millis(now));
        beats.silent_from(node, PATIENCE).is_some_and(|from| from <= Millis(now))
    }

    /// These nodes are heard every 10 s from `from` on, until before `until`.
    fn keep_hearing(beats: &mut Heartbeats, nodes: &[&str], from: u64, until: u64) {
        (from..until).step_by(10_000).for_each(|now| hear(beats, nodes, now));
    }

    #[test]
    fn a_node_is_silent_after_the_patience_and_heard_again_at_once() {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        keep_hearing(&mut beats, &["a", "b"], 10_000, 40_000);
        assert!(!is_silent(&mut beats, "c", 34_999));
        assert!(is_silent(&mut beats, "c", 35_000));
        let interval = renew_interval(USUAL);
        assert_eq!(beats.hear("c", Version(40_000), interval, Millis(40_000)), Some(Millis(40_000)));
        assert!(!is_silent(&mut beats, "c", 40_000));
    }

    #[test]
    fn one_lost_renewal_is_no_silence_whatever_the_patience() {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        keep_hearing(&mut beats, &["a", "b"], 10_000, 40_000);
        beats.look(Millis(20_800));
        for patience in [1, 15] {
            assert_eq!(beats.silent_from("c", Millis::from_seconds(patience)), Some(Millis(25_000)));
        }
    }

    #[test]
    fn a_node_that_renews_more_rarely_is_not_silent_sooner_than_it_says() {
        let mut beats = heard_at(0, &["a", "b"]);
        beats.hear("lazy", Version(1), renew_interval(Some(120)), Millis(0));
        keep_hearing(&mut beats, &["a", "b"], 10_000, 90_000);
        assert!(!is_silent(&mut beats, "lazy", 74_999));
        assert!(is_silent(&mut beats, "lazy", 75_000));
    }

    #[test]
    fn a_lease_that_says_nothing_of_use_is_renewed_as_usual() {
        for seconds in [None, Some(0), Some(-40), Some(40)] {
            assert_eq!(renew_interval(seconds), Millis::from_seconds(10), "{seconds:?}");
        }
        assert_eq!(renew_interval(Some(120)), Millis::from_seconds(30));
        assert_eq!(renew_interval(Some(i32::MAX)), Millis(250 * 2_147_483_647));
    }

    #[test]
    fn only_a_silence_that_may_have_counted_is_told() {
        let mut beats = heard_at(0, &["a"]);
        let mut tell = |version, now| beats.hear("a", Version(version), renew_interval(USUAL), Millis(now));
        assert_eq!(tell(2, 24_999), Some(Millis(0)));
        assert_eq!(tell(3, 49_999), Some(Millis(25_000)));
        assert_eq!(tell(3, 90_000), None);
    }

    #[test]
    fn a_known_version_in_a_fresh_list_is_no_sign_of_life() {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        keep_hearing(&mut beats, &["a", "b"], 10_000, 40_000);
        assert_eq!(beats.hear("c", Version(1), renew_interval(USUAL), Millis(34_000)), None);
        assert!(is_silent(&mut beats, "c", 35_000));
    }

    #[test]
    fn most_nodes_late_at_once_silences_nobody_and_counting_starts_afresh() {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        assert!(!is_silent(&mut beats, "c", 40_000));
        hear(&mut beats, &["a"], 41_000);
        hear(&mut beats, &["b"], 42_000);
        assert!(!is_silent(&mut beats, "c", 42_000));
        keep_hearing(&mut beats, &["a", "b"], 51_000, 80_000);
        assert!(!is_silent(&mut beats, "c", 76_999));
        assert!(is_silent(&mut beats, "c", 77_000));
    }

    /// The first of them is due when the others are not, and one node was silent before.
    #[test]
    fn nodes_that_fall_silent_together_are_most_nodes_before_the_first_of_them_is_due() {
        let nodes = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let mut beats = heard_at(0, &nodes);
        keep_hearing(&mut beats, &nodes[1..], 10_000, 30_000);
        hear(&mut beats, &nodes[6..], 30_000);
        for (node, at) in ["b", "c", "d", "e", "f"].into_iter().zip([30_000, 31_000, 32_000, 33_000, 33_000])
        {
            hear(&mut beats, &[node], at);
        }
        for now in (34_000..120_000).step_by(500) {
            if now % 10_000 == 0 {
                hear(&mut beats, &nodes[6..], now);
            }
            assert!(!is_silent(&mut beats, "b", now), "at {now}");
        }
    }

    #[test]
    fn half_of_the_nodes_are_not_most() {
        let mut beats = heard_at(0, &["a", "b", "c", "d"]);
        keep_hearing(&mut beats, &["a", "b"], 10_000, 40_000);
        assert!(is_silent(&mut beats, "c", 35_000) && is_silent(&mut beats, "d", 35_000));
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
            keep_hearing(&mut beats, &["a", "b"], 10_000, 40_000);
            assert!(!is_silent(&mut beats, "c", 34_999));
            assert!(is_silent(&mut beats, "c", 35_000));
            // Back, with a Lease of its own again.
            hear(&mut beats, &["c"], 40_000);
            assert!(!is_silent(&mut beats, "c", 40_000));
        }
    }

    #[test]
    fn nodes_that_are_gone_are_no_part_of_most_nodes() {
        let mut beats = heard_at(0, &["a", "b", "c", "d", "e"]);
        for node in ["c", "d", "e"] {
            beats.forget(node, Millis(5_000));
        }
        keep_hearing(&mut beats, &["a"], 10_000, 40_000);
        assert!(is_silent(&mut beats, "b", 35_000), "one of two is not most");
    }

    #[test]
    fn leases_that_nodes_have_left_behind_are_no_part_of_most_nodes() {
        let mut beats = heard_at(0, &["a", "b", "c", "left", "over", "for", "good"]);
        keep_hearing(&mut beats, &["a", "b"], 10_000, 400_000);
        keep_hearing(&mut beats, &["c"], 300_000, 310_000);
        assert!(is_silent(&mut beats, "c", 399_000));
        assert!(!is_silent(&mut beats, "a", 399_000));
    }

    #[test]
    fn a_process_that_was_stopped_for_long_takes_itself_for_cut_off() {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        assert!(!is_silent(&mut beats, "c", 3_600_000));
        hear(&mut beats, &["a"], 3_600_001);
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
    fn a_node_never_heard_is_not_silent() {
        assert_eq!(heard_at(0, &["a"]).silent_from("b", PATIENCE), None);
    }
}
