//! Which nodes are silent, judged by the heartbeats that this operator saw, on the local clock.
//!
//! A node renews its Lease four times in that Lease's own duration: every 10 s by default, every 30
//! s if the kubelet is configured so. The node is *late* after one and a quarter of these
//! intervals. It is never silent before two and a half.
//!
//! If most nodes are late at once, this process was cut off or the API server slow: the nodes
//! themselves are fine. Then no node is silent, and the silence of every node counts anew from the
//! last such moment. So no leader is lost while the nodes are heard again one after the other. The
//! rule looks at lateness, not at silence: of nodes that fall silent together, the first is due
//! while the others are not yet. A failed watch of the heartbeats counts the same.

use std::collections::{BTreeMap, BTreeSet};

use super::{Millis, Version};

/// How long a deleted node is remembered: longer than the longest patience, a day.
const REMEMBERED: Millis = Millis::from_seconds(2 * 86_400);

/// After so many intervals without a renewal a node does not count any more among the nodes that
/// could be heard. A node that is deleted before its kubelet ends leaves its Lease for good
/// (kubernetes/kubernetes#109777).
const LEFT_BEHIND: u64 = 30;

/// The renew interval of a node whose Lease has no duration.
const USUAL_INTERVAL: Millis = Millis::from_seconds(10);

/// How often a node renews its Lease, by the `leaseDurationSeconds` of that Lease. The kubelet
/// takes a quarter of it.
#[must_use]
pub fn renew_interval(lease_duration_seconds: Option<i32>) -> Millis {
    let seconds = lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.filter(|seconds| *seconds > 0).map_or(USUAL_INTERVAL, |seconds| Millis(seconds * 250))
}

/// The latest heartbeat of a node.
#[derive(Clone, Copy, Debug)]
struct Beat {
    at: Millis,
    interval: Millis,
}

impl Beat {
    /// The next heartbeat is late after this moment.
    const fn late_after(self) -> Millis {
        Millis(self.at.0.saturating_add(self.interval.0 * 5 / 4))
    }

    /// The shortest silence that can mean anything: the node missed two renewals.
    const fn least_silence(self) -> Millis {
        Millis(self.interval.0 * 5 / 2)
    }

    /// From this moment on the node does not count any more.
    const fn left_behind_from(self) -> Millis {
        Millis(self.at.0.saturating_add(self.interval.0 * LEFT_BEHIND))
    }
}

/// When each node was last heard.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats {
    heard: BTreeMap<String, (Version, Beat)>,
    /// Nodes that were not late at the last look, by the moment after which each is late.
    on_time: BTreeSet<(Millis, String)>,
    /// Nodes that were late, by the moment from which each counts as left behind.
    late: BTreeSet<(Millis, String)>,
    /// Deleted nodes. Their pods may still exist: Kubernetes takes most of a minute to find that
    /// the node of a pod does not exist.
    gone: BTreeMap<String, Beat>,
    /// The last moment at which most nodes were late.
    cut_off_at: Millis,
    /// The watch has failed, and no heartbeat came since.
    is_deaf: bool,
    /// The last moment at which the watch was known to have failed.
    deaf_until: Millis,
}

impl Heartbeats {
    /// Notes a heartbeat of a node that renews every `interval`. Returns for how long the node had
    /// not been heard: zero if that cannot have counted as silence. None if this is no heartbeat:
    /// the version is known already, as in a fresh list.
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
        self.on_time.insert((beat.late_after(), node.to_owned()));
        self.heard.insert(node.to_owned(), (version, beat));
        self.gone.remove(node);
        Some(silence)
    }

    /// The watch has failed: no node can be heard until the next heartbeat comes.
    pub const fn lose(&mut self) {
        self.is_deaf = true;
    }

    /// A node was deleted: it will not be heard, and does not count any more among the nodes that
    /// could be.
    pub fn forget(&mut self, node: &str, now: Millis) {
        if let Some(beat) = self.remove(node) {
            self.gone.insert(node.to_owned(), beat);
        }
        self.gone.retain(|_, beat| beat.at + REMEMBERED > now);
    }

    fn remove(&mut self, node: &str) -> Option<Beat> {
        let (_, beat) = self.heard.remove(node)?;
        self.on_time.remove(&(beat.late_after(), node.to_owned()));
        self.late.remove(&(beat.left_behind_from(), node.to_owned()));
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

    /// Judges the nodes at this moment. Notes whether most of them are late now.
    pub fn look(&mut self, now: Millis) -> Look<'_> {
        if self.is_deaf {
            self.deaf_until = now;
        }
        self.sort(now);
        let (on_time, late) = (self.on_time.len(), self.late.len());
        let all_left_behind = on_time + late == 0 && !self.heard.is_empty();
        if late > on_time || all_left_behind {
            self.cut_off_at = now;
        }
        Look(self)
    }

    /// Moves nodes on that are late or left behind by now. A heartbeat moves its node at most
    /// twice: a look at thousands of late nodes costs no more than one at none.
    fn sort(&mut self, now: Millis) {
        while let Some((late_after, _)) = self.on_time.first()
            && *late_after < now
            && let Some((_, node)) = self.on_time.pop_first()
        {
            let beat = self.heard.get(&node).map(|(_, beat)| *beat);
            self.late.extend(beat.map(|beat| (beat.left_behind_from(), node)));
        }
        while self.late.first().is_some_and(|(left_behind_from, _)| *left_behind_from <= now) {
            self.late.pop_first();
        }
    }
}

/// The nodes as judged at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a>(&'a Heartbeats);

impl Look<'_> {
    /// The moment from which `node` counts as silent, unless a heartbeat comes before. None for a
    /// node that was never heard.
    #[must_use]
    pub fn silent_from(self, node: &str, patience: Millis) -> Option<Millis> {
        let Heartbeats { cut_off_at, deaf_until, .. } = self.0;
        let beat = self.0.last_heard(node)?;
        Some(beat.at.max(*cut_off_at).max(*deaf_until) + patience.max(beat.least_silence()))
    }
}

#[cfg(test)]
mod tests;
