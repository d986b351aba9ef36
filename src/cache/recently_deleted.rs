//! Objects that were deleted lately: a late event or answer may still show them.

use std::collections::{HashSet, VecDeque};

use super::Kind;
use crate::planner::{Identity, Millis};

/// Longer than the delay of any request or watch.
const KEPT_FOR: Millis = Millis::from_seconds(60);

/// The oldest deletions are forgotten beyond this number.
const MAX_KEPT: usize = 10_000;

/// One object: its kind, its namespace, its name and its UID.
///
/// A UID alone is not enough. Users can write any UID into an owner annotation. That no object of
/// that name and UID exists proves nothing about the object that has the UID.
pub(super) type Key = (Kind, String, Identity);

/// Objects whose deletion is proved. No UID is used again: all that arrives about one of them after
/// its deletion is older.
#[derive(Debug, Default)]
pub(super) struct RecentlyDeleted {
    order: VecDeque<(Millis, Key)>,
    keys: HashSet<Key>,
}

impl RecentlyDeleted {
    /// This object was deleted.
    pub(super) fn note(&mut self, key: Key, now: Millis) {
        while let Some((at, _)) = self.order.front()
            && (*at + KEPT_FOR <= now || self.order.len() >= MAX_KEPT)
            && let Some((_, key)) = self.order.pop_front()
        {
            self.keys.remove(&key);
        }
        if self.keys.insert(key.clone()) {
            self.order.push_back((now, key));
        }
    }

    /// This object was deleted a short while ago.
    #[must_use]
    pub(super) fn has(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_is_remembered_for_a_while_and_their_number_is_bounded() {
        let key = |uid: &str| (Kind::Pod, "shop".to_owned(), Identity::new("p", uid));
        let mut deleted = RecentlyDeleted::default();
        deleted.note(key("early"), Millis(0));
        deleted.note(key("late"), Millis(59_999));
        assert!(deleted.has(&key("early")) && deleted.has(&key("late")));
        deleted.note(key("later"), Millis(60_000));
        assert!(!deleted.has(&key("early")) && deleted.has(&key("late")));
        for number in 0..MAX_KEPT {
            deleted.note(key(&number.to_string()), Millis(60_000));
        }
        assert!(!deleted.has(&key("late")) && !deleted.has(&key("later")) && deleted.has(&key("0")));
        assert_eq!((deleted.order.len(), deleted.keys.len()), (MAX_KEPT, MAX_KEPT));
    }
}
