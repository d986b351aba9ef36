//! Which objects have ended, for as long as an answer that was under way may still tell of them.

use std::collections::{HashSet, VecDeque};

use super::Kind;
use crate::planner::{Identity, Millis};

/// Longer than any request or watch takes.
const KEPT: Millis = Millis::from_seconds(60);

/// However many end at once.
const AT_MOST: usize = 10_000;

/// One object: its kind, its namespace, and its name and UID there. A UID alone will not do: users write that of
/// any object into marks, and that it is not found where they say proves nothing about the object that has it.
pub(super) type Key = (Kind, String, Identity);

/// The objects whose end is proved. A UID is never used again: what is said of one after its end was said before.
#[derive(Debug, Default)]
pub(super) struct RecentlyDeleted {
    order: VecDeque<(Millis, Key)>,
    keys: HashSet<Key>,
}

impl RecentlyDeleted {
    /// This object has ended.
    pub(super) fn note(&mut self, key: Key, now: Millis) {
        while let Some((at, _)) = self.order.front()
            && (*at + KEPT <= now || self.order.len() >= AT_MOST)
            && let Some((_, key)) = self.order.pop_front()
        {
            self.keys.remove(&key);
        }
        if self.keys.insert(key.clone()) {
            self.order.push_back((now, key));
        }
    }

    /// This object has ended.
    #[must_use]
    pub(super) fn has(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_remembered_for_a_while_and_never_more_than_so_many() {
        let key = |uid: &str| (Kind::Pod, "shop".to_owned(), Identity::new("p", uid));
        let mut ended = RecentlyDeleted::default();
        ended.note(key("early"), Millis(0));
        ended.note(key("late"), Millis(59_999));
        assert!(ended.has(&key("early")) && ended.has(&key("late")));
        ended.note(key("later"), Millis(60_000));
        assert!(!ended.has(&key("early")) && ended.has(&key("late")));
        for number in 0..AT_MOST {
            ended.note(key(&number.to_string()), Millis(60_000));
        }
        assert!(!ended.has(&key("late")) && !ended.has(&key("later")) && ended.has(&key("0")));
        assert_eq!((ended.order.len(), ended.keys.len()), (AT_MOST, AT_MOST));
    }
}
