//! What a Lease says, what is written into it, and when this process last saw it change.
//!
//! Remote times are compared for being different, never with a clock.

use super::time::{Nanos, WallMicros};

/// What a Lease says. What is missing or null in it is zero or empty here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElectionRecord {
    /// The UID of the Lease object.
    pub uid: String,
    /// The `resourceVersion` this was read at.
    pub version: String,
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// `leaseDurationSeconds`; zero if it is not positive.
    pub duration: Nanos,
    /// `acquireTime`.
    pub acquire_time: Option<WallMicros>,
    /// `renewTime`.
    pub renew_time: Option<WallMicros>,
    /// `leaseTransitions`.
    pub transitions: i32,
    /// The whole spec as text, unknown fields included: compared, never interpreted.
    pub content: String,
}

/// What is written into a Lease. Every other field of it stays as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordWrite {
    /// `holderIdentity`; empty to release.
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

/// One unbroken leadership. Within one UID terms are ordered by transitions (where [`super::rules::SameIdentity::Reclaim`]
/// repeats them, and across UIDs, by the version).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FencingToken {
    /// The UID of the Lease.
    pub uid: String,
    /// `leaseTransitions` of the acquiring write.
    pub transitions: i32,
    /// `resourceVersion` of the acquiring write.
    pub acquired_version: String,
}

/// The Lease as seen from here.
#[derive(Clone, Debug, Default)]
pub struct ObservedRecord {
    /// As last seen; none: there is no Lease, or nobody has looked yet.
    pub record: Option<ElectionRecord>,
    /// When this process saw `record` change.
    pub changed_at: Nanos,
    /// The `leaseTransitions` last seen, also of a Lease that is gone.
    pub transitions: Option<i32>,
    /// The newest version seen, where versions are numbers (Kubernetes enhancement 5504).
    version: Option<u64>,
}

impl ObservedRecord {
    /// A look. True if UID or spec changed: a label edit does not make a Lease younger.
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
        fresh
    }

    /// Whether an event of a watch tells more than what was seen already. A watch may replay.
    #[must_use]
    pub fn is_newer(&self, version: &str) -> bool {
        match (version.parse::<u64>(), self.version) {
            (Ok(version), Some(seen)) => version > seen,
            _ => true,
        }
    }

    /// Who holds it, expired or not; empty: nobody.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.record.as_ref().map_or("", |record| &record.holder)
    }

    /// The first moment at which the record is not valid any more: its own duration after its last change seen here.
    #[must_use]
    pub fn valid_until(&self) -> Nanos {
        self.changed_at + self.record.as_ref().map_or(Nanos(0), |record| record.duration)
    }
}
