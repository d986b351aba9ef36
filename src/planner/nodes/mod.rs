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
mod tests;
