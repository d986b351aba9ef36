//! The content of a Lease, what is written into it, and when this process last saw it change.
//!
//! A remote time is compared for being different, never with a clock.

use super::time::{Nanos, WallMicros};

/// The content of a Lease. A missing or null field is zero or empty here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElectionRecord {
    /// The UID of the Lease object.
    pub uid: String,
    /// The `resourceVersion` that this was read at.
    pub version: String,
    /// Its holder. Empty: no holder.
    pub holder: String,
    /// `leaseDurationSeconds`; zero if it is not positive.
    pub duration: Nanos,
    /// `acquireTime`.
    pub acquire_time: Option<WallMicros>,
    /// `renewTime`.
    pub renew_time: Option<WallMicros>,
    /// `leaseTransitions`.
    pub transitions: i32,
    /// The whole spec as text, unknown fields included. It is compared, never interpreted.
    pub content: String,
    /// What the operator asks for. None: the Lease is not one of `mode: Nominated`.
    pub nomination: Option<Nomination>,
}

/// What the annotations of a Lease of `mode: Nominated` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nomination {
    /// Who may take the Lease, as `<pod>/<pod UID>`. Empty: no pod.
    pub nominee: String,
    /// The `leaseDurationSeconds` of the next holder. Zero: not set, or not a number.
    pub seconds: i32,
    /// The term of the nomination.
    pub term: u64,
}

/// What is written into a Lease. Every other field keeps its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordWrite {
    /// `holderIdentity`. Empty releases the Lease.
    pub holder: String,
    /// `leaseDurationSeconds`.
    pub seconds: i32,
    /// `acquireTime`.
    pub acquire_time: WallMicros,
    /// `renewTime`.
    pub renew_time: WallMicros,
    /// `leaseTransitions`.
    pub transitions: i32,
}

/// Identifies one unbroken leadership. Terms with the same UID are ordered by `transitions`.
/// [`super::rules::SameIdentity::Reclaim`] repeats transitions: there, and across UIDs, the version
/// orders them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FencingToken {
    /// The UID of the Lease.
    pub uid: String,
    /// `leaseTransitions` of the acquiring write.
    pub transitions: i32,
    /// `resourceVersion` of the acquiring write.
    pub acquired_version: String,
    /// The term of the nomination, in `mode: Nominated`. None: the candidates picked the holder.
    pub nomination: Option<u64>,
}

impl FencingToken {
    /// A token as of an elector without nominations: for tests of a program.
    #[must_use]
    pub fn new(uid: impl Into<String>, transitions: i32, acquired_version: impl Into<String>) -> Self {
        let (uid, acquired_version) = (uid.into(), acquired_version.into());
        Self { uid, transitions, acquired_version, nomination: None }
    }

    /// The number of the term: that of its nomination, else `transitions`.
    #[must_use]
    pub fn term(&self) -> i64 {
        let nomination = self.nomination.and_then(|term| i64::try_from(term).ok());
        nomination.unwrap_or_else(|| self.transitions.into())
    }
}

/// The Lease as this process sees it.
#[derive(Clone, Debug, Default)]
pub struct ObservedRecord {
    /// The record as last seen. None: there is no Lease, or it has not been read yet.
    pub record: Option<ElectionRecord>,
    /// When this process saw `record` change.
    pub changed_at: Nanos,
    /// The `leaseTransitions` last seen, also of a Lease that was deleted.
    pub transitions: Option<i32>,
    /// Whether the Lease, or that there is none, was seen at all.
    pub looked: bool,
    /// The newest version seen. Versions are numbers since Kubernetes enhancement 5504.
    version: Option<u64>,
}

impl ObservedRecord {
    /// Takes in what a read or the watch shows. True if UID or spec changed: a label edit does not
    /// renew a Lease.
    pub fn note(&mut self, record: Option<ElectionRecord>, now: Nanos) -> bool {
        let content =
            |record: &Option<ElectionRecord>| record.as_ref().map(|r| (r.uid.clone(), r.content.clone()));
        let fresh = content(&self.record) != content(&record);
        if fresh {
            self.changed_at = now;
        }
        if let Some(record) = &record {
            self.transitions = Some(record.transitions);
            self.version = record.version.parse().ok();
        }
        self.record = record;
        self.looked = true;
        fresh
    }

    /// Whether a watch event is newer than what was seen already. A watch may replay events.
    #[must_use]
    pub fn is_newer(&self, version: &str) -> bool {
        match (version.parse::<u64>(), self.version) {
            (Ok(version), Some(seen)) => version > seen,
            _ => true,
        }
    }

    /// Its holder, expired or not. Empty: no holder.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.record.as_ref().map_or("", |record| &record.holder)
    }

    /// The first moment at which the record is no longer valid: its own duration after the last
    /// change that this process saw.
    #[must_use]
    pub fn valid_until(&self) -> Nanos {
        self.changed_at + self.record.as_ref().map_or(Nanos(0), |record| record.duration)
    }
}
