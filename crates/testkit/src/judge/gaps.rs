//! How long groups with an eligible pod were without a leader label: no law, but a figure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::present::Present;
use super::revision::Mode;

/// All gaps so far, first elections included.
#[derive(Default)]
pub(super) struct Gaps {
    /// Since when a group is without a label.
    open: BTreeMap<String, Duration>,
    closed: Vec<Duration>,
    /// The revisions of the group up to the end of the longest gap.
    longest: String,
}

impl Gaps {
    /// Looks at a group after a revision of it. `recent` tells its latest revisions.
    pub(super) fn look(
        &mut self,
        present: &Present,
        name: &str,
        at: Duration,
        recent: impl FnOnce() -> String,
    ) {
        // A paused group may not move, and without a holder of the Lease no pod is to be labelled.
        let served = present.group(name).filter(|group| !group.paused && group.mode != Mode::Observed);
        let led = served.is_some_and(|group| present.leaders(group).next().is_some());
        let eligible = served.is_some_and(|group| present.members(group).any(|pod| pod.able));
        if eligible && !led {
            self.open.entry(name.to_owned()).or_insert(at);
        } else if let Some(since) = self.open.remove(name).filter(|_| served.is_some()) {
            let gap = at.saturating_sub(since);
            if self.closed.iter().all(|other| *other < gap) {
                self.longest = recent();
            }
            self.closed.push(gap);
        }
    }

    #[cfg(test)]
    pub(super) fn closed(&self) -> &[Duration] {
        &self.closed
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gaps = self.closed.clone();
        gaps.sort_unstable();
        let last = gaps.len().saturating_sub(1);
        let at = |percent: usize| gaps.get((gaps.len() * percent / 100).min(last));
        let told =
            |gap: Option<&Duration>| gap.map_or("-".to_owned(), |gap| format!("{:.3} s", gap.as_secs_f64()));
        let (p50, p99, max) = (told(at(50)), told(at(99)), told(gaps.last()));
        let (times, longest) = (gaps.len(), &self.longest);
        write!(
            f,
            "time without a leader label: {times} times, p50 {p50}, p99 {p99}, max {max}; the longest:\n  \
             {longest}"
        )
    }
}
