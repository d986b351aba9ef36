//! A Lease as seen from here: its record, and when this process last saw it change.
//!
//! Remote times are opaque texts that change or do not change. How long a Lease is valid counts from the local moment
//! of the last change seen (S5 of no use here: a holder is a text that its owner chose).

use super::pod::Owner;
use crate::planner::{Millis, Term, Version};

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeaseContent {
    /// The UID of the Lease object.
    pub uid: String,
    /// The version this was read at.
    pub version: Version,
    /// Which group owns it, by its ownerReference.
    pub owner: Owner,
    /// Who holds it. Null and the empty text both mean nobody.
    pub holder: Option<String>,
    /// `leaseDurationSeconds`, where it has one.
    pub duration_seconds: Option<i32>,
    /// `leaseTransitions`, zero where it has none.
    pub transitions: i32,
    /// The term annotation, where it is a term: a group has written it.
    pub term: Option<Term>,
    /// The name of the group that a user lets have it, by annotation.
    pub adopt: Option<String>,
    /// `acquireTime` and `renewTime` as they stand there: compared, never computed with.
    pub times: (Option<i64>, Option<i64>),
}

/// A [`LeaseContent`] and what is known of its age.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeenLease {
    /// As last read.
    pub content: LeaseContent,
    /// When this process first saw this content.
    pub changed_at: Millis,
    /// False while the content is the first that this process ever saw: it may be older than it looks.
    pub change_was_seen: bool,
}

impl LeaseContent {
    /// Owned by the group that looks at it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.owner == Owner::Ours
    }

    /// Owned by that group, or by one that seems to be gone: what it left behind.
    #[must_use]
    pub const fn is_ours_to_write(&self) -> bool {
        matches!(self.owner, Owner::Ours | Owner::Vanished(_))
    }
}

impl SeenLease {
    /// The first look at a Lease.
    #[must_use]
    pub const fn first_seen(record: LeaseContent, now: Millis) -> Self {
        Self { content: record, changed_at: now, change_was_seen: false }
    }

    /// A further look. A write that leaves holder, times, duration and transitions as they are, a label say, does not
    /// make a Lease younger.
    pub fn note(&mut self, record: LeaseContent, now: Millis) {
        let content =
            |r: &LeaseContent| (r.uid.clone(), r.holder.clone(), r.duration_seconds, r.transitions, r.times);
        if content(&record) != content(&self.content) {
            self.changed_at = now;
            self.change_was_seen = true;
        }
        self.content = record;
    }

    /// The holder's name, if somebody holds it.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.content.holder.as_deref().filter(|holder| !holder.is_empty())
    }

    /// The first moment at which the Lease is no longer valid: the holder's own duration after the last change seen
    /// here. `default_duration` counts where the Lease has none; zero or less is never valid.
    #[must_use]
    pub fn valid_until(&self, default_duration: Millis) -> Millis {
        let duration = match self.content.duration_seconds {
            None => default_duration,
            Some(seconds) => Millis::from_seconds(u64::try_from(seconds).unwrap_or(0)),
        };
        self.changed_at + duration
    }

    /// Nothing but a renewal of `before`, which had not run out: it moves the moment at which the Lease does.
    #[must_use]
    pub fn renews(&self, before: &Self, default_duration: Millis) -> bool {
        let LeaseContent { version, times, .. } = self.content;
        let renewed = LeaseContent { version, times, ..before.content.clone() };
        renewed == self.content && before.is_held(default_duration, self.changed_at)
    }

    /// Held by somebody, and not yet run out at `now`.
    #[must_use]
    pub fn is_held(&self, default_duration: Millis, now: Millis) -> bool {
        self.holder().is_some() && now < self.valid_until(default_duration)
    }
}

/// What a group may do with the Lease of its Lease name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseClaim {
    /// It is there for this group, or not there at all.
    Ours,
    /// Somebody else holds it, and it has not run out: the group waits.
    HeldByOther,
    /// No group has ever written it, and no user has given it to this one: a program may elect by it.
    NeverOurs,
}
