//! What may happen in a world, which rule is left out, and which invariant broke.

use crate::objects::GroupObject;

/// Durations of a Lease in seconds.
pub const SHORT: u8 = 15;
pub const LONG: u8 = 60;

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
    /// Nominated mode: the operators nominate, and the pods take the Lease.
    pub nominated: bool,
    /// How often all processes of a pod end, and the kubelet says so.
    pub ended: u8,
    /// The Lease lasts a minute at first, not 15 seconds.
    pub minute: bool,
    /// How often a user changes the duration of the Lease.
    pub shortened: u8,
    /// Nominees may leave a free Lease untaken for longer than the group allows.
    pub silent: bool,
    /// How often the other group creates a slice for the same Service.
    pub rivals: u8,
}

impl World {
    /// A new group.
    pub const fn group(&self, uid: u8) -> GroupObject {
        let Self { observed, routed, nominated, .. } = *self;
        let seconds = if self.minute { LONG } else { SHORT };
        GroupObject { uid, version: 0, record: None, observed, leaves_out: 0, routed, nominated, seconds }
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
    /// Only the nominee takes the Lease.
    TakeAsNominee,
    /// A held Lease is not taken.
    TakeFree,
    /// A take is conditional on the version that was seen.
    ConditionalTake,
    /// The take empties the nominee. Without the rule the release does.
    EmptyByTake,
    /// The nominee is emptied at all.
    EmptyNominee,
    /// A Lease is released after the end of COMMAND.
    ReleaseAfterEnd,
    /// A release is conditional on the version that was seen.
    ConditionalRelease,
    /// The deadline counts from the moment at which the request was sent.
    CountFromSend,
    /// A renewal changes the Lease, so that operators see it.
    RenewalChanges,
    /// COMMAND never starts on a take without an answer.
    DropUnanswered,
    /// COMMAND starts by a take only, not because the own pod is the holder.
    StartByTake,
    /// A companion knows its pod by UID.
    CompanionByUid,
    /// What another process took is released only once its COMMAND has ended.
    RestartProvesNothing,
    /// A Lease is cleared on the version that was seen.
    ConditionalClear,
    /// A deleted pod proves nothing: its processes may run on.
    DeletionProvesNothing,
    /// A Lease is created without a nominee.
    CreateEmpty,
    /// The operator nominates in the Lease that the record names, by UID.
    NominateInRecorded,
    /// Another Lease is recorded after its quarantine.
    Quarantine,
    /// The quarantine holds for a group without a record, too.
    QuarantineAtFirst,
    /// A term is nominated once.
    NominateOnce,
    /// No term is nominated over a higher one.
    NominateAbove,
    /// A nomination is conditional on the version that was seen.
    ConditionalNomination,
    /// A pod is promoted when it was seen to hold the Lease.
    PromoteHolder,
    /// A pod is promoted when it holds the Lease in the term of the record, not in another.
    PromoteInTerm,
    /// A record never lowers the longest duration.
    KeepLongest,
    /// A slice is filled for the first time only if no other slice names the Service.
    LookForOthers,
    /// The group looks for other slices after it has created its own.
    LookAfterCreation,
}

/// A set of violated invariants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BrokenSet(u32);

#[derive(Clone, Copy, Debug)]
#[repr(u32)]
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
    /// A pod took a Lease that was held, or that did not nominate it.
    X3 = 512,
    /// A nomination whose term is not above that of the Lease.
    X4 = 1024,
    /// A Lease was created with a nominee, or one that no record names got one.
    X5 = 2048,
    /// A Lease was released while COMMAND ran.
    X7 = 4096,
    /// Two COMMANDs started with one term.
    X9 = 8192,
    /// Two slices of one Service have an endpoint.
    R1 = 16384,
}

impl BrokenSet {
    pub fn insert(&mut self, broken: Broken) {
        self.0 |= broken as u32;
    }

    pub fn contains(self, broken: Broken) -> bool {
        self.0 & broken as u32 != 0
    }
}
