//! What may happen in a world, which rule is left out, and which invariant broke.

use crate::objects::GroupObject;

/// The bounds of a world: what may happen, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::struct_excessive_bools)] // a table of what may happen
pub struct World {
    pub operators: u8,
    /// The highest term that is explored.
    pub terms: u8,
    /// How many writes of operators that gave up may be in flight.
    pub late: u8,
    pub crashes: u8,
    pub unready: u8,
    pub pods_deleted: u8,
    pub deselected: u8,
    /// How often a user edits the selector: it leaves a slot out, or includes it again.
    pub reselected: u8,
    pub lease_deleted: u8,
    pub emptied: u8,
    pub group_deleted: u8,
    pub tampered: u8,
    pub captured: u8,
    /// Observed mode: the pods hold the Lease, at first the pod of slot 0.
    pub observed: bool,
    /// How often the Lease is handed on.
    pub handed: u8,
    /// How often the holder renews the Lease. Operators see that late, or not at all.
    pub renewed: u8,
    /// How often the Lease expires.
    pub lapses: u8,
    /// Copies of the Lease lag, too. In Observed mode they always do.
    pub lease_lags: bool,
    /// Begin with a leader that all operators see, not with a new group.
    pub settled: bool,
    /// Begin just after the pod of slot 0, the leader, was recreated.
    pub recreated: bool,
    /// Begin with one operator whose copy of this slot is old.
    pub old_copy: Option<(u8, Old)>,
    /// At the beginning the operators do not know that the other group exists.
    pub other_is_unknown: bool,
    /// How often the other group is deleted; its annotations stay.
    pub other_deleted: u8,
    /// Begin with the pod of slot 0 owned by the other group.
    pub begins_captured: bool,
    /// The group routes a Service by a slice.
    pub routed: bool,
    /// How often a user deletes the slice.
    pub slice_deleted: u8,
    /// How often a user takes term and endpoint off the slice.
    pub slice_cleared: u8,
    /// How often a user raises the slice's term.
    pub slice_raised: u8,
    /// How often the other group creates a slice for the same Service.
    pub rivals: u8,
}

impl World {
    /// A new group.
    pub const fn group(&self, uid: u8) -> GroupObject {
        let Self { observed, routed, .. } = *self;
        GroupObject { uid, version: 0, record: None, observed, leaves_out: 0, routed }
    }
}

/// What an old copy of a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Old {
    /// The pod was not Ready.
    NotReady,
    /// There was no pod.
    Absent,
}

/// A rule of the protocol that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The record is written by compare-and-swap.
    ConditionalRecord,
    /// Fences are written at all.
    Fence,
    /// Fences are written before the promotion.
    FenceBeforePromotion,
    /// A promotion is conditional on the version that the plan saw.
    ConditionalPromotion,
    /// A record inherits the pods of the previous one that are not known to be fenced.
    InheritUnfenced,
    /// A record without a previous one counts every pod as unfenced.
    EveryPodUnfenced,
    /// The list of pods is made after the record.
    ListAfterRecord,
    /// A pod is identified by its UID.
    IdentityByUid,
    /// A pod absent from the cache is confirmed to be gone.
    ProofOfGone,
    /// Not above: a pod whose term is above the record's is not written.
    NotAbove,
    /// A higher term is recorded when a pod that must be written has a higher one.
    RecordAgain,
    /// Not another's: a pod that another group owns is not written.
    NotAnothers,
    /// Before a pod is taken over, its owner is confirmed to be deleted.
    ConfirmOwnerGone,
    /// A pod that another group owns is confirmed to be unchanged.
    ConfirmPodUnchanged,
    /// The group that owns it is confirmed to exist.
    ConfirmOwnerExists,
    /// The record is confirmed after the owner of a pod that is taken over, not at the same time.
    RecordAfterOwner,
    /// The record is confirmed before a pod is promoted or taken over.
    ConfirmRecord,
    /// The Lease names the leader before it is promoted.
    LeaseBeforePromotion,
    /// The Lease is written by compare-and-swap.
    ConditionalLease,
    /// Before a change because of the pods' Lease, that Lease is confirmed.
    ConfirmLease,
    /// The slice is created empty.
    EmptyCreation,
    /// A route is conditional on the version of the slice that the plan saw.
    ConditionalRoute,
    /// The record of a leader is written before the route to it.
    RecordBeforeRoute,
    /// The record is confirmed before the slice is written, if another plan wrote the record.
    ConfirmRecordBeforeRoute,
    /// Not above: a slice whose term is above the record's is not written.
    NotAboveOnSlices,
    /// A slice is filled for the first time only if no other slice names the Service.
    LookForOthers,
    /// The group looks for other slices after it has created its own.
    LookAfterCreation,
}

/// A set of violated invariants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BrokenSet(u16);

#[derive(Clone, Copy, Debug)]
#[repr(u16)]
pub enum Broken {
    S2 = 1,
    S3 = 2,
    S4 = 4,
    S5 = 8,
    L2 = 16,
    /// Not another's: a pod that another existing group owns was written.
    Others = 32,
    /// A holder leads again after its recorded expiry, though the Lease has not changed since.
    GivenUp = 64,
    /// A slice routes to a pod that was never recorded in the slice's term.
    R3 = 128,
    /// The term of a slice fell, or a route has a term below that of an earlier one, or two pods
    /// were routed in one term.
    R4 = 256,
    /// Two slices of one Service have an endpoint.
    R1 = 512,
}

impl BrokenSet {
    pub fn insert(&mut self, broken: Broken) {
        self.0 |= broken as u16;
    }

    pub fn contains(self, broken: Broken) -> bool {
        self.0 & broken as u16 != 0
    }
}
