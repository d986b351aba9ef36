//! A Lease as this operator sees it: its content, and when the operator last saw the content
//! change.
//!
//! Remote times are opaque values: they change or they do not. The validity of a Lease counts from
//! the local moment of the last change seen. (S5 does not apply: `holderIdentity` is free text, not
//! a UID.)

use super::pod::Owner;
use crate::{Identity, Millis, Term, Version};

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeaseContent {
    /// The UID of the Lease object.
    pub uid: String,
    /// The version at which the Lease was read.
    pub version: Version,
    /// Which group owns the Lease, by its ownerReference.
    pub owner: Owner,
    /// `holderIdentity`. Null and the empty text both mean that the Lease has no holder.
    pub holder: Option<String>,
    /// `leaseDurationSeconds`, if the Lease has it.
    pub duration_seconds: Option<i32>,
    /// `leaseTransitions`, or zero.
    pub transitions: i32,
    /// The term annotation, if it is a valid term: a group has written the Lease.
    pub term: Option<Term>,
    /// The name of the group that may take the Lease over, by an annotation of a user.
    pub adopt: Option<String>,
    /// The pod that may take the Lease, by annotation (Nominated). None if the annotation is absent
    /// or empty. A text that names no pod is kept as a name without UID: it is not empty.
    pub nominee: Option<Identity>,
    /// The duration that the nominee takes the Lease with, in seconds, by annotation (Nominated).
    pub nominated_seconds: Option<u32>,
    /// `acquireTime` and `renewTime` as written. They are compared, never computed with.
    pub times: (Option<i64>, Option<i64>),
}

/// A [`LeaseContent`] and what is known of its age.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeenLease {
    /// The content as last read.
    pub content: LeaseContent,
    /// When this operator first saw this content.
    pub changed_at: Millis,
    /// False while the content is the first that this operator saw: it may be older than it looks.
    pub change_was_seen: bool,
    /// When this operator first saw a Lease of this UID.
    pub uid_seen_at: Millis,
    /// When this operator first saw the present nominee and term, and that the Lease is held, or is
    /// free, as it is now.
    pub nominee_seen_at: Millis,
}

impl LeaseContent {
    /// This group owns the Lease.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.owner == Owner::Ours
    }

    /// The Lease has no holder.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.holder.as_deref().is_none_or(str::is_empty)
    }

    /// This group owns the Lease, or a group that seems to be deleted left it behind.
    #[must_use]
    pub const fn is_ours_to_write(&self) -> bool {
        matches!(self.owner, Owner::Ours | Owner::Vanished(_))
    }
}

impl SeenLease {
    /// The first read of a Lease.
    #[must_use]
    pub const fn first_seen(content: LeaseContent, now: Millis) -> Self {
        Self { content, changed_at: now, change_was_seen: false, uid_seen_at: now, nominee_seen_at: now }
    }

    /// A later read. A write that leaves holder, times, duration and transitions as they are does
    /// not make the Lease younger: it changed a label, or it was a nomination.
    pub fn note(&mut self, content: LeaseContent, now: Millis) {
        let essence =
            |r: &LeaseContent| (r.uid.clone(), r.holder.clone(), r.duration_seconds, r.transitions, r.times);
        if essence(&content) != essence(&self.content) {
            self.changed_at = now;
            self.change_was_seen = true;
        }
        if content.uid != self.content.uid {
            self.uid_seen_at = now;
        }
        let nomination = |r: &LeaseContent| (r.uid.clone(), r.is_free(), r.nominee.clone(), r.term);
        if nomination(&content) != nomination(&self.content) {
            self.nominee_seen_at = now;
        }
        self.content = content;
    }

    /// The name of the holder, if the Lease has one.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.content.holder.as_deref().filter(|holder| !holder.is_empty())
    }

    /// The first moment at which the Lease is no longer valid: its own duration after the last
    /// change seen here. `default_duration` counts if the Lease has none. A duration of zero or
    /// less is never valid.
    #[must_use]
    pub fn valid_until(&self, default_duration: Millis) -> Millis {
        let duration = match self.content.duration_seconds {
            None => default_duration,
            Some(seconds) => Millis::from_seconds(u64::try_from(seconds).unwrap_or(0)),
        };
        self.changed_at + duration
    }

    /// `self` is a mere renewal of `before`, which was still valid. Only the moment of expiry
    /// moves.
    #[must_use]
    pub fn renews(&self, before: &Self, default_duration: Millis) -> bool {
        let LeaseContent { version, times, .. } = self.content;
        let renewed = LeaseContent { version, times, ..before.content.clone() };
        renewed == self.content && before.is_held(default_duration, self.changed_at)
    }

    /// The Lease has a holder and is still valid at `now`.
    #[must_use]
    pub fn is_held(&self, default_duration: Millis, now: Millis) -> bool {
        self.holder().is_some() && now < self.valid_until(default_duration)
    }
}

/// What a group may do with the Lease of its Lease name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseClaim {
    /// The group may write the Lease, or create it.
    Ours,
    /// Another holder has it, and it is still valid: the group waits.
    HeldByOther,
    /// No group ever wrote it, and no user gave it to this group: another program may elect by it.
    NeverOurs,
}
