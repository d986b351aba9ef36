//! What L2 needs to know: which leaders were always well, and where a switchover was asked for.

use std::collections::BTreeSet;

use super::present::Present;
use super::revision::{Group, Pod};

#[derive(Default)]
pub(super) struct Moves {
    /// Pods, by UID, that were once not eligible, or not selected.
    once_ineligible: BTreeSet<String>,
    /// Groups, by UID, of which a user has asked for a switchover since their leader was recorded.
    asked: BTreeSet<String>,
}

impl Moves {
    /// Looks at one pod after a revision of it.
    pub(super) fn note_pod(&mut self, present: &Present, pod: &Pod) {
        if !pod.able || !present.groups().all(|group| group.selects(pod)) {
            self.once_ineligible.insert(pod.uid.clone());
        }
    }

    /// Looks at all pods after a revision of a group.
    pub(super) fn note_pods(&mut self, present: &Present) {
        for pod in present.pods() {
            self.note_pod(present, pod);
        }
    }

    /// Whether a revision of a group moves it away from a leader that is well, though no user asked
    /// for it.
    pub(super) fn are_broken_by(&mut self, present: &Present, before: &Group, after: &Group) -> bool {
        let leader = before.leader.as_str();
        let moved = !leader.is_empty() && leader != after.leader;
        let asked = self.asked.contains(&after.uid) || before.switchover || after.switchover;
        if moved {
            self.asked.remove(&after.uid);
        } else if after.switchover {
            self.asked.insert(after.uid.clone());
        }
        let well = present.pod(leader).is_some() && !self.once_ineligible.contains(leader);
        moved && well && !asked
    }
}
