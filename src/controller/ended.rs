//! Which objects have ended, for as long as an answer that was under way may still tell of them.

use std::collections::{HashSet, VecDeque};

use crate::election::Millis;

/// Longer than any request or watch takes.
const KEPT: Millis = Millis::from_seconds(60);

/// However many end at once.
const AT_MOST: usize = 10_000;

/// The UIDs of objects whose end is proved. A UID is never used again: what is said of one after its end was said before.
#[derive(Debug, Default)]
pub(super) struct Ended {
    order: VecDeque<(Millis, String)>,
    uids: HashSet<String>,
}

impl Ended {
    /// This object has ended.
    pub(super) fn note(&mut self, uid: &str, now: Millis) {
        while let Some((at, _)) = self.order.front()
            && (*at + KEPT <= now || self.order.len() >= AT_MOST)
            && let Some((_, uid)) = self.order.pop_front()
        {
            self.uids.remove(&uid);
        }
        if self.uids.insert(uid.to_owned()) {
            self.order.push_back((now, uid.to_owned()));
        }
    }

    /// An object of this UID has ended.
    #[must_use]
    pub(super) fn has(&self, uid: &str) -> bool {
        self.uids.contains(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_remembered_for_a_while_and_never_more_than_so_many() {
        let mut ended = Ended::default();
        ended.note("early", Millis(0));
        ended.note("late", Millis(59_999));
        assert!(ended.has("early") && ended.has("late"));
        ended.note("later", Millis(60_000));
        assert!(!ended.has("early") && ended.has("late"));
        for number in 0..AT_MOST {
            ended.note(&number.to_string(), Millis(60_000));
        }
        assert!(!ended.has("late") && !ended.has("later") && ended.has("0"));
        assert_eq!((ended.order.len(), ended.uids.len()), (AT_MOST, AT_MOST));
    }
}
