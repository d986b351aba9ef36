//! A group as its worker sees it: present, unreadable or deleted.

use super::snapshot::Snapshot;
use crate::{Identity, Millis, Term, Version};

/// A group, for as long as it exists or owns a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupView {
    /// The group exists.
    Present(Box<Snapshot>),
    /// The group exists, and its newest version cannot be read: leave everything as it is.
    Unreadable,
    /// The group is deleted, or seems to be.
    Deleted {
        /// The group.
        group: Identity,
        /// The pods that it still owns and that no other group selects: release them.
        pods: Vec<(Identity, Version)>,
        /// When a watch event or an answer of the API server proved the deletion, if one did.
        deleted_at: Option<Millis>,
        /// The moment of the plan.
        now: Millis,
    },
}

impl GroupView {
    /// The group as it is, if it exists and can be read.
    #[must_use]
    pub fn present(&self) -> Option<&Snapshot> {
        match self {
            Self::Present(snapshot) => Some(snapshot),
            Self::Unreadable | Self::Deleted { .. } => None,
        }
    }

    /// The group is deleted, or seems to be.
    #[must_use]
    pub const fn is_deleted(&self) -> bool {
        matches!(self, Self::Deleted { .. })
    }

    /// The term of the record.
    #[must_use]
    pub fn term(&self) -> Option<Term> {
        self.present()?.record().map(|record| record.term)
    }

    /// The version of the group. Zero if it cannot be read.
    #[must_use]
    pub fn version(&self) -> Version {
        self.present().map(|snapshot| snapshot.group.version).unwrap_or_default()
    }
}
