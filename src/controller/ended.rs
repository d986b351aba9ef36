//! Which objects have ended, for as long as an answer that was under way may still tell of them.

use std::collections::{HashSet, VecDeque};

use crate::election::{Identity, Millis};

/// Longer than any request or watch takes.
const KEPT: Millis = Millis::from_seconds(60);

/// However many end at once.
const AT_MOST: usize = 10_000;

/// Objects whose end is proved, by namespace, name and UID. A UID is never used again: what is said of one after its end was
/// said before. The UID alone would not do: an annotation that was copied into another namespace names one that exists, and
/// there it does not.
#[derive(Debug, Default)]
pub(super) struct Ended {
    order: VecDeque<(Millis, Object)>,
    objects: HashSet<Object>,
}

/// Namespace and identity.
type Object = (String, Identity);

impl Ended {
    /// This object has ended.
    pub(super) fn note(&mut self, namespace: &str, id: &Identity, now: Millis) {
        while let Some((at, _)) = self.order.front()
            && (*at + KEPT <= now || self.order.len() >= AT_MOST)
            && let Some((_, object)) = self.order.pop_front()
        {
            self.objects.remove(&object);
        }
        let object = (namespace.to_owned(), id.clone());
        if self.objects.insert(object.clone()) {
            self.order.push_back((now, object));
        }
    }

    /// This object has ended.
    #[must_use]
    pub(super) fn has(&self, namespace: &str, id: &Identity) -> bool {
        self.objects.contains(&(namespace.to_owned(), id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(uid: &str) -> Identity {
        Identity::new("a", uid)
    }

    #[test]
    fn an_end_is_remembered_for_a_while_and_never_more_than_so_many() {
        let mut ended = Ended::default();
        let has = |ended: &Ended, uid: &str| ended.has("shop", &id(uid));
        ended.note("shop", &id("early"), Millis(0));
        ended.note("shop", &id("late"), Millis(59_999));
        assert!(has(&ended, "early") && has(&ended, "late"));
        ended.note("shop", &id("later"), Millis(60_000));
        assert!(!has(&ended, "early") && has(&ended, "late"));
        for number in 0..AT_MOST {
            ended.note("shop", &id(&number.to_string()), Millis(60_000));
        }
        assert!(!has(&ended, "late") && !has(&ended, "later") && has(&ended, "0"));
        assert_eq!((ended.order.len(), ended.objects.len()), (AT_MOST, AT_MOST));
    }
}
